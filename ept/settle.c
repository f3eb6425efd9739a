/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A change of a slot's flags over the entries that are there (slot_settle() of struct mmu_ops), a
 * slice at a time. A slice ends behind a few 2M pieces of the range that have entries, so that it
 * costs the same however much memory the slot has and the guest has touched.
 *
 * slots_lock is free between two slices, and faults go on all the time. What they install follows
 * the slot's new flags, so that a piece is done once.
 */
#include "ept/internal.h"

/* Pieces with entries in one slice. Each is a table of small pages in the end. */
#define SLICE_PIECES 4u

/* The entry of `level` for `gfn`, or the one above it that leads to no table. */
static uint64_t look_up(const struct tdp *t, spte_t *table, gfn_t gfn, unsigned level)
{
	unsigned at = t->fmt->root_level;
	uint64_t spte = spte_load(&table[spte_index(gfn, at)]);

	while (at > level && spte_is_table(t->fmt, spte, at)) {
		at--;
		spte = spte_load(&tdp_table(spte)[spte_index(gfn, at)]);
	}
	return spte;
}

static gfn_t next_piece(gfn_t gfn)
{
	return GFN(ALIGN_DOWN(gfn.v, spte_pages(2)) + spte_pages(2));
}

/* The end of a slice that begins at `start`. */
static gfn_t end_of_slice(const struct tdp *t, spte_t *root, gfn_t start, gfn_t end)
{
	unsigned left = SLICE_PIECES;
	gfn_t gfn = start;

	for (; gfn.v < end.v; gfn = next_piece(gfn)) {
		if (spte_is_present(look_up(t, root, gfn, 2)) && !left--)
			break;
	}
	return gfn.v < end.v ? gfn : end;
}

/* Are there so few tables of small pages in the gigabyte at `gfn` that one slice can take all? */
static bool is_sparse(const struct tdp *t, spte_t *root, gfn_t gfn)
{
	uint64_t spte = look_up(t, root, gfn, 3);
	unsigned nr = 0;

	if (!spte_is_table(t->fmt, spte, 3))
		return false;
	for (unsigned i = 0; i < SPTE_ENTRIES; i++)
		nr += spte_is_table(t->fmt, spte_load(&tdp_table(spte)[i]), 2);
	return nr <= SLICE_PIECES;
}

/*
 * Where to begin to unmap, for a slice that ends at `end` and crosses no border of a gigabyte: with
 * a gigabyte done that one page can map, at its beginning. By then its table has few small pages
 * below it, and goes as well.
 */
static gfn_t start_of_unmap(const struct tdp *t, spte_t *root, const struct memslot *slot,
			    gfn_t start, gfn_t end)
{
	gfn_t gig = GFN(end.v - spte_pages(3));

	if (t->max_level < 3 || end.v % spte_pages(3) || end.v < slot->base.v + spte_pages(3) ||
	    slot_max_level(slot, gig) < 3 || !is_sparse(t, root, gig))
		return start;
	return gig;
}

/*
 * The rights of present entries follow SLOT_READONLY, so those go and faults make new ones. When a
 * dirty log has started, entries only lose what hides writes. When it has ended they get it back
 * one by one, by faults or from the CPU, if they are to stay small; else they go too, and come back
 * as large pages.
 */
static bool has_to_unmap(const struct tdp *t, const struct memslot *slot, uint32_t changed)
{
	return (changed & SLOT_READONLY) ||
	       ((changed & ~slot->flags & SLOT_DIRTY_LOG) && t->max_level > 1);
}

uint64_t tdp_settle(void *mmu, const struct memslot *slot, uint32_t changed, uint64_t from,
		    uint64_t end)
{
	struct tdp *t = mmu;
	gfn_t start = GFN(slot->base.v + from), to = GFN(slot->base.v + end);
	spte_t *root = tdp_current_table(t);

	if (!root)
		return end;
	to = end_of_slice(t, root, start, to);
	if (has_to_unmap(t, slot, changed)) {
		to = GFN(min(to.v, ALIGN_DOWN(start.v, spte_pages(3)) + spte_pages(3)));
		tdp_unmap_range(t, start_of_unmap(t, root, slot, start, to), to);
	} else if (changed & slot->flags & SLOT_DIRTY_LOG) {
		tdp_log_range(t, start, to);
	}
	return to.v - slot->base.v;
}
