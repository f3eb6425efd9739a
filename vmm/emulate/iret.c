/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * IRET: the way back from a handler, in its mode and at its level, or to an outer level; to another
 * task, see task.c (SDM volume 2, "IRET"; APM volume 3, "IRET").
 */
#include "vmm/emulate/internal.h"

/* What is popped, and what becomes of it. */
struct iret {
	uint64_t rip, rflags, sp;
	uint16_t selector, stack_selector;
	bool stack; /* the frame has rSP and SS, and they are loaded */
	bool outer;
	struct segment cs, ss;
};

/* The frame: rIP, CS, rFLAGS; the last is read first. */
static int pop_frame(struct emul_ctx *c, struct iret *r)
{
	uint64_t sp = c->gpr[GPR_RSP];
	unsigned size = c->insn.opsize;
	int err = emul_stack_read(c, sp + 2 * size, size, &r->rflags);

	if (!err)
		err = emul_stack_read_selector(c, sp + size, &r->selector);
	return err ? err : emul_stack_read(c, sp, size, &r->rip);
}

static int pop_stack(struct emul_ctx *c, struct iret *r)
{
	uint64_t sp = c->gpr[GPR_RSP];
	unsigned size = c->insn.opsize;
	int err = emul_stack_read_selector(c, sp + 4 * size, &r->stack_selector);

	return err ? err : emul_stack_read(c, sp + 3 * size, size, &r->sp);
}

/* By a task switch? Long mode has none. */
static bool is_nested(const struct emul_ctx *c)
{
	return is_protected(c) && (c->rflags & RFLAGS_NT);
}

static int check_return(struct emul_ctx *c)
{
	if (is_nested(c))
		return emul_set_fault(c, X86_TRAP_GP, 0);
	return c->mode == EMUL_VM86 ? EMUL_UNHANDLED : EMUL_OK;
}

/* Back to virtual-8086 mode: not by us. */
static bool is_return_to_vm86(const struct emul_ctx *c, uint64_t flags)
{
	return is_protected(c) && !c->lma && c->cpl == 0 && c->insn.opsize > 2 &&
	       (flags & RFLAGS_VM);
}

/*
 * Code and stack of the level that the selector of CS names: this one or an outer one, whose checks
 * are those of a load at that level.
 */
static int check_segments(struct emul_ctx *c, struct iret *r)
{
	uint8_t cpl = c->cpl, mode = c->mode;
	int err;

	if (!is_null_selector(r->selector))
		c->cpl = r->selector & SELECTOR_RPL;
	err = emul_code_check_direct(c, r->selector, &r->cs);
	if (!err) {
		c->mode = emul_mode_of(true, false, c->lma, r->cs.attr);
		err = emul_segment_check(c, SEG_SS, r->stack_selector, &r->ss);
	}
	c->cpl = cpl;
	c->mode = mode;
	return err;
}

static int check_with_stack(struct emul_ctx *c, struct iret *r)
{
	int err = pop_stack(c, r);

	if (!err && (r->selector & SELECTOR_RPL) < c->cpl && !is_null_selector(r->selector))
		err = emul_selector_fault(c, X86_TRAP_GP, r->selector);
	if (!err)
		err = check_segments(c, r);
	return err ? err
		   : emul_check_target(c, c->lma && (r->cs.attr & SEG_ATTR_L), r->cs.limit,
				       &r->rip);
}

/* To an outer level, and out of 64-bit code in any case, with a stack. */
static int check_target(struct emul_ctx *c, struct iret *r)
{
	unsigned rpl = r->selector & SELECTOR_RPL;
	int err;

	r->outer = is_protected(c) && rpl > c->cpl && !is_null_selector(r->selector);
	r->stack = r->outer || c->mode == EMUL_LONG64;
	if (r->stack)
		return check_with_stack(c, r);
	err = emul_return_level(c, r->selector, c->gpr[GPR_RSP] + 3 * c->insn.opsize);
	return err ? err : emul_far_target(c, r->selector, &r->rip, &r->cs);
}

/* Segments that the outer level may not use do not stay loaded. */
static void clear_inner_segments(struct emul_ctx *c)
{
	static const uint8_t segs[] = {SEG_ES, SEG_DS, SEG_FS, SEG_GS};

	for (unsigned i = 0; i < ARRAY_SIZE(segs); i++) {
		const struct segment *s = emul_segment(c, segs[i]);
		bool conforming = (s->attr & SEG_TYPE_CODE) && (s->attr & SEG_TYPE_CONFORMING);
		struct segment null = {.base = s->base, .attr = SEG_ATTR_UNUSABLE};

		if (!conforming && FIELD_GET(SEG_ATTR_DPL, s->attr) < c->cpl)
			emul_segment_set(c, segs[i], &null);
	}
}

static void load_stack(struct emul_ctx *c, const struct iret *r)
{
	c->mode = emul_mode_of(true, false, c->lma, r->cs.attr);
	c->cpl = r->selector & SELECTOR_RPL;
	emul_segment_set(c, SEG_SS, &r->ss);
	emul_stack_set(c, r->sp);
	if (r->outer)
		clear_inner_segments(c);
}

int emul_exec_iret(struct emul_ctx *c)
{
	unsigned size = c->insn.opsize;
	uint64_t mask = emul_writable_flags(c, size);
	struct iret r;
	int err;

	if (is_nested(c) && !c->lma)
		return emul_task_return(c);
	err = check_return(c);
	if (!err)
		err = pop_frame(c, &r);
	if (!err && is_return_to_vm86(c, r.rflags))
		err = EMUL_UNHANDLED;
	if (!err)
		err = check_target(c, &r);
	if (err)
		return err;
	if (size > 2)
		mask |= RFLAGS_RF;
	c->rflags = (c->rflags & ~(mask | RFLAGS_RF)) | (r.rflags & mask);
	if (r.stack)
		load_stack(c, &r);
	else
		emul_stack_set(c, c->gpr[GPR_RSP] + 3 * size);
	emul_far_commit(c, &r.cs, r.rip);
	return EMUL_OK;
}
