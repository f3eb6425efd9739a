/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Where a CPU starts after its start-up IPI: real mode, CS = page << 8, IP = 0. The code is copied
 * to that page below 1 MiB, with what smp.c wants it to know, and knows its address from CS only.
 * It goes to long mode on the boot page tables, which still map everything at its own address, and
 * in the image changes to the real ones at once: what is allocated may lie above 4 GiB, where the
 * boot page tables end, so until then only this page and the image are touched. Then it finds its
 * struct cpu by its APIC id, and with that its stack.
 *
 * CPUs come here at the same time: what they write into the page is the same for all.
 */
#include "arch/x86/long_mode.h"
#include "arch/x86/percpu.h"
#include "arch/x86/trampoline.h"

#define IN_PAGE(sym) (sym - trampoline_start)
#define SEL_CODE_32  (3 * 8)

	.data
	.balign	16
	.code16
	.global	trampoline_start, trampoline_end, trampoline_args
trampoline_start:
	cli
	cld
	movw	%cs, %ax
	movw	%ax, %ds
	movzwl	%ax, %ebx
	shll	$4, %ebx			/* physical address of this page */
	leal	IN_PAGE(trampoline_32)(%ebx), %eax
	movl	%eax, IN_PAGE(trampoline_target_32)
	leal	IN_PAGE(trampoline_64)(%ebx), %eax
	movl	%eax, IN_PAGE(trampoline_target_64)
	leal	IN_PAGE(trampoline_gdt)(%ebx), %eax
	movl	%eax, IN_PAGE(trampoline_gdt_ptr) + 2
	lgdtl	IN_PAGE(trampoline_gdt_ptr)
	movl	$(CR0_PE | CR0_ET), %eax
	movl	%eax, %cr0
	ljmpl	*IN_PAGE(trampoline_target_32)

	.code32
trampoline_32:
	movw	$SEL_DATA, %ax
	movw	%ax, %ds
	movw	%ax, %es
	movw	%ax, %ss
	movl	IN_PAGE(trampoline_args) + TRAMPOLINE_BOOT_CR3(%ebx), %eax
	enter_long_mode
	ljmpl	*IN_PAGE(trampoline_target_64)(%ebx)

	.code64
trampoline_64:
	movabsq	$ap_high, %rax
	jmpq	*%rax

	.balign	8
trampoline_gdt:
	.quad	0
	.quad	BOOT_GDT_CODE
	.quad	BOOT_GDT_DATA
	.quad	0x00cf9b000000ffff	/* SEL_CODE_32 */
trampoline_gdt_ptr:
	.word	. - trampoline_gdt - 1
	.long	0
trampoline_target_32:
	.long	0
	.word	SEL_CODE_32
trampoline_target_64:
	.long	0
	.word	SEL_CODE
	.balign	8
trampoline_args:
	.skip	TRAMPOLINE_ARGS_SIZE
trampoline_end:

	.text
ap_high:
	load_data_segments
	movl	$MSR_EFER, %ecx
	rdmsr
	orl	$EFER_NXE, %eax
	wrmsr
	movq	trampoline_args + TRAMPOLINE_CR3, %rax
	movq	%rax, %cr3

	/* The APIC id: 32 bits from leaf 0xb if it is there, else 8 from leaf 1. */
	xorl	%eax, %eax
	cpuid
	cmpl	$0xb, %eax
	jb	1f
	movl	$0xb, %eax
	xorl	%ecx, %ecx
	cpuid
	testl	%ebx, %ebx
	jnz	2f
1:	movl	$1, %eax
	cpuid
	movl	%ebx, %edx
	shrl	$24, %edx

	/* Its struct cpu is the one in the list with that id. */
2:	xorl	%ecx, %ecx
	movq	trampoline_args + TRAMPOLINE_CPUS, %rsi
3:	cmpl	trampoline_args + TRAMPOLINE_NR_CPUS, %ecx
	jae	5f
	movq	(%rsi, %rcx, 8), %rdi
	cmpl	%edx, CPU_APIC_ID(%rdi)
	je	4f
	incl	%ecx
	jmp	3b

4:	movq	CPU_STACK_TOP(%rdi), %rsp
	xorl	%ebp, %ebp
	pushq	%rbp
	jmpq	*trampoline_args + TRAMPOLINE_START

	/* A CPU that nobody asked for. */
5:	cli
	hlt
	jmp	5b

	.section .note.GNU-stack, "", @progbits
