/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Every encoding that the emulator would have the CPU execute, against Zydis: all opcodes of all
 * maps, prefixes, vector lengths, W and ModRM.reg, with memory and with registers. What the
 * hypervisor executes must be that instruction and no other: as long as we think, with one operand
 * in memory or none, at [rDI], of that size and as readable or writable as we think, and
 * unprivileged. And nothing that a guest's CPU has is missing, but for the instructions in
 * `elsewhere`.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <Zydis/Zydis.h>
#include <cmocka.h>

#include "lib/bits.h"
#include "vmm/emulate/native.h"

/* One point of the space of encodings. */
struct point {
	uint8_t enc, map, pp, opcode, w, l, reg, bcst, mask, vvvv;
	bool registers; /* ModRM.rm is one, number 7 */
};

static struct {
	unsigned long ours, left_to_cpu, elsewhere;
	unsigned long per_row[512];
} count;

static ZydisDecoder decoder;

static int no_fetch(struct emul_ctx *c, gva_t gva, void *buf, unsigned len)
{
	fail_msg("fetch with 15 bytes at hand");
	return EMUL_FAULT;
}

static const struct emul_ops ops = {.fetch = no_fetch};

/* With the operand at 17(%rdi), or scaled; and bytes behind that are no immediate of its. */
static void encode(const struct point *p, uint8_t bytes[EMUL_MAX_INSN_LEN])
{
	static const uint8_t prefixes[] = {0, 0x66, 0xf3, 0xf2};
	unsigned n = 0;

	memset(bytes, 0x5a, EMUL_MAX_INSN_LEN);
	if (p->enc == ENC_LEGACY) {
		if (p->pp)
			bytes[n++] = prefixes[p->pp];
		if (p->w)
			bytes[n++] = 0x48;
		bytes[n++] = 0x0f;
		if (p->map > 1)
			bytes[n++] = p->map == 2 ? 0x38 : 0x3a;
	} else if (p->enc == ENC_EVEX) {
		bytes[n++] = 0x62;
		bytes[n++] = 0xf0 | p->map;
		bytes[n++] = p->w << 7 | (~p->vvvv & 15) << 3 | 4 | p->pp;
		bytes[n++] = p->l << 5 | p->bcst << 4 | 8 | p->mask;
	} else if (p->enc != ENC_X87) {
		bytes[n++] = p->enc == ENC_VEX ? 0xc4 : 0x8f;
		bytes[n++] = 0xe0 | p->map;
		bytes[n++] = p->w << 7 | (~p->vvvv & 15) << 3 | p->l << 2 | p->pp;
	}
	bytes[n++] = p->opcode;
	bytes[n++] = (p->registers ? 0xc7 : 0x47) | p->reg << 3;
	if (p->registers)
		return;
	bytes[n++] = 17;
}

static int decode_ours(struct emul_ctx *c, const uint8_t *bytes)
{
	static uint64_t gpr[NR_GPRS];

	c->ops = &ops;
	c->gpr = gpr;
	c->rip = 0x1000;
	c->mode = EMUL_LONG64;
	c->va_bits = 48;
	memcpy(c->insn.bytes, bytes, EMUL_MAX_INSN_LEN);
	c->insn.nr_bytes = EMUL_MAX_INSN_LEN;
	return emul_decode(c);
}

/* Zydis' view. */
struct view {
	ZydisDecodedInstruction z;
	ZydisDecodedOperand opnd[ZYDIS_MAX_OPERAND_COUNT];
	bool valid;
};

static void look(struct view *v, const uint8_t *bytes, unsigned len)
{
	v->valid = ZYAN_SUCCESS(ZydisDecoderDecodeFull(&decoder, bytes, len, &v->z, v->opnd));
}

static void fail_at(const struct emul_ctx *c, const struct view *v, const char *what, long ours,
		    long theirs)
{
	for (unsigned n = 0; n < EMUL_MAX_INSN_LEN; n++)
		printf(" %02x", c->insn.bytes[n]);
	printf(" (%s): %s: ours %ld, Zydis %ld\n",
	       v->valid ? ZydisMnemonicGetString(v->z.mnemonic) : "invalid", what, ours, theirs);
	fail_msg("not the instruction that it is taken for");
}

#define SAME(what, a, b)                                                                           \
	do {                                                                                       \
		if ((long)(a) != (long)(b))                                                        \
			fail_at(c, v, what, (long)(a), (long)(b));                                 \
	} while (0)

