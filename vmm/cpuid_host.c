/* SPDX-License-Identifier: BSD-2-Clause */
/* The one place where the guests' CPUID meets the machine's: hosted tests have a machine of their
 * own. */
#include "arch/x86/cpu.h"
#include "vmm/cpuid_table.h"

struct cpuid_entry cpuid_of_host(uint32_t leaf, uint32_t subleaf)
{
	struct cpuid r = cpuid_count(leaf, subleaf);

	return (struct cpuid_entry){r.eax, r.ebx, r.ecx, r.edx};
}
