/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Grace periods, one thread playing all CPUs: which orders of entry, exit and poll may end one,
 * and which must not.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "lib/bits.h"
#include "mm/grace.h"
#include "tests/unit/support/host.h"
#include "tests/unit/support/panic.h"

#define CPUS 4

struct item {
	struct grace_head head;
	unsigned freed;
	bool holds[CPUS]; /* this CPU has a reference from its present section */
};

static void freed(struct grace_head *head)
{
	struct item *item = container_of(head, struct item, head);

	for (unsigned i = 0; i < CPUS; i++)
		assert_false(item->holds[i]);
	item->freed++;
}

static void enter(unsigned cpu)
{
	host_set_cpu(cpu);
	grace_enter_guest(grace_cpu());
}

static void exit_guest(unsigned cpu)
{
	host_set_cpu(cpu);
	grace_exit_guest(grace_cpu());
}

static void poll(unsigned cpu)
{
	host_set_cpu(cpu);
	grace_poll(grace_cpu());
}

static void call(unsigned cpu, struct item *item)
{
	host_set_cpu(cpu);
	grace_call(&item->head, freed);
}

static void cycle(unsigned cpu)
{
	enter(cpu);
	exit_guest(cpu);
}

/* All CPUs in the hypervisor, nothing pending. */
static int setup(void **state)
{
	host_set_nr_cpus(CPUS);
	for (unsigned i = 0; i < CPUS; i++)
		exit_guest(i);
	return 0;
}

static int teardown(void **state)
{
	for (unsigned i = 0; i < CPUS; i++)
		enter(i);
	for (unsigned i = 0; i < CPUS; i++) {
		exit_guest(i);
		grace_drain();
		assert_false(grace_is_pending(grace_cpu()));
		enter(i);
	}
	host_set_cpu(0);
	host_set_nr_cpus(1);
	return 0;
}

static void test_waits_for_every_cpu(void **state)
{
	for (unsigned last = 0; last < CPUS; last++) {
		struct item item = {};

		call(0, &item);
		poll(0);
		for (unsigned i = 0; i < CPUS; i++) {
			if (i != last)
				cycle(i);
		}
		for (unsigned i = 0; i < 10; i++)
			poll(0);
		assert_int_equal(item.freed, 0);
		cycle(last);
		poll(0);
		assert_int_equal(item.freed, 1);
		poll(0);
		assert_int_equal(item.freed, 1);
	}
}

/* A CPU that stays in guest mode or idle does not delay anything. */
static void test_quiescent_cpus_do_not_count(void **state)
{
	struct item item = {};

	for (unsigned i = 1; i < CPUS; i++)
		enter(i);
	call(0, &item);
	poll(0);
	assert_int_equal(item.freed, 0);
	cycle(0); /* the caller's own section counts as well */
	poll(0);
	assert_int_equal(item.freed, 1);
}

/* A section that began after the call has no say, however long it lasts. */
static void test_later_section_does_not_count(void **state)
{
	struct item item = {};

	for (unsigned i = 1; i < CPUS; i++)
		enter(i);
	call(0, &item);
	poll(0);
	exit_guest(1); /* and stays */
	cycle(0);
	poll(0);
	assert_int_equal(item.freed, 1);
}

/* A section between the unlinking and the first poll does: the period begins at that poll. */
static void test_section_before_first_poll_counts(void **state)
{
	struct item item = {};

	for (unsigned i = 1; i < CPUS; i++)
		enter(i);
	call(0, &item);
	exit_guest(1);
	poll(0);
	cycle(0);
	poll(0);
	assert_int_equal(item.freed, 0);
	cycle(1);
	poll(0);
	assert_int_equal(item.freed, 1);
}

/* Calls made while a period runs wait for the next one. */
static void test_second_batch(void **state)
{
	struct item a = {}, b = {};

	call(0, &a);
	poll(0);
	for (unsigned i = 0; i < CPUS; i++)
		cycle(i);
	call(0, &b);
	poll(0);
	assert_int_equal(a.freed, 1);
	assert_int_equal(b.freed, 0);
	for (unsigned i = 0; i < CPUS; i++)
		cycle(i);
	poll(0);
	assert_int_equal(b.freed, 1);
}

