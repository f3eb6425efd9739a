/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The emulator against the build machine's CPU: random instructions with random registers run
 * in both, in 64-, 32- and 16-bit protected mode, and must leave the same registers, flags,
 * memory and exceptions. Only what the manuals leave undefined is not compared (undefined()).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "arch/x86/regs.h"
#include "lib/bits.h"
#include "tests/unit/support/emul_aim.h"
#include "tests/unit/support/emul_shadow.h"
#include "vmm/emulate/internal.h"
#include "vmm/emulate/native.h"

#define CASES 4000000ul

#define ARITH (RFLAGS_CF | RFLAGS_PF | RFLAGS_AF | RFLAGS_ZF | RFLAGS_SF | RFLAGS_OF)
/* Everything the kernel lets a program see and change. */
#define COMPARED (ARITH | RFLAGS_DF | RFLAGS_IF | RFLAGS_NT | RFLAGS_ID | RFLAGS_IOPL)

/* clang-format off */
static const struct emul_config configs[] = {
	{"64-bit",			EMUL_LONG64, {0x33, 0x2b, 0x2b, 0x2b, 0}},
	{"32-bit flat",			EMUL_PROT32, {0x23, 0x2b, 0x2b, 0x2b,
						      NATIVE_LDT(LDT_READ_ONLY)}},
	{"32-bit segments",		EMUL_PROT32, {0x23, NATIVE_LDT(LDT_SHORT32),
						      NATIVE_LDT(LDT_DOWN16), 0x2b,
						      NATIVE_LDT(LDT_READ_ONLY)}},
	{"32-bit, 16-bit stack",	EMUL_PROT32, {0x23, 0x2b, NATIVE_LDT(LDT_DATA16),
						      NATIVE_LDT(LDT_DATA16), 0}},
	{"16-bit",			EMUL_PROT16, {NATIVE_LDT(LDT_CODE16), NATIVE_LDT(LDT_DATA16),
						      NATIVE_LDT(LDT_DATA16), NATIVE_LDT(LDT_DATA16),
						      NATIVE_LDT(LDT_DOWN16)}},
	{"16-bit, 32-bit stack",	EMUL_PROT16, {NATIVE_LDT(LDT_CODE16), NATIVE_LDT(LDT_READ_ONLY),
						      NATIVE_LDT(LDT_SHORT32), 0x2b, 0}},
};

/* Flags that the manuals leave undefined after an operation (the exceptions are in undefined()). */
static const uint64_t undefined_flags[NR_EMUL_OPS] = {
	[OP_AND] = RFLAGS_AF, [OP_OR] = RFLAGS_AF, [OP_XOR] = RFLAGS_AF, [OP_TEST] = RFLAGS_AF,
	[OP_MUL]   = RFLAGS_SF | RFLAGS_ZF | RFLAGS_AF | RFLAGS_PF,
	[OP_IMUL]  = RFLAGS_SF | RFLAGS_ZF | RFLAGS_AF | RFLAGS_PF,
	[OP_IMUL3] = RFLAGS_SF | RFLAGS_ZF | RFLAGS_AF | RFLAGS_PF,
	[OP_DIV]   = ARITH,	[OP_IDIV] = ARITH,
	[OP_SHL]   = RFLAGS_AF, [OP_SAL]  = RFLAGS_AF, [OP_SHR] = RFLAGS_AF, [OP_SAR] = RFLAGS_AF,
	[OP_SHLD]  = RFLAGS_AF, [OP_SHRD] = RFLAGS_AF,
	[OP_BT]    = RFLAGS_OF | RFLAGS_SF | RFLAGS_AF | RFLAGS_PF,
	[OP_BTS]   = RFLAGS_OF | RFLAGS_SF | RFLAGS_AF | RFLAGS_PF,
	[OP_BTR]   = RFLAGS_OF | RFLAGS_SF | RFLAGS_AF | RFLAGS_PF,
	[OP_BTC]   = RFLAGS_OF | RFLAGS_SF | RFLAGS_AF | RFLAGS_PF,
	[OP_BSF]   = ARITH & ~RFLAGS_ZF, [OP_BSR] = ARITH & ~RFLAGS_ZF,
	[OP_TZCNT] = RFLAGS_OF | RFLAGS_SF | RFLAGS_AF | RFLAGS_PF,
	[OP_LZCNT] = RFLAGS_OF | RFLAGS_SF | RFLAGS_AF | RFLAGS_PF,
	[OP_AAA]   = RFLAGS_OF | RFLAGS_SF | RFLAGS_ZF | RFLAGS_PF,
	[OP_AAS]   = RFLAGS_OF | RFLAGS_SF | RFLAGS_ZF | RFLAGS_PF,
	[OP_DAA]   = RFLAGS_OF,	[OP_DAS] = RFLAGS_OF,
	[OP_AAM]   = RFLAGS_OF | RFLAGS_AF | RFLAGS_CF,
	[OP_AAD]   = RFLAGS_OF | RFLAGS_AF | RFLAGS_CF,
};
/* clang-format on */

