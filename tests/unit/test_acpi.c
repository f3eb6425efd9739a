/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * ACPI tables built byte by byte after the specification, whole and damaged. A damaged one is one
 * warning, and the next best source is used.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
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

static const void *map(void *ctx, uint64_t hpa, uint64_t len)
{
	return hpa < MEMORY_LEN && len <= MEMORY_LEN - hpa ? memory + hpa : NULL;
}

static const struct phys_memory mem = {map, NULL};

static void poke(uint64_t at, uint64_t val, size_t size)
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
static void seal(uint64_t at, const char *signature, uint32_t len)
{
	memcpy(memory + at, signature, 4);
	poke(at + 4, len, 4);
	memory[at + 9] = 0;
	memory[at + 9] = (uint8_t)-sum(memory + at, len);
}

static void make_rsdp(uint8_t *p, uint32_t rsdt, uint64_t xsdt)
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

static void make_roots(void)
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

static void madt_entry(const uint8_t *bytes)
{
	memcpy(memory + MADT + madt_len, bytes, bytes[1]);
	madt_len += bytes[1];
}

static void make_madt(void)
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

static void make_fadt(void)
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

static void make_aml(uint64_t at, const char *signature, const uint8_t *aml, size_t len)
{
	memset(memory + at, 0, 256);
	memset(memory + at + 36, 0xa3, 8);
	memcpy(memory + at + 44, aml, len);
	seal(at, signature, (uint32_t)(44 + len));
}

/* Name(\_S5_, Package(4) {5, 1, 0, 0}) */
static const uint8_t s5[] = {0x08, '\\', '_', 'S', '5', '_', 0x12, 0x07, 0x04, 0x0a, 5, 1, 0, 0};

static int setup(void **state)
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

static int parse(void)
{
	return acpi_parse(&mem, rsdp, sizeof(rsdp), &info);
}

static void check_everything(void)
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

static void test_all(void **state)
{
	assert_int_equal(parse(), 0);
	check_everything();
	assert_int_equal(info.warnings, 1); /* the override of no ISA interrupt */
}

static void test_old_rsdp(void **state)
{
	poke(XSDT, 0, 4); /* 20 bytes have no XSDT: it must not be looked at */
	assert_int_equal(acpi_parse(&mem, rsdp, 20, &info), 0);
	check_everything();
	rsdp[15] = 0; /* revision 0, with garbage behind */
	rsdp[8] = 0;
	rsdp[8] = (uint8_t)-sum(rsdp, 20);
	assert_int_equal(acpi_parse(&mem, rsdp, 36, &info), 0);
	check_everything();
}

static void test_xsdt_damaged(void **state)
{
	memory[XSDT + 20]++;
	assert_int_equal(parse(), 0);
	check_everything();
	assert_int_equal(info.warnings, 2);
	memory[RSDT + 20]++;
	assert_int_equal(parse(), -ENOENT);
	assert_int_equal(info.nr_cpus, 0);
	assert_int_equal(info.isa_irq[7].gsi, 7); /* defaults are there in any case */
}

static void test_rsdp_damaged(void **state)
{
	uint8_t good[36];

	memcpy(good, rsdp, 36);
	rsdp[10]++;
	assert_int_equal(parse(), -ENOENT);
	assert_int_equal(info.warnings, 1);
	/* The next source: the BIOS area, and before it the extended BIOS data area. */
	memcpy(memory + 0xffff0 - 0x40, good, 36);
	assert_int_equal(parse(), 0);
	check_everything();
	memcpy(memory + 0xf0008, good, 36); /* not on a boundary of 16: is not one */
	memset(memory + 0xffff0 - 0x40, 0, 36);
	assert_int_equal(parse(), -ENOENT);
	poke(0x40e, 0x9fc0, 2);
	memcpy(memory + 0x9fc00 + 1024 - 48, good, 36);
	assert_int_equal(acpi_parse(&mem, NULL, 0, &info), 0);
	check_everything();
}

static void test_no_acpi(void **state)
{
	assert_int_equal(acpi_parse(&mem, NULL, 0, &info), -ENOENT);
	assert_int_equal(info.warnings, 0);
	assert_int_equal(info.nr_cpus, 0);
}

