/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the loader and the firmware told: memory size, command line, fw_cfg, ACPI tables.
 */
#ifndef GUEST_BOOT_H
#define GUEST_BOOT_H

#include "x86.h"

#define FWCFG_SIGNATURE 0
#define FWCFG_RAM_SIZE  3
#define FWCFG_NB_CPUS   5

struct acpi_header {
	char signature[4];
	uint32_t length;
	uint8_t revision, checksum;
	char oem[6], oem_table[8];
	uint32_t oem_revision, creator, creator_revision;
} __attribute__((packed));

struct acpi_rsdp {
	char signature[8];
	uint8_t checksum;
	char oem[6];
	uint8_t revision;
	uint32_t rsdt, length;
	uint64_t xsdt;
	uint8_t ext_checksum, reserved[3];
} __attribute__((packed));

struct acpi_madt {
	struct acpi_header header;
	uint32_t apic_base, flags;
	uint8_t entries[];
} __attribute__((packed));

/* Copy what is needed out of the loader's memory, once, first thing. */
void boot_init(void);

/* End of the usable memory that starts at 1 MiB; bytes. */
unsigned long boot_memory_end(void);

/* "NAME=value" or "NAME" on the command line: the value's text ("" without), NULL if absent. */
const char *boot_option(const char *name);

/*
 * Where exits take milliseconds, "sparse=N" on the command line makes one of N repetitions enough
 * where there are thousands of the same kind. 1 without that.
 */
unsigned one_in(void);

bool fwcfg_exists(void);
void fwcfg_read(uint16_t key, void *buf, size_t len);
uint16_t fwcfg_read16(uint16_t key);

/* The RSDP in the BIOS area with a right checksum, or NULL. */
const struct acpi_rsdp *acpi_rsdp(void);

/* A table by signature, or NULL. */
const void *acpi_find(const char *signature);
uint8_t acpi_sum(const void *table, size_t len);

/* PM timer port from the FADT, 0 if there is none. */
uint16_t acpi_pm_timer_port(void);

#endif
