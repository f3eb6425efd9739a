/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One instruction of a vCPU in the emulator: its registers are handed over, and what follows from
 * the result is done. Operands are insn_memory.c's, code is insn_code.c's, system registers and
 * system instructions are insn_callbacks.c's.
 */
#include "vmm/exit/insn.h"

#include <stdio.h>
#include <string.h>

#include "arch/x86/regs.h"
#include "vmm/exit/halt.h"
#include "vmm/exit/insn_ctx.h"

static void get_segment(struct emul_ctx *c, enum seg seg)
{
	virt_seg_read(&insn_ctx_of(c)->v->virt, seg, &c->seg[seg]);
	c->segs_known |= BIT(seg);
}

static bool is_time_over(struct emul_ctx *c)
{
	return insn_is_time_over(insn_ctx_of(c));
}

static const struct emul_ops ops = {
	.fetch = insn_fetch,
	.read = insn_read,
	.write = insn_write,
	.cmpxchg = insn_cmpxchg,
	.pio_in = insn_pio_in,
	.pio_out = insn_pio_out,
	.is_time_over = is_time_over,
	.get_segment = get_segment,
	.is_amd = insn_is_amd,
	.cr_read = insn_cr_read,
	.cr_write = insn_cr_write,
	.dr_read = insn_dr_read,
	.dr_write = insn_dr_write,
	.table_read = insn_table_read,
	.table_write = insn_table_write,
	.fpu = insn_fpu,
	.native = insn_native,
	.system = insn_system,
};

static inline void set_mode(struct insn_ctx *ic)
{
	const struct virt_insn_state *s = &ic->state;
	struct emul_ctx *c = &ic->ctx;

	c->lma = s->efer & EFER_LMA;
	c->cpl = s->cpl;
	c->va_bits = s->cr4 & CR4_LA57 ? 57 : 48;
	c->mode = emul_mode_of(s->cr0 & CR0_PE, c->rflags & RFLAGS_VM, c->lma, s->cs_attr);
	ic->mode_changed = false;
}

void insn_update_mode(struct insn_ctx *ic)
{
	virt_insn_state(&ic->v->virt, &ic->state);
	set_mode(ic);
}

void insn_begin(struct insn_ctx *ic, struct vcpu *v)
{
	struct emul_ctx *c = &ic->ctx;

	virt_insn_state(&v->virt, &ic->state);
	if (unlikely(ic->state.cr8 != v->cr8))
		vcpu_sync_task_priority(v);
	ic->v = v;
	ic->paging_current = false;
	ic->halt = false;
	ic->device = ic->used_device = false;
	ic->steps = 0;
	ic->until_ns = 0;
	ic->fault_error = 0;
	c->ops = &ops;
	c->gpr = v->virt.gpr;
	c->rip = v->virt.rip;
	c->rflags = ic->state.rflags;
	c->int_shadow = ic->state.irq_shadow;
	c->segs_known = c->segs_dirty = 0;
	c->insn.nr_bytes = 0;
	set_mode(ic);
}

__cold void insn_inject(struct vcpu *v, const struct emul_fault *f)
{
	if (f->vector == X86_TRAP_PF)
		event_inject_page_fault(v, GVA(f->cr2), f->error);
	else if (f->has_error)
		event_inject_error(v, f->vector, f->error);
	else
		event_inject(v, f->vector);
}

__cold void insn_refuse(struct vcpu *v)
{
	char hex[3 * EMUL_MAX_INSN_LEN + 1] = "";
	const struct emul_insn *insn;
	struct insn_ctx ic;
	struct segment cs;

	insn_begin(&ic, v);
	emul_decode(&ic.ctx); /* for the bytes, whatever they are */
	insn = &ic.ctx.insn;
	for (unsigned i = 0; i < insn->nr_bytes; i++)
		snprintf(hex + 3 * i, 4, " %02x", insn->bytes[i]);
	virt_seg_read(&v->virt, SEG_CS, &cs);
	if (!insn->nr_bytes) {
		vm_bug(v, VM_KILLED, "cannot emulate the instruction at %04x:%llx: no memory",
		       cs.selector, (unsigned long long)ic.ctx.rip);
		return;
	}
	log_guest(LOG_WARN,
		  "vm %s: vcpu %u: #UD for an instruction it cannot emulate at %04x:%llx:%s",
		  v->vm->name, v->id, cs.selector, (unsigned long long)ic.ctx.rip, hex);
	event_inject(v, X86_TRAP_UD);
}

