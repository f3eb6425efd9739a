/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * x87, SSE and AVX state belongs to the virtual CPU: it survives any number of exits, time slices
 * of other virtual CPUs, and never leaks from one to another.
 */
#include <string.h>

#include "apic.h"
#include "clock.h"
#include "ktap.h"
#include "trap.h"

#define XCR0_ALL 7 /* x87, SSE, AVX */
#define ROUNDS   200

struct xmm_block {
	uint8_t bytes[16][32];
} __attribute__((aligned(64)));

static bool use_avx;

static void setup(void *arg)
{
	unsigned long cr4 = read_cr4() | CR4_OSFXSR | CR4_OSXMMEXCPT;

	write_cr0(read_cr0() & ~(CR0_EM | CR0_TS));
	use_avx = HAS_XSAVE && HAS_AVX;
	write_cr4(use_avx ? cr4 | CR4_OSXSAVE : cr4);
	if (use_avx)
		xsetbv(0, XCR0_ALL);
	__asm__ volatile("fninit");
}

#define EACH(X)                                                                                    \
	X(0) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11) X(12) X(13) X(14) X(15)
#define LOAD_SSE(i)  "movups " #i "*32(%0), %%xmm" #i "\n"
#define STORE_SSE(i) "movups %%xmm" #i ", " #i "*32(%0)\n"
#define LOAD_AVX(i)  "vmovups " #i "*32(%0), %%ymm" #i "\n"
#define STORE_AVX(i) "vmovups %%ymm" #i ", " #i "*32(%0)\n"

static void load_vectors(const struct xmm_block *b)
{
	if (use_avx)
		__asm__ volatile(EACH(LOAD_AVX) : : "r"(b) : "memory");
	else
		__asm__ volatile(EACH(LOAD_SSE) : : "r"(b) : "memory");
}

static void store_vectors(struct xmm_block *b)
{
	if (use_avx)
		__asm__ volatile(EACH(STORE_AVX) : : "r"(b) : "memory");
	else
		__asm__ volatile(EACH(STORE_SSE) : : "r"(b) : "memory");
}

static void fill(struct xmm_block *b, unsigned seed)
{
	memset(b, 0, sizeof(*b));
	for (unsigned i = 0; i < 16; i++)
		for (unsigned j = 0; j < (use_avx ? 32 : 16); j++)
			b->bytes[i][j] = (uint8_t)(seed * 37 + i * 16 + j * 3 + 1);
}

/* All sorts of exits. */
static void make_exits(void)
{
	cpuid(0);
	inb(0x4d0);
	rdmsr(MSR_APICBASE);
	*(volatile uint32_t *)(APIC_BASE_PA + APIC_VERSION);
	ioapic_read(IOAPIC_VERSION);
	write_cr0(read_cr0());
}

static unsigned check_state(unsigned seed, unsigned rounds)
{
	struct xmm_block in, out;
	uint16_t control = (uint16_t)(0x37f | (seed & 3) << 10), control_out;
	uint32_t mxcsr = 0x1f80 | (seed & 3) << 13, mxcsr_out;
	uint64_t integer = 0x123456789ull + seed, integer_out;
	unsigned wrong = 0;

	fill(&in, seed);
	__asm__ volatile("fninit; fldcw %0; fildll %1; ldmxcsr %2"
			 :
			 : "m"(control), "m"(integer), "m"(mxcsr));
	load_vectors(&in);
	for (unsigned i = 0; i < rounds; i++)
		make_exits();
	memset(&out, 0, sizeof(out));
	store_vectors(&out);
	__asm__ volatile("fnstcw %0; fistpll %1; stmxcsr %2"
			 : "=m"(control_out), "=m"(integer_out), "=m"(mxcsr_out));
	wrong += memcmp(&in, &out, sizeof(in)) != 0;
	wrong += control_out != control;
	wrong += integer_out != integer;
	wrong += mxcsr_out != mxcsr;
	__asm__ volatile("fninit");
	return wrong;
}

TEST(state_survives_exits)
{
	setup(NULL);
	printf("# %s\n", use_avx ? "AVX" : "SSE only");
	CHECK_EQ(check_state(1, ROUNDS), 0);
	CHECK_EQ(check_state(2, ROUNDS), 0);
}

struct job {
	unsigned seed, wrong;
};

static void check_many(void *arg)
{
	struct job *job = arg;

	setup(NULL);
	for (unsigned i = 0; i < 20; i++)
		job->wrong += check_state(job->seed + i, ROUNDS / 20);
}

TEST(state_of_each_cpu_is_its_own)
{
	static struct job jobs[MAX_CPUS];
	unsigned count = smp_start();

	NEED_CPUS(2);
	for (unsigned i = 0; i < count; i++)
		jobs[i] = (struct job){i * 50, 0};
	for (unsigned i = 1; i < count; i++)
		smp_run(i, check_many, &jobs[i]);
	check_many(&jobs[0]);
	for (unsigned i = 1; i < count; i++)
		CHECK(smp_wait(i, 20000));
	for (unsigned i = 0; i < count; i++)
		CHECK_EQ(jobs[i].wrong, 0);
}

static volatile unsigned ticks;

static bool on_tick(struct regs *regs)
{
	ticks++;
	apic_eoi();
	return true;
}

