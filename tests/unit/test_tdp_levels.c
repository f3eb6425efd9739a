/* SPDX-License-Identifier: BSD-2-Clause */
/* Two-dimensional trees with more and with fewer levels than four: the format says how many. */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "arch/x86/regs.h"
#include "tests/unit/support/host.h"
#include "tests/unit/support/tdp_world.h"

#define PAGES 64u

static struct spte_format format;

/* A slot at the end of what the tree reaches, but within what slots can be. */
static uint64_t create(bool ept, unsigned levels)
{
	uint64_t base;

	if (ept)
		spte_format_ept(&format, 46,
				(struct ept_features){.has_ad = true, .logs_writes = true});
	else
		spte_format_npt(&format, 48, true);
	format.root_level = levels;
	world_create(64 * MIB, &format, 3);
	base = min(world.tdp.end.v, SLOTS_MAX_GFN) - PAGES;
	assert_int_equal(slots_create(&world.mem, 0, GFN(base), PAGES, 0), 0);
	return base;
}

static void check_tree(uint64_t base, unsigned levels)
{
	uint64_t bitmap = 0, frame;

	/* One 4K fault needs all its tables: the root and one for each level below. */
	assert_int_equal(world_fault(0, base + 5, PFERR_WRITE), RET_PF_FIXED);
	assert_int_equal(world.tdp.tables, levels);
	frame = slot_pfn(slots_find(&world.mem, GFN(base + 5)), GFN(base + 5)).v;
	assert_int_equal(world_walk(base + 5, true), frame);
	world_check_tree();
	assert_int_equal(slots_set_flags(&world.mem, 0, SLOT_DIRTY_LOG), 0);
	assert_int_equal(world_fault(0, base + 5, PFERR_WRITE),
			 spte_hardware_logs(&format) ? RET_PF_SPURIOUS : RET_PF_FIXED);
	assert_int_equal(slots_get_dirty(&world.mem, 0, 0, PAGES, &bitmap), 0);
	assert_int_equal(bitmap, spte_hardware_logs(&format) ? 0 : BIT_ULL(5));
	assert_false(world_hides_writes(base + 5));
	slots_lock(&world.mem);
	tdp_unmap_range(&world.tdp, GFN(base), GFN(base + PAGES));
	slots_unlock(&world.mem);
	assert_int_equal(world_walk(base + 5, false), 0);
	world_check_tree();
}

static void test_levels(void **state)
{
	for (unsigned ept = 0; ept < 2; ept++) {
		for (unsigned levels = 3; levels <= 5; levels++) {
			uint64_t base = create(ept, levels);

			assert_int_equal(world.tdp.end.v, 1ull << (9 * levels));
			check_tree(base, levels);
			assert_int_equal(world_fault(0, world.tdp.end.v, 0), RET_PF_EMULATE);
			world_destroy(); /* all frames are back */
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_levels),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
