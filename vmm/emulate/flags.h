/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The arithmetic flags of a result (APM volume 3, "RFLAGS register"). Flags that the manuals
 * leave undefined are left as they fall.
 */
#ifndef VMM_EMULATE_FLAGS_H
#define VMM_EMULATE_FLAGS_H

#include "vmm/emulate/internal.h"

#define FLAG_CF   BIT_ULL(0)
#define FLAG_ONE  BIT_ULL(1) /* always set */
#define FLAG_PF   BIT_ULL(2)
#define FLAG_AF   BIT_ULL(4)
#define FLAG_ZF   BIT_ULL(6)
#define FLAG_SF   BIT_ULL(7)
#define FLAG_TF   BIT_ULL(8)
#define FLAG_IF   BIT_ULL(9)
#define FLAG_DF   BIT_ULL(10)
#define FLAG_OF   BIT_ULL(11)
#define FLAG_IOPL (BIT_ULL(12) | BIT_ULL(13))
#define FLAG_NT   BIT_ULL(14)
#define FLAG_RF   BIT_ULL(16)
#define FLAG_VM   BIT_ULL(17)
#define FLAG_AC   BIT_ULL(18)
#define FLAG_VIF  BIT_ULL(19)
#define FLAG_VIP  BIT_ULL(20)
#define FLAG_ID   BIT_ULL(21)

#define FLAGS_ARITH (FLAG_CF | FLAG_PF | FLAG_AF | FLAG_ZF | FLAG_SF | FLAG_OF)

/* SF, ZF and PF. `r` is cut to `size`. */
static inline uint64_t flags_of(uint64_t r, unsigned size)
{
	uint64_t f = 0;

	if (r == 0)
		f |= FLAG_ZF;
	if (is_negative(r, size))
		f |= FLAG_SF;
	if (!__builtin_parity(r & 0xff))
		f |= FLAG_PF;
	return f;
}

/* a + b + carry, all cut to `size`; *flags gets the six arithmetic flags. */
static inline uint64_t add_flags(uint64_t a, uint64_t b, unsigned carry, unsigned size,
				 uint64_t *flags)
{
	uint64_t r = (a + b + carry) & size_mask(size);
	uint64_t carries = (a & b) | ((a | b) & ~r); /* out of each bit position */

	*flags = flags_of(r, size) | ((a ^ b ^ r) & FLAG_AF);
	if (is_negative(carries, size))
		*flags |= FLAG_CF;
	if (is_negative((a ^ r) & (b ^ r), size))
		*flags |= FLAG_OF;
	return r;
}

/* a - b - borrow. */
static inline uint64_t sub_flags(uint64_t a, uint64_t b, unsigned borrow, unsigned size,
				 uint64_t *flags)
{
	uint64_t r = (a - b - borrow) & size_mask(size);
	uint64_t borrows = (~a & b) | (~(a ^ b) & r); /* into each bit position */

	*flags = flags_of(r, size) | ((a ^ b ^ r) & FLAG_AF);
	if (is_negative(borrows, size))
		*flags |= FLAG_CF;
	if (is_negative((a ^ b) & (a ^ r), size))
		*flags |= FLAG_OF;
	return r;
}

static inline void set_arith_flags(struct emul_ctx *c, uint64_t flags)
{
	c->rflags = (c->rflags & ~FLAGS_ARITH) | flags;
}

static inline void set_flag(struct emul_ctx *c, uint64_t flag, bool on)
{
	c->rflags = on ? c->rflags | flag : c->rflags & ~flag;
}

#endif
