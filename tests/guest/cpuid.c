/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * CPUID: is what it says consistent with itself, with the machine, and with what the instructions
 * it advertises do? (SDM volume 2, CPUID; APM volume 3, appendix E.)
 * run: icount=1
 */
#include <string.h>

#include "apic.h"
#include "clock.h"
#include "flaws.h"
#include "hypercall.h"
#include "ktap.h"

#define XCR0_X87 1
#define XCR0_SSE 2
#define XCR0_AVX 4

TEST(instruction_exists)
{
	unsigned long flags = read_flags();

	write_flags(flags ^ RFLAGS_ID);
	CHECK((read_flags() ^ flags) & RFLAGS_ID);
	write_flags(flags);
}

TEST(maximum_leaves)
{
	CHECK(cpuid(0).a >= 1 && cpuid(0).a < 0x100);
	CHECK(cpuid(0x80000000).a >= 0x80000008 && cpuid(0x80000000).a < 0x80000100);
}

#ifdef __x86_64__
TEST(upper_halves_are_cleared)
{
	unsigned long a = 0xdeadbeef00000000ul, b = ~0ul, c = 0xdeadbeef00000000ul, d = ~0ul;

	__asm__ volatile("cpuid" : "+a"(a), "+b"(b), "+c"(c), "+d"(d));
	CHECK((a | b | c | d) >> 32 == 0);
	CHECK_EQ(a, cpuid(0).a);
}
#endif

TEST(vendor_is_one)
{
	struct cpuid basic = cpuid(0), ext = cpuid(0x80000000);

	CHECK(!memcmp(&basic.b, "Auth", 4) || !memcmp(&basic.b, "Genu", 4));
	if (is_amd()) {
		CHECK_EQ(ext.b, basic.b);
		CHECK_EQ(ext.c, basic.c);
		CHECK_EQ(ext.d, basic.d);
	}
}

TEST(brand_string_is_text)
{
	char brand[49] = {0};

	REQUIRE(cpuid(0x80000000).a >= 0x80000004);
	for (unsigned i = 0; i < 3; i++) {
		struct cpuid r = cpuid(0x80000002 + i);

		memcpy(brand + 16 * i, &r, 16);
	}
	printf("# %s\n", brand);
	for (char *p = brand; *p; p++)
		CHECK(*p >= ' ' && *p <= '~');
}

TEST(family_and_model)
{
	unsigned family = cpuid(1).a >> 8 & 15;

	CHECK(family >= 5);
	if (is_amd())
		CHECK_EQ(cpuid(0x80000001).a, cpuid(1).a);
}

TEST(essential_features)
{
	CHECK(HAS_TSC && HAS_APIC && HAS_PAE && HAS_PSE && HAS_PGE && HAS_SSE2 && HAS_FXSR);
	CHECK(cpuid_has(1, 0, 'd', 0) && cpuid_has(1, 0, 'd', 5) && cpuid_has(1, 0, 'd', 8));
	if (IS_64BIT)
		CHECK(HAS_LM && HAS_NX);
}

TEST(clflush_line_size)
{
	uint32_t line[32];

	SKIP_UNLESS(cpuid_has(1, 0, 'd', 19), "no CLFLUSH");
	CHECK_EQ(cpuid(1).b >> 8 & 0xff, 8);
	CHECK_EQ(TRY(__asm__ volatile("clflush %0" : : "m"(line))), NO_FAULT);
}

TEST(address_widths)
{
	struct cpuid r = cpuid(0x80000008);
	unsigned phys = r.a & 0xff, virt = r.a >> 8 & 0xff;

	CHECK(phys >= 32 && phys <= 52);
	CHECK(virt == (cpuid_has(7, 0, 'c', 16) ? 57 : 48));
}

TEST(osxsave_mirrors_cr4)
{
	unsigned long cr4 = read_cr4();

	SKIP_UNLESS(HAS_XSAVE, "no XSAVE");
	CHECK(!cpuid_has(1, 0, 'c', 27));
	write_cr4(cr4 | CR4_OSXSAVE);
	CHECK(cpuid_has(1, 0, 'c', 27));
	write_cr4(cr4);
	CHECK(!cpuid_has(1, 0, 'c', 27));
}

