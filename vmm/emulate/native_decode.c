/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The decoder for what is not in its opcode maps (native.h): once more from the first byte behind
 * the prefixes, through VEX, EVEX and XOP encodings; and the way back, to an encoding that the
 * hypervisor can execute.
 */
#include "arch/x86/cpu.h"
#include "vmm/emulate/native.h"

#define RBX 3
#define RSI 6
#define RDI 7

#define X87_FIRST 0xd8
#define X87_LAST  0xdf

/* How many bytes are prefixes, REX among them. Each was fetched on the way here. */
static unsigned prefix_bytes(const struct emul_ctx *c)
{
	const struct emul_insn *i = &c->insn;
	unsigned n = 0;

	for (;; n++) {
		switch (i->bytes[n]) {
		case 0x26:
		case 0x2e:
		case 0x36:
		case 0x3e:
		case 0x64 ... 0x67:
		case 0xf0:
		case 0xf2:
		case 0xf3:
			continue;
		case 0x40 ... 0x4f:
			if (c->mode == EMUL_LONG64)
				continue;
		}
		return n;
	}
}

static uint8_t encoding_of(uint8_t first)
{
	switch (first) {
	case 0x62:
		return ENC_EVEX;
	case 0x8f:
		return ENC_XOP;
	case 0xc4:
	case 0xc5:
		return ENC_VEX;
	case 0x0f:
		return ENC_LEGACY;
	default:
		return first >= X87_FIRST && first <= X87_LAST ? ENC_X87 : 0;
	}
}

/* All but EMMS. */
static bool has_modrm(const struct emul_insn *i)
{
	return !(i->native.enc == ENC_LEGACY && i->opcode == 0x77 &&
		 i->native.at - i->native.start == 1);
}

/* Go on to the opcode, and note where it is. */
static int find_opcode(struct emul_ctx *c, uint8_t first)
{
	struct emul_insn *i = &c->insn;
	unsigned payload = first == 0x62                    ? 3
			   : first == 0xc5                  ? 1
			   : first == 0xc4 || first == 0x8f ? 2
							    : 0;
	uint8_t byte = first;
	int err = EMUL_OK;

	i->native.start = i->len - 1;
	while (!err && payload--)
		err = emul_next_byte(c, &byte);
	if (!err && i->native.enc != ENC_X87)
		err = emul_next_byte(c, &byte);
	if (!err && i->native.enc == ENC_LEGACY && (byte == 0x38 || byte == 0x3a))
		err = emul_next_byte(c, &byte);
	i->opcode = byte;
	i->native.at = i->len - 1;
	return err;
}

static void legacy_fields(const struct emul_ctx *c, struct native_fields *f)
{
	const struct emul_insn *i = &c->insn;
	uint8_t second = i->bytes[i->native.start + 1];

	if (i->native.enc == ENC_X87)
		f->map = MAP_X87;
	else if (i->native.at - i->native.start == 1)
		f->map = MAP_0F;
	else
		f->map = second == 0x38 ? MAP_0F38 : MAP_0F3A;
	if (i->native.enc == ENC_X87)
		f->pp = 0;
	else if (i->prefixes & (EMUL_PFX_REP | EMUL_PFX_REPNE))
		f->pp = i->prefixes & EMUL_PFX_REP ? 2 : 3;
	else
		f->pp = i->prefixes & EMUL_PFX_66 ? 1 : 0;
	f->w = i->rex & REX_W;
	f->r = i->rex & REX_R;
	f->x = i->rex & REX_X;
	f->b = i->rex & REX_B;
}