/* --- one case -----------------------------------------------------------------------------------
 */

/* May the CPU go there? It must meet an INT3, or no code. */
static bool is_safe_target(const struct emulation *e)
{
	uint64_t rip = e->ctx.rip, base = e->ctx.mode == EMUL_PROT16 ? NATIVE_CODE : 0;
	uint64_t insn = NATIVE_CODE + NATIVE_INSN;

	rip += base;
	if (rip == insn + e->ctx.insn.len)
		return true;
	if (shadow_in_range(rip, 1, NATIVE_CODE, NATIVE_CODE_LEN))
		return rip < insn || rip >= insn + 15 + NATIVE_EXIT_LEN;
	return shadow_in_range(rip, 1, NATIVE_DATA - NATIVE_NONE_LEN, 0x30000) || rip < 0x10000;
}

/* A fault in a repeated CMPS or SCAS gives Intel's CPUs the flags from before back (SDM, REP). */
static uint64_t undefined_at_fault(const struct emul_insn *i)
{
	return !native_is_amd() && (i->op == OP_CMPS || i->op == OP_SCAS) ? ARITH : 0;
}

static struct {
	unsigned long run, faults, skipped, transient, per_config[ARRAY_SIZE(configs)];
	unsigned long per_op[NR_EMUL_OPS];
	unsigned long per_row[512], refused[512]; /* of emul_native_rows: all, and #UD */
} count;

static uint8_t fpu_before[NATIVE_FPU_LEN] __attribute__((aligned(64)));

/* As the CPU itself writes it. */
static void settle_fpu(void)
{
	struct native_regs regs = {.rflags = RFLAGS_FIXED};
	struct native_end end;

	memcpy((void *)NATIVE_FPU, fpu_before, NATIVE_FPU_LEN);
	native_run(&configs[0].env, (const uint8_t *)"\x90", 1, &regs, &end);
	memcpy(fpu_before, (void *)NATIVE_FPU, NATIVE_FPU_LEN);
}

/* Numbers of all kinds in the registers, in the standard form of XSAVE's area. */
static void refill_fpu(struct emul_random *r)
{
	static const float numbers[] = {0, 1, -2.5, 3e38f, 1e-40f, 1e10f};
	uint16_t fcw = 0x37f;
	uint32_t mxcsr = 0x1f80;

	for (unsigned n = 0; n < NATIVE_FPU_LEN; n += 4) {
		uint32_t val = emul_random_u64(r) >> 32;

		if (emul_random_below(r, 4) == 0)
			memcpy(&val, &numbers[emul_random_below(r, ARRAY_SIZE(numbers))], 4);
		memcpy(fpu_before + n, &val, 4);
	}
	if (emul_random_below(r, 4) ==
	    0) { /* exceptions that are not masked; rounding, precision */
		fcw = (emul_random_u64(r) & 0xf3f) | 0x40;
		mxcsr = emul_random_u64(r) & 0xffc0;
	}
	memset(fpu_before, 0, 32);
	memcpy(fpu_before, &fcw, 2);
	fpu_before[3] = emul_random_u64(r) & 0x38; /* the top of the x87's stack */
	fpu_before[4] = emul_random_u64(r);        /* which of its registers are in use */
	memcpy(fpu_before + 24, &mxcsr, 4);
	memset(fpu_before + 512, 0, 64);
	fpu_before[512] = __builtin_cpu_supports("avx512f") ? NATIVE_FPU_MASK
			  : __builtin_cpu_supports("avx")   ? 7
							    : 3;
	settle_fpu();
}

