/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Where operands live: registers, and memory behind segmentation. All of an instruction's
 * checks happen on the way in; the callbacks do the paging.
 */
#include "vmm/emulate/flags.h"
#include "vmm/emulate/internal.h"

/* --- segmentation -------------------------------------------------------------------- */

static int segment_fault(struct emul_ctx *c, enum seg seg)
{
	return emul_set_fault(c, seg == SEG_SS ? X86_TRAP_SS : X86_TRAP_GP, 0);
}

static bool is_access_allowed(const struct segment *s, unsigned access)
{
	if ((s->attr & SEG_ATTR_UNUSABLE) || !(s->attr & SEG_ATTR_P))
		return false;
	if (access & EMUL_ACC_WRITE)
		return (s->attr & (SEG_TYPE_CODE | SEG_TYPE_RW)) == SEG_TYPE_RW;
	return !(s->attr & SEG_TYPE_CODE) || (s->attr & SEG_TYPE_RW);
}

/*
 * A segment of 4 GiB checks nothing, so an access over its end wraps to linear address 0: the
 * manuals leave that to the implementation.
 */
static bool is_in_limit(const struct segment *s, uint64_t first, uint64_t last)
{
	if ((s->attr & (SEG_TYPE_CODE | SEG_TYPE_EXPAND_DOWN)) == SEG_TYPE_EXPAND_DOWN)
		return first > s->limit && last <= (s->attr & SEG_ATTR_DB ? 0xffffffff : 0xffff);
	return last <= s->limit || s->limit == 0xffffffff;
}

int emul_linear_segmented(struct emul_ctx *c, enum seg seg, uint64_t ea, unsigned len,
			  unsigned access, gva_t *la)
{
	const struct segment *s;

	if (c->mode == EMUL_LONG64) {
		if (seg >= SEG_FS)
			ea += emul_segment(c, seg)->base;
		if (!is_canonical(c, ea) || !is_canonical(c, ea + len - 1))
			return segment_fault(c, seg);
		*la = GVA(ea);
		return EMUL_OK;
	}
	s = emul_segment(c, seg);
	if (is_protected(c) && !is_access_allowed(s, access))
		return segment_fault(c, seg);
	if (!is_in_limit(s, ea, ea + len - 1))
		return segment_fault(c, seg);
	*la = GVA((uint32_t)(s->base + ea));
	return EMUL_OK;
}

/* --- memory ----------------------------------------------------------------------------------- */

/* How many of `len` bytes at `la` lie in the page of the first. */
static inline unsigned len_in_page(gva_t la, unsigned len)
{
	uint64_t room = PAGE_SIZE - (la.v & ~PAGE_MASK);

	return room < len ? room : len;
}

/* Around the end of 4 GiB, unless it is a table of long mode beyond, used by 32-bit code. */
static gva_t next_page(const struct emul_ctx *c, gva_t la)
{
	uint64_t next = (la.v & PAGE_MASK) + PAGE_SIZE;

	return GVA(c->mode == EMUL_LONG64 || la.v >> 32 ? next : (uint32_t)next);
}

int emul_mem_read_split(struct emul_ctx *c, gva_t la, void *buf, unsigned len, unsigned access)
{
	unsigned n = len_in_page(la, len);
	int err = c->ops->read(c, la, buf, n, access);

	if (!err)
		err = c->ops->read(c, next_page(c, la), (uint8_t *)buf + n, len - n, access);
	return err;
}

int emul_mem_probe_write(struct emul_ctx *c, gva_t la, unsigned len)
{
	unsigned n = len_in_page(la, len), access = EMUL_ACC_WRITE | EMUL_ACC_PROBE;
	int err = c->ops->read(c, la, NULL, n, access);

	if (!err && n < len)
		err = c->ops->read(c, next_page(c, la), NULL, len - n, access);
	return err;
}

/* Both parts, or none. */
int emul_mem_write_split(struct emul_ctx *c, gva_t la, const void *buf, unsigned len)
{
	unsigned n = len_in_page(la, len);
	int err = emul_mem_probe_write(c, la, len);

	if (!err)
		err = c->ops->write(c, la, buf, n, EMUL_ACC_WRITE);
	if (!err)
		err = c->ops->write(c, next_page(c, la), (const uint8_t *)buf + n, len - n,
				    EMUL_ACC_WRITE);
	return err;
}

/* A locked access that crosses a page is two plain ones: no guest can tell on one bus. */
int emul_mem_update(struct emul_ctx *c, const void *old, const void *val, unsigned len, bool locked)
{
	if (unlikely(locked) && !crosses_page(c->la, len))
		return c->ops->cmpxchg(c, c->la, old, val, len, EMUL_ACC_WRITE);
	return emul_mem_write(c, c->la, val, len);
}

/* --- operands ------------------------------------------------------------------------ */

int emul_load(struct emul_ctx *c, unsigned n, unsigned access, uint64_t *val)
{
	const struct emul_insn *i = &c->insn;
	const struct emul_opnd *o = &i->opnd[n];
	int err;

	switch (o->kind) {
	case OPND_REG:
		*val = emul_reg_read(c, o->reg, o->size);
		return EMUL_OK;
	case OPND_MEM:
		err = emul_linear(c, i->mem.seg, emul_effective_address(c), o->size, access,
				  &c->la);
		*val = 0;
		return err ? err : emul_mem_read(c, c->la, val, o->size, access);
	default:
		*val = o->kind == OPND_IMM2 ? i->imm2 : i->imm;
		return EMUL_OK;
	}
}

int emul_store(struct emul_ctx *c, unsigned n, uint64_t val)
{
	const struct emul_opnd *o = &c->insn.opnd[n];
	int err;

	if (o->kind == OPND_REG) {
		emul_reg_write(c, o->reg, o->size, val);
		return EMUL_OK;
	}
	err = emul_linear(c, c->insn.mem.seg, emul_effective_address(c), o->size, EMUL_ACC_WRITE,
			  &c->la);
	return err ? err : emul_mem_write(c, c->la, &val, o->size);
}

int emul_update(struct emul_ctx *c, unsigned n, uint64_t old, uint64_t val)
{
	const struct emul_opnd *o = &c->insn.opnd[n];

	if (o->kind == OPND_REG) {
		emul_reg_write(c, o->reg, o->size, val);
		return EMUL_OK;
	}
	return emul_mem_update(c, &old, &val, o->size, c->insn.prefixes & EMUL_PFX_LOCK);
}

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
