/* SPDX-License-Identifier: BSD-2-Clause */
#include "vmm/exit/loop.h"

#include "vmm/vcpu.h"

void loop_run(struct vmm_cpu *c, struct vcpu *v)
{
	if (virt_is_vmx)
		loop_run_vmx(c, v);
	else
		loop_run_svm(c, v);
}