TEST(apic_bit_mirrors_apicbase)
{
	uint64_t base = rdmsr(MSR_APICBASE);

	SKIP_UNLESS(refuses_values(), "this CPU cannot enable an APIC again");
	wrmsr(MSR_APICBASE, base & ~APICBASE_ENABLE);
	CHECK(!HAS_APIC);
	wrmsr(MSR_APICBASE, base);
	CHECK(HAS_APIC);
}

static void check_ids(void *arg)
{
	uint32_t id = apic_id();

	CHECK_EQ(cpuid(1).b >> 24, id & 0xff);
	if (cpuid(0).a >= 0xb && cpuid_sub(0xb, 0).b)
		CHECK_EQ(cpuid_sub(0xb, 0).d, id);
	if (is_amd() && cpuid_has(0x80000001, 0, 'c', 22))
		CHECK_EQ(cpuid(0x8000001e).a, id);
}

TEST(apic_id_on_every_cpu)
{
	for (unsigned i = 1; i < smp_start(); i++)
		CHECK(smp_call(i, check_ids, NULL));
	check_ids(NULL);
}

TEST(leaf_b_levels)
{
	unsigned level, last_shift = 0;

	SKIP_UNLESS(cpuid(0).a >= 0xb && cpuid_sub(0xb, 0).b, "no leaf 0Bh");
	for (level = 0; level < 8; level++) {
		struct cpuid r = cpuid_sub(0xb, level);

		CHECK_EQ(r.c & 0xff, level);
		if (!(r.c >> 8 & 0xff))
			break;
		CHECK((r.a & 31) >= last_shift);
		last_shift = r.a & 31;
	}
	CHECK(level >= 1 && level < 8);
	CHECK(smp_count() <= 1u << last_shift);
}

static bool is_same(struct cpuid a, struct cpuid b)
{
	return a.a == b.a && a.b == b.b && a.c == b.c && a.d == b.d;
}

/* Nothing on AMD's CPUs, the highest basic leaf on Intel's. QEMU's CPUs do as Intel's. */
TEST(leaves_beyond_the_maximum)
{
	uint32_t last = cpuid(0).a;
	const uint32_t beyond[] = {last + 1, last + 0x20, 0x3fffffff, cpuid(0x80000000).a + 1,
				   0x8fffffff};

	SKIP_UNLESS(!is_amd() || is_umbra(), "another CPU's answers");
	for (unsigned i = 0; i < sizeof(beyond) / sizeof(beyond[0]); i++)
		for (uint32_t sub = 0; sub < 3; sub++)
			CHECK(is_same(cpuid_sub(beyond[i], sub),
				      is_amd() ? (struct cpuid){0} : cpuid_sub(last, sub)));
}

static unsigned power_of_2(unsigned n)
{
	unsigned p = 1;

	while (p < n)
		p *= 2;
	return p;
}

/* Each cache is one CPU's or all CPUs'; Intel's leaf tells the number of cores in each subleaf. */
TEST(caches_agree_with_the_cpus)
{
	uint32_t leaf = is_amd() ? 0x8000001d : 4;
	unsigned nr = 0, all = power_of_2(smp_count());
	struct cpuid r;

	SKIP_UNLESS(is_umbra(), "not under Umbra");
	SKIP_UNLESS(!is_amd() || cpuid_has(0x80000001, 0, 'c', 22), "no topology extensions");
	for (; (r = cpuid_sub(leaf, nr)).a & 0x1f && nr < 8; nr++) {
		unsigned sharing = power_of_2((r.a >> 14 & 0xfff) + 1);

		CHECK(sharing == 1 || sharing == all);
		if (!is_amd())
			CHECK_EQ((r.a >> 26) + 1, all);
	}
	CHECK(nr < 8 && is_same(r, (struct cpuid){0}));
	for (unsigned i = 8; !is_amd() && i < 32; i += 8) /* descriptor FFh: see leaf 4 */
		CHECK((cpuid(2).b >> i & 0xff) != 0xff || nr);
}

