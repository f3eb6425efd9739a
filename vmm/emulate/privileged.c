/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Instructions on the CPU's own state: control and debug registers, descriptor tables, the FPU's
 * control words, and those that are the owner's business altogether. Privilege is checked here;
 * values are checked by the owner's callbacks.
 */
#include "vmm/emulate/internal.h"

static int check_cpl0(struct emul_ctx *c)
{
	return c->cpl ? emul_set_fault(c, X86_TRAP_GP, 0) : EMUL_OK;
}

/* CR4.UMIP keeps programs from asking where the tables are. */
static int check_umip(struct emul_ctx *c)
{
	uint64_t cr4 = 0;
	int err = c->cpl ? c->ops->cr_read(c, 4, &cr4) : EMUL_OK;

	if (err)
		return err;
	return cr4 & CR4_UMIP ? emul_set_fault(c, X86_TRAP_GP, 0) : EMUL_OK;
}

/* --- control registers --------------------------------------------------------------- */

int emul_exec_mov_from_cr(struct emul_ctx *c)
{
	uint64_t val = 0;
	int err = check_cpl0(c);

	if (!err)
		err = c->ops->cr_read(c, c->insn.opnd[1].reg, &val);
	return err ? err : emul_store(c, 0, val);
}

int emul_exec_mov_to_cr(struct emul_ctx *c)
{
	uint64_t val;
	int err = check_cpl0(c);

	if (!err)
		err = emul_load(c, 1, 0, &val);
	return err ? err : c->ops->cr_write(c, c->insn.opnd[0].reg, val);
}

int emul_exec_clts(struct emul_ctx *c)
{
	uint64_t cr0 = 0;
	int err = check_cpl0(c);

	if (!err)
		err = c->ops->cr_read(c, 0, &cr0);
	return err ? err : c->ops->cr_write(c, 0, cr0 & ~CR0_TS);
}

/* Writes the low four bits of CR0, and cannot clear PE. */
int emul_exec_lmsw(struct emul_ctx *c)
{
	uint64_t cr0 = 0, val;
	int err = check_cpl0(c);

	if (!err)
		err = emul_load(c, 0, 0, &val);
	if (!err)
		err = c->ops->cr_read(c, 0, &cr0);
	if (err)
		return err;
	return c->ops->cr_write(c, 0, (cr0 & ~(CR0_MP | CR0_EM | CR0_TS)) | (val & 0xf));
}

int emul_exec_smsw(struct emul_ctx *c)
{
	uint64_t cr0 = 0;
	int err = check_umip(c);

	if (!err)
		err = c->ops->cr_read(c, 0, &cr0);
	return err ? err : emul_store(c, 0, cr0);
}

/* --- debug registers ----------------------------------------------------------------- */

/*
 * DR4 and DR5 are other names of DR6 and DR7, or none with CR4.DE; and DR7.GD guards them all. The
 * #DB of that is a fault, and clears GD.
 */
static int find_debug_register(struct emul_ctx *c, unsigned *dr)
{
	uint64_t cr4 = 0, dr6 = 0, dr7 = 0;
	int err = check_cpl0(c);

	if (!err)
		err = c->ops->cr_read(c, 4, &cr4);
	if (!err && (*dr == 4 || *dr == 5) && (cr4 & CR4_DE))
		err = emul_set_fault(c, X86_TRAP_UD, 0);
	if (!err)
		err = c->ops->dr_read(c, 7, &dr7);
	if (err)
		return err;
	if (*dr == 4 || *dr == 5)
		*dr += 2;
	if (!(dr7 & DR7_GD))
		return EMUL_OK;
	c->ops->dr_read(c, 6, &dr6);
	c->ops->dr_write(c, 6, dr6 | DR6_BD);
	c->ops->dr_write(c, 7, dr7 & ~DR7_GD);
	return emul_set_fault(c, X86_TRAP_DB, 0);
}

int emul_exec_mov_from_dr(struct emul_ctx *c)
{
	unsigned dr = c->insn.opnd[1].reg;
	uint64_t val = 0;
	int err = find_debug_register(c, &dr);

	if (!err)
		err = c->ops->dr_read(c, dr, &val);
	return err ? err : emul_store(c, 0, val);
}

