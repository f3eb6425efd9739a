/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The decoder against Zydis: for random instructions in every mode, what ours claims to know must
 * have the length, the operation, the operands and the validity that Zydis gives it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <Zydis/Zydis.h>
#include <cmocka.h>

#include "lib/bits.h"
#include "tests/unit/support/emul_random.h"
#include "vmm/emulate/emulate.h"

#define CASES 8000000ul

static const struct mode {
	enum emul_mode ours;
	ZydisMachineMode machine;
	ZydisStackWidth stack;
	const char *name;
} modes[] = {
	{EMUL_REAL, ZYDIS_MACHINE_MODE_REAL_16, ZYDIS_STACK_WIDTH_16, "real"},
	{EMUL_PROT16, ZYDIS_MACHINE_MODE_LEGACY_16, ZYDIS_STACK_WIDTH_16, "16-bit"},
	{EMUL_PROT32, ZYDIS_MACHINE_MODE_LEGACY_32, ZYDIS_STACK_WIDTH_32, "32-bit"},
	{EMUL_LONG64, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64, "64-bit"},
};

/* clang-format off */
/* Mnemonics of an operation; a trailing '*' stands for anything. NULL: our name in lower case. */
static const char *const mnemonics[NR_EMUL_OPS] = {
	[OP_ADD] = "add", [OP_OR] = "or", [OP_ADC] = "adc", [OP_SBB] = "sbb", [OP_AND] = "and",
	[OP_SUB] = "sub", [OP_XOR] = "xor", [OP_CMP] = "cmp", [OP_ROL] = "rol", [OP_ROR] = "ror",
	[OP_RCL] = "rcl", [OP_RCR] = "rcr", [OP_SHL] = "shl", [OP_SHR] = "shr", [OP_SAL] = "shl",
	[OP_SAR] = "sar", [OP_TEST] = "test", [OP_NOT] = "not", [OP_NEG] = "neg", [OP_INC] = "inc",
	[OP_DEC] = "dec", [OP_MUL] = "mul", [OP_IMUL] = "imul", [OP_IMUL3] = "imul",
	[OP_DIV] = "div", [OP_IDIV] = "idiv", [OP_SHLD] = "shld", [OP_SHRD] = "shrd",
	[OP_BT] = "bt", [OP_BTS] = "bts", [OP_BTR] = "btr", [OP_BTC] = "btc", [OP_BSF] = "bsf",
	[OP_BSR] = "bsr", [OP_TZCNT] = "tzcnt", [OP_LZCNT] = "lzcnt", [OP_POPCNT] = "popcnt",
	[OP_BSWAP] = "bswap", [OP_MOV] = "mov", [OP_MOVZX] = "movzx", [OP_MOVSX] = "movsx*",
	[OP_MOVBE] = "movbe", [OP_LEA] = "lea", [OP_XCHG] = "xchg nop", [OP_XADD] = "xadd",
	[OP_CMPXCHG] = "cmpxchg", [OP_CMPXCHG8B] = "cmpxchg8b cmpxchg16b", [OP_SETCC] = "set*",
	[OP_CMOVCC] = "cmov*", [OP_CBW] = "cbw cwde cdqe", [OP_CWD] = "cwd cdq cqo",
	[OP_XLAT] = "xlat", [OP_LAHF] = "lahf", [OP_SAHF] = "sahf", [OP_SALC] = "salc",
	[OP_AAA] = "aaa", [OP_AAS] = "aas", [OP_DAA] = "daa", [OP_DAS] = "das", [OP_AAM] = "aam",
	[OP_AAD] = "aad", [OP_CLC] = "clc", [OP_STC] = "stc", [OP_CMC] = "cmc", [OP_CLD] = "cld",
	[OP_STD] = "std", [OP_CLI] = "cli", [OP_STI] = "sti", [OP_NOP] = "nop prefetch* endbr* rdssp* cldemote",
	[OP_CLFLUSH] = "clflush clflushopt clwb", [OP_CLZERO] = "clzero",
	[OP_PAUSE] = "pause", [OP_FENCE] = "lfence mfence sfence", [OP_BOUND] = "bound",
	[OP_ARPL] = "arpl", [OP_UD] = "ud0 ud1 ud2", [OP_MOVS] = "movs*", [OP_STOS] = "stos*",
	[OP_LODS] = "lods*", [OP_CMPS] = "cmps*", [OP_SCAS] = "scas*", [OP_INS] = "ins*",
	[OP_OUTS] = "outs*", [OP_IN] = "in", [OP_OUT] = "out", [OP_PUSH] = "push", [OP_POP] = "pop",
	[OP_PUSHA] = "pusha*", [OP_POPA] = "popa*", [OP_PUSHF] = "pushf*", [OP_POPF] = "popf*",
	[OP_ENTER] = "enter", [OP_LEAVE] = "leave", [OP_CALL] = "call", [OP_JMP] = "jmp",
	[OP_JCC] = "j*", [OP_RET] = "ret", [OP_LOOP] = "loop", [OP_LOOPE] = "loope",
	[OP_LOOPNE] = "loopne", [OP_JCXZ] = "jcxz jecxz jrcxz", [OP_CALLF] = "call",
	[OP_JMPF] = "jmp", [OP_RETF] = "ret", [OP_INT] = "int", [OP_INT3] = "int3",
	[OP_INTO] = "into", [OP_INT1] = "int1", [OP_IRET] = "iret*", [OP_MOV_SEG] = "mov",
	[OP_MOV_FROM_SEG] = "mov", [OP_PUSH_SEG] = "push", [OP_POP_SEG] = "pop",
	[OP_LOAD_FAR] = "lds les lss lfs lgs", [OP_HLT] = "hlt", [OP_CPUID] = "cpuid",
	[OP_RDMSR] = "rdmsr", [OP_WRMSR] = "wrmsr", [OP_RDTSC] = "rdtsc", [OP_RDTSCP] = "rdtscp",
	[OP_RDPMC] = "rdpmc", [OP_INVD] = "invd", [OP_WBINVD] = "wbinvd", [OP_CLTS] = "clts",
	[OP_LMSW] = "lmsw", [OP_SMSW] = "smsw", [OP_INVLPG] = "invlpg", [OP_XSETBV] = "xsetbv",
	[OP_XGETBV] = "xgetbv", [OP_MONITOR] = "monitor", [OP_MWAIT] = "mwait",
	[OP_VMCALL] = "vmcall", [OP_VMMCALL] = "vmmcall", [OP_MOV_FROM_CR] = "mov",
	[OP_MOV_TO_CR] = "mov", [OP_MOV_FROM_DR] = "mov", [OP_MOV_TO_DR] = "mov",
	[OP_SGDT] = "sgdt", [OP_SIDT] = "sidt", [OP_LGDT] = "lgdt", [OP_LIDT] = "lidt",
	[OP_SLDT] = "sldt", [OP_STR] = "str", [OP_LLDT] = "lldt", [OP_LTR] = "ltr",
	[OP_VERR] = "verr", [OP_VERW] = "verw", [OP_LAR] = "lar", [OP_LSL] = "lsl",
	[OP_SYSCALL] = "syscall", [OP_SYSRET] = "sysret", [OP_SYSENTER] = "sysenter",
	[OP_SYSEXIT] = "sysexit", [OP_SWAPGS] = "swapgs", [OP_RSM] = "rsm",
	[OP_RDFSBASE] = "rdfsbase", [OP_RDGSBASE] = "rdgsbase", [OP_WRFSBASE] = "wrfsbase",
	[OP_WRGSBASE] = "wrgsbase", [OP_CLAC] = "clac", [OP_STAC] = "stac", [OP_VMRUN] = "vmrun",
	[OP_VMLOAD] = "vmload", [OP_VMSAVE] = "vmsave", [OP_STGI] = "stgi", [OP_CLGI] = "clgi",
	[OP_SKINIT] = "skinit", [OP_INVLPGA] = "invlpga", [OP_VMLAUNCH] = "vmlaunch",
	[OP_VMRESUME] = "vmresume", [OP_VMXOFF] = "vmxoff",
	[OP_FNINIT] = "fninit", [OP_FNCLEX] = "fnclex", [OP_FNSTCW] = "fnstcw",
	[OP_FNSTSW] = "fnstsw", [OP_FLDCW] = "fldcw", [OP_FWAIT] = "fwait",
};
/* clang-format on */

