/* SPDX-License-Identifier: BSD-2-Clause */
/* From the VMCS's exit reason and what comes with it to the record of arch/x86/virt.h. */
#include "arch/x86/cpu.h"
#include "arch/x86/mce.h"
#include "arch/x86/regs.h"
#include "arch/x86/vmx/vmx.h"

/* The exits that carry no information but themselves. */
static const uint8_t plain[VMX_NR_EXITS] = {
	[VMX_EXIT_EXTERNAL_INTERRUPT] = EXIT_INTERRUPT,
	[VMX_EXIT_TRIPLE_FAULT] = EXIT_SHUTDOWN,
	[VMX_EXIT_INTERRUPT_WINDOW] = EXIT_IRQ_WINDOW,
	[VMX_EXIT_NMI_WINDOW] = EXIT_NMI_WINDOW,
	[VMX_EXIT_CPUID] = EXIT_CPUID,
	[VMX_EXIT_GETSEC] = EXIT_VIRT_INSN,
	[VMX_EXIT_HLT] = EXIT_HLT,
	[VMX_EXIT_INVD] = EXIT_WBINVD,
	[VMX_EXIT_RDPMC] = EXIT_RDPMC,
	[VMX_EXIT_VMCALL] = EXIT_HYPERCALL,
	[VMX_EXIT_VMCLEAR] = EXIT_VIRT_INSN,
	[VMX_EXIT_VMLAUNCH] = EXIT_VIRT_INSN,
	[VMX_EXIT_VMPTRLD] = EXIT_VIRT_INSN,
	[VMX_EXIT_VMPTRST] = EXIT_VIRT_INSN,
	[VMX_EXIT_VMREAD] = EXIT_VIRT_INSN,
	[VMX_EXIT_VMRESUME] = EXIT_VIRT_INSN,
	[VMX_EXIT_VMWRITE] = EXIT_VIRT_INSN,
	[VMX_EXIT_VMXOFF] = EXIT_VIRT_INSN,
	[VMX_EXIT_VMXON] = EXIT_VIRT_INSN,
	[VMX_EXIT_RDMSR] = EXIT_RDMSR,
	[VMX_EXIT_WRMSR] = EXIT_WRMSR,
	[VMX_EXIT_MWAIT] = EXIT_MWAIT,
	[VMX_EXIT_MONITOR] = EXIT_MONITOR,
	[VMX_EXIT_PAUSE] = EXIT_PAUSE,
	[VMX_EXIT_INVEPT] = EXIT_VIRT_INSN,
	[VMX_EXIT_PREEMPTION_TIMER] = EXIT_PREEMPTION,
	[VMX_EXIT_INVVPID] = EXIT_VIRT_INSN,
	[VMX_EXIT_WBINVD] = EXIT_WBINVD,
	[VMX_EXIT_XSETBV] = EXIT_XSETBV,
	[VMX_EXIT_VMFUNC] = EXIT_VIRT_INSN,
	[VMX_EXIT_ENCLS] = EXIT_VIRT_INSN,
	[VMX_EXIT_SEAMCALL] = EXIT_VIRT_INSN,
	[VMX_EXIT_TDCALL] = EXIT_VIRT_INSN,
};

static void decode_ept_violation(struct virt_vcpu *v, struct vm_exit *exit)
{
	uint64_t qual = vmread(VMCS_EXIT_QUALIFICATION);
	uint32_t error = PFERR_USER;

	if (qual & QUAL_EPT_WRITE)
		error |= PFERR_WRITE;
	if (qual & QUAL_EPT_FETCH)
		error |= PFERR_FETCH;
	if (qual & QUAL_EPT_PERMITTED)
		error |= PFERR_PRESENT;
	if ((qual & (QUAL_EPT_LINEAR_VALID | QUAL_EPT_FINAL)) == QUAL_EPT_LINEAR_VALID)
		error |= PFERR_GUEST_PT;
	if ((qual & QUAL_NMI_UNBLOCKED) && v->idt_event.type == EVENT_NONE)
		vmx_block_nmis_again();
	exit->reason = EXIT_MEMORY_FAULT;
	exit->fault.gpa = GPA(vmread(VMCS_GUEST_PHYSICAL_ADDRESS));
	exit->fault.error = error;
	exit->fault.insn_bytes = 0;
}

