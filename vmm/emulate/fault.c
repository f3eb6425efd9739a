/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Exceptions: how one is recorded, and which two of them make a double fault. At the bottom of the
 * emulator: it calls nothing.
 */
#include "vmm/emulate/emulate.h"

int emul_set_fault(struct emul_ctx *c, uint8_t vector, uint32_t error)
{
	/* #DF, #TS, #NP, #SS, #GP, #PF, #AC push an error code. */
	bool has_error = vector == X86_TRAP_DF || vector == X86_TRAP_AC ||
			 (vector >= X86_TRAP_TS && vector <= X86_TRAP_PF);

	c->fault.vector = vector;
	c->fault.has_error = has_error && c->mode != EMUL_REAL;
	c->fault.error = error;
	return EMUL_FAULT;
}

int emul_set_page_fault(struct emul_ctx *c, gva_t gva, uint32_t error)
{
	c->fault.cr2 = gva.v;
	return emul_set_fault(c, X86_TRAP_PF, error);
}

static bool is_contributory(unsigned vector)
{
	return vector == X86_TRAP_DE || (vector >= X86_TRAP_TS && vector <= X86_TRAP_GP);
}

bool emul_makes_double_fault(unsigned first, unsigned second)
{
	if (first == X86_TRAP_PF)
		return second == X86_TRAP_PF || is_contributory(second);
	return is_contributory(first) && is_contributory(second);
}