static struct {
	unsigned long claimed, invalid, unknown, operands, native, left_to_cpu;
	unsigned long per_op[NR_EMUL_OPS];
} count;

static int no_fetch(struct emul_ctx *c, gva_t gva, void *buf, unsigned len)
{
	fail_msg("fetch with 15 bytes at hand");
	return EMUL_FAULT;
}

static const struct emul_ops ops = {.fetch = no_fetch};

static int decode_ours(struct emul_ctx *c, const struct mode *m, const uint8_t *bytes)
{
	static uint64_t gpr[NR_GPRS];

	c->ops = &ops;
	c->gpr = gpr;
	c->rip = 0x1000;
	c->mode = m->ours;
	c->va_bits = 48;
	c->segs_known = 0xff;
	c->seg[SEG_CS] = (struct segment){.limit = 0xffffffff, .attr = 0x9b};
	memcpy(c->insn.bytes, bytes, EMUL_MAX_INSN_LEN);
	c->insn.nr_bytes = EMUL_MAX_INSN_LEN;
	return emul_decode(c);
}

static void differ(const struct mode *m, const uint8_t *bytes, const char *what, long ours,
		   long theirs)
{
	printf("# %s:", m->name);
	for (unsigned n = 0; n < EMUL_MAX_INSN_LEN; n++)
		printf(" %02x", bytes[n]);
	printf(": %s: ours %#lx, Zydis %#lx\n", what, ours, theirs);
	fail_msg("decoders differ in %s", what);
}

