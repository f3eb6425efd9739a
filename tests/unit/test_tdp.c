/* SPDX-License-Identifier: BSD-2-Clause */
/* Faults of the two-dimensional engine, case by case: every outcome, and memory that runs out. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "mm/host.h"
#include "mm/leaf.h"
#include "tests/unit/support/host.h"
#include "tests/unit/support/tdp_world.h"

#define W PFERR_WRITE
#define R 0
#define X PFERR_FETCH

static void test_page_sizes(void **state)
{
	for (unsigned f = 0; f < WORLD_FORMATS; f++) {
		world_with_memory(f, 3, 0x40000, 0x40000 + 0x200 + 3, 0);
		for (unsigned max = 1; max <= 3; max++) {
			world.tdp.max_level = max;
			world_check_level(0x41234, W, max);
			/* Behind the gigabyte there is room for one 2M page, and then for none. */
			world_check_level(0x80000, R, min(max, 2u));
			world_check_level(0x80202, X, 1);
			world_check_tree();
			world_unmap(0, world.tdp.end.v);
		}
		world_destroy();
	}
}

static void test_format_limits_page_size(void **state)
{
	struct spte_format no_1g;
	unsigned level;

	spte_format_npt(&no_1g, 48, false);
	world_create(2 * GIB + 512 * MIB, &no_1g, 3);
	assert_int_equal(slots_create(&world.mem, 0, GFN(0x40000), 0x40000, 0), 0);
	assert_int_equal(world_fault(0, 0x41234, W), RET_PF_FIXED);
	world_spte(0x41234, &level);
	assert_int_equal(level, 2);
	world_destroy();
}

static void test_spurious(void **state)
{
	for (unsigned f = 0; f < WORLD_FORMATS; f++) {
		world_with_memory(f, 1, 0, 64, 0);
		assert_int_equal(world_fault(0, 5, R), RET_PF_FIXED);
		assert_int_equal(world_fault(1, 5, R), RET_PF_SPURIOUS);
		assert_int_equal(world_fault(1, 5, W),
				 RET_PF_SPURIOUS); /* mapped writable at once */
		assert_int_equal(world_fault(1, 5, X), RET_PF_SPURIOUS);
		assert_int_equal(world_stats().faults[RET_PF_SPURIOUS], 3);
		assert_int_equal(world_stats().faults[RET_PF_FIXED], 1);
		world_destroy();
	}
}

static void test_prefetch_stays_in_slot(void **state)
{
	world_with_memory(WORLD_NPT, 1, 5, 8, 0); /* 5 ... 12 of the group 0 ... 15 */
	assert_int_equal(slots_create(&world.mem, 1, GFN(14), 100, 0), 0);
	assert_int_equal(world_fault(0, 7, W), RET_PF_FIXED);
	for (uint64_t gfn = 0; gfn < 32; gfn++)
		assert_int_equal(world_walk(gfn, true),
				 gfn >= 5 && gfn < 13 ? world_backing(gfn) : 0);
	assert_int_equal(world_stats().mapped[0], 1);
	assert_int_equal(world_stats().prefetched, 7);
	/* Only the page that was touched is accessed, or dirty. */
	for (uint64_t gfn = 5; gfn < 13; gfn++) {
		unsigned level;
		uint64_t ad = world_spte(gfn, &level) & (NPT_A | NPT_D);

		assert_int_equal(ad, gfn == 7 ? NPT_A | NPT_D : 0);
	}
	world_check_tree();
	world_destroy();
}

static void test_prefetch_leaves_others_alone(void **state)
{
	unsigned level;
	uint64_t before;

	world_with_memory(WORLD_NPT, 1, 0, 64, 0);
	assert_int_equal(world_fault(0, 3, W), RET_PF_FIXED);
	slots_lock(&world.mem);
	tdp_unmap_range(&world.tdp, GFN(8), GFN(10));
	slots_unlock(&world.mem);
	assert_int_equal(world_walk(8, false), 0);
	before = world_spte(3, &level);
	assert_int_equal(world_fault(0, 9, W), RET_PF_FIXED);
	assert_int_equal(world_spte(3, &level), before);
	assert_int_equal(world_walk(8, true), world_backing(8));
	assert_int_equal(world_stats().prefetched, 16);
	world_destroy();
}

