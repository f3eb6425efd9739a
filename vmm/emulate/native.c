/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Instructions that the CPU executes for the emulator (native.h): is it switched on, where is its
 * operand, which bytes of it does it access, and what becomes of its exceptions.
 */
#include <string.h>

#include "vmm/emulate/flags.h"
#include "vmm/emulate/native.h"

/*
 * The operand's copy. It lies in its cache line as the operand does in its own, so that the CPU
 * finds it misaligned when the operand is.
 */
struct copy {
	uint8_t area[64 + NATIVE_MAX] __aligned(64);
	uint8_t accessed[NATIVE_MAX / 8]; /* bits: bytes that the instruction reads or writes */
	uint8_t *bytes;                   /* in area */
	unsigned len;
};

/* Offsets in the areas of FXSAVE and XSAVE: SDM volume 1, 10.5.1 and 13.4. */
#define FXSAVE_XMM8     288
#define FXSAVE_XMM8_LEN 128
#define XSAVE_HEADER    512
#define XSAVE_EXTENDED  576
#define XSAVE_YMM8      704 /* upper halves */
#define XSAVE_YMM8_LEN  128

static bool is_accessed(const struct copy *o, unsigned n)
{
	return o->accessed[n / 8] & BIT(n % 8);
}

/* Of a byte of the operand. */
static gva_t address(const struct emul_ctx *c, unsigned n)
{
	return GVA(c->mode == EMUL_LONG64 ? c->la.v + n : (uint32_t)(c->la.v + n));
}

/* --- what is switched on ------------------------------------------------------------------------
 */

static int fault(struct emul_ctx *c, uint8_t vector)
{
	return emul_set_fault(c, vector, 0);
}

/* SDM volume 3, 2.5 and 13.1; volume 2, 2.4: the exceptions before any access. */
static int check_available(struct emul_ctx *c)
{
	const struct native_row *row = native_row(&c->insn);
	bool vex = !(c->insn.native.enc & (ENC_LEGACY | ENC_X87));
	uint64_t cr0, cr4;

	if (row->unit == UNIT_INT)
		return EMUL_OK;
	if (c->ops->cr_read(c, 0, &cr0) || c->ops->cr_read(c, 4, &cr4))
		return EMUL_UNHANDLED;
	if (row->unit == UNIT_XSAVE || vex) {
		if (!(cr4 & CR4_OSXSAVE))
			return fault(c, X86_TRAP_UD);
	} else if (row->unit == UNIT_MMX || row->unit == UNIT_SSE) {
		if ((cr0 & CR0_EM) || (row->unit == UNIT_SSE && !(cr4 & CR4_OSFXSR)))
			return fault(c, X86_TRAP_UD);
	} else if (cr0 & CR0_EM) {
		return fault(c, X86_TRAP_NM);
	}
	if (cr0 & CR0_TS)
		return fault(c, X86_TRAP_NM);
	return (row->flags & NAT_CPL0) && c->cpl ? fault(c, X86_TRAP_GP) : EMUL_OK;
}

/* --- the CPU ------------------------------------------------------------------------------------
 */

static void load_registers(const struct emul_ctx *c, const struct native_fields *f,
			   struct slot_regs *r)
{
	unsigned reg = MODRM_REG(c->insn.modrm) | (f->r ? 8 : 0);

	r->rax = c->gpr[GPR_RAX];
	r->rcx = c->gpr[GPR_RCX];
	r->rdx = c->gpr[GPR_RDX];
	r->rbx = c->gpr[reg];
	r->rsi = c->gpr[f->vvvv];
	r->flags = c->rflags;
}

