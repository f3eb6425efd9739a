/* SPDX-License-Identifier: BSD-2-Clause */
/* The two-dimensional engine, case by case: every outcome of a fault, every kind of removal. */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "mm/host.h"
#include "tests/unit/support/host.h"
#include "tests/unit/support/panic.h"
#include "tests/unit/support/tdp_world.h"

#define W PFERR_WRITE
#define R 0
#define X PFERR_FETCH

static void with_memory(unsigned format, unsigned max_level, uint64_t base, uint64_t pages,
			uint32_t flags)
{
	world_create(2 * GIB + 512 * MIB, &world_format[format], max_level);
	assert_int_equal(slots_create(&world.mem, 0, GFN(base), pages, flags), 0);
}

static uint64_t backing(uint64_t gfn)
{
	return slot_pfn(slots_find(&world.mem, GFN(gfn)), GFN(gfn)).v;
}

static void zap_work(void)
{
	while (world.tdp.nr_dying) {
		grace_drain();
		tdp_zap_work(&world.tdp);
	}
}

static struct tdp_stats stats(void)
{
	struct tdp_stats s;

	tdp_get_stats(&world.tdp, &s);
	return s;
}

static void unmap(uint64_t start, uint64_t end)
{
	slots_lock(&world.mem);
	tdp_unmap_range(&world.tdp, GFN(start), GFN(end));
	slots_unlock(&world.mem);
}

static void check_level(uint64_t gfn, uint32_t error, unsigned want)
{
	unsigned level;

	assert_int_equal(world_fault(0, gfn, error), RET_PF_FIXED);
	assert_int_equal(world_walk(gfn, true), backing(gfn));
	world_spte(gfn, &level);
	assert_int_equal(level, want);
}