static void test_read_only_slot(void **state)
{
	for (unsigned f = 0; f < WORLD_FORMATS; f++) {
		world_with_memory(f, 3, 0x200, 0x400, SLOT_READONLY);
		assert_int_equal(world_fault(0, 0x234, W), RET_PF_EMULATE);
		assert_int_equal(world_fault(0, 0x234, R), RET_PF_FIXED);
		assert_int_equal(world_walk(0x234, false), world_backing(0x234));
		assert_int_equal(world_walk(0x234, true), 0);
		assert_int_equal(world_fault(0, 0x234, W | PFERR_PRESENT), RET_PF_EMULATE);
		assert_int_equal(world_fault(0, 0x235, X), RET_PF_SPURIOUS);
		/* It becomes writable, and back. */
		assert_int_equal(slots_set_flags(&world.mem, 0, 0), 0);
		assert_int_equal(world_fault(0, 0x234, W), RET_PF_FIXED);
		assert_int_equal(world_walk(0x234, true), world_backing(0x234));
		assert_int_equal(slots_set_flags(&world.mem, 0, SLOT_READONLY), 0);
		assert_int_equal(world_walk(0x234, true), 0);
		world_check_tree();
		world_destroy();
	}
}

/*
 * Where large pages must not be executed: a fetch is mapped small from the start, or splits what a
 * read has mapped, down to 4K and there alone; all else stays large.
 */
static void check_fetch(unsigned f)
{
	unsigned level;

	world_with_memory(f, 3, 0x40000, 0x80000, 0);
	world_check_level(0x40000, R, 3);
	assert_int_equal(world_stats().split, 0);
	assert_int_equal(world_fault(0, 0x41234, X), RET_PF_SPURIOUS);
	assert_int_equal(world_stats().split, 2);
	for (uint64_t gfn = 0x41200; gfn < 0x41400; gfn++) {
		assert_true(leaf_allows(world.tdp.fmt, world_spte(gfn, &level), X));
		assert_int_equal(level, 1);
	}
	assert_false(leaf_allows(world.tdp.fmt, world_spte(0x42000, &level), X));
	assert_int_equal(level, 2);
	world_check_level(0x80000, X, 1);
	world_check_level(0x81000, R, 2);
	assert_int_equal(world_fault(1, 0x81000, X), RET_PF_SPURIOUS);
	world_spte(0x81000, &level);
	assert_int_equal(level, 1);
	/* No leaf above 4K is executable: spte_is_legal(). */
	world_check_tree();
	world_destroy();
}

static void test_only_small_pages_are_executed(void **state)
{
	check_fetch(WORLD_NPT_SMALL);
	check_fetch(WORLD_EPT_SMALL);
}

/* A guest that executes everywhere gets ahead, and fetches through nothing but 4K leaves. */
static void test_fetches_end(void **state)
{
	for (unsigned f = WORLD_NPT_SMALL; f <= WORLD_EPT_SMALL; f++) {
		const struct spte_format *fmt = &world_format[f];
		unsigned level;

		world_with_memory(f, 3, 0, 0x1000, 0);
		for (unsigned i = 0; i < 0x1000; i += 0x80) {
			world_fault(0, i, i & 0x80 ? R : W);
			world_fault(1, i, X);
			assert_true(leaf_allows(fmt, world_spte(i, &level), X));
			assert_int_equal(level, 1);
			assert_true(leaf_allows(fmt, world_spte(i, &level), R));
			/* Aged, it gets all its rights back, that to be executed among them. */
			slots_lock(&world.mem);
			tdp_age_range(&world.tdp, GFN(0), GFN(0x1000), NULL);
			slots_unlock(&world.mem);
			world_fault(1, i + 1, X);
			assert_true(leaf_allows(fmt, world_spte(i + 1, &level), X));
		}
		world_check_tree();
		world_destroy();
	}
}

