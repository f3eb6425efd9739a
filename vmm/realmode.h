/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Guest code that the CPU cannot run, or is not to: it runs in the emulator instead of
 * virt_vcpu_run(). Without "unrestricted guest" that is real mode, and the few instructions of
 * protected mode around its switch that find segment registers with real-mode values in them.
 */
#ifndef VMM_REALMODE_H
#define VMM_REALMODE_H

#include "vmm/vm.h"

/* Does this vCPU ever need the emulator for its modes? For v->emulates_modes, once. */
bool realmode_may_be_due(struct vcpu *v);

/* The rest of realmode_is_due(). */
bool realmode_is_due_now(struct vcpu *v);

/* Is the next instruction of the vCPU one for realmode_run()? Owner CPU. */
static inline bool realmode_is_due(struct vcpu *v)
{
	return unlikely(v->emulates_modes) && realmode_is_due_now(v);
}

struct vmm_cpu;

/*
 * Run until the CPU can go on by itself, the vCPU halts, a request comes, or some hundred
 * instructions are done; then host interrupts that have come meanwhile are taken. Owner CPU.
 */
void realmode_run(struct vmm_cpu *c, struct vcpu *v);

/*
 * Deliver an event to a vCPU for which realmode_is_due(), now: it is in its handler, or its VM has
 * come to an end. Owner CPU, outside realmode_run().
 */
void realmode_deliver(struct vcpu *v, const struct vm_event_info *ev);

#endif
