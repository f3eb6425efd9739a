/* SPDX-License-Identifier: BSD-2-Clause */
/* What to say about an entry that failed. */
#include "arch/x86/vmx/vmx.h"
#include "lib/log.h"

__cold void vmx_explain_failure(struct virt_vcpu *v, bool entered)
{
	if (entered)
		log_error("vmx: entry failed, exit reason %x, qualification %llx",
			  v->vmx.exit_reason, (unsigned long long)vmread(VMCS_EXIT_QUALIFICATION));
	else
		log_error("vmx: VMLAUNCH or VMRESUME failed, error %llu",
			  (unsigned long long)vmread(VMCS_VM_INSTRUCTION_ERROR));
}
