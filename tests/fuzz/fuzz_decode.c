/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The instruction emulator on anything: mode, registers, segments and code from the input, over
 * a small memory with holes. It must end with a result, stay inside its buffers, keep an
 * instruction within 15 bytes, and change nothing when it faults, but for a switch to another task.
 */
#include <stdlib.h>
#include <string.h>

#include "arch/x86/regs.h"
#include "lib/bits.h"
#include "vmm/emulate/emulate.h"

#define MEM_LEN 0x8000 /* repeats all over the address space; every eighth page is missing */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint8_t mem[MEM_LEN];
static uint64_t gpr[NR_GPRS];

/* The head of the input; what follows is code. */
struct input {
	uint8_t mode, cpl, known_bytes, seg_attr[6];
	uint32_t seg_limit[6];
	uint64_t rip, rflags, gpr[NR_GPRS];
} __packed;

static void check(bool ok)
{
	if (!ok)
		abort();
}

static int access_memory(struct emul_ctx *c, gva_t gva, unsigned len)
{
	check(len >= 1 && len <= 16);
	check((gva.v & ~PAGE_MASK) + len <= PAGE_SIZE);
	if (((gva.v >> PAGE_SHIFT) & 7) == 5)
		return emul_set_page_fault(c, gva, 0);
	return EMUL_OK;
}

static uint8_t *host_address(gva_t gva)
{
	return &mem[gva.v % MEM_LEN];
}

static int fetch(struct emul_ctx *c, gva_t gva, void *buf, unsigned len)
{
	int err = access_memory(c, gva, len);

	if (!err)
		memcpy(buf, host_address(gva), len);
	return err;
}

static int mem_read(struct emul_ctx *c, gva_t gva, void *buf, unsigned len, unsigned access)
{
	int err = access_memory(c, gva, len);

	if (!err && !(access & EMUL_ACC_PROBE))
		memcpy(buf, host_address(gva), len);
	return err;
}

static int mem_write(struct emul_ctx *c, gva_t gva, const void *buf, unsigned len, unsigned access)
{
	int err = access_memory(c, gva, len);

	if (!err)
		memcpy(host_address(gva), buf, len);
	return err;
}

static int mem_cmpxchg(struct emul_ctx *c, gva_t gva, const void *old, const void *val,
		       unsigned len, unsigned access)
{
	int err = access_memory(c, gva, len);

	if (err)
		return err;
	if (memcmp(host_address(gva), old, len) != 0)
		return EMUL_AGAIN;
	memcpy(host_address(gva), val, len);
	return EMUL_OK;
}

static int pio_in(struct emul_ctx *c, uint16_t port, unsigned size, uint32_t *val)
{
	check(size == 1 || size == 2 || size == 4);
	*val = port;
	return EMUL_OK;
}

static int pio_out(struct emul_ctx *c, uint16_t port, unsigned size, uint32_t val)
{
	check(size == 1 || size == 2 || size == 4);
	return EMUL_OK;
}

static void get_segment(struct emul_ctx *c, enum seg seg)
{
	check(seg < NR_SEGS);
	c->seg[seg] = (struct segment){.base = 0x100 * seg, .limit = 0xffff, .attr = 0x93};
}

static int cr_read(struct emul_ctx *c, unsigned cr, uint64_t *val)
{
	check(cr <= 4 || cr == 8);
	*val = gpr[cr]; /* anything */
	return EMUL_OK;
}

static int cr_write(struct emul_ctx *c, unsigned cr, uint64_t val)
{
	check(cr <= 4 || cr == 8);
	return val >> 63 ? emul_set_fault(c, X86_TRAP_GP, 0) : EMUL_OK;
}

static int dr_read(struct emul_ctx *c, unsigned dr, uint64_t *val)
{
	check(dr <= 7 && dr != 4 && dr != 5);
	*val = gpr[dr];
	return EMUL_OK;
}

static int dr_write(struct emul_ctx *c, unsigned dr, uint64_t val)
{
	check(dr <= 7 && dr != 4 && dr != 5);
	return EMUL_OK;
}

/* Descriptors are code, and so are vectors. */
static void table_read(struct emul_ctx *c, enum emul_table table, struct desc_table *t)
{
	*t = (struct desc_table){gpr[GPR_R14], gpr[GPR_R15]};
}

static void table_write(struct emul_ctx *c, enum emul_table table, const struct desc_table *t) {}

static bool is_amd(struct emul_ctx *c)
{
	return gpr[GPR_R15] & 1;
}

static int fpu(struct emul_ctx *c, uint16_t *word)
{
	*word ^= 0x37f;
	return EMUL_OK;
}

/* Anything may come of it; the operand is there for as many bytes as an instruction accesses. */
static unsigned native(struct emul_ctx *c, struct emul_native *n)
{
	static const uint8_t vectors[] = {0,           0,           0,          X86_TRAP_UD,
					  X86_TRAP_GP, X86_TRAP_MF, X86_TRAP_XM};

	check(n->len >= 2 && n->len <= EMUL_MAX_INSN_LEN);
	if (n->operand)
		memset(n->operand, n->code[1], 4);
	n->regs.rbx ^= n->regs.rax;
	n->pending = n->code[0];
	return vectors[n->code[n->len - 1] % sizeof(vectors)];
}

