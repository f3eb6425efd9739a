/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The instructions that the CPU executes for the emulator (native.h), by their encodings: SDM
 * volume 2, appendix A, with the operands' sizes from each instruction's page; APM volumes 4 and
 * 5 for what only AMD's CPUs have. tests/unit/test_native_rows.c holds each against Zydis.
 *
 * Left out: what goes to memory more than once or elsewhere (gather, scatter), what needs a
 * privilege, and extensions that no guest's CPUID shows.
 */
#include "vmm/emulate/native.h"

#define S ENC_LEGACY
#define V ENC_VEX
#define E ENC_EVEX
#define X ENC_XOP

#define NP   0x1
#define P66  0x2
#define PF3  0x4
#define PF2  0x8
#define PALL 0xf

#define ANY 0xff

#define ROW(encs_, map_, pps_, first_, last_, regs_, size_, unit_, flags_)                         \
	{                                                                                          \
		.encs = (encs_), .map = (map_), .pps = (pps_), .first = (first_), .last = (last_), \
		.regs = (regs_), .size = SZ_##size_, .unit = UNIT_##unit_, .flags = (flags_)       \
	}

#define WR     NAT_WRITE
#define IMM    NAT_IMM
#define IS4    NAT_IS4
#define REG    NAT_REG
#define VREG   NAT_VREG
#define IMPL   NAT_IMPL
#define MEM    NAT_MEM
#define MASKED NAT_MASKED
#define ELEM   NAT_ELEMENT
#define OPSIZE NAT_OPSIZE
#define NOMEM  NAT_NOMEM

