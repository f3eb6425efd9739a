/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What ACPI says about serial consoles: SPCR and DBG2 as firmware has them, in each form of a
 * UART's description, and damaged.
 */
#include "tests/unit/support/acpi_tables.h"

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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_spcr, setup_serial),
		cmocka_unit_test_setup(test_spcr_in_memory, setup_serial),
		cmocka_unit_test_setup(test_spcr_layouts, setup_serial),
		cmocka_unit_test_setup(test_bad_spcr, setup_serial),
		cmocka_unit_test_setup(test_no_spcr, setup_serial),
		cmocka_unit_test_setup(test_bad_dbg2, setup_serial),
	};

	return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