static __cold void commit_segments(struct insn_ctx *ic, unsigned segs)
{
	for (unsigned i = 0; segs; i++, segs >>= 1) {
		if (segs & 1)
			virt_seg_write(&ic->v->virt, i, &ic->ctx.seg[i]);
	}
}

static __always_inline void commit_some(struct insn_ctx *ic, unsigned segs)
{
	struct emul_ctx *c = &ic->ctx;

	ic->v->virt.rip = c->rip;
	if (unlikely(segs))
		commit_segments(ic, segs);
	virt_set_insn_state(&ic->v->virt, c->rflags, c->int_shadow);
}

void insn_commit(struct insn_ctx *ic, unsigned segs)
{
	commit_some(ic, segs);
}

static void commit(struct insn_ctx *ic)
{
	commit_some(ic, ic->ctx.segs_dirty);
	if (unlikely(ic->ctx.trap))
		event_raise_single_step(ic->v);
	if (unlikely(ic->halt))
		halt_execute(ic->v);
}

/* Does the instruction touch memory at its ModRM operand, and nowhere else? */
static bool has_one_memory_operand(const struct emul_insn *insn)
{
	switch (insn->op) {
	case OP_MOV:
	case OP_MOVZX:
	case OP_MOVSX:
	case OP_ADD ... OP_CMP:
	case OP_TEST:
	case OP_XCHG:
		return true;
	default:
		return false;
	}
}

/* The instruction was not executed, or not to its end. False: the emulator does not have it. */
static __cold bool finish_early(struct insn_ctx *ic, int result)
{
	struct vcpu *v = ic->v;

	switch (result) {
	case EMUL_FAULT:
		insn_commit(ic, ic->ctx.segs_dirty);
		insn_inject(v, &ic->ctx.fault);
		return true;
	case EMUL_AGAIN: /* registers of finished iterations are in place already */
		virt_set_rflags(&v->virt, ic->ctx.rflags);
		if (ic->ctx.trap)
			event_raise_single_step(v);
		return true;
	default:
		return false;
	}
}

bool insn_finish(struct insn_ctx *ic, int result)
{
	if (unlikely(result != EMUL_OK))
		return finish_early(ic, result);
	commit(ic);
	return true;
}

bool insn_emulate(struct vcpu *v)
{
	struct insn_ctx ic;

	insn_begin(&ic, v);
	return insn_finish(&ic, emul_run(&ic.ctx));
}

bool insn_emulate_fault(struct vcpu *v, const struct vm_exit *exit)
{
	struct insn_ctx ic;
	int r;

	insn_begin(&ic, v);
	if (exit->fault.insn_bytes) {
		ic.ctx.insn.nr_bytes = exit->fault.insn_bytes;
		memcpy(ic.ctx.insn.bytes, exit->fault.insn, EMUL_MAX_INSN_LEN);
	}
	r = insn_decode(&ic);
	if (r == EMUL_OK) {
		if (!(exit->fault.error & PFERR_FETCH) && has_one_memory_operand(&ic.ctx.insn)) {
			ic.fault_error = exit->fault.error;
			ic.fault_gpa = exit->fault.gpa;
			/* An MMIO entry led here only because there is no slot. */
			ic.device = (exit->fault.error & PFERR_RSVD) ||
				    !slots_find(&v->vm->mem, gpa_to_gfn(exit->fault.gpa));
		}
		r = emul_execute(&ic.ctx);
	}
	return insn_finish(&ic, r);
}
