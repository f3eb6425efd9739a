/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The reverse map: for each page of a slot, the leaves that map it. It is what a page can be taken
 * away by, or write-protected, wherever the guest has mapped it.
 */
#include "mm/shadow/internal.h"

struct sptes *rmap_of(struct shadow *s, gfn_t gfn)
{
	const struct memslot *slot = slots_find(s->mem, gfn);

	if (!slot || !slot->watch)
		return NULL;
	return &shadow_slot_of(slot)->rmap[gfn.v - slot->base.v];
}

void rmap_add(struct shadow *s, struct shadow_vcpu *sv, gfn_t gfn, spte_t *e)
{
	sptes_add(rmap_of(s, gfn), e, &sv->chunks);
}

void rmap_remove(struct shadow *s, gfn_t gfn, spte_t *e)
{
	struct sptes *set = rmap_of(s, gfn);

	HV_BUG_ON(!set); /* a slot goes when nothing is mapped from it any more */
	sptes_remove(s, set, e);
}

/* The CPU may set its bits in an entry at any time. */
void rmap_clear(struct shadow *s, gfn_t gfn, uint64_t bits)
{
	struct sptes *set = rmap_of(s, gfn);
	struct sptes_cursor c;

	for (spte_t *e = set ? sptes_first(set, &c) : NULL; e; e = sptes_next(&c)) {
		uint64_t old = atomic_fetch_and_explicit(e, ~bits, memory_order_acq_rel);

		s->flush_due |= spte_flush_is_due(shadow_fmt(s), old, old & ~bits);
	}
}

void rmap_drop(struct shadow *s, struct sptes *set)
{
	struct sptes_cursor c;
	spte_t *e;

	while ((e = sptes_first(set, &c))) {
		struct shadow_page *sp = shadow_page_at(e);

		shadow_drop(s, sp, shadow_index_of(sp, e));
	}
}
