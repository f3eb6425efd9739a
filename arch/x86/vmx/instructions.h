/* SPDX-License-Identifier: BSD-2-Clause */
/* The VMX instructions (Intel SDM volume 3, "VMX Instruction Reference"). */
#ifndef ARCH_X86_VMX_INSTRUCTIONS_H
#define ARCH_X86_VMX_INSTRUCTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "arch/x86/virt.h"
#include "arch/x86/vmx/vmcs.h"
#include "lib/types.h"

/* False: the CPU is not in VMX operation. `region` is one page that begins with the revision. */
static inline bool vmxon(hpa_t region)
{
	bool failed;

	__asm__ volatile("vmxon %1" : "=@ccna"(failed) : "m"(region) : "cc", "memory");
	return !failed;
}

/*
 * A VMREAD or VMWRITE of a field of vmcs.h can only fail if no VMCS is current, or the CPU lacks
 * the field: both would be bugs, seen at once in what is read.
 */
static inline uint64_t vmread(enum vmcs_field field)
{
	uint64_t val;

	__asm__ volatile("vmread %1, %0" : "=r"(val) : "r"((uint64_t)field) : "cc");
	return val;
}

static inline void vmwrite(enum vmcs_field field, uint64_t val)
{
	__asm__ volatile("vmwrite %1, %0" : : "r"((uint64_t)field), "r"(val) : "cc");
}

static inline void vmclear(hpa_t vmcs)
{
	__asm__ volatile("vmclear %0" : : "m"(vmcs) : "cc", "memory");
}

static inline void vmptrld(hpa_t vmcs)
{
	__asm__ volatile("vmptrld %0" : : "m"(vmcs) : "cc", "memory");
}

/* Forget what EPT tables gave: of one EPT pointer, or all (SDM volume 3, INVEPT). */
static inline void invept(uint64_t type, uint64_t eptp)
{
	struct {
		uint64_t eptp, reserved;
	} desc = {eptp, 0};

	__asm__ volatile("invept %0, %1" : : "m"(desc), "r"(type) : "cc", "memory");
}

/* Forget translations of VPIDs: as the type says, of one and an address in it (SDM, INVVPID). */
static inline void invvpid(uint64_t type, uint16_t vpid, gva_t gva)
{
	struct {
		uint64_t vpid, gva;
	} desc = {vpid, gva.v};

	__asm__ volatile("invvpid %0, %1" : : "m"(desc), "r"(type) : "cc", "memory");
}

/* What a run of a guest loses besides its argument: all that is not RBP, RBX, R12 or R13. */
#define GUEST_CLOBBERS                                                                             \
	"rax", "rcx", "rdx", "rsi", "r8", "r9", "r10", "r11", "r14", "r15", "cc", "memory"

/*
 * Swap registers with the guest and run it until its next exit (entry.S). False: the entry failed,
 * the guest did not run.
 */
static inline bool vmx_enter(struct virt_vcpu *v, bool resume)
{
	bool failed;

	if (resume)
		__asm__ volatile("call vmx_resume" : "=@ccc"(failed), "+D"(v) : : GUEST_CLOBBERS);
	else
		__asm__ volatile("call vmx_launch" : "=@ccc"(failed), "+D"(v) : : GUEST_CLOBBERS);
	return !failed;
}

/*
 * The host's handler of an NMI that ended a run: the exit has taken the event, the interrupt table
 * has not seen it. Its IRET lets the next NMI in.
 */
static inline void vmx_handle_nmi(void)
{
	__asm__ volatile("int $2" ::: "memory");
}

#endif
