/* SPDX-License-Identifier: BSD-2-Clause */
/* Decimal arithmetic of the 8086: adjustments of AL and AH after binary operations. */
#include "vmm/emulate/flags.h"
#include "vmm/emulate/internal.h"

static uint64_t al_flags(uint8_t al, bool af, bool cf)
{
	return flags_of(al, 1) | (af ? RFLAGS_AF : 0) | (cf ? RFLAGS_CF : 0);
}

/* DAA and DAS: packed digits; `sign` is +1 or -1. */
static void adjust_packed(struct emul_ctx *c, int sign)
{
	uint8_t old = c->gpr[GPR_RAX], al = old;
	bool low = (old & 0xf) > 9 || (c->rflags & RFLAGS_AF);
	bool high = old > 0x99 || (c->rflags & RFLAGS_CF), borrow = false;

	if (low) {
		al += sign * 6;
		borrow = sign < 0 && old < 6;
	}
	if (high)
		al += sign * 0x60;
	emul_reg_write(c, GPR_RAX, 1, al);
	set_arith_flags(c, al_flags(al, low, high || borrow));
}

/* AAA and AAS: one unpacked digit in AL, the next in AH. */
static void adjust_unpacked(struct emul_ctx *c, int sign)
{
	uint16_t ax = c->gpr[GPR_RAX];
	bool adjust = (ax & 0xf) > 9 || (c->rflags & RFLAGS_AF);

	if (adjust)
		ax += sign * 0x106;
	ax &= 0xff0f;
	emul_reg_write(c, GPR_RAX, 2, ax);
	set_arith_flags(c, al_flags(ax, adjust, adjust));
}

static int divide_al(struct emul_ctx *c)
{
	uint8_t al = c->gpr[GPR_RAX], base = c->insn.imm;

	if (base == 0)
		return emul_set_fault(c, X86_TRAP_DE, 0);
	emul_reg_write(c, GPR_RAX, 2, (al / base) << 8 | al % base);
	set_arith_flags(c, al_flags(al % base, false, false));
	return EMUL_OK;
}

static int multiply_ah(struct emul_ctx *c)
{
	uint16_t ax = c->gpr[GPR_RAX];
	uint8_t al = ax + (ax >> 8) * (uint8_t)c->insn.imm;

	emul_reg_write(c, GPR_RAX, 2, al);
	set_arith_flags(c, al_flags(al, false, false));
	return EMUL_OK;
}

/* AAA AAS DAA DAS AAM AAD. */
int emul_exec_bcd(struct emul_ctx *c)
{
	switch (c->insn.op) {
	case OP_DAA:
		adjust_packed(c, 1);
		break;
	case OP_DAS:
		adjust_packed(c, -1);
		break;
	case OP_AAA:
		adjust_unpacked(c, 1);
		break;
	case OP_AAS:
		adjust_unpacked(c, -1);
		break;
	case OP_AAM:
		return divide_al(c);
	case OP_AAD:
		return multiply_ah(c);
	}
	return EMUL_OK;
}
