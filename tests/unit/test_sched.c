/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The scheduler of one CPU, and what reaches it from others: kicks, time slices, timers. CPU 0 is
 * the one that the test runs on, CPU 1 the one it talks to.
 */
#include <asm/prctl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/unit/sched/cpus.h"
#include "tests/unit/support/fake_virt.h"

static void nothing(struct grace_head *head) {}

static void idle_or_running_cpus_are_kicked(void **state)
{
	struct vmm_cpu *c = vmm_cpu_by_id(1);

	vcpu[0].pcpu = 1;
	c->loaded = &vcpu[0];
	vcpu_request(&vcpu[0], REQ_EVENT);
	assert_int_equal(ipis[1], 0); /* busy: it will look */
	c->mode = CPU_IN_GUEST;
	vcpu_request(&vcpu[0], REQ_NMI);
	c->mode = CPU_IDLE;
	c->loaded = NULL;
	vcpu_request(&vcpu[0], REQ_FLUSH);
	assert_int_equal(ipis[1], 2);
	vcpu_request(&vcpu[1], REQ_EVENT); /* on this CPU */
	assert_int_equal(ipis[0], 0);
}

/* The run that ends by it was one behind which an NMI waits: somebody has to look. */
static void a_cpu_that_interrupts_itself_looks_for_nmis(void **state)
{
	vmm_cpu_interrupt_self();
	assert_int_equal(ipis[0], 1);
	kick(IRQ_VECTOR_KICK); /* no vCPU is loaded */
	vmm_this_cpu()->loaded = &vcpu[0];
	kick(IRQ_VECTOR_KICK);
	assert_int_equal(vcpu[0].requests, 0);
	vcpu[0].nmis_pending = 1;
	kick(IRQ_VECTOR_KICK);
	assert_int_equal(vcpu[0].requests, REQ_EVENT);
}

/* Guests can send interrupts without end to a vCPU. */
static void a_storm_of_requests_is_one_kick(void **state)
{
	vcpu[0].pcpu = 1;
	vmm_cpu_by_id(1)->mode = CPU_IN_GUEST;
	vmm_cpu_by_id(1)->loaded = &vcpu[0];
	for (unsigned i = 0; i < 1000; i++)
		vcpu_request(&vcpu[0], REQ_NMI);
	assert_int_equal(ipis[1], 1);
	vcpu_request(&vcpu[0], REQ_NMI | REQ_EVENT); /* news */
	assert_int_equal(ipis[1], 2);
	atomic_store(&vcpu[0].requests, 0); /* it has looked */
	vcpu_request(&vcpu[0], REQ_NMI);
	assert_int_equal(ipis[1], 3);
}

/* A vCPU that runs alone has no time slice; one that comes later must get its turn all the same. */
static void a_new_vcpu_interrupts_one_that_ran_alone(void **state)
{
	struct vmm_cpu *c = vmm_cpu_by_id(1);

	vcpu[0].pcpu = vcpu[1].pcpu = 1;
	sched_add(&vcpu[0]);
	c->loaded = &vcpu[0];
	atomic_store(&vcpu[0].requests, 0);
	c->mode = CPU_IN_GUEST;
	/* Something may be on its way to the new one already. */
	atomic_store(&vcpu[1].requests, REQ_EVENT);
	sched_add(&vcpu[1]);
	assert_true(atomic_load(&vcpu[0].requests) & REQ_YIELD);
	assert_int_equal(ipis[1], 1);
}

static void vcpus_take_turns(void **state)
{
	for (unsigned i = 0; i < 3; i++)
		sched_add(&vcpu[i]);
	for (unsigned i = 0; i < 6; i++) {
		assert_ptr_equal(turn(), &vcpu[i % 3]);
		assert_int_equal(vmm_this_cpu()->slice.deadline_ns, clock_ns() + 10000000);
		assert_true(fake_cpu.pause_exits);
		for (unsigned k = 0; k < 3; k++)
			atomic_store(&vcpu[k].requests, 0);
	}
	/* The slice ends the turn. */
	clock_advance_ns(10000000);
	vmm_this_cpu()->timer_pending = true;
	sched_run_timers(vmm_this_cpu());
	assert_true(atomic_load(&vcpu[2].requests) & REQ_YIELD);
	vcpu[0].state = vcpu[1].state = VCPU_HALTED;
	assert_ptr_equal(turn(), &vcpu[2]);
	assert_ptr_equal(turn(), &vcpu[2]);
}

