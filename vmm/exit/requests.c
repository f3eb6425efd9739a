/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What surrounds the runs of a vCPU: its state, and the requests of others, which are served
 * between two runs. The loop itself is run_tmpl.h.
 */
#include "vmm/exit/loop.h"

#include <string.h>

#include "arch/x86/regs.h"
#include "lib/log.h"
#include "lib/panic.h"
#include "mm/grace.h"
#include "mm/guest.h"
#include "vmm/cpu.h"
#include "vmm/exit/cr.h"
#include "vmm/dev/apic/lapic.h"
#include "vmm/load/load.h"
#include "vmm/exit/msr.h"
#include "vmm/trace.h"
#include "vmm/vm.h"

/*
 * A VM none of whose vCPUs can ever wake by itself has come to its end: every one is halted with
 * interrupts off, or waits for a SIPI that nobody is left to send.
 *
 * vm->dead counts them in its low half, and in its high half how often that number has changed. A
 * vCPU is counted from the end of one look at its requests to the beginning of the next, before it
 * takes any. So whoever counts the last one, then finds no request in any of them, and then finds
 * the word as it was, has seen them all dead and without a request at the same time. If there is
 * a request, its vCPU will look at it, and do all this again.
 */
#define DEAD_CHANGE BIT_ULL(32)

static bool has_requests(const struct vm *vm)
{
	for (unsigned i = 0; i < vm->nr_vcpus; i++) {
		if (atomic_load(&vm->vcpus[i]->requests))
			return true;
	}
	return false;
}

static void count_dead(struct vcpu *v)
{
	struct vm *vm = v->vm;
	uint64_t word = atomic_fetch_add(&vm->dead, DEAD_CHANGE + 1) + DEAD_CHANGE + 1;

	v->counted_dead = true;
	if ((uint32_t)word == vm->nr_vcpus && !has_requests(vm) && atomic_load(&vm->dead) == word)
		vm_end(vm, VM_HALTED_FOR_GOOD, VM_STATUS_KILLED);
}

static void count_alive(struct vcpu *v)
{
	v->counted_dead = false;
	atomic_fetch_add(&v->vm->dead, DEAD_CHANGE - 1);
}

static bool is_dead(struct vcpu *v)
{
	if (v->state == VCPU_WAIT_FOR_SIPI)
		return true;
	return v->state == VCPU_HALTED && !(virt_rflags(&v->virt) & RFLAGS_IF) &&
	       !(v->nmis_pending && !v->nmi_masked);
}

static void set_state(struct vcpu *v, enum vcpu_state state)
{
	atomic_store_explicit(&v->state, state, memory_order_relaxed);
}

void sched_halt(struct vcpu *v)
{
	set_state(v, VCPU_HALTED);
	vcpu_request(v, REQ_EVENT);
}

void vcpu_apply_boot_state(struct vcpu *v, const struct boot_state *s)
{
	for (int i = 0; i < NR_GPRS; i++)
		v->virt.gpr[i] = s->gpr[i];
	v->virt.rip = s->rip;
	virt_set_rflags(&v->virt, s->rflags);
	virt_reg_write(&v->virt, VREG_CR0, s->cr0);
	virt_reg_write(&v->virt, VREG_CR3, s->cr3);
	virt_reg_write(&v->virt, VREG_CR4, s->cr4);
	virt_reg_write(&v->virt, VREG_EFER, s->efer);
	for (int i = 0; i < NR_SEGS; i++)
		virt_seg_write(&v->virt, i, &s->seg[i]);
	virt_gdtr_write(&v->virt, &s->gdt);
	virt_idtr_write(&v->virt, &s->idt);
}

/* INIT: registers as after RESET, but the FPU, MSRs and the TSC stay (SDM volume 3, table 10-1). */
static void reset_registers(struct vcpu *v)
{
	struct boot_state s;

	virt_vcpu_reset(&v->virt);
	cr_set_intercepts(v);
	boot_state_reset(&s);
	vcpu_apply_boot_state(v, &s);
	v->virt.gpr[GPR_RDX] = v->vm->cpuid.basic[1].eax;
	v->pending.type = EVENT_NONE;
	v->nmis_pending = 0;
	v->nmi_masked = v->nmi_iret = v->nmi_step = false;
	v->irq_window_open = false;
	v->code.page = ~0ull;
	v->mmio_gfn = ~0ull;
	memset(v->known, 0, sizeof(v->known));
	memset(v->decoded, 0, sizeof(v->decoded));
}

void vcpu_reset(struct vcpu *v)
{
	reset_registers(v);
	msr_reset(v);
	v->xcr0 = XCR0_X87;
}

