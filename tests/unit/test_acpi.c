/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * ACPI tables built byte by byte after the specification, whole and damaged. A damaged one is one
 * warning, and the next best source is used.
 */
#include "tests/unit/support/acpi_tables.h"

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
	memset(memory + 0xffff0 - 0x40, 0, 36);
	memcpy(memory + 0xe0000, good, 36);
	assert_int_equal(parse(), 0);
	check_everything();
	memset(memory + 0xe0000, 0, 36);
	memcpy(memory + 0xf0008, good, 36); /* not on a boundary of 16: is not one */
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
		cmocka_unit_test_setup(test_keyboard_controller, setup),
	};

	return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