/*
 * An MMIO entry. The CPU does not say what kind of access it was, only that the guest's own tables
 * allow it: so it may as well have been a write.
 */
static void decode_ept_misconfig(struct vm_exit *exit)
{
	exit->reason = EXIT_MEMORY_FAULT;
	exit->fault.gpa = GPA(vmread(VMCS_GUEST_PHYSICAL_ADDRESS));
	exit->fault.error = PFERR_RSVD | PFERR_USER | PFERR_WRITE;
	exit->fault.insn_bytes = 0;
}

static void decode_io(struct virt_vcpu *v, struct vm_exit *exit)
{
	uint64_t qual = vmread(VMCS_EXIT_QUALIFICATION);

	exit->reason = EXIT_IO;
	exit->io.port = FIELD_GET(QUAL_IO_PORT, qual);
	exit->io.size = FIELD_GET(QUAL_IO_SIZE, qual) + 1;
	exit->io.flags = (uint8_t)qual;
	exit->io.len = (uint8_t)vmx_insn_len(v);
}

static void decode_cr(struct vm_exit *exit)
{
	uint64_t qual = vmread(VMCS_EXIT_QUALIFICATION);
	unsigned type = FIELD_GET(QUAL_CR_TYPE, qual);

	exit->reason = type == QUAL_CR_TYPE_FROM ? EXIT_CR_READ : EXIT_CR_WRITE;
	exit->cr.cr = FIELD_GET(QUAL_CR_NUMBER, qual);
	exit->cr.known = type == QUAL_CR_TYPE_TO || type == QUAL_CR_TYPE_FROM;
	exit->cr.gpr = FIELD_GET(QUAL_CR_GPR, qual);
}

/*
 * A debug exception's causes are in the exit qualification; DR6, DR7.GD, and LBR and BTF of
 * DEBUGCTL are as they were before (SDM volume 3, 27.1, 17.2.3 and 17.4.2). What a VMX guest gets
 * is what the CPU would have written. INT1 is no step, and what MOV SS puts off is lost at it;
 * Bochs 2.7 has that step in the qualification.
 */
static void update_debug_registers(struct virt_vcpu *v, unsigned type)
{
	uint64_t qual = vmread(VMCS_EXIT_QUALIFICATION);
	uint64_t causes = DR6_B0_B3 | DR6_BD | (type == INTR_TYPE_PRIV_SOFT ? 0 : DR6_BS);

	vmx_reg_write(v, VREG_DR6, (vmx_reg_read(v, VREG_DR6) & ~DR6_B0_B3) | (qual & causes));
	vmx_reg_write(v, VREG_DR7, vmx_reg_read(v, VREG_DR7) & ~DR7_GD);
	vmwrite(VMCS_GUEST_IA32_DEBUGCTL,
		vmread(VMCS_GUEST_IA32_DEBUGCTL) & ~(DEBUGCTL_LBR | DEBUGCTL_BTF));
}

static bool runs_64bit_code(struct virt_vcpu *v)
{
	return (vmread(VMCS_ENTRY_CONTROLS) & ENTRY_IA32E_MODE) && (vmx_cs_attr(v) & SEG_ATTR_L);
}

/* INT1 is a trap: its handler returns behind it, where nothing blocks any more. */
static void step_over_int1(struct virt_vcpu *v)
{
	v->rip += vmread(VMCS_EXIT_INSTRUCTION_LENGTH);
	if (!runs_64bit_code(v))
		v->rip = (uint32_t)v->rip;
	vmx_clear_irq_shadow(v);
}

static void decode_debug(struct virt_vcpu *v, unsigned type)
{
	update_debug_registers(v, type);
	if (type == INTR_TYPE_PRIV_SOFT)
		step_over_int1(v);
	else if (vmx_irq_shadow(v))
		vmx_settle_pending_step(); /* the exit took the step for its own */
}

static void decode_page_fault(struct vm_exit *exit)
{
	exit->reason = EXIT_PAGE_FAULT;
	exit->fault.gva = GVA(vmread(VMCS_EXIT_QUALIFICATION));
	exit->fault.error = (uint32_t)vmread(VMCS_EXIT_INTERRUPTION_ERROR_CODE);
	exit->fault.insn_bytes = 0;
}

