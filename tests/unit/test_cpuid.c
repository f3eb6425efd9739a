/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * CPUID policy on three machines: one whose CPUID has every bit set, one that has nothing but
 * the leaves, and one like a real processor of 2020.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "arch/x86/regs.h"
#include "tests/unit/support/fake_virt.h"
#include "vmm/dev/apic/lapic.h"
#include "vmm/exit/cpuid.h"
#include "vmm/vcpu_load.h"
#include "vmm/vm.h"

#define M(name) CPUID_MASK(CPUID_##name)

struct leaf {
	uint32_t leaf, subleaf;
	struct cpuid_entry e;
};

static const struct leaf zen[] = {
	{0x0, 0, {0x10, 0x68747541, 0x444d4163, 0x69746e65}},
	{0x1, 0, {0x00a20f10, 0x03200800, 0x7ef8320b, 0x178bfbff}},
	{0x7, 0, {0, 0x219c97a9, 0x0040069c, 0x10}},
	{0xd, 0, {0x207, 832, 2440, 0}},
	{0xd, 1, {0xf, 840, 0x1800, 0}},
	{0xd, 2, {256, 576, 0, 0}},
	{0xd, 9, {8, 2432, 0, 0}},
	{0x80000000, 0, {0x80000023, 0x68747541, 0x444d4163, 0x69746e65}},
	{0x80000001, 0, {0x00a20f10, 0x20000000, 0x75c237ff, 0x2fd3fbff}},
	{0x80000007, 0, {0, 0x3b, 0, 0x6799}},
	{0x80000008, 0, {0x3030, 0x111ef657, 0x4007, 0x10000}},
	{0x8000000a, 0, {1, 0x8000, 0, 0x101bbcff}},
};

static enum { ALL_ONES, BARE, ZEN } machine;
static struct vm vm;
static struct vcpu vcpu;
static struct lapic lapic;
static uint64_t xcr0;

uint64_t arch_capabilities_of_host(void)
{
	return ~0ull;
}

struct cpuid_entry cpuid_of_host(uint32_t leaf, uint32_t subleaf)
{
	if (machine == ALL_ONES)
		return (struct cpuid_entry){UINT32_MAX, UINT32_MAX, UINT32_MAX, UINT32_MAX};
	if (machine == BARE) /* the leaves that any long-mode CPU has, without a feature */
		return (struct cpuid_entry){.eax = leaf == 0            ? 1
						   : leaf == 0x80000000 ? 0x80000008
						   : leaf == 0x80000008 ? 0x3028
									: 0};
	for (unsigned i = 0; i < ARRAY_SIZE(zen); i++) {
		if (zen[i].leaf == leaf && zen[i].subleaf == subleaf)
			return zen[i].e;
	}
	return (struct cpuid_entry){0};
}

uint64_t vcpu_xcr0(struct vcpu *v)
{
	return xcr0;
}

uint64_t clock_tsc_khz(void)
{
	return 3700000;
}

static void set_up(int which, unsigned nr_vcpus)
{
	machine = which;
	memset(&vm, 0, sizeof(vm));
	memset(&fake_cpu, 0, sizeof(fake_cpu));
	virt_caps = (struct virt_caps){.xsaves = true, .invpcid = true, .rdtscp = true};
	vm.nr_vcpus = nr_vcpus;
	cpuid_table_init(&vm.cpuid, nr_vcpus, false);
	lapic = (struct lapic){.base = LAPIC_DEFAULT_BASE | LAPIC_BASE_ENABLE};
	vcpu = (struct vcpu){.vm = &vm, .lapic = &lapic};
	xcr0 = XCR0_X87;
}

static struct cpuid_entry guest(uint32_t leaf, uint32_t subleaf)
{
	uint64_t *gpr = vcpu.virt.gpr;

	/* The upper halves do not matter, and are cleared. */
	gpr[GPR_RAX] = 0xdead000000000000 | leaf;
	gpr[GPR_RCX] = 0xdead000000000000 | subleaf;
	gpr[GPR_RBX] = gpr[GPR_RDX] = ~0ull;
	cpuid_execute(&vcpu);
	for (unsigned i = GPR_RAX; i <= GPR_RBX; i++)
		assert_int_equal(gpr[i] >> 32, 0);
	return (struct cpuid_entry){(uint32_t)gpr[GPR_RAX], (uint32_t)gpr[GPR_RBX],
				    (uint32_t)gpr[GPR_RCX], (uint32_t)gpr[GPR_RDX]};
}