/*
 * All but the pointers to the x87's last instruction, and which components are in use. An MMX
 * instruction that faults has touched the x87's tags and the top of its stack already.
 */
static bool same_fpu(const struct emulation *e)
{
	const uint8_t *theirs = (const uint8_t *)NATIVE_FPU;

	return (e->result == EMUL_FAULT ||
		(!memcmp(e->fpu, theirs, 6) && !memcmp(e->fpu + 32, theirs + 32, 128))) &&
	       !memcmp(e->fpu + 24, theirs + 24, 4) &&
	       !memcmp(e->fpu + 160, theirs + 160, 416 - 160) &&
	       !memcmp(e->fpu + 576, theirs + 576, NATIVE_FPU_LEN - 576);
}

/* What of the flags and registers is not defined after this instruction with these operands. */
static uint64_t undefined(const struct emul_insn *i, const struct native_regs *before,
			  const struct native_regs *after)
{
	unsigned bits = 8 * i->opnd[0].size, n;
	uint64_t flags = undefined_flags[i->op];

	switch (i->op) {
	case OP_ROL:
	case OP_ROR:
	case OP_RCL:
	case OP_RCR:
	case OP_SHL:
	case OP_SAL:
	case OP_SHR:
	case OP_SAR:
	case OP_SHLD:
	case OP_SHRD: {
		const struct emul_opnd *o = &i->opnd[i->op == OP_SHLD || i->op == OP_SHRD ? 2 : 1];

		n = (o->kind == OPND_REG ? before->gpr[GPR_RCX] : i->imm) & (bits == 64 ? 63 : 31);
		if (n == 0)
			return 0;
		if (n > 1)
			flags |= RFLAGS_OF;
		if (n >= bits && i->op >= OP_SHL && i->op != OP_SAR)
			flags |= RFLAGS_CF;
		if (n > bits && i->op >= OP_SHLD)
			flags |= ARITH;
		break;
	}
	}
	return flags;
}

/* Through gates, and the build machine's lead elsewhere; or with a stack that this program needs.
 */
static bool is_interrupt(const struct emul_ctx *c)
{
	enum emul_op op = c->insn.op;

	return op == OP_INT || op == OP_INT1 || op == OP_INT3 || op == OP_INTO ||
	       (op == OP_IRET && c->mode == EMUL_LONG64);
}

/*
 * In 64-bit mode a repeated MOVS or STOS with 32-bit addresses and a count of 0 clears the upper
 * halves of the index registers in Intel's CPUs, and does nothing in AMD's and in the emulator.
 * In all modes a repeated INS or OUTS with a count of 0 checks its port all the same in AMD's.
 */
static bool is_empty_string(const struct emulation *e, const struct native_regs *before)
{
	const struct emul_insn *i = &e->ctx.insn;

	if (i->op == OP_INS || i->op == OP_OUTS)
		return !cut_address(&e->ctx, before->gpr[GPR_RCX]);
	return !native_is_amd() && e->ctx.mode == EMUL_LONG64 && i->adsize == 4 &&
	       (i->op == OP_MOVS || i->op == OP_STOS) && !(uint32_t)before->gpr[GPR_RCX];
}

static bool is_undefined_result(const struct emul_insn *i, const struct native_regs *before)
{
	unsigned n;

	if (i->op != OP_SHLD && i->op != OP_SHRD)
		return i->op == OP_BSWAP && i->opsize == 2;
	n = i->opnd[2].kind == OPND_REG ? before->gpr[GPR_RCX] & 31 : i->imm & 31;
	return i->opsize == 2 && n > 16;
}