int emul_exec_mov_to_dr(struct emul_ctx *c)
{
	unsigned dr = c->insn.opnd[0].reg;
	uint64_t val;
	int err = find_debug_register(c, &dr);

	if (!err)
		err = emul_load(c, 1, 0, &val);
	if (!err && dr >= 6 && val >> 32)
		err = emul_set_fault(c, X86_TRAP_GP, 0);
	return err ? err : c->ops->dr_write(c, dr, val);
}

/* --- descriptor tables --------------------------------------------------------------- */

/* The limit, and a base of 4 bytes (8 in 64-bit mode), whatever the operand size. */
#define TABLE_LEN(c) ((c)->mode == EMUL_LONG64 ? 10u : 6u)

/* SGDT SIDT. */
int emul_exec_store_table(struct emul_ctx *c)
{
	struct desc_table t;
	uint8_t buf[10];
	int err = check_umip(c);

	if (err)
		return err;
	c->ops->table_read(c, c->insn.op == OP_SGDT ? EMUL_GDT : EMUL_IDT, &t);
	__builtin_memcpy(buf, &t.limit, 2);
	__builtin_memcpy(buf + 2, &t.base, 8);
	err = emul_linear(c, c->insn.mem.seg, emul_effective_address(c), TABLE_LEN(c),
			  EMUL_ACC_WRITE, &c->la);
	return err ? err : emul_mem_write(c, c->la, buf, TABLE_LEN(c));
}

/* LGDT LIDT: of the base 24 bits with an operand size of 16. */
int emul_exec_load_table(struct emul_ctx *c)
{
	struct desc_table t = {0};
	uint8_t buf[10] = {0};
	int err = check_cpl0(c);

	if (!err)
		err = emul_linear(c, c->insn.mem.seg, emul_effective_address(c), TABLE_LEN(c), 0,
				  &c->la);
	if (!err)
		err = emul_mem_read(c, c->la, buf, TABLE_LEN(c), 0);
	if (err)
		return err;
	__builtin_memcpy(&t.limit, buf, 2);
	__builtin_memcpy(&t.base, buf + 2, 8);
	if (c->insn.opsize == 2)
		t.base &= 0xffffff;
	if (c->mode == EMUL_LONG64 && !is_canonical(c, t.base))
		return emul_set_fault(c, X86_TRAP_GP, 0);
	c->ops->table_write(c, c->insn.op == OP_LGDT ? EMUL_GDT : EMUL_IDT, &t);
	return EMUL_OK;
}

/* SLDT and STR: memory takes the 16 bits, a register is zero-extended. */
int emul_exec_store_selector(struct emul_ctx *c)
{
	int err = check_umip(c);

	if (err)
		return err;
	return emul_store(c, 0,
			  emul_segment(c, c->insn.op == OP_STR ? SEG_TR : SEG_LDTR)->selector);
}

/* --- the FPU ------------------------------------------------------------------------- */

/* #NM with CR0.EM or TS; FWAIT looks at TS only together with MP. */
static int check_fpu(struct emul_ctx *c)
{
	uint64_t cr0 = 0;
	int err = c->ops->cr_read(c, 0, &cr0);
	bool off = c->insn.op == OP_FWAIT ? (cr0 & CR0_TS) && (cr0 & CR0_MP)
					  : (cr0 & (CR0_TS | CR0_EM)) != 0;

	if (err)
		return err;
	return off ? emul_set_fault(c, X86_TRAP_NM, 0) : EMUL_OK;
}

/* FNINIT FNCLEX FNSTCW FNSTSW FLDCW FWAIT. */
int emul_exec_fpu(struct emul_ctx *c)
{
	bool stores = c->insn.op == OP_FNSTCW || c->insn.op == OP_FNSTSW;
	uint64_t val = 0;
	uint16_t word;
	int err = check_fpu(c);

	if (!err && c->insn.op == OP_FLDCW)
		err = emul_load(c, 0, 0, &val);
	word = val;
	if (!err)
		err = c->ops->fpu(c, &word);
	return err || !stores ? err : emul_store(c, 0, word);
}

/* --- the owner's --------------------------------------------------------------------- */

int emul_exec_system(struct emul_ctx *c)
{
	return c->ops->system(c);
}

int emul_exec_privileged(struct emul_ctx *c)
{
	int err = check_cpl0(c);

	return err ? err : c->ops->system(c);
}
