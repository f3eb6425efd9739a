/* SPDX-License-Identifier: BSD-2-Clause */
/* Shifts, rotates and single bits. */
#include "vmm/emulate/flags.h"
#include "vmm/emulate/internal.h"

/* Bit `n` of val, as a number. */
static inline uint64_t bit_of(uint64_t val, unsigned n)
{
	return (val >> n) & 1;
}

static uint64_t rotate_left(uint64_t a, unsigned n, unsigned bits)
{
	n %= bits;
	return n ? (a << n | a >> (bits - n)) & (~0ull >> (64 - bits)) : a;
}

/* Rotate through carry one place at a time: there are at most 63. */
static uint64_t rotate_carry(uint64_t a, unsigned n, unsigned bits, bool left, uint64_t *cf)
{
	for (n %= bits + 1; n; n--) {
		uint64_t out = left ? bit_of(a, bits - 1) : a & 1;

		a = left ? a << 1 | *cf : a >> 1 | *cf << (bits - 1);
		a &= ~0ull >> (64 - bits);
		*cf = out;
	}
	return a;
}

/* n > 0; the rotates change CF and OF only. OF is defined for n == 1. */
static uint64_t rotate(const struct emul_ctx *c, uint64_t a, unsigned n, unsigned bits,
		       uint64_t *flags)
{
	uint64_t r = a, cf = c->rflags & RFLAGS_CF, msb;

	switch (c->insn.op) {
	case OP_ROL:
		r = rotate_left(a, n, bits);
		cf = r & 1;
		break;
	case OP_ROR:
		r = rotate_left(a, bits - n % bits, bits);
		cf = bit_of(r, bits - 1);
		break;
	case OP_RCL:
	case OP_RCR:
		r = rotate_carry(a, n, bits, c->insn.op == OP_RCL, &cf);
		break;
	}
	msb = bit_of(r, bits - 1);
	*flags = c->rflags & (FLAGS_ARITH & ~(RFLAGS_CF | RFLAGS_OF));
	*flags |= cf ? RFLAGS_CF : 0;
	if (msb ^ (c->insn.op == OP_ROL || c->insn.op == OP_RCL ? cf : bit_of(r, bits - 2)))
		*flags |= RFLAGS_OF;
	return r;
}

/* n > 0, and may exceed the operand. OF is defined for n == 1, AF never. */
static uint64_t shift(const struct emul_ctx *c, uint64_t a, unsigned n, unsigned bits,
		      uint64_t *flags)
{
	unsigned size = bits / 8;
	uint64_t r, cf, of;

	switch (c->insn.op) {
	case OP_SHR:
		r = n < bits ? a >> n : 0;
		cf = n <= bits ? bit_of(a, n - 1) : 0;
		of = bit_of(a, bits - 1);
		break;
	case OP_SAR:
		r = sign_extend(a, size);
		cf = bit_of(r, n - 1); /* n <= 63: beyond the operand it is the sign */
		r = (uint64_t)((int64_t)r >> n) & size_mask(size);
		of = 0;
		break;
	default: /* SHL; SAL is its other name */
		r = n < bits ? (a << n) & size_mask(size) : 0;
		cf = n <= bits ? bit_of(a, bits - n) : 0;
		of = bit_of(r, bits - 1) ^ cf;
		break;
	}
	*flags = flags_of(r, size) | (cf ? RFLAGS_CF : 0) | (of ? RFLAGS_OF : 0);
	return r;
}

int emul_exec_shift(struct emul_ctx *c)
{
	unsigned size = c->insn.opnd[0].size;
	uint64_t a, n, r, flags = c->rflags & FLAGS_ARITH;
	int err = emul_load(c, 1, 0, &n);

	if (!err)
		err = emul_load(c, 0, EMUL_ACC_WRITE, &a);
	if (err)
		return err;
	n &= size == 8 ? 63 : 31;
	r = a;
	if (n)
		r = c->insn.op <= OP_RCR ? rotate(c, a, n, 8 * size, &flags)
					 : shift(c, a, n, 8 * size, &flags);
	err = emul_update(c, 0, a, r);
	if (!err)
		set_arith_flags(c, flags);
	return err;
}

/*
 * SHLD and SHRD: shift opnd[0], filling from opnd[1]. A 16-bit shift by more than 16 has no
 * defined result: here the operand fills in again behind the source.
 */
static uint64_t shift_double(uint64_t a, uint64_t b, unsigned n, unsigned bits, bool left,
			     uint64_t *cf)
{
	if (n > bits) {
		uint64_t t = a;

		a = b;
		b = t;
		n -= bits;
	}
	*cf = left ? bit_of(a, bits - n) : bit_of(a, n - 1);
	if (n == bits)
		return b;
	return left ? a << n | b >> (bits - n) : a >> n | b << (bits - n);
}