/* A large page that was aged, and so has no rights where there is no accessed bit, is split too. */
static void test_tracked_large_page_is_executed(void **state)
{
	unsigned level;

	world_with_memory(WORLD_EPT_SMALL, 2, 0, 0x400, 0);
	world_check_level(0x10, R, 2);
	slots_lock(&world.mem);
	tdp_age_range(&world.tdp, GFN(0), GFN(0x400), NULL);
	slots_unlock(&world.mem);
	assert_true(spte_is_tracked(world_spte(0x10, &level)));
	assert_int_equal(world_fault(0, 0x10, X), RET_PF_FIXED);
	assert_true(leaf_allows(world.tdp.fmt, world_spte(0x10, &level), X));
	assert_true(spte_is_tracked(world_spte(0x11, &level)));
	assert_int_equal(world_fault(0, 0x11, X), RET_PF_FIXED);
	assert_true(leaf_allows(world.tdp.fmt, world_spte(0x11, &level), X));
	world_check_tree();
	world_destroy();
}

static void test_mmio(void **state)
{
	for (unsigned f = 0; f < WORLD_FORMATS; f++) {
		unsigned level;
		uint64_t first;

		world_with_memory(f, 3, 0, 0x100, 0);
		assert_int_equal(world_fault(0, 0xfee00, W), RET_PF_EMULATE);
		first = world_spte(0xfee00, &level);
		assert_int_equal(level, 1);
		assert_true(spte_is_mmio(world.tdp.fmt, first));
		assert_int_equal(spte_mmio_gfn(first).v, 0xfee00);
		assert_int_equal(world_mmio_entries(), 1);
		assert_int_equal(world_fault(1, 0xfee00, PFERR_RSVD), RET_PF_EMULATE);
		assert_int_equal(world_fault(1, 0xfee00, PFERR_RSVD | PFERR_PRESENT),
				 RET_PF_EMULATE);
		assert_int_equal(world_spte(0xfee00, &level), first);
		/*
		 * The slots change: the old fact is stale. A fault on it asks the slots; one as if
		 * nothing were there makes a new one.
		 */
		assert_int_equal(slots_create(&world.mem, 1, GFN(0x1000), 1, 0), 0);
		assert_int_equal(world_fault(0, 0xfee00, PFERR_RSVD), RET_PF_EMULATE);
		assert_int_equal(world_spte(0xfee00, &level), first);
		assert_int_equal(world_fault(0, 0xfee00, R), RET_PF_EMULATE);
		assert_int_not_equal(world_spte(0xfee00, &level), first);
		assert_int_equal(spte_mmio_generation(world_spte(0xfee00, &level)),
				 slots_generation(&world.mem));
		/* It becomes memory. */
		assert_int_equal(slots_create(&world.mem, 2, GFN(0xfee00), 1, 0), 0);
		assert_int_equal(world_fault(0, 0xfee00, W | PFERR_RSVD), RET_PF_FIXED);
		assert_int_equal(world_walk(0xfee00, true), world_backing(0xfee00));
		world_check_tree();
		world_destroy();
	}
}

/* A ROM where an MMIO entry was: a CPU that takes each access to it for a write reads the ROM all
 * the same. */
