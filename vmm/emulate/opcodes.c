/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The opcode maps, laid out as in the manuals. What is OP_UNKNOWN is looked up in the tables of
 * what the CPU executes for us (native_rows.c) next; what the manuals keep undefined is OP_INVALID.
 */
#include "vmm/emulate/opcodes.h"

/* What the operand letters imply for the encoding. */
#define IMPLIED(f)                                                                                 \
	(((f) >= F_Eb && (f) <= F_Dn ? FL_MODRM : 0) | ((f) == F_Rn ? FL_NOMEM : 0) |              \
	 ((f) >= F_Sw && (f) <= F_Dn ? FL_SREG : 0) | ((f) >= F_M && (f) <= F_Mx ? FL_MEM : 0) |   \
	 ((f) == F_Rn || (f) == F_Ms ? FL_N64 : 0))
#define ROW(o, a, b, c, fl)                                                                        \
	{                                                                                          \
		.op = OP_##o, .kind = KIND_INSN, .form = {F_##a, F_##b, F_##c},                    \
		.flags = (fl) | IMPLIED(F_##a) | IMPLIED(F_##b) | IMPLIED(F_##c)                   \
	}
#define GO(k, table)                                                                               \
	{                                                                                          \
		.kind = KIND_##k, .sub = (table)                                                   \
	}
#define GOM(k, table)                                                                              \
	{                                                                                          \
		.kind = KIND_##k, .sub = (table), .flags = FL_MODRM                                \
	}
#define PREFIX                                                                                     \
	{                                                                                          \
		.kind = KIND_PREFIX                                                                \
	}
#define UNKNOWN                                                                                    \
	{                                                                                          \
		.op = OP_UNKNOWN, .kind = KIND_INSN                                                \
	}
#define INVALID                                                                                    \
	{                                                                                          \
		.op = OP_INVALID, .kind = KIND_INSN                                                \
	}

#define LOCK  FL_LOCK
#define D64   FL_D64
#define F64   FL_F64
#define I64   FL_I64
#define O64   FL_O64
#define PROT  FL_PROT
#define NP    FL_NP
#define NOREP FL_NOREP

/* clang-format off */

/* The six forms in which each of the eight ALU operations exists. */
#define ALU_ROWS(o, base, lock)                                                                    \
	[(base) + 0] = ROW(o, Eb,  Gb, _, lock),                                                   \
	[(base) + 1] = ROW(o, Ev,  Gv, _, lock),                                                   \
	[(base) + 2] = ROW(o, Gb,  Eb, _, 0),                                                      \
	[(base) + 3] = ROW(o, Gv,  Ev, _, 0),                                                      \
	[(base) + 4] = ROW(o, AL,  Ib, _, 0),                                                      \
	[(base) + 5] = ROW(o, rAX, Iz, _, 0)

#define ALU_GROUP(a, b) {                                                                          \
	ROW(ADD, a, b, _, LOCK), ROW(OR,  a, b, _, LOCK), ROW(ADC, a, b, _, LOCK),                 \
	ROW(SBB, a, b, _, LOCK), ROW(AND, a, b, _, LOCK), ROW(SUB, a, b, _, LOCK),                 \
	ROW(XOR, a, b, _, LOCK), ROW(CMP, a, b, _, 0) }

#define SHIFT_GROUP(a, b) {                                                                        \
	ROW(ROL, a, b, _, 0), ROW(ROR, a, b, _, 0), ROW(RCL, a, b, _, 0), ROW(RCR, a, b, _, 0),    \
	ROW(SHL, a, b, _, 0), ROW(SHR, a, b, _, 0), ROW(SAL, a, b, _, 0), ROW(SAR, a, b, _, 0) }

/* The row may hold commas: it is all the arguments after the first. */
#define EIGHT(base, ...)                                                                           \
	[(base) + 0] = __VA_ARGS__, [(base) + 1] = __VA_ARGS__, [(base) + 2] = __VA_ARGS__,        \
	[(base) + 3] = __VA_ARGS__, [(base) + 4] = __VA_ARGS__, [(base) + 5] = __VA_ARGS__,        \
	[(base) + 6] = __VA_ARGS__, [(base) + 7] = __VA_ARGS__
#define SIXTEEN(base, ...) EIGHT(base, __VA_ARGS__), EIGHT((base) + 8, __VA_ARGS__)

