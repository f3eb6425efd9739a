/* SPDX-License-Identifier: BSD-2-Clause */
/* From the VMCB's exit code and its two words of information to the record of arch/x86/virt.h. */
#include <string.h>

#include "arch/x86/mce.h"
#include "arch/x86/regs.h"
#include "arch/x86/svm/svm.h"

#define FIRST_MISC SVM_EXIT_INTR

/* The exits that carry no information but themselves. */
static const uint8_t plain[] = {
	[SVM_EXIT_INTR - FIRST_MISC] = EXIT_INTERRUPT,
	[SVM_EXIT_NMI - FIRST_MISC] = EXIT_NMI,
	[SVM_EXIT_INIT - FIRST_MISC] = EXIT_NMI, /* nobody here sends one to a running CPU */
	[SVM_EXIT_VINTR - FIRST_MISC] = EXIT_IRQ_WINDOW,
	[SVM_EXIT_IRET - FIRST_MISC] = EXIT_NMI_WINDOW,
	[SVM_EXIT_RDPMC - FIRST_MISC] = EXIT_RDPMC,
	[SVM_EXIT_CPUID - FIRST_MISC] = EXIT_CPUID,
	[SVM_EXIT_INVD - FIRST_MISC] = EXIT_WBINVD,
	[SVM_EXIT_PAUSE - FIRST_MISC] = EXIT_PAUSE,
	[SVM_EXIT_HLT - FIRST_MISC] = EXIT_HLT,
	[SVM_EXIT_INVLPGA - FIRST_MISC] = EXIT_VIRT_INSN,
	[SVM_EXIT_SHUTDOWN - FIRST_MISC] = EXIT_SHUTDOWN,
	[SVM_EXIT_VMRUN - FIRST_MISC] = EXIT_VIRT_INSN,
	[SVM_EXIT_VMMCALL - FIRST_MISC] = EXIT_HYPERCALL,
	[SVM_EXIT_VMLOAD - FIRST_MISC] = EXIT_VIRT_INSN,
	[SVM_EXIT_VMSAVE - FIRST_MISC] = EXIT_VIRT_INSN,
	[SVM_EXIT_STGI - FIRST_MISC] = EXIT_VIRT_INSN,
	[SVM_EXIT_CLGI - FIRST_MISC] = EXIT_VIRT_INSN,
	[SVM_EXIT_SKINIT - FIRST_MISC] = EXIT_VIRT_INSN,
	[SVM_EXIT_WBINVD - FIRST_MISC] = EXIT_WBINVD,
	[SVM_EXIT_MONITOR - FIRST_MISC] = EXIT_MONITOR,
	[SVM_EXIT_MWAIT - FIRST_MISC] = EXIT_MWAIT,
	[SVM_EXIT_MWAIT_COND - FIRST_MISC] = EXIT_MWAIT,
	[SVM_EXIT_XSETBV - FIRST_MISC] = EXIT_XSETBV,
	/* New ones that CPUID does not show to guests: #UD, as of an older CPU. */
	[SVM_EXIT_RDPRU - FIRST_MISC] = EXIT_VIRT_INSN,
	[SVM_EXIT_INVLPGB - FIRST_MISC] = EXIT_VIRT_INSN,
	[SVM_EXIT_INVLPGB_BAD - FIRST_MISC] = EXIT_VIRT_INSN,
	[SVM_EXIT_MCOMMIT - FIRST_MISC] = EXIT_VIRT_INSN,
	[SVM_EXIT_TLBSYNC - FIRST_MISC] = EXIT_VIRT_INSN,
};

/* The instruction that faulted, if the CPU gives it. */
static void copy_insn(const struct vmcb *vmcb, struct vm_exit *exit)
{
	exit->fault.insn_bytes = 0;
	if (svm_has_decode_assists && vmcb->insn_bytes) {
		exit->fault.insn_bytes = min(vmcb->insn_bytes, (uint8_t)15);
		memcpy(exit->fault.insn, vmcb->insn, 15);
	}
}

static void decode_npf(const struct vmcb *vmcb, struct vm_exit *exit)
{
	exit->reason = EXIT_MEMORY_FAULT;
	exit->fault.gpa = GPA(vmcb->exitinfo2);
	exit->fault.error = (uint32_t)vmcb->exitinfo1 & 0x7f;
	if (vmcb->exitinfo1 & SVM_NPF_GUEST_PT)
		exit->fault.error |= PFERR_GUEST_PT;
	copy_insn(vmcb, exit);
}

static void decode_ioio(const struct vmcb *vmcb, struct vm_exit *exit)
{
	uint64_t info = vmcb->exitinfo1;

	exit->reason = EXIT_IO;
	exit->io.port = FIELD_GET(SVM_IOIO_PORT, info);
	exit->io.size = FIELD_GET(SVM_IOIO_SIZE, info);
	exit->io.flags = (uint8_t)(FIELD_GET(SVM_IOIO_IN, info) * IO_IN +
				   FIELD_GET(SVM_IOIO_STRING_REP, info) * IO_STRING);
	exit->io.len = (uint8_t)(vmcb->exitinfo2 - vmcb->rip);
}

static void decode_cr(const struct vmcb *vmcb, struct vm_exit *exit, unsigned code)
{
	exit->reason = code < SVM_EXIT_WRITE_CR0 ? EXIT_CR_READ : EXIT_CR_WRITE;
	exit->cr.cr = code == SVM_EXIT_CR0_SEL ? 0 : code & 0xf;
	exit->cr.known = svm_has_decode_assists && (vmcb->exitinfo1 & SVM_CR_IS_MOV);
	exit->cr.gpr = vmcb->exitinfo1 & SVM_CR_GPR;
}

