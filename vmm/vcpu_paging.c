/* SPDX-License-Identifier: BSD-2-Clause */
#include "vmm/vcpu_paging.h"

#include <string.h>

#include "arch/x86/regs.h"
#include "mm/guest.h"
#include "vmm/vm.h"

static void update_paging(struct vcpu *v, uint64_t cr0, uint64_t cr4, uint64_t efer)
{
	struct guest_paging *p = &v->paging;

	p->cr0 = cr0;
	p->cr4 = cr4;
	p->efer = efer;
	p->maxphyaddr = v->vm->cpuid.ext[8].eax & 0xff;
	p->has_1g_pages = cpuid_has(&v->vm->cpuid, CPUID_PAGE_1GB);
	p->amd = cpuid_is_amd(&v->vm->cpuid);
	guest_paging_update(p);
}

/* PKRU stays in the CPU between a guest's exits, as the rest of the XSAVE state does. */
static uint32_t read_pkru(void)
{
	uint32_t eax, edx;

	__asm__ volatile("rdpkru" : "=a"(eax), "=d"(edx) : "c"(0));
	return eax;
}

/*
 * They are in registers; or NPT hardware reads PDPTEs from memory at each walk, and the guest got
 * here with these, so they are not checked again: QEMU sets the accessed bit in them, which is
 * reserved by the book.
 */
static void read_pdptes(struct vcpu *v, struct guest_paging *p)
{
	if (virt_has_pdptes(&v->virt))
		virt_pdptes_read(&v->virt, p->pdpte);
	else if (guest_read(&v->vm->mem, GPA(p->cr3 & GENMASK_ULL(31, 5)), p->pdpte,
			    sizeof(p->pdpte)))
		memset(p->pdpte, 0xff, sizeof(p->pdpte)); /* nobody there */
}

/* The guest changes its control registers without exits: look whether it has. */
const struct guest_paging *vcpu_paging(struct vcpu *v)
{
	struct guest_paging *p = &v->paging;
	uint64_t cr0 = virt_reg_read(&v->virt, VREG_CR0);
	uint64_t cr4 = virt_reg_read(&v->virt, VREG_CR4);
	uint64_t efer = virt_reg_read(&v->virt, VREG_EFER);

	if (unlikely(cr0 != p->cr0 || cr4 != p->cr4 || efer != p->efer || !p->maxphyaddr))
		update_paging(v, cr0, cr4, efer);
	p->cr3 = virt_reg_read(&v->virt, VREG_CR3);
	if (unlikely(p->levels == 3))
		read_pdptes(v, p);
	if (unlikely(cr4 & CR4_PKE))
		p->pkru = read_pkru();
	return p;
}
