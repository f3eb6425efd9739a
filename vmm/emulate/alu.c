/* SPDX-License-Identifier: BSD-2-Clause */
/* Integer arithmetic: the eight ALU operations, unary ones, multiplication and division. */
#include "vmm/emulate/flags.h"
#include "vmm/emulate/internal.h"

/* ADD OR ADC SBB AND SUB XOR CMP, and TEST: opnd[0] op= opnd[1]. */
int emul_exec_alu(struct emul_ctx *c)
{
	const struct emul_insn *i = &c->insn;
	bool keep = i->op == OP_CMP || i->op == OP_TEST;
	unsigned size = i->opnd[0].size, carry = c->rflags & RFLAGS_CF;
	uint64_t a, b, r, flags;
	int err = emul_load(c, 1, 0, &b);

	if (!err)
		err = emul_load(c, 0, keep ? 0 : EMUL_ACC_WRITE, &a);
	if (err)
		return err;
	b &= size_mask(size);
	switch (i->op) {
	case OP_ADD:
		r = add_flags(a, b, 0, size, &flags);
		break;
	case OP_ADC:
		r = add_flags(a, b, carry, size, &flags);
		break;
	case OP_SBB:
		r = sub_flags(a, b, carry, size, &flags);
		break;
	case OP_SUB:
	case OP_CMP:
		r = sub_flags(a, b, 0, size, &flags);
		break;
	default:
		r = i->op == OP_OR ? a | b : i->op == OP_XOR ? a ^ b : a & b;
		flags = flags_of(r, size);
		break;
	}
	err = keep ? EMUL_OK : emul_update(c, 0, a, r);
	if (!err)
		set_arith_flags(c, flags);
	return err;
}

/* NOT NEG INC DEC. */
int emul_exec_unary(struct emul_ctx *c)
{
	unsigned size = c->insn.opnd[0].size;
	uint64_t a, r, flags = c->rflags & FLAGS_ARITH, cf = c->rflags & RFLAGS_CF;
	int err = emul_load(c, 0, EMUL_ACC_WRITE, &a);

	if (err)
		return err;
	switch (c->insn.op) {
	case OP_INC:
		r = add_flags(a, 1, 0, size, &flags);
		flags = (flags & ~RFLAGS_CF) | cf;
		break;
	case OP_DEC:
		r = sub_flags(a, 1, 0, size, &flags);
		flags = (flags & ~RFLAGS_CF) | cf;
		break;
	case OP_NEG:
		r = sub_flags(0, a, 0, size, &flags);
		break;
	default:
		r = ~a & size_mask(size);
		break;
	}
	err = emul_update(c, 0, a, r);
	if (!err)
		set_arith_flags(c, flags);
	return err;
}

/* CF and OF say that the upper half of the product is more than the sign of the lower. */
static void set_mul_flags(struct emul_ctx *c, uint64_t low, unsigned size, bool wide)
{
	uint64_t flags = flags_of(low & size_mask(size), size);

	set_arith_flags(c, flags | (wide ? RFLAGS_CF | RFLAGS_OF : 0));
}

static uint64_t multiply_signed(uint64_t a, uint64_t b, unsigned size, uint64_t *high)
{
	__int128 p = (__int128)(int64_t)sign_extend(a, size) * (int64_t)sign_extend(b, size);

	*high = (uint64_t)(p >> (8 * size));
	return (uint64_t)p;
}

static uint64_t multiply_unsigned(uint64_t a, uint64_t b, unsigned size, uint64_t *high)
{
	unsigned __int128 p = (unsigned __int128)a * b;

	*high = (uint64_t)(p >> (8 * size));
	return (uint64_t)p;
}

/* rDX:rAX, or AH:AL for bytes. */
static void write_pair(struct emul_ctx *c, unsigned size, uint64_t low, uint64_t high)
{
	emul_reg_write(c, GPR_RAX, size, low);
	emul_reg_write(c, size == 1 ? EMUL_REG_HIGH + GPR_RAX : GPR_RDX, size, high);
}

static bool is_sign_only(uint64_t low, uint64_t high, unsigned size)
{
	uint64_t sign = is_negative(low & size_mask(size), size) ? size_mask(size) : 0;

	return (high & size_mask(size)) == sign;
}

