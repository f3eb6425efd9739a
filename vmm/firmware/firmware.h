/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a firmware leaves in memory for an operating system, for guests that are started without a
 * firmware: ACPI tables (ACPI specification 6.3, chapter 5), the MP table (Intel MultiProcessor
 * Specification 1.4), and a BIOS's data areas and reset code.
 *
 * The tables lie in 0xe0000-0xfffff: the RSDP and the ACPI tables first, the MP table from
 * 0xf0000. The reset code is in the last 16 bytes, and at 0xfe05b.
 */
#ifndef VMM_FIRMWARE_FIRMWARE_H
#define VMM_FIRMWARE_FIRMWARE_H

#include <stdint.h>

struct guest_memory; /* mm/slots.h */

#define FIRMWARE_RSDP     0xe0000
#define FIRMWARE_ACPI_END 0xf0000
#define FIRMWARE_MP_TABLE 0xf0000

/*
 * Write all of it for `nr_vcpus` CPUs with APIC IDs 0, 1, 2... 0, or -EFAULT when the guest has
 * no RAM there.
 */
int firmware_write_tables(struct guest_memory *mem, unsigned nr_vcpus);

#endif
