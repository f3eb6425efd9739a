/* SPDX-License-Identifier: BSD-2-Clause */
/* What only SVM keeps of a vCPU, embedded in struct virt_vcpu (arch/x86/virt.h). */
#ifndef ARCH_X86_SVM_VCPU_STATE_H
#define ARCH_X86_SVM_VCPU_STATE_H

#include <stdbool.h>

#include "lib/types.h"

struct svm_vcpu {
	hpa_t host_vmcb;   /* of the CPU that it is loaded on */
	bool lme_withheld; /* the guest's EFER.LME is kept from a lax CPU (svm/regs.c) */
};

#endif