/* MUL and IMUL of rAX by one operand; IMUL Gv,Ev. */
int emul_exec_mul(struct emul_ctx *c)
{
	const struct emul_insn *i = &c->insn;
	unsigned size = i->opnd[0].size;
	bool two = i->opnd[1].kind != OPND_NONE;
	uint64_t a, b, low, high;
	int err = emul_load(c, two, 0, &b);

	if (err)
		return err;
	a = emul_reg_read(c, two ? i->opnd[0].reg : GPR_RAX, size);
	if (i->op == OP_MUL)
		low = multiply_unsigned(a, b, size, &high);
	else
		low = multiply_signed(a, b, size, &high);
	if (two)
		emul_reg_write(c, i->opnd[0].reg, size, low);
	else
		write_pair(c, size, low, high);
	set_mul_flags(c, low, size,
		      i->op == OP_MUL ? (high & size_mask(size)) != 0
				      : !is_sign_only(low, high, size));
	return EMUL_OK;
}

/* IMUL Gv,Ev,I. */
int emul_exec_imul3(struct emul_ctx *c)
{
	unsigned size = c->insn.opnd[0].size;
	uint64_t a, low, high;
	int err = emul_load(c, 1, 0, &a);

	if (err)
		return err;
	low = multiply_signed(a, c->insn.imm, size, &high);
	emul_reg_write(c, c->insn.opnd[0].reg, size, low);
	set_mul_flags(c, low, size, !is_sign_only(low, high, size));
	return EMUL_OK;
}

/* high:low / d for d > high: the quotient fits. 128-bit division would need libgcc. */
static uint64_t divide(uint64_t high, uint64_t low, uint64_t d, uint64_t *rem)
{
	uint64_t quot;

	__asm__("divq %4" : "=a"(quot), "=d"(*rem) : "a"(low), "d"(high), "r"(d) : "cc");
	return quot;
}

/* Divide by magnitudes, then give the signs back. False: the quotient does not fit. */
static bool divide_signed(uint64_t high, uint64_t low, uint64_t d, unsigned size, uint64_t *quot,
			  uint64_t *rem)
{
	bool neg_n = high >> 63, neg_d = d >> 63;
	uint64_t limit = size_mask(size) >> 1;

	if (neg_n) {
		low = -low;
		high = ~high + (low == 0);
	}
	d = neg_d ? -d : d;
	if (d <= high)
		return false;
	*quot = divide(high, low, d, rem);
	if (*quot > limit + (neg_n != neg_d))
		return false;
	*quot = neg_n != neg_d ? -*quot : *quot;
	*rem = neg_n ? -*rem : *rem;
	return true;
}

/* The dividend of DIV or IDIV, extended to 128 bits. */
static void read_dividend(const struct emul_ctx *c, unsigned size, bool is_signed, uint64_t *high,
			  uint64_t *low)
{
	uint64_t d = emul_reg_read(c, GPR_RDX, size);

	if (size == 8) {
		*low = c->gpr[GPR_RAX];
		*high = d;
		return;
	}
	*low = size == 1 ? emul_reg_read(c, GPR_RAX, 2)
			 : d << (8 * size) | emul_reg_read(c, GPR_RAX, size);
	if (is_signed)
		*low = sign_extend(*low, 2 * size);
	*high = is_signed && *low >> 63 ? ~0ull : 0;
}

int emul_exec_div(struct emul_ctx *c)
{
	unsigned size = c->insn.opnd[0].size;
	bool is_signed = c->insn.op == OP_IDIV, fits;
	uint64_t d, high, low, quot = 0, rem = 0;
	int err = emul_load(c, 0, 0, &d);

	if (err)
		return err;
	read_dividend(c, size, is_signed, &high, &low);
	if (is_signed) {
		fits = divide_signed(high, low, sign_extend(d, size), size, &quot, &rem);
	} else {
		fits = d > high;
		if (fits)
			quot = divide(high, low, d, &rem);
		fits = fits && quot <= size_mask(size);
	}
	if (!fits)
		return emul_set_fault(c, X86_TRAP_DE, 0);
	write_pair(c, size, quot, rem);
	return EMUL_OK;
}

/* CBW CWDE CDQE: sign-extend the lower half of rAX into all of it. */
int emul_exec_cbw(struct emul_ctx *c)
{
	unsigned size = c->insn.opsize;

	emul_reg_write(c, GPR_RAX, size, sign_extend(c->gpr[GPR_RAX], size / 2));
	return EMUL_OK;
}

/* CWD CDQ CQO: the sign of rAX into all of rDX. */
int emul_exec_cwd(struct emul_ctx *c)
{
	unsigned size = c->insn.opsize;
	bool neg = is_negative(emul_reg_read(c, GPR_RAX, size), size);

	emul_reg_write(c, GPR_RDX, size, neg ? ~0ull : 0);
	return EMUL_OK;
}
