/* SPDX-License-Identifier: BSD-2-Clause */
#include "vmm/exit/nmi.h"

#include "vmm/vcpu.h"

/*
 * The guest's NMI handler has returned; or it is about to, and the next NMI may go in behind the
 * IRET: never in front of it, where the handler's stack is still in use.
 */
void nmi_window_exit(struct vcpu *v)
{
	virt_nmi_window(&v->virt, false);
	v->nmi_iret = v->nmi_masked = virt_caps.nmi_window_early;
	v->nmi_iret_rip = v->virt.rip;
	if (v->nmis_pending)
		vcpu_request(v, REQ_EVENT);
}

void nmi_iret_emulated(struct vcpu *v)
{
	v->nmi_masked = v->nmi_iret = false;
	virt_nmi_window(&v->virt, false);
	if (v->nmis_pending)
		vcpu_request(v, REQ_EVENT);
}
