/* SPDX-License-Identifier: BSD-2-Clause */
/* What the files of ept/ share among themselves. */
#ifndef EPT_INTERNAL_H
#define EPT_INTERNAL_H

#include "ept/tdp.h"
#include "lib/panic.h"
#include "mm/frames.h"
#include "mm/host.h"

extern const struct mmu_ops tdp_mmu_ops;

static inline spte_t *tdp_table(uint64_t spte)
{
	return host_va(spte_address(spte));
}

/* An entry that leads to the table page at `table`. */
static inline uint64_t tdp_table_entry(const struct tdp *t, const void *table)
{
	return host_pa(table).v | t->fmt->table;
}

/* Table pages, counted and cleared, of the VM's account. NULL: it has none. */
void *tdp_alloc_table(struct tdp *t);
void tdp_free_table(struct tdp *t, void *table);

/* A page of a reserve becomes a table. */
static inline void tdp_count_table(struct tdp *t)
{
	atomic_fetch_add_explicit(&t->tables, 1, memory_order_relaxed);
}

static inline void tdp_uncount_table(struct tdp *t)
{
	atomic_fetch_sub_explicit(&t->tables, 1, memory_order_relaxed);
}

/*
 * Replace the large page at `e` (of `level`) by `table` with smaller ones that map the same: the
 * translation does not change, nor its rights, but that the smaller ones may be executed where the
 * large one was not; so nothing needs a flush (SDM volume 3, 4.10.2.3).
 * False: there is no large page any more; `table` still belongs to the caller, with other
 * contents. Any CPU, no lock needed.
 */
bool tdp_split_with(struct tdp *t, spte_t *e, unsigned level, spte_t *table);

/* The same with a fresh table. False: the account has none. slots_lock held: only faults change
 * entries. */
bool tdp_split(struct tdp *t, spte_t *e, unsigned level);

/* A range of a tree: the loops that remove or protect entries go over it. */
struct tdp_range {
	struct tdp *t;
	gfn_t start, end;
};

/* The entries of a table of `level` that begins at `base` which span a part of the range. */
static inline unsigned tdp_first(const struct tdp_range *r, unsigned level, gfn_t base)
{
	return r->start.v > base.v ? (r->start.v - base.v) / spte_pages(level) : 0;
}

static inline unsigned tdp_end(const struct tdp_range *r, unsigned level, gfn_t base)
{
	uint64_t n = r->end.v > base.v ? DIV_ROUND_UP(r->end.v - base.v, spte_pages(level)) : 0;

	return min(n, (uint64_t)SPTE_ENTRIES);
}

static inline gfn_t tdp_gfn_at(gfn_t base, unsigned level, unsigned i)
{
	return GFN(base.v + i * spte_pages(level));
}

/*
 * Have the next write to each page of [start, end) logged, split large pages where there is memory
 * for it, and flush. slots_lock held.
 */
void tdp_log_range(struct tdp *t, gfn_t start, gfn_t end);

/*
 * slot_settle() of struct mmu_ops: a slice of what a change of the slot's flags is to entries that
 * are there. slots_lock held; the caller's references die (mm/grace.h).
 */
uint64_t tdp_settle(void *mmu, const struct memslot *slot, uint32_t changed, uint64_t from,
		    uint64_t end);

/* As tdp_log_range() for the pages first + i whose bits are set. slots_lock held. */
void tdp_log_bitmap(struct tdp *t, gfn_t first, const uint64_t *bitmap, uint64_t nr);

static inline void tdp_assert_locked(const struct tdp *t)
{
	HV_BUG_ON(!spin_is_locked(&t->mem->lock));
}

/*
 * Around whatever takes tables away and gives their pages back later: begin before the first entry
 * is taken out, or the tree is made obsolete; end when the last page is back. Sequentially
 * consistent: see tdp_is_page_due().
 */
static inline void tdp_begin_removal(struct tdp *t)
{
	atomic_fetch_add(&t->removals_begun, 1);
}

static inline void tdp_end_removal(struct tdp *t)
{
	atomic_fetch_add(&t->removals_done, 1);
}

/*
 * The account was found empty, at a time after tdp_removals_done() returned `done`. Was a removal
 * going on at that time? Then the pages it has taken out come back, and whoever needs one tries
 * again. A removal that was going on had begun before, and is not among those that were done before
 * that; so it is missing in `done`. True may also mean one that began later. Model:
 * tests/model/tdp_account.pml.
 */
static inline bool tdp_is_page_due(struct tdp *t, uint64_t done)
{
	return atomic_load(&t->removals_begun) != done;
}

static inline uint64_t tdp_removals_done(struct tdp *t)
{
	return atomic_load(&t->removals_done);
}

/* The vCPU gives back its reference, at its end. */
void tdp_leave_root(struct tdp_vcpu *tv);

/* The VM gives up its own, at its end: no vCPU has one. */
void tdp_drop_root(struct tdp *t);

/* The tree that faults fill; NULL: none. slots_lock held: it stays that way. */
spte_t *tdp_current_table(struct tdp *t);

#endif
