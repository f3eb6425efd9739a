/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Where a CPU starts after its start-up IPI: real mode, CS = page << 8, IP = 0. The code is copied
 * to that page below 1 MiB and knows its address from CS only. It goes to long mode on the boot
 * page tables, which still map everything at its own address, finds its struct cpu by its APIC
 * id, and with that its stack.
 */
#include "arch/x86/long_mode.h"
#include "arch/x86/percpu.h"
#include "arch/x86/trampoline.h"

	.section .rodata
	.balign	16
	.code16
	.global	trampoline_start, trampoline_end
trampoline_start:
	cli
	cld
	movw	%cs, %ax
	movw	%ax, %ds
	movzwl	%ax, %ebx
	shll	$4, %ebx			/* physical address of this page */
	leal	(trampoline_32 - trampoline_start)(%ebx), %eax
	movl	%eax, trampoline_target - trampoline_start
	leal	(trampoline_gdt - trampoline_start)(%ebx), %eax
	movl	%eax, trampoline_gdt_ptr + 2 - trampoline_start
	lgdtl	trampoline_gdt_ptr - trampoline_start
	movl	$(CR0_PE | CR0_ET), %eax
	movl	%eax, %cr0
	ljmpl	*(trampoline_target - trampoline_start)

	.code32
trampoline_32:
	movw	$SEL_DATA, %ax
	movw	%ax, %ds
	movw	%ax, %es
	movw	%ax, %ss
	enter_long_mode ap_long_mode

	.balign	8
trampoline_gdt:
	.quad	0
	.quad	0x00cf9b000000ffff	/* SEL_CODE: 32-bit here */
	.quad	0x00cf93000000ffff	/* SEL_DATA */
trampoline_gdt_ptr:
	.word	. - trampoline_gdt - 1
	.long	0
trampoline_target:
	.long	0
	.word	SEL_CODE
trampoline_end:

	.section .boot.text, "ax"
	.code64
ap_long_mode:
	movabsq	$ap_high, %rax
	jmpq	*%rax

	.text
ap_high:
	load_data_segments

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

	/* The stack is not in the boot page tables: change to the real ones first. */
4:	movl	$MSR_EFER, %ecx
	rdmsr
	orl	$EFER_NXE, %eax
	wrmsr
	movq	trampoline_args + TRAMPOLINE_CR3, %rax
	movq	%rax, %cr3
	movq	CPU_STACK_TOP(%rdi), %rsp
	xorl	%ebp, %ebp
	pushq	%rbp
	jmpq	*trampoline_args + TRAMPOLINE_START

	/* A CPU that nobody asked for. */
5:	cli
	hlt
	jmp	5b

	.bss
	.balign	8
	.global	trampoline_args
trampoline_args:
	.skip	TRAMPOLINE_ARGS_SIZE

	.section .note.GNU-stack, "", @progbits
