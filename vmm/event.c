/* SPDX-License-Identifier: BSD-2-Clause */
#include "vmm/event.h"

#include "arch/x86/regs.h"
#include "vmm/cpu.h"
#include "vmm/dev/apic/lapic.h"
#include "vmm/emulate/emulate.h"
#include "vmm/vm.h"

/*
 * #DB ends general detection, the recording of branches and the stepping over them (SDM volume
 * 3, 17.2.4 and 17.4.2; APM volume 2, 13.1.1).
 */
static __cold void end_tracing(struct vcpu *v)
{
	uint64_t val = virt_reg_read(&v->virt, VREG_DEBUGCTL), dr7 = virt_dr7(&v->virt);

	if (dr7 & DR7_GD)
		virt_reg_write(&v->virt, VREG_DR7, dr7 & ~DR7_GD);
	if (val & (DEBUGCTL_LBR | DEBUGCTL_BTF))
		virt_reg_write(&v->virt, VREG_DEBUGCTL, val & ~(DEBUGCTL_LBR | DEBUGCTL_BTF));
}

/* An interrupt or NMI that this exception displaces was being delivered: see event_requeue().
 */
static void queue_exception(struct vcpu *v, const struct vm_event_info *ev)
{
	const struct vm_event_info *old = &v->pending;

	vcpu_request(v, REQ_EVENT);
	if (ev->vector == X86_TRAP_DB)
		end_tracing(v);
	if (old->type != EVENT_EXCEPTION) {
		v->pending = *ev;
		return;
	}
	if (old->vector == X86_TRAP_DF) {
		vm_end(v->vm, VM_TRIPLE_FAULT, VM_STATUS_KILLED);
		return;
	}
	if (emul_makes_double_fault(old->vector, ev->vector)) {
		v->pending = (struct vm_event_info){
			.type = EVENT_EXCEPTION,
			.vector = X86_TRAP_DF,
			.has_error = true,
		};
		return;
	}
	v->pending = *ev;
}

void event_inject(struct vcpu *v, uint8_t vector)
{
	queue_exception(v, &(struct vm_event_info){.type = EVENT_EXCEPTION, .vector = vector});
}

/* Real mode pushes no error codes. */
void event_inject_error(struct vcpu *v, uint8_t vector, uint32_t error)
{
	bool real = !(virt_reg_read(&v->virt, VREG_CR0) & CR0_PE);

	queue_exception(v, &(struct vm_event_info){
				   .type = EVENT_EXCEPTION,
				   .vector = vector,
				   .has_error = !real,
				   .error = error,
			   });
}

void event_inject_page_fault(struct vcpu *v, gva_t gva, uint32_t error)
{
	virt_reg_write(&v->virt, VREG_CR2, gva.v);
	event_inject_error(v, X86_TRAP_PF, error);
}

/*
 * The exit came in the middle of delivering an event: deliver it again. Software interrupts are
 * not kept: RIP is still at the INT instruction, which is simply executed again.
 */
__cold void event_requeue(struct vcpu *v)
{
	const struct vm_event_info *ev = &v->virt.idt_event;

	if (event_is_of_insn(ev))
		return;
	v->pending = *ev;
	vcpu_request(v, REQ_EVENT);
}

static bool can_take_interrupt(struct vcpu *v)
{
	return (virt_rflags(&v->virt) & RFLAGS_IF) && !virt_irq_shadow(&v->virt);
}

bool event_has_interrupt(struct vcpu *v)
{
	return lapic_pending(v->lapic) >= 0 || platform_extint_pending(v->vm->platform, v->id);
}

static uint8_t acknowledge_interrupt(struct vcpu *v)
{
	int vector = lapic_pending(v->lapic);

	if (vector < 0)
		return platform_extint_ack(v->vm->platform, v->id);
	lapic_ack(v->lapic, (uint8_t)vector);
	return (uint8_t)vector;
}

static void set_irq_window(struct vcpu *v, bool on)
{
	if (v->irq_window_open == on)
		return;
	v->irq_window_open = on;
	virt_irq_window(&v->virt, on);
}

void event_close_irq_window(struct vcpu *v)
{
	set_irq_window(v, false);
	vcpu_request(v, REQ_EVENT);
}

/* Is the NMI handler still running? The exit at its IRET came before that was executed. */
static bool are_nmis_masked(struct vcpu *v)
{
	if (unlikely(v->nmi_iret) && v->virt.rip != v->nmi_iret_rip)
		v->nmi_masked = v->nmi_iret = false;
	return v->nmi_masked;
}

static bool iret_switches_tasks(struct vcpu *v)
{
	uint64_t rflags = virt_rflags(&v->virt);

	return (rflags & RFLAGS_NT) && !(rflags & RFLAGS_VM) &&
	       (virt_reg_read(&v->virt, VREG_CR0) & CR0_PE) &&
	       !(virt_reg_read(&v->virt, VREG_EFER) & EFER_LMA);
}

/*
 * An NMI waits for that IRET: an exit behind it is wanted. A task would take the borrowed TF along
 * into its TSS, so the IRET that ends a task is to be executed in software: true.
 */
static bool step_over_iret(struct vcpu *v)
{
	if (iret_switches_tasks(v))
		return true;
	v->nmi_step = true;
	virt_set_rflags(&v->virt, virt_rflags(&v->virt) | RFLAGS_TF);
	return false;
}

/*
 * A CPU holds one NMI that waits for the IRET of the one in service. Of two that came since the
 * last look, with none in service, the CPU would have taken the first before the second came.
 */
