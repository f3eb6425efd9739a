/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Faults of certain models of CPU that matter to a hypervisor, and what it does about each. A
 * model's number decides, so what is here comes from the vendors' lists: Intel's specification
 * updates, AMD's revision guides. docs/hardware.md has the table for users.
 */
#ifndef ARCH_X86_ERRATA_H
#define ARCH_X86_ERRATA_H

#include <stdbool.h>
#include <stdint.h>

enum cpu_vendor { VENDOR_INTEL, VENDOR_AMD, VENDOR_OTHER };

enum cpu_erratum {
	/*
	 * An instruction fetch that finds two sizes of a page in the instruction TLB is a machine
	 * check, which a guest can bring about with its own page tables ("Machine Check Error
	 * Avoidance on Page Size Change", iTLB multihit). Only 4K pages of a guest are executable.
	 */
	ERRATUM_LARGE_FETCH,
	/*
	 * The TSC-deadline timer fires at a wrong time after TSC_ADJUST was written, as firmware
	 * does; later microcode has it right. The one-shot timer is used.
	 */
	ERRATUM_TSC_DEADLINE,
	/* "VMX-Preemption Timer Does Not Count Down at the Rate Specified". It is not used. */
	ERRATUM_PREEMPTION_TIMER,
	/*
	 * The APIC's timer stops while all cores of a CPU are halted, if the firmware has enabled
	 * C1E on halt (AMD family 10h, erratum 400). C1E is switched off.
	 */
	ERRATUM_C1E,
	/*
	 * Two sizes of a page in the TLB are a machine check (AMD family 10h, erratum 383), which a
	 * guest can bring about. The bit is set that makes the check come while the guest runs.
	 */
	ERRATUM_TLB_MULTIMATCH,
	NR_CPU_ERRATA,
};

/* A model of CPU, as CPUID tells, and what its microcode says. */
struct cpu_model {
	enum cpu_vendor vendor;
	uint32_t signature;    /* leaf 1, EAX */
	bool is_virtual;       /* there is a hypervisor below, which answers for timers */
	uint32_t microcode;    /* Intel: its revision */
	uint64_t capabilities; /* ARCH_CAPABILITIES; 0: it has none */
};

/* Does this model have it? When in doubt about ERRATUM_LARGE_FETCH, yes. */
bool erratum_applies(enum cpu_erratum erratum, const struct cpu_model *m);

/* The displayed family and model: SDM volume 2, CPUID; APM volume 3, appendix E. */
unsigned cpu_model_family(const struct cpu_model *m);
unsigned cpu_model_number(const struct cpu_model *m);

#endif
