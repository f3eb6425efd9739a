/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Changes of a slot's flags in slices: what one slice does is bounded whatever the slot's size, a
 * log that has begun misses no write however faults and slices took turns, and a slot may change,
 * move or go between two slices.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "mm/backing.h"
#include "mm/frames.h"
#include "tests/unit/support/host.h"
#include "tests/unit/support/tdp_world.h"

#define R 0
#define W PFERR_WRITE

#define BASE 0x40000u /* a multiple of 1 GiB */
#define GIG  0x40000u

/* In a slice at most: four tables of small pages, and what leads to them. */
#define SLICE_TABLES 6
#define SLICE_PAGES  (4 * 512)

static uint64_t bitmap[GIG / 64];

static uint64_t tables(void)
{
	return atomic_load(&world.tdp.tables);
}

/* What is mapped, and how: one number for each page that changes when its entry does. */
static uint8_t seen[2 * GIG];

static unsigned count_changes(uint64_t pages)
{
	unsigned n = 0;

	for (uint64_t i = 0; i < pages; i++) {
		unsigned level;
		uint64_t spte = world_spte(BASE + i, &level);
		uint8_t now =
			!spte_is_present(spte) ? 0 : (world_hides_writes(BASE + i) ? 4 : 8) | level;

		n += now != seen[i];
		seen[i] = now;
	}
	return n;
}

struct worst {
	unsigned slices, pages;
	uint64_t tables;
};

/* Settle the slot, and look at each slice. */
static struct worst settle(uint64_t pages)
{
	struct worst w = {0};
	int r;

	count_changes(pages);
	do {
		uint64_t before = tables(), after;
		unsigned n;

		r = slots_settle(&world.mem, 0);
		assert_false(spin_is_locked(&world.mem.lock));
		after = tables();
		n = count_changes(pages);
		w.pages = n > w.pages ? n : w.pages;
		w.tables = max(w.tables, before > after ? before - after : after - before);
		w.slices++;
	} while (r > 0);
	assert_int_equal(r, 0);
	return w;
}

/* A 1G page is split with the first slice, and becomes 512 pages at once; so with max_level 2. */
static void check_slices(unsigned format, unsigned max_level, uint64_t pages)
{
	struct worst w;

	world_create(2 * GIB + 256 * MIB, &world_format[format], max_level);
	assert_int_equal(slots_create(&world.mem, 0, GFN(BASE), pages, 0), 0);
	for (uint64_t i = 0; i<pages; i += max_level> 1 ? 512 : 16)
		assert_int_equal(world_fault(0, BASE + i, W), RET_PF_FIXED);
	assert_int_equal(slots_change_flags(&world.mem, 0, SLOT_DIRTY_LOG), 0);
	w = settle(pages);
	assert_in_range(w.pages, 1, SLICE_PAGES);
	assert_in_range(w.tables, 0, SLICE_TABLES);
	assert_in_range(w.slices, pages / SLICE_PAGES, pages / SLICE_PAGES + 1);
	for (uint64_t i = 0; i < pages; i++)
		assert_false(world_hides_writes(BASE + i));
	assert_int_equal(slots_change_flags(&world.mem, 0, SLOT_READONLY), 0);
	w = settle(pages);
	assert_in_range(w.pages, 1, SLICE_PAGES);
	assert_in_range(w.tables, 0, SLICE_TABLES);
	for (uint64_t i = 0; i < pages; i++)
		assert_int_equal(world_walk(BASE + i, false), 0);
	world_check_tree();
	world_destroy();
}

static void a_slice_is_bounded(void **state)
{
	for (unsigned f = 0; f < WORLD_FORMATS; f++) {
		check_slices(f, 1, 64 * MIB / PAGE_SIZE);
		check_slices(f, 2, 64 * MIB / PAGE_SIZE);
	}
	check_slices(WORLD_NPT, 2, GIG);
	check_slices(WORLD_EPT_LOG, 1, GIG);
}

/* Where nothing is mapped a slice goes over 64 MiB, and no more. */
static void empty_memory_goes_fast(void **state)
{
	world_create(2 * GIB + 256 * MIB, &world_format[WORLD_NPT], 3);
	assert_int_equal(slots_create(&world.mem, 0, GFN(BASE), GIG, 0), 0);
	assert_int_equal(slots_change_flags(&world.mem, 0, SLOT_DIRTY_LOG), 0);
	assert_int_equal(settle(GIG).slices, GIG / SLOTS_SLICE_PAGES);
	assert_int_equal(slots_settle(&world.mem, 0), 0);
	assert_int_equal(slots_settle(&world.mem, 1), -ENOENT);
	assert_int_equal(slots_settle(&world.mem, SLOTS_MAX), -ENOENT);
	world_destroy();
}