static const struct opcode group1_80[8] = ALU_GROUP(Eb, Ib);
static const struct opcode group1_81[8] = ALU_GROUP(Ev, Iz);
static const struct opcode group1_83[8] = ALU_GROUP(Ev, Ibs);
static const struct opcode group1_82[8] = {
	ROW(ADD, Eb, Ib, _, LOCK | I64), ROW(OR,  Eb, Ib, _, LOCK | I64),
	ROW(ADC, Eb, Ib, _, LOCK | I64), ROW(SBB, Eb, Ib, _, LOCK | I64),
	ROW(AND, Eb, Ib, _, LOCK | I64), ROW(SUB, Eb, Ib, _, LOCK | I64),
	ROW(XOR, Eb, Ib, _, LOCK | I64), ROW(CMP, Eb, Ib, _, I64),
};
static const struct opcode group1a[8] = {
	ROW(POP, Ev, _, _, D64), UNKNOWN, UNKNOWN, UNKNOWN, /* others: XOP */
	UNKNOWN,                 UNKNOWN, UNKNOWN, UNKNOWN,
};
static const struct opcode group2_c0[8] = SHIFT_GROUP(Eb, Ib);
static const struct opcode group2_c1[8] = SHIFT_GROUP(Ev, Ib);
static const struct opcode group2_d0[8] = SHIFT_GROUP(Eb, 1);
static const struct opcode group2_d1[8] = SHIFT_GROUP(Ev, 1);
static const struct opcode group2_d2[8] = SHIFT_GROUP(Eb, CL);
static const struct opcode group2_d3[8] = SHIFT_GROUP(Ev, CL);

static const struct opcode group3_f6[8] = {
	ROW(TEST, Eb, Ib, _, 0), ROW(TEST, Eb, Ib, _, 0),
	ROW(NOT,  Eb, _, _, LOCK), ROW(NEG,  Eb, _, _, LOCK),
	ROW(MUL,  Eb, _, _, 0),    ROW(IMUL, Eb, _, _, 0),
	ROW(DIV,  Eb, _, _, 0),    ROW(IDIV, Eb, _, _, 0),
};
static const struct opcode group3_f7[8] = {
	ROW(TEST, Ev, Iz, _, 0), ROW(TEST, Ev, Iz, _, 0),
	ROW(NOT,  Ev, _, _, LOCK), ROW(NEG,  Ev, _, _, LOCK),
	ROW(MUL,  Ev, _, _, 0),    ROW(IMUL, Ev, _, _, 0),
	ROW(DIV,  Ev, _, _, 0),    ROW(IDIV, Ev, _, _, 0),
};
static const struct opcode group4[8] = {
	ROW(INC, Eb, _, _, LOCK), ROW(DEC, Eb, _, _, LOCK), INVALID, INVALID,
	INVALID,                  INVALID,                  INVALID, INVALID,
};
static const struct opcode group5[8] = {
	ROW(INC,   Ev, _, _, LOCK), ROW(DEC,   Ev, _, _, LOCK),
	ROW(CALL,  Ev, _, _, F64),  ROW(CALLF, Mp, _, _, 0),
	ROW(JMP,   Ev, _, _, F64),  ROW(JMPF,  Mp, _, _, 0),
	ROW(PUSH,  Ev, _, _, D64),  INVALID,
};
static const struct opcode group11_c6[8] = {
	ROW(MOV, Eb, Ib, _, 0), INVALID, INVALID, INVALID,
	INVALID,                INVALID, INVALID, UNKNOWN, /* XABORT */
};
static const struct opcode group11_c7[8] = {
	ROW(MOV, Ev, Iz, _, 0), INVALID, INVALID, INVALID,
	INVALID,                INVALID, INVALID, UNKNOWN, /* XBEGIN */
};

/* 40-4F outside 64-bit mode, where they are no REX prefixes. */
static const struct opcode inc_zv[1] = {ROW(INC, Zv, _, _, 0)};
static const struct opcode dec_zv[1] = {ROW(DEC, Zv, _, _, 0)};

/* 62, C4, C5: with a register operand, and in 64-bit mode, they begin EVEX and VEX encodings. */
static const struct opcode bound_mod[2]  = {ROW(BOUND,    Gv, Ma, _,  0), UNKNOWN};
static const struct opcode les_mod[2]    = {ROW(LOAD_FAR, Gv, Mp, ES, 0), UNKNOWN};
static const struct opcode lds_mod[2]    = {ROW(LOAD_FAR, Gv, Mp, DS, 0), UNKNOWN};
static const struct opcode mode_62[2]    = {GOM(MOD, bound_mod), UNKNOWN};
static const struct opcode mode_63[2]    = {ROW(ARPL, Ew, Gw, _, PROT), ROW(MOVSX, Gv, Ed, _, 0)};
static const struct opcode mode_c4[2]    = {GOM(MOD, les_mod), UNKNOWN};
static const struct opcode mode_c5[2]    = {GOM(MOD, lds_mod), UNKNOWN};

/* 90 is XCHG rAX,rAX in name only; with REX.B it is a real exchange with r8 (see move.c). */
static const struct opcode pfx_90[4] = {
	ROW(XCHG, Zv, rAX, _, 0), ROW(XCHG, Zv, rAX, _, 0), ROW(PAUSE, _, _, _, 0),
	ROW(XCHG, Zv, rAX, _, 0),
};

