/* SPDX-License-Identifier: BSD-2-Clause */
/* The turns of several VMs on one CPU, on a clock: who gets how much, and how soon. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/sched/cpus.h"

static uint64_t ran[8], vm_ran; /* of `other`, and of all of `vcpu` */
static uint64_t shortest_of_others;

static void count(struct vcpu *v, uint64_t ns)
{
	if (v->vm == &vm) {
		vm_ran += ns;
		return;
	}
	ran[v - other] += ns;
	shortest_of_others = min(shortest_of_others, ns);
}

/* When the turn of `v` ends by its time slice, after what was asked of it meanwhile. */
static uint64_t end_of_turn(struct vcpu *v)
{
	struct vmm_cpu *c = vmm_this_cpu();
	uint32_t requests = atomic_exchange(&v->requests, 0);

	if (requests & REQ_PREEMPT)
		sched_shorten_turn(c, v);
	requests |= atomic_exchange(&v->requests, 0);
	return requests & REQ_YIELD ? clock_ns() : c->slice.deadline_ns;
}

/* A vCPU that halts after `work_ns`, and is woken so long after that. */
struct sleeper {
	struct vcpu *v;
	uint64_t work_ns, sleep_ns;
	uint64_t wake_at, woken_at; /* ~0: it is not asleep; it has been served */
	uint64_t most_late;
};

static void wake_up(struct sleeper *s, unsigned nr)
{
	for (unsigned i = 0; i < nr; i++) {
		if (s[i].wake_at > clock_ns())
			continue;
		s[i].woken_at = s[i].wake_at;
		s[i].wake_at = ~0ull;
		vcpu_request(s[i].v, REQ_EVENT);
		atomic_store(&s[i].v->state, VCPU_RUNNABLE);
	}
}

static uint64_t next_wake(const struct sleeper *s, unsigned nr)
{
	uint64_t next = ~0ull;

	for (unsigned i = 0; i < nr; i++)
		next = min(next, s[i].wake_at);
	return next;
}

static struct sleeper *find(struct sleeper *s, unsigned nr, struct vcpu *v)
{
	for (unsigned i = 0; i < nr; i++) {
		if (s[i].v == v)
			return &s[i];
	}
	return NULL;
}

/* Its slice, or its work before that. */
static uint64_t first_end(uint64_t from, uint64_t work)
{
	uint64_t slice = vmm_this_cpu()->slice.deadline_ns;

	return work < slice - from ? from + work : slice;
}

/* One turn, with what wakes meanwhile. */
static void play_turn(struct sleeper *s, unsigned nr)
{
	struct vcpu *v = turn();
	struct sleeper *me = find(s, nr, v);
	uint64_t from = clock_ns(), end, work = me ? me->work_ns : ~0ull;

	atomic_store(&v->requests, 0);
	if (me && me->woken_at != ~0ull) {
		me->most_late = max(me->most_late, from - me->woken_at);
		me->woken_at = ~0ull;
	}
	end = first_end(from, work);
	while (clock_ns() < end) {
		uint64_t to = min(end, next_wake(s, nr));

		clock_set_ns(max(to, clock_ns()));
		wake_up(s, nr);
		end = min(end, end_of_turn(v));
	}
	count(v, clock_ns() - from);
	if (me && clock_ns() - from >= work) {
		atomic_store(&v->state, VCPU_HALTED);
		atomic_store(&v->requests, 0);
		me->wake_at = clock_ns() + me->sleep_ns;
	}
}

static void play(struct sleeper *s, unsigned nr, uint64_t ns)
{
	uint64_t end = clock_ns() + ns;

	memset(ran, 0, sizeof(ran));
	vm_ran = 0;
	shortest_of_others = ~0ull;
	while (clock_ns() < end)
		play_turn(s, nr);
}

static void assert_percent(uint64_t part, uint64_t all, unsigned from, unsigned to)
{
	assert_in_range(part * 100 / all, from, to);
}

/* 64 vCPUs that only spin, beside one: a half for each VM. */
static void many_vcpus_are_one_vm(void **state)
{
	for (unsigned i = 0; i < 64; i++)
		sched_add(&vcpu[i]);
	sched_add(&other[0]);
	play(NULL, 0, 10 * NSEC_PER_SEC);
	assert_percent(ran[0], vm_ran + ran[0], 49, 51);
	/* One VM goes, and another comes. */
	turn_end(vmm_this_cpu());
	sched_remove(&other[0]);
	sched_add(&other[1]);
	play(NULL, 0, 10 * NSEC_PER_SEC);
	assert_percent(ran[1], vm_ran + ran[1], 49, 51);
	assert_int_equal(ran[0], 0);
	/* All its vCPUs have their turns, but the one that is gone. */
	turn_end(vmm_this_cpu());
	sched_remove(&vcpu[0]);
	for (unsigned i = 0; i < 200; i++)
		assert_ptr_not_equal(turn(), &vcpu[0]);
}

