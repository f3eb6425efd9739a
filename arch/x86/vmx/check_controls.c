/* SPDX-License-Identifier: BSD-2-Clause */
/* VM-entry checks on VMX controls: VM-execution, VM-exit and VM-entry control fields. */
#include "arch/x86/vmx/check_rules.h"

static const uint32_t control_field[NR_CTLS] = {
	[CTL_PIN] = VMCS_PIN_BASED_CONTROLS,
	[CTL_PROC] = VMCS_PRIMARY_PROCESSOR_CONTROLS,
	[CTL_PROC2] = VMCS_SECONDARY_PROCESSOR_CONTROLS,
	[CTL_EXIT] = VMCS_EXIT_CONTROLS,
	[CTL_ENTRY] = VMCS_ENTRY_CONTROLS,
};

/* The first control may be on only while the second is on (or off). */
static const struct dependency {
	enum vmx_control_word word;
	uint32_t bit;
	enum vmx_control_word on_word;
	uint32_t on_bit;
	bool on;
	const char *rule;
} dependencies[] = {
	{CTL_PIN, PIN_VIRTUAL_NMIS, CTL_PIN, PIN_NMI, true, "virtual NMIs need NMI exiting"},
	{CTL_PROC, PROC_NMI_WINDOW, CTL_PIN, PIN_VIRTUAL_NMIS, true,
	 "NMI-window exiting needs virtual NMIs"},
	{CTL_PROC2, PROC2_X2APIC_MODE, CTL_PROC, PROC_TPR_SHADOW, true,
	 "x2APIC virtualisation needs the TPR shadow"},
	{CTL_PROC2, PROC2_APIC_REGISTERS, CTL_PROC, PROC_TPR_SHADOW, true,
	 "APIC-register virtualisation needs the TPR shadow"},
	{CTL_PROC2, PROC2_VIRTUAL_INTERRUPTS, CTL_PROC, PROC_TPR_SHADOW, true,
	 "virtual-interrupt delivery needs the TPR shadow"},
	{CTL_PROC2, PROC2_X2APIC_MODE, CTL_PROC2, PROC2_VIRTUAL_APIC, false,
	 "x2APIC virtualisation excludes that of APIC accesses"},
	{CTL_PROC2, PROC2_VIRTUAL_INTERRUPTS, CTL_PIN, PIN_EXTERNAL_INTERRUPT, true,
	 "virtual-interrupt delivery needs external-interrupt exiting"},
	{CTL_PROC2, PROC2_PML, CTL_PROC2, PROC2_EPT, true, "page-modification logging needs EPT"},
	{CTL_PROC2, PROC2_UNRESTRICTED_GUEST, CTL_PROC2, PROC2_EPT, true,
	 "an unrestricted guest needs EPT"},
	{CTL_EXIT, EXIT_SAVE_PREEMPTION, CTL_PIN, PIN_PREEMPTION_TIMER, true,
	 "saving the preemption timer needs the timer"},
};

static __cold bool check_word(struct vmx_check *c, enum vmx_control_word word)
{
	uint64_t allowed = c->limits->controls[word];

	return vmx_require_fixed(c, control_field[word], (uint32_t)allowed, allowed >> 32, 0);
}

/* What the controls of a word need of others. */
static __cold bool check_dependencies(struct vmx_check *c, enum vmx_control_word word)
{
	for (unsigned i = 0; i < ARRAY_SIZE(dependencies); i++) {
		const struct dependency *d = &dependencies[i];

		if (d->word == word && vmx_is_on(c, word, d->bit) &&
		    !vmx_require(c, vmx_is_on(c, d->on_word, d->on_bit) == d->on,
				 control_field[word], d->rule))
			return false;
	}
	return true;
}

