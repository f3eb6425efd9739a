/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Removal: unmapping a range of guest memory, with the steps in the one order that is safe.
 *
 *	1. take entries out (exchange), freeze those that lead to tables, and the tables below
 *	2. flush the VM's TLB tags: no hardware walks or caches what was taken out
 *	3. thaw: frozen entries become empty, faults may fill them again
 *	4. wait for a grace period: no fault handler is inside a table that was taken out
 *	5. free the tables
 *
 * Step 3 must not come before 2: a new table in the place of the old one would be fine for
 * itself, but a fault handler must not map a frame again that hardware can still reach the old way
 * with other rights. Between 1 and 3 faults in the range retry.
 */
#include "ept/internal.h"

/* Tables that are out of the tree, linked through their frames' owner words, to be freed. */
struct zap {
	struct tdp *t;
	gfn_t start, end;
	void *tables;
	bool flush; /* something present was taken out */
};

static uint64_t take(struct zap *z, spte_t *e, uint64_t with)
{
	/* One atomic exchange: an accessed or dirty bit set by hardware meanwhile is not lost. */
	uint64_t old = atomic_exchange_explicit(e, with, memory_order_acq_rel);

	z->flush = z->flush || spte_is_present(old);
	return old;
}

/* Freeze a table that has been unlinked, and all below it; keep the pages for later. */
static void take_table(struct zap *z, spte_t *table, unsigned level)
{
	for (unsigned i = 0; i < SPTE_ENTRIES; i++) {
		uint64_t old = take(z, &table[i], SPTE_FROZEN);

		if (spte_is_present(old) && !spte_is_leaf(z->t->fmt, old, level))
			take_table(z, tdp_table(old), level - 1);
	}
	frame_set_owner(va_to_pfn(table), z->tables);
	z->tables = table;
}

/* The leaf of `level - 1` that has the `i`-th part of a large one. */
static uint64_t part_of(const struct spte_format *f, uint64_t large, unsigned level, unsigned i)
{
	uint64_t part = large + ((uint64_t)i * spte_pages(level - 1) << PAGE_SHIFT);

	return level == 2 ? part & ~f->large : part;
}

/*
 * Replace a large page by a table of smaller ones that map the same: the translation does not
 * change, so nothing needs flushing for it. False: no memory.
 */
static bool split(struct tdp *t, spte_t *e, unsigned level)
{
	uint64_t old = atomic_load_explicit(e, memory_order_relaxed);
	spte_t *table = tdp_alloc_table(t);

	if (!table)
		return false;
	do {
		for (unsigned i = 0; i < SPTE_ENTRIES; i++)
			atomic_init(&table[i], part_of(t->fmt, old, level, i));
		/* Release: the table is complete before hardware or a fault can reach it. */
	} while (!atomic_compare_exchange_weak_explicit(e, &old, tdp_make_table(t, table),
							memory_order_release,
							memory_order_relaxed));
	return true;
}

static bool is_inside(const struct zap *z, gfn_t gfn, unsigned level)
{
	return gfn.v >= z->start.v && gfn.v + spte_pages(level) <= z->end.v;
}

static void zap_table(struct zap *z, spte_t *table, unsigned level, gfn_t base);

/* One entry that spans at least a part of the range. */
static void zap_entry(struct zap *z, spte_t *e, unsigned level, gfn_t gfn)
{
	const struct spte_format *f = z->t->fmt;
	uint64_t spte = atomic_load_explicit(e, memory_order_acquire);
	bool inside = is_inside(z, gfn, level);

	if (!spte_is_present(spte)) {
		if (spte && inside)
			take(z, e, 0);
		return;
	}
	if (spte_is_leaf(f, spte, level)) {
		if (inside || !split(z->t, e, level)) {
			take(z, e, 0);
			return;
		}
		spte = atomic_load_explicit(e, memory_order_relaxed);
	}
	if (inside)
		take_table(z, tdp_table(take(z, e, SPTE_FROZEN)), level - 1);
	else
		zap_table(z, tdp_table(spte), level - 1, gfn);
}

static void zap_table(struct zap *z, spte_t *table, unsigned level, gfn_t base)
{
	uint64_t span = spte_pages(level);
	uint64_t first = z->start.v > base.v ? (z->start.v - base.v) / span : 0;

	for (uint64_t i = first; i < SPTE_ENTRIES && base.v + i * span < z->end.v; i++)
		zap_entry(z, &table[i], level, GFN(base.v + i * span));
}

/* Step 3: the frozen entries of the range that are still linked. */
static void thaw_table(struct zap *z, spte_t *table, unsigned level, gfn_t base)
{
	uint64_t span = spte_pages(level);
	uint64_t first = z->start.v > base.v ? (z->start.v - base.v) / span : 0;

	for (uint64_t i = first; i < SPTE_ENTRIES && base.v + i * span < z->end.v; i++) {
		uint64_t spte = atomic_load_explicit(&table[i], memory_order_acquire);

		if (spte_is_frozen(spte))
			atomic_store_explicit(&table[i], 0, memory_order_release);
		else if (spte_is_present(spte) && !spte_is_leaf(z->t->fmt, spte, level))
			thaw_table(z, tdp_table(spte), level - 1, GFN(base.v + i * span));
	}
}

