/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * ACPI tables as a firmware leaves them, made byte by byte in a piece of memory, for the tests of
 * their parser. Each test program has a machine of its own.
 */
#ifndef TESTS_UNIT_SUPPORT_ACPI_TABLES_H
#define TESTS_UNIT_SUPPORT_ACPI_TABLES_H

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "drivers/acpi.h"
#include "lib/bits.h"

#define MEMORY_LEN 0x110000
#define XSDT       0x10000
#define RSDT       0x11000
#define FADT       0x12000
#define MADT       0x13000
#define HPET       0x14000
#define MCFG       0x15000
#define DSDT       0x16000
#define SSDT       0x17000
#define SPCR       0x18000
#define DBG2       0x19000

static uint8_t *memory;
static uint8_t rsdp[36];
static struct acpi_info info;

static inline const void *map(void *ctx, uint64_t hpa, uint64_t len)
{
	return hpa < MEMORY_LEN && len <= MEMORY_LEN - hpa ? memory + hpa : NULL;
}

static const struct phys_memory mem = {map, NULL};

static inline void poke(uint64_t at, uint64_t val, size_t size)
{
	memcpy(memory + at, &val, size);
}

static uint8_t sum(const uint8_t *p, size_t len)
{
	uint8_t s = 0;

	while (len--)
		s = (uint8_t)(s + *p++);
	return s;
}

/* Header and checksum of a table whose payload is in place. */
static inline void seal(uint64_t at, const char *signature, uint32_t len)
{
	memcpy(memory + at, signature, 4);
	poke(at + 4, len, 4);
	memory[at + 9] = 0;
	memory[at + 9] = (uint8_t)-sum(memory + at, len);
}

static inline void make_rsdp(uint8_t *p, uint32_t rsdt, uint64_t xsdt)
{
	memset(p, 0, 36);
	memcpy(p, "RSD PTR ", 8);
	p[15] = 2;
	memcpy(p + 16, &rsdt, 4);
	p[20] = 36;
	memcpy(p + 24, &xsdt, 8);
	p[8] = (uint8_t)-sum(p, 20);
	p[32] = (uint8_t)-sum(p, 36);
}

static inline void make_roots(void)
{
	static const uint32_t tables[] = {FADT, MADT, HPET, MCFG};

	for (unsigned i = 0; i < ARRAY_SIZE(tables); i++) {
		poke(XSDT + 36 + 8 * i, tables[i], 8);
		poke(RSDT + 36 + 4 * i, tables[i], 4);
	}
	seal(XSDT, "XSDT", 36 + 8 * ARRAY_SIZE(tables));
	seal(RSDT, "RSDT", 36 + 4 * ARRAY_SIZE(tables));
	make_rsdp(rsdp, RSDT, XSDT);
}

static uint32_t madt_len;

static inline void madt_entry(const uint8_t *bytes)
{
	memcpy(memory + MADT + madt_len, bytes, bytes[1]);
	madt_len += bytes[1];
}

static inline void make_madt(void)
{
	static const uint8_t entries[][16] = {
		{0, 8, 0, 0, 1, 0, 0, 0},                          /* CPU 0 */
		{0, 8, 1, 2, 1, 0, 0, 0},                          /* CPU 2 */
		{0, 8, 2, 3, 0, 0, 0, 0},                          /* switched off */
		{0, 8, 3, 4, 2, 0, 0, 0},                          /* may come later */
		{9, 16, 0, 0, 0, 1, 0, 0, 1, 0, 0, 0, 4, 0, 0, 0}, /* x2APIC 256 */
		{9, 16, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 5, 0, 0, 0}, /* CPU 2 once more */
		{1, 12, 7, 0, 0, 0, 0xc0, 0xfe, 0, 0, 0, 0},       /* IOAPIC */
		{1, 12, 8, 0, 0, 0, 0xc1, 0xfe, 24, 0, 0, 0},
		{2, 10, 0, 0, 2, 0, 0, 0, 0, 0},   /* IRQ 0 is input 2 */
		{2, 10, 0, 9, 9, 0, 0, 0, 0xf, 0}, /* level, low */
		{2, 10, 0, 16, 9, 0, 0, 0, 0, 0},  /* no ISA interrupt */
		{4, 6, 0xff, 5, 0, 1},             /* NMI: not ours */
	};

	madt_len = 44;
	for (unsigned i = 0; i < ARRAY_SIZE(entries); i++)
		madt_entry(entries[i]);
	seal(MADT, "APIC", madt_len);
}