/* The last one counts if two are the same: MULX. */
static void store_registers(struct emul_ctx *c, const struct native_fields *f,
			    const struct slot_regs *r)
{
	const struct native_row *row = native_row(&c->insn);
	unsigned reg = MODRM_REG(c->insn.modrm) | (f->r ? 8 : 0);

	c->rflags = (c->rflags & ~FLAGS_ARITH) | (r->flags & FLAGS_ARITH);
	if (row->flags & NAT_IMPL)
		c->gpr[GPR_RCX] = r->rcx;
	if (row->flags & NAT_VREG)
		c->gpr[f->vvvv] = r->rsi;
	if ((row->flags & NAT_REG) && !(row->flags & NAT_WRITE))
		c->gpr[reg] = r->rbx;
}

static int raise(struct emul_ctx *c, unsigned vector)
{
	uint64_t cr4 = 0;

	if (vector == X86_TRAP_XM) {
		c->ops->cr_read(c, 4, &cr4);
		if (!(cr4 & CR4_OSXMMEXCPT))
			vector = X86_TRAP_UD;
	}
	return fault(c, vector);
}

/*
 * FLDENV and its kin take the pointers to the last x87 instruction from their operand, or have
 * their own; FCOM ... FXAM leave some behind (SDM volume 1, 8.1.8).
 */
static bool leaves_pointers(const struct emul_insn *i)
{
	return i->native.enc == ENC_X87 && native_row(i)->size != SZ_ENV &&
	       native_row(i)->size != SZ_SAVE;
}

static void set_pointers(struct emul_ctx *c, struct emul_native *n)
{
	const struct emul_insn *i = &c->insn;

	n->x87 = leaves_pointers(i);
	if (!n->x87)
		return;
	n->pointers = (struct fpu_pointers){
		.ip = c->rip,
		.cs = emul_segment(c, SEG_CS)->selector,
		.opcode = (i->opcode & 7) << 8 | i->modrm,
	};
	if (i->opnd[0].kind == OPND_MEM) {
		n->pointers.dp = emul_effective_address(c);
		n->pointers.ds = emul_segment(c, i->mem.seg)->selector;
	}
}

static int run(struct emul_ctx *c, uint8_t opcode, struct copy *o, struct emul_native *n)
{
	unsigned vector;

	n->pending = 0;
	n->operand = o ? o->bytes : NULL;
	n->len = emul_native_encode(c, opcode, n->code);
	vector = c->ops->native(c, n);
	return vector ? raise(c, vector) : EMUL_OK;
}

/* All but #P, inexact. */
#define X87_NO_RESULT (BIT(0) | BIT(1) | BIT(2) | BIT(3) | BIT(4))

/* An x87 store that ends in an exception which is not masked stores nothing: SDM volume 1, 8.5. */
static bool lacks_result(const struct copy *o, const struct emul_native *n)
{
	unsigned at = 0;

	while (at < o->len && !o->bytes[at])
		at++;
	return (n->pending & X87_NO_RESULT) && at == o->len;
}

static int run_and_commit(struct emul_ctx *c, uint8_t opcode, struct copy *o)
{
	struct native_fields f;
	struct emul_native n;
	int err;

	emul_native_fields(c, &f);
	load_registers(c, &f, &n.regs);
	set_pointers(c, &n);
	err = run(c, opcode, o, &n);
	if (err)
		return err;
	store_registers(c, &f, &n.regs);
	if (o && n.x87 && lacks_result(o, &n))
		memset(o->accessed, 0, sizeof(o->accessed));
	return EMUL_OK;
}

/* --- which bytes --------------------------------------------------------------------------------
 */

/* XSAVEOPT and XSAVES may skip what is the same as at an XRSTOR from there, which was elsewhere. */
static uint8_t plain_modrm(const struct emul_insn *i)
{
	const struct native_row *row = native_row(i);

	if (row->unit != UNIT_XSAVE || !(row->flags & NAT_WRITE))
		return i->modrm;
	return (i->modrm & ~0x38) | 4 << 3; /* XSAVE, XSAVEC */
}

