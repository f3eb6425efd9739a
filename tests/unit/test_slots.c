/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Memory slots: every change against a naive map from frame to slot, with an engine that checks
 * the order of what it is told, and with each allocation failing in turn.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "mm/frames.h"
#include "mm/grace.h"
#include "mm/slots.h"
#include "tests/unit/support/host.h"
#include "tests/unit/support/panic.h"

#define MIB   (1ull << 20)
#define GIB   (1ull << 30)
#define SPACE 8192 /* guest frames of the model */

static struct guest_memory mem;

static uint64_t free_frames(void)
{
	struct frames_stats s;

	frames_stats(&s);
	return s.free;
}

/* --- an engine that believes nothing --- */

static struct {
	unsigned prepared, cancelled, flushed, committed, gathered, again;
	uint64_t again_first, again_mask;
	gfn_t noted;
	uint64_t generation;
	int refuse;
	const struct memslot *old, *next; /* of the last slot_commit() */
} engine;

static struct slot_watch watch;

static int slot_prepare(void *mmu, const struct memslot *old, struct memslot *next)
{
	assert_ptr_equal(mmu, &engine);
	assert_true(old || next);
	assert_false(slots_generation(&mem) & SLOTS_GEN_IN_PROGRESS);
	if (engine.refuse)
		return engine.refuse;
	engine.prepared++;
	if (next)
		next->watch = &watch;
	return 0;
}

static void slot_cancel(void *mmu, const struct memslot *old, struct memslot *next)
{
	engine.cancelled++;
}

static void slot_flush(void *mmu, const struct memslot *slot)
{
	const struct memslot *seen = slots_find(&mem, slot->base);

	assert_int_equal(seen->id, slot->id);
	assert_true(seen->flags & SLOT_INVALID);
	assert_true(slots_generation(&mem) & SLOTS_GEN_IN_PROGRESS);
	engine.flushed++;
}

static void slot_commit(void *mmu, const struct memslot *old, const struct memslot *next,
			uint64_t generation)
{
	assert_false(generation & SLOTS_GEN_IN_PROGRESS);
	assert_int_equal(generation, slots_generation(&mem));
	assert_true(generation > engine.generation || !old != !next);
	engine.generation = generation;
	if (next) {
		assert_ptr_equal(next->watch, &watch);
		assert_int_equal(slots_find(&mem, next->base)->id, next->id);
		assert_int_equal(slots_find(&mem, next->base)->flags, next->flags);
	}
	engine.committed++;
}

static uint64_t slot_settle(void *mmu, const struct memslot *slot, uint32_t changed, uint64_t from,
			    uint64_t end)
{
	assert_ptr_equal(slot, slots_find(&mem, slot->base));
	assert_true(changed && from < end && end <= slot->nr_pages);
	return end;
}

/* What hardware has noted of the guest's writes. */
static void gather_dirty(void *mmu)
{
	engine.gathered++;
	if (engine.noted.v)
		slot_mark_dirty(slots_find(&mem, engine.noted), engine.noted);
}

static void log_again(void *mmu, const struct memslot *slot, uint64_t first, const uint64_t *bitmap,
		      uint64_t nr_pages)
{
	engine.again++;
	engine.again_first = first;
	engine.again_mask = bitmap[0];
}

static const struct mmu_ops ops = {
	.slot_prepare = slot_prepare,
	.slot_cancel = slot_cancel,
	.slot_flush = slot_flush,
	.slot_commit = slot_commit,
	.slot_settle = slot_settle,
	.gather_dirty = gather_dirty,
	.log_again = log_again,
};

static void fresh(uint64_t bytes, bool with_engine)
{
	host_arena_with_frames(bytes);
	memset(&engine, 0, sizeof(engine));
	slots_init(&mem);
	if (with_engine)
		assert_int_equal(slots_set_mmu(&mem, &ops, &engine), 0);
}

static int setup(void **state)
{
	grace_exit_guest(grace_cpu());
	return 0;
}