static void test_page_sizes(void **state)
{
	for (unsigned f = 0; f < WORLD_FORMATS; f++) {
		with_memory(f, 3, 0x40000, 0x40000 + 0x200 + 3, 0);
		for (unsigned max = 1; max <= 3; max++) {
			world.tdp.max_level = max;
			check_level(0x41234, W, max);
			/* Behind the gigabyte there is room for one 2M page, and then for none. */
			check_level(0x80000, R, min(max, 2u));
			check_level(0x80202, X, 1);
			world_check_tree();
			unmap(0, world.tdp.end.v);
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
		with_memory(f, 1, 0, 64, 0);
		assert_int_equal(world_fault(0, 5, R), RET_PF_FIXED);
		assert_int_equal(world_fault(1, 5, R), RET_PF_SPURIOUS);
		assert_int_equal(world_fault(1, 5, W),
				 RET_PF_SPURIOUS); /* mapped writable at once */
		assert_int_equal(world_fault(1, 5, X), RET_PF_SPURIOUS);
		assert_int_equal(stats().faults[RET_PF_SPURIOUS], 3);
		assert_int_equal(stats().faults[RET_PF_FIXED], 1);
		world_destroy();
	}
}

static void test_prefetch_stays_in_slot(void **state)
{
	with_memory(WORLD_NPT, 1, 5, 8, 0); /* 5 ... 12 of the group 0 ... 15 */
	assert_int_equal(slots_create(&world.mem, 1, GFN(14), 100, 0), 0);
	assert_int_equal(world_fault(0, 7, W), RET_PF_FIXED);
	for (uint64_t gfn = 0; gfn < 32; gfn++)
		assert_int_equal(world_walk(gfn, true), gfn >= 5 && gfn < 13 ? backing(gfn) : 0);
	assert_int_equal(stats().mapped[0], 1);
	assert_int_equal(stats().prefetched, 7);
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

	with_memory(WORLD_NPT, 1, 0, 64, 0);
	assert_int_equal(world_fault(0, 3, W), RET_PF_FIXED);
	slots_lock(&world.mem);
	tdp_unmap_range(&world.tdp, GFN(8), GFN(10));
	slots_unlock(&world.mem);
	assert_int_equal(world_walk(8, false), 0);
	before = world_spte(3, &level);
	assert_int_equal(world_fault(0, 9, W), RET_PF_FIXED);
	assert_int_equal(world_spte(3, &level), before);
	assert_int_equal(world_walk(8, true), backing(8));
	assert_int_equal(stats().prefetched, 16);
	world_destroy();
}

static void test_read_only_slot(void **state)
{
	for (unsigned f = 0; f < WORLD_FORMATS; f++) {
		with_memory(f, 3, 0x200, 0x400, SLOT_READONLY);
		assert_int_equal(world_fault(0, 0x234, W), RET_PF_EMULATE);
		assert_int_equal(world_fault(0, 0x234, R), RET_PF_FIXED);
		assert_int_equal(world_walk(0x234, false), backing(0x234));
		assert_int_equal(world_walk(0x234, true), 0);
		assert_int_equal(world_fault(0, 0x234, W | PFERR_PRESENT), RET_PF_EMULATE);
		assert_int_equal(world_fault(0, 0x235, X), RET_PF_SPURIOUS);
		/* It becomes writable, and back. */
		assert_int_equal(slots_set_flags(&world.mem, 0, 0), 0);
		assert_int_equal(world_fault(0, 0x234, W), RET_PF_FIXED);
		assert_int_equal(world_walk(0x234, true), backing(0x234));
		assert_int_equal(slots_set_flags(&world.mem, 0, SLOT_READONLY), 0);
		assert_int_equal(world_walk(0x234, true), 0);
		world_check_tree();
		world_destroy();
	}
}

static void test_mmio(void **state)
{
	for (unsigned f = 0; f < WORLD_FORMATS; f++) {
		unsigned level;
		uint64_t first;

		with_memory(f, 3, 0, 0x100, 0);
		assert_int_equal(world_fault(0, 0xfee00, W), RET_PF_EMULATE);
		first = world_spte(0xfee00, &level);
		assert_int_equal(level, 1);
		assert_true(spte_is_mmio(world.tdp.fmt, first));
		assert_int_equal(spte_mmio_gfn(first).v, 0xfee00);
		assert_int_equal(stats().mmio, 1);
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
		assert_int_equal(world_walk(0xfee00, true), backing(0xfee00));
		world_check_tree();
		world_destroy();
	}
}

/* A ROM where an MMIO entry was: a CPU that takes each access to it for a write reads the ROM all
 * the same. */
static void test_mmio_becomes_rom(void **state)
{
	for (unsigned f = 0; f < WORLD_FORMATS; f++) {
		with_memory(f, 3, 0, 0x100, 0);
		assert_int_equal(world_fault(0, 0xffff0, R), RET_PF_EMULATE);
		assert_int_equal(slots_create(&world.mem, 1, GFN(0xffff0), 1, SLOT_READONLY), 0);
		assert_int_equal(world_fault(0, 0xffff0, W | PFERR_RSVD), RET_PF_FIXED);
		assert_int_equal(world_walk(0xffff0, false), backing(0xffff0));
		assert_int_equal(world_walk(0xffff0, true), 0);
		assert_int_equal(world_fault(0, 0xffff0, W | PFERR_PRESENT), RET_PF_EMULATE);
		world_destroy();
	}
}

/* A guest may look for devices wherever it likes: that costs no more than so many tables. */
static void test_mmio_everywhere(void **state)
{
	uint64_t last = 0;

	with_memory(WORLD_EPT, 3, 0, 0x100, 0);
	for (unsigned i = 1; i < 4 * TDP_MMIO_TABLES; i++) {
		last = (uint64_t)i << 18; /* each in a table of its own, below a table of its own */
		assert_int_equal(world_fault(0, last, R), RET_PF_EMULATE);
	}
	assert_in_range(world.tdp.tables, TDP_MMIO_TABLES, TDP_MMIO_TABLES + 4);
	assert_true(stats().mmio >= TDP_MMIO_TABLES / 3);
	/* Memory there is mapped all the same, and entries go beside it. */
	assert_int_equal(slots_create(&world.mem, 1, GFN(last), 1, 0), 0);
	assert_int_equal(world_fault(0, last, W), RET_PF_FIXED);
	assert_int_equal(world_walk(last, true), backing(last));
	last = stats().mmio;
	assert_int_equal(world_fault(0, (4 * TDP_MMIO_TABLES - 1ull) << 18 | 7, R), RET_PF_EMULATE);
	assert_int_equal(stats().mmio, last + 1);
	/* A new tree begins with none. */
	slots_lock(&world.mem);
	tdp_zap_all(&world.tdp);
	slots_unlock(&world.mem);
	world_reload(0);
	assert_int_equal(world_fault(0, 0xfee00, R), RET_PF_EMULATE);
	assert_int_equal(stats().mmio, 1);
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
	with_memory(WORLD_NPT, 3, 0, 0x100, 0);
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

	with_memory(WORLD_EPT, 3, 0, 0x100, 0);
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
	assert_int_equal(stats().mmio, 0);
	assert_int_equal(slots_delete(&world.mem, 2), 0); /* 0x80000 */
	assert_int_equal(world_fault(0, 0xfec00, W), RET_PF_EMULATE);
	assert_int_equal(stats().mmio, 1);
	world_reload(1);
	world_destroy();
}

static void test_delete_slot(void **state)
{
	for (unsigned max = 1; max <= 3; max++) {
		with_memory(WORLD_NPT, max, 0x40000, 0x40000, 0);
		assert_int_equal(slots_create(&world.mem, 1, GFN(0), 64, 0), 0);
		assert_int_equal(world_fault(0, 3, W), RET_PF_FIXED);
		for (uint64_t gfn = 0x40000; gfn < 0x48000; gfn += 0x123)
			assert_int_not_equal(world_fault(0, gfn, W), RET_PF_RETRY);
		host_flushes = 0;
		assert_int_equal(slots_delete(&world.mem, 0), 0);
		assert_int_equal(host_flushes, 1);
		for (uint64_t gfn = 0x40000; gfn < 0x80000; gfn += 0x123)
			assert_int_equal(world_walk(gfn, false), 0);
		assert_int_equal(world_walk(3, true), backing(3));
		world_check_tree();
		/* The tables of the slot are gone; root and those of gfn 0 are left. */
		assert_int_equal(world.tdp.tables, 4);
		assert_int_equal(world_fault(0, 0x40000, W), RET_PF_EMULATE);
		world_destroy();
	}
}

static void test_empty_slot_costs_no_flush(void **state)
{
	with_memory(WORLD_NPT, 3, 0, 0x1000, 0);
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

		assert_int_equal(world_walk(gfn, true), gone ? 0 : backing(gfn));
	}
	assert_int_equal(world_walk(start, false), 0);
	assert_int_equal(world_walk(end - 1, false), 0);
	if (start > 0x40000)
		assert_int_equal(world_walk(start - 1, false), backing(start - 1));
	if (end < 0x80000)
		assert_int_equal(world_walk(end, false), backing(end));
	world_check_tree();
}