/* The store that accesses the same bytes as a masked load does; 0: it reads all. */
static uint8_t store_like(const struct emul_insn *i)
{
	const struct native_row *row = native_row(i);

	switch (row->map << 8 | i->opcode) {
	case 0x110:
	case 0x128:
		return i->opcode + 1;
	case 0x16f:
		return 0x7f;
	case 0x22c: /* VMASKMOVPS */
	case 0x22d:
		return i->native.enc == ENC_VEX ? i->opcode + 2 : 0;
	case 0x262: /* VPEXPANDB */
		return 0x63;
	case 0x288: /* VEXPANDPS */
	case 0x289:
	case 0x28c: /* VPMASKMOVD */
		return i->opcode + 2;
	default:
		return 0;
	}
}

static bool is_masked(const struct emul_ctx *c)
{
	const struct emul_insn *i = &c->insn;
	const struct native_row *row = native_row(i);
	struct native_fields f;

	if (!(row->flags & NAT_WRITE) && !store_like(i))
		return false;
	emul_native_fields(c, &f);
	return (row->flags & NAT_MASKED) || (i->native.enc == ENC_EVEX && (f.p2 & 7));
}

/* The bytes that are not `fill` any more are accessed. */
static void note_changes(struct copy *o, uint8_t fill)
{
	for (unsigned n = 0; n < o->len; n++)
		if (o->bytes[n] != fill)
			o->accessed[n / 8] |= BIT(n % 8);
}

/* XSAVE reads what is in the header of its area, and writes the first of it; XSAVEC does not read.
 */
static bool keeps_header(const struct emul_ctx *c)
{
	return native_row(&c->insn)->size == SZ_XS && c->insn.opcode == 0xae;
}

static int fetch_header(struct emul_ctx *c, struct copy *o)
{
	int err = EMUL_OK;

	if (!keeps_header(c))
		return EMUL_OK;
	for (unsigned n = XSAVE_HEADER; !err && n < XSAVE_EXTENDED; n += 8)
		err = emul_mem_read(c, address(c, n), o->bytes + n, 8, 0);
	return err;
}

/* What is not written, though it differs: registers 8-15 outside 64-bit mode; most of the header.
 */
static void forget_unwritten(const struct emul_ctx *c, struct copy *o)
{
	const struct native_row *row = native_row(&c->insn);
	unsigned kept = XSAVE_HEADER + 8;

	if (keeps_header(c))
		memset(o->accessed + kept / 8, 0, (XSAVE_EXTENDED - kept) / 8);
	if ((row->size == SZ_FX || row->size == SZ_XS) && c->mode != EMUL_LONG64)
		memset(o->accessed + FXSAVE_XMM8 / 8, 0, FXSAVE_XMM8_LEN / 8);
	if (row->size == SZ_XS && c->mode != EMUL_LONG64)
		memset(o->accessed + XSAVE_YMM8 / 8, 0, XSAVE_YMM8_LEN / 8);
}

/*
 * Which bytes does a masked store write? Those that it changes, of an area of ones or else of
 * zeros: it changes nothing else, so it can be executed twice.
 */
static int find_accessed(struct emul_ctx *c, uint8_t opcode, struct copy *o)
{
	static const uint8_t fills[] = {0xff, 0};
	int err = EMUL_OK;

	memset(o->accessed, 0, sizeof(o->accessed));
	for (unsigned n = 0; !err && n < ARRAY_SIZE(fills); n++) {
		memset(o->bytes, fills[n], o->len);
		err = fetch_header(c, o);
		if (!err)
			err = run_and_commit(c, opcode, o);
		note_changes(o, fills[n]);
	}
	forget_unwritten(c, o);
	return err;
}

/* --- memory -------------------------------------------------------------------------------------
 */

/* The next piece that is accessed, at most 8 bytes from *at on; 0: none. */
static unsigned next_piece(const struct copy *o, unsigned *at)
{
	unsigned n = 0;

	while (*at < o->len && !is_accessed(o, *at))
		(*at)++;
	while (n < 8 && *at + n < o->len && is_accessed(o, *at + n))
		n++;
	return n;
}

