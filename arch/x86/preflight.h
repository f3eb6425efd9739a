/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Before anything else: what does this CPU have of what Umbra uses, and can guests run on it, as
 * its identification and the firmware have it?
 */
#ifndef ARCH_X86_PREFLIGHT_H
#define ARCH_X86_PREFLIGHT_H

#include <stdbool.h>
#include <stdint.h>

#include "arch/x86/cpu_features.h"

/* Print the table of features and the CPU's name; after cpu_features_detect(). */
void preflight_print(void);

/* NULL, or why no guest can run on this machine: one sentence. On the boot CPU. */
const char *preflight_verdict(void);

/* What the verdict goes by. */
struct preflight_evidence {
	enum cpu_vendor vendor;
	bool has_nx;
	bool has_virt; /* SVM or VMX, by CPUID */
	/*
	 * With has_virt, the MSR in which the firmware may have locked it off: VM_CR (APM volume 2,
	 * 15.30.1) or IA32_FEATURE_CONTROL (SDM volume 3, 23.7). An emulated CPU may have left the
	 * MSR out; then nothing is locked.
	 */
	bool has_lock;
	uint64_t lock;
};

/* The verdict alone, without looking at a CPU. */
const char *preflight_judge(const struct preflight_evidence *e);

#endif