static void test_unmap_splits(void **state)
{
	static const uint64_t ranges[][2] = {
		{0x40000, 0x40001}, {0x7ffff, 0x80000}, {0x40000, 0x40200}, {0x401ff, 0x40401},
		{0x50005, 0x70007}, {0x40001, 0x7ffff}, {0x40000, 0x80000},
	};

	for (unsigned f = 0; f < WORLD_FORMATS; f++) {
		with_memory(f, 3, 0x40000, 0x40000, 0);
		for (unsigned i = 0; i < ARRAY_SIZE(ranges); i++) {
			check_level(0x41234, W, 3);
			unmap(ranges[i][0], ranges[i][1]);
			check_hole(ranges[i][0], ranges[i][1]);
			unmap(0, world.tdp.end.v);
		}
		world_destroy();
	}
}

static bool no_memory(void)
{
	return true;
}

/* Without memory for a split the whole page goes, and comes back by a fault. */
static void test_unmap_without_memory(void **state)
{
	with_memory(WORLD_NPT, 3, 0x40000, 0x40000, 0);
	assert_int_equal(world_fault(0, 0x41234, W), RET_PF_FIXED);
	mm_inject_failure = no_memory;
	unmap(0x50000, 0x50001);
	mm_inject_failure = NULL;
	assert_int_equal(world_walk(0x41234, false), 0);
	assert_int_equal(world_walk(0x50000, false), 0);
	assert_int_equal(world_fault(0, 0x41234, W), RET_PF_FIXED);
	world_check_tree();
	world_destroy();
}

static void test_unmap_borders(void **state)
{
	with_memory(WORLD_NPT, 1, 0, 0x400, 0);
	assert_int_equal(world_fault(0, 0, W), RET_PF_FIXED);
	unmap(5, 5);
	unmap(0x100000, 0x200000);
	unmap(world.tdp.end.v, SLOTS_MAX_GFN);
	assert_int_equal(world_walk(5, true), backing(5));
	unmap(0, SLOTS_MAX_GFN);
	assert_int_equal(world_walk(5, true), 0);
	assert_int_equal(world.tdp.tables, 1);
	world_destroy();
}

