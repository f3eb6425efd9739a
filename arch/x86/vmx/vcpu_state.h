/* SPDX-License-Identifier: BSD-2-Clause */
/* What only VMX keeps of a vCPU, embedded in struct virt_vcpu (arch/x86/virt.h). */
#ifndef ARCH_X86_VMX_VCPU_STATE_H
#define ARCH_X86_VMX_VCPU_STATE_H

#include <stdbool.h>
#include <stdint.h>

#include "arch/x86/virt_paging.h"

/* Registers of the guest's that no VMCS switches: they stay in the CPU while the vCPU is loaded. */
enum vmx_resident {
	VMX_STAR,
	VMX_LSTAR,
	VMX_CSTAR,
	VMX_SFMASK,
	VMX_KERNEL_GS_BASE,
	VMX_NR_MSRS,
	VMX_CR2 = VMX_NR_MSRS,
	VMX_DR6,
	VMX_NR_RESIDENT,
};

struct vmx_vcpu {
	uint64_t rsp;                       /* the guest's, as the VMCS has it */
	uint64_t preempt_at;                /* TSC at which EXIT_PREEMPTION is due; 0: never */
	uint64_t cr3, efer;                 /* the guest's, where `apart` */
	uint64_t pdpte[4], pat;             /* the guest's, without nested paging */
	uint64_t cr0_exits, cr4_exits;      /* bits whose change exits because somebody asked */
	uint64_t hw_cr3;                    /* the CPU's, where `apart` */
	struct virt_forced forced;          /* bits that the CPU has, where `apart` */
	uint32_t cr3_exits;                 /* PROC_CR3_*: those that somebody asked for */
	uint64_t eptp;                      /* EPT pointer */
	uint64_t resident[VMX_NR_RESIDENT]; /* while the vCPU is not loaded */
	uint32_t host_cpu;                  /* whose host state the VMCS has: index + 1 */
	bool apart; /* the CPU runs with other paging registers than the guest's (vmx/paging.c) */
	bool new_segments; /* written since the last entry, and not looked at yet */
	bool flush_tdp;    /* INVEPT before the next entry */
};

#endif
