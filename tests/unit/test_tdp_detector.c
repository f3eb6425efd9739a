/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Does the adversary (tdp_model.h) find what it is for? The engine's steps are left out one by one,
 * by a host that does not do what it is asked for. And the begin of a dirty log, step by step.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "mm/host.h"
#include "tests/unit/support/host.h"
#include "tests/unit/support/tdp_ops.h"

static void start_small(unsigned format)
{
	model_start(1, format, 3, 96 * MIB, MODEL_SPACE);
	model_watch_tree();
}

static void no_flush(struct vm *vm) {}

static void no_log(struct vm *vm, bool on) {}

static void map_and_cache_in(unsigned format, uint64_t gfn, uint32_t flags)
{
	start_small(format);
	assert_int_equal(slots_create(&world.mem, 1, GFN(0x200), 0x400, flags), 0);
	model_stamp_slot(0x200, 0x400, flags);
	model_access(0, gfn, ADV_WRITE);
	model_check_all_cached();
	model_must_be_fine();
}

static void map_and_cache(uint64_t gfn, uint32_t flags)
{
	map_and_cache_in(WORLD_NPT, gfn, flags);
}

static void expect_violation(const char *what)
{
	model_check_all_cached();
	model_finish();
	if (!strstr(adv_violation, what))
		fail_msg("not detected; said \"%s\"", adv_violation);
}

static void test_finds_missing_flush_at_delete(void **state)
{
	map_and_cache(0x234, 0);
	host_on_flush = no_flush;
	op_delete(1);
	expect_violation("gfn 2");
}

static void test_finds_missing_flush_of_log(void **state)
{
	map_and_cache(0x234, SLOT_DIRTY_LOG);
	host_on_flush = no_flush;
	op_get_dirty(1);
	expect_violation("can be written unseen");
}

/* The same where the CPU logs: it has the page cached as dirty, and does not look again. */
static void test_finds_missing_flush_of_dirty_bit(void **state)
{
	map_and_cache_in(WORLD_EPT_LOG, 0x234, SLOT_DIRTY_LOG);
	host_on_flush = no_flush;
	op_get_dirty(1);
	expect_violation("can be written unseen");
}

static void test_finds_missing_flush_as_a_log_begins(void **state)
{
	map_and_cache_in(WORLD_EPT_LOG, 0x234, 0);
	host_on_flush = no_flush;
	op_flags_to(1, SLOT_DIRTY_LOG);
	expect_violation("can be written unseen");
}

/* Notes that are still with a CPU when the log is read. */
static void test_finds_missing_gathering(void **state)
{
	map_and_cache_in(WORLD_EPT_LOG, 0x234, SLOT_DIRTY_LOG);
	op_get_dirty(1);
	model_access(0, 0x234, ADV_WRITE); /* no fault: D alone was clear */
	model_must_be_fine();
	host_on_gather = NULL;
	op_get_dirty(1);
	expect_violation("a write was lost");
}

/* A vCPU that goes on without a log. */
static void test_finds_log_that_is_off(void **state)
{
	map_and_cache_in(WORLD_EPT_LOG, 0x234, 0);
	host_on_log = no_log;
	op_flags_to(1, SLOT_DIRTY_LOG);
	model_access(0, 0x234, ADV_WRITE);
	expect_violation("can be written unseen");
}

static void test_finds_freed_table(void **state)
{
	map_and_cache(0x234, SLOT_DIRTY_LOG); /* 4K pages, so that there is a table to free */
	host_on_flush = no_flush;
	world_unmap(0x200, 0x400);
	expect_violation("a table that hardware has cached was freed");
}

static void test_finds_kept_root(void **state)
{
	map_and_cache(0x234, 0);
	op_zap_all();
	/* The vCPU takes the new root but does not flush its tag. */
	for (unsigned i = 0; i < WORLD_VCPUS; i++) {
		model_seen_reloads[i] = atomic_load(&host_reloads);
		world_reload(i);
	}
	grace_drain();
	tdp_zap_work(&world.tdp);
	expect_violation("table"); /* cached and freed, or cached and in no tree */
}

