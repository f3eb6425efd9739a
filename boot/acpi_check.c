/* SPDX-License-Identifier: BSD-2-Clause */
/* Registers where none can be: see acpi_check.h. */
#include "boot/acpi_check.h"

#include "lib/bits.h"
#include "lib/log.h"

/* Bytes from the first register to the end of the last, and what the first is aligned to. */
#define HPET_LEN     1024 /* IA-PC HPET specification 1.0a, 2.3.1 */
#define HPET_ALIGN   1024
#define IOAPIC_LEN   32 /* of the index and the data register */
#define IOAPIC_ALIGN 16

struct machine {
	const struct memmap *map;
	uint64_t end; /* of physical addresses */
};

static bool is_ram(const struct memmap *map, uint64_t base, uint64_t len)
{
	for (size_t i = 0; i < map->nr_usable; i++) {
		const struct mem_range *r = &map->usable[i];

		if (base < r->base.v + r->size && r->base.v < base + len)
			return true;
	}
	return false;
}

/* False, with a warning: nothing of `len` bytes is at `base`. */
static bool is_device(const struct machine *m, const char *name, uint64_t base, uint64_t len,
		      uint64_t align)
{
	const char *why;

	if (!IS_ALIGNED(base, align))
		why = "not aligned";
	else if (base >= m->end || len > m->end - base)
		why = "outside the address space";
	else if (is_ram(m->map, base, len))
		why = "RAM is there";
	else
		return true;
	log_warn("acpi: %s at 0x%llx ignored: %s", name, (unsigned long long)base, why);
	return false;
}

static void check_ioapics(struct acpi_info *info, const struct machine *m)
{
	unsigned nr = 0;

	for (unsigned i = 0; i < info->nr_ioapics; i++) {
		if (is_device(m, "I/O APIC", info->ioapic[i].hpa, IOAPIC_LEN, IOAPIC_ALIGN))
			info->ioapic[nr++] = info->ioapic[i];
	}
	info->nr_ioapics = nr;
}

void acpi_check_addresses(struct acpi_info *info, const struct memmap *map, uint64_t limit)
{
	const struct machine m = {map, limit};

	if (info->hpet_base && !is_device(&m, "HPET", info->hpet_base, HPET_LEN, HPET_ALIGN))
		info->hpet_base = 0;
	check_ioapics(info, &m);
	if (info->reset.space == ACPI_SPACE_MEMORY && info->reset.addr &&
	    !is_device(&m, "reset register", info->reset.addr, 1, 1))
		info->reset.addr = 0;
}