/* --- 0F map -------------------------------------------------------------------------- */

static const struct opcode group6[8] = {
	ROW(SLDT, RvMw, _, _, PROT), ROW(STR,  RvMw, _, _, PROT),
	ROW(LLDT, Ew,   _, _, PROT), ROW(LTR,  Ew,   _, _, PROT),
	ROW(VERR, Ew,   _, _, PROT), ROW(VERW, Ew,   _, _, PROT),
	UNKNOWN,                     INVALID,
};
static const struct opcode group7_rm0[8] = {
	UNKNOWN, ROW(VMCALL, _, _, _, NP), ROW(VMLAUNCH, _, _, _, NP | PROT),
	ROW(VMRESUME, _, _, _, NP | PROT),
	ROW(VMXOFF, _, _, _, NP | PROT), UNKNOWN, UNKNOWN, UNKNOWN,
};
static const struct opcode group7_rm1[8] = {
	ROW(MONITOR, _, _, _, NP), ROW(MWAIT, _, _, _, NP), ROW(CLAC, _, _, _, NP),
	ROW(STAC,    _, _, _, NP), UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN,
};
static const struct opcode group7_rm2[8] = {
	ROW(XGETBV, _, _, _, NP), ROW(XSETBV, _, _, _, NP), UNKNOWN, UNKNOWN,
	UNKNOWN,                  UNKNOWN,                  UNKNOWN, UNKNOWN,
};
static const struct opcode group7_rm3[8] = {
	ROW(VMRUN, _, _, _, NP | PROT), ROW(VMMCALL, _, _, _, NP), ROW(VMLOAD, _, _, _, NP | PROT),
	ROW(VMSAVE, _, _, _, NP | PROT), ROW(STGI, _, _, _, NP | PROT), ROW(CLGI, _, _, _, NP | PROT),
	ROW(SKINIT, _, _, _, NP | PROT), ROW(INVLPGA, _, _, _, NP | PROT),
};
static const struct opcode group7_rm7[8] = {
	ROW(SWAPGS, _, _, _, NP | O64), ROW(RDTSCP, _, _, _, NP), UNKNOWN, UNKNOWN,
	ROW(CLZERO, _, _, _, NP),       UNKNOWN,                  UNKNOWN, UNKNOWN,
};
static const struct opcode group7_reg[8] = {
	GO(RM, group7_rm0), GO(RM, group7_rm1), GO(RM, group7_rm2), GO(RM, group7_rm3),
	ROW(SMSW, RvMw, _, _, 0), UNKNOWN, ROW(LMSW, Ew, _, _, 0), GO(RM, group7_rm7),
};
static const struct opcode group7_mem[8] = {
	ROW(SGDT, Ms, _, _, 0), ROW(SIDT, Ms, _, _, 0), ROW(LGDT, Ms, _, _, 0),
	ROW(LIDT, Ms, _, _, 0), ROW(SMSW, RvMw, _, _, 0), UNKNOWN,
	ROW(LMSW, Ew, _, _, 0), ROW(INVLPG, M, _, _, 0),
};
static const struct opcode group7[2] = {GO(REG, group7_mem), GO(REG, group7_reg)};

static const struct opcode group8[8] = {
	INVALID, INVALID, INVALID, INVALID,
	ROW(BT,  Ev, Ib, _, 0),    ROW(BTS, Ev, Ib, _, LOCK),
	ROW(BTR, Ev, Ib, _, LOCK), ROW(BTC, Ev, Ib, _, LOCK),
};
static const struct opcode group9_mem[8] = {
	UNKNOWN, ROW(CMPXCHG8B, Mx, _, _, LOCK), UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN,
};
static const struct opcode group9_reg[8] = { /* RDRAND, RDSEED, RDPID */
	UNKNOWN, INVALID, UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN,
};
static const struct opcode group9[2] = {GO(REG, group9_mem), GO(REG, group9_reg)};

static const struct opcode fsgsbase[8] = {
	ROW(RDFSBASE, Ry, _, _, O64), ROW(RDGSBASE, Ry, _, _, O64), ROW(WRFSBASE, Ry, _, _, O64),
	ROW(WRGSBASE, Ry, _, _, O64), UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN,
};
static const struct opcode fences[8] = {
	UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN,
	UNKNOWN, ROW(FENCE, _, _, _, 0), ROW(FENCE, _, _, _, 0), ROW(FENCE, _, _, _, 0),
};
static const struct opcode unknown8[8] = {EIGHT(0, UNKNOWN)};
static const struct opcode pfx_ae_reg[4] = {
	GO(REG, fences), GO(REG, unknown8), GO(REG, fsgsbase), GO(REG, unknown8),
};
static const struct opcode clflush[8] = {
	UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN, ROW(CLFLUSH, M, _, _, 0),
};
static const struct opcode clwb[8] = {
	UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN,
	UNKNOWN, UNKNOWN, ROW(CLFLUSH, M, _, _, 0), ROW(CLFLUSH, M, _, _, 0),
};
static const struct opcode pfx_ae_mem[4] = {
	GO(REG, clflush), GO(REG, clwb), GO(REG, unknown8), GO(REG, unknown8),
};
static const struct opcode group15[2] = {GO(PFX, pfx_ae_mem), GO(PFX, pfx_ae_reg)};