static int teardown(void **state)
{
	grace_enter_guest(grace_cpu());
	return 0;
}

static uint64_t *page_of(uint64_t gfn)
{
	const struct memslot *s = slots_find(&mem, GFN(gfn));

	return pfn_to_va(slot_pfn(s, GFN(gfn)));
}

/* --- single cases --- */

static void test_create_and_find(void **state)
{
	fresh(64 * MIB, false);
	assert_null(slots_find(&mem, GFN(0)));
	assert_int_equal(slots_generation(&mem), 0);
	assert_int_equal(slots_create(&mem, 3, GFN(0x100), 0x300, 0), 0);
	assert_int_equal(slots_create(&mem, 1, GFN(0), 0xa0, 0), 0);
	assert_int_equal(slots_generation(&mem), 2);
	assert_null(slots_find(&mem, GFN(0xa0)));
	assert_null(slots_find(&mem, GFN(0xff)));
	assert_null(slots_find(&mem, GFN(0x400)));
	assert_null(slots_find(&mem, GFN(UINT64_MAX)));
	assert_int_equal(slots_find(&mem, GFN(0))->id, 1);
	assert_int_equal(slots_find(&mem, GFN(0x9f))->id, 1);
	assert_int_equal(slots_find(&mem, GFN(0x100))->id, 3);
	assert_int_equal(slots_find(&mem, GFN(0x3ff))->id, 3);
	assert_int_equal(slots_delete(&mem, 3), 0);
	assert_null(slots_find(&mem, GFN(0x100)));
	assert_int_equal(slots_delete(&mem, 1), 0);
	assert_null(slots_find(&mem, GFN(0)));
	slots_destroy(&mem);
}

static void test_bad_arguments(void **state)
{
	uint64_t before, gen;

	fresh(64 * MIB, false);
	assert_int_equal(slots_create(&mem, 0, GFN(100), 100, 0), 0);
	before = free_frames();
	gen = slots_generation(&mem);
	assert_int_equal(slots_create(&mem, SLOTS_MAX, GFN(0), 1, 0), -EINVAL);
	assert_int_equal(slots_create(&mem, 1, GFN(0), 0, 0), -EINVAL);
	assert_int_equal(slots_create(&mem, 1, GFN(0), 1, SLOT_INVALID), -EINVAL);
	assert_int_equal(slots_create(&mem, 1, GFN(0), 1, 0x80), -EINVAL);
	assert_int_equal(slots_create(&mem, 1, GFN(SLOTS_MAX_GFN), 1, 0), -EINVAL);
	assert_int_equal(slots_create(&mem, 1, GFN(1), SLOTS_MAX_GFN, 0), -EINVAL);
	assert_int_equal(slots_create(&mem, 1, GFN(UINT64_MAX), 2, 0), -EINVAL);
	assert_int_equal(slots_create(&mem, 0, GFN(1000), 1, 0), -EEXIST);
	assert_int_equal(slots_create(&mem, 1, GFN(199), 1, 0), -EEXIST);
	assert_int_equal(slots_create(&mem, 1, GFN(0), 101, 0), -EEXIST);
	assert_int_equal(slots_create(&mem, 1, GFN(0), 1000, 0), -EEXIST);
	assert_int_equal(slots_create(&mem, 1, GFN(1000), 1ull << 39, 0), -ENOMEM);
	assert_int_equal(slots_create(&mem, 1, GFN(1000), 16384, 0), -ENOMEM);
	assert_int_equal(slots_delete(&mem, 1), -ENOENT);
	assert_int_equal(slots_move(&mem, 1, GFN(0)), -ENOENT);
	assert_int_equal(slots_move(&mem, 0, GFN(SLOTS_MAX_GFN - 99)), -EINVAL);
	assert_int_equal(slots_set_flags(&mem, 1, 0), -ENOENT);
	assert_int_equal(slots_set_flags(&mem, 0, SLOT_INVALID), -EINVAL);
	assert_int_equal(slots_generation(&mem), gen);
	assert_int_equal(free_frames(), before);
	assert_int_equal(slots_create(&mem, 1, GFN(SLOTS_MAX_GFN - 1), 1, 0), 0);
	assert_int_equal(slots_create(&mem, 2, GFN(200), 1, 0), 0);
	assert_int_equal(slots_create(&mem, 3, GFN(99), 1, 0), 0);
	slots_destroy(&mem);
}

