/* SPDX-License-Identifier: BSD-2-Clause */
/* Shadow pages: found by key, made, linked into others, and their entries taken out again. */
#include "mm/shadow/internal.h"

struct list *shadow_bucket(struct shadow *s, gfn_t gfn)
{
	return &s->hash[(gfn.v * 0x9e3779b97f4a7c15ull) >> (64 - SHADOW_HASH_BITS)];
}

static struct shadow_page *find(struct shadow *s, const struct shadow_key *key)
{
	struct shadow_page *sp;

	list_for_each (sp, shadow_bucket(s, key->gfn), hash) {
		if (shadow_page_is(s, sp, key))
			return sp;
	}
	return NULL;
}

bool shadow_is_table(struct shadow *s, gfn_t gfn)
{
	struct shadow_page *sp;

	list_for_each (sp, shadow_bucket(s, gfn), hash) {
		if (shadow_is_of_table(s, sp, gfn))
			return true;
	}
	return false;
}

static struct shadow_page *make(struct shadow *s, struct shadow_vcpu *sv,
				const struct shadow_key *key)
{
	struct shadow_page *sp = obj_reserve_alloc(&sv->descriptors);

	sp->gfn = key->gfn;
	sp->role = key->role;
	sp->generation = s->generation;
	sp->table = obj_reserve_alloc(&sv->pages);
	if (!key->role.direct)
		sp->gpte = obj_reserve_alloc(&sv->pages);
	frame_set_owner(va_to_pfn(sp->table), sp);
	list_init(&sp->unsync);
	list_add(&sp->hash, shadow_bucket(s, sp->gfn));
	list_add(&sp->active, &s->active);
	s->nr_pages++;
	s->stats.tables++;
	return sp;
}

/* From its first entry on the page shows what is in a table that nobody writes to unseen. */
struct shadow_page *shadow_get_page(struct shadow *s, struct shadow_vcpu *sv,
				    const struct shadow_key *key)
{
	struct shadow_page *sp = find(s, key);

	if (sp)
		return sp;
	sp = make(s, sv, key);
	if (!key->role.direct)
		shadow_protect_table(s, key->gfn);
	return sp;
}

/*
 * An address space that did not lead to this page may not show what the guest has overwritten in
 * it: it has never had a translation from there to be stale.
 */
void shadow_link(struct shadow *s, struct shadow_vcpu *sv, struct shadow_page *parent, unsigned i,
		 struct shadow_page *child, uint64_t gpte)
{
	HV_BUG_ON(child->role.level + 1 != parent->role.level || child->role.invalid);
	if (child->is_unsync)
		shadow_sync_page(s, child);
	if (parent->gpte)
		parent->gpte[i] = gpte;
	sptes_add(&child->parents, &parent->table[i], &sv->chunks);
	spte_store(&parent->table[i], host_pa(child->table).v | shadow_fmt(s)->table);
}

void shadow_drop(struct shadow *s, struct shadow_page *sp, unsigned i)
{
	uint64_t old = spte_exchange(&sp->table[i], 0);

	if (!spte_is_present(old))
		return;
	if (spte_is_table(shadow_fmt(s), old, sp->role.level))
		sptes_remove(s, &shadow_child(old)->parents, &sp->table[i]);
	else
		rmap_remove(s, shadow_gfn(sp, i), &sp->table[i]);
	if (sp->gpte)
		sp->gpte[i] = 0;
	s->flush_due = true;
}
