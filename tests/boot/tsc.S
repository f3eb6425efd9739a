/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A Linux program, the first of user space when a benchmark asks for it: it prints the time stamp
 * counter, "UMBRA-TSC 123456", without a libc (64-bit only).
 */
	.text
	.globl _start
_start:
	rdtsc
	shlq	$32, %rdx
	orq	%rdx, %rax
	leaq	end(%rip), %rsi
	movl	$10, %ecx
1:	xorl	%edx, %edx
	divq	%rcx
	addb	$'0', %dl
	decq	%rsi
	movb	%dl, (%rsi)
	testq	%rax, %rax
	jnz	1b
	/* The text in front of the number. */
	leaq	text_end(%rip), %rdi
2:	decq	%rdi
	decq	%rsi
	movb	(%rdi), %al
	movb	%al, (%rsi)
	leaq	text(%rip), %rdx
	cmpq	%rdx, %rdi
	jne	2b
	leaq	newline_end(%rip), %rdx
	subq	%rsi, %rdx
	movl	$1, %edi		/* stdout */
	movl	$1, %eax		/* write */
	syscall
	xorl	%edi, %edi
	movl	$60, %eax		/* exit */
	syscall

	.data
text:	.ascii	"UMBRA-TSC "
text_end:
	.skip	40
end:	.ascii	"\n"
newline_end:
