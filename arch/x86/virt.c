/* SPDX-License-Identifier: BSD-2-Clause */
/* Which vendor's back end serves this machine. */
#include "arch/x86/virt.h"

#include "arch/x86/cpu_features.h"

struct virt_caps virt_caps __ro_after_init;
bool virt_is_vmx __ro_after_init;

int virt_probe(void)
{
	virt_is_vmx = cpu_vendor() == VENDOR_INTEL;
	return virt_cpu_probe();
}
