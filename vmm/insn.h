/* SPDX-License-Identifier: BSD-2-Clause */
/* The emulator applied to a vCPU: emulate the instruction at its RIP, or only measure it. */
#ifndef VMM_INSN_H
#define VMM_INSN_H

#include "vmm/emulate/emulate.h"
#include "vmm/vm.h"

/*
 * Emulate the instruction at RIP, with everything that follows from it: registers, memory and
 * devices, a fault injected, a single-step trap. An instruction that the emulator does not have
 * ends the VM with a report. Owner CPU.
 */
void insn_emulate(struct vcpu *v);

/* The same after EXIT_MEMORY_FAULT: uses what the exit tells about the instruction. */
void insn_emulate_fault(struct vcpu *v, const struct vm_exit *exit);

/*
 * The length of the instruction at RIP if it is `op`; 0 if it is not (any more), or its page has
 * gone, for which the fault is injected: the vCPU then executes it again. Owner CPU.
 */
unsigned insn_length_slow(struct vcpu *v, enum emul_op op);

static inline unsigned insn_slot(const struct vcpu *v)
{
	return (v->virt.rip >> 1) % NR_KNOWN_INSNS;
}

static inline unsigned insn_length(struct vcpu *v, enum emul_op op)
{
	const struct known_insn *k = &v->known[insn_slot(v)];

	uint64_t differs = (k->rip ^ v->virt.rip) | (k->cs_base ^ virt_cs_base(&v->virt)) |
			   (k->cr3 ^ virt_reg_read(&v->virt, VREG_CR3)) |
			   (k->slots_generation ^ slots_generation(&v->vm->mem));

	if (likely(!differs && (*k->bytes & k->mask) == k->value))
		return k->len;
	return insn_length_slow(v, op);
}

/* The same, and nothing happens when there is no such instruction: no fault is injected. */
unsigned insn_peek_length(struct vcpu *v, enum emul_op op);

/* How the guest's paging is set up now. Valid until the guest runs again. Owner CPU. */
struct guest_paging;
const struct guest_paging *insn_paging(struct vcpu *v);

#endif
