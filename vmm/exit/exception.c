/* SPDX-License-Identifier: BSD-2-Clause */
#include "vmm/exit/exception.h"

#include "arch/x86/fpu.h"
#include "arch/x86/regs.h"
#include "lib/log.h"
#include "vmm/event.h"
#include "vmm/vm.h"

/* #DB: the guest's, or the end of a step that it knows nothing of. */
static __cold void do_debug(struct vcpu *v)
{
	if (event_end_nmi_step(v))
		virt_reg_write(&v->virt, VREG_DR6, virt_reg_read(&v->virt, VREG_DR6) & ~DR6_BS);
	else
		event_inject(v, X86_TRAP_DB);
}

/*
 * With NE clear the instruction is tried again, now or when an interrupt has been served: that is
 * how the CPU stands still (SDM volume 1, 8.7.2). Where the error is ignored it must not be there
 * any more; its flags, too, are lost then. The guest's x87 is in the CPU.
 */
void exception_math_fault(struct vcpu *v)
{
	if (virt_reg_read(&v->virt, VREG_CR0) & CR0_NE)
		event_inject(v, X86_TRAP_MF);
	else if (platform_fpu_error(v->vm->platform, virt_rflags(&v->virt) & RFLAGS_IF))
		fpu_clear_errors();
}

void exception_exit(struct vcpu *v, const struct vm_exit *exit)
{
	switch (exit->exception.vector) {
	case X86_TRAP_DB:
		do_debug(v);
		break;
	case X86_TRAP_MF:
		exception_math_fault(v);
		break;
	case X86_TRAP_AC:
		event_inject_error(v, X86_TRAP_AC, 0);
		break;
	default:
		vm_bug(v, VM_UMBRA_FAULT, "exception %u of the machine", exit->exception.vector);
	}
}

void exception_triple_fault(struct vcpu *v)
{
	log_error("vm %s: vcpu %u: triple fault", v->vm->name, v->id);
	virt_dump(&v->virt);
	vm_end(v->vm, VM_TRIPLE_FAULT, VM_STATUS_KILLED);
}