static int system_insn(struct emul_ctx *c)
{
	return c->insn.op == OP_HLT ? EMUL_OK : emul_set_fault(c, X86_TRAP_UD, 0);
}

/* A count of 2^64 is to come to an end. */
static bool is_time_over(struct emul_ctx *c)
{
	static unsigned iterations;

	return ++iterations % 128 == 0;
}

static const struct emul_ops ops = {
	.is_time_over = is_time_over,
	.fetch = fetch,
	.read = mem_read,
	.write = mem_write,
	.cmpxchg = mem_cmpxchg,
	.pio_in = pio_in,
	.pio_out = pio_out,
	.get_segment = get_segment,
	.is_amd = is_amd,
	.cr_read = cr_read,
	.cr_write = cr_write,
	.dr_read = dr_read,
	.dr_write = dr_write,
	.table_read = table_read,
	.table_write = table_write,
	.fpu = fpu,
	.native = native,
	.system = system_insn,
};

static void set_up(struct emul_ctx *c, const struct input *in)
{
	memcpy(gpr, in->gpr, sizeof(gpr));
	*c = (struct emul_ctx){
		.ops = &ops,
		.gpr = gpr,
		.rip = in->rip,
		.rflags = in->rflags,
		.mode = in->mode % 5,
		.cpl = in->cpl & 3,
		.va_bits = in->mode & 0x80 ? 57 : 48,
		.lma = in->mode % 5 == EMUL_LONG64 || (in->mode & 0x40),
	};
	for (unsigned n = 0; n < 6; n++) {
		c->seg[n] = (struct segment){
			.base = in->gpr[n] & 0xffffffff,
			.limit = in->seg_limit[n],
			.attr = in->seg_attr[n] | (in->cpl & 4 ? SEG_ATTR_DB : 0),
		};
	}
	c->segs_known = in->cpl & 8 ? 0x3f : 0;
	if (c->mode != EMUL_LONG64)
		c->rip = (uint32_t)c->rip;
}

/* The code, over and over. */
static void fill_memory(const uint8_t *data, size_t size)
{
	size_t done = size < MEM_LEN ? size : MEM_LEN;

	memset(mem, 0, MEM_LEN);
	memcpy(mem, data, done);
	for (; done && done < MEM_LEN; done *= 2)
		memcpy(mem + done, mem, done < MEM_LEN - done ? done : MEM_LEN - done);
}

/* Run up to 16 instructions from where the input put them. */
/* Through whatever gate is there; one that fails changes nothing. */
static int deliver_fault(struct emul_ctx *c)
{
	struct emul_event ev = {.vector = c->fault.vector,
				.has_error = c->fault.has_error,
				.error = c->fault.error};
	uint64_t before[NR_GPRS], rip = c->rip, rflags = c->rflags;
	uint8_t mode = c->mode, cpl = c->cpl;
	int r;

	memcpy(before, gpr, sizeof(gpr));
	r = emul_deliver(c, &ev);
	if (r != EMUL_OK && !c->segs_dirty)
		check(!memcmp(before, gpr, sizeof(gpr)) && c->rip == rip && c->mode == mode &&
		      c->cpl == cpl && c->rflags == rflags);
	return r;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in;
	struct emul_ctx c;

	if (size < sizeof(in))
		return 0;
	memcpy(&in, data, sizeof(in));
	data += sizeof(in);
	size -= sizeof(in);
	fill_memory(data, size);
	set_up(&c, &in);
	c.insn.nr_bytes = in.known_bytes % (EMUL_MAX_INSN_LEN + 1);
	memcpy(c.insn.bytes, data, size < c.insn.nr_bytes ? size : c.insn.nr_bytes);
	for (unsigned n = 0; n < 16; n++) {
		uint64_t before[NR_GPRS], rip = c.rip;
		int r;

		memcpy(before, gpr, sizeof(gpr));
		c.segs_dirty = 0;
		r = emul_run(&c);
		check(c.insn.len <= EMUL_MAX_INSN_LEN && c.insn.nr_bytes <= EMUL_MAX_INSN_LEN);
		/* A fault of a new task comes with all of that task. */
		if (r == EMUL_FAULT && c.segs_dirty)
			check(c.segs_dirty == BIT(NR_SEGS) - 1);
		else if (r != EMUL_OK)
			check(c.rip == rip);
		if (r == EMUL_FAULT && !c.segs_dirty &&
		    !(c.insn.prefixes & (EMUL_PFX_REP | EMUL_PFX_REPNE)))
			check(memcmp(before, gpr, sizeof(gpr)) == 0);
		if (r == EMUL_FAULT && !c.segs_dirty)
			r = deliver_fault(&c);
		if (r != EMUL_OK && r != EMUL_AGAIN)
			break;
		check(!(c.segs_dirty & ~c.segs_known));
		c.insn.nr_bytes = 0;
	}
	return 0;
}
