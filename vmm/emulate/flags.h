/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The arithmetic flags of a result (APM volume 3, "RFLAGS register"). Flags that the manuals
 * leave undefined are left as they fall.
 */
#ifndef VMM_EMULATE_FLAGS_H
#define VMM_EMULATE_FLAGS_H

#include "vmm/emulate/internal.h"

#define FLAGS_ARITH (RFLAGS_CF | RFLAGS_PF | RFLAGS_AF | RFLAGS_ZF | RFLAGS_SF | RFLAGS_OF)

/* SF, ZF and PF. `r` is cut to `size`. */
static inline uint64_t flags_of(uint64_t r, unsigned size)
{
	uint64_t f = 0;

	if (r == 0)
		f |= RFLAGS_ZF;
	if (is_negative(r, size))
		f |= RFLAGS_SF;
	if (!__builtin_parity(r & 0xff))
		f |= RFLAGS_PF;
	return f;
}

/* a + b + carry, all cut to `size`; *flags gets the six arithmetic flags. */
static inline uint64_t add_flags(uint64_t a, uint64_t b, unsigned carry, unsigned size,
				 uint64_t *flags)
{
	uint64_t r = (a + b + carry) & size_mask(size);
	uint64_t carries = (a & b) | ((a | b) & ~r); /* out of each bit position */

	*flags = flags_of(r, size) | ((a ^ b ^ r) & RFLAGS_AF);
	if (is_negative(carries, size))
		*flags |= RFLAGS_CF;
	if (is_negative((a ^ r) & (b ^ r), size))
		*flags |= RFLAGS_OF;
	return r;
}

/* a - b - borrow. */
static inline uint64_t sub_flags(uint64_t a, uint64_t b, unsigned borrow, unsigned size,
				 uint64_t *flags)
{
	uint64_t r = (a - b - borrow) & size_mask(size);
	uint64_t borrows = (~a & b) | (~(a ^ b) & r); /* into each bit position */

	*flags = flags_of(r, size) | ((a ^ b ^ r) & RFLAGS_AF);
	if (is_negative(borrows, size))
		*flags |= RFLAGS_CF;
	if (is_negative((a ^ b) & (a ^ r), size))
		*flags |= RFLAGS_OF;
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
