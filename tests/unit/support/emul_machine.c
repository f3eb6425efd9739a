/* SPDX-License-Identifier: BSD-2-Clause */
/* The emulator's machine: its callbacks, and running one instruction. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/support/emul_machine.h"

struct emul_machine m;

static uint8_t *host_address(gva_t gva)
{
	uint64_t top = m.ctx.mode == EMUL_LONG64 ? ~0ull << PAGE_SHIFT : MEM_TOP;

	if (m.window && gva.v >= m.window)
		gva.v -= m.window;
	if (gva.v >= top)
		return &m.mem[MEM_LEN + (gva.v & ~PAGE_MASK)];
	return gva.v < MEM_LEN ? &m.mem[gva.v] : NULL;
}

static int access_memory(struct emul_ctx *c, gva_t gva, unsigned len, unsigned access)
{
	uint64_t page = BIT_ULL((gva.v >> PAGE_SHIFT) & 31);
	uint32_t error = access & EMUL_ACC_WRITE ? PFERR_WRITE : 0;

	assert_in_range((gva.v & ~PAGE_MASK) + len, 1, PAGE_SIZE);
	m.last_access = access;
	m.last_len = len;
	if (!host_address(gva) || (m.missing & page))
		return emul_set_page_fault(c, gva, error);
	if ((access & EMUL_ACC_WRITE) && (m.read_only & page))
		return emul_set_page_fault(c, gva, error | PFERR_PRESENT);
	return EMUL_OK;
}

static int fetch(struct emul_ctx *c, gva_t gva, void *buf, unsigned len)
{
	m.fetches++;
	if (!host_address(gva) || (m.missing & BIT_ULL((gva.v >> PAGE_SHIFT) & 31)))
		return emul_set_page_fault(c, gva, PFERR_FETCH);
	memcpy(buf, host_address(gva), len);
	return EMUL_OK;
}

static int mem_read(struct emul_ctx *c, gva_t gva, void *buf, unsigned len, unsigned access)
{
	int err = access_memory(c, gva, len, access);

	if (access & EMUL_ACC_PROBE) {
		assert_null(buf);
		m.probes++;
		return err;
	}
	m.reads++;
	if (!err)
		memcpy(buf, host_address(gva), len);
	return err;
}

static int mem_write(struct emul_ctx *c, gva_t gva, const void *buf, unsigned len, unsigned access)
{
	int err = access_memory(c, gva, len, access);

	assert_true(access & EMUL_ACC_WRITE);
	m.writes++;
	m.last_write = 0;
	memcpy(&m.last_write, buf, len < 8 ? len : 8);
	if (!err)
		memcpy(host_address(gva), buf, len);
	return err;
}

static int mem_cmpxchg(struct emul_ctx *c, gva_t gva, const void *old, const void *val,
		       unsigned len, unsigned access)
{
	int err = access_memory(c, gva, len, access);

	m.exchanges++;
	if (err)
		return err;
	if (m.other_cpu)
		host_address(gva)[0]++;
	host_address(gva)[0] ^= m.other_cpu_flips;
	if (memcmp(host_address(gva), old, len) != 0)
		return EMUL_AGAIN;
	memcpy(host_address(gva), val, len);
	return EMUL_OK;
}

static int pio_in(struct emul_ctx *c, uint16_t port, unsigned size, uint32_t *val)
{
	m.port_reads++;
	m.port = port;
	m.port_size = size;
	*val = 0xa1b2c3d4;
	return EMUL_OK;
}

static int pio_out(struct emul_ctx *c, uint16_t port, unsigned size, uint32_t val)
{
	m.port_writes++;
	m.port = port;
	m.port_size = size;
	m.port_value = val;
	return EMUL_OK;
}

/* The owner's clock: it has run out after so many iterations. */
static bool is_time_over(struct emul_ctx *c)
{
	return ++m.iterations % 128 == 0;
}

static void get_segment(struct emul_ctx *c, enum seg seg)
{
	m.segments_asked |= BIT(seg);
	c->seg[seg] = m.seg[seg];
}

static const struct emul_ops ops = {
	.fetch = fetch,
	.read = mem_read,
	.write = mem_write,
	.cmpxchg = mem_cmpxchg,
	.pio_in = pio_in,
	.pio_out = pio_out,
	.is_time_over = is_time_over,
	.get_segment = get_segment,
};

