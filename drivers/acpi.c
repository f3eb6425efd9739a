/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Finding the tables: root pointer, root table, and each table's header and checksum (ACPI 5.2.5
 * to 5.2.8).
 */
#include "drivers/acpi.h"

#include <errno.h>
#include <string.h>

#include "drivers/acpi_parse.h"
#include "lib/log.h"

#define TABLE_MAX    (16u << 20) /* a DSDT of a large server has some 100 KiB */
#define ENTRIES_MAX  256
#define RSDP_LEN     20
#define RSDP_XLEN    36
#define EBDA_POINTER 0x40e
#define BIOS_HIGH    0xf0000
#define BIOS_LOW     0xe0000
#define BIOS_LEN     0x10000 /* each of the two */

static bool sum_is_zero(const void *data, size_t len)
{
	const uint8_t *p = data;
	uint8_t sum = 0;

	while (len--)
		sum = (uint8_t)(sum + *p++);
	return !sum;
}

static bool is_rsdp(const uint8_t *p, size_t len)
{
	return len >= RSDP_LEN && !memcmp(p, "RSD PTR ", 8) && sum_is_zero(p, RSDP_LEN);
}

/* The ACPI 2.0 part of the root pointer: is it there, and whole? */
static bool has_xsdt(const uint8_t *rsdp, size_t len)
{
	return len >= RSDP_XLEN && rsdp[15] >= 2 && sum_is_zero(rsdp, RSDP_XLEN);
}

static const uint8_t *scan_for_rsdp(const struct phys_memory *mem, uint64_t hpa, uint64_t len)
{
	const uint8_t *p;
	uint64_t off;

	for (off = 0; off + RSDP_XLEN <= len; off += 16) {
		p = phys_map(mem, hpa + off, RSDP_XLEN);
		if (p && is_rsdp(p, RSDP_XLEN))
			return p;
	}
	return NULL;
}

/*
 * ACPI 5.2.5.1: the first KiB of the extended BIOS data area, then the BIOS ROM. Its upper half
 * comes first, for most have it there; where nothing answers in the lower half, each read goes out
 * to the bus, and in a virtual machine to another process.
 */
static const uint8_t *find_rsdp(const struct phys_memory *mem)
{
	const uint8_t *p = phys_map(mem, EBDA_POINTER, 2);
	const uint8_t *rsdp = NULL;
	uint64_t ebda = p ? (uint64_t)(p[0] | p[1] << 8) << 4 : 0;

	if (ebda)
		rsdp = scan_for_rsdp(mem, ebda, 1024);
	if (!rsdp)
		rsdp = scan_for_rsdp(mem, BIOS_HIGH, BIOS_LEN);
	return rsdp ? rsdp : scan_for_rsdp(mem, BIOS_LOW, BIOS_LEN);
}

static void warn(struct acpi_info *info, const char *what, uint64_t hpa, const char *why)
{
	log_warn("acpi: %s at 0x%lx ignored: %s", what, (unsigned long)hpa, why);
	info->warnings++;
}

/* The whole table, which must have the signature `name`, or NULL after a warning. */
static const struct acpi_header *map_table(const struct phys_memory *mem, uint64_t hpa,
					   const char *name, struct acpi_info *info)
{
	const struct acpi_header *t = phys_map(mem, hpa, sizeof(*t));

	if (!t || memcmp(t->signature, name, 4)) {
		warn(info, name, hpa, "not there");
		return NULL;
	}
	if (t->length < sizeof(*t) || t->length > TABLE_MAX) {
		warn(info, name, hpa, "impossible length");
		return NULL;
	}
	t = phys_map(mem, hpa, t->length);
	if (!t) {
		warn(info, name, hpa, "leads out of memory");
		return NULL;
	}
	if (!sum_is_zero(t, t->length)) {
		warn(info, name, hpa, "bad checksum");
		return NULL;
	}
	return t;
}

static void parse_fadt(const struct phys_memory *mem, const struct acpi_header *fadt,
		       struct acpi_info *info)
{
	uint64_t hpa = acpi_parse_fadt(fadt, info);
	const struct acpi_header *dsdt = hpa ? map_table(mem, hpa, "DSDT", info) : NULL;

	if (dsdt)
		acpi_find_s5(dsdt, info);
}

static const struct {
	char signature[5];
	void (*parse)(const struct acpi_header *table, struct acpi_info *info);
} parsers[] = {
	{"FACP", NULL}, /* parse_fadt() */
	{"APIC", acpi_parse_madt},
	{"HPET", acpi_parse_hpet},
	{"MCFG", acpi_parse_mcfg},
	{"DMAR", acpi_parse_dmar},
	{"SSDT", acpi_find_s5},
	{"SPCR", acpi_parse_spcr},
	{"DBG2", acpi_parse_dbg2},
};

static void parse_table(const struct phys_memory *mem, uint64_t hpa, struct acpi_info *info)
{
	const struct acpi_header *t = phys_map(mem, hpa, sizeof(*t));
	unsigned i;

	for (i = 0; t && i < ARRAY_SIZE(parsers); i++) {
		if (memcmp(t->signature, parsers[i].signature, 4))
			continue;
		t = map_table(mem, hpa, parsers[i].signature, info);
		if (!t)
			return;
		if (parsers[i].parse)
			parsers[i].parse(t, info);
		else
			parse_fadt(mem, t, info);
		return;
	}
}

/* The tables that an RSDT (entries of 4 bytes) or XSDT (8) lists. */
static void parse_root(const struct phys_memory *mem, const struct acpi_header *root, size_t size,
		       struct acpi_info *info)
{
	size_t i, nr = (root->length - sizeof(*root)) / size;

	for (i = 0; i < nr && i < ENTRIES_MAX; i++)
		parse_table(mem, acpi_field(root, sizeof(*root) + i * size, size), info);
}

static bool parse_root_at(const struct phys_memory *mem, uint64_t hpa, const char *name,
			  size_t size, struct acpi_info *info)
{
	const struct acpi_header *root = map_table(mem, hpa, name, info);

	if (!root)
		return false;
	parse_root(mem, root, size, info);
	return true;
}

static bool parse_rsdp(const struct phys_memory *mem, const uint8_t *rsdp, size_t len,
		       struct acpi_info *info)
{
	uint32_t rsdt;
	uint64_t xsdt;

	memcpy(&rsdt, rsdp + 16, sizeof(rsdt));
	if (has_xsdt(rsdp, len)) {
		memcpy(&xsdt, rsdp + 24, sizeof(xsdt));
		if (xsdt && parse_root_at(mem, xsdt, "XSDT", 8, info))
			return true;
	}
	return rsdt && parse_root_at(mem, rsdt, "RSDT", 4, info);
}

static void init(struct acpi_info *info)
{
	unsigned i;

	memset(info, 0, sizeof(*info));
	for (i = 0; i < ACPI_ISA_IRQS; i++)
		info->isa_irq[i].gsi = i;
}

int acpi_parse(const struct phys_memory *mem, const uint8_t *rsdp, size_t rsdp_len,
	       struct acpi_info *info)
{
	init(info);
	if (rsdp && !is_rsdp(rsdp, rsdp_len)) {
		warn(info, "the boot loader's RSDP", 0, "bad checksum");
		rsdp = NULL;
	}
	if (rsdp && parse_rsdp(mem, rsdp, rsdp_len, info))
		return 0;
	rsdp = find_rsdp(mem);
	return rsdp && parse_rsdp(mem, rsdp, RSDP_XLEN, info) ? 0 : -ENOENT;
}
