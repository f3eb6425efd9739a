/* SPDX-License-Identifier: BSD-2-Clause */
/* Which vendor's back end serves this machine. */
#include "arch/x86/virt.h"

#include "arch/x86/features.h"
#include "arch/x86/regs.h"

struct virt_caps virt_caps __ro_after_init;
bool virt_is_vmx __ro_after_init;

int virt_probe(void)
{
	virt_is_vmx = cpu_vendor() == VENDOR_INTEL;
	return virt_cpu_probe();
}

/* Accessed and dirty, so that the CPU never writes to it. */
void virt_fill_identity_map(uint32_t table[1024])
{
	for (uint32_t i = 0; i < 1024; i++)
		table[i] = i << 22 | PTE_P | PTE_RW | PTE_US | PTE_A | PTE_D | PTE_PS;
}
