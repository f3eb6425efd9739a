/* SPDX-License-Identifier: BSD-2-Clause */
#include "vmm/control/cpu_loop.h"

#include "arch/x86/cpu.h"
#include "mm/grace.h"
#include "vmm/console.h"
#include "vmm/control/work.h"
#include "vmm/exit/kvm_clock.h"
#include "vmm/exit/loop.h"
#include "vmm/output.h"
#include "vmm/sched.h"
#include "vmm/vcpu_load.h"

/* Whoever asks for a round of the loop while this CPU looks for work has found it busy. */
static bool has_anything_to_do(struct vmm_cpu *c)
{
	return atomic_load(&c->reschedule) || sched_is_busy(c) || grace_is_pending(c->grace) ||
	       work_is_pending();
}

/*
 * Interrupts open in each round: in the halt, or behind it when background work leaves no time to
 * halt.
 */
static void idle(struct vmm_cpu *c)
{
	/* The same order as before an entry: say so first, look for work after. */
	atomic_store(&c->mode, CPU_IDLE);
	grace_enter_guest(c->grace);
	if (!has_anything_to_do(c))
		cpu_wait_for_interrupt();
	grace_exit_guest(c->grace);
	atomic_store(&c->mode, CPU_BUSY);
	sched_take_interrupts(c);
}

static void run(struct vmm_cpu *c, struct vcpu *v)
{
	vcpu_load(v);
	/* (D) of vmm/cpu.h: a CPU that asked before the vCPU was loaded found none to ask. */
	if (unlikely(atomic_load(&c->reschedule)))
		vcpu_request(v, REQ_YIELD);
	sched_start_slice(c, v);
	kvm_clock_tell_steal(v);
	loop_run(c, v);
	turn_end(c);
}

/*
 * While output waits the boot CPU's vCPUs run in time slices, and interrupts open between two of
 * them: vmm/output.c. So they do once for input that may go on.
 */
static bool attend_to_consoles(struct vmm_cpu *c)
{
	if (c->id != 0 || likely(!output_is_pending() && !console_input_goes_on()))
		return false;
	sched_take_interrupts(c);
	return true;
}

void cpu_loop(void)
{
	struct vmm_cpu *c = vmm_this_cpu();
	struct vcpu *v;

	for (;;) {
		atomic_store(&c->reschedule, false);
		c->has_work = work_do();
		c->has_work |= attend_to_consoles(c);
		v = sched_pick(c);
		if (v)
			run(c, v);
		else
			idle(c);
	}
}
