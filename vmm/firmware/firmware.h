/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a firmware leaves in memory for an operating system, for guests that are started without a
 * firmware: ACPI tables (ACPI specification 6.3, chapter 5), the MP table (Intel MultiProcessor
 * Specification 1.4), and a BIOS's data areas, services and reset code.
 *
 * The tables lie in 0xe0000-0xfffff: the RSDP and the ACPI tables first, the MP table from
 * 0xf0000, the services from 0xf8000. The reset code is in the last 16 bytes, and at 0xfe05b.
 */
#ifndef VMM_FIRMWARE_FIRMWARE_H
#define VMM_FIRMWARE_FIRMWARE_H

#include <stdint.h>

struct guest_memory; /* mm/slots.h */

#define FIRMWARE_RSDP     0xe0000
#define FIRMWARE_ACPI_END 0xf0000
#define FIRMWARE_MP_TABLE 0xf0000

/*
 * Where the services begin; and so do kernels of real mode, with their first 64 KiB in DS, ES, FS,
 * GS and SS:SP: it lets the clock tick, and goes on 512 bytes behind that segment's begin.
 */
#define FIRMWARE_BIOS_SEGMENT 0xf000
#define FIRMWARE_BIOS_OFFSET  0x8000

/*
 * Write all of it for `nr_vcpus` CPUs with APIC IDs 0, 1, 2..., and RAM as vmm/dev/e820.h lays out
 * `ram_bytes`. 0, or -EFAULT when the guest has no RAM there.
 */
int firmware_write_tables(struct guest_memory *mem, unsigned nr_vcpus, uint64_t ram_bytes);

#endif
