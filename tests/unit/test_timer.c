/* SPDX-License-Identifier: BSD-2-Clause */
/* Timer queues: order, what callbacks may do, and when the hardware is told. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "vmm/dev/timer.h"

static struct timer_queue queue;
static struct timer timers[4];
static unsigned fired[16], nr_fired, told;

static void earlier(struct timer_queue *q)
{
	assert_false(spin_is_locked(&q->lock));
	told++;
}

static void note(struct timer *t)
{
	assert_false(spin_is_locked(&queue.lock));
	assert_int_equal(t->deadline_ns, TIMER_NEVER);
	fired[nr_fired++] = t - timers;
}

static int setup(void **state)
{
	timer_queue_init(&queue, earlier);
	for (unsigned i = 0; i < 4; i++)
		timer_init(&timers[i], &queue, note);
	nr_fired = told = 0;
	return 0;
}

static void test_order(void **state)
{
	timer_arm(&timers[0], 300);
	timer_arm(&timers[1], 100);
	timer_arm(&timers[2], 200);
	timer_arm(&timers[3], 100); /* an equal one comes after */
	assert_int_equal(timer_queue_next(&queue), 100);
	timer_queue_run(&queue, 99);
	assert_int_equal(nr_fired, 0);
	timer_queue_run(&queue, 200);
	assert_int_equal(nr_fired, 3);
	assert_int_equal(fired[0], 1);
	assert_int_equal(fired[1], 3);
	assert_int_equal(fired[2], 2);
	assert_int_equal(timer_queue_next(&queue), 300);
	timer_queue_run(&queue, TIMER_NEVER - 1);
	assert_int_equal(fired[3], 0);
	assert_int_equal(timer_queue_next(&queue), TIMER_NEVER);
}

static const struct timer_limits no_limits = {.at_latest = TIMER_NEVER};

/* Only what is due before the CPU looks anyway is news for it. */
static void test_earlier(void **state)
{
	timer_arm(&timers[0], 300);
	assert_int_equal(told, 1);
	assert_int_equal(timer_queue_plan(&queue, &no_limits), 300);
	assert_int_equal(timer_queue_look_at(&queue), 300);
	timer_arm(&timers[1], 400);
	assert_int_equal(told, 1);
	timer_arm(&timers[2], 200);
	assert_int_equal(told, 2);
	assert_int_equal(timer_queue_plan(&queue, &no_limits), 200);
	timer_cancel(&timers[2]);
	assert_int_equal(told, 2);
	assert_int_equal(timer_queue_next(&queue), 300);
}

/* A guest that arms its timer for later, over and over, disturbs nobody. */
static void test_later_is_no_news(void **state)
{
	timer_arm(&timers[0], 300);
	timer_queue_plan(&queue, &no_limits);
	for (unsigned i = 0; i < 1000; i++)
		timer_arm(&timers[0], 300 + i);
	timer_cancel(&timers[0]);
	timer_arm(&timers[0], 300);
	assert_int_equal(told, 1);
	timer_arm(&timers[0], 299);
	assert_int_equal(told, 2);
}

/* Timers of a VM that does not run wait for a limit of their own, and hold up no others. */
static void test_plan(void **state)
{
	struct timer_limits limits = {10, 1000, TIMER_NEVER};

	timers[0].owner = &timers[0];
	timers[1].owner = &timers[1];
	assert_false(timer_queue_set_owner(&queue, &timers[0]));
	assert_int_equal(timer_queue_plan(&queue, &limits), TIMER_NEVER);
	timer_arm(&timers[1], 100);
	assert_int_equal(timer_queue_plan(&queue, &limits), 1000);
	assert_true(timer_queue_set_owner(&queue, &timers[1])); /* it is held back no more */
	assert_int_equal(timer_queue_plan(&queue, &limits), 100);
	assert_false(timer_queue_set_owner(&queue, &timers[0]));
	assert_int_equal(timer_queue_plan(&queue, &limits), 1000);
	told = 0;
	timer_arm(&timers[0], 500); /* behind the other, and yet news */
	assert_int_equal(told, 1);
	assert_int_equal(timer_queue_plan(&queue, &limits), 500);
	timer_arm(&timers[2], 200); /* the CPU's own */
	assert_int_equal(timer_queue_plan(&queue, &limits), 200);
	timer_arm(&timers[2], 5);
	assert_int_equal(timer_queue_plan(&queue, &limits), 10);
	limits.at_latest = 7;
	assert_int_equal(timer_queue_plan(&queue, &limits), 7);
	assert_false(timer_queue_run(&queue, 99));
	assert_true(timer_queue_run(&queue, 100));
	assert_false(timer_queue_run(&queue, 500));
}