/* Thawed before the flush: a page could be mapped with other rights beside its old translation. */
static void test_finds_third_mapping(void **state)
{
	unsigned level;
	uint64_t spte;
	spte_t *table;

	map_and_cache(0x234, 0);
	spte = world_spte(0x234, &level);
	assert_int_equal(level, 2);
	table = host_va(world.root[0]);
	for (level = world.tdp.fmt->root_level; level > 2; level--)
		table = host_va(spte_address(spte_load(&table[spte_index(GFN(0x234), level)])));
	/* A store that leads somewhere else, for the length of one store. */
	spte_store(&table[spte_index(GFN(0x234), 2)], spte + 0x200000);
	spte_store(&table[spte_index(GFN(0x234), 2)], spte);
	expect_violation("walk: gfn");
}

/*
 * A large page that was only read is split as the log begins; a CPU that still had it whole could
 * take the dirty bit of one piece for the whole one's.
 */
static void test_log_begins_on_a_clean_large_page(void **state)
{
	start_small(WORLD_EPT_LOG);
	assert_int_equal(slots_create(&world.mem, 1, GFN(0x200), 0x400, 0), 0);
	model_stamp_slot(0x200, 0x400, 0);
	model_access(0, 0x234, ADV_READ);
	/* While nobody else is about, whose writes would be reason enough for a flush. */
	assert_int_equal(slots_set_flags(&world.mem, 1, SLOT_DIRTY_LOG), 0);
	for (uint64_t gfn = 0x200; gfn < 0x600; gfn++)
		model[gfn].log = true;
	for (uint64_t gfn = 0x230; gfn < 0x240; gfn++)
		model_access(0, gfn, ADV_WRITE);
	model_check_all_cached();
	model_finish();
	model_must_be_fine();
}

/*
 * The same, and the page is split already: by the write of a vCPU that found no page, but then,
 * with the log about to begin, the large one that another's fault had just made.
 */
static void test_log_begins_behind_a_split(void **state)
{
	struct memslot *slot;

	start_small(WORLD_EPT_LOG);
	assert_int_equal(slots_create(&world.mem, 1, GFN(0x200), 0x400, 0), 0);
	model_stamp_slot(0x200, 0x400, 0);
	model_access(0, 0x234, ADV_READ);
	slot = (struct memslot *)slots_find(&world.mem, GFN(0x200));
	slot->flags = SLOT_DIRTY_LOG;
	assert_int_equal(world_fault(1, 0x235, PFERR_WRITE), RET_PF_SPURIOUS);
	slot->flags = 0;
	assert_int_equal(slots_set_flags(&world.mem, 1, SLOT_DIRTY_LOG), 0);
	for (uint64_t gfn = 0x200; gfn < 0x600; gfn++)
		model[gfn].log = true;
	for (uint64_t gfn = 0x230; gfn < 0x240; gfn++)
		model_access(0, gfn, ADV_WRITE);
	model_check_all_cached();
	model_finish();
	model_must_be_fine();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_finds_missing_flush_at_delete),
		cmocka_unit_test(test_finds_missing_flush_of_log),
		cmocka_unit_test(test_finds_missing_flush_of_dirty_bit),
		cmocka_unit_test(test_finds_missing_flush_as_a_log_begins),
		cmocka_unit_test(test_finds_missing_gathering),
		cmocka_unit_test(test_finds_log_that_is_off),
		cmocka_unit_test(test_finds_freed_table),
		cmocka_unit_test(test_finds_kept_root),
		cmocka_unit_test(test_finds_third_mapping),
		cmocka_unit_test(test_log_begins_on_a_clean_large_page),
		cmocka_unit_test(test_log_begins_behind_a_split),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
