/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Loads of the data segment registers, LDTR and TR (SDM volume 3, 5.6 and 5.7; MOV, LDS, LLDT and
 * LTR in volume 2). In real mode only selector and base change: limit and attributes stay what a
 * protected-mode load has made of them, which is what "big" real mode lives on.
 */
#include "vmm/emulate/internal.h"

#define SEG_ATTR_REAL (SEG_ATTR_P | SEG_ATTR_S | SEG_TYPE_RW | 1) /* data, writable, accessed */

struct segment emul_segment_real(struct emul_ctx *c, enum seg seg, uint16_t selector)
{
	struct segment s = *emul_segment(c, seg);

	s.selector = selector;
	s.base = (uint32_t)selector << 4;
	if (s.attr &
	    SEG_ATTR_UNUSABLE) { /* null in protected mode; real mode knows no such thing */
		s.attr = SEG_ATTR_REAL;
		s.limit = 0xffff;
	}
	return s;
}

void emul_segment_set(struct emul_ctx *c, enum seg seg, const struct segment *s)
{
	c->seg[seg] = *s;
	c->segs_known |= BIT(seg);
	c->segs_dirty |= BIT(seg);
}

static unsigned dpl_of(const struct segment *s)
{
	return FIELD_GET(SEG_ATTR_DPL, s->attr);
}

static bool is_loadable_stack(const struct emul_ctx *c, const struct segment *s)
{
	return (s->attr & (SEG_ATTR_S | SEG_TYPE_CODE | SEG_TYPE_RW)) ==
		       (SEG_ATTR_S | SEG_TYPE_RW) &&
	       (s->selector & SELECTOR_RPL) == c->cpl && dpl_of(s) == c->cpl;
}

static bool is_loadable_data(const struct emul_ctx *c, const struct segment *s)
{
	bool code = s->attr & SEG_TYPE_CODE;

	if (!(s->attr & SEG_ATTR_S) || (code && !(s->attr & SEG_TYPE_RW)))
		return false;
	if (code && (s->attr & SEG_TYPE_CONFORMING))
		return true;
	return dpl_of(s) >= (s->selector & SELECTOR_RPL) && dpl_of(s) >= c->cpl;
}

/* A null selector leaves the register unusable; the stack's only where nothing uses it. */
static int check_null(struct emul_ctx *c, enum seg seg, uint16_t selector, struct segment *s)
{
	bool may = seg != SEG_SS ||
		   (c->mode == EMUL_LONG64 && c->cpl < 3 && (selector & SELECTOR_RPL) == c->cpl);

	*s = (struct segment){
		.selector = selector,
		.base = emul_segment(c, seg)->base,
		.attr = SEG_ATTR_UNUSABLE | (seg == SEG_SS ? c->cpl << 5 : 0),
	};
	return may ? EMUL_OK : emul_set_fault(c, X86_TRAP_GP, 0);
}

int emul_segment_check(struct emul_ctx *c, enum seg seg, uint16_t selector, struct segment *s)
{
	struct descriptor d;
	int err;

	if (!is_protected(c)) {
		*s = emul_segment_real(c, seg, selector);
		return EMUL_OK;
	}
	if (is_null_selector(selector))
		return check_null(c, seg, selector, s);
	err = emul_descriptor_read(c, selector, &d);
	if (err)
		return err;
	*s = emul_descriptor_segment(&d, selector);
	if (!(seg == SEG_SS ? is_loadable_stack(c, s) : is_loadable_data(c, s)))
		return emul_selector_fault(c, X86_TRAP_GP, selector);
	if (!(s->attr & SEG_ATTR_P))
		return emul_selector_fault(c, seg == SEG_SS ? X86_TRAP_SS : X86_TRAP_NP, selector);
	s->attr |= 1;
	return emul_descriptor_set_type(c, &d, 1);
}

/* An interrupt or a single-step trap between MOV SS and the load of SP would find half a stack. */
static void set_stack_shadow(struct emul_ctx *c, enum seg seg)
{
	if (seg != SEG_SS)
		return;
	c->int_shadow = true;
	c->trap = false;
}

int emul_exec_mov_seg(struct emul_ctx *c)
{
	enum seg seg = c->insn.opnd[0].reg;
	uint64_t selector;
	struct segment s;
	int err = emul_load(c, 1, 0, &selector);

	if (!err)
		err = emul_segment_check(c, seg, selector, &s);
	if (err)
		return err;
	emul_segment_set(c, seg, &s);
	set_stack_shadow(c, seg);
	return EMUL_OK;
}

