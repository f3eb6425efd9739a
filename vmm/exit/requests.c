/* SPDX-License-Identifier: BSD-2-Clause */
#include "vmm/exit/requests.h"

#include <errno.h>

#include "arch/x86/regs.h"
#include "mm/grace.h"
#include "vmm/cpu.h"
#include "vmm/dev/apic/lapic.h"
#include "vmm/dirty_log.h"
#include "vmm/event.h"
#include "vmm/exit/deliver.h"
#include "vmm/exit/halt.h"
#include "vmm/exit/init_sipi.h"
#include "vmm/exit/insn.h"
#include "vmm/exit/realmode.h"
#include "vmm/sched.h"
#include "vmm/vcpu_load.h"
#include "vmm/vcpu_paging.h"
#include "vmm/vm.h"

static void stop(struct vcpu *v)
{
	vcpu_unload(v);
	sched_remove(v);
	vcpu_set_state(v, VCPU_STOPPED);
	console_finish(&v->vm->console);
	vm_vcpu_stopped(v);
}

/*
 * The vCPU that leaves a root last has its CPU free the root after a grace period. Yield, so that
 * this happens soon. While obsolete trees have all pages of the VM's account, the vCPU asks again
 * after the CPU's other vCPUs, which may have to leave such a tree. In between this CPU is
 * quiescent, as it would be in guest mode: the trees wait for that too.
 */
static void reload_root(struct vmm_cpu *c, struct vcpu *v)
{
	int r = vcpu_load_root(v);

	if (r == -EAGAIN) {
		vcpu_request(v, REQ_RELOAD_ROOT | REQ_YIELD);
		grace_round();
	} else if (r) {
		vm_bug(v, VM_UMBRA_FAULT, "no page left for the root of its page tables");
	}
	if (grace_is_pending(c->grace))
		vcpu_request(v, REQ_YIELD);
}

/* --- events: vmm/event.c says what comes next, and here it is done --- */

/* With the next entry; or at once, when it is the emulator that goes on. */
static void inject(struct vcpu *v, const struct vm_event_info *ev)
{
	if (realmode_is_due(v))
		deliver_event(v, ev);
	else
		virt_inject(&v->virt, ev);
}

/*
 * A fault of it comes with NMIs open as well: only an IRET that is still to come masks them.
 * Another look finds the next event, the fault first.
 */
static void emulate_iret(struct vcpu *v)
{
	insn_emulate_or_refuse(v);
	if (v->pending.type != EVENT_NONE)
		v->nmi_masked = v->nmi_iret = false;
	vcpu_request(v, REQ_EVENT);
}

/*
 * QEMU 7.2's VMRUN does not load the interrupt shadow, so an interrupt could go in between STI and
 * HLT, and the HLT behind its handler would never end. An interrupt that comes right before an
 * HLT may as well have come right after it: step over it, and nothing is lost.
 */
static void step_over_hlt(struct vcpu *v)
{
	unsigned len;

	if (virt_cpl(&v->virt) || !(virt_rflags(&v->virt) & RFLAGS_IF) ||
	    (virt_rflags(&v->virt) & RFLAGS_TF))
		return;
	len = insn_peek_length(v, OP_HLT);
	if (len)
		vcpu_skip(v, len);
}

static void deliver_events(struct vcpu *v)
{
	struct vm_event_info ev;

	switch (event_next(v, &ev)) {
	case EVENT_NEXT_INJECT:
		inject(v, &ev);
		break;
	case EVENT_NEXT_IRET:
		emulate_iret(v);
		break;
	case EVENT_NEXT_INTERRUPT:
		if (virt_caps.lax && event_has_interrupt(v))
			step_over_hlt(v);
		if (event_take_interrupt(v, &ev))
			inject(v, &ev);
		break;
	case EVENT_NEXT_NOTHING:
		break;
	}
	event_ask_for_windows(v);
}

/* --- requests --- */

/* The requests that are not about events. Cold. */
static void handle_rare_requests(struct vmm_cpu *c, struct vcpu *v, uint32_t requests)
{
	if (requests & REQ_INIT)
		init_sipi_init(v);
	if (requests & REQ_STARTUP)
		init_sipi_startup(v);
	if (requests & REQ_NMI)
		event_latch_nmis(v);
	if (requests & REQ_FLUSH)
		mmu_flush(&v->virt);
	if (requests & REQ_RELOAD_ROOT)
		reload_root(c, v);
	if (requests & REQ_LOG)
		dirty_switch_cpu_log(v);
	if (requests & REQ_PREEMPT)
		sched_shorten_turn(c, v);
}

/* After these there may be something to deliver. */
#define REQ_NEWS (REQ_EVENT | REQ_NMI | REQ_INIT | REQ_STARTUP)

/* False: the vCPU must not be entered now. */
static bool act_on(struct vmm_cpu *c, struct vcpu *v, uint32_t requests)
{
	if (requests & REQ_TIMERS)
		sched_run_timers(c);
	if (requests & REQ_STOP) {
		stop(v);
		return false;
	}
	if (requests & ~(uint32_t)REQ_EVENT)
		handle_rare_requests(c, v, requests);
	if (v->state == VCPU_HALTED && event_wakes(v))
		vcpu_set_state(v, VCPU_RUNNABLE);
	if (v->state != VCPU_RUNNABLE)
		return false;
	if (atomic_load_explicit(&v->vm->paused, memory_order_relaxed)) {
		atomic_fetch_or(&v->requests, REQ_EVENT);
		return false;
	}
	if (requests & REQ_NEWS)
		deliver_events(v);
	return !(requests & REQ_YIELD);
}

/*
 * Copy the value that the guest wrote into the APIC's register to CR8 before the guest runs again,
 * also if another vCPU runs first: until both agree, a MOV CR8 back to the old value would not be
 * seen.
 */
static void sync_to_guest(struct vcpu *v)
{
	uint8_t cr8 = (uint8_t)lapic_get_cr8(v->lapic);

	if (unlikely(cr8 != v->cr8)) {
		v->cr8 = cr8;
		virt_cr8_write(&v->virt, cr8);
	}
}

/* Out of line: what it works with is not to occupy registers on the way of an exit. */
__attribute__((noinline)) bool requests_serve(struct vmm_cpu *c, struct vcpu *v)
{
	bool run;

	vcpu_sync_task_priority(v);
	if (unlikely(v->counted_dead))
		halt_count_alive(v); /* before the requests are taken */
	run = act_on(c, v, atomic_exchange(&v->requests, 0));
	sync_to_guest(v);
	if (!run)
		halt_count_if_dead(v);
	return run;
}