/* Opcodes that a prefix turns into another instruction; the first also covers what it leaves. */
static const struct opcode pfx_b8[4] = {UNKNOWN, UNKNOWN, ROW(POPCNT, Gv, Ev, _, 0), UNKNOWN};
static const struct opcode pfx_bc[4] = {
	ROW(BSF, Gv, Ev, _, 0), ROW(BSF, Gv, Ev, _, 0), ROW(TZCNT, Gv, Ev, _, 0),
	ROW(BSF, Gv, Ev, _, 0),
};
static const struct opcode pfx_bd[4] = {
	ROW(BSR, Gv, Ev, _, 0), ROW(BSR, Gv, Ev, _, 0), ROW(LZCNT, Gv, Ev, _, 0),
	ROW(BSR, Gv, Ev, _, 0),
};

/* 0F38 F0 and F1: MOVBE; with F2, CRC32. */
static const struct opcode movbe_load[2]  = {ROW(MOVBE, Gv, Mv, _, 0), INVALID};
static const struct opcode movbe_store[2] = {ROW(MOVBE, Mv, Gv, _, 0), INVALID};
static const struct opcode pfx_f0[4] = {
	GOM(MOD, movbe_load), GOM(MOD, movbe_load), UNKNOWN, UNKNOWN,
};
static const struct opcode pfx_f1[4] = {
	GOM(MOD, movbe_store), GOM(MOD, movbe_store), UNKNOWN, UNKNOWN,
};

static const struct opcode map_0f38[256] = {
	SIXTEEN(0x00, UNKNOWN), SIXTEEN(0x10, UNKNOWN), SIXTEEN(0x20, UNKNOWN),
	SIXTEEN(0x30, UNKNOWN), SIXTEEN(0x40, UNKNOWN), SIXTEEN(0x50, UNKNOWN),
	SIXTEEN(0x60, UNKNOWN), SIXTEEN(0x70, UNKNOWN), SIXTEEN(0x80, UNKNOWN),
	SIXTEEN(0x90, UNKNOWN), SIXTEEN(0xa0, UNKNOWN), SIXTEEN(0xb0, UNKNOWN),
	SIXTEEN(0xc0, UNKNOWN), SIXTEEN(0xd0, UNKNOWN), SIXTEEN(0xe0, UNKNOWN),
	[0xf0] = GO(PFX, pfx_f0),
	[0xf1] = GO(PFX, pfx_f1),
	[0xf2] = UNKNOWN, [0xf3] = UNKNOWN, [0xf4] = UNKNOWN, [0xf5] = UNKNOWN, [0xf6] = UNKNOWN,
	[0xf7] = UNKNOWN, EIGHT(0xf8, UNKNOWN),
};

/* PREFETCHW and kin; with a register a NOP for Intel, invalid for AMD. */
static const struct opcode prefetchw_mod[2] = {ROW(NOP, Ev, _, _, 0), UNKNOWN};

static const struct opcode lss_mod[2] = {ROW(LOAD_FAR, Gv, Mp, SS, 0), INVALID};
static const struct opcode lfs_mod[2] = {ROW(LOAD_FAR, Gv, Mp, FS, 0), INVALID};
static const struct opcode lgs_mod[2] = {ROW(LOAD_FAR, Gv, Mp, GS, 0), INVALID};

