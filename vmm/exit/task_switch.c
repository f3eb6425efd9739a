/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Task switches of a CPU that leaves them to the hypervisor: on VMX each one exits. The CPU has
 * found the new TSS; all the rest is the emulator's (vmm/emulate/task.c).
 */
#include "vmm/exit/task_switch.h"

#include "arch/x86/regs.h"
#include "vmm/exit/insn.h"
#include "vmm/exit/insn_ctx.h"

/* Is it for an event from outside the program, and not for an instruction that has come to its end?
 */
static bool is_external(const struct vcpu *v, const struct vm_exit *exit)
{
	enum event_type type = v->virt.idt_event.type;

	return exit->task.source == TASK_GATE && type != EVENT_NONE && type != EVENT_SOFT_INT;
}

/* Has the event arrived in the new task? The trap of the T flag comes behind that. */
static bool is_delivered(const struct insn_ctx *ic, int result)
{
	return result == EMUL_OK || (result == EMUL_FAULT && ic->ctx.fault.vector == X86_TRAP_DB);
}

/*
 * A fault of the new task may find SS with its selector only. CPUs without unrestricted guests
 * refuse to enter with an RPL in it that is not the CPL, although nothing can use the segment.
 */
static void make_stack_acceptable(struct insn_ctx *ic)
{
	struct emul_ctx *c = &ic->ctx;
	struct segment *ss = &c->seg[SEG_SS];

	if (virt_is_unrestricted(&ic->v->virt) || !(c->segs_dirty & BIT(SEG_SS)))
		return;
	if (ss->attr & SEG_ATTR_UNUSABLE)
		ss->selector = (ss->selector & ~3) | c->cpl;
}

/*
 * The event is queued again already, as after any exit that interrupts one: that is right unless it
 * arrives now. A fault on the way displaces it, or makes a double fault of the two.
 */
void task_switch_exit(struct vcpu *v, const struct vm_exit *exit)
{
	const struct vm_event_info *ev = &v->virt.idt_event;
	bool external = is_external(v, exit);
	struct emul_task_switch t = {
		.selector = exit->task.selector,
		.source = exit->task.source,
		.external = external,
		.has_error = external && ev->has_error,
		.error = ev->error,
		.rip = external ? v->virt.rip : v->virt.rip + virt_insn_len(&v->virt),
	};
	struct insn_ctx ic;
	int result;

	insn_begin(&ic, v);
	result = emul_task_switch(&ic.ctx, &t);
	if (external && is_delivered(&ic, result))
		v->pending.type = EVENT_NONE;
	make_stack_acceptable(&ic);
	if (!insn_finish(&ic, result))
		insn_refuse(v);
}
