/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A decoded instruction: what the decoder says to the emulator, and to a run loop that wants the
 * length and the operands of an instruction which the CPU intercepted without describing it.
 * Only numbers that the bytes and the mode determine; nothing here depends on register contents.
 */
#ifndef VMM_EMULATE_EMUL_INSN_H
#define VMM_EMULATE_EMUL_INSN_H

#include <stdint.h>

#include "arch/x86/virt.h"

#define EMUL_MAX_INSN_LEN 15

/* clang-format off */
/*
 * What the instruction does; the manuals' mnemonics. The eight ALU operations, the shifts and the
 * conditions keep the order of their encoding.
 */
enum emul_op {
	OP_INVALID, /* #UD in this mode */
	OP_UNKNOWN, /* outside this emulator's set */

	OP_ADD, OP_OR, OP_ADC, OP_SBB, OP_AND, OP_SUB, OP_XOR, OP_CMP,
	OP_ROL, OP_ROR, OP_RCL, OP_RCR, OP_SHL, OP_SHR, OP_SAL, OP_SAR,
	OP_TEST, OP_NOT, OP_NEG, OP_INC, OP_DEC, OP_MUL, OP_IMUL, OP_IMUL3, OP_DIV, OP_IDIV,
	OP_SHLD, OP_SHRD,
	OP_BT, OP_BTS, OP_BTR, OP_BTC, OP_BSF, OP_BSR, OP_TZCNT, OP_LZCNT, OP_POPCNT, OP_BSWAP,
	OP_MOV, OP_MOVZX, OP_MOVSX, OP_MOVBE, OP_LEA, OP_XCHG, OP_XADD,
	OP_CMPXCHG, OP_CMPXCHG8B, OP_SETCC, OP_CMOVCC,
	OP_CBW, OP_CWD, OP_XLAT, OP_LAHF, OP_SAHF, OP_SALC,
	OP_AAA, OP_AAS, OP_DAA, OP_DAS, OP_AAM, OP_AAD,
	OP_CLC, OP_STC, OP_CMC, OP_CLD, OP_STD, OP_CLI, OP_STI,
	OP_NOP, OP_PAUSE, OP_FENCE, OP_BOUND, OP_ARPL, OP_UD,

	OP_MOVS, OP_STOS, OP_LODS, OP_CMPS, OP_SCAS, OP_INS, OP_OUTS, OP_IN, OP_OUT,

	OP_PUSH, OP_POP, OP_PUSHA, OP_POPA, OP_PUSHF, OP_POPF, OP_ENTER, OP_LEAVE,
	OP_CALL, OP_JMP, OP_JCC, OP_RET, OP_LOOP, OP_LOOPE, OP_LOOPNE, OP_JCXZ,
	OP_CALLF, OP_JMPF, OP_RETF, OP_INT, OP_INT3, OP_INTO, OP_INT1, OP_IRET,
	OP_MOV_SEG, OP_MOV_FROM_SEG, OP_PUSH_SEG, OP_POP_SEG, OP_LOAD_FAR, /* LDS LES LSS LFS LGS */

	OP_HLT, OP_CPUID, OP_RDMSR, OP_WRMSR, OP_RDTSC, OP_RDTSCP, OP_RDPMC, OP_INVD, OP_WBINVD,
	OP_CLTS, OP_LMSW, OP_SMSW, OP_INVLPG, OP_XSETBV, OP_XGETBV, OP_MONITOR, OP_MWAIT,
	OP_VMCALL, OP_VMMCALL, OP_MOV_FROM_CR, OP_MOV_TO_CR, OP_MOV_FROM_DR, OP_MOV_TO_DR,
	OP_SGDT, OP_SIDT, OP_LGDT, OP_LIDT, OP_SLDT, OP_STR, OP_LLDT, OP_LTR, OP_VERR, OP_VERW,
	OP_LAR, OP_LSL, OP_SYSCALL, OP_SYSRET, OP_SYSENTER, OP_SYSEXIT, OP_SWAPGS, OP_RSM,
	OP_RDFSBASE, OP_RDGSBASE, OP_WRFSBASE, OP_WRGSBASE, OP_CLAC, OP_STAC,
	OP_VMRUN, OP_VMLOAD, OP_VMSAVE, OP_STGI, OP_CLGI, OP_SKINIT, OP_INVLPGA,
	OP_VMLAUNCH, OP_VMRESUME, OP_VMXOFF,

