/* SPDX-License-Identifier: BSD-2-Clause */
/* The emulator applied to a vCPU: emulate the instruction at its RIP, or only measure it. */
#ifndef VMM_EXIT_INSN_H
#define VMM_EXIT_INSN_H

#include "vmm/emulate/emulate.h"
#include "vmm/vm.h"

/*
 * Emulate the instruction at RIP with all its effects: on registers, memory and devices, the fault
 * that it raises, a single-step trap. False: the emulator does not know this instruction, and
 * nothing has happened; the caller decides what to do. Owner CPU.
 */
bool insn_emulate(struct vcpu *v);

/* The same after EXIT_MEMORY_FAULT; uses the exit's information about the instruction. */
bool insn_emulate_fault(struct vcpu *v, const struct vm_exit *exit);

/*
 * The emulator does not know the instruction at RIP: an #UD, and a line that names its bytes. Where
 * there is no memory at RIP the VM ends. Owner CPU.
 */
void insn_refuse(struct vcpu *v);

/* Emulate the instruction at RIP, or refuse it if the emulator does not know it. Owner CPU. */
static inline void insn_emulate_or_refuse(struct vcpu *v)
{
	if (unlikely(!insn_emulate(v)))
		insn_refuse(v);
}

/*
 * The length of the instruction at RIP if it is `op`. 0: it is another one (by now), or its page
 * is not mapped any more and a page fault is injected; the vCPU then executes the instruction
 * again. Owner CPU.
 */
unsigned insn_length_slow(struct vcpu *v, enum emul_op op);

/* An encoding without prefixes, which is how compilers and kernels write it. */
struct plain_insn {
	uint32_t value; /* the bytes, the first in bits 7:0 */
	uint8_t len;    /* 0: there is none */
};

static __always_inline struct plain_insn insn_plain(enum emul_op op)
{
	switch (op) {
	case OP_CPUID:
		return (struct plain_insn){0xa20f, 2};
	case OP_RDMSR:
		return (struct plain_insn){0x320f, 2};
	case OP_WRMSR:
		return (struct plain_insn){0x300f, 2};
	case OP_WBINVD:
		return (struct plain_insn){0x090f, 2};
	case OP_VMMCALL:
		return (struct plain_insn){0xd9010f, 3};
	case OP_HLT:
		return (struct plain_insn){0xf4, 1};
	default:
		return (struct plain_insn){};
	}
}

static inline struct known_insn *insn_known(struct vcpu *v)
{
	return &v->known[(v->virt.rip >> 1) % NR_KNOWN_INSNS];
}

static __always_inline unsigned insn_length(struct vcpu *v, enum emul_op op)
{
	const struct known_insn *k = insn_known(v);
	struct plain_insn plain = insn_plain(op);
	uint32_t mask = plain.len ? ~0u >> (32 - 8 * plain.len) : 0;
	uint64_t differs = (k->rip ^ v->virt.rip) | (k->cs_base ^ virt_cs_base(&v->virt)) |
			   (k->cr3 ^ virt_reg_read(&v->virt, VREG_CR3)) |
			   (k->slots_generation ^ slots_generation(&v->vm->mem));

	/* An entry that was never filled in has a generation that slots never have. */
	if (likely(plain.len && !differs && *k->leaf_at == k->leaf &&
		   (*k->bytes & mask) == plain.value))
		return plain.len;
	return insn_length_slow(v, op);
}

/* The length of the instruction that exited, which is `op`; 0: the guest executes it again. */
static __always_inline unsigned insn_exit_length(struct vcpu *v, enum emul_op op)
{
	unsigned len = virt_insn_len(&v->virt);

	return likely(len) ? len : insn_length(v, op);
}

/* The same as insn_length_slow(), but never injects a fault. */
unsigned insn_peek_length(struct vcpu *v, enum emul_op op);

#endif
