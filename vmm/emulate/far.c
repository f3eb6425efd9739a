/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Far jumps, calls and returns: in real mode, and in protected mode to code segments of the same
 * privilege level; to another task, by task.c. Everything is checked, the target included, before
 * anything changes.
 */
#include "vmm/emulate/internal.h"

static int check_segment(struct emul_ctx *c, uint16_t selector, struct segment *cs)
{
	if (is_protected(c))
		return emul_code_check_direct(c, selector, cs);
	*cs = emul_segment_real(c, SEG_CS, selector);
	return EMUL_OK;
}

static int check_offset(struct emul_ctx *c, const struct segment *cs, uint64_t *offset)
{
	return emul_check_target(c, c->lma && (cs->attr & SEG_ATTR_L), cs->limit, offset);
}

int emul_far_target(struct emul_ctx *c, uint16_t selector, uint64_t *offset, struct segment *cs)
{
	int err = check_segment(c, selector, cs);

	return err ? err : check_offset(c, cs, offset);
}

void emul_far_commit(struct emul_ctx *c, const struct segment *cs, uint64_t offset)
{
	emul_segment_set(c, SEG_CS, cs);
	c->next_rip = offset;
}

int emul_exec_jmpf(struct emul_ctx *c)
{
	uint16_t selector;
	uint64_t offset;
	struct segment cs;
	int err = emul_far_pointer(c, 0, &selector, &offset);

	if (err)
		return err;
	err = emul_far_target(c, selector, &offset, &cs);
	if (err == EMUL_UNHANDLED)
		return emul_task_far(c, selector, TASK_JMP);
	if (!err)
		emul_far_commit(c, &cs, offset);
	return err;
}

/* The offset is checked last: a bad stack outranks it. */
int emul_exec_callf(struct emul_ctx *c)
{
	unsigned size = c->insn.opsize;
	uint64_t sp = c->gpr[GPR_RSP], offset;
	uint16_t selector;
	struct segment cs;
	int err = emul_far_pointer(c, 0, &selector, &offset);

	if (err)
		return err;
	err = check_segment(c, selector, &cs);
	if (err == EMUL_UNHANDLED)
		return emul_task_far(c, selector, TASK_CALL);
	if (!err)
		err = emul_stack_write(c, sp - size, size, emul_segment(c, SEG_CS)->selector);
	if (!err)
		err = emul_stack_write(c, sp - 2 * size, size, c->next_rip);
	if (!err)
		err = check_offset(c, &cs, &offset);
	if (err)
		return err;
	emul_stack_set(c, sp - 2 * size);
	emul_far_commit(c, &cs, offset);
	return EMUL_OK;
}

/* The outer stack's pointer and selector; the last is read first. */
static int check_outer_stack(struct emul_ctx *c, uint64_t sp)
{
	unsigned size = c->insn.opsize;
	uint64_t val;
	int err = emul_stack_read(c, sp + size, size, &val);

	return err ? err : emul_stack_read(c, sp, size, &val);
}

/* AMD's CPUs read the outer stack before they look at the selector (APM volume 3, RET (Far)). */
int emul_return_level(struct emul_ctx *c, uint16_t selector, uint64_t sp)
{
	unsigned rpl = selector & SELECTOR_RPL;
	int err;

	if (!is_protected(c) || rpl == c->cpl)
		return EMUL_OK;
	if (rpl > c->cpl && !is_null_selector(selector))
		return EMUL_UNHANDLED;
	err = c->ops->is_amd(c) ? check_outer_stack(c, sp) : EMUL_OK;
	if (err || is_null_selector(selector))
		return err;
	return emul_selector_fault(c, X86_TRAP_GP, selector);
}

int emul_exec_retf(struct emul_ctx *c)
{
	const struct emul_insn *i = &c->insn;
	uint64_t sp = c->gpr[GPR_RSP], extra = i->opnd[0].kind == OPND_IMM ? i->imm : 0;
	uint64_t end = sp + 2 * i->opsize + extra, offset;
	uint16_t selector;
	struct segment cs;
	int err = emul_stack_read_selector(c, sp + i->opsize, &selector);

	if (!err)
		err = emul_stack_read(c, sp, i->opsize, &offset);
	if (!err)
		err = emul_return_level(c, selector, end);
	if (!err)
		err = emul_far_target(c, selector, &offset, &cs);
	if (err)
		return err;
	emul_stack_set(c, end);
	emul_far_commit(c, &cs, offset);
	return EMUL_OK;
}
