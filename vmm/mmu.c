/* SPDX-License-Identifier: BSD-2-Clause */
#include "vmm/mmu.h"

#include "arch/x86/cpu.h"
#include "lib/log.h"

static struct spte_format tdp_format __ro_after_init;

void mmu_init(bool small_fetch)
{
	unsigned phys_bits = cpuid(0x80000008).eax & 0xff;

	if (virt_caps.ept)
		spte_format_ept(&tdp_format, phys_bits,
				(struct ept_features){
					.has_ad = virt_caps.tdp_has_ad,
					.has_1g = virt_caps.tdp_has_1g,
					.has_exec_only = virt_caps.tdp_has_exec_only,
					.logs_writes = virt_caps.tdp_logs_writes,
				});
	else
		spte_format_npt(&tdp_format, phys_bits, virt_caps.tdp_has_1g);
	if (small_fetch) {
		spte_format_fetch_small(&tdp_format);
		log_info("mmu: guests execute 4K pages only");
	}
}

const char *mmu_obstacle(void)
{
	if (virt_caps.tdp)
		return NULL;
	return "this machine cannot run guests yet: they need the shadow MMU, because nested paging "
	       "(NPT, EPT) is missing";
}

void mmu_vm_choose(struct vm_mmu *m)
{
	m->may_shadow = !virt_caps.tdp;
}

uint64_t mmu_account_pages(struct guest_memory *mem, unsigned nr_vcpus)
{
	return tdp_account_pages(&tdp_format, slots_get(mem), nr_vcpus);
}

int mmu_vm_init(struct vm_mmu *m, struct guest_memory *mem, struct vm *vm, bool large_pages,
		struct page_account *account)
{
	m->mem = mem;
	return tdp_init(&m->tdp, mem, vm, &tdp_format, large_pages ? 3 : 1, account);
}

bool mmu_vm_destroy_some(struct vm_mmu *m)
{
	return tdp_destroy_some(&m->tdp);
}

void mmu_vcpu_init(struct vcpu_mmu *v, struct vm_mmu *m)
{
	v->mem = m->mem;
	mmu_forget_mmio(v);
	tdp_vcpu_init(&v->tdp, &m->tdp);
}

void mmu_vcpu_destroy(struct vcpu_mmu *v)
{
	tdp_vcpu_destroy(&v->tdp);
}

int mmu_load_root(struct vcpu_mmu *v, struct virt_vcpu *virt)
{
	hpa_t root;
	int r = tdp_load_root(&v->tdp, &root);

	if (r)
		return r;
	virt_set_paging(virt, &(struct virt_paging){.root = root});
	virt_flush_tdp(virt);
	return 0;
}
