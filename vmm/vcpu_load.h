/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The switch from one vCPU to another. Some of a vCPU's state stays in the CPU between two exits
 * (FPU, debug registers, TSC_AUX): it is saved and loaded here, with the barriers between guests.
 */
#ifndef VMM_VCPU_LOAD_H
#define VMM_VCPU_LOAD_H

#include <stdint.h>

struct vcpu;

/* Find out what the CPUs have; once, before the first vcpu_load(). Boot CPU. */
void vcpu_load_init(void);

/* Make `v` the vCPU whose registers are in the calling CPU: virt_*() wants it. */
void vcpu_load(struct vcpu *v);

/* The opposite: save the vCPU's state from the calling CPU, which then has no vCPU loaded. */
void vcpu_unload(struct vcpu *v);

/* The guest's TSC_AUX, if it has one, into the calling CPU. */
void vcpu_load_tsc_aux(const struct vcpu *v);

/* DR0 to DR3 of the vCPU that is in the calling CPU become 0. */
void vcpu_clear_dr(void);

/* What a guest may do to the calling CPU's predictors and L1 cache: only where the CPU has it. */
void vcpu_flush_predictors(void);
void vcpu_flush_l1d(void);

/* XCR0, wherever it is now. Owner CPU. */
uint64_t vcpu_xcr0(struct vcpu *v);

#endif
