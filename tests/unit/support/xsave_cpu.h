/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * XSAVE on a CPU that is a few variables, for test_xstate.c: in the place of arch/x86/cpu.h and
 * arch/x86/xstate_insn.h.
 */
#ifndef TESTS_UNIT_SUPPORT_XSAVE_CPU_H
#define TESTS_UNIT_SUPPORT_XSAVE_CPU_H

#define ARCH_X86_CPU_H
#define ARCH_X86_XSTATE_INSN_H

#include <stdbool.h>
#include <stdint.h>

struct cpuid {
	uint32_t eax, ebx, ecx, edx;
};

enum xstate_save { XSTATE_XSAVE, XSTATE_XSAVEOPT, XSTATE_XSAVEC, XSTATE_XSAVES };

struct cpuid cpuid_count(uint32_t leaf, uint32_t subleaf);
uint64_t xgetbv(uint32_t xcr);
void xsetbv(uint32_t xcr, uint64_t val);
bool xstate_save(enum xstate_save how, void *area, uint64_t mask);
bool xstate_load(enum xstate_save how, void *area, uint64_t mask);

#endif