static void test_memory_is_cleared(void **state)
{
	fresh(32 * MIB, false);
	for (unsigned round = 0; round < 2; round++) {
		assert_int_equal(slots_create(&mem, 0, GFN(0x1fe), 0x404, 0), 0);
		for (uint64_t gfn = 0x1fe; gfn < 0x602; gfn++) {
			for (unsigned i = 0; i < 512; i++)
				assert_int_equal(page_of(gfn)[i], 0);
			memset(page_of(gfn), 0xff, PAGE_SIZE);
		}
		assert_int_equal(slots_delete(&mem, 0), 0);
	}
}

static void test_levels(void **state)
{
	const struct memslot *s;

	fresh(64 * MIB, false);
	/* 4K ends around whole chunks at 0x400, 0x600 and 0x800. */
	assert_int_equal(slots_create(&mem, 0, GFN(0x3ff), 0x602, 0), 0);
	s = slots_find(&mem, GFN(0x3ff));
	assert_int_equal(slot_max_level(s, GFN(0x3ff)), 1);
	assert_int_equal(slot_max_level(s, GFN(0x400)), 2);
	assert_int_equal(slot_max_level(s, GFN(0x9ff)), 2);
	assert_int_equal(slot_max_level(s, GFN(0xa00)), 1);
	assert_int_equal(slot_pfn(s, GFN(0x5ff)).v, slot_pfn(s, GFN(0x400)).v + 0x1ff);
	/* Moved by 2 MiB: as good as before. Moved by a page: nothing is aligned alike. */
	assert_int_equal(slots_move(&mem, 0, GFN(0x5ff)), 0);
	s = slots_find(&mem, GFN(0x600));
	assert_int_equal(slot_max_level(s, GFN(0x600)), 2);
	assert_int_equal(slots_move(&mem, 0, GFN(0x400)), 0);
	s = slots_find(&mem, GFN(0x600));
	assert_int_equal(slot_max_level(s, GFN(0x600)), 1);
	/* Down to 0: the origin of the chunks is "below" zero. */
	assert_int_equal(slots_move(&mem, 0, GFN(0)), 0);
	page_of(0)[0] = 42;
	assert_int_equal(slots_move(&mem, 0, GFN(0x1ff)), 0);
	assert_int_equal(page_of(0x1ff)[0], 42);
	slots_destroy(&mem);
}

static void test_gigantic(void **state)
{
	const struct memslot *s;
	uint64_t before;

	fresh(3 * GIB, false);
	before = free_frames();
	assert_int_equal(slots_create(&mem, 0, GFN(0x40000 - 0x200), 0x40000 + 0x300, 0), 0);
	s = slots_find(&mem, GFN(0x40000));
	assert_int_equal(slot_max_level(s, GFN(0x40000 - 1)), 2);
	assert_int_equal(slot_max_level(s, GFN(0x40000)), 3);
	assert_int_equal(slot_max_level(s, GFN(0x7ffff)), 3);
	assert_int_equal(slot_max_level(s, GFN(0x80000)), 1);
	assert_int_equal(slot_pfn(s, GFN(0x7ffff)).v, slot_pfn(s, GFN(0x40000)).v + 0x3ffff);
	assert_int_equal(slots_move(&mem, 0, GFN(0)), 0);
	s = slots_find(&mem, GFN(0x40000));
	assert_int_equal(slot_max_level(s, GFN(0x40000)), 2); /* 2M aligned alike, 1G not */
	assert_int_equal(slots_delete(&mem, 0), 0);
	assert_int_equal(free_frames(), before);
}

