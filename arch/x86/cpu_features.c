/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the CPU has: a table that says for each feature where the CPU tells of it, in a bit of a
 * CPUID register or of a capability MSR (Intel SDM volume 2, CPUID, and volume 3, appendix A; AMD
 * APM volume 3, appendix E).
 */
#include "arch/x86/cpu_features.h"

#include <stdint.h>
#include <string.h>

#include "arch/x86/cpu.h"
#include "arch/x86/msr_safe.h"
#include "arch/x86/vmx/vmcs.h"

#define VENDORS_ALL   (BIT(VENDOR_INTEL) | BIT(VENDOR_AMD) | BIT(VENDOR_OTHER))
#define VENDORS_INTEL BIT(VENDOR_INTEL)
#define VENDORS_AMD   BIT(VENDOR_AMD)

/* Controls of VMX that the back end does not use. */
#define PIN_POSTED_INTERRUPTS BIT(7)
#define PROC2_TSC_SCALING     BIT(25)

struct feature_source {
	uint8_t vendors; /* on whose CPUs it means something */
	enum cpuid_bit cpuid_bit;
	uint32_t msr; /* 0: a bit of CPUID */
	uint64_t mask;
};

/* clang-format off */
#define IN_CPUID(bit_, vendors_) {.vendors = vendors_, .cpuid_bit = bit_}
#define IN_MSR(msr_, mask_)      {.vendors = VENDORS_INTEL, .msr = msr_, .mask = mask_}
/* The upper half says which controls may be 1. */
#define IN_CONTROLS(msr_, mask_) IN_MSR(msr_, (uint64_t)(mask_) << 32)

