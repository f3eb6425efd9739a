/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The decoder, second half: the memory operand of ModRM and SIB, and each operand of the row as
 * its letters say.
 */
#include <string.h>

#include "vmm/emulate/decode.h"

static noinline int collect_number(struct emul_ctx *c, unsigned size, uint64_t *val)
{
	uint64_t v = 0;

	for (unsigned n = 0; n < size; n++) {
		uint8_t byte;
		int err = emul_next_byte(c, &byte);

		if (err)
			return err;
		v |= (uint64_t)byte << (8 * n);
	}
	*val = v;
	return EMUL_OK;
}

/* The next `size` bytes (1, 2, 4, 8) as a little-endian number, zero-extended. */
static int next_number(struct emul_ctx *c, unsigned size, uint64_t *val)
{
	struct emul_insn *i = &c->insn;
	const uint8_t *bytes = i->bytes + i->len;

	if (unlikely(i->len + size > i->nr_bytes))
		return collect_number(c, size, val);
	i->len += size;
	*val = 0;
	switch (size) {
	case 1:
		*val = *bytes;
		break;
	case 2:
		memcpy(val, bytes, 2);
		break;
	case 4:
		memcpy(val, bytes, 4);
		break;
	default:
		memcpy(val, bytes, 8);
		break;
	}
	return EMUL_OK;
}

static int next_signed(struct emul_ctx *c, unsigned size, uint64_t *val)
{
	int err = next_number(c, size, val);

	if (!err)
		*val = sign_extend(*val, size);
	return err;
}

/* --- memory operand ------------------------------------------------------------------ */

static noinline int decode_mem16(struct emul_ctx *c, unsigned mod, unsigned rm)
{
	static const struct {
		uint8_t base, index, seg;
	} ea16[8] = {
		{GPR_RBX, GPR_RSI, SEG_DS},       {GPR_RBX, GPR_RDI, SEG_DS},
		{GPR_RBP, GPR_RSI, SEG_SS},       {GPR_RBP, GPR_RDI, SEG_SS},
		{GPR_RSI, EMUL_MEM_NONE, SEG_DS}, {GPR_RDI, EMUL_MEM_NONE, SEG_DS},
		{GPR_RBP, EMUL_MEM_NONE, SEG_SS}, {GPR_RBX, EMUL_MEM_NONE, SEG_DS},
	};
	struct emul_mem *m = &c->insn.mem;
	bool direct = mod == 0 && rm == 6;
	unsigned disp_size = direct ? 2 : mod; /* mod 1: disp8, mod 2: disp16 */
	uint64_t disp = 0;
	int err = disp_size ? next_signed(c, disp_size, &disp) : EMUL_OK;

	m->base = direct ? EMUL_MEM_NONE : ea16[rm].base;
	m->index = ea16[rm].index;
	m->scale = 0;
	m->disp = disp;
	if (m->seg == SEG_NONE)
		m->seg = direct ? SEG_DS : ea16[rm].seg;
	return err;
}

static noinline int decode_sib(struct emul_ctx *c)
{
	struct emul_mem *m = &c->insn.mem;
	uint8_t sib;
	int err = emul_next_byte(c, &sib);

	if (err)
		return err;
	m->base = (sib & 7) | (c->insn.rex & REX_B ? 8 : 0);
	m->index = ((sib >> 3) & 7) | (c->insn.rex & REX_X ? 8 : 0);
	m->scale = sib >> 6;
	if (m->index == GPR_RSP) /* r12 is a good index, rsp is none */
		m->index = EMUL_MEM_NONE;
	return EMUL_OK;
}

