/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Removal of a range, with the steps in the one order that is safe:
 *
 *	1. exchange each present entry of the range for SPTE_FROZEN; where it led to a table, the
 *	   entries of that too, from top to bottom
 *	2. flush the VM's TLB tags: no hardware walks or caches any more what was taken out
 *	3. thaw: frozen entries that are still linked become empty, and faults may fill them
 *	4. wait for a grace period: no fault handler is inside a table that was taken out
 *	5. free those tables
 *
 * Why not 3 before 2: a fault could install another page size or other rights while hardware still
 * has the old translation. Why 2 and 4 both: see ept/tdp.h. Faults that meet a frozen entry retry,
 * through guest mode, and so do their part of step 2.
 *
 * An entry that leads to a table changes only here, under slots_lock; so what was a table in a look
 * at the entry still is.
 */
#include "ept/internal.h"

struct zap {
	struct tdp_range range;
	void *tables; /* taken out, linked through the owner's words of their frames */
	bool flush;   /* something that hardware may have cached was taken out */
};

/* Nobody knows the old value any more after this, but hardware. Returns it. */
static uint64_t freeze(struct zap *z, spte_t *e)
{
	uint64_t old = spte_exchange(e, SPTE_FROZEN);

	z->flush |= spte_flush_is_due(z->range.t->fmt, old, SPTE_FROZEN);
	return old;
}

/* A table that has been unlinked, and all below it. */
static void freeze_table(struct zap *z, spte_t *table, unsigned level)
{
	for (unsigned i = 0; i < SPTE_ENTRIES; i++) {
		uint64_t old = freeze(z, &table[i]);

		if (spte_is_table(z->range.t->fmt, old, level))
			freeze_table(z, tdp_table(old), level - 1);
	}
	frame_set_owner(va_to_pfn(table), z->tables);
	z->tables = table;
}

static void zap_table(struct zap *z, spte_t *table, unsigned level, gfn_t base);

static bool is_inside(const struct tdp_range *r, gfn_t gfn, unsigned level)
{
	return gfn.v >= r->start.v && gfn.v + spte_pages(level) <= r->end.v;
}

/* One entry that spans at least a part of the range. MMIO entries stay: their generation ends them.
 */
static void zap_entry(struct zap *z, spte_t *e, unsigned level, gfn_t gfn)
{
	struct tdp *t = z->range.t;
	uint64_t spte = spte_load(e);
	bool whole = is_inside(&z->range, gfn, level);

	if (!spte_is_present(spte))
		return;
	if (!whole && spte_is_leaf(t->fmt, spte, level)) {
		whole = !tdp_split(t, e, level);
		spte = spte_load(e);
	}
	if (!whole) {
		zap_table(z, tdp_table(spte), level - 1, gfn);
		return;
	}
	spte = freeze(z, e);
	if (spte_is_table(t->fmt, spte, level))
		freeze_table(z, tdp_table(spte), level - 1);
}

static void zap_table(struct zap *z, spte_t *table, unsigned level, gfn_t base)
{
	unsigned end = tdp_end(&z->range, level, base);

	for (unsigned i = tdp_first(&z->range, level, base); i < end; i++)
		zap_entry(z, &table[i], level, tdp_gfn_at(base, level, i));
}

/* The frozen entries in what is linked. */
static void thaw_table(struct zap *z, spte_t *table, unsigned level, gfn_t base)
{
	unsigned end = tdp_end(&z->range, level, base);

	for (unsigned i = tdp_first(&z->range, level, base); i < end; i++) {
		uint64_t spte = spte_load(&table[i]);

		if (spte_is_frozen(spte))
			spte_store(&table[i], 0);
		else if (spte_is_table(z->range.t->fmt, spte, level))
			thaw_table(z, tdp_table(spte), level - 1, tdp_gfn_at(base, level, i));
	}
}

static void free_tables(struct zap *z)
{
	while (z->tables) {
		void *table = z->tables;

		z->tables = frame_owner(va_to_pfn(table));
		tdp_free_table(z->range.t, table);
	}
}

/* Steps 2 to 5. */
static void finish(struct zap *z, spte_t *root)
{
	struct tdp *t = z->range.t;

	host_flush_vm(t->vm);
	thaw_table(z, root, t->fmt->root_level, GFN(0));
	if (z->tables)
		grace_wait();
	free_tables(z);
}

void tdp_unmap_range(struct tdp *t, gfn_t start, gfn_t end)
{
	struct zap z = {.range = {t, start, end}};
	spte_t *root;

	tdp_assert_locked(t);
	root = tdp_current_table(t);
	if (!root)
		return;
	tdp_begin_removal(t);
	zap_table(&z, root, t->fmt->root_level, GFN(0));
	if (z.flush)
		finish(&z, root);
	tdp_end_removal(t);
}