/* The last two bytes are alike in all three, but for C5, which lacks the first of them. */
static void vex_fields(const struct emul_ctx *c, struct native_fields *f)
{
	const struct emul_insn *i = &c->insn;
	const uint8_t *start = i->bytes + i->native.start, *p = start + 2;

	f->map = start[1] & (i->native.enc == ENC_EVEX ? 0x7 : 0x1f);
	if (*start == 0xc5) {
		f->map = MAP_0F;
		p = start + 1;
	}
	f->r = !(start[1] & 0x80);
	if (*start != 0xc5) {
		f->x = !(start[1] & 0x40);
		f->b = !(start[1] & 0x20);
		f->w = *p & 0x80;
	}
	f->vvvv = ~(*p >> 3) & 0xf;
	f->pp = *p & 3;
	f->l = (*p >> 2) & 1;
	if (i->native.enc == ENC_EVEX) {
		f->r2 = !(start[1] & 0x10);
		f->p2 = start[3];
		f->l = (f->p2 >> 5) & 3;
	}
}

void emul_native_fields(const struct emul_ctx *c, struct native_fields *f)
{
	*f = (struct native_fields){};
	if (c->insn.native.enc & (ENC_LEGACY | ENC_X87))
		legacy_fields(c, f);
	else
		vex_fields(c, f);
	if (c->mode != EMUL_LONG64) { /* 8 registers; the bits are ignored, or are constants */
		f->r = f->x = f->b = f->r2 = false;
		f->vvvv &= 7;
	}
}

/* --- what it is ---------------------------------------------------------------------------------
 */

static bool fits(const struct native_row *row, const struct emul_insn *i,
		 const struct native_fields *f)
{
	bool reg = MODRM_MOD(i->modrm) == 3;

	if (!(row->encs & i->native.enc) || row->map != f->map || !(row->pps & BIT(f->pp)) ||
	    i->opcode < row->first || i->opcode > row->last ||
	    !(row->regs & BIT(MODRM_REG(i->modrm))))
		return false;
	if (row->flags & (NAT_RDI | NAT_NOMEM))
		return reg;
	if (row->flags & NAT_NOMODRM)
		return true;
	if (!reg)
		return row->size != SZ_NONE;
	return i->native.enc == ENC_X87 ? row->size == SZ_NONE
					: i->native.enc == ENC_LEGACY && !(row->flags & NAT_MEM);
}

static bool find_row(struct emul_insn *i, const struct native_fields *f)
{
	for (unsigned n = 0; n < emul_nr_native_rows; n++) {
		if (fits(&emul_native_rows[n], i, f)) {
			i->native.row = n;
			return true;
		}
	}
	return false;
}

/* Constant bits of the prefix, and prefixes that it must not have. */
static bool is_malformed(const struct emul_ctx *c)
{
	const struct emul_insn *i = &c->insn;
	const uint8_t *start = i->bytes + i->native.start;

	if (i->prefixes & EMUL_PFX_LOCK)
		return true;
	if (i->native.enc & (ENC_LEGACY | ENC_X87))
		return false;
	if (c->mode <= EMUL_VM86 || i->rex ||
	    (i->prefixes & (EMUL_PFX_66 | EMUL_PFX_REP | EMUL_PFX_REPNE)))
		return true;
	if (i->native.enc != ENC_EVEX)
		return false;
	if ((start[1] & 0x8) || !(start[2] & 0x4))
		return true;
	if (c->mode != EMUL_LONG64 && !(start[3] & 0x8)) /* V', of a register that is not there */
		return true;
	return MODRM_MOD(i->modrm) != 3 && (start[3] & 0x60) == 0x60; /* no such length */
}

/* --- its operand -------------------------------------------------------------------------------
 */

