/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What boot/entry.S leaves behind: where the image lies, and the page tables that every CPU enters
 * long mode on (long_mode.h). It fills them once; a CPU leaves them for those of paging.c. They lie
 * in the image, so that a CPU's 32-bit code can load their address.
 */
	.section .data..ro_after_init, "aw"
	.balign	8
	.global	image_load_offset
image_load_offset:
	.quad	0

	.section .bss.page_aligned, "aw", @nobits
	.balign 4096
	.global	boot_pml4, boot_pdpt, boot_pdpt_image, boot_pd, boot_pd_image
boot_pml4:
	.skip	4096
boot_pdpt:
	.skip	4096
boot_pdpt_image:
	.skip	4096
boot_pd:
	.skip	4 * 4096
boot_pd_image:
	.skip	4096

	.section .note.GNU-stack, "", @progbits
