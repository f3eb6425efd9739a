/* SPDX-License-Identifier: BSD-2-Clause */
/* The way of one instruction: decode, execute, and what every instruction does at its end. */
#include "vmm/emulate/emulate.h"
#include "vmm/emulate/flags.h"
#include "vmm/emulate/internal.h"

/* clang-format off */
/* Operations without a function are decoded only: the CPU executes or intercepts them. */
static emul_exec_fn *const exec_fns[NR_EMUL_OPS] = {
	[OP_ADD]	= emul_exec_alu,	  [OP_OR]	= emul_exec_alu,
	[OP_ADC]	= emul_exec_alu,	  [OP_SBB]	= emul_exec_alu,
	[OP_AND]	= emul_exec_alu,	  [OP_SUB]	= emul_exec_alu,
	[OP_XOR]	= emul_exec_alu,	  [OP_CMP]	= emul_exec_alu,
	[OP_TEST]	= emul_exec_alu,
	[OP_ROL]	= emul_exec_shift,	  [OP_ROR]	= emul_exec_shift,
	[OP_RCL]	= emul_exec_shift,	  [OP_RCR]	= emul_exec_shift,
	[OP_SHL]	= emul_exec_shift,	  [OP_SHR]	= emul_exec_shift,
	[OP_SAL]	= emul_exec_shift,	  [OP_SAR]	= emul_exec_shift,
	[OP_SHLD]	= emul_exec_shift_double, [OP_SHRD]	= emul_exec_shift_double,
	[OP_NOT]	= emul_exec_unary,	  [OP_NEG]	= emul_exec_unary,
	[OP_INC]	= emul_exec_unary,	  [OP_DEC]	= emul_exec_unary,
	[OP_MUL]	= emul_exec_mul,	  [OP_IMUL]	= emul_exec_mul,
	[OP_IMUL3]	= emul_exec_imul3,
	[OP_DIV]	= emul_exec_div,	  [OP_IDIV]	= emul_exec_div,
	[OP_CBW]	= emul_exec_cbw,	  [OP_CWD]	= emul_exec_cwd,
	[OP_AAA]	= emul_exec_bcd,	  [OP_AAS]	= emul_exec_bcd,
	[OP_DAA]	= emul_exec_bcd,	  [OP_DAS]	= emul_exec_bcd,
	[OP_AAM]	= emul_exec_bcd,	  [OP_AAD]	= emul_exec_bcd,
	[OP_BT]		= emul_exec_bit_test,	  [OP_BTS]	= emul_exec_bit_test,
	[OP_BTR]	= emul_exec_bit_test,	  [OP_BTC]	= emul_exec_bit_test,
	[OP_BSF]	= emul_exec_bit_scan,	  [OP_BSR]	= emul_exec_bit_scan,
	[OP_TZCNT]	= emul_exec_bit_scan,	  [OP_LZCNT]	= emul_exec_bit_scan,
	[OP_POPCNT]	= emul_exec_bit_scan,	  [OP_BSWAP]	= emul_exec_bswap,
	[OP_MOV]	= emul_exec_mov,	  [OP_LEA]	= emul_exec_lea,
	[OP_MOVZX]	= emul_exec_extend,	  [OP_MOVSX]	= emul_exec_extend,
	[OP_MOVBE]	= emul_exec_movbe,	  [OP_XLAT]	= emul_exec_xlat,
	[OP_MOV_FROM_SEG] = emul_exec_mov_from_seg,
	[OP_XCHG]	= emul_exec_xchg,	  [OP_XADD]	= emul_exec_xadd,
	[OP_CMPXCHG]	= emul_exec_cmpxchg,	  [OP_CMPXCHG8B] = emul_exec_cmpxchg8b,
	[OP_SETCC]	= emul_exec_setcc,	  [OP_CMOVCC]	= emul_exec_cmovcc,
	[OP_CLC]	= emul_exec_flag,	  [OP_STC]	= emul_exec_flag,
	[OP_CMC]	= emul_exec_flag,	  [OP_CLD]	= emul_exec_flag,
	[OP_STD]	= emul_exec_flag,
	[OP_CLI]	= emul_exec_sti_cli,	  [OP_STI]	= emul_exec_sti_cli,
	[OP_LAHF]	= emul_exec_lahf,	  [OP_SAHF]	= emul_exec_sahf,
	[OP_SALC]	= emul_exec_salc,
	[OP_NOP]	= emul_exec_nop,	  [OP_PAUSE]	= emul_exec_pause,
	[OP_FENCE]	= emul_exec_nop,	  [OP_UD]	= emul_exec_ud,
	[OP_BOUND]	= emul_exec_bound,
	[OP_MOVS]	= emul_exec_string,	  [OP_STOS]	= emul_exec_string,
	[OP_LODS]	= emul_exec_string,	  [OP_CMPS]	= emul_exec_string,
	[OP_SCAS]	= emul_exec_string,	  [OP_INS]	= emul_exec_string,
	[OP_OUTS]	= emul_exec_string,
	[OP_IN]		= emul_exec_in,		  [OP_OUT]	= emul_exec_out,
	[OP_PUSH]	= emul_exec_push,	  [OP_POP]	= emul_exec_pop,
	[OP_PUSHA]	= emul_exec_pusha,	  [OP_POPA]	= emul_exec_popa,
	[OP_PUSHF]	= emul_exec_pushf,	  [OP_POPF]	= emul_exec_popf,
	[OP_PUSH_SEG]	= emul_exec_push_seg,
	[OP_ENTER]	= emul_exec_enter,	  [OP_LEAVE]	= emul_exec_leave,
	[OP_CALL]	= emul_exec_call,	  [OP_JMP]	= emul_exec_jmp,
	[OP_JCC]	= emul_exec_jcc,	  [OP_RET]	= emul_exec_ret,
	[OP_LOOP]	= emul_exec_loop,	  [OP_LOOPE]	= emul_exec_loop,
	[OP_LOOPNE]	= emul_exec_loop,	  [OP_JCXZ]	= emul_exec_loop,
};
/* clang-format on */

