/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The two multiboot headers. GRUB reads the multiboot2 one and loads the ELF segments; QEMU's
 * -kernel knows multiboot1 only and takes no 64-bit ELF, so that header gives all addresses
 * itself (flag bit 16: multiboot 0.6.96, 3.1.2) and the ELF headers go unread.
 */
#include "arch/x86/layout.h"

#define MB1_MAGIC      0x1badb002
#define MB1_PAGE_ALIGN (1 << 0)
#define MB1_MEM_INFO   (1 << 1)
#define MB1_ADDRESSES  (1 << 16)
#define MB1_FLAGS      (MB1_PAGE_ALIGN | MB1_MEM_INFO | MB1_ADDRESSES)

#define MB2_MAGIC	     0xe85250d6
#define MB2_ARCH_I386	     0
#define MB2_TAG_END	     0
#define MB2_TAG_CONSOLE	     4
#define MB2_TAG_MODULE_ALIGN 6
#define MB2_OPTIONAL	     1
#define MB2_CONSOLE_EGA	     2 /* we can drive EGA text */

	.section .boot.header, "a"

	.balign 4
mb1_header:
	.long	MB1_MAGIC
	.long	MB1_FLAGS
	.long	-(MB1_MAGIC + MB1_FLAGS)
	.long	mb1_header - IMAGE_VBASE
	.long	image_start - IMAGE_VBASE	/* load address */
	.long	data_end - IMAGE_VBASE		/* end of what the file holds */
	.long	bss_end - IMAGE_VBASE
	.long	boot_start - IMAGE_VBASE

	.balign 8
mb2_header:
	.long	MB2_MAGIC
	.long	MB2_ARCH_I386
	.long	mb2_end - mb2_header
	.long	-(MB2_MAGIC + MB2_ARCH_I386 + (mb2_end - mb2_header)) & 0xffffffff

	.balign 8
	.word	MB2_TAG_MODULE_ALIGN, 0
	.long	8

	.balign 8
	/*
	 * No framebuffer tag: it would switch a BIOS machine to graphics. A UEFI machine has no
	 * text mode, and hands over its framebuffer without being asked.
	 */
	.word	MB2_TAG_CONSOLE, MB2_OPTIONAL
	.long	12
	.long	MB2_CONSOLE_EGA

	.balign 8
	.word	MB2_TAG_END, 0
	.long	8
mb2_end:
	.global boot_header_end
boot_header_end:

	.section .note.GNU-stack, "", @progbits
