/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The frequency of the TSC, on a machine whose true one the test knows: whose word is believed, and
 * that what is measured is within the error that the log claims, whatever the firmware's system
 * management does meanwhile.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "arch/x86/cpu_features.h"
#include "arch/x86/tsc.h"
#include "lib/bits.h"
#include "lib/clock.h"
#include "lib/log.h"
#include "tests/unit/support/panic.h"
#include "tests/unit/support/tsc_cpu.h"

#define PS_PER_US  1000000ull
#define PS_PER_SEC 1000000000000ull

/* ---- the machine: its time goes on with each thing that is done, and here and there by more ----
 */

static struct {
	uint64_t ps;       /* the time */
	uint64_t tsc_hz;   /* the truth */
	uint64_t read_ps;  /* one access to the reference */
	unsigned smi_each; /* one in so many steps is interrupted by an SMI; 0: none */
	uint64_t smi_ps;   /* of up to so long */
	uint64_t ref_hz;   /* what the reference really counts */
	uint64_t ref_start, ref_mask;
	struct cpuid leaf_15, leaf_16;
	uint32_t hypervisor_khz;
	unsigned seed;
} hw;

static uint64_t ticks(uint64_t hz)
{
	return (uint64_t)((unsigned __int128)hw.ps * hz / PS_PER_SEC);
}

static void pass(uint64_t ps)
{
	hw.ps += ps;
	if (hw.smi_each && (unsigned)rand_r(&hw.seed) % hw.smi_each == 0)
		hw.ps += (uint64_t)rand_r(&hw.seed) % hw.smi_ps;
}

uint64_t rdtsc(void)
{
	pass(10000);
	return 0x123456789 + ticks(hw.tsc_hz);
}

uint64_t rdtsc_ordered(void)
{
	return rdtsc();
}

/* The value is taken somewhere in the middle of the access. */
static uint64_t read_ref(void)
{
	uint64_t first = (uint64_t)rand_r(&hw.seed) % hw.read_ps, val;

	pass(first);
	val = (hw.ref_start + ticks(hw.ref_hz)) & hw.ref_mask;
	pass(hw.read_ps - first);
	return val;
}

struct cpuid cpuid(uint32_t leaf)
{
	switch (leaf) {
	case 0:
		return (struct cpuid){.eax = 0x16};
	case 0x15:
		return hw.leaf_15;
	case 0x16:
		return hw.leaf_16;
	case 0x40000000:
		return (struct cpuid){.eax = 0x40000010};
	case 0x40000010:
		return (struct cpuid){.eax = hw.hypervisor_khz};
	default:
		return (struct cpuid){0};
	}
}

bool cpu_reports(enum cpuid_bit bit)
{
	assert_int_equal(bit, CPUID_HYPERVISOR);
	return hw.hypervisor_khz;
}

/* ---- what it comes to ---- */

static char text[512];

static void keep(struct log_sink *sink, const char *s, size_t len)
{
	strncat(text, s, len);
}

static struct log_sink sink = {.write = keep};

static const struct tsc_reference hpet = {"HPET", 14318180, read_ref, UINT32_MAX};
static const struct tsc_reference pm_timer = {"PM timer", 3579545, read_ref, 0xffffff};
static const struct tsc_reference pit = {"8254", 1193182, read_ref, 0xffff};

static int setup(void **state)
{
	memset(&hw, 0, sizeof(hw));
	hw.tsc_hz = 2904321987;
	hw.read_ps = PS_PER_US;
	hw.seed = 1;
	return 0;
}

/* The reference's own frequency is taken for its name's. */
static uint64_t init(const struct tsc_reference *ref)
{
	static struct tsc_reference used;
	uint64_t begin = hw.ps;

	text[0] = '\0';
	if (ref) {
		used = *ref;
		hw.ref_mask = ref->mask;
		if (!hw.ref_hz)
			hw.ref_hz = ref->hz;
	}
	tsc_init(ref ? &used : NULL);
	return (hw.ps - begin) / PS_PER_US / 1000;
}

/* The frequency is what was told, and it was not worth a measurement. */
static void expect_told(const char *source, uint64_t khz)
{
	char line[64];

	assert_true(init(&hpet) < 5);
	snprintf(line, sizeof(line), "tsc: %lu.%03lu MHz (%s)", khz / 1000, khz % 1000, source);
	assert_non_null(strstr(text, line));
	assert_int_equal(clock_tsc_khz(), khz);
}