static void expect(uint32_t leaf, uint32_t subleaf, struct cpuid_entry want)
{
	struct cpuid_entry e = guest(leaf, subleaf);

	assert_int_equal(e.eax, want.eax);
	assert_int_equal(e.ebx, want.ebx);
	assert_int_equal(e.ecx, want.ecx);
	assert_int_equal(e.edx, want.edx);
}

static void expect_nothing(uint32_t leaf)
{
	expect(leaf, 0, (struct cpuid_entry){0});
	expect(leaf, 1, (struct cpuid_entry){0});
}

static void expect_last(uint32_t leaf)
{
	for (uint32_t i = 0; i < 4; i++)
		expect(leaf, i, guest(guest(0, 0).eax, i));
}

/* None of these bits, all of one word, is in it. */
static void expect_none(uint32_t word, const enum cpuid_bit *bits, size_t nr)
{
	for (size_t i = 0; i < nr; i++) {
		assert_int_equal(CPUID_WORD(bits[i]), CPUID_WORD(bits[0]));
		assert_int_equal(word & CPUID_MASK(bits[i]), 0);
	}
}

#define EXPECT_NONE(word, ...)                                                                     \
	do {                                                                                       \
		static const enum cpuid_bit bits[] = {__VA_ARGS__};                                \
		expect_none(word, bits, ARRAY_SIZE(bits));                                         \
	} while (0)

/* Whatever the machine has: what Umbra does not serve is not there. */
static void nothing_comes_through_by_itself(void **state)
{
	struct cpuid_entry e;

	set_up(ALL_ONES, 1);
	assert_int_equal(guest(0, 0).eax, 0xd);
	assert_int_equal(guest(0x80000000, 0).eax, 0x80000008);
	e = guest(1, 0);
	EXPECT_NONE(e.ecx, CPUID_DTES64, CPUID_MONITOR, CPUID_DS_CPL, CPUID_VMX, CPUID_SMX,
		    CPUID_EIST, CPUID_TM2, CPUID_CNXT_ID, CPUID_SDBG, CPUID_XTPR, CPUID_PDCM,
		    CPUID_DCA, CPUID_OSXSAVE);
	EXPECT_NONE(e.edx, CPUID_PSN, CPUID_DS, CPUID_ACPI, CPUID_SS, CPUID_HTT, CPUID_TM,
		    CPUID_IA64, CPUID_PBE);
	e = guest(7, 0);
	assert_int_equal(e.eax, 0);
	EXPECT_NONE(e.ebx, CPUID_SGX, CPUID_HLE, CPUID_RTM, CPUID_RDT_M, CPUID_MPX, CPUID_RDT_A,
		    CPUID_INTEL_PT);
	EXPECT_NONE(e.ecx, CPUID_OSPKE, CPUID_WAITPKG, CPUID_CET_SS, CPUID_TME_EN, CPUID_KL,
		    CPUID_BUS_LOCK_DETECT, CPUID_ENQCMD, CPUID_SGX_LC, CPUID_PKS);
	assert_int_equal(e.edx, M(FSRM) | M(MD_CLEAR) | M(IBRS_IBPB) | M(STIBP) | M(L1D_FLUSH) |
					M(ARCH_CAPABILITIES) | M(SSBD));
	/* Not what stands for MSRs that a guest has not: TSX_CTRL and the like. */
	assert_int_equal(vm.cpuid.arch_capabilities & (BIT_ULL(7) | BIT_ULL(10) | BIT_ULL(12) |
						       BIT_ULL(18) | BIT_ULL(21)),
			 0);
	assert_true(vm.cpuid.arch_capabilities & ARCH_CAP_RDCL_NO);
	assert_int_equal(vm.cpuid.spec_ctrl, SPEC_CTRL_IBRS | SPEC_CTRL_STIBP | SPEC_CTRL_SSBD);
	e = guest(0x80000001, 0);
	EXPECT_NONE(e.ecx, CPUID_SVM, CPUID_EXT_APIC_SPACE, CPUID_IBS, CPUID_SKINIT, CPUID_WDT,
		    CPUID_NODE_ID_MSR, CPUID_PERF_CTR_EXT_CORE, CPUID_PERF_CTR_EXT_DF,
		    CPUID_MONITORX);
	for (uint32_t leaf = 3; leaf < 0xd; leaf++) {
		if (leaf != 4 && leaf != 7 && leaf != 0xb)
			expect_nothing(leaf);
	}
	/* An Intel CPU, as far as it is any: beyond the maximum is the highest basic leaf. */
	for (uint32_t leaf = 0xe; leaf < 0x40; leaf++)
		expect_last(leaf);
	for (uint32_t leaf = 0x80000009; leaf < 0x80000040; leaf++)
		expect_last(leaf);
	expect_last(0x8fffffff);
	expect_last(0xc0000000);
	expect_last(0xffffffff);
	assert_int_equal(vm.cpuid.xcr0 & ~(XCR0_X87 | XCR0_SSE | XCR0_AVX | XCR0_OPMASK |
					   XCR0_ZMM_HI256 | XCR0_HI16_ZMM | XCR0_PKRU),
			 0);
	assert_int_equal(vm.cpuid.cr4 & (CR4_VMXE | CR4_CET), 0);
	/* CET, and what no CPU had when this was written (bit 32 is FRED, 25 UINTR). */
	assert_int_equal(vm.cpuid.cr4_exits, ~vm.cpuid.cr4);
}

