/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * x87, SSE, AVX, AVX-512 and PKRU state belongs to the virtual CPU: it survives any number of
 * exits, time slices of other virtual CPUs, and never leaks from one to another.
 */
#include <stdlib.h>
#include <string.h>

#include "apic.h"
#include "boot.h"
#include "clock.h"
#include "ktap.h"
#include "trap.h"

#define XCR0_AVX    0x4
#define XCR0_AVX512 0xe0
#define XCR0_PKRU   0x200
#define XCR0_KNOWN  (3 | XCR0_AVX | XCR0_AVX512 | XCR0_PKRU)
#define CR4_PKE     BIT(22)
#define ROUNDS      200

/* Of the vector registers that there are, the bytes that they have. */
struct block {
	uint8_t bytes[32][64];
	uint64_t k[8];
	uint32_t pkru;
} __attribute__((aligned(64)));

static uint64_t xcr0;

static bool uses(uint64_t components)
{
	return (xcr0 & components) == components;
}

static void setup(void *arg)
{
	unsigned long cr4 = read_cr4() | CR4_OSFXSR | CR4_OSXMMEXCPT;

	write_cr0(read_cr0() & ~(CR0_EM | CR0_TS));
	xcr0 = HAS_XSAVE ? cpuid_sub(0xd, 0).a & XCR0_KNOWN : 3;
	write_cr4(cr4 | (HAS_XSAVE ? CR4_OSXSAVE : 0) | (uses(XCR0_PKRU) ? CR4_PKE : 0));
	if (HAS_XSAVE)
		xsetbv(0, xcr0);
	__asm__ volatile("fninit");
}

#define EACH(X)                                                                                    \
	X(0) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11) X(12) X(13) X(14) X(15)
#define EACH_UPPER(X)                                                                              \
	X(16)                                                                                      \
	X(17) X(18) X(19) X(20) X(21) X(22) X(23) X(24) X(25) X(26) X(27) X(28) X(29) X(30) X(31)
#define EACH_MASK(X) X(0) X(1) X(2) X(3) X(4) X(5) X(6) X(7)
#define LOAD_SSE(i)  "movups " #i "*64(%0), %%xmm" #i "\n"
#define STORE_SSE(i) "movups %%xmm" #i ", " #i "*64(%0)\n"
#define LOAD_AVX(i)  "vmovups " #i "*64(%0), %%ymm" #i "\n"
#define STORE_AVX(i) "vmovups %%ymm" #i ", " #i "*64(%0)\n"
#define LOAD_ZMM(i)  "vmovups " #i "*64(%0), %%zmm" #i "\n"
#define STORE_ZMM(i) "vmovups %%zmm" #i ", " #i "*64(%0)\n"
#define LOAD_K(i)    "kmovw " #i "*8(%0), %%k" #i "\n"
#define STORE_K(i)   "kmovw %%k" #i ", " #i "*8(%0)\n"

static void write_pkru(uint32_t val)
{
	__asm__ volatile("wrpkru" : : "a"(val), "c"(0), "d"(0) : "memory");
}

static uint32_t read_pkru(void)
{
	uint32_t val, zero;

	__asm__ volatile("rdpkru" : "=a"(val), "=d"(zero) : "c"(0));
	return val;
}

static void load_vectors(const struct block *b)
{
	if (uses(XCR0_AVX512)) {
		__asm__ volatile(EACH(LOAD_ZMM) EACH_UPPER(LOAD_ZMM) : : "r"(b->bytes) : "memory");
		__asm__ volatile(EACH_MASK(LOAD_K) : : "r"(b->k) : "memory");
	} else if (uses(XCR0_AVX)) {
		__asm__ volatile(EACH(LOAD_AVX) : : "r"(b->bytes) : "memory");
	} else {
		__asm__ volatile(EACH(LOAD_SSE) : : "r"(b->bytes) : "memory");
	}
	if (uses(XCR0_PKRU))
		write_pkru(b->pkru);
}

static void store_vectors(struct block *b)
{
	if (uses(XCR0_AVX512)) {
		__asm__ volatile(EACH(STORE_ZMM) EACH_UPPER(STORE_ZMM)
				 :
				 : "r"(b->bytes)
				 : "memory");
		__asm__ volatile(EACH_MASK(STORE_K) : : "r"(b->k) : "memory");
	} else if (uses(XCR0_AVX)) {
		__asm__ volatile(EACH(STORE_AVX) : : "r"(b->bytes) : "memory");
	} else {
		__asm__ volatile(EACH(STORE_SSE) : : "r"(b->bytes) : "memory");
	}
	if (uses(XCR0_PKRU))
		b->pkru = read_pkru();
}

/* A number on the command line, or 0. */
static unsigned number(const char *name)
{
	const char *text = boot_option(name);

	return text ? (unsigned)strtoul(text, NULL, 0) : 0;
}

