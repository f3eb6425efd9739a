/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Guest code that runs in the emulator instead of virt_vcpu_run(), because the CPU cannot or shall
 * not run it. On a CPU without "unrestricted guest" this is real mode, and the few instructions of
 * protected mode around a mode switch that have real-mode values in segment registers.
 */
#ifndef VMM_EXIT_REALMODE_H
#define VMM_EXIT_REALMODE_H

#include "vmm/vm.h"

/* The rest of realmode_is_due(). */
bool realmode_is_due_now(struct vcpu *v);

/* Is the next instruction of the vCPU one for realmode_run()? Owner CPU. */
static inline bool realmode_is_due(struct vcpu *v)
{
	return unlikely(v->emulates_modes) && realmode_is_due_now(v);
}

struct vmm_cpu;

/*
 * Emulate until the CPU can run the guest itself, the vCPU halts, a request comes, or INSN_TIME_NS
 * have passed. Then take the host interrupts that have come meanwhile. Owner CPU.
 */
void realmode_run(struct vmm_cpu *c, struct vcpu *v);

#endif