TEST(amd_core_count)
{
	struct cpuid r = cpuid(0x80000008);

	SKIP_UNLESS(is_amd() && is_umbra(), "not AMD's CPU under Umbra");
	CHECK_EQ(r.c & 0xff, smp_count() - 1);
	CHECK_EQ(1u << (r.c >> 12 & 0xf), power_of_2(smp_count()));
	CHECK_EQ(cpuid_has(0x80000001, 0, 'c', 1), smp_count() > 1);
	if (cpuid_has(0x80000001, 0, 'c', 22))
		CHECK_EQ(cpuid(0x8000001e).b, cpuid(1).b >> 24);
}

TEST(logical_processor_count)
{
	unsigned logical = cpuid(1).b >> 16 & 0xff;

	if (smp_count() > 1 && cpuid_has(1, 0, 'd', 28))
		CHECK(logical >= 1);
	if (!cpuid_has(1, 0, 'd', 28))
		CHECK(logical <= 1);
}

struct snapshot {
	struct cpuid leaf[24];
};

static const uint32_t common_leaves[] = {0,          2,          6,          7,          0xa,
					 0x15,       0x16,       0x80000000, 0x80000001, 0x80000002,
					 0x80000003, 0x80000004, 0x80000005, 0x80000006, 0x80000007,
					 0x80000008, 0x40000000};

/* Leaves that have nothing of one CPU in them (7 has OSPKE, which nobody sets here). */
static void take_snapshot(void *arg)
{
	struct snapshot *s = arg;

	for (unsigned i = 0; i < sizeof(common_leaves) / sizeof(common_leaves[0]); i++)
		s->leaf[i] = cpuid(common_leaves[i]);
}

TEST(same_on_every_cpu)
{
	static struct snapshot mine, other;

	NEED_CPUS(2);
	take_snapshot(&mine);
	for (unsigned i = 1; i < smp_start(); i++) {
		CHECK(smp_call(i, take_snapshot, &other));
		CHECK(!memcmp(&mine, &other, sizeof(mine)));
	}
}

/* --- what is advertised works, what is not is #UD --------------------------------------------- */

#define CLOBBERS "eax", "ecx", "edx", "memory", "cc"

/* The instruction runs exactly when CPUID has the bit. */
#define WORKS_IFF(has, insn)                                                                       \
	CHECK_EQ(TRY(__asm__ volatile(insn : : : CLOBBERS)), (has) ? NO_FAULT : UD_VECTOR)

/* It runs when CPUID has the bit; without, it is another instruction or undefined. */
#define WORKS_IF(has, insn)                                                                        \
	do {                                                                                       \
		if (has)                                                                           \
			CHECK_EQ(TRY(__asm__ volatile(insn : : : CLOBBERS)), NO_FAULT);            \
	} while (0)

static uint64_t line[8] __attribute__((aligned(64), used));

TEST(sse_instructions)
{
	unsigned long cr4 = read_cr4();

	write_cr4(cr4 | CR4_OSFXSR | CR4_OSXMMEXCPT);
	WORKS_IF(HAS_SSE, "xorps %%xmm0, %%xmm0");
	WORKS_IF(HAS_SSE2, "pxor %%xmm0, %%xmm0; mfence; lfence");
	WORKS_IFF(cpuid_has(1, 0, 'c', 0), "haddpd %%xmm0, %%xmm0");
	WORKS_IFF(cpuid_has(1, 0, 'c', 9), "pshufb %%xmm0, %%xmm0");
	WORKS_IFF(cpuid_has(1, 0, 'c', 19), "pmulld %%xmm0, %%xmm0");
	WORKS_IFF(cpuid_has(1, 0, 'c', 20), "pcmpgtq %%xmm0, %%xmm0");
	WORKS_IFF(cpuid_has(1, 0, 'c', 25), "aesenc %%xmm0, %%xmm0");
	WORKS_IFF(cpuid_has(1, 0, 'c', 1), "pclmulqdq $0, %%xmm0, %%xmm0");
	WORKS_IFF(cpuid_has(7, 0, 'b', 29), "sha1msg1 %%xmm0, %%xmm0");
	write_cr4(cr4);
}

