/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * From the boot loader's 32-bit protected mode, paging off (multiboot 0.6.96, 3.2; multiboot2,
 * 3.3), to C in long mode at the linked address.
 *
 * The page tables filled here (arch/x86/boot_tables.S) map the first 4 GiB three times, in 2 MiB
 * pages: at its own address for this code, in the direct map, and its first GiB at the image's
 * linked address. They live until arch/x86/paging.c has better ones, and again for a moment on each
 * CPU that is started.
 */
#include "arch/x86/long_mode.h"

#define PTES 512

	.section .boot.text, "ax"
	.code32
	.global	boot_start
boot_start:
	cli
	cld
	movl	$(HPA_OF(boot_stacks) + STACK_TOP), %esp
	movl	%eax, %edi		/* the loader's magic: first argument of boot_main() */
	movl	%ebx, %esi		/* its information, physical: second argument */
	rdtsc
	movl	%eax, %ebp		/* together the third; no CPUID and page tables need these */
	movl	%edx, HPA_OF(entry_tsc_high)

	/* Without CPUID (486) or long mode there is nothing to do here. */
	pushfl
	popl	%eax
	movl	%eax, %ecx
	xorl	$RFLAGS_ID, %eax
	pushl	%eax
	popfl
	pushfl
	popl	%eax
	cmpl	%eax, %ecx
	je	no_long_mode
	movl	$0x80000000, %eax
	cpuid
	cmpl	$0x80000001, %eax
	jb	no_long_mode
	movl	$0x80000001, %eax
	cpuid
	testl	$(1 << 29), %edx	/* LM */
	jz	no_long_mode

	/* Four page directories: 2048 large pages from 0 up. */
	movl	$HPA_OF(boot_pd), %ebx
	movl	$(PTE_P | PTE_RW | PTE_PS), %eax
	movl	$(4 * PTES), %ecx
1:	movl	%eax, (%ebx)
	addl	$0x200000, %eax
	addl	$8, %ebx
	decl	%ecx
	jnz	1b

	movl	$HPA_OF(boot_pdpt), %ebx
	movl	$(HPA_OF(boot_pd) + PTE_P + PTE_RW), %eax
	movl	$4, %ecx
2:	movl	%eax, (%ebx)
	addl	$4096, %eax
	addl	$8, %ebx
	decl	%ecx
	jnz	2b

	movl	$(HPA_OF(boot_pd) + PTE_P + PTE_RW), HPA_OF(boot_pdpt_image) + 510 * 8
	movl	$(HPA_OF(boot_pdpt) + PTE_P + PTE_RW), HPA_OF(boot_pml4)
	movl	$(HPA_OF(boot_pdpt) + PTE_P + PTE_RW), HPA_OF(boot_pml4) + 256 * 8
	movl	$(HPA_OF(boot_pdpt_image) + PTE_P + PTE_RW), HPA_OF(boot_pml4) + 511 * 8

	enter_long_mode boot_long_mode

/* Say so on COM1 and on the text screen, and stop. */
no_long_mode:
	movl	$HPA_OF(no_long_mode_text), %esi
	movl	$0xb8000, %edi
3:	lodsb
	testb	%al, %al
	jz	4f
	movb	$0x0f, %ah
	stosw
	movw	$0x3f8, %dx
	outb	%al, %dx
	jmp	3b
4:	hlt
	jmp	4b

	.code64
boot_long_mode:
	movabsq	$boot_high, %rax
	jmpq	*%rax

	.text
boot_high:
	load_data_segments
	movq	$(boot_stacks + STACK_TOP), %rsp
	movl	%edi, %edi
	movl	%esi, %esi
	movl	entry_tsc_high, %edx
	shlq	$32, %rdx
	movl	%ebp, %ebp
	orq	%rbp, %rdx		/* TSC at the entry: third argument */
	xorl	%ebp, %ebp		/* ends a backtrace */
	pushq	%rbp			/* the return address of a function that does not return */
	jmp	boot_main

	.section .rodata
no_long_mode_text:
	.asciz	"Umbra needs a 64-bit CPU (x86-64 long mode): this one has none.\r\n"

	.bss
entry_tsc_high:
	.skip	4

	.section .note.GNU-stack, "", @progbits