TEST(state_survives_interrupts_and_halts)
{
	struct xmm_block in, out;

	setup(NULL);
	apic_enable();
	trap_set(0x41, on_tick);
	ticks = 0;
	apic_write(APIC_TDCR, 0xb);
	apic_write(APIC_LVTT, LVT_PERIODIC | 0x41);
	apic_write(APIC_TMICT, 1000000);
	fill(&in, 9);
	load_vectors(&in);
	while (ticks < 20) {
		safe_halt();
		cli();
	}
	memset(&out, 0, sizeof(out));
	store_vectors(&out);
	apic_write(APIC_TMICT, 0);
	apic_write(APIC_LVTT, LVT_MASKED);
	CHECK(!memcmp(&in, &out, sizeof(in)));
}

TEST(fxsave_and_fxrstor)
{
	static uint8_t area[2][512] __attribute__((aligned(16)));
	struct xmm_block in, out;
	bool avx = use_avx;

	setup(NULL);
	use_avx = false;
	fill(&in, 3);
	load_vectors(&in);
	__asm__ volatile("fxsave %0" : "=m"(area[0]));
	__asm__ volatile("xorps %xmm0, %xmm0; xorps %xmm5, %xmm5; xorps %xmm15, %xmm15");
	make_exits();
	__asm__ volatile("fxrstor %0" : : "m"(area[0]));
	memset(&out, 0, sizeof(out));
	store_vectors(&out);
	CHECK(!memcmp(&in, &out, sizeof(in)));
	__asm__ volatile("fxsave %0" : "=m"(area[1]));
	CHECK(!memcmp(area[0] + 160, area[1] + 160, 256));
	use_avx = avx;
}

static void xsave(void *area, uint64_t mask)
{
	__asm__ volatile("xsave64 (%0)"
			 :
			 : "r"(area), "a"((uint32_t)mask), "d"((uint32_t)(mask >> 32))
			 : "memory");
}

static void xrstor(const void *area, uint64_t mask)
{
	__asm__ volatile("xrstor64 (%0)"
			 :
			 : "r"(area), "a"((uint32_t)mask), "d"((uint32_t)(mask >> 32))
			 : "memory");
}

TEST(xsave_and_xrstor)
{
	static uint8_t area[4096] __attribute__((aligned(64)));
	struct xmm_block in, out, zero = {0};

	setup(NULL);
	SKIP_UNLESS(HAS_XSAVE, "no XSAVE");
	REQUIRE(cpuid_sub(0xd, 0).b <= sizeof(area));
	fill(&in, 4);
	load_vectors(&in);
	xsave(area, XCR0_ALL);
	CHECK_EQ(*(uint64_t *)(area + 512) & 2, 2); /* XSTATE_BV: SSE in use */
	load_vectors(&zero);
	make_exits();
	xrstor(area, XCR0_ALL);
	memset(&out, 0, sizeof(out));
	store_vectors(&out);
	CHECK(!memcmp(&in, &out, sizeof(in)));
	*(uint64_t *)(area + 520) = 1; /* XCOMP_BV without XSAVEC: reserved */
	CHECK_EQ(TRY(xrstor(area, XCR0_ALL)), GP_VECTOR);
}

/* XCR0 belongs to the virtual CPU as well. */
static void other_xcr0(void *arg)
{
	write_cr4(read_cr4() | CR4_OSXSAVE);
	xsetbv(0, 1);
	for (unsigned i = 0; i < 100; i++) {
		make_exits();
		*(unsigned *)arg += xgetbv(0) != 1;
	}
	setup(NULL);
}

TEST(xcr0_of_each_cpu_is_its_own)
{
	unsigned wrong = 0, mine = 0;

	SKIP_UNLESS(HAS_XSAVE, "no XSAVE");
	NEED_CPUS(2);
	setup(NULL);
	smp_run(1, other_xcr0, &wrong);
	for (unsigned i = 0; i < 100; i++) {
		make_exits();
		mine += use_avx && xgetbv(0) != XCR0_ALL;
	}
	CHECK(smp_wait(1, 10000));
	CHECK_EQ(wrong, 0);
	CHECK_EQ(mine, 0);
}

/* A CPU that starts again finds the reset state, not what it or another one left. */
static void look_at_reset_state(void *arg)
{
	uint16_t *words = arg;

	write_cr0(read_cr0() & ~(CR0_EM | CR0_TS));
	words[1] = (uint16_t) !!(read_cr4() & (CR4_OSXSAVE | CR4_OSFXSR));
	__asm__ volatile("fnstcw %0" : "=m"(words[0]));
}

TEST(init_keeps_x87_state_and_clears_cr4)
{
	uint16_t words[2];

	NEED_CPUS(2);
	CHECK(smp_call(1, setup, NULL));
	REQUIRE(smp_restart(1));
	CHECK(smp_call(1, look_at_reset_state, words));
	CHECK_EQ(words[0], 0x37f); /* INIT leaves FNINIT's control word alone */
	CHECK_EQ(words[1], 0);
}

TEST(ts_is_honoured)
{
	setup(NULL);
	write_cr0(read_cr0() | CR0_TS);
	CHECK_EQ(TRY(__asm__ volatile("movups %xmm0, %xmm1")), NM_VECTOR);
	CHECK_EQ(TRY(__asm__ volatile("fld1")), NM_VECTOR);
	__asm__ volatile("clts");
	CHECK_EQ(TRY(__asm__ volatile("movups %xmm0, %xmm1")), NO_FAULT);
}