static int read_operand(struct emul_ctx *c, struct copy *o)
{
	int err = EMUL_OK;

	for (unsigned at = 0, n; !err && (n = next_piece(o, &at)); at += n)
		err = emul_mem_read(c, address(c, at), o->bytes + at, n, 0);
	return err;
}

static int probe_operand(struct emul_ctx *c, const struct copy *o)
{
	int err = EMUL_OK;

	for (unsigned at = 0, n; !err && (n = next_piece(o, &at)); at += n)
		err = emul_mem_probe_write(c, address(c, at), n);
	return err;
}

/* Every byte has been probed: only a guest that changes its page tables meanwhile loses any. */
static int write_operand(struct emul_ctx *c, const struct copy *o)
{
	int err = EMUL_OK;

	for (unsigned at = 0, n; !err && (n = next_piece(o, &at)); at += n)
		err = emul_mem_write(c, address(c, at), o->bytes + at, n);
	return err;
}

/* --- execution ----------------------------------------------------------------------------------
 */

static int store(struct emul_ctx *c, struct copy *o, bool masked)
{
	int err;

	memset(o->bytes, 0, o->len);
	err = masked ? find_accessed(c, c->insn.opcode, o) : EMUL_OK;

	if (!err)
		err = probe_operand(c, o);
	if (!err && !masked)
		err = run_and_commit(c, c->insn.opcode, o);
	return err ? err : write_operand(c, o);
}

static int load(struct emul_ctx *c, struct copy *o, bool masked)
{
	int err = masked ? find_accessed(c, store_like(&c->insn), o) : EMUL_OK;

	if (!err)
		err = read_operand(c, o);
	return err ? err : run_and_commit(c, c->insn.opcode, o);
}

static int find_operand(struct emul_ctx *c, struct copy *o)
{
	unsigned access = native_row(&c->insn)->flags & NAT_WRITE ? EMUL_ACC_WRITE : 0;

	o->len = emul_native_size(c);
	if (o->len > NATIVE_MAX)
		return EMUL_UNHANDLED;
	memset(o->accessed, 0xff, sizeof(o->accessed));
	return emul_linear(c, c->insn.mem.seg, emul_effective_address(c), o->len, access, &c->la);
}

int emul_exec_native(struct emul_ctx *c)
{
	const struct native_row *row = native_row(&c->insn);
	struct copy o;
	int err;

	if (!c->ops->native)
		return EMUL_UNHANDLED;
	err = check_available(c);
	if (err)
		return err;
	if (c->insn.opnd[0].kind != OPND_MEM)
		return run_and_commit(c, c->insn.opcode, NULL);
	err = find_operand(c, &o);
	if (err)
		return err;
	o.bytes = o.area + c->la.v % 64;
	c->insn.modrm = plain_modrm(&c->insn);
	return row->flags & NAT_WRITE ? store(c, &o, is_masked(c)) : load(c, &o, is_masked(c));
}

/* CLFLUSH and its kin: an access like a load of one byte, and no more, as caches are coherent. */
int emul_exec_clflush(struct emul_ctx *c)
{
	gva_t la;
	int err = emul_linear(c, c->insn.mem.seg, emul_effective_address(c), 1, 0, &la);

	return err ? err : c->ops->read(c, la, NULL, 1, EMUL_ACC_PROBE);
}

/* CLZERO: the cache line of rAX (APM volume 3). */
int emul_exec_clzero(struct emul_ctx *c)
{
	static const uint64_t zero;
	uint64_t ea = cut_address(c, c->gpr[GPR_RAX]) & ~63ull;
	gva_t la;
	int err = emul_linear(c, c->insn.mem.seg, ea, 64, EMUL_ACC_WRITE, &la);

	for (unsigned n = 0; !err && n < 64; n += sizeof(zero))
		err = c->ops->write(c, GVA(la.v + n), &zero, sizeof(zero), EMUL_ACC_WRITE);
	return err;
}