/* A gigabyte that lacks its first or its last page is no gigantic page. */
static void test_almost_gigantic(void **state)
{
	static const struct {
		uint64_t base, nr;
	} slot[] = {{0x40001, 0x3ffff}, {0x40000, 0x3ffff}};

	for (unsigned i = 0; i < ARRAY_SIZE(slot); i++) {
		const struct memslot *s;
		uint64_t before;

		fresh(3 * GIB, false);
		before = free_frames();
		assert_int_equal(slots_create(&mem, 0, GFN(slot[i].base), slot[i].nr, 0), 0);
		/* And two tables, and a bit for each page. */
		assert_int_equal(before - free_frames(), slot[i].nr + 2 + 8);
		s = slots_find(&mem, GFN(0x50000));
		assert_int_equal(slot_max_level(s, GFN(0x50000)), 2);
		assert_int_equal(slots_delete(&mem, 0), 0);
		assert_int_equal(free_frames(), before);
	}
}

/* No 2 MiB run left: the slot is made of single frames, and works the same. */
static void test_fragmented_memory(void **state)
{
	static pfn_t held[64];
	unsigned n = 0;
	const struct memslot *s;

	fresh(64 * MIB, false);
	while (n < 64 && frames_alloc(ORDER_2M, &held[n]))
		n++;
	for (unsigned i = 0; i < n; i++) { /* free all but the first frame of each run */
		frames_split(held[i], ORDER_2M, ORDER_4K);
		for (unsigned k = 1; k < 512; k++)
			frames_free(PFN(held[i].v + k), ORDER_4K);
	}
	assert_int_equal(slots_create(&mem, 0, GFN(0), 0x800, 0), 0);
	s = slots_find(&mem, GFN(0));
	for (uint64_t gfn = 0; gfn < 0x800; gfn++) {
		assert_int_equal(slot_max_level(s, GFN(gfn)), 1);
		*page_of(gfn) = gfn;
	}
	for (uint64_t gfn = 0; gfn < 0x800; gfn++)
		assert_int_equal(*page_of(gfn), gfn);
	slots_destroy(&mem);
}

static void test_dirty_log(void **state)
{
	uint64_t bitmap[4];

	fresh(32 * MIB, true);
	assert_int_equal(slots_create(&mem, 0, GFN(1000), 200, 0), 0);
	slot_mark_dirty(slots_find(&mem, GFN(1000)), GFN(1000)); /* not logged */
	assert_int_equal(slots_get_dirty(&mem, 0, 0, 200, bitmap), -ENOENT);
	assert_int_equal(slots_set_flags(&mem, 0, SLOT_DIRTY_LOG), 0);
	slot_mark_dirty(slots_find(&mem, GFN(1000)), GFN(1000));
	slot_mark_dirty(slots_find(&mem, GFN(1063)), GFN(1063));
	slot_mark_dirty(slots_find(&mem, GFN(1064)), GFN(1064));
	slot_mark_dirty(slots_find(&mem, GFN(1199)), GFN(1199));
	assert_int_equal(slots_get_dirty(&mem, 0, 1, 64, bitmap), -EINVAL);
	assert_int_equal(slots_get_dirty(&mem, 0, 0, 100, bitmap), -EINVAL);
	assert_int_equal(slots_get_dirty(&mem, 0, 0, 201, bitmap), -EINVAL);
	assert_int_equal(slots_get_dirty(&mem, 0, 0, 0, bitmap), -EINVAL);
	assert_int_equal(slots_get_dirty(&mem, 0, 256, 64, bitmap), -EINVAL);
	assert_int_equal(slots_get_dirty(&mem, 0, 64, UINT64_MAX - 63, bitmap), -EINVAL);
	assert_int_equal(slots_get_dirty(&mem, 1, 0, 64, bitmap), -ENOENT);
	assert_int_equal(engine.again, 0);
	assert_int_equal(slots_get_dirty(&mem, 0, 64, 64, bitmap), 0);
	assert_int_equal(bitmap[0], 1);
	assert_int_equal(engine.again, 1);
	assert_int_equal(engine.again_first, 64);
	assert_int_equal(engine.again_mask, 1);
	assert_int_equal(slots_get_dirty(&mem, 0, 0, 200, bitmap), 0);
	assert_int_equal(bitmap[0], 1 | BIT_ULL(63));
	assert_int_equal(bitmap[1], 0); /* reported before */
	assert_int_equal(bitmap[3], BIT_ULL(7));
	/* Nothing new: nothing to log again. */
	assert_int_equal(slots_get_dirty(&mem, 0, 0, 200, bitmap), 0);
	assert_int_equal(bitmap[0] | bitmap[1] | bitmap[2] | bitmap[3], 0);
	assert_int_equal(engine.again, 2);
	/* What the engine has heard of is in the report already. */
	engine.noted = GFN(1070);
	assert_int_equal(slots_get_dirty(&mem, 0, 0, 200, bitmap), 0);
	assert_int_equal(bitmap[1], BIT_ULL(6));
	assert_int_equal(engine.again, 3);
	assert_int_equal(engine.gathered, 4);
	engine.noted = GFN(0);
	/* The log moves with the slot. */
	slot_mark_dirty(slots_find(&mem, GFN(1001)), GFN(1001));
	assert_int_equal(slots_move(&mem, 0, GFN(5000)), 0);
	slot_mark_dirty(slots_find(&mem, GFN(5002)), GFN(5002));
	assert_int_equal(slots_get_dirty(&mem, 0, 0, 64, bitmap), 0);
	assert_int_equal(bitmap[0], 6);
	slots_destroy(&mem);
}

