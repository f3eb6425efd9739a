/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The preflight: a table of features, where the CPU says whether it has each, and what follows
 * if it has not, or has it in a form that is of no use. A feature is a bit of a CPUID register, or
 * of the "may be 1" half of a VMX capability MSR (Intel SDM volume 2, CPUID, and volume 3, appendix
 * A; AMD APM volume 3, appendix E).
 */
#include "arch/x86/features.h"

#include <stdint.h>
#include <string.h>

#include "arch/x86/cpu.h"
#include "arch/x86/msr_safe.h"
#include "arch/x86/obstacle.h"
#include "arch/x86/vmx/vmcs.h"
#include "lib/log.h"

/* MSR_HIGH: of the half of an MSR that says which controls may be 1. MSR_BIT: of all 64 bits. */
enum reg { EAX, EBX, ECX, EDX, MSR_HIGH, MSR_BIT };

#define VENDORS_ALL   (BIT(VENDOR_INTEL) | BIT(VENDOR_AMD) | BIT(VENDOR_OTHER))
#define VENDORS_INTEL BIT(VENDOR_INTEL)
#define VENDORS_AMD   BIT(VENDOR_AMD)

struct feature_row {
	const char *name;
	uint32_t source; /* CPUID leaf, or MSR */
	uint8_t reg;     /* enum reg */
	uint8_t bit;
	uint8_t vendors;     /* whose table it is in */
	bool is_required;    /* without it no guest runs on this CPU */
	const char *missing; /* what follows without it; NULL: nothing uses it */
};

#define NEEDS_SHADOW_MMU "guests need the shadow MMU, which this version does not have"

