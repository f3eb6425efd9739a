/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * SPEC_CTRL around a run of a guest that has set bits there (Intel's "Speculative Execution Side
 * Channel Mitigations"; APM volume 2, 3.2.9). What the machine has set for itself stays on: more of
 * it is slower, and never wrong.
 */
#ifndef ARCH_X86_SPEC_CTRL_H
#define ARCH_X86_SPEC_CTRL_H

#include <stdint.h>

#include "arch/x86/cpu.h"
#include "arch/x86/regs.h"

/* Before the entry: the guest's bits are added. Returns what spec_ctrl_leave() wants. */
static inline uint64_t spec_ctrl_enter(uint64_t guest)
{
	uint64_t host = rdmsr(MSR_SPEC_CTRL);

	wrmsr(MSR_SPEC_CTRL, host | guest);
	return host;
}

/* Behind the exit. */
static inline void spec_ctrl_leave(uint64_t host)
{
	wrmsr(MSR_SPEC_CTRL, host);
}

#endif
