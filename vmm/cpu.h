/* SPDX-License-Identifier: BSD-2-Clause */
/* What the vmm keeps per physical CPU: its vCPUs, its timers, and what it is doing right now. */
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
	_Atomic(struct vcpu *) loaded; /* own CPU writes: whose registers are in the CPU */
	struct grace_cpu *grace;       /* const; this CPU's record in mm/grace.h */
	struct spinlock lock;
	struct list vcpus;         /* lock; bound to this CPU and not stopped */
	_Atomic unsigned nr_vcpus; /* lock to write */
	unsigned id;               /* const */
};

static inline struct vmm_cpu *vmm_this_cpu(void)
{
	return this_cpu()->vmm;
}

struct vmm_cpu *vmm_cpu_by_id(unsigned id);

/* Make a CPU look around: no effect on the calling one. */
void vmm_cpu_kick(struct vmm_cpu *c);

/*
 * End the next run of the calling CPU's vCPU, as soon as what is injected with it has been
 * delivered: the vCPU then looks for NMIs again.
 */
void vmm_cpu_interrupt_self(void);

/* Make a CPU go round its loop: vmm_work(), and whose turn it is. Any CPU. */
void vmm_cpu_reschedule(struct vmm_cpu *c);

/* Bind a new vCPU to its CPU (v->pcpu) and let it run; take a stopped one off. */
void sched_add(struct vcpu *v);
void sched_remove(struct vcpu *v);

/* Set up the per-CPU parts; before the other CPUs enter sched_loop(). Boot CPU. */
void sched_init(void);

/* Run this CPU's vCPUs, for ever. */
__noreturn void sched_loop(void);

/* Take the interrupts that wait, and run the timers that are due. Own CPU. */
void sched_take_interrupts(struct vmm_cpu *c);

void sched_run_timers_slow(struct vmm_cpu *c);

/* Before an entry: what the guest has just armed must be in the hardware. Own CPU. */
static inline void sched_run_timers(struct vmm_cpu *c)
{
	if (unlikely(atomic_load_explicit(&c->timer_pending, memory_order_relaxed)))
		sched_run_timers_slow(c);
}

/* HLT: the vCPU has nothing to do until an event comes. Own CPU. */
void sched_halt(struct vcpu *v);

/* Make `v` the vCPU whose registers are in the calling CPU: virt_*() wants it. */
void sched_load(struct vcpu *v);

/* The opposite: save what is in the calling CPU, which forgets the vCPU. */
void sched_unload(struct vcpu *v);

/* Once, before the first sched_load(): what the CPUs have. Boot CPU. */
void sched_init_switch(void);

/* The guest's TSC_AUX, if it has one, into the calling CPU. */
void sched_load_tsc_aux(const struct vcpu *v);

/* DR0 to DR3 of the vCPU that is in the calling CPU become 0. */
void sched_clear_dr(void);

#endif
