/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The preflight table: for each feature that the CPU's vendor has, whether this CPU has it, and
 * what follows if it has not, or has it in a form that is of no use. And the verdict.
 */
#include "arch/x86/preflight.h"

#include <stddef.h>
#include <string.h>

#include "arch/x86/cpu.h"
#include "arch/x86/msr_safe.h"
#include "lib/log.h"

struct preflight_row {
	const char *name;
	bool is_required;    /* without it no guest runs on this CPU */
	const char *missing; /* what follows without it; NULL: nothing uses it */
};

/* clang-format off */
static const struct preflight_row rows[NR_FEATURES] = {
	[FEATURE_NX] = {"NX", true, "no memory can be kept from execution"},
	[FEATURE_1G_PAGES] = {"1G pages", false, "2M pages"},
	[FEATURE_SMEP] = {"SMEP", false, "done without"},
	[FEATURE_SMAP] = {"SMAP", false, "done without"},
	[FEATURE_UMIP] = {"UMIP", false, "done without"},
	[FEATURE_XSAVE] = {"XSAVE", false, "guests have x87 and SSE only"},
	[FEATURE_X87_POINTERS] = {"x87 pointers restored", false, "overwritten between guests"},
	[FEATURE_X2APIC] = {"x2APIC", false, "xAPIC, up to 255 CPUs"},
	[FEATURE_TSC_DEADLINE] = {"TSC deadline", false, "one-shot APIC timer"},
	[FEATURE_INVARIANT_TSC] = {"invariant TSC", false, "clocks drift with the CPU frequency"},
	[FEATURE_RDRAND] = {"RDRAND", false, "canary from the TSC alone"},
	[FEATURE_IBPB] = {"IBPB", false, "no predictor barrier between guests"},
	[FEATURE_IBPB_AMD] = {"IBPB", false, "no predictor barrier between guests"},
	[FEATURE_AUTO_IBRS] = {"automatic IBRS", false, "guests can steer predictions in Umbra"},
	[FEATURE_MD_CLEAR] = {"MD_CLEAR", false, "no clearing of buffers between guests"},
	[FEATURE_VERW_CLEAR] = {"VERW_CLEAR", false, "no clearing of buffers between guests"},
	[FEATURE_FLUSH_L1D] = {"L1D_FLUSH", false, "no flush of the L1 cache between guests"},
	[FEATURE_ARCH_CAPABILITIES] = {"ARCH_CAPABILITIES", false, "the CPU leaks what it could leak"},
	[FEATURE_SVM] = {"SVM", true, "no guests"},
	[FEATURE_SVM_NPT] = {"SVM nested paging", false, "guests run on shadow tables"},
	[FEATURE_SVM_LBR] = {"SVM LBR virtualization", false, "guests step over instructions, not branches"},
	[FEATURE_SVM_NRIPS] = {"SVM next RIP", false, "lengths from the decoder"},
	[FEATURE_SVM_TSC_RATIO] = {"SVM TSC ratio", false, NULL},
	[FEATURE_SVM_CLEAN_BITS] = {"SVM VMCB clean bits", false, "whole VMCB loaded at each entry"},
	[FEATURE_SVM_FLUSH_BY_ASID] = {"SVM flush by ASID", false, NULL},
	[FEATURE_SVM_DECODE_ASSISTS] = {"SVM decode assists", false, "instructions fetched from guest memory"},
	[FEATURE_SVM_PAUSE_FILTER] = {"SVM pause filter", false, NULL},
	[FEATURE_SVM_AVIC] = {"SVM AVIC", false, NULL},
	[FEATURE_SVM_VGIF] = {"SVM virtual GIF", false, NULL},
	[FEATURE_VMX] = {"VMX", true, "no guests"},
	[FEATURE_IBRS_ALL] = {"IBRS_ALL", false, "guests can steer predictions in Umbra"},
	[FEATURE_VMX_EPT] = {"VMX EPT", false, "guests run on shadow tables"},
	[FEATURE_VMX_EPT_1G] = {"VMX EPT 1G pages", false, "2M pages"},
	[FEATURE_VMX_EPT_AD] = {"VMX EPT A/D bits", false, "accesses tracked by present bits"},
	[FEATURE_VMX_EPT_EXEC_ONLY] = {"VMX EPT exec-only", false, NULL},
	[FEATURE_VMX_TPR_SHADOW] = {"VMX TPR shadow", false, "CR8 accesses exit"},
	[FEATURE_VMX_MSR_BITMAPS] = {"VMX MSR bitmaps", false, "all MSR accesses exit"},
	[FEATURE_VMX_IO_BITMAPS] = {"VMX I/O bitmaps", false, "all port accesses exit"},
	[FEATURE_VMX_VIRTUAL_NMIS] = {"VMX virtual NMIs", true, "no guests"},
	[FEATURE_VMX_LOAD_EFER] = {"VMX load EFER", false, "switched by an MSR area"},
	[FEATURE_VMX_LOAD_PAT] = {"VMX load PAT", false, "switched by an MSR area"},
	[FEATURE_VMX_RDTSCP] = {"VMX RDTSCP", false, "hidden from guests"},
	[FEATURE_VMX_INVPCID] = {"VMX INVPCID", false, "hidden from guests"},
	[FEATURE_VMX_XSAVES] = {"VMX XSAVES", false, "hidden from guests"},
	[FEATURE_VMX_WBINVD] = {"VMX WBINVD exits", false, "guests can flush this CPU's caches"},
	[FEATURE_VMX_VPID] = {"VMX VPID", false, "TLB flushed at each entry"},
	[FEATURE_VMX_UNRESTRICTED_GUEST] = {"VMX unrestricted guest", false, "real mode emulated"},
	[FEATURE_VMX_PREEMPTION_TIMER] = {"VMX preemption timer", false, "time slices by APIC timer"},
	[FEATURE_VMX_PML] = {"VMX page-mod. log", false, "dirty log by write protection"},
	[FEATURE_VMX_APICV] = {"VMX virtual interrupts", false, NULL},
	[FEATURE_VMX_POSTED_INTERRUPTS] = {"VMX posted interrupts", false, NULL},
	[FEATURE_VMX_TSC_SCALING] = {"VMX TSC scaling", false, NULL},
};
/* clang-format on */

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

