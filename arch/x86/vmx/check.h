/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Which field of the VMCS does a VM entry fail on? The CPU says no more than "invalid control
 * fields" (VM-instruction error 7), "invalid host-state fields" (error 8) or "invalid guest state"
 * (exit reason 33). This goes through the rules that the CPU checks (Intel SDM volume 3, "VM
 * Entries": checks on VMX controls, host-state area and guest state) and names the first field that
 * breaks one. It changes nothing and touches no hardware: fields come through a callback.
 *
 * Covered is what the controls named in vmcs.h can ask for, while the CPU is in IA-32e mode and not
 * in system-management mode.
 */
#ifndef ARCH_X86_VMX_CHECK_H
#define ARCH_X86_VMX_CHECK_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/bits.h"

enum vmx_control_word { CTL_PIN, CTL_PROC, CTL_PROC2, CTL_EXIT, CTL_ENTRY, NR_CTLS };

/* What the CPU allows: its capability MSRs (SDM volume 3, appendix A) and CPUID. */
struct vmx_limits {
	/* Bits 31:0 must be 1, bits 63:32 may be 1: the TRUE MSRs where there are such. */
	uint64_t controls[NR_CTLS];
	uint64_t basic, misc, ept_vpid_cap, vmfunc;
	uint64_t cr0_fixed0, cr0_fixed1, cr4_fixed0, cr4_fixed1;
	uint64_t efer, debugctl; /* the bits that these MSRs have */
	unsigned physical_bits;  /* width of physical addresses, ... */
	unsigned linear_bits;    /* ... of linear addresses: 48, or 57 */
	bool has_sgx, has_rtm;
};

struct vmx_check_env {
	const struct vmx_limits *limits;
	/* VMREAD. Only called for fields that the controls in force make the CPU have. */
	uint64_t (*read)(uint32_t field, void *arg);
	/*
	 * The eight bytes at a physical address below limits->physical_bits; NULL: what lies in
	 * memory is not checked (task priority, PDPTEs without EPT, the linked VMCS).
	 */
	uint64_t (*read_memory)(uint64_t pa, void *arg);
	void *arg;
};

struct vmx_fault {
	uint32_t field;
	const char *name; /* of the field, without VMCS_ */
	uint64_t value;
	const char *rule;  /* that it breaks */
	const char *about; /* the rule's place in the manual: "VM-entry checks on ..." */
};

/*
 * The checks behind VM-instruction errors 7 and 8 and exit reason 33. True: every rule is kept;
 * else `fault` has the first field that breaks one.
 *
 * In this order: the later ones expect sound controls. Not known here: whether this CPU refuses to
 * inject an NMI while STI blocks (exit qualification 3 tells).
 */
bool vmx_check_controls(const struct vmx_check_env *env, struct vmx_fault *fault);
bool vmx_check_host(const struct vmx_check_env *env, struct vmx_fault *fault);
bool vmx_check_guest(const struct vmx_check_env *env, struct vmx_fault *fault);

/* Of the guest's state only the segment registers. */
bool vmx_check_segments(const struct vmx_check_env *env, struct vmx_fault *fault);

/* The name of a field, without VMCS_; "?" if it is none of vmcs.h's. */
const char *vmcs_field_name(uint32_t field);

#endif