static bool same_end(const struct emulation *e, const struct native_end *end)
{
	uint64_t rip = e->ctx.rip;

	if (e->result == EMUL_FAULT) {
		const struct emul_fault *f = &e->ctx.fault;

		/* Intel's CPUs compare with the first bound before they read the second. */
		if (e->ctx.insn.op == OP_BOUND && end->vector == X86_TRAP_BR && !native_is_amd())
			return end->exception && rip == end->rip;
		return end->exception && f->vector == end->vector && rip == end->rip &&
		       (!f->has_error || f->error == end->error) &&
		       (f->vector != X86_TRAP_PF || f->cr2 == end->cr2);
	}
	if (!end->exception)
		return rip == end->rip;
	if (end->vector == X86_TRAP_BP) /* it jumped to an INT3 */
		return rip + 1 == end->rip;
	/* It jumped to where nothing can be executed. */
	return rip == end->rip && end->vector == X86_TRAP_PF && (end->error & PFERR_FETCH);
}

static bool same_memory(const struct emulation *e)
{
	for (unsigned n = 0; n < e->nr_writes; n++) {
		uint64_t from = e->write[n].offset, to = from + e->write[n].len + 16;

		from = from < 16 ? 0 : from - 16;
		to = to > SHADOW_LEN ? SHADOW_LEN : to;
		if (memcmp(shadow_memory + from, (uint8_t *)NATIVE_DATA + from, to - from) != 0)
			return false;
	}
	return true;
}

/*
 * A call to where no code can be faults with the return address written (Intel) or not (AMD):
 * below the stack pointer, which has not moved.
 */
static void forget_return_address(const struct emulation *e)
{
	const struct segment *ss = &e->ctx.seg[SEG_SS];
	bool long64 = e->ctx.mode == EMUL_LONG64;
	uint64_t mask = long64 ? ~0ull : ss->attr & SEG_ATTR_DB ? 0xffffffff : 0xffff;
	uint64_t base = long64 ? 0 : ss->base;

	if ((e->ctx.insn.op != OP_CALL && e->ctx.insn.op != OP_CALLF) || e->result != EMUL_FAULT)
		return;
	for (unsigned n = 1; n <= 2u * e->ctx.insn.opsize; n++) {
		uint64_t at = base + ((e->regs.gpr[GPR_RSP] - n) & mask) - NATIVE_DATA;

		if (at < NATIVE_DATA_LEN)
			shadow_memory[at] = ((const uint8_t *)NATIVE_DATA)[at];
	}
}

static bool same_regs(const struct emulation *e, const struct native_regs *native, uint64_t ignore)
{
	uint64_t mask = e->ctx.mode == EMUL_LONG64 ? ~0ull : 0xffffffff;
	unsigned nr = e->ctx.mode == EMUL_LONG64 ? 16 : 8;

	/* A POPA that faults has loaded some registers in the CPU, and none with us. */
	if (e->ctx.insn.op == OP_POPA && e->result == EMUL_FAULT)
		nr = 0;
	for (unsigned n = 0; n < nr; n++)
		if ((e->regs.gpr[n] ^ native->gpr[n]) & mask)
			return false;
	return !((e->ctx.rflags ^ native->rflags) & COMPARED & ~ignore);
}

static bool same_segments(const struct emulation *e, const struct native_end *end)
{
	const struct segment *seg = e->ctx.seg;

	return e->result != EMUL_OK || end->exception ||
	       (seg[SEG_DS].selector == end->ds && seg[SEG_ES].selector == end->es &&
		seg[SEG_SS].selector == end->ss && seg[SEG_GS].selector == end->gs);
}

/*
 * Two faults of one instruction, or of none. An x87 store that raises an exception for what it
 * stores does not access its operand in the CPU, and ours looks at the operand first; likewise for
 * what the CPU does not have or not align, or an x87 exception that waits, on an operand that
 * faults. And of a masked operand that is not just moved, ours reads all; with one that is, all of
 * it has to lie in its segment.
 */
static bool is_other_order(const struct emulation *e, const struct native_end *end)
{
	const struct emul_insn *i = &e->ctx.insn;
	const uint8_t *fsw = (const uint8_t *)NATIVE_FPU + 2;

	if (i->op != OP_NATIVE || e->result != EMUL_FAULT)
		return false;
	if (i->native.enc == ENC_X87 && (*fsw & 0x80))
		return true;
	if (((native_row(i)->flags & NAT_MASKED) || native_row(i)->size == SZ_B10) &&
	    e->ctx.fault.vector != X86_TRAP_PF) /* of 10 bytes the last two may wrap around */
		return true;
	if (i->native.enc == ENC_EVEX && (i->bytes[i->native.start + 3] & 7))
		return true;
	return end->exception && e->ctx.fault.vector != end->vector &&
	       (end->vector == X86_TRAP_UD || end->vector == X86_TRAP_GP ||
		end->vector == X86_TRAP_MF || end->vector == X86_TRAP_XM);
}

