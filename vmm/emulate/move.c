/* SPDX-License-Identifier: BSD-2-Clause */
/* Data movement, exchanges, conditions, and the flag instructions. */
#include <string.h>

#include "vmm/emulate/flags.h"
#include "vmm/emulate/internal.h"

int emul_exec_mov(struct emul_ctx *c)
{
	uint64_t val;
	int err = emul_load(c, 1, 0, &val);

	return err ? err : emul_store(c, 0, val);
}

/*
 * MOVZX, and MOVSX with MOVSXD. With an operand size of 16 bits Intel's CPUs read no more of
 * MOVSXD's source (SDM volume 2, MOVSX/MOVSXD), and AMD's 32 bits all the same.
 */
int emul_exec_extend(struct emul_ctx *c)
{
	struct emul_opnd *to = &c->insn.opnd[0], *from = &c->insn.opnd[1];
	uint64_t val;
	int err;

	if (to->size < from->size && !c->ops->is_amd(c))
		from->size = to->size;
	err = emul_load(c, 1, 0, &val);
	if (err)
		return err;
	if (c->insn.op == OP_MOVSX)
		val = sign_extend(val, from->size);
	return emul_store(c, 0, val);
}

int emul_exec_movbe(struct emul_ctx *c)
{
	unsigned size = c->insn.opnd[0].size;
	uint64_t val;
	int err = emul_load(c, 1, 0, &val);

	return err ? err : emul_store(c, 0, __builtin_bswap64(val) >> (64 - 8 * size));
}

int emul_exec_lea(struct emul_ctx *c)
{
	return emul_store(c, 0, emul_effective_address(c));
}

/* MOV Ev,Sw: memory takes the 16 bits, a register is zero-extended. */
int emul_exec_mov_from_seg(struct emul_ctx *c)
{
	return emul_store(c, 0, emul_segment(c, c->insn.opnd[1].reg)->selector);
}

int emul_exec_xlat(struct emul_ctx *c)
{
	uint64_t ea = c->gpr[GPR_RBX] + (uint8_t)c->gpr[GPR_RAX];
	uint8_t val;
	gva_t la;
	int err = emul_linear(c, c->insn.mem.seg, cut_address(c, ea), 1, 0, &la);

	if (!err)
		err = emul_mem_read(c, la, &val, 1, 0);
	if (!err)
		emul_reg_write(c, GPR_RAX, 1, val);
	return err;
}

/* --- exchanges ----------------------------------------------------------------------- */

/* With memory it is locked, prefix or not. */
int emul_exec_xchg(struct emul_ctx *c)
{
	const struct emul_opnd *dst = &c->insn.opnd[0], *src = &c->insn.opnd[1];
	uint64_t a, b;
	int err = emul_load(c, 0, EMUL_ACC_WRITE, &a);

	if (err)
		return err;
	if (c->insn.opcode == 0x90 && dst->reg == GPR_RAX)
		return EMUL_OK; /* NOP: does not even clear the upper half */
	b = emul_reg_read(c, src->reg, src->size);
	if (dst->kind == OPND_MEM)
		err = emul_mem_update(c, &a, &b, dst->size, true);
	else
		emul_reg_write(c, dst->reg, dst->size, b);
	if (!err)
		emul_reg_write(c, src->reg, src->size, a);
	return err;
}

int emul_exec_xadd(struct emul_ctx *c)
{
	const struct emul_opnd *dst = &c->insn.opnd[0], *src = &c->insn.opnd[1];
	uint64_t a, b, r, flags;
	int err = emul_load(c, 0, EMUL_ACC_WRITE, &a);

	if (err)
		return err;
	b = emul_reg_read(c, src->reg, src->size);
	r = add_flags(a, b, 0, dst->size, &flags);
	if (dst->kind == OPND_MEM)
		err = emul_update(c, 0, a, r);
	if (err)
		return err;
	emul_reg_write(c, src->reg, src->size, a);
	if (dst->kind == OPND_REG) /* last: the sum stays when both are one register */
		emul_reg_write(c, dst->reg, dst->size, r);
	set_arith_flags(c, flags);
	return EMUL_OK;
}

