/* SPDX-License-Identifier: BSD-2-Clause */
#include "vmm/sched.h"

#include "arch/x86/apic.h"
#include "arch/x86/cpu.h"
#include "arch/x86/irq.h"
#include "lib/clock.h"
#include "mm/grace.h"
#include "vmm/console.h"
#include "vmm/vm.h"

#define TIME_SLICE_NS (10 * NSEC_PER_MSEC)

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
 * The first deadline of a queue moved: its CPU programs its timer. Another CPU is interrupted
 * whatever it does: it looks at its timers after every interrupt. On this CPU the vCPU that is
 * loaded has it done before its next entry.
 */
static void timer_earlier(struct timer_queue *q)
{
	struct vmm_cpu *c = container_of(q, struct vmm_cpu, timers);
	struct vcpu *v = c->loaded;
	bool pending = atomic_exchange(&c->timer_pending, true);

	if (c != vmm_this_cpu() && !pending)
		apic_send_ipi(c->id, IRQ_VECTOR_KICK);
	else if (c == vmm_this_cpu() && v)
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
	list_init(&c->vcpus);
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
 * Run the timers, and have the hardware come for the next one not before as much time has passed as
 * these have taken: many guests with short periods may then have half of the CPU for their timers,
 * and never all of it.
 */
static void run_timers(struct vmm_cpu *c)
{
	uint64_t from = clock_ns(), to;

	timer_queue_run(&c->timers, from);
	to = clock_ns();
	apic_timer_arm_ns(max(timer_queue_next(&c->timers), to + (to - from)));
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

	spin_lock(&c->lock);
	list_add_tail(&v->run_link, &c->vcpus);
	atomic_fetch_add(&c->nr_vcpus, 1);
	spin_unlock(&c->lock);
	atomic_fetch_or(&v->requests, REQ_EVENT);
	/* It may run alone there, without a time slice. Pairs with sched_start_slice(). */
	vmm_cpu_reschedule(c);
}

void sched_remove(struct vcpu *v)
{
	struct vmm_cpu *c = vmm_cpu_by_id(v->pcpu);

	spin_lock(&c->lock);
	list_del(&v->run_link);
	atomic_fetch_sub(&c->nr_vcpus, 1);
	spin_unlock(&c->lock);
}

static bool may_run(struct vcpu *v)
{
	uint32_t requests = atomic_load(&v->requests);

	if (atomic_load_explicit(&v->vm->paused, memory_order_relaxed))
		return requests & REQ_STOP;
	return requests || atomic_load_explicit(&v->state, memory_order_relaxed) == VCPU_RUNNABLE;
}

struct vcpu *sched_pick(struct vmm_cpu *c)
{
	struct vcpu *v, *found = NULL;

	spin_lock(&c->lock);
	list_for_each (v, &c->vcpus, run_link) {
		if (may_run(v)) {
			found = v;
			list_del(&v->run_link);
			list_add_tail(&v->run_link, &c->vcpus);
			break;
		}
	}
	spin_unlock(&c->lock);
	return found;
}

bool sched_is_busy(struct vmm_cpu *c)
{
	struct vcpu *v;
	bool work = atomic_load(&c->timer_pending);

	spin_lock(&c->lock);
	list_for_each (v, &c->vcpus, run_link)
		work = work || may_run(v);
	spin_unlock(&c->lock);
	return work;
}

static uint64_t time_slice_ticks(void)
{
	return TIME_SLICE_NS / NSEC_PER_MSEC * clock_tsc_khz();
}

void sched_start_slice(struct vmm_cpu *c, struct vcpu *v)
{
	/* After c->loaded was set: sched_add() does it the other way round, so one sees the other.
	 */
	bool shared = atomic_load(&c->nr_vcpus) > 1;
	bool sliced = shared || grace_is_pending(c->grace);

	virt_exit_on_pause(&v->virt, shared);
	c->slice_end = sliced ? rdtsc() + time_slice_ticks() : ~0ull;
	if (virt_caps.preemption_timer)
		virt_preempt_at(&v->virt, sliced ? c->slice_end : 0);
	else if (sliced)
		timer_arm(&c->slice, clock_ns() + TIME_SLICE_NS);
	else
		timer_cancel(&c->slice);
}
