/* SPDX-License-Identifier: BSD-2-Clause */
/* What the two-dimensional engine takes out: slots, ranges, whole trees; and what comes back. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <time.h>

#include <cmocka.h>

#include "mm/host.h"
#include "tests/unit/support/host.h"
#include "tests/unit/support/panic.h"
#include "tests/unit/support/tdp_world.h"

#define W PFERR_WRITE
#define R 0

static void test_delete_slot(void **state)
{
	for (unsigned max = 1; max <= 3; max++) {
		world_with_memory(WORLD_NPT, max, 0x40000, 0x40000, 0);
		assert_int_equal(slots_create(&world.mem, 1, GFN(0), 64, 0), 0);
		assert_int_equal(world_fault(0, 3, W), RET_PF_FIXED);
		for (uint64_t gfn = 0x40000; gfn < 0x48000; gfn += 0x123)
			assert_int_not_equal(world_fault(0, gfn, W), RET_PF_RETRY);
		host_flushes = 0;
		assert_int_equal(slots_delete(&world.mem, 0), 0);
		assert_int_equal(host_flushes, 1);
		for (uint64_t gfn = 0x40000; gfn < 0x80000; gfn += 0x123)
			assert_int_equal(world_walk(gfn, false), 0);
		assert_int_equal(world_walk(3, true), world_backing(3));
		world_check_tree();
		/* The tables of the slot are gone; root and those of gfn 0 are left. */
		assert_int_equal(world.tdp.tables, 4);
		assert_int_equal(world_fault(0, 0x40000, W), RET_PF_EMULATE);
		world_destroy();
	}
}

static void test_empty_slot_costs_no_flush(void **state)
{
	world_with_memory(WORLD_NPT, 3, 0, 0x1000, 0);
	host_flushes = 0;
	assert_int_equal(slots_delete(&world.mem, 0), 0);
	assert_int_equal(host_flushes, 0);
	world_destroy();
}

/* All of a gigabyte is mapped, but for [start, end). */
static void check_hole(uint64_t start, uint64_t end)
{
	for (uint64_t gfn = 0x40000; gfn < 0x80000; gfn += 7) {
		bool gone = gfn >= start && gfn < end;

		assert_int_equal(world_walk(gfn, true), gone ? 0 : world_backing(gfn));
	}
	assert_int_equal(world_walk(start, false), 0);
	assert_int_equal(world_walk(end - 1, false), 0);
	if (start > 0x40000)
		assert_int_equal(world_walk(start - 1, false), world_backing(start - 1));
	if (end < 0x80000)
		assert_int_equal(world_walk(end, false), world_backing(end));
	world_check_tree();
}

static void test_unmap_splits(void **state)
{
	static const uint64_t ranges[][2] = {
		{0x40000, 0x40001}, {0x7ffff, 0x80000}, {0x40000, 0x40200}, {0x401ff, 0x40401},
		{0x50005, 0x70007}, {0x40001, 0x7ffff}, {0x40000, 0x80000},
	};

	for (unsigned f = 0; f < WORLD_FORMATS; f++) {
		world_with_memory(f, 3, 0x40000, 0x40000, 0);
		for (unsigned i = 0; i < ARRAY_SIZE(ranges); i++) {
			world_check_level(0x41234, W, 3);
			world_unmap(ranges[i][0], ranges[i][1]);
			check_hole(ranges[i][0], ranges[i][1]);
			world_unmap(0, world.tdp.end.v);
		}
		world_destroy();
	}
}

/* Without memory for a split the whole page goes, and comes back by a fault. */
static void test_unmap_without_memory(void **state)
{
	world_with_memory(WORLD_NPT, 3, 0x40000, 0x40000, 0);
	assert_int_equal(world_fault(0, 0x41234, W), RET_PF_FIXED);
	mm_inject_failure = world_no_memory;
	world_unmap(0x50000, 0x50001);
	mm_inject_failure = NULL;
	assert_int_equal(world_walk(0x41234, false), 0);
	assert_int_equal(world_walk(0x50000, false), 0);
	assert_int_equal(world_fault(0, 0x41234, W), RET_PF_FIXED);
	world_check_tree();
	world_destroy();
}

static void test_unmap_borders(void **state)
{
	world_with_memory(WORLD_NPT, 1, 0, 0x400, 0);
	assert_int_equal(world_fault(0, 0, W), RET_PF_FIXED);
	world_unmap(5, 5);
	world_unmap(0x100000, 0x200000);
	world_unmap(world.tdp.end.v, SLOTS_MAX_GFN);
	assert_int_equal(world_walk(5, true), world_backing(5));
	world_unmap(0, SLOTS_MAX_GFN);
	assert_int_equal(world_walk(5, true), 0);
	assert_int_equal(world.tdp.tables, 1);
	world_destroy();
}