static void umbra_adds_its_own(void **state)
{
	set_up(BARE, 1);
	assert_int_equal(guest(1, 0).ecx, M(X2APIC) | M(TSC_DEADLINE) | M(HYPERVISOR));
	assert_int_equal(guest(1, 0).edx, M(APIC) | M(MCE) | M(MCA));
	assert_int_equal(guest(7, 0).ebx, M(TSC_ADJUST));
	assert_int_equal(guest(0x80000001, 0).edx, 0);
	assert_int_equal(guest(0, 0).eax, 0xb);
	expect_last(0xd);
	assert_int_equal(vm.cpuid.xcr0, 0);
	assert_int_equal(vm.cpuid.spec_ctrl | vm.cpuid.arch_capabilities, 0);
	assert_int_equal(vm.cpuid.cr4, CR4_PCE | CR4_MCE);
	assert_int_equal(vm.cpuid.cr4_exits, ~(CR4_PCE | CR4_MCE));
	expect(0x40000000, 0, (struct cpuid_entry){0x40000010, 0x72626d55, 0x626d5561, 0x00006172});
	expect(0x40000010, 0, (struct cpuid_entry){3700000, 1000000, 0, 0});
	expect_nothing(0x40000001);
	expect_nothing(0x400000ff);
	expect_nothing(0x40000100);
}

/* A CPU that checks nothing itself has each write of CR4 looked at. */
static void a_lax_cpu_is_watched(void **state)
{
	set_up(BARE, 1);
	virt_caps.lax = true;
	cpuid_table_init(&vm.cpuid, 1, false);
	assert_int_equal(vm.cpuid.cr4_exits, ~0ull);
	virt_caps.lax = false;
}

/* The shadow MMU has no PCIDs, no protection keys and no five levels. */
static void shadow_paging_hides_what_it_lacks(void **state)
{
	set_up(ALL_ONES, 1);
	assert_int_equal(guest(1, 0).ecx & M(PCID), M(PCID));
	assert_int_equal(vm.cpuid.cr4 & (CR4_PCIDE | CR4_PKE | CR4_LA57),
			 CR4_PCIDE | CR4_PKE | CR4_LA57);
	memset(&vm.cpuid, 0, sizeof(vm.cpuid));
	cpuid_table_init(&vm.cpuid, 1, true);
	assert_int_equal(guest(1, 0).ecx & M(PCID), 0);
	assert_int_equal(guest(7, 0).ebx & M(INVPCID), 0);
	assert_int_equal(guest(7, 0).ecx & (M(PKU) | M(LA57)), 0);
	assert_int_equal(vm.cpuid.cr4 & (CR4_PCIDE | CR4_PKE | CR4_LA57), 0);
	assert_int_equal(vm.cpuid.cr4 & (CR4_SMEP | CR4_SMAP | CR4_PGE),
			 CR4_SMEP | CR4_SMAP | CR4_PGE);
	assert_int_equal(vm.cpuid.xcr0 & XCR0_PKRU, 0);
}

static void some_bits_follow_the_state(void **state)
{
	set_up(ZEN, 4);
	vcpu.id = 3;
	assert_int_equal(guest(1, 0).ecx & M(OSXSAVE), 0);
	assert_int_equal(guest(7, 0).ecx & M(OSPKE), 0);
	assert_int_equal(guest(1, 0).edx & M(APIC), M(APIC));
	fake_cpu.vreg[VREG_CR4] = CR4_OSXSAVE | CR4_PKE;
	lapic.base = LAPIC_DEFAULT_BASE;
	assert_int_equal(guest(1, 0).ecx & M(OSXSAVE), M(OSXSAVE));
	assert_int_equal(guest(7, 0).ecx & M(OSPKE), M(OSPKE));
	assert_int_equal(guest(1, 0).edx & M(APIC), 0);
	assert_int_equal(guest(1, 0).ebx, 3u << 24 | 4 << 16 | 0x0800);
	expect(7, 1, (struct cpuid_entry){0});
}