/* The host's: the exit has taken it, and the interrupt table has not seen it. */
static void take_machine_check(struct vm_exit *exit)
{
	mce_handle(NULL);
	exit->reason = EXIT_MACHINE_CHECK;
}

/*
 * The guest has not run, and the event to inject is still in its field; that of the exit before, if
 * there was one, is still in its own, and was dealt with (SDM volume 3, 26.8).
 */
static __cold void fail_by_machine_check(struct virt_vcpu *v, struct vm_exit *exit)
{
	v->idt_event.type = EVENT_NONE;
	take_machine_check(exit);
}

/* The host's own NMI is handled where the interrupt table says. */
static void decode_exception(struct virt_vcpu *v, struct vm_exit *exit)
{
	uint64_t info = vmread(VMCS_EXIT_INTERRUPTION_INFO);
	unsigned type = FIELD_GET(INTR_TYPE, info);
	uint8_t vector = FIELD_GET(INTR_VECTOR, info);

	if (type == INTR_TYPE_NMI) {
		vmx_handle_nmi();
		exit->reason = EXIT_NMI;
		return;
	}
	if (vector == X86_TRAP_DB)
		decode_debug(v, type);
	if ((info & INTR_NMI_UNBLOCKED) && vector != X86_TRAP_DF && v->idt_event.type == EVENT_NONE)
		vmx_block_nmis_again();
	if (vector == X86_TRAP_PF) {
		decode_page_fault(exit);
		return;
	}
	if (vector == X86_TRAP_MC) {
		take_machine_check(exit);
		return;
	}
	exit->reason = EXIT_EXCEPTION;
	exit->exception.vector = vector;
	exit->exception.has_error = info & INTR_ERROR_CODE;
	exit->exception.error = (uint32_t)vmread(VMCS_EXIT_INTERRUPTION_ERROR_CODE);
}

static void decode_invlpg(struct vm_exit *exit)
{
	exit->reason = EXIT_INVLPG;
	exit->invlpg.gva = GVA(vmread(VMCS_EXIT_QUALIFICATION));
	exit->invlpg.known = true;
}

/* In 64-bit mode only FS and GS have a base. */
static uint64_t segment_base(enum seg seg, bool is_64bit)
{
	return is_64bit && seg != SEG_FS && seg != SEG_GS ? 0
							  : vmread(VMCS_GUEST_ES_BASE + 2 * seg);
}

/* Where a memory operand lies. */
static gva_t operand_address(struct virt_vcpu *v, uint64_t info)
{
	static const uint64_t widths[8] = {0xffff, 0xffffffff, ~0ull};
	bool is_64bit = runs_64bit_code(v);
	uint64_t address = vmread(VMCS_EXIT_QUALIFICATION);

	if (!(info & INFO_NO_BASE))
		address += v->gpr[FIELD_GET(INFO_BASE, info)];
	if (!(info & INFO_NO_INDEX))
		address += v->gpr[FIELD_GET(INFO_INDEX, info)] << FIELD_GET(INFO_SCALE, info);
	address &= widths[FIELD_GET(INFO_ADDRESS_SIZE, info)];
	address += segment_base((enum seg)FIELD_GET(INFO_SEGMENT, info), is_64bit);
	return GVA(is_64bit ? address : (uint32_t)address);
}

static void decode_invpcid(struct virt_vcpu *v, struct vm_exit *exit)
{
	uint64_t info = vmread(VMCS_EXIT_INSTRUCTION_INFO);
	uint64_t type = v->gpr[FIELD_GET(INFO_REGISTER, info)];

	exit->reason = EXIT_INVPCID;
	exit->invpcid.gva = operand_address(v, info);
	exit->invpcid.type = runs_64bit_code(v) ? type : (uint32_t)type;
	exit->invpcid.known = true;
}

/*
 * The CPU has made the checks up to the new TSS's limit, and switched nothing (SDM volume
 * 3, 25.4.2). An IRET ends the blocking of NMIs, also one that does it by a task switch.
 */
