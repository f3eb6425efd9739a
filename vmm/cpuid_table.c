/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * CPUID policy (Intel SDM volume 2, CPUID; AMD APM volume 3, appendix E). A feature word that
 * is not named here is zero for the guest: new features are hidden until somebody has thought
 * about the state they bring.
 */
#include "vmm/cpuid_table.h"

#include "arch/x86/cpuid_bits.h"
#include "arch/x86/regs.h"
#include "arch/x86/virt.h"
#include "lib/bits.h"

/* XSAVE components whose state is swapped with the FPU: x87, SSE, AVX, AVX-512, PKRU. */
#define XCR0_AVX512 (XCR0_OPMASK | XCR0_ZMM_HI256 | XCR0_HI16_ZMM)
#define XCR0_GUEST  (XCR0_X87 | XCR0_SSE | XCR0_AVX | XCR0_AVX512 | XCR0_PKRU)

/* clang-format off */

/* The bits that the guest has where the CPU has them. */
static const uint16_t allowed[] = {
	/* No MONITOR: there is no MWAIT for guests. */
	CPUID_SSE3, CPUID_PCLMULQDQ, CPUID_SSSE3, CPUID_FMA, CPUID_CMPXCHG16B, CPUID_PCID,
	CPUID_SSE4_1, CPUID_SSE4_2, CPUID_MOVBE, CPUID_POPCNT, CPUID_AES, CPUID_XSAVE, CPUID_AVX,
	CPUID_F16C, CPUID_RDRAND,
	CPUID_FPU, CPUID_VME, CPUID_DE, CPUID_PSE, CPUID_TSC, CPUID_MSR, CPUID_PAE, CPUID_CX8,
	CPUID_APIC, CPUID_SEP, CPUID_MTRR, CPUID_PGE, CPUID_CMOV, CPUID_PAT, CPUID_PSE36,
	CPUID_CLFSH, CPUID_MMX, CPUID_FXSR, CPUID_SSE, CPUID_SSE2,

	CPUID_FSGSBASE, CPUID_BMI1, CPUID_AVX2, CPUID_SMEP, CPUID_BMI2, CPUID_ERMS, CPUID_INVPCID,
	CPUID_AVX512F, CPUID_AVX512DQ, CPUID_RDSEED, CPUID_ADX, CPUID_SMAP, CPUID_CLFLUSHOPT,
	CPUID_CLWB, CPUID_AVX512CD, CPUID_SHA, CPUID_AVX512BW, CPUID_AVX512VL,

	CPUID_AVX512_VBMI, CPUID_UMIP, CPUID_PKU, CPUID_AVX512_VBMI2, CPUID_GFNI, CPUID_VAES,
	CPUID_VPCLMULQDQ, CPUID_AVX512_VNNI, CPUID_AVX512_BITALG, CPUID_AVX512_VPOPCNTDQ, CPUID_LA57,
	CPUID_RDPID,

	/* What goes with MSRs is served in vmm/exit/msr.c. */
	CPUID_FSRM, CPUID_MD_CLEAR, CPUID_IBRS_IBPB, CPUID_STIBP, CPUID_L1D_FLUSH,
	CPUID_ARCH_CAPABILITIES, CPUID_SSBD,

	/* XSAVES with an XSS in which no bit may be. */
	CPUID_XSAVEOPT, CPUID_XSAVEC, CPUID_XGETBV_1, CPUID_XSAVES,

	CPUID_LAHF64, CPUID_CMP_LEGACY, CPUID_ALT_MOV_CR8, CPUID_LZCNT, CPUID_SSE4A,
	CPUID_MISALIGN_SSE, CPUID_PREFETCHW, CPUID_XOP, CPUID_FMA4, CPUID_TBM,
	CPUID_TOPOEXT,

	CPUID_SYSCALL, CPUID_NX, CPUID_MMX_EXT, CPUID_FFXSR, CPUID_PAGE_1GB, CPUID_RDTSCP, CPUID_LM,
	CPUID_3DNOW_EXT, CPUID_3DNOW,

	CPUID_TSC_INVARIANT,

	/* No VIRT_SSBD: CPUs that want it have no SPEC_CTRL to do it with. */
	CPUID_CLZERO, CPUID_RSTR_FP_ERR_PTRS, CPUID_WBNOINVD, CPUID_IBPB, CPUID_AMD_IBRS,
	CPUID_AMD_STIBP, CPUID_IBRS_ALWAYS, CPUID_STIBP_ALWAYS, CPUID_IBRS_PREFERRED,
	CPUID_IBRS_SAME_MODE, CPUID_AMD_SSBD, CPUID_SSB_NO, CPUID_BTC_NO,
};

