/* SPDX-License-Identifier: BSD-2-Clause */
/* The instructions of SVM that C needs (APM volume 3, "System Instruction Reference"). */
#ifndef ARCH_X86_SVM_INSTRUCTIONS_H
#define ARCH_X86_SVM_INSTRUCTIONS_H

#include <stdint.h>

#include "lib/types.h"

/* What a run of a guest loses besides its arguments: all that is not RBP, RBX, R12 or R13. */
#define SVM_CLOBBERS "rcx", "rsi", "r8", "r9", "r10", "r11", "r14", "r15", "cc", "memory"

/* Swap registers with the guest and run it until its next exit (entry.S). */
static inline void svm_enter(uint64_t *gpr, hpa_t vmcb, hpa_t host_vmcb)
{
	__asm__ volatile("call svm_run_guest"
			 : "+D"(gpr), "+a"(vmcb.v), "+d"(host_vmcb.v)
			 :
			 : SVM_CLOBBERS);
}

/* Forget what a linear address gave in the address space of this ASID. */
static inline void svm_invlpga(gva_t gva, uint32_t asid)
{
	__asm__ volatile("invlpga %0, %1" : : "a"(gva.v), "c"(asid) : "memory");
}

#endif