	OP_CLFLUSH, /* CLFLUSHOPT, CLWB */
	OP_CLZERO,
	OP_NATIVE,  /* insn.native: the CPU executes it for the emulator */

	OP_FNINIT, OP_FNCLEX, OP_FNSTCW, OP_FNSTSW, OP_FLDCW, OP_FWAIT, /* how firmware sees an FPU */
	NR_EMUL_OPS,
};
/* clang-format on */

/* Where an operand is. */
enum emul_opnd_kind {
	OPND_NONE,
	OPND_REG,     /* general register `reg`; EMUL_REG_HIGH + n is AH, CH, DH, BH */
	OPND_MEM,     /* at insn.mem */
	OPND_IMM,     /* insn.imm, extended to 64 bits as the instruction wants it */
	OPND_IMM2,    /* insn.imm2 */
	OPND_SEG,     /* segment register `reg` */
	OPND_CR,      /* control register `reg` */
	OPND_DR,      /* debug register `reg` */
	OPND_REL,     /* branch displacement in insn.imm */
	OPND_STR_SRC, /* insn.mem.seg:[rSI] */
	OPND_STR_DST, /* ES:[rDI] */
};

#define EMUL_REG_HIGH 16

struct emul_opnd {
	uint8_t kind; /* enum emul_opnd_kind */
	uint8_t size; /* bytes; 0 where the memory operand has no one size (LEA, INVLPG) */
	uint8_t reg;
};

/* A memory operand: (base + (index << scale) + disp), cut to insn.adsize, in segment `seg`. */
#define EMUL_MEM_NONE 0xff /* no base or index register */
#define EMUL_MEM_RIP  0x10 /* base is the rip of the next instruction */

struct emul_mem {
	int64_t disp;
	uint8_t base, index, scale;
	uint8_t seg;
};

#define EMUL_PFX_LOCK  0x01
#define EMUL_PFX_REP   0x02 /* F3, the last of F2 and F3 */
#define EMUL_PFX_REPNE 0x04 /* F2, the last of F2 and F3 */
#define EMUL_PFX_66    0x08
#define EMUL_PFX_67    0x10

struct emul_insn {
	uint8_t op;       /* enum emul_op */
	uint8_t len;      /* bytes */
	uint8_t opsize;   /* operand-size attribute: 2, 4, 8 bytes */
	uint8_t adsize;   /* address-size attribute: 2, 4, 8 bytes */
	uint8_t prefixes; /* EMUL_PFX_* */
	uint8_t rex;      /* 0x40-0x4f, or 0 */
	uint8_t opcode; /* last opcode byte: its low bits are the condition of Jcc, SETcc, CMOVcc */
	uint8_t modrm;
	uint8_t nr_bytes; /* how many of `bytes` are there: given by the CPU or fetched so far */
	uint8_t bytes[EMUL_MAX_INSN_LEN];
	struct emul_opnd opnd[3];
	struct {               /* of OP_NATIVE: see vmm/emulate/native.h */
		uint8_t enc;   /* ENC_* */
		uint8_t start; /* where in `bytes` the encoding begins, behind the prefixes */
		uint8_t at;    /* ... and where its opcode is */
		uint16_t row;  /* of emul_native_rows */
	} native;
	struct emul_mem mem;
	uint64_t imm;
	uint32_t imm2; /* selector of a far pointer, level of ENTER */
};

#endif