static const struct feature_source sources[NR_FEATURES] = {
	[FEATURE_NX] = IN_CPUID(CPUID_NX, VENDORS_ALL),
	[FEATURE_1G_PAGES] = IN_CPUID(CPUID_PAGE_1GB, VENDORS_ALL),
	[FEATURE_SMEP] = IN_CPUID(CPUID_SMEP, VENDORS_ALL),
	[FEATURE_SMAP] = IN_CPUID(CPUID_SMAP, VENDORS_ALL),
	[FEATURE_UMIP] = IN_CPUID(CPUID_UMIP, VENDORS_ALL),
	[FEATURE_XSAVE] = IN_CPUID(CPUID_XSAVE, VENDORS_ALL),
	[FEATURE_X87_POINTERS] = IN_CPUID(CPUID_RSTR_FP_ERR_PTRS, VENDORS_AMD),
	[FEATURE_X2APIC] = IN_CPUID(CPUID_X2APIC, VENDORS_ALL),
	[FEATURE_TSC_DEADLINE] = IN_CPUID(CPUID_TSC_DEADLINE, VENDORS_ALL),
	[FEATURE_INVARIANT_TSC] = IN_CPUID(CPUID_TSC_INVARIANT, VENDORS_ALL),
	[FEATURE_RDRAND] = IN_CPUID(CPUID_RDRAND, VENDORS_ALL),
	[FEATURE_IBPB] = IN_CPUID(CPUID_IBRS_IBPB, VENDORS_INTEL),
	[FEATURE_IBPB_AMD] = IN_CPUID(CPUID_IBPB, VENDORS_AMD),
	[FEATURE_AUTO_IBRS] = IN_CPUID(CPUID_AUTOMATIC_IBRS, VENDORS_AMD),
	[FEATURE_MD_CLEAR] = IN_CPUID(CPUID_MD_CLEAR, VENDORS_INTEL),
	[FEATURE_VERW_CLEAR] = IN_CPUID(CPUID_VERW_CLEAR, VENDORS_AMD),
	[FEATURE_FLUSH_L1D] = IN_CPUID(CPUID_L1D_FLUSH, VENDORS_INTEL),
	[FEATURE_ARCH_CAPABILITIES] = IN_CPUID(CPUID_ARCH_CAPABILITIES, VENDORS_INTEL),
	[FEATURE_SVM] = IN_CPUID(CPUID_SVM, VENDORS_AMD),
	[FEATURE_SVM_NPT] = IN_CPUID(CPUID_SVM_NP, VENDORS_AMD),
	[FEATURE_SVM_LBR] = IN_CPUID(CPUID_SVM_LBR_VIRT, VENDORS_AMD),
	[FEATURE_SVM_NRIPS] = IN_CPUID(CPUID_SVM_NRIPS, VENDORS_AMD),
	[FEATURE_SVM_TSC_RATIO] = IN_CPUID(CPUID_SVM_TSC_RATE_MSR, VENDORS_AMD),
	[FEATURE_SVM_CLEAN_BITS] = IN_CPUID(CPUID_SVM_VMCB_CLEAN, VENDORS_AMD),
	[FEATURE_SVM_FLUSH_BY_ASID] = IN_CPUID(CPUID_SVM_FLUSH_BY_ASID, VENDORS_AMD),
	[FEATURE_SVM_DECODE_ASSISTS] = IN_CPUID(CPUID_SVM_DECODE_ASSISTS, VENDORS_AMD),
	[FEATURE_SVM_PAUSE_FILTER] = IN_CPUID(CPUID_SVM_PAUSE_FILTER, VENDORS_AMD),
	[FEATURE_SVM_AVIC] = IN_CPUID(CPUID_SVM_AVIC, VENDORS_AMD),
	[FEATURE_SVM_VGIF] = IN_CPUID(CPUID_SVM_VGIF, VENDORS_AMD),
	[FEATURE_VMX] = IN_CPUID(CPUID_VMX, VENDORS_INTEL),
	[FEATURE_IBRS_ALL] = IN_MSR(MSR_ARCH_CAPABILITIES, ARCH_CAP_IBRS_ALL),
	[FEATURE_VMX_EPT] = IN_CONTROLS(MSR_VMX_PROCBASED_CTLS2, PROC2_EPT),
	[FEATURE_VMX_EPT_1G] = IN_MSR(MSR_VMX_EPT_VPID_CAP, EPT_CAP_1G),
	[FEATURE_VMX_EPT_AD] = IN_MSR(MSR_VMX_EPT_VPID_CAP, EPT_CAP_AD),
	[FEATURE_VMX_EPT_EXEC_ONLY] = IN_MSR(MSR_VMX_EPT_VPID_CAP, EPT_CAP_EXEC_ONLY),
	[FEATURE_VMX_TPR_SHADOW] = IN_CONTROLS(MSR_VMX_PROCBASED_CTLS, PROC_TPR_SHADOW),
	[FEATURE_VMX_MSR_BITMAPS] = IN_CONTROLS(MSR_VMX_PROCBASED_CTLS, PROC_MSR_BITMAPS),
	[FEATURE_VMX_IO_BITMAPS] = IN_CONTROLS(MSR_VMX_PROCBASED_CTLS, PROC_IO_BITMAPS),
	[FEATURE_VMX_VIRTUAL_NMIS] = IN_CONTROLS(MSR_VMX_PINBASED_CTLS, PIN_VIRTUAL_NMIS),
	[FEATURE_VMX_LOAD_EFER] = IN_CONTROLS(MSR_VMX_ENTRY_CTLS, ENTRY_LOAD_EFER),
	[FEATURE_VMX_LOAD_PAT] = IN_CONTROLS(MSR_VMX_ENTRY_CTLS, ENTRY_LOAD_PAT),
	[FEATURE_VMX_RDTSCP] = IN_CONTROLS(MSR_VMX_PROCBASED_CTLS2, PROC2_RDTSCP),
	[FEATURE_VMX_INVPCID] = IN_CONTROLS(MSR_VMX_PROCBASED_CTLS2, PROC2_INVPCID),
	[FEATURE_VMX_XSAVES] = IN_CONTROLS(MSR_VMX_PROCBASED_CTLS2, PROC2_XSAVES),
	[FEATURE_VMX_WBINVD] = IN_CONTROLS(MSR_VMX_PROCBASED_CTLS2, PROC2_WBINVD),
	[FEATURE_VMX_VPID] = IN_CONTROLS(MSR_VMX_PROCBASED_CTLS2, PROC2_VPID),
	[FEATURE_VMX_UNRESTRICTED_GUEST] = IN_CONTROLS(MSR_VMX_PROCBASED_CTLS2,
						       PROC2_UNRESTRICTED_GUEST),
	[FEATURE_VMX_PREEMPTION_TIMER] = IN_CONTROLS(MSR_VMX_PINBASED_CTLS, PIN_PREEMPTION_TIMER),
	[FEATURE_VMX_PML] = IN_CONTROLS(MSR_VMX_PROCBASED_CTLS2, PROC2_PML),
	[FEATURE_VMX_APICV] = IN_CONTROLS(MSR_VMX_PROCBASED_CTLS2, PROC2_VIRTUAL_INTERRUPTS),
	[FEATURE_VMX_POSTED_INTERRUPTS] = IN_CONTROLS(MSR_VMX_PINBASED_CTLS, PIN_POSTED_INTERRUPTS),
	[FEATURE_VMX_TSC_SCALING] = IN_CONTROLS(MSR_VMX_PROCBASED_CTLS2, PROC2_TSC_SCALING),
};
/* clang-format on */