/* What is to be freed after a grace period must not wait for ever for a guest that never halts. */
static void calls_after_a_grace_period_get_their_turn(void **state)
{
	static struct grace_head head;

	sched_add(&vcpu[0]);
	turn();
	assert_int_equal(vmm_this_cpu()->slice.deadline_ns, TIMER_NEVER);
	grace_call(&head, nothing);
	turn();
	assert_int_equal(vmm_this_cpu()->slice.deadline_ns, clock_ns() + 10000000);
	assert_false(fake_cpu.pause_exits);
}

/* Nor must the next slice of the CPU's own work. */
static void background_work_gets_its_turn(void **state)
{
	sched_add(&vcpu[0]);
	work_pending = true;
	turn();
	assert_int_equal(vmm_this_cpu()->slice.deadline_ns, clock_ns() + 10000000);
	assert_false(fake_cpu.pause_exits);
	work_pending = false;
	turn();
	assert_int_equal(vmm_this_cpu()->slice.deadline_ns, TIMER_NEVER);
}

static void paused_vcpus_get_no_turn(void **state)
{
	sched_add(&vcpu[0]);
	sched_add(&vcpu[1]);
	sched_add(&other[0]);
	others[0].paused = true;
	assert_ptr_equal(turn(), &vcpu[0]);
	assert_ptr_equal(turn(), &vcpu[1]);
	assert_ptr_equal(turn(), &vcpu[0]);
	clock_advance_ns(1000000);
	vcpu_request(&other[0], REQ_STOP);
	assert_ptr_equal(turn(), &other[0]);
}

static void wake(void)
{
	vcpu_request(&vcpu[0], REQ_EVENT);
}

static void an_idle_cpu_halts_until_an_interrupt(void **state)
{
	interrupt = wake;
	vcpu[0].state = VCPU_HALTED;
	sched_add(&vcpu[0]);
	atomic_store(&vcpu[0].requests, 0);
	assert_ptr_equal(turn(), &vcpu[0]);
	assert_int_equal(halts, 1);
}

/* Background work keeps the CPU from halting; what wakes its vCPUs must come in all the same. */
static void interrupts_come_in_while_there_is_work(void **state)
{
	work_pending = true;
	interrupt = wake;
	vcpu[0].state = VCPU_HALTED;
	sched_add(&vcpu[0]);
	atomic_store(&vcpu[0].requests, 0);
	assert_ptr_equal(turn(), &vcpu[0]);
	assert_int_equal(halts, 0);
	assert_int_equal(openings, 1);
}

static void reschedule_this_cpu(void)
{
	at_work = NULL;
	vmm_cpu_reschedule(vmm_this_cpu());
}

/* The last vCPU of a VM stops elsewhere when this CPU has looked for work and has nothing loaded.
 */
static void a_reschedule_before_the_load_is_not_lost(void **state)
{
	sched_add(&vcpu[0]);
	atomic_store(&vcpu[0].requests, 0);
	at_work = reschedule_this_cpu;
	assert_ptr_equal(turn(), &vcpu[0]);
	assert_true(atomic_exchange(&vcpu[0].requests, 0) & REQ_YIELD);
	assert_ptr_equal(turn(), &vcpu[0]);
	assert_int_equal(atomic_load(&vcpu[0].requests), 0);
}

#define BUSY_NS 30000

static unsigned fired;

/* A timer as a guest with a tiny period has it, and whose service takes longer than the period. */
static void fire(struct timer *t)
{
	fired++;
	clock_advance_ns(BUSY_NS);
	timer_arm(t, clock_ns() + 1000);
}

static void timers_leave_time_for_the_guests(void **state)
{
	struct vmm_cpu *c = vmm_this_cpu();
	struct timer t[3];

	for (unsigned i = 0; i < 3; i++) {
		timer_init(&t[i], &c->timers, fire);
		timer_arm(&t[i], 0);
	}
	fired = 0;
	sched_run_timers(c);
	assert_int_equal(fired, 3);
	assert_true(armed >= clock_ns() + 3 * BUSY_NS);
	/* Timers that cost nothing are not held back. */
	for (unsigned i = 0; i < 3; i++)
		timer_cancel(&t[i]);
	timer_arm(&t[0], clock_ns() + 100);
	sched_run_timers(c);
	assert_int_equal(armed, clock_ns() + 100);
}

static void a_timer_of_another_cpu_is_one_interrupt(void **state)
{
	struct timer t;

	timer_init(&t, &vmm_cpu_by_id(1)->timers, fire);
	for (unsigned i = 100; i > 0; i--)
		timer_arm(&t, i);
	assert_int_equal(ipis[1], 1);
	assert_true(vmm_cpu_by_id(1)->timer_pending);
}