int emul_set_fault(struct emul_ctx *c, uint8_t vector, uint32_t error)
{
	/* #DF, #TS, #NP, #SS, #GP, #PF, #AC push an error code. */
	bool has_error = vector == X86_TRAP_DF || vector == X86_TRAP_AC ||
			 (vector >= X86_TRAP_TS && vector <= X86_TRAP_PF);

	c->fault.vector = vector;
	c->fault.has_error = has_error && c->mode != EMUL_REAL;
	c->fault.error = error;
	return EMUL_FAULT;
}

int emul_set_page_fault(struct emul_ctx *c, gva_t gva, uint32_t error)
{
	c->fault.cr2 = gva.v;
	return emul_set_fault(c, X86_TRAP_PF, error);
}

int emul_execute(struct emul_ctx *c)
{
	emul_exec_fn *exec = exec_fns[c->insn.op];
	bool tf = c->rflags & RFLAGS_TF;
	int err;

	if (!exec)
		return EMUL_UNHANDLED;
	c->int_shadow = false;
	c->segs_dirty = 0;
	c->next_rip = c->rip + c->insn.len;
	if (c->mode != EMUL_LONG64)
		c->next_rip = (uint32_t)c->next_rip;
	err = exec(c);
	c->trap = tf && (err == EMUL_OK || err == EMUL_AGAIN);
	if (unlikely(err))
		return err;
	c->rip = c->next_rip;
	c->rflags &= ~RFLAGS_RF;
	return EMUL_OK;
}

int emul_run(struct emul_ctx *c)
{
	int err = emul_decode(c);

	return err ? err : emul_execute(c);
}

unsigned emul_insn_len(struct emul_ctx *c, enum emul_op op)
{
	return emul_decode(c) == EMUL_OK && c->insn.op == op ? c->insn.len : 0;
}