static void weights_are_shares_of_the_cpu(void **state)
{
	static const struct vm_config light = {.weight = 100}, heavy = {.weight = 300};

	others[0].config = &light;
	others[1].config = &heavy;
	for (unsigned i = 0; i < 64; i++)
		sched_add(&vcpu[i]); /* 100 */
	sched_add(&other[0]);
	sched_add(&other[1]);
	play(NULL, 0, 10 * NSEC_PER_SEC);
	assert_percent(ran[0], 10 * NSEC_PER_SEC, 19, 21);
	assert_percent(ran[1], 10 * NSEC_PER_SEC, 59, 61);
	assert_percent(vm_ran, 10 * NSEC_PER_SEC, 19, 21);
	/* What it did not run it has waited. */
	assert_percent(other[0].kvm.waited, 10 * NSEC_PER_SEC, 79, 81);
	assert_percent(other[1].kvm.waited, 10 * NSEC_PER_SEC, 39, 41);
}

/* Beside spinners, who does little when its timer wakes it does it soon, however many they are. */
static void a_sleeper_wakes_in_time(void **state)
{
	for (unsigned n = 1; n < 8; n++) {
		struct sleeper s = {&other[0], 20000, 3217000, ~0ull, ~0ull, 0};

		cpus_setup(NULL);
		for (unsigned i = 0; i <= n; i++)
			sched_add(&other[i]);
		play(&s, 1, 5 * NSEC_PER_SEC);
		assert_in_range(s.most_late, 0, SCHED_MIN_TURN_NS);
		assert_percent(ran[0] * 1000, 5 * NSEC_PER_SEC, 530, 620);
		/* It waits from when it wakes, and not while it sleeps. */
		assert_in_range(other[0].kvm.waited, 0,
				5 * NSEC_PER_SEC / s.sleep_ns * s.most_late);
		for (unsigned i = 1; i <= n; i++)
			assert_percent(ran[i] * n, 5 * NSEC_PER_SEC, 97, 103);
		cpus_teardown(NULL);
	}
}

/* Sixteen that wake each other all the time get a half, and end the other's turns seldom. */
static void a_storm_of_wakers_starves_nobody(void **state)
{
	static struct sleeper s[16];

	for (unsigned i = 0; i < 16; i++) {
		s[i] = (struct sleeper){&vcpu[i], 5000, 5000 + i, ~0ull, ~0ull, 0};
		sched_add(&vcpu[i]);
	}
	sched_add(&other[0]);
	play(s, 16, 5 * NSEC_PER_SEC);
	assert_percent(ran[0], 5 * NSEC_PER_SEC, 49, 100);
	assert_true(shortest_of_others >= SCHED_MIN_TURN_NS);
}

/* Who gives its turn away at once, over and over, neither loses nor gains by that. */
static void pauses_do_not_change_shares(void **state)
{
	uint64_t end = clock_ns() + 5 * NSEC_PER_SEC;

	sched_add(&other[0]);
	sched_add(&other[1]);
	memset(ran, 0, sizeof(ran));
	while (clock_ns() < end) {
		struct vcpu *v = turn();
		uint64_t ns = v == &other[0] ? 3000 : SCHED_SLICE_NS;

		clock_advance_ns(ns);
		count(v, ns);
	}
	assert_percent(ran[0], 5 * NSEC_PER_SEC, 49, 51);
}

static void look_for_work(void)
{
	clock_advance_ns(300);
}

/* Each of its turns takes 1000 ns, and finding the next one 300: that is its time as well. */
static void the_way_to_the_next_turn_is_charged(void **state)
{
	uint64_t begin = clock_ns(), end = begin + 5 * NSEC_PER_SEC;

	sched_add(&other[0]);
	sched_add(&other[1]);
	memset(ran, 0, sizeof(ran));
	at_work = look_for_work;
	while (clock_ns() < end) {
		struct vcpu *v = turn();
		uint64_t ns = v == &other[0] ? 1000 : SCHED_SLICE_NS;

		clock_advance_ns(ns);
		count(v, ns);
	}
	assert_percent(ran[1], clock_ns() - begin, 49, 51);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(many_vcpus_are_one_vm, cpus_setup, cpus_teardown),
		cmocka_unit_test_setup_teardown(weights_are_shares_of_the_cpu, cpus_setup,
						cpus_teardown),
		cmocka_unit_test_setup_teardown(a_sleeper_wakes_in_time, cpus_setup, cpus_teardown),
		cmocka_unit_test_setup_teardown(a_storm_of_wakers_starves_nobody, cpus_setup,
						cpus_teardown),
		cmocka_unit_test_setup_teardown(the_way_to_the_next_turn_is_charged, cpus_setup,
						cpus_teardown),
		cmocka_unit_test_setup_teardown(pauses_do_not_change_shares, cpus_setup,
						cpus_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
