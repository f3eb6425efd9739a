/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * CPUID policy (Intel SDM volume 2, CPUID; AMD APM volume 3, appendix E). A feature word that
 * is not named here is zero for the guest: new features are hidden until somebody has thought
 * about the state they bring.
 */
#include "vmm/cpuid_table.h"

#include "arch/x86/regs.h"
#include "arch/x86/virt.h"
#include "lib/bits.h"

/* Feature bits, by position. */
#define F(n) (1u << (n))

/*
 * Leaf 1 ECX: sse3 pclmul ssse3 fma cx16 pcid sse4.1 sse4.2 movbe popcnt aes xsave avx f16c rdrand.
 * Not monitor (no MWAIT for guests), vmx, perf. x2apic, tsc-deadline and hypervisor are Umbra's
 * own.
 */
#define ALLOW_1_ECX                                                                                \
	(F(0) | F(1) | F(9) | F(12) | F(13) | F(17) | F(19) | F(20) | F(22) | F(23) | F(25) |      \
	 F(26) | F(28) | F(29) | F(30))
#define ADD_1_ECX (F(21) | F(24) | F(31))
/*
 * Leaf 1 EDX: fpu vme de pse tsc msr pae cx8 apic sep mtrr pge cmov pat pse36 clflush mmx fxsr sse
 * sse2. Not mce/mca: there are no banks to show. htt as the number of vCPUs says.
 */
#define ALLOW_1_EDX                                                                                \
	(F(0) | F(1) | F(2) | F(3) | F(4) | F(5) | F(6) | F(8) | F(9) | F(11) | F(12) | F(13) |    \
	 F(15) | F(16) | F(17) | F(19) | F(23) | F(24) | F(25) | F(26))
#define HTT_1_EDX       F(28)
#define CPUID_7_ECX_PKU F(3)

/* XSAVE components whose state is swapped with the FPU: x87, SSE, AVX, AVX-512, PKRU. */
#define XCR0_GUEST                                                                                 \
	(XCR0_X87 | XCR0_SSE | XCR0_AVX | XCR0_OPMASK | XCR0_ZMM_HI256 | XCR0_HI16_ZMM | XCR0_PKRU)

/* The mask of each feature word, and what Umbra adds to it. */
struct feature_word {
	uint32_t leaf;
	uint8_t reg; /* 0 eax .. 3 edx */
	uint32_t allow, add;
};

enum { EAX, EBX, ECX, EDX };

static const struct feature_word words[] = {
	{0x1, ECX, ALLOW_1_ECX, ADD_1_ECX},
	{0x1, EDX, ALLOW_1_EDX, F(9)},
	/* fsgsbase tsc_adjust bmi1 avx2 smep bmi2 erms invpcid avx512* rdseed adx smap clflushopt
	   clwb sha */
	{0x7, EBX,
	 F(0) | F(3) | F(5) | F(7) | F(8) | F(9) | F(10) | F(16) | F(17) | F(18) | F(19) | F(20) |
		 F(23) | F(24) | F(28) | F(29) | F(30) | F(31),
	 F(1)},
	/* avx512vbmi umip pku vbmi2 gfni vaes vpclmul vnni bitalg vpopcnt la57 rdpid */
	{0x7, ECX,
	 F(1) | F(2) | F(3) | F(6) | F(8) | F(9) | F(10) | F(11) | F(12) | F(14) | F(16) | F(22),
	 0},
	/* fsrm */
	{0x7, EDX, F(4), 0},
	/* lahf cmp_legacy cr8_legacy abm sse4a misalignsse prefetchw xop fma4 tbm */
	{0x80000001, ECX, F(0) | F(1) | F(4) | F(5) | F(6) | F(7) | F(8) | F(11) | F(16) | F(21),
	 0},
	/* leaf 1's bits again; syscall nx mmxext fxsr_opt 1g rdtscp lm 3dnow */
	{0x80000001, EDX,
	 (ALLOW_1_EDX & 0x0183f3ff) | F(11) | F(20) | F(22) | F(25) | F(26) | F(27) | F(29) |
		 F(30) | F(31),
	 F(9)},
	/* invariant TSC */
	{0x80000007, EDX, F(8), 0},
	/* clzero, xsaveerptr, wbnoinvd */
	{0x80000008, EBX, F(0) | F(2) | F(9), 0},
};

