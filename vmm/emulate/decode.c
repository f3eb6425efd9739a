/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The decoder, first half: prefixes, and the way through the opcode maps, one table lookup for each
 * byte; and what the tables cannot say about validity.
 */
#include "vmm/emulate/decode.h"

/* --- prefixes and opcode ------------------------------------------------------------- */

/* 64-bit mode ignores the overrides of the segments that have no base there. */
static void override_segment(struct emul_ctx *c, uint8_t seg)
{
	if (c->mode != EMUL_LONG64 || seg >= SEG_FS)
		c->insn.mem.seg = seg;
}

static void apply_prefix(struct emul_ctx *c, uint8_t byte)
{
	struct emul_insn *i = &c->insn;

	i->rex = 0; /* a REX prefix counts only right before the opcode */
	switch (byte) {
	case 0x26:
		override_segment(c, SEG_ES);
		break;
	case 0x2e:
		override_segment(c, SEG_CS);
		break;
	case 0x36:
		override_segment(c, SEG_SS);
		break;
	case 0x3e:
		override_segment(c, SEG_DS);
		break;
	case 0x64:
		override_segment(c, SEG_FS);
		break;
	case 0x65:
		override_segment(c, SEG_GS);
		break;
	case 0x66:
		i->prefixes |= EMUL_PFX_66;
		break;
	case 0x67:
		i->prefixes |= EMUL_PFX_67;
		break;
	case 0xf0:
		i->prefixes |= EMUL_PFX_LOCK;
		break;
	case 0xf2:
		i->prefixes = (i->prefixes & ~EMUL_PFX_REP) | EMUL_PFX_REPNE;
		break;
	case 0xf3:
		i->prefixes = (i->prefixes & ~EMUL_PFX_REPNE) | EMUL_PFX_REP;
		break;
	}
}

static unsigned prefix_column(const struct emul_insn *i)
{
	if (i->prefixes & EMUL_PFX_REP)
		return 2;
	if (i->prefixes & EMUL_PFX_REPNE)
		return 3;
	return i->prefixes & EMUL_PFX_66 ? 1 : 0;
}

static int next_opcode(struct emul_ctx *c, const struct opcode *map, const struct opcode **e)
{
	int err = emul_next_byte(c, &c->insn.opcode);

	*e = &map[c->insn.opcode];
	return err;
}

/* From an entry that is not yet an instruction to the one that is. */
static noinline int descend(struct emul_ctx *c, const struct opcode **entry, bool *have_modrm)
{
	struct emul_insn *i = &c->insn;
	const struct opcode *e = *entry;
	bool long64 = c->mode == EMUL_LONG64;
	int err = EMUL_OK;

	while (!err && e->kind != KIND_INSN) {
		if ((e->flags & FL_MODRM) && !*have_modrm) {
			err = emul_next_byte(c, &i->modrm);
			if (err)
				break;
			*have_modrm = true;
		}
		switch (e->kind) {
		case KIND_PREFIX:
			apply_prefix(c, i->opcode);
			err = next_opcode(c, emul_map_1byte, &e);
			break;
		case KIND_REX:
			if (!long64) {
				e = e->sub;
				break;
			}
			i->rex = i->opcode;
			err = next_opcode(c, emul_map_1byte, &e);
			break;
		case KIND_MAP:
			err = next_opcode(c, e->sub, &e);
			break;
		case KIND_MODE:
			e = &e->sub[long64];
			break;
		case KIND_REG:
			e = &e->sub[MODRM_REG(i->modrm)];
			break;
		case KIND_MOD:
			e = &e->sub[MODRM_MOD(i->modrm) == 3];
			break;
		case KIND_RM:
			e = &e->sub[MODRM_RM(i->modrm)];
			break;
		case KIND_PFX:
			e = &e->sub[prefix_column(i)];
			break;
		}
	}
	*entry = e;
	return err;
}

/* Walk the maps to the row of this instruction; the ModRM byte is read if there is one. */
static inline int find_opcode(struct emul_ctx *c, const struct opcode **row)
{
	int err = next_opcode(c, emul_map_1byte, row);

	if (err)
		return err;
	if (unlikely((*row)->kind != KIND_INSN)) {
		bool have_modrm = false;

		err = descend(c, row, &have_modrm);
		if (err || have_modrm)
			return err;
	}
	return (*row)->flags & FL_MODRM ? emul_next_byte(c, &c->insn.modrm) : EMUL_OK;
}

/*
 * The operand-size and address-size attributes (APM volume 3, tables 1-2 and 1-3), by mode and
 * without or with the prefix that changes them.
 */
static const uint8_t opsizes[][2] = {{2, 4}, {2, 4}, {2, 4}, {4, 2}, {4, 2}};
static const uint8_t adsizes[][2] = {{2, 4}, {2, 4}, {2, 4}, {4, 2}, {8, 4}};

