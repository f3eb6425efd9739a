/* SPDX-License-Identifier: BSD-2-Clause */
/* The guest's memory map, from its size alone. */
#include "vmm/dev/e820.h"

uint64_t ram_low_end(uint64_t ram_bytes)
{
	return min(ram_bytes, RAM_LOW_LIMIT);
}

uint64_t ram_high_end(uint64_t ram_bytes)
{
	return RAM_HIGH_BASE + (ram_bytes - ram_low_end(ram_bytes));
}

/* Add [from, to), unless it is empty. */
static unsigned add(struct e820_entry *map, unsigned n, uint64_t from, uint64_t to,
		    enum e820_type type)
{
	if (from >= to)
		return n;
	map[n] = (struct e820_entry){.addr = from, .size = to - from, .type = type};
	return n + 1;
}

unsigned e820_build(struct e820_entry map[E820_MAX_ENTRIES], uint64_t ram_bytes)
{
	uint64_t low = ram_low_end(ram_bytes);
	unsigned n = 0;

	n = add(map, n, 0, min(low, FIRMWARE_BASE), E820_RAM);
	n = add(map, n, FIRMWARE_BASE, FIRMWARE_LIMIT, E820_RESERVED);
	n = add(map, n, FIRMWARE_LIMIT, low, E820_RAM);
	n = add(map, n, DEVICE_BASE, RAM_HIGH_BASE, E820_RESERVED);
	return add(map, n, RAM_HIGH_BASE, ram_high_end(ram_bytes), E820_RAM);
}

unsigned e820_build_raw(struct e820_entry map[E820_MAX_ENTRIES], uint64_t ram_bytes)
{
	unsigned n = add(map, 0, 0, ram_low_end(ram_bytes), E820_RAM);

	return add(map, n, RAM_HIGH_BASE, ram_high_end(ram_bytes), E820_RAM);
}