/* A gigabyte that one page mapped is split in slices, and comes back as one page. */
static void a_gigabyte_comes_back(void **state)
{
	unsigned level;
	uint64_t before;

	world_create(2 * GIB + 256 * MIB, &world_format[WORLD_NPT], 3);
	assert_int_equal(slots_create(&world.mem, 0, GFN(BASE), GIG, 0), 0);
	assert_int_equal(world_fault(0, BASE, W), RET_PF_FIXED);
	before = tables();
	assert_int_equal(slots_set_flags(&world.mem, 0, SLOT_DIRTY_LOG), 0);
	assert_int_equal(tables(), before + 1 + 512);
	assert_int_equal(slots_change_flags(&world.mem, 0, 0), 0);
	while (slots_settle(&world.mem, 0)) /* and large pages come in meanwhile */
		assert_int_equal(world_fault(0, BASE + 7, W) & ~RET_PF_SPURIOUS, 0);
	assert_int_equal(tables(), before);
	assert_int_equal(world_fault(0, BASE + 7, W), RET_PF_FIXED);
	world_spte(BASE + 7, &level);
	assert_int_equal(level, 3);
	world_check_tree();
	world_destroy();
}

/* Also when slices end in the middle of it, and the slot goes on behind it. */
static void a_gigabyte_comes_back_from_a_larger_slot(void **state)
{
	unsigned level;

	for (unsigned pieces = 1; pieces <= 9; pieces++) {
		world_create(2 * GIB + 256 * MIB, &world_format[WORLD_NPT], 3);
		assert_int_equal(slots_create(&world.mem, 0, GFN(BASE), GIG + 0x4000, 0), 0);
		assert_int_equal(slots_set_flags(&world.mem, 0, SLOT_DIRTY_LOG), 0);
		for (unsigned i = 0; i < pieces; i++)
			assert_int_equal(world_fault(0, BASE + 512 * i, W), RET_PF_FIXED);
		assert_int_equal(slots_set_flags(&world.mem, 0, 0), 0);
		assert_int_equal(world_fault(0, BASE + 7, W), RET_PF_FIXED);
		world_spte(BASE + 7, &level);
		assert_int_equal(level, 3);
		world_destroy();
	}
}

/* --- giving back -------------------------------------------------------------------------------
 */

/* Tables of single frames below a run, as in memory that was short of runs for a while. */
static void a_run_and_tables_go_in_slices(void **state)
{
	enum { TABLES = 70 };
	static uint64_t chunks[TABLES + 1];
	struct memslot slot = {.nr_pages = (TABLES + 1) * 512, .chunk = chunks};
	uint64_t built = TABLES + 1, calls = 0;
	struct frames_stats before, after;
	pfn_t run;

	host_arena_with_frames(64 * MIB);
	frames_stats(&before);
	slot.chunk = pages_zalloc(order_of(sizeof(chunks)));
	slot.dirty = pages_zalloc(order_of(slot.nr_pages / 8));
	for (unsigned i = 0; i < TABLES; i++) {
		uint64_t *table = page_zalloc();

		table[0] = va_to_pfn(page_zalloc()).v;
		((uint64_t *)slot.chunk)[i] = (uintptr_t)table;
	}
	assert_true(frames_alloc(ORDER_2M, &run));
	((uint64_t *)slot.chunk)[TABLES] = pfn_to_hpa(run).v | CHUNK_RUN;
	for (bool over = false; !over; calls++) {
		uint64_t was = built;

		over = backing_destroy(&slot, &built);
		assert_in_range(was - built, 1, 2);
	}
	assert_true(calls >= TABLES);
	frames_stats(&after);
	assert_int_equal(after.free, before.free);
	host_arena_destroy();
}

/* --- faults and slices in turn ------------------------------------------------------------------
 */

static uint64_t seed;

static unsigned pick(unsigned n)
{
	seed = seed * 6364136223846793005 + 1442695040888963407;
	return (unsigned)(seed >> 33) % n;
}