/* A memory destination is written in any case: with what it held when the comparison fails. */
int emul_exec_cmpxchg(struct emul_ctx *c)
{
	const struct emul_opnd *dst = &c->insn.opnd[0], *src = &c->insn.opnd[1];
	uint64_t acc = emul_reg_read(c, GPR_RAX, dst->size), a, flags;
	int err = emul_load(c, 0, EMUL_ACC_WRITE, &a);

	if (err)
		return err;
	sub_flags(acc, a, 0, dst->size, &flags);
	if (acc == a)
		err = emul_update(c, 0, a, emul_reg_read(c, src->reg, src->size));
	else if (dst->kind == OPND_MEM)
		err = emul_update(c, 0, a, a);
	if (err)
		return err;
	if (acc != a)
		emul_reg_write(c, GPR_RAX, dst->size, a);
	set_arith_flags(c, flags);
	return EMUL_OK;
}

/* Compare rDX:rAX, store rCX:rBX. The 16-byte form wants an aligned operand. */
int emul_exec_cmpxchg8b(struct emul_ctx *c)
{
	const struct emul_insn *i = &c->insn;
	unsigned half = i->opnd[0].size / 2;
	uint64_t mask = size_mask(half), ea = emul_effective_address(c);
	uint8_t old[16], val[16];
	uint64_t low = 0, high = 0, new_low, new_high;
	bool equal;
	int err = emul_linear(c, i->mem.seg, ea, 2 * half, EMUL_ACC_WRITE, &c->la);

	if (err)
		return err;
	if (half == 8 && !IS_ALIGNED(c->la.v, 16))
		return emul_set_fault(c, X86_TRAP_GP, 0);
	err = emul_mem_read(c, c->la, old, 2 * half, EMUL_ACC_WRITE);
	if (err)
		return err;
	memcpy(&low, old, half);
	memcpy(&high, old + half, half);
	equal = low == (c->gpr[GPR_RAX] & mask) && high == (c->gpr[GPR_RDX] & mask);
	new_low = equal ? c->gpr[GPR_RBX] : low;
	new_high = equal ? c->gpr[GPR_RCX] : high;
	memcpy(val, &new_low, half);
	memcpy(val + half, &new_high, half);
	err = emul_mem_update(c, old, val, 2 * half, i->prefixes & EMUL_PFX_LOCK);
	if (err)
		return err;
	if (!equal) {
		emul_reg_write(c, GPR_RAX, half, low);
		emul_reg_write(c, GPR_RDX, half, high);
	}
	set_flag(c, RFLAGS_ZF, equal);
	return EMUL_OK;
}

/* --- conditions ---------------------------------------------------------------------- */

bool emul_condition(uint64_t rflags, unsigned cc)
{
	bool sf_ne_of = !(rflags & RFLAGS_SF) != !(rflags & RFLAGS_OF), hit;

	switch ((cc >> 1) & 7) {
	case 0: /* O */
		hit = rflags & RFLAGS_OF;
		break;
	case 1: /* B */
		hit = rflags & RFLAGS_CF;
		break;
	case 2: /* E */
		hit = rflags & RFLAGS_ZF;
		break;
	case 3: /* BE */
		hit = rflags & (RFLAGS_CF | RFLAGS_ZF);
		break;
	case 4: /* S */
		hit = rflags & RFLAGS_SF;
		break;
	case 5: /* P */
		hit = rflags & RFLAGS_PF;
		break;
	case 6: /* L */
		hit = sf_ne_of;
		break;
	default: /* LE */
		hit = sf_ne_of || (rflags & RFLAGS_ZF);
		break;
	}
	return hit != (cc & 1);
}

int emul_exec_setcc(struct emul_ctx *c)
{
	return emul_store(c, 0, emul_condition(c->rflags, c->insn.opcode));
}

