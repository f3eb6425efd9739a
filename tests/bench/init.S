/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The first process of the Linux that is measured: user space is reached at its first instruction
 * (linked at an address nobody else uses, so that the counter sees it). It prints the TSC and
 * powers off.
 */
#define SYS_WRITE  1
#define SYS_REBOOT 169
#define POWER_OFF  0x4321fedc

	.section .note.GNU-stack, "", @progbits
	.text
	.globl	_start
_start:
	rdtsc
	shl	$32, %rdx
	or	%rdx, %rax
	lea	end(%rip), %rsi
	mov	$10, %ebx
1:	xor	%edx, %edx	/* decimal digits, from the last */
	div	%rbx
	add	$'0', %dl
	dec	%rsi
	mov	%dl, (%rsi)
	test	%rax, %rax
	jnz	1b
	mov	$SYS_WRITE, %eax
	mov	$1, %edi
	lea	text(%rip), %rsi
	lea	after(%rip), %rdx
	sub	%rsi, %rdx
	syscall
	mov	$SYS_REBOOT, %eax
	mov	$0xfee1dead, %edi
	mov	$672274793, %esi
	mov	$POWER_OFF, %edx
	syscall
1:	jmp	1b

	.data
text:	.ascii	"user space at TSC 00000000000000000000"
end:	.ascii	"\n"
after:
