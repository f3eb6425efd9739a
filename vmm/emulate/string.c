/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * String instructions and ports. Each iteration of a repeated one is a commit of its own, so a
 * fault in the middle leaves registers from which the instruction goes on.
 */
#include "vmm/emulate/flags.h"
#include "vmm/emulate/internal.h"

/* --- who may use a port (APM volume 2, 12.2.4; SDM volume 1, 19.5) ------------------- */

#define TSS_MAP_BASE    102 /* where the TSS says where its bitmap begins */
#define TSS_LIMIT_LEAST 103

static int read_tss(struct emul_ctx *c, const struct segment *tr, unsigned offset, uint16_t *val)
{
	uint64_t la = tr->base + offset;

	return emul_mem_read(c, GVA(c->lma ? la : (uint32_t)la), val, 2, EMUL_ACC_SYSTEM);
}

/* The bit of each port that is touched must be there, and be 0. */
static int check_bitmap(struct emul_ctx *c, uint16_t port, unsigned size)
{
	const struct segment *tr = emul_segment(c, SEG_TR);
	unsigned type = tr->attr & (SEG_ATTR_P | SEG_ATTR_S | SEG_ATTR_TYPE) & ~TYPE_TSS_BUSY, at;
	uint16_t base, bits;
	int err;

	if (type != (SEG_ATTR_P | TYPE_TSS32) || tr->limit < TSS_LIMIT_LEAST)
		return emul_set_fault(c, X86_TRAP_GP, 0);
	err = read_tss(c, tr, TSS_MAP_BASE, &base);
	if (err)
		return err;
	at = base + port / 8u;
	if (at + 1 > tr->limit) /* always two bytes */
		return emul_set_fault(c, X86_TRAP_GP, 0);
	err = read_tss(c, tr, at, &bits);
	if (err)
		return err;
	return (bits >> port % 8) & (BIT(size) - 1) ? emul_set_fault(c, X86_TRAP_GP, 0) : EMUL_OK;
}

static int check_port(struct emul_ctx *c, uint16_t port, unsigned size)
{
	bool free = c->mode != EMUL_VM86 && c->cpl <= FIELD_GET(RFLAGS_IOPL, c->rflags);

	return free ? EMUL_OK : check_bitmap(c, port, size);
}

/* --- string instructions ------------------------------------------------------------- */

static uint64_t index_of(const struct emul_ctx *c, enum gpr reg)
{
	return cut_address(c, c->gpr[reg]);
}

static void advance(struct emul_ctx *c, enum gpr reg, unsigned size)
{
	uint64_t step = c->rflags & RFLAGS_DF ? -(uint64_t)size : size;

	emul_reg_write(c, reg, c->insn.adsize, c->gpr[reg] + step);
}

static int load_source(struct emul_ctx *c, unsigned size, uint64_t *val)
{
	gva_t la;
	int err = emul_linear(c, c->insn.mem.seg, index_of(c, GPR_RSI), size, 0, &la);

	*val = 0;
	return err ? err : emul_mem_read(c, la, val, size, 0);
}

static int dest_address(struct emul_ctx *c, unsigned size, unsigned access, gva_t *la)
{
	return emul_linear(c, SEG_ES, index_of(c, GPR_RDI), size, access, la);
}

static int load_dest(struct emul_ctx *c, unsigned size, uint64_t *val)
{
	gva_t la;
	int err = dest_address(c, size, 0, &la);

	*val = 0;
	return err ? err : emul_mem_read(c, la, val, size, 0);
}

static int store_dest(struct emul_ctx *c, unsigned size, uint64_t val)
{
	gva_t la;
	int err = dest_address(c, size, EMUL_ACC_WRITE, &la);

	return err ? err : emul_mem_write(c, la, &val, size);
}

static int movs(struct emul_ctx *c, unsigned size)
{
	uint64_t val;
	int err = load_source(c, size, &val);

	if (!err)
		err = store_dest(c, size, val);
	if (err)
		return err;
	advance(c, GPR_RSI, size);
	advance(c, GPR_RDI, size);
	return EMUL_OK;
}

static int stos(struct emul_ctx *c, unsigned size)
{
	int err = store_dest(c, size, c->gpr[GPR_RAX]);

	if (!err)
		advance(c, GPR_RDI, size);
	return err;
}

static int lods(struct emul_ctx *c, unsigned size)
{
	uint64_t val;
	int err = load_source(c, size, &val);

	if (err)
		return err;
	emul_reg_write(c, GPR_RAX, size, val);
	advance(c, GPR_RSI, size);
	return EMUL_OK;
}

