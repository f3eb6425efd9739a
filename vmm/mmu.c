/* SPDX-License-Identifier: BSD-2-Clause */
#include "vmm/mmu.h"

#include <errno.h>

#include "arch/x86/cpu.h"
#include "arch/x86/virt_paging.h"
#include "lib/log.h"

static struct spte_format tdp_format __ro_after_init;
static struct shadow_formats shadow_formats __ro_after_init;

void mmu_init(bool small_fetch)
{
	unsigned phys_bits = cpuid(0x80000008).eax & 0xff;

	shadow_formats_init(&shadow_formats, phys_bits,
			    (struct legacy_features){
				    .has_nx = true, /* preflight wants it */
				    .has_smep_smap = true,
			    });

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

const char *mmu_vm_choose(struct vm_mmu *m, enum mmu_choice choice)
{
	m->may_shadow = choice == MMU_SHADOW || (choice == MMU_AUTO && !virt_caps.tdp);
	if (choice == MMU_TDP && !virt_caps.tdp)
		return "mmu=tdp: this machine has no nested paging (NPT, EPT)";
	return NULL;
}

static uint64_t count_frames(struct guest_memory *mem)
{
	const struct slot_array *slots = slots_get(mem);
	uint64_t nr = 0;

	for (uint32_t i = 0; i < slots->nr; i++)
		nr += slots->slot[i].nr_pages;
	return nr;
}

uint64_t mmu_account_pages(const struct vm_mmu *m, struct guest_memory *mem, unsigned nr_vcpus)
{
	if (m->may_shadow)
		return shadow_account_pages(count_frames(mem), nr_vcpus);
	return tdp_account_pages(&tdp_format, slots_get(mem), nr_vcpus);
}

int mmu_vm_init(struct vm_mmu *m, struct guest_memory *mem, struct vm *vm, bool large_pages,
		struct page_account *account)
{
	m->mem = mem;
	if (m->may_shadow) {
		m->shadow = shadow_create(mem, vm, &shadow_formats, account, count_frames(mem));
		return m->shadow ? 0 : -ENOMEM;
	}
	return tdp_init(&m->tdp, mem, vm, &tdp_format, large_pages ? 3 : 1, account);
}

bool mmu_vm_destroy_some(struct vm_mmu *m)
{
	if (!m->shadow)
		return tdp_destroy_some(&m->tdp);
	if (!shadow_destroy_some(m->shadow))
		return false;
	m->shadow = NULL;
	return true;
}

int mmu_vcpu_init(struct vcpu_mmu *v, struct vm_mmu *m)
{
	v->mem = m->mem;
	mmu_forget_mmio(v);
	if (m->shadow) {
		v->shadow = shadow_vcpu_create(m->shadow);
		return v->shadow ? 0 : -ENOMEM;
	}
	tdp_vcpu_init(&v->tdp, &m->tdp);
	return 0;
}

void mmu_vcpu_destroy(struct vcpu_mmu *v)
{
	tdp_vcpu_destroy(&v->tdp);
	if (v->shadow)
		shadow_vcpu_destroy(v->shadow);
	v->shadow = NULL;
}

static void ask_for_exits(struct vcpu_mmu *v, struct virt_vcpu *virt)
{
	if (v->asked_for_exits)
		return;
	v->asked_for_exits = true;
	virt_exit_on_page_fault(virt, true);
	virt_exit_on_invlpg(virt, true);
}

static int load_shadow_root(struct vcpu_mmu *v, struct virt_vcpu *virt,
			    const struct guest_paging *p)
{
	struct virt_paging paging;
	unsigned levels;
	hpa_t root;
	int r = shadow_load_root(v->shadow, p, &root, &levels);

	if (r)
		return r;
	ask_for_exits(v, virt);
	virt_shadow_paging(&paging, root, levels, p->cr0 & CR0_PG);
	virt_set_paging(virt, &paging);
	virt_flush_tdp(virt);
	return 0;
}

int mmu_load_root(struct vcpu_mmu *v, struct virt_vcpu *virt, const struct guest_paging *p)
{
	hpa_t root;
	int r;

	if (v->shadow)
		return load_shadow_root(v, virt, p);
	r = tdp_load_root(&v->tdp, &root);

	if (r)
		return r;
	virt_set_paging(virt, &(struct virt_paging){.root = root});
	virt_flush_tdp(virt);
	return 0;
}
