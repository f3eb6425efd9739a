/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The one place where the guests' CPUID meets the machine's: hosted tests have a machine of their
 * own. What of XSAVE has failed its test (arch/x86/xstate.h) is not there.
 */
#include "arch/x86/cpu.h"
#include "arch/x86/regs.h"
#include "arch/x86/xstate.h"
#include "vmm/cpuid_table.h"

struct cpuid_entry cpuid_of_host(uint32_t leaf, uint32_t subleaf)
{
	struct cpuid r = cpuid_count(leaf, subleaf);

	if (leaf == 1 && !xstate_components())
		r.ecx &= ~CPUID_MASK(CPUID_XSAVE);
	if (leaf == 0xd && subleaf == 0)
		r.eax &= (uint32_t)xstate_components();
	if (leaf == 0xd && subleaf == 1)
		r.eax &= xstate_instructions();
	return (struct cpuid_entry){r.eax, r.ebx, r.ecx, r.edx};
}

uint64_t arch_capabilities_of_host(void)
{
	return rdmsr(MSR_ARCH_CAPABILITIES);
}
