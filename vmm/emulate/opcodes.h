/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The format of the opcode tables, private to the decoder. A row names the operation, its
 * operands in the notation of the manuals' opcode maps (SDM volume 2, appendix A; APM volume 3,
 * appendix A), and what is special about the encoding.
 */
#ifndef VMM_EMULATE_OPCODES_H
#define VMM_EMULATE_OPCODES_H

#include <stdint.h>

#include "vmm/emulate/emul_insn.h"

/*
 * Operand notation. First letter, the place: E ModRM.rm, register or memory; M ModRM.rm, memory
 * only; R ModRM.rm, register only; G ModRM.reg; S C D a segment, control or debug register by
 * ModRM.reg; Z the register in the opcode's low bits; I immediate; J branch displacement; A far
 * pointer in the instruction; O memory at an absolute offset; X DS:rSI; Y ES:rDI.
 * Second letter, the size: b w d q as usual; v operand size; z operand size, at most 4 bytes;
 * y 4 bytes or 8 with REX.W; n 4 bytes or 8 in 64-bit mode; p far pointer; a two of v; s limit
 * and base of a descriptor table; x two of y. Ibs is a byte sign-extended to the operand size,
 * Ib2 a second immediate, RvMw a register of v or memory of w.
 */
/* clang-format off */
enum form {
	F__,
	F_Eb, F_Ew, F_Ed, F_Ev, F_RvMw, F_M, F_Mv, F_Mp, F_Ma, F_Ms, F_Mx, F_Gb, F_Gw, F_Gv,
	F_Ry, F_Rn, F_Sw, F_Cn, F_Dn, /* up to here: from the ModRM byte */
	F_Zb, F_Zv, F_Ib, F_Ibs, F_Iw, F_Ib2, F_Iz, F_Iv, F_Jb, F_Jz, F_Ap, F_Ob, F_Ov,
	F_Xb, F_Xv, F_Xz, F_Yb, F_Yv, F_Yz,
	F_AL, F_AX, F_eAX, F_rAX, F_CL, F_DX, F_1, F_ES, F_CS, F_SS, F_DS, F_FS, F_GS,
	NR_FORMS,
};
/* clang-format on */

/* How to go on after a table lookup. */
enum opcode_kind {
	KIND_INSN,   /* this is the instruction */
	KIND_PREFIX, /* a legacy prefix: next byte, same map */
	KIND_MAP,    /* next byte, map `sub` */
	KIND_MODE,   /* sub[1] in 64-bit mode, else sub[0] */
	KIND_REX,    /* in 64-bit mode a REX prefix, else sub[0] */
	KIND_REG,    /* sub[ModRM.reg] */
	KIND_MOD,    /* sub[0] for a memory operand, sub[1] for a register */
	KIND_RM,     /* sub[ModRM.rm] */
	KIND_PFX,    /* sub[0] plain, [1] 66, [2] F3, [3] F2; F2 and F3 outrank 66 */
};

#define FL_MODRM   0x001  /* has a ModRM byte (set by the row macros) */
#define FL_LOCK    0x002  /* LOCK is legal with a memory destination */
#define FL_D64     0x004  /* operand size in 64-bit mode is 8, or 2 with 66 */
#define FL_F64     0x008  /* operand size in 64-bit mode is 8 */
#define FL_I64     0x010  /* invalid in 64-bit mode */
#define FL_O64     0x020  /* valid in 64-bit mode only */
#define FL_PROT    0x040  /* invalid in real and virtual-8086 mode */
#define FL_NP      0x080  /* with 66, F2 or F3 it is another instruction, not in these tables */
#define FL_NOREP   0x100  /* with F2 or F3 it is another instruction, not in these tables */
#define FL_NOMEM   0x200  /* ModRM.mod is ignored: always a register (set by the row macros) */
#define FL_SREG    0x400  /* names a segment, control or debug register (set by the row macros) */
#define FL_MEM     0x800  /* has a memory-only operand (set by the row macros) */
#define FL_N64     0x1000 /* operand size is that of the mode, 4 or 8 (set by the row macros) */
#define FL_CHECKED (FL_I64 | FL_O64 | FL_PROT | FL_SREG | FL_MEM) /* not valid in all cases */

struct opcode {
	const struct opcode *sub; /* all kinds but KIND_INSN and KIND_PREFIX */
	uint8_t op;               /* enum emul_op */
	uint8_t kind;             /* enum opcode_kind */
	uint8_t form[3];          /* enum form */
	uint16_t flags;           /* FL_* */
};

extern const struct opcode emul_map_1byte[256];

#endif
