/* SPDX-License-Identifier: BSD-2-Clause */
/* MSRs of a guest: which ones there are, and the effect of reading and writing them. */
#ifndef VMM_EXIT_MSR_H
#define VMM_EXIT_MSR_H

#include <stdbool.h>
#include <stdint.h>

#include "vmm/vcpu.h"

/* Prepare the tables; let the MSRs that hardware swaps for the guest go through without exits. */
void msr_init(void);

/* A value, or an error (negative errno). The struct fits into two registers. */
struct msr_value {
	uint64_t val;
	int64_t error;
};

/* Error 0; or -EINVAL: the access is #GP(0). Owner CPU. */
struct msr_value msr_read(struct vcpu *v, uint32_t msr);
int msr_write(struct vcpu *v, uint32_t msr, uint64_t val);

/* The rest of msr_execute_rdmsr(): write a line to the log, return false. */
bool msr_refuse_rdmsr(const struct vcpu *v);

/*
 * RDMSR: number in ECX, value in EDX:EAX; does not move RIP. False: it is #GP(0), and nothing has
 * changed.
 */
static inline bool msr_execute_rdmsr(struct vcpu *v)
{
	uint64_t *gpr = v->virt.gpr;
	struct msr_value r = msr_read(v, (uint32_t)gpr[GPR_RCX]);

	if (unlikely(r.error))
		return msr_refuse_rdmsr(v);
	gpr[GPR_RAX] = (uint32_t)r.val;
	gpr[GPR_RDX] = r.val >> 32;
	return true;
}

/* The same for a write. */
bool msr_execute_wrmsr(struct vcpu *v);

#endif