static void topology(void **state)
{
	static const struct {
		unsigned nr, bits;
	} table[] = {{1, 0}, {2, 1}, {3, 2}, {4, 2}, {5, 3}, {63, 6}, {64, 6}};

	for (unsigned i = 0; i < ARRAY_SIZE(table); i++) {
		set_up(ZEN, table[i].nr);
		vcpu.id = table[i].nr - 1;
		expect(0xb, 0, (struct cpuid_entry){0, 1, 0x100, vcpu.id});
		expect(0xb, 1, (struct cpuid_entry){table[i].bits, table[i].nr, 0x201, vcpu.id});
		expect(0xb, 2, (struct cpuid_entry){0, 0, 2, vcpu.id});
		assert_int_equal(!!(guest(1, 0).edx & M(HTT)), table[i].nr > 1);
		assert_int_equal(guest(0x80000008, 0).ecx, table[i].bits << 12 | (table[i].nr - 1));
	}
}

/* The sizes that a kernel compares with what it adds up itself (SDM volume 1, 13.4). */
static void sizes_of_the_xsave_area(void **state)
{
	set_up(ZEN, 1);
	assert_int_equal(vm.cpuid.xcr0, 0x207);
	expect(0xd, 0, (struct cpuid_entry){0x207, 576, 2440, 0});
	expect(0xd, 1, (struct cpuid_entry){0xf, 576, 0, 0});
	expect(0xd, 2, (struct cpuid_entry){256, 576, 0, 0});
	expect(0xd, 3, (struct cpuid_entry){0});
	xcr0 = 7;
	assert_int_equal(guest(0xd, 0).ebx, 832);
	assert_int_equal(guest(0xd, 1).ebx, 832);
	xcr0 = 0x207;
	assert_int_equal(guest(0xd, 0).ebx, 2440);
	assert_int_equal(guest(0xd, 1).ebx, 840); /* one behind the other */
	vm.cpuid.xsave[2].eax = 250;
	vm.cpuid.xsave[9].ecx = BIT(1); /* aligned to 64 bytes */
	assert_int_equal(guest(0xd, 1).ebx, 840);
	expect(0xd, 64, (struct cpuid_entry){0});
	expect(0xd, UINT32_MAX, (struct cpuid_entry){0});
}

/* What the vendor's controls do not let guests have. */
static void what_the_vendor_lacks_is_hidden(void **state)
{
	set_up(ZEN, 1);
	assert_int_equal(guest(0xd, 1).eax, 0xf);
	assert_true(guest(7, 0).ebx & M(INVPCID));
	assert_true(guest(7, 0).ecx & M(RDPID));
	assert_true(guest(0x80000001, 0).edx & M(RDTSCP));
	virt_caps = (struct virt_caps){.tdp = true};
	memset(&vm.cpuid, 0, sizeof(vm.cpuid));
	cpuid_table_init(&vm.cpuid, 1, false);
	assert_int_equal(guest(0xd, 1).eax, 7);
	assert_false(guest(7, 0).ebx & M(INVPCID));
	assert_false(guest(7, 0).ecx & M(RDPID));
	assert_false(guest(0x80000001, 0).edx & M(RDTSCP));
}

static void plain_facts_come_through(void **state)
{
	set_up(ZEN, 1);
	assert_int_equal(guest(0, 0).ebx, 0x68747541);
	assert_int_equal(guest(1, 0).eax, 0x00a20f10);
	assert_int_equal(guest(0x80000008, 0).eax, 0x3030);
	assert_int_equal(guest(0x80000007, 0).edx, M(TSC_INVARIANT));
	assert_true(cpuid_has(&vm.cpuid, CPUID_LM));
	assert_true(cpuid_has(&vm.cpuid, CPUID_SMAP));
	assert_false(cpuid_has(&vm.cpuid, CPUID_SVM));
	assert_int_equal(vm.cpuid.cr4 & (CR4_SMEP | CR4_SMAP | CR4_UMIP | CR4_PKE | CR4_FSGSBASE),
			 CR4_SMEP | CR4_SMAP | CR4_UMIP | CR4_PKE | CR4_FSGSBASE);
	assert_int_equal(vm.cpuid.cr4 & CR4_LA57, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_comes_through_by_itself),
		cmocka_unit_test(umbra_adds_its_own),
		cmocka_unit_test(a_lax_cpu_is_watched),
		cmocka_unit_test(shadow_paging_hides_what_it_lacks),
		cmocka_unit_test(some_bits_follow_the_state),
		cmocka_unit_test(topology),
		cmocka_unit_test(sizes_of_the_xsave_area),
		cmocka_unit_test(what_the_vendor_lacks_is_hidden),
		cmocka_unit_test(plain_facts_come_through),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
