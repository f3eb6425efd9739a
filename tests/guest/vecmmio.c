/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Vector, x87, cache and newer integer instructions on device memory: each runs on RAM and on a
 * device's memory (the RAM that pc-testdev puts at 0xff000000) from the same start, at aligned
 * and unaligned addresses, and must leave the same memory, registers and flags, or raise the same
 * exception. Where no memory is, it must read ones. What the CPU lacks is an #UD on RAM, and must
 * be one on the device. run: testdev=1
 */
#include <string.h>

#include "flaws.h"
#include "ktap.h"
#include "paging.h"
#include "user.h"

#define TESTDEV_RAM 0xff000000ul
#define HOLE        0xd0000000ul /* no memory, no device */
#define AREA_LEN    4096u        /* what XSAVE of AVX-512 needs, and more */

#ifdef __x86_64__
#define DI "%%rdi"
#else
#define DI "%%edi"
#endif
#define M "(" DI ")" /* the memory operand of all instructions here */

struct state {
	uint8_t v[4][32]; /* xmm0-3 or ymm0-3 */
	unsigned long a, b, c, d, flags;
	uint8_t fp[108]; /* FNSAVE, with its pointers cleared */
} __attribute__((aligned(64)));

struct op {
	const char *name;
	void (*run)(volatile void *mem, struct state *s);
	unsigned long undefined; /* flags the manual leaves undefined */
};

