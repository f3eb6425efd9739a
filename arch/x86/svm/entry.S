/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One run of an SVM guest. VMRUN swaps RAX, RSP, RIP, RFLAGS, the control registers and CS, SS, DS, ES with
 * the VMCB; VMLOAD/VMSAVE swap FS, GS, TR, LDTR and the syscall MSRs; the other general
 * registers are swapped here (APM volume 2, sections 15.5 and 15.5.1).
 *
 * GIF is 0 from before VMRUN (CLGI) until after the host's GS and TR are back (STGI), so nothing
 * is delivered on a half-switched CPU. IF is 1 across VMRUN: with V_INTR_MASKING the host's IF
 * says whether physical interrupts end the run.
 */
#define GPR(n) ((n) * 8)

	.text
	.globl svm_run_guest
	.type svm_run_guest, @function
/*
 * RDI: gpr[], RAX: the VMCB, RDX: the host's, both physical. Called by svm_enter() (svm/instructions.h); all
 * general registers but RBP, RBX, R12 and R13 are lost: the caller has use for these, and C would have
 * all that a callee saves kept.
 */
svm_run_guest:
	push %rbp
	push %rbx
	push %r12
	push %r13
	push %rdx
	push %rdi

	clgi
	sti
	vmload %rax

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

	vmrun %rax
	.globl guest_has_run	/* arch/x86/trap.h */
guest_has_run:
	vmsave %rax		/* RAX is the host's again: the VMCB */

	xchg %rdi, (%rsp)	/* gpr[]; the guest's RDI waits on the stack */
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

	pop %rax		/* the host's FS, GS, TR, LDTR and syscall MSRs */
	vmload %rax
	cli
	stgi

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
	xor %r15d, %r15d
	ret
	.size svm_run_guest, . - svm_run_guest
	.section .note.GNU-stack, "", @progbits
