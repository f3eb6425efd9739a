/* SPDX-License-Identifier: BSD-2-Clause */
/* Who gets a message: every destination mode, from ICRs of both kinds and from an IOAPIC. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "lib/bits.h"
#include "tests/unit/support/apics.h"

#define LOGICAL 0x800
#define SELF    0x40000
#define ALL     0x80000
#define OTHERS  0xc0000
#define NMI     0x400
#define INIT    0x500
#define SIPI    0x600
#define VECTOR  0x61

static int setup(void **state)
{
	apics_create(4);
	for (unsigned i = 0; i < 4; i++)
		apic_enable(&apic[i]);
	return 0;
}

/* Which of the APICs have VECTOR pending, as a bit mask; takes it from them. */
static uint64_t receivers(void)
{
	uint64_t mask = 0;

	for (unsigned i = 0; i < apics.nr; i++) {
		int vector = apic_take(&apic[i]);

		if (vector < 0)
			continue;
		assert_int_equal(vector, VECTOR);
		assert_int_equal(lapic_pending(&apic[i]), -1);
		mask |= BIT_ULL(i);
		if (lapic_mmio_base(&apic[i]) != UINT64_MAX)
			apic_write(&apic[i], 0xb0, 0);
		else
			lapic_msr_write(&apic[i], 0x80b, 0);
	}
	return mask;
}

/* An IPI from APIC 0: xAPIC. */
static uint64_t send(uint8_t dest, uint32_t low)
{
	apic_write(&apic[0], 0x310, (uint32_t)dest << 24);
	apic_write(&apic[0], 0x300, low | VECTOR);
	return receivers();
}

/* The same from an x2APIC. */
static uint64_t send_wide(uint32_t dest, uint32_t low)
{
	lapic_msr_write(&apic[0], 0x830, (uint64_t)dest << 32 | low | VECTOR);
	return receivers();
}

/* A message as an IOAPIC or an MSI sends it. */
static uint64_t send_msg(uint8_t dest, bool logical)
{
	struct apic_msg msg = {.dest = dest, .logical = logical, .vector = VECTOR};
	unsigned n = lapic_deliver(&apics, &msg);
	uint64_t mask = receivers();

	assert_int_equal(n, __builtin_popcountll(mask));
	return mask;
}

static void set_logical(unsigned i, uint32_t dfr, uint8_t ldr)
{
	apic_write(&apic[i], 0xe0, dfr);
	apic_write(&apic[i], 0xd0, (uint32_t)ldr << 24);
}

static void test_physical(void **state)
{
	assert_int_equal(send(0, 0), 1);
	assert_int_equal(send(2, 0), 4);
	assert_int_equal(send(4, 0), 0);
	assert_int_equal(send(0xff, 0), 0xf);
	assert_int_equal(send_msg(3, false), 8);
	assert_int_equal(send_msg(200, false), 0);
	assert_int_equal(send_msg(0xff, false), 0xf);
	lapic_set_base(&apic[3], 0);
	assert_int_equal(send(3, 0), 0);
	assert_int_equal(send(0xff, 0), 7);
}

static void test_flat(void **state)
{
	for (unsigned i = 0; i < 4; i++)
		set_logical(i, 0xffffffff, 1 << i);
	set_logical(3, 0xffffffff, 0x90);
	assert_int_equal(send(0x05, LOGICAL), 5);
	assert_int_equal(send(0x80, LOGICAL), 8);
	assert_int_equal(send(0x12, LOGICAL), 0xa);
	assert_int_equal(send(0x60, LOGICAL), 0);
	assert_int_equal(send(0, LOGICAL), 0);
	assert_int_equal(send(0xff, LOGICAL), 0xf);
	assert_int_equal(send_msg(0x03, true), 3);
}

static void test_cluster(void **state)
{
	set_logical(0, 0x0fffffff, 0x11);
	set_logical(1, 0x0fffffff, 0x12);
	set_logical(2, 0x0fffffff, 0x21);
	set_logical(3, 0x0fffffff, 0x28);
	assert_int_equal(send(0x11, LOGICAL), 1);
	assert_int_equal(send(0x13, LOGICAL), 3);
	assert_int_equal(send(0x29, LOGICAL), 0xc);
	assert_int_equal(send(0x31, LOGICAL), 0);
	assert_int_equal(send(0x10, LOGICAL), 0);
	assert_int_equal(send(0xff, LOGICAL), 0xf);
}

static void test_shorthands(void **state)
{
	assert_int_equal(send(3, SELF), 1);
	assert_int_equal(send(3, ALL), 0xf);
	assert_int_equal(send(3, OTHERS), 0xe);
	apic_write(&apic[2], 0xf0, 0xff); /* software-disabled: takes no vectors */
	assert_int_equal(send(3, OTHERS), 0xa);
}

static void x2apic_all(unsigned nr)
{
	apics_create(nr);
	for (unsigned i = 0; i < nr; i++)
		apic_enable_x2apic(&apic[i]);
}

static void test_x2apic_physical(void **state)
{
	x2apic_all(40);
	assert_true(send_wide(37, 0) == 1ull << 37);
	assert_int_equal(send_wide(40, 0), 0);
	assert_int_equal(send_wide(0xff, 0), 0); /* no broadcast here */
	assert_true(send_wide(0xffffffff, 0) == GENMASK_ULL(39, 0));
	assert_true(send_msg(0xff, false) == GENMASK_ULL(39, 0));
	assert_int_equal(send_wide(0x100, 0), 0);
	assert_int_equal(send_wide(5, SELF), 1);
	assert_true(send_wide(5, OTHERS) == GENMASK_ULL(39, 1));
}

