/* SPDX-License-Identifier: BSD-2-Clause */
/* The emulator's side of a comparison with the CPU. */
#include <setjmp.h>
#include <stdarg.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>

#include <cmocka.h>

#include "tests/unit/support/emul_shadow.h"
#include "vmm/emulate/internal.h"

uint8_t shadow_memory[SHADOW_LEN];

/* Where the emulator finds the descriptor tables, which a program cannot read. */
#define FAKE_GDT 0xfffd0000ull
#define FAKE_LDT 0xfffe0000ull

bool shadow_in_range(uint64_t addr, unsigned len, uint64_t base, uint64_t range)
{
	return addr >= base && addr - base < range && len <= range - (addr - base);
}

static int check_access(struct emul_ctx *c, gva_t gva, unsigned len, unsigned access)
{
	struct emulation *e = container_of(c, struct emulation, ctx);
	uint32_t error = PFERR_USER | (access & EMUL_ACC_WRITE ? PFERR_WRITE : 0);

	if (shadow_in_range(gva.v, len, NATIVE_DATA, NATIVE_DATA_LEN))
		return EMUL_OK;
	if (shadow_in_range(gva.v, len, NATIVE_RO, 0x1000)) {
		if (access & EMUL_ACC_WRITE)
			return emul_set_page_fault(c, gva, error | PFERR_PRESENT);
		return EMUL_OK;
	}
	if (!shadow_in_range(gva.v, len, NATIVE_NONE, NATIVE_NONE_LEN) &&
	    !shadow_in_range(gva.v, len, NATIVE_DATA - NATIVE_NONE_LEN, NATIVE_NONE_LEN))
		e->unsafe = true;
	return emul_set_page_fault(c, gva, error);
}

static int read_descriptor(struct emul_ctx *c, uint64_t at, void *buf)
{
	bool in_ldt = at >= FAKE_LDT;
	unsigned index = (at - (in_ldt ? FAKE_LDT : FAKE_GDT)) / 8;
	uint64_t desc;

	if (!in_ldt && index >= NATIVE_NR_GDT) { /* a TSS and so on: not known here */
		container_of(c, struct emulation, ctx)->unsafe = true;
		return EMUL_UNHANDLED;
	}
	desc = native_descriptor(index, in_ldt);
	memcpy(buf, &desc, 8);
	return EMUL_OK;
}

static int mem_read(struct emul_ctx *c, gva_t gva, void *buf, unsigned len, unsigned access)
{
	int err;

	if (access & EMUL_ACC_SYSTEM)
		return read_descriptor(c, gva.v, buf);
	err = check_access(c, gva, len, access);

	if (!err && !(access & EMUL_ACC_PROBE))
		memcpy(buf, shadow_memory + (gva.v - NATIVE_DATA), len);
	return err;
}

static int mem_write(struct emul_ctx *c, gva_t gva, const void *buf, unsigned len, unsigned access)
{
	struct emulation *e = container_of(c, struct emulation, ctx);
	struct mem_write *w = &e->write[e->nr_writes];
	int err = check_access(c, gva, len, access);

	if (err)
		return err;
	assert_true(e->nr_writes++ < ARRAY_SIZE(e->write));
	w->offset = gva.v - NATIVE_DATA;
	w->len = len;
	memcpy(w->old, shadow_memory + w->offset, len);
	memcpy(shadow_memory + w->offset, buf, len);
	return EMUL_OK;
}

static int mem_cmpxchg(struct emul_ctx *c, gva_t gva, const void *old, const void *val,
		       unsigned len, unsigned access)
{
	int err = check_access(c, gva, len, access);

	if (err)
		return err;
	assert_memory_equal(shadow_memory + (gva.v - NATIVE_DATA), old, len);
	return mem_write(c, gva, val, len, EMUL_ACC_WRITE);
}

/* What is let through has no effect that could be compared. */
static int system_insn(struct emul_ctx *c)
{
	return EMUL_UNHANDLED;
}

static bool is_amd(struct emul_ctx *c)
{
	return native_is_amd();
}

static void table_read(struct emul_ctx *c, enum emul_table table, struct desc_table *t)
{
	*t = (struct desc_table){FAKE_GDT, 16 * 8 - 1};
}

/* So that the rest of a repeated instruction has to wait, again and again. */
static bool is_time_over(struct emul_ctx *c)
{
	static unsigned iterations;

	return ++iterations % 128 == 0;
}

/* What a system has switched on that lets programs use all of their registers. */
static int cr_read(struct emul_ctx *c, unsigned cr, uint64_t *val)
{
	*val = cr == 0 ? CR0_PE | CR0_MP | CR0_NE : CR4_OSFXSR | CR4_OSXMMEXCPT | CR4_OSXSAVE;
	return EMUL_OK;
}

unsigned insn_slot_call(struct slot_regs *regs, void *operand);