static void fill(struct block *b, unsigned seed)
{
	unsigned nr = uses(XCR0_AVX512) ? 32 : 16;
	unsigned len = uses(XCR0_AVX512) ? 64 : uses(XCR0_AVX) ? 32 : 16;

	memset(b, 0, sizeof(*b));
	seed += number("seed"); /* another VM's values are others */
	for (unsigned i = 0; i < nr; i++)
		for (unsigned j = 0; j < len; j++)
			b->bytes[i][j] = (uint8_t)(seed * 37 + i * 16 + j * 3 + 1);
	for (unsigned i = 0; uses(XCR0_AVX512) && i < 8; i++)
		b->k[i] = (uint16_t)(seed * 77 + i * 5 + 1);
	if (uses(XCR0_PKRU)) /* key 0 is that of all pages */
		b->pkru = (seed * 0x9e3779b9) & ~3u;
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
	struct block in, out;
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
	printf("# XCR0 %#llx\n", (unsigned long long)xcr0);
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
	struct block in, out;

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
	struct block in, out;

	setup(NULL);
	xcr0 = 3; /* only these registers */
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

static void xsavec(void *area, uint64_t mask)
{
	__asm__ volatile("xsavec64 (%0)"
			 :
			 : "r"(area), "a"((uint32_t)mask), "d"((uint32_t)(mask >> 32))
			 : "memory");
}

static void xsaveopt(void *area, uint64_t mask)
{
	__asm__ volatile("xsaveopt64 (%0)"
			 :
			 : "r"(area), "a"((uint32_t)mask), "d"((uint32_t)(mask >> 32))
			 : "memory");
}

static void xsaves(void *area, uint64_t mask)
{
	__asm__ volatile("xsaves64 (%0)"
			 :
			 : "r"(area), "a"((uint32_t)mask), "d"((uint32_t)(mask >> 32))
			 : "memory");
}

static void xrstors(const void *area, uint64_t mask)
{
	__asm__ volatile("xrstors64 (%0)"
			 :
			 : "r"(area), "a"((uint32_t)mask), "d"((uint32_t)(mask >> 32))
			 : "memory");
}

static uint8_t xsave_area[4096] __attribute__((aligned(64)));

/* All registers, with the values of `seed`, to the area and back. */
static bool comes_back(unsigned seed, void (*save)(void *, uint64_t),
		       void (*load)(const void *, uint64_t))
{
	static struct block in, out, zero;

	memset(xsave_area, 0, sizeof(xsave_area));
	fill(&in, seed);
	load_vectors(&in);
	save(xsave_area, xcr0);
	load_vectors(&zero);
	make_exits();
	if (TRY(load(xsave_area, xcr0)) != NO_FAULT)
		return false;
	memset(&out, 0, sizeof(out));
	store_vectors(&out);
	return !memcmp(&in, &out, sizeof(in));
}

TEST(xsave_and_xrstor)
{
	setup(NULL);
	SKIP_UNLESS(HAS_XSAVE, "no XSAVE");
	REQUIRE(cpuid_sub(0xd, 0).b <= sizeof(xsave_area));
	CHECK(comes_back(4, xsave, xrstor));
	CHECK_EQ(*(uint64_t *)(xsave_area + 512) & 2, 2); /* XSTATE_BV: SSE in use */
	*(uint64_t *)(xsave_area + 520) = 1;              /* XCOMP_BV without XSAVEC: reserved */
	CHECK_EQ(TRY(xrstor(xsave_area, xcr0)), GP_VECTOR);
}

/* Those that CPUID offers: with all components that XCR0 has, and with fewer. */
TEST(xsave_in_all_its_forms)
{
	uint32_t forms;

	setup(NULL);
	SKIP_UNLESS(HAS_XSAVE, "no XSAVE");
	forms = cpuid_sub(0xd, 1).a;
	printf("# leaf 0dh, subleaf 1: %#x\n", forms);
	for (; xcr0; xcr0 = xcr0 > 7 ? xcr0 & 7 : xcr0 > 3 ? 3 : 0) {
		xsetbv(0, xcr0);
		CHECK(comes_back(5, xsave, xrstor));
		CHECK(!(forms & 1) || comes_back(6, xsaveopt, xrstor));
		CHECK(!(forms & 2) || comes_back(7, xsavec, xrstor));
		CHECK(!(forms & 8) || comes_back(8, xsaves, xrstors));
	}
	setup(NULL);
}

/* With "ms=N" on the command line: for so long, beside another VM that does the same. */
TEST(state_survives_a_neighbour)
{
	unsigned seed = 0, wrong = 0;
	uint64_t end;

	SKIP_UNLESS(number("ms"), "no neighbour");
	setup(NULL);
	for (end = rdtsc() + ms_to_tsc(number("ms")); rdtsc() < end; seed++)
		wrong += check_state(seed, ROUNDS / 10);
	printf("# %u times\n", seed);
	CHECK(seed > 1);
	CHECK_EQ(wrong, 0);
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
		mine += xgetbv(0) != xcr0;
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