/* X(id, undefined flags, instruction): one function and one table entry for each. */
#define OPS(X)                                                                                     \
	X(movaps_load, 0, "movaps " M ", %%xmm0")                                                  \
	X(movaps_store, 0, "movaps %%xmm1, " M)                                                    \
	X(movups_load, 0, "movups " M ", %%xmm0")                                                  \
	X(movups_store, 0, "movups %%xmm1, " M)                                                    \
	X(movapd_load, 0, "movapd " M ", %%xmm2")                                                  \
	X(movupd_store, 0, "movupd %%xmm2, " M)                                                    \
	X(movdqa_load, 0, "movdqa " M ", %%xmm3")                                                  \
	X(movdqa_store, 0, "movdqa %%xmm0, " M)                                                    \
	X(movdqu_load, 0, "movdqu " M ", %%xmm0")                                                  \
	X(movdqu_store, 0, "movdqu %%xmm0, " M)                                                    \
	X(lddqu, 0, "lddqu " M ", %%xmm0")                                                         \
	X(movd_load, 0, "movd " M ", %%xmm0")                                                      \
	X(movd_store, 0, "movd %%xmm0, " M)                                                        \
	X(movq_load, 0, "movq " M ", %%xmm0")                                                      \
	X(movq_store, 0, "movq %%xmm0, " M)                                                        \
	X(movss_load, 0, "movss " M ", %%xmm0")                                                    \
	X(movss_store, 0, "movss %%xmm0, " M)                                                      \
	X(movsd_load, 0, "movsd " M ", %%xmm0")                                                    \
	X(movsd_store, 0, "movsd %%xmm0, " M)                                                      \
	X(movlps_load, 0, "movlps " M ", %%xmm0")                                                  \
	X(movlps_store, 0, "movlps %%xmm0, " M)                                                    \
	X(movhps_load, 0, "movhps " M ", %%xmm0")                                                  \
	X(movhpd_store, 0, "movhpd %%xmm0, " M)                                                    \
	X(movntps, 0, "movntps %%xmm0, " M)                                                        \
	X(movntdq, 0, "movntdq %%xmm0, " M)                                                        \
	X(movntdqa, 0, "movntdqa " M ", %%xmm0")                                                   \
	X(movntq, 0, "movq2dq %%mm1, %%xmm1; movntq %%mm1, " M)                                    \
	X(movnti, 0, "movnti %%eax, " M)                                                           \
	X(maskmovdqu, 0, "maskmovdqu %%xmm1, %%xmm0")                                              \
	X(pinsrw, 0, "pinsrw $5, " M ", %%xmm0")                                                   \
	X(pinsrd, 0, "pinsrd $2, " M ", %%xmm0")                                                   \
	X(pextrb, 0, "pextrb $9, %%xmm0, " M)                                                      \
	X(extractps, 0, "extractps $3, %%xmm0, " M)                                                \
	X(paddd, 0, "paddd " M ", %%xmm0")                                                         \
	X(pshufb, 0, "pshufb " M ", %%xmm0")                                                       \
	X(pmovzxbd, 0, "pmovzxbd " M ", %%xmm0")                                                   \
	X(punpckldq, 0, "punpckldq " M ", %%xmm0")                                                 \
	X(addps, 0, "addps " M ", %%xmm0")                                                         \
	X(mulsd, 0, "mulsd " M ", %%xmm0")                                                         \
	X(cmpsd_, 0, "cmpltsd " M ", %%xmm0")                                                      \
	X(cvtsi2sd, 0, "cvtsi2sdl " M ", %%xmm0")                                                  \
	X(cvttsd2si, 0, "cvttsd2si " M ", %%eax")                                                  \
	X(cvtpi2ps, 0, "cvtpi2ps " M ", %%xmm0")                                                   \
	X(ucomiss, 0, "ucomiss " M ", %%xmm0")                                                     \
	X(ptest, 0, "ptest " M ", %%xmm0")                                                         \
	X(pcmpistri, 0, "pcmpistri $12, " M ", %%xmm0")                                            \
	X(pcmpestri, 0, "pcmpestri $8, " M ", %%xmm0")                                             \
	X(aesenc, 0, "aesenc " M ", %%xmm0")                                                       \
	X(pclmulqdq, 0, "pclmulqdq $1, " M ", %%xmm0")                                             \
	X(sha256msg1, 0, "sha256msg1 " M ", %%xmm0")                                               \
	X(stmxcsr, 0, "stmxcsr " M)                                                                \
	X(ldmxcsr, 0, "movl $0x1fc0, " M "; ldmxcsr " M)                                           \
	X(mmx_load, 0, "movq " M ", %%mm0")                                                        \
	X(mmx_store, 0, "movq %%mm1, " M)                                                          \
	X(mmx_add, 0, "paddw " M ", %%mm1")                                                        \
	X(maskmovq, 0, "movq2dq %%mm0, %%xmm2; maskmovq %%mm0, %%mm1")                             \
	X(vmovups_load, 0, "vmovups " M ", %%xmm0")                                                \
	X(vmovups_store, 0, "vmovups %%xmm1, " M)                                                  \
	X(vmovdqu_load, 0, "vmovdqu " M ", %%ymm0")                                                \
	X(vmovdqu_store, 0, "vmovdqu %%ymm1, " M)                                                  \
	X(vmovaps_load, 0, "vmovaps " M ", %%ymm3")                                                \
	X(vmovaps_store, 0, "vmovaps %%ymm3, " M)                                                  \
	X(vmovq_store, 0, "vmovq %%xmm1, " M)                                                      \
	X(vbroadcastss, 0, "vbroadcastss " M ", %%ymm0")                                           \
	X(vbroadcastf128, 0, "vbroadcastf128 " M ", %%ymm0")                                       \
	X(vmaskmovps_load, 0, "vmaskmovps " M ", %%ymm1, %%ymm0")                                  \
	X(vmaskmovpd_store, 0, "vmaskmovpd %%ymm0, %%ymm1, " M)                                    \
	X(vpmaskmovd_load, 0, "vpmaskmovd " M ", %%xmm1, %%xmm0")                                  \
	X(vpmaskmovq_store, 0, "vpmaskmovq %%ymm0, %%ymm1, " M)                                    \
	X(vaddpd, 0, "vaddpd " M ", %%ymm1, %%ymm0")                                               \
	X(vpaddb, 0, "vpaddb " M ", %%ymm1, %%ymm0")                                               \
	X(vpblendvb, 0, "vpblendvb %%ymm2, " M ", %%ymm1, %%ymm0")                                 \
	X(vpermq, 0, "vpermq $0x1b, " M ", %%ymm0")                                                \
	X(vextractf128, 0, "vextractf128 $1, %%ymm1, " M)                                          \
	X(vcvtph2ps, 0, "vcvtph2ps " M ", %%ymm0")                                                 \
	X(vcvtps2ph, 0, "vcvtps2ph $0, %%ymm1, " M)                                                \
	X(vfmadd, 0, "vfmadd213sd " M ", %%xmm1, %%xmm0")                                          \
	X(vldmxcsr, 0, "movl $0x3fa0, " M "; vldmxcsr " M)                                         \
	X(fadds, 0, "fldpi; fadds " M)                                                             \
	X(fmull, 0, "fldpi; fmull " M)                                                             \
	X(flds, 0, "flds " M)                                                                      \
	X(fldl, 0, "fldl " M)                                                                      \
	X(fldt, 0, "fldt " M)                                                                      \
	X(fsts, 0, "fldpi; fsts " M)                                                               \
	X(fstpl, 0, "fldpi; fstpl " M)                                                             \
	X(fstpt, 0, "fldpi; fstpt " M)                                                             \
	X(fstps_unmasked, 0,                                                                       \
	  "fnstcw " M "; andb $0xf6, " M "; fldcw " M "; fldt 16" M "; fstps " M)                  \
	X(filds, 0, "filds " M)                                                                    \
	X(fildl, 0, "fildl " M)                                                                    \
	X(fildll, 0, "fildll " M)                                                                  \
	X(fists, 0, "fldpi; fists " M)                                                             \
	X(fistpl, 0, "fldpi; fistpl " M)                                                           \
	X(fistpll, 0, "fldpi; fistpll " M)                                                         \
	X(fisttpl, 0, "fldpi; fisttpl " M)                                                         \
	X(fiaddl, 0, "fldpi; fiaddl " M)                                                           \
	X(fcoms, 0, "fldpi; fcoms " M)                                                             \
	X(fbld, 0, "movb $0x12, " M "; fbld " M)                                                   \
	X(fbstp, 0, "fldpi; fbstp " M)                                                             \
	X(fnstcw, 0, "fnstcw " M)                                                                  \
	X(fldcw, 0, "movw $0x27f, " M "; fldcw " M)                                                \
	X(fnstsw, 0, "fldpi; fnstsw " M)                                                           \
	X(fldenv, 0,                                                                               \
	  "fninit; movl $0x37f, " M "; movl $0x100, 4" M "; movl $0xffff, 8" M "; fldenv " M)      \
	X(clflush, 0, "clflush " M)                                                                \
	X(clflushopt, 0, "clflushopt " M)                                                          \
	X(clwb, 0, "clwb " M)                                                                      \
	X(prefetcht0, 0, "prefetcht0 " M)                                                          \
	X(prefetchw, 0, "prefetchw " M)                                                            \
	X(cmpxchg8b, 0, "movl " M ", %%eax; movl 4" M ", %%edx; lock cmpxchg8b " M)                \
	X(crc32b, 0, "crc32b " M ", %%eax")                                                        \
	X(crc32w, 0, "crc32w " M ", %%eax")                                                        \
	X(crc32l, 0, "crc32l " M ", %%eax")                                                        \
	X(popcnt, 0, "popcntl " M ", %%eax")                                                       \
	X(movbe_load, 0, "movbel " M ", %%eax")                                                    \
	X(movbe_store, 0, "movbew %%ax, " M)                                                       \
	X(andn, RFLAGS_AF | RFLAGS_PF, "andnl " M ", %%ebx, %%eax")                                \
	X(bextr, RFLAGS_AF | RFLAGS_PF | RFLAGS_SF, "bextrl %%ecx, " M ", %%eax")                  \
	X(blsr, RFLAGS_AF | RFLAGS_PF, "blsrl " M ", %%edx")                                       \
	X(blsi, RFLAGS_AF | RFLAGS_PF, "blsil " M ", %%ecx")                                       \
	X(bzhi, RFLAGS_AF | RFLAGS_PF, "bzhil %%ecx, " M ", %%eax")                                \
	X(mulx, 0, "mulxl " M ", %%ecx, %%eax")                                                    \
	X(mulx_same, 0, "mulxl " M ", %%edx, %%edx")                                               \
	X(pdep, 0, "pdepl " M ", %%ebx, %%eax")                                                    \
	X(pext, 0, "pextl " M ", %%ebx, %%ebx")                                                    \
	X(rorx, 0, "rorxl $7, " M ", %%eax")                                                       \
	X(shlx, 0, "shlxl %%ecx, " M ", %%eax")                                                    \
	X(sarx, 0, "sarxl %%ecx, " M ", %%edx")                                                    \
	X(adcx, 0, "adcxl " M ", %%eax")                                                           \
	X(adox, 0, "adoxl " M ", %%eax")                                                           \
	X(xsave, 0, "mov $7, %%eax; xor %%edx, %%edx; xsave " M)