/* clang-format off */
const struct native_row emul_native_rows[] = {
	/* x87 */
	ROW(ENC_X87, MAP_X87, NP, 0xd8, 0xd8, ANY,  B4,   X87, 0), /* fadd ... fdivr */
	ROW(ENC_X87, MAP_X87, NP, 0xd9, 0xd9, 0x01, B4,   X87, 0), /* fld */
	ROW(ENC_X87, MAP_X87, NP, 0xd9, 0xd9, 0x0c, B4,   X87, WR), /* fst, fstp */
	ROW(ENC_X87, MAP_X87, NP, 0xd9, 0xd9, 0x10, ENV,  X87, OPSIZE), /* fldenv */
	ROW(ENC_X87, MAP_X87, NP, 0xd9, 0xd9, 0x40, ENV,  X87, WR | OPSIZE), /* fnstenv */
	ROW(ENC_X87, MAP_X87, NP, 0xda, 0xda, ANY,  B4,   X87, 0), /* fiadd ... fidivr */
	ROW(ENC_X87, MAP_X87, NP, 0xdb, 0xdb, 0x01, B4,   X87, 0), /* fild */
	ROW(ENC_X87, MAP_X87, NP, 0xdb, 0xdb, 0x0e, B4,   X87, WR), /* fisttp, fist, fistp */
	ROW(ENC_X87, MAP_X87, NP, 0xdb, 0xdb, 0x20, B10,  X87, 0), /* fld */
	ROW(ENC_X87, MAP_X87, NP, 0xdb, 0xdb, 0x80, B10,  X87, WR), /* fstp */
	ROW(ENC_X87, MAP_X87, NP, 0xdc, 0xdc, ANY,  B8,   X87, 0), /* fadd ... fdivr */
	ROW(ENC_X87, MAP_X87, NP, 0xdd, 0xdd, 0x01, B8,   X87, 0), /* fld */
	ROW(ENC_X87, MAP_X87, NP, 0xdd, 0xdd, 0x0e, B8,   X87, WR), /* fisttp, fst, fstp */
	ROW(ENC_X87, MAP_X87, NP, 0xdd, 0xdd, 0x10, SAVE, X87, OPSIZE), /* frstor */
	ROW(ENC_X87, MAP_X87, NP, 0xdd, 0xdd, 0x40, SAVE, X87, WR | OPSIZE), /* fnsave */
	ROW(ENC_X87, MAP_X87, NP, 0xde, 0xde, ANY,  B2,   X87, 0), /* fiadd ... fidivr */
	ROW(ENC_X87, MAP_X87, NP, 0xdf, 0xdf, 0x01, B2,   X87, 0), /* fild */
	ROW(ENC_X87, MAP_X87, NP, 0xdf, 0xdf, 0x0e, B2,   X87, WR), /* fisttp, fist, fistp */
	ROW(ENC_X87, MAP_X87, NP, 0xdf, 0xdf, 0x10, B10,  X87, 0), /* fbld */
	ROW(ENC_X87, MAP_X87, NP, 0xdf, 0xdf, 0x20, B8,   X87, 0), /* fild */
	ROW(ENC_X87, MAP_X87, NP, 0xdf, 0xdf, 0x40, B10,  X87, WR), /* fbstp */
	ROW(ENC_X87, MAP_X87, NP, 0xdf, 0xdf, 0x80, B8,   X87, WR), /* fistp */
	ROW(ENC_X87, MAP_X87, NP, 0xd8, 0xdf, ANY,  NONE, X87, 0), /* all with registers */

	/* states */
	ROW(S, 1, NP, 0xae, 0xae, 0x01, FX, FXSR,  WR | MEM | MASKED), /* fxsave */
	ROW(S, 1, NP, 0xae, 0xae, 0x02, FX, FXSR,  MEM), /* fxrstor */
	ROW(S, 1, NP, 0xae, 0xae, 0x04, B4, SSE,   MEM), /* ldmxcsr */
	ROW(S, 1, NP, 0xae, 0xae, 0x08, B4, SSE,   WR | MEM), /* stmxcsr */
	ROW(V, 1, NP, 0xae, 0xae, 0x04, B4, SSE,   MEM), /* vldmxcsr */
	ROW(V, 1, NP, 0xae, 0xae, 0x08, B4, SSE,   WR | MEM), /* vstmxcsr */
	ROW(S, 1, NP, 0xae, 0xae, 0x50, XS, XSAVE, WR | IMPL | MEM | MASKED), /* xsave, xsaveopt */
	ROW(S, 1, NP, 0xae, 0xae, 0x20, XS, XSAVE, IMPL | MEM), /* xrstor */
	ROW(S, 1, NP, 0xc7, 0xc7, 0x10, XS, XSAVE, WR | IMPL | MEM | MASKED), /* xsavec */
	ROW(S, 1, NP, 0xc7, 0xc7, 0x20, XS, XSAVE, WR | IMPL | MEM | MASKED | NAT_CPL0), /* xsaves */
	ROW(S, 1, NP, 0xc7, 0xc7, 0x08, XS, XSAVE, IMPL | MEM | NAT_CPL0), /* xrstors */

	/* with registers only, which real mode brings here */
	ROW(S, 1, NP | P66,  0x50, 0x50, ANY,  NONE, SSE, REG | NOMEM), /* movmskps, movmskpd */
	ROW(S, 1, NP,        0x71, 0x72, 0x54, NONE, MMX, IMM | NOMEM), /* psrlw ... pslld */
	ROW(S, 1, P66,       0x71, 0x72, 0x54, NONE, SSE, IMM | NOMEM),
	ROW(S, 1, NP,        0x73, 0x73, 0x44, NONE, MMX, IMM | NOMEM), /* psrlq, psllq */
	ROW(S, 1, P66,       0x73, 0x73, 0xcc, NONE, SSE, IMM | NOMEM), /* and psrldq, pslldq */
	ROW(S, 1, NP,        0x77, 0x77, ANY,  NONE, MMX, NAT_NOMODRM), /* emms */
	ROW(S, 1, NP,        0xc5, 0xc5, ANY,  NONE, MMX, IMM | REG | NOMEM), /* pextrw */
	ROW(S, 1, P66,       0xc5, 0xc5, ANY,  NONE, SSE, IMM | REG | NOMEM),
	ROW(S, 1, PF3 | PF2, 0xd6, 0xd6, ANY,  NONE, SSE, NOMEM), /* movq2dq, movdq2q */
	ROW(S, 1, NP,        0xd7, 0xd7, ANY,  NONE, MMX, REG | NOMEM), /* pmovmskb */
	ROW(S, 1, P66,       0xd7, 0xd7, ANY,  NONE, SSE, REG | NOMEM),

	/* at rDI, and the one whose opcode is behind all else: 3DNow! */
	ROW(S,     1, NP,  0xf7, 0xf7, ANY, B8,  MMX, WR | MASKED | NAT_RDI), /* maskmovq */
	ROW(S | V, 1, P66, 0xf7, 0xf7, ANY, B16, SSE, WR | MASKED | NAT_RDI), /* maskmovdqu */
	ROW(S,     1, NP,  0x0f, 0x0f, ANY, B8,  MMX, IMM),

	/* map 0F */
	ROW(S | V | E, 1, PALL, 0x10, 0x10, ANY, PS, SSE, 0), /* movups ... movsd */
	ROW(S | V | E, 1, PALL, 0x11, 0x11, ANY, PS, SSE, WR), /* movups ... movsd */
	ROW(S | V | E, 1, NP | P66 | PF2, 0x12, 0x12, ANY, DUP, SSE, 0), /* movlps, movlpd, movddup */
	ROW(S | V | E, 1, PF3, 0x12, 0x12, ANY, VL, SSE, 0), /* movsldup */
	ROW(S | V | E, 1, NP | P66, 0x13, 0x13, ANY, VL2, SSE, WR), /* movlps, movlpd */
	ROW(S | V | E, 1, NP | P66, 0x14, 0x15, ANY, VL, SSE, 0), /* unpcklps ... unpckhpd */
	ROW(S | V | E, 1, NP | P66, 0x16, 0x16, ANY, VL2, SSE, 0), /* movhps, movhpd */
	ROW(S | V | E, 1, PF3, 0x16, 0x16, ANY, VL, SSE, 0), /* movshdup */
	ROW(S | V | E, 1, NP | P66, 0x17, 0x17, ANY, VL2, SSE, WR), /* movhps, movhpd */
	ROW(S | V | E, 1, NP | P66, 0x28, 0x28, ANY, VL, SSE, 0), /* movaps, movapd */
	ROW(S | V | E, 1, NP | P66, 0x29, 0x29, ANY, VL, SSE, WR), /* movaps, movapd */
	ROW(S, 1, NP | P66, 0x2a, 0x2a, ANY, VL2, MMX, 0), /* cvtpi2ps, cvtpi2pd */
	ROW(V | E, 1, PF3 | PF2, 0x2a, 0x2a, ANY, YG, SSE, 0), /* vcvtsi2ss, vcvtsi2sd */
	ROW(S, 1, PF3 | PF2, 0x2a, 0x2a, ANY, YG, SSE, MEM), /* cvtsi2ss, cvtsi2sd */
	ROW(S | V | E, 1, NP | P66, 0x2b, 0x2b, ANY, VL, SSE, WR), /* movntps, movntpd */
	ROW(S, 1, PF3 | PF2, 0x2b, 0x2b, ANY, PS, SSE, WR), /* movntss, movntsd */
	ROW(S, 1, NP, 0x2c, 0x2d, ANY, VL2, MMX, 0), /* cvttps2pi, cvtps2pi */
	ROW(S, 1, P66, 0x2c, 0x2d, ANY, VL, MMX, 0), /* cvttpd2pi, cvtpd2pi */
	ROW(V | E, 1, PF3 | PF2, 0x2c, 0x2d, ANY, PS, SSE, REG), /* vcvttss2si ... vcvtsd2si */
	ROW(S, 1, PF3 | PF2, 0x2c, 0x2d, ANY, PS, SSE, REG | MEM), /* cvttss2si ... cvtsd2si */
	ROW(S | V | E, 1, NP, 0x2e, 0x2f, ANY, B4, SSE, 0), /* ucomiss, comiss */
	ROW(S | V | E, 1, P66, 0x2e, 0x2f, ANY, B8, SSE, 0), /* ucomisd, comisd */
	ROW(S | V | E, 1, PALL, 0x51, 0x51, ANY, PS, SSE, 0), /* sqrtps ... sqrtsd */
	ROW(S | V, 1, NP | PF3, 0x52, 0x53, ANY, PS, SSE, 0), /* rsqrtps ... rcpss */
	ROW(S | V | E, 1, NP | P66, 0x54, 0x57, ANY, VL, SSE, 0), /* andps ... xorpd */
	ROW(S | V | E, 1, PALL, 0x58, 0x59, ANY, PS, SSE, 0), /* addps ... mulsd */
	ROW(S | V | E, 1, NP, 0x5a, 0x5a, ANY, VL2, SSE, 0), /* cvtps2pd */
	ROW(S | V | E, 1, P66 | PF3 | PF2, 0x5a, 0x5a, ANY, PS, SSE, 0), /* cvtpd2ps, cvtss2sd, cvtsd2ss */
	ROW(S | V | E, 1, NP | P66 | PF3, 0x5b, 0x5b, ANY, VL, SSE, 0), /* cvtdq2ps ... cvttps2dq */
	ROW(S | V | E, 1, PALL, 0x5c, 0x5f, ANY, PS, SSE, 0), /* subps ... maxsd */
	ROW(S, 1, NP, 0x60, 0x62, ANY, VL4, MMX, 0), /* punpcklbw, punpcklwd, punpckldq */
	ROW(S | V | E, 1, P66, 0x60, 0x6d, ANY, VL, SSE, 0), /* punpcklbw ... punpckhqdq */
	ROW(S, 1, NP, 0x63, 0x6b, ANY, VL2, MMX, 0), /* packsswb ... packssdw */
	ROW(S, 1, NP, 0x6e, 0x6e, ANY, YG, MMX, MEM), /* movd, movq */
	ROW(V | E, 1, P66, 0x6e, 0x6e, ANY, YG, SSE, 0), /* vmovd, vmovq */
	ROW(S, 1, P66, 0x6e, 0x6e, ANY, YG, SSE, MEM), /* movd, movq */
	ROW(S, 1, NP, 0x6f, 0x6f, ANY, VL2, MMX, 0), /* movq */
	ROW(S | V | E, 1, P66 | PF3, 0x6f, 0x6f, ANY, VL, SSE, 0), /* vmovdqa32 ... movdqu */
	ROW(E, 1, PF2, 0x6f, 0x6f, ANY, VL, SSE, 0), /* vmovdqu16, vmovdqu8 */
	ROW(S, 1, NP, 0x70, 0x70, ANY, VL2, MMX, IMM), /* pshufw */
	ROW(S | V | E, 1, P66 | PF3 | PF2, 0x70, 0x70, ANY, VL, SSE, IMM), /* pshufd, pshufhw, pshuflw */
	ROW(E, 1, P66, 0x71, 0x71, 0x54, VL, SSE, IMM), /* vpsllw, vpsraw, vpsrlw */
	ROW(E, 1, P66, 0x72, 0x72, 0x57, VL, SSE, IMM), /* vprold ... vpsrld */
	ROW(E, 1, P66, 0x73, 0x73, 0xcc, VL, SSE, IMM), /* vpslldq ... vpsrlq */
	ROW(S, 1, NP, 0x74, 0x76, ANY, VL2, MMX, 0), /* pcmpeqb, pcmpeqw, pcmpeqd */
	ROW(S | V | E, 1, P66, 0x74, 0x76, ANY, VL, SSE, 0), /* pcmpeqb, pcmpeqw, pcmpeqd */
	ROW(E, 1, NP, 0x78, 0x79, ANY, VL, SSE, 0), /* vcvttpd2udq ... vcvtps2udq */
	ROW(E, 1, P66, 0x78, 0x79, ANY, VH, SSE, 0), /* vcvttpd2uqq ... vcvtps2uqq */
	ROW(E, 1, PF3 | PF2, 0x78, 0x79, ANY, PS, SSE, REG), /* vcvttss2usi ... vcvtsd2usi */
	ROW(E, 1, P66 | PF3, 0x7a, 0x7a, ANY, VH, SSE, 0), /* vcvttpd2qq ... vcvtuqq2pd */
	ROW(E, 1, PF2, 0x7a, 0x7a, ANY, VL, SSE, 0), /* vcvtudq2ps, vcvtuqq2ps */
	ROW(E, 1, P66, 0x7b, 0x7b, ANY, VH, SSE, 0), /* vcvtpd2qq, vcvtps2qq */
	ROW(E, 1, PF3 | PF2, 0x7b, 0x7b, ANY, YG, SSE, 0), /* vcvtusi2ss, vcvtusi2sd */
	ROW(S | V, 1, P66 | PF2, 0x7c, 0x7d, ANY, VL, SSE, 0), /* haddpd ... hsubps */
	ROW(S, 1, NP, 0x7e, 0x7e, ANY, YG, MMX, WR | MEM), /* movd, movq */
	ROW(V | E, 1, P66, 0x7e, 0x7e, ANY, YG, SSE, WR), /* vmovd, vmovq */
	ROW(S, 1, P66, 0x7e, 0x7e, ANY, YG, SSE, WR | MEM), /* movd, movq */
	ROW(S | V | E, 1, PF3, 0x7e, 0x7e, ANY, VL2, SSE, 0), /* movq */
	ROW(S, 1, NP, 0x7f, 0x7f, ANY, VL2, MMX, WR), /* movq */
	ROW(S | V | E, 1, P66 | PF3, 0x7f, 0x7f, ANY, VL, SSE, WR), /* vmovdqa32 ... movdqu */
	ROW(E, 1, PF2, 0x7f, 0x7f, ANY, VL, SSE, WR), /* vmovdqu16, vmovdqu8 */
	ROW(V, 1, NP | P66, 0x90, 0x90, ANY, K, SSE, 0), /* kmovq ... kmovd */
	ROW(V, 1, NP | P66, 0x91, 0x91, ANY, K, SSE, WR), /* kmovq ... kmovd */
	ROW(S | V | E, 1, PALL, 0xc2, 0xc2, ANY, PS, SSE, IMM), /* cmpps ... cmpsd */
	ROW(S, 1, NP, 0xc3, 0xc3, ANY, YG, INT, WR | REG | MEM), /* movnti */
	ROW(S, 1, NP, 0xc4, 0xc4, ANY, VL8, MMX, IMM | MEM), /* pinsrw */
	ROW(V | E, 1, P66, 0xc4, 0xc4, ANY, VL8, SSE, IMM), /* vpinsrw */
	ROW(S, 1, P66, 0xc4, 0xc4, ANY, VL8, SSE, IMM | MEM), /* pinsrw */
	ROW(S | V | E, 1, NP | P66, 0xc6, 0xc6, ANY, VL, SSE, IMM), /* shufps, shufpd */
	ROW(S | V, 1, P66 | PF2, 0xd0, 0xd0, ANY, VL, SSE, 0), /* addsubpd, addsubps */
	ROW(S, 1, NP, 0xd1, 0xd5, ANY, VL2, MMX, 0), /* psrlw ... pmullw */
	ROW(S | V | E, 1, P66, 0xd1, 0xd3, ANY, B16, SSE, 0), /* psrlw, psrld, psrlq */
	ROW(S | V | E, 1, P66, 0xd4, 0xd5, ANY, VL, SSE, 0), /* paddq, pmullw */
	ROW(S | V | E, 1, P66, 0xd6, 0xd6, ANY, VL2, SSE, WR), /* movq */
	ROW(S, 1, NP, 0xd8, 0xe5, ANY, VL2, MMX, 0), /* psubusb ... pmulhw */
	ROW(S | V | E, 1, P66, 0xd8, 0xe0, ANY, VL, SSE, 0), /* psubusb ... pavgb */
	ROW(S | V | E, 1, P66, 0xe1, 0xe2, ANY, B16, SSE, 0), /* psraw, psrad, vpsraq */
	ROW(S | V | E, 1, P66, 0xe3, 0xe5, ANY, VL, SSE, 0), /* pavgw, pmulhuw, pmulhw */
	ROW(S | V | E, 1, P66 | PF2, 0xe6, 0xe6, ANY, VL, SSE, 0), /* cvttpd2dq, cvtpd2dq */
	ROW(E, 1, PF3, 0xe6, 0xe6, ANY, VH, SSE, 0), /* vcvtdq2pd, vcvtqq2pd */
	ROW(S | V, 1, PF3, 0xe6, 0xe6, ANY, VL2, SSE, 0), /* cvtdq2pd */
	ROW(S, 1, NP, 0xe7, 0xe7, ANY, VL2, MMX, WR), /* movntq */
	ROW(S | V | E, 1, P66, 0xe7, 0xe7, ANY, VL, SSE, WR), /* movntdq */
	ROW(S, 1, NP, 0xe8, 0xef, ANY, VL2, MMX, 0), /* psubsb ... pxor */
	ROW(S | V | E, 1, P66, 0xe8, 0xef, ANY, VL, SSE, 0), /* psubsb ... pxor */
	ROW(S | V, 1, PF2, 0xf0, 0xf0, ANY, VL, SSE, 0), /* lddqu */
	ROW(S, 1, NP, 0xf1, 0xf6, ANY, VL2, MMX, 0), /* psllw ... psadbw */
	ROW(S | V | E, 1, P66, 0xf1, 0xf3, ANY, B16, SSE, 0), /* psllw, pslld, psllq */
	ROW(S | V | E, 1, P66, 0xf4, 0xf6, ANY, VL, SSE, 0), /* pmuludq, pmaddwd, psadbw */
	ROW(S, 1, NP, 0xf8, 0xfe, ANY, VL2, MMX, 0), /* psubb ... paddd */
	ROW(S | V | E, 1, P66, 0xf8, 0xfe, ANY, VL, SSE, 0), /* psubb ... paddd */

	/* map 0F38 */
	ROW(S, 2, NP, 0x00, 0x0b, ANY, VL2, MMX, 0), /* pshufb ... pmulhrsw */
	ROW(S | V | E, 2, P66, 0x00, 0x00, ANY, VL, SSE, 0), /* pshufb */
	ROW(S | V, 2, P66, 0x01, 0x03, ANY, VL, SSE, 0), /* phaddw, phaddd, phaddsw */
	ROW(S | V | E, 2, P66, 0x04, 0x04, ANY, VL, SSE, 0), /* pmaddubsw */
	ROW(S | V, 2, P66, 0x05, 0x0a, ANY, VL, SSE, 0), /* phsubw ... psignd */
	ROW(S | V | E, 2, P66, 0x0b, 0x0b, ANY, VL, SSE, 0), /* pmulhrsw */
	ROW(V | E, 2, P66, 0x0c, 0x0d, ANY, VL, SSE, 0), /* vpermilps, vpermilpd */
	ROW(V, 2, P66, 0x0e, 0x0f, ANY, VL, SSE, 0), /* vtestps, vtestpd */
	ROW(S | E, 2, P66, 0x10, 0x10, ANY, VL, SSE, 0), /* vpsrlvw, pblendvb */
	ROW(E, 2, PF3, 0x10, 0x10, ANY, VL2, SSE, WR), /* vpmovuswb */
	ROW(E, 2, P66, 0x11, 0x12, ANY, VL, SSE, 0), /* vpsravw, vpsllvw */
	ROW(E, 2, PF3, 0x11, 0x11, ANY, VL4, SSE, WR), /* vpmovusdb */
	ROW(E, 2, PF3, 0x12, 0x12, ANY, VL8, SSE, WR), /* vpmovusqb */
	ROW(V | E, 2, P66, 0x13, 0x13, ANY, VL2, SSE, 0), /* vcvtph2ps */
	ROW(E, 2, PF3, 0x13, 0x13, ANY, VL2, SSE, WR), /* vpmovusdw */
	ROW(S | E, 2, P66, 0x14, 0x15, ANY, VL, SSE, 0), /* vprorvd ... blendvpd */
	ROW(E, 2, PF3, 0x14, 0x14, ANY, VL4, SSE, WR), /* vpmovusqw */
	ROW(E, 2, PF3, 0x15, 0x15, ANY, VL2, SSE, WR), /* vpmovusqd */
	ROW(V | E, 2, P66, 0x16, 0x16, ANY, VL, SSE, 0), /* vpermpd, vpermps */
	ROW(S | V, 2, P66, 0x17, 0x17, ANY, VL, SSE, 0), /* ptest */
	ROW(V | E, 2, P66, 0x18, 0x18, ANY, B4, SSE, 0), /* vbroadcastss */
	ROW(V | E, 2, P66, 0x19, 0x19, ANY, B8, SSE, 0), /* vbroadcastf32x2, vbroadcastsd */
	ROW(V | E, 2, P66, 0x1a, 0x1a, ANY, B16, SSE, 0), /* vbroadcastf32x4, vbroadcastf64x2, vbroadcastf128 */
	ROW(E, 2, P66, 0x1b, 0x1b, ANY, VL2, SSE, 0), /* vbroadcastf32x8, vbroadcastf64x4 */
	ROW(S, 2, NP, 0x1c, 0x1e, ANY, VL2, MMX, 0), /* pabsb, pabsw, pabsd */
	ROW(S | V | E, 2, P66, 0x1c, 0x1e, ANY, VL, SSE, 0), /* pabsb, pabsw, pabsd */
	ROW(E, 2, P66, 0x1f, 0x1f, ANY, VL, SSE, 0), /* vpabsq */
	ROW(S | V | E, 2, P66, 0x20, 0x20, ANY, VL2, SSE, 0), /* pmovsxbw */
	ROW(E, 2, PF3, 0x20, 0x20, ANY, VL2, SSE, WR), /* vpmovswb */
	ROW(S | V | E, 2, P66, 0x21, 0x21, ANY, VL4, SSE, 0), /* pmovsxbd */
	ROW(E, 2, PF3, 0x21, 0x21, ANY, VL4, SSE, WR), /* vpmovsdb */
	ROW(S | V | E, 2, P66, 0x22, 0x22, ANY, VL8, SSE, 0), /* pmovsxbq */
	ROW(E, 2, PF3, 0x22, 0x22, ANY, VL8, SSE, WR), /* vpmovsqb */
	ROW(S | V | E, 2, P66, 0x23, 0x23, ANY, VL2, SSE, 0), /* pmovsxwd */
	ROW(E, 2, PF3, 0x23, 0x23, ANY, VL2, SSE, WR), /* vpmovsdw */
	ROW(S | V | E, 2, P66, 0x24, 0x24, ANY, VL4, SSE, 0), /* pmovsxwq */
	ROW(E, 2, PF3, 0x24, 0x24, ANY, VL4, SSE, WR), /* vpmovsqw */
	ROW(S | V | E, 2, P66, 0x25, 0x25, ANY, VL2, SSE, 0), /* pmovsxdq */
	ROW(E, 2, PF3, 0x25, 0x25, ANY, VL2, SSE, WR), /* vpmovsqd */
	ROW(E, 2, P66 | PF3, 0x26, 0x27, ANY, VL, SSE, 0), /* vptestmb ... vptestnmq */
	ROW(S | V | E, 2, P66, 0x28, 0x2b, ANY, VL, SSE, 0), /* pmuldq ... packusdw */
	ROW(E, 2, P66, 0x2c, 0x2c, ANY, VL, SSE, 0), /* vscalefpd, vscalefps */
	ROW(V, 2, P66, 0x2c, 0x2d, ANY, VL, SSE, MASKED), /* vmaskmovps, vmaskmovpd */
	ROW(E, 2, P66, 0x2d, 0x2d, ANY, YW, SSE, 0), /* vscalefsd, vscalefss */
	ROW(V, 2, P66, 0x2e, 0x2f, ANY, VL, SSE, WR | MASKED), /* vmaskmovps, vmaskmovpd */
	ROW(S | V | E, 2, P66, 0x30, 0x30, ANY, VL2, SSE, 0), /* pmovzxbw */
	ROW(E, 2, PF3, 0x30, 0x30, ANY, VL2, SSE, WR), /* vpmovwb */
	ROW(S | V | E, 2, P66, 0x31, 0x31, ANY, VL4, SSE, 0), /* pmovzxbd */
	ROW(E, 2, PF3, 0x31, 0x31, ANY, VL4, SSE, WR), /* vpmovdb */
	ROW(S | V | E, 2, P66, 0x32, 0x32, ANY, VL8, SSE, 0), /* pmovzxbq */
	ROW(E, 2, PF3, 0x32, 0x32, ANY, VL8, SSE, WR), /* vpmovqb */
	ROW(S | V | E, 2, P66, 0x33, 0x33, ANY, VL2, SSE, 0), /* pmovzxwd */
	ROW(E, 2, PF3, 0x33, 0x33, ANY, VL2, SSE, WR), /* vpmovdw */
	ROW(S | V | E, 2, P66, 0x34, 0x34, ANY, VL4, SSE, 0), /* pmovzxwq */
	ROW(E, 2, PF3, 0x34, 0x34, ANY, VL4, SSE, WR), /* vpmovqw */
	ROW(S | V | E, 2, P66, 0x35, 0x35, ANY, VL2, SSE, 0), /* pmovzxdq */
	ROW(E, 2, PF3, 0x35, 0x35, ANY, VL2, SSE, WR), /* vpmovqd */
	ROW(V | E, 2, P66, 0x36, 0x36, ANY, VL, SSE, 0), /* vpermd, vpermq */
	ROW(S | V | E, 2, P66, 0x37, 0x40, ANY, VL, SSE, 0), /* pcmpgtq ... vpmullq */
	ROW(S | V, 2, P66, 0x41, 0x41, ANY, VL, SSE, 0), /* phminposuw */
	ROW(E, 2, P66, 0x42, 0x42, ANY, VL, SSE, 0), /* vgetexppd, vgetexpps */
	ROW(E, 2, P66, 0x43, 0x43, ANY, YW, SSE, 0), /* vgetexpsd, vgetexpss */
	ROW(E, 2, P66, 0x44, 0x44, ANY, VL, SSE, 0), /* vplzcntd, vplzcntq */
	ROW(V | E, 2, P66, 0x45, 0x47, ANY, VL, SSE, 0), /* vpsrlvd ... vpsllvq */
	ROW(E, 2, P66, 0x4c, 0x4c, ANY, VL, SSE, 0), /* vrcp14pd, vrcp14ps */
	ROW(E, 2, P66, 0x4d, 0x4d, ANY, YW, SSE, 0), /* vrcp14sd, vrcp14ss */
	ROW(E, 2, P66, 0x4e, 0x4e, ANY, VL, SSE, 0), /* vrsqrt14pd, vrsqrt14ps */
	ROW(E, 2, P66, 0x4f, 0x4f, ANY, YW, SSE, 0), /* vrsqrt14sd, vrsqrt14ss */
	ROW(E, 2, P66, 0x50, 0x55, ANY, VL, SSE, 0), /* vpdpbusd ... vpopcntq */
	ROW(V | E, 2, P66, 0x58, 0x58, ANY, B4, SSE, 0), /* vpbroadcastd */
	ROW(V | E, 2, P66, 0x59, 0x59, ANY, B8, SSE, 0), /* vbroadcasti32x2, vpbroadcastq */
	ROW(V | E, 2, P66, 0x5a, 0x5a, ANY, B16, SSE, 0), /* vbroadcasti32x4, vbroadcasti64x2, vbroadcasti128 */
	ROW(E, 2, P66, 0x5b, 0x5b, ANY, VL2, SSE, 0), /* vbroadcasti32x8, vbroadcasti64x4 */
	ROW(E, 2, P66, 0x62, 0x62, ANY, VL, SSE, ELEM), /* vpexpandb, vpexpandw */
	ROW(E, 2, P66, 0x63, 0x63, ANY, VL, SSE, WR | ELEM), /* vpcompressb, vpcompressw */
	ROW(E, 2, P66, 0x64, 0x66, ANY, VL, SSE, 0), /* vpblendmd ... vpblendmw */
	ROW(E, 2, P66, 0x70, 0x73, ANY, VL, SSE, 0), /* vpshldvw ... vpshrdvq */
	ROW(E, 2, P66, 0x75, 0x77, ANY, VL, SSE, 0), /* vpermi2b ... vpermi2ps */
	ROW(V | E, 2, P66, 0x78, 0x78, ANY, B1, SSE, 0), /* vpbroadcastb */
	ROW(V | E, 2, P66, 0x79, 0x79, ANY, B2, SSE, 0), /* vpbroadcastw */
	ROW(E, 2, P66, 0x7d, 0x7f, ANY, VL, SSE, 0), /* vpermt2b ... vpermt2ps */
	ROW(E, 2, P66, 0x83, 0x83, ANY, VL, SSE, 0), /* vpmultishiftqb */
	ROW(E, 2, P66, 0x88, 0x89, ANY, VL, SSE, ELEM), /* vexpandpd ... vpexpandq */
	ROW(E, 2, P66, 0x8a, 0x8b, ANY, VL, SSE, WR | ELEM), /* vcompresspd ... vpcompressq */
	ROW(V, 2, P66, 0x8c, 0x8c, ANY, VL, SSE, MASKED), /* vpmaskmovd, vpmaskmovq */
	ROW(E, 2, P66, 0x8d, 0x8d, ANY, VL, SSE, 0), /* vpermb, vpermw */
	ROW(V, 2, P66, 0x8e, 0x8e, ANY, VL, SSE, WR | MASKED), /* vpmaskmovd, vpmaskmovq */
	ROW(E, 2, P66, 0x8f, 0x8f, ANY, VL, SSE, 0), /* vpshufbitqmb */
	ROW(V | E, 2, P66, 0x96, 0x98, ANY, VL, SSE, 0), /* vfmaddsub132pd ... vfmadd132ps */
	ROW(V | E, 2, P66, 0x99, 0x99, ANY, YW, SSE, 0), /* vfmadd132sd, vfmadd132ss */
	ROW(V | E, 2, P66, 0x9a, 0x9a, ANY, VL, SSE, 0), /* vfmsub132pd, vfmsub132ps */
	ROW(V | E, 2, P66, 0x9b, 0x9b, ANY, YW, SSE, 0), /* vfmsub132sd, vfmsub132ss */
	ROW(V | E, 2, P66, 0x9c, 0x9c, ANY, VL, SSE, 0), /* vfnmadd132pd, vfnmadd132ps */
	ROW(V | E, 2, P66, 0x9d, 0x9d, ANY, YW, SSE, 0), /* vfnmadd132sd, vfnmadd132ss */
	ROW(V | E, 2, P66, 0x9e, 0x9e, ANY, VL, SSE, 0), /* vfnmsub132pd, vfnmsub132ps */
	ROW(V | E, 2, P66, 0x9f, 0x9f, ANY, YW, SSE, 0), /* vfnmsub132sd, vfnmsub132ss */
	ROW(V | E, 2, P66, 0xa6, 0xa8, ANY, VL, SSE, 0), /* vfmaddsub213pd ... vfmadd213ps */
	ROW(V | E, 2, P66, 0xa9, 0xa9, ANY, YW, SSE, 0), /* vfmadd213sd, vfmadd213ss */
	ROW(V | E, 2, P66, 0xaa, 0xaa, ANY, VL, SSE, 0), /* vfmsub213pd, vfmsub213ps */
	ROW(V | E, 2, P66, 0xab, 0xab, ANY, YW, SSE, 0), /* vfmsub213sd, vfmsub213ss */
	ROW(V | E, 2, P66, 0xac, 0xac, ANY, VL, SSE, 0), /* vfnmadd213pd, vfnmadd213ps */
	ROW(V | E, 2, P66, 0xad, 0xad, ANY, YW, SSE, 0), /* vfnmadd213sd, vfnmadd213ss */
	ROW(V | E, 2, P66, 0xae, 0xae, ANY, VL, SSE, 0), /* vfnmsub213pd, vfnmsub213ps */
	ROW(V | E, 2, P66, 0xaf, 0xaf, ANY, YW, SSE, 0), /* vfnmsub213sd, vfnmsub213ss */
	ROW(E, 2, P66, 0xb4, 0xb5, ANY, VL, SSE, 0), /* vpmadd52luq, vpmadd52huq */
	ROW(V | E, 2, P66, 0xb6, 0xb8, ANY, VL, SSE, 0), /* vfmaddsub231pd ... vfmadd231ps */
	ROW(V | E, 2, P66, 0xb9, 0xb9, ANY, YW, SSE, 0), /* vfmadd231sd, vfmadd231ss */
	ROW(V | E, 2, P66, 0xba, 0xba, ANY, VL, SSE, 0), /* vfmsub231pd, vfmsub231ps */
	ROW(V | E, 2, P66, 0xbb, 0xbb, ANY, YW, SSE, 0), /* vfmsub231sd, vfmsub231ss */
	ROW(V | E, 2, P66, 0xbc, 0xbc, ANY, VL, SSE, 0), /* vfnmadd231pd, vfnmadd231ps */
	ROW(V | E, 2, P66, 0xbd, 0xbd, ANY, YW, SSE, 0), /* vfnmadd231sd, vfnmadd231ss */
	ROW(V | E, 2, P66, 0xbe, 0xbe, ANY, VL, SSE, 0), /* vfnmsub231pd, vfnmsub231ps */
	ROW(V | E, 2, P66, 0xbf, 0xbf, ANY, YW, SSE, 0), /* vfnmsub231sd, vfnmsub231ss */
	ROW(E, 2, P66, 0xc4, 0xc4, ANY, VL, SSE, 0), /* vpconflictd, vpconflictq */
	ROW(S, 2, NP, 0xc8, 0xcd, ANY, VL, SSE, 0), /* sha1nexte ... sha256msg2 */
	ROW(S | V | E, 2, P66, 0xcf, 0xcf, ANY, VL, SSE, 0), /* gf2p8mulb */
	ROW(S | V, 2, P66, 0xdb, 0xdb, ANY, VL, SSE, 0), /* aesimc */
	ROW(S | V | E, 2, P66, 0xdc, 0xdf, ANY, VL, SSE, 0), /* aesenc ... aesdeclast */
	ROW(S, 2, PF2, 0xf0, 0xf0, ANY, B1, INT, REG | MEM), /* crc32 */
	ROW(S, 2, PF2, 0xf1, 0xf1, ANY, V, INT, REG | MEM | OPSIZE), /* crc32 */
	ROW(V, 2, NP, 0xf2, 0xf2, ANY, YG, INT, REG | VREG), /* andn */
	ROW(V, 2, NP, 0xf3, 0xf3, 0x0e, YG, INT, VREG), /* blsi, blsmsk, blsr */
	ROW(V, 2, NP | PF3 | PF2, 0xf5, 0xf5, ANY, YG, INT, REG | VREG), /* bzhi, pext, pdep */
	ROW(S, 2, P66 | PF3, 0xf6, 0xf6, ANY, YG, INT, REG | MEM), /* adcx, adox */
	ROW(V, 2, PF2, 0xf6, 0xf6, ANY, YG, INT, REG | VREG | IMPL), /* mulx */
	ROW(V, 2, PALL, 0xf7, 0xf7, ANY, YG, INT, REG | VREG), /* bextr ... shrx */

	/* map 0F3A */
	ROW(V | E, 3, P66, 0x00, 0x01, ANY, VL, SSE, IMM), /* vpermq, vpermpd */
	ROW(V, 3, P66, 0x02, 0x02, ANY, VL, SSE, IMM), /* vpblendd */
	ROW(E, 3, P66, 0x03, 0x03, ANY, VL, SSE, IMM), /* valignd, valignq */
	ROW(V | E, 3, P66, 0x04, 0x05, ANY, VL, SSE, IMM), /* vpermilps, vpermilpd */
	ROW(V, 3, P66, 0x06, 0x06, ANY, VL, SSE, IMM), /* vperm2f128 */
	ROW(S | V | E, 3, P66, 0x08, 0x09, ANY, VL, SSE, IMM), /* vrndscaleps ... roundpd */
	ROW(S | V | E, 3, P66, 0x0a, 0x0a, ANY, B4, SSE, IMM), /* vrndscaless, roundss */
	ROW(S | V | E, 3, P66, 0x0b, 0x0b, ANY, B8, SSE, IMM), /* vrndscalesd, roundsd */
	ROW(S | V, 3, P66, 0x0c, 0x0e, ANY, VL, SSE, IMM), /* blendps, blendpd, pblendw */
	ROW(S, 3, NP, 0x0f, 0x0f, ANY, VL2, MMX, IMM), /* palignr */
	ROW(S | V | E, 3, P66, 0x0f, 0x0f, ANY, VL, SSE, IMM), /* palignr */
	ROW(V | E, 3, P66, 0x14, 0x14, ANY, B1, SSE, WR | IMM), /* vpextrb */
	ROW(S, 3, P66, 0x14, 0x14, ANY, B1, SSE, WR | IMM | MEM), /* pextrb */
	ROW(V | E, 3, P66, 0x15, 0x15, ANY, VL8, SSE, WR | IMM), /* vpextrw */
	ROW(S, 3, P66, 0x15, 0x15, ANY, VL8, SSE, WR | IMM | MEM), /* pextrw */
	ROW(V | E, 3, P66, 0x16, 0x16, ANY, YG, SSE, WR | IMM), /* vpextrd, vpextrq */
	ROW(S, 3, P66, 0x16, 0x16, ANY, YG, SSE, WR | IMM | MEM), /* pextrd, pextrq */
	ROW(V | E, 3, P66, 0x17, 0x17, ANY, VL4, SSE, WR | IMM), /* vextractps */
	ROW(S, 3, P66, 0x17, 0x17, ANY, VL4, SSE, WR | IMM | MEM), /* extractps */
	ROW(V | E, 3, P66, 0x18, 0x18, ANY, B16, SSE, IMM), /* vinsertf32x4, vinsertf64x2, vinsertf128 */
	ROW(V | E, 3, P66, 0x19, 0x19, ANY, B16, SSE, WR | IMM), /* vextractf32x4, vextractf64x2, vextractf128 */
	ROW(E, 3, P66, 0x1a, 0x1a, ANY, VL2, SSE, IMM), /* vinsertf32x8, vinsertf64x4 */
	ROW(E, 3, P66, 0x1b, 0x1b, ANY, VL2, SSE, WR | IMM), /* vextractf32x8, vextractf64x4 */
	ROW(V | E, 3, P66, 0x1d, 0x1d, ANY, VL2, SSE, WR | IMM), /* vcvtps2ph */
	ROW(E, 3, P66, 0x1e, 0x1f, ANY, VL, SSE, IMM), /* vpcmpud ... vpcmpq */
	ROW(V | E, 3, P66, 0x20, 0x20, ANY, B1, SSE, IMM), /* vpinsrb */
	ROW(S, 3, P66, 0x20, 0x20, ANY, B1, SSE, IMM | MEM), /* pinsrb */
	ROW(S | V | E, 3, P66, 0x21, 0x21, ANY, VL4, SSE, IMM), /* insertps */
	ROW(V | E, 3, P66, 0x22, 0x22, ANY, YG, SSE, IMM), /* vpinsrd, vpinsrq */
	ROW(S, 3, P66, 0x22, 0x22, ANY, YG, SSE, IMM | MEM), /* pinsrd, pinsrq */
	ROW(E, 3, P66, 0x23, 0x23, ANY, VL, SSE, IMM), /* vshuff32x4, vshuff64x2 */
	ROW(E, 3, P66, 0x25, 0x26, ANY, VL, SSE, IMM), /* vpternlogd ... vgetmantps */
	ROW(E, 3, P66, 0x27, 0x27, ANY, YW, SSE, IMM), /* vgetmantsd, vgetmantss */
	ROW(V | E, 3, P66, 0x38, 0x38, ANY, B16, SSE, IMM), /* vinserti32x4, vinserti64x2, vinserti128 */
	ROW(V | E, 3, P66, 0x39, 0x39, ANY, B16, SSE, WR | IMM), /* vextracti32x4, vextracti64x2, vextracti128 */
	ROW(E, 3, P66, 0x3a, 0x3a, ANY, VL2, SSE, IMM), /* vinserti32x8, vinserti64x4 */
	ROW(E, 3, P66, 0x3b, 0x3b, ANY, VL2, SSE, WR | IMM), /* vextracti32x8, vextracti64x4 */
	ROW(E, 3, P66, 0x3e, 0x3f, ANY, VL, SSE, IMM), /* vpcmpub ... vpcmpw */
	ROW(S | V, 3, P66, 0x40, 0x41, ANY, VL, SSE, IMM), /* dpps, dppd */
	ROW(S | V | E, 3, P66, 0x42, 0x42, ANY, VL, SSE, IMM), /* vdbpsadbw, mpsadbw */
	ROW(E, 3, P66, 0x43, 0x43, ANY, VL, SSE, IMM), /* vshufi32x4, vshufi64x2 */
	ROW(S | V | E, 3, P66, 0x44, 0x44, ANY, VL, SSE, IMM), /* pclmulqdq */
	ROW(V, 3, P66, 0x46, 0x46, ANY, VL, SSE, IMM), /* vperm2i128 */
	ROW(V, 3, P66, 0x48, 0x4c, ANY, VL, SSE, IMM | IS4), /* vpermil2ps ... vpblendvb */
	ROW(E, 3, P66, 0x50, 0x50, ANY, VL, SSE, IMM), /* vrangepd, vrangeps */
	ROW(E, 3, P66, 0x51, 0x51, ANY, YW, SSE, IMM), /* vrangesd, vrangess */
	ROW(E, 3, P66, 0x54, 0x54, ANY, VL, SSE, IMM), /* vfixupimmpd, vfixupimmps */
	ROW(E, 3, P66, 0x55, 0x55, ANY, YW, SSE, IMM), /* vfixupimmsd, vfixupimmss */
	ROW(E, 3, P66, 0x56, 0x56, ANY, VL, SSE, IMM), /* vreducepd, vreduceps */
	ROW(E, 3, P66, 0x57, 0x57, ANY, YW, SSE, IMM), /* vreducesd, vreducess */
	ROW(V, 3, P66, 0x5c, 0x5f, ANY, VL, SSE, IMM | IS4), /* vfmaddsubps ... vfmsubaddpd */
	ROW(S | V, 3, P66, 0x60, 0x61, ANY, VL, SSE, IMM | IMPL), /* pcmpestrm, pcmpestri */
	ROW(S | V, 3, P66, 0x62, 0x62, ANY, VL, SSE, IMM), /* pcmpistrm */
	ROW(S | V, 3, P66, 0x63, 0x63, ANY, VL, SSE, IMM | IMPL), /* pcmpistri */
	ROW(E, 3, P66, 0x66, 0x66, ANY, VL, SSE, IMM), /* vfpclasspd, vfpclassps */
	ROW(E, 3, P66, 0x67, 0x67, ANY, YW, SSE, IMM), /* vfpclasssd, vfpclassss */
	ROW(V, 3, P66, 0x68, 0x69, ANY, VL, SSE, IMM | IS4), /* vfmaddps, vfmaddpd */
	ROW(V, 3, P66, 0x6a, 0x6a, ANY, B4, SSE, IMM | IS4), /* vfmaddss */
	ROW(V, 3, P66, 0x6b, 0x6b, ANY, B8, SSE, IMM | IS4), /* vfmaddsd */
	ROW(V, 3, P66, 0x6c, 0x6d, ANY, VL, SSE, IMM | IS4), /* vfmsubps, vfmsubpd */
	ROW(V, 3, P66, 0x6e, 0x6e, ANY, B4, SSE, IMM | IS4), /* vfmsubss */
	ROW(V, 3, P66, 0x6f, 0x6f, ANY, B8, SSE, IMM | IS4), /* vfmsubsd */
	ROW(E, 3, P66, 0x70, 0x73, ANY, VL, SSE, IMM), /* vpshldw ... vpshrdq */
	ROW(V, 3, P66, 0x78, 0x79, ANY, VL, SSE, IMM | IS4), /* vfnmaddps, vfnmaddpd */
	ROW(V, 3, P66, 0x7a, 0x7a, ANY, B4, SSE, IMM | IS4), /* vfnmaddss */
	ROW(V, 3, P66, 0x7b, 0x7b, ANY, B8, SSE, IMM | IS4), /* vfnmaddsd */
	ROW(V, 3, P66, 0x7c, 0x7d, ANY, VL, SSE, IMM | IS4), /* vfnmsubps, vfnmsubpd */
	ROW(V, 3, P66, 0x7e, 0x7e, ANY, B4, SSE, IMM | IS4), /* vfnmsubss */
	ROW(V, 3, P66, 0x7f, 0x7f, ANY, B8, SSE, IMM | IS4), /* vfnmsubsd */
	ROW(S, 3, NP, 0xcc, 0xcc, ANY, VL, SSE, IMM), /* sha1rnds4 */
	ROW(S | V | E, 3, P66, 0xce, 0xcf, ANY, VL, SSE, IMM), /* gf2p8affineqb, gf2p8affineinvqb */
	ROW(S | V, 3, P66, 0xdf, 0xdf, ANY, VL, SSE, IMM), /* aeskeygenassist */
	ROW(V, 3, PF2, 0xf0, 0xf0, ANY, YG, INT, IMM | REG), /* rorx */

	/* map 8 of XOP */
	ROW(X, 8, NP, 0x85, 0x87, ANY, VL, SSE, IMM | IS4), /* vpmacssww, vpmacsswd, vpmacssdql */
	ROW(X, 8, NP, 0x8e, 0x8f, ANY, VL, SSE, IMM | IS4), /* vpmacssdd, vpmacssdqh */
	ROW(X, 8, NP, 0x95, 0x97, ANY, VL, SSE, IMM | IS4), /* vpmacsww, vpmacswd, vpmacsdql */
	ROW(X, 8, NP, 0x9e, 0x9f, ANY, VL, SSE, IMM | IS4), /* vpmacsdd, vpmacsdqh */
	ROW(X, 8, NP, 0xa2, 0xa3, ANY, VL, SSE, IMM | IS4), /* vpcmov, vpperm */
	ROW(X, 8, NP, 0xa6, 0xa6, ANY, VL, SSE, IMM | IS4), /* vpmadcsswd */
	ROW(X, 8, NP, 0xb6, 0xb6, ANY, VL, SSE, IMM | IS4), /* vpmadcswd */
	ROW(X, 8, NP, 0xc0, 0xc3, ANY, VL, SSE, IMM), /* vprotb ... vprotq */
	ROW(X, 8, NP, 0xcc, 0xcf, ANY, VL, SSE, IMM), /* vpcomb ... vpcomq */
	ROW(X, 8, NP, 0xec, 0xef, ANY, VL, SSE, IMM), /* vpcomub ... vpcomuq */

	/* map 9 of XOP */
	ROW(X, 9, NP, 0x01, 0x01, 0xfe, YG, INT, VREG), /* blcfill ... tzmsk */
	ROW(X, 9, NP, 0x02, 0x02, 0x42, YG, INT, VREG), /* blci, blcmsk */
	ROW(X, 9, NP, 0x80, 0x81, ANY, VL, SSE, 0), /* vfrczps, vfrczpd */
	ROW(X, 9, NP, 0x82, 0x82, ANY, VL4, SSE, 0), /* vfrczss */
	ROW(X, 9, NP, 0x83, 0x83, ANY, VL2, SSE, 0), /* vfrczsd */
	ROW(X, 9, NP, 0x90, 0x9b, ANY, VL, SSE, 0), /* vprotb ... vpshaq */
	ROW(X, 9, NP, 0xc1, 0xc3, ANY, VL, SSE, 0), /* vphaddbw, vphaddbd, vphaddbq */
	ROW(X, 9, NP, 0xc6, 0xc7, ANY, VL, SSE, 0), /* vphaddwd, vphaddwq */
	ROW(X, 9, NP, 0xcb, 0xcb, ANY, VL, SSE, 0), /* vphadddq */
	ROW(X, 9, NP, 0xd1, 0xd3, ANY, VL, SSE, 0), /* vphaddubw, vphaddubd, vphaddubq */
	ROW(X, 9, NP, 0xd6, 0xd7, ANY, VL, SSE, 0), /* vphadduwd, vphadduwq */
	ROW(X, 9, NP, 0xdb, 0xdb, ANY, VL, SSE, 0), /* vphaddudq */
	ROW(X, 9, NP, 0xe1, 0xe3, ANY, VL, SSE, 0), /* vphsubbw, vphsubwd, vphsubdq */

	/* map 10 of XOP */
	ROW(X, 10, NP, 0x10, 0x10, ANY, YG, INT, IMM | REG), /* bextr */
};
/* clang-format on */

const unsigned emul_nr_native_rows = ARRAY_SIZE(emul_native_rows);