/* CPU 1 looks at its timers, after a kick or because its own timer came. */
static uint64_t other_cpu_looks(void)
{
	syscall(SYS_arch_prctl, ARCH_SET_GS, &cpus[1]);
	atomic_store(&vmm_cpu_by_id(1)->timer_pending, true);
	sched_run_timers(vmm_cpu_by_id(1));
	syscall(SYS_arch_prctl, ARCH_SET_GS, &cpus[0]);
	return armed;
}

static void fire_once(struct timer *t)
{
	fired++;
}

/* However a guest arms and disarms the board's timers from another CPU: a second of it. */
static void storms_of_timers_are_bounded(void **state)
{
	uint64_t from = clock_ns(), end = from + NSEC_PER_SEC, looks = 0, late = 0, next,
		 due = ~0ull;
	struct timer t;

	timer_init(&t, &vmm_cpu_by_id(1)->timers, fire_once);
	fired = 0;
	next = other_cpu_looks();
	for (unsigned way = 0; clock_ns() < end; way++) {
		uint64_t now = clock_ns(), kicks = ipis[1];
		/* Later each time, earlier each time, at once, and anything. */
		uint64_t at[] = {end + way, end - (way * 1000) % NSEC_PER_SEC, now,
				 now + (uint64_t)rand() % NSEC_PER_MSEC};

		timer_arm(&t, at[way / 1000 % 4]);
		due = max(at[way / 1000 % 4], now);
		clock_advance_ns(2000);
		if (ipis[1] == kicks && clock_ns() < next)
			continue;
		looks++;
		late = max(late, due < clock_ns() ? clock_ns() - due : 0);
		next = other_cpu_looks();
	}
	assert_in_range(fired, 100, 10000);
	assert_true(late <= TIMER_GAP_NS + 4000);
	assert_in_range(looks, 100, NSEC_PER_SEC / TIMER_GAP_NS + 100);
	assert_in_range(ipis[1], 1, looks);
}

/* One that is armed in peace comes in time, and costs one kick and one look more. */
static void a_timer_from_afar_comes_in_time(void **state)
{
	struct timer t;

	timer_init(&t, &vmm_cpu_by_id(1)->timers, fire_once);
	assert_int_equal(other_cpu_looks(), TIMER_NEVER);
	timer_arm(&t, clock_ns() + 100 * NSEC_PER_MSEC);
	assert_int_equal(ipis[1], 1);
	assert_int_equal(other_cpu_looks(), clock_ns() + TIMER_GAP_NS);
	clock_advance_ns(TIMER_GAP_NS);
	assert_int_equal(other_cpu_looks(), t.deadline_ns);
	timer_arm(&t, t.deadline_ns + 1); /* later: no news */
	assert_int_equal(ipis[1], 1);
	clock_advance_ns(100 * NSEC_PER_MSEC);
	fired = 0;
	other_cpu_looks();
	assert_int_equal(fired, 1);
}

/* A halted guest with a short period must not take the time of the one that runs. */
static void timers_of_others_wait_a_little(void **state)
{
	struct vmm_cpu *c = vmm_this_cpu();
	struct timer mine, theirs;

	sched_add(&vcpu[0]);
	sched_add(&other[0]);
	other[0].state = VCPU_HALTED;
	atomic_store(&other[0].requests, 0);
	timer_init(&mine, &c->timers, fire_once);
	timer_init(&theirs, &c->timers, fire_once);
	mine.owner = &vm;
	theirs.owner = &others[0];
	assert_ptr_equal(turn(), &vcpu[0]);
	timer_arm(&theirs, clock_ns());
	sched_run_timers(c);
	timer_arm(&theirs, clock_ns() + 20000);
	sched_run_timers(c);
	assert_int_equal(armed, clock_ns() + TIMER_GAP_NS);
	timer_arm(&mine, clock_ns() + 30000); /* its own are not held back */
	sched_run_timers(c);
	assert_int_equal(armed, clock_ns() + 30000);
	timer_cancel(&mine);
	/* In the other's turn it is the other way round. */
	other[0].state = VCPU_RUNNABLE;
	vcpu[0].state = VCPU_HALTED;
	atomic_store(&vcpu[0].requests, 0);
	assert_ptr_equal(turn(), &other[0]);
	sched_run_timers(c);
	assert_int_equal(armed, theirs.deadline_ns);
}

