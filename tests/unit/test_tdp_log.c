/* SPDX-License-Identifier: BSD-2-Clause */
/* What the two-dimensional engine takes from entries that stay: the dirty log, and aging. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "mm/host.h"
#include "tests/unit/support/host.h"
#include "tests/unit/support/tdp_world.h"

#define W PFERR_WRITE
#define R 0

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

		world_with_memory(f, 3, 0x40000, 0x40000, 0);
		hardware_logs();
		assert_int_equal(world_fault(0, 0x41234, W), RET_PF_FIXED); /* 1G */
		host_flushes = 0;
		assert_int_equal(slots_set_flags(&world.mem, 0, SLOT_DIRTY_LOG), 0);
		assert_true(host_flushes > 0);
		host_flushes = 1;
		assert_int_equal(noted.on, !by_fault);
		world_check_tree();
		/* Split ahead, and nothing can be written unseen, and all of it still be read. */
		for (uint64_t gfn = 0x40000; gfn < 0x80000; gfn += 0x101) {
			assert_false(world_hides_writes(gfn));
			assert_int_equal(world_walk(gfn, true), by_fault ? 0 : world_backing(gfn));
			assert_int_equal(world_walk(gfn, false), world_backing(gfn));
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
		world_with_memory(f, 3, 0x40000, 0x400, SLOT_DIRTY_LOG);
		hardware_logs();
		assert_int_equal(world_fault(0, 0x40011, W), RET_PF_FIXED);
		assert_int_equal(world_fault(0, 0x40101, R), RET_PF_FIXED);
		for (uint64_t gfn = 0x40000; gfn < 0x40200; gfn++)
			assert_int_equal(world_hides_writes(gfn), gfn == 0x40011);
		assert_int_equal(world_walk(0x40012, true),
				 f == WORLD_EPT_LOG ? world_backing(0x40012) : 0);
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

	world_with_memory(WORLD_EPT_LOG, 1, 0, 64, 0);
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
	mm_inject_failure = world_no_memory;
	assert_int_equal(slots_create(&world.mem, 1, GFN(0x100), 64, SLOT_DIRTY_LOG), -ENOMEM);
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

	world_with_memory(format, 3, 0x40000, 0x40000, 0);
	assert_int_equal(world_fault(0, 0x41234, W), RET_PF_FIXED);
	slots_lock(&world.mem);
	mm_inject_failure = world_no_memory;
	world.mem.ops->slot_settle(&world.tdp,
				   &(struct memslot){.base = GFN(0x40000),
						     .nr_pages = 0x40000,
						     .flags = SLOT_DIRTY_LOG},
				   SLOT_DIRTY_LOG, 0x1000, 0x2000);
	mm_inject_failure = NULL;
	slots_unlock(&world.mem);
	world_spte(0x41234, &level);
	assert_int_equal(level, 3);
	assert_int_equal(world_walk(0x41234, true), 0);
	assert_int_equal(slots_set_flags(&world.mem, 0, SLOT_DIRTY_LOG), 0);
	world_unmap(0x40000, 0x80000);
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

	world_with_memory(format, 3, 0x40000, 0x40000, 0);
	assert_int_equal(slots_set_flags(&world.mem, 0, SLOT_DIRTY_LOG), 0);
	/* As a fault does that saw the slot before the log began: */
	slot = (struct memslot *)slots_find(&world.mem, GFN(0x40000));
	slot->flags = 0;
	assert_int_equal(world_fault(0, 0x41234, R), RET_PF_FIXED);
	slot->flags = SLOT_DIRTY_LOG;
	slots_lock(&world.mem);
	mm_inject_failure = world_no_memory;
	world.mem.ops->slot_settle(&world.tdp, slot, SLOT_DIRTY_LOG, 0x1000, 0x2000);
	mm_inject_failure = NULL;
	slots_unlock(&world.mem);
	world_spte(0x41234, &level);
	assert_int_equal(level, 3);
	assert_int_equal(world_fault(0, 0x41234, W), RET_PF_FIXED);
	world_spte(0x41234, &level);
	assert_int_equal(level, 1);
	assert_int_equal(world_walk(0x41234, true), world_backing(0x41234));
	assert_false(world_hides_writes(0x41235));
	assert_int_equal(world_walk(0x41235, false), world_backing(0x41235));
	assert_int_equal(world_stats().split, 2);
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

/* A count in pieces. */
static uint64_t age_all(uint64_t start, uint64_t end)
{
	uint64_t n = 0;

	for (; start < end; start += 0x2000)
		n += age(start, start + 0x2000, NULL);
	return n;
}

static void test_a_large_page_is_counted_once(void **state)
{
	world_with_memory(WORLD_NPT, 3, 0x40000, 0x40000, 0);
	assert_int_equal(world_fault(0, 0x51234, R), RET_PF_FIXED);
	assert_int_equal(age_all(0x40000, 0x80000), 0x40000);
	assert_int_equal(age_all(0x40000, 0x80000), 0);
	world_destroy();
}

static void test_aging(void **state)
{
	for (unsigned f = 0; f < WORLD_FORMATS; f++) {
		bool has_a = world_format[f].accessed;
		uint64_t young[2] = {0};
		unsigned level;

		world_with_memory(f, 1, 0, 0x400, 0);
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
		assert_int_equal(world_walk(0x41, false), world_backing(0x41));
		assert_int_equal(world_walk(0x41, true), 0); /* a write has to prove itself */
		assert_int_equal(world_fault(0, 0x41, W), RET_PF_FIXED);
		assert_int_equal(world_walk(0x41, true), world_backing(0x41));
		assert_int_equal(world_fault(0, 0x42, W), RET_PF_FIXED); /* both in one step */
		assert_int_equal(world_walk(0x42, true), world_backing(0x42));
		assert_true(spte_is_tracked(world_spte(0x43, &level)));
		assert_int_equal(age(0, 0x400, NULL), 2);
		world_check_tree();
		world_destroy();
	}
}

/* Aging takes W without a flush; whoever write-protects next has to know (P2, race 3). */
static void test_protect_after_aging_flushes(void **state)
{
	world_with_memory(WORLD_EPT_NO_AD, 1, 0, 0x40, 0);
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

	world_with_memory(WORLD_NPT, 2, 0x200, 0x400, 0);
	assert_int_equal(world_fault(0, 0x234, R), RET_PF_FIXED);
	assert_int_equal(age(0x100, 0x300, young), 0x100);
	for (unsigned i = 0; i < 8; i++)
		assert_int_equal(young[i], i < 4 ? 0 : ~0ull);
	world_destroy();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_dirty_log),
		cmocka_unit_test(test_faults_in_a_logged_slot),
		cmocka_unit_test(test_who_is_logged),
		cmocka_unit_test(test_dirty_log_without_memory),
		cmocka_unit_test(test_write_splits_logged_large_page),
		cmocka_unit_test(test_aging),
		cmocka_unit_test(test_a_large_page_is_counted_once),
		cmocka_unit_test(test_protect_after_aging_flushes),
		cmocka_unit_test(test_large_pages_age_as_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
