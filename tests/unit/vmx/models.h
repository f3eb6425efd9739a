/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Real CPUs with VMX, and what a hypervisor above or below offers of one: sets of capability MSRs
 * as such a CPU has them (SDM volume 3, appendix A), from the first with what Umbra needs to recent
 * ones. Tiger Lake is vmx_tiger_lake (support/vmx_states.h).
 */
#ifndef TESTS_UNIT_VMX_MODELS_H
#define TESTS_UNIT_VMX_MODELS_H

#include "arch/x86/vmx/check.h"

/* Core 2 of 2008: no EPT, no VPID, no timer, none of the TRUE MSRs; nothing switches EFER or PAT.
 */
extern const struct vmx_limits vmx_penryn;
/* The same with none of the secondary controls, TPR shadow and bitmaps, as some of 2006. */
extern const struct vmx_limits vmx_conroe;
/* The first with EPT and VPID: no unrestricted guest, no 1G pages, no accessed and dirty bits. */
extern const struct vmx_limits vmx_nehalem;
/* A recent one: nearly every control that the manual has, some of which vmcs.h does not know. */
extern const struct vmx_limits vmx_alder_lake;
/* What KVM offers a hypervisor in one of its guests. */
extern const struct vmx_limits vmx_in_kvm;

#endif