static const struct opcode map_0f[256] = {
	[0x00] = GOM(REG, group6),
	[0x01] = GOM(MOD, group7),
	[0x02] = ROW(LAR,         Gv, Ew, _,  PROT),
	[0x03] = ROW(LSL,         Gv, Ew, _,  PROT),
	[0x04] = INVALID,
	[0x05] = ROW(SYSCALL,     _,  _,  _,  0),
	[0x06] = ROW(CLTS,        _,  _,  _,  0),
	[0x07] = ROW(SYSRET,      _,  _,  _,  PROT),
	[0x08] = ROW(INVD,        _,  _,  _,  0),
	[0x09] = ROW(WBINVD,      _,  _,  _,  NOREP),
	[0x0a] = INVALID,
	[0x0b] = ROW(UD,          _,  _,  _,  0),
	[0x0c] = INVALID,
	[0x0d] = GOM(MOD, prefetchw_mod),
	[0x0e] = UNKNOWN, [0x0f] = UNKNOWN,		/* 3DNow! */
	EIGHT(0x10, UNKNOWN),
	[0x18] = ROW(NOP,         Ev, _,  _,  0),	/* PREFETCHh and hint space */
	[0x19] = ROW(NOP,         Ev, _,  _,  0),
	[0x1a] = UNKNOWN, [0x1b] = UNKNOWN,		/* MPX */
	[0x1c] = ROW(NOP,         Ev, _,  _,  0),	/* CLDEMOTE */
	[0x1d] = ROW(NOP,         Ev, _,  _,  0),
	[0x1e] = ROW(NOP,         Ev, _,  _,  0),	/* F3: ENDBR, RDSSP, which are hints without CET */
	[0x1f] = ROW(NOP,         Ev, _,  _,  0),
	[0x20] = ROW(MOV_FROM_CR, Rn, Cn, _,  0),
	[0x21] = ROW(MOV_FROM_DR, Rn, Dn, _,  0),
	[0x22] = ROW(MOV_TO_CR,   Cn, Rn, _,  0),
	[0x23] = ROW(MOV_TO_DR,   Dn, Rn, _,  0),
	[0x24] = INVALID, [0x25] = INVALID, [0x26] = INVALID, [0x27] = INVALID,
	EIGHT(0x28, UNKNOWN),
	[0x30] = ROW(WRMSR,       _,  _,  _,  0),
	[0x31] = ROW(RDTSC,       _,  _,  _,  0),
	[0x32] = ROW(RDMSR,       _,  _,  _,  0),
	[0x33] = ROW(RDPMC,       _,  _,  _,  0),
	[0x34] = ROW(SYSENTER,    _,  _,  _,  PROT),
	[0x35] = ROW(SYSEXIT,     _,  _,  _,  PROT),
	[0x36] = INVALID, [0x37] = UNKNOWN,		/* GETSEC */
	[0x38] = GO(MAP, map_0f38),
	[0x39] = INVALID, [0x3a] = UNKNOWN, [0x3b] = INVALID,
	[0x3c] = INVALID, [0x3d] = INVALID, [0x3e] = INVALID, [0x3f] = INVALID,
	SIXTEEN(0x40, ROW(CMOVCC, Gv, Ev, _,  0)),
	SIXTEEN(0x50, UNKNOWN), SIXTEEN(0x60, UNKNOWN), SIXTEEN(0x70, UNKNOWN),
	SIXTEEN(0x80, ROW(JCC,    Jz, _,  _,  F64)),
	SIXTEEN(0x90, ROW(SETCC,  Eb, _,  _,  0)),
	[0xa0] = ROW(PUSH_SEG,    FS, _,  _,  D64),
	[0xa1] = ROW(POP_SEG,     FS, _,  _,  D64),
	[0xa2] = ROW(CPUID,       _,  _,  _,  0),
	[0xa3] = ROW(BT,          Ev, Gv, _,  0),
	[0xa4] = ROW(SHLD,        Ev, Gv, Ib, 0),
	[0xa5] = ROW(SHLD,        Ev, Gv, CL, 0),
	[0xa6] = UNKNOWN, [0xa7] = UNKNOWN,		/* PadLock */
	[0xa8] = ROW(PUSH_SEG,    GS, _,  _,  D64),
	[0xa9] = ROW(POP_SEG,     GS, _,  _,  D64),
	[0xaa] = ROW(RSM,         _,  _,  _,  0),
	[0xab] = ROW(BTS,         Ev, Gv, _,  LOCK),
	[0xac] = ROW(SHRD,        Ev, Gv, Ib, 0),
	[0xad] = ROW(SHRD,        Ev, Gv, CL, 0),
	[0xae] = GOM(MOD, group15),
	[0xaf] = ROW(IMUL,        Gv, Ev, _,  0),
	[0xb0] = ROW(CMPXCHG,     Eb, Gb, _,  LOCK),
	[0xb1] = ROW(CMPXCHG,     Ev, Gv, _,  LOCK),
	[0xb2] = GOM(MOD, lss_mod),
	[0xb3] = ROW(BTR,         Ev, Gv, _,  LOCK),
	[0xb4] = GOM(MOD, lfs_mod),
	[0xb5] = GOM(MOD, lgs_mod),
	[0xb6] = ROW(MOVZX,       Gv, Eb, _,  0),
	[0xb7] = ROW(MOVZX,       Gv, Ew, _,  0),
	[0xb8] = GO(PFX, pfx_b8),
	[0xb9] = ROW(UD,          Gv, Ev, _,  0),
	[0xba] = GOM(REG, group8),
	[0xbb] = ROW(BTC,         Ev, Gv, _,  LOCK),
	[0xbc] = GO(PFX, pfx_bc),
	[0xbd] = GO(PFX, pfx_bd),
	[0xbe] = ROW(MOVSX,       Gv, Eb, _,  0),
	[0xbf] = ROW(MOVSX,       Gv, Ew, _,  0),
	[0xc0] = ROW(XADD,        Eb, Gb, _,  LOCK),
	[0xc1] = ROW(XADD,        Ev, Gv, _,  LOCK),
	[0xc2] = UNKNOWN,
	[0xc3] = UNKNOWN,				/* MOVNTI */
	[0xc4] = UNKNOWN, [0xc5] = UNKNOWN, [0xc6] = UNKNOWN,
	[0xc7] = GOM(MOD, group9),
	EIGHT(0xc8, ROW(BSWAP,    Zv, _,  _,  0)),
	SIXTEEN(0xd0, UNKNOWN), SIXTEEN(0xe0, UNKNOWN), EIGHT(0xf0, UNKNOWN),
	[0xf8] = UNKNOWN, [0xf9] = UNKNOWN, [0xfa] = UNKNOWN, [0xfb] = UNKNOWN,
	[0xfc] = UNKNOWN, [0xfd] = UNKNOWN, [0xfe] = UNKNOWN,
	[0xff] = ROW(UD,          Gv, Ev, _,  0),
};

