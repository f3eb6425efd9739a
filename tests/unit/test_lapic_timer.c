/* SPDX-License-Identifier: BSD-2-Clause */
/* The local APIC's timer. Undivided, a tick is a nanosecond; the tests' TSC runs at 1 GHz. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "tests/unit/support/apics.h"
#include "tests/unit/support/clock.h"

#define LVTT       0x320
#define TMICT      0x380
#define TMCCT      0x390
#define TDCR       0x3e0
#define ONE_SHOT   0x00000
#define PERIODIC   0x20000
#define DEADLINE   0x40000
#define MASKED     0x10000
#define VECTOR     0x41
#define DIVIDE_BY1 0xb
#define MSR        0x6e0

static struct lapic *const l = &apic[0];

static int setup(void **state)
{
	apics_create(1);
	apic_enable(l);
	apic_write(l, TDCR, DIVIDE_BY1);
	return 0;
}

static void mode(uint32_t lvt)
{
	apic_write(l, LVTT, lvt | VECTOR);
}

static uint32_t count(void)
{
	return apic_read(l, TMCCT);
}

/* Did the timer interrupt? Takes and ends it. */
static bool ticked(void)
{
	int vector = apic_take(l);

	if (vector < 0)
		return false;
	assert_int_equal(vector, VECTOR);
	apic_write(l, 0xb0, 0);
	return true;
}

static uint64_t deadline(void)
{
	uint64_t val;

	assert_int_equal(lapic_msr_read(l, MSR, &val), 0);
	return val;
}

static void set_deadline(uint64_t tsc)
{
	assert_int_equal(lapic_msr_write(l, MSR, tsc), 0);
}

static void test_one_shot(void **state)
{
	mode(ONE_SHOT);
	apic_write(l, TMICT, 100000);
	assert_int_equal(count(), 100000);
	apics_advance_ns(40000);
	assert_int_equal(count(), 60000);
	apics_advance_ns(59999);
	assert_int_equal(count(), 1);
	assert_false(ticked());
	apics_advance_ns(1);
	assert_int_equal(count(), 0);
	assert_true(ticked());
	apics_advance_ns(10 * NSEC_PER_SEC);
	assert_false(ticked());
	assert_int_equal(apic_read(l, TMICT), 100000);
	assert_int_equal(timer_queue_next(&apic_queue), TIMER_NEVER);
}

/* A zero count is never seen before the interrupt, even if the host's timer is late; and once. */
static void test_late_callback(void **state)
{
	mode(ONE_SHOT);
	apic_write(l, TMICT, 1000);
	clock_advance_ns(5000);
	assert_int_equal(count(), 0);
	assert_true(ticked());
	timer_queue_run(&apic_queue, clock_ns());
	assert_false(ticked());
}

static void test_restart_and_stop(void **state)
{
	mode(ONE_SHOT);
	apic_write(l, TMICT, 1000);
	apics_advance_ns(900);
	apic_write(l, TMICT, 1000);
	apics_advance_ns(999);
	assert_false(ticked());
	apic_write(l, TMICT, 0);
	assert_int_equal(count(), 0);
	apics_advance_ns(10000);
	assert_false(ticked());
}

static void test_divide(void **state)
{
	static const struct {
		uint8_t code;
		unsigned divisor;
	} table[] = {{0x0, 2},  {0x1, 4},  {0x2, 8},   {0x3, 16},
		     {0x8, 32}, {0x9, 64}, {0xa, 128}, {0xb, 1}};

	mode(ONE_SHOT);
	for (unsigned i = 0; i < 8; i++) {
		apic_write(l, TDCR, table[i].code | 4); /* bit 2 is reserved */
		assert_int_equal(apic_read(l, TDCR), table[i].code);
		apic_write(l, TMICT, 1000);
		apics_advance_ns(500 * table[i].divisor);
		assert_int_equal(count(), 500);
		apics_advance_ns(500 * table[i].divisor - 1);
		assert_int_equal(count(), 1);
		assert_false(ticked());
		apics_advance_ns(1);
		assert_true(ticked());
	}
}

static void test_divide_on_the_fly(void **state)
{
	mode(ONE_SHOT);
	apic_write(l, TMICT, 1000);
	apics_advance_ns(400);
	apic_write(l, TDCR, 0x3); /* by 16 */
	assert_int_equal(count(), 600);
	apics_advance_ns(599 * 16);
	assert_int_equal(count(), 1);
	assert_false(ticked());
	apics_advance_ns(16);
	assert_true(ticked());
}

