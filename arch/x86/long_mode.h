/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The way into long mode, for the two entries that need it: the boot loader's (boot/entry.S) and
 * that of the other CPUs (arch/x86/trampoline.S).
 */
#ifndef ARCH_X86_LONG_MODE_H
#define ARCH_X86_LONG_MODE_H

#include "arch/x86/desc.h"
#include "arch/x86/layout.h"
#include "arch/x86/regs.h"

/* clang-format off */

#ifdef __ASSEMBLY__

/* Descriptors for SEL_CODE, 64-bit, and SEL_DATA, until desc.c has its own. */
#define BOOT_GDT_CODE 0x00af9b000000ffff
#define BOOT_GDT_DATA 0x00cf93000000ffff

/*
 * From 32-bit code, paging off, to long mode on the page tables at EAX; the code segment is still a
 * 32-bit one. Uses EAX, ECX, EDX.
 */
	.macro	enter_long_mode
	movl	%eax, %cr3
	movl	$CR4_PAE, %eax
	movl	%eax, %cr4
	movl	$MSR_EFER, %ecx
	rdmsr
	orl	$EFER_LME, %eax
	wrmsr
	movl	$(CR0_PG | CR0_WP | CR0_NE | CR0_ET | CR0_MP | CR0_PE), %eax
	movl	%eax, %cr0
	.endm

/* In 64-bit code: the data segments of the GDT; FS and GS null. Uses EAX. */
	.macro	load_data_segments
	movl	$SEL_DATA, %eax
	movl	%eax, %ds
	movl	%eax, %es
	movl	%eax, %ss
	xorl	%eax, %eax
	movl	%eax, %fs
	movl	%eax, %gs
	.endm

#endif
#endif
