/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Far jumps, calls and returns: in real mode, and in protected mode to code segments of the same
 * privilege level; to another task, by task.c. Everything is checked, the target included, before
 * anything changes.
 */
#include "vmm/emulate/internal.h"

static int load_part(struct emul_ctx *c, uint64_t ea, unsigned size, void *val)
{
	gva_t la;
	int err = emul_linear(c, c->insn.mem.seg, cut_address(c, ea), size, 0, &la);

	return err ? err : emul_mem_read(c, la, val, size, 0);
}

/*
 * Two accesses: the second may have wrapped around the end of the segment. AMD's CPUs have no far
 * pointers with an offset of 64 bits: REX.W is like none (APM volume 3, "LFS", "JMP (Far)").
 */
int emul_far_pointer(struct emul_ctx *c, unsigned n, uint16_t *selector, uint64_t *offset)
{
	const struct emul_insn *i = &c->insn;
	uint64_t ea;
	int err;

	if (i->opnd[n].kind == OPND_IMM) {
		*selector = i->imm2;
		*offset = i->imm;
		return EMUL_OK;
	}
	if (i->opsize == 8 && c->ops->is_amd(c))
		c->insn.opsize = 4;
	ea = emul_effective_address(c);
	*offset = 0;
	err = load_part(c, ea, i->opsize, offset);
	return err ? err : load_part(c, ea + i->opsize, 2, selector);
}

/* Gates and task state segments lead elsewhere. */
static bool is_indirect(const struct emul_ctx *c, const struct segment *s)
{
	unsigned call_gate = BIT(12), legacy = BIT(1) | BIT(3) | BIT(4) | BIT(5) | BIT(9) | BIT(11);
	unsigned types = c->lma ? call_gate : call_gate | legacy;

	return !(s->attr & SEG_ATTR_S) && (types & BIT(s->attr & SEG_ATTR_TYPE));
}

/* May code at `cpl` go on in this segment, named with that RPL? */
static bool is_reachable(const struct emul_ctx *c, const struct segment *s, unsigned rpl)
{
	unsigned dpl = FIELD_GET(SEG_ATTR_DPL, s->attr);

	if ((s->attr & (SEG_ATTR_S | SEG_TYPE_CODE)) != (SEG_ATTR_S | SEG_TYPE_CODE))
		return false;
	if (c->lma && (s->attr & SEG_ATTR_L) && (s->attr & SEG_ATTR_DB))
		return false;
	return s->attr & SEG_TYPE_CONFORMING ? dpl <= c->cpl : dpl == c->cpl && rpl <= c->cpl;
}

static int read_code(struct emul_ctx *c, uint16_t selector, struct descriptor *d,
		     struct segment *cs)
{
	int err;

	if (is_null_selector(selector))
		return emul_set_fault(c, X86_TRAP_GP, 0);
	err = emul_descriptor_read(c, selector, d);
	if (!err)
		*cs = emul_descriptor_segment(d, (selector & ~SELECTOR_RPL) | c->cpl);
	return err;
}

static int check_code(struct emul_ctx *c, uint16_t selector, const struct descriptor *d,
		      struct segment *cs)
{
	if (!is_reachable(c, cs, selector & SELECTOR_RPL))
		return emul_selector_fault(c, X86_TRAP_GP, selector);
	if (!(cs->attr & SEG_ATTR_P))
		return emul_selector_fault(c, X86_TRAP_NP, selector);
	cs->attr |= 1;
	return emul_descriptor_set_type(c, d, 1);
}

int emul_code_check(struct emul_ctx *c, uint16_t selector, struct segment *cs)
{
	struct descriptor d;
	int err = read_code(c, selector, &d, cs);

	return err ? err : check_code(c, selector, &d, cs);
}

static int check_protected(struct emul_ctx *c, uint16_t selector, struct segment *cs)
{
	struct descriptor d;
	int err = read_code(c, selector, &d, cs);

	if (err)
		return err;
	if (c->insn.op != OP_RETF && c->insn.op != OP_IRET && is_indirect(c, cs))
		return EMUL_UNHANDLED;
	return check_code(c, selector, &d, cs);
}

static int check_segment(struct emul_ctx *c, uint16_t selector, struct segment *cs)
{
	if (is_protected(c))
		return check_protected(c, selector, cs);
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