static void test_engine_is_told(void **state)
{
	fresh(32 * MIB, true);
	assert_int_equal(slots_create(&mem, 0, GFN(0), 16, 0), 0);
	assert_int_equal(engine.prepared, 1);
	assert_int_equal(engine.committed, 1);
	assert_int_equal(slots_set_flags(&mem, 0, SLOT_READONLY), 0);
	assert_int_equal(engine.committed, 2);
	assert_int_equal(slots_set_flags(&mem, 0, SLOT_READONLY), 0); /* no change */
	assert_int_equal(engine.committed, 2);
	assert_int_equal(engine.flushed, 0);
	assert_int_equal(slots_move(&mem, 0, GFN(8)), 0); /* onto its own old place */
	assert_int_equal(engine.flushed, 1);
	assert_int_equal(engine.committed, 3);
	assert_int_equal(slots_delete(&mem, 0), 0);
	assert_int_equal(engine.flushed, 2);
	assert_int_equal(engine.committed, 4);
	assert_int_equal(slots_generation(&mem), 5);
}

static void test_engine_refuses(void **state)
{
	uint64_t before, gen;

	fresh(32 * MIB, true);
	assert_int_equal(slots_create(&mem, 0, GFN(0), 16, 0), 0);
	before = free_frames();
	gen = slots_generation(&mem);
	engine.refuse = -ENOMEM;
	assert_int_equal(slots_create(&mem, 1, GFN(100), 16, SLOT_DIRTY_LOG), -ENOMEM);
	assert_int_equal(slots_set_flags(&mem, 0, SLOT_DIRTY_LOG), -ENOMEM);
	assert_int_equal(slots_move(&mem, 0, GFN(100)), -ENOMEM);
	assert_int_equal(slots_delete(&mem, 0), -ENOMEM);
	assert_int_equal(slots_find(&mem, GFN(0))->flags, 0);
	assert_int_equal(slots_generation(&mem), gen);
	assert_int_equal(free_frames(), before);
	assert_int_equal(engine.committed, 1);
	slots_destroy(&mem);
}