/* Umbra's own: the guest has them in any case. */
static const uint16_t added[] = {
	CPUID_X2APIC, CPUID_TSC_DEADLINE, CPUID_HYPERVISOR, CPUID_APIC, CPUID_TSC_ADJUST,
	CPUID_MCE, CPUID_MCA,
};

/* What works with AVX's registers, and with those of AVX-512. */
static const uint16_t needs_avx[] = {
	CPUID_AVX, CPUID_FMA, CPUID_F16C, CPUID_AVX2, CPUID_VAES, CPUID_VPCLMULQDQ, CPUID_XOP,
	CPUID_FMA4,
};
static const uint16_t needs_avx512[] = {
	CPUID_AVX512F, CPUID_AVX512DQ, CPUID_AVX512CD, CPUID_AVX512BW, CPUID_AVX512VL,
	CPUID_AVX512_VBMI, CPUID_AVX512_VBMI2, CPUID_AVX512_VNNI, CPUID_AVX512_BITALG,
	CPUID_AVX512_VPOPCNTDQ,
};

/* The bits of 0x80000001 EDX that Intel's CPUs have. */
static const uint16_t intel_80000001_edx[] = {
	CPUID_SYSCALL, CPUID_NX, CPUID_PAGE_1GB, CPUID_RDTSCP, CPUID_LM,
};
/* clang-format on */

/* Leaves whose values are plain facts about the CPU and go through as they are. */
static const uint32_t plain_leaves[] = {
	0x2, 0x80000002, 0x80000003, 0x80000004, 0x80000005, 0x80000006,
};

/* CR4 bits and the CPUID bits that they stand for. */
static const struct {
	uint64_t cr4;
	enum cpuid_bit bit;
} cr4_features[] = {
	{CR4_VME | CR4_PVI, CPUID_VME}, {CR4_TSD, CPUID_TSC},           {CR4_DE, CPUID_DE},
	{CR4_PSE, CPUID_PSE},           {CR4_PAE, CPUID_PAE},           {CR4_PGE, CPUID_PGE},
	{CR4_OSFXSR, CPUID_FXSR},       {CR4_OSXMMEXCPT, CPUID_SSE},    {CR4_PCIDE, CPUID_PCID},
	{CR4_OSXSAVE, CPUID_XSAVE},     {CR4_FSGSBASE, CPUID_FSGSBASE}, {CR4_SMEP, CPUID_SMEP},
	{CR4_SMAP, CPUID_SMAP},         {CR4_UMIP, CPUID_UMIP},         {CR4_PKE, CPUID_PKU},
	{CR4_LA57, CPUID_LA57},         {CR4_MCE, CPUID_MCE},
};

static struct cpuid_entry *entry_of(struct cpuid_table *t, uint32_t leaf)
{
	if (leaf < CPUID_BASIC_LEAVES)
		return &t->basic[leaf];
	return &t->ext[leaf - 0x80000000];
}

static uint32_t *word_of(struct cpuid_table *t, enum cpuid_word word)
{
	return (uint32_t *)cpuid_word(t, word);
}

static void hide(struct cpuid_table *t, enum cpuid_bit bit)
{
	*word_of(t, CPUID_WORD(bit)) &= ~CPUID_MASK(bit);
}

static bool host_has_leaf(uint32_t leaf)
{
	return leaf <= cpuid_of_host(leaf & 0x80000000, 0).eax;
}

/* A leaf beyond the last gives the last one's values (Intel): not an answer. */
static void add_plain(struct cpuid_table *t, uint32_t leaf)
{
	if (host_has_leaf(leaf))
		*entry_of(t, leaf) = cpuid_of_host(leaf, 0);
}

