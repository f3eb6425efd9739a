/* SPDX-License-Identifier: BSD-2-Clause */
/* Instruction bytes, beyond those that the CPU has delivered with the exit. */
#include "vmm/emulate/decode.h"

/*
 * Get more bytes: as many as the page, the CS limit and the longest instruction allow, so that
 * nothing faults which the instruction does not reach.
 */
noinline int emul_fetch_bytes(struct emul_ctx *c)
{
	struct emul_insn *i = &c->insn;
	unsigned n = EMUL_MAX_INSN_LEN - i->nr_bytes;
	uint64_t la = c->rip + i->nr_bytes;
	int err;

	if (n == 0)
		return emul_set_fault(c, X86_TRAP_GP, 0);
	if (c->mode == EMUL_LONG64) {
		if (!is_canonical(c, la))
			return emul_set_fault(c, X86_TRAP_GP, 0);
	} else {
		const struct segment *cs = emul_segment(c, SEG_CS);

		la = (uint32_t)la;
		if (la > cs->limit)
			return emul_set_fault(c, X86_TRAP_GP, 0);
		n = min((uint64_t)n, cs->limit - la + 1);
		la = (uint32_t)(la + cs->base);
	}
	n = min((uint64_t)n, PAGE_SIZE - (la & ~PAGE_MASK));
	err = c->ops->fetch(c, GVA(la), i->bytes + i->nr_bytes, n);
	if (err)
		return err;
	i->nr_bytes += n;
	return EMUL_OK;
}