static __cold void decode_task_switch(struct vm_exit *exit)
{
	uint64_t qual = vmread(VMCS_EXIT_QUALIFICATION);

	exit->reason = EXIT_TASK_SWITCH;
	exit->task.selector = FIELD_GET(QUAL_TASK_SELECTOR, qual);
	exit->task.source = FIELD_GET(QUAL_TASK_SOURCE, qual);
	if (exit->task.source == TASK_IRET)
		vmx_unblock_nmis();
}

/* An event whose delivery this exit interrupted: it is delivered again, or by the task switch. */
static __cold void decode_idt_event(struct virt_vcpu *v, uint64_t info)
{
	static const uint8_t types[8] = {
		[INTR_TYPE_EXTERNAL] = EVENT_INTR,      [INTR_TYPE_NMI] = EVENT_NMI,
		[INTR_TYPE_HARD] = EVENT_EXCEPTION,     [INTR_TYPE_SOFT_INT] = EVENT_SOFT_INT,
		[INTR_TYPE_PRIV_SOFT] = EVENT_SOFT_INT, [INTR_TYPE_SOFT_EXCEPT] = EVENT_SOFT_INT,
	};

	v->idt_event = (struct vm_event_info){
		.type = types[FIELD_GET(INTR_TYPE, info)],
		.vector = FIELD_GET(INTR_VECTOR, info),
		.has_error = info & INTR_ERROR_CODE,
		.error = (uint32_t)vmread(VMCS_IDT_VECTORING_ERROR_CODE),
		.insn_len = (uint8_t)vmread(VMCS_EXIT_INSTRUCTION_LENGTH),
	};
}

/*
 * The write did not happen; it comes again. What an EPT violation says of NMIs in its qualification
 * is said here too (SDM volume 3, 27.2.1).
 */
static void decode_pml_full(const struct virt_vcpu *v, struct vm_exit *exit)
{
	if ((vmread(VMCS_EXIT_QUALIFICATION) & QUAL_NMI_UNBLOCKED) &&
	    v->idt_event.type == EVENT_NONE)
		vmx_block_nmis_again();
	exit->reason = EXIT_LOG_FULL;
}

static void decode_other(struct virt_vcpu *v, struct vm_exit *exit, uint32_t reason)
{
	switch (reason) {
	case VMX_EXIT_EXCEPTION_NMI:
		decode_exception(v, exit);
		break;
	case VMX_EXIT_CR_ACCESS:
		decode_cr(exit);
		break;
	case VMX_EXIT_INVLPG:
		decode_invlpg(exit);
		break;
	case VMX_EXIT_INVPCID:
		decode_invpcid(v, exit);
		break;
	case VMX_EXIT_TASK_SWITCH:
		decode_task_switch(exit);
		break;
	case VMX_EXIT_PML_FULL:
		decode_pml_full(v, exit);
		break;
	case VMX_EXIT_INVALID_STATE | VMX_EXIT_ENTRY_FAILURE:
	case VMX_EXIT_MSR_LOADING | VMX_EXIT_ENTRY_FAILURE:
		exit->reason = EXIT_INVALID_STATE;
		vmx_explain_failure(v, true);
		break;
	case VMX_EXIT_MACHINE_CHECK | VMX_EXIT_ENTRY_FAILURE:
		fail_by_machine_check(v, exit);
		break;
	default:
		exit->reason = EXIT_UNKNOWN;
	}
}

void vmx_decode_exit(struct virt_vcpu *v, struct vm_exit *exit)
{
	uint32_t reason = (uint32_t)vmread(VMCS_EXIT_REASON);
	uint64_t event = vmread(VMCS_IDT_VECTORING_INFO);

	v->idt_event.type = EVENT_NONE;
	if (unlikely(event & INTR_VALID))
		decode_idt_event(v, event);
	exit->reason = likely(reason < VMX_NR_EXITS) ? plain[reason] : EXIT_NONE;
	if (likely(exit->reason != EXIT_NONE))
		return;
	if (reason == VMX_EXIT_IO)
		decode_io(v, exit);
	else if (reason == VMX_EXIT_EPT_VIOLATION)
		decode_ept_violation(v, exit);
	else if (reason == VMX_EXIT_EPT_MISCONFIG)
		decode_ept_misconfig(exit);
	else
		decode_other(v, exit, reason);
}