static void test_locks_are_asserted(void **state)
{
	world_with_memory(WORLD_NPT, 1, 0, 0x400, 0);
	assert_panics(tdp_unmap_range(&world.tdp, GFN(0), GFN(1)));
	assert_panics(tdp_zap_all(&world.tdp));
	assert_panics(tdp_age_range(&world.tdp, GFN(0), GFN(1), NULL));
	world_destroy();
}

static void test_zap_all(void **state)
{
	hpa_t old;
	uint64_t tables;

	world_with_memory(WORLD_EPT, 1, 0, 0x10000, 0);
	for (uint64_t gfn = 0; gfn < 0x10000; gfn += 16)
		assert_int_equal(world_fault(gfn & 1, gfn, W), RET_PF_FIXED);
	old = world.root[0];
	tables = world.tdp.tables;
	assert_int_equal(tables, 3 + 0x10000 / 512);
	world_zap_all();
	assert_int_equal(host_reloads, 1);
	/* On the old root nothing is resolved any more. */
	assert_int_equal(world_fault(0, 0x20, R), RET_PF_RETRY);
	world_reload(0);
	assert_int_not_equal(world.root[0].v, old.v);
	assert_int_equal(world_walk(0, false), 0);
	assert_int_equal(world_fault(0, 0, W), RET_PF_FIXED);
	assert_int_equal(world_walk(0, true), world_backing(0));
	/* One vCPU is still on it: it stays. */
	assert_int_equal(world.tdp.nr_dying, 0);
	tdp_zap_work(&world.tdp);
	assert_true(world.tdp.tables > tables);
	world_reload(1);
	assert_int_equal(world.root[1].v, world.root[0].v);
	assert_int_equal(world.tdp.nr_dying, 1);
	/* Nothing happens before a grace period is over; then one slice after the other. */
	tdp_zap_work(&world.tdp);
	assert_true(world.tdp.tables > tables);
	grace_drain();
	tdp_zap_work(&world.tdp);
	assert_int_equal(world.tdp.nr_dying, 1);
	assert_true(world.tdp.tables < tables + 4);
	world_zap_work();
	assert_int_equal(world.tdp.tables, 4);
	world_check_tree();
	world_destroy();
}

static void test_zap_all_twice_and_unused(void **state)
{
	world_with_memory(WORLD_NPT, 3, 0, 0x1000, 0);
	assert_int_equal(world_fault(0, 0, W), RET_PF_FIXED);
	world_zap_all();
	world_zap_all(); /* no root: nothing to do */
	assert_int_equal(host_reloads, 1);
	world_reload(0);
	world_zap_all();
	world_reload(0);
	world_reload(1);
	world_zap_work();
	assert_int_equal(world.tdp.tables, 1);
	world_destroy();
}

/* Three trees at once: one each of two slow vCPUs, and the current one. */
static void test_old_roots_live_on(void **state)
{
	world_with_memory(WORLD_NPT, 3, 0, 0x1000, 0);
	assert_int_equal(world_fault(0, 0, W), RET_PF_FIXED);
	world_zap_all();
	world_reload(0);
	assert_int_equal(world_fault(0, 0, W), RET_PF_FIXED);
	world_zap_all();
	assert_int_equal(slots_delete(&world.mem, 0), 0);
	assert_int_equal(slots_create(&world.mem, 0, GFN(0), 0x1000, 0), 0);
	world_reload(1);
	assert_int_equal(world_fault(1, 0, W), RET_PF_FIXED);
	world_zap_work();
	world_reload(0);
	world_zap_work();
	assert_int_equal(world_walk(0, true), world_backing(0));
	world_check_tree();
	world_destroy();
}

/* --- tables are freed after a grace period --- */

static _Atomic bool unmapped;

static void *unmap_on_cpu_1(void *arg)
{
	host_set_cpu(1);
	grace_exit_guest(grace_cpu());
	world_unmap(0, 0x400);
	grace_enter_guest(grace_cpu());
	atomic_store(&unmapped, true);
	return NULL;
}

static void sleep_ms(unsigned ms)
{
	const struct timespec t = {.tv_nsec = ms * 1000000};

	nanosleep(&t, NULL);
}

static spte_t *leaf_table(uint64_t gfn)
{
	spte_t *table = world.tdp.root->table;

	for (unsigned level = world.tdp.fmt->root_level; level > 1; level--)
		table = host_va(spte_address(spte_load(&table[spte_index(GFN(gfn), level)])));
	return table;
}

