/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What CS can be loaded with in protected mode: the checks of a far transfer at the same privilege
 * level, and of a task switch (SDM volume 3, 5.8.1; APM volume 2, 4.11).
 */
#include "vmm/emulate/internal.h"

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

int emul_code_check_direct(struct emul_ctx *c, uint16_t selector, struct segment *cs)
{
	struct descriptor d;
	int err = read_code(c, selector, &d, cs);

	if (err)
		return err;
	if (c->insn.op != OP_RETF && c->insn.op != OP_IRET && is_indirect(c, cs))
		return EMUL_UNHANDLED;
	return check_code(c, selector, &d, cs);
}
