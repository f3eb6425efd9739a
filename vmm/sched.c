/* SPDX-License-Identifier: BSD-2-Clause */
#include "vmm/sched.h"

#include "arch/x86/apic.h"
#include "arch/x86/cpu.h"
#include "arch/x86/irq.h"
#include "lib/clock.h"
#include "mm/grace.h"
#include "vmm/console.h"
#include "vmm/turn.h"
#include "vmm/vm.h"

/* The kick has done its work by ending the guest's run or the halt; but see await_nmi(). */
static void kick_irq(unsigned vector)
{
	struct vcpu *v = vmm_this_cpu()->loaded;

	(void)vector;
	if (v && v->nmis_pending)
		atomic_fetch_or(&v->requests, REQ_EVENT);
}

static void timer_irq(unsigned vector)
{
	(void)vector;
	apic_timer_fired();
	atomic_store_explicit(&vmm_this_cpu()->timer_pending, true, memory_order_relaxed);
}

/*
 * Another CPU has armed a timer of CPU `c`. If it is due before that CPU looks at its timers, by
 * more than the gap, the CPU is interrupted, whatever it does: it looks after every interrupt.
 * Either way it then looks once more a gap later. So what is armed meanwhile need not interrupt it.
 * (If it looks between these two calls, it has seen the timer.)
 */
static void arm_from_afar(struct vmm_cpu *c)
{
	uint64_t due = max(timer_queue_next(&c->timers), clock_ns());

	atomic_store(&c->armed_from_afar, true);
	if (timer_queue_look_at(&c->timers) - TIMER_GAP_NS <= due)
		return;
	if (!atomic_exchange(&c->timer_pending, true))
		apic_send_ipi(c->id, IRQ_VECTOR_KICK);
}

/*
 * A timer is due before its CPU would look: the hardware is programmed anew. On this CPU the vCPU
 * that is loaded has it done before its next entry.
 */
static void timer_earlier(struct timer_queue *q)
{
	struct vmm_cpu *c = container_of(q, struct vmm_cpu, timers);
	struct vcpu *v = c->loaded;

	if (c != vmm_this_cpu()) {
		arm_from_afar(c);
		return;
	}
	atomic_store(&c->timer_pending, true);
	if (v)
		atomic_fetch_or(&v->requests, REQ_TIMERS);
}

static void slice_over(struct timer *t)
{
	struct vcpu *v = container_of(t, struct vmm_cpu, slice)->loaded;

	if (v)
		vcpu_request(v, REQ_YIELD);
}

static void cpu_init(struct vmm_cpu *c, unsigned id)
{
	c->id = id;
	fair_queue_init(&c->queue);
	timer_queue_init(&c->timers, timer_earlier);
	timer_init(&c->slice, &c->timers, slice_over);
	cpu_by_id(id)->vmm = c;
}

void sched_init(void)
{
	for (unsigned i = 0; i < cpu_count(); i++)
		cpu_init(vmm_cpu_by_id(i), i);
	irq_register(IRQ_VECTOR_KICK, kick_irq);
	irq_register(IRQ_VECTOR_TIMER, timer_irq);
}

/*
 * Of its time, the VM that runs loses this part at the most to timers of others, which come 4000
 * times a second at the most. One run that took long, perhaps not for their sake, does not hold
 * them back for longer than a turn.
 */
#define OTHERS_PART 32

/*
 * Run the timers, and have the hardware come for the next one not before as much time has passed as
 * these have taken: a guest with short periods may then have half of its time for its timers, and
 * never all of it.
 */
static void run_timers(struct vmm_cpu *c)
{
	uint64_t from = clock_ns(), took, pause;
	struct timer_limits limits = {.at_latest = TIMER_NEVER};
	bool others = timer_queue_run(&c->timers, from);

	took = clock_ns() - from;
	pause = max(TIMER_GAP_NS, took * OTHERS_PART);
	if (others)
		c->others_not_before = from + took + min(pause, SCHED_SLICE_NS);
	limits.not_before = from + 2 * took;
	limits.others_not_before = c->others_not_before;
	if (atomic_exchange(&c->armed_from_afar, false))
		limits.at_latest = from + took + TIMER_GAP_NS;
	apic_timer_arm_ns(timer_queue_plan(&c->timers, &limits));
}

/* Cleared before the queue is looked at: what is armed after that sets it again. */
void sched_run_timers_slow(struct vmm_cpu *c)
{
	while (atomic_exchange(&c->timer_pending, false))
		run_timers(c);
}

void sched_take_interrupts(struct vmm_cpu *c)
{
	cpu_take_interrupts();
	sched_run_timers(c);
	console_poll();
}

void sched_add(struct vcpu *v)
{
	struct vmm_cpu *c = vmm_cpu_by_id(v->pcpu);

	turn_join(c, v);
	atomic_fetch_or(&v->requests, REQ_EVENT);
	/* It may run alone there, without a time slice. Pairs with sched_start_slice(). */
	vmm_cpu_reschedule(c);
}

void sched_remove(struct vcpu *v)
{
	turn_leave(vmm_cpu_by_id(v->pcpu), v);
}

struct vcpu *sched_pick(struct vmm_cpu *c)
{
	struct vcpu *v = turn_begin(c);

	/* Timers that were to disturb the last one as little as possible may be this one's own. */
	if (timer_queue_set_owner(&c->timers, v ? v->vm : NULL))
		atomic_store(&c->timer_pending, true);
	return v;
}

bool sched_is_busy(struct vmm_cpu *c)
{
	return atomic_load(&c->timer_pending) || turn_is_wanted(c);
}

static void end_slice_in(struct vmm_cpu *c, struct vcpu *v, uint64_t ns)
{
	c->slice_end = rdtsc() + clock_ns_to_tsc(ns);
	if (virt_caps.preemption_timer)
		virt_preempt_at(&v->virt, c->slice_end);
	else
		timer_arm(&c->slice, clock_ns() + ns);
}

static void let_run(struct vmm_cpu *c, struct vcpu *v)
{
	c->slice_end = ~0ull;
	if (virt_caps.preemption_timer)
		virt_preempt_at(&v->virt, 0);
	else
		timer_cancel(&c->slice);
}

void sched_start_slice(struct vmm_cpu *c, struct vcpu *v)
{
	/* After c->loaded was set: sched_add() does it the other way round, so one sees the other.
	 */
	bool shared = atomic_load(&c->nr_vcpus) > 1;
	bool sliced = shared || c->has_work || grace_is_pending(c->grace);

	virt_exit_on_pause(&v->virt, shared);
	if (sliced)
		end_slice_in(c, v, c->turn_ends - c->turn_began);
	else
		let_run(c, v);
}

void sched_shorten_turn(struct vmm_cpu *c, struct vcpu *v)
{
	uint64_t end = turn_ends_at(c), now = clock_ns();

	if (now >= end)
		vcpu_request(v, REQ_YIELD);
	else
		end_slice_in(c, v, end - now);
}