static uint32_t host_word(enum cpuid_word word)
{
	const struct cpuid_place *p = &cpuid_places[word];
	struct cpuid_entry e;

	if (!host_has_leaf(p->leaf))
		return 0;
	e = cpuid_of_host(p->leaf, p->subleaf);
	return ((uint32_t *)&e)[p->reg];
}

/* The mask in `word` of those bits of a list that are in it. */
static uint32_t mask_of(const uint16_t *bits, size_t nr, enum cpuid_word word)
{
	uint32_t mask = 0;

	for (size_t i = 0; i < nr; i++) {
		if (CPUID_WORD(bits[i]) == word)
			mask |= CPUID_MASK(bits[i]);
	}
	return mask;
}

static uint32_t allowed_mask(enum cpuid_word word)
{
	uint32_t mask = mask_of(allowed, ARRAY_SIZE(allowed), word);

	if (word == CPUID_80000001_EDX)
		mask |= allowed_mask(CPUID_1_EDX) & CPUID_80000001_EDX_REPEATS;
	return mask;
}

static uint32_t added_mask(enum cpuid_word word)
{
	uint32_t mask = mask_of(added, ARRAY_SIZE(added), word);

	if (word == CPUID_80000001_EDX)
		mask |= added_mask(CPUID_1_EDX) & CPUID_80000001_EDX_REPEATS;
	return mask;
}

static void add_feature_words(struct cpuid_table *t)
{
	for (unsigned w = 0; w < NR_CPUID_WORDS; w++) {
		if (allowed_mask(w) | added_mask(w))
			*word_of(t, w) = (host_word(w) & allowed_mask(w)) | added_mask(w);
	}
}

/* What this CPU has, but not in a guest; and what only AMD's CPUs say of themselves. */
static void hide_unserved(struct cpuid_table *t)
{
	if (!virt_caps.invpcid)
		hide(t, CPUID_INVPCID);
	if (!virt_caps.rdtscp) {
		hide(t, CPUID_RDPID);
		hide(t, CPUID_RDTSCP);
	}
	if (!virt_caps.xsaves)
		hide(t, CPUID_XSAVES);
	if (!cpuid_is_amd(t) || !host_has_leaf(0x8000001e))
		hide(t, CPUID_TOPOEXT);
	if (!cpuid_is_amd(t))
		*word_of(t, CPUID_80000001_EDX) &= mask_of(
			intel_80000001_edx, ARRAY_SIZE(intel_80000001_edx), CPUID_80000001_EDX);
}

/*
 * What the shadow MMU does not offer: PCIDs, protection keys, which no shadow entry has, and
 * guests' tables of five levels.
 */
static void hide_unshadowed(struct cpuid_table *t)
{
	hide(t, CPUID_PCID);
	hide(t, CPUID_INVPCID);
	hide(t, CPUID_PKU);
	hide(t, CPUID_LA57);
}

/* Component `i` of XCR0, from 2 on, as the CPU has it; one without a size is none. */
static uint64_t component_of_host(struct cpuid_table *t, unsigned i)
{
	if (!(t->xcr0 & BIT_ULL(i)))
		return 0;
	t->xsave[i] = cpuid_of_host(0xd, i);
	return t->xsave[i].eax ? BIT_ULL(i) : 0;
}

/* What XCR0 may have: AVX-512 is one thing, and comes with AVX (SDM volume 1, 13.3). */
static void choose_components(struct cpuid_table *t)
{
	uint64_t described = XCR0_X87 | XCR0_SSE;

	t->xcr0 = cpuid_of_host(0xd, 0).eax & XCR0_GUEST;
	if (!cpuid_has(t, CPUID_PKU))
		t->xcr0 &= ~XCR0_PKRU;
	for (unsigned i = 2; i < CPUID_XSAVE_LEAVES; i++)
		described |= component_of_host(t, i);
	t->xcr0 &= described;
	if (!(t->xcr0 & XCR0_AVX) || (t->xcr0 & XCR0_AVX512) != XCR0_AVX512)
		t->xcr0 &= ~XCR0_AVX512;
}