static void test_locks_are_asserted(void **state)
{
	with_memory(WORLD_NPT, 1, 0, 0x400, 0);
	assert_panics(tdp_unmap_range(&world.tdp, GFN(0), GFN(1)));
	assert_panics(tdp_zap_all(&world.tdp));
	assert_panics(tdp_age_range(&world.tdp, GFN(0), GFN(1), NULL));
	world_destroy();
}

static void zap_all(void)
{
	slots_lock(&world.mem);
	tdp_zap_all(&world.tdp);
	slots_unlock(&world.mem);
}

static void test_zap_all(void **state)
{
	hpa_t old;
	uint64_t tables;

	with_memory(WORLD_EPT, 1, 0, 0x10000, 0);
	for (uint64_t gfn = 0; gfn < 0x10000; gfn += 16)
		assert_int_equal(world_fault(gfn & 1, gfn, W), RET_PF_FIXED);
	old = world.root[0];
	tables = world.tdp.tables;
	assert_int_equal(tables, 3 + 0x10000 / 512);
	zap_all();
	assert_int_equal(host_reloads, 1);
	/* On the old root nothing is resolved any more. */
	assert_int_equal(world_fault(0, 0x20, R), RET_PF_RETRY);
	world_reload(0);
	assert_int_not_equal(world.root[0].v, old.v);
	assert_int_equal(world_walk(0, false), 0);
	assert_int_equal(world_fault(0, 0, W), RET_PF_FIXED);
	assert_int_equal(world_walk(0, true), backing(0));
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
	zap_work();
	assert_int_equal(world.tdp.tables, 4);
	world_check_tree();
	world_destroy();
}

static void test_zap_all_twice_and_unused(void **state)
{
	with_memory(WORLD_NPT, 3, 0, 0x1000, 0);
	assert_int_equal(world_fault(0, 0, W), RET_PF_FIXED);
	zap_all();
	zap_all(); /* no root: nothing to do */
	assert_int_equal(host_reloads, 1);
	world_reload(0);
	zap_all();
	world_reload(0);
	world_reload(1);
	zap_work();
	assert_int_equal(world.tdp.tables, 1);
	world_destroy();
}

/* Three trees at once: one each of two slow vCPUs, and the current one. */
static void test_old_roots_live_on(void **state)
{
	with_memory(WORLD_NPT, 3, 0, 0x1000, 0);
	assert_int_equal(world_fault(0, 0, W), RET_PF_FIXED);
	zap_all();
	world_reload(0);
	assert_int_equal(world_fault(0, 0, W), RET_PF_FIXED);
	zap_all();
	assert_int_equal(slots_delete(&world.mem, 0), 0);
	assert_int_equal(slots_create(&world.mem, 0, GFN(0), 0x1000, 0), 0);
	world_reload(1);
	assert_int_equal(world_fault(1, 0, W), RET_PF_FIXED);
	zap_work();
	world_reload(0);
	zap_work();
	assert_int_equal(world_walk(0, true), backing(0));
	world_check_tree();
	world_destroy();
}

static uint64_t bitmap[0x40000 / 64];

/* What the CPU has noted of its own accord, and whether it does. */
static struct {
	bool on;
	uint64_t gfn[4];
	unsigned nr, gathered;
} noted;

static void on_log(struct vm *vm, bool on)
{
	assert_true(noted.on != on);
	noted.on = on;
}

static void on_gather(struct vm *vm)
{
	noted.gathered++;
	while (noted.nr) {
		gfn_t gfn = GFN(noted.gfn[--noted.nr]);

		slot_mark_dirty(slots_find(&world.mem, gfn), gfn);
	}
}

static void hardware_logs(void)
{
	memset(&noted, 0, sizeof(noted));
	host_on_log = on_log;
	host_on_gather = on_gather;
}

/* A guest's write, in a slot that is logged: by way of a fault, or of the CPU. */
static void write_logged(unsigned vcpu, uint64_t gfn)
{
	uint64_t dirty = world.tdp.fmt->dirty;
	spte_t *table = host_va(world.root[vcpu]);

	if (!world_walk(gfn, true)) {
		assert_int_equal(world_fault(vcpu, gfn, W), RET_PF_FIXED);
		return;
	}
	for (unsigned level = world.tdp.fmt->root_level; level > 1; level--)
		table = host_va(spte_address(spte_load(&table[spte_index(GFN(gfn), level)])));
	if (!(atomic_fetch_or(&table[spte_index(GFN(gfn), 1)], dirty) & dirty) && noted.on)
		noted.gfn[noted.nr++] = gfn;
}

