/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * XSAVE and its relatives, for the test of them: a fault is an answer. Each is in the exception
 * table (trap.h). SDM volume 1, 13.7 to 13.12.
 */
#ifndef ARCH_X86_XSTATE_INSN_H
#define ARCH_X86_XSTATE_INSN_H

#include <stdbool.h>
#include <stdint.h>

#include "arch/x86/trap.h"

enum xstate_save { XSTATE_XSAVE, XSTATE_XSAVEOPT, XSTATE_XSAVEC, XSTATE_XSAVES };

#define XSTATE_INSN(name, insn)                                                                    \
	static inline bool name(void *area, uint64_t mask)                                         \
	{                                                                                          \
		uint32_t done = 0;                                                                 \
                                                                                                   \
		__asm__ volatile("1: " insn " (%1)\n\t"                                            \
				 "movl $1, %0\n"                                                   \
				 "2:\n\t" EXTABLE(1b, 2b)                                          \
				 : "+r"(done)                                                      \
				 : "r"(area), "a"((uint32_t)mask), "d"((uint32_t)(mask >> 32))     \
				 : "memory");                                                      \
		return done;                                                                       \
	}

XSTATE_INSN(xsave, "xsave64")
XSTATE_INSN(xsaveopt, "xsaveopt64")
XSTATE_INSN(xsavec, "xsavec64")
XSTATE_INSN(xsaves, "xsaves64")
XSTATE_INSN(xrstor, "xrstor64")
XSTATE_INSN(xrstors, "xrstors64")
#undef XSTATE_INSN

/* The components in `mask`, from the CPU's registers to an area. False: it faults. */
static inline bool xstate_save(enum xstate_save how, void *area, uint64_t mask)
{
	switch (how) {
	case XSTATE_XSAVEOPT:
		return xsaveopt(area, mask);
	case XSTATE_XSAVEC:
		return xsavec(area, mask);
	case XSTATE_XSAVES:
		return xsaves(area, mask);
	default:
		return xsave(area, mask);
	}
}

/* The opposite, by the instruction that goes with `how`. */
static inline bool xstate_load(enum xstate_save how, void *area, uint64_t mask)
{
	return how == XSTATE_XSAVES ? xrstors(area, mask) : xrstor(area, mask);
}

#endif