static noinline void set_unusual_sizes(struct emul_ctx *c, unsigned flags)
{
	struct emul_insn *i = &c->insn;
	bool p66 = i->prefixes & EMUL_PFX_66;

	i->adsize = adsizes[c->mode][!!(i->prefixes & EMUL_PFX_67)];
	i->opsize = opsizes[c->mode][p66];
	if (c->mode == EMUL_LONG64 &&
	    ((i->rex & REX_W) || (flags & (FL_F64 | FL_N64)) || ((flags & FL_D64) && !p66)))
		i->opsize = 8;
}

static inline void set_sizes(struct emul_ctx *c, unsigned flags)
{
	c->insn.adsize = adsizes[c->mode][0];
	c->insn.opsize = opsizes[c->mode][0];
	if (c->insn.prefixes || c->insn.rex || (flags & (FL_F64 | FL_N64 | FL_D64)))
		set_unusual_sizes(c, flags);
}

/* --- what is not an instruction ------------------------------------------------------ */

#define CR_NUMBERS (BIT(0) | BIT(2) | BIT(3) | BIT(4) | BIT(8))

static bool is_bad_register(const struct emul_insn *i, const struct emul_opnd *o)
{
	switch (o->kind) {
	case OPND_SEG:
		return o->reg > SEG_GS || (o->reg == SEG_CS && i->op == OP_MOV_SEG);
	case OPND_CR:
		return !(BIT(o->reg) & CR_NUMBERS);
	case OPND_DR:
		return o->reg > 7;
	default:
		return false;
	}
}

/* A row with a memory-only operand letter met a register. */
static bool lacks_memory(const struct emul_insn *i, const struct opcode *row)
{
	for (unsigned n = 0; n < ARRAY_SIZE(row->form); n++)
		if (row->form[n] >= F_M && row->form[n] <= F_Mx && i->opnd[n].kind != OPND_MEM)
			return true;
	return false;
}

/* AMD's CPUs let 32-bit code name CR8 as CR0 with LOCK (APM volume 3, MOV CRn). */
static noinline bool is_cr8_by_lock(struct emul_ctx *c)
{
	struct emul_insn *i = &c->insn;
	struct emul_opnd *o = &i->opnd[i->op == OP_MOV_FROM_CR];

	if ((i->op != OP_MOV_TO_CR && i->op != OP_MOV_FROM_CR) || o->reg != 0 || !c->ops->is_amd ||
	    !c->ops->is_amd(c))
		return false;
	o->reg = 8;
	return true;
}

static noinline bool is_invalid(struct emul_ctx *c, const struct opcode *row)
{
	const struct emul_insn *i = &c->insn;
	unsigned flags = row->flags;
	bool long64 = c->mode == EMUL_LONG64;

	if ((i->prefixes & EMUL_PFX_LOCK) && !((flags & FL_LOCK) && i->opnd[0].kind == OPND_MEM) &&
	    !is_cr8_by_lock(c))
		return true;
	if ((flags & FL_SREG) &&
	    (is_bad_register(i, &i->opnd[0]) || is_bad_register(i, &i->opnd[1])))
		return true;
	if ((flags & FL_MEM) && lacks_memory(i, row))
		return true;
	if ((flags & FL_I64) && long64)
		return true;
	if ((flags & FL_O64) && !long64)
		return true;
	return (flags & FL_PROT) && c->mode <= EMUL_VM86;
}

/*
 * What the row does not describe: another instruction behind the same opcode; and near branches
 * with 66 in 64-bit mode, of which Intel's CPUs ignore the prefix and AMD's do not.
 */
static bool is_other_insn(const struct emul_ctx *c, unsigned flags)
{
	const struct emul_insn *i = &c->insn;
	uint8_t rep = EMUL_PFX_REP | EMUL_PFX_REPNE;

	if (flags & FL_F64)
		return (i->prefixes & EMUL_PFX_66) && !(i->rex & REX_W) && c->mode == EMUL_LONG64;
	if (flags & FL_NP)
		return i->prefixes & (rep | EMUL_PFX_66);
	return (flags & FL_NOREP) && (i->prefixes & rep);
}

/* What is not an instruction, or not one of ours. */
static noinline int reject(struct emul_ctx *c, const struct opcode *row)
{
	if (row->op == OP_INVALID)
		return emul_set_fault(c, X86_TRAP_UD, 0);
	set_sizes(c, row->flags);
	return emul_decode_native(c);
}

int emul_decode(struct emul_ctx *c)
{
	struct emul_insn *i = &c->insn;
	const struct opcode *row;
	int err;

	i->len = 0;
	i->prefixes = 0;
	i->rex = 0;
	i->mem.seg = SEG_NONE;
	err = find_opcode(c, &row);
	if (err)
		return err;
	i->op = row->op;
	if (unlikely(row->op <= OP_UNKNOWN || (i->prefixes && is_other_insn(c, row->flags))))
		return reject(c, row);
	set_sizes(c, row->flags);
	err = emul_decode_operands(c, row);
	if (err)
		return err;
	if (i->mem.seg == SEG_NONE)
		i->mem.seg = SEG_DS;
	if (((row->flags & FL_CHECKED) || (i->prefixes & EMUL_PFX_LOCK)) && is_invalid(c, row))
		return emul_set_fault(c, X86_TRAP_UD, 0);
	return EMUL_OK;
}
