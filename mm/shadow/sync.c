/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * How pages follow the guest's tables. A page is synchronised when every write to its table is
 * seen: the table is write-protected everywhere, and what is written to it is emulated. A page of
 * level 1 may do without (unsync): then the guest writes at full speed, and its entries are looked
 * at when the architecture says that the guest may rely on what it has written.
 *
 * The guest's entry from which an entry was made is kept beside it, so that looking costs a load
 * and a compare for each entry that did not change.
 */
#include "mm/shadow/internal.h"

/* The guest's entry behind entry `i` of the page: a directory entry of 4 bytes has two here. */
static unsigned guest_index(const struct shadow_page *sp, unsigned i)
{
	if (!sp->role.has_4_byte_gpte)
		return i;
	if (sp->role.level == 1)
		return sp->role.quadrant * SPTE_ENTRIES + i;
	return sp->role.quadrant * SPTE_ENTRIES / 2 + i / 2;
}

const void *shadow_guest_table(struct shadow *s, const struct shadow_page *sp)
{
	const struct memslot *slot = slots_find(s->mem, sp->gfn);

	return slot ? slot_va(slot, gfn_to_gpa(sp->gfn)) : NULL;
}

uint64_t shadow_load_gpte(const struct shadow_page *sp, const void *table, unsigned i)
{
	i = guest_index(sp, i);
	return sp->role.has_4_byte_gpte
		       ? __atomic_load_n((const uint32_t *)table + i, __ATOMIC_RELAXED)
		       : __atomic_load_n((const uint64_t *)table + i, __ATOMIC_RELAXED);
}

/* An entry that has only got accessed and dirty bits allows all that it allowed. */
static bool only_marked(uint64_t was, uint64_t now)
{
	return !((was ^ now) & ~(PTE_A | PTE_D)) && !(was & ~now);
}

static bool follow(struct shadow *s, struct shadow_page *sp, unsigned i, uint64_t now)
{
	if (only_marked(sp->gpte[i], now)) {
		sp->gpte[i] = now;
		return false;
	}
	shadow_drop(s, sp, i);
	return true;
}

bool shadow_sync_entry(struct shadow *s, struct shadow_page *sp, unsigned i)
{
	const void *table = shadow_guest_table(s, sp);
	uint64_t was = sp->gpte[i], now = table ? shadow_load_gpte(sp, table, i) : was;

	if (!was) /* nothing was made of the old one, which is not known any more */
		return true;
	return now != was && follow(s, sp, i, now);
}

void shadow_sync_page(struct shadow *s, struct shadow_page *sp)
{
	const void *table = shadow_guest_table(s, sp);

	if (!table)
		return;
	for (unsigned i = 0; i < SPTE_ENTRIES; i++) {
		uint64_t was = sp->gpte[i], now;

		if (!was)
			continue;
		now = shadow_load_gpte(sp, table, i);
		if (unlikely(now != was))
			follow(s, sp, i, now);
	}
}

bool shadow_is_current(struct shadow *s, const struct shadow_page *sp)
{
	const void *table = sp->gpte ? shadow_guest_table(s, sp) : NULL;

	for (unsigned i = 0; table && i < SPTE_ENTRIES; i++) {
		if (sp->gpte[i] && sp->gpte[i] != shadow_load_gpte(sp, table, i))
			return false;
	}
	return true;
}

void shadow_sync_all(struct shadow *s)
{
	struct shadow_page *sp;

	list_for_each (sp, &s->unsync, unsync)
		shadow_sync_page(s, sp);
}

void shadow_forget_unsync(struct shadow *s, struct shadow_page *sp)
{
	if (!sp->is_unsync)
		return;
	sp->is_unsync = false;
	list_del(&sp->unsync);
	s->nr_unsync--;
}

/*
 * The flush comes between: before it a CPU may still write through its TLB, after it the writes
 * are in memory.
 */
void shadow_protect_table(struct shadow *s, gfn_t gfn)
{
	const struct spte_format *f = shadow_fmt(s);
	struct shadow_page *sp;

	/* No leaf is writable, nor may become so without a look at shadow_is_table(). */
	rmap_clear(s, gfn, f->write | f->dirty | f->mmu_writable);
	shadow_flush(s);
	list_for_each (sp, shadow_bucket(s, gfn), hash) {
		if (sp->gfn.v != gfn.v || !sp->is_unsync)
			continue;
		shadow_forget_unsync(s, sp);
		shadow_sync_page(s, sp);
	}
}

/* The list is short, because all of it is looked at with each load of CR3. */
static void stop_sync(struct shadow *s, struct shadow_page *sp)
{
	if (sp->is_unsync)
		return;
	if (s->nr_unsync == SHADOW_MAX_UNSYNC)
		shadow_protect_table(s, list_last(&s->unsync, struct shadow_page, unsync)->gfn);
	sp->is_unsync = true;
	list_add(&sp->unsync, &s->unsync);
	s->nr_unsync++;
}

/*
 * All pages of the frame stop being synchronised before the first leaf of it is writable. They do
 * so together, so the oldest in the list, which stop_sync() may protect again, is never among them.
 */
bool shadow_allow_write(struct shadow *s, gfn_t gfn, bool write)
{
	struct shadow_page *sp;
	unsigned nr = 0;

	list_for_each (sp, shadow_bucket(s, gfn), hash) {
		if (!shadow_is_of_table(s, sp, gfn) || sp->is_unsync)
			continue;
		if (!write || sp->role.level > 1 || ++nr > SHADOW_MAX_UNSYNC / 4)
			return false;
	}
	if (!nr)
		return true;
	list_for_each (sp, shadow_bucket(s, gfn), hash) {
		if (shadow_is_of_table(s, sp, gfn))
			stop_sync(s, sp);
	}
	return true;
}

void shadow_sync(struct shadow *s)
{
	shadow_lock(s);
	shadow_sync_all(s);
	shadow_unlock(s);
}