/* INIT and SIPI in turn, interrupts, NMIs: to a vCPU whose CPU is busy with another VM. */
static void requests_to_one_that_waits_disturb_nobody(void **state)
{
	struct vmm_cpu *c = vmm_cpu_by_id(1);

	vcpu[0].pcpu = other[0].pcpu = 1;
	sched_add(&other[0]);
	assert_ptr_equal(sched_pick(c), &other[0]);
	c->loaded = &other[0];
	c->mode = CPU_IN_GUEST;
	sched_add(&vcpu[0]);
	ipis[1] = 0;
	atomic_store(&vcpu[0].requests, 0);
	for (unsigned i = 0; i < 1000; i++) {
		atomic_fetch_and(&vcpu[0].requests, ~(uint32_t)REQ_STARTUP);
		vcpu_request(&vcpu[0], REQ_INIT);
		vcpu_request(&vcpu[0], REQ_STARTUP);
		vcpu_request(&vcpu[0], REQ_EVENT | REQ_NMI);
	}
	assert_int_equal(ipis[1], 0); /* it could run before */
	atomic_store(&vcpu[0].requests, 0);
	atomic_store(&vcpu[0].state, VCPU_WAIT_FOR_SIPI);
	vcpu_request(&vcpu[0], REQ_FLUSH); /* nothing that wakes it */
	assert_int_equal(ipis[1], 0);
	/* It wakes, and the turn of the other ends earlier: one kick. */
	for (unsigned i = 0; i < 1000; i++) {
		atomic_store(&vcpu[0].requests, 0);
		vcpu_request(&vcpu[0], REQ_STARTUP);
	}
	assert_int_equal(ipis[1], 1);
	assert_true(atomic_load(&other[0].requests) & REQ_PREEMPT);
	assert_int_equal(c->turn_ends, clock_ns() + SCHED_MIN_TURN_NS);
	/* An idle CPU gets its kick always. */
	c->mode = CPU_IDLE;
	vcpu_request(&vcpu[0], REQ_NMI);
	assert_int_equal(ipis[1], 2);
}

/* One that halted is still loaded while the next is picked: a request must not count on its look.
 */
static void a_halted_vcpu_may_still_be_loaded(void **state)
{
	struct vmm_cpu *c = vmm_cpu_by_id(1);

	vcpu[0].pcpu = other[0].pcpu = 1;
	sched_add(&vcpu[0]);
	sched_add(&other[0]);
	atomic_store(&vcpu[0].requests, 0);
	c->loaded = &vcpu[0];
	vcpu[0].state = VCPU_HALTED;
	assert_ptr_equal(sched_pick(c), &other[0]);
	vcpu_request(&vcpu[0], REQ_EVENT);
	assert_true(atomic_load(&other[0].requests) & REQ_PREEMPT);
}

static void a_turn_lasts_a_while(void **state)
{
	struct vmm_cpu *c = vmm_this_cpu();

	sched_add(&other[0]);
	sched_add(&other[1]);
	other[1].state = VCPU_HALTED;
	atomic_store(&other[1].requests, 0);
	assert_ptr_equal(turn(), &other[0]);
	clock_advance_ns(SCHED_SLICE_NS); /* the other one is far behind */
	assert_ptr_equal(turn(), &other[0]);
	assert_int_equal(c->slice.deadline_ns, c->turn_began + SCHED_SLICE_NS);
	atomic_store(&other[0].requests, 0);
	clock_advance_ns(100000);
	vcpu_request(&other[1], REQ_EVENT);
	assert_int_equal(atomic_load(&other[0].requests), REQ_PREEMPT);
	sched_shorten_turn(c, &other[0]);
	assert_int_equal(c->slice.deadline_ns, c->turn_began + SCHED_MIN_TURN_NS);
	assert_false(atomic_load(&other[0].requests) & REQ_YIELD);
	clock_advance_ns(SCHED_MIN_TURN_NS);
	sched_shorten_turn(c, &other[0]);
	assert_true(atomic_load(&other[0].requests) & REQ_YIELD);
}

/*
 * A vCPU that is alone has no time slice, and may never let an interrupt in. While output waits it
 * has, and in front of it interrupts open; on the boot CPU alone.
 */
static void output_makes_time_slices(void **state)
{
	vcpu[0].state = VCPU_RUNNABLE;
	sched_add(&vcpu[0]);
	assert_ptr_equal(turn(), &vcpu[0]);
	assert_false(vmm_this_cpu()->has_work);
	assert_int_equal(openings, 0);
	output_pending = true;
	assert_ptr_equal(turn(), &vcpu[0]);
	assert_true(vmm_this_cpu()->has_work);
	assert_int_equal(openings, 1);
	assert_int_equal(halts, 0);
	cpus[0].id = 1;
	vmm_this_cpu()->id = 1;
	assert_ptr_equal(turn(), &vcpu[0]);
	assert_false(vmm_this_cpu()->has_work);
	assert_int_equal(openings, 1);
	output_pending = false;
}