/* CPUs are independent: one CPU's calls run on it alone. */
static void test_calls_stay_on_their_cpu(void **state)
{
	struct item a = {}, b = {};

	call(1, &a);
	call(2, &b);
	poll(1);
	poll(2);
	for (unsigned i = 0; i < CPUS; i++)
		cycle(i);
	poll(0);
	assert_int_equal(a.freed + b.freed, 0);
	poll(2);
	assert_int_equal(a.freed, 0);
	assert_int_equal(b.freed, 1);
	poll(1);
	assert_int_equal(a.freed, 1);
}

static void test_bounded_work(void **state)
{
	static struct item item[3 * GRACE_BATCH];
	unsigned n = 0;

	for (unsigned i = 0; i < ARRAY_SIZE(item); i++)
		call(0, &item[i]);
	poll(0);
	for (unsigned i = 0; i < CPUS; i++)
		cycle(i);
	for (unsigned round = 1; round <= 3; round++) {
		poll(0);
		n = 0;
		for (unsigned i = 0; i < ARRAY_SIZE(item); i++)
			n += item[i].freed;
		assert_int_equal(n, round * GRACE_BATCH);
		assert_int_equal(item[round * GRACE_BATCH - 1].freed, 1); /* in order */
	}
	assert_false(grace_is_pending(grace_cpu()));
}

static void test_wait_needs_a_section(void **state)
{
	enter(0);
	assert_panics(grace_wait());
	exit_guest(0);
}

/* With the others quiescent, waiting and draining return, and the section is open after them. */
static void test_wait_and_drain(void **state)
{
	struct item item = {};
	struct spinlock lock = SPINLOCK_INIT;

	for (unsigned i = 1; i < CPUS; i++)
		enter(i);
	call(0, &item);
	grace_wait();
	assert_int_not_equal(grace_cpu()->word, 0);
	grace_drain();
	assert_int_equal(item.freed, 1);
	grace_lock(&lock);
	assert_true(spin_is_locked(&lock));
	assert_int_not_equal(grace_cpu()->word, 0);
}

/*
 * Random steps of all CPUs. An item can be picked up by a CPU in a section until it is unlinked,
 * and is held until that CPU enters its guest; freed() asserts that nobody holds it.
 */
static void test_random(void **state)
{
	static struct item item[16];
	bool in_section[CPUS] = {true, true, true, true}, linked[16] = {};
	unsigned frees = 0;

	for (unsigned step = 0; step < 200000; step++) {
		unsigned cpu = rand() % CPUS, k = rand() % 16;

		if (!in_section[cpu] || rand() % 4 == 0) {
			if (in_section[cpu]) {
				for (unsigned i = 0; i < 16; i++)
					item[i].holds[cpu] = false;
				enter(cpu);
			} else {
				exit_guest(cpu);
			}
			in_section[cpu] = !in_section[cpu];
		} else if (rand() % 2) {
			poll(cpu);
		} else if (linked[k]) {
			if (rand() % 2) {
				item[k].holds[cpu] = true;
			} else {
				linked[k] = false;
				call(cpu, &item[k]);
			}
		} else if (item[k].freed || !item[k].head.fn) {
			frees += item[k].freed;
			item[k] = (struct item){};
			linked[k] = true;
		}
	}
	assert_true(frees > 1000);
	for (unsigned i = 0; i < 16; i++) {
		for (unsigned cpu = 0; cpu < CPUS; cpu++)
			item[i].holds[cpu] = false;
	}
	for (unsigned i = 0; i < CPUS; i++)
		exit_guest(i);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_waits_for_every_cpu),
		TEST(test_quiescent_cpus_do_not_count),
		TEST(test_later_section_does_not_count),
		TEST(test_section_before_first_poll_counts),
		TEST(test_second_batch),
		TEST(test_calls_stay_on_their_cpu),
		TEST(test_bounded_work),
		TEST(test_wait_needs_a_section),
		TEST(test_wait_and_drain),
		TEST(test_random),
	};

	srand(1);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
