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
#include "vmm/exit/breakpoint.h"
#include "vmm/exit/exception.h"
#include "vmm/exit/halt.h"
#include "vmm/exit/insn_ctx.h"
#include "vmm/exit/nmi.h"

static void get_segment(struct emul_ctx *c, enum seg seg)
{
	virt_seg_read(&insn_ctx_of(c)->v->virt, seg, &c->seg[seg]);
	c->segs_known |= BIT(seg);
}

/* A trap comes behind the iteration that raises it. */
static bool is_time_over(struct emul_ctx *c)
{
	struct insn_ctx *ic = insn_ctx_of(c);

	return ic->hits || insn_is_time_over(ic);
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
	ic->hits = 0;
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
	else if (f->vector == X86_TRAP_MF)
		exception_math_fault(v);
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

/* Segment registers were loaded: among others by IRET. */
static __cold void commit_loads(struct insn_ctx *ic)
{
	insn_commit(ic, ic->ctx.segs_dirty);
	if (ic->v->nmi_masked && ic->ctx.insn.op == OP_IRET)
		nmi_iret_emulated(ic->v);
}

__cold void insn_raise_traps(struct insn_ctx *ic)
{
	uint64_t causes = ic->hits | (ic->ctx.trap ? DR6_BS : 0);

	ic->hits = 0;
	if (causes)
		event_raise_debug(ic->v, causes);
}

/* RF, and the shadow of MOV SS, hold it back; that of STI does not. */
__cold bool insn_is_breakpoint(struct insn_ctx *ic)
{
	const struct emul_ctx *c = &ic->ctx;
	uint64_t at = c->mode == EMUL_LONG64 ? c->rip : (uint32_t)(ic->state.cs_base + c->rip);
	uint64_t hits = breakpoint_hits(virt_dr7(&ic->v->virt), BREAK_EXECUTE, at, 1);

	if (!hits || (c->rflags & RFLAGS_RF) || (c->int_shadow && ic->prev_op != OP_STI))
		return false;
	event_raise_debug(ic->v, hits);
	return true;
}

static __always_inline void commit(struct insn_ctx *ic)
{
	if (unlikely(ic->ctx.segs_dirty))
		commit_loads(ic);
	else
		commit_some(ic, 0);
	if (unlikely(ic->ctx.trap | ic->hits))
		insn_raise_traps(ic);
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
		insn_raise_traps(ic);
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

/* The CPU has perhaps not got as far as looking for a breakpoint on the instruction. */
static __cold bool is_unseen_breakpoint(struct insn_ctx *ic)
{
	ic->prev_op = OP_NOP; /* nobody knows */
	return (virt_dr7(&ic->v->virt) & DR7_ENABLED) && insn_is_breakpoint(ic);
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
		if (unlikely(exit->fault.error & (PFERR_FETCH | PFERR_GUEST_PT))) {
			if (is_unseen_breakpoint(&ic))
				return true;
		} else if (has_one_memory_operand(&ic.ctx.insn)) {
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
