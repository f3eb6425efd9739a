/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The memory map that a guest's firmware would report, in the format of INT 15h AX=E820h (ACPI
 * specification, chapter 15). One function makes it, and boot_params, the multiboot and PVH tables
 * and fw_cfg all say the same.
 *
 * RAM is [0, min(size, 3 GiB)) and, for what is left, from 4 GiB. Inside it 0x9fc00-0xfffff is
 * the firmware's: EBDA, the video and option ROM windows, ACPI and MP tables.
 */
#ifndef VMM_DEV_E820_H
#define VMM_DEV_E820_H

#include <assert.h>
#include <stdint.h>

#include "lib/bits.h"

#define RAM_LOW_LIMIT  0xc0000000ull /* RAM below 4 GiB ends here at the latest */
#define RAM_HIGH_BASE  0x100000000ull
#define FIRMWARE_BASE  0x9fc00ull
#define FIRMWARE_LIMIT 0x100000ull
#define DEVICE_BASE    0xfec00000ull /* IOAPIC, local APIC, firmware ROM: up to 4 GiB */

enum e820_type { E820_RAM = 1, E820_RESERVED = 2, E820_ACPI = 3, E820_NVS = 4 };

struct e820_entry {
	uint64_t addr, size; /* bytes */
	uint32_t type;       /* enum e820_type */
} __packed;
static_assert(sizeof(struct e820_entry) == 20, "E820 entry");

#define E820_MAX_ENTRIES 8

/* Ends of the two pieces of RAM (exclusive); the second is RAM_HIGH_BASE when there is none. */
uint64_t ram_low_end(uint64_t ram_bytes);
uint64_t ram_high_end(uint64_t ram_bytes);

/* The map an operating system gets. Returns the number of entries, sorted by address. */
unsigned e820_build(struct e820_entry map[E820_MAX_ENTRIES], uint64_t ram_bytes);

/* The bare RAM ranges, nothing carved out: what a firmware starts from. */
unsigned e820_build_raw(struct e820_entry map[E820_MAX_ENTRIES], uint64_t ram_bytes);

#endif
