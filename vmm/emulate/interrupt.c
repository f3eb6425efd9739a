/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Interrupts and exceptions, by an instruction or from outside. Those of real mode are here: three
 * words on the stack, and the vector table at IDTR (SDM volume 3, 20.1.4); for the other modes see
 * gate.c. The way back from a handler is iret.c's.
 */
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

static int deliver(struct emul_ctx *c, const struct emul_event *ev, uint64_t rip, uint64_t *target)
{
	if (c->mode == EMUL_REAL)
		return enter_handler(c, ev->vector, rip, target);
	return emul_gate(c, ev, rip, target);
}

/* INT n of virtual-8086 mode wants IOPL 3; with CR4.VME it may go to another table: not by us. */
static int check_vm86(struct emul_ctx *c)
{
	uint64_t cr4 = 0;
	int err;

	if (c->mode != EMUL_VM86 || c->insn.op != OP_INT)
		return EMUL_OK;
	err = c->ops->cr_read(c, 4, &cr4);
	if (!err && (cr4 & CR4_VME))
		err = EMUL_UNHANDLED;
	if (err)
		return err;
	return FIELD_GET(RFLAGS_IOPL, c->rflags) == 3 ? EMUL_OK : emul_set_fault(c, X86_TRAP_GP, 0);
}

/* INT n, INT1, INT3, INTO: no single-step trap comes after the one that was just taken. */
int emul_exec_int(struct emul_ctx *c)
{
	struct emul_event ev = {.vector = vector_of(&c->insn), .software = c->insn.op != OP_INT1};
	int err;

	if (c->insn.op == OP_INTO && !(c->rflags & RFLAGS_OF))
		return EMUL_OK;
	err = check_vm86(c);
	if (!err)
		err = deliver(c, &ev, c->next_rip, &c->next_rip);
	if (!err)
		c->trap = false;
	return err;
}

/* --- from outside ---------------------------------------------------------------------- */

int emul_deliver(struct emul_ctx *c, const struct emul_event *ev)
{
	int err;

	if (!c->ops->table_read)
		return EMUL_UNHANDLED;
	c->segs_dirty = 0;
	c->trap = c->int_shadow = false;
	err = deliver(c, ev, c->rip, &c->rip);
	return err == EMUL_SWITCHED ? EMUL_OK : err;
}