static void test_dirty_log(void **state)
{
	for (unsigned f = 0; f < WORLD_FORMATS; f++) {
		bool by_fault = f != WORLD_EPT_LOG;
		unsigned level;

		with_memory(f, 3, 0x40000, 0x40000, 0);
		hardware_logs();
		assert_int_equal(world_fault(0, 0x41234, W), RET_PF_FIXED); /* 1G */
		host_flushes = 0;
		assert_int_equal(slots_set_flags(&world.mem, 0, SLOT_DIRTY_LOG), 0);
		assert_int_equal(host_flushes, 1);
		assert_int_equal(noted.on, !by_fault);
		world_check_tree();
		/* Split ahead, and nothing can be written unseen, and all of it still be read. */
		for (uint64_t gfn = 0x40000; gfn < 0x80000; gfn += 0x101) {
			assert_false(world_hides_writes(gfn));
			assert_int_equal(world_walk(gfn, true), by_fault ? 0 : backing(gfn));
			assert_int_equal(world_walk(gfn, false), backing(gfn));
		}
		assert_int_equal(world_fault(0, 0x41234, R), RET_PF_SPURIOUS);
		write_logged(0, 0x41234);
		write_logged(1, 0x7ffff);
		write_logged(0, 0x41234);
		assert_true(world_hides_writes(0x41234));
		world_spte(0x41234, &level);
		assert_int_equal(level, 1);
		assert_false(world_hides_writes(0x41235));
		assert_int_equal(slots_get_dirty(&world.mem, 0, 0, 0x40000, bitmap), 0);
		for (unsigned i = 0; i < ARRAY_SIZE(bitmap); i++) {
			uint64_t want = i == 0x1234 / 64 ? BIT_ULL(0x1234 % 64) : 0;

			assert_int_equal(bitmap[i], i == 0x3ffff / 64 ? BIT_ULL(63) : want);
		}
		assert_int_equal(host_flushes, 2);
		assert_false(world_hides_writes(0x41234));
		/* Nothing new: no flush. */
		assert_int_equal(slots_get_dirty(&world.mem, 0, 0, 0x40000, bitmap), 0);
		assert_int_equal(host_flushes, 2);
		assert_int_equal(noted.gathered, by_fault ? 0 : 2);
		world_check_tree();
		/* The end of the log: large pages come back. */
		assert_int_equal(slots_set_flags(&world.mem, 0, 0), 0);
		assert_false(noted.on);
		assert_int_equal(world_fault(0, 0x41234, W), RET_PF_FIXED);
		world_spte(0x41234, &level);
		assert_int_equal(level, 3);
		world_check_tree();
		world_destroy();
	}
}

/* New mappings of a logged slot: the page that is written is noted, its neighbours can be. */
static void test_faults_in_a_logged_slot(void **state)
{
	for (unsigned f = 0; f < WORLD_FORMATS; f++) {
		with_memory(f, 3, 0x40000, 0x400, SLOT_DIRTY_LOG);
		hardware_logs();
		assert_int_equal(world_fault(0, 0x40011, W), RET_PF_FIXED);
		assert_int_equal(world_fault(0, 0x40101, R), RET_PF_FIXED);
		for (uint64_t gfn = 0x40000; gfn < 0x40200; gfn++)
			assert_int_equal(world_hides_writes(gfn), gfn == 0x40011);
		assert_int_equal(world_walk(0x40012, true),
				 f == WORLD_EPT_LOG ? backing(0x40012) : 0);
		assert_int_equal(slots_get_dirty(&world.mem, 0, 0, 0x400, bitmap), 0);
		assert_int_equal(bitmap[0], BIT_ULL(0x11));
		assert_false(world_hides_writes(0x40011));
		world_destroy();
	}
}