/* The CPU's own log, as one vCPU has it; the other writes by faults alone. */
static struct {
	bool on;
	unsigned nr;
	uint64_t gfn[512];
} noted;

static void on_gather(struct vm *vm)
{
	while (noted.nr) {
		gfn_t gfn = GFN(noted.gfn[--noted.nr]);
		const struct memslot *slot = slots_find(&world.mem, gfn);

		if (slot)
			slot_mark_dirty(slot, gfn);
	}
}

static void on_log(struct vm *vm, bool on)
{
	on_gather(vm);
	noted.on = on;
}

/* A guest's write: where it is allowed, hardware notes it if it sets D; else it faults. */
static void write_page(uint64_t gfn)
{
	const struct spte_format *f = world.tdp.fmt;
	spte_t *table = host_va(world.root[0]);
	unsigned level;

	while (!world_walk(gfn, true)) {
		if (world_fault(0, gfn, W) == RET_PF_INVALID)
			fail();
	}
	world_spte(gfn, &level);
	for (unsigned l = world.tdp.fmt->root_level; l > level; l--)
		table = host_va(spte_address(spte_load(&table[spte_index(GFN(gfn), l)])));
	if (!(atomic_fetch_or(&table[spte_index(GFN(gfn), level)], f->dirty) & f->dirty) &&
	    noted.on)
		noted.gfn[noted.nr++] = gfn;
	if (noted.nr == ARRAY_SIZE(noted.gfn))
		on_gather(NULL);
}

/* Memory that was used and is free again: what is not cleared would show. */
static void soil(void)
{
	for (unsigned order = 12; order-- > 0;) {
		void *p = pages_zalloc(order);

		memset(p, 0xff, PAGE_SIZE << order);
		pages_free(p, order);
	}
}

static void begin(unsigned format, uint64_t base, uint64_t pages)
{
	world_create(2 * GIB + 256 * MIB, &world_format[format], 3);
	memset(&noted, 0, sizeof(noted));
	host_on_log = on_log;
	host_on_gather = host_on_flush = on_gather;
	soil();
	assert_int_equal(slots_create(&world.mem, 0, GFN(base), pages, 0), 0);
}

static bool is_reported(uint64_t page)
{
	return bitmap[page / 64] >> (page % 64) & 1;
}

/*
 * The log has begun: whatever can be written now without being noted is in the log already, and
 * what nobody wrote is not.
 */
static void check_log(uint64_t base, uint64_t pages, const bool *written)
{
	static bool hidden[GIG];

	on_gather(NULL);
	for (uint64_t i = 0; i < pages; i++)
		hidden[i] = world_hides_writes(base + i);
	assert_int_equal(slots_get_dirty(&world.mem, 0, 0, pages, bitmap), 0);
	for (uint64_t i = 0; i < pages; i++) {
		if (hidden[i] && !is_reported(i))
			fail_msg("page %llx: a write would be lost", (unsigned long long)i);
		if (is_reported(i) && !written[i])
			fail_msg("page %llx: not written", (unsigned long long)i);
	}
}

static void take_turns(unsigned format, uint64_t base, uint64_t pages)
{
	static bool written[GIG];
	int r;

	memset(written, 0, sizeof(written));
	begin(format, base, pages);
	for (unsigned i = 0; i < 200; i++)
		write_page(base + pick(pages));
	assert_int_equal(slots_change_flags(&world.mem, 0, SLOT_DIRTY_LOG), 0);
	do {
		uint64_t at = world.mem.change[0].at;

		for (unsigned i = 0; i < 30; i++) {
			/* Anywhere, and where the border is just now. */
			uint64_t page = i % 2 ? pick(pages) : min(at + pick(200), pages - 1);

			page -= i % 4 ? 0 : min(page, 100ul);
			written[page] = true;
			write_page(base + page);
		}
		assert_int_equal(slots_get_dirty(&world.mem, 0, 0, 64, bitmap), -EAGAIN);
		r = slots_settle(&world.mem, 0);
	} while (r > 0);
	assert_int_equal(r, 0);
	check_log(base, pages, written);
	world_check_tree();
	world_destroy();
}

static void a_log_that_has_begun_misses_nothing(void **state)
{
	seed = 1;
	for (unsigned f = 0; f < WORLD_FORMATS; f++) {
		take_turns(f, BASE, GIG);
		take_turns(f, BASE + 7,
			   5 * 512 + 200); /* words of the log across borders of pieces */
		take_turns(f, BASE + 0x201, 40);
		take_turns(f, BASE, 20 * 512);
	}
}