/* It was measured, and what the log claims is true; the claim is at most `ppm`. */
static void expect_measured(const struct tsc_reference *ref, uint64_t ppm)
{
	uint64_t ms = init(ref), claimed, khz = clock_tsc_khz(), off;
	const char *words = strstr(text, ", within ");

	assert_in_range(ms, 50, 300);
	assert_non_null(strstr(text, ref->name));
	assert_non_null(words);
	claimed = strtoul(words + 9, NULL, 10);
	assert_in_range(claimed, 1, ppm);
	off = khz * 1000 > hw.tsc_hz ? khz * 1000 - hw.tsc_hz : hw.tsc_hz - khz * 1000;
	/* And half a kHz, to which it is rounded. */
	if (off > hw.tsc_hz / 1000000 * claimed + 500)
		fail_msg("%lu kHz of %lu: %s", khz, hw.tsc_hz / 1000, text);
}

static void a_crystal_is_believed(void **state)
{
	hw.tsc_hz = 2904000000;
	hw.leaf_15 = (struct cpuid){2, 242, 24000000, 0};
	hw.leaf_16.eax = 2900;
	expect_told("CPUID", 2904000);
}

/* 2,000 ppm from the truth, and nothing says so but a clock. */
static void the_frequency_on_the_box_is_not(void **state)
{
	hw.leaf_15 = (struct cpuid){2, 242, 0, 0};
	hw.leaf_16.eax = 2900;
	expect_measured(&hpet, 20);
}

static void a_hypervisors_word_is_believed(void **state)
{
	hw.hypervisor_khz = 2904321;
	expect_told("hypervisor leaf", 2904321);
}

static void a_word_that_cannot_be_true_is_not(void **state)
{
	hw.tsc_hz = 50000000;
	hw.leaf_15 = (struct cpuid){2, 242, 24000000, 0};
	hw.hypervisor_khz = 2904321;
	expect_measured(&hpet, 60);
	hw.hypervisor_khz = 50001;
	expect_told("hypervisor leaf", 50001);
}

static void without_a_reference_a_word_is_all_there_is(void **state)
{
	assert_panics(init(NULL));
	hw.leaf_15 = (struct cpuid){2, 242, 24000000, 0};
	init(NULL);
	assert_int_equal(clock_tsc_khz(), 2904000);
}

static void each_reference_is_exact_enough(void **state)
{
	static const uint64_t hz[] = {800000123, 2904321987, 5700000001};

	for (unsigned i = 0; i < ARRAY_SIZE(hz); i++) {
		setup(state);
		hw.tsc_hz = hz[i];
		expect_measured(&hpet, 20);
		hw.ref_hz = 0;
		expect_measured(&pm_timer, 25);
		hw.ref_hz = 0;
		hw.read_ps = 3 * PS_PER_US; /* three ports */
		expect_measured(&pit, 30);
	}
}

/* From each place of its range: some of them come round in the middle. */
static void counters_wrap(void **state)
{
	for (unsigned i = 0; i < 16; i++) {
		setup(state);
		hw.ref_start = 0xffffff - i * 20000;
		expect_measured(&pm_timer, 25);
		hw.ref_hz = 0;
		hw.ref_start = UINT32_MAX - i * 70000;
		expect_measured(&hpet, 20);
		hw.ref_hz = 0;
		hw.ref_start = i * 4096;
		expect_measured(&pit, 30);
	}
}

/* SMIs of up to 300 us anywhere: between the reads of a pair, and at the very ends. */
static void smis_do_not_move_it(void **state)
{
	static const unsigned each[] = {5, 20, 100, 1000, 20000};

	for (unsigned i = 0; i < 100; i++) {
		setup(state);
		hw.seed = i + 1;
		hw.smi_each = each[i % ARRAY_SIZE(each)];
		hw.smi_ps = 300 * PS_PER_US;
		expect_measured(i & 1 ? &hpet : &pm_timer, 40);
	}
}

/* Where there is not one clean read, the claim gets wide, but stays true. */
static void an_error_that_is_large_is_not_hidden(void **state)
{
	for (unsigned i = 0; i < 50; i++) {
		setup(state);
		hw.seed = i + 1;
		hw.smi_each = 1;
		hw.smi_ps = 1000 * PS_PER_US;
		expect_measured(&hpet, 20000);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(a_crystal_is_believed, setup),
		cmocka_unit_test_setup(the_frequency_on_the_box_is_not, setup),
		cmocka_unit_test_setup(a_hypervisors_word_is_believed, setup),
		cmocka_unit_test_setup(a_word_that_cannot_be_true_is_not, setup),
		cmocka_unit_test_setup(without_a_reference_a_word_is_all_there_is, setup),
		cmocka_unit_test_setup(each_reference_is_exact_enough, setup),
		cmocka_unit_test_setup(counters_wrap, setup),
		cmocka_unit_test_setup(smis_do_not_move_it, setup),
		cmocka_unit_test_setup(an_error_that_is_large_is_not_hidden, setup),
	};

	log_add_sink(&sink);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
