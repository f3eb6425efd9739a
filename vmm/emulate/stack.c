/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The stack. Values are written before rSP moves, so that a fault leaves rSP where it was: what
 * lies below rSP belongs to nobody, and the instruction writes it again.
 */
#include "vmm/emulate/flags.h"
#include "vmm/emulate/internal.h"

/* How much of rSP is the stack pointer, in bytes. */
static unsigned stack_size(struct emul_ctx *c)
{
	if (c->mode == EMUL_LONG64)
		return 8;
	return emul_segment(c, SEG_SS)->attr & SEG_ATTR_DB ? 4 : 2;
}

void emul_stack_set(struct emul_ctx *c, uint64_t sp)
{
	emul_reg_write(c, GPR_RSP, stack_size(c), sp);
}

static int stack_address(struct emul_ctx *c, uint64_t sp, unsigned size, unsigned access, gva_t *la)
{
	return emul_linear(c, SEG_SS, sp & size_mask(stack_size(c)), size, access, la);
}

int emul_stack_write(struct emul_ctx *c, uint64_t sp, unsigned size, uint64_t val)
{
	gva_t la;
	int err = stack_address(c, sp, size, EMUL_ACC_WRITE, &la);

	return err ? err : emul_mem_write(c, la, &val, size);
}

int emul_stack_read(struct emul_ctx *c, uint64_t sp, unsigned size, uint64_t *val)
{
	gva_t la;
	int err = stack_address(c, sp, size, 0, &la);

	*val = 0;
	return err ? err : emul_mem_read(c, la, val, size, 0);
}

/* AMD's CPUs read the whole slot (POP.v in APM volume 3); Intel's look at the selector alone. */
int emul_stack_read_selector(struct emul_ctx *c, uint64_t sp, uint16_t *selector)
{
	bool whole = c->insn.opsize > 2 && c->ops->is_amd(c);
	uint64_t val;
	int err = emul_stack_read(c, sp, whole ? c->insn.opsize : 2, &val);

	*selector = val;
	return err;
}

static int probe_write(struct emul_ctx *c, uint64_t sp, unsigned size)
{
	gva_t la;
	int err = stack_address(c, sp, size, EMUL_ACC_WRITE, &la);

	return err ? err : emul_mem_probe_write(c, la, size);
}

int emul_push_probe(struct emul_ctx *c)
{
	return probe_write(c, c->gpr[GPR_RSP] - c->insn.opsize, c->insn.opsize);
}

int emul_push(struct emul_ctx *c, uint64_t val)
{
	unsigned size = c->insn.opsize;
	uint64_t sp = c->gpr[GPR_RSP] - size;
	int err = emul_stack_write(c, sp, size, val);

	if (!err)
		emul_stack_set(c, sp);
	return err;
}

int emul_exec_push(struct emul_ctx *c)
{
	uint64_t val;
	int err = emul_load(c, 0, 0, &val);

	return err ? err : emul_push(c, val);
}

int emul_exec_push_seg(struct emul_ctx *c)
{
	return emul_push(c, emul_segment(c, c->insn.opnd[0].reg)->selector);
}

/* A memory destination is addressed with rSP already moved; POP rSP ends with the value popped. */
int emul_exec_pop(struct emul_ctx *c)
{
	unsigned size = c->insn.opsize;
	uint64_t old = c->gpr[GPR_RSP], val;
	int err = emul_stack_read(c, old, size, &val);

	if (err)
		return err;
	emul_stack_set(c, old + size);
	err = emul_store(c, 0, val);
	if (err)
		c->gpr[GPR_RSP] = old;
	return err;
}

int emul_exec_pusha(struct emul_ctx *c)
{
	unsigned size = c->insn.opsize;
	uint64_t sp = c->gpr[GPR_RSP];
	int err;

	for (unsigned reg = GPR_RAX; reg <= GPR_RDI; reg++) {
		sp -= size;
		err = emul_stack_write(c, sp, size, c->gpr[reg]);
		if (err)
			return err;
	}
	emul_stack_set(c, sp);
	return EMUL_OK;
}