static inline int decode_mem32(struct emul_ctx *c, unsigned mod, unsigned rm)
{
	struct emul_mem *m = &c->insn.mem;
	unsigned disp_size = mod == 2 ? 4 : mod;
	uint64_t disp = 0;
	int err;

	m->base = rm | (c->insn.rex & REX_B ? 8 : 0);
	m->index = EMUL_MEM_NONE;
	m->scale = 0;
	if (rm == GPR_RSP) {
		err = decode_sib(c);
		if (err)
			return err;
	}
	if (mod == 0 && (m->base & 7) == GPR_RBP) { /* no base; without SIB in 64-bit mode: rip */
		m->base = rm == GPR_RBP && c->mode == EMUL_LONG64 ? EMUL_MEM_RIP : EMUL_MEM_NONE;
		disp_size = 4;
	}
	if (m->seg == SEG_NONE)
		m->seg = m->base == GPR_RSP || m->base == GPR_RBP ? SEG_SS : SEG_DS;
	err = disp_size ? next_signed(c, disp_size, &disp) : EMUL_OK;
	m->disp = disp;
	return err;
}

/* --- operands ------------------------------------------------------------------------ */

/* clang-format off */
enum place {
	P_NONE, P_E, P_EVW, P_R, P_G, P_S, P_C, P_D, P_Z, P_I, P_ISX, P_I2, P_J, P_A, P_O, P_X, P_Y,
	P_GPR, /* the register whose number is in `reg` */
	P_ONE, /* the constant 1 */
	P_SEG, /* the segment register whose number is in `reg` */
};

/* Size letters: bytes at an operand size of 2, 4 and 8. */
#define S_NONE {0, 0, 0}
#define S_b {1, 1, 1}
#define S_w {2, 2, 2}
#define S_d {4, 4, 4}
#define S_v {2, 4, 8}
#define S_z {2, 4, 4}
#define S_y {4, 4, 8}
#define S_n {4, 4, 8} /* FL_N64 makes the operand size that of the mode */
#define S_s {6, 6, 10}
#define S_p {4, 6, 10}
#define S_a {4, 8, 16}
#define S_x {8, 8, 16}

static const struct {
	uint8_t place, size[3], reg;
} forms[NR_FORMS] = {
	[F__]    = {P_NONE, S_NONE, 0},  [F_Eb]   = {P_E, S_b, 0},        [F_Ew]   = {P_E, S_w, 0},
	[F_Ed]   = {P_E, S_d, 0},        [F_Ev]   = {P_E, S_v, 0},        [F_Gb]   = {P_G, S_b, 0},
	[F_Gw]   = {P_G, S_w, 0},        [F_Gv]   = {P_G, S_v, 0},        [F_M]    = {P_E, S_NONE, 0},
	[F_Mv]   = {P_E, S_v, 0},        [F_Mp]   = {P_E, S_p, 0},        [F_Ma]   = {P_E, S_a, 0},
	[F_Ms]   = {P_E, S_s, 0},        [F_Mx]   = {P_E, S_x, 0},        [F_RvMw] = {P_EVW, S_v, 0},
	[F_Ry]   = {P_R, S_y, 0},        [F_Rn]   = {P_R, S_n, 0},        [F_Sw]   = {P_S, S_w, 0},
	[F_Cn]   = {P_C, S_n, 0},        [F_Dn]   = {P_D, S_n, 0},        [F_Zb]   = {P_Z, S_b, 0},
	[F_Zv]   = {P_Z, S_v, 0},        [F_Ib]   = {P_I, S_b, 0},        [F_Iw]   = {P_I, S_w, 0},
	[F_Iz]   = {P_I, S_z, 0},        [F_Iv]   = {P_I, S_v, 0},        [F_Ibs]  = {P_ISX, S_v, 0},
	[F_Ib2]  = {P_I2, S_b, 0},       [F_Jb]   = {P_J, S_b, 0},        [F_Jz]   = {P_J, S_z, 0},
	[F_Ap]   = {P_A, S_p, 0},        [F_Ob]   = {P_O, S_b, 0},        [F_Ov]   = {P_O, S_v, 0},
	[F_Xb]   = {P_X, S_b, 0},        [F_Xv]   = {P_X, S_v, 0},        [F_Xz]   = {P_X, S_z, 0},
	[F_Yb]   = {P_Y, S_b, 0},        [F_Yv]   = {P_Y, S_v, 0},        [F_Yz]   = {P_Y, S_z, 0},
	[F_AX]   = {P_GPR, S_w, GPR_RAX},
	[F_AL]   = {P_GPR, S_b, GPR_RAX}, [F_eAX] = {P_GPR, S_z, GPR_RAX}, [F_rAX] = {P_GPR, S_v, GPR_RAX},
	[F_CL]   = {P_GPR, S_b, GPR_RCX}, [F_DX]   = {P_GPR, S_w, GPR_RDX}, [F_1]    = {P_ONE, S_b, 0},
	[F_ES]   = {P_SEG, S_w, SEG_ES}, [F_CS]   = {P_SEG, S_w, SEG_CS}, [F_SS]   = {P_SEG, S_w, SEG_SS},
	[F_DS]   = {P_SEG, S_w, SEG_DS}, [F_FS]   = {P_SEG, S_w, SEG_FS}, [F_GS]   = {P_SEG, S_w, SEG_GS},
};
/* clang-format on */

