/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One run of a VMX guest. The VMCS switches RSP, RIP, RFLAGS, segments, control registers and what
 * else has a field; the other general registers are swapped here (SDM volume 3, chapters
 * "VM Entries" and "VM Exits").
 *
 * Interrupts are closed throughout: with external-interrupt exiting a host interrupt ends the run
 * whatever IF is. GS is the host's again when the first instruction after the exit is executed.
 */
#define GPR(n)        ((n) * 8)
#define HOST_RSP      GPR(17)
#define VMCS_HOST_RSP 0x6c14

/* The caller has use for RBP, RBX, R12 and R13; C would have all that a callee saves kept. */
	.macro ENTER name, instruction
	.globl \name
	.type \name, @function
\name:
	push %rbp
	push %rbx
	push %r12
	push %r13
	push %rdi

	cmp %rsp, HOST_RSP(%rdi)
	je 1f
	mov %rsp, HOST_RSP(%rdi)
	mov $VMCS_HOST_RSP, %eax
	vmwrite %rsp, %rax
1:	mov GPR(0)(%rdi), %rax
	mov GPR(1)(%rdi), %rcx
	mov GPR(2)(%rdi), %rdx
	mov GPR(3)(%rdi), %rbx
	mov GPR(5)(%rdi), %rbp
	mov GPR(6)(%rdi), %rsi
	mov GPR(8)(%rdi), %r8
	mov GPR(9)(%rdi), %r9
	mov GPR(10)(%rdi), %r10
	mov GPR(11)(%rdi), %r11
	mov GPR(12)(%rdi), %r12
	mov GPR(13)(%rdi), %r13
	mov GPR(14)(%rdi), %r14
	mov GPR(15)(%rdi), %r15
	mov GPR(7)(%rdi), %rdi
	\instruction
	jmp vmx_entry_failed
	.size \name, . - \name
	.endm

	.text
/*
 * RDI: struct virt_vcpu, which begins with gpr[]. CF: the entry failed, the guest did not run.
 * Called by vmx_enter() (vmx/instructions.h); all general registers but RBP, RBX, R12 and R13 are lost.
 */
	ENTER vmx_resume, vmresume
	ENTER vmx_launch, vmlaunch

	.type vmx_entry_failed, @function
vmx_entry_failed:
	pop %rdi		/* the guest did not run: nothing to store */
	pop %r13
	pop %r12
	pop %rbx
	pop %rbp
	stc
	ret
	.size vmx_entry_failed, . - vmx_entry_failed

	.globl vmx_exit_entry
	.type vmx_exit_entry, @function
vmx_exit_entry:
	xchg %rdi, (%rsp)	/* gpr[]; the guest's RDI waits on the stack */
	mov %rax, GPR(0)(%rdi)
	mov %rcx, GPR(1)(%rdi)
	mov %rdx, GPR(2)(%rdi)
	mov %rbx, GPR(3)(%rdi)
	mov %rbp, GPR(5)(%rdi)
	mov %rsi, GPR(6)(%rdi)
	mov %r8, GPR(8)(%rdi)
	mov %r9, GPR(9)(%rdi)
	mov %r10, GPR(10)(%rdi)
	mov %r11, GPR(11)(%rdi)
	mov %r12, GPR(12)(%rdi)
	mov %r13, GPR(13)(%rdi)
	mov %r14, GPR(14)(%rdi)
	mov %r15, GPR(15)(%rdi)
	pop %rcx
	mov %rcx, GPR(7)(%rdi)
	pop %r13
	pop %r12
	pop %rbx
	pop %rbp

	/*
	 * What the guest left in registers must not steer speculation here; RAX to RDI are
	 * overwritten at once by whoever called.
	 */
	xor %r8d, %r8d
	xor %r9d, %r9d
	xor %r10d, %r10d
	xor %r11d, %r11d
	xor %r14d, %r14d
	xor %r15d, %r15d	/* and CF is clear */
	ret
	.size vmx_exit_entry, . - vmx_exit_entry
	.section .note.GNU-stack, "", @progbits