/* The CPU logs from the first slot that wants it to the last, whatever comes of them. */
static void test_who_is_logged(void **state)
{
	const struct mmu_ops *ops;

	with_memory(WORLD_EPT_LOG, 1, 0, 64, 0);
	ops = world.mem.ops;
	hardware_logs();
	assert_int_equal(slots_create(&world.mem, 1, GFN(0x100), 64, SLOT_DIRTY_LOG), 0);
	assert_true(noted.on);
	assert_int_equal(slots_set_flags(&world.mem, 0, SLOT_DIRTY_LOG), 0);
	assert_int_equal(slots_move(&world.mem, 1, GFN(0x200)), 0);
	assert_int_equal(slots_set_flags(&world.mem, 1, SLOT_DIRTY_LOG | SLOT_READONLY), 0);
	assert_int_equal(slots_delete(&world.mem, 1), 0);
	assert_true(noted.on);
	assert_int_equal(slots_set_flags(&world.mem, 0, 0), 0);
	assert_false(noted.on);
	/* One that was refused does not count. */
	mm_inject_failure = no_memory;
	assert_int_equal(slots_set_flags(&world.mem, 0, SLOT_DIRTY_LOG), -ENOMEM);
	mm_inject_failure = NULL;
	assert_false(noted.on);
	/* An engine that goes takes its log with it, and the next one begins anew. */
	assert_int_equal(slots_set_flags(&world.mem, 0, SLOT_DIRTY_LOG), 0);
	assert_true(noted.on);
	assert_int_equal(slots_set_mmu(&world.mem, NULL, NULL), 0);
	assert_false(noted.on);
	assert_int_equal(slots_set_mmu(&world.mem, ops, &world.tdp), 0);
	assert_true(noted.on);
	world_destroy();
}

/* Logging begins while there is no memory: large pages stay, and the writer splits them. */
static void log_without_memory(unsigned format)
{
	unsigned level;

	with_memory(format, 3, 0x40000, 0x40000, 0);
	assert_int_equal(world_fault(0, 0x41234, W), RET_PF_FIXED);
	slots_lock(&world.mem);
	mm_inject_failure = no_memory;
	world.tdp.mem->ops->slot_commit(&world.tdp, slots_find(&world.mem, GFN(0x40000)),
					&(struct memslot){.base = GFN(0x40000),
							  .nr_pages = 0x40000,
							  .flags = SLOT_DIRTY_LOG},
					5);
	mm_inject_failure = NULL;
	slots_unlock(&world.mem);
	world_spte(0x41234, &level);
	assert_int_equal(level, 3);
	assert_int_equal(world_walk(0x41234, true), 0);
	assert_int_equal(slots_set_flags(&world.mem, 0, SLOT_DIRTY_LOG), 0);
	unmap(0x40000, 0x80000);
	world_check_tree();
	world_destroy();
}

static void test_dirty_log_without_memory(void **state)
{
	log_without_memory(WORLD_EPT);
	log_without_memory(WORLD_EPT_LOG);
}

static void write_splits_logged_large_page(unsigned format)
{
	struct memslot *slot;
	unsigned level;

	with_memory(format, 3, 0x40000, 0x40000, 0);
	assert_int_equal(slots_set_flags(&world.mem, 0, SLOT_DIRTY_LOG), 0);
	/* As a fault does that saw the slot before the log began: */
	slot = (struct memslot *)slots_find(&world.mem, GFN(0x40000));
	slot->flags = 0;
	assert_int_equal(world_fault(0, 0x41234, R), RET_PF_FIXED);
	slot->flags = SLOT_DIRTY_LOG;
	slots_lock(&world.mem);
	mm_inject_failure = no_memory;
	world.mem.ops->slot_commit(&world.tdp, &(struct memslot){.base = GFN(0x40000)}, slot, 5);
	mm_inject_failure = NULL;
	slots_unlock(&world.mem);
	world_spte(0x41234, &level);
	assert_int_equal(level, 3);
	assert_int_equal(world_fault(0, 0x41234, W), RET_PF_FIXED);
	world_spte(0x41234, &level);
	assert_int_equal(level, 1);
	assert_int_equal(world_walk(0x41234, true), backing(0x41234));
	assert_false(world_hides_writes(0x41235));
	assert_int_equal(world_walk(0x41235, false), backing(0x41235));
	assert_int_equal(stats().split, 2);
	assert_int_equal(slots_get_dirty(&world.mem, 0, 0, 0x40000, bitmap), 0);
	assert_int_equal(bitmap[0x1234 / 64], BIT_ULL(0x1234 % 64));
	world_check_tree();
	world_destroy();
}

