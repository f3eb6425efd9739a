/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The scheduler of one CPU, and what reaches it from others: kicks, time slices, timers. CPU 0 is
 * the one that the test runs on, CPU 1 the one it talks to.
 */
#include <asm/prctl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cmocka.h>

#include "arch/x86/apic.h"
#include "arch/x86/irq.h"
#include "mm/grace.h"
#include "tests/unit/support/clock.h"
#include "tests/unit/support/fake_virt.h"
#include "tests/unit/support/host.h"
#include "vmm/control/cpu_loop.h"
#include "vmm/control/work.h"
#include "vmm/exit/loop.h"
#include "vmm/output.h"
#include "vmm/sched.h"
#include "vmm/vcpu_load.h"
#include "vmm/vm.h"

/* ---- the machine ---- */

static struct cpu cpus[2];
static unsigned ipis[2];
static uint64_t armed;

unsigned cpu_count(void)
{
	return 2;
}

struct cpu *cpu_by_id(unsigned id)
{
	return &cpus[id];
}

void apic_send_ipi(unsigned cpu, unsigned vector)
{
	assert_int_equal(vector, IRQ_VECTOR_KICK);
	ipis[cpu]++;
}

void apic_timer_arm_ns(uint64_t deadline_ns)
{
	armed = deadline_ns;
}

void apic_timer_fired(void) {}

static irq_handler_t kick;

void irq_register(unsigned vector, irq_handler_t handler)
{
	if (vector == IRQ_VECTOR_KICK)
		kick = handler;
}

/* ---- the rest of the vmm ---- */

static struct vm vm = {.name = "vm"};
static struct vcpu vcpu[3];
static jmp_buf in_guest;
static struct vcpu *running;

void loop_run(struct vmm_cpu *c, struct vcpu *v)
{
	running = v;
	longjmp(in_guest, 1);
}

void vcpu_load(struct vcpu *v)
{
	vmm_this_cpu()->loaded = v;
}

static void (*at_work)(void); /* what happens to come while the CPU looks for work */
static bool work_pending;

bool work_do(void)
{
	if (at_work)
		at_work();
	return work_pending;
}

bool work_is_pending(void)
{
	return work_pending;
}

static unsigned halts, openings;
static void (*interrupt)(void);

/* The halt ends by an interrupt, which makes a vCPU runnable. */
void test_wait_for_interrupt(void)
{
	halts++;
	interrupt();
}

void test_take_interrupts(void)
{
	openings++;
	if (interrupt)
		interrupt();
}

void console_poll(void) {}

static bool output_pending;

bool output_is_pending(void)
{
	return output_pending;
}

/* This CPU's next turn, up to where a vCPU runs. */
static struct vcpu *turn(void)
{
	if (!setjmp(in_guest))
		cpu_loop();
	return running;
}

static void nothing(struct grace_head *head) {}

static int setup(void **state)
{
	memset(cpus, 0, sizeof(cpus));
	memset(vcpu, 0, sizeof(vcpu));
	memset(ipis, 0, sizeof(ipis));
	halts = openings = 0;
	interrupt = at_work = NULL;
	work_pending = output_pending = false;
	for (unsigned i = 0; i < 2; i++)
		cpus[i] = (struct cpu){.self = &cpus[i], .id = i};
	syscall(SYS_arch_prctl, ARCH_SET_GS, &cpus[0]);
	clock_set_ns(1000000);
	for (unsigned i = 0; i < 2; i++)
		memset(vmm_cpu_by_id(i), 0, sizeof(struct vmm_cpu));
	sched_init();
	vmm_this_cpu()->grace = grace_cpu();
	grace_exit_guest(grace_cpu());
	for (unsigned i = 0; i < ARRAY_SIZE(vcpu); i++) {
		vcpu[i] = (struct vcpu){.vm = &vm, .id = i};
		list_init(&vcpu[i].run_link);
	}
	return 0;
}

static int teardown(void **state)
{
	grace_drain();
	grace_enter_guest(grace_cpu());
	return 0;
}

static void idle_or_running_cpus_are_kicked(void **state)
{
	struct vmm_cpu *other = vmm_cpu_by_id(1);

	vcpu[0].pcpu = 1;
	vcpu_request(&vcpu[0], REQ_EVENT);
	assert_int_equal(ipis[1], 0); /* busy: it will look */
	other->mode = CPU_IN_GUEST;
	vcpu_request(&vcpu[0], REQ_NMI);
	other->mode = CPU_IDLE;
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

/* Guests can send interrupts without end to a vCPU whose CPU is busy with another VM. */
static void a_storm_of_requests_is_one_kick(void **state)
{
	vcpu[0].pcpu = 1;
	vmm_cpu_by_id(1)->mode = CPU_IN_GUEST;
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
	struct vmm_cpu *other = vmm_cpu_by_id(1);

	vcpu[0].pcpu = vcpu[1].pcpu = 1;
	sched_add(&vcpu[0]);
	other->loaded = &vcpu[0];
	atomic_store(&vcpu[0].requests, 0);
	other->mode = CPU_IN_GUEST;
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
	vcpu[1].vm = &(struct vm){.paused = true};
	assert_ptr_equal(turn(), &vcpu[0]);
	assert_ptr_equal(turn(), &vcpu[0]);
	vcpu_request(&vcpu[1], REQ_STOP);
	assert_ptr_equal(turn(), &vcpu[1]);
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(output_makes_time_slices, setup, teardown),
		cmocka_unit_test_setup_teardown(idle_or_running_cpus_are_kicked, setup, teardown),
		cmocka_unit_test_setup_teardown(a_cpu_that_interrupts_itself_looks_for_nmis, setup,
						teardown),
		cmocka_unit_test_setup_teardown(a_storm_of_requests_is_one_kick, setup, teardown),
		cmocka_unit_test_setup_teardown(a_new_vcpu_interrupts_one_that_ran_alone, setup,
						teardown),
		cmocka_unit_test_setup_teardown(vcpus_take_turns, setup, teardown),
		cmocka_unit_test_setup_teardown(calls_after_a_grace_period_get_their_turn, setup,
						teardown),
		cmocka_unit_test_setup_teardown(background_work_gets_its_turn, setup, teardown),
		cmocka_unit_test_setup_teardown(paused_vcpus_get_no_turn, setup, teardown),
		cmocka_unit_test_setup_teardown(an_idle_cpu_halts_until_an_interrupt, setup,
						teardown),
		cmocka_unit_test_setup_teardown(interrupts_come_in_while_there_is_work, setup,
						teardown),
		cmocka_unit_test_setup_teardown(a_reschedule_before_the_load_is_not_lost, setup,
						teardown),
		cmocka_unit_test_setup_teardown(timers_leave_time_for_the_guests, setup, teardown),
		cmocka_unit_test_setup_teardown(a_timer_of_another_cpu_is_one_interrupt, setup,
						teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
