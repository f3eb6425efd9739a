/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The run loop of one vCPU: entry, exit, and again. It is compiled once for each vendor
 * (loop_svm.c, loop_vmx.c), so that the path of an exit never asks which vendor it is. These files
 * define VIRT_CALL (arch/x86/virt.h) and VCPU_RUN, the name of the loop.
 *
 * Each exit is handled to its end with interrupts closed. An interrupt or a kick that comes
 * meanwhile ends the next run at once.
 */
#include "mm/grace.h"
#include "vmm/cpu.h"
#include "vmm/exit/dispatch_tmpl.h"
#include "vmm/exit/loop.h"
#include "vmm/exit/realmode.h"
#include "vmm/exit/requests.h"
#include "vmm/exit/watch.h"

/* (C) and (D) of vmm/vcpu.h. False: requests came in between. */
static bool begin_run(struct vmm_cpu *c, struct vcpu *v)
{
	atomic_store(&c->mode, CPU_IN_GUEST);
	if (likely(!atomic_load(&v->requests)))
		return true;
	atomic_store_explicit(&c->mode, CPU_BUSY, memory_order_release);
	return false;
}

/*
 * One run of the guest. Returns the reason of the exit that ended it. A CPU that waits until this
 * CPU is out of guest mode waits for watch_exit() as well, and so for the log of the guest's
 * writes.
 */
static enum exit_reason run(struct vmm_cpu *c, struct vcpu *v, struct vm_exit *exit)
{
	enum exit_reason reason;

	grace_enter_guest(c->grace);
	virt_vcpu_run(&v->virt, exit);
	reason = exit->reason; /* before the barriers: it is in a register */
	grace_exit_guest(c->grace);
	if (unlikely(v->watch))
		watch_exit(v, exit);
	atomic_store_explicit(&c->mode, CPU_BUSY, memory_order_release);
	if (unlikely(v->virt.idt_event.type != EVENT_NONE))
		event_requeue(v);
	v->exits[reason]++;
	return reason;
}

void VCPU_RUN(struct vmm_cpu *c, struct vcpu *v)
{
	enum exit_reason reason;
	struct vm_exit exit;

	sched_run_timers(c);
	if (v->state != VCPU_RUNNABLE && !requests_serve(c, v))
		return;
	for (;;) {
		if (realmode_is_due(v)) {
			realmode_run(c, v);
		} else if (likely(begin_run(c, v))) {
			reason = run(c, v, &exit);
			handle_exit(c, v, reason, &exit);
			continue;
		}
		if (!requests_serve(c, v))
			return;
	}
}