/* Nothing of C between the two: it uses vector registers. A signal goes on at insn_slot_fault. */
static unsigned call_with_fpu(struct slot_regs *regs, void *operand, void *fpu)
{
	static const uint32_t mxcsr = 0x1f80;
	unsigned vector;

	__asm__ volatile("mov %[mask], %%eax; xor %%edx, %%edx; xrstor64 (%[fpu])\n\t"
			 "call insn_slot_call\n\t"
			 "mov %%eax, %%ecx; mov %[mask], %%eax; xor %%edx, %%edx\n\t"
			 "xsave64 (%[fpu]); fninit; ldmxcsr %[mxcsr]"
			 : "=&c"(vector), "+D"(regs), "+S"(operand)
			 : [fpu] "b"(fpu), [mask] "i"(NATIVE_FPU_MASK), [mxcsr] "m"(mxcsr)
			 : "rax", "rdx", "r8", "memory", "cc");
	return vector;
}

/* The slot of the hypervisor's (arch/x86/insn_slot.c), in a page that is made writable. */
static unsigned native(struct emul_ctx *c, struct emul_native *n)
{
	struct emulation *e = container_of(c, struct emulation, ctx);
	struct slot_regs before = n->regs;
	unsigned vector;

	memset(insn_slot_page, 0x90, INSN_SLOT_LEN);
	memcpy(insn_slot_page, n->code, n->len);
	n->regs.flags = (n->regs.flags & 0x8d5) | RFLAGS_FIXED;
	vector = call_with_fpu(&n->regs, n->operand, e->fpu);
	if (vector)
		n->regs = before;
	n->pending = e->fpu[2] & ~e->fpu[0] & 0x3f;
	return vector;
}

/* As trap.c does it for the hypervisor. */
static void on_signal(int sig, siginfo_t *info, void *context)
{
	extern const uint8_t insn_slot_fault[];
	greg_t *g = ((ucontext_t *)context)->uc_mcontext.gregs;

	if (g[REG_RIP] != (greg_t)insn_slot_page) {
		native_signal(sig, info, context);
		return;
	}
	g[REG_RIP] = (greg_t)insn_slot_fault;
	g[REG_RAX] = g[REG_TRAPNO];
}

void shadow_init(void)
{
	static const int signals[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE};
	struct sigaction sa = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | SA_ONSTACK};

	assert_int_equal(mprotect(insn_slot_page, PAGE_SIZE, PROT_READ | PROT_WRITE | PROT_EXEC),
			 0);
	for (unsigned n = 0; n < ARRAY_SIZE(signals); n++)
		sigaction(signals[n], &sa, NULL);
}

static const struct emul_ops ops = {
	.cr_read = cr_read,
	.native = native,
	.is_time_over = is_time_over,
	.read = mem_read,
	.write = mem_write,
	.cmpxchg = mem_cmpxchg,
	.is_amd = is_amd,
	.table_read = table_read,
	.system = system_insn,
};

void shadow_undo_writes(struct emulation *e)
{
	while (e->nr_writes) {
		const struct mem_write *w = &e->write[--e->nr_writes];

		memcpy(shadow_memory + w->offset, w->old, w->len);
	}
}

void shadow_set_segments(struct emulation *e, const struct native_env *env)
{
	struct segment *seg = e->ctx.seg;

	seg[SEG_CS] = native_segment(env->cs);
	seg[SEG_DS] = native_segment(env->ds);
	seg[SEG_ES] = native_segment(env->es);
	seg[SEG_SS] = native_segment(env->ss);
	seg[SEG_FS] = native_segment(0);
	seg[SEG_GS] = native_segment(env->cs == 0x33 ? 0 : env->gs);
	seg[SEG_LDTR] =
		(struct segment){.base = FAKE_LDT, .limit = NR_LDT * 8 - 1, .attr = SEG_ATTR_P | 2};
	seg[SEG_TR] = (struct segment){.attr = SEG_ATTR_P | 0xb}; /* with no port */
	if (env->cs == 0x33) {
		seg[SEG_FS].base = native_fs_base();
		seg[SEG_GS].base = NATIVE_GS_BASE;
	}
}

uint64_t shadow_insn_rip(const struct emul_config *cfg)
{
	return cfg->mode == EMUL_PROT16 ? NATIVE_INSN : NATIVE_CODE + NATIVE_INSN;
}

int shadow_decode(struct emulation *e, const struct emul_config *cfg, const uint8_t *bytes)
{
	struct emul_ctx *c = &e->ctx;

	c->ops = &ops;
	c->gpr = e->regs.gpr;
	c->mode = cfg->mode;
	c->cpl = 3;
	c->va_bits = 48;
	c->lma = true;
	c->segs_known = 0xff;
	c->rip = shadow_insn_rip(cfg);
	memcpy(c->insn.bytes, bytes, EMUL_MAX_INSN_LEN);
	c->insn.nr_bytes = EMUL_MAX_INSN_LEN;
	return emul_decode(c);
}

void shadow_execute(struct emulation *e, const struct native_regs *before)
{
	e->regs = *before;
	e->ctx.rflags = before->rflags;
	e->nr_writes = 0;
	e->unsafe = false;
	do {
		e->result = emul_execute(&e->ctx);
	} while (e->result == EMUL_AGAIN);
}

void shadow_refill(struct emul_random *r)
{
	for (unsigned n = 0; n < SHADOW_LEN; n += 8) {
		uint64_t v = emul_random_value(r);

		memcpy(shadow_memory + n, &v, 8);
	}
	memset(shadow_memory + NATIVE_DATA_LEN, 0, 0x1000); /* what the read-only page holds */
	memcpy((void *)NATIVE_DATA, shadow_memory, NATIVE_DATA_LEN);
}