/* Leaf 0xd, subleaf 1: xsaveopt xsavec xgetbv1 xsaves, this one with an XSS in which no bit may be.
 */
#define ALLOW_D_1_EAX (F(0) | F(1) | F(2) | F(3))

/* Leaves whose values are plain facts about the CPU and go through as they are. */
static const uint32_t plain_leaves[] = {
	0x2, 0x80000002, 0x80000003, 0x80000004, 0x80000005, 0x80000006,
};

/* CR4 bits and the CPUID bits that they stand for. */
static const struct {
	uint64_t cr4;
	enum cpuid_word word;
	uint8_t bit;
} cr4_features[] = {
	{CR4_VME | CR4_PVI, CPUID_1_EDX, 1},
	{CR4_TSD, CPUID_1_EDX, 4},
	{CR4_DE, CPUID_1_EDX, 2},
	{CR4_PSE, CPUID_1_EDX, 3},
	{CR4_PAE, CPUID_1_EDX, 6},
	{CR4_PGE, CPUID_1_EDX, 13},
	{CR4_OSFXSR, CPUID_1_EDX, 24},
	{CR4_OSXMMEXCPT, CPUID_1_EDX, 25},
	{CR4_PCIDE, CPUID_1_ECX, 17},
	{CR4_OSXSAVE, CPUID_1_ECX, 26},
	{CR4_FSGSBASE, CPUID_7_EBX, 0},
	{CR4_SMEP, CPUID_7_EBX, 7},
	{CR4_SMAP, CPUID_7_EBX, 20},
	{CR4_UMIP, CPUID_7_ECX, 2},
	{CR4_PKE, CPUID_7_ECX, 3},
	{CR4_LA57, CPUID_7_ECX, 16},
};

static struct cpuid_entry *entry_of(struct cpuid_table *t, uint32_t leaf)
{
	if (leaf < CPUID_BASIC_LEAVES)
		return &t->basic[leaf];
	return &t->ext[leaf - 0x80000000];
}

static bool host_has_leaf(uint32_t leaf)
{
	return leaf <= cpuid_of_host(leaf & 0x80000000, 0).eax;
}

static void add_feature_words(struct cpuid_table *t)
{
	for (unsigned i = 0; i < ARRAY_SIZE(words); i++) {
		const struct feature_word *w = &words[i];
		uint32_t *guest = (uint32_t *)entry_of(t, w->leaf) + w->reg;
		struct cpuid_entry host = cpuid_of_host(w->leaf, 0);

		if (host_has_leaf(w->leaf))
			*guest = ((uint32_t *)&host)[w->reg] & w->allow;
		*guest |= w->add;
	}
}

/* What this CPU has, but not in a guest; and what only AMD's CPUs say of themselves. */
static void hide_unserved(struct cpuid_table *t)
{
	if (!virt_caps.invpcid)
		t->basic[7].ebx &= ~F(10);
	if (!virt_caps.rdtscp) {
		t->basic[7].ecx &= ~F(22); /* RDPID */
		t->ext[1].edx &= ~F(27);
	}
	if (!cpuid_is_amd(t))
		t->ext[1].edx &= F(11) | F(20) | F(26) | F(27) | F(29);
}

/*
 * What the shadow MMU does not offer: PCIDs and INVPCID, protection keys, which no shadow entry has
 * (PKU), and guests' tables of five levels (LA57).
 */
static void hide_unshadowed(struct cpuid_table *t)
{
	t->basic[1].ecx &= ~F(17);
	t->basic[7].ebx &= ~F(10);
	t->basic[7].ecx &= ~(F(16) | CPUID_7_ECX_PKU);
}

/*
 * Leaf 0xd: the components of XCR0 that the guest may have, with the CPU's sizes and offsets. One
 * without a size (Bochs has PKRU, and does not describe it) is none.
 */