/* The extended checksum is wrong: only the first 20 bytes count. */
static void test_rsdp_half_damaged(void **state)
{
	rsdp[33]++;
	assert_int_equal(parse(), 0);
	check_everything();
}

static void test_each_table_damaged(void **state)
{
	memory[MADT + 50]++;
	parse();
	assert_int_equal(info.nr_cpus, 0);
	assert_int_equal(info.warnings, 1);
	assert_true(info.has_fadt && info.hpet_base);
	setup(NULL);
	memory[HPET + 50]++;
	parse();
	assert_int_equal(info.hpet_base, 0);
	assert_int_equal(info.nr_cpus, 3);
	setup(NULL);
	memory[FADT + 50]++;
	parse();
	assert_false(info.has_fadt || info.has_s5);
	assert_int_equal(info.pm_timer.addr, 0);
	setup(NULL);
	memory[DSDT + 37]++;
	parse();
	assert_true(info.has_fadt);
	assert_false(info.has_s5);
}

static void test_bad_lengths(void **state)
{
	static const uint32_t lengths[] = {0, 8, 35, 0x1000000 + 1, 0xffffffff, MEMORY_LEN};

	for (unsigned i = 0; i < ARRAY_SIZE(lengths); i++) {
		setup(NULL);
		poke(MADT + 4, lengths[i], 4);
		assert_int_equal(parse(), 0);
		assert_int_equal(info.nr_cpus, 0);
		assert_int_equal(info.warnings, 1);
		assert_true(info.has_fadt);
	}
}

static void test_bad_pointers(void **state)
{
	poke(XSDT + 36 + 8, 0xffffffffffffffffull, 8); /* the MADT's */
	poke(XSDT + 36 + 16, MEMORY_LEN - 20, 8);      /* the HPET's: the header is cut */
	seal(XSDT, "XSDT", 36 + 8 * 4);
	assert_int_equal(parse(), 0);
	assert_int_equal(info.nr_cpus, 0);
	assert_int_equal(info.hpet_base, 0);
	assert_int_equal(info.nr_mcfg, 1);
}

static void test_madt_entries(void **state)
{
	memory[MADT + 44 + 8 + 1] = 0; /* the second entry has no length: stop there */
	seal(MADT, "APIC", madt_len);
	parse();
	assert_int_equal(info.nr_cpus, 1);
	assert_int_equal(info.warnings, 1);
	make_madt();
	memory[MADT + 44 + 8 + 1] = 0xff; /* leads out of the table */
	seal(MADT, "APIC", madt_len);
	parse();
	assert_int_equal(info.nr_cpus, 1);
	make_madt();
	seal(MADT, "APIC", 44 + 8 + 7); /* the second is cut */
	parse();
	assert_int_equal(info.nr_cpus, 1);
	memory[MADT + 44 + 1] = 7; /* a CPU entry that is too short to be one */
	seal(MADT, "APIC", 44 + 7);
	parse();
	assert_int_equal(info.nr_cpus, 0);
}

static void test_too_many_cpus(void **state)
{
	uint8_t entry[16] = {9, 16, [8] = 1};

	madt_len = 44;
	for (unsigned i = 0; i < ACPI_MAX_CPUS + 2; i++) {
		memcpy(entry + 4, &i, 4);
		madt_entry(entry);
	}
	seal(MADT, "APIC", madt_len);
	parse();
	assert_int_equal(info.nr_cpus, ACPI_MAX_CPUS);
	assert_int_equal(info.warnings, 2);
}

/* A FADT of ACPI 1.0 ends before the reset register and the extended fields. */
static void test_short_fadt(void **state)
{
	seal(FADT, "FACP", 116);
	parse();
	assert_int_equal(info.pm_timer.addr, 0x608);
	assert_int_equal(info.reset.addr, 0);
	assert_true(info.has_s5);
}

static void test_extended_fadt(void **state)
{
	poke(FADT + 140, SSDT, 8); /* X_DSDT wins */
	make_aml(SSDT, "DSDT", s5, 0);
	poke(FADT + 172, 1, 1);
	poke(FADT + 176, 0x1804, 8);
	poke(FADT + 208, 0, 1); /* memory */
	poke(FADT + 212, 0xfed10000, 8);
	seal(FADT, "FACP", 244);
	parse();
	assert_false(info.has_s5);
	assert_int_equal(info.pm1a_control.addr, 0x1804);
	assert_int_equal(info.pm_timer.space, ACPI_SPACE_MEMORY);
	assert_int_equal(info.pm_timer.addr, 0xfed10000);
}