/* The largest count: 2^32 - 1 ticks of 128 ns, nine minutes. */
static void test_largest(void **state)
{
	mode(ONE_SHOT);
	apic_write(l, TDCR, 0xa);
	apic_write(l, TMICT, 0xffffffff);
	assert_int_equal(count(), 0xffffffff);
	apics_advance_ns(0xffffffffull * 128 - 1);
	assert_false(ticked());
	apics_advance_ns(1);
	assert_true(ticked());
}

static void test_periodic(void **state)
{
	mode(PERIODIC);
	apic_write(l, TMICT, 100000);
	for (unsigned i = 0; i < 10000; i++) {
		apics_advance_ns(99999);
		assert_false(ticked());
		assert_int_equal(count(), 1);
		apics_advance_ns(1);
		assert_true(ticked());
		assert_int_equal(count(), 100000);
	}
}

/* A late host shifts no later tick. */
static void test_periodic_drift(void **state)
{
	uint64_t start = clock_ns();

	mode(PERIODIC);
	apic_write(l, TMICT, 100000);
	for (unsigned i = 1; i <= 1000; i++) {
		clock_set_ns(start + i * 100000ull + i % 7 * 1000);
		timer_queue_run(&apic_queue, clock_ns());
		assert_true(ticked());
		assert_int_equal(timer_queue_next(&apic_queue), start + (i + 1) * 100000ull);
		assert_int_equal(count(), 100000 - i % 7 * 1000);
	}
	/* Ten periods missed: one interrupt, and the old rhythm. */
	clock_set_ns(start + 1010 * 100000ull + 5);
	timer_queue_run(&apic_queue, clock_ns());
	assert_true(ticked());
	assert_false(ticked());
	assert_int_equal(timer_queue_next(&apic_queue), start + 1011 * 100000ull);
}

/* Periods too short for a host: it is not drowned, the count runs right. */
static void test_periodic_shortest(void **state)
{
	unsigned fired = 0;

	mode(PERIODIC);
	apic_write(l, TMICT, 1);
	for (unsigned i = 0; i < 1000; i++) {
		uint64_t next = timer_queue_next(&apic_queue);

		assert_true(next >= clock_ns() + 20000);
		clock_set_ns(next);
		timer_queue_run(&apic_queue, next);
		fired += ticked();
		assert_int_equal(count(), 1);
	}
	assert_int_equal(fired, 1000);
}

static void test_masked(void **state)
{
	mode(ONE_SHOT | MASKED);
	apic_write(l, TMICT, 1000);
	assert_int_equal(timer_queue_next(&apic_queue), TIMER_NEVER);
	apics_advance_ns(400);
	assert_int_equal(count(), 600);
	mode(ONE_SHOT); /* in time */
	apics_advance_ns(600);
	assert_true(ticked());
	/* What expired while masked is gone. */
	mode(PERIODIC | MASKED);
	apic_write(l, TMICT, 100000);
	apics_advance_ns(250000);
	mode(PERIODIC);
	assert_false(ticked());
	assert_int_equal(count(), 50000);
	apics_advance_ns(50000);
	assert_true(ticked());
}

static void test_one_shot_periodic_switch(void **state)
{
	mode(ONE_SHOT);
	apic_write(l, TMICT, 1000000);
	apics_advance_ns(600000);
	mode(PERIODIC); /* the count goes on, and then starts over */
	assert_int_equal(count(), 400000);
	apics_advance_ns(400000);
	assert_true(ticked());
	assert_int_equal(count(), 1000000);
	apics_advance_ns(600000);
	mode(ONE_SHOT);
	assert_int_equal(count(), 400000);
	apics_advance_ns(400000);
	assert_true(ticked());
	assert_int_equal(count(), 0);
	mode(PERIODIC); /* stays at zero */
	assert_int_equal(count(), 0);
	apics_advance_ns(5000000);
	assert_false(ticked());
}

static void test_deadline(void **state)
{
	mode(DEADLINE);
	set_deadline(clock_ns() + 1000);
	assert_int_equal(deadline(), clock_ns() + 1000);
	assert_int_equal(count(), 0);
	apics_advance_ns(999);
	assert_false(ticked());
	apics_advance_ns(2); /* one for rounding */
	assert_true(ticked());
	assert_int_equal(deadline(), 0);
	apics_advance_ns(NSEC_PER_SEC);
	assert_false(ticked());
	/* In the past: at once. */
	set_deadline(1);
	assert_int_equal(deadline(), 0);
	assert_true(ticked());
	/* 0 disarms. */
	set_deadline(clock_ns() + 1000);
	set_deadline(0);
	apics_advance_ns(10000);
	assert_false(ticked());
	/* Moved. */
	set_deadline(clock_ns() + 1000);
	set_deadline(clock_ns() + 5000);
	apics_advance_ns(4000);
	assert_false(ticked());
	apics_advance_ns(1001);
	assert_true(ticked());
}