void machine_start(enum emul_mode mode)
{
	uint32_t limit = mode >= EMUL_PROT32 ? 0xffffffff : 0xffff;
	uint16_t big = mode >= EMUL_PROT32 ? SEG_ATTR_DB : 0;

	memset(&m, 0, sizeof(m));
	for (unsigned n = 0; n < MEM_LEN; n++)
		m.mem[n] = n ^ n >> 8;
	m.ctx.ops = &ops;
	m.ctx.gpr = m.gpr;
	m.ctx.mode = mode;
	m.ctx.va_bits = 48;
	m.ctx.rip = CODE;
	m.ctx.rflags = RFLAGS_FIXED;
	m.gpr[GPR_RSP] = 0x4000;
	for (unsigned n = 0; n < NR_SEGS; n++)
		m.seg[n] = (struct segment){.limit = limit, .attr = DATA_SEG | big};
	m.seg[SEG_CS].attr = CODE_SEG | (mode == EMUL_LONG64 ? SEG_ATTR_L : big);
}

int machine_run(const char *bytes, unsigned len)
{
	int r;

	m.ctx.segs_known = 0;
	m.ctx.insn.nr_bytes = 0;
	memcpy(host_address(GVA(m.seg[SEG_CS].base + m.ctx.rip)), bytes, len);
	r = emul_run(&m.ctx);
	for (unsigned n = 0; n < NR_SEGS && r == EMUL_OK; n++)
		if (m.ctx.segs_dirty & BIT(n))
			m.seg[n] = m.ctx.seg[n];
	return r;
}

void machine_expect_fault(unsigned vector, const char *bytes, unsigned len, int line)
{
	static struct emul_machine before;
	int r;

	memcpy(host_address(GVA(m.seg[SEG_CS].base + m.ctx.rip)), bytes, len);
	before = m;
	r = machine_run(bytes, len);
	if (r != EMUL_FAULT || m.ctx.fault.vector != vector)
		fail_msg("line %d: result %d, vector %u", line, r, m.ctx.fault.vector);
	assert_memory_equal(m.gpr, before.gpr, sizeof(m.gpr));
	assert_memory_equal(m.mem, before.mem, sizeof(m.mem));
	assert_int_equal(m.ctx.rip, before.ctx.rip);
	assert_int_equal(m.ctx.rflags, before.ctx.rflags);
}

uint64_t machine_mem(unsigned addr, unsigned len)
{
	uint64_t val = 0;

	memcpy(&val, m.mem + addr, len);
	return val;
}

void machine_set_mem(unsigned addr, uint64_t val, unsigned len)
{
	memcpy(m.mem + addr, &val, len);
}

/* --- system instructions ---------------------------------------------------------------------- */

static bool is_amd(struct emul_ctx *c)
{
	return m.amd;
}

static int cr_read(struct emul_ctx *c, unsigned cr, uint64_t *val)
{
	*val = m.cr[cr];
	return EMUL_OK;
}

static int cr_write(struct emul_ctx *c, unsigned cr, uint64_t val)
{
	if (val >> 32 || (cr == 3 && m.bad_cr3 && val == m.bad_cr3))
		return emul_set_fault(c, X86_TRAP_GP, 0);
	m.cr[cr] = val;
	return EMUL_OK;
}

static int dr_read(struct emul_ctx *c, unsigned dr, uint64_t *val)
{
	*val = m.dr[dr];
	return EMUL_OK;
}

static int dr_write(struct emul_ctx *c, unsigned dr, uint64_t val)
{
	m.dr[dr] = val;
	return EMUL_OK;
}

static void table_read(struct emul_ctx *c, enum emul_table table, struct desc_table *t)
{
	*t = m.table[table];
}

static void table_write(struct emul_ctx *c, enum emul_table table, const struct desc_table *t)
{
	m.table[table] = *t;
}

static int fpu(struct emul_ctx *c, uint16_t *word)
{
	switch (c->insn.op) {
	case OP_FNINIT:
		m.fcw = 0x37f;
		m.fsw = 0;
		break;
	case OP_FLDCW:
		m.fcw = *word;
		break;
	case OP_FNSTCW:
		*word = m.fcw;
		break;
	case OP_FNSTSW:
		*word = m.fsw;
		break;
	}
	return EMUL_OK;
}

static int system_insn(struct emul_ctx *c)
{
	m.system_insn = c->insn.op;
	return EMUL_OK;
}

static const struct emul_ops system_ops = {
	.fetch = fetch,
	.read = mem_read,
	.write = mem_write,
	.cmpxchg = mem_cmpxchg,
	.pio_in = pio_in,
	.pio_out = pio_out,
	.is_time_over = is_time_over,
	.get_segment = get_segment,
	.is_amd = is_amd,
	.cr_read = cr_read,
	.cr_write = cr_write,
	.dr_read = dr_read,
	.dr_write = dr_write,
	.table_read = table_read,
	.table_write = table_write,
	.fpu = fpu,
	.system = system_insn,
};

void machine_add_system(void)
{
	m.ctx.ops = &system_ops;
	m.table[EMUL_IDT].limit = 0x3ff;
}
