/* SPDX-License-Identifier: BSD-2-Clause */
/* On which CPUs guests can run, as firmware may have left them; and what is said of the others. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "arch/x86/preflight.h"
#include "arch/x86/regs.h"
#include "tests/unit/support/vmx_states.h"
#include "tests/unit/vmx/fake_cpu.h"

static struct preflight_evidence fit(enum cpu_vendor vendor)
{
	return (struct preflight_evidence){.vendor = vendor, .has_nx = true, .has_virt = true};
}

/* `words` NULL: guests can run. */
static void expect(const struct preflight_evidence *e, const char *words)
{
	const char *why = preflight_judge(e);

	if (words) {
		assert_non_null(why);
		assert_non_null(strstr(why, words));
	} else {
		assert_null(why);
	}
}

static void expect_lock(enum cpu_vendor vendor, uint64_t lock, const char *words)
{
	struct preflight_evidence e = fit(vendor);

	e.has_lock = true;
	e.lock = lock;
	expect(&e, words);
	/* What an MSR that is not there seems to say is nothing. */
	e.has_lock = false;
	expect(&e, NULL);
}

static void amd_firmware_can_switch_svm_off(void **state)
{
	static const char off[] = "SVM (AMD-V) is switched off in the firmware";

	expect_lock(VENDOR_AMD, 0, NULL);
	expect_lock(VENDOR_AMD, BIT_ULL(3), NULL); /* locked, and on */
	expect_lock(VENDOR_AMD, BIT_ULL(4), off);
	expect_lock(VENDOR_AMD, BIT_ULL(4) | BIT_ULL(3), off);
	expect_lock(VENDOR_AMD, ~BIT_ULL(4), NULL);
}

static void intel_firmware_can_lock_vmx_off(void **state)
{
	static const char off[] = "VMX (VT-x) is locked off in the firmware";

	expect_lock(VENDOR_INTEL, 0, NULL); /* open: Umbra closes it */
	expect_lock(VENDOR_INTEL, BIT_ULL(0), off);
	expect_lock(VENDOR_INTEL, BIT_ULL(0) | BIT_ULL(1), off); /* inside SMX only */
	expect_lock(VENDOR_INTEL, BIT_ULL(0) | BIT_ULL(2), NULL);
	expect_lock(VENDOR_INTEL, BIT_ULL(0) | BIT_ULL(1) | BIT_ULL(2), NULL);
	expect_lock(VENDOR_INTEL, BIT_ULL(2), NULL);
	expect_lock(VENDOR_INTEL, ~BIT_ULL(2), off);
}

static void cpus_without_it_have_none(void **state)
{
	struct preflight_evidence e = fit(VENDOR_AMD);

	e.has_virt = false;
	expect(&e, "no SVM");
	e.vendor = VENDOR_INTEL;
	expect(&e, "no VMX");
	e = fit(VENDOR_INTEL);
	e.has_nx = false;
	expect(&e, "NX");
	e = fit(VENDOR_OTHER);
	expect(&e, "neither AMD's nor Intel's");
}

/* Of the CPU's own CPUID and MSRs. */
static void the_verdict_goes_by_what_the_cpu_says(void **state)
{
	fake_cpu_reset(&vmx_tiger_lake);
	fake_cpu_set_msr(MSR_FEATURE_CONTROL, 0);
	cpu_features_detect();
	assert_null(preflight_verdict());
	fake_cpu_set_msr(MSR_FEATURE_CONTROL, FEATURE_CONTROL_LOCK | FEATURE_CONTROL_VMX);
	assert_null(preflight_verdict());
	fake_cpu_set_msr(MSR_FEATURE_CONTROL, FEATURE_CONTROL_LOCK);
	assert_non_null(strstr(preflight_verdict(), "locked off in the firmware"));
	fake_cpu.limits.basic = 0; /* and with it CPUID's bit */
	cpu_features_detect();
	assert_non_null(strstr(preflight_verdict(), "no VMX"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(amd_firmware_can_switch_svm_off),
		cmocka_unit_test(intel_firmware_can_lock_vmx_off),
		cmocka_unit_test(cpus_without_it_have_none),
		cmocka_unit_test(the_verdict_goes_by_what_the_cpu_says),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