/* --- x87: what starts an FPU, and asks whether there is one ----------------------------- */

static const struct opcode x87_d9_mem[8] = {
	UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN,
	UNKNOWN, ROW(FLDCW, Ew, _, _, 0), UNKNOWN, ROW(FNSTCW, Ew, _, _, 0),
};
static const struct opcode x87_dd_mem[8] = {
	UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN, ROW(FNSTSW, Ew, _, _, 0),
};
static const struct opcode x87_db_rm4[8] = {
	UNKNOWN, UNKNOWN, ROW(FNCLEX, _, _, _, 0), ROW(FNINIT, _, _, _, 0),
	UNKNOWN, UNKNOWN, UNKNOWN,                 UNKNOWN,
};
static const struct opcode x87_db_reg[8] = {
	UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN, GO(RM, x87_db_rm4), UNKNOWN, UNKNOWN, UNKNOWN,
};
static const struct opcode x87_df_rm4[8] = {
	ROW(FNSTSW, AX, _, _, 0), UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN,
};
static const struct opcode x87_df_reg[8] = {
	UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN, GO(RM, x87_df_rm4), UNKNOWN, UNKNOWN, UNKNOWN,
};
static const struct opcode x87_d9[2] = {GO(REG, x87_d9_mem), UNKNOWN};
static const struct opcode x87_db[2] = {UNKNOWN, GO(REG, x87_db_reg)};
static const struct opcode x87_dd[2] = {GO(REG, x87_dd_mem), UNKNOWN};
static const struct opcode x87_df[2] = {UNKNOWN, GO(REG, x87_df_reg)};

/* --- one-byte map -------------------------------------------------------------------- */

