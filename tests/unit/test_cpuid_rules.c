/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Whatever the machine is, what a guest's CPUID says agrees with itself, as the manuals have it
 * (SDM volume 2, CPUID, and volume 3, 8.9; APM volume 3, appendix E): leaves that tell of the same
 * thing, features that need others, leaves and subleaves that are not there.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "arch/x86/regs.h"
#include "tests/unit/support/fake_virt.h"
#include "vmm/dev/apic/lapic.h"
#include "vmm/exit/cpuid.h"
#include "vmm/vcpu_load.h"
#include "vmm/vm.h"

#define INTEL 0x756e6547, 0x6c65746e, 0x49656e69
#define AMD   0x68747541, 0x444d4163, 0x69746e65

struct leaf {
	uint32_t leaf, subleaf;
	struct cpuid_entry e;
};

#define MAX_LEAVES 24
static const struct model {
	const char *name;
	struct leaf leaves[MAX_LEAVES];
} models[] = {
	{"Core 2",
	 {{0x0, 0, {0xa, INTEL}},
	  {0x1, 0, {0x1067a, 0x00020800, 0x0008e3bd, 0xbfebfbff}},
	  {0x2, 0, {0x05b0b101, 0x005657f0, 0, 0x2cb4304e}},
	  {0x4, 0, {0x04000121, 0x01c0003f, 0x3f, 1}},
	  {0x4, 1, {0x04000122, 0x01c0003f, 0x3f, 1}},
	  {0x4, 2, {0x04004143, 0x05c0003f, 0xfff, 1}},
	  {0x80000000, 0, {0x80000008, 0, 0, 0}},
	  {0x80000001, 0, {0, 0, 1, 0x20100800}},
	  {0x80000008, 0, {0x3024, 0, 0, 0}}}},
	{"Skylake server, 28 cores of two threads",
	 {{0x0, 0, {0x16, INTEL}},
	  {0x1, 0, {0x50654, 0x00400800, 0x7ffefbff, 0xbfebfbff}},
	  {0x2, 0, {0x76036301, 0x00f0b5ff, 0, 0x00c30000}},
	  {0x4, 0, {0x7c004121, 0x01c0003f, 0x3f, 0}},
	  {0x4, 1, {0x7c004122, 0x01c0003f, 0x3f, 0}},
	  {0x4, 2, {0x7c004143, 0x03c0003f, 0x3ff, 0}},
	  {0x4, 3, {0x7c0fc163, 0x0280003f, 0xdfff, 4}},
	  {0x7, 0, {0, 0xd39ffffb, 0x00000008, 0xbc000400}},
	  {0xb, 0, {1, 2, 0x100, 0x11}},
	  {0xb, 1, {6, 56, 0x201, 0x11}},
	  {0xd, 0, {0x2ff, 2696, 2696, 0}},
	  {0xd, 1, {0xf, 2568, 0x100, 0}},
	  {0xd, 2, {256, 576, 0, 0}},
	  {0xd, 3, {64, 960, 0, 0}},
	  {0xd, 4, {64, 1024, 0, 0}},
	  {0xd, 5, {64, 1088, 0, 0}},
	  {0xd, 6, {512, 1152, 0, 0}},
	  {0xd, 7, {1024, 1664, 0, 0}},
	  {0xd, 9, {8, 2688, 0, 0}},
	  {0x80000000, 0, {0x80000008, 0, 0, 0}},
	  {0x80000001, 0, {0, 0, 0x121, 0x2c100800}},
	  {0x80000008, 0, {0x302e, 0, 0, 0}}}},
	{"the same without AVX-512's registers",
	 {{0x0, 0, {0x16, INTEL}},
	  {0x1, 0, {0x50654, 0x00400800, 0x7ffefbff, 0xbfebfbff}},
	  {0x7, 0, {0, 0xd39ffffb, 0x0000474a, 0xbc000400}},
	  {0xd, 0, {0x67, 832, 832, 0}},
	  {0xd, 1, {0x1, 832, 0, 0}},
	  {0xd, 2, {256, 576, 0, 0}},
	  {0xd, 5, {64, 1088, 0, 0}},
	  {0x80000000, 0, {0x80000008, 0, 0, 0}},
	  {0x80000001, 0, {0, 0, 0x121, 0x2c100800}},
	  {0x80000008, 0, {0x302e, 0, 0, 0}}}},
	{"the same without XSAVE",
	 {{0x0, 0, {0x16, INTEL}},
	  {0x1, 0, {0x50654, 0x00400800, 0x73fefbff, 0xbfebfbff}},
	  {0x7, 0, {0, 0xd39ffffb, 0x0000474a, 0xbc000400}},
	  {0x80000000, 0, {0x80000008, 0, 0, 0}},
	  {0x80000001, 0, {0, 0, 0x121, 0x2c100800}},
	  {0x80000008, 0, {0x302e, 0, 0, 0}}}},
	{"family 10h, six cores",
	 {{0x0, 0, {0x6, AMD}},
	  {0x1, 0, {0x00100fa0, 0x00060800, 0x00802009, 0x178bfbff}},
	  {0x80000000, 0, {0x8000001b, AMD}},
	  {0x80000001, 0, {0x00100fa0, 0x10000000, 0x000037ff, 0xefd3fbff}},
	  {0x80000005, 0, {0xff30ff10, 0xff30ff20, 0x40020140, 0x40020140}},
	  {0x80000006, 0, {0x20800000, 0x42004200, 0x02008140, 0x0030b140}},
	  {0x80000008, 0, {0x3030, 0, 0x3005, 0}}}},
	{"Zen, eight cores of two threads",
	 {{0x0, 0, {0xd, AMD}},
	  {0x1, 0, {0x00800f12, 0x00100800, 0x7ed8320b, 0x178bfbff}},
	  {0x7, 0, {0, 0x209c01a9, 0, 0}},
	  {0xd, 0, {7, 832, 832, 0}},
	  {0xd, 1, {0xf, 832, 0, 0}},
	  {0xd, 2, {256, 576, 0, 0}},
	  {0x80000000, 0, {0x8000001f, AMD}},
	  {0x80000001, 0, {0x00800f12, 0x40000000, 0x35c233ff, 0x2fd3fbff}},
	  {0x80000008, 0, {0x3030, 0x1007, 0x400f, 0}},
	  {0x8000001d, 0, {0x00004121, 0x01c0003f, 0x3f, 0}},
	  {0x8000001d, 1, {0x00004122, 0x00c0003f, 0xff, 0}},
	  {0x8000001d, 2, {0x00004143, 0x01c0003f, 0x3ff, 2}},
	  {0x8000001d, 3, {0x0001c163, 0x03c0003f, 0x1fff, 1}},
	  {0x8000001e, 0, {0x5, 0x0102, 0x300, 0}}}},
};

