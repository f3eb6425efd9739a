/* SPDX-License-Identifier: BSD-2-Clause */
/* Random operands that lead somewhere. */
#include <string.h>

#include "tests/unit/support/emul_aim.h"
#include "vmm/emulate/flags.h"
#include "vmm/emulate/internal.h"

/* Where addresses go: into the data, often to the end of a page, of a segment, of all. */
static uint64_t random_target(struct emul_random *r)
{
	switch (emul_random_below(r, 32)) {
	case 0:
		return NATIVE_RO - 16 + emul_random_below(r, 32);
	case 1:
		return NATIVE_NONE - 16 + emul_random_below(r, 32);
	case 2:
		return NATIVE_DATA - 16 + emul_random_below(r, 32);
	case 3:
		return NATIVE_DATA + 0x7fff - 16 + emul_random_below(r, 32);
	case 4:
		return NATIVE_DATA + 0x3fff - 16 + emul_random_below(r, 32);
	case 5:
		return NATIVE_DATA + 0x1000 - 16 + emul_random_below(r, 32);
	default:
		return NATIVE_DATA + 0x1000 + emul_random_below(r, NATIVE_DATA_LEN - 0x2000);
	}
}

static uint64_t target_in(struct emul_random *r, const struct emulation *e, unsigned seg)
{
	return random_target(r) -
	       (e->ctx.mode == EMUL_LONG64 && seg < SEG_FS ? 0 : e->ctx.seg[seg].base);
}

void aim_registers(struct emul_random *r, struct emulation *e)
{
	uint64_t *gpr = e->regs.gpr;
	uint64_t flags = emul_random_u64(r);

	for (unsigned n = 0; n < NR_GPRS; n++)
		gpr[n] = emul_random_value(r);
	gpr[GPR_RSP] = target_in(r, e, SEG_SS);
	e->regs.rflags = (flags & (FLAGS_ARITH | RFLAGS_DF | RFLAGS_NT)) | RFLAGS_IF | RFLAGS_FIXED;
}

/* Write the displacement that makes the operand lie at `ea`; it was random, so it is unique. */
static void patch_displacement(uint8_t *bytes, const struct emul_insn *i, uint64_t ea)
{
	unsigned len = i->op == OP_MOV && (i->opcode & 0xfc) == 0xa0 ? i->adsize
		       : i->adsize == 2                              ? 2
								     : 4;
	for (unsigned n = i->len - len; n > 0; n--) {
		if (memcmp(bytes + n, &i->mem.disp, len) == 0) {
			memcpy(bytes + n, &ea, len);
			return;
		}
	}
}

void aim_operand(struct emul_random *r, struct emulation *e, uint8_t *bytes)
{
	const struct emul_insn *i = &e->ctx.insn;
	const struct emul_mem *m = &i->mem;
	uint64_t *gpr = e->regs.gpr, target = target_in(r, e, m->seg), rest = m->disp;

	if (m->index != EMUL_MEM_NONE)
		rest += gpr[m->index] << m->scale;
	if (m->base == EMUL_MEM_RIP)
		patch_displacement(bytes, i, target - e->ctx.rip - i->len);
	else if (m->base != EMUL_MEM_NONE && m->base != m->index)
		gpr[m->base] = target - rest;
	else if (m->base != EMUL_MEM_NONE)
		gpr[m->base] = (target - m->disp) >> (m->scale + 1);
	else if (m->index != EMUL_MEM_NONE)
		gpr[m->index] = (target - m->disp) >> m->scale;
	else
		patch_displacement(bytes, i, target);
}

void aim_implicit(struct emul_random *r, struct emulation *e)
{
	const struct emul_insn *i = &e->ctx.insn;
	uint64_t *gpr = e->regs.gpr;

	switch (i->op) {
	case OP_MOVS:
	case OP_STOS:
	case OP_LODS:
	case OP_CMPS:
	case OP_SCAS:
		gpr[GPR_RSI] = target_in(r, e, i->mem.seg);
		gpr[GPR_RDI] = target_in(r, e, SEG_ES);
		break;
	case OP_XLAT:
		gpr[GPR_RBX] = target_in(r, e, i->mem.seg) - 128;
		break;
	case OP_LEAVE:
	case OP_ENTER:
		gpr[GPR_RBP] = target_in(r, e, SEG_SS);
		break;
	case OP_BT:
	case OP_BTS:
	case OP_BTR:
	case OP_BTC: /* the offset of a bit string moves the address */
		if (i->opnd[0].kind == OPND_MEM && i->opnd[1].kind == OPND_REG)
			gpr[i->opnd[1].reg] = (int64_t)emul_random_below(r, 0x8000) - 0x4000;
		break;
	}
}

