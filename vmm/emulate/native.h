/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Instructions that the CPU executes for the emulator: what computes in the vector and x87
 * registers, and integer instructions of VEX and later encodings. Private to vmm/emulate/.
 *
 * There are some 2000 of them, and they all are alike in what the emulator is for: one operand
 * in memory, of a size that the encoding tells, which is read or written. So the emulator fetches
 * the operand from where the guest has it, and has the CPU execute the instruction, encoded anew
 * with that copy as its operand, on the guest's own vector and x87 registers. What is not in
 * emul_native_rows is never executed so: it might be privileged, touch other memory, or be longer
 * than we think.
 */
#ifndef VMM_EMULATE_NATIVE_H
#define VMM_EMULATE_NATIVE_H

#include "vmm/emulate/decode.h"
#include "vmm/emulate/internal.h"

/* Encodings. */
#define ENC_LEGACY 0x1
#define ENC_VEX    0x2
#define ENC_EVEX   0x4
#define ENC_XOP    0x8
#define ENC_X87    0x10

/* Opcode maps, numbered as in VEX and XOP prefixes; the x87's has none. */
#define MAP_X87  0
#define MAP_0F   1
#define MAP_0F38 2
#define MAP_0F3A 3
#define MAP_XOP8 8
#define MAP_XOPA 10

/* The bytes of the operand in memory, by the vector length, the prefix and W. */
enum native_size {
	SZ_NONE,
	SZ_B1,
	SZ_B2,
	SZ_B4,
	SZ_B8,
	SZ_B10,
	SZ_B16,
	SZ_B32,
	SZ_VL,
	SZ_VL2,
	SZ_VL4,
	SZ_VL8,  /* a vector; its half, quarter, eighth */
	SZ_PS,   /* a vector; with F3 or F2 a single or a double of it */
	SZ_DUP,  /* 8 of 16 bytes, or a vector */
	SZ_VH,   /* half a vector; with W all of it */
	SZ_YG,   /* 4 or 8 by W, which counts in 64-bit mode only, as for general registers */
	SZ_YW,   /* 4 or 8 by W in all modes */
	SZ_V,    /* the operand size */
	SZ_K,    /* a mask register: 2, 1, 8, 4 */
	SZ_ENV,  /* x87 environment: 14 or 28 by the operand size */
	SZ_SAVE, /* x87 state: 94 or 108 */
	SZ_FX,   /* FXSAVE's area */
	SZ_XS,   /* XSAVE's area */
	NR_NATIVE_SIZES,
};

/* What must be switched on for it: see is_available(). */
enum native_unit { UNIT_INT, UNIT_X87, UNIT_MMX, UNIT_SSE, UNIT_FXSR, UNIT_XSAVE };

#define NAT_WRITE   0x001  /* the operand is written, otherwise read */
#define NAT_IMM     0x002  /* an immediate byte follows */
#define NAT_IS4     0x004  /* ... with a vector register in its upper half */
#define NAT_REG     0x008  /* ModRM.reg is a general register; the result, unless NAT_WRITE */
#define NAT_VREG    0x010  /* vvvv is a general register, and perhaps a result */
#define NAT_IMPL    0x020  /* uses rAX, rCX or rDX without naming them */
#define NAT_MEM     0x040  /* with a register in ModRM.rm it is not for us */
#define NAT_MASKED  0x080  /* accesses only some bytes of the operand, always */
#define NAT_ELEMENT 0x100  /* the scale of an 8-bit displacement is one element */
#define NAT_OPSIZE  0x200  /* 66 is the operand size */
#define NAT_RDI     0x400  /* the operand is at rDI, and ModRM names registers only */
#define NAT_NOMEM   0x1000 /* registers only */
#define NAT_NOMODRM 0x2000 /* has no ModRM byte, and no operand */
#define NAT_CPL0    0x800

struct native_row {
	uint8_t encs; /* ENC_* */
	uint8_t map;
	uint8_t pps;         /* BIT(VEX's pp): no prefix, 66, F3, F2 */
	uint8_t first, last; /* opcodes */
	uint8_t regs;        /* BIT(ModRM.reg): those that are instructions */
	uint8_t size;        /* enum native_size */
	uint8_t unit;        /* enum native_unit */
	uint16_t flags;      /* NAT_* */
};

extern const struct native_row emul_native_rows[];
extern const unsigned emul_nr_native_rows;

/* The fields of an encoding, whichever it is. */
struct native_fields {
	uint8_t map, pp, vvvv, l, p2; /* vvvv: 0 ... 15; p2: EVEX's last byte */
	bool w, r, x, b, r2;          /* as extensions of register numbers, not inverted */
};

/* The largest operand: XSAVE's area with AVX-512 and PKRU has 2696 bytes. */
#define NATIVE_MAX 2816

/* insn.native is that of the prefixes and the opcode. */
void emul_native_fields(const struct emul_ctx *c, struct native_fields *f);
/* Bytes of the operand. */
unsigned emul_native_size(const struct emul_ctx *c);
/*
 * insn encoded with its operand at [rDI], ModRM.reg in rBX and vvvv in rSI where they are general
 * registers; with `opcode` in the place of its own. Bytes of `code`, at most 15.
 */
unsigned emul_native_encode(const struct emul_ctx *c, uint8_t opcode, uint8_t *code);

static inline const struct native_row *native_row(const struct emul_insn *i)
{
	return &emul_native_rows[i->native.row];
}

#endif