static const struct model *model;
static struct vm vm;
static struct vcpu vcpu;
static struct lapic lapic;
static uint64_t xcr0;

uint64_t arch_capabilities_of_host(void)
{
	return ~0ull;
}

/* As a CPU answers: Intel's, beyond the last leaf, with the last basic one. */
struct cpuid_entry cpuid_of_host(uint32_t leaf, uint32_t subleaf)
{
	uint32_t last = 0, last_basic = model->leaves[0].e.eax;

	for (unsigned i = 0; i < MAX_LEAVES; i++) {
		const struct leaf *l = &model->leaves[i];

		if ((l->leaf == leaf && l->subleaf == subleaf) && (i == 0 || l->leaf))
			return l->e;
		if (l->leaf == (leaf & 0x80000000) && (i == 0 || l->leaf))
			last = l->e.eax;
	}
	if (leaf > last && model->leaves[0].e.ebx != CPUID_VENDOR_AMD_EBX && leaf != last_basic)
		return cpuid_of_host(last_basic, subleaf);
	return (struct cpuid_entry){0};
}

uint64_t vcpu_xcr0(struct vcpu *v)
{
	return xcr0;
}

uint64_t clock_tsc_khz(void)
{
	return 2000000;
}

static struct cpuid_entry guest(uint32_t leaf, uint32_t subleaf)
{
	uint64_t *gpr = vcpu.virt.gpr;

	gpr[GPR_RAX] = leaf;
	gpr[GPR_RCX] = subleaf;
	cpuid_execute(&vcpu);
	return (struct cpuid_entry){(uint32_t)gpr[GPR_RAX], (uint32_t)gpr[GPR_RBX],
				    (uint32_t)gpr[GPR_RCX], (uint32_t)gpr[GPR_RDX]};
}

static bool has(enum cpuid_bit bit)
{
	const struct cpuid_place *p = &cpuid_places[CPUID_WORD(bit)];
	struct cpuid_entry e;

	if (guest(p->leaf & 0x80000000, 0).eax < p->leaf)
		return false;
	e = guest(p->leaf, p->subleaf);
	return ((uint32_t *)&e)[p->reg] & CPUID_MASK(bit);
}