static inline void make_fadt(void)
{
	poke(FADT + 40, DSDT, 4);
	poke(FADT + 48, 0xb2, 4);
	poke(FADT + 52, 0xf1, 1);
	poke(FADT + 64, 0x604, 4);
	poke(FADT + 76, 0x608, 4);
	poke(FADT + 112, 1 << 8 | 1 << 10, 4);
	poke(FADT + 116, 1, 1);
	poke(FADT + 120, 0xcf9, 8);
	poke(FADT + 128, 0x0f, 1);
	seal(FADT, "FACP", 244);
}

static inline void make_aml(uint64_t at, const char *signature, const uint8_t *aml, size_t len)
{
	memset(memory + at, 0, 256);
	memset(memory + at + 36, 0xa3, 8);
	memcpy(memory + at + 44, aml, len);
	seal(at, signature, (uint32_t)(44 + len));
}

/* Name(\_S5_, Package(4) {5, 1, 0, 0}) */
static const uint8_t s5[] = {0x08, '\\', '_', 'S', '5', '_', 0x12, 0x07, 0x04, 0x0a, 5, 1, 0, 0};

static inline int setup(void **state)
{
	memset(memory, 0, MEMORY_LEN);
	make_madt();
	make_fadt();
	make_aml(DSDT, "DSDT", s5, sizeof(s5));
	poke(HPET + 40, 0, 4);
	poke(HPET + 44, 0xfed00000, 8);
	seal(HPET, "HPET", 56);
	poke(MCFG + 44, 0xb0000000, 8);
	poke(MCFG + 52, 0, 2);
	poke(MCFG + 55, 255, 1);
	seal(MCFG, "MCFG", 60);
	make_roots();
	return 0;
}

static inline int parse(void)
{
	return acpi_parse(&mem, rsdp, sizeof(rsdp), &info);
}

/* What the tables of setup() say, whichever way they were found. */
static inline void check_everything(void)
{
	static const uint32_t ids[] = {0, 2, 256};

	assert_int_equal(info.nr_cpus, 3);
	assert_memory_equal(info.apic_id, ids, sizeof(ids));
	assert_int_equal(info.nr_ioapics, 2);
	assert_int_equal(info.ioapic[1].hpa, 0xfec10000);
	assert_int_equal(info.ioapic[1].gsi_base, 24);
	assert_int_equal(info.isa_irq[0].gsi, 2);
	assert_int_equal(info.isa_irq[1].gsi, 1);
	assert_false(info.isa_irq[1].is_level || info.isa_irq[1].is_low);
	assert_true(info.isa_irq[9].is_level && info.isa_irq[9].is_low);
	assert_int_equal(info.hpet_base, 0xfed00000);
	assert_int_equal(info.nr_mcfg, 1);
	assert_int_equal(info.mcfg[0].base, 0xb0000000);
	assert_int_equal(info.mcfg[0].last_bus, 255);
	assert_true(info.has_fadt && info.has_s5 && info.pm_timer_is_32bit);
	assert_int_equal(info.pm_timer.addr, 0x608);
	assert_int_equal(info.pm_timer.space, ACPI_SPACE_IO);
	assert_int_equal(info.pm1a_control.addr, 0x604);
	assert_int_equal(info.pm1b_control.addr, 0);
	assert_int_equal(info.reset.addr, 0xcf9);
	assert_int_equal(info.reset_value, 0x0f);
	assert_int_equal(info.smi_command, 0xb2);
	assert_int_equal(info.acpi_enable, 0xf1);
	assert_int_equal(info.s5_type_a, 5);
	assert_int_equal(info.s5_type_b, 1);
}

static inline int group_setup(void **state)
{
	memory = malloc(MEMORY_LEN);
	return !memory;
}

static inline int group_teardown(void **state)
{
	free(memory);
	return 0;
}

#endif