void event_latch_nmis(struct vcpu *v)
{
	uint32_t count = atomic_exchange(&v->nmis_sent, 0);
	uint32_t limit = are_nmis_masked(v) ? 1 : 2;

	count = min(count, limit) + v->nmis_pending;
	v->nmis_pending = (uint8_t)min(count, limit);
}

/*
 * A fault's handler finds RF set, so that an instruction breakpoint does not hit again when it
 * returns (SDM volume 3, "Instruction-Breakpoint Exception Condition"). The CPU sees to that when
 * it raises the fault, and when it is told to inject one, pushes RFLAGS as they are.
 */
__cold struct vm_event_info event_take_pending(struct vcpu *v)
{
	static const uint32_t no_faults = BIT(X86_TRAP_DB) | BIT(X86_TRAP_BP) | BIT(X86_TRAP_OF) |
					  BIT(X86_TRAP_DF) | BIT(X86_TRAP_MC);
	struct vm_event_info ev = v->pending;

	if (v->pending.type == EVENT_EXCEPTION && !(no_faults >> v->pending.vector & 1))
		virt_set_rflags(&v->virt, virt_rflags(&v->virt) | RFLAGS_RF);
	v->pending.type = EVENT_NONE;
	return ev;
}

static struct vm_event_info take_nmi(struct vcpu *v)
{
	v->nmis_pending--;
	v->nmi_masked = true;
	virt_nmi_window(&v->virt, true);
	return (struct vm_event_info){.type = EVENT_NMI, .vector = X86_TRAP_NMI};
}

/*
 * An NMI waits for the one event that goes in with this entry, or for the end of an interrupt
 * shadow; RFLAGS.IF, on which the interrupt window depends, does not hold it back. A window for
 * NMIs opens right behind either. Where there is none, an interrupt of the CPU's own ends the run
 * once the event is delivered; not in a shadow, where it might end it before anything is executed,
 * again and again.
 */
static __cold void await_nmi(struct vcpu *v, bool busy)
{
	if (!virt_caps.nmi_window_early)
		virt_nmi_window(&v->virt, true);
	else if (busy)
		vmm_cpu_interrupt_self();
}

/* A guest that lowers CR8 must exit if that could let an interrupt in. */
static void watch_cr8(struct vcpu *v)
{
	uint64_t irr = 0;

	for (unsigned i = 0; i < ARRAY_SIZE(v->lapic->irr); i++)
		irr |= atomic_load_explicit(&v->lapic->irr[i], memory_order_relaxed);
	virt_exit_on_cr8_write(&v->virt, irr != 0);
}

/* Ask for the exit that a waiting NMI needs. True: the IRET at RIP is to be executed in software.
 */
static __cold bool wait_with_nmi(struct vcpu *v, bool busy)
{
	if (!v->nmi_masked)
		await_nmi(v, busy);
	else if (v->nmi_iret && !v->nmi_step)
		return step_over_iret(v);
	return false;
}

enum event_next event_next(struct vcpu *v, struct vm_event_info *ev)
{
	/* This entry's injection is taken: perhaps before, by a look that no entry has followed. */
	bool busy = virt_has_event(&v->virt), iret = false;
	bool nmi = v->nmis_pending && !are_nmis_masked(v);

	ev->type = EVENT_NONE;
	if (!busy && v->pending.type != EVENT_NONE)
		*ev = event_take_pending(v);
	else if (!busy && nmi && !virt_irq_shadow(&v->virt))
		*ev = take_nmi(v);
	if (unlikely(v->nmis_pending))
		iret = wait_with_nmi(v, busy || ev->type != EVENT_NONE);
	if (ev->type != EVENT_NONE)
		return EVENT_NEXT_INJECT;
	if (busy)
		return EVENT_NEXT_NOTHING;
	return iret ? EVENT_NEXT_IRET : EVENT_NEXT_INTERRUPT;
}

bool event_take_interrupt(struct vcpu *v, struct vm_event_info *ev)
{
	if (!event_has_interrupt(v) || !can_take_interrupt(v))
		return false;
	*ev = (struct vm_event_info){.type = EVENT_INTR, .vector = acknowledge_interrupt(v)};
	return true;
}

void event_ask_for_windows(struct vcpu *v)
{
	set_irq_window(v, event_has_interrupt(v) || v->pending.type != EVENT_NONE ||
				  (v->nmis_pending && !v->nmi_masked));
	watch_cr8(v);
}

bool event_wakes(struct vcpu *v)
{
	if (v->pending.type != EVENT_NONE || (v->nmis_pending && !are_nmis_masked(v)))
		return true;
	return (virt_rflags(&v->virt) & RFLAGS_IF) && event_has_interrupt(v);
}

bool event_end_nmi_step(struct vcpu *v)
{
	if (likely(!v->nmi_step))
		return false;
	v->nmi_step = v->nmi_iret = v->nmi_masked = false;
	vcpu_request(v, REQ_EVENT);
	return true;
}

void event_raise_debug(struct vcpu *v, uint64_t causes)
{
	uint64_t dr6 = virt_reg_read(&v->virt, VREG_DR6);

	if ((causes & DR6_BS) && event_end_nmi_step(v))
		causes &= ~DR6_BS;
	if (!causes)
		return;
	if (causes & DR6_B0_B3)
		dr6 &= ~DR6_B0_B3;
	virt_reg_write(&v->virt, VREG_DR6, dr6 | causes);
	event_inject(v, X86_TRAP_DB);
}