/* XSAVEC only here: Bochs finds components in use by the registers that its mode has. */
#define OPS64(X)                                                                                   \
	X(xsavec, 0, "mov $7, %%eax; xor %%edx, %%edx; xsavec " M)                                 \
	X(movq_store64, 0, "movq %%xmm0, " M)                                                      \
	X(cvtsi2sdq, 0, "cvtsi2sdq " M ", %%xmm0")                                                 \
	X(cvttss2siq, 0, "cvttss2si " M ", %%rdx")                                                 \
	X(pinsrq, 0, "pinsrq $1, " M ", %%xmm0")                                                   \
	X(pextrq, 0, "pextrq $1, %%xmm0, " M)                                                      \
	X(movnti64, 0, "movnti %%rax, " M)                                                         \
	X(crc32q, 0, "crc32q " M ", %%rax")                                                        \
	X(andn64, RFLAGS_AF | RFLAGS_PF, "andnq " M ", %%rbx, %%rax")                              \
	X(mulx64, 0, "mulxq " M ", %%rcx, %%rax")                                                  \
	X(shrx64, 0, "shrxq %%rcx, " M ", %%rax")                                                  \
	X(adcx64, 0, "adcxq " M ", %%rax")                                                         \
	X(cmpxchg16b, 0, "movq " M ", %%rax; movq 8" M ", %%rdx; lock cmpxchg16b " M)

