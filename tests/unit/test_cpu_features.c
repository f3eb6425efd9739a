/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The preflight table of Intel's CPUs of several kinds: it calls found what the VMX back end uses,
 * and nothing else.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "arch/x86/cpu_features.h"
#include "arch/x86/preflight.h"
#include "arch/x86/vmx/vmx.h"
#include "lib/log.h"
#include "tests/unit/support/vmx_states.h"
#include "tests/unit/vmx/fake_guest.h"

/* ---- the log ---- */

static char text[8192];

static void keep(struct log_sink *sink, const char *s, size_t len)
{
	(void)sink;
	strncat(text, s, len);
}

static struct log_sink sink = {.write = keep};

/* ---- CPUs ---- */

static struct vmx_limits cpu;
static uint32_t signature, features_1, features_7;
static uint64_t capabilities;

static int setup(void **state)
{
	(void)state;
	cpu = vmx_tiger_lake;
	signature = 0x806c1;
	features_1 = 0;
	features_7 = CPUID_MASK(CPUID_ARCH_CAPABILITIES);
	capabilities = ARCH_CAP_PSCHANGE_MC_NO;
	return 0;
}

static void cpu_lacks(enum vmx_control_word word, uint32_t bits)
{
	cpu.controls[word] &= ~((uint64_t)bits << 32);
}

/* The back end and the table look at the same CPU, and agree. */
/* As the machine does: the features first, of which the back end makes its choice. */
static void look(void)
{
	fake_cpu_reset(&cpu);
	fake_cpu.signature = signature;
	fake_cpu.features_1 = features_1;
	fake_cpu.features_7 = features_7;
	fake_cpu_set_msr(MSR_BIOS_SIGN_ID, 0);
	fake_cpu_set_msr(MSR_ARCH_CAPABILITIES, capabilities);
	cpu_features_detect();
	assert_int_equal(fake_guest_probe(&cpu), 0);
	assert_int_equal(cpu_has(FEATURE_VMX_EPT), virt_caps.tdp);
	assert_int_equal(cpu_has(FEATURE_VMX_EPT_1G), virt_caps.tdp && virt_caps.tdp_has_1g);
	assert_int_equal(cpu_has(FEATURE_VMX_EPT_AD), virt_caps.tdp && virt_caps.tdp_has_ad);
	assert_int_equal(cpu_has(FEATURE_VMX_PML), virt_caps.tdp_logs_writes);
	assert_int_equal(cpu_has(FEATURE_VMX_UNRESTRICTED_GUEST), virt_caps.unrestricted);
	assert_int_equal(cpu_has(FEATURE_VMX_VPID), virt_caps.tags > 1);
	assert_int_equal(cpu_has(FEATURE_VMX_PREEMPTION_TIMER), virt_caps.preemption_timer);
	assert_int_equal(cpu_has(FEATURE_VMX_XSAVES), virt_caps.xsaves);
	assert_int_equal(cpu_has(FEATURE_VMX_INVPCID), virt_caps.invpcid);
	assert_int_equal(cpu_has(FEATURE_VMX_RDTSCP), virt_caps.rdtscp);
	assert_int_equal(cpu_has(FEATURE_VMX_LOAD_EFER), vmx_setup.switches_efer);
	assert_int_equal(cpu_has(FEATURE_VMX_LOAD_PAT), vmx_setup.switches_pat);
	assert_int_equal(cpu_has(FEATURE_VMX_TPR_SHADOW), !!(vmx_setup.proc & PROC_TPR_SHADOW));
	assert_int_equal(cpu_has(FEATURE_VMX_MSR_BITMAPS), !!(vmx_setup.proc & PROC_MSR_BITMAPS));
	assert_int_equal(cpu_has(FEATURE_VMX_IO_BITMAPS), !!(vmx_setup.proc & PROC_IO_BITMAPS));
	assert_int_equal(cpu_has(FEATURE_VMX_WBINVD), !!(vmx_setup.proc2 & PROC2_WBINVD));
	text[0] = '\0';
	preflight_print();
}

/* The table has a line for this feature, and it says exactly this. */
static void expect_line(const char *name, const char *words)
{
	char line[160];

	snprintf(line, sizeof(line), "cpu: %-22s %s\n", name, words);
	if (!strstr(text, line))
		fail_msg("not in the table: %s%s", line, text);
}

static void a_full_cpu_has_what_is_used(void **state)
{
	(void)state;
	look();
	expect_line("VMX EPT", "found");
	expect_line("VMX page-mod. log", "found");
	expect_line("VMX VPID", "found");
	expect_line("VMX unrestricted guest", "found");
	expect_line("VMX load EFER", "found");
}

static void what_nothing_uses_is_not_just_found(void **state)
{
	(void)state;
	look();
	expect_line("VMX virtual interrupts", "found, not used");
	expect_line("VMX TSC scaling", "found, not used");
	expect_line("VMX posted interrupts", "missing, not used");
}

static void without_ept_guests_run_on_shadow_tables(void **state)
{
	(void)state;
	cpu_lacks(CTL_PROC2, PROC2_EPT | PROC2_UNRESTRICTED_GUEST);
	look();
	expect_line("VMX EPT", "missing -> guests run on shadow tables");
	expect_line("VMX unrestricted guest", "missing -> real mode emulated");
}

