/* SPDX-License-Identifier: BSD-2-Clause */
/* The parts of what a firmware leaves, and the checksum that all tables have. */
#ifndef VMM_FIRMWARE_TABLES_H
#define VMM_FIRMWARE_TABLES_H

#include <stdint.h>

struct guest_memory; /* mm/slots.h */

/* Each returns 0, or -EFAULT when the guest has no RAM there. */
int acpi_write_tables(struct guest_memory *mem, unsigned nr_vcpus);
int mp_write_table(struct guest_memory *mem, unsigned nr_vcpus);
int bios_write_area(struct guest_memory *mem, uint64_t ram_bytes);

/* The byte that makes the sum of all `len` bytes zero, when it is one of them and 0 so far. */
static inline uint8_t firmware_checksum(const void *data, unsigned len)
{
	const uint8_t *p = data;
	uint8_t sum = 0;

	for (unsigned i = 0; i < len; i++)
		sum += p[i];
	return (uint8_t)-sum;
}

#endif
