/* SPDX-License-Identifier: BSD-2-Clause */
/* The single tables, for acpi.c: each is mapped in full, and its checksum is right. */
#ifndef DRIVERS_ACPI_PARSE_H
#define DRIVERS_ACPI_PARSE_H

#include <stdint.h>
#include <string.h>

#include "drivers/acpi.h"
#include "lib/bits.h"

/* ACPI 5.2.6 */
struct acpi_header {
	char signature[4];
	uint32_t length; /* bytes, with this header */
	uint8_t revision;
	uint8_t checksum; /* makes the sum of all bytes 0 */
	char oem_id[6];
	char oem_table_id[8];
	uint32_t oem_revision;
	uint32_t creator_id;
	uint32_t creator_revision;
} __packed;

void acpi_parse_madt(const struct acpi_header *table, struct acpi_info *info);
void acpi_parse_hpet(const struct acpi_header *table, struct acpi_info *info);
void acpi_parse_dmar(const struct acpi_header *table, struct acpi_info *info);
void acpi_parse_mcfg(const struct acpi_header *table, struct acpi_info *info);

/* drivers/acpi_console.c */
void acpi_parse_spcr(const struct acpi_header *table, struct acpi_info *info);
void acpi_parse_dbg2(const struct acpi_header *table, struct acpi_info *info);

/* Gives the physical address of the DSDT, 0: none. */
uint64_t acpi_parse_fadt(const struct acpi_header *table, struct acpi_info *info);

/* Look for \_S5_ in a table of AML. */
void acpi_find_s5(const struct acpi_header *table, struct acpi_info *info);

/* Little-endian fields at any alignment; 0 if the table ends before. */
static inline uint64_t acpi_field(const struct acpi_header *table, size_t off, size_t size)
{
	uint64_t val = 0;

	if (off + size <= table->length)
		memcpy(&val, (const uint8_t *)table + off, size);
	return val;
}

#endif
