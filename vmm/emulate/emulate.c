/* SPDX-License-Identifier: BSD-2-Clause */
/* The way of one instruction: decode, execute, and what every instruction does at its end. */
#include "vmm/emulate/emulate.h"
#include "vmm/emulate/flags.h"
#include "vmm/emulate/internal.h"

/* clang-format off */
/* Operations in neither table are decoded only. */
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
	[OP_CLFLUSH]	= emul_exec_clflush,	  [OP_CLZERO]	= emul_exec_clzero,
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

/* Those that need the owner's callbacks for system instructions. */
static emul_exec_fn *const system_fns[NR_EMUL_OPS] = {
	[OP_MOV_SEG]	= emul_exec_mov_seg,	  [OP_POP_SEG]	= emul_exec_pop_seg,
	[OP_LOAD_FAR]	= emul_exec_load_far,
	[OP_LLDT]	= emul_exec_lldt,	  [OP_LTR]	= emul_exec_ltr,
	[OP_SLDT]	= emul_exec_store_selector, [OP_STR]	= emul_exec_store_selector,
	[OP_VERR]	= emul_exec_verify,	  [OP_VERW]	= emul_exec_verify,
	[OP_LAR]	= emul_exec_lar,	  [OP_LSL]	= emul_exec_lsl,
	[OP_ARPL]	= emul_exec_arpl,
	[OP_JMPF]	= emul_exec_jmpf,	  [OP_CALLF]	= emul_exec_callf,
	[OP_RETF]	= emul_exec_retf,	  [OP_IRET]	= emul_exec_iret,
	[OP_INT]	= emul_exec_int,	  [OP_INT1]	= emul_exec_int,
	[OP_INT3]	= emul_exec_int,	  [OP_INTO]	= emul_exec_int,
	[OP_MOV_FROM_CR] = emul_exec_mov_from_cr, [OP_MOV_TO_CR] = emul_exec_mov_to_cr,
	[OP_MOV_FROM_DR] = emul_exec_mov_from_dr, [OP_MOV_TO_DR] = emul_exec_mov_to_dr,
	[OP_CLTS]	= emul_exec_clts,	  [OP_LMSW]	= emul_exec_lmsw,
	[OP_SMSW]	= emul_exec_smsw,
	[OP_SGDT]	= emul_exec_store_table,  [OP_SIDT]	= emul_exec_store_table,
	[OP_LGDT]	= emul_exec_load_table,	  [OP_LIDT]	= emul_exec_load_table,
	[OP_FNINIT]	= emul_exec_fpu,	  [OP_FNCLEX]	= emul_exec_fpu,
	[OP_FNSTCW]	= emul_exec_fpu,	  [OP_FNSTSW]	= emul_exec_fpu,
	[OP_FLDCW]	= emul_exec_fpu,	  [OP_FWAIT]	= emul_exec_fpu,
	[OP_CPUID]	= emul_exec_system,	  [OP_RDTSC]	= emul_exec_system,
	[OP_RDTSCP]	= emul_exec_system,	  [OP_RDPMC]	= emul_exec_system,
	[OP_XGETBV]	= emul_exec_system,	  [OP_VMCALL]	= emul_exec_system,
	[OP_VMMCALL]	= emul_exec_system,
	[OP_HLT]	= emul_exec_privileged,	  [OP_RDMSR]	= emul_exec_privileged,
	[OP_WRMSR]	= emul_exec_privileged,	  [OP_INVD]	= emul_exec_privileged,
	[OP_WBINVD]	= emul_exec_privileged,	  [OP_INVLPG]	= emul_exec_privileged,
	[OP_XSETBV]	= emul_exec_privileged,	  [OP_MONITOR]	= emul_exec_system,
	[OP_MWAIT]	= emul_exec_system,	  [OP_NATIVE]	= emul_exec_native,
};
/* clang-format on */

/*
 * The instruction has not come to its end; or it has, in another task, with rip and rflags. Between
 * two iterations RF is set: a breakpoint on the instruction has hit at the first (SDM volume
 * 3, 17.3.1.1).
 */
static __cold int end_early(struct emul_ctx *c, int err)
{
	if (err == EMUL_PAUSED) {
		c->rflags |= RFLAGS_RF;
		return EMUL_AGAIN;
	}
	c->trap = false;
	return err == EMUL_SWITCHED ? EMUL_OK : err;
}

int emul_execute(struct emul_ctx *c)
{
	emul_exec_fn *exec = exec_fns[c->insn.op];
	int err;

	if (!exec && c->ops->system)
		exec = system_fns[c->insn.op];
	if (!exec)
		return EMUL_UNHANDLED;
	c->int_shadow = false;
	c->segs_dirty = 0;
	c->trap = c->rflags & RFLAGS_TF;
	c->next_rip = c->rip + c->insn.len;
	if (c->mode != EMUL_LONG64)
		c->next_rip = (uint32_t)c->next_rip;
	err = exec(c);
	if (unlikely(err))
		return end_early(c, err);
	c->rip = c->next_rip;
	if (c->insn.op != OP_IRET) /* which may have set it */
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
