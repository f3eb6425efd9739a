/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The ACPI parser on memory full of anything. So that the fuzzer need not guess checksums, each
 * table that starts with a known signature at a multiple of 64 is given a right one first.
 */
#include "drivers/acpi.h"
#include "lib/bits.h"
#include "tests/fuzz/fuzz_memory.h"

#define RSDP_LEN  36
#define TABLE_LEN 36

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void fix_checksum(uint8_t *p, size_t len, size_t at)
{
	uint8_t sum = 0;
	size_t i;

	for (i = 0; i < len; i++)
		sum = (uint8_t)(sum + p[i]);
	p[at] = (uint8_t)(p[at] - sum);
}

static void fix_tables(uint8_t *p, size_t size)
{
	static const char names[][5] = {"RSDT", "XSDT", "FACP", "APIC", "HPET",
					"MCFG", "DSDT", "SSDT", "SPCR", "DBG2"};
	uint32_t len;
	size_t off;
	unsigned i;

	for (off = 0; off + TABLE_LEN <= size; off += 64) {
		for (i = 0; i < ARRAY_SIZE(names) && memcmp(p + off, names[i], 4); i++)
			;
		memcpy(&len, p + off + 4, sizeof(len));
		if (i < ARRAY_SIZE(names) && len >= TABLE_LEN && len <= size - off)
			fix_checksum(p + off, len, 9);
	}
}

static void check_console(const struct acpi_console *c)
{
	const struct serial_uart *u = &c->uart;

	if (!u->stride)
		return;
	if ((u->stride != 1 && u->stride != 2 && u->stride != 4) || !u->width ||
	    u->width > u->stride || !u->clock || !u->base ||
	    (c->is_pci && (c->dev > 31 || c->fn > 7)) || (!u->is_mmio && u->base > 0xfff8))
		abort();
}

static void check(const struct acpi_info *info)
{
	if (info->nr_cpus > ACPI_MAX_CPUS || info->nr_ioapics > ACPI_MAX_IOAPICS ||
	    info->nr_mcfg > ACPI_MAX_MCFG || info->s5_type_a > 7 || info->s5_type_b > 7)
		abort();
	check_console(&info->spcr);
	check_console(&info->dbg2);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct acpi_info info;
	uint8_t rsdp[RSDP_LEN];
	uint8_t *copy;

	if (size < RSDP_LEN)
		return 0;
	memcpy(rsdp, data, RSDP_LEN);
	memcpy(rsdp, "RSD PTR ", 8);
	fix_checksum(rsdp, 20, 8);
	fix_checksum(rsdp, RSDP_LEN, 32);
	copy = malloc(size);
	memcpy(copy, data, size);
	fix_tables(copy, size);
	fuzz_memory_begin(copy, size);
	acpi_parse(&fuzz_phys, rsdp, data[0] & 1 ? 20 : RSDP_LEN, &info);
	check(&info);
	acpi_parse(&fuzz_phys, NULL, 0, &info);
	check(&info);
	fuzz_memory_end();
	free(copy);
	return 0;
}
