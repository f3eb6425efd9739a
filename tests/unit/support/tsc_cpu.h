/* SPDX-License-Identifier: BSD-2-Clause */
/* The instructions that arch/x86/tsc.c uses, for test_tsc.c: in the place of arch/x86/cpu.h. */
#ifndef TESTS_UNIT_SUPPORT_TSC_CPU_H
#define TESTS_UNIT_SUPPORT_TSC_CPU_H

#define ARCH_X86_CPU_H

#include <stdint.h>

#include "lib/spinlock.h" /* cpu_relax() */

struct cpuid {
	uint32_t eax, ebx, ecx, edx;
};

struct cpuid cpuid(uint32_t leaf);
uint64_t rdtsc(void);
uint64_t rdtsc_ordered(void);

#endif