static void test_write_splits_logged_large_page(void **state)
{
	write_splits_logged_large_page(WORLD_NPT);
	write_splits_logged_large_page(WORLD_EPT_LOG);
}

static uint64_t age(uint64_t start, uint64_t end, uint64_t *young)
{
	uint64_t n;

	slots_lock(&world.mem);
	n = tdp_age_range(&world.tdp, GFN(start), GFN(end), young);
	slots_unlock(&world.mem);
	return n;
}

static void test_aging(void **state)
{
	for (unsigned f = 0; f < WORLD_FORMATS; f++) {
		bool has_a = world_format[f].accessed;
		uint64_t young[2] = {0};
		unsigned level;

		with_memory(f, 1, 0, 0x400, 0);
		assert_int_equal(world_fault(0, 0x41, W), RET_PF_FIXED);
		/* Where hardware has no accessed bits, what is mapped counts as accessed. */
		assert_int_equal(age(0, 0x80, young), has_a ? 1 : 16);
		assert_int_equal(young[0], 0);
		assert_int_equal(young[1], has_a ? 2 : 0xffff);
		assert_int_equal(age(0, 0x80, NULL), 0);
		world_check_tree();
		if (has_a) {
			world_destroy();
			continue;
		}
		assert_int_equal(world_walk(0x41, false), 0);
		assert_int_equal(world_fault(0, 0x41, R), RET_PF_FIXED);
		assert_int_equal(world_walk(0x41, false), backing(0x41));
		assert_int_equal(world_walk(0x41, true), 0); /* a write has to prove itself */
		assert_int_equal(world_fault(0, 0x41, W), RET_PF_FIXED);
		assert_int_equal(world_walk(0x41, true), backing(0x41));
		assert_int_equal(world_fault(0, 0x42, W), RET_PF_FIXED); /* both in one step */
		assert_int_equal(world_walk(0x42, true), backing(0x42));
		assert_true(spte_is_tracked(world_spte(0x43, &level)));
		assert_int_equal(age(0, 0x400, NULL), 2);
		world_check_tree();
		world_destroy();
	}
}

/* Aging takes W without a flush; whoever write-protects next has to know (P2, race 3). */
static void test_protect_after_aging_flushes(void **state)
{
	with_memory(WORLD_EPT_NO_AD, 1, 0, 0x40, 0);
	assert_int_equal(world_fault(0, 1, W), RET_PF_FIXED);
	host_flushes = 0;
	assert_int_equal(age(0, 0x40, NULL), 16);
	assert_int_equal(host_flushes, 0);
	assert_int_equal(slots_set_flags(&world.mem, 0, SLOT_DIRTY_LOG), 0);
	assert_int_equal(host_flushes, 1);
	world_destroy();
}

static void test_large_pages_age_as_one(void **state)
{
	uint64_t young[16] = {0};

	with_memory(WORLD_NPT, 2, 0x200, 0x400, 0);
	assert_int_equal(world_fault(0, 0x234, R), RET_PF_FIXED);
	assert_int_equal(age(0x100, 0x300, young), 0x100);
	for (unsigned i = 0; i < 8; i++)
		assert_int_equal(young[i], i < 4 ? 0 : ~0ull);
	world_destroy();
}

/* --- tables are freed after a grace period --- */

static _Atomic bool unmapped;

static void *unmap_on_cpu_1(void *arg)
{
	host_set_cpu(1);
	grace_exit_guest(grace_cpu());
	unmap(0, 0x400);
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

	with_memory(WORLD_NPT, 1, 0, 0x400, 0);
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
	assert_int_equal(world_walk(0x207, true), backing(0x207));
	assert_ptr_not_equal(leaf_table(0x207), table);
	grace_enter_guest(grace_cpu());
	pthread_join(thread, NULL);
	grace_exit_guest(grace_cpu());
	assert_int_not_equal(spte_load(&table[5]), SPTE_FROZEN); /* freed and overwritten */
	world_check_tree();
	world_destroy();
	host_set_nr_cpus(1);
}

/* --- memory runs out --- */

static unsigned fail_at, asked;

static bool fail_nth(void)
{
	return asked++ == fail_at;
}

