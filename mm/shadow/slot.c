/* SPDX-License-Identifier: BSD-2-Clause */
/* What the memory slots tell the engine (struct mmu_ops of mm/mmu.h): all under slots_lock. */
#include <errno.h>

#include "mm/shadow/internal.h"

static unsigned order_of_part(uint64_t nr_pages)
{
	return order_of(sizeof(struct shadow_slot) + nr_pages * sizeof(struct sptes));
}

/* The part of a slot in one piece: the reverse map behind it. */
static struct shadow_slot *new_part(struct shadow *s, uint64_t nr_pages)
{
	struct shadow_slot *part = NULL;

	if (nr_pages <= (1ull << 30) / sizeof(struct sptes) / 2)
		part = pages_zalloc(order_of_part(nr_pages));
	if (!part)
		return NULL;
	part->watch.wrote = shadow_wrote;
	part->s = s;
	part->nr_pages = nr_pages;
	part->rmap = (struct sptes *)(part + 1);
	return part;
}

static void free_part(const struct memslot *slot)
{
	struct shadow_slot *part = shadow_slot_of(slot);

	pages_free(part, order_of_part(part->nr_pages));
}

/* One that moves or changes its flags keeps its part. */
static int slot_prepare(void *mmu, const struct memslot *old, struct memslot *now)
{
	struct shadow_slot *part;

	if (old || !now)
		return 0;
	part = new_part(mmu, now->nr_pages);
	if (!part)
		return -ENOMEM;
	now->watch = &part->watch;
	return 0;
}

static void slot_cancel(void *mmu, const struct memslot *old, struct memslot *now)
{
	if (old || !now)
		return;
	free_part(now);
	now->watch = NULL;
}

/* A piece of work under the lock, flushed at its end. */
static void drop_range(struct shadow *s, gfn_t start, gfn_t end)
{
	shadow_lock(s);
	for (; start.v < end.v; start.v++) {
		struct sptes *set = rmap_of(s, start);

		if (set && set->word)
			rmap_drop(s, set);
	}
	shadow_flush(s);
	shadow_unlock(s);
}

/* Tables in the range are shown no more, too. */
static void unmap(void *mmu, gfn_t start, gfn_t end)
{
	struct shadow *s = mmu;

	shadow_lock(s);
	shadow_zap_tables(s, start, end);
	shadow_unlock(s);
	drop_range(s, start, end);
}

static void slot_flush(void *mmu, const struct memslot *slot)
{
	unmap(mmu, slot->base, slot_end(slot));
}

/* A guest's table may have been in a hole that the slot fills now. */
static void slot_commit(void *mmu, const struct memslot *old, const struct memslot *now,
			uint64_t generation)
{
	struct shadow *s = mmu;

	if (now && (!old || old->base.v != now->base.v)) {
		shadow_lock(s);
		shadow_zap_tables(s, now->base, slot_end(now));
		shadow_unlock(s);
	}
	if (old && !now)
		free_part(old);
}

/* The next write to the page is noted. */
static void log_page(struct shadow *s, gfn_t gfn)
{
	rmap_clear(s, gfn, shadow_fmt(s)->log);
}

static void log_range(struct shadow *s, gfn_t start, gfn_t end)
{
	shadow_lock(s);
	for (; start.v < end.v; start.v++)
		log_page(s, start);
	shadow_flush(s);
	shadow_unlock(s);
}

#define SETTLE_SLICE 2048u

static uint64_t slot_settle(void *mmu, const struct memslot *slot, uint32_t changed, uint64_t from,
			    uint64_t end)
{
	uint64_t to = min(end, from + SETTLE_SLICE);
	gfn_t start = GFN(slot->base.v + from), last = GFN(slot->base.v + to);

	if (changed & SLOT_READONLY)
		drop_range(mmu, start, last);
	else if (changed & slot->flags & SLOT_DIRTY_LOG)
		log_range(mmu, start, last);
	return to;
}

static void zap_all(void *mmu)
{
	struct shadow *s = mmu;

	shadow_lock(s);
	s->generation++;
	atomic_store_explicit(&s->has_obsolete, true, memory_order_relaxed);
	s->reload_due = true;
	shadow_unlock(s);
}

static bool age_page(struct shadow *s, gfn_t gfn)
{
	struct sptes *set = rmap_of(s, gfn);
	uint64_t young = 0;
	struct sptes_cursor c;

	for (spte_t *e = set ? sptes_first(set, &c) : NULL; e; e = sptes_next(&c))
		young |= atomic_fetch_and_explicit(e, ~shadow_fmt(s)->accessed,
						   memory_order_relaxed) &
			 shadow_fmt(s)->accessed;
	return young;
}

static uint64_t age(void *mmu, gfn_t start, gfn_t end, uint64_t *young)
{
	struct shadow *s = mmu;
	uint64_t nr = 0;

	shadow_lock(s);
	for (uint64_t i = 0; start.v + i < end.v; i++) {
		if (!age_page(s, GFN(start.v + i)))
			continue;
		nr++;
		if (young)
			young[i / 64] |= BIT_ULL(i % 64);
	}
	shadow_unlock(s);
	return nr;
}

static void gather_dirty(void *mmu) {}

static void log_again(void *mmu, const struct memslot *slot, uint64_t first, const uint64_t *bitmap,
		      uint64_t nr_pages)
{
	struct shadow *s = mmu;

	shadow_lock(s);
	for (uint64_t i = 0; i < nr_pages; i++) {
		if (bitmap[i / 64] & BIT_ULL(i % 64))
			log_page(s, GFN(slot->base.v + first + i));
	}
	shadow_flush(s);
	shadow_unlock(s);
}

const struct mmu_ops shadow_mmu_ops = {
	.slot_prepare = slot_prepare,
	.slot_cancel = slot_cancel,
	.slot_flush = slot_flush,
	.slot_commit = slot_commit,
	.slot_settle = slot_settle,
	.unmap = unmap,
	.zap_all = zap_all,
	.age = age,
	.gather_dirty = gather_dirty,
	.log_again = log_again,
};
