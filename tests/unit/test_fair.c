/* SPDX-License-Identifier: BSD-2-Clause */
/* Fair shares on paper: virtual times alone, with turns of any length. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "lib/bits.h"
#include "lib/clock.h"
#include "vmm/fair.h"

#define MSEC NSEC_PER_MSEC

static struct fair_queue queue;
static struct fair_share share[4];
static uint64_t got[4];

static int setup(void **state)
{
	fair_queue_init(&queue);
	for (unsigned i = 0; i < ARRAY_SIZE(got); i++)
		got[i] = 0;
	return 0;
}

static void join(unsigned i, unsigned weight)
{
	fair_join(&queue, &share[i], weight);
	fair_wake(&queue, &share[i]);
}

/* The next one has a turn. */
static unsigned turn(uint64_t ns)
{
	struct fair_share *s = fair_next(&queue);
	unsigned i = (unsigned)(s - share);

	fair_charge(&queue, s, ns);
	got[i] += ns;
	return i;
}

/* Turns of quite different lengths, for so long. */
static void run(uint64_t ns)
{
	while (ns) {
		uint64_t n = (uint64_t)rand() % 10000 * (uint64_t)(rand() % 1000) + 1;

		n = min(n, ns);
		turn(n);
		ns -= n;
	}
}

/* Within so many thousandths. */
static void assert_near(uint64_t a, uint64_t b, unsigned permille)
{
	assert_in_range(a, b - b * permille / 1000, b + b * permille / 1000);
}

static void equals_take_turns(void **state)
{
	for (unsigned i = 0; i < 3; i++)
		join(i, 100);
	for (unsigned i = 0; i < 9; i++)
		assert_int_equal(turn(MSEC), i % 3);
}

static void weights_are_shares(void **state)
{
	join(0, 100);
	join(1, 300);
	join(2, 600);
	run(10000 * MSEC);
	assert_near(got[0], 1000 * MSEC, 20);
	assert_near(got[1], 3000 * MSEC, 20);
	assert_near(got[2], 6000 * MSEC, 20);
}

/* The least and the greatest weight: neither is without a turn, and no turn is free. */
static void extreme_weights(void **state)
{
	join(0, CONFIG_MIN_WEIGHT);
	join(1, CONFIG_MAX_WEIGHT);
	while (!got[0] || got[0] == MSEC)
		turn(MSEC);
	assert_near(got[1], got[0] / 2 * 10000, 20);
	for (unsigned i = 0; i < 10; i++) {
		uint64_t before = share[1].vtime;

		fair_charge(&queue, &share[1], 1);
		assert_true(share[1].vtime > before);
	}
}

static void a_sleeper_makes_up_for_little(void **state)
{
	join(0, 100);
	join(1, 100);
	run(1000 * MSEC);
	fair_sleep(&share[1]);
	run(1000 * MSEC);
	fair_wake(&queue, &share[1]);
	assert_int_equal(fair_turn_ns(&queue, &share[0]), 0);
	got[0] = got[1] = 0;
	while (turn(MSEC / 10) == 1)
		;
	assert_in_range(got[1], 0, FAIR_CREDIT_NS + MSEC / 10);
	run(1000 * MSEC);
	assert_near(got[0], got[1], 30);
}

/* Who sleeps and wakes all the time never has more than who always runs. */
static void sleeping_often_gives_nothing(void **state)
{
	join(0, 100);
	join(1, 100);
	for (unsigned i = 0; i < 100000; i++) {
		fair_sleep(&share[1]);
		if (rand() % 2)
			turn(rand() % 100000);
		fair_wake(&queue, &share[1]);
		turn(rand() % 100000);
	}
	assert_true(got[1] <= got[0] + FAIR_CREDIT_NS + MSEC);
}

