/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The turns of a CPU's vCPUs: whose is next, what it is charged, and when it is to end.
 *
 * VMs share a CPU in proportion to their weights (vmm/fair.h), and the vCPUs that a VM has there
 * take turns within its share. What a turn took is charged at its end, all of it: the guest, its
 * exits, and what the hypervisor emulated for it. A turn ends with its time slice, by a halt or a
 * PAUSE, or because another VM's vCPU wakes that has had less. The VM with the least then comes
 * next. So who gives its turn away loses nothing, and who goes on gains nothing.
 *
 * Who wakes ends a turn only once that has lasted SCHED_MIN_TURN_NS. Both that a vCPU wakes and
 * that one is picked are under the CPU's lock:
 *
 *	waker, any CPU				the vCPU's CPU
 *	requests |= REQ_EVENT	(A)		turn_begin(): lock
 *	turn_wake(): lock				looks at all requests	(C)
 *		compares with c->running (B)		c->running = w		(D)
 *		its requests |= REQ_PREEMPT	unlock
 *	unlock, kick
 *
 * If the waker has the lock first, C sees A; otherwise B sees D. A waker kicks only if it makes the
 * turn shorter, and each VM there can do that once in a turn. So a storm of wakers costs a VM that
 * runs a few interruptions in SCHED_MIN_TURN_NS.
 */
#ifndef VMM_TURN_H
#define VMM_TURN_H

#include "lib/clock.h"
#include "vmm/cpu.h"

/* A vCPU's turn, when somebody else waits for its CPU. */
#define SCHED_SLICE_NS (10 * NSEC_PER_MSEC)

/* Nobody's turn is shorter than that because somebody else woke. */
#define SCHED_MIN_TURN_NS (500 * NSEC_PER_USEC)

/* A vCPU is bound to its CPU from now on, or not any more. Any CPU. */
void turn_join(struct vmm_cpu *c, struct vcpu *v);
void turn_leave(struct vmm_cpu *c, struct vcpu *v);

/* Does any vCPU want a turn? Own CPU. */
bool turn_is_wanted(struct vmm_cpu *c);

/* Begin the turn of the vCPU that is next; NULL: none can run. Own CPU. */
struct vcpu *turn_begin(struct vmm_cpu *c);

/* End the turn, and charge for it. Own CPU, as soon as the run loop has left the vCPU. */
void turn_end(struct vmm_cpu *c);

/* When the turn that has begun is to end; clock_ns() time. Own CPU. */
uint64_t turn_ends_at(struct vmm_cpu *c);

/*
 * The vCPU `v` of CPU `c`, which is not loaded there, or halted, has these new requests, set before
 * this call. Any CPU, under any lock but a CPU's.
 */
void turn_wake(struct vmm_cpu *c, struct vcpu *v, uint32_t requests);

#endif
