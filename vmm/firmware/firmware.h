/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a firmware leaves behind for an operating system, for guests that are started without
 * one: ACPI tables (ACPI specification 6.3, chapter 5), the MP table (Intel MultiProcessor
 * Specification 1.4) and the 8259s with their PC vectors.
 *
 * All of it lies in 0xe0000-0xfffff: the RSDP and the ACPI tables first, the MP table from
 * 0xf0000.
 */
#ifndef VMM_FIRMWARE_FIRMWARE_H
#define VMM_FIRMWARE_FIRMWARE_H

#include <stdint.h>

struct guest_memory; /* mm/slots.h */
struct pic;

#define FIRMWARE_RSDP     0xe0000
#define FIRMWARE_ACPI_END 0xf0000
#define FIRMWARE_MP_TABLE 0xf0000

/*
 * Write all tables for `nr_vcpus` CPUs with APIC IDs 0, 1, 2... 0, or -EFAULT when the guest has
 * no RAM there.
 */
int firmware_write_tables(struct guest_memory *mem, unsigned nr_vcpus);

/*
 * Vectors 0x08 and 0x70, everything masked but the cascade and IRQ 11, which a BIOS opens for
 * PCI; IRQ 9 (SCI), 10 and 11 are level-triggered. The device lock is held, or not needed yet.
 */
void firmware_init_pic(struct pic *p);

/* The parts. Each returns 0 or -EFAULT. */
int acpi_write_tables(struct guest_memory *mem, unsigned nr_vcpus);
int mp_write_table(struct guest_memory *mem, unsigned nr_vcpus);

/* The byte that makes the sum of all `len` bytes zero, when it is one of them and 0 so far. */
uint8_t firmware_checksum(const void *data, unsigned len);

#endif
