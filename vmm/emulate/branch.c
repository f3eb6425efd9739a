/* SPDX-License-Identifier: BSD-2-Clause */
/* Near control transfers. The target is checked before anything is written. */
#include "vmm/emulate/internal.h"
#include "vmm/emulate/flags.h"

int emul_check_target(struct emul_ctx *c, bool long64, uint32_t limit, uint64_t *target)
{
	*target &= size_mask(c->insn.opsize);
	if (!long64) /* the way out of 64-bit code has 8 bytes, and may lead to EIP */
		*target = (uint32_t)*target;
	if (long64 ? !is_canonical(c, *target) : *target > limit)
		return emul_set_fault(c, X86_TRAP_GP, 0);
	return EMUL_OK;
}

static int check_target(struct emul_ctx *c, uint64_t *target)
{
	bool long64 = c->mode == EMUL_LONG64;

	return emul_check_target(c, long64, long64 ? 0 : emul_segment(c, SEG_CS)->limit, target);
}

static int load_target(struct emul_ctx *c, uint64_t *target)
{
	if (c->insn.opnd[0].kind != OPND_REL)
		return emul_load(c, 0, 0, target);
	*target = c->next_rip + c->insn.imm;
	return EMUL_OK;
}

int emul_exec_jmp(struct emul_ctx *c)
{
	uint64_t target;
	int err = load_target(c, &target);

	if (!err)
		err = check_target(c, &target);
	if (!err)
		c->next_rip = target;
	return err;
}

int emul_exec_call(struct emul_ctx *c)
{
	uint64_t target;
	int err = load_target(c, &target);

	if (err)
		return err;
	if (check_target(c, &target)) { /* a bad stack outranks it */
		err = emul_push_probe(c);
		return err ? err : check_target(c, &target);
	}
	err = emul_push(c, c->next_rip);
	if (!err)
		c->next_rip = target;
	return err;
}

int emul_exec_jcc(struct emul_ctx *c)
{
	return emul_condition(c->rflags, c->insn.opcode) ? emul_exec_jmp(c) : EMUL_OK;
}

int emul_exec_ret(struct emul_ctx *c)
{
	const struct emul_insn *i = &c->insn;
	uint64_t sp = c->gpr[GPR_RSP], extra = i->opnd[0].kind == OPND_IMM ? i->imm : 0, target;
	int err = emul_stack_read(c, sp, i->opsize, &target);

	if (!err)
		err = check_target(c, &target);
	if (err)
		return err;
	emul_stack_set(c, sp + i->opsize + extra);
	c->next_rip = target;
	return EMUL_OK;
}

/* LOOP LOOPE LOOPNE, and JCXZ, which counts nothing. */
int emul_exec_loop(struct emul_ctx *c)
{
	const struct emul_insn *i = &c->insn;
	uint64_t count = c->gpr[GPR_RCX] - (i->op != OP_JCXZ);
	bool taken = cut_address(c, count) != 0, zf = c->rflags & RFLAGS_ZF;
	int err;

	if (i->op == OP_JCXZ)
		taken = !taken;
	else if (i->op != OP_LOOP)
		taken = taken && zf == (i->op == OP_LOOPE);
	err = taken ? emul_exec_jmp(c) : EMUL_OK;
	if (!err && i->op != OP_JCXZ)
		emul_reg_write(c, GPR_RCX, i->adsize, count);
	return err;
}