/* Each part of EPT that the engine needs; and one way of INVEPT out of two. */
static void ept_in_part_is_not_found(void **state)
{
	static const uint64_t parts[] = {EPT_CAP_WALK_4, EPT_CAP_WB, EPT_CAP_2M, EPT_CAP_INVEPT,
					 EPT_CAP_INVEPT_ONE | EPT_CAP_INVEPT_ALL};

	for (unsigned i = 0; i < ARRAY_SIZE(parts); i++) {
		setup(state);
		cpu.ept_vpid_cap &= ~parts[i];
		look();
		assert_false(cpu_has(FEATURE_VMX_EPT));
		expect_line("VMX EPT", "incomplete -> guests run on shadow tables");
		expect_line("VMX unrestricted guest", "incomplete -> real mode emulated");
	}
	setup(state);
	cpu.ept_vpid_cap &= ~EPT_CAP_INVEPT_ALL;
	look();
	expect_line("VMX EPT", "found");
}

static void a_log_needs_dirty_bits(void **state)
{
	(void)state;
	cpu.ept_vpid_cap &= ~EPT_CAP_AD;
	look();
	expect_line("VMX page-mod. log", "incomplete -> dirty log by write protection");
	cpu_lacks(CTL_PROC2, PROC2_PML);
	look();
	expect_line("VMX page-mod. log", "missing -> dirty log by write protection");
}

static void vpid_without_its_flush_is_not_found(void **state)
{
	(void)state;
	cpu.ept_vpid_cap &= ~VPID_CAP_INVVPID_ALL;
	look();
	expect_line("VMX VPID", "incomplete -> TLB flushed at each entry");
	setup(state);
	cpu.ept_vpid_cap &= ~VPID_CAP_INVVPID;
	look();
	expect_line("VMX VPID", "incomplete -> TLB flushed at each entry");
}

static void registers_are_switched_both_ways_or_not(void **state)
{
	(void)state;
	cpu_lacks(CTL_EXIT, EXIT_SAVE_PAT);
	look();
	expect_line("VMX load PAT", "incomplete -> switched by an MSR area");
	expect_line("VMX load EFER", "found");
	setup(state);
	cpu_lacks(CTL_EXIT, EXIT_LOAD_EFER);
	look();
	expect_line("VMX load EFER", "incomplete -> switched by an MSR area");
}

static void controls_that_are_missing_are_called_so(void **state)
{
	(void)state;
	cpu_lacks(CTL_PROC, PROC_TPR_SHADOW | PROC_MSR_BITMAPS | PROC_IO_BITMAPS);
	cpu_lacks(CTL_PIN, PIN_PREEMPTION_TIMER);
	cpu_lacks(CTL_PROC2, PROC2_XSAVES | PROC2_INVPCID | PROC2_RDTSCP | PROC2_WBINVD);
	look();
	expect_line("VMX TPR shadow", "missing -> CR8 accesses exit");
	expect_line("VMX preemption timer", "missing -> time slices by APIC timer");
}

static void a_timer_with_an_erratum_is_not_used(void **state)
{
	(void)state;
	signature = 0x106e5;
	look();
	assert_false(virt_caps.preemption_timer);
	expect_line("VMX preemption timer",
		    "found, not used (erratum) -> time slices by APIC timer");
	cpu_ignore_errata();
	assert_true(cpu_has(FEATURE_VMX_PREEMPTION_TIMER));
	assert_false(cpu_has_erratum(ERRATUM_PREEMPTION_TIMER));
	signature = 0x806c1;
	look();
	assert_true(virt_caps.preemption_timer);
	expect_line("VMX preemption timer", "found");
}

static void a_deadline_needs_microcode(void **state)
{
	(void)state;
	signature = 0x306c3;
	features_1 = CPUID_MASK(CPUID_TSC_DEADLINE);
	look();
	expect_line("TSC deadline", "found, not used (erratum) -> one-shot APIC timer");
	signature = 0x806c1;
	look();
	expect_line("TSC deadline", "found");
}

static void large_pages_are_executed_where_the_cpu_can(void **state)
{
	static const char line[] =
		"cpu: iTLB multihit          erratum -> guests execute 4K pages only\n";

	(void)state;
	look();
	assert_null(strstr(text, line));
	capabilities = 0;
	look();
	assert_true(cpu_has_erratum(ERRATUM_LARGE_FETCH));
	assert_non_null(strstr(text, line));
	/* What an MSR that CPUID does not know seems to say is nothing. */
	capabilities = ARCH_CAP_PSCHANGE_MC_NO;
	features_7 = 0;
	look();
	assert_true(cpu_has_erratum(ERRATUM_LARGE_FETCH));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(a_full_cpu_has_what_is_used, setup),
		cmocka_unit_test_setup(what_nothing_uses_is_not_just_found, setup),
		cmocka_unit_test_setup(without_ept_guests_run_on_shadow_tables, setup),
		cmocka_unit_test_setup(ept_in_part_is_not_found, setup),
		cmocka_unit_test_setup(a_log_needs_dirty_bits, setup),
		cmocka_unit_test_setup(vpid_without_its_flush_is_not_found, setup),
		cmocka_unit_test_setup(registers_are_switched_both_ways_or_not, setup),
		cmocka_unit_test_setup(controls_that_are_missing_are_called_so, setup),
		cmocka_unit_test_setup(a_timer_with_an_erratum_is_not_used, setup),
		cmocka_unit_test_setup(a_deadline_needs_microcode, setup),
		cmocka_unit_test_setup(large_pages_are_executed_where_the_cpu_can, setup),
	};

	log_add_sink(&sink);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