TEST(general_instructions)
{
	WORKS_IF(cpuid_has(1, 0, 'c', 23), "popcnt %%eax, %%eax");
	WORKS_IFF(HAS_RDRAND, "rdrand %%eax");
	WORKS_IF(cpuid_has(7, 0, 'b', 18), "rdseed %%eax");
	WORKS_IFF(HAS_RDTSCP, "rdtscp");
	WORKS_IF(HAS_RDPID, ".byte 0xf3, 0x0f, 0xc7, 0xf8"); /* rdpid %%eax */
	WORKS_IF(cpuid_has(7, 0, 'b', 3), "tzcnt %%eax, %%ecx");
	WORKS_IF(cpuid_has(7, 0, 'b', 19), "adcx %%eax, %%ecx");
	WORKS_IF(cpuid_has(0x80000001, 0, 'c', 5), "lzcnt %%eax, %%ecx");
	WORKS_IF(cpuid_has(0x80000001, 0, 'c', 0), "lahf; sahf");
}

TEST(memory_instructions)
{
	WORKS_IFF(cpuid_has(1, 0, 'd', 8), "cmpxchg8b line");
	WORKS_IF(cpuid_has(1, 0, 'c', 22), "movbe line, %%eax");
	WORKS_IF(cpuid_has(7, 0, 'b', 23), "clflushopt line");
	WORKS_IF(cpuid_has(7, 0, 'b', 24), "clwb line");
	WORKS_IF(cpuid_has(0x80000001, 0, 'c', 8), "prefetchw line");
	WORKS_IFF(HAS_FXSR && read_cr4() & CR4_OSFXSR, "stmxcsr line");
#ifdef __x86_64__
	WORKS_IFF(HAS_CX16, "cmpxchg16b line");
#endif
}

TEST(invpcid)
{
	static uint64_t descriptor[2] __attribute__((aligned(16)));
	unsigned long type = 2;
	int vector = TRY(__asm__ volatile("invpcid %0, %1"
					  :
					  : "m"(descriptor), "r"(type)
					  : "memory"));

	CHECK_EQ(vector, HAS_INVPCID ? NO_FAULT : UD_VECTOR);
}

TEST(fsgsbase)
{
#ifdef __x86_64__
	unsigned long cr4 = read_cr4(), base;

	write_cr4(cr4 & ~CR4_FSGSBASE);
	CHECK_EQ(TRY(__asm__ volatile("rdfsbase %0" : "=r"(base))), UD_VECTOR);
	SKIP_UNLESS(HAS_FSGSBASE, "no FSGSBASE");
	write_cr4(cr4 | CR4_FSGSBASE);
	__asm__ volatile("wrfsbase %0" : : "r"(0x123456789000ul));
	CHECK_EQ(rdmsr(MSR_FS_BASE), 0x123456789000ul);
	__asm__ volatile("rdfsbase %0" : "=r"(base));
	CHECK_EQ(base, 0x123456789000ul);
	wrmsr(MSR_FS_BASE, 0);
	write_cr4(cr4);
#else
	SKIP("64-bit mode only");
#endif
}

TEST(virtualization_instructions)
{
	bool may_vmrun = HAS_SVM && rdmsr(MSR_EFER) & EFER_SVME;

	if (!may_vmrun)
		CHECK_EQ(TRY(__asm__ volatile("vmrun" : : "a"(0))), UD_VECTOR);
	if (!HAS_VMX)
		CHECK_EQ(TRY(__asm__ volatile("vmxoff")), UD_VECTOR);
	if (is_umbra())
		CHECK(!HAS_VMX && !HAS_SVM);
}

