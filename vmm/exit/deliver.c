/* SPDX-License-Identifier: BSD-2-Clause */
#include "vmm/exit/deliver.h"

#include "arch/x86/regs.h"
#include "vmm/event.h"
#include "vmm/exit/insn.h"
#include "vmm/exit/insn_ctx.h"

/* It is queued again: that makes a double fault of two exceptions that ask for one. */
static void retry(struct vcpu *v, const struct vm_event_info *ev)
{
	v->pending = *ev;
	vcpu_request(v, REQ_EVENT);
}

/* Has the event arrived in a new task? The trap of that task's T flag comes behind it. */
static bool is_delivered(const struct emul_ctx *c)
{
	return c->segs_dirty && c->fault.vector == X86_TRAP_DB;
}

static void raise_fault(struct insn_ctx *ic, const struct vm_event_info *ev)
{
	if (!is_delivered(&ic->ctx))
		retry(ic->v, ev);
	insn_commit(ic, ic->ctx.segs_dirty);
	insn_inject(ic->v, &ic->ctx.fault);
}

void deliver_event(struct vcpu *v, const struct vm_event_info *ev)
{
	struct emul_event event = {
		.vector = ev->vector, .has_error = ev->has_error, .error = ev->error};
	struct insn_ctx ic;

	insn_begin(&ic, v);
	switch (emul_deliver(&ic.ctx, &event)) {
	case EMUL_OK:
		insn_commit(&ic, ic.ctx.segs_dirty);
		break;
	case EMUL_FAULT:
		raise_fault(&ic, ev);
		break;
	case EMUL_AGAIN:
		retry(v, ev);
		break;
	default:
		vm_bug(v, VM_KILLED, "event %u in a mode where it cannot be emulated", ev->vector);
	}
}

/* An event of an instruction is not queued, and RIP is still there: see event_requeue(). */
void deliver_interrupted(struct vcpu *v)
{
	struct vm_event_info ev;

	if (event_is_of_insn(&v->virt.idt_event)) {
		insn_emulate_or_refuse(v);
		return;
	}
	ev = event_take_pending(v);
	deliver_event(v, &ev);
}