static void print_regs(const char *who, const struct native_regs *r)
{
	printf("#  %s:", who);
	for (unsigned n = 0; n < NR_GPRS; n++)
		printf(" %llx", (unsigned long long)r->gpr[n]);
	printf(" flags %llx\n", (unsigned long long)r->rflags);
}

static void report(const struct emulation *e, const struct emul_config *cfg,
		   const struct native_regs *before, const struct native_regs *native,
		   const struct native_end *end)
{
	struct native_regs ours = e->regs;

	ours.rflags = e->ctx.rflags;
	printf("# %s:", cfg->name);
	for (unsigned n = 0; n < e->ctx.insn.len; n++)
		printf(" %02x", e->ctx.insn.bytes[n]);
	printf(" (operation %u)\n", e->ctx.insn.op);
	print_regs("before", before);
	print_regs("ours  ", &ours);
	print_regs("native", native);
	printf("#  ours: result %d rip %llx vector %u error %x cr2 %llx, %u writes\n", e->result,
	       (unsigned long long)e->ctx.rip, e->ctx.fault.vector, e->ctx.fault.error,
	       (unsigned long long)e->ctx.fault.cr2, e->nr_writes);
	printf("#  native: exception %d rip %llx vector %u error %x cr2 %llx, memory %s\n",
	       end->exception, (unsigned long long)end->rip, end->vector, end->error,
	       (unsigned long long)end->cr2, same_memory(e) ? "same" : "differs");
}

/*
 * Of two bad operands of a CMPS, the emulator and some CPUs report the destination, others the
 * source (AMD has both kinds): no manual says which. Now the source.
 */
static void report_source(struct emulation *e)
{
	struct emul_ctx *c = &e->ctx;
	unsigned size = c->insn.opnd[0].size;
	uint64_t val;
	gva_t la;

	if (c->insn.op != OP_CMPS || e->result != EMUL_FAULT)
		return;
	if (!emul_linear(c, c->insn.mem.seg, cut_address(c, c->gpr[GPR_RSI]), size, 0, &la))
		emul_mem_read(c, la, &val, size, 0);
}

/*
 * Run both and compare. A host interrupt on a 16-bit stack costs the upper half of ESP, and one
 * behind a load of a null selector its RPL, so a difference counts when it comes again.
 */
static void run_both(struct emulation *e, const struct emul_config *cfg, const uint8_t *bytes,
		     const struct native_regs *before)
{
	for (unsigned attempt = 0;; attempt++) {
		struct native_regs native = *before;
		struct native_end end;
		uint64_t ignore;

		memcpy(e->fpu, fpu_before, NATIVE_FPU_LEN);
		memcpy((void *)NATIVE_FPU, fpu_before, NATIVE_FPU_LEN);
		shadow_execute(e, before);
		if (e->unsafe || e->result == EMUL_UNHANDLED || is_interrupt(&e->ctx) ||
		    (e->result == EMUL_OK && (e->ctx.segs_dirty & BIT(SEG_CS))) ||
		    (e->result == EMUL_OK && !is_safe_target(e))) {
			shadow_undo_writes(e);
			count.skipped++;
			return;
		}
		native_run(&cfg->env, bytes, e->ctx.insn.len, &native, &end);
		ignore = e->result == EMUL_OK ? undefined(&e->ctx.insn, before, &native)
					      : undefined_at_fault(&e->ctx.insn);
		count.faults += e->result == EMUL_FAULT;
		if (!same_end(e, &end))
			report_source(e);
		forget_return_address(e);
		if (same_end(e, &end) && same_memory(e) && same_regs(e, &native, ignore) &&
		    same_segments(e, &end) && same_fpu(e))
			break;
		if (is_other_order(e, &end))
			break;
		if (attempt == 2) {
			report(e, cfg, before, &native, &end);
			fail_msg("the CPU differs");
		}
		count.transient++;
		shadow_undo_writes(e);
		memcpy((void *)NATIVE_DATA, shadow_memory, NATIVE_DATA_LEN);
		shadow_set_segments(e, &cfg->env);
		e->ctx.rip = shadow_insn_rip(cfg);
	}
	count.run++;
	count.per_config[cfg - configs]++;
	count.per_op[e->ctx.insn.op]++;
	if (e->ctx.insn.op == OP_NATIVE) {
		count.per_row[e->ctx.insn.native.row]++;
		count.refused[e->ctx.insn.native.row] +=
			e->result == EMUL_FAULT && e->ctx.fault.vector == X86_TRAP_UD;
	}
}