static const struct feature_row rows[NR_FEATURES] = {
	/* clang-format off */
	[FEATURE_NX] = {"NX", 0x80000001, EDX, 20, VENDORS_ALL, true,
			"no memory can be kept from execution"},
	[FEATURE_1G_PAGES] = {"1G pages", 0x80000001, EDX, 26, VENDORS_ALL, false, "2M pages"},
	[FEATURE_SMEP] = {"SMEP", 7, EBX, 7, VENDORS_ALL, false, "done without"},
	[FEATURE_SMAP] = {"SMAP", 7, EBX, 20, VENDORS_ALL, false, "done without"},
	[FEATURE_UMIP] = {"UMIP", 7, ECX, 2, VENDORS_ALL, false, "done without"},
	[FEATURE_XSAVE] = {"XSAVE", 1, ECX, 26, VENDORS_ALL, false, "guests have x87 and SSE only"},
	[FEATURE_X87_POINTERS] = {"x87 pointers restored", 0x80000008, EBX, 2, VENDORS_AMD, false,
				  "overwritten between guests"},
	[FEATURE_X2APIC] = {"x2APIC", 1, ECX, 21, VENDORS_ALL, false, "xAPIC, up to 255 CPUs"},
	[FEATURE_TSC_DEADLINE] = {"TSC deadline", 1, ECX, 24, VENDORS_ALL, false,
				  "one-shot APIC timer"},
	[FEATURE_INVARIANT_TSC] = {"invariant TSC", 0x80000007, EDX, 8, VENDORS_ALL, false,
				   "clocks drift with the CPU frequency"},
	[FEATURE_RDRAND] = {"RDRAND", 1, ECX, 30, VENDORS_ALL, false, "canary from the TSC alone"},
	[FEATURE_IBPB] = {"IBPB", 7, EDX, 26, VENDORS_INTEL, false,
			  "no predictor barrier between guests"},
	[FEATURE_IBPB_AMD] = {"IBPB", 0x80000008, EBX, 12, VENDORS_AMD, false,
			      "no predictor barrier between guests"},
	[FEATURE_AUTO_IBRS] = {"automatic IBRS", 0x80000021, EAX, 8, VENDORS_AMD, false,
			       "guests can steer predictions in Umbra"},
	[FEATURE_MD_CLEAR] = {"MD_CLEAR", 7, EDX, 10, VENDORS_INTEL, false,
			      "no clearing of buffers between guests"},
	[FEATURE_FLUSH_L1D] = {"L1D_FLUSH", 7, EDX, 28, VENDORS_INTEL, false,
			       "no flush of the L1 cache between guests"},
	[FEATURE_ARCH_CAPABILITIES] = {"ARCH_CAPABILITIES", 7, EDX, 29, VENDORS_INTEL, false,
				       "the CPU leaks what it could leak"},
	[FEATURE_SVM] = {"SVM", 0x80000001, ECX, 2, VENDORS_AMD, true, "no guests"},
	[FEATURE_SVM_NPT] = {"SVM nested paging", 0x8000000a, EDX, 0, VENDORS_AMD, true,
			     NEEDS_SHADOW_MMU},
	[FEATURE_SVM_LBR] = {"SVM LBR virtualization", 0x8000000a, EDX, 1, VENDORS_AMD, false,
			     NULL},
	[FEATURE_SVM_NRIPS] = {"SVM next RIP", 0x8000000a, EDX, 3, VENDORS_AMD, false,
			       "lengths from the decoder"},
	[FEATURE_SVM_TSC_RATIO] = {"SVM TSC ratio", 0x8000000a, EDX, 4, VENDORS_AMD, false,
				   NULL},
	[FEATURE_SVM_CLEAN_BITS] = {"SVM VMCB clean bits", 0x8000000a, EDX, 5, VENDORS_AMD, false,
				    "whole VMCB loaded at each entry"},
	[FEATURE_SVM_FLUSH_BY_ASID] = {"SVM flush by ASID", 0x8000000a, EDX, 6, VENDORS_AMD, false,
				       NULL},
	[FEATURE_SVM_DECODE_ASSISTS] = {"SVM decode assists", 0x8000000a, EDX, 7, VENDORS_AMD,
					false, "instructions fetched from guest memory"},
	[FEATURE_SVM_PAUSE_FILTER] = {"SVM pause filter", 0x8000000a, EDX, 10, VENDORS_AMD, false,
				      NULL},
	[FEATURE_SVM_AVIC] = {"SVM AVIC", 0x8000000a, EDX, 13, VENDORS_AMD, false,
			      NULL},
	[FEATURE_SVM_VGIF] = {"SVM virtual GIF", 0x8000000a, EDX, 16, VENDORS_AMD, false,
			      NULL},
	[FEATURE_VMX] = {"VMX", 1, ECX, 5, VENDORS_INTEL, true, "no guests"},
	[FEATURE_IBRS_ALL] = {"IBRS_ALL", MSR_ARCH_CAPABILITIES, MSR_BIT, 1, VENDORS_INTEL, false,
			      "guests can steer predictions in Umbra"},
	[FEATURE_VMX_EPT] = {"VMX EPT", MSR_VMX_PROCBASED_CTLS2, MSR_HIGH, 1, VENDORS_INTEL, true,
			     NEEDS_SHADOW_MMU},
	[FEATURE_VMX_EPT_1G] = {"VMX EPT 1G pages", MSR_VMX_EPT_VPID_CAP, MSR_BIT, 17,
				VENDORS_INTEL, false, "2M pages"},
	[FEATURE_VMX_EPT_AD] = {"VMX EPT A/D bits", MSR_VMX_EPT_VPID_CAP, MSR_BIT, 21,
				VENDORS_INTEL, false, "accesses tracked by present bits"},
	[FEATURE_VMX_EPT_EXEC_ONLY] = {"VMX EPT exec-only", MSR_VMX_EPT_VPID_CAP, MSR_BIT, 0,
				       VENDORS_INTEL, false, NULL},
	[FEATURE_VMX_TPR_SHADOW] = {"VMX TPR shadow", MSR_VMX_PROCBASED_CTLS, MSR_HIGH, 21,
				    VENDORS_INTEL, false, "CR8 accesses exit"},
	[FEATURE_VMX_MSR_BITMAPS] = {"VMX MSR bitmaps", MSR_VMX_PROCBASED_CTLS, MSR_HIGH, 28,
				     VENDORS_INTEL, false, "all MSR accesses exit"},
	[FEATURE_VMX_IO_BITMAPS] = {"VMX I/O bitmaps", MSR_VMX_PROCBASED_CTLS, MSR_HIGH, 25,
				    VENDORS_INTEL, false, "all port accesses exit"},
	[FEATURE_VMX_VIRTUAL_NMIS] = {"VMX virtual NMIs", MSR_VMX_PINBASED_CTLS, MSR_HIGH, 5,
				      VENDORS_INTEL, true, "no guests"},
	[FEATURE_VMX_LOAD_EFER] = {"VMX load EFER", MSR_VMX_ENTRY_CTLS, MSR_HIGH, 15,
				   VENDORS_INTEL, false, "switched by an MSR area"},
	[FEATURE_VMX_LOAD_PAT] = {"VMX load PAT", MSR_VMX_ENTRY_CTLS, MSR_HIGH, 14, VENDORS_INTEL,
				  false, "switched by an MSR area"},
	[FEATURE_VMX_RDTSCP] = {"VMX RDTSCP", MSR_VMX_PROCBASED_CTLS2, MSR_HIGH, 3, VENDORS_INTEL,
				false, "hidden from guests"},
	[FEATURE_VMX_INVPCID] = {"VMX INVPCID", MSR_VMX_PROCBASED_CTLS2, MSR_HIGH, 12,
				 VENDORS_INTEL, false, "hidden from guests"},
	[FEATURE_VMX_XSAVES] = {"VMX XSAVES", MSR_VMX_PROCBASED_CTLS2, MSR_HIGH, 20, VENDORS_INTEL,
				false, "hidden from guests"},
	[FEATURE_VMX_WBINVD] = {"VMX WBINVD exits", MSR_VMX_PROCBASED_CTLS2, MSR_HIGH, 6,
				VENDORS_INTEL, false, "guests can flush this CPU's caches"},
	[FEATURE_VMX_VPID] = {"VMX VPID", MSR_VMX_PROCBASED_CTLS2, MSR_HIGH, 5, VENDORS_INTEL,
			      false, "TLB flushed at each entry"},
	[FEATURE_VMX_UNRESTRICTED_GUEST] = {"VMX unrestricted guest", MSR_VMX_PROCBASED_CTLS2,
					    MSR_HIGH, 7, VENDORS_INTEL, false,
					    "real mode emulated"},
	[FEATURE_VMX_PREEMPTION_TIMER] = {"VMX preemption timer", MSR_VMX_PINBASED_CTLS, MSR_HIGH,
					  6, VENDORS_INTEL, false, "time slices by APIC timer"},
	[FEATURE_VMX_PML] = {"VMX page-mod. log", MSR_VMX_PROCBASED_CTLS2, MSR_HIGH, 17,
			     VENDORS_INTEL, false, "dirty log by write protection"},
	[FEATURE_VMX_APICV] = {"VMX virtual interrupts", MSR_VMX_PROCBASED_CTLS2, MSR_HIGH, 9,
			       VENDORS_INTEL, false, NULL},
	[FEATURE_VMX_POSTED_INTERRUPTS] = {"VMX posted interrupts", MSR_VMX_PINBASED_CTLS,
					   MSR_HIGH, 7, VENDORS_INTEL, false, NULL},
	[FEATURE_VMX_TSC_SCALING] = {"VMX TSC scaling", MSR_VMX_PROCBASED_CTLS2, MSR_HIGH, 25,
				     VENDORS_INTEL, false, NULL},
	/* clang-format on */
};