/* Of the LDT, of the GDT as far as it is known, or null; with any RPL. */
static uint16_t random_selector(struct emul_random *r)
{
	uint16_t rpl = emul_random_below(r, 4) ? 3 : emul_random_below(r, 4);

	switch (emul_random_below(r, 8)) {
	case 0:
		return rpl;
	case 1:
		return 17 * 8 | rpl; /* beyond the GDT */
	case 2:
	case 3:
		return emul_random_below(r, NATIVE_NR_GDT) << 3 | rpl;
	default:
		return emul_random_below(r, NR_LDT + 1) << 3 | 4 | rpl;
	}
}

static void poke(const struct emulation *e, enum seg seg, uint64_t ea, uint16_t val)
{
	bool flat = e->ctx.mode == EMUL_LONG64 && seg < SEG_FS;
	uint64_t at = ea + (flat ? 0 : e->ctx.seg[seg].base) - NATIVE_DATA;

	if (at > NATIVE_DATA_LEN - 2)
		return;
	memcpy(shadow_memory + at, &val, 2);
	memcpy((uint8_t *)NATIVE_DATA + at, &val, 2);
}

static uint64_t stack_pointer(const struct emulation *e)
{
	bool wide = e->ctx.mode == EMUL_LONG64 || (e->ctx.seg[SEG_SS].attr & SEG_ATTR_DB);

	return wide ? e->regs.gpr[GPR_RSP] : (uint16_t)e->regs.gpr[GPR_RSP];
}

void aim_selector(struct emul_random *r, struct emulation *e)
{
	const struct emul_insn *i = &e->ctx.insn;
	unsigned n = i->op == OP_VERR || i->op == OP_VERW || i->op == OP_ARPL || i->op == OP_JMPF ||
				     i->op == OP_CALLF
			     ? 0
			     : 1;
	bool far = i->op == OP_LOAD_FAR || i->op == OP_JMPF || i->op == OP_CALLF;

	e->ctx.next_rip = e->ctx.rip + i->len;
	switch (i->op) {
	case OP_MOV_SEG:
	case OP_LAR:
	case OP_LSL:
	case OP_VERR:
	case OP_VERW:
	case OP_ARPL:
	case OP_LOAD_FAR:
	case OP_JMPF:
	case OP_CALLF:
		if (i->opnd[n].kind == OPND_REG)
			e->regs.gpr[i->opnd[n].reg] = random_selector(r);
		else if (i->opnd[n].kind == OPND_MEM)
			poke(e, i->mem.seg, emul_effective_address(&e->ctx) + (far ? i->opsize : 0),
			     random_selector(r));
		break;
	case OP_POP_SEG:
		poke(e, SEG_SS, stack_pointer(e), random_selector(r));
		break;
	case OP_RETF:
	case OP_IRET:
		poke(e, SEG_SS, stack_pointer(e) + i->opsize, random_selector(r));
		break;
	}
}

void aim_flags(struct emulation *e)
{
	uint64_t sp = e->regs.gpr[GPR_RSP];
	unsigned size =
		e->ctx.mode == EMUL_LONG64 || (e->ctx.seg[SEG_SS].attr & SEG_ATTR_DB) ? 4 : 2;
	uint64_t at = (sp & (~0ull >> (64 - 8 * size))) +
		      (e->ctx.mode == EMUL_LONG64 ? 0 : e->ctx.seg[SEG_SS].base) - NATIVE_DATA;

	if (at + 1 < NATIVE_DATA_LEN)
		((uint8_t *)NATIVE_DATA)[at + 1] = shadow_memory[at + 1] &= ~(RFLAGS_TF >> 8);
	if (at + 2 < NATIVE_DATA_LEN)
		((uint8_t *)NATIVE_DATA)[at + 2] = shadow_memory[at + 2] &= ~(RFLAGS_AC >> 16);
}
