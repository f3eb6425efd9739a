/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What keeps events from the guest for a while: STI, MOV SS and its own NMI handler; and the single
 * step that waits behind them (SDM volume 3, 24.4.2).
 */
#include "arch/x86/regs.h"
#include "arch/x86/vmx/vmx.h"

__cold void vmx_unblock_nmis(void)
{
	vmwrite(VMCS_GUEST_INTERRUPTIBILITY,
		vmread(VMCS_GUEST_INTERRUPTIBILITY) & ~(uint64_t)BLOCKING_BY_NMI);
}

/*
 * An IRET that faulted had already ended the blocking of NMIs: it will be executed again, so they
 * are still blocked (SDM volume 3, 27.2.3).
 */
void vmx_block_nmis_again(void)
{
	vmwrite(VMCS_GUEST_INTERRUPTIBILITY, vmread(VMCS_GUEST_INTERRUPTIBILITY) | BLOCKING_BY_NMI);
}

bool vmx_irq_shadow(struct virt_vcpu *v)
{
	(void)v;
	return vmread(VMCS_GUEST_INTERRUPTIBILITY) & (BLOCKING_BY_STI | BLOCKING_BY_MOV_SS);
}

/*
 * While STI or MOV SS blocks, an entry with TF set wants a single step to be pending, and wants
 * none without (SDM volume 3, VM-entry checks on guest non-register state).
 */
void vmx_settle_pending_step(void)
{
	uint64_t pending = vmread(VMCS_GUEST_PENDING_DEBUG_EXCEPTIONS) & ~PENDING_DEBUG_BS;

	if ((vmread(VMCS_GUEST_INTERRUPTIBILITY) & (BLOCKING_BY_STI | BLOCKING_BY_MOV_SS)) &&
	    (vmread(VMCS_GUEST_RFLAGS) & RFLAGS_TF) &&
	    !(vmread(VMCS_GUEST_IA32_DEBUGCTL) & DEBUGCTL_BTF))
		pending |= PENDING_DEBUG_BS;
	vmwrite(VMCS_GUEST_PENDING_DEBUG_EXCEPTIONS, pending);
}

/* By MOV SS: blocking by STI is refused while IF is clear. */
void vmx_set_irq_shadow(struct virt_vcpu *v)
{
	uint64_t state = vmread(VMCS_GUEST_INTERRUPTIBILITY);

	(void)v;
	vmwrite(VMCS_GUEST_INTERRUPTIBILITY,
		(state & ~(uint64_t)BLOCKING_BY_STI) | BLOCKING_BY_MOV_SS);
	vmx_settle_pending_step();
}

/* A step that MOV SS had put off comes with that of the instruction behind it, from vmm/. */
void vmx_clear_irq_shadow(struct virt_vcpu *v)
{
	uint64_t state = vmread(VMCS_GUEST_INTERRUPTIBILITY);

	(void)v;
	if (likely(!(state & (BLOCKING_BY_STI | BLOCKING_BY_MOV_SS))))
		return;
	vmwrite(VMCS_GUEST_INTERRUPTIBILITY,
		state & ~(uint64_t)(BLOCKING_BY_STI | BLOCKING_BY_MOV_SS));
	vmx_settle_pending_step();
}