static void test_engine_comes_late_and_goes(void **state)
{
	fresh(32 * MIB, false);
	assert_int_equal(slots_create(&mem, 0, GFN(0), 16, 0), 0);
	assert_int_equal(slots_create(&mem, 1, GFN(16), 16, 0), 0);
	assert_int_equal(slots_set_mmu(&mem, &ops, &engine), 0);
	assert_int_equal(engine.prepared, 2);
	assert_int_equal(engine.committed, 2);
	assert_ptr_equal(slots_find(&mem, GFN(20))->watch, &watch);
	assert_int_equal(slots_set_mmu(&mem, NULL, NULL), 0);
	assert_int_equal(engine.committed, 4);
	assert_null(slots_find(&mem, GFN(20))->watch);
	engine.refuse = -ENOMEM;
	assert_int_equal(slots_set_mmu(&mem, &ops, &engine), -ENOMEM);
	assert_null(slots_find(&mem, GFN(20))->watch);
	assert_int_equal(slots_delete(&mem, 1), 0); /* the engine has no say */
	slots_destroy(&mem);
}

/* --- random changes against the naive map --- */

static struct model_slot {
	bool live;
	uint64_t base, nr;
	uint32_t flags;
	uint64_t tag;
} model[SLOTS_MAX];

static int owner_of(uint64_t gfn, int except)
{
	for (int i = 0; i < SLOTS_MAX; i++) {
		if (i != except && model[i].live && gfn >= model[i].base &&
		    gfn < model[i].base + model[i].nr)
			return i;
	}
	return -1;
}

static bool is_free_range(uint64_t base, uint64_t nr, int except)
{
	for (uint64_t gfn = base; gfn < base + nr; gfn++) {
		if (owner_of(gfn, except) >= 0)
			return false;
	}
	return true;
}

static void fill_tags(int id)
{
	struct model_slot *m = &model[id];

	for (uint64_t i = 0; i < m->nr; i++)
		*page_of(m->base + i) = m->tag + i;
}

static void random_change(void)
{
	static uint64_t next_tag;
	unsigned id = rand() % 12;
	uint64_t base = rand() % SPACE, nr = 1 + rand() % (rand() % 3 ? 40 : 1400);
	struct model_slot *m = &model[id];
	uint32_t flags = rand() % 4;

	switch (rand() % 4) {
	case 0:
		if (m->live || !is_free_range(base, nr, -1)) {
			assert_int_equal(slots_create(&mem, id, GFN(base), nr, flags), -EEXIST);
			break;
		}
		assert_int_equal(slots_create(&mem, id, GFN(base), nr, flags), 0);
		*m = (struct model_slot){true, base, nr, flags, next_tag += 1000000};
		fill_tags(id);
		break;
	case 1:
		assert_int_equal(slots_delete(&mem, id), m->live ? 0 : -ENOENT);
		m->live = false;
		break;
	case 2:
		if (!m->live) {
			assert_int_equal(slots_move(&mem, id, GFN(base)), -ENOENT);
		} else if (!is_free_range(base, m->nr, id)) {
			assert_int_equal(slots_move(&mem, id, GFN(base)), -EEXIST);
		} else {
			assert_int_equal(slots_move(&mem, id, GFN(base)), 0);
			m->base = base;
		}
		break;
	default:
		assert_int_equal(slots_set_flags(&mem, id, flags), m->live ? 0 : -ENOENT);
		m->flags = flags;
	}
}

static void check_gfn(uint64_t gfn)
{
	const struct memslot *s = slots_find(&mem, GFN(gfn));
	int id = owner_of(gfn, -1);

	if (id < 0) {
		assert_null(s);
		return;
	}
	assert_int_equal(s->id, id);
	assert_int_equal(s->flags, model[id].flags);
	assert_non_null(s->dirty);
	assert_int_equal(*page_of(gfn), model[id].tag + gfn - model[id].base);
}

/* The claim of slot_max_level(), frame by frame. */
static void check_level(uint64_t gfn)
{
	const struct memslot *s = slots_find(&mem, GFN(gfn));
	uint64_t first = ALIGN_DOWN(gfn, 512ull), pfn;

	if (!s || slot_max_level(s, GFN(gfn)) == 1)
		return;
	pfn = slot_pfn(s, GFN(first)).v;
	assert_int_equal(pfn % 512, 0);
	for (unsigned i = 0; i < 512; i++) {
		assert_true(slot_has(s, GFN(first + i)));
		assert_int_equal(slot_pfn(s, GFN(first + i)).v, pfn + i);
	}
}