static enum feature_state states[NR_FEATURES] __ro_after_init;
static enum cpu_vendor vendor __ro_after_init;
static bool errata[NR_CPU_ERRATA] __ro_after_init;

enum feature_state cpu_feature_state(enum cpu_feature feature)
{
	return states[feature];
}

bool cpu_has(enum cpu_feature feature)
{
	return states[feature] == FEATURE_FOUND;
}

enum cpu_vendor cpu_vendor(void)
{
	return vendor;
}

bool cpu_has_erratum(enum cpu_erratum erratum)
{
	return errata[erratum];
}

static enum cpu_vendor read_vendor(void)
{
	struct cpuid id = cpuid(0);
	uint32_t name[3] = {id.ebx, id.edx, id.ecx};

	if (!memcmp(name, "GenuineIntel", 12))
		return VENDOR_INTEL;
	if (!memcmp(name, "AuthenticAMD", 12) || !memcmp(name, "HygonGenuine", 12))
		return VENDOR_AMD;
	return VENDOR_OTHER;
}

bool cpu_reports(enum cpuid_bit bit)
{
	const struct cpuid_place *p = &cpuid_places[CPUID_WORD(bit)];
	struct cpuid id;
	uint32_t word;

	/* A leaf beyond the last gives the last one's values (Intel): not an answer. */
	if (cpuid(p->leaf & 0x80000000).eax < p->leaf)
		return false;
	id = cpuid_count(p->leaf, p->subleaf);
	word = p->reg == CPUID_EAX   ? id.eax
	       : p->reg == CPUID_EBX ? id.ebx
	       : p->reg == CPUID_ECX ? id.ecx
				     : id.edx;
	return word & CPUID_MASK(bit);
}

static bool msr_has(uint32_t msr, uint64_t mask)
{
	uint64_t val;

	/* The secondary controls only exist if the primary ones may activate them. */
	if (msr == MSR_VMX_PROCBASED_CTLS2 &&
	    !(rdmsr(MSR_VMX_PROCBASED_CTLS) >> 32 & PROC_SECONDARY))
		return false;
	return !rdmsr_safe(msr, &val) && (val & mask);
}

static uint64_t ept_vpid_cap(void)
{
	uint64_t val;

	return rdmsr_safe(MSR_VMX_EPT_VPID_CAP, &val) ? 0 : val;
}

static bool has_exit_controls(uint32_t needed)
{
	return (rdmsr(MSR_VMX_EXIT_CTLS) >> 32 & needed) == needed;
}

/* What is of use only together with more than its own bit. */
static bool is_usable(enum cpu_feature feature)
{
	switch (feature) {
	case FEATURE_VMX_EPT:
		return vmx_ept_is_usable(ept_vpid_cap());
	case FEATURE_VMX_EPT_1G:
	case FEATURE_VMX_EPT_AD:
	case FEATURE_VMX_UNRESTRICTED_GUEST:
		return cpu_has(FEATURE_VMX_EPT);
	case FEATURE_VMX_PML:
		return cpu_has(FEATURE_VMX_EPT_AD);
	case FEATURE_VMX_VPID:
		return vmx_vpid_is_usable(ept_vpid_cap());
	case FEATURE_VMX_LOAD_EFER:
		return has_exit_controls(EXIT_SAVE_EFER | EXIT_LOAD_EFER);
	case FEATURE_VMX_LOAD_PAT:
		return has_exit_controls(EXIT_SAVE_PAT | EXIT_LOAD_PAT);
	default:
		return true;
	}
}

/* Is it right in this model? */
static bool is_sound(enum cpu_feature feature)
{
	switch (feature) {
	case FEATURE_TSC_DEADLINE:
		return !errata[ERRATUM_TSC_DEADLINE];
	case FEATURE_VMX_PREEMPTION_TIMER:
		return !errata[ERRATUM_PREEMPTION_TIMER];
	default:
		return true;
	}
}

static enum feature_state detect(enum cpu_feature feature)
{
	const struct feature_source *s = &sources[feature];
	bool is_there;