/*
 * A frame pointer wider than the stack pointer: the rest is zeros on Intel's CPUs, and rSP's on
 * AMD's and in the emulator.
 */
static bool is_wide_frame(const struct emulation *e)
{
	return !native_is_amd() && e->ctx.insn.op == OP_ENTER && e->ctx.mode != EMUL_LONG64 &&
	       e->ctx.insn.opsize == 4 && !(e->ctx.seg[SEG_SS].attr & SEG_ATTR_DB);
}

/*
 * Outside 64-bit mode register 8 in vvvv is register 0, which we have the CPU execute; where vvvv
 * names no register, it would refuse the 8.
 */
static bool is_register_8(const struct emul_ctx *c)
{
	const struct emul_insn *i = &c->insn;

	return i->op == OP_NATIVE && c->mode != EMUL_LONG64 &&
	       !(i->native.enc & (ENC_LEGACY | ENC_X87)) &&
	       (i->bytes[i->native.start + (i->bytes[i->native.start] == 0xc5 ? 1 : 2)] & 0x78) ==
		       0x38;
}

/* Not compared: what no manual defines, and what is not the program's. */
static bool is_left_out(const struct emul_insn *i)
{
	switch (i->op) {
	case OP_INS:
	case OP_OUTS: /* which is checked first, port or memory? Known of AMD's CPUs only */
		return !native_is_amd();
	case OP_LOOPE:
	case OP_LOOPNE: /* a repeat prefix replaces the condition on AMD's CPUs */
		return i->prefixes & (EMUL_PFX_REP | EMUL_PFX_REPNE);
	case OP_SGDT:
	case OP_SIDT:
	case OP_SLDT:
	case OP_STR:
	case OP_SMSW: /* the kernel's to allow (CR4.UMIP) */
	case OP_FNINIT:
	case OP_FNCLEX:
	case OP_FNSTCW:
	case OP_FNSTSW:
	case OP_FLDCW:
	case OP_FWAIT: /* the test's own FPU */
		return true;
	case OP_CLZERO:
		return !native_is_amd();
	case OP_NATIVE: /* whole states: with pointers that differ, and registers that are not
			   compared */
		return emul_native_rows[i->native.row].size >= SZ_ENV;
	case OP_MOV_SEG:
	case OP_POP_SEG: /* FS is the C library's */
		return i->opnd[0].reg == SEG_FS;
	case OP_LOAD_FAR:
		return i->opnd[2].reg == SEG_FS;
	case OP_PUSH_SEG: /* Intel's newer CPUs write two bytes (SDM volume 2, PUSH), AMD's four */
		return i->opsize == 4 && !native_is_amd();
	default:
		return false;
	}
}

/*
 * A far call between 64-bit and compatibility mode: AMD's CPUs and some of Intel's address the
 * stack as the new mode does, the others and the emulator as the old one. The manuals do not say.
 */
static bool is_call_to_other_mode(struct emulation *e)
{
	bool long64 = e->ctx.mode == EMUL_LONG64;
	uint64_t offset;
	uint16_t selector;

	if (e->ctx.insn.op != OP_CALLF || emul_far_pointer(&e->ctx, 0, &selector, &offset))
		return false;
	switch (selector | 3) {
	case 0x33:
		return !long64;
	case 0x23:
	case NATIVE_LDT(LDT_CODE16):
		return long64;
	default:
		return false;
	}
}

/* MASKMOVDQU may fault for a page of which it writes nothing, for any of its bytes (SDM volume 2).
 */
