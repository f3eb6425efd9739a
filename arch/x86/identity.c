/* SPDX-License-Identifier: BSD-2-Clause */
/* The identity map of guests without paging (VIRT_IDENTITY_GPA). SDM volume 3, 4.3. */
#include "arch/x86/regs.h"
#include "arch/x86/virt.h"

/* Accessed and dirty, so that the CPU never writes to it. */
void virt_fill_identity_map(uint32_t table[1024])
{
	for (uint32_t i = 0; i < 1024; i++)
		table[i] = i << 22 | PTE_P | PTE_RW | PTE_US | PTE_A | PTE_D | PTE_PS;
}