static void test_s5_forms(void **state)
{
	static const struct {
		uint8_t aml[16];
		size_t len;
		int a, b; /* -1: not accepted */
	} cases[] = {
		{{8, '_', 'S', '5', '_', 0x12, 6, 4, 0x0a, 7, 0x0a, 7, 0, 0}, 14, 7, 7},
		{{8, '_', 'S', '5', '_', 0x12, 6, 4, 0, 1, 0, 0}, 12, 0, 1},
		{{8, '_', 'S', '5', '_', 0x12, 0x47, 0, 4, 0x0b, 5, 0, 6 - 5, 0}, 14, 5, 1},
		{{8, '_', 'S', '5', '_', 0x12, 6, 1, 0, 0, 0, 0}, 12, -1, 0},      /* one element */
		{{8, '_', 'S', '5', '_', 0x11, 6, 4, 0, 0, 0, 0}, 12, -1, 0},      /* a buffer */
		{{8, '_', 'S', '5', '_', 0x12, 6, 4, 0x0d, 'x', 0, 0}, 12, -1, 0}, /* a string */
		{{0, '_', 'S', '5', '_', 0x12, 6, 4, 0, 0, 0, 0}, 12, -1, 0}, /* only a reference */
		{{8, '_', 'S', '5', '_', 0x12, 6}, 7, -1, 0},                 /* cut */
		{{8, '_', 'S', '5', '_'}, 5, -1, 0},
		{{8, '_', 'S', '5'}, 4, -1, 0},
	};

	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		make_aml(DSDT, "DSDT", cases[i].aml, cases[i].len);
		assert_int_equal(parse(), 0);
		assert_int_equal(info.has_s5, cases[i].a >= 0);
		if (!info.has_s5)
			continue;
		assert_int_equal(info.s5_type_a, cases[i].a);
		assert_int_equal(info.s5_type_b, cases[i].b);
	}
}

static void test_s5_in_ssdt(void **state)
{
	make_aml(DSDT, "DSDT", s5, 0);
	make_aml(SSDT, "SSDT", s5, sizeof(s5));
	poke(XSDT + 36 + 32, SSDT, 8);
	seal(XSDT, "XSDT", 36 + 8 * 5);
	parse();
	assert_true(info.has_s5);
	assert_int_equal(info.s5_type_a, 5);
}

/* --- serial ports --- */

static void add_tables(void)
{
	poke(XSDT + 36 + 32, SPCR, 8);
	poke(XSDT + 36 + 40, DBG2, 8);
	seal(XSDT, "XSDT", 36 + 8 * 6);
}

static void make_gas(uint64_t at, uint8_t space, uint8_t bits, uint8_t access, uint64_t addr)
{
	poke(at, space, 1);
	poke(at + 1, bits, 2);
	poke(at + 3, access, 1);
	poke(at + 4, addr, 8);
}

/* A 16550 at port 0x2e8 on IRQ 10, 57600 baud, on no PCI function; revision 2. */
static void make_spcr(void)
{
	memset(memory + SPCR, 0, 128);
	memory[SPCR + 8] = 2;
	make_gas(SPCR + 40, 1, 8, 1, 0x2e8);
	poke(SPCR + 52, 1, 1);
	poke(SPCR + 53, 10, 1);
	poke(SPCR + 58, 6, 1);
	poke(SPCR + 64, 0xffffffff, 4);
	seal(SPCR, "SPCR", 80);
}

/* Two devices: a USB port, and a 16550 at port 0x2f8. */
static void make_dbg2(void)
{
	memset(memory + DBG2, 0, 256);
	poke(DBG2 + 36, 44, 4);
	poke(DBG2 + 40, 2, 4);
	poke(DBG2 + 44 + 1, 22, 2);
	poke(DBG2 + 44 + 12, 0x8002, 2);
	poke(DBG2 + 66 + 1, 38, 2);
	poke(DBG2 + 66 + 3, 1, 1);
	poke(DBG2 + 66 + 12, 0x8000, 2);
	poke(DBG2 + 66 + 18, 22, 2);
	make_gas(DBG2 + 66 + 22, 1, 8, 1, 0x2f8);
	seal(DBG2, "DBG2", 44 + 22 + 38);
}

