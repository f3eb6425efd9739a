/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/unit/vmx/kinds.h"

#include "tests/unit/support/vmx_states.h"
#include "tests/unit/vmx/fake_guest.h"

void vmx_lacks(struct vmx_limits *l, enum vmx_control_word word, uint32_t bits)
{
	l->controls[word] &= ~((uint64_t)bits << 32);
}

void vmx_full(struct vmx_limits *l) {}

void vmx_without_1g_and_ad(struct vmx_limits *l)
{
	l->ept_vpid_cap = 0x00000f0106114141;
	l->controls[CTL_PROC2] = 0x000000ff00000000;
}

void vmx_without_vpid(struct vmx_limits *l)
{
	vmx_lacks(l, CTL_PROC2, PROC2_VPID);
}

void vmx_without_tpr_shadow_and_bitmaps(struct vmx_limits *l)
{
	vmx_lacks(l, CTL_PROC, PROC_TPR_SHADOW | PROC_IO_BITMAPS | PROC_MSR_BITMAPS);
}

void vmx_without_msr_controls(struct vmx_limits *l)
{
	vmx_lacks(l, CTL_EXIT, EXIT_SAVE_EFER | EXIT_LOAD_EFER | EXIT_SAVE_PAT | EXIT_LOAD_PAT);
	vmx_lacks(l, CTL_ENTRY, ENTRY_LOAD_EFER | ENTRY_LOAD_PAT);
}

void vmx_without_pat_controls(struct vmx_limits *l)
{
	vmx_lacks(l, CTL_EXIT, EXIT_SAVE_PAT);
}

void vmx_without_true_controls(struct vmx_limits *l)
{
	l->basic &= ~VMX_BASIC_TRUE_CTLS;
	l->controls[CTL_PROC] |= 0x0401e172;
	l->controls[CTL_EXIT] |= 0x36dff;
	l->controls[CTL_ENTRY] |= 0x11ff;
}

void vmx_without_preemption_timer(struct vmx_limits *l)
{
	vmx_lacks(l, CTL_PIN, PIN_PREEMPTION_TIMER);
}

void vmx_without_pml(struct vmx_limits *l)
{
	vmx_lacks(l, CTL_PROC2, PROC2_PML);
}

void vmx_without_ad_alone(struct vmx_limits *l)
{
	l->ept_vpid_cap &= ~EPT_CAP_AD;
}

vmx_change *const vmx_unrestricted_cpus[VMX_NR_UNRESTRICTED_CPUS] = {
	vmx_full,
	vmx_without_1g_and_ad,
	vmx_without_vpid,
	vmx_without_tpr_shadow_and_bitmaps,
	vmx_without_msr_controls,
	vmx_without_pat_controls,
	vmx_without_true_controls,
	vmx_without_preemption_timer,
	vmx_without_pml,
	vmx_without_ad_alone,
};

void vmx_without_unrestricted(struct vmx_limits *l)
{
	vmx_lacks(l, CTL_PROC2, PROC2_UNRESTRICTED_GUEST);
}

void vmx_without_unrestricted_and_true_controls(struct vmx_limits *l)
{
	vmx_without_unrestricted(l);
	vmx_without_true_controls(l);
}

void vmx_without_ept(struct vmx_limits *l)
{
	vmx_lacks(l, CTL_PROC2, PROC2_EPT | PROC2_UNRESTRICTED_GUEST | PROC2_PML);
}

void vmx_without_secondary_controls(struct vmx_limits *l)
{
	vmx_lacks(l, CTL_PROC, PROC_SECONDARY);
	l->controls[CTL_PROC2] = 0;
	vmx_without_true_controls(l);
	vmx_without_msr_controls(l);
}

static struct vmx_limits limits_of(vmx_change *change)
{
	struct vmx_limits l = vmx_tiger_lake;

	change(&l);
	return l;
}

void vmx_begin_on(vmx_change *change)
{
	struct vmx_limits l = limits_of(change);

	fake_guest_begin(&l);
}

void vmx_begin_shadowed_on(vmx_change *change)
{
	struct vmx_limits l = limits_of(change);

	fake_guest_begin_shadowed(&l);
}
