/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The tables that a firmware leaves in memory for an operating system, for guests that are started
 * without a firmware: ACPI tables (ACPI specification 6.3, chapter 5) and the MP table (Intel
 * MultiProcessor Specification 1.4).
 *
 * All of it lies in 0xe0000-0xfffff: the RSDP and the ACPI tables first, the MP table from
 * 0xf0000.
 */
#ifndef VMM_FIRMWARE_FIRMWARE_H
#define VMM_FIRMWARE_FIRMWARE_H

#include <stdint.h>

struct guest_memory; /* mm/slots.h */

#define FIRMWARE_RSDP     0xe0000
#define FIRMWARE_ACPI_END 0xf0000
#define FIRMWARE_MP_TABLE 0xf0000

/*
 * Write all tables for `nr_vcpus` CPUs with APIC IDs 0, 1, 2... 0, or -EFAULT when the guest has
 * no RAM there.
 */
int firmware_write_tables(struct guest_memory *mem, unsigned nr_vcpus);

#endif