/* The one operand in memory; several, or none, are not allowed. */
static const ZydisDecodedOperand *memory_of(const struct emul_ctx *c, const struct view *v)
{
	const ZydisDecodedOperand *mem = NULL;

	for (unsigned n = 0; n < v->z.operand_count; n++) {
		if (v->opnd[n].type != ZYDIS_OPERAND_TYPE_MEMORY)
			continue;
		if (mem)
			fail_at(c, v, "operands in memory", 1, 2);
		mem = &v->opnd[n];
	}
	if (!mem)
		fail_at(c, v, "operands in memory", 1, 0);
	return mem;
}

static bool has_memory(const struct view *v)
{
	for (unsigned n = 0; n < v->z.operand_count; n++)
		if (v->opnd[n].type == ZYDIS_OPERAND_TYPE_MEMORY)
			return true;
	return false;
}

/* Zydis gives the part of XSAVE's area that is always there. */
static bool has_fixed_size(const struct native_row *row)
{
	return row->size != SZ_XS;
}

/*
 * Registers that the new encoding may name or imply besides vectors: rBX and rSI where the row says
 * so, rAX, rCX and rDX, flags, what the vector units have of their own. Never rSP, segments,
 * control registers.
 */
static void check_registers(const struct emul_ctx *c, const struct view *v)
{
	const struct native_row *row = native_row(&c->insn);

	for (unsigned n = 0; n < v->z.operand_count; n++) {
		const ZydisDecodedOperand *o = &v->opnd[n];
		ZydisRegisterClass class = ZydisRegisterGetClass(o->reg.value);
		int id = ZydisRegisterGetId(o->reg.value);
		bool hidden = o->visibility != ZYDIS_OPERAND_VISIBILITY_EXPLICIT;

		if (o->type != ZYDIS_OPERAND_TYPE_REGISTER || class < ZYDIS_REGCLASS_GPR8)
			continue;
		if (class <= ZYDIS_REGCLASS_GPR64 && hidden)
			SAME("register", (row->flags & NAT_IMPL) && id <= 2, true);
		else if (class <= ZYDIS_REGCLASS_GPR64)
			SAME("register",
			     (id == 3 && (row->flags & NAT_REG)) ||
				     (id == 6 && (row->flags & NAT_VREG)),
			     true);
		else
			SAME("class of a register",
			     class == ZYDIS_REGCLASS_SEGMENT || class == ZYDIS_REGCLASS_CONTROL ||
				     class == ZYDIS_REGCLASS_DEBUG || class == ZYDIS_REGCLASS_TABLE,
			     false);
	}
}

static void check_execution(const struct emul_ctx *c, const struct view *original)
{
	const struct native_row *row = native_row(&c->insn);
	const ZydisDecodedOperand *mem;
	uint8_t code[EMUL_MAX_INSN_LEN + 1];
	unsigned len = emul_native_encode(c, c->insn.opcode, code);
	struct view view, *v = &view;
	bool writes;

	look(v, code, len);
	SAME("validity of the copy", original->valid, v->valid);
	if (!v->valid) {
		count.left_to_cpu++;
		return;
	}
	SAME("length of the copy", len, v->z.length);
	SAME("instruction of the copy", original->z.mnemonic, v->z.mnemonic);
	SAME("privilege", !!(v->z.attributes & ZYDIS_ATTRIB_IS_PRIVILEGED),
	     !!(row->flags & NAT_CPL0));
	check_registers(c, v);
	SAME("an operand in memory", c->insn.opnd[0].kind == OPND_MEM, has_memory(v));
	if (!has_memory(v))
		return;
	mem = memory_of(c, v);
	SAME("base of the copy", mem->mem.base, ZYDIS_REGISTER_RDI);
	SAME("index of the copy", mem->mem.index, ZYDIS_REGISTER_NONE);
	SAME("displacement of the copy", mem->mem.disp.value, 0);
	writes = mem->actions & ZYDIS_OPERAND_ACTION_MASK_WRITE;
	SAME("access", writes, !!(row->flags & NAT_WRITE));
	if (has_fixed_size(row))
		SAME("size of the copy", emul_native_size(c) * 8, mem->size);
}

