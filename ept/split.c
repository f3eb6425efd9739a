/* SPDX-License-Identifier: BSD-2-Clause */
/* Large pages into smaller ones. */
#include "ept/internal.h"

/*
 * A 4K part may be executed, if the large page was not only because it was large. Tracked, it has
 * that right in the place where the others wait.
 */
static uint64_t with_fetch(const struct spte_format *f, uint64_t part)
{
	uint64_t exec = spte_is_tracked(part) ? f->exec << SPTE_SAVED_SHIFT : f->exec;

	return f->small_access ? (part | exec) & ~f->nx : part;
}

/*
 * The leaf of `level` - 1 that maps the first part of a large one; the others differ in the frame.
 * Rights, types, accessed and dirty bits are in the same places in all sizes.
 */
static uint64_t first_part(const struct spte_format *f, uint64_t large, unsigned level)
{
	return level == 2 ? with_fetch(f, large & ~f->large) : large;
}

static void fill(spte_t *table, uint64_t part, uint64_t step)
{
	for (unsigned i = 0; i < SPTE_ENTRIES; i++, part += step) /* not linked yet */
		atomic_store_explicit(&table[i], part, memory_order_relaxed);
}

bool tdp_split_with(struct tdp *t, spte_t *e, unsigned level, spte_t *table)
{
	uint64_t large = spte_load(e);

	do {
		if (!spte_is_present(large) || !spte_is_leaf(t->fmt, large, level))
			return false;
		fill(table, first_part(t->fmt, large, level), spte_pages(level - 1) << PAGE_SHIFT);
		/* Fails also when hardware sets a bit meanwhile: copied again, it is not lost. */
	} while (!spte_cas(e, &large, tdp_table_entry(t, table)));
	return true;
}

bool tdp_split(struct tdp *t, spte_t *e, unsigned level)
{
	spte_t *table = tdp_alloc_table(t);

	if (!table)
		return false;
	/* Under slots_lock nobody takes the leaf away, but a fault may have split it just now. */
	if (!tdp_split_with(t, e, level, table))
		tdp_free_table(t, table);
	return true;
}
