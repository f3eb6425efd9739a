/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The place of an instruction that a guest wanted to be executed, and the way there and back: see
 * insn_slot.h. Where it is and where it goes on are constants, so there is no branch through a
 * register, and the exception table knows it.
 */
#include "arch/x86/insn_slot.h"

	.section .text.insn_slot_page, "ax", @progbits
	.balign 4096
	.globl insn_slot_page
insn_slot_page:
	.fill INSN_SLOT_LEN, 1, 0xcc
	jmp insn_slot_done
	.balign 4096, 0xcc

/* unsigned insn_slot_call(struct slot_regs *regs, void *operand) */
	.section .text.insn_slot_call, "ax", @progbits
	.globl insn_slot_call
	.type insn_slot_call, @function
insn_slot_call:
	push	%rbx
	push	%rdi
	pushq	SLOT_FLAGS(%rdi)
	mov	%rsi, %r8
	mov	SLOT_RAX(%rdi), %rax
	mov	SLOT_RBX(%rdi), %rbx
	mov	SLOT_RCX(%rdi), %rcx
	mov	SLOT_RDX(%rdi), %rdx
	mov	SLOT_RSI(%rdi), %rsi
	mov	%r8, %rdi
	popfq
	jmp	insn_slot_page
insn_slot_done:
	mov	(%rsp), %rdi
	pushfq
	popq	SLOT_FLAGS(%rdi)
	mov	%rax, SLOT_RAX(%rdi)
	mov	%rbx, SLOT_RBX(%rdi)
	mov	%rcx, SLOT_RCX(%rdi)
	mov	%rdx, SLOT_RDX(%rdi)
	mov	%rsi, SLOT_RSI(%rdi)
	xor	%eax, %eax
	.globl insn_slot_fault
insn_slot_fault:			/* where trap.c leads after an exception; the vector is in EAX */
	pop	%rdi
	pop	%rbx
	ret
	.size insn_slot_call, . - insn_slot_call

	.section .note.GNU-stack, "", @progbits