	if (!(s->vendors & BIT(vendor)))
		return FEATURE_FOREIGN;
	/* VMX comes before those that its MSRs tell of. */
	is_there = s->msr ? cpu_has(FEATURE_VMX) && msr_has(s->msr, s->mask)
			  : cpu_reports(s->cpuid_bit);
	if (!is_there)
		return FEATURE_MISSING;
	if (!is_usable(feature))
		return FEATURE_INCOMPLETE;
	return is_sound(feature) ? FEATURE_FOUND : FEATURE_BROKEN;
}

/* SDM volume 3, 9.11.7: CPUID leaves the revision of the microcode in an MSR. */
static uint32_t read_microcode(void)
{
	uint64_t val;

	if (wrmsr_safe(MSR_BIOS_SIGN_ID, 0))
		return 0;
	cpuid(1);
	return rdmsr_safe(MSR_BIOS_SIGN_ID, &val) ? 0 : val >> 32;
}

static void detect_errata(void)
{
	struct cpu_model m = {
		.vendor = vendor,
		.signature = cpuid(1).eax,
		.is_virtual = cpu_reports(CPUID_HYPERVISOR),
	};

	if (vendor == VENDOR_INTEL) {
		m.microcode = read_microcode();
		if (cpu_reports(CPUID_ARCH_CAPABILITIES))
			m.capabilities = rdmsr(MSR_ARCH_CAPABILITIES);
	}
	for (unsigned i = 0; i < NR_CPU_ERRATA; i++)
		errata[i] = erratum_applies(i, &m);
}

static void detect_features(void)
{
	for (unsigned i = 0; i < NR_FEATURES; i++)
		states[i] = detect(i);
}

void cpu_features_detect(void)
{
	vendor = read_vendor();
	detect_errata();
	detect_features();
}

void cpu_ignore_errata(void)
{
	memset(errata, 0, sizeof(errata));
	detect_features();
}

/*
 * Predictions in the hypervisor do not follow what less privileged code, or a guest, has taught:
 * switched on once, for good (Intel's "Speculative Execution Side Channel Mitigations" on enhanced
 * IBRS; APM volume 2, 3.2.9).
 */
static void restrict_predictions(void)
{
	if (cpu_has(FEATURE_IBRS_ALL))
		wrmsr(MSR_SPEC_CTRL, rdmsr(MSR_SPEC_CTRL) | SPEC_CTRL_IBRS);
	if (cpu_has(FEATURE_AUTO_IBRS))
		wrmsr(MSR_EFER, rdmsr(MSR_EFER) | EFER_AIBRSE);
}

/* Set some bits of an MSR and clear others, if the CPU has it, and lets us. */
static void change_msr(uint32_t msr, uint64_t clear, uint64_t set)
{
	uint64_t old, val;

	if (rdmsr_safe(msr, &old))
		return;
	val = (old & ~clear) | set;
	if (val != old)
		(void)wrmsr_safe(msr, val);
}

static void work_around_errata(void)
{
	if (errata[ERRATUM_C1E])
		change_msr(MSR_AMD_INT_PENDING, INT_PENDING_SMI_ON_HALT | INT_PENDING_C1E_ON_HALT,
			   0);
	if (errata[ERRATUM_TLB_MULTIMATCH])
		change_msr(MSR_AMD_DC_CFG, 0, DC_CFG_TLB_MULTIMATCH);
}

void cpu_protect(void)
{
	uint64_t cr4 = read_cr4() | CR4_DE;

	if (cpu_has(FEATURE_SMEP))
		cr4 |= CR4_SMEP;
	if (cpu_has(FEATURE_SMAP))
		cr4 |= CR4_SMAP;
	if (cpu_has(FEATURE_UMIP))
		cr4 |= CR4_UMIP;
	write_cr4(cr4);
	restrict_predictions();
	work_around_errata();
	write_cr0((read_cr0() & ~(CR0_CD | CR0_NW | CR0_EM | CR0_TS)) | CR0_WP | CR0_NE | CR0_MP);
}

unsigned long cpu_random(void)
{
	unsigned long val = 0;

	if (cpu_reports(CPUID_RDRAND))
		__asm__ volatile("rdrand %0" : "+r"(val)::"cc");
	/* Spread the low bits of the TSC, which are all that is hard to guess in it. */
	return val ^ rdtsc() * 0x9e3779b97f4a7c15ull;
}