static bool is_masked_at_edge(const struct emulation *e, const struct native_regs *before)
{
	const struct emul_insn *i = &e->ctx.insn;
	uint64_t at = cut_address(&e->ctx, before->gpr[GPR_RDI]) + e->ctx.seg[i->mem.seg].base;

	return i->op == OP_NATIVE && (native_row(i)->flags & NAT_RDI) &&
	       !shadow_in_range(at, 16, NATIVE_DATA, NATIVE_DATA_LEN);
}

static void one_case(struct emul_random *r, struct emulation *e, const struct emul_config *cfg)
{
	uint8_t bytes[EMUL_MAX_INSN_LEN];
	struct native_regs before;
	unsigned op;

	emul_random_insn(r, bytes);
	if (shadow_decode(e, cfg, bytes) != EMUL_OK)
		return;
	op = e->ctx.insn.op;
	if (is_left_out(&e->ctx.insn) || is_wide_frame(e) || is_register_8(&e->ctx))
		return;
	aim_registers(r, e);
	if (op >= OP_MOVS && op <= OP_OUTS) /* how often */
		e->regs.gpr[GPR_RCX] = emul_random_below(r, emul_random_below(r, 64) ? 8 : 200);
	if (emul_random_below(r, 64))
		aim_implicit(r, e);
	for (unsigned n = 0; n < 2; n++)
		if (e->ctx.insn.opnd[n].kind == OPND_MEM && emul_random_below(r, 64))
			aim_operand(r, e, bytes);
	if (shadow_decode(e, cfg, bytes) != EMUL_OK || e->ctx.insn.op != op)
		return;
	if (op == OP_POPF)
		aim_flags(e);
	aim_selector(r, e);
	before = e->regs;
	if (is_undefined_result(&e->ctx.insn, &before) || is_empty_string(e, &before) ||
	    is_call_to_other_mode(e) || is_masked_at_edge(e, &before))
		return;
	run_both(e, cfg, bytes, &before);
}

/* Of the encodings that the CPU executes: how many were tried, and how many it does not have. */
static unsigned print_rows(void)
{
	unsigned seen = 0, refused = 0;

	for (unsigned n = 0; n < emul_nr_native_rows; n++) {
		seen += count.per_row[n] != 0;
		refused += count.per_row[n] && count.per_row[n] == count.refused[n];
	}
	printf("# %u of %u rows of native instructions were met; this CPU refuses all of %u\n",
	       seen, emul_nr_native_rows, refused);
	return seen;
}

static void executes_like_the_cpu(void **state)
{
	static struct emulation e;
	struct emul_random r;
	unsigned long cases = emul_random_cases(CASES);
	const char *lack = native_init();
	unsigned ops_seen = 0, rows_seen;

	if (lack)
		fail_msg("cannot run instructions here: %s", lack);
	shadow_init();
	emul_random_init(&r, "test_emul_native");
	for (unsigned long n = 0; count.run < cases; n++) {
		const struct emul_config *cfg = &configs[n / 64 % ARRAY_SIZE(configs)];
		struct emul_config c = *cfg;

		if (n % 8192 == 0) {
			assert_memory_equal(shadow_memory, (void *)NATIVE_DATA,
					    n ? NATIVE_DATA_LEN : 0);
			shadow_refill(&r);
		}
		if (n % 64 == 0)
			refill_fpu(&r);
		shadow_set_segments(&e, &c.env);
		one_case(&r, &e, cfg);
	}
	assert_memory_equal(shadow_memory, (void *)NATIVE_DATA, NATIVE_DATA_LEN);
	for (unsigned op = 0; op < NR_EMUL_OPS; op++)
		ops_seen += count.per_op[op] != 0;
	for (unsigned n = 0; n < ARRAY_SIZE(configs); n++)
		printf("# %s: %lu instructions\n", configs[n].name, count.per_config[n]);
	rows_seen = print_rows();
	printf("# %lu instructions of %u operations agree, %lu of them faulted; %lu left out as unsafe; "
	       "%lu run again\n",
	       count.run, ops_seen, count.faults, count.skipped, count.transient);
	if (cases >= CASES) { /* nothing has dropped out of the generator unseen */
		assert_in_range(ops_seen, 124, NR_EMUL_OPS);
		assert_in_range(rows_seen, 310, emul_nr_native_rows);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(executes_like_the_cpu),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