static void test_deadline_far(void **state)
{
	mode(DEADLINE);
	set_deadline(UINT64_MAX);
	assert_true(deadline() == UINT64_MAX);
	apics_advance_ns(1000000 * NSEC_PER_SEC);
	assert_false(ticked());
	set_deadline(1ull << 62);
	apics_advance_ns(1000000 * NSEC_PER_SEC);
	assert_false(ticked());
}

static void test_deadline_offset(void **state)
{
	mode(DEADLINE);
	/* A guest whose TSC began a second after the host's. */
	lapic_set_tsc_offset(l, -NSEC_PER_SEC);
	set_deadline(5000);
	apics_advance_ns(4999);
	assert_false(ticked());
	apics_advance_ns(2);
	assert_true(ticked());
	/* One that is far ahead. */
	lapic_set_tsc_offset(l, 1ull << 50);
	set_deadline((1ull << 50) + clock_ns() + 700);
	apics_advance_ns(699);
	assert_false(ticked());
	apics_advance_ns(2);
	assert_true(ticked());
	/* Setting the TSC forward past an armed deadline. */
	set_deadline((1ull << 50) + clock_ns() + NSEC_PER_SEC);
	assert_false(ticked());
	lapic_set_tsc_offset(l, (1ull << 50) + 2 * NSEC_PER_SEC);
	assert_true(ticked());
	assert_int_equal(deadline(), 0);
}

/* The MSR and the count register belong to one mode each; changing modes disarms. */
static void test_deadline_modes(void **state)
{
	mode(ONE_SHOT);
	set_deadline(clock_ns() + 1000);
	assert_int_equal(deadline(), 0);
	apics_advance_ns(10000);
	assert_false(ticked());
	apic_write(l, TMICT, 1000);
	mode(DEADLINE);
	apics_advance_ns(10000);
	assert_false(ticked());
	apic_write(l, TMICT, 500);
	apics_advance_ns(10000);
	assert_false(ticked());
	set_deadline(clock_ns() + 1000);
	mode(PERIODIC);
	assert_int_equal(count(), 0);
	apics_advance_ns(10000);
	assert_false(ticked());
	mode(DEADLINE);
	assert_int_equal(deadline(), 0);
	/* The reserved mode does nothing. */
	mode(DEADLINE | PERIODIC);
	set_deadline(1);
	apic_write(l, TMICT, 1000);
	apics_advance_ns(10000);
	assert_false(ticked());
	assert_int_equal(deadline(), 0);
}

static void test_deadline_masked(void **state)
{
	mode(DEADLINE | MASKED);
	set_deadline(clock_ns() + 1000);
	apics_advance_ns(2000);
	assert_int_equal(deadline(), 0);
	mode(DEADLINE);
	assert_false(ticked());
}

static void test_reset_stops(void **state)
{
	mode(PERIODIC);
	apic_write(l, TMICT, 1000000);
	lapic_reset_init(l);
	assert_int_equal(timer_queue_next(&apic_queue), TIMER_NEVER);
	apic_enable(l);
	mode(PERIODIC);
	apics_advance_ns(10000000);
	assert_false(ticked());
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_one_shot, setup),
		cmocka_unit_test_setup(test_late_callback, setup),
		cmocka_unit_test_setup(test_restart_and_stop, setup),
		cmocka_unit_test_setup(test_divide, setup),
		cmocka_unit_test_setup(test_divide_on_the_fly, setup),
		cmocka_unit_test_setup(test_largest, setup),
		cmocka_unit_test_setup(test_periodic, setup),
		cmocka_unit_test_setup(test_periodic_drift, setup),
		cmocka_unit_test_setup(test_periodic_shortest, setup),
		cmocka_unit_test_setup(test_masked, setup),
		cmocka_unit_test_setup(test_one_shot_periodic_switch, setup),
		cmocka_unit_test_setup(test_deadline, setup),
		cmocka_unit_test_setup(test_deadline_far, setup),
		cmocka_unit_test_setup(test_deadline_offset, setup),
		cmocka_unit_test_setup(test_deadline_modes, setup),
		cmocka_unit_test_setup(test_deadline_masked, setup),
		cmocka_unit_test_setup(test_reset_stops, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