static int setup_serial(void **state)
{
	setup(state);
	make_spcr();
	make_dbg2();
	add_tables();
	return 0;
}

static void test_spcr(void **state)
{
	const struct serial_uart *u = &info.spcr.uart;

	parse();
	check_everything();
	assert_int_equal(info.warnings, 1);
	assert_false(u->is_mmio || info.spcr.is_pci);
	assert_int_equal(u->base, 0x2e8);
	assert_int_equal(u->stride, 1);
	assert_int_equal(u->width, 1);
	assert_int_equal(u->clock, 1843200);
	assert_int_equal(u->baud, 57600);
	assert_int_equal(u->irq.kind, SERIAL_IRQ_ISA);
	assert_int_equal(u->irq.number, 10);
	assert_int_equal(info.dbg2.uart.base, 0x2f8);
	assert_int_equal(info.dbg2.uart.irq.kind, SERIAL_IRQ_NONE);
}

/* Registers in memory, 32 bits each; clock and rate of revision 4; a global interrupt; on PCI. */
static void test_spcr_in_memory(void **state)
{
	const struct serial_uart *u = &info.spcr.uart;

	memory[SPCR + 36] = 0x12;
	make_gas(SPCR + 40, 0, 32, 3, 0xfe030000);
	poke(SPCR + 52, 3, 1);
	poke(SPCR + 54, 0x22, 4);
	poke(SPCR + 64, 0x12348086, 4);
	poke(SPCR + 68, 0x60, 1);
	poke(SPCR + 69, 0x16, 1);
	poke(SPCR + 70, 3, 1);
	poke(SPCR + 76, 48000000, 4);
	poke(SPCR + 80, 1500000, 4);
	memory[SPCR + 8] = 4;
	seal(SPCR, "SPCR", 88);
	parse();
	assert_int_equal(info.warnings, 1);
	assert_true(u->is_mmio && info.spcr.is_pci);
	assert_int_equal(info.spcr.bus, 0x60);
	assert_int_equal(info.spcr.dev, 0x16);
	assert_int_equal(info.spcr.fn, 3);
	assert_int_equal(u->base, 0xfe030000);
	assert_int_equal(u->stride, 4);
	assert_int_equal(u->width, 4);
	assert_int_equal(u->clock, 48000000);
	assert_int_equal(u->baud, 1500000);
	assert_int_equal(u->irq.kind, SERIAL_IRQ_GSI);
	assert_int_equal(u->irq.number, 0x22);
	/* Revision 2 has no clock: whatever it is, the speed stays. */
	memory[SPCR + 8] = 2;
	seal(SPCR, "SPCR", 80);
	parse();
	assert_int_equal(u->clock, 1843200);
	assert_int_equal(u->baud, 0);
}

/* Bytes to access, four apart; and what a plain 16550 says of nothing. */
static void test_spcr_layouts(void **state)
{
	static const struct {
		uint8_t bits, access, stride, width; /* 0: no */
	} cases[] = {{8, 0, 1, 1}, {0, 0, 1, 1},  {32, 1, 4, 1}, {32, 0, 4, 1}, {16, 2, 2, 2},
		     {8, 3, 4, 4}, {64, 4, 0, 0}, {24, 1, 0, 0}, {8, 255, 0, 0}};

	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		setup_serial(NULL);
		make_gas(SPCR + 40, 0, cases[i].bits, cases[i].access, 0xfe030000);
		seal(SPCR, "SPCR", 80);
		parse();
		assert_int_equal(info.spcr.uart.stride, cases[i].stride);
		assert_int_equal(info.spcr.uart.width, cases[i].width);
		assert_int_equal(info.warnings, cases[i].stride ? 1 : 2);
	}
}