int emul_exec_popa(struct emul_ctx *c)
{
	unsigned size = c->insn.opsize;
	uint64_t sp = c->gpr[GPR_RSP], val[GPR_RDI + 1];
	int err;

	for (int reg = GPR_RDI; reg >= GPR_RAX; reg--) {
		err = emul_stack_read(c, sp, size, &val[reg]);
		if (err)
			return err;
		sp += size;
	}
	for (unsigned reg = GPR_RAX; reg <= GPR_RDI; reg++)
		if (reg != GPR_RSP)
			emul_reg_write(c, reg, size, val[reg]);
	emul_stack_set(c, sp);
	return EMUL_OK;
}

static bool may_touch_flags(const struct emul_ctx *c)
{
	return c->mode != EMUL_VM86 || FIELD_GET(RFLAGS_IOPL, c->rflags) == 3;
}

int emul_exec_pushf(struct emul_ctx *c)
{
	if (!may_touch_flags(c))
		return emul_set_fault(c, X86_TRAP_GP, 0);
	return emul_push(c, c->rflags & ~(RFLAGS_VM | RFLAGS_RF));
}

/* What POPF and IRET may change at this privilege (APM volume 3, POPF; never VM, VIF, VIP). */
uint64_t emul_writable_flags(const struct emul_ctx *c, unsigned size)
{
	uint64_t mask = FLAGS_ARITH | RFLAGS_TF | RFLAGS_DF | RFLAGS_NT;

	if (size > 2)
		mask |= RFLAGS_AC | RFLAGS_ID;
	if (c->cpl <= FIELD_GET(RFLAGS_IOPL, c->rflags))
		mask |= RFLAGS_IF;
	if (c->cpl == 0)
		mask |= RFLAGS_IOPL;
	return mask;
}

int emul_exec_popf(struct emul_ctx *c)
{
	unsigned size = c->insn.opsize;
	uint64_t sp = c->gpr[GPR_RSP], mask = emul_writable_flags(c, size), val;
	int err;

	if (!may_touch_flags(c))
		return emul_set_fault(c, X86_TRAP_GP, 0);
	err = emul_stack_read(c, sp, size, &val);
	if (err)
		return err;
	c->rflags = (c->rflags & ~mask) | (val & mask);
	emul_stack_set(c, sp + size);
	return EMUL_OK;
}

/* Copy the frame pointers of the enclosing levels, and add that of the new one. */
static int push_display(struct emul_ctx *c, unsigned level, uint64_t frame, uint64_t *sp)
{
	unsigned size = c->insn.opsize;
	uint64_t bp = c->gpr[GPR_RBP], val;
	int err;

	for (unsigned n = 1; n < level; n++) {
		bp -= size;
		err = emul_stack_read(c, bp, size, &val);
		if (err)
			return err;
		*sp -= size;
		err = emul_stack_write(c, *sp, size, val);
		if (err)
			return err;
	}
	*sp -= size;
	return emul_stack_write(c, *sp, size, frame);
}

int emul_exec_enter(struct emul_ctx *c)
{
	const struct emul_insn *i = &c->insn;
	unsigned size = i->opsize, level = i->imm2 & 31;
	uint64_t rsp = c->gpr[GPR_RSP], mask = size_mask(stack_size(c)), sp = rsp - size;
	uint64_t frame = (rsp & ~mask) | (sp & mask); /* all of rSP, however much is the pointer */
	int err = emul_stack_write(c, sp, size, c->gpr[GPR_RBP]);

	if (!err && level)
		err = push_display(c, level, frame, &sp);
	sp -= i->imm;
	if (!err) /* the new top of stack must be writable, though nothing is written there */
		err = probe_write(c, sp, size);
	if (err)
		return err;
	emul_reg_write(c, GPR_RBP, size, frame);
	emul_stack_set(c, sp);
	return EMUL_OK;
}

int emul_exec_leave(struct emul_ctx *c)
{
	unsigned size = c->insn.opsize;
	uint64_t sp = c->gpr[GPR_RBP], val;
	int err = emul_stack_read(c, sp, size, &val);

	if (err)
		return err;
	emul_stack_set(c, sp + size);
	emul_reg_write(c, GPR_RBP, size, val);
	return EMUL_OK;
}
