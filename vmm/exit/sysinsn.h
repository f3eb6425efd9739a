/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the instructions do that the hypervisor executes for a guest, whoever met them: an exit or
 * the emulator. None of these moves RIP, and none looks at the CPL unless it says so. Owner CPU.
 */
#ifndef VMM_EXIT_SYSINSN_H
#define VMM_EXIT_SYSINSN_H

#include <stdbool.h>

#include "vmm/exit/msr.h"
#include "vmm/vcpu.h"

/* The rest of sysinsn_rdmsr(): false, and a line for the log. */
bool sysinsn_refuse_rdmsr(const struct vcpu *v);

/* MSR number in ECX, value in EDX:EAX. False: it is #GP(0), and nothing has changed. */
static inline bool sysinsn_rdmsr(struct vcpu *v)
{
	uint64_t *gpr = v->virt.gpr;
	struct msr_value r = msr_read(v, (uint32_t)gpr[GPR_RCX]);

	if (unlikely(r.error))
		return sysinsn_refuse_rdmsr(v);
	gpr[GPR_RAX] = (uint32_t)r.val;
	gpr[GPR_RDX] = r.val >> 32;
	return true;
}

bool sysinsn_wrmsr(struct vcpu *v);

/* XCR number in ECX, value in EDX:EAX. False: #GP(0). Looks at the CPL. */
bool sysinsn_xsetbv(struct vcpu *v);

/* RIP is behind the HLT: stop until an event comes, unless it is there. */
void sysinsn_hlt(struct vcpu *v);

/* The guest has met a third exception while a double fault was delivered: the end of its VM. */
void sysinsn_triple_fault(struct vcpu *v);

#endif