#define DEFINE(id, undefined, insn)                                                                \
	static void do_##id(volatile void *mem, struct state *s)                                   \
	{                                                                                          \
		unsigned long flags = s->flags;                                                    \
                                                                                                   \
		__asm__ volatile("push %[f]; popf; " insn "; pushf; pop %[f]"                      \
				 : "+a"(s->a), "+b"(s->b), "+c"(s->c), "+d"(s->d), [f] "+S"(flags) \
				 : "D"(mem)                                                        \
				 : "memory", "cc");                                                \
		s->flags = flags & RFLAGS_ARITH;                                                   \
	}
#define ENTRY(id, undefined, insn) {#id, do_##id, undefined},

OPS(DEFINE)
#ifdef __x86_64__
OPS64(DEFINE)
#endif

static const struct op ops[] = {OPS(ENTRY)
#ifdef __x86_64__
					OPS64(ENTRY)
#endif
};

#define NR_OPS (sizeof(ops) / sizeof(ops[0]))

/* --- the CPU's state ------------------------------------------------------------------------- */

static bool use_avx;
static uint8_t *area; /* RAM */
static volatile uint8_t *const device = (uint8_t *)TESTDEV_RAM;

static bool has_testdev_ram(void)
{
	volatile uint64_t *p = (uint64_t *)TESTDEV_RAM;

	p[0] = 0x1122334455667788ull;
	p[1] = 0;
	return p[0] == 0x1122334455667788ull;
}

static void switch_on(void)
{
	unsigned long cr4 = read_cr4() | CR4_OSFXSR | CR4_OSXMMEXCPT;

	write_cr0((read_cr0() & ~(CR0_EM | CR0_TS)) | CR0_MP | CR0_NE);
	use_avx = HAS_XSAVE && HAS_AVX;
	write_cr4(use_avx ? cr4 | CR4_OSXSAVE : cr4);
	if (use_avx)
		xsetbv(0, 7);
	if (!area)
		area = pages_alloc(2 * AREA_LEN, AREA_LEN);
}

static void load_state(const struct state *s)
{
	static const uint32_t mxcsr = 0x1f80;
	static const uint64_t mm[2] = {0x8091a2b3c4d5e6f7, 0x0123456789abcdef};

	__asm__ volatile("ldmxcsr %0; fninit" : : "m"(mxcsr));
	if (use_avx)
		__asm__ volatile("vmovups (%0), %%ymm0; vmovups 32(%0), %%ymm1;"
				 "vmovups 64(%0), %%ymm2; vmovups 96(%0), %%ymm3"
				 :
				 : "r"(s));
	else
		__asm__ volatile("movups (%0), %%xmm0; movups 32(%0), %%xmm1;"
				 "movups 64(%0), %%xmm2; movups 96(%0), %%xmm3"
				 :
				 : "r"(s));
	__asm__ volatile("movq %0, %%mm0; movq %1, %%mm1; emms" : : "m"(mm[0]), "m"(mm[1]));
}

static void store_state(struct state *s)
{
	if (use_avx)
		__asm__ volatile("vmovups %%ymm0, (%0); vmovups %%ymm1, 32(%0);"
				 "vmovups %%ymm2, 64(%0); vmovups %%ymm3, 96(%0)"
				 :
				 : "r"(s)
				 : "memory");
	else
		__asm__ volatile("movups %%xmm0, (%0); movups %%xmm1, 32(%0);"
				 "movups %%xmm2, 64(%0); movups %%xmm3, 96(%0)"
				 :
				 : "r"(s)
				 : "memory");
	__asm__ volatile("fnsave %0" : "=m"(s->fp));
	memset(s->fp + 12, 0, 16); /* the pointers: a test of their own */
}

