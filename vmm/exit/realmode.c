/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The loop around the emulator. It keeps the registers in the emulator's context from one
 * instruction to the next. It gives them back to the vCPU before others may read them there: at
 * the end of a batch, before an event, and outside real mode after each instruction, because each
 * may bring the vCPU into a state that the CPU can run.
 */
#include "vmm/exit/realmode.h"

#include "arch/x86/cpu.h"
#include "arch/x86/regs.h"
#include "mm/grace.h"
#include "vmm/exit/halt.h"
#include "vmm/exit/insn.h"
#include "vmm/exit/insn_ctx.h"
#include "vmm/exit/nmi.h"
#include "vmm/sched.h"

/* Has only a load in real mode (or virtual-8086 mode) made this base of this selector? */
static bool is_from_real_mode(struct vcpu *v, enum seg seg)
{
	struct segment s;

	virt_seg_read(&v->virt, seg, &s);
	return !(s.attr & SEG_ATTR_UNUSABLE) && s.base == (uint32_t)s.selector << 4;
}

/* realmode=emulate on a CPU that could do it: what a CPU that could not would leave to us. */
static bool is_wanted(struct vcpu *v)
{
	if (!(virt_reg_read(&v->virt, VREG_CR0) & CR0_PE))
		return true;
	if ((virt_rflags(&v->virt) & RFLAGS_VM) || (virt_reg_read(&v->virt, VREG_EFER) & EFER_LMA))
		return false;
	return is_from_real_mode(v, SEG_CS) || is_from_real_mode(v, SEG_SS);
}

bool realmode_is_due_now(struct vcpu *v)
{
	if (!virt_can_run(&v->virt))
		return true;
	return v->vm->config->realmode == REALMODE_EMULATE && is_wanted(v);
}

/* An event waits for the window that this instruction may have opened. */
static void watch_window(struct insn_ctx *ic)
{
	struct vcpu *v = ic->v;
	bool nmi = v->nmis_pending && !v->nmi_masked;

	if (!ic->ctx.int_shadow && ((ic->ctx.rflags & RFLAGS_IF) || nmi))
		event_close_irq_window(v);
}

/* Behind an instruction that was executed. False: the vCPU is to be looked at as a whole. */
static bool follow(struct insn_ctx *ic)
{
	struct emul_ctx *c = &ic->ctx;
	struct vcpu *v = ic->v;

	if (unlikely(v->nmi_masked) && c->insn.op == OP_IRET)
		nmi_iret_emulated(v);
	if (unlikely(v->irq_window_open))
		watch_window(ic);
	if (likely(!(c->segs_dirty | ic->mode_changed | c->trap | ic->hits | ic->halt)) &&
	    c->mode == EMUL_REAL)
		return true;
	insn_commit(ic, c->segs_dirty);
	insn_update_mode(ic);
	insn_raise_traps(ic);
	if (ic->halt)
		halt_execute(v);
	return c->mode == EMUL_REAL;
}

/* One instruction, or some iterations of one. False: the batch ends here. */
static bool step(struct insn_ctx *ic)
{
	struct emul_ctx *c = &ic->ctx;
	int r;

	ic->v->virt.rip = c->rip;
	if (unlikely(virt_dr7(&ic->v->virt) & DR7_ENABLED) && insn_is_breakpoint(ic)) {
		insn_commit(ic, 0);
		return false;
	}
	c->insn.nr_bytes = 0;
	r = insn_decode(ic);
	if (likely(r == EMUL_OK))
		r = emul_execute(c);
	ic->prev_op = c->insn.op;
	switch (r) {
	case EMUL_OK:
		ic->v->emulated++;
		return follow(ic);
	case EMUL_FAULT:
		ic->hits = 0;
		insn_commit(ic, c->segs_dirty); /* none, but behind a task switch */
		insn_inject(ic->v, &c->fault);
		return false;
	case EMUL_AGAIN:
		insn_raise_traps(ic);
		return !insn_look_at_clock(ic);
	default:
		insn_commit(ic, 0);
		insn_refuse(ic->v);
		return false;
	}
}

/* As many instructions as there is time for between two looks at host interrupts. */
static void run_batch(struct vcpu *v)
{
	struct insn_ctx ic;
	bool over;

	insn_begin(&ic, v);
	ic.prev_op = OP_STI; /* the shadow that the first may be in */
	over = insn_look_at_clock(&ic);
	while (!over && !atomic_load_explicit(&v->requests, memory_order_relaxed))
		over = !step(&ic) || insn_is_time_over(&ic);
	insn_commit(&ic, 0);
}

void realmode_run(struct vmm_cpu *c, struct vcpu *v)
{
	run_batch(v);
	/* Nothing that was found in guest memory is kept beyond this point. */
	grace_enter_guest(c->grace);
	grace_exit_guest(c->grace);
	sched_take_interrupts(c);
	if (rdtsc() >= c->slice_end) /* no hardware counts while it does not run */
		vcpu_request(v, REQ_YIELD);
	mmu_work(&v->vm->mmu);
}
