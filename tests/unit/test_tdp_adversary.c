/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The two-dimensional engine against adversarial CPUs and a naive model (tdp_model.h): random
 * operations, while two vCPUs go on and are interrupted, as the operations are, at every store.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "mm/host.h"
#include "tests/unit/support/adversary_sched.h"
#include "tests/unit/support/tdp_ops.h"

/* No run needs more; CPUs that wait for each other get there. */
#define MANY_POINTS 20000000

static unsigned steps; /* of a run */
static bool done;

/* CPU 0. What it has done must show in all caches at once. */
static void operate(void)
{
	for (unsigned i = 0; i < steps && !adv_violation[0]; i++) {
		op_any();
		model_check_all_cached();
		tdp_zap_work(&world.tdp);
		for (unsigned n = adv_whim(400); n; n--)
			adv_sched_point();
	}
	done = true;
	grace_enter_guest(grace_cpu());
}

static void cpu_main(unsigned cpu)
{
	if (cpu == 0)
		operate();
	else
		model_run_vcpu(&done);
}

static void run_small(unsigned format, unsigned max_level, unsigned seed)
{
	model_start(seed, format, max_level, 96 * MIB, MODEL_SPACE);
	model_watch_tree();
	done = false;
	adv_sched_must_end(seed, 1 + WORLD_VCPUS, MANY_POINTS, cpu_main);
	grace_exit_guest(grace_cpu());
	if (!adv_violation[0])
		world_check_tree();
	model_finish();
	model_must_be_fine();
}

static void test_small_worlds(void **state)
{
	steps = 30;
	for (unsigned f = 0; f < WORLD_FORMATS; f++) {
		/* What is executable differs in large pages alone. */
		for (unsigned max = world_format[f].small_access ? 3 : 1; max <= 3; max++)
			run_small(f, max, 100 * f + max);
	}
}

/* Little in each, but many of them: how a VM begins, and how its first tables come. */
static void test_many_worlds(void **state)
{
	steps = 6;
	for (unsigned seed = 1000; seed < 1040; seed++)
		run_small(seed % WORLD_FORMATS, 3, seed);
}

/* --- a gigabyte in one page: taken to pieces and put together again --- */

static void accesses(unsigned n)
{
	while (n-- && !adv_violation[0])
		model_access(adv_whim(WORLD_VCPUS), model_pick_gfn(), model_pick_right());
}

static void set_flags(uint32_t flags)
{
	slots_set_flags(&world.mem, 0, flags);
	for (uint64_t gfn = MODEL_BIG; gfn < 2 * MODEL_BIG; gfn++) {
		model[gfn].log = flags & SLOT_DIRTY_LOG;
		model[gfn].ro = flags & SLOT_READONLY;
	}
}

static void run_gigabyte(unsigned format, unsigned max_level)
{
	static const uint32_t kinds[] = {SLOT_DIRTY_LOG, 0, SLOT_READONLY, 0};

	model_start(1, format, max_level, 2 * GIB + 256 * MIB, MODEL_MAX_GFN);
	assert_int_equal(slots_create(&world.mem, 0, GFN(MODEL_BIG), MODEL_BIG, 0), 0);
	model_stamp_slot(MODEL_BIG, MODEL_BIG, 0);
	for (unsigned i = 0; i < 160 && !adv_violation[0]; i++) {
		model_focus = MODEL_BIG + adv_whim(MODEL_BIG);
		accesses(30);
		if (i % 3 == 0)
			op_unmap();
		if (i % 40 == 39)
			set_flags(kinds[i / 40]);
		if (i % 5 == 4)
			op_get_dirty(0);
		model_check_all_cached();
	}
	world_check_tree();
	model_finish();
	model_must_be_fine();
}

static void test_gigabyte(void **state)
{
	run_gigabyte(WORLD_NPT, 3);
	run_gigabyte(WORLD_EPT, 2);
	run_gigabyte(WORLD_EPT_LOG, 3);
	run_gigabyte(WORLD_EPT_SMALL, 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_small_worlds),
		cmocka_unit_test(test_many_worlds),
		cmocka_unit_test(test_gigabyte),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