const struct opcode emul_map_1byte[256] = {
	ALU_ROWS(ADD, 0x00, LOCK),
	[0x06] = ROW(PUSH_SEG, ES,  _,   _,   I64),
	[0x07] = ROW(POP_SEG,  ES,  _,   _,   I64),
	ALU_ROWS(OR,  0x08, LOCK),
	[0x0e] = ROW(PUSH_SEG, CS,  _,   _,   I64),
	[0x0f] = GO(MAP, map_0f),
	ALU_ROWS(ADC, 0x10, LOCK),
	[0x16] = ROW(PUSH_SEG, SS,  _,   _,   I64),
	[0x17] = ROW(POP_SEG,  SS,  _,   _,   I64),
	ALU_ROWS(SBB, 0x18, LOCK),
	[0x1e] = ROW(PUSH_SEG, DS,  _,   _,   I64),
	[0x1f] = ROW(POP_SEG,  DS,  _,   _,   I64),
	ALU_ROWS(AND, 0x20, LOCK),
	[0x26] = PREFIX,
	[0x27] = ROW(DAA,      _,   _,   _,   I64),
	ALU_ROWS(SUB, 0x28, LOCK),
	[0x2e] = PREFIX,
	[0x2f] = ROW(DAS,      _,   _,   _,   I64),
	ALU_ROWS(XOR, 0x30, LOCK),
	[0x36] = PREFIX,
	[0x37] = ROW(AAA,      _,   _,   _,   I64),
	ALU_ROWS(CMP, 0x38, 0),
	[0x3e] = PREFIX,
	[0x3f] = ROW(AAS,      _,   _,   _,   I64),
	EIGHT(0x40, GO(REX, inc_zv)),
	EIGHT(0x48, GO(REX, dec_zv)),
	EIGHT(0x50, ROW(PUSH,  Zv,  _,   _,   D64)),
	EIGHT(0x58, ROW(POP,   Zv,  _,   _,   D64)),
	[0x60] = ROW(PUSHA,    _,   _,   _,   I64),
	[0x61] = ROW(POPA,     _,   _,   _,   I64),
	[0x62] = GO(MODE, mode_62),
	[0x63] = GO(MODE, mode_63),
	[0x64] = PREFIX, [0x65] = PREFIX, [0x66] = PREFIX, [0x67] = PREFIX,
	[0x68] = ROW(PUSH,     Iz,  _,   _,   D64),
	[0x69] = ROW(IMUL3,    Gv,  Ev,  Iz,  0),
	[0x6a] = ROW(PUSH,     Ibs, _,   _,   D64),
	[0x6b] = ROW(IMUL3,    Gv,  Ev,  Ibs, 0),
	[0x6c] = ROW(INS,      Yb,  DX,  _,   0),
	[0x6d] = ROW(INS,      Yz,  DX,  _,   0),
	[0x6e] = ROW(OUTS,     DX,  Xb,  _,   0),
	[0x6f] = ROW(OUTS,     DX,  Xz,  _,   0),
	SIXTEEN(0x70, ROW(JCC, Jb,  _,   _,   F64)),
	[0x80] = GOM(REG, group1_80),
	[0x81] = GOM(REG, group1_81),
	[0x82] = GOM(REG, group1_82),
	[0x83] = GOM(REG, group1_83),
	[0x84] = ROW(TEST,     Eb,  Gb,  _,   0),
	[0x85] = ROW(TEST,     Ev,  Gv,  _,   0),
	[0x86] = ROW(XCHG,     Eb,  Gb,  _,   LOCK),
	[0x87] = ROW(XCHG,     Ev,  Gv,  _,   LOCK),
	[0x88] = ROW(MOV,      Eb,  Gb,  _,   0),
	[0x89] = ROW(MOV,      Ev,  Gv,  _,   0),
	[0x8a] = ROW(MOV,      Gb,  Eb,  _,   0),
	[0x8b] = ROW(MOV,      Gv,  Ev,  _,   0),
	[0x8c] = ROW(MOV_FROM_SEG, RvMw, Sw, _, 0),
	[0x8d] = ROW(LEA,      Gv,  M,   _,   0),
	[0x8e] = ROW(MOV_SEG,  Sw,  Ew,  _,   0),
	[0x8f] = GOM(REG, group1a),
	[0x90] = GO(PFX, pfx_90),
	[0x91] = ROW(XCHG,     Zv,  rAX, _,   0),
	[0x92] = ROW(XCHG,     Zv,  rAX, _,   0),
	[0x93] = ROW(XCHG,     Zv,  rAX, _,   0),
	[0x94] = ROW(XCHG,     Zv,  rAX, _,   0),
	[0x95] = ROW(XCHG,     Zv,  rAX, _,   0),
	[0x96] = ROW(XCHG,     Zv,  rAX, _,   0),
	[0x97] = ROW(XCHG,     Zv,  rAX, _,   0),
	[0x98] = ROW(CBW,      _,   _,   _,   0),
	[0x99] = ROW(CWD,      _,   _,   _,   0),
	[0x9a] = ROW(CALLF,    Ap,  _,   _,   I64),
	[0x9b] = ROW(FWAIT,    _,   _,   _,   0),
	[0x9c] = ROW(PUSHF,    _,   _,   _,   D64),
	[0x9d] = ROW(POPF,     _,   _,   _,   D64),
	[0x9e] = ROW(SAHF,     _,   _,   _,   0),
	[0x9f] = ROW(LAHF,     _,   _,   _,   0),
	[0xa0] = ROW(MOV,      AL,  Ob,  _,   0),
	[0xa1] = ROW(MOV,      rAX, Ov,  _,   0),
	[0xa2] = ROW(MOV,      Ob,  AL,  _,   0),
	[0xa3] = ROW(MOV,      Ov,  rAX, _,   0),
	[0xa4] = ROW(MOVS,     Yb,  Xb,  _,   0),
	[0xa5] = ROW(MOVS,     Yv,  Xv,  _,   0),
	[0xa6] = ROW(CMPS,     Xb,  Yb,  _,   0),
	[0xa7] = ROW(CMPS,     Xv,  Yv,  _,   0),
	[0xa8] = ROW(TEST,     AL,  Ib,  _,   0),
	[0xa9] = ROW(TEST,     rAX, Iz,  _,   0),
	[0xaa] = ROW(STOS,     Yb,  AL,  _,   0),
	[0xab] = ROW(STOS,     Yv,  rAX, _,   0),
	[0xac] = ROW(LODS,     AL,  Xb,  _,   0),
	[0xad] = ROW(LODS,     rAX, Xv,  _,   0),
	[0xae] = ROW(SCAS,     AL,  Yb,  _,   0),
	[0xaf] = ROW(SCAS,     rAX, Yv,  _,   0),
	EIGHT(0xb0, ROW(MOV,   Zb,  Ib,  _,   0)),
	EIGHT(0xb8, ROW(MOV,   Zv,  Iv,  _,   0)),
	[0xc0] = GOM(REG, group2_c0),
	[0xc1] = GOM(REG, group2_c1),
	[0xc2] = ROW(RET,      Iw,  _,   _,   F64),
	[0xc3] = ROW(RET,      _,   _,   _,   F64),
	[0xc4] = GO(MODE, mode_c4),
	[0xc5] = GO(MODE, mode_c5),
	[0xc6] = GOM(REG, group11_c6),
	[0xc7] = GOM(REG, group11_c7),
	[0xc8] = ROW(ENTER,    Iw,  Ib2, _,   D64),
	[0xc9] = ROW(LEAVE,    _,   _,   _,   D64),
	[0xca] = ROW(RETF,     Iw,  _,   _,   0),
	[0xcb] = ROW(RETF,     _,   _,   _,   0),
	[0xcc] = ROW(INT3,     _,   _,   _,   0),
	[0xcd] = ROW(INT,      Ib,  _,   _,   0),
	[0xce] = ROW(INTO,     _,   _,   _,   I64),
	[0xcf] = ROW(IRET,     _,   _,   _,   0),
	[0xd0] = GOM(REG, group2_d0),
	[0xd1] = GOM(REG, group2_d1),
	[0xd2] = GOM(REG, group2_d2),
	[0xd3] = GOM(REG, group2_d3),
	[0xd4] = ROW(AAM,      Ib,  _,   _,   I64),
	[0xd5] = ROW(AAD,      Ib,  _,   _,   I64),
	[0xd6] = ROW(SALC,     _,   _,   _,   I64),
	[0xd7] = ROW(XLAT,     _,   _,   _,   0),
	[0xd8] = UNKNOWN, [0xd9] = GOM(MOD, x87_d9), [0xda] = UNKNOWN, [0xdb] = GOM(MOD, x87_db),
	[0xdc] = UNKNOWN, [0xdd] = GOM(MOD, x87_dd), [0xde] = UNKNOWN, [0xdf] = GOM(MOD, x87_df),
	[0xe0] = ROW(LOOPNE,   Jb,  _,   _,   F64),
	[0xe1] = ROW(LOOPE,    Jb,  _,   _,   F64),
	[0xe2] = ROW(LOOP,     Jb,  _,   _,   F64),
	[0xe3] = ROW(JCXZ,     Jb,  _,   _,   F64),
	[0xe4] = ROW(IN,       AL,  Ib,  _,   0),
	[0xe5] = ROW(IN,       eAX, Ib,  _,   0),
	[0xe6] = ROW(OUT,      Ib,  AL,  _,   0),
	[0xe7] = ROW(OUT,      Ib,  eAX, _,   0),
	[0xe8] = ROW(CALL,     Jz,  _,   _,   F64),
	[0xe9] = ROW(JMP,      Jz,  _,   _,   F64),
	[0xea] = ROW(JMPF,     Ap,  _,   _,   I64),
	[0xeb] = ROW(JMP,      Jb,  _,   _,   F64),
	[0xec] = ROW(IN,       AL,  DX,  _,   0),
	[0xed] = ROW(IN,       eAX, DX,  _,   0),
	[0xee] = ROW(OUT,      DX,  AL,  _,   0),
	[0xef] = ROW(OUT,      DX,  eAX, _,   0),
	[0xf0] = PREFIX,
	[0xf1] = ROW(INT1,     _,   _,   _,   0),
	[0xf2] = PREFIX, [0xf3] = PREFIX,
	[0xf4] = ROW(HLT,      _,   _,   _,   0),
	[0xf5] = ROW(CMC,      _,   _,   _,   0),
	[0xf6] = GOM(REG, group3_f6),
	[0xf7] = GOM(REG, group3_f7),
	[0xf8] = ROW(CLC,      _,   _,   _,   0),
	[0xf9] = ROW(STC,      _,   _,   _,   0),
	[0xfa] = ROW(CLI,      _,   _,   _,   0),
	[0xfb] = ROW(STI,      _,   _,   _,   0),
	[0xfc] = ROW(CLD,      _,   _,   _,   0),
	[0xfd] = ROW(STD,      _,   _,   _,   0),
	[0xfe] = GOM(REG, group4),
	[0xff] = GOM(REG, group5),
};

/* clang-format on */
