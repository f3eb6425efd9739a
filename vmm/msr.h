/* SPDX-License-Identifier: BSD-2-Clause */
/* MSRs of a guest: which there are, and what reading and writing them does. */
#ifndef VMM_MSR_H
#define VMM_MSR_H

#include <stdint.h>

struct vcpu;

/* Prepare the tables; let the MSRs that hardware swaps for the guest go through without exits. */
void msr_init(void);
void msr_reset(struct vcpu *v);

/* 0; or -EINVAL: the access is #GP(0). Owner CPU. */
int msr_read(struct vcpu *v, uint32_t msr, uint64_t *val);
int msr_write(struct vcpu *v, uint32_t msr, uint64_t val);

#endif