/* Every root that a vCPU may still be on, the invalid ones too. */
static void for_each_root(struct zap *z,
			  void (*fn)(struct zap *z, spte_t *table, unsigned level, gfn_t base))
{
	struct tdp_root *root;

	spin_lock(&z->t->lock);
	list_for_each(root, &z->t->roots, link)
		fn(z, root->table, SPTE_LEVELS, GFN(0));
	spin_unlock(&z->t->lock);
}

static void free_tables(struct zap *z)
{
	while (z->tables) {
		void *table = z->tables;

		z->tables = frame_owner(va_to_pfn(table));
		tdp_free_table(z->t, table);
	}
}

void tdp_unmap_range(struct tdp *t, gfn_t start, gfn_t end)
{
	struct zap z = {.t = t, .start = start, .end = end};

	for_each_root(&z, zap_table);
	if (z.flush)
		host_flush_vm(t->vm);
	for_each_root(&z, thaw_table);
	if (z.tables)
		grace_wait();
	free_tables(&z);
}

/* ---- what the slots tell (mm/mmu.h) ---- */

static gfn_t end_of(const struct memslot *slot)
{
	return GFN(slot->base.v + slot->nr_pages);
}

static int slot_prepare(void *mmu, const struct memslot *old, struct memslot *new)
{
	(void)mmu;
	(void)old;
	(void)new;
	return 0; /* all memory is found at fault time */
}

static void slot_cancel(void *mmu, const struct memslot *old, struct memslot *new)
{
	(void)mmu;
	(void)old;
	(void)new;
}

static void slot_flush(void *mmu, const struct memslot *slot)
{
	tdp_unmap_range(mmu, slot->base, end_of(slot));
}

/*
 * A slot whose flags changed is mapped anew by faults, with the rights the flags give. Creating,
 * deleting or moving one makes the MMIO entries stale by itself, except when the generation's 19
 * bits come round.
 */
static void slot_commit(void *mmu, const struct memslot *old, const struct memslot *new,
			uint64_t generation)
{
	if (old && new && old->base.v == new->base.v)
		tdp_unmap_range(mmu, new->base, end_of(new));
	if (!(generation & SPTE_MMIO_GEN_MASK))
		tdp_zap_all(mmu);
}

/* Take W from one 4K leaf; hardware may be setting D in it. */
static bool protect_leaf(struct tdp *t, spte_t *e)
{
	uint64_t old = atomic_load_explicit(e, memory_order_relaxed);

	while (spte_is_present(old) && (old & t->fmt->write)) {
		if (atomic_compare_exchange_weak_explicit(e, &old,
							  old & ~(t->fmt->write | t->fmt->dirty),
							  memory_order_acq_rel,
							  memory_order_relaxed))
			return true;
	}
	return false;
}

static bool protect_gfn(struct tdp_root *root, gfn_t gfn)
{
	spte_t *table = root->table;

	for (unsigned level = SPTE_LEVELS; level > 1; level--) {
		uint64_t spte = atomic_load_explicit(&table[spte_index(gfn, level)],
						     memory_order_acquire);

		if (!spte_is_present(spte) || spte_is_leaf(root->tdp->fmt, spte, level))
			return false; /* logged slots have no large pages */
		table = tdp_table(spte);
	}
	return protect_leaf(root->tdp, &table[spte_index(gfn, 1)]);
}

static bool protect_bitmap(struct tdp_root *root, gfn_t first, const uint64_t *bitmap, uint64_t nr)
{
	bool flush = false;

	for (uint64_t i = 0; i < nr; i++) {
		if (bitmap[i / 64] & BIT_ULL(i % 64))
			flush |= protect_gfn(root, GFN(first.v + i));
	}
	return flush;
}

/*
 * The flush is due whenever an entry could have been writable since the last one, which is what
 * W says here: MMU_WRITABLE is never taken from these entries (P2, race 3).
 */
static void write_protect(void *mmu, const struct memslot *slot, uint64_t first,
			  const uint64_t *bitmap, uint64_t nr_pages)
{
	struct tdp *t = mmu;
	struct tdp_root *root;
	bool flush = false;

	spin_lock(&t->lock);
	list_for_each(root, &t->roots, link)
		flush |= protect_bitmap(root, GFN(slot->base.v + first), bitmap, nr_pages);
	spin_unlock(&t->lock);
	if (flush)
		host_flush_vm(t->vm);
}

const struct mmu_ops tdp_mmu_ops = {
	.slot_prepare = slot_prepare,
	.slot_cancel = slot_cancel,
	.slot_flush = slot_flush,
	.slot_commit = slot_commit,
	.write_protect = write_protect,
};
