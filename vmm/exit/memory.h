/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Accesses to guest-physical memory that the tables do not allow: memory to be mapped, or a device.
 * Inline: it comes often, and the run loop of each vendor has its own copy.
 */
#ifndef VMM_EXIT_MEMORY_H
#define VMM_EXIT_MEMORY_H

#include "vmm/exit/deliver.h"
#include "vmm/exit/insn.h"
#include "vmm/vm.h"

/*
 * Where there is no RAM to map, or it is read-only: emulate the access of the instruction, or of an
 * event's delivery. What the CPU writes there by itself (accessed, dirty and busy bits, frames) is
 * lost, as all writes, and what it reads from nothing is all ones. So page tables are walked in
 * software, for this instruction alone: no entry could let the CPU read them and not write.
 */
static inline void memory_emulate(struct vcpu *v, const struct vm_exit *exit)
{
	if (unlikely(v->virt.idt_event.type != EVENT_NONE))
		deliver_interrupted(v);
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
