/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Forgetting translations: by a VPID that nobody has used, and INVEPT for what came through the EPT
 * tables (SDM volume 3, 28.4).
 */
#include "arch/x86/vmx/vmx.h"

void vmx_flush(struct virt_vcpu *v)
{
	v->due |= VMX_DUE_TAG;
}

/* Whatever came through the EPT tables is tagged by their root: a VPID would not do. */
void vmx_flush_tdp(struct virt_vcpu *v)
{
	v->due |= VMX_DUE_TAG;
	v->vmx.flush_tdp = v->nested;
}

static bool is_canonical(uint64_t address)
{
	unsigned unused = 64 - vmx_setup.linear_bits;

	return (uint64_t)((int64_t)(address << unused) >> unused) == address;
}

/* INVVPID takes no other address; and such a one gives no translation. */
void vmx_flush_gva(struct virt_vcpu *v, gva_t gva)
{
	if ((v->due & VMX_DUE_TAG) || !is_canonical(gva.v))
		return;
	if (virt_caps.tags > 1 && (vmx_setup.ept_vpid & VPID_CAP_INVVPID_GVA))
		invvpid(INVVPID_GVA, (uint16_t)vmread(VMCS_VPID), gva);
	else
		vmx_flush(v);
}

/*
 * A VPID that no stale translation of this CPU carries. Without VPIDs every entry and exit flushes
 * what the guest's tables gave, and nothing is to be done here.
 */
void vmx_take_tag(struct virt_vcpu *v, struct vmx_cpu *c)
{
	uint32_t vpid;
	bool flush;

	v->due &= ~(uint32_t)VMX_DUE_TAG;
	if (virt_caps.tags > 1) {
		vpid = tag_take(&c->tags, virt_caps.tags, &flush);
		if (flush)
			invvpid(INVVPID_ALL, 0, GVA(0));
		vmwrite(VMCS_VPID, vpid);
	}
	v->tag_generation = c->tags.generation;
	if (!v->vmx.flush_tdp)
		return;
	v->vmx.flush_tdp = false;
	if (vmx_setup.ept_vpid & EPT_CAP_INVEPT_ONE)
		invept(INVEPT_ONE, v->vmx.eptp);
	else
		invept(INVEPT_ALL, 0);
}
