/* SPDX-License-Identifier: BSD-2-Clause */
#include "vmm/exit/page_fault.h"

#include "arch/x86/regs.h"
#include "vmm/event.h"
#include "vmm/exit/deliver.h"
#include "vmm/exit/insn.h"
#include "vmm/vcpu_paging.h"
#include "vmm/vm.h"

/*
 * The access as the walk of the guest's tables wants to know it. A supervisor access while the CPL
 * is 3 is one that the CPU makes by itself, to a descriptor table or a TSS.
 */
static uint32_t access_of(struct vcpu *v, uint32_t error)
{
	uint32_t access = error & (PFERR_WRITE | PFERR_USER | PFERR_FETCH);

	if (access & PFERR_USER)
		return access;
	if (virt_cpl(&v->virt) == 3)
		return access | WALK_IMPLICIT;
	return virt_rflags(&v->virt) & RFLAGS_AC ? access | WALK_AC : access;
}

static bool is_memory(struct vcpu *v, gpa_t gpa)
{
	return slots_find(&v->vm->mem, gpa_to_gfn(gpa));
}

/*
 * The CPU itself writes a stack or a TSS that lies in a guest table, or the emulator does not know
 * the instruction that writes one: such a table is not shadowed for a while.
 */
static bool give_up_table(struct vcpu *v, gpa_t gpa)
{
	return is_memory(v, gpa) && mmu_unprotect(&v->mmu, gpa, v->virt.rip);
}

static void emulate(struct vcpu *v, const struct vm_exit *exit, gpa_t gpa)
{
	struct vm_exit known = *exit;

	if (v->virt.idt_event.type != EVENT_NONE) {
		if (!give_up_table(v, gpa))
			deliver_interrupted(v);
		return;
	}
	known.fault.gpa = gpa;
	known.fault.error &= ~PFERR_RSVD;
	if (likely(insn_emulate_fault(v, &known)))
		return;
	if (!give_up_table(v, gpa))
		insn_refuse(v);
}

void page_fault_exit(struct vcpu *v, const struct vm_exit *exit)
{
	struct shadow_fault f = {
		.gva = exit->fault.gva,
		.access = access_of(v, exit->fault.error),
	};

	switch (mmu_page_fault(&v->mmu, vcpu_paging(v), &f)) {
	case RET_PF_FIXED:
	case RET_PF_SPURIOUS:
	case RET_PF_RETRY:
		break;
	case RET_PF_GUEST:
		event_inject_page_fault(v, f.gva, f.error);
		break;
	case RET_PF_EMULATE:
		emulate(v, exit, f.gpa);
		break;
	default:
		vm_bug(v, VM_UMBRA_FAULT, "no page left for its page tables at gva %llx",
		       (unsigned long long)f.gva.v);
	}
}

/* Of an address that the CPU does not tell, the emulator makes one of all. */
void invlpg_exit(struct vcpu *v, const struct vm_exit *exit)
{
	unsigned len;

	if (!exit->invlpg.known) {
		insn_emulate_or_refuse(v);
		return;
	}
	len = insn_exit_length(v, OP_INVLPG);
	if (!len)
		return;
	mmu_invlpg(&v->mmu, exit->invlpg.gva);
	virt_flush_gva(&v->virt, exit->invlpg.gva);
	vcpu_skip(v, len);
}
