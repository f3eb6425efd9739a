/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Registers in memory are written to where the firmware's tables say that they are. In a damaged
 * table that can be anywhere: in RAM, which would be overwritten, or where no address is. What
 * cannot be right is taken out of what the tables said. Hosted too.
 */
#ifndef BOOT_ACPI_CHECK_H
#define BOOT_ACPI_CHECK_H

#include "boot/memmap.h"
#include "drivers/acpi.h"

/*
 * Forget each HPET, I/O APIC and reset register of `info` that is not aligned as such registers
 * are, reaches beyond the physical address `limit`, or overlaps RAM of the memory map,
 * with a warning for each.
 */
void acpi_check_addresses(struct acpi_info *info, const struct memmap *map, uint64_t limit);

#endif