/* What is wrong is one warning, and no port. The machine's other tables are as they were. */
static void test_bad_spcr(void **state)
{
	static const struct {
		unsigned off, size;
		uint64_t val;
	} bad[] = {
		{40, 1, 3},          /* in PCI configuration space */
		{42, 1, 4},          /* at a bit offset */
		{44, 8, 0xfff9},     /* behind the last I/O port */
		{64, 4, 0x12348086}, /* with a device that ... */
	};

	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
		setup_serial(NULL);
		poke(SPCR + bad[i].off, bad[i].val, bad[i].size);
		poke(SPCR + 69, 32, 1); /* ... does not exist */
		seal(SPCR, "SPCR", 80);
		parse();
		check_everything();
		assert_int_equal(info.spcr.uart.stride, 0);
		assert_int_equal(info.warnings, 2);
	}
	setup_serial(NULL);
	seal(SPCR, "SPCR", 79);
	parse();
	assert_int_equal(info.warnings, 2);
	memory[SPCR + 50]++;
	parse();
	assert_int_equal(info.warnings, 2);
	assert_int_equal(info.spcr.uart.stride, 0);
}

/* Neither is wrong: redirection is off; a UART of another kind. */
static void test_no_spcr(void **state)
{
	poke(SPCR + 44, 0, 8);
	seal(SPCR, "SPCR", 80);
	parse();
	assert_int_equal(info.spcr.uart.stride, 0);
	make_spcr();
	memory[SPCR + 36] = 3; /* ARM's PL011 */
	seal(SPCR, "SPCR", 80);
	parse();
	assert_int_equal(info.spcr.uart.stride, 0);
	assert_int_equal(info.warnings, 1);
}

static void test_bad_dbg2(void **state)
{
	static const struct {
		unsigned off;
		uint64_t val;
	} bad[] = {
		{36, 1000},      /* devices behind the table */
		{36, 8},         /* in its header */
		{45, 0},         /* one without a length */
		{66 + 1, 39},    /* one that leads out of the table */
		{66 + 18, 0x1b}, /* registers that lead out of the device */
		{66 + 18, 4},    /* registers in its head */
	};

	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
		setup_serial(NULL);
		poke(DBG2 + bad[i].off, bad[i].val, 2);
		seal(DBG2, "DBG2", 44 + 22 + 38);
		parse();
		assert_int_equal(info.dbg2.uart.stride, 0);
		assert_int_equal(info.warnings, 2);
		assert_int_equal(info.spcr.uart.stride, 1);
	}
	setup_serial(NULL);
	seal(DBG2, "DBG2", 43);
	parse();
	assert_int_equal(info.warnings, 2);
}

/* ACPI 1.0 does not say; later a clear bit says that there is none. */
static void test_keyboard_controller(void **state)
{
	parse();
	assert_false(info.has_no_i8042);
	memory[FADT + 8] = 3;
	seal(FADT, "FACP", 244);
	parse();
	assert_true(info.has_no_i8042);
	poke(FADT + 109, 2, 2);
	seal(FADT, "FACP", 244);
	parse();
	assert_false(info.has_no_i8042);
}

static int group_setup(void **state)
{
	memory = malloc(MEMORY_LEN);
	return !memory;
}

static int group_teardown(void **state)
{
	free(memory);
	return 0;
}

/* A table of these bytes behind the flags, and nothing else in it. */
static void parse_madt_of(const uint8_t *entries, size_t len)
{
	setup(NULL);
	memcpy(memory + MADT + 44, entries, len);
	seal(MADT, "APIC", (uint32_t)(44 + len));
	parse();
}

static void check_nmi(unsigned i, bool all, uint32_t apic_id, unsigned lint, bool is_low)
{
	assert_true(i < info.nr_nmis);
	assert_int_equal(info.nmi[i].all, all);
	if (!all)
		assert_int_equal(info.nmi[i].apic_id, apic_id);
	assert_int_equal(info.nmi[i].lint, lint);
	assert_int_equal(info.nmi[i].is_low, is_low);
}

