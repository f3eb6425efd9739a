/* SPDX-License-Identifier: BSD-2-Clause */
/* How a vCPU's guest translates addresses, and what its hardware runs on for that. */
#ifndef VMM_VCPU_PAGING_H
#define VMM_VCPU_PAGING_H

#include "vmm/vcpu.h"

/* v->paging, as the guest's registers are now. Owner CPU, loaded. */
const struct guest_paging *vcpu_paging(struct vcpu *v);

/* mmu_load_root() for this vCPU. Owner CPU, loaded. */
static inline int vcpu_load_root(struct vcpu *v)
{
	return mmu_load_root(&v->mmu, &v->virt, mmu_is_shadowed(&v->mmu) ? vcpu_paging(v) : NULL);
}

#endif