static void print_row(const struct preflight_row *row, enum feature_state state)
{
	if (!row->missing)
		log_info("cpu: %-22s %s, not used", row->name,
			 state == FEATURE_FOUND ? "found" : "missing");
	else if (state == FEATURE_FOUND)
		log_info("cpu: %-22s found", row->name);
	else if (state == FEATURE_BROKEN)
		log_info("cpu: %-22s found, not used (erratum) -> %s", row->name, row->missing);
	else
		log_info("cpu: %-22s %s%s -> %s", row->name,
			 state == FEATURE_INCOMPLETE ? "incomplete" : "missing",
			 row->is_required ? " (required)" : "", row->missing);
}

/* Those that are no feature's. */
static void print_errata(void)
{
	static const struct {
		enum cpu_erratum erratum;
		const char *name, *consequence;
	} lines[] = {
		{ERRATUM_LARGE_FETCH, "iTLB multihit", "guests execute 4K pages only"},
		{ERRATUM_C1E, "C1E", "switched off"},
		{ERRATUM_TLB_MULTIMATCH, "TLB multimatch", "kept inside the guest"},
	};

	for (unsigned i = 0; i < ARRAY_SIZE(lines); i++) {
		if (cpu_has_erratum(lines[i].erratum))
			log_info("cpu: %-22s erratum -> %s", lines[i].name, lines[i].consequence);
	}
}

void preflight_print(void)
{
	enum feature_state state;

	print_cpu_name();
	for (unsigned i = 0; i < NR_FEATURES; i++) {
		state = cpu_feature_state(i);
		if (state != FEATURE_FOREIGN)
			print_row(&rows[i], state);
	}
	print_errata();
}

static const char *judge_svm(const struct preflight_evidence *e)
{
	if (!e->has_virt)
		return "this CPU has no SVM (AMD-V): it cannot run guests";
	if (e->has_lock && (e->lock & VM_CR_SVMDIS))
		return "SVM (AMD-V) is switched off in the firmware: enable it in the BIOS/UEFI "
		       "set-up";
	return NULL;
}

/* Where the lock is open, the back end closes it, with VMX on. */
static const char *judge_vmx(const struct preflight_evidence *e)
{
	if (!e->has_virt)
		return "this CPU has no VMX (VT-x): it cannot run guests";
	if (e->has_lock && (e->lock & FEATURE_CONTROL_LOCK) && !(e->lock & FEATURE_CONTROL_VMX))
		return "VMX (VT-x) is locked off in the firmware: enable it in the BIOS/UEFI "
		       "set-up";
	return NULL;
}

const char *preflight_judge(const struct preflight_evidence *e)
{
	if (!e->has_nx)
		return "the NX feature is missing or switched off in the firmware: Umbra needs it";
	switch (e->vendor) {
	case VENDOR_AMD:
		return judge_svm(e);
	case VENDOR_INTEL:
		return judge_vmx(e);
	default:
		return "this CPU is neither AMD's nor Intel's: no known virtualization";
	}
}

const char *preflight_verdict(void)
{
	bool is_amd = cpu_vendor() == VENDOR_AMD;
	struct preflight_evidence e = {
		.vendor = cpu_vendor(),
		.has_nx = cpu_has(FEATURE_NX),
		.has_virt = cpu_has(is_amd ? FEATURE_SVM : FEATURE_VMX),
	};

	if (e.has_virt)
		e.has_lock = !rdmsr_safe(is_amd ? MSR_VM_CR : MSR_FEATURE_CONTROL, &e.lock);
	return preflight_judge(&e);
}