/* What the emulator has by itself, leaves out, or no guest's CPUID shows. */
static bool is_elsewhere(const struct view *v, const struct emul_ctx *c)
{
	static const char *const isa[] = {
		"AMX_",     "KEYLOCKER", "CET",         "MPX",         "VTX",      "ENQCMD",
		"LWP",      "AVX512_4",  "AVX512PF",    "AVX512ER",    "KNC",      "PT",
		"INVPCID",  "MOVDIR",    "AVX512_FP16", "AVX512_BF16", "AVX_VNNI", "AVX512_VP2",
		"CLDEMOTE", "XOP_",      "PADLOCK",     "SVM",         "RDRAND",   "SMX",
	};
	const char *set = ZydisISASetGetString(v->z.meta.isa_set);

	if (c->insn.op != OP_NATIVE && c->insn.op != OP_UNKNOWN && c->insn.op != OP_INVALID)
		return true;
	for (unsigned n = 0; n < ARRAY_SIZE(isa); n++)
		if (!strncmp(set, isa[n], strlen(isa[n])))
			return true;
	return v->z.meta.category == ZYDIS_CATEGORY_GATHER ||
	       v->z.meta.category == ZYDIS_CATEGORY_SCATTER ||
	       v->z.meta.category == ZYDIS_CATEGORY_AVX2GATHER ||
	       (v->z.attributes & ZYDIS_ATTRIB_IS_PRIVILEGED);
}

static void compare(const struct point *p)
{
	uint8_t bytes[EMUL_MAX_INSN_LEN];
	struct emul_ctx ctx, *c = &ctx;
	struct view view, *v = &view;
	const ZydisDecodedOperand *mem;
	int err;

	encode(p, bytes);
	look(v, bytes, sizeof(bytes));
	err = decode_ours(c, bytes);
	if (err || c->insn.op != OP_NATIVE) {
		if (v->valid && err && has_memory(v) && !is_elsewhere(v, c))
			fail_at(c, v, "known", 0, 1);
		count.elsewhere += v->valid;
		return;
	}
	if (v->valid) {
		SAME("length", c->insn.len, v->z.length);
		count.ours++;
		count.per_row[c->insn.native.row]++;
	}
	if (v->valid && has_memory(v)) {
		mem = memory_of(c, v);
		SAME("displacement", c->insn.mem.disp, mem->mem.disp.value);
		if (has_fixed_size(native_row(&c->insn)))
			SAME("size", emul_native_size(c) * 8, mem->size);
	}
	check_execution(c, v);
}

/* All values of the fields that an encoding has. */
static void compare_opcode(struct point p)
{
	unsigned lengths = p.enc == ENC_EVEX ? 3 : p.enc == ENC_LEGACY || p.enc == ENC_X87 ? 1 : 2;
	unsigned last = p.enc == ENC_EVEX ? 32 : 8;

	for (p.pp = 0; p.pp < (p.enc == ENC_X87 ? 1 : 4); p.pp++)
		for (p.w = 0; p.w < (p.enc == ENC_X87 ? 1 : 2); p.w++)
			for (p.l = 0; p.l < lengths; p.l++)
				for (unsigned n = 0; n < last; n++) {
					p.reg = n & 7;
					p.bcst = n >> 3 & 1;
					p.mask = n >> 4 ? 5 : 0;
					p.vvvv = 0;
					p.registers = true;
					compare(&p);
					p.registers = false;
					compare(&p);
					p.vvvv = 9;
					compare(&p);
				}
}

static void each_is_the_instruction_it_is_taken_for(void **state)
{
	static const struct {
		uint8_t enc, first, last;
	} maps[] = {{ENC_LEGACY, 1, 3}, {ENC_VEX, 1, 3}, {ENC_EVEX, 1, 3}, {ENC_XOP, 8, 10}};

	for (unsigned n = 0; n < ARRAY_SIZE(maps); n++)
		for (unsigned map = maps[n].first; map <= maps[n].last; map++)
			for (unsigned opcode = 0; opcode < 256; opcode++) {
				if (maps[n].enc == ENC_LEGACY && map == 1 &&
				    (opcode == 0x38 || opcode == 0x3a))
					continue;
				compare_opcode((struct point){
					.enc = maps[n].enc, .map = map, .opcode = opcode});
			}
	for (unsigned opcode = 0xd8; opcode <= 0xdf; opcode++)
		compare_opcode((struct point){.enc = ENC_X87, .opcode = opcode});
	printf("# %lu encodings agree, %lu more would be refused by the CPU, "
	       "%lu are not for it\n",
	       count.ours, count.left_to_cpu, count.elsewhere);
}

/* Rows that nothing was in are mistakes. */
static void each_row_is_needed(void **state)
{
	for (unsigned n = 0; n < emul_nr_native_rows; n++) {
		const struct native_row *row = &emul_native_rows[n];

		if (count.per_row[n])
			continue;
		if (row->map == MAP_0F && row->first == 0x0f) /* 3DNow!: by its last byte */
			continue;
		fail_msg("row %u: no instruction at %u:%02x", n, row->map, row->first);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_is_the_instruction_it_is_taken_for),
		cmocka_unit_test(each_row_is_needed),
	};

	ZydisDecoderInit(&decoder, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
