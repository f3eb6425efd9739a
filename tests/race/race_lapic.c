/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The protocol of vmm/dev/apic/lapic.h under the thread sanitizer: senders, an IOAPIC's pins and
 * timers post into one local APIC while its owner takes, ends and masks interrupts, and looks only
 * after a notify, as the run loop does. A vector that is posted again only after it was served
 * must be served exactly as often as it was posted; none may be lost on the way.
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/bits.h"
#include "tests/unit/support/apics.h"

#define SENDERS    3
#define ROUNDS     2000
#define MINE       8 /* vectors of one sender */
#define FIRST      0x30
#define PIN_VECTOR 0xe1

static struct lapic *const l = &apic[0];
static _Atomic unsigned served[256];
static _Atomic unsigned done; /* senders that are through */

/* Post each of its vectors once per round: by every way that leads into IRR. */
static void post_one(unsigned round, uint8_t vector)
{
	struct apic_msg msg = {.dest = 0, .vector = vector};

	switch (round % 3) {
	case 0:
		lapic_post(l, vector, round & 1);
		break;
	case 1:
		assert_int_equal(lapic_deliver(&apics, &msg), 1);
		break;
	default:
		msg.dest = 0xff;
		msg.mode = APIC_LOWEST;
		assert_int_equal(lapic_deliver(&apics, &msg), 1);
	}
}

static void *sender(void *arg)
{
	unsigned first = FIRST + (unsigned)(uintptr_t)arg * 0x30;

	for (unsigned round = 0; round < ROUNDS; round++) {
		for (unsigned i = 0; i < MINE; i++)
			post_one(round, first + i * 5);
		for (unsigned i = 0; i < MINE; i++) {
			while (served[first + i * 5] != round + 1)
				sched_yield();
		}
	}
	done++;
	return NULL;
}

/* LINT0 as a level-triggered pin that another CPU drives. */
static void *pin_driver(void *arg)
{
	for (unsigned round = 0; round < ROUNDS; round++) {
		unsigned before = served[PIN_VECTOR];

		lapic_set_lint(l, 0, true);
		while (served[PIN_VECTOR] == before)
			sched_yield();
		lapic_set_lint(l, 0, false);
	}
	done++;
	return NULL;
}

/* One look, one interrupt, as before an entry; its end must notify if more is let through. */
static void serve_one(unsigned turn)
{
	int vector = apic_take(l);

	if (vector < 0)
		return;
	served[vector]++;
	/* Sometimes the priority is raised meanwhile: what waits must come later. */
	if (turn % 7 == 0)
		lapic_set_cr8(l, turn % 16);
	apic_write(l, 0xb0, 0);
	if (turn % 11 == 0)
		apic_write(l, 0x350, 0x8000 | PIN_VECTOR);
	lapic_set_cr8(l, 0);
}

/* The owner looks only when it was notified. */
static void run_owner(unsigned threads)
{
	unsigned seen = 0, turn = 0;

	while (done < threads) {
		unsigned now = apic_calls[0].notify;

		if (now == seen) {
			sched_yield();
			continue;
		}
		seen = now;
		serve_one(turn++);
	}
}

static void test_nothing_is_lost(void **state)
{
	pthread_t threads[SENDERS + 1];

	apics_create(1);
	apic_enable(l);
	apic_write(l, 0x350, 0x8000 | PIN_VECTOR);
	for (uintptr_t i = 0; i < SENDERS; i++)
		pthread_create(&threads[i], NULL, sender, (void *)i);
	pthread_create(&threads[SENDERS], NULL, pin_driver, NULL);
	run_owner(SENDERS + 1);
	for (unsigned i = 0; i <= SENDERS; i++)
		pthread_join(threads[i], NULL);

	for (unsigned s = 0; s < SENDERS; s++) {
		for (unsigned i = 0; i < MINE; i++)
			assert_int_equal(served[FIRST + s * 0x30 + i * 5], ROUNDS);
	}
	assert_true(served[PIN_VECTOR] >= ROUNDS);
}