/* The source is read, and the upper half of a 32-bit destination cleared, in any case. */
int emul_exec_cmovcc(struct emul_ctx *c)
{
	const struct emul_opnd *dst = &c->insn.opnd[0];
	uint64_t val;
	int err = emul_load(c, 1, 0, &val);

	if (err)
		return err;
	if (!emul_condition(c->rflags, c->insn.opcode))
		val = emul_reg_read(c, dst->reg, dst->size);
	return emul_store(c, 0, val);
}

/* --- flags --------------------------------------------------------------------------- */

int emul_exec_flag(struct emul_ctx *c)
{
	switch (c->insn.op) {
	case OP_CLC:
		c->rflags &= ~RFLAGS_CF;
		break;
	case OP_STC:
		c->rflags |= RFLAGS_CF;
		break;
	case OP_CMC:
		c->rflags ^= RFLAGS_CF;
		break;
	case OP_CLD:
		c->rflags &= ~RFLAGS_DF;
		break;
	case OP_STD:
		c->rflags |= RFLAGS_DF;
		break;
	}
	return EMUL_OK;
}

/* STI opens interrupts one instruction late. */
int emul_exec_sti_cli(struct emul_ctx *c)
{
	if (c->cpl > FIELD_GET(RFLAGS_IOPL, c->rflags))
		return emul_set_fault(c, X86_TRAP_GP, 0);
	if (c->insn.op == OP_STI)
		c->int_shadow = !(c->rflags & RFLAGS_IF);
	set_flag(c, RFLAGS_IF, c->insn.op == OP_STI);
	return EMUL_OK;
}

#define FLAGS_AH (RFLAGS_SF | RFLAGS_ZF | RFLAGS_AF | RFLAGS_PF | RFLAGS_CF)

int emul_exec_lahf(struct emul_ctx *c)
{
	emul_reg_write(c, EMUL_REG_HIGH + GPR_RAX, 1, (c->rflags & FLAGS_AH) | RFLAGS_FIXED);
	return EMUL_OK;
}

int emul_exec_sahf(struct emul_ctx *c)
{
	uint64_t ah = emul_reg_read(c, EMUL_REG_HIGH + GPR_RAX, 1);

	c->rflags = (c->rflags & ~FLAGS_AH) | (ah & FLAGS_AH);
	return EMUL_OK;
}

/* Undocumented, and in every CPU: AL = CF ? FF : 0. */
int emul_exec_salc(struct emul_ctx *c)
{
	emul_reg_write(c, GPR_RAX, 1, c->rflags & RFLAGS_CF ? 0xff : 0);
	return EMUL_OK;
}

int emul_exec_nop(struct emul_ctx *c)
{
	return EMUL_OK;
}

/* With REX.B it is an exchange with r8 on some CPUs. */
int emul_exec_pause(struct emul_ctx *c)
{
	return c->insn.rex & 1 ? EMUL_UNHANDLED : EMUL_OK;
}

int emul_exec_ud(struct emul_ctx *c)
{
	return emul_set_fault(c, X86_TRAP_UD, 0);
}

static int load_bound(struct emul_ctx *c, uint64_t ea, int64_t *bound)
{
	unsigned size = c->insn.opsize;
	uint64_t val = 0;
	gva_t la;
	int err = emul_linear(c, c->insn.mem.seg, cut_address(c, ea), size, 0, &la);

	if (!err)
		err = emul_mem_read(c, la, &val, size, 0);
	*bound = sign_extend(val, size);
	return err;
}

/* A signed index against a pair in memory. */
int emul_exec_bound(struct emul_ctx *c)
{
	unsigned size = c->insn.opsize;
	uint64_t ea = emul_effective_address(c);
	int64_t index = sign_extend(emul_reg_read(c, c->insn.opnd[0].reg, size), size), lower,
		upper;
	int err = load_bound(c, ea, &lower);

	if (!err)
		err = load_bound(c, ea + size, &upper);
	if (err)
		return err;
	return index < lower || index > upper ? emul_set_fault(c, X86_TRAP_BR, 0) : EMUL_OK;
}
