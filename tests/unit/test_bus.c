/* SPDX-License-Identifier: BSD-2-Clause */
/* The bus: look-up at every edge, overlaps, the very top of the address space, a full bus. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "lib/bits.h"
#include "vmm/dev/bus.h"

static struct bus bus;
static uint64_t last_off, last_val;
static unsigned last_size;
static void *last_dev;

static uint64_t note_read(void *dev, uint64_t off, unsigned size)
{
	last_dev = dev;
	last_off = off;
	last_size = size;
	return 0x1234;
}

static void note_write(void *dev, uint64_t off, unsigned size, uint64_t val)
{
	note_read(dev, off, size);
	last_val = val;
}

static int add(uint64_t base, uint64_t len)
{
	struct bus_region r = {base, len, note_read, note_write, (void *)base};

	return bus_add(&bus, &r);
}

#define NOBODY (~0ull)

/* The base of the region that answers. */
static uint64_t who_answers(uint64_t addr, unsigned size)
{
	last_dev = (void *)NOBODY;
	bus_read(&bus, addr, size);
	return (uint64_t)last_dev;
}

static int setup(void **state)
{
	bus.nr = 0;
	return 0;
}

static void test_overlap(void **state)
{
	assert_int_equal(add(0x100, 0x10), 0);
	assert_int_equal(add(0x10f, 1), -EEXIST);
	assert_int_equal(add(0x100, 1), -EEXIST);
	assert_int_equal(add(0xff, 2), -EEXIST);
	assert_int_equal(add(0, 0x1000), -EEXIST);
	assert_int_equal(add(0x108, 0x1000), -EEXIST);
	assert_int_equal(add(0x110, 0x10), 0);
	assert_int_equal(add(0xf0, 0x10), 0);
	assert_int_equal(bus.nr, 3);
	for (unsigned i = 1; i < bus.nr; i++)
		assert_true(bus.region[i - 1].base < bus.region[i].base);
}

static void test_edges(void **state)
{
	assert_int_equal(who_answers(0x100, 1), NOBODY);
	add(0x100, 0x10);
	add(0x120, 4);
	assert_int_equal(who_answers(0xff, 1), NOBODY);
	assert_int_equal(who_answers(0xff, 2), NOBODY); /* begins before */
	assert_int_equal(who_answers(0x100, 8), 0x100);
	assert_int_equal(who_answers(0x10f, 1), 0x100);
	assert_int_equal(who_answers(0x10f, 2), NOBODY); /* ends behind */
	assert_int_equal(who_answers(0x110, 1), NOBODY);
	assert_int_equal(who_answers(0x11f, 4), NOBODY);
	assert_int_equal(who_answers(0x123, 1), 0x120);

	assert_int_equal(bus_read(&bus, 0x10c, 4), 0x1234);
	assert_int_equal(last_off, 0xc);
	assert_int_equal(last_size, 4);
	bus_write(&bus, 0x122, 2, 0xbeef);
	assert_ptr_equal(last_dev, (void *)0x120);
	assert_int_equal(last_off, 2);
	assert_int_equal(last_val, 0xbeef);
}

static void test_nobody(void **state)
{
	assert_int_equal(bus_read(&bus, 0x80, 1), 0xff);
	assert_int_equal(bus_read(&bus, 0x80, 2), 0xffff);
	assert_int_equal(bus_read(&bus, 0x80, 4), 0xffffffff);
	assert_true(bus_read(&bus, 0x80, 8) == UINT64_MAX);
	last_dev = NULL;
	bus_write(&bus, 0x80, 1, 0);
	assert_null(last_dev);
}

static void test_top(void **state)
{
	assert_int_equal(add(0xfffffffffffff000, 0x1000), 0);
	assert_int_equal(add(0, 0x1000), 0);
	assert_int_equal(who_answers(UINT64_MAX, 1), 0xfffffffffffff000);
	assert_int_equal(who_answers(UINT64_MAX, 2), NOBODY); /* does not wrap into region 0 */
}

static void test_full(void **state)
{
	/* Downwards, so that each one moves all others. */
	for (unsigned i = BUS_MAX_REGIONS; i > 0; i--)
		assert_int_equal(add(i * 0x10, 8), 0);
	assert_int_equal(add(0x10000, 1), -ENOSPC);
	for (unsigned i = 1; i <= BUS_MAX_REGIONS; i++) {
		assert_int_equal(who_answers(i * 0x10 + 7, 1), i * 0x10);
		assert_int_equal(who_answers(i * 0x10 + 8, 1), NOBODY);
	}
}

static uint8_t bytes[8];

static uint8_t read_byte(void *dev, uint64_t off)
{
	return bytes[off];
}

static void write_byte(void *dev, uint64_t off, uint8_t val)
{
	bytes[off] = val;
}

static void test_bytes(void **state)
{
	bus_write_bytes(write_byte, NULL, 2, 4, 0x44332211);
	assert_int_equal(bytes[2], 0x11);
	assert_int_equal(bytes[5], 0x44);
	assert_int_equal(bytes[6], 0);
	assert_int_equal(bus_read_bytes(read_byte, NULL, 3, 2), 0x3322);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_overlap, setup),
		cmocka_unit_test_setup(test_edges, setup),
		cmocka_unit_test_setup(test_nobody, setup),
		cmocka_unit_test_setup(test_top, setup),
		cmocka_unit_test_setup(test_full, setup),
		cmocka_unit_test_setup(test_bytes, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
