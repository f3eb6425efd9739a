/* SPDX-License-Identifier: BSD-2-Clause */
/* The invariants of docs/shadow.md, looked at one by one. Slow: for tests. */
#include "mm/shadow/internal.h"

static const char *audit_leaf(struct shadow *s, struct shadow_page *sp, unsigned i, uint64_t spte)
{
	struct sptes *set = rmap_of(s, shadow_gfn(sp, i));
	struct shadow_page *table;

	if (!spte_is_legal(shadow_fmt(s), spte, 1))
		return "an illegal leaf";
	if (!set || !sptes_has(set, &sp->table[i]))
		return "a leaf that its page does not know";
	if (!(spte & shadow_fmt(s)->mmu_writable))
		return NULL;
	list_for_each (table, shadow_bucket(s, shadow_gfn(sp, i)), hash) {
		if (shadow_is_of_table(s, table, shadow_gfn(sp, i)) && !table->is_unsync)
			return "a writable leaf of a synchronised table";
	}
	return NULL;
}

static const char *audit_link(struct shadow *s, struct shadow_page *sp, unsigned i, uint64_t spte)
{
	struct shadow_page *child = shadow_child(spte);

	if (!sptes_has(&child->parents, &sp->table[i]))
		return "a link that the child does not know";
	if (child->role.invalid || child->role.level + 1 != sp->role.level)
		return "a link to a page of another level";
	return NULL;
}

static const char *audit_entry(struct shadow *s, struct shadow_page *sp, unsigned i)
{
	uint64_t spte = spte_load(&sp->table[i]);

	if (!spte_is_present(spte))
		return spte                      ? "an entry that is neither present nor empty"
		       : sp->gpte && sp->gpte[i] ? "a guest entry without an entry"
						 : NULL;
	if (sp->gpte && !(sp->gpte[i] & PTE_P))
		return "an entry without a guest entry";
	return sp->role.level == 1 ? audit_leaf(s, sp, i, spte) : audit_link(s, sp, i, spte);
}

static const char *audit_page(struct shadow *s, struct shadow_page *sp, uint64_t *leaves,
			      uint64_t *links)
{
	const char *bad = NULL;

	if (shadow_page_at(sp->table) != sp)
		return "a table that leads to another page";
	if (sp->is_unsync && sp->role.level > 1)
		return "an unsync page of level 2";
	if (sp->generation == s->generation && !sp->is_unsync && !shadow_is_current(s, sp))
		return "a synchronised page that is not what the guest's table is";
	for (unsigned i = 0; i < SPTE_ENTRIES && !bad; i++) {
		bad = audit_entry(s, sp, i);
		*(sp->role.level == 1 ? leaves : links) +=
			spte_is_present(spte_load(&sp->table[i]));
	}
	return bad;
}

static uint64_t size_of(const struct sptes *set)
{
	struct sptes_cursor c;
	uint64_t nr = 0;

	for (spte_t *e = sptes_first(set, &c); e; e = sptes_next(&c))
		nr++;
	return nr;
}

/* Together with audit_leaf(): the reverse maps are the leaves. */
static uint64_t count_mapped(struct shadow *s)
{
	struct slot_array *slots = slots_get(s->mem);
	uint64_t nr = 0;

	for (uint32_t i = 0; i < slots->nr; i++) {
		for (uint64_t page = 0; page < slots->slot[i].nr_pages; page++)
			nr += size_of(rmap_of(s, GFN(slots->slot[i].base.v + page)));
	}
	return nr;
}

static const char *audit(struct shadow *s)
{
	uint64_t leaves = 0, links = 0, parents = 0, pages = 0, generation = s->generation;
	struct shadow_page *sp;
	const char *bad;

	list_for_each (sp, &s->active, active) {
		bad = audit_page(s, sp, &leaves, &links);
		if (bad)
			return bad;
		if (sp->generation > generation)
			return "a page that is older than the one behind it";
		generation = sp->generation;
		parents += size_of(&sp->parents);
		pages++;
	}
	if (leaves != count_mapped(s))
		return "a page that knows a leaf which is not there";
	if (links != parents)
		return "a parent that is not there";
	return pages > s->nr_pages ? "more pages than were counted" : NULL;
}

const char *shadow_audit(struct shadow *s)
{
	const char *bad;

	shadow_lock(s);
	bad = audit(s);
	shadow_unlock(s);
	return bad;
}