unsigned emul_native_size(const struct emul_ctx *c)
{
	static const uint8_t fixed[] = {
		[SZ_B1] = 1,   [SZ_B2] = 2,   [SZ_B4] = 4,   [SZ_B8] = 8,
		[SZ_B10] = 10, [SZ_B16] = 16, [SZ_B32] = 32,
	};
	const struct native_row *row = native_row(&c->insn);
	struct native_fields f;
	unsigned vl;

	emul_native_fields(c, &f);
	if ((f.p2 & 0x10) && c->insn.native.enc == ENC_EVEX) /* one element for all */
		return f.w ? 8 : 4;
	vl = 16u << f.l;
	switch (row->size) {
	case SZ_VL:
		return vl;
	case SZ_VL2:
		return vl / 2;
	case SZ_VL4:
		return vl / 4;
	case SZ_VL8:
		return vl / 8;
	case SZ_PS:
		return f.pp < 2 ? vl : f.pp == 2 ? 4 : 8;
	case SZ_DUP:
		return vl == 16 ? 8 : vl;
	case SZ_VH:
		return f.w ? vl : vl / 2;
	case SZ_YG:
		return f.w && c->mode == EMUL_LONG64 ? 8 : 4;
	case SZ_YW:
		return f.w ? 8 : 4;
	case SZ_V:
		return c->insn.opsize;
	case SZ_K:
		return f.pp ? (f.w ? 4 : 1) : (f.w ? 8 : 2);
	case SZ_ENV:
		return c->insn.opsize == 2 ? 14 : 28;
	case SZ_SAVE:
		return c->insn.opsize == 2 ? 94 : 108;
	case SZ_FX:
		return 512;
	case SZ_XS:
		return cpuid_count(0xd, 0).ebx;
	default:
		return fixed[row->size];
	}
}

/* What an 8-bit displacement of an EVEX encoding counts (SDM volume 2, 2.7.5). */
static unsigned displacement_scale(const struct emul_ctx *c)
{
	const struct native_row *row = native_row(&c->insn);
	struct native_fields f;

	if (c->insn.native.enc != ENC_EVEX)
		return 1;
	if (!(row->flags & NAT_ELEMENT))
		return emul_native_size(c);
	emul_native_fields(c, &f);
	return (c->insn.opcode & 0xfe) == 0x62 ? (f.w ? 2 : 1) : (f.w ? 8 : 4);
}

static void set_rdi_operand(struct emul_ctx *c)
{
	struct emul_mem *m = &c->insn.mem;

	m->base = GPR_RDI;
	m->index = EMUL_MEM_NONE;
	m->scale = 0;
	m->disp = 0;
}

static int decode_operands(struct emul_ctx *c)
{
	struct emul_insn *i = &c->insn;
	const struct native_row *row = native_row(i);
	bool bextr = row->map == MAP_XOPA; /* the one with an immediate of 4 bytes */
	int err = EMUL_OK;

	i->opnd[0] = i->opnd[1] = i->opnd[2] = (struct emul_opnd){.kind = OPND_NONE};
	if (row->flags & NAT_RDI) {
		set_rdi_operand(c);
		i->opnd[0].kind = OPND_MEM;
	} else if (MODRM_MOD(i->modrm) != 3) {
		err = emul_decode_mem(c, displacement_scale(c));
		i->opnd[0].kind = OPND_MEM;
	}
	if (i->mem.seg == SEG_NONE)
		i->mem.seg = SEG_DS;
	if (!err && (row->flags & NAT_IMM))
		err = emul_decode_number(c, bextr ? 4 : 1, &i->imm);
	return err;
}

int emul_decode_native(struct emul_ctx *c)
{
	struct emul_insn *i = &c->insn;
	struct native_fields f;
	uint8_t first;
	int err;

	i->op = OP_UNKNOWN;
	i->len = prefix_bytes(c);
	err = emul_next_byte(c, &first);
	if (err)
		return err;
	i->native.enc = encoding_of(first);
	if (!i->native.enc)
		return EMUL_UNHANDLED;
	err = find_opcode(c, first);
	if (err)
		return err;
	i->modrm = 0xc0;
	err = has_modrm(i) ? emul_next_byte(c, &i->modrm) : EMUL_OK;
	if (err)
		return err;
	if (is_malformed(c))
		return emul_set_fault(c, X86_TRAP_UD, 0);
	emul_native_fields(c, &f);
	if (!find_row(i, &f))
		return EMUL_UNHANDLED;
	i->op = OP_NATIVE;
	i->rex = (f.x ? REX_X : 0) | (f.b ? REX_B : 0) | (f.r ? REX_R : 0) | (f.w ? REX_W : 0);
	return decode_operands(c);
}