static void add_xsave(struct cpuid_table *t)
{
	struct cpuid_entry d = cpuid_of_host(0xd, 0);

	if (!(t->basic[1].ecx & F(26)) || !host_has_leaf(0xd))
		return;
	t->xcr0 = d.eax & XCR0_GUEST;
	if (!(t->basic[7].ecx & CPUID_7_ECX_PKU))
		t->xcr0 &= ~XCR0_PKRU;
	d.edx = 0;
	d.ecx = 576;
	t->xsave[1].eax = cpuid_of_host(0xd, 1).eax & ALLOW_D_1_EAX;
	if (!virt_caps.xsaves)
		t->xsave[1].eax &= ~F(3);
	for (unsigned i = 2; i < CPUID_XSAVE_LEAVES; i++) {
		if (!(t->xcr0 & BIT_ULL(i)))
			continue;
		t->xsave[i] = cpuid_of_host(0xd, i);
		if (!t->xsave[i].eax)
			t->xcr0 &= ~BIT_ULL(i);
		d.ecx = max(d.ecx, t->xsave[i].ebx + t->xsave[i].eax);
	}
	d.eax = (uint32_t)t->xcr0;
	t->xsave[0] = d;
}

/* PKRU is swapped with XSAVE's components, or the guest cannot have it. */
static void hide_unswapped(struct cpuid_table *t)
{
	if (!(t->xcr0 & XCR0_PKRU))
		t->basic[7].ecx &= ~CPUID_7_ECX_PKU;
}

static void add_topology(struct cpuid_table *t, unsigned nr_vcpus)
{
	t->basic[1].eax = cpuid_of_host(1, 0).eax;
	t->basic[1].ebx = (cpuid_of_host(1, 0).ebx & 0xff00) | nr_vcpus << 16;
	if (nr_vcpus > 1)
		t->basic[1].edx |= HTT_1_EDX;
	t->ext[1].eax = cpuid_of_host(0x80000001, 0).eax;
	t->ext[8].eax = cpuid_of_host(0x80000008, 0).eax;
	t->ext[8].ecx = nr_vcpus - 1;
}

static uint32_t feature_word(const struct cpuid_table *t, enum cpuid_word word)
{
	switch (word) {
	case CPUID_1_ECX:
		return t->basic[1].ecx;
	case CPUID_1_EDX:
		return t->basic[1].edx;
	case CPUID_7_EBX:
		return t->basic[7].ebx;
	case CPUID_7_ECX:
		return t->basic[7].ecx;
	case CPUID_EXT1_ECX:
		return t->ext[1].ecx;
	case CPUID_EXT1_EDX:
		return t->ext[1].edx;
	}
	return 0;
}

bool cpuid_has(const struct cpuid_table *t, enum cpuid_word word, unsigned bit)
{
	return feature_word(t, word) & F(bit);
}

/* The CR4 bits that CPUID `t` stands for; PCE needs no counters to be there. */
static uint64_t cr4_of(const struct cpuid_table *t)
{
	uint64_t cr4 = CR4_PCE;

	for (unsigned i = 0; i < ARRAY_SIZE(cr4_features); i++) {
		if (cpuid_has(t, cr4_features[i].word, cr4_features[i].bit))
			cr4 |= cr4_features[i].cr4;
	}
	return cr4;
}

void cpuid_table_init(struct cpuid_table *t, unsigned nr_vcpus, bool may_shadow)
{
	t->basic[0] = cpuid_of_host(0, 0);
	t->ext[0] = cpuid_of_host(0x80000000, 0);
	for (unsigned i = 0; i < ARRAY_SIZE(plain_leaves); i++)
		*entry_of(t, plain_leaves[i]) = cpuid_of_host(plain_leaves[i], 0);
	add_feature_words(t);
	hide_unserved(t);
	if (may_shadow)
		hide_unshadowed(t);
	add_topology(t, nr_vcpus);
	add_xsave(t);
	hide_unswapped(t);
	t->basic[0].eax = t->xcr0 ? 0xd : 0xb;
	t->ext[0].eax = min(t->ext[0].eax, 0x80000008u);
	t->cr4 = cr4_of(t);
	/* Not only what is known of this CPU: it may have bits that are newer than this table. */
	t->cr4_exits = virt_caps.lax ? ~0ull : ~t->cr4;
}