/* The error code is what the CPU would have pushed. */
static void decode_page_fault(const struct vmcb *vmcb, struct vm_exit *exit)
{
	exit->reason = EXIT_PAGE_FAULT;
	exit->fault.gva = GVA(vmcb->exitinfo2);
	exit->fault.error = (uint32_t)vmcb->exitinfo1;
	copy_insn(vmcb, exit);
}

/* With decode assists the operand; the other bits of exitinfo1 are no address. */
static void decode_invlpg(const struct vmcb *vmcb, struct vm_exit *exit)
{
	exit->reason = EXIT_INVLPG;
	exit->invlpg.gva = GVA(vmcb->exitinfo1);
	exit->invlpg.known = svm_has_decode_assists;
}

static void decode_invpcid(const struct vmcb *vmcb, struct vm_exit *exit)
{
	exit->reason = EXIT_INVPCID;
	exit->invpcid.gva = GVA(vmcb->exitinfo1);
	exit->invpcid.type = vmcb->exitinfo2;
	exit->invpcid.known = svm_has_decode_assists;
}

/* An IDT entry asked for it if an event was being delivered; else an instruction did. */
static void decode_task_switch(const struct vmcb *vmcb, struct vm_exit *exit)
{
	exit->reason = EXIT_TASK_SWITCH;
	exit->task.selector = FIELD_GET(SVM_TASK_SELECTOR, vmcb->exitinfo1);
	if (vmcb->exitinfo2 & SVM_TASK_IRET)
		exit->task.source = TASK_IRET;
	else if (vmcb->exitinfo2 & SVM_TASK_JMP)
		exit->task.source = TASK_JMP;
	else
		exit->task.source = vmcb->exitintinfo & SVM_EVENT_VALID ? TASK_GATE : TASK_CALL;
}

static void decode_exception(const struct vmcb *vmcb, struct vm_exit *exit, unsigned code)
{
	exit->exception.vector = code - SVM_EXIT_EXCP_BASE;
	if (exit->exception.vector == X86_TRAP_MC) {
		mce_handle(NULL); /* the exit has taken it */
		exit->reason = EXIT_MACHINE_CHECK;
		return;
	}
	exit->reason = EXIT_EXCEPTION;
	exit->exception.has_error = BIT_ULL(exit->exception.vector) & X86_TRAPS_WITH_ERROR;
	exit->exception.error = (uint32_t)vmcb->exitinfo1;
}

/* An event whose delivery this exit interrupted is delivered again at the next entry. */
static void decode_idt_event(struct virt_vcpu *v, uint64_t info)
{
	static const uint8_t type[8] = {
		[SVM_EVENT_TYPE_INTR] = EVENT_INTR,
		[SVM_EVENT_TYPE_NMI] = EVENT_NMI,
		[SVM_EVENT_TYPE_EXCEPT] = EVENT_EXCEPTION,
		[SVM_EVENT_TYPE_SOFT] = EVENT_SOFT_INT,
	};

	v->idt_event = (struct vm_event_info){
		.type = type[FIELD_GET(SVM_EVENT_TYPE, info)],
		.vector = FIELD_GET(SVM_EVENT_VECTOR, info),
		.has_error = info & SVM_EVENT_EV,
		.error = FIELD_GET(SVM_EVENT_ERROR, info),
	};
	/* The vector of an NMI means nothing in an event (APM volume 2, 15.20): KVM leaves it 0. */
	if (v->idt_event.type == EVENT_NMI)
		v->idt_event.vector = X86_TRAP_NMI;
}

static void decode_other(const struct vmcb *vmcb, struct vm_exit *exit, uint32_t code)
{
	if (code < SVM_EXIT_READ_DR0 || code == SVM_EXIT_CR0_SEL)
		decode_cr(vmcb, exit, code);
	else if (code < SVM_EXIT_EXCP_BASE)
		exit->reason = EXIT_DR_ACCESS;
	else if (code < SVM_EXIT_INTR)
		decode_exception(vmcb, exit, code);
	else if (code == SVM_EXIT_INVLPG)
		decode_invlpg(vmcb, exit);
	else if (code == SVM_EXIT_INVPCID)
		decode_invpcid(vmcb, exit);
	else if (code == SVM_EXIT_TASK_SWITCH)
		decode_task_switch(vmcb, exit);
	else if (code == SVM_EXIT_INVALID)
		exit->reason = EXIT_INVALID_STATE;
	else
		exit->reason = EXIT_UNKNOWN;
}

void svm_decode_exit(struct virt_vcpu *v, const struct vmcb *vmcb, struct vm_exit *exit)
{
	uint32_t code = (uint32_t)vmcb->exitcode;

	v->idt_event.type = EVENT_NONE;
	if (unlikely(vmcb->exitintinfo & SVM_EVENT_VALID))
		decode_idt_event(v, vmcb->exitintinfo);

	if (code - FIRST_MISC < ARRAY_SIZE(plain) && plain[code - FIRST_MISC])
		exit->reason = plain[code - FIRST_MISC];
	else if (code == SVM_EXIT_MSR)
		exit->reason = vmcb->exitinfo1 ? EXIT_WRMSR : EXIT_RDMSR;
	else if (code == SVM_EXIT_IOIO)
		decode_ioio(vmcb, exit);
	else if (code == SVM_EXIT_NPF)
		decode_npf(vmcb, exit);
	else if (code == SVM_EXIT_EXCP_BASE + X86_TRAP_PF)
		decode_page_fault(vmcb, exit);
	else
		decode_other(vmcb, exit, code);
}