static void ask_for_a_round(void)
{
	at_work = NULL;
	vmm_cpu_reschedule(vmm_this_cpu()); /* another CPU, which finds this one busy */
}

/* Between the look for work and the halt nobody kicks: the halt must see what was asked. */
static void a_round_that_was_asked_for_is_no_halt(void **state)
{
	sched_add(&vcpu[0]);
	vcpu[0].state = VCPU_HALTED;
	atomic_store(&vcpu[0].requests, 0);
	interrupt = wake;
	at_work = ask_for_a_round;
	assert_ptr_equal(turn(), &vcpu[0]);
	assert_int_equal(halts, 0);
}

/* A VM that has just had its turn is not new because one of its vCPUs woke in it. */
static void a_sibling_that_wakes_shortens_no_turn(void **state)
{
	struct vmm_cpu *c = vmm_this_cpu();

	sched_add(&vcpu[0]);
	sched_add(&vcpu[1]);
	sched_add(&other[0]);
	vcpu[1].state = VCPU_HALTED;
	atomic_store(&vcpu[1].requests, 0);
	assert_ptr_equal(turn(), &vcpu[0]);
	clock_advance_ns(NSEC_PER_MSEC);
	vcpu_request(&vcpu[1], REQ_EVENT);
	assert_ptr_equal(turn(), &other[0]);
	assert_int_equal(c->turn_ends, c->turn_began + SCHED_SLICE_NS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(idle_or_running_cpus_are_kicked, cpus_setup,
						cpus_teardown),
		cmocka_unit_test_setup_teardown(a_cpu_that_interrupts_itself_looks_for_nmis,
						cpus_setup, cpus_teardown),
		cmocka_unit_test_setup_teardown(a_storm_of_requests_is_one_kick, cpus_setup,
						cpus_teardown),
		cmocka_unit_test_setup_teardown(a_new_vcpu_interrupts_one_that_ran_alone,
						cpus_setup, cpus_teardown),
		cmocka_unit_test_setup_teardown(vcpus_take_turns, cpus_setup, cpus_teardown),
		cmocka_unit_test_setup_teardown(calls_after_a_grace_period_get_their_turn,
						cpus_setup, cpus_teardown),
		cmocka_unit_test_setup_teardown(background_work_gets_its_turn, cpus_setup,
						cpus_teardown),
		cmocka_unit_test_setup_teardown(paused_vcpus_get_no_turn, cpus_setup,
						cpus_teardown),
		cmocka_unit_test_setup_teardown(an_idle_cpu_halts_until_an_interrupt, cpus_setup,
						cpus_teardown),
		cmocka_unit_test_setup_teardown(interrupts_come_in_while_there_is_work, cpus_setup,
						cpus_teardown),
		cmocka_unit_test_setup_teardown(a_reschedule_before_the_load_is_not_lost,
						cpus_setup, cpus_teardown),
		cmocka_unit_test_setup_teardown(timers_leave_time_for_the_guests, cpus_setup,
						cpus_teardown),
		cmocka_unit_test_setup_teardown(a_timer_of_another_cpu_is_one_interrupt, cpus_setup,
						cpus_teardown),
		cmocka_unit_test_setup_teardown(storms_of_timers_are_bounded, cpus_setup,
						cpus_teardown),
		cmocka_unit_test_setup_teardown(a_timer_from_afar_comes_in_time, cpus_setup,
						cpus_teardown),
		cmocka_unit_test_setup_teardown(timers_of_others_wait_a_little, cpus_setup,
						cpus_teardown),
		cmocka_unit_test_setup_teardown(requests_to_one_that_waits_disturb_nobody,
						cpus_setup, cpus_teardown),
		cmocka_unit_test_setup_teardown(a_halted_vcpu_may_still_be_loaded, cpus_setup,
						cpus_teardown),
		cmocka_unit_test_setup_teardown(a_turn_lasts_a_while, cpus_setup, cpus_teardown),
		cmocka_unit_test_setup_teardown(a_round_that_was_asked_for_is_no_halt, cpus_setup,
						cpus_teardown),
		cmocka_unit_test_setup_teardown(a_sibling_that_wakes_shortens_no_turn, cpus_setup,
						cpus_teardown),
		cmocka_unit_test_setup_teardown(output_makes_time_slices, cpus_setup,
						cpus_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