int emul_exec_pop_seg(struct emul_ctx *c)
{
	enum seg seg = c->insn.opnd[0].reg;
	uint64_t sp = c->gpr[GPR_RSP];
	uint16_t selector;
	struct segment s;
	int err = emul_stack_read_selector(c, sp, &selector);

	if (!err)
		err = emul_segment_check(c, seg, selector, &s);
	if (err)
		return err;
	emul_stack_set(c, sp + c->insn.opsize); /* with the old SS */
	emul_segment_set(c, seg, &s);
	set_stack_shadow(c, seg);
	return EMUL_OK;
}

/* LDS LES LSS LFS LGS: the segment is the third operand. */
int emul_exec_load_far(struct emul_ctx *c)
{
	const struct emul_insn *i = &c->insn;
	enum seg seg = i->opnd[2].reg;
	uint64_t offset;
	uint16_t selector;
	struct segment s;
	int err = emul_far_pointer(c, 1, &selector, &offset);

	if (!err)
		err = emul_segment_check(c, seg, selector, &s);
	if (err)
		return err;
	emul_segment_set(c, seg, &s);
	emul_reg_write(c, i->opnd[0].reg, i->opsize, offset);
	return EMUL_OK;
}

/* --- LDTR and TR --------------------------------------------------------------------- */

/* The operand of LLDT and LTR. */
static int load_selector(struct emul_ctx *c, uint16_t *selector)
{
	uint64_t val;
	int err;

	if (c->cpl)
		return emul_set_fault(c, X86_TRAP_GP, 0);
	err = emul_load(c, 0, 0, &val);
	*selector = (uint16_t)val;
	return err;
}

/* System segments are in the GDT. */
static int read_global(struct emul_ctx *c, uint16_t selector, struct descriptor *d)
{
	if (selector & SELECTOR_TI)
		return emul_selector_fault(c, X86_TRAP_GP, selector);
	return emul_descriptor_read(c, selector, d);
}

/* In long mode the second half has no type, and the base 64 bits (APM volume 3, LLDT and LTR). */
static bool is_bad_in_long_mode(const struct emul_ctx *c, const struct descriptor *d,
				const struct segment *s)
{
	return c->lma &&
	       ((d->high >> 40 & (SEG_ATTR_S | SEG_ATTR_TYPE)) || !is_canonical(c, s->base));
}

int emul_ldt_check(struct emul_ctx *c, uint16_t selector, struct segment *s)
{
	struct descriptor d;
	int err;

	*s = (struct segment){.selector = selector, .attr = SEG_ATTR_UNUSABLE};
	if (is_null_selector(selector))
		return EMUL_OK;
	err = read_global(c, selector, &d);
	if (err)
		return err;
	*s = emul_descriptor_segment(&d, selector);
	if ((s->attr & (SEG_ATTR_S | SEG_ATTR_TYPE)) != TYPE_LDT || is_bad_in_long_mode(c, &d, s))
		return emul_selector_fault(c, X86_TRAP_GP, selector);
	return s->attr & SEG_ATTR_P ? EMUL_OK : emul_selector_fault(c, X86_TRAP_NP, selector);
}

int emul_exec_lldt(struct emul_ctx *c)
{
	struct segment s;
	uint16_t selector;
	int err = load_selector(c, &selector);

	if (!err)
		err = emul_ldt_check(c, selector, &s);
	if (!err)
		emul_segment_set(c, SEG_LDTR, &s);
	return err;
}

int emul_exec_ltr(struct emul_ctx *c)
{
	struct descriptor d;
	struct segment s;
	uint16_t selector;
	unsigned type;
	int err = load_selector(c, &selector);

	if (err)
		return err;
	if (is_null_selector(selector))
		return emul_set_fault(c, X86_TRAP_GP, 0);
	err = read_global(c, selector, &d);
	if (err)
		return err;
	s = emul_descriptor_segment(&d, selector);
	type = s.attr & (SEG_ATTR_S | SEG_ATTR_TYPE);
	if ((type != TYPE_TSS32 && (type != TYPE_TSS16 || c->lma)) ||
	    is_bad_in_long_mode(c, &d, &s))
		return emul_selector_fault(c, X86_TRAP_GP, selector);
	if (!(s.attr & SEG_ATTR_P))
		return emul_selector_fault(c, X86_TRAP_NP, selector);
	err = emul_descriptor_set_type(c, &d, TYPE_TSS_BUSY);
	if (err)
		return err;
	s.attr |= TYPE_TSS_BUSY;
	emul_segment_set(c, SEG_TR, &s);
	return EMUL_OK;
}