/* This CPU is a fault handler that has come as far as a table when another CPU removes it. */
static void test_tables_outlive_their_readers(void **state)
{
	pthread_t thread;
	spte_t *table;

	world_with_memory(WORLD_NPT, 1, 0, 0x400, 0);
	frames_set_poison(true);
	host_set_nr_cpus(2);
	assert_int_equal(world_fault(0, 5, W), RET_PF_FIXED);
	assert_int_equal(world_fault(0, 0x205, W), RET_PF_FIXED);
	table = leaf_table(0x205);
	host_flushes = 0;
	atomic_store(&unmapped, false);
	pthread_create(&thread, NULL, unmap_on_cpu_1, NULL);
	while (!host_flushes)
		sleep_ms(1);
	sleep_ms(50);
	assert_false(atomic_load(&unmapped));
	assert_int_equal(spte_load(&table[5]), SPTE_FROZEN);
	assert_int_equal(spte_load(&table[511]), SPTE_FROZEN);
	assert_int_equal(world.tdp.tables, 5);
	/* After the flush the range is open again, with the old table still around. */
	assert_int_equal(world_fault(1, 0x207, W), RET_PF_FIXED);
	assert_int_equal(world_walk(0x207, true), world_backing(0x207));
	assert_ptr_not_equal(leaf_table(0x207), table);
	grace_enter_guest(grace_cpu());
	pthread_join(thread, NULL);
	grace_exit_guest(grace_cpu());
	assert_int_not_equal(spte_load(&table[5]), SPTE_FROZEN); /* freed and overwritten */
	world_check_tree();
	world_destroy();
	host_set_nr_cpus(1);
}

/* A moved slot need not be aligned as its frames are. */
static void test_moved_slot(void **state)
{
	unsigned level;

	world_with_memory(WORLD_NPT, 3, 0x40000, 0x800, 0);
	assert_int_equal(world_fault(0, 0x40234, W), RET_PF_FIXED);
	assert_int_equal(slots_move(&world.mem, 0, GFN(0x50001)), 0);
	assert_int_equal(world_walk(0x40234, false), 0);
	assert_int_equal(world_fault(0, 0x40234, W), RET_PF_EMULATE);
	for (uint64_t gfn = 0x50001; gfn < 0x50801; gfn++) {
		assert_in_range(world_fault(0, gfn, W), RET_PF_FIXED, RET_PF_SPURIOUS);
		assert_int_equal(world_walk(gfn, true), world_backing(gfn));
	}
	world_spte(0x50234, &level);
	assert_int_equal(level, 1);
	world_check_tree();
	world_destroy();
}

static void test_slot_on_its_way_out(void **state)
{
	struct memslot *slot;

	world_with_memory(WORLD_NPT, 3, 0x40000, 0x800, 0);
	slot = (struct memslot *)slots_find(&world.mem, GFN(0x40000));
	slot->flags |= SLOT_INVALID;
	assert_int_equal(world_fault(0, 0x40000, W), RET_PF_RETRY);
	assert_int_equal(world_fault(0, 0x40000, R | PFERR_RSVD), RET_PF_RETRY);
	assert_int_equal(world.tdp.tables, 1);
	slot->flags &= ~SLOT_INVALID;
	world_destroy();
}

static void test_slots_before_the_engine(void **state)
{
	world_with_memory(WORLD_EPT, 3, 0x200, 0x400, 0);
	assert_int_equal(world_fault(0, 0x234, W), RET_PF_FIXED);
	/* The monitor switches the VM to no engine at all, and back. */
	assert_int_equal(slots_set_mmu(&world.mem, NULL, NULL), 0);
	for (unsigned i = 0; i < WORLD_VCPUS; i++)
		tdp_vcpu_destroy(&world.vcpu[i]);
	tdp_destroy(&world.tdp);
	assert_int_equal(
		tdp_init(&world.tdp, &world.mem, NULL, &world_format[WORLD_NPT], 2, &world.account),
		0);
	for (unsigned i = 0; i < WORLD_VCPUS; i++) {
		tdp_vcpu_init(&world.vcpu[i], &world.tdp);
		world_reload(i);
	}
	assert_int_equal(world_fault(0, 0x234, W), RET_PF_FIXED);
	assert_int_equal(world_walk(0x234, true), world_backing(0x234));
	world_check_tree();
	world_destroy();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_delete_slot),
		cmocka_unit_test(test_empty_slot_costs_no_flush),
		cmocka_unit_test(test_unmap_splits),
		cmocka_unit_test(test_unmap_without_memory),
		cmocka_unit_test(test_unmap_borders),
		cmocka_unit_test(test_locks_are_asserted),
		cmocka_unit_test(test_zap_all),
		cmocka_unit_test(test_zap_all_twice_and_unused),
		cmocka_unit_test(test_old_roots_live_on),
		cmocka_unit_test(test_tables_outlive_their_readers),
		cmocka_unit_test(test_moved_slot),
		cmocka_unit_test(test_slot_on_its_way_out),
		cmocka_unit_test(test_slots_before_the_engine),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
