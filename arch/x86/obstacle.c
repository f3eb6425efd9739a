/* SPDX-License-Identifier: BSD-2-Clause */
/* Why no guest can run on a CPU: see obstacle.h. */
#include "arch/x86/obstacle.h"

#include <stddef.h>

#include "arch/x86/regs.h"

static const char *svm_obstacle(const struct obstacle_evidence *e)
{
	if (!e->has_virt)
		return "this CPU has no SVM (AMD-V): it cannot run guests";
	if (e->has_lock && (e->lock & VM_CR_SVMDIS))
		return "SVM (AMD-V) is switched off in the firmware: enable it in the BIOS/UEFI "
		       "set-up";
	return NULL;
}

/* Where the lock is open, the back end closes it, with VMX on. */
static const char *vmx_obstacle(const struct obstacle_evidence *e)
{
	if (!e->has_virt)
		return "this CPU has no VMX (VT-x): it cannot run guests";
	if (e->has_lock && (e->lock & FEATURE_CONTROL_LOCK) && !(e->lock & FEATURE_CONTROL_VMX))
		return "VMX (VT-x) is locked off in the firmware: enable it in the BIOS/UEFI "
		       "set-up";
	return NULL;
}

const char *obstacle_of(const struct obstacle_evidence *e)
{
	if (!e->has_nx)
		return "the NX feature is missing or switched off in the firmware: Umbra needs it";
	switch (e->vendor) {
	case VENDOR_AMD:
		return svm_obstacle(e);
	case VENDOR_INTEL:
		return vmx_obstacle(e);
	default:
		return "this CPU is neither AMD's nor Intel's: no known virtualization";
	}
}
