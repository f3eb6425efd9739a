/* SPDX-License-Identifier: BSD-2-Clause */
/* Two threads compare their TSCs, of which one is made to be ahead or behind. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <time.h>

#include <cmocka.h>

#include "arch/x86/tsc_meet.h"
#include "lib/bits.h"

static struct tsc_meeting meeting;
static int64_t ahead; /* written before the thread starts */

static uint64_t our_clock(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static uint64_t their_clock(void)
{
	return our_clock() + (uint64_t)ahead;
}

static void *answer(void *arg)
{
	tsc_meet_answer(&meeting, their_clock);
	return arg;
}

static int64_t meet(int64_t difference)
{
	pthread_t other;
	int64_t result;

	meeting = (struct tsc_meeting){0};
	ahead = difference;
	assert_int_equal(pthread_create(&other, NULL, answer, NULL), 0);
	result = tsc_meet_ask(&meeting, our_clock);
	pthread_join(other, NULL);
	return result;
}

static void equal_clocks_are_found_equal(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 40; i++)
		assert_int_equal(meet(0), 0);
}

/* A difference is found as large as it is or smaller, not by more than a meeting takes. */
static void a_difference_is_found(void **state)
{
	const int64_t large = 1ll << 40, tolerance = 10000000000;

	(void)state;
	for (unsigned i = 0; i < 5; i++) {
		int64_t d = large * (i + 1);

		assert_in_range(meet(d), d - tolerance, d);
		assert_in_range(-meet(-d), d - tolerance, d);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(equal_clocks_are_found_equal),
		cmocka_unit_test(a_difference_is_found),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