static void test_rearm_and_cancel(void **state)
{
	timer_arm(&timers[0], 100);
	timer_arm(&timers[0], 500);
	timer_arm(&timers[1], 100);
	timer_cancel(&timers[1]);
	timer_cancel(&timers[1]);
	timer_queue_run(&queue, 499);
	assert_int_equal(nr_fired, 0);
	timer_queue_run(&queue, 500);
	assert_int_equal(nr_fired, 1);
	timer_queue_run(&queue, 1000);
	assert_int_equal(nr_fired, 1);
	timer_arm(&timers[0], TIMER_NEVER);
	assert_int_equal(timer_queue_next(&queue), TIMER_NEVER);
}

static void rearm_in_past(struct timer *t)
{
	note(t);
	timer_arm(t, 1);
}

/* A callback that arms in the past waits for the next run, and disturbs no hardware. */
static void test_rearm_in_callback(void **state)
{
	timer_init(&timers[0], &queue, rearm_in_past);
	timer_arm(&timers[0], 100);
	told = 0;
	timer_queue_run(&queue, 100);
	assert_int_equal(nr_fired, 1);
	assert_int_equal(told, 0);
	assert_int_equal(timer_queue_next(&queue), 1);
	timer_queue_run(&queue, 101);
	assert_int_equal(nr_fired, 2);
}

static void cancel_next(struct timer *t)
{
	note(t);
	timer_cancel(t + 1);
	timer_arm(t + 2, 1000);
}

/* A callback cancels one that is due in the same run, and postpones another. */
static void test_cancel_in_callback(void **state)
{
	timer_init(&timers[0], &queue, cancel_next);
	timer_arm(&timers[0], 10);
	timer_arm(&timers[1], 20);
	timer_arm(&timers[2], 30);
	timer_arm(&timers[3], 40);
	timer_queue_run(&queue, 50);
	assert_int_equal(nr_fired, 2);
	assert_int_equal(fired[0], 0);
	assert_int_equal(fired[1], 3);
	assert_int_equal(timer_queue_next(&queue), 1000);
}

static void shut_meanwhile(struct timer *t)
{
	note(t);
	timer_shut(t); /* another CPU */
	timer_arm(t, 1000);
}

/* A callback that was under way when its timer was shut does not bring it back. */
static void test_shut(void **state)
{
	timer_init(&timers[0], &queue, shut_meanwhile);
	timer_arm(&timers[0], 10);
	timer_arm(&timers[1], 20);
	timer_shut(&timers[1]);
	told = 0;
	timer_queue_run(&queue, 50);
	assert_int_equal(nr_fired, 1);
	assert_int_equal(timer_queue_next(&queue), TIMER_NEVER);
	timer_arm(&timers[1], 5);
	assert_int_equal(timer_queue_next(&queue), TIMER_NEVER);
	assert_int_equal(told, 0);
	timer_cancel(&timers[1]);
}

/* After a run, arming tells the hardware again. */
static void test_told_after_run(void **state)
{
	timer_queue_run(&queue, 0);
	timer_arm(&timers[0], 5);
	assert_int_equal(told, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_order, setup),
		cmocka_unit_test_setup(test_earlier, setup),
		cmocka_unit_test_setup(test_later_is_no_news, setup),
		cmocka_unit_test_setup(test_plan, setup),
		cmocka_unit_test_setup(test_rearm_and_cancel, setup),
		cmocka_unit_test_setup(test_rearm_in_callback, setup),
		cmocka_unit_test_setup(test_cancel_in_callback, setup),
		cmocka_unit_test_setup(test_shut, setup),
		cmocka_unit_test_setup(test_told_after_run, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