/* By the firmware's number of a CPU, which is not its APIC's; before the CPU's entry or behind. */
static void test_local_nmis(void **state)
{
	static const uint8_t entries[] = {
		4,    6,  7,    0x05, 0,    1,             /* CPU 7, LINT1, high */
		0,    8,  7,    0x22, 1,    0,    0,    0, /* CPU 7 has APIC 0x22 */
		0,    8,  8,    0x23, 0,    0,    0,    0, /* CPU 8 is not enabled */
		9,    16, 0,    0,    0x44, 1,    0,    0,    1, 0, 0, 0,
		0xff, 0,  0,    0,             /* CPU 0xff: APIC 0x144 */
		4,    6,  8,    0,    0,    1, /* of the one that is not */
		4,    6,  0xff, 0x0f, 0,    0, /* all CPUs, LINT0, low, level */
		10,   12, 0x03, 0,    0xff, 0,    0,    0,    1, 0, 0, 0, /* CPU 0xff, LINT1, low */
		10,   12, 0,    0,    0xff, 0xff, 0xff, 0xff, 1, 0, 0, 0, /* all CPUs, LINT1 */
	};
	static const uint8_t bad[] = {4, 6, 0xff, 0, 0, 2, 4, 5, 0xff, 0, 0};

	parse_madt_of(entries, sizeof(entries));
	assert_int_equal(info.warnings, 0);
	assert_int_equal(info.nr_cpus, 2);
	assert_int_equal(info.nr_nmis, 4);
	check_nmi(0, false, 0x22, 1, false);
	check_nmi(1, true, 0, 0, true);
	check_nmi(2, false, 0x144, 1, true);
	check_nmi(3, true, 0, 1, false);
	parse_madt_of(bad, sizeof(bad)); /* no LINT2; and one that is cut */
	assert_int_equal(info.nr_nmis, 0);
	assert_int_equal(info.warnings, 1);
}

static void test_more_nmis_than_there_is_room_for(void **state)
{
	static uint8_t entries[6 * (ACPI_MAX_NMIS + 3)];

	for (size_t i = 0; i < sizeof(entries); i += 6)
		memcpy(entries + i, (const uint8_t[]){4, 6, 0xff, 0, 0, 1}, 6);
	parse_madt_of(entries, sizeof(entries));
	assert_int_equal(info.nr_nmis, ACPI_MAX_NMIS);
	assert_int_equal(info.warnings, 3);
}

static void test_x2apic_opt_out(void **state)
{
	static const struct {
		uint8_t flags;
		bool opt_out;
	} cases[] = {{0, false}, {1, false}, {2, true}, {3, true}, {5, false}};

	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		setup(NULL);
		memory[MCFG + 37] = cases[i].flags; /* in the place of the MCFG */
		seal(MCFG, "DMAR", 48);
		parse();
		assert_int_equal(info.x2apic_opt_out, cases[i].opt_out);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_all, setup),
		cmocka_unit_test_setup(test_old_rsdp, setup),
		cmocka_unit_test_setup(test_xsdt_damaged, setup),
		cmocka_unit_test_setup(test_rsdp_damaged, setup),
		cmocka_unit_test_setup(test_rsdp_half_damaged, setup),
		cmocka_unit_test_setup(test_no_acpi, setup),
		cmocka_unit_test_setup(test_each_table_damaged, setup),
		cmocka_unit_test_setup(test_bad_lengths, setup),
		cmocka_unit_test_setup(test_bad_pointers, setup),
		cmocka_unit_test_setup(test_madt_entries, setup),
		cmocka_unit_test_setup(test_too_many_cpus, setup),
		cmocka_unit_test_setup(test_short_fadt, setup),
		cmocka_unit_test_setup(test_extended_fadt, setup),
		cmocka_unit_test_setup(test_s5_forms, setup),
		cmocka_unit_test_setup(test_s5_in_ssdt, setup),
		cmocka_unit_test_setup(test_local_nmis, setup),
		cmocka_unit_test_setup(test_more_nmis_than_there_is_room_for, setup),
		cmocka_unit_test_setup(test_x2apic_opt_out, setup),
		cmocka_unit_test_setup(test_spcr, setup_serial),
		cmocka_unit_test_setup(test_spcr_in_memory, setup_serial),
		cmocka_unit_test_setup(test_spcr_layouts, setup_serial),
		cmocka_unit_test_setup(test_bad_spcr, setup_serial),
		cmocka_unit_test_setup(test_no_spcr, setup_serial),
		cmocka_unit_test_setup(test_bad_dbg2, setup_serial),
		cmocka_unit_test_setup(test_keyboard_controller, setup),
	};

	return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