static uint64_t random_state = 0x123456789abcdefull;

static uint8_t next_random(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return (uint8_t)(random_state >> 24);
}

static void randomize(struct state *s)
{
	uint8_t *bytes = (uint8_t *)s;

	for (unsigned n = 0; n < sizeof(*s); n++)
		bytes[n] = next_random();
	s->flags = (s->flags & RFLAGS_ARITH) | 2;
}

static volatile int vector;

/* From `*s` on memory at `mem`; *s is what it leaves, but after an exception. */
static int run(const struct op *op, volatile void *mem, struct state *s)
{
	load_state(s);
	vector = TRY(op->run(mem, s));
	if (vector == NO_FAULT)
		store_state(s);
	__asm__ volatile("fninit");
	return vector;
}

/* --- the same on both ------------------------------------------------------------------------ */

static struct {
	unsigned ran, refused;
} count;

static bool same_state(const struct op *op, const struct state *s, const struct state *t)
{
	return !memcmp(s->v, t->v, sizeof(s->v)) && s->a == t->a && s->b == t->b && s->c == t->c &&
	       s->d == t->d && !((s->flags ^ t->flags) & ~op->undefined) &&
	       !memcmp(s->fp, t->fp, sizeof(s->fp));
}

static void describe(const struct op *op, unsigned offset, int on_ram, int on_device,
		     const struct state *s, const struct state *t)
{
	printf("# %s at %#x: vector %d on RAM, %d on the device\n", op->name, offset, on_ram,
	       on_device);
	printf("#   RAM:    %lx %lx %lx %lx, flags %lx, xmm0 %08x\n", s->a, s->b, s->c, s->d,
	       s->flags, *(const uint32_t *)s->v);
	printf("#   device: %lx %lx %lx %lx, flags %lx, xmm0 %08x\n", t->a, t->b, t->c, t->d,
	       t->flags, *(const uint32_t *)t->v);
}

/* Bytes around the operand that are compared: the state that XSAVE writes is the largest. */
static unsigned reach(const struct op *op)
{
	return !strncmp(op->name, "xsave", 5) ? 1024 : 64;
}

static bool same(const struct op *op, unsigned offset)
{
	static struct state s, t;
	unsigned from = offset & ~7u, len = reach(op) + 8;
	int on_ram, on_device;
	bool ok = true;

	if (!strncmp(op->name, "cmpxchg", 7) && offset % 16)
		return true; /* the device's lock has tests of its own, in mmio */
	randomize(&s);
	t = s;
	for (unsigned n = from; n < from + len; n += 4) {
		uint32_t val = next_random() * 0x01030507u;

		*(uint32_t *)(area + n) = val;
		*(volatile uint32_t *)(device + n) = val;
	}
	on_ram = run(op, area + offset, &s);
	on_device = run(op, device + offset, &t);
	for (unsigned n = from; n < from + len; n += 4)
		ok &= *(uint32_t *)(area + n) == *(volatile uint32_t *)(device + n);
	if (on_ram == UD_VECTOR && offset == 0)
		count.refused++;
	count.ran += on_ram == NO_FAULT && offset == 0;
	ok = ok && on_ram == on_device && (on_ram != NO_FAULT || same_state(op, &s, &t));
	if (!ok)
		describe(op, offset, on_ram, on_device, &s, &t);
	return ok;
}

TEST(instructions_on_device_memory)
{
	static const unsigned offsets[] = {0, 8, 16, 1, 60, 4090};

	SKIP_UNLESS(has_testdev_ram(), "no device RAM at 0xff000000");
	switch_on();
	for (unsigned i = 0; i < NR_OPS; i++)
		for (unsigned k = 0; k < sizeof(offsets) / sizeof(offsets[0]); k++)
			if (!CHECK(same(&ops[i], offsets[k])))
				break;
	printf("# %u instructions, and %u that this CPU lacks\n", count.ran, count.refused);
	CHECK(count.ran >= 75); /* SSE2, MMX and x87 alone */
}

