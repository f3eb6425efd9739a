/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the CPU has: detected once on the boot CPU, and asked for with cpu_has(). A new feature
 * needs a name here, where it is told of in cpu_features.c, and what follows without it in
 * preflight.c.
 */
#ifndef ARCH_X86_CPU_FEATURES_H
#define ARCH_X86_CPU_FEATURES_H

#include <stdbool.h>

#include "arch/x86/cpuid_bits.h"
#include "arch/x86/errata.h"

enum cpu_feature {
	FEATURE_NX,
	FEATURE_1G_PAGES,
	FEATURE_SMEP,
	FEATURE_SMAP,
	FEATURE_UMIP,
	FEATURE_XSAVE,
	FEATURE_X87_POINTERS,
	FEATURE_X2APIC,
	FEATURE_TSC_DEADLINE,
	FEATURE_INVARIANT_TSC,
	FEATURE_RDRAND,
	FEATURE_IBPB,
	FEATURE_IBPB_AMD,
	FEATURE_AUTO_IBRS,
	FEATURE_MD_CLEAR,
	FEATURE_VERW_CLEAR,
	FEATURE_FLUSH_L1D,
	FEATURE_ARCH_CAPABILITIES,
	FEATURE_SVM,
	FEATURE_SVM_NPT,
	FEATURE_SVM_NRIPS,
	FEATURE_SVM_DECODE_ASSISTS,
	FEATURE_SVM_FLUSH_BY_ASID,
	FEATURE_SVM_CLEAN_BITS,
	FEATURE_SVM_TSC_RATIO,
	FEATURE_SVM_PAUSE_FILTER,
	FEATURE_SVM_AVIC,
	FEATURE_SVM_VGIF,
	FEATURE_SVM_LBR,
	FEATURE_VMX,
	FEATURE_IBRS_ALL,
	FEATURE_VMX_EPT,
	FEATURE_VMX_EPT_1G,
	FEATURE_VMX_EPT_AD,
	FEATURE_VMX_EPT_EXEC_ONLY,
	FEATURE_VMX_TPR_SHADOW,
	FEATURE_VMX_MSR_BITMAPS,
	FEATURE_VMX_IO_BITMAPS,
	FEATURE_VMX_VIRTUAL_NMIS,
	FEATURE_VMX_LOAD_EFER,
	FEATURE_VMX_LOAD_PAT,
	FEATURE_VMX_RDTSCP,
	FEATURE_VMX_INVPCID,
	FEATURE_VMX_XSAVES,
	FEATURE_VMX_WBINVD,
	FEATURE_VMX_VPID,
	FEATURE_VMX_UNRESTRICTED_GUEST,
	FEATURE_VMX_PREEMPTION_TIMER,
	FEATURE_VMX_PML,
	FEATURE_VMX_APICV,
	FEATURE_VMX_TSC_SCALING,
	FEATURE_VMX_POSTED_INTERRUPTS,
	NR_FEATURES,
};

/* What this CPU says of a feature. */
enum feature_state {
	FEATURE_MISSING,
	FEATURE_INCOMPLETE, /* it is there, but not with all that is needed to use it */
	FEATURE_BROKEN,     /* it is there, and this model has an erratum in it: not used */
	FEATURE_FOUND,
	FEATURE_FOREIGN, /* it is another vendor's */
};

/* Look for all of them: on the boot CPU, before anything below is asked. */
void cpu_features_detect(void);

/* Is it there, with all that is needed to use it? FEATURE_FOUND, that is. */
bool cpu_has(enum cpu_feature feature);
enum feature_state cpu_feature_state(enum cpu_feature feature);
enum cpu_vendor cpu_vendor(void);

/* Is the machine's CPU of a model that has this erratum? False before cpu_features_detect(). */
bool cpu_has_erratum(enum cpu_erratum erratum);

/*
 * This CPU has the number of a model with errata, but not these: it is an emulator's. After
 * cpu_features_detect(), and before anything is made of what that has found.
 */
void cpu_ignore_errata(void);

/*
 * Does CPUID itself have this bit, on the CPU that asks? For what is no feature of the list; at any
 * time.
 */
bool cpu_reports(enum cpuid_bit bit);

/*
 * Switch on, on this CPU, the protections it has: WP, SMEP, SMAP, UMIP, IBRS; and what an erratum
 * of its model asks for.
 */
void cpu_protect(void);

/*
 * A random word for the stack protector: RDRAND if there is one, mixed with the TSC. At any time.
 */
unsigned long cpu_random(void);

#endif