/* --- changes between two slices --------------------------------------------------------------- */

static void settle_all(void)
{
	while (slots_settle(&world.mem, 0) > 0)
		;
}

static void no_writes(bool *written, uint64_t pages)
{
	memset(written, 0, pages);
}

static void a_slot_changes_between_slices(unsigned format)
{
	static bool written[8 * 512];
	uint64_t pages = ARRAY_SIZE(written);

	begin(format, BASE, pages);
	for (uint64_t i = 0; i < pages; i += 3)
		write_page(BASE + i);
	/* The log begins, ends, and begins again, and nothing of the first begin is taken for it.
	 */
	assert_int_equal(slots_change_flags(&world.mem, 0, SLOT_DIRTY_LOG), 0);
	assert_int_equal(slots_settle(&world.mem, 0), 1);
	write_page(BASE + 5);
	assert_int_equal(slots_change_flags(&world.mem, 0, 0), 0);
	assert_int_equal(slots_settle(&world.mem, 0), 1);
	write_page(BASE + 6);
	soil();
	assert_int_equal(slots_change_flags(&world.mem, 0, SLOT_DIRTY_LOG), 0);
	settle_all();
	no_writes(written, pages);
	check_log(BASE, pages, written);
	/* It moves with half of it done. */
	assert_int_equal(slots_set_flags(&world.mem, 0, 0), 0);
	for (uint64_t i = 0; i < pages; i += 3)
		write_page(BASE + i);
	assert_int_equal(slots_change_flags(&world.mem, 0, SLOT_DIRTY_LOG), 0);
	assert_int_equal(slots_settle(&world.mem, 0), 1);
	assert_int_equal(slots_move(&world.mem, 0, GFN(BASE + 0x10001)), 0);
	for (uint64_t i = 0; i < pages; i += 3) {
		written[i] = true;
		write_page(BASE + 0x10001 + i);
	}
	assert_int_equal(slots_get_dirty(&world.mem, 0, 0, 64, bitmap), -EAGAIN);
	settle_all();
	check_log(BASE + 0x10001, pages, written);
	/* It becomes a ROM meanwhile. */
	assert_int_equal(slots_set_flags(&world.mem, 0, 0), 0);
	for (uint64_t i = 0; i < pages; i += 100)
		write_page(BASE + 0x10001 + i);
	assert_int_equal(slots_change_flags(&world.mem, 0, SLOT_DIRTY_LOG), 0);
	assert_int_equal(slots_settle(&world.mem, 0), 1);
	assert_int_equal(slots_change_flags(&world.mem, 0, SLOT_READONLY), 0);
	settle_all();
	for (uint64_t i = 0; i < pages; i++)
		assert_int_equal(world_walk(BASE + 0x10001 + i, true), 0);
	assert_int_equal(world_fault(0, BASE + 0x10001, W), RET_PF_EMULATE);
	/* It goes: the next slot of that name has nothing to settle. */
	assert_int_equal(slots_change_flags(&world.mem, 0, 0), 0);
	assert_int_equal(slots_delete(&world.mem, 0), 0);
	assert_int_equal(slots_settle(&world.mem, 0), -ENOENT);
	assert_int_equal(slots_create(&world.mem, 0, GFN(BASE), 64, SLOT_DIRTY_LOG), 0);
	assert_int_equal(slots_settle(&world.mem, 0), 0);
	assert_int_equal(slots_get_dirty(&world.mem, 0, 0, 64, bitmap), 0);
	assert_int_equal(bitmap[0], 0);
	world_check_tree();
	world_destroy();
}

static void a_slot_may_change_between_slices(void **state)
{
	for (unsigned f = 0; f < WORLD_FORMATS; f++)
		a_slot_changes_between_slices(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_slice_is_bounded),
		cmocka_unit_test(empty_memory_goes_fast),
		cmocka_unit_test(a_gigabyte_comes_back),
		cmocka_unit_test(a_gigabyte_comes_back_from_a_larger_slot),
		cmocka_unit_test(a_run_and_tables_go_in_slices),
		cmocka_unit_test(a_log_that_has_begun_misses_nothing),
		cmocka_unit_test(a_slot_may_change_between_slices),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
