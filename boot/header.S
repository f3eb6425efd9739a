/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The two multiboot headers. GRUB reads the multiboot2 one and loads the ELF segments; QEMU's
 * -kernel knows multiboot1 only and takes no 64-bit ELF, so that header gives all addresses
 * itself (flag bit 16: multiboot 0.6.96, 3.1.2) and the ELF headers go unread.
 *
 * A multiboot2 loader may load the image elsewhere: on UEFI machines the firmware may use the memory
 * that it is linked to. At the lowest free place from there up, so that on most machines it lies
 * where it is linked; at a multiple of 2 MiB, because the boot page tables map it in pages of that
 * size; and below 4 GiB, where 32-bit code and the boot page tables end. The tag is optional: a
 * loader that does not know it loads the image where it is linked.
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
#define MB2_TAG_RELOCATABLE  10
#define MB2_OPTIONAL	     1
#define MB2_CONSOLE_EGA	     2 /* we can drive EGA text */
#define MB2_PREFER_LOWEST    1
#define MAX_ADDRESS	     0xffffffff

	.section .boot.header, "a"

	.balign 4
mb1_header:
	.long	MB1_MAGIC
	.long	MB1_FLAGS
	.long	-(MB1_MAGIC + MB1_FLAGS)
	.long	LINKED_HPA(mb1_header)
	.long	LINKED_HPA(image_start)	/* load address */
	.long	LINKED_HPA(data_end)		/* end of what the file holds */
	.long	LINKED_HPA(bss_end)
	.long	LINKED_HPA(boot_start)

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
	.word	MB2_TAG_RELOCATABLE, MB2_OPTIONAL
	.long	24
	.long	LINKED_HPA(image_start)		/* lowest address of the image */
	.long	MAX_ADDRESS			/* highest address of the image */
	.long	IMAGE_ALIGN
	.long	MB2_PREFER_LOWEST

	.balign 8
	.word	MB2_TAG_END, 0
	.long	8
mb2_end:
	.global boot_header_end
boot_header_end:

	.section .note.GNU-stack, "", @progbits