static void check_fault_with_failure(unsigned n)
{
	uint64_t tables;
	enum ret_pf r;

	with_memory(WORLD_NPT, 1, 0x40000, 0x400, 0);
	tables = world.tdp.tables;
	asked = 0;
	fail_at = n;
	mm_inject_failure = fail_nth;
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
	for (fail_at = 0; fail_at < 4; fail_at++) {
		hpa_t root;
		int err;

		with_memory(WORLD_NPT, 1, 0x40000, 0x400, 0);
		zap_all();
		asked = 0;
		mm_inject_failure = fail_nth;
		err = tdp_load_root(&world.vcpu[0], &root);
		mm_inject_failure = NULL;
		assert_int_equal(err, asked > fail_at ? -ENOMEM : 0);
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

/* A moved slot need not be aligned as its frames are. */
static void test_moved_slot(void **state)
{
	unsigned level;

	with_memory(WORLD_NPT, 3, 0x40000, 0x800, 0);
	assert_int_equal(world_fault(0, 0x40234, W), RET_PF_FIXED);
	assert_int_equal(slots_move(&world.mem, 0, GFN(0x50001)), 0);
	assert_int_equal(world_walk(0x40234, false), 0);
	assert_int_equal(world_fault(0, 0x40234, W), RET_PF_EMULATE);
	for (uint64_t gfn = 0x50001; gfn < 0x50801; gfn++) {
		assert_in_range(world_fault(0, gfn, W), RET_PF_FIXED, RET_PF_SPURIOUS);
		assert_int_equal(world_walk(gfn, true), backing(gfn));
	}
	world_spte(0x50234, &level);
	assert_int_equal(level, 1);
	world_check_tree();
	world_destroy();
}

static void test_slot_on_its_way_out(void **state)
{
	struct memslot *slot;

	with_memory(WORLD_NPT, 3, 0x40000, 0x800, 0);
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
	with_memory(WORLD_EPT, 3, 0x200, 0x400, 0);
	assert_int_equal(world_fault(0, 0x234, W), RET_PF_FIXED);
	/* The monitor switches the VM to no engine at all, and back. */
	assert_int_equal(slots_set_mmu(&world.mem, NULL, NULL), 0);
	for (unsigned i = 0; i < WORLD_VCPUS; i++)
		tdp_vcpu_destroy(&world.vcpu[i]);
	tdp_destroy(&world.tdp);
	assert_int_equal(tdp_init(&world.tdp, &world.mem, NULL, &world_format[WORLD_NPT], 2), 0);
	for (unsigned i = 0; i < WORLD_VCPUS; i++) {
		tdp_vcpu_init(&world.vcpu[i], &world.tdp);
		world_reload(i);
	}
	assert_int_equal(world_fault(0, 0x234, W), RET_PF_FIXED);
	assert_int_equal(world_walk(0x234, true), backing(0x234));
	world_check_tree();
	world_destroy();
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
		cmocka_unit_test(test_mmio),
		cmocka_unit_test(test_mmio_becomes_rom),
		cmocka_unit_test(test_mmio_everywhere),
		cmocka_unit_test(test_mmio_without_reserved_bits),
		cmocka_unit_test(test_beyond_the_tables),
		cmocka_unit_test(test_mmio_generation_wrap),
		cmocka_unit_test(test_delete_slot),
		cmocka_unit_test(test_empty_slot_costs_no_flush),
		cmocka_unit_test(test_unmap_splits),
		cmocka_unit_test(test_unmap_without_memory),
		cmocka_unit_test(test_unmap_borders),
		cmocka_unit_test(test_locks_are_asserted),
		cmocka_unit_test(test_zap_all),
		cmocka_unit_test(test_zap_all_twice_and_unused),
		cmocka_unit_test(test_old_roots_live_on),
		cmocka_unit_test(test_dirty_log),
		cmocka_unit_test(test_faults_in_a_logged_slot),
		cmocka_unit_test(test_who_is_logged),
		cmocka_unit_test(test_dirty_log_without_memory),
		cmocka_unit_test(test_write_splits_logged_large_page),
		cmocka_unit_test(test_aging),
		cmocka_unit_test(test_protect_after_aging_flushes),
		cmocka_unit_test(test_large_pages_age_as_one),
		cmocka_unit_test(test_tables_outlive_their_readers),
		cmocka_unit_test(test_fault_without_memory),
		cmocka_unit_test(test_root_without_memory),
		cmocka_unit_test(test_engine_that_never_was),
		cmocka_unit_test(test_moved_slot),
		cmocka_unit_test(test_slot_on_its_way_out),
		cmocka_unit_test(test_slots_before_the_engine),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