/* Ones are read, and what is written is gone. */
TEST(instructions_where_no_memory_is)
{
	static struct state s, t;
	unsigned ran = 0;

	switch_on();
	for (unsigned i = 0; i < NR_OPS; i++) {
		const struct op *op = &ops[i];

		/* Those that write first read ones again where RAM has what was written. */
		if (strstr(op->name, "ldmxcsr") || strstr(op->name, "unmasked") ||
		    !strncmp(op->name, "fld", 3) || !strcmp(op->name, "fbld"))
			continue;
		memset(area, 0xff, AREA_LEN);
		randomize(&s);
		t = s;
		if (run(op, area, &s) != NO_FAULT)
			continue;
		ran++;
		if (!CHECK_EQ(run(op, (void *)HOLE, &t), NO_FAULT) ||
		    !CHECK(same_state(op, &s, &t)))
			describe(op, 0, NO_FAULT, vector, &s, &t);
	}
	printf("# %u instructions\n", ran);
	CHECK(ran >= 65);
}

/* --- whole states -------------------------------------------------------------------------------
 */

static void fill_fpu(void)
{
	static struct state s;

	randomize(&s);
	load_state(&s);
	__asm__ volatile("fldpi; fldl2e; fldz");
}

TEST(x87_state)
{
	static uint8_t on_ram[108], back[108];

	SKIP_UNLESS(has_testdev_ram(), "no device RAM at 0xff000000");
	switch_on();
	fill_fpu();
	__asm__ volatile("fnsave %0; frstor %0" : "+m"(on_ram));
	__asm__ volatile("fnsave (%0)" : : "r"(device) : "memory");
	for (unsigned n = 0; n < 108; n++)
		if ((n < 12 || n >= 28) && !CHECK_EQ(device[n], on_ram[n]))
			break;
	__asm__ volatile("fninit; frstor (%1); fnsave %0" : "=m"(back) : "r"(device) : "memory");
	CHECK(!memcmp(back, on_ram, 12) && !memcmp(back + 28, on_ram + 28, 80));
	fill_fpu();
	__asm__ volatile("fnstenv (%0)" : : "r"(device) : "memory");
	CHECK(!memcmp((uint8_t *)device, on_ram, 12));
	__asm__ volatile("data16 fnstenv (%0)" : : "r"(device + 64) : "memory");
	CHECK(!memcmp((uint8_t *)device + 64, on_ram, 2));
	CHECK(!memcmp((uint8_t *)device + 66, on_ram + 4, 2));
}

/* QEMU's CPU remembers where its last instruction was, and FLDENV does not change that. */
static bool loads_pointers(void)
{
	uint32_t env[7];

	__asm__ volatile("fninit; fld1; fnstenv %0" : "=m"(env));
	env[3] = env[3] ? 0x1234 : 0;
	__asm__ volatile("fldenv %0; fnstenv %0" : "+m"(env));
	__asm__ volatile("fninit");
	return env[3] == 0x1234 || !env[3];
}

/* What an instruction on a device leaves as the last one is itself, and nothing of the hypervisor.
 */
TEST(x87_pointers)
{
	extern const uint8_t fld_of_device[], fld_of_ram[];
	uint32_t env[7], want[7];

	SKIP_UNLESS(has_testdev_ram(), "no device RAM at 0xff000000");
	switch_on();
	SKIP_UNLESS(IS_ABLE(loads_pointers()), "FLDENV leaves the pointers alone");
	*(volatile uint32_t *)device = *(uint32_t *)area = 0x3f800000;
	__asm__ volatile("fninit; .globl fld_of_ram; fld_of_ram: flds (%1); fnstenv %0"
			 : "=m"(want)
			 : "r"(area));
	__asm__ volatile(
		"fninit; .globl fld_of_device; fld_of_device: flds (%1); fnstenv %0; fninit"
		: "=m"(env)
		: "r"(device));
	if (want[3] == (uint32_t)(unsigned long)fld_of_ram) {
		CHECK_EQ(env[3], (uint32_t)(unsigned long)fld_of_device);
		CHECK_EQ(env[5], (uint32_t)TESTDEV_RAM);
	} else {
		printf("# this CPU does not tell\n");
		CHECK(env[3] < 0x80000000 && env[5] != (uint32_t)(unsigned long)area);
	}
}

