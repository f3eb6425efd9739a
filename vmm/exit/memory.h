/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Accesses to guest-physical memory that the tables do not allow: memory to be mapped, or a device.
 * Inline: it comes often, and the run loop of each vendor has its own copy.
 */
#ifndef VMM_EXIT_MEMORY_H
#define VMM_EXIT_MEMORY_H

#include "vmm/exit/insn.h"
#include "vmm/vm.h"

/* Emulate an access where there is no RAM to map: device memory, or a hole. */
static inline void memory_emulate(struct vcpu *v, const struct vm_exit *exit)
{
	if (exit->fault.error & PFERR_GUEST_PT)
		vm_bug(v, VM_KILLED, "page tables in memory that is not there, at gpa %llx",
		       (unsigned long long)exit->fault.gpa.v);
	else if (v->virt.idt_event.type != EVENT_NONE)
		vm_bug(v, VM_KILLED,
		       "event %u delivered through memory that is not there, at gpa %llx",
		       v->virt.idt_event.vector, (unsigned long long)exit->fault.gpa.v);
	else if (unlikely(!insn_emulate_fault(v, exit)))
		insn_refuse(v);
}

/*
 * Map memory; or emulate an access to a device other than the last one used. Out of line: inlined,
 * its stack frame would become part of memory_exit().
 */
static __attribute__((noinline, unused)) void memory_resolve(struct vcpu *v,
							     const struct vm_exit *exit)
{
	switch (mmu_fault(&v->mmu, exit->fault.gpa, exit->fault.error)) {
	case RET_PF_FIXED:
	case RET_PF_SPURIOUS:
	case RET_PF_RETRY:
		break;
	case RET_PF_EMULATE:
		memory_emulate(v, exit);
		break;
	default:
		vm_bug(v, VM_UMBRA_FAULT, "no page left for its page tables at gpa %llx",
		       (unsigned long long)exit->fault.gpa.v);
	}
}

/* EXIT_MEMORY_FAULT. Owner CPU. */
static __always_inline void memory_exit(struct vcpu *v, const struct vm_exit *exit)
{
	if (mmu_is_known_mmio(&v->mmu, exit->fault.gpa, exit->fault.error)) {
		mmu_count_mmio(&v->mmu);
		memory_emulate(v, exit);
	} else {
		memory_resolve(v, exit);
	}
}

#endif
