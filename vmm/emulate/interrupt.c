/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Interrupts and exceptions of real mode, by an instruction or from outside, and the way back from
 * their handlers: three words on the stack, and the vector table at IDTR (SDM volume 3, 20.1.4). In
 * protected mode, what task gates are for: see task.c.
 */
#include "vmm/emulate/flags.h"
#include "vmm/emulate/internal.h"

static int read_vector(struct emul_ctx *c, uint8_t vector, uint16_t far[2])
{
	struct desc_table idt;

	c->ops->table_read(c, EMUL_IDT, &idt);
	if (4u * vector + 3 > idt.limit)
		return emul_set_fault(c, X86_TRAP_GP, 0);
	return emul_mem_read(c, GVA((uint32_t)(idt.base + 4u * vector)), far, 4, EMUL_ACC_SYSTEM);
}

/* FLAGS, CS and IP, from high to low addresses. */
static int push_frame(struct emul_ctx *c, uint64_t rip)
{
	uint64_t sp = c->gpr[GPR_RSP];
	int err = emul_stack_write(c, sp - 2, 2, c->rflags);

	if (!err)
		err = emul_stack_write(c, sp - 4, 2, emul_segment(c, SEG_CS)->selector);
	if (!err)
		err = emul_stack_write(c, sp - 6, 2, rip);
	if (!err)
		emul_stack_set(c, sp - 6);
	return err;
}

/* To the handler: CS and *target are its first instruction. */
static int enter_handler(struct emul_ctx *c, uint8_t vector, uint64_t rip, uint64_t *target)
{
	uint16_t far[2];
	struct segment cs;
	int err = read_vector(c, vector, far);

	if (!err)
		err = push_frame(c, rip);
	if (err)
		return err;
	cs = emul_segment_real(c, SEG_CS, far[1]);
	emul_segment_set(c, SEG_CS, &cs);
	*target = far[0];
	c->rflags &= ~(RFLAGS_IF | RFLAGS_TF | RFLAGS_AC | RFLAGS_RF);
	return EMUL_OK;
}

static uint8_t vector_of(const struct emul_insn *i)
{
	switch (i->op) {
	case OP_INT1:
		return X86_TRAP_DB;
	case OP_INT3:
		return X86_TRAP_BP;
	case OP_INTO:
		return X86_TRAP_OF;
	default:
		return i->imm;
	}
}

/* INT n, INT1, INT3, INTO: no single-step trap comes after the one that was just taken. */
int emul_exec_int(struct emul_ctx *c)
{
	if (c->insn.op == OP_INTO && !(c->rflags & RFLAGS_OF))
		return EMUL_OK;
	if (c->mode != EMUL_REAL)
		return emul_task_interrupt(c, vector_of(&c->insn));
	c->trap = false;
	return enter_handler(c, vector_of(&c->insn), c->next_rip, &c->next_rip);
}

/* The frame: rIP, CS, rFLAGS; the last is read first. */
static int pop_frame(struct emul_ctx *c, uint64_t *rip, uint16_t *selector, uint64_t *rflags)
{
	uint64_t sp = c->gpr[GPR_RSP];
	unsigned size = c->insn.opsize;
	int err = emul_stack_read(c, sp + 2 * size, size, rflags);

	if (!err)
		err = emul_stack_read_selector(c, sp + size, selector);
	return err ? err : emul_stack_read(c, sp, size, rip);
}

/* By a task switch? Long mode has none. */
static bool is_nested(const struct emul_ctx *c)
{
	return is_protected(c) && (c->rflags & RFLAGS_NT);
}

/* With a stack in any case: not by us. */
static int check_return(struct emul_ctx *c)
{
	if (is_nested(c))
		return emul_set_fault(c, X86_TRAP_GP, 0);
	return c->mode == EMUL_VM86 || c->mode == EMUL_LONG64 ? EMUL_UNHANDLED : EMUL_OK;
}

/* Back to virtual-8086 mode: not by us either. */
static bool is_return_to_vm86(const struct emul_ctx *c, uint64_t flags)
{
	return is_protected(c) && !c->lma && c->cpl == 0 && (flags & RFLAGS_VM);
}

int emul_exec_iret(struct emul_ctx *c)
{
	unsigned size = c->insn.opsize;
	uint64_t end = c->gpr[GPR_RSP] + 3 * size, mask = emul_writable_flags(c, size);
	uint64_t rip, rflags;
	uint16_t selector;
	struct segment cs;
	int err;

	if (is_nested(c) && !c->lma)
		return emul_task_return(c);
	err = check_return(c);
	if (!err)
		err = pop_frame(c, &rip, &selector, &rflags);
	if (!err && size > 2 && is_return_to_vm86(c, rflags))
		err = EMUL_UNHANDLED;
	if (!err)
		err = emul_return_level(c, selector, end);
	if (!err)
		err = emul_far_target(c, selector, &rip, &cs);
	if (err)
		return err;
	if (size > 2)
		mask |= RFLAGS_RF;
	c->rflags = (c->rflags & ~(mask | RFLAGS_RF)) | (rflags & mask);
	emul_stack_set(c, end);
	emul_far_commit(c, &cs, rip);
	return EMUL_OK;
}

/* --- from outside ---------------------------------------------------------------------- */

int emul_deliver(struct emul_ctx *c, uint8_t vector, bool exception)
{
	int err;

	if (c->mode != EMUL_REAL || !c->ops->table_read)
		return EMUL_UNHANDLED;
	c->segs_dirty = 0;
	for (;;) {
		err = enter_handler(c, vector, c->rip, &c->rip);
		if (err != EMUL_FAULT)
			return err;
		if (exception && vector == X86_TRAP_DF)
			return EMUL_SHUTDOWN;
		if (exception && emul_makes_double_fault(vector, c->fault.vector))
			vector = X86_TRAP_DF;
		else
			vector = c->fault.vector;
		exception = true;
	}
}
