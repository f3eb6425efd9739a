/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The reverse map: for each page of a slot, the leaves that map it. It is what a page can be taken
 * away by, or write-protected, wherever the guest has mapped it.
 */
#include "mm/shadow/internal.h"

static struct shadow_slot *part_of(const struct memslot *slot)
{
	return container_of(slot->watch, struct shadow_slot, watch);
}

struct sptes *rmap_of(struct shadow *s, gfn_t gfn)
{
	const struct memslot *slot = slots_find(s->mem, gfn);

	if (!slot || !slot->watch)
		return NULL;
	return &part_of(slot)->rmap[gfn.v - slot->base.v];
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

/* The CPU may set its bits in the entry at any time. */
static void write_protect(struct shadow *s, spte_t *e)
{
	const struct spte_format *f = shadow_fmt(s);
	uint64_t old = spte_load(e), next;

	do {
		next = spte_protected(f, old) & ~f->mmu_writable;
	} while (next != old && !spte_cas(e, &old, next));
	s->flush_due |= spte_flush_is_due(f, old, next);
}

void rmap_write_protect(struct shadow *s, gfn_t gfn)
{
	struct sptes *set = rmap_of(s, gfn);
	struct sptes_cursor c;

	if (!set)
		return;
	for (spte_t *e = sptes_first(set, &c); e; e = sptes_next(&c))
		write_protect(s, e);
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