#define HIGH     0xd0
#define LOW      0x30
#define NR_LOW   64
#define LOW_RUNS (ROUNDS / 50)

static void *high_sender(void *arg)
{
	while (done < 1) {
		unsigned before = served[HIGH];

		lapic_post(l, HIGH, false);
		while (served[HIGH] == before)
			;
	}
	return NULL;
}

static void *low_sender(void *arg)
{
	for (unsigned run = 1; run <= LOW_RUNS; run++) {
		for (unsigned i = 0; i < NR_LOW; i++)
			lapic_post(l, LOW + i, false);
		while (served[LOW] != run)
			sched_yield();
	}
	done++;
	return NULL;
}

static void end_all(void)
{
	int vector;

	while ((vector = apic_take(l)) >= 0) {
		apic_write(l, 0xb0, 0);
		served[vector]++;
	}
}

/*
 * Vectors that PPR holds back come together with one that it lets through: the look that finds only
 * the former must not cover up the latter. The owner lets the former through now and then.
 */
static void test_held_back(void **state)
{
	pthread_t high, low;
	unsigned turn = 0;

	apics_create(1);
	apic_enable(l);
	memset((void *)served, 0, sizeof(served));
	done = 0;
	pthread_create(&high, NULL, high_sender, NULL);
	pthread_create(&low, NULL, low_sender, NULL);
	while (done < 1) {
		lapic_set_cr8(l, turn++ % 100 ? 8 : 0);
		/* A lost vector would wait here for the 0 above, for ever. */
		for (unsigned before = served[HIGH]; served[HIGH] == before && done < 1;)
			end_all();
	}
	pthread_join(low, NULL);
	done++;
	while (pthread_tryjoin_np(high, NULL))
		end_all();
}

static void *switch_modes(void *arg)
{
	for (unsigned i = 0; i < ROUNDS / 10; i++) {
		lapic_reset(&apic[1]);
		apic_write(&apic[1], 0xd0, 0x02000000);
		apic_enable_x2apic(&apic[1]);
		lapic_set_base(&apic[1], 0);
	}
	done++;
	return NULL;
}

/* A sender sees each mode of a receiver whole: vector 0x55 may come or not, and nothing else. */
static void test_mode_switches(void **state)
{
	struct apic_msg msg = {.dest = 2, .logical = true, .vector = 0x55};
	pthread_t thread;

	apics_create(2);
	apic_enable(l);
	done = 0;
	pthread_create(&thread, NULL, switch_modes, NULL);
	while (!done) {
		assert_in_range(lapic_deliver(&apics, &msg), 0, 1);
		msg.logical = !msg.logical;
		msg.dest = msg.logical ? 2 : 1;
	}
	pthread_join(thread, NULL);
}

/* Timers are armed, moved and cancelled on one CPU while they fire on another. */
static void *run_timers(void *arg)
{
	while (!done)
		timer_queue_run(&apic_queue, NSEC_PER_SEC);
	return NULL;
}

static void test_timer(void **state)
{
	unsigned fired = 0;
	pthread_t thread;

	apics_create(1);
	apic_enable(l);
	apic_write(l, 0x320, 0x40041);
	done = 0;
	pthread_create(&thread, NULL, run_timers, NULL);
	for (unsigned i = 0; i < ROUNDS; i++) {
		lapic_msr_write(l, 0x6e0, i % 3 ? NSEC_PER_SEC - 1 : 2 * NSEC_PER_SEC);
		if (i % 5 == 0)
			lapic_msr_write(l, 0x6e0, 0);
		if (apic_take(l) == 0x41) {
			fired++;
			apic_write(l, 0xb0, 0);
		}
	}
	done = 1;
	pthread_join(thread, NULL);
	assert_true(fired > ROUNDS / 4);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_nothing_is_lost),
		cmocka_unit_test(test_held_back),
		cmocka_unit_test(test_mode_switches),
		cmocka_unit_test(test_timer),
	};

	alarm(100); /* a lost vector shows as a wait without end */
	return cmocka_run_group_tests(tests, NULL, NULL);
}
