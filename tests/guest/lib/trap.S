/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Entry points of all 256 vectors, and the jump that TRY() is made of. A stub pushes a zero where
 * the CPU pushed no error code, so that trap_dispatch() always sees a whole struct regs.
 */
	.section .note.GNU-stack, "", @progbits
	.text

	.macro stub vector
	.balign 16
	.if (\vector == 8) || ((\vector >= 10) && (\vector <= 14)) || (\vector == 17) || (\vector == 21) || (\vector == 29) || (\vector == 30)
	.else
	push	$0
	.endif
	push	$\vector
	jmp	trap_common
	.endm

	.balign 16
	.globl	trap_stubs
trap_stubs:
	.set	vec, 0
	.rept	256
	stub	vec
	.set	vec, vec + 1
	.endr

#ifdef __x86_64__
trap_common:
	push	%rax
	push	%rcx
	push	%rdx
	push	%rbx
	push	%rbp
	push	%rsi
	push	%rdi
	push	%r8
	push	%r9
	push	%r10
	push	%r11
	push	%r12
	push	%r13
	push	%r14
	push	%r15
	cld
	mov	%rsp, %rdi
	mov	%rsp, %rbp
	and	$-16, %rsp
	call	trap_dispatch
	mov	%rbp, %rsp
	pop	%r15
	pop	%r14
	pop	%r13
	pop	%r12
	pop	%r11
	pop	%r10
	pop	%r9
	pop	%r8
	pop	%rdi
	pop	%rsi
	pop	%rbp
	pop	%rbx
	pop	%rdx
	pop	%rcx
	pop	%rax
	add	$16, %rsp	/* vector, error */
	iretq

	.globl	fault_save
fault_save:
	mov	(%rsp), %rax
	mov	%rax, 0(%rdi)
	lea	8(%rsp), %rax
	mov	%rax, 8(%rdi)
	mov	%rbp, 16(%rdi)
	mov	%rbx, 24(%rdi)
	pushf
	pop	32(%rdi)
	mov	%r12, 40(%rdi)
	mov	%r13, 48(%rdi)
	mov	%r14, 56(%rdi)
	mov	%r15, 64(%rdi)
	xor	%eax, %eax
	ret

	.globl	fault_resume
fault_resume:
	mov	$0x10, %eax	/* SEL_DATA: a user-mode exception leaves SS null */
	mov	%eax, %ss
	mov	40(%rdi), %r12
	mov	48(%rdi), %r13
	mov	56(%rdi), %r14
	mov	64(%rdi), %r15
	mov	24(%rdi), %rbx
	mov	16(%rdi), %rbp
	mov	8(%rdi), %rsp
	push	0(%rdi)
	push	32(%rdi)
	mov	$1, %eax
	popf
	ret

/* void user_enter(void (*entry)(void), void *stack, unsigned long flags, unsigned selector) */
	.globl	user_enter
user_enter:
	push	$0x23		/* SEL_UDATA */
	push	%rsi
	push	%rdx
	push	%rcx
	push	%rdi
	iretq
#else
trap_common:
	pusha
	push	%ds
	push	%es
	mov	$0x10, %eax	/* SEL_DATA */
	mov	%eax, %ds
	mov	%eax, %es
	cld
	mov	%esp, %ebp
	mov	%esp, %eax
	and	$-16, %esp
	sub	$12, %esp
	push	%eax
	call	trap_dispatch
	mov	%ebp, %esp
	pop	%es
	pop	%ds
	popa
	add	$8, %esp
	iret

	.globl	fault_save
fault_save:
	mov	4(%esp), %edx
	mov	(%esp), %eax
	mov	%eax, 0(%edx)
	lea	4(%esp), %eax
	mov	%eax, 4(%edx)
	mov	%ebp, 8(%edx)
	mov	%ebx, 12(%edx)
	pushf
	pop	16(%edx)
	mov	%esi, 20(%edx)
	mov	%edi, 24(%edx)
	xor	%eax, %eax
	ret

	.globl	fault_resume
fault_resume:
	mov	4(%esp), %edx
	mov	$0x10, %eax	/* SEL_DATA */
	mov	%eax, %ss
	mov	20(%edx), %esi
	mov	24(%edx), %edi
	mov	12(%edx), %ebx
	mov	8(%edx), %ebp
	mov	4(%edx), %esp
	push	0(%edx)
	push	16(%edx)
	mov	$1, %eax
	popf
	ret

	.globl	user_enter
user_enter:
	mov	4(%esp), %eax
	mov	8(%esp), %ecx
	mov	12(%esp), %edx
	mov	16(%esp), %ebx
	mov	$0x23, %esi	/* SEL_UDATA */
	mov	%esi, %ds
	mov	%esi, %es
	push	%esi
	push	%ecx
	push	%edx
	push	%ebx
	push	%eax
	iret
#endif