/* INIT leaves the MSRs alone, but for EFER (SDM volume 3, table 10-1; APM volume 2, 14.1.3). */
static void reset_but_msrs(struct vcpu *v)
{
	static const enum vreg msrs[] = {
		VREG_PAT,         VREG_STAR,         VREG_LSTAR,
		VREG_CSTAR,       VREG_SFMASK,       VREG_KERNEL_GS_BASE,
		VREG_SYSENTER_CS, VREG_SYSENTER_ESP, VREG_SYSENTER_EIP,
	};
	uint64_t kept[ARRAY_SIZE(msrs)];

	for (unsigned i = 0; i < ARRAY_SIZE(msrs); i++)
		kept[i] = virt_reg_read(&v->virt, msrs[i]);
	reset_registers(v);
	for (unsigned i = 0; i < ARRAY_SIZE(msrs); i++)
		virt_reg_write(&v->virt, msrs[i], kept[i]);
}

static void handle_init(struct vcpu *v)
{
	lapic_reset_init(v->lapic);
	reset_but_msrs(v);
	sched_clear_dr();
	set_state(v, v->id ? VCPU_WAIT_FOR_SIPI : VCPU_RUNNABLE);
}

static void handle_startup(struct vcpu *v)
{
	struct boot_state s;

	if (v->state != VCPU_WAIT_FOR_SIPI)
		return;
	boot_state_sipi(&s, atomic_load(&v->sipi_vector));
	vcpu_apply_boot_state(v, &s);
	set_state(v, VCPU_RUNNABLE);
}

static void stop(struct vcpu *v)
{
	sched_unload(v);
	sched_remove(v);
	set_state(v, VCPU_STOPPED);
	vm_vcpu_stopped(v);
}

/* The last to leave a root has it freed by this CPU after a grace period: see to that soon. */
static void reload_root(struct vmm_cpu *c, struct vcpu *v)
{
	if (vcpu_load_root(v))
		vm_bug(v, "no memory for the root of its page tables");
	if (grace_is_pending(c->grace))
		vcpu_request(v, REQ_YIELD);
}

/* Nothing is in the CPU's log: that was emptied at the last exit. */
static void change_log(struct vcpu *v)
{
	bool on = atomic_load(&v->vm->logs_writes);

	virt_log_writes(&v->virt, on);
	v->watch = (v->watch & ~WATCH_LOG) | (on ? WATCH_LOG : 0);
}

/* What the CPU noted is brought into the dirty bitmaps of the slots as they are now. */
static void empty_log(struct vcpu *v)
{
	const uint64_t *gpa;
	unsigned nr = virt_take_log(&v->virt, &gpa);

	for (unsigned i = 0; i < nr; i++)
		guest_mark_dirty(&v->vm->mem, GPA(gpa[i]));
}

void vcpu_watch_exit(struct vcpu *v, const struct vm_exit *exit)
{
	if (v->watch & WATCH_LOG)
		empty_log(v);
	if (v->watch & WATCH_TRACE)
		trace_add(v->trace, v, exit);
}

/* The requests that are not about events. Cold. */
static void handle_rare_requests(struct vmm_cpu *c, struct vcpu *v, uint32_t requests)
{
	if (requests & REQ_INIT)
		handle_init(v);
	if (requests & REQ_STARTUP)
		handle_startup(v);
	if (requests & REQ_NMI)
		vcpu_latch_nmis(v);
	if (requests & REQ_FLUSH)
		virt_flush_tdp(&v->virt);
	if (requests & REQ_RELOAD_ROOT)
		reload_root(c, v);
	if (requests & REQ_LOG)
		change_log(v);
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
	if (v->state == VCPU_HALTED && vcpu_has_wake_event(v))
		set_state(v, VCPU_RUNNABLE);
	if (v->state != VCPU_RUNNABLE)
		return false;
	if (atomic_load_explicit(&v->vm->paused, memory_order_relaxed)) {
		atomic_fetch_or(&v->requests, REQ_EVENT);
		return false;
	}
	if (requests & REQ_NEWS)
		vcpu_deliver_events(v);
	return !(requests & REQ_YIELD);
}

/*
 * What the guest wrote into the APIC's register is in CR8 before the guest runs again, also when
 * others do before: until both agree, a MOV CR8 back to the old value would not be seen.
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
__attribute__((noinline)) bool vcpu_handle_requests(struct vmm_cpu *c, struct vcpu *v)
{
	bool run;

	vcpu_sync_task_priority(v);
	if (unlikely(v->counted_dead))
		count_alive(v); /* before the requests are taken */
	run = act_on(c, v, atomic_exchange(&v->requests, 0));
	sync_to_guest(v);
	if (!run && is_dead(v))
		count_dead(v);
	return run;
}

void vcpu_run(struct vmm_cpu *c, struct vcpu *v)
{
	if (virt_is_vmx)
		vcpu_run_vmx(c, v);
	else
		vcpu_run_svm(c, v);
}
