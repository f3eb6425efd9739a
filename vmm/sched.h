/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The scheduler of each physical CPU: which of its vCPUs runs next, for how long, and the timers
 * that end a slice. The loop that calls these functions is vmm/control/cpu_loop.c.
 *
 * VMs share a CPU in proportion to their weights (vmm/fair.h), and the vCPUs that a VM has there
 *take turns within its share. What a turn took is charged at its end, all of it: the guest, its
 *exits, and what the hypervisor emulated for it. A turn ends with its time slice, by a halt or a
 *PAUSE, or because another VM's vCPU wakes that has had less; the VM with the least then comes
 *next, so who gives its turn away loses nothing, and who goes on gains nothing. The time slice is
 *armed only when more than one vCPU is bound to the CPU. A halted vCPU costs nothing until it gets
 *a request. vCPUs do not migrate.
 *
 * Who wakes preempts only once the turn of the running vCPU has lasted SCHED_MIN_TURN_NS. Both that
 *a vCPU wakes and that one is picked are under the CPU's lock:
 *
 *	waker, any CPU				the vCPU's CPU
 *	requests |= REQ_EVENT	(A)		sched_pick(): lock
 *	sched_wake(): lock				looks at all requests	(C)
 *		compares with c->running (B)		c->running = w		(D)
 *		its requests |= REQ_PREEMPT	unlock
 *	unlock, kick
 *
 * If the waker has the lock first, C sees A; otherwise B sees D. And only the first waker of a turn
 * kicks, so a storm of them costs a VM that runs one interruption in SCHED_MIN_TURN_NS, and one
 *more to end its turn.
 *
 * The timers of other VMs than the one that runs, and those that other CPUs arm, also come in
 *bounded numbers: see TIMER_GAP_NS.
 */
#ifndef VMM_SCHED_H
#define VMM_SCHED_H

#include "lib/clock.h"
#include "vmm/cpu.h"

/* A vCPU's turn, when somebody else waits for its CPU. */
#define SCHED_SLICE_NS (10 * NSEC_PER_MSEC)

/* Nobody's turn is shorter than that because somebody else woke. */
#define SCHED_MIN_TURN_NS (500 * NSEC_PER_USEC)

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

/* End the turn, and charge for it. Own CPU, as soon as the run loop has left the vCPU. */
void sched_put(struct vmm_cpu *c);

/*
 * The vCPU `v` of CPU `c`, which is not loaded there, or halted, has these new requests, set before
 * this call. Any CPU, under any lock but a CPU's.
 */
void sched_wake(struct vmm_cpu *c, struct vcpu *v, uint32_t requests);

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