TEST(fxsave_and_xsave)
{
	static uint8_t on_ram[AREA_LEN] __attribute__((aligned(64)));
	static struct state s, t;

	SKIP_UNLESS(has_testdev_ram(), "no device RAM at 0xff000000");
	switch_on();
	randomize(&s);
	load_state(&s);
	for (unsigned n = 0; n < 512; n++)
		device[n] = on_ram[n] = 0x5a;
	__asm__ volatile("fxsave (%0); fxsave (%1)" : : "r"(on_ram), "r"(device) : "memory");
	CHECK(!memcmp(on_ram, (uint8_t *)device, 512));
	randomize(&t);
	load_state(&t);
	__asm__ volatile("fxrstor (%0)" : : "r"(device) : "memory");
	store_state(&t);
	for (unsigned n = 0; n < 4; n++)
		CHECK(!memcmp(t.v[n], s.v[n], 16));
	CHECK_EQ(TRY(__asm__ volatile("fxsave (%0)"
				      :
				      : "r"(device + 8)
				      : "memory")),
		 TRY(__asm__ volatile("fxsave (%0)"
				      :
				      : "r"(on_ram + 8)
				      : "memory")));
	if (!use_avx)
		SKIP("XSAVE is not here");
	load_state(&s);
	for (unsigned n = 0; n < 1024; n++)
		device[n] = 0;
	__asm__ volatile("xsave (%0)" : : "r"(device), "a"(7), "d"(0) : "memory");
	load_state(&t);
	__asm__ volatile("xrstor (%0)" : : "r"(device), "a"(7), "d"(0) : "memory");
	store_state(&t);
	CHECK(!memcmp(t.v, s.v, sizeof(s.v)));
	device[512 + 8] = 1; /* XCOMP_BV without its bit 63 */
	CHECK_EQ(TRY(__asm__ volatile("xrstor (%0)"
				      :
				      : "r"(device), "a"(7), "d"(0)
				      : "memory")),
		 GP_VECTOR);
}

/* --- exceptions ---------------------------------------------------------------------------------
 */

#define ON_DEVICE(insn) TRY(__asm__ volatile(insn : : "r"(device) : "memory"))
#define ON_RAM(insn)    TRY(__asm__ volatile(insn : : "r"(area) : "memory"))
#define SAME(insn, want)                                                                           \
	do {                                                                                       \
		CHECK_EQ(ON_RAM(insn), want);                                                      \
		CHECK_EQ(ON_DEVICE(insn), want);                                                   \
	} while (0)

TEST(what_is_switched_off)
{
	SKIP_UNLESS(has_testdev_ram(), "no device RAM at 0xff000000");
	switch_on();
	write_cr0(read_cr0() | CR0_TS);
	SAME("movups (%0), %%xmm0", NM_VECTOR);
	SAME("movq (%0), %%mm0", NM_VECTOR);
	SAME("flds (%0)", NM_VECTOR);
	SAME("fxsave (%0)", NM_VECTOR);
	SAME("movnti %%eax, (%0)", NO_FAULT);
	if (use_avx)
		SAME("vmovups (%0), %%ymm0", NM_VECTOR);
	write_cr0((read_cr0() & ~CR0_TS) | CR0_EM);
	SAME("movups (%0), %%xmm0", UD_VECTOR);
	SAME("movq (%0), %%mm0", UD_VECTOR);
	SAME("flds (%0)", NM_VECTOR);
	write_cr0(read_cr0() & ~CR0_EM);
	write_cr4(read_cr4() & ~CR4_OSFXSR);
	SAME("movups (%0), %%xmm0", UD_VECTOR);
	write_cr4((read_cr4() | CR4_OSFXSR) & ~CR4_OSXSAVE);
	if (use_avx) {
		SAME("vmovups (%0), %%xmm0", UD_VECTOR);
		write_cr4(read_cr4() | CR4_OSXSAVE);
		xsetbv(0, 3);
		SAME("vmovups (%0), %%xmm0", UD_VECTOR);
		xsetbv(0, 7);
		SAME("vmovups (%0), %%xmm0", NO_FAULT);
	}
}