static void test_mmio_becomes_rom(void **state)
{
	for (unsigned f = 0; f < WORLD_FORMATS; f++) {
		world_with_memory(f, 3, 0, 0x100, 0);
		assert_int_equal(world_fault(0, 0xffff0, R), RET_PF_EMULATE);
		assert_int_equal(slots_create(&world.mem, 1, GFN(0xffff0), 1, SLOT_READONLY), 0);
		assert_int_equal(world_fault(0, 0xffff0, W | PFERR_RSVD), RET_PF_FIXED);
		assert_int_equal(world_walk(0xffff0, false), world_backing(0xffff0));
		assert_int_equal(world_walk(0xffff0, true), 0);
		assert_int_equal(world_fault(0, 0xffff0, W | PFERR_PRESENT), RET_PF_EMULATE);
		world_destroy();
	}
}

/* A guest may look for devices wherever it likes: that costs no more than so many tables. */
static void test_mmio_everywhere(void **state)
{
	uint64_t last = 0;

	world_with_memory(WORLD_EPT, 3, 0, 0x100, 0);
	for (unsigned i = 1; i < 4 * TDP_MMIO_TABLES; i++) {
		last = (uint64_t)i << 18; /* each in a table of its own, below a table of its own */
		assert_int_equal(world_fault(0, last, R), RET_PF_EMULATE);
	}
	assert_in_range(world.tdp.tables, TDP_MMIO_TABLES, TDP_MMIO_TABLES + 4);
	assert_true(world_mmio_entries() >= TDP_MMIO_TABLES / 3);
	/* Memory there is mapped all the same, and entries go beside it. */
	assert_int_equal(slots_create(&world.mem, 1, GFN(last), 1, 0), 0);
	assert_int_equal(world_fault(0, last, W), RET_PF_FIXED);
	assert_int_equal(world_walk(last, true), world_backing(last));
	last = world_mmio_entries();
	assert_int_equal(world_fault(0, (4 * TDP_MMIO_TABLES - 1ull) << 18 | 7, R), RET_PF_EMULATE);
	assert_int_equal(world_mmio_entries(), last + 1);
	/* A new tree begins with none. */
	slots_lock(&world.mem);
	tdp_zap_all(&world.tdp);
	slots_unlock(&world.mem);
	world_reload(0);
	assert_int_equal(world_fault(0, 0xfee00, R), RET_PF_EMULATE);
	assert_int_equal(world_mmio_entries(), 1);
	world_destroy();
}

static void test_mmio_without_reserved_bits(void **state)
{
	struct spte_format f;
	unsigned level;

	spte_format_npt(&f, 52, true);
	world_create(512 * MIB, &f, 3);
	assert_int_equal(world_fault(0, 0xfee00, W), RET_PF_EMULATE);
	assert_int_equal(world_spte(0xfee00, &level), 0);
	assert_int_equal(world.tdp.tables, 1);
	world_destroy();
}

static void test_beyond_the_tables(void **state)
{
	world_with_memory(WORLD_NPT, 3, 0, 0x100, 0);
	assert_int_equal(world_fault(0, world.tdp.end.v, W), RET_PF_EMULATE);
	assert_int_equal(world_fault(0, ~0ull >> 12, R), RET_PF_EMULATE);
	/* Reachable, but its entry would point into RAM when inverted (L1TF). */
	assert_int_equal(world_fault(0, world.tdp.end.v - 1, R), RET_PF_EMULATE);
	assert_int_equal(world.tdp.tables, 1);
	world_destroy();
}

static void set_generation(uint64_t g)
{
	atomic_store(&slots_get(&world.mem)->generation, g);
}

