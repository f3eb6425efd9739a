/* SPDX-License-Identifier: BSD-2-Clause */
/* VM-entry checks on the host-state area: what the next VM exit will load. */
#include "arch/x86/vmx/check_rules.h"

/* CR0.NW and CR0.CD are not checked: no VM exit and no VM entry changes them. */
static __cold bool check_control_registers(struct vmx_check *c)
{
	const struct vmx_limits *l = c->limits;

	return vmx_require_fixed(c, VMCS_HOST_CR0, l->cr0_fixed0, l->cr0_fixed1, CR0_NW | CR0_CD) &&
	       vmx_require_fixed(c, VMCS_HOST_CR4, l->cr4_fixed0, l->cr4_fixed1, 0) &&
	       vmx_require(c,
			   !(vmx_field(c, VMCS_HOST_CR4) & CR4_CET) ||
				   (vmx_field(c, VMCS_HOST_CR0) & CR0_WP),
			   VMCS_HOST_CR4, "CR4.CET needs CR0.WP") &&
	       vmx_require_clear(c, VMCS_HOST_CR3, vmx_beyond_physical(c),
				 "the address is beyond the CPU's physical addresses");
}

/* LMA and LME are both that of the "host address-space size". */
static __cold bool check_efer(struct vmx_check *c)
{
	uint64_t mode = EFER_LMA | EFER_LME;
	uint64_t is_64bit = vmx_is_on(c, CTL_EXIT, EXIT_HOST_64BIT) ? mode : 0;

	if (!vmx_is_on(c, CTL_EXIT, EXIT_LOAD_EFER))
		return true;
	return vmx_require_clear(c, VMCS_HOST_IA32_EFER, ~c->limits->efer, "a reserved bit is 1") &&
	       vmx_require(c, (vmx_field(c, VMCS_HOST_IA32_EFER) & mode) == is_64bit,
			   VMCS_HOST_IA32_EFER,
			   "LMA and LME must be the exit control \"host address-space size\"");
}

static __cold bool check_registers(struct vmx_check *c)
{
	return check_control_registers(c) &&
	       vmx_require_canonical(c, VMCS_HOST_IA32_SYSENTER_ESP) &&
	       vmx_require_canonical(c, VMCS_HOST_IA32_SYSENTER_EIP) &&
	       (!vmx_is_on(c, CTL_EXIT, EXIT_LOAD_PAT) || vmx_require_pat(c, VMCS_HOST_IA32_PAT)) &&
	       check_efer(c);
}

static __cold bool check_selectors(struct vmx_check *c)
{
	static const uint32_t selectors[] = {
		VMCS_HOST_CS_SELECTOR, VMCS_HOST_SS_SELECTOR, VMCS_HOST_DS_SELECTOR,
		VMCS_HOST_ES_SELECTOR, VMCS_HOST_FS_SELECTOR, VMCS_HOST_GS_SELECTOR,
		VMCS_HOST_TR_SELECTOR,
	};

	for (unsigned i = 0; i < ARRAY_SIZE(selectors); i++)
		if (!vmx_require_clear(c, selectors[i], 7, "RPL and TI must be 0"))
			return false;
	return vmx_require(c, vmx_field(c, VMCS_HOST_CS_SELECTOR), VMCS_HOST_CS_SELECTOR,
			   "the selector must not be null") &&
	       vmx_require(c, vmx_field(c, VMCS_HOST_TR_SELECTOR), VMCS_HOST_TR_SELECTOR,
			   "the selector must not be null");
}

static __cold bool check_segments(struct vmx_check *c)
{
	return check_selectors(c) && vmx_require_canonical(c, VMCS_HOST_FS_BASE) &&
	       vmx_require_canonical(c, VMCS_HOST_GS_BASE) &&
	       vmx_require_canonical(c, VMCS_HOST_GDTR_BASE) &&
	       vmx_require_canonical(c, VMCS_HOST_IDTR_BASE) &&
	       vmx_require_canonical(c, VMCS_HOST_TR_BASE);
}

/* We are in IA-32e mode, so the host's half of the rules has one case only. */
static __cold bool check_address_space_size(struct vmx_check *c)
{
	return vmx_require(c, vmx_is_on(c, CTL_EXIT, EXIT_HOST_64BIT), VMCS_EXIT_CONTROLS,
			   "\"host address-space size\" must be 1 in IA-32e mode") &&
	       vmx_require(c, vmx_field(c, VMCS_HOST_CR4) & CR4_PAE, VMCS_HOST_CR4,
			   "a 64-bit host needs CR4.PAE") &&
	       vmx_require_canonical(c, VMCS_HOST_RIP);
}

const struct vmx_check_part vmx_host_checks[] = {
	{"host control registers and MSRs", check_registers},
	{"host segment and descriptor-table registers", check_segments},
	{"address-space size", check_address_space_size},
	{0},
};