TEST(exceptions_of_the_operand)
{
	static const uint16_t all = 0x340, none = 0x37f;
	uint32_t mxcsr = 0x1f80, unmasked = 0x1d80; /* division by zero */
	volatile int on_ram;

	SKIP_UNLESS(has_testdev_ram(), "no device RAM at 0xff000000");
	switch_on();
	*(volatile uint32_t *)device = *(uint32_t *)area = 0x80000000; /* a reserved bit of MXCSR */
	on_ram = ON_RAM("ldmxcsr (%0)");
	CHECK_EQ(ON_DEVICE("ldmxcsr (%0)"), on_ram);
	*(volatile uint32_t *)device = *(uint32_t *)area = 0;
	__asm__ volatile("ldmxcsr %0" : : "m"(unmasked));
	__asm__ volatile("pcmpeqd %xmm0, %xmm0; pslld $25, %xmm0; psrld $2, %xmm0"); /* 1.0 */
	on_ram = ON_RAM("divss (%0), %%xmm0");
	__asm__ volatile("ldmxcsr %0" : : "m"(unmasked));
	CHECK_EQ(ON_DEVICE("divss (%0), %%xmm0"), on_ram);
	__asm__ volatile("ldmxcsr %0" : : "m"(mxcsr));
	__asm__ volatile("fninit; fldcw %0; fld1; fldz; fdivrp" : : "m"(all));
	on_ram = ON_RAM("fldl (%0)");
	__asm__ volatile("fnclex; fninit; fldcw %0; fld1; fldz; fdivrp" : : "m"(all));
	CHECK_EQ(ON_DEVICE("fldl (%0)"), on_ram);
	printf("# x87: vector %d\n", on_ram); /* QEMU's CPU looks at WAIT only */
	__asm__ volatile("fnclex; fldcw %0; fninit" : : "m"(none));
}

#ifdef __x86_64__
#define RIGHTS (PTE_P | PTE_W | PTE_A | PTE_D)

/* What is masked is not accessed, and does not fault. */
TEST(masked_moves_at_the_end_of_a_page)
{
	static const uint32_t lower[8] = {~0u, ~0u, ~0u, ~0u}, upper[8] = {0, 0, 0, 0, ~0u};
	uint8_t *va = (uint8_t *)TEST_VA;
	uint32_t got[8];

	SKIP_UNLESS(has_testdev_ram(), "no device RAM at 0xff000000");
	switch_on();
	SKIP_UNLESS(use_avx, "AVX");
	map_page(TEST_VA, 1, TESTDEV_RAM | RIGHTS);
	*pte_get(TEST_VA + PAGE_SIZE, 1) = 0;
	invlpg((void *)(TEST_VA + PAGE_SIZE));
	for (unsigned n = 0; n < 4; n++)
		((volatile uint32_t *)(va + PAGE_SIZE - 16))[n] = 0x1000 + n;
	__asm__ volatile("vmovups %1, %%ymm1; vmaskmovps %2, %%ymm1, %%ymm0; vmovups %%ymm0, %0"
			 : "=m"(got)
			 : "m"(lower), "m"(*(uint32_t(*)[8])(va + PAGE_SIZE - 16)));
	CHECK(got[0] == 0x1000 && got[3] == 0x1003 && got[4] == 0 && got[7] == 0);
	__asm__ volatile("vmaskmovps %%ymm1, %%ymm1, (%0)" : : "r"(va + PAGE_SIZE - 16) : "memory");
	CHECK_EQ(*(volatile uint32_t *)(va + PAGE_SIZE - 4), ~0u);
	__asm__ volatile("vmovups %0, %%ymm1" : : "m"(upper));
	CHECK_EQ(TRY(__asm__ volatile("vmaskmovps %%ymm1, %%ymm1, (%0)"
				      :
				      : "r"(va + PAGE_SIZE - 16)
				      : "memory")),
		 PF_VECTOR);
	CHECK_EQ(fault()->cr2, TEST_VA + PAGE_SIZE);
	CHECK_EQ(TRY(__asm__ volatile("vmovups %%ymm1, (%0)"
				      :
				      : "r"(va + PAGE_SIZE - 16)
				      : "memory")),
		 PF_VECTOR);
	CHECK_EQ(*(volatile uint32_t *)(va + PAGE_SIZE - 4), ~0u); /* not the first half of it */
}
#endif

/* What nobody emulates raises an exception, and the guest goes on. */
TEST(gather_is_refused)
{
	SKIP_UNLESS(has_testdev_ram(), "no device RAM at 0xff000000");
	switch_on();
	SKIP_UNLESS(is_umbra(), "a CPU alone has it");
	SKIP_UNLESS(use_avx && cpuid_has(7, 0, 'b', 5), "AVX2");
	__asm__ volatile("vpxor %xmm1, %xmm1, %xmm1; vpcmpeqd %xmm2, %xmm2, %xmm2");
	CHECK_EQ(TRY(__asm__ volatile("vpgatherdd %%xmm2, (%0,%%xmm1), %%xmm0"
				      :
				      : "r"(device))),
		 UD_VECTOR);
}
