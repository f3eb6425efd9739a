/* SPDX-License-Identifier: BSD-2-Clause */
/* Registers that ACPI tables put where none can be are forgotten, one by one. */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "boot/acpi_check.h"

#define MIB       (1ull << 20)
#define PHYS_BITS 40
#define SPACE_END (1ull << PHYS_BITS)

static struct boot_info boot;
static struct memmap map;
static struct acpi_info info;

static unsigned warnings;

static void count(struct log_sink *sink, const char *text, size_t len)
{
	warnings += len > 0;
}

static struct log_sink sink = {.write = count};

/* RAM below the hole for devices and from 4 GiB, one part of which another entry calls reserved. */
static int setup(void **state)
{
	boot_info_init(&boot);
	boot_info_add_region(&boot, 0, 0x9fc00, BOOT_MEMORY_RAM);
	boot_info_add_region(&boot, MIB, 3071 * MIB, BOOT_MEMORY_RAM);
	boot_info_add_region(&boot, 16 * MIB, MIB, BOOT_MEMORY_RESERVED);
	boot_info_add_region(&boot, 0xfed00000, 0x1000, BOOT_MEMORY_RESERVED);
	boot_info_add_region(&boot, 4096 * MIB, 1024 * MIB, BOOT_MEMORY_RAM);
	memmap_init(&map, &boot, SPACE_END);
	info = (struct acpi_info){
		.hpet_base = 0xfed00000,
		.nr_ioapics = 2,
		.ioapic = {{.hpa = 0xfec00000, .gsi_base = 0}, {.hpa = 0xfec01000, .gsi_base = 24}},
		.reset = {ACPI_SPACE_MEMORY, 0xfed40001},
	};
	warnings = 0;
	return 0;
}

static void check(void)
{
	acpi_check_addresses(&info, &map, SPACE_END);
}

static void a_pc_is_believed(void **state)
{
	const struct acpi_info before = info;

	check();
	assert_memory_equal(&info, &before, sizeof(info));
	assert_int_equal(warnings, 0);
}

static void expect_hpet(uint64_t base, bool is_believed)
{
	setup(NULL);
	info.hpet_base = base;
	check();
	assert_int_equal(info.hpet_base, is_believed ? base : 0);
	assert_int_equal(warnings, !is_believed);
	/* The others stay. */
	assert_int_equal(info.nr_ioapics, 2);
	assert_int_equal(info.reset.addr, 0xfed40001);
}

static void an_hpet_is_where_registers_can_be(void **state)
{
	expect_hpet(SPACE_END - 1024, true);
	expect_hpet(SPACE_END - 512, false);
	expect_hpet(SPACE_END, false);
	expect_hpet(UINT64_MAX - 1023, false);
	expect_hpet(UINT64_MAX, false);
	expect_hpet(0xfed00001, false);
	expect_hpet(0xfed00200, false);
	expect_hpet(0xfed00400, true);
}

static void an_hpet_is_not_in_ram(void **state)
{
	expect_hpet(2 * MIB, false);
	expect_hpet(16 * MIB, false); /* whatever else is said of it */
	expect_hpet(3072 * MIB - 1024, false);
	expect_hpet(3072 * MIB, true);
	expect_hpet(4096 * MIB - 1024, true);
	expect_hpet(4096 * MIB, false);
	expect_hpet(5120 * MIB, true);
	expect_hpet(0x9f800, false); /* the last byte of its RAM is in it */
	expect_hpet(0x9fc00, true);
}

static void an_io_apic_in_ram_goes_the_other_moves_up(void **state)
{
	info.ioapic[0].hpa = 0x200000;
	check();
	assert_int_equal(warnings, 1);
	assert_int_equal(info.nr_ioapics, 1);
	assert_int_equal(info.ioapic[0].hpa, 0xfec01000);
	assert_int_equal(info.ioapic[0].gsi_base, 24);
}

static void a_reset_register_is_not_in_ram(void **state)
{
	info.reset.addr = 0x100001;
	check();
	assert_int_equal(warnings, 1);
	assert_int_equal(info.reset.addr, 0);
}

static void ports_are_no_memory(void **state)
{
	info.reset = (struct acpi_register){ACPI_SPACE_IO, 0xcf9};
	check();
	assert_int_equal(warnings, 0);
	assert_int_equal(info.reset.addr, 0xcf9);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(a_pc_is_believed, setup),
		cmocka_unit_test(an_hpet_is_where_registers_can_be),
		cmocka_unit_test(an_hpet_is_not_in_ram),
		cmocka_unit_test_setup(an_io_apic_in_ram_goes_the_other_moves_up, setup),
		cmocka_unit_test_setup(a_reset_register_is_not_in_ram, setup),
		cmocka_unit_test_setup(ports_are_no_memory, setup),
	};

	log_add_sink(&sink);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