/* The pages that a control makes the CPU use. */
static __cold bool check_pages(struct vmx_check *c)
{
	static const struct {
		enum vmx_control_word word;
		uint32_t bit, field;
	} pages[] = {
		{CTL_PROC, PROC_IO_BITMAPS, VMCS_IO_BITMAP_A},
		{CTL_PROC, PROC_IO_BITMAPS, VMCS_IO_BITMAP_B},
		{CTL_PROC, PROC_MSR_BITMAPS, VMCS_MSR_BITMAP},
		{CTL_PROC, PROC_TPR_SHADOW, VMCS_VIRTUAL_APIC_PAGE_ADDR},
		{CTL_PROC2, PROC2_VIRTUAL_APIC, VMCS_APIC_ACCESS_ADDR},
		{CTL_PROC2, PROC2_PML, VMCS_PML_ADDRESS},
		{CTL_PROC2, PROC2_VMCS_SHADOWING, VMCS_VMREAD_BITMAP},
		{CTL_PROC2, PROC2_VMCS_SHADOWING, VMCS_VMWRITE_BITMAP},
		{CTL_PROC2, PROC2_EPT_VE, VMCS_VIRTUALIZATION_EXCEPTION_ADDR},
	};

	for (unsigned i = 0; i < ARRAY_SIZE(pages); i++)
		if (vmx_is_on(c, pages[i].word, pages[i].bit) &&
		    !vmx_require_address(c, pages[i].field, PAGE_SIZE))
			return false;
	return true;
}

static __cold bool check_cr3_targets(struct vmx_check *c)
{
	return vmx_require(c,
			   vmx_field(c, VMCS_CR3_TARGET_COUNT) <=
				   FIELD_GET(VMX_MISC_CR3_TARGETS, c->limits->misc),
			   VMCS_CR3_TARGET_COUNT, "more CR3 targets than this CPU has");
}

/* The task priority, bits 7:4 of the virtual APIC page's byte 80h; 15 if it cannot be seen. */
static __cold unsigned task_priority(const struct vmx_check *c)
{
	if (!c->env->read_memory)
		return 15;
	return (c->env->read_memory(vmx_field(c, VMCS_VIRTUAL_APIC_PAGE_ADDR) + 0x80,
				    c->env->arg) >>
		4) &
	       15;
}

static __cold bool check_tpr_threshold(struct vmx_check *c)
{
	if (!vmx_is_on(c, CTL_PROC, PROC_TPR_SHADOW) ||
	    vmx_is_on(c, CTL_PROC2, PROC2_VIRTUAL_INTERRUPTS))
		return true;
	return vmx_require_clear(c, VMCS_TPR_THRESHOLD, ~0xfull, "bits 31:4 must be 0") &&
	       vmx_require(c,
			   vmx_is_on(c, CTL_PROC2, PROC2_VIRTUAL_APIC) ||
				   vmx_field(c, VMCS_TPR_THRESHOLD) <= task_priority(c),
			   VMCS_TPR_THRESHOLD, "the threshold is above the task priority");
}

static __cold bool check_vpid(struct vmx_check *c)
{
	return !vmx_is_on(c, CTL_PROC2, PROC2_VPID) ||
	       vmx_require(c, vmx_field(c, VMCS_VPID), VMCS_VPID, "VPID 0 is the host's");
}

static __cold bool is_ept_memtype(const struct vmx_check *c, uint64_t type)
{
	return (type == EPTP_UC && (c->limits->ept_vpid_cap & EPT_CAP_UC)) ||
	       (type == EPTP_WB && (c->limits->ept_vpid_cap & EPT_CAP_WB));
}

static __cold bool is_ept_walk(const struct vmx_check *c, uint64_t walk)
{
	return (walk == EPTP_WALK_4 && (c->limits->ept_vpid_cap & EPT_CAP_WALK_4)) ||
	       (walk == EPTP_WALK_5 && (c->limits->ept_vpid_cap & EPT_CAP_WALK_5));
}