/* Without a REX prefix the byte registers 4-7 are the second bytes of the first four. */
static inline void set_reg(const struct emul_insn *i, struct emul_opnd *o, unsigned reg)
{
	o->kind = OPND_REG;
	if (o->size == 1 && reg >= 4 && !i->rex)
		reg = EMUL_REG_HIGH + reg - 4;
	o->reg = reg;
}

static inline void decode_rm(const struct emul_insn *i, struct emul_opnd *o)
{
	if (likely(MODRM_MOD(i->modrm) != 3))
		o->kind = OPND_MEM;
	else
		set_reg(i, o, MODRM_RM(i->modrm) | (i->rex & REX_B ? 8 : 0));
}

/* An immediate of the operand's own size; 4 bytes stand for 8 but in MOV Zv,Iv. */
static int decode_imm(struct emul_ctx *c, struct emul_opnd *o, unsigned size)
{
	struct emul_insn *i = &c->insn;

	o->kind = OPND_IMM;
	if (size == 4 && i->opsize == 8) {
		o->size = 8;
		return next_signed(c, 4, &i->imm);
	}
	return next_number(c, size, &i->imm);
}

static int decode_offset(struct emul_ctx *c, struct emul_opnd *o)
{
	struct emul_mem *m = &c->insn.mem;
	uint64_t disp;
	int err = next_number(c, c->insn.adsize, &disp);

	if (err)
		return err;
	o->kind = OPND_MEM;
	m->base = m->index = EMUL_MEM_NONE;
	m->scale = 0;
	m->disp = disp;
	if (m->seg == SEG_NONE)
		m->seg = SEG_DS;
	return EMUL_OK;
}

static int decode_far_pointer(struct emul_ctx *c, struct emul_opnd *o)
{
	struct emul_insn *i = &c->insn;
	uint64_t selector;
	int err = next_number(c, i->opsize, &i->imm);

	if (!err)
		err = next_number(c, 2, &selector);
	if (err)
		return err;
	o->kind = OPND_IMM;
	i->imm2 = selector;
	return EMUL_OK;
}

static int decode_branch(struct emul_ctx *c, struct emul_opnd *o)
{
	o->kind = OPND_REL;
	return next_signed(c, o->size, &c->insn.imm);
}

static int decode_second_imm(struct emul_ctx *c, struct emul_opnd *o)
{
	uint64_t imm2 = 0;
	int err = next_number(c, 1, &imm2);

	o->kind = OPND_IMM2;
	c->insn.imm2 = imm2;
	return err;
}

static void set_special(struct emul_opnd *o, enum emul_opnd_kind kind, unsigned reg)
{
	o->kind = kind;
	o->reg = reg;
}

