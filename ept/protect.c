/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Taking something from entries that stay: what hides writes from the dirty log (W, or only D where
 * hardware notes the writes that set it), and aging. All under slots_lock, while faults give rights
 * back and hardware sets accessed and dirty bits: each change is a compare-and-swap.
 */
#include "ept/internal.h"

/* --- the dirty log --- */

static bool log_table(const struct tdp_range *r, spte_t *table, unsigned level, gfn_t base);

/*
 * Large pages are split ahead, so that the first write to each small one costs its writer no
 * more than setting a bit. Without memory they are write-protected as they are: the writer splits
 * them.
 */
static bool log_entry(const struct tdp_range *r, spte_t *e, unsigned level, gfn_t gfn)
{
	const struct spte_format *f = r->t->fmt;
	uint64_t spte = spte_load(e), next;

	if (level > 1 && spte_is_present(spte) && spte_is_leaf(f, spte, level)) {
		tdp_split(r->t, e, level);
		spte = spte_load(e);
	}
	do {
		if (!spte_is_present(spte))
			return false;
		if (spte_is_table(f, spte, level)) /* perhaps split by a fault just now */
			return log_table(r, tdp_table(spte), level - 1, gfn);
		next = spte_logged(f, spte, level);
	} while (!spte_cas(e, &spte, next));
	return spte_flush_is_due(f, spte, next);
}

static bool log_table(const struct tdp_range *r, spte_t *table, unsigned level, gfn_t base)
{
	unsigned end = tdp_end(r, level, base);
	bool flush = false;

	for (unsigned i = tdp_first(r, level, base); i < end; i++)
		flush |= log_entry(r, &table[i], level, tdp_gfn_at(base, level, i));
	return flush;
}

/*
 * A CPU that has a large page cached can take the dirty bit of a small one for that of the large
 * one, and would write to all of it unseen. So where hardware notes the writes this is always with
 * a flush: who splits a page does not need one otherwise, be it here or in a fault just before.
 */
void tdp_log_range(struct tdp *t, gfn_t start, gfn_t end)
{
	struct tdp_range r = {t, start, end};
	spte_t *root;

	tdp_assert_locked(t);
	root = tdp_current_table(t);
	if (root && (log_table(&r, root, t->fmt->root_level, GFN(0)) || spte_hardware_logs(t->fmt)))
		host_flush_vm(t->vm);
}

/* Of one page. */
static bool log_gfn(struct tdp *t, spte_t *root, gfn_t gfn)
{
	struct tdp_range r = {t, gfn, GFN(gfn.v + 1)};

	return log_table(&r, root, t->fmt->root_level, GFN(0));
}

void tdp_log_bitmap(struct tdp *t, gfn_t first, const uint64_t *bitmap, uint64_t nr)
{
	spte_t *root;
	bool flush = false;

	tdp_assert_locked(t);
	root = tdp_current_table(t);
	for (uint64_t base = 0; root && base < nr; base += 64) {
		for (uint64_t bits = bitmap[base / 64]; bits; bits &= bits - 1)
			flush |= log_gfn(t, root, GFN(first.v + base + __builtin_ctzll(bits)));
	}
	if (flush)
		host_flush_vm(t->vm);
}

/* --- aging --- */

struct aging {
	struct tdp_range range;
	uint64_t *young; /* may be NULL */
	uint64_t nr;
};

static void note_young(struct aging *a, gfn_t gfn, unsigned level)
{
	uint64_t from = max(gfn.v, a->range.start.v);
	uint64_t to = min(gfn.v + spte_pages(level), a->range.end.v);

	a->nr += a->young ? to - from : spte_pages(level);
	for (; a->young && from < to; from++) {
		uint64_t i = from - a->range.start.v;

		a->young[i / 64] |= BIT_ULL(i % 64);
	}
}

static void age_table(struct aging *a, spte_t *table, unsigned level, gfn_t base);

static void age_entry(struct aging *a, spte_t *e, unsigned level, gfn_t gfn)
{
	const struct spte_format *f = a->range.t->fmt;
	uint64_t spte = spte_load(e), next;

	do {
		if (!spte_is_present(spte))
			return;
		if (spte_is_table(f, spte, level)) { /* perhaps split by a fault just now */
			age_table(a, tdp_table(spte), level - 1, gfn);
			return;
		}
		if (!a->young && gfn.v < a->range.start.v)
			return; /* counted where it begins */
		next = spte_aged(f, spte);
		if (next == spte)
			return;
	} while (!spte_cas(e, &spte, next));
	note_young(a, gfn, level);
}

static void age_table(struct aging *a, spte_t *table, unsigned level, gfn_t base)
{
	unsigned end = tdp_end(&a->range, level, base);

	for (unsigned i = tdp_first(&a->range, level, base); i < end; i++)
		age_entry(a, &table[i], level, tdp_gfn_at(base, level, i));
}

uint64_t tdp_age_range(struct tdp *t, gfn_t start, gfn_t end, uint64_t *young)
{
	struct aging a = {.range = {t, start, end}, .young = young};
	spte_t *root;

	tdp_assert_locked(t);
	root = tdp_current_table(t);
	if (root)
		age_table(&a, root, t->fmt->root_level, GFN(0));
	return a.nr;
}
