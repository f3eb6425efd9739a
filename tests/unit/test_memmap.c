/* SPDX-License-Identifier: BSD-2-Clause */
/* The memory map: what is reserved however entries overlap, and the search from the top. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "boot/memmap.h"

#define MIB   (1ull << 20)
#define LIMIT (1ull << 46)

static struct boot_info info;
static struct memmap map;

static int setup(void **state)
{
	boot_info_init(&info);
	return 0;
}

static uint64_t find(uint64_t size, uint64_t from, uint64_t below)
{
	hpa_t hpa;

	return memmap_find(&map, size, from, below, &hpa) ? hpa.v : 0;
}

static void test_pc(void **state)
{
	boot_info_add_region(&info, 0, 0x9fc00, 1);
	boot_info_add_region(&info, 0x9fc00, 0x400, 2);
	boot_info_add_region(&info, 0xf0000, 0x10000, 2);
	boot_info_add_region(&info, MIB, 511 * MIB, 1);
	boot_info_add_module(&info, 2 * MIB, 3 * MIB + 1, "", 0);
	memmap_init(&map, &info, LIMIT);
	assert_int_equal(map.nr_usable, 2);
	assert_int_equal(map.trampoline.v, 0x9e000);
	/* The first MiB is nobody's. */
	assert_int_equal(find(PAGE_SIZE, 0, MIB), 0);
	assert_int_equal(find(PAGE_SIZE, 0, 2 * MIB), 2 * MIB - PAGE_SIZE);
	/* The page that the module's last byte is in is taken as well. */
	assert_int_equal(find(PAGE_SIZE, 0, 3 * MIB + 2 * PAGE_SIZE), 3 * MIB + PAGE_SIZE);
	assert_int_equal(find(PAGE_SIZE, 0, 3 * MIB + PAGE_SIZE), 2 * MIB - PAGE_SIZE);
	assert_int_equal(find(16 * MIB, 0, 1ull << 32), 496 * MIB);
	memmap_reserve(&map, HPA(500 * MIB), 1);
	assert_int_equal(find(16 * MIB, 0, 1ull << 32), 484 * MIB);
	assert_int_equal(find(600 * MIB, 0, 1ull << 32), 0);
}

/* What one entry calls RAM and another does not is not RAM. */
static void test_overlapping_entries(void **state)
{
	boot_info_add_region(&info, 16 * MIB, 16 * MIB, 1);
	boot_info_add_region(&info, 20 * MIB, 100 * MIB, 2);
	memmap_init(&map, &info, LIMIT);
	assert_int_equal(find(4 * MIB, 0, UINT64_MAX), 16 * MIB);
	assert_int_equal(find(4 * MIB + PAGE_SIZE, 0, UINT64_MAX), 0);
	assert_int_equal(map.trampoline.v, 0);
}

static void test_limits(void **state)
{
	boot_info_add_region(&info, 4 * MIB, 4 * MIB, 1);
	boot_info_add_region(&info, 64 * MIB, 4 * MIB, 1);
	memmap_init(&map, &info, LIMIT);
	assert_int_equal(find(MIB, 0, UINT64_MAX), 67 * MIB);
	assert_int_equal(find(MIB, 0, 66 * MIB + 123), 65 * MIB);
	assert_int_equal(find(MIB, 0, 64 * MIB), 7 * MIB);
	assert_int_equal(find(MIB, 5 * MIB, 6 * MIB), 5 * MIB);
	assert_int_equal(find(MIB, 5 * MIB + 1, 6 * MIB), 0);
}

/* Two holes, and the reserved ranges touch: down through both. */
static void test_skips_neighbours(void **state)
{
	boot_info_add_region(&info, 4 * MIB, 4 * MIB, 1);
	memmap_init(&map, &info, LIMIT);
	memmap_reserve(&map, HPA(6 * MIB), MIB);
	memmap_reserve(&map, HPA(7 * MIB), MIB);
	memmap_reserve(&map, HPA(5 * MIB + 0x800), 0x1000);
	assert_int_equal(find(PAGE_SIZE, 0, UINT64_MAX), 6 * MIB - PAGE_SIZE);
	assert_int_equal(find(MIB, 0, UINT64_MAX), 4 * MIB);
}

/* What no page table can reach is not used, and what lies across the limit is, up to it. */
static void test_memory_beyond_reach(void **state)
{
	boot_info_add_region(&info, LIMIT - 2 * MIB, 8 * MIB, 1);
	boot_info_add_region(&info, LIMIT, MIB, 1);
	boot_info_add_region(&info, 1ull << 50, MIB, 1);
	memmap_init(&map, &info, LIMIT);
	assert_int_equal(map.nr_usable, 1);
	assert_int_equal(map.usable[0].base.v, LIMIT - 2 * MIB);
	assert_int_equal(map.usable[0].size, 2 * MIB);
}

/* The firmware keeps what the image is linked to, and the image lies elsewhere: both are taken. */
static void test_image_elsewhere(void **state)
{
	boot_info_add_region(&info, MIB, 15 * MIB, BOOT_MEMORY_RESERVED);
	boot_info_add_region(&info, 16 * MIB, 4 * MIB, BOOT_MEMORY_RAM);
	memmap_init(&map, &info, LIMIT);
	memmap_reserve(&map, HPA(16 * MIB), MIB);
	assert_int_equal(find(PAGE_SIZE, 0, 17 * MIB), 0);
	assert_int_equal(find(3 * MIB, 0, UINT64_MAX), 17 * MIB);
	assert_int_equal(find(3 * MIB + PAGE_SIZE, 0, UINT64_MAX), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_pc, setup),
		cmocka_unit_test_setup(test_overlapping_entries, setup),
		cmocka_unit_test_setup(test_limits, setup),
		cmocka_unit_test_setup(test_skips_neighbours, setup),
		cmocka_unit_test_setup(test_memory_beyond_reach, setup),
		cmocka_unit_test_setup(test_image_elsewhere, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
