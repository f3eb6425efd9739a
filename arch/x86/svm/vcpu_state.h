/* SPDX-License-Identifier: BSD-2-Clause */
/* What only SVM keeps of a vCPU, embedded in struct virt_vcpu (arch/x86/virt.h). */
#ifndef ARCH_X86_SVM_VCPU_STATE_H
#define ARCH_X86_SVM_VCPU_STATE_H

#include <stdbool.h>

#include "arch/x86/virt_paging.h"
#include "lib/types.h"

struct vmcb;

struct svm_vcpu {
	hpa_t host_vmcb;    /* of the CPU that it is loaded on */
	struct vmcb *guest; /* const; has the guest's CR0, CR3, CR4, EFER (svm/paging.c) */
	uint64_t cr0, cr4;  /* VIRT_CR0_OFF, VIRT_CR0_ON and VIRT_CR4_ON of the guest's are here */
	uint64_t pat;       /* the guest's: the CPU has another (PAT_WB) */
	uint64_t withheld;  /* EFER.LME, if the guest has it and a lax CPU must not */
	struct virt_paging paging;    /* without nested paging: what the CPU has instead ... */
	uint64_t pdpte[4];            /* ... and what the guest has */
	uint16_t cr_reads, cr_writes; /* accesses that exit because somebody asked, a bit each */
};

#endif
