/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The scheduler of each physical CPU: which of its vCPUs runs next, for how long, and the timers
 * that end a slice. The loop that calls these functions is vmm/control/cpu_loop.c.
 *
 * Whose turn it is: vmm/turn.h. The time slice is armed only when more than one vCPU is bound to
 * the CPU. A halted vCPU costs nothing until it gets a request. vCPUs do not migrate.
 *
 * The timers of other VMs than the one that runs, and those that other CPUs arm, also come in
 * bounded numbers: see TIMER_GAP_NS.
 */
#ifndef VMM_SCHED_H
#define VMM_SCHED_H

#include "lib/clock.h"
#include "vmm/cpu.h"
#include "vmm/turn.h"

/*
 * How often a CPU looks at its timers for what concerns others than the VM that runs: such a timer
 * may be so much late.
 */
#define TIMER_GAP_NS (250 * NSEC_PER_USEC)

/* Set up the per-CPU parts; before any CPU enters its loop. Boot CPU. */
void sched_init(void);

/* Bind a new vCPU to its CPU (v->pcpu) and let it run; take a stopped one off. Any CPU. */
void sched_add(struct vcpu *v);
void sched_remove(struct vcpu *v);

/* Begin the turn of the vCPU that is next; NULL: none can run. Own CPU. */
struct vcpu *sched_pick(struct vmm_cpu *c);

/* REQ_PREEMPT: end the turn of `v`, now or when it has lasted long enough. Own CPU. */
void sched_shorten_turn(struct vmm_cpu *c, struct vcpu *v);

/* Is there a timer to be looked at, or a vCPU that can run? Own CPU. */
bool sched_is_busy(struct vmm_cpu *c);

/*
 * Begin the slice of `v`, which is loaded. The slice has an end only when something else waits for
 * this CPU: another vCPU, background work, or calls that are due after a grace period. Own CPU.
 */
void sched_start_slice(struct vmm_cpu *c, struct vcpu *v);

/* Take the interrupts that wait, and run the timers that are due. Own CPU. */
void sched_take_interrupts(struct vmm_cpu *c);

void sched_run_timers_slow(struct vmm_cpu *c);

/* Before an entry: put the timer that the guest has just armed into the hardware. Own CPU. */
static inline void sched_run_timers(struct vmm_cpu *c)
{
	if (unlikely(atomic_load_explicit(&c->timer_pending, memory_order_relaxed)))
		sched_run_timers_slow(c);
}

#endif
