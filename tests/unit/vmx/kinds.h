/* SPDX-License-Identifier: BSD-2-Clause */
/* Kinds of CPUs with VMX: what Bochs' Tiger Lake tells, and the same without this or that. */
#ifndef TESTS_UNIT_VMX_KINDS_H
#define TESTS_UNIT_VMX_KINDS_H

#include "arch/x86/vmx/check.h"

typedef void vmx_change(struct vmx_limits *l);

vmx_change vmx_full;
vmx_change vmx_without_1g_and_ad;
vmx_change vmx_without_vpid;
vmx_change vmx_without_tpr_shadow_and_bitmaps;
vmx_change vmx_without_msr_controls;
vmx_change vmx_without_pat_controls;
vmx_change vmx_without_true_controls;
vmx_change vmx_without_preemption_timer;
vmx_change vmx_without_pml;
vmx_change vmx_without_ad_alone;

/* Each of these has EPT and unrestricted guests ... */
#define VMX_NR_UNRESTRICTED_CPUS 10
extern vmx_change *const vmx_unrestricted_cpus[VMX_NR_UNRESTRICTED_CPUS];

/* ... and each of these has not both. */
vmx_change vmx_without_unrestricted;
vmx_change vmx_without_unrestricted_and_true_controls;
vmx_change vmx_without_ept;
vmx_change vmx_without_secondary_controls;

/* The CPU cannot set these controls. */
void vmx_lacks(struct vmx_limits *l, enum vmx_control_word word, uint32_t bits);

/* fake_guest_begin() on such a CPU; for a vCPU with nested paging, or with shadow paging. */
void vmx_begin_on(vmx_change *change);
void vmx_begin_shadowed_on(vmx_change *change);

#endif
