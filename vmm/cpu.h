/* SPDX-License-Identifier: BSD-2-Clause */
/* The vmm's data of one physical CPU: its vCPUs, its timers, and what it is doing right now. */
#ifndef VMM_CPU_H
#define VMM_CPU_H

#include <stdatomic.h>

#include "arch/x86/percpu.h"
#include "lib/list.h"
#include "lib/spinlock.h"
#include "mm/grace.h"
#include "vmm/dev/timer.h"
#include "vmm/vcpu.h"

enum cpu_mode {
	CPU_BUSY,     /* in the hypervisor: will look at requests by itself */
	CPU_IN_GUEST, /* entering, in, or leaving a guest: must be kicked */
	CPU_IDLE,     /* about to halt or halted: must be kicked */
};

struct vmm_cpu {
	_Atomic enum cpu_mode mode;    /* own CPU writes; see vmm/vcpu.h */
	_Atomic bool timer_pending;    /* the timer interrupt came, or another CPU armed a timer */
	struct timer_queue timers;     /* rules in vmm/dev/timer.h */
	struct timer slice;            /* own CPU: end of the running vCPU's time slice ... */
	uint64_t slice_end;            /* own CPU: ... in TSC ticks; ~0: there is none */
	_Atomic(struct vcpu *) loaded; /* own CPU writes: the vCPU whose registers are in the CPU */
	bool has_work;                 /* own CPU: background work waits for the end of a slice */
	_Atomic bool reschedule;       /* see vmm_cpu_reschedule() */
	struct grace_cpu *grace;       /* const; this CPU's record in mm/grace.h */
	struct spinlock lock;
	struct fair_queue queue;   /* lock; of groups of vCPUs, bound to this CPU and not stopped */
	_Atomic unsigned nr_vcpus; /* lock to write */
	struct sched_group
		*last;          /* lock; whose turn has just ended; NULL: nobody is to be charged */
	struct vcpu *running;   /* lock; whose turn it is, from turn_begin() to turn_end() */
	uint64_t turn_began;    /* own CPU; clock_ns() time */
	uint64_t charged_until; /* lock; its turn is paid for up to then */
	uint64_t turn_ends;     /* lock; or earlier */
	uint64_t others_not_before;   /* own CPU: see TIMER_GAP_NS in vmm/sched.c */
	_Atomic bool armed_from_afar; /* another CPU has armed a timer here, without a kick */
	unsigned id;                  /* const */
};

static inline struct vmm_cpu *vmm_this_cpu(void)
{
	return this_cpu()->vmm;
}

struct vmm_cpu *vmm_cpu_by_id(unsigned id);

/*
 * Make a CPU look at its requests and timers: an IPI, unless it is in the hypervisor. Does nothing
 * to the calling CPU. What runs there is interrupted, so for anything that a guest can cause as
 * often as it likes there is vcpu_request().
 */
void vmm_cpu_kick(struct vmm_cpu *c);

/*
 * End the next run of the calling CPU's vCPU as soon as the event that is injected with its entry
 * has been delivered. The vCPU then looks for NMIs again.
 */
void vmm_cpu_interrupt_self(void);

/*
 * Make a CPU go round its loop: do the housekeeping and pick a vCPU anew. Any CPU. A CPU that is
 * just about to load a vCPU sees this request as well:
 *
 *	caller					cpu_loop() (vmm/control/cpu_loop.c)
 *	c->reschedule = true	(A)		c->loaded = v		(C)
 *	if (c->loaded)		(B)		if (c->reschedule)	(D)
 *		its requests |= REQ_YIELD		v's requests |= REQ_YIELD
 *
 * All are sequentially consistent, so either B sees C or D sees A. The CPU takes `reschedule` back
 * when it begins its next round, before it looks for work.
 */
void vmm_cpu_reschedule(struct vmm_cpu *c);

#endif