TEST(advertised_msrs_can_be_read)
{
	static const struct {
		uint32_t leaf;
		char reg;
		unsigned bit;
		uint32_t msr;
	} table[] = {
		{1, 'd', 4, MSR_TSC},
		{1, 'd', 9, MSR_APICBASE},
		{1, 'd', 11, MSR_SYSENTER_CS},
		{1, 'd', 12, MSR_MTRRCAP},
		{1, 'd', 12, MSR_MTRR_DEFTYPE},
		{1, 'd', 14, MSR_MCG_CAP},
		{1, 'd', 16, MSR_PAT},
		{1, 'c', 24, MSR_TSC_DEADLINE},
		{7, 'b', 1, MSR_TSC_ADJUST},
		{0x80000001, 'd', 11, MSR_STAR},
		{0x80000001, 'd', 20, MSR_EFER},
		{0x80000001, 'd', 29, MSR_FS_BASE},
		{0x80000001, 'd', 27, MSR_TSC_AUX},
		{0x80000001, 'c', 2, MSR_VM_CR},
		{1, 'c', 5, MSR_FEATURE_CONTROL},
	};

	for (unsigned i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		if (!cpuid_has(table[i].leaf, 0, table[i].reg, table[i].bit))
			continue;
		if (TRY(rdmsr(table[i].msr)) != NO_FAULT) {
			printf("# MSR %#x\n", table[i].msr);
			CHECK(!"an advertised MSR can be read");
		}
	}
}

/* --- XSAVE ---------------------------------------------------------------------------------- */

TEST(xgetbv_needs_osxsave)
{
	unsigned long cr4 = read_cr4();

	write_cr4(cr4 & ~CR4_OSXSAVE);
	CHECK_EQ(TRY(xgetbv(0)), UD_VECTOR);
	SKIP_UNLESS(HAS_XSAVE, "no XSAVE");
	write_cr4(cr4 | CR4_OSXSAVE);
	CHECK_EQ(TRY(xgetbv(0)), NO_FAULT);
	CHECK(xgetbv(0) & XCR0_X87);
	write_cr4(cr4);
}

TEST(xcr0_rules)
{
	unsigned long cr4 = read_cr4();
	uint64_t old, supported;

	SKIP_UNLESS(HAS_XSAVE, "no XSAVE");
	write_cr4(cr4 | CR4_OSXSAVE);
	old = xgetbv(0);
	supported = cpuid_sub(0xd, 0).a | (uint64_t)cpuid_sub(0xd, 0).d << 32;
	CHECK((supported & 3) == 3);
	CHECK(HAS_AVX == !!(supported & XCR0_AVX));
	CHECK_EQ(TRY(xsetbv(0, XCR0_X87)), NO_FAULT);
	CHECK_EQ(xgetbv(0), XCR0_X87);
	CHECK_EQ(TRY(xsetbv(0, supported)), NO_FAULT);
	CHECK_EQ(xgetbv(0), supported);
	CHECK_EQ(TRY(xsetbv(0, 0)), GP_VECTOR);
	CHECK_EQ(TRY(xsetbv(0, XCR0_SSE)), GP_VECTOR);
	CHECK_EQ(TRY(xsetbv(0, XCR0_X87 | XCR0_AVX)), GP_VECTOR);
	CHECK_EQ(TRY(xsetbv(0, supported | 1ull << 62)), GP_VECTOR);
	CHECK_EQ(TRY(xsetbv(1, 0)), GP_VECTOR);
	CHECK_EQ(xgetbv(0), supported);
	xsetbv(0, old);
	write_cr4(cr4);
}

TEST(xsave_area_sizes)
{
	unsigned long cr4 = read_cr4();
	uint32_t all, end = 576;
	uint64_t supported;

	SKIP_UNLESS(HAS_XSAVE, "no XSAVE");
	supported = cpuid_sub(0xd, 0).a | (uint64_t)cpuid_sub(0xd, 0).d << 32;
	all = cpuid_sub(0xd, 0).c;
	for (unsigned i = 2; i < 63; i++) {
		struct cpuid r = cpuid_sub(0xd, i);

		if (supported >> i & 1 && r.b + r.a > end)
			end = r.b + r.a;
	}
	CHECK_EQ(all, end);
	write_cr4(cr4 | CR4_OSXSAVE);
	xsetbv(0, supported);
	CHECK_EQ(cpuid_sub(0xd, 0).b, all);
	xsetbv(0, XCR0_X87);
	CHECK_EQ(cpuid_sub(0xd, 0).b, 576);
	write_cr4(cr4);
}

