/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The place of an instruction that a guest wanted to be executed, and the way there and back: see
 * native.h. Where it is and where it goes on are constants, so there is no branch through a
 * register, and the exception table knows it.
 */
#include "arch/x86/native.h"

	.section .text.native_page, "ax", @progbits
	.balign 4096
	.globl native_page
native_page:
	.fill NATIVE_SLOT_LEN, 1, 0xcc
	jmp native_done
	.balign 4096, 0xcc

	.pushsection .extable, "a"
	.quad native_page, native_fault
	.popsection

/* unsigned native_call(struct native_regs *regs, void *operand) */
	.section .text.native_call, "ax", @progbits
	.globl native_call
	.type native_call, @function
native_call:
	push	%rbx
	push	%rdi
	pushq	NATIVE_FLAGS(%rdi)
	mov	%rsi, %r8
	mov	NATIVE_RAX(%rdi), %rax
	mov	NATIVE_RBX(%rdi), %rbx
	mov	NATIVE_RCX(%rdi), %rcx
	mov	NATIVE_RDX(%rdi), %rdx
	mov	NATIVE_RSI(%rdi), %rsi
	mov	%r8, %rdi
	popfq
	jmp	native_page
native_done:
	mov	(%rsp), %rdi
	pushfq
	popq	NATIVE_FLAGS(%rdi)
	mov	%rax, NATIVE_RAX(%rdi)
	mov	%rbx, NATIVE_RBX(%rdi)
	mov	%rcx, NATIVE_RCX(%rdi)
	mov	%rdx, NATIVE_RDX(%rdi)
	mov	%rsi, NATIVE_RSI(%rdi)
	xor	%eax, %eax
native_fault:			/* the vector is in EAX */
	pop	%rdi
	pop	%rbx
	ret
	.size native_call, . - native_call

	.section .note.GNU-stack, "", @progbits
