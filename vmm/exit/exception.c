/* SPDX-License-Identifier: BSD-2-Clause */
/* The exits that come seldom. */
#include "vmm/exit/exit.h"

#include "arch/x86/cpu.h"
#include "arch/x86/regs.h"
#include "lib/log.h"
#include "vmm/exit/sysinsn.h"

void exit_xsetbv(struct vcpu *v)
{
	unsigned len = exit_insn_len(v, OP_XSETBV);

	if (!len)
		return;
	if (sysinsn_xsetbv(v))
		vcpu_skip(v, len);
	else
		vcpu_inject_error(v, X86_TRAP_GP, 0);
}

/* Caches are coherent with all that a guest can reach, so there is nothing to write back. */
void exit_wbinvd(struct vcpu *v)
{
	unsigned len = exit_insn_len(v, OP_WBINVD);

	if (!len) /* INVD; or its page has gone, for which the fault is queued already */
		len = insn_peek_length(v, OP_INVD);
	if (len)
		vcpu_skip(v, len);
}

void exit_pause(struct vcpu *v)
{
	unsigned len = exit_insn_len(v, OP_PAUSE);

	if (len)
		vcpu_skip(v, len);
	vcpu_request(v, REQ_YIELD);
}

/*
 * #DB: the guest's, or the end of the one step over an IRET that a waiting NMI asked for. TF was
 * then borrowed; what the IRET loaded into RFLAGS is the guest's own.
 */
static __cold void do_debug(struct vcpu *v)
{
	if (!v->nmi_step) {
		vcpu_inject_exception(v, X86_TRAP_DB);
		return;
	}
	v->nmi_step = v->nmi_iret = v->nmi_masked = false;
	virt_reg_write(&v->virt, VREG_DR6, virt_reg_read(&v->virt, VREG_DR6) & ~DR6_BS);
	vcpu_request(v, REQ_EVENT);
}

void exit_exception(struct vcpu *v, const struct vm_exit *exit)
{
	switch (exit->exception.vector) {
	case X86_TRAP_DB:
		do_debug(v);
		break;
	case X86_TRAP_AC:
		vcpu_inject_error(v, X86_TRAP_AC, 0);
		break;
	default:
		vm_bug(v, "exception %u of the machine", exit->exception.vector);
	}
}

/*
 * The guest's NMI handler has returned; or it is about to, and the next NMI may go in behind the
 * IRET: never in front of it, where the handler's stack is still in use.
 */
void exit_nmi_window(struct vcpu *v)
{
	virt_nmi_window(&v->virt, false);
	v->nmi_iret = v->nmi_masked = virt_caps.nmi_window_early;
	v->nmi_iret_rip = v->virt.rip;
	if (v->nmis_pending)
		vcpu_request(v, REQ_EVENT);
}