/* Is `name` in the list `pattern`? */
static bool is_mnemonic(const char *pattern, const char *name)
{
	size_t len = strlen(name);

	while (*pattern) {
		size_t n = strcspn(pattern, " ");

		if (pattern[n - 1] == '*' ? strncmp(pattern, name, n - 1) == 0
					  : n == len && memcmp(pattern, name, n) == 0)
			return true;
		pattern += n + (pattern[n] == ' ');
	}
	return false;
}

static unsigned zydis_reg(ZydisRegister reg)
{
	int id = ZydisRegisterGetId(reg);

	if (reg == ZYDIS_REGISTER_NONE)
		return EMUL_MEM_NONE;
	if (reg == ZYDIS_REGISTER_RIP || reg == ZYDIS_REGISTER_EIP)
		return EMUL_MEM_RIP;
	if (reg >= ZYDIS_REGISTER_AH && reg <= ZYDIS_REGISTER_BH)
		return EMUL_REG_HIGH + reg - ZYDIS_REGISTER_AH;
	if (reg >= ZYDIS_REGISTER_SPL && reg <= ZYDIS_REGISTER_R15B)
		return reg - ZYDIS_REGISTER_SPL + 4;
	return id;
}

static unsigned zydis_seg(ZydisRegister reg)
{
	static const ZydisRegister segs[] = {ZYDIS_REGISTER_ES, ZYDIS_REGISTER_CS,
					     ZYDIS_REGISTER_SS, ZYDIS_REGISTER_DS,
					     ZYDIS_REGISTER_FS, ZYDIS_REGISTER_GS};

	for (unsigned n = 0; n < ARRAY_SIZE(segs); n++)
		if (segs[n] == reg)
			return n;
	return 0xff;
}

#define SAME(what, a, b)                                                                           \
	do {                                                                                       \
		if ((a) != (b))                                                                    \
			differ(m, bytes, what, a, b);                                              \
	} while (0)

/*
 * Zydis 4.0 reports r13d as the base of a SIB byte that has none (mod 0, base 5), if there are
 * both REX.B and an address-size prefix. The CPU agrees with us, see test_emul_native.c.
 */
static bool is_zydis_r13(const struct emul_insn *i)
{
	return (i->rex & 1) && i->mem.base == EMUL_MEM_NONE && (i->prefixes & EMUL_PFX_67) &&
	       (i->modrm & 0xc7) == 4;
}

