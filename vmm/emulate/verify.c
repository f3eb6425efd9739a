/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Questions about descriptors: LAR LSL VERR VERW, which say no with ZF clear where a load would
 * fault; and ARPL. Not in real mode.
 */
#include "vmm/emulate/flags.h"
#include "vmm/emulate/internal.h"

/* System descriptors, by type, that have an access byte worth telling and a limit. */
#define LAR_TYPES      (BIT(1) | BIT(2) | BIT(3) | BIT(4) | BIT(5) | BIT(9) | BIT(11) | BIT(12))
#define LAR_TYPES_LONG (BIT(2) | BIT(9) | BIT(11) | BIT(12))
#define LSL_TYPES      (BIT(1) | BIT(2) | BIT(3) | BIT(9) | BIT(11))
#define LSL_TYPES_LONG (BIT(2) | BIT(9) | BIT(11))

static bool is_conforming(const struct segment *s)
{
	unsigned conforming = SEG_ATTR_S | SEG_TYPE_CODE | SEG_TYPE_CONFORMING;

	return (s->attr & conforming) == conforming;
}

/* Find what operand `n` selects, as far as CPL and RPL let it be seen. */
static int look_up(struct emul_ctx *c, unsigned n, struct descriptor *d, struct segment *s,
		   bool *visible)
{
	uint64_t selector;
	unsigned dpl;
	int err = emul_load(c, n, 0, &selector);

	*visible = false;
	if (err || is_null_selector((uint16_t)selector))
		return err;
	err = emul_descriptor_find(c, (uint16_t)selector, d, visible);
	if (err || !*visible)
		return err;
	*s = emul_descriptor_segment(d, (uint16_t)selector);
	dpl = FIELD_GET(SEG_ATTR_DPL, s->attr);
	*visible = is_conforming(s) || (dpl >= c->cpl && dpl >= (selector & SELECTOR_RPL));
	return EMUL_OK;
}

static bool is_type_in(const struct segment *s, unsigned system_types)
{
	return (s->attr & SEG_ATTR_S) || (system_types & BIT(s->attr & SEG_ATTR_TYPE));
}

static void answer(struct emul_ctx *c, bool yes, uint64_t val)
{
	set_flag(c, RFLAGS_ZF, yes);
	if (yes)
		emul_reg_write(c, c->insn.opnd[0].reg, c->insn.opsize, val);
}

int emul_exec_lar(struct emul_ctx *c)
{
	struct descriptor d;
	struct segment s;
	bool yes;
	int err = look_up(c, 1, &d, &s, &yes);

	if (err)
		return err;
	yes = yes && is_type_in(&s, c->lma ? LAR_TYPES_LONG : LAR_TYPES);
	answer(c, yes, yes ? (d.low >> 32) & 0xffff00 : 0);
	return EMUL_OK;
}

int emul_exec_lsl(struct emul_ctx *c)
{
	struct descriptor d;
	struct segment s;
	bool yes;
	int err = look_up(c, 1, &d, &s, &yes);

	if (err)
		return err;
	yes = yes && is_type_in(&s, c->lma ? LSL_TYPES_LONG : LSL_TYPES);
	answer(c, yes, yes ? s.limit : 0);
	return EMUL_OK;
}

/* VERR and VERW. */
int emul_exec_verify(struct emul_ctx *c)
{
	struct descriptor d;
	struct segment s;
	bool yes, code;
	int err = look_up(c, 0, &d, &s, &yes);

	if (err)
		return err;
	yes = yes && (s.attr & SEG_ATTR_S);
	code = yes && (s.attr & SEG_TYPE_CODE);
	if (c->insn.op == OP_VERW)
		yes = yes && !code && (s.attr & SEG_TYPE_RW);
	else
		yes = yes && (!code || (s.attr & SEG_TYPE_RW));
	set_flag(c, RFLAGS_ZF, yes);
	return EMUL_OK;
}

/* Raise the RPL of a selector to that of another. Nothing is written if it is not lower. */
int emul_exec_arpl(struct emul_ctx *c)
{
	uint64_t selector, other;
	bool raise;
	int err = emul_load(c, 0, 0, &selector);

	if (err)
		return err;
	emul_load(c, 1, 0, &other);
	raise = (selector & SELECTOR_RPL) < (other & SELECTOR_RPL);
	if (raise)
		err = emul_store(c, 0,
				 (selector & ~(uint64_t)SELECTOR_RPL) | (other & SELECTOR_RPL));
	if (!err)
		set_flag(c, RFLAGS_ZF, raise);
	return err;
}
