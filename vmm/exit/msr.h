/* SPDX-License-Identifier: BSD-2-Clause */
/* MSRs of a guest: which there are, and what reading and writing them does. */
#ifndef VMM_EXIT_MSR_H
#define VMM_EXIT_MSR_H

#include <stdint.h>

struct vcpu;

/* Prepare the tables; let the MSRs that hardware swaps for the guest go through without exits. */
void msr_init(void);
void msr_reset(struct vcpu *v);

/* A value; or an error (negative errno). It fits into two registers. */
struct msr_value {
	uint64_t val;
	int64_t error;
};

/* Error 0; or -EINVAL: the access is #GP(0). Owner CPU. */
struct msr_value msr_read(struct vcpu *v, uint32_t msr);
int msr_write(struct vcpu *v, uint32_t msr, uint64_t val);

#endif