/* Zydis takes 3E before an indirect branch as NOTRACK, which it is on CPUs with CET only. */
static bool is_notrack(const struct emul_insn *i)
{
	return i->op == OP_CALL || i->op == OP_JMP;
}

static void compare_mem(const struct mode *m, const uint8_t *bytes, const struct emul_insn *i,
			const ZydisDecodedOperand *z)
{
	uint64_t mask = ~0ull >> (64 - 8 * i->adsize);

	if (is_zydis_r13(i))
		return;
	SAME("base", i->mem.base, zydis_reg(z->mem.base));
	SAME("index", i->mem.index, zydis_reg(z->mem.index));
	if (i->mem.index != EMUL_MEM_NONE)
		SAME("scale", 1 << i->mem.scale, z->mem.scale);
	SAME("displacement", (uint64_t)i->mem.disp & mask, (uint64_t)z->mem.disp.value & mask);
	if (i->op != OP_LEA && !is_notrack(i)) /* LEA: an address, and no access */
		SAME("segment", i->mem.seg, zydis_seg(z->mem.segment));
}

/* Register sources whose upper part is never used have no size that counts. */
static bool is_register_size_moot(const struct emul_insn *i)
{
	return i->op == OP_LAR || i->op == OP_LSL ||
	       (i->op == OP_MOVSX && i->opcode == 0x63 && i->opsize == 2);
}

static void compare_operand(const struct mode *m, const uint8_t *bytes, const struct emul_insn *i,
			    const struct emul_opnd *o, const ZydisDecodedOperand *z)
{
	switch (o->kind) {
	case OPND_REG:
		SAME("kind", z->type, ZYDIS_OPERAND_TYPE_REGISTER);
		if (!is_register_size_moot(i))
			SAME("register size", o->size * 8, z->size);
		SAME("register", o->reg, zydis_reg(z->reg.value));
		break;
	case OPND_MEM:
		SAME("kind", z->type, ZYDIS_OPERAND_TYPE_MEMORY);
		if (o->size)
			SAME("memory size", o->size * 8, z->size);
		compare_mem(m, bytes, i, z);
		break;
	case OPND_STR_SRC:
		SAME("kind", z->type, ZYDIS_OPERAND_TYPE_MEMORY);
		SAME("string size", o->size * 8, z->size);
		SAME("string source", zydis_reg(z->mem.base), GPR_RSI);
		SAME("string segment", i->mem.seg, zydis_seg(z->mem.segment));
		break;
	case OPND_STR_DST:
		SAME("kind", z->type, ZYDIS_OPERAND_TYPE_MEMORY);
		SAME("string size", o->size * 8, z->size);
		SAME("string destination", zydis_reg(z->mem.base), GPR_RDI);
		SAME("string segment", SEG_ES, zydis_seg(z->mem.segment));
		break;
	case OPND_SEG:
		SAME("kind", z->type, ZYDIS_OPERAND_TYPE_REGISTER);
		SAME("segment register", o->reg, zydis_seg(z->reg.value));
		break;
	case OPND_CR:
	case OPND_DR:
		SAME("kind", z->type, ZYDIS_OPERAND_TYPE_REGISTER);
		SAME("system register", o->reg, ZydisRegisterGetId(z->reg.value));
		break;
	case OPND_REL:
		SAME("kind", z->type, ZYDIS_OPERAND_TYPE_IMMEDIATE);
		SAME("branch displacement", i->imm, (uint64_t)z->imm.value.s);
		break;
	case OPND_IMM:
		if (z->type == ZYDIS_OPERAND_TYPE_POINTER) {
			SAME("far offset", i->imm, z->ptr.offset);
			SAME("far selector", i->imm2, z->ptr.segment);
			break;
		}
		SAME("kind", z->type, ZYDIS_OPERAND_TYPE_IMMEDIATE);
		SAME("immediate", i->imm & ~0ull >> (64 - 8 * o->size),
		     z->imm.value.u & ~0ull >> (64 - 8 * o->size));
		break;
	case OPND_IMM2:
		SAME("second immediate", i->imm2, z->imm.value.u);
		break;
	}
	count.operands++;
}

