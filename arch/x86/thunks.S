/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * How C code jumps through a register: the compiler calls one of these for each indirect call and
 * jump (Intel's "Retpoline: A Branch Target Injection Mitigation"; AMD's "Software Techniques for
 * Managing Speculation"). A guest can teach the predictor of indirect branches where Umbra is to
 * speculate, on CPUs that do not keep the two apart. A return is predicted by the call before it
 * instead: here, to a loop that does nothing.
 */
	.macro THUNK reg
	.section .text.thunks, "ax", @progbits
	.balign 32
	.globl __x86_indirect_thunk_\reg
	.type __x86_indirect_thunk_\reg, @function
__x86_indirect_thunk_\reg:
	call 2f
1:	pause
	lfence
	jmp 1b
2:	mov %\reg, (%rsp)
	ret
	.size __x86_indirect_thunk_\reg, . - __x86_indirect_thunk_\reg
	.endm

	.irp reg, rax, rbx, rcx, rdx, rbp, rsi, rdi, r8, r9, r10, r11, r12, r13, r14, r15
	THUNK \reg
	.endr
	.section .note.GNU-stack, "", @progbits