static bool has[NR_FEATURES] __ro_after_init;
static bool is_unusable[NR_FEATURES] __ro_after_init; /* it is there, but not as it is needed */
static enum cpu_vendor vendor __ro_after_init;

bool cpu_has(enum cpu_feature feature)
{
	return has[feature];
}

enum cpu_vendor cpu_vendor(void)
{
	return vendor;
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

static bool detect_cpuid(const struct feature_row *row)
{
	struct cpuid id;
	uint32_t word;

	/* A leaf beyond the last gives the last one's values (Intel): not an answer. */
	if (cpuid(row->source & 0x80000000).eax < row->source)
		return false;
	id = cpuid(row->source);
	word = row->reg == EAX   ? id.eax
	       : row->reg == EBX ? id.ebx
	       : row->reg == ECX ? id.ecx
				 : id.edx;
	return word & BIT(row->bit);
}

static bool detect_msr(const struct feature_row *row)
{
	unsigned bit = row->reg == MSR_HIGH ? 32u + row->bit : row->bit;
	uint64_t val;

	/* The secondary controls only exist if the primary ones may activate them. */
	if (row->source == MSR_VMX_PROCBASED_CTLS2 &&
	    !(rdmsr(MSR_VMX_PROCBASED_CTLS) & BIT_ULL(63)))
		return false;
	return !rdmsr_safe(row->source, &val) && (val & BIT_ULL(bit));
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
		return has[FEATURE_VMX_EPT];
	case FEATURE_VMX_PML:
		return has[FEATURE_VMX_EPT_AD];
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

void features_detect(void)
{
	unsigned i;

	vendor = read_vendor();
	/* VMX comes before the rows that its MSRs answer. */
	for (i = 0; i < NR_FEATURES; i++) {
		if (!(rows[i].vendors & BIT(vendor)))
			continue;
		if (rows[i].reg < MSR_HIGH)
			has[i] = detect_cpuid(&rows[i]);
		else if (has[FEATURE_VMX])
			has[i] = detect_msr(&rows[i]);
		is_unusable[i] = has[i] && !is_usable(i);
		if (is_unusable[i])
			has[i] = false;
	}
}

static void print_cpu_name(void)
{
	struct cpuid id;
	char name[49] = "x86-64";
	uint32_t i;

	if (cpuid(0x80000000).eax >= 0x80000004) {
		for (i = 0; i < 3; i++) {
			id = cpuid(0x80000002 + i);
			memcpy(name + 16 * i, &id, 16);
		}
	}
	log_info("cpu: %s, family 0x%x", name + strspn(name, " "), cpuid(1).eax);
}

static void print_row(enum cpu_feature i)
{
	const struct feature_row *row = &rows[i];

	if (!row->missing)
		log_info("cpu: %-22s %s, not used", row->name, has[i] ? "found" : "missing");
	else if (has[i])
		log_info("cpu: %-22s found", row->name);
	else
		log_info("cpu: %-22s %s%s -> %s", row->name,
			 is_unusable[i] ? "incomplete" : "missing",
			 row->is_required ? " (required)" : "", row->missing);
}

void features_print(void)
{
	print_cpu_name();
	for (unsigned i = 0; i < NR_FEATURES; i++) {
		if (rows[i].vendors & BIT(vendor))
			print_row(i);
	}
}

const char *features_obstacle(void)
{
	bool is_amd = vendor == VENDOR_AMD;
	struct obstacle_evidence e = {
		.vendor = vendor,
		.has_nx = has[FEATURE_NX],
		.has_virt = has[is_amd ? FEATURE_SVM : FEATURE_VMX],
	};

	if (e.has_virt)
		e.has_lock = !rdmsr_safe(is_amd ? MSR_VM_CR : MSR_FEATURE_CONTROL, &e.lock);
	return obstacle_of(&e);
}

/*
 * Predictions in the hypervisor do not follow what less privileged code, or a guest, has taught:
 * switched on once, for good (Intel's "Speculative Execution Side Channel Mitigations" on enhanced
 * IBRS; APM volume 2, 3.2.9).
 */
static void restrict_predictions(void)
{
	if (has[FEATURE_IBRS_ALL])
		wrmsr(MSR_SPEC_CTRL, rdmsr(MSR_SPEC_CTRL) | SPEC_CTRL_IBRS);
	if (has[FEATURE_AUTO_IBRS])
		wrmsr(MSR_EFER, rdmsr(MSR_EFER) | EFER_AIBRSE);
}

void features_protect_cpu(void)
{
	uint64_t cr4 = read_cr4() | CR4_MCE | CR4_DE;

	if (has[FEATURE_SMEP])
		cr4 |= CR4_SMEP;
	if (has[FEATURE_SMAP])
		cr4 |= CR4_SMAP;
	if (has[FEATURE_UMIP])
		cr4 |= CR4_UMIP;
	write_cr4(cr4);
	restrict_predictions();
	write_cr0((read_cr0() & ~(CR0_CD | CR0_NW | CR0_EM | CR0_TS)) | CR0_WP | CR0_NE | CR0_MP);
}

unsigned long features_random(void)
{
	unsigned long val = 0;

	if (cpuid(1).ecx & BIT(30))
		__asm__ volatile("rdrand %0" : "+r"(val)::"cc");
	/* Spread the low bits of the TSC, which are all that is hard to guess in it. */
	return val ^ rdtsc() * 0x9e3779b97f4a7c15ull;
}