static void test_x2apic_logical(void **state)
{
	x2apic_all(40);
	assert_int_equal(send_wide(0x00000005, LOGICAL), 5);
	assert_true(send_wide(0x00010003, LOGICAL) == 3ull << 16);
	assert_true(send_wide(0x0002ffff, LOGICAL) == 0xffull << 32);
	assert_int_equal(send_wide(0x00030001, LOGICAL), 0);
	assert_int_equal(send_wide(0x00010000, LOGICAL), 0);
	assert_true(send_wide(0xffffffff, LOGICAL) == GENMASK_ULL(39, 0));
	assert_int_equal(send_msg(0x06, true), 6); /* 8 bits reach cluster 0 */
}

static void test_self_ipi_msr(void **state)
{
	x2apic_all(2);
	lapic_msr_write(&apic[1], 0x83f, VECTOR);
	assert_int_equal(receivers(), 2);
}

/* Receivers in different modes: each by its own. */
static void test_mixed_modes(void **state)
{
	set_logical(1, 0xffffffff, 0x02);
	apic_enable_x2apic(&apic[0]);
	assert_int_equal(send_wide(0x00000002, LOGICAL), 2);
	assert_int_equal(send_wide(0x00010002, LOGICAL), 0);
	assert_int_equal(send_wide(3, 0), 8);
	assert_int_equal(send_wide(0xffffffff, 0), 0xf);
}

static unsigned count_bits(uint64_t mask)
{
	return __builtin_popcountll(mask);
}

static void test_lowest_priority(void **state)
{
	uint64_t seen = 0;

	for (unsigned i = 0; i < 4; i++)
		set_logical(i, 0xffffffff, 1 << i);
	/* Equals take turns. */
	for (unsigned i = 0; i < 4; i++) {
		uint64_t mask = send(0x0f, LOGICAL | 0x100);

		assert_int_equal(count_bits(mask), 1);
		seen |= mask;
	}
	assert_int_equal(seen, 0xf);
	/* The lowest task priority wins, among those addressed. */
	apic_write(&apic[0], 0x80, 0x20);
	apic_write(&apic[1], 0x80, 0x30);
	apic_write(&apic[3], 0x80, 0x20);
	for (unsigned i = 0; i < 4; i++) {
		assert_int_equal(send(0x0f, LOGICAL | 0x100), 4);
		assert_int_equal(count_bits(send(0x0b, LOGICAL | 0x100) & 9), 1);
		assert_int_equal(send(0x02, LOGICAL | 0x100), 2);
	}
	/* Who takes no vectors does not take part. */
	apic_write(&apic[2], 0xf0, 0xff);
	assert_int_equal(count_bits(send(0x0f, LOGICAL | 0x100) & 9), 1);
	assert_int_equal(send(0x04, LOGICAL | 0x100), 0);
	assert_int_equal(send(1, 0x100), 2); /* physical: just that one */
}

static void test_nmi_init_sipi(void **state)
{
	send(1, NMI);
	assert_int_equal(apic_calls[1].nmi, 1);
	send(0, NMI | OTHERS);
	assert_int_equal(apic_calls[0].nmi, 0);
	assert_int_equal(apic_calls[1].nmi, 2);
	assert_int_equal(apic_calls[3].nmi, 1);
	send(2, INIT | 0xc000); /* assert */
	assert_int_equal(apic_calls[2].init, 1);
	send(2, INIT | 0x8000); /* de-assert: nothing */
	assert_int_equal(apic_calls[2].init, 1);
	send(2, INIT | 0x4000);
	assert_int_equal(apic_calls[2].init, 2);
	/* Also to software-disabled ones, which all are after INIT; not to disabled ones. */
	lapic_reset_init(&apic[2]);
	lapic_set_base(&apic[3], 0);
	send(0, SIPI | OTHERS | 0x4000);
	assert_int_equal(apic_calls[2].startup, 1);
	assert_int_equal(apic_calls[2].sipi_vector, VECTOR);
	assert_int_equal(apic_calls[3].startup, 0);
	assert_int_equal(receivers(), 0);
}

/* SMI, remote read and ExtINT from an ICR have no effect. */
static void test_ignored_modes(void **state)
{
	apics_forget_calls();
	assert_int_equal(send(1, 0x200), 0);
	assert_int_equal(send(1, 0x300), 0);
	assert_int_equal(send(1, 0x700), 0);
	assert_int_equal(apic_calls[1].notify, 0);
}

/* IPIs are edges, whatever the ICR's trigger bit says. */
static void test_ipi_is_edge(void **state)
{
	apic_write(&apic[0], 0x310, 1u << 24);
	apic_write(&apic[0], 0x300, 0xc000 | VECTOR);
	assert_int_equal(apic_read(&apic[1], 0x180 + 0x30), 0);
	assert_int_equal(receivers(), 2);
	assert_int_equal(apic_eois, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_physical, setup),
		cmocka_unit_test_setup(test_flat, setup),
		cmocka_unit_test_setup(test_cluster, setup),
		cmocka_unit_test_setup(test_shorthands, setup),
		cmocka_unit_test_setup(test_x2apic_physical, setup),
		cmocka_unit_test_setup(test_x2apic_logical, setup),
		cmocka_unit_test_setup(test_self_ipi_msr, setup),
		cmocka_unit_test_setup(test_mixed_modes, setup),
		cmocka_unit_test_setup(test_lowest_priority, setup),
		cmocka_unit_test_setup(test_nmi_init_sipi, setup),
		cmocka_unit_test_setup(test_ignored_modes, setup),
		cmocka_unit_test_setup(test_ipi_is_edge, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
