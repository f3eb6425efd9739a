/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a CPU needs to enter long mode (long_mode.h), the boot CPU and each of the others: a GDT,
 * and room for page tables. boot/entry.S fills these once; a CPU leaves them for its own GDT and
 * the page tables of paging.c.
 */
#include "arch/x86/long_mode.h"

	.section .rodata
	.balign 8
boot_gdt:
	.quad	0
	.quad	0x00af9b000000ffff	/* SEL_CODE: 64-bit */
	.quad	0x00cf93000000ffff	/* SEL_DATA */
boot_gdt_end:
	.global	boot_gdt_ptr
boot_gdt_ptr:
	.word	boot_gdt_end - boot_gdt - 1
	.quad	HPA_OF(boot_gdt)

	.section .bss.page_aligned, "aw", @nobits
	.balign 4096
	.global	boot_pml4, boot_pdpt, boot_pdpt_image, boot_pd
boot_pml4:
	.skip	4096
boot_pdpt:
	.skip	4096
boot_pdpt_image:
	.skip	4096
boot_pd:
	.skip	4 * 4096

	.section .note.GNU-stack, "", @progbits