static __cold bool check_ept_pointer(struct vmx_check *c)
{
	uint64_t eptp;

	if (!vmx_is_on(c, CTL_PROC2, PROC2_EPT))
		return true;
	eptp = vmx_field(c, VMCS_EPT_POINTER);
	return vmx_require(c, is_ept_memtype(c, eptp & EPTP_MEMTYPE), VMCS_EPT_POINTER,
			   "bits 2:0 must be a memory type for EPT that this CPU has") &&
	       vmx_require(c, is_ept_walk(c, eptp & EPTP_WALK), VMCS_EPT_POINTER,
			   "bits 5:3 must be a page-walk length, less 1, that this CPU has") &&
	       vmx_require(c, !(eptp & EPTP_AD) || (c->limits->ept_vpid_cap & EPT_CAP_AD),
			   VMCS_EPT_POINTER, "bit 6: this CPU has no accessed and dirty flags") &&
	       vmx_require_clear(c, VMCS_EPT_POINTER, GENMASK_ULL(11, 7) | vmx_beyond_physical(c),
				 "a reserved bit is 1");
}

static __cold bool check_vm_functions(struct vmx_check *c)
{
	uint64_t functions;

	if (!vmx_is_on(c, CTL_PROC2, PROC2_VMFUNC))
		return true;
	functions = vmx_field(c, VMCS_VM_FUNCTION_CONTROLS);
	if (!vmx_require_fixed(c, VMCS_VM_FUNCTION_CONTROLS, 0, c->limits->vmfunc, 0))
		return false;
	return !(functions & VM_FUNCTION_EPTP_SWITCHING) ||
	       (vmx_require(c, vmx_is_on(c, CTL_PROC2, PROC2_EPT), VMCS_VM_FUNCTION_CONTROLS,
			    "EPTP switching needs EPT") &&
		vmx_require_address(c, VMCS_EPTP_LIST_ADDR, PAGE_SIZE));
}

static __cold bool check_execution_words(struct vmx_check *c)
{
	return check_word(c, CTL_PIN) && check_word(c, CTL_PROC) &&
	       (!vmx_is_on(c, CTL_PROC, PROC_SECONDARY) || check_word(c, CTL_PROC2)) &&
	       check_dependencies(c, CTL_PIN) && check_dependencies(c, CTL_PROC) &&
	       check_dependencies(c, CTL_PROC2);
}

static __cold bool check_execution_controls(struct vmx_check *c)
{
	return check_execution_words(c) && check_cr3_targets(c) && check_pages(c) &&
	       check_tpr_threshold(c) && check_vpid(c) && check_ept_pointer(c) &&
	       check_vm_functions(c);
}

/* A list of MSRs: 16 bytes each. */
static __cold bool check_msr_area(struct vmx_check *c, uint32_t count_field, uint32_t addr_field)
{
	uint64_t count = vmx_field(c, count_field);

	return !count ||
	       (vmx_require_address(c, addr_field, 16) &&
		vmx_require(c,
			    !((vmx_field(c, addr_field) + count * 16 - 1) & vmx_beyond_physical(c)),
			    addr_field, "the list ends beyond the CPU's physical addresses"));
}

static __cold bool check_exit_controls(struct vmx_check *c)
{
	return check_word(c, CTL_EXIT) && check_dependencies(c, CTL_EXIT) &&
	       check_msr_area(c, VMCS_EXIT_MSR_STORE_COUNT, VMCS_EXIT_MSR_STORE_ADDR) &&
	       check_msr_area(c, VMCS_EXIT_MSR_LOAD_COUNT, VMCS_EXIT_MSR_LOAD_ADDR);
}

static __cold bool check_entry_controls(struct vmx_check *c)
{
	return check_word(c, CTL_ENTRY) &&
	       vmx_require_clear(c, VMCS_ENTRY_CONTROLS, ENTRY_SMM | ENTRY_DUAL_SMM,
				 "only system-management mode may enter it or end its monitor") &&
	       vmx_check_injection(c) &&
	       check_msr_area(c, VMCS_ENTRY_MSR_LOAD_COUNT, VMCS_ENTRY_MSR_LOAD_ADDR);
}

const struct vmx_check_part vmx_control_checks[] = {
	{"VM-execution control fields", check_execution_controls},
	{"VM-exit control fields", check_exit_controls},
	{"VM-entry control fields", check_entry_controls},
	{0},
};