static bool is_amd(void)
{
	return cpuid_is_amd(&vm.cpuid);
}

/* ---- the rules ---- */

static unsigned power_of_2(unsigned n)
{
	unsigned p = 1;

	while (p < n)
		p *= 2;
	return p;
}

static void check_ids(unsigned nr)
{
	struct cpuid_entry e = guest(1, 0);
	unsigned package_bits;

	assert_int_equal(e.ebx >> 24, vcpu.id);
	assert_int_equal(has(CPUID_HTT), nr > 1);
	assert_int_equal(e.ebx >> 16 & 0xff, nr);
	package_bits = guest(0xb, 1).eax;
	assert_int_equal(1u << package_bits, power_of_2(nr));
	assert_int_equal(guest(0xb, 0).ebx, 1);
	assert_int_equal(guest(0xb, 1).ebx, nr);
	for (uint32_t i = 0; i < 300; i += 7) {
		e = guest(0xb, i);
		assert_int_equal(e.edx, vcpu.id);
		assert_int_equal(e.ecx & 0xff, i & 0xff);
		assert_int_equal(e.ecx >> 8, i < 2 ? i + 1 : 0);
		assert_true(i < 2 || (!e.eax && !e.ebx));
	}
}

/* Subleaves without a type end the list. */
static unsigned check_caches(uint32_t leaf, unsigned nr)
{
	struct cpuid_entry end, none = {0};
	unsigned n = 0;

	for (; guest(leaf, n).eax & 0x1f; n++) {
		struct cpuid_entry e = guest(leaf, n);
		unsigned level = e.eax >> 5 & 7, sharing = (e.eax >> 14 & 0xfff) + 1;

		assert_true(n < CPUID_CACHES && level >= 1);
		assert_int_equal(power_of_2(sharing), level > 2 ? power_of_2(nr) : 1);
		assert_int_equal(e.eax >> 26, is_amd() ? 0 : power_of_2(nr) - 1);
	}
	end = guest(leaf, n);
	assert_memory_equal(&end, &none, sizeof(end));
	return n;
}

static void check_intel(unsigned nr)
{
	uint32_t last = guest(0, 0).eax;
	const uint32_t beyond[] = {last + 1,   0x14,       0x1f,       0x20,      0x3fffffff,
				   0x80000009, 0x8000001d, 0x80000100, 0xffffffff};
	unsigned caches = check_caches(4, nr);

	assert_int_equal(caches > 0,
			 (cpuid_of_host(4, 0).eax & 0x1f) && model->leaves[0].e.eax >= 4);
	for (unsigned i = 0; i < ARRAY_SIZE(beyond); i++) {
		for (uint32_t k = 0; k < 4; k++) {
			struct cpuid_entry e = guest(beyond[i], k), want = guest(last, k);

			assert_memory_equal(&e, &want, sizeof(e));
		}
	}
	/* Descriptor FFh: "see leaf 4". */
	for (unsigned i = 8; i < 32; i += 8)
		assert_true((guest(2, 0).ebx >> i & 0xff) != 0xff || caches);
	assert_false(has(CPUID_CMP_LEGACY) || has(CPUID_TOPOEXT));
	assert_int_equal(guest(0x80000008, 0).ecx, 0);
}

static void check_amd(unsigned nr)
{
	struct cpuid_entry e = guest(0x80000008, 0), none = {0};
	uint32_t last = guest(0x80000000, 0).eax;

	assert_int_equal(e.ecx & 0xff, nr - 1);
	assert_int_equal(1u << (e.ecx >> 12 & 0xf), power_of_2(nr));
	assert_int_equal(has(CPUID_CMP_LEGACY), nr > 1);
	assert_int_equal(has(CPUID_TOPOEXT), last >= 0x8000001e);
	e = guest(4, 0);
	assert_memory_equal(&e, &none, sizeof(e));
	for (uint32_t k = 1; k < 0x100; k += 9) {
		e = guest(last + k, 0);
		assert_memory_equal(&e, &none, sizeof(e));
		e = guest(guest(0, 0).eax + k, 0);
		assert_memory_equal(&e, &none, sizeof(e));
	}
	if (!has(CPUID_TOPOEXT))
		return;
	assert_true(check_caches(0x8000001d, nr) > 0);
	e = guest(0x8000001e, 0);
	assert_int_equal(e.eax, vcpu.id);
	assert_int_equal(e.ebx, vcpu.id); /* this core, of one thread */
	assert_int_equal(e.ecx, 0);       /* node 0 of one */
}