/* Leaf 0xd: the components of XCR0 that the guest may have, with the CPU's sizes and offsets. */
static void add_xsave(struct cpuid_table *t)
{
	struct cpuid_entry d = {.ecx = 576};

	if (!cpuid_has(t, CPUID_XSAVE) || !host_has_leaf(0xd)) {
		hide(t, CPUID_XSAVE);
		*word_of(t, CPUID_D_1_EAX) = 0;
		return;
	}
	choose_components(t);
	for (unsigned i = 2; i < CPUID_XSAVE_LEAVES; i++) {
		if (t->xcr0 & BIT_ULL(i))
			d.ecx = max(d.ecx, t->xsave[i].ebx + t->xsave[i].eax);
		else
			t->xsave[i] = (struct cpuid_entry){0};
	}
	d.eax = (uint32_t)t->xcr0;
	t->xsave[0] = d;
}

static void hide_all(struct cpuid_table *t, const uint16_t *bits, size_t nr)
{
	for (size_t i = 0; i < nr; i++)
		hide(t, (enum cpuid_bit)bits[i]);
}

/*
 * Registers that are not swapped, because their component of XSAVE is not there or not to be
 * trusted, are not for the guest: nor is what works with them.
 */
static void hide_unswapped(struct cpuid_table *t)
{
	if (!(t->xcr0 & XCR0_AVX))
		hide_all(t, needs_avx, ARRAY_SIZE(needs_avx));
	if (!(t->xcr0 & XCR0_AVX512))
		hide_all(t, needs_avx512, ARRAY_SIZE(needs_avx512));
	if (!(t->xcr0 & XCR0_PKRU))
		hide(t, CPUID_PKU);
}

/* Bits of an APIC id that tell the vCPUs of one VM apart. */
static unsigned id_bits(unsigned nr_vcpus)
{
	return nr_vcpus > 1 ? 32 - (unsigned)__builtin_clz(nr_vcpus - 1) : 0;
}

static void add_model(struct cpuid_table *t)
{
	t->basic[1].eax = cpuid_of_host(1, 0).eax;
	t->basic[1].ebx = cpuid_of_host(1, 0).ebx & 0xff00; /* CLFLUSH's line */
	t->ext[1].eax = cpuid_of_host(0x80000001, 0).eax;
	/* Without the leaf: what the first 64-bit CPUs have. */
	t->ext[8].eax = host_has_leaf(0x80000008) ? cpuid_of_host(0x80000008, 0).eax : 0x3024;
}

/* All vCPUs are cores of one package, with one thread each. */
static void add_topology(struct cpuid_table *t, unsigned nr_vcpus)
{
	t->basic[1].ebx |= nr_vcpus << 16;
	if (nr_vcpus > 1)
		*word_of(t, CPUID_1_EDX) |= CPUID_MASK(CPUID_HTT);
	hide(t, CPUID_CMP_LEGACY);
	if (!cpuid_is_amd(t))
		return;
	t->ext[8].ecx = id_bits(nr_vcpus) << 12 | (nr_vcpus - 1);
	if (nr_vcpus > 1)
		*word_of(t, CPUID_80000001_ECX) |= CPUID_MASK(CPUID_CMP_LEGACY);
}

/*
 * The caches, as the CPU has them (Intel: leaf 4; AMD: leaf 0x8000001d). The first two levels are a
 * core's, those above are the package's, with all its APIC ids. Intel's leaf says in each subleaf
 * how many cores a package has.
 */
static void add_caches(struct cpuid_table *t, unsigned nr_vcpus)
{
	uint32_t leaf = cpuid_is_amd(t) ? 0x8000001d : 0x4;
	uint32_t ids = (1u << id_bits(nr_vcpus)) - 1;

	if (!host_has_leaf(leaf) || (cpuid_is_amd(t) && !cpuid_has(t, CPUID_TOPOEXT)))
		return;
	for (unsigned i = 0; i < CPUID_CACHES; i++) {
		struct cpuid_entry e = cpuid_of_host(leaf, i);
		unsigned level = e.eax >> 5 & 7;

		if (!(e.eax & 0x1f))
			return;
		e.eax &= 0x3fff;
		if (level > 2)
			e.eax |= (cpuid_is_amd(t) ? nr_vcpus - 1 : ids) << 14;
		if (!cpuid_is_amd(t))
			e.eax |= ids << 26;
		t->cache[i] = e;
	}
}