static void test_random(void **state)
{
	uint64_t before;

	fresh(256 * MIB, true);
	memset(model, 0, sizeof(model));
	before = free_frames();
	for (unsigned round = 0; round < 4000; round++) {
		random_change();
		for (unsigned i = 0; i < 100; i++)
			check_gfn(rand() % (SPACE + 2000));
		check_level(rand() % SPACE);
	}
	slots_destroy(&mem);
	assert_int_equal(free_frames(), before);
}

/* --- each allocation fails in turn --- */

static unsigned fail_at, asked;

static bool fail_one(void)
{
	return asked++ == fail_at;
}

static int create_logged(void)
{
	return slots_create(&mem, 5, GFN(0x1f8), 0x600, SLOT_DIRTY_LOG);
}

/*
 * A refused 2 MiB run is no failure, since single frames will do; so the call either succeeds, or
 * fails and has changed nothing.
 */
static void fail_each(int (*change)(void))
{
	unsigned failures = 0;
	uint64_t before;

	fresh(64 * MIB, true);
	assert_int_equal(slots_create(&mem, 1, GFN(0x1000), 0x40, 0), 0);
	before = free_frames();
	for (fail_at = 0;; fail_at++) {
		uint64_t gen = slots_generation(&mem);
		int err;

		asked = 0;
		mm_inject_failure = fail_one;
		err = change();
		mm_inject_failure = NULL;
		if (err) {
			failures++;
			assert_int_equal(err, -ENOMEM);
			assert_int_equal(slots_generation(&mem), gen);
			assert_null(slots_find(&mem, GFN(0x1f8)));
			assert_int_equal(slots_find(&mem, GFN(0x1000))->flags, 0);
		} else {
			slots_delete(&mem, 5);
			slots_set_flags(&mem, 1, 0);
		}
		assert_int_equal(free_frames(), before);
		if (asked <= fail_at)
			break;
	}
	assert_true(failures > 0);
	slots_destroy(&mem);
}

static void test_failure_in_create(void **state)
{
	fail_each(create_logged);
}

static bool fail_all(void)
{
	return true;
}

/* A slot has the room for its log from the beginning. */
static void test_a_log_takes_no_memory(void **state)
{
	uint64_t before, word;

	fresh(64 * MIB, true);
	assert_int_equal(slots_create(&mem, 1, GFN(0x1000), 0x40, 0), 0);
	before = free_frames();
	mm_inject_failure = fail_all;
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(slots_set_flags(&mem, 1, SLOT_DIRTY_LOG), 0);
		assert_int_equal(slots_get_dirty(&mem, 1, 0, 0x40, &word), 0);
		assert_int_equal(word, 0); /* nothing is left of the log before */
		slot_mark_dirty(slots_find(&mem, GFN(0x1007)), GFN(0x1007));
		assert_int_equal(slots_set_flags(&mem, 1, 0), 0);
		slot_mark_dirty(slots_find(&mem, GFN(0x1008)), GFN(0x1008));
		assert_int_equal(free_frames(), before);
	}
	mm_inject_failure = NULL;
	slots_destroy(&mem);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_create_and_find),
		TEST(test_bad_arguments),
		TEST(test_memory_is_cleared),
		TEST(test_levels),
		TEST(test_gigantic),
		TEST(test_almost_gigantic),
		TEST(test_fragmented_memory),
		TEST(test_dirty_log),
		TEST(test_engine_is_told),
		TEST(test_engine_refuses),
		TEST(test_engine_comes_late_and_goes),
		TEST(test_random),
		TEST(test_failure_in_create),
		TEST(test_a_log_takes_no_memory),
	};

	srand(1);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