/* --- encoded anew ------------------------------------------------------------------------------
 */

static void put_prefix(const struct native_fields *f, uint8_t first, bool bit2, uint8_t *code)
{
	code[0] = first;
	code[1] = (f->r ? 0 : 0x80) | (f->x ? 0 : 0x40) | (f->b ? 0 : 0x20) | f->map;
	code[2] = (f->w ? 0x80 : 0) | (~f->vvvv & 0xf) << 3 | bit2 << 2 | f->pp;
}

static unsigned put_vex(const struct native_fields *f, uint8_t first, uint8_t *code)
{
	put_prefix(f, first, f->l, code);
	return 3;
}

static unsigned put_evex(const struct native_fields *f, uint8_t *code)
{
	put_prefix(f, 0x62, true, code);
	code[1] |= f->r2 ? 0 : 0x10;
	code[3] = f->p2;
	return 4;
}

static unsigned put_legacy(const struct emul_insn *i, const struct native_fields *f, uint8_t *code)
{
	static const uint8_t prefixes[] = {0, 0x66, 0xf3, 0xf2};
	unsigned n = 0;

	if ((native_row(i)->flags & NAT_OPSIZE) && i->opsize == 2)
		code[n++] = 0x66;
	if (f->pp)
		code[n++] = prefixes[f->pp];
	if (f->w || f->r || f->b)
		code[n++] = 0x40 | (f->w ? REX_W : 0) | (f->r ? REX_R : 0) | (f->b ? REX_B : 0);
	if (f->map == MAP_X87)
		return n;
	code[n++] = 0x0f;
	if (f->map != MAP_0F)
		code[n++] = f->map == MAP_0F38 ? 0x38 : 0x3a;
	return n;
}

/* Registers in the places where the caller has put them. */
static uint8_t rename_registers(const struct emul_ctx *c, struct native_fields *f)
{
	const struct emul_insn *i = &c->insn;
	const struct native_row *row = native_row(i);
	bool memory = MODRM_MOD(i->modrm) != 3;
	uint8_t modrm = i->modrm;

	if (memory) {
		modrm = MODRM_REG(modrm) << 3 | RDI;
		f->x = f->b = false;
	}
	if (row->flags & NAT_REG) {
		modrm = (modrm & 0xc7) | RBX << 3;
		f->r = f->r2 = false;
	}
	if (row->flags & NAT_VREG)
		f->vvvv = RSI;
	if (c->mode != EMUL_LONG64 && (row->size == SZ_YG || (row->flags & NAT_REG)))
		f->w = false;
	return modrm;
}

unsigned emul_native_encode(const struct emul_ctx *c, uint8_t opcode, uint8_t *code)
{
	const struct emul_insn *i = &c->insn;
	const struct native_row *row = native_row(i);
	struct native_fields f;
	uint8_t modrm;
	unsigned n;

	emul_native_fields(c, &f);
	if (opcode != i->opcode)
		f.p2 &= 0x7f; /* a store cannot set what is masked to zero */
	modrm = rename_registers(c, &f);
	if (i->native.enc == ENC_EVEX)
		n = put_evex(&f, code);
	else if (i->native.enc & (ENC_VEX | ENC_XOP))
		n = put_vex(&f, i->native.enc == ENC_VEX ? 0xc4 : 0x8f, code);
	else
		n = put_legacy(i, &f, code);
	code[n++] = opcode;
	if (!(row->flags & NAT_NOMODRM))
		code[n++] = modrm;
	if (!(row->flags & NAT_IMM))
		return n;
	code[n++] = i->imm & (row->flags & NAT_IS4 && c->mode != EMUL_LONG64 ? 0x7f : 0xff);
	for (unsigned byte = 1; row->map == MAP_XOPA && byte < 4; byte++)
		code[n++] = i->imm >> (8 * byte);
	return n;
}
