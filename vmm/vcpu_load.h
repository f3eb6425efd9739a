/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * From one vCPU to another: what of a vCPU stays in its CPU between two exits (FPU, debug
 * registers, TSC_AUX) is saved and loaded here, with the barriers between guests.
 */
#ifndef VMM_VCPU_LOAD_H
#define VMM_VCPU_LOAD_H

#include <stdint.h>

struct vcpu;

/* Once, before the first vcpu_load(): what the CPUs have. Boot CPU. */
void vcpu_load_init(void);

/* Make `v` the vCPU whose registers are in the calling CPU: virt_*() wants it. */
void vcpu_load(struct vcpu *v);

/* The opposite: save what is in the calling CPU, which forgets the vCPU. */
void vcpu_unload(struct vcpu *v);

/* The guest's TSC_AUX, if it has one, into the calling CPU. */
void vcpu_load_tsc_aux(const struct vcpu *v);

/* DR0 to DR3 of the vCPU that is in the calling CPU become 0. */
void vcpu_clear_dr(void);

/* XCR0, wherever it is now. Owner CPU. */
uint64_t vcpu_xcr0(struct vcpu *v);

#endif