/* XSAVEC's format: one component behind the other, some at multiples of 64. */
TEST(xsave_compacted_sizes)
{
	unsigned long cr4 = read_cr4();
	uint32_t size = 576;
	uint64_t supported;

	SKIP_UNLESS(HAS_XSAVE && cpuid_sub(0xd, 1).a >> 1 & 1, "no XSAVEC");
	supported = cpuid_sub(0xd, 0).a | (uint64_t)cpuid_sub(0xd, 0).d << 32;
	for (unsigned i = 2; i < 63; i++) {
		struct cpuid r = cpuid_sub(0xd, i);

		if (!(supported >> i & 1))
			continue;
		if (r.c >> 1 & 1)
			size = (size + 63) & ~63u;
		size += r.a;
	}
	write_cr4(cr4 | CR4_OSXSAVE);
	xsetbv(0, supported);
	CHECK_EQ(cpuid_sub(0xd, 1).b, size);
	xsetbv(0, XCR0_X87);
	CHECK_EQ(cpuid_sub(0xd, 1).b, 576);
	write_cr4(cr4);
}

TEST(avx_instructions)
{
	unsigned long cr4 = read_cr4();

	SKIP_UNLESS(HAS_XSAVE, "no XSAVE");
	write_cr4(cr4 | CR4_OSXSAVE | CR4_OSFXSR);
	xsetbv(0, XCR0_X87);
	CHECK_EQ(TRY(__asm__ volatile("vxorps %ymm0, %ymm0, %ymm0")), UD_VECTOR);
	if (HAS_AVX) {
		xsetbv(0, XCR0_X87 | XCR0_SSE | XCR0_AVX);
		WORKS_IFF(true, "vxorps %%ymm0, %%ymm0, %%ymm0");
		WORKS_IFF(cpuid_has(7, 0, 'b', 5), "vpxor %%ymm0, %%ymm0, %%ymm0");
		WORKS_IFF(cpuid_has(1, 0, 'c', 12), "vfmadd132ps %%ymm0, %%ymm0, %%ymm0");
		xsetbv(0, XCR0_X87);
	}
	write_cr4(cr4);
}

/* --- hypervisor leaves ---------------------------------------------------------------------- */

TEST(hypervisor_signature)
{
	SKIP_UNLESS(HAS_HYPERVISOR, "no hypervisor bit");
	CHECK(cpuid(0x40000000).a >= 0x40000000 && cpuid(0x40000000).a < 0x40010000);
	printf("# maximum hypervisor leaf %#x\n", cpuid(0x40000000).a);
}

static bool near(uint64_t a, uint64_t b, unsigned percent)
{
	return (a > b ? a - b : b - a) * 100 <= b * percent;
}

TEST(tsc_frequency_leaves)
{
	uint64_t measured = tsc_measure_khz(), hypervisor = 0, hardware = 0;
	struct cpuid r;

	if (HAS_HYPERVISOR && cpuid(0x40000000).a >= HV_TIMING_LEAF)
		hypervisor = cpuid(HV_TIMING_LEAF).a;
	if (cpuid(0).a >= 0x15) {
		r = cpuid(0x15);
		if (r.a && r.b && r.c)
			hardware = (uint64_t)r.c * r.b / r.a / 1000;
	}
	SKIP_UNLESS(hypervisor || hardware, "no leaf gives the TSC frequency");
	printf("# leaf 40000010h: %llu kHz, leaf 15h: %llu kHz, measured: %llu kHz\n",
	       (unsigned long long)hypervisor, (unsigned long long)hardware,
	       (unsigned long long)measured);
	CHECK(!hypervisor || near(measured, hypervisor, 8));
	CHECK(!hardware || near(measured, hardware, 8));
}

TEST(umbra_signature)
{
	SKIP_UNLESS(is_umbra(), "not under Umbra");
	CHECK(HAS_HYPERVISOR);
	CHECK(HAS_X2APIC && HAS_DEADLINE);
	CHECK(hypercall(HC_VERSION, 0) != 0);
}