/* The places besides P_E and P_G. */
static noinline int decode_other(struct emul_ctx *c, unsigned form, struct emul_opnd *o)
{
	struct emul_insn *i = &c->insn;
	unsigned rex_r = i->rex & REX_R ? 8 : 0, rex_b = i->rex & REX_B ? 8 : 0;

	switch (forms[form].place) {
	case P_EVW:
		decode_rm(i, o);
		if (o->kind == OPND_MEM)
			o->size = 2;
		break;
	case P_R: /* the mod field is ignored */
		set_reg(i, o, MODRM_RM(i->modrm) | rex_b);
		break;
	case P_Z:
		set_reg(i, o, (i->opcode & 7) | rex_b);
		break;
	case P_GPR:
		set_reg(i, o, forms[form].reg);
		break;
	case P_SEG:
		set_special(o, OPND_SEG, forms[form].reg);
		break;
	case P_S:
		set_special(o, OPND_SEG, MODRM_REG(i->modrm));
		break;
	case P_C:
		set_special(o, OPND_CR, MODRM_REG(i->modrm) | rex_r);
		break;
	case P_D:
		set_special(o, OPND_DR, MODRM_REG(i->modrm) | rex_r);
		break;
	case P_ONE:
		o->kind = OPND_IMM;
		i->imm = 1;
		break;
	case P_X:
		o->kind = OPND_STR_SRC;
		break;
	case P_Y:
		o->kind = OPND_STR_DST;
		break;
	case P_I:
		return decode_imm(c, o, o->size);
	case P_ISX:
		o->kind = OPND_IMM;
		return next_signed(c, 1, &i->imm);
	case P_I2:
		return decode_second_imm(c, o);
	case P_J:
		return decode_branch(c, o);
	case P_A:
		return decode_far_pointer(c, o);
	case P_O:
		return decode_offset(c, o);
	}
	return EMUL_OK;
}

static inline int decode_operand(struct emul_ctx *c, unsigned form, struct emul_opnd *o)
{
	struct emul_insn *i = &c->insn;

	o->size = forms[form].size[i->opsize >> 2];
	if (forms[form].place == P_E)
		decode_rm(i, o);
	else if (forms[form].place == P_G)
		set_reg(i, o, MODRM_REG(i->modrm) | (i->rex & REX_R ? 8 : 0));
	else
		return decode_other(c, form, o);
	return EMUL_OK;
}

static inline int decode_mem(struct emul_ctx *c)
{
	unsigned mod = MODRM_MOD(c->insn.modrm), rm = MODRM_RM(c->insn.modrm);

	return c->insn.adsize == 2 ? decode_mem16(c, mod, rm) : decode_mem32(c, mod, rm);
}

int emul_decode_number(struct emul_ctx *c, unsigned size, uint64_t *val)
{
	return next_number(c, size, val);
}

int emul_decode_mem(struct emul_ctx *c, unsigned scale)
{
	int err = decode_mem(c);

	if (MODRM_MOD(c->insn.modrm) == 1)
		c->insn.mem.disp *= scale;
	return err;
}

int emul_decode_operands(struct emul_ctx *c, const struct opcode *row)
{
	struct emul_insn *i = &c->insn;
	int err = EMUL_OK;

	i->opnd[0].kind = i->opnd[1].kind = i->opnd[2].kind = OPND_NONE;
	if ((row->flags & (FL_MODRM | FL_NOMEM)) == FL_MODRM && MODRM_MOD(i->modrm) != 3)
		err = decode_mem(c);
	if (!err && row->form[0] != F__)
		err = decode_operand(c, row->form[0], &i->opnd[0]);
	if (!err && row->form[1] != F__)
		err = decode_operand(c, row->form[1], &i->opnd[1]);
	if (!err && unlikely(row->form[2] != F__))
		err = decode_operand(c, row->form[2], &i->opnd[2]);
	return err;
}
