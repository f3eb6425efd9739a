/* SPDX-License-Identifier: BSD-2-Clause */
/* A CPU with banks of errors, in the place of the instructions that arch/x86/mce.c uses. */
#ifndef TESTS_UNIT_SUPPORT_MCE_CPU_H
#define TESTS_UNIT_SUPPORT_MCE_CPU_H

#define ARCH_X86_CPU_H
#define ARCH_X86_PERCPU_H

#include <stdint.h>

#define CPU_MAX 4

struct cpu {
	uint32_t apic_id;
	uint64_t stack_top;
};

struct cpuid {
	uint32_t eax, ebx, ecx, edx;
};

struct cpuid cpuid(uint32_t leaf);
uint64_t read_cr4(void);
void write_cr4(uint64_t val);
struct cpu *this_cpu(void);
unsigned cpu_id(void);
unsigned cpu_count(void);

#endif