static void compare(const struct mode *m, const uint8_t *bytes, const struct emul_insn *i,
		    const ZydisDecodedInstruction *z, const ZydisDecodedOperand *zo)
{
	const char *name = ZydisMnemonicGetString(z->mnemonic);

	if (!is_mnemonic(mnemonics[i->op], name)) {
		printf("# Zydis: %s\n", name);
		differ(m, bytes, "mnemonic", i->op, z->mnemonic);
	}
	SAME("length", i->len, z->length);
	SAME("address size", i->adsize * 8, z->address_width);
	if (z->mnemonic == ZYDIS_MNEMONIC_NOP || i->op == OP_NOP || i->op == OP_UD)
		return; /* their operands mean nothing */
	for (unsigned n = 0; n < ARRAY_SIZE(i->opnd); n++)
		if (i->opnd[n].kind != OPND_NONE)
			compare_operand(m, bytes, i, &i->opnd[n], &zo[n]);
}

/* What the CPU executes: where its bytes and its operand are; the rest is test_native_rows.c's. */
static void compare_native(const struct mode *m, const uint8_t *bytes, const struct emul_insn *i,
			   const ZydisDecodedInstruction *z, const ZydisDecodedOperand *zo)
{
	SAME("length", i->len, z->length);
	for (unsigned n = 0; n < z->operand_count; n++)
		if (zo[n].type == ZYDIS_OPERAND_TYPE_MEMORY)
			compare_mem(m, bytes, i, &zo[n]);
	count.native++;
	count.per_op[OP_NATIVE]++;
}

static void one_case(const struct mode *m, const ZydisDecoder *decoder, const uint8_t *bytes)
{
	ZydisDecodedInstruction z;
	ZydisDecodedOperand zo[ZYDIS_MAX_OPERAND_COUNT];
	struct emul_ctx c;
	int ours = decode_ours(&c, m, bytes);
	bool valid;

	if (ours == EMUL_UNHANDLED) {
		count.unknown++;
		return;
	}
	valid = ZYAN_SUCCESS(ZydisDecoderDecodeFull(decoder, bytes, EMUL_MAX_INSN_LEN, &z, zo));
	if (valid && z.encoding == ZYDIS_INSTRUCTION_ENCODING_MVEX) /* Knights Corner's alone */
		valid = false;
	if (ours == EMUL_OK && c.insn.op == OP_NATIVE) {
		if (valid)
			compare_native(m, bytes, &c.insn, &z, zo);
		else
			count.left_to_cpu++;
		return;
	}
	SAME("validity", ours == EMUL_OK, valid);
	if (valid) {
		compare(m, bytes, &c.insn, &z, zo);
		count.claimed++;
		count.per_op[c.insn.op]++;
	} else {
		count.invalid++;
	}
}

static void decodes_like_zydis(void **state)
{
	struct emul_random r;
	ZydisDecoder decoders[ARRAY_SIZE(modes)];
	unsigned long cases = emul_random_cases(CASES);
	unsigned ops_seen = 0;

	emul_random_init(&r, "test_emul_zydis");
	for (unsigned n = 0; n < ARRAY_SIZE(modes); n++)
		ZydisDecoderInit(&decoders[n], modes[n].machine, modes[n].stack);
	for (unsigned long n = 0; n < cases; n++) {
		uint8_t bytes[EMUL_MAX_INSN_LEN];
		unsigned m = n % ARRAY_SIZE(modes);

		emul_random_insn(&r, bytes);
		one_case(&modes[m], &decoders[m], bytes);
	}
	for (unsigned op = OP_UNKNOWN + 1; op < NR_EMUL_OPS; op++) {
		if (!count.per_op[op])
			printf("# never seen: operation %u (%s)\n", op, mnemonics[op]);
		ops_seen += count.per_op[op] != 0;
	}
	printf("# %lu for the CPU agree, and %lu that it would refuse\n", count.native,
	       count.left_to_cpu);
	printf("# %lu cases: %lu agree (%u operations, %lu operands), %lu agreed to be invalid, "
	       "%lu not ours to decode\n",
	       cases, count.claimed, ops_seen, count.operands, count.invalid, count.unknown);
	assert_int_equal(ops_seen, NR_EMUL_OPS - OP_UNKNOWN - 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(decodes_like_zydis),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