static int cmps(struct emul_ctx *c, unsigned size)
{
	uint64_t a, b, flags;
	int err = load_dest(c, size, &b);

	if (!err)
		err = load_source(c, size, &a);
	if (err)
		return err;
	sub_flags(a, b, 0, size, &flags);
	set_arith_flags(c, flags);
	advance(c, GPR_RSI, size);
	advance(c, GPR_RDI, size);
	return EMUL_OK;
}

static int scas(struct emul_ctx *c, unsigned size)
{
	uint64_t b, flags;
	int err = load_dest(c, size, &b);

	if (err)
		return err;
	sub_flags(emul_reg_read(c, GPR_RAX, size), b, 0, size, &flags);
	set_arith_flags(c, flags);
	advance(c, GPR_RDI, size);
	return EMUL_OK;
}

/* A port may not be read before it is sure that the value has a place to go. */
static int ins(struct emul_ctx *c, unsigned size)
{
	uint16_t port = c->gpr[GPR_RDX];
	uint32_t val = 0;
	gva_t la;
	int err = check_port(c, port, size);

	if (!err)
		err = dest_address(c, size, EMUL_ACC_WRITE, &la);
	if (!err)
		err = emul_mem_probe_write(c, la, size);
	if (!err)
		err = c->ops->pio_in(c, port, size, &val);
	if (!err)
		err = emul_mem_write(c, la, &val, size);
	if (!err)
		advance(c, GPR_RDI, size);
	return err;
}

static int outs(struct emul_ctx *c, unsigned size)
{
	uint16_t port = c->gpr[GPR_RDX];
	uint64_t val;
	int err = check_port(c, port, size);

	if (!err)
		err = load_source(c, size, &val);
	if (!err)
		err = c->ops->pio_out(c, port, size, val);
	if (!err)
		advance(c, GPR_RSI, size);
	return err;
}

static int iterate(struct emul_ctx *c)
{
	const struct emul_insn *i = &c->insn;

	switch (i->op) {
	case OP_MOVS:
		return movs(c, i->opnd[0].size);
	case OP_STOS:
		return stos(c, i->opnd[0].size);
	case OP_LODS:
		return lods(c, i->opnd[0].size);
	case OP_CMPS:
		return cmps(c, i->opnd[0].size);
	case OP_SCAS:
		return scas(c, i->opnd[0].size);
	case OP_INS:
		return ins(c, i->opnd[0].size);
	default:
		return outs(c, i->opnd[1].size);
	}
}

/* REPE and REPNE of CMPS and SCAS stop on ZF; for the others both prefixes are REP. */
static bool is_condition_met(const struct emul_ctx *c)
{
	const struct emul_insn *i = &c->insn;

	if (i->op != OP_CMPS && i->op != OP_SCAS)
		return false;
	return !(c->rflags & RFLAGS_ZF) == !!(i->prefixes & EMUL_PFX_REP);
}

/* Between two iterations: a debugger steps through them, and an interrupt may wait. */
static bool is_to_pause(struct emul_ctx *c)
{
	return (c->rflags & RFLAGS_TF) || (c->ops->is_time_over && c->ops->is_time_over(c));
}

/* MOVS STOS LODS CMPS SCAS INS OUTS. */
int emul_exec_string(struct emul_ctx *c)
{
	bool pause = false;
	int err;

	if (!(c->insn.prefixes & (EMUL_PFX_REP | EMUL_PFX_REPNE)))
		return iterate(c);
	while (index_of(c, GPR_RCX) != 0) {
		if (pause)
			return EMUL_PAUSED;
		err = iterate(c);
		if (err)
			return err;
		emul_reg_write(c, GPR_RCX, c->insn.adsize, c->gpr[GPR_RCX] - 1);
		if (is_condition_met(c))
			break;
		pause = is_to_pause(c);
	}
	return EMUL_OK;
}

/* --- ports --------------------------------------------------------------------------- */

int emul_exec_in(struct emul_ctx *c)
{
	const struct emul_opnd *dst = &c->insn.opnd[0];
	uint64_t port;
	uint32_t val = 0;
	int err = emul_load(c, 1, 0, &port);

	if (!err)
		err = check_port(c, port, dst->size);
	if (!err)
		err = c->ops->pio_in(c, port, dst->size, &val);
	return err ? err : emul_store(c, 0, val);
}

int emul_exec_out(struct emul_ctx *c)
{
	uint64_t port, val;
	int err = emul_load(c, 0, 0, &port);

	if (!err)
		err = emul_load(c, 1, 0, &val);
	if (!err)
		err = check_port(c, port, c->insn.opnd[1].size);
	return err ? err : c->ops->pio_out(c, port, c->insn.opnd[1].size, val);
}
