/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The end of shadow pages, and what has to happen before the lock is free again.
 *
 * A page that is taken out is in no list and nothing leads to it; but hardware may have cached
 * entries of its table, or a way to it. So it waits in `dead` for the flush at shadow_unlock(), one
 * for all that was taken out meanwhile. No grace period is needed, because nobody looks at a table
 * without the lock.
 *
 * Obsolete pages (zap_all) are at the end of `active`: pages join at its head, with the generation
 * of that time, and never move. So the work on them ends at the first page that is not obsolete,
 * and new ones do not hold it up. A generation of 64 bits does not come round.
 */
#include "mm/shadow/internal.h"

#define WORK_SLICE    16u
#define RECLAIM_BATCH 16u

/* What a fault needs at most: a page with a snapshot for each level below the root, ... */
#define FAULT_PAGES  4u
#define FAULT_CHUNKS 24u /* ... a parent for each, and a group of prefetched leaves */

void shadow_lock(struct shadow *s) __acquires(&s->lock)
{
	spin_lock(&s->lock);
}

void shadow_flush(struct shadow *s)
{
	if (s->flush_due)
		host_flush_vm(s->vm);
	s->flush_due = false;
}

static void free_page(struct shadow *s, struct shadow_page *sp)
{
	account_uncharge(s->account, sp->table);
	if (sp->gpte)
		account_uncharge(s->account, sp->gpte);
	obj_free(&s->page_cache, sp);
	s->stats.tables--;
	s->nr_pages--;
}

static void free_dead(struct shadow *s)
{
	s->flush_due = true; /* also of what was empty: a way to it may be cached */
	shadow_flush(s);
	while (!list_empty(&s->dead)) {
		struct shadow_page *sp = list_first(&s->dead, struct shadow_page, active);

		list_del(&sp->active);
		free_page(s, sp);
	}
}

void shadow_unlock(struct shadow *s) __releases(&s->lock)
{
	if (unlikely(!list_empty(&s->dead)))
		free_dead(s);
	if (unlikely(s->reload_due))
		host_reload_roots(s->vm);
	s->reload_due = false;
	spin_unlock(&s->lock);
}

static void drop_parents(struct shadow *s, struct shadow_page *sp)
{
	struct sptes_cursor c;
	spte_t *e;

	while ((e = sptes_first(&sp->parents, &c))) {
		struct shadow_page *parent = shadow_page_at(e);

		shadow_drop(s, parent, shadow_index_of(parent, e));
	}
}

void shadow_zap(struct shadow *s, struct shadow_page *sp)
{
	for (unsigned i = 0; i < SPTE_ENTRIES; i++)
		shadow_drop(s, sp, i);
	drop_parents(s, sp);
	shadow_forget_unsync(s, sp);
	list_del(&sp->hash);
	list_del(&sp->active);
	if (!sp->roots) {
		list_add(&sp->active, &s->dead);
		return;
	}
	sp->role.invalid = 1; /* shadow_put_root() does the rest */
	s->reload_due = true;
}

void shadow_put_root(struct shadow *s, struct shadow_page *sp)
{
	if (!--sp->roots && sp->role.invalid)
		list_add(&sp->active, &s->dead);
}

void shadow_zap_table(struct shadow *s, gfn_t gfn)
{
	struct shadow_page *sp, *next;

	list_for_each_safe (sp, next, shadow_bucket(s, gfn), hash) {
		if (!sp->role.direct && sp->gfn.v == gfn.v)
			shadow_zap(s, sp);
	}
}

void shadow_zap_tables(struct shadow *s, gfn_t start, gfn_t end)
{
	struct shadow_page *sp, *next;

	list_for_each_safe (sp, next, &s->active, active) {
		if (!sp->role.direct && sp->gfn.v >= start.v && sp->gfn.v < end.v)
			shadow_zap(s, sp);
	}
}

unsigned shadow_reclaim(struct shadow *s, unsigned nr)
{
	struct list *at = s->active.prev;
	unsigned done = 0;

	while (at != &s->active && done < nr) {
		struct shadow_page *sp = list_entry(at, struct shadow_page, active);

		at = at->prev;
		if (sp->roots)
			continue;
		shadow_zap(s, sp);
		done++;
	}
	return done;
}

static bool fill_reserves(struct shadow_vcpu *sv)
{
	return !obj_reserve_topup(&sv->pages, 2 * FAULT_PAGES) &&
	       !obj_reserve_topup(&sv->descriptors, FAULT_PAGES) &&
	       !obj_reserve_topup(&sv->chunks, FAULT_CHUNKS);
}

static unsigned reclaim_batch(struct shadow *s)
{
	unsigned nr;

	shadow_lock(s);
	nr = shadow_reclaim(s, RECLAIM_BATCH);
	shadow_unlock(s);
	return nr;
}

bool shadow_make_room(struct shadow_vcpu *sv)
{
	struct shadow *s = sv->s;

	if (unlikely(atomic_load_explicit(&s->nr_pages, memory_order_relaxed) + FAULT_PAGES >
		     s->max_pages))
		reclaim_batch(s);
	while (unlikely(!fill_reserves(sv))) {
		if (!reclaim_batch(s))
			return false;
	}
	return true;
}

static bool is_obsolete_last(const struct shadow *s)
{
	return !list_empty(&s->active) &&
	       list_last(&s->active, struct shadow_page, active)->generation != s->generation;
}

bool shadow_work(struct shadow *s)
{
	unsigned n = 0;

	if (likely(!shadow_has_work(s)))
		return false;
	shadow_lock(s);
	for (; n < WORK_SLICE && is_obsolete_last(s); n++)
		shadow_zap(s, list_last(&s->active, struct shadow_page, active));
	atomic_store_explicit(&s->has_obsolete, is_obsolete_last(s), memory_order_relaxed);
	shadow_unlock(s);
	return n;
}