static void set_maxima(struct cpuid_table *t)
{
	t->basic[0].eax = t->xcr0 ? 0xd : 0xb;
	t->ext[0].eax = cpuid_has(t, CPUID_TOPOEXT) ? 0x8000001e : 0x80000008;
}

/* What the CPU says of its weaknesses, but for bits that stand for MSRs which guests do not have.
 */
#define ARCH_CAP_GUEST                                                                             \
	(ARCH_CAP_RDCL_NO | ARCH_CAP_IBRS_ALL | ARCH_CAP_RSBA | ARCH_CAP_SKIP_L1DFL |              \
	 ARCH_CAP_SSB_NO | ARCH_CAP_MDS_NO | ARCH_CAP_PSCHANGE_MC_NO | ARCH_CAP_TAA_NO |           \
	 ARCH_CAP_SBDR_SSDP_NO | ARCH_CAP_FBSDP_NO | ARCH_CAP_PSDP_NO | ARCH_CAP_FB_CLEAR |        \
	 ARCH_CAP_RRSBA | ARCH_CAP_BHI_NO | ARCH_CAP_PBRSB_NO | ARCH_CAP_GDS_NO |                  \
	 ARCH_CAP_RFDS_NO | ARCH_CAP_RFDS_CLEAR | ARCH_CAP_ITS_NO)

static bool has_any(const struct cpuid_table *t, const uint16_t *bits, size_t nr)
{
	for (size_t i = 0; i < nr; i++) {
		if (cpuid_has(t, (enum cpuid_bit)bits[i]))
			return true;
	}
	return false;
}

/* STIBP may be set, without effect, where there is IBRS alone. */
static void add_speculation_controls(struct cpuid_table *t)
{
	static const uint16_t ibrs[] = {CPUID_IBRS_IBPB, CPUID_AMD_IBRS};
	static const uint16_t stibp[] = {CPUID_STIBP, CPUID_AMD_STIBP};
	static const uint16_t ssbd[] = {CPUID_SSBD, CPUID_AMD_SSBD};

	t->spec_ctrl = 0;
	if (has_any(t, ibrs, ARRAY_SIZE(ibrs)))
		t->spec_ctrl |= SPEC_CTRL_IBRS | SPEC_CTRL_STIBP;
	if (has_any(t, stibp, ARRAY_SIZE(stibp)))
		t->spec_ctrl |= SPEC_CTRL_STIBP;
	if (has_any(t, ssbd, ARRAY_SIZE(ssbd)))
		t->spec_ctrl |= SPEC_CTRL_SSBD;
	if (cpuid_has(t, CPUID_ARCH_CAPABILITIES))
		t->arch_capabilities = arch_capabilities_of_host() & ARCH_CAP_GUEST;
}

/* The CR4 bits that CPUID `t` stands for; PCE needs no counters to be there. */
static uint64_t cr4_of(const struct cpuid_table *t)
{
	uint64_t cr4 = CR4_PCE;

	for (unsigned i = 0; i < ARRAY_SIZE(cr4_features); i++) {
		if (cpuid_has(t, cr4_features[i].bit))
			cr4 |= cr4_features[i].cr4;
	}
	return cr4;
}

void cpuid_table_init(struct cpuid_table *t, unsigned nr_vcpus, bool may_shadow)
{
	t->basic[0] = cpuid_of_host(0, 0);
	t->ext[0] = cpuid_of_host(0x80000000, 0);
	for (unsigned i = 0; i < ARRAY_SIZE(plain_leaves); i++)
		add_plain(t, plain_leaves[i]);
	add_feature_words(t);
	add_model(t);
	hide_unserved(t);
	if (may_shadow)
		hide_unshadowed(t);
	add_topology(t, nr_vcpus);
	add_caches(t, nr_vcpus);
	add_xsave(t);
	hide_unswapped(t);
	add_speculation_controls(t);
	set_maxima(t);
	t->cr4 = cr4_of(t);
	/* Not only what is known of this CPU: it may have bits that are newer than this table. */
	t->cr4_exits = virt_caps.lax ? ~0ull : ~t->cr4;
}
