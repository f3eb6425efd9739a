/* SPDX-License-Identifier: BSD-2-Clause */
/* The exits that come seldom: one function for each (vmm/exit.c). All by the owner CPU. */
#ifndef VMM_EXIT_H
#define VMM_EXIT_H

#include "vmm/insn.h"
#include "vmm/vm.h"

/* The length of the instruction that exited, which is `op`; 0: the guest executes it again. */
static inline unsigned exit_insn_len(struct vcpu *v, const struct vm_exit *exit, enum emul_op op)
{
	if (likely(exit->insn_len))
		return exit->insn_len;
	return insn_length(v, op);
}

void exit_xsetbv(struct vcpu *v, const struct vm_exit *exit);
void exit_wbinvd(struct vcpu *v, const struct vm_exit *exit);
void exit_pause(struct vcpu *v, const struct vm_exit *exit);
void exit_exception(struct vcpu *v, const struct vm_exit *exit);
void exit_nmi_window(struct vcpu *v);

#endif
