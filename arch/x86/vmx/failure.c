/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What to say about an entry that failed: the field and the rule it breaks (check.h) where the CPU
 * leaves it at a number (SDM volume 3, "VM Instruction Error Numbers" and "VM-Entry Failures During
 * or After Loading Guest State").
 */
#include "arch/x86/cpu.h"
#include "arch/x86/cpuid_bits.h"
#include "arch/x86/layout.h"
#include "arch/x86/paging.h"
#include "arch/x86/regs.h"
#include "arch/x86/vmx/check.h"
#include "arch/x86/vmx/vmx.h"
#include "lib/log.h"

typedef unsigned long long ull;

static __cold void read_control_limits(struct vmx_limits *l)
{
	bool has_true = l->basic & VMX_BASIC_TRUE_CTLS;

	l->controls[CTL_PIN] = rdmsr(has_true ? MSR_VMX_TRUE_PINBASED_CTLS : MSR_VMX_PINBASED_CTLS);
	l->controls[CTL_PROC] =
		rdmsr(has_true ? MSR_VMX_TRUE_PROCBASED_CTLS : MSR_VMX_PROCBASED_CTLS);
	l->controls[CTL_EXIT] = rdmsr(has_true ? MSR_VMX_TRUE_EXIT_CTLS : MSR_VMX_EXIT_CTLS);
	l->controls[CTL_ENTRY] = rdmsr(has_true ? MSR_VMX_TRUE_ENTRY_CTLS : MSR_VMX_ENTRY_CTLS);
	if (l->controls[CTL_PROC] >> 32 & PROC_SECONDARY)
		l->controls[CTL_PROC2] = rdmsr(MSR_VMX_PROCBASED_CTLS2);
	if (l->controls[CTL_PROC2] >> 32 & PROC2_VMFUNC)
		l->vmfunc = rdmsr(MSR_VMX_VMFUNC);
}

/* The bits of two MSRs that this CPU has. Which of DEBUGCTL's, depends on its model: all known. */
static __cold void read_msr_limits(struct vmx_limits *l)
{
	uint32_t extended = cpuid(0x80000001).edx;

	l->efer = EFER_SCE | (extended & CPUID_MASK(CPUID_NX) ? EFER_NXE : 0) |
		  (extended & CPUID_MASK(CPUID_LM) ? EFER_LME | EFER_LMA : 0);
	l->debugctl =
		GENMASK_ULL(15, 6) | GENMASK_ULL(1, 0) |
		(cpuid_count(7, 0).ecx & CPUID_MASK(CPUID_BUS_LOCK_DETECT) ? DEBUGCTL_BUS_LOCK : 0);
}

static __cold void read_limits(struct vmx_limits *l)
{
	struct cpuid features = cpuid_count(7, 0);

	*l = (struct vmx_limits){
		.basic = rdmsr(MSR_VMX_BASIC),
		.misc = rdmsr(MSR_VMX_MISC),
		.ept_vpid_cap = vmx_setup.ept_vpid,
		.cr0_fixed0 = vmx_setup.cr0_fixed0,
		.cr0_fixed1 = vmx_setup.cr0_fixed1,
		.cr4_fixed0 = vmx_setup.cr4_fixed0,
		.cr4_fixed1 = vmx_setup.cr4_fixed1,
		.physical_bits = paging_phys_bits(),
		.linear_bits = vmx_setup.linear_bits,
		.has_sgx = features.ebx & CPUID_MASK(CPUID_SGX),
		.has_rtm = features.ebx & CPUID_MASK(CPUID_RTM),
	};
	read_control_limits(l);
	read_msr_limits(l);
}

static uint64_t read_field(uint32_t field, void *arg)
{
	(void)arg;
	return vmread(field);
}

/* In memory that is surely ours: a vCPU's own pages and the page tables that CR3 names without EPT.
 * Elsewhere there is nothing. */
static __cold uint64_t read_memory(uint64_t pa, void *arg)
{
	const struct virt_vcpu *v = arg;
	uint64_t page = ALIGN_DOWN(pa, PAGE_SIZE);
	bool is_own = page - v->control_pa.v < VIRT_VCPU_PAGES * PAGE_SIZE;
	bool is_root = page == ALIGN_DOWN(vmread(VMCS_GUEST_CR3), PAGE_SIZE);

	return is_own || is_root ? *(const uint64_t *)direct_map(HPA(pa)) : 0;
}

/* The first field that breaks a rule; false: none does. */
static __cold bool find_fault(struct virt_vcpu *v, struct vmx_fault *fault)
{
	struct vmx_limits limits;
	struct vmx_check_env env = {
		.limits = &limits, .read = read_field, .read_memory = read_memory, .arg = v};

	read_limits(&limits);
	return !vmx_check_controls(&env, fault) || !vmx_check_host(&env, fault) ||
	       !vmx_check_guest(&env, fault);
}

__cold bool vmx_segments_are_valid(struct virt_vcpu *v)
{
	struct vmx_limits limits;
	struct vmx_fault fault;
	struct vmx_check_env env = {
		.limits = &limits, .read = read_field, .read_memory = read_memory, .arg = v};

	read_limits(&limits);
	return vmx_check_segments(&env, &fault);
}

static __cold void explain_fields(struct virt_vcpu *v)
{
	struct vmx_fault fault;

	if (find_fault(v, &fault))
		log_error("vmx: %s is %llx: %s (SDM volume 3, VM-entry checks on %s)", fault.name,
			  (ull)fault.value, fault.rule, fault.about);
	else
		log_error("vmx: every field keeps the rules known here");
}

/* The qualification is the number of the entry, from 1. */
static __cold void explain_msr(struct virt_vcpu *v, uint64_t number)
{
	uint64_t pa =
		vmread(VMCS_ENTRY_MSR_LOAD_ADDR) + (number - 1) * sizeof(struct vmx_msr_entry);

	log_error("vmx: entry %llu to load, MSR %llx, cannot be %llx", (ull)number,
		  (ull)read_memory(pa, v), (ull)read_memory(pa + 8, v));
}

__cold void vmx_explain_failure(struct virt_vcpu *v, bool entered)
{
	uint64_t reason = vmread(VMCS_EXIT_REASON), qualification, error;

	if (!entered) {
		error = vmread(VMCS_VM_INSTRUCTION_ERROR);
		log_error("vmx: VMLAUNCH or VMRESUME failed, error %llu", (ull)error);
		if (error == VMX_ERROR_CONTROLS || error == VMX_ERROR_HOST_STATE)
			explain_fields(v);
		return;
	}
	qualification = vmread(VMCS_EXIT_QUALIFICATION);
	log_error("vmx: entry failed, exit reason %llx, qualification %llx", (ull)reason,
		  (ull)qualification);
	if (reason == (VMX_EXIT_MSR_LOADING | VMX_EXIT_ENTRY_FAILURE))
		explain_msr(v, qualification);
	else
		explain_fields(v);
}