/* A newcomer has not slept, and one that comes back has not lost its place by that. */
static void newcomers_start_at_the_floor(void **state)
{
	join(0, 100);
	run(1000 * MSEC);
	join(1, 100);
	assert_int_equal(fair_turn_ns(&queue, &share[0]), FAIR_MARGIN_NS);
	run(100 * MSEC);
	assert_near(got[1], 50 * MSEC, 300);
	fair_leave(&share[1]);
	run(10 * MSEC);
	join(1, 100);
	assert_int_equal(share[1].vtime, queue.floor);
	fair_leave(&share[0]);
	assert_int_equal(turn(1), 1);
	fair_leave(&share[1]);
	assert_null(fair_next(&queue));
}

static void virtual_time_may_wrap(void **state)
{
	queue.floor = UINT64_MAX - 50 * MSEC;
	join(0, 100);
	join(1, 300);
	fair_join(&queue, &share[2], 100);
	run(1000 * MSEC);
	assert_near(got[0], 250 * MSEC, 60);
	assert_true(queue.floor < 1000 * MSEC);
	fair_wake(&queue, &share[2]);
	assert_true(share[2].vtime == queue.floor - FAIR_CREDIT_NS);
	assert_int_equal(fair_turn_ns(&queue, &share[0]), 0);
	assert_int_equal(fair_turn_ns(&queue, &share[2]), ~0ull); /* nobody else is new */
}

/* A VM that was alone for years does not make the product wrap. */
static void a_turn_without_an_end(void **state)
{
	join(0, 1);
	join(1, 100);
	fair_charge(&queue, &share[0], UINT64_MAX);
	assert_true(share[0].vtime > BIT_ULL(50));
	assert_int_equal(turn(1), 1);
}

/* One that ran alone for hours, and then slept, does not wait for hours for one that comes then. */
static void time_alone_is_no_debt(void **state)
{
	join(0, 100);
	turn(3600 * NSEC_PER_SEC);
	fair_sleep(&share[0]);
	join(1, 100);
	turn(MSEC);
	fair_wake(&queue, &share[0]);
	run(100 * MSEC);
	assert_near(got[1], 50 * MSEC, 300);
}

/* Who woke is let in when it is behind by more than the margin, as the weights have it; once. */
static void a_turn_ends_for_who_woke(void **state)
{
	join(0, 100);
	fair_next(&queue);
	assert_int_equal(fair_turn_ns(&queue, &share[0]), ~0ull);
	join(1, 100);
	assert_int_equal(fair_turn_ns(&queue, &share[0]), FAIR_MARGIN_NS);
	fair_charge(&queue, &share[0], 100000);
	assert_int_equal(fair_turn_ns(&queue, &share[0]), FAIR_MARGIN_NS - 100000);
	fair_charge(&queue, &share[0], FAIR_MARGIN_NS);
	assert_int_equal(fair_turn_ns(&queue, &share[0]), 0);
	assert_ptr_equal(fair_next(&queue), &share[1]);
	assert_int_equal(fair_turn_ns(&queue, &share[0]), ~0ull);
	fair_charge(&queue, &share[1], FAIR_MARGIN_NS + 100000);
	join(2, 300);
	assert_int_equal(fair_turn_ns(&queue, &share[2]), ~0ull);
	assert_int_equal(fair_turn_ns(&queue, &share[1]), FAIR_MARGIN_NS);
	fair_next(&queue);
	fair_next(&queue);
	fair_next(&queue);
	join(3, 100);
	assert_int_equal(fair_turn_ns(&queue, &share[2]), 3 * FAIR_MARGIN_NS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(equals_take_turns, setup),
		cmocka_unit_test_setup(weights_are_shares, setup),
		cmocka_unit_test_setup(extreme_weights, setup),
		cmocka_unit_test_setup(a_sleeper_makes_up_for_little, setup),
		cmocka_unit_test_setup(sleeping_often_gives_nothing, setup),
		cmocka_unit_test_setup(newcomers_start_at_the_floor, setup),
		cmocka_unit_test_setup(virtual_time_may_wrap, setup),
		cmocka_unit_test_setup(a_turn_without_an_end, setup),
		cmocka_unit_test_setup(time_alone_is_no_debt, setup),
		cmocka_unit_test_setup(a_turn_ends_for_who_woke, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
