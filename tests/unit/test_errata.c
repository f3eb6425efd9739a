/* SPDX-License-Identifier: BSD-2-Clause */
/* Which models have which errata: each list at its borders, with models beside those on it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "arch/x86/errata.h"
#include "arch/x86/regs.h"
#include "lib/bits.h"

static struct cpu_model intel(uint32_t signature)
{
	return (struct cpu_model){.vendor = VENDOR_INTEL, .signature = signature};
}

static struct cpu_model amd(uint32_t signature)
{
	return (struct cpu_model){.vendor = VENDOR_AMD, .signature = signature};
}

static void expect(enum cpu_erratum erratum, struct cpu_model m, bool has)
{
	if (erratum_applies(erratum, &m) != has)
		fail_msg("erratum %u, vendor %u, signature %x", erratum, m.vendor, m.signature);
}

static void families_and_models_are_the_displayed_ones(void **state)
{
	static const struct {
		enum cpu_vendor vendor;
		uint32_t signature;
		unsigned family, model;
	} cases[] = {
		{VENDOR_INTEL, 0x000806c1, 6, 0x8c},  {VENDOR_INTEL, 0x000006fb, 6, 0xf},
		{VENDOR_INTEL, 0x00000f65, 0xf, 6},   {VENDOR_AMD, 0x00800f12, 0x17, 1},
		{VENDOR_AMD, 0x00100f42, 0x10, 4},    {VENDOR_AMD, 0x00040fb2, 0xf, 0x4b},
		{VENDOR_AMD, 0x00a20f10, 0x19, 0x21},
	};

	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		struct cpu_model m = {cases[i].vendor, cases[i].signature};

		assert_int_equal(cpu_model_family(&m), cases[i].family);
		assert_int_equal(cpu_model_number(&m), cases[i].model);
	}
}

static void large_fetches_fail_unless_the_cpu_says_not(void **state)
{
	static const uint32_t affected[] = {
		0x106a5, 0x206a7, 0x306c3, 0x506e3, 0x50654,
		0x906ea, 0xa0655, 0xb06f2, /* a model that no list has, and that does not say so */
	};
	static const uint32_t safe[] = {0x106c2, 0x30678, 0x406c4, 0x506c9,
					0x706a8, 0x90661, 0x50671};

	for (unsigned i = 0; i < ARRAY_SIZE(affected); i++) {
		struct cpu_model m = intel(affected[i]);

		expect(ERRATUM_LARGE_FETCH, m, true);
		m.capabilities = ~ARCH_CAP_PSCHANGE_MC_NO;
		expect(ERRATUM_LARGE_FETCH, m, true);
		m.capabilities = BIT_ULL(6);
		expect(ERRATUM_LARGE_FETCH, m, false);
	}
	for (unsigned i = 0; i < ARRAY_SIZE(safe); i++)
		expect(ERRATUM_LARGE_FETCH, intel(safe[i]), false);
	expect(ERRATUM_LARGE_FETCH, amd(0x800f12), false);
	expect(ERRATUM_LARGE_FETCH, amd(0x100f42), false);
}

static void deadlines_need_microcode(void **state)
{
	static const struct {
		uint32_t signature, fixed;
	} cases[] = {
		{0x306c3, 0x22},       {0x40651, 0x20},       {0x40661, 0x17},
		{0x306f2, 0x3a},       {0x306f4, 0x0f},       {0x306d4, 0x25},
		{0x40671, 0x17},       {0x406f1, 0x0b000020}, {0x50662, 0x11},
		{0x50663, 0x0700000e}, {0x50664, 0x0f00000c}, {0x50665, 0x0e000003},
		{0x406e3, 0xb2},       {0x506e3, 0xb2},       {0x50653, 0x01000136},
		{0x50654, 0x02000014}, {0x806e9, 0x52},       {0x906ea, 0x52},
	};
	static const uint32_t fine[] = {0x306a9, 0x50657, 0x706e5, 0x806c1, 0x306f3, 0xa0655};

	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		struct cpu_model m = intel(cases[i].signature);

		expect(ERRATUM_TSC_DEADLINE, m, true);
		m.microcode = cases[i].fixed - 1;
		expect(ERRATUM_TSC_DEADLINE, m, true);
		m.is_virtual = true; /* the timer is the hypervisor's below */
		expect(ERRATUM_TSC_DEADLINE, m, false);
		m.is_virtual = false;
		m.microcode = cases[i].fixed;
		expect(ERRATUM_TSC_DEADLINE, m, false);
		m.microcode = 0;
		m.vendor = VENDOR_AMD;
		expect(ERRATUM_TSC_DEADLINE, m, false);
	}
	for (unsigned i = 0; i < ARRAY_SIZE(fine); i++)
		expect(ERRATUM_TSC_DEADLINE, intel(fine[i]), false);
}

static void preemption_timers_go_by_the_stepping(void **state)
{
	static const uint32_t broken[] = {0x106a0, 0x106a1, 0x106a4, 0x106a5, 0x106e5,
					  0x20652, 0x20655, 0x206e6, 0x306a8};
	static const uint32_t fine[] = {0x106a2, 0x206c2, 0x306a9, 0x206a7, 0x506e3, 0x806c1};

	for (unsigned i = 0; i < ARRAY_SIZE(broken); i++) {
		expect(ERRATUM_PREEMPTION_TIMER, intel(broken[i]), true);
		/* The reserved bits do not count: SDM volume 2, CPUID. */
		expect(ERRATUM_PREEMPTION_TIMER, intel(broken[i] | 0xf000c000), true);
		expect(ERRATUM_PREEMPTION_TIMER, amd(broken[i]), false);
	}
	for (unsigned i = 0; i < ARRAY_SIZE(fine); i++)
		expect(ERRATUM_PREEMPTION_TIMER, intel(fine[i]), false);
}

static void old_cpus_of_amd(void **state)
{
	static const struct {
		uint32_t signature;
		bool c1e, multimatch;
	} cases[] = {
		{0x00020f32, false, false}, /* family 0Fh before revision F: no SVM either */
		{0x00040fb2, true, false},  /* revision G */
		{0x00100f22, true, true},   /* family 10h */
		{0x00100fa0, true, true},   {0x00200f31, true, false}, /* 11h */
		{0x00300f10, false, false},                            /* 12h */
		{0x00500f20, false, false},                            /* 14h */
		{0x00600f12, false, false},                            /* 15h */
		{0x00800f12, false, false},                            /* 17h */
	};

	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		expect(ERRATUM_C1E, amd(cases[i].signature), cases[i].c1e);
		expect(ERRATUM_TLB_MULTIMATCH, amd(cases[i].signature), cases[i].multimatch);
		expect(ERRATUM_C1E, intel(cases[i].signature), false);
		expect(ERRATUM_TLB_MULTIMATCH, intel(cases[i].signature), false);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(families_and_models_are_the_displayed_ones),
		cmocka_unit_test(large_fetches_fail_unless_the_cpu_says_not),
		cmocka_unit_test(deadlines_need_microcode),
		cmocka_unit_test(preemption_timers_go_by_the_stepping),
		cmocka_unit_test(old_cpus_of_amd),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