/* The 19 bits come round: nothing that was stored with the same bits is believed again. */
static void test_mmio_generation_wrap(void **state)
{
	uint64_t tree;
	unsigned level;

	world_with_memory(WORLD_EPT, 3, 0, 0x100, 0);
	tree = world.root[0].v;
	set_generation(0x7fffc);
	assert_int_equal(world_fault(0, 0xfee00, W), RET_PF_EMULATE);
	assert_int_equal(slots_create(&world.mem, 1, GFN(0x1000), 1, 0), 0); /* 0x7fffd */
	assert_int_equal(host_reloads, 0);
	set_generation(0x7fffe);
	assert_int_equal(slots_create(&world.mem, 2, GFN(0xfee00), 1, 0), 0); /* 0x7ffff */
	assert_int_equal(host_reloads, 1);
	world_reload(0);
	assert_int_not_equal(world.root[0].v, tree);
	assert_int_equal(world_spte(0xfee00, &level), 0);
	/* With all ones nothing is cached, so that nothing is there when they come again. */
	assert_int_equal(world_fault(0, 0xfec00, W), RET_PF_EMULATE);
	assert_int_equal(world_mmio_entries(), 0);
	assert_int_equal(slots_delete(&world.mem, 2), 0); /* 0x80000 */
	assert_int_equal(world_fault(0, 0xfec00, W), RET_PF_EMULATE);
	assert_int_equal(world_mmio_entries(), 1);
	world_reload(1);
	world_destroy();
}

/* --- memory runs out --- */

static unsigned fail_at, asked;

static bool fail_from_nth(void)
{
	return asked++ >= fail_at;
}

static void check_fault_with_failure(unsigned n)
{
	uint64_t tables;
	enum ret_pf r;

	world_with_memory(WORLD_NPT, 1, 0x40000, 0x400, 0);
	tables = world.tdp.tables;
	asked = 0;
	fail_at = n;
	mm_inject_failure = fail_from_nth;
	r = world_fault(0, 0x40123, W);
	mm_inject_failure = NULL;
	assert_int_equal(r, asked > n ? RET_PF_INVALID : RET_PF_FIXED);
	if (r == RET_PF_INVALID) {
		assert_int_equal(world.tdp.tables, tables);
		assert_int_equal(world_walk(0x40123, false), 0);
	}
	assert_int_equal(world_fault(0, 0x40123, W) == RET_PF_FIXED, r == RET_PF_INVALID);
	world_check_tree();
	world_destroy();
}

static void test_fault_without_memory(void **state)
{
	for (unsigned n = 0; n < 5; n++)
		check_fault_with_failure(n);
}

static void test_root_without_memory(void **state)
{
	/* The slab of its struct, and its table; the old tree's could still come back. */
	for (fail_at = 0; fail_at < 4; fail_at++) {
		hpa_t root;
		int err;

		world_with_memory(WORLD_NPT, 1, 0x40000, 0x400, 0);
		world_zap_all();
		asked = 0;
		mm_inject_failure = fail_from_nth;
		err = tdp_load_root(&world.vcpu[0], &root);
		mm_inject_failure = NULL;
		assert_int_equal(err, asked > fail_at ? -EAGAIN : 0);
		world_reload(0);
		world_destroy();
	}
}

static void test_engine_that_never_was(void **state)
{
	struct tdp none = {0};
	struct tdp_vcpu no_vcpu = {0};

	tdp_vcpu_destroy(&no_vcpu);
	tdp_destroy(&none);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_page_sizes),
		cmocka_unit_test(test_format_limits_page_size),
		cmocka_unit_test(test_spurious),
		cmocka_unit_test(test_prefetch_stays_in_slot),
		cmocka_unit_test(test_prefetch_leaves_others_alone),
		cmocka_unit_test(test_read_only_slot),
		cmocka_unit_test(test_only_small_pages_are_executed),
		cmocka_unit_test(test_fetches_end),
		cmocka_unit_test(test_tracked_large_page_is_executed),
		cmocka_unit_test(test_mmio),
		cmocka_unit_test(test_mmio_becomes_rom),
		cmocka_unit_test(test_mmio_everywhere),
		cmocka_unit_test(test_mmio_without_reserved_bits),
		cmocka_unit_test(test_beyond_the_tables),
		cmocka_unit_test(test_mmio_generation_wrap),
		cmocka_unit_test(test_fault_without_memory),
		cmocka_unit_test(test_root_without_memory),
		cmocka_unit_test(test_engine_that_never_was),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