int emul_exec_shift_double(struct emul_ctx *c)
{
	unsigned size = c->insn.opnd[0].size, bits = 8 * size;
	uint64_t a, b, n, r, cf, flags = c->rflags & FLAGS_ARITH;
	int err = emul_load(c, 0, EMUL_ACC_WRITE, &a);

	if (err)
		return err;
	emul_load(c, 1, 0, &b);
	emul_load(c, 2, 0, &n);
	n &= size == 8 ? 63 : 31;
	r = a;
	if (n) {
		r = shift_double(a, b, n, bits, c->insn.op == OP_SHLD, &cf) & size_mask(size);
		flags = flags_of(r, size) | (cf ? RFLAGS_CF : 0);
		flags |= bit_of(r ^ a, bits - 1) ? RFLAGS_OF : 0;
	}
	err = emul_update(c, 0, a, r);
	if (!err)
		set_arith_flags(c, flags);
	return err;
}

/* --- bit tests ----------------------------------------------------------------------- */

/*
 * A register offset reaches beyond the memory operand: it is signed, and moves the address by
 * whole operands.
 */
static int load_bit_string(struct emul_ctx *c, int64_t offset, unsigned access, uint64_t *val)
{
	const struct emul_insn *i = &c->insn;
	unsigned size = i->opnd[0].size;
	uint64_t ea = emul_effective_address(c);
	int err;

	ea += (uint64_t)(offset >> (size == 8 ? 6 : size == 4 ? 5 : 4)) * size;
	err = emul_linear(c, i->mem.seg, cut_address(c, ea), size, access, &c->la);
	*val = 0;
	return err ? err : emul_mem_read(c, c->la, val, size, access);
}

/* BT BTS BTR BTC. */
int emul_exec_bit_test(struct emul_ctx *c)
{
	const struct emul_insn *i = &c->insn;
	unsigned size = i->opnd[0].size, access = i->op == OP_BT ? 0 : EMUL_ACC_WRITE;
	uint64_t a, n, bit, r;
	int err;

	emul_load(c, 1, 0, &n);
	if (i->opnd[0].kind == OPND_MEM && i->opnd[1].kind == OPND_REG)
		err = load_bit_string(c, sign_extend(n, size), access, &a);
	else
		err = emul_load(c, 0, access, &a);
	if (err)
		return err;
	bit = BIT_ULL(n & (8 * size - 1));
	r = i->op == OP_BTS ? a | bit : i->op == OP_BTR ? a & ~bit : a ^ bit;
	if (i->op != OP_BT)
		err = emul_update(c, 0, a, r);
	if (!err)
		set_flag(c, RFLAGS_CF, a & bit);
	return err;
}

/* BSF BSR TZCNT LZCNT POPCNT. */
int emul_exec_bit_scan(struct emul_ctx *c)
{
	const struct emul_insn *i = &c->insn;
	unsigned size = i->opnd[0].size, bits = 8 * size;
	uint64_t a, r;
	int err = emul_load(c, 1, 0, &a);

	if (err)
		return err;
	switch (i->op) {
	case OP_BSF:
	case OP_BSR:
		set_flag(c, RFLAGS_ZF, a == 0);
		if (a == 0)
			return EMUL_OK; /* the destination keeps its value */
		r = i->op == OP_BSF ? __builtin_ctzll(a) : 63 - __builtin_clzll(a);
		break;
	case OP_POPCNT:
		for (r = 0; a; r++)
			a &= a - 1;
		set_arith_flags(c, r ? 0 : RFLAGS_ZF);
		break;
	default: /* TZCNT LZCNT */
		if (a == 0)
			r = bits;
		else
			r = i->op == OP_TZCNT ? (unsigned)__builtin_ctzll(a)
					      : bits - 64 + __builtin_clzll(a);
		set_flag(c, RFLAGS_CF, a == 0);
		set_flag(c, RFLAGS_ZF, r == 0);
		break;
	}
	emul_reg_write(c, i->opnd[0].reg, size, r);
	return EMUL_OK;
}

int emul_exec_bswap(struct emul_ctx *c)
{
	const struct emul_opnd *o = &c->insn.opnd[0];
	uint64_t a = emul_reg_read(c, o->reg, o->size);

	/* Undefined for 16 bits; CPUs clear the register. */
	emul_reg_write(c, o->reg, o->size,
		       o->size == 2 ? 0 : __builtin_bswap64(a) >> (64 - 8 * o->size));
	return EMUL_OK;
}
