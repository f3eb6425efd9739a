/* SPDX-License-Identifier: BSD-2-Clause */
/* The exits that come seldom: one function for each (vmm/exit/exception.c). All by the owner CPU. */
#ifndef VMM_EXIT_EXIT_H
#define VMM_EXIT_EXIT_H

#include "vmm/exit/insn.h"
#include "vmm/vm.h"

/* The length of the instruction that exited, which is `op`; 0: the guest executes it again. */
static __always_inline unsigned exit_insn_len(struct vcpu *v, enum emul_op op)
{
	unsigned len = virt_insn_len(&v->virt);

	return likely(len) ? len : insn_length(v, op);
}

void exit_xsetbv(struct vcpu *v);
void exit_wbinvd(struct vcpu *v);
void exit_pause(struct vcpu *v);
void exit_exception(struct vcpu *v, const struct vm_exit *exit);
void exit_nmi_window(struct vcpu *v);
void exit_task_switch(struct vcpu *v, const struct vm_exit *exit); /* vmm/exit/task_switch.c */

#endif
