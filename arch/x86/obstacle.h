/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Can guests run on this CPU, as its identification and the firmware have it? The decision alone,
 * without looking at a CPU. Hosted too.
 */
#ifndef ARCH_X86_OBSTACLE_H
#define ARCH_X86_OBSTACLE_H

#include <stdbool.h>
#include <stdint.h>

#include "arch/x86/features.h"

struct obstacle_evidence {
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

/* Why no guest can run: a sentence; or NULL. */
const char *obstacle_of(const struct obstacle_evidence *e);

#endif