static void check_needs(void)
{
	static const struct {
		uint16_t bit, needs;
	} table[] = {
		{CPUID_AVX, CPUID_XSAVE},
		{CPUID_FMA, CPUID_AVX},
		{CPUID_F16C, CPUID_AVX},
		{CPUID_AVX2, CPUID_AVX},
		{CPUID_VAES, CPUID_AVX},
		{CPUID_VPCLMULQDQ, CPUID_AVX},
		{CPUID_XOP, CPUID_AVX},
		{CPUID_FMA4, CPUID_AVX},
		{CPUID_AVX512F, CPUID_AVX2},
		{CPUID_AVX512DQ, CPUID_AVX512F},
		{CPUID_AVX512CD, CPUID_AVX512F},
		{CPUID_AVX512BW, CPUID_AVX512F},
		{CPUID_AVX512VL, CPUID_AVX512F},
		{CPUID_AVX512_VBMI, CPUID_AVX512F},
		{CPUID_AVX512_VBMI2, CPUID_AVX512F},
		{CPUID_AVX512_VNNI, CPUID_AVX512F},
		{CPUID_AVX512_BITALG, CPUID_AVX512F},
		{CPUID_AVX512_VPOPCNTDQ, CPUID_AVX512F},
		{CPUID_PKU, CPUID_XSAVE},
		{CPUID_XSAVEOPT, CPUID_XSAVE},
		{CPUID_XSAVEC, CPUID_XSAVE},
		{CPUID_XSAVES, CPUID_XSAVEC},
		{CPUID_SSE2, CPUID_SSE},
		{CPUID_SSE, CPUID_FXSR},
		{CPUID_INVPCID, CPUID_PCID},
		{CPUID_MCA, CPUID_MCE},
		{CPUID_LM, CPUID_PAE},
	};

	for (unsigned i = 0; i < ARRAY_SIZE(table); i++) {
		if (has((enum cpuid_bit)table[i].bit) && !has((enum cpuid_bit)table[i].needs))
			fail_msg("bit %u without %u", table[i].bit, table[i].needs);
	}
}

static void check_registers(void)
{
	uint64_t all = vm.cpuid.xcr0, avx512 = XCR0_OPMASK | XCR0_ZMM_HI256 | XCR0_HI16_ZMM;
	uint32_t size = 576;

	assert_int_equal(has(CPUID_XSAVE), guest(0, 0).eax >= 0xd);
	assert_int_equal(has(CPUID_XSAVE), all != 0);
	if (!all)
		return;
	assert_int_equal(guest(0xd, 0).eax, all);
	assert_int_equal(has(CPUID_AVX), !!(all & XCR0_AVX));
	assert_int_equal(has(CPUID_AVX512F), (all & avx512) == avx512);
	assert_true(has(CPUID_AVX512F) || !(all & avx512));
	assert_int_equal(has(CPUID_PKU), !!(all & XCR0_PKRU));
	for (unsigned i = 2; i < 64; i++) {
		struct cpuid_entry e = guest(0xd, i);

		assert_int_equal(e.eax != 0, i < 32 && (all & BIT_ULL(i)));
		size = max(size, e.eax + e.ebx);
	}
	xcr0 = all;
	assert_int_equal(guest(0xd, 0).ebx, size);
	assert_int_equal(guest(0xd, 0).ecx, size);
}

static void all_rules_hold(void **state)
{
	static const unsigned counts[] = {1, 2, 3, 4, 6, 8, 33, 64};

	for (unsigned i = 0; i < ARRAY_SIZE(models) * ARRAY_SIZE(counts); i++) {
		unsigned nr = counts[i % ARRAY_SIZE(counts)];

		model = &models[i / ARRAY_SIZE(counts)];
		memset(&vm, 0, sizeof(vm));
		virt_caps = (struct virt_caps){.xsaves = true, .invpcid = true, .rdtscp = true};
		vm.nr_vcpus = nr;
		cpuid_table_init(&vm.cpuid, nr, false);
		lapic = (struct lapic){.base = LAPIC_DEFAULT_BASE | LAPIC_BASE_ENABLE};
		xcr0 = XCR0_X87;
		for (unsigned id = 0; id<nr; id += nr> 8 ? 31 : 1) {
			vcpu = (struct vcpu){.vm = &vm, .lapic = &lapic, .id = id};
			check_ids(nr);
			is_amd() ? check_amd(nr) : check_intel(nr);
		}
		check_needs();
		check_registers();
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(all_rules_hold)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
