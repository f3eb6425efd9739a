/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One stub of 16 bytes for each vector, and the common way into trap_dispatch(). There is no ring
 * change, so GS is ours already.
 */
#include "arch/x86/regs.h"

	.text
	.balign 16
	.global	trap_stubs
trap_stubs:
	.set	vector, 0
	.rept	256
	.balign	16
	.set	has_error, 0
	.if	vector < 32
	.set	has_error, (X86_TRAPS_WITH_ERROR >> vector) & 1
	.endif
	.if	!has_error
	pushq	$0
	.endif
	pushq	$vector
	jmp	trap_common
	.set	vector, vector + 1
	.endr
	.balign 16

trap_common:
	pushq	%rax
	pushq	%rbx
	pushq	%rcx
	pushq	%rdx
	pushq	%rbp
	pushq	%rsi
	pushq	%rdi
	pushq	%r8
	pushq	%r9
	pushq	%r10
	pushq	%r11
	pushq	%r12
	pushq	%r13
	pushq	%r14
	pushq	%r15
	cld
	movq	%rsp, %rdi
	call	trap_dispatch
	popq	%r15
	popq	%r14
	popq	%r13
	popq	%r12
	popq	%r11
	popq	%r10
	popq	%r9
	popq	%r8
	popq	%rdi
	popq	%rsi
	popq	%rbp
	popq	%rdx
	popq	%rcx
	popq	%rbx
	popq	%rax
	addq	$16, %rsp		/* vector and error code */
	iretq

	.section .note.GNU-stack, "", @progbits
