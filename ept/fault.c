/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Faults: walk down, make the tables that are missing, install the leaf. Each change is one
 * compare-and-swap of one entry from what was seen there, so that at every moment the tree shows
 * either the old state or the new one. The pages for tables are set aside before the walk, out of
 * the VM's account (ept/account.c).
 *
 * Against removal. A fault handler is a grace-period reader; the slot it found was valid when it
 * began. Removal first publishes the slot as invalid and waits for a grace period, so all handlers
 * that saw it valid have finished before the first entry is taken out, and later ones see it
 * invalid. A table that is being taken away is frozen from top to bottom before it is freed, and
 * freed only after another grace period: a handler inside it meets SPTE_FROZEN, or its
 * compare-and-swap fails.
 */
#include <string.h>

#include "ept/internal.h"

#include "arch/x86/regs.h"
#include "mm/leaf.h"

/* A 4K fault maps the empty ones of its naturally aligned group too. */
#define PREFETCH_PAGES 16u

struct place {
	spte_t *e;
	uint64_t spte; /* what was seen at `e` */
	unsigned level;
};

/* The largest page to use for `gfn`, after the fault `error`. */
static unsigned goal_level(const struct tdp *t, const struct memslot *slot, gfn_t gfn,
			   uint32_t error)
{
	if (t->max_level == 1 || (slot->flags & SLOT_DIRTY_LOG) || leaf_needs_small(t->fmt, error))
		return 1;
	return min(slot_max_level(slot, gfn), t->max_level);
}

/* Nobody has seen this table of the reserve: it goes back there, clear. */
static void take_back(struct tdp_vcpu *tv, spte_t *table)
{
	tdp_uncount_table(tv->tdp);
	obj_reserve_return(&tv->tables, table);
}

/*
 * Link an empty table, or find the entry that another CPU has put there meanwhile. The entry is
 * never empty on return.
 */
static void make_table(struct tdp_vcpu *tv, struct place *p)
{
	void *table = obj_reserve_alloc(&tv->tables);
	uint64_t next = tdp_table_entry(tv->tdp, table);

	tdp_count_table(tv->tdp);
	if (spte_cas(p->e, &p->spte, next))
		p->spte = next;
	else
		take_back(tv, table);
}

/* Split the large page at `p`, or find the entry that another CPU has put in its place. */
static void split_large(struct tdp_vcpu *tv, struct place *p)
{
	spte_t *table = obj_reserve_alloc(&tv->tables);

	tdp_count_table(tv->tdp);
	if (tdp_split_with(tv->tdp, p->e, p->level, table)) {
		tdp_add(&tv->count.split, 1);
		p->spte = tdp_table_entry(tv->tdp, table);
	} else {
		memset(table, 0, PAGE_SIZE);
		take_back(tv, table);
		p->spte = spte_load(p->e);
	}
}

/* Go down from `p` through tables that are there. By value: the hot loop stays in registers. */
static inline struct place descend(const struct spte_format *f, gfn_t gfn, struct place p)
{
	while (spte_is_table(f, p.spte, p.level)) {
		p.level--;
		p.e = &tdp_table(p.spte)[spte_index(gfn, p.level)];
		p.spte = spte_load(p.e);
	}
	return p;
}

/* The same from the root. */
static inline struct place lookup(const struct tdp_vcpu *tv, gfn_t gfn)
{
	const struct spte_format *f = tv->tdp->fmt;
	spte_t *e = &tv->root->table[spte_index(gfn, f->root_level)];

	return descend(f, gfn, (struct place){e, spte_load(e), f->root_level});
}

/*
 * Go down to the entry of `goal` level, or to a frozen entry above it, or to a leaf that may stay
 * there: with `split` none may. Where a table is in the place of a wanted large page, on to level
 * 1.
 *
 * The entry that a step leads to decides the next one, and nothing that was seen before: what comes
 * out of a split may have been taken away, flushed and thawed when this CPU gets there. No level
 * uses up more than one table, because one that was not linked goes back: the reserve lasts.
 */
static inline struct place walk(struct tdp_vcpu *tv, gfn_t gfn, unsigned goal, bool split)
{
	struct place p = lookup(tv, gfn);

	while (unlikely(p.level > goal && (!p.spte || (split && spte_is_present(p.spte))))) {
		if (!p.spte)
			make_table(tv, &p);
		else
			split_large(tv, &p);
		p = descend(tv->tdp->fmt, gfn, p);
	}
	return p;
}

/* Only empty entries are filled, and without the accessed bit: nobody has touched these pages. */
static void prefetch(struct tdp_vcpu *tv, const struct memslot *slot, gfn_t gfn, spte_t *e)
{
	uint64_t bits = leaf_bits(tv->tdp->fmt, slot, 1, LEAF_ALL, false);
	uint64_t first = ALIGN_DOWN(gfn.v, (uint64_t)PREFETCH_PAGES), end = first + PREFETCH_PAGES;
	uint64_t mapped = 0;

	first = max(first, slot->base.v);
	end = min(end, slot->base.v + slot->nr_pages);
	e -= gfn.v - first;
	for (; first < end; first++, e++) {
		uint64_t empty = 0;

		if (atomic_load_explicit(e, memory_order_relaxed) == 0)
			mapped += spte_cas(e, &empty,
					   pfn_to_hpa(slot_pfn(slot, GFN(first))).v | bits);
	}
	tdp_add(&tv->count.prefetched, mapped);
}

/*
 * Into an entry of the goal's level or below that is empty, or has an MMIO fact that is no longer
 * true.
 */
static enum ret_pf install(struct tdp_vcpu *tv, const struct memslot *slot, gfn_t gfn, bool write,
			   struct place *p)
{
	struct tdp *t = tv->tdp;
	gfn_t first = GFN(ALIGN_DOWN(gfn.v, spte_pages(p->level)));
	uint64_t leaf = pfn_to_hpa(slot_pfn(slot, first)).v | t->fmt->accessed |
			leaf_bits(t->fmt, slot, p->level, LEAF_ALL, write);

	if (!spte_cas(p->e, &p->spte, leaf))
		return RET_PF_RETRY;
	if (write)
		slot_mark_dirty(slot, gfn);
	tdp_add(&tv->count.mapped[p->level - 1], 1);
	if (p->level == 1)
		prefetch(tv, slot, gfn, p->e);
	return RET_PF_FIXED;
}

static enum ret_pf map(struct tdp_vcpu *tv, const struct memslot *slot, gfn_t gfn, uint32_t error)
{
	unsigned goal = goal_level(tv->tdp, slot, gfn, error);
	bool write = error & PFERR_WRITE;
	bool split =
		(write && (slot->flags & SLOT_DIRTY_LOG)) || leaf_needs_small(tv->tdp->fmt, error);
	struct place p = walk(tv, gfn, goal, split);

	if (spte_is_present(p.spte)) /* spurious, also if a split was all that was needed */
		return leaf_repair(tv->tdp->fmt, p.e, p.spte, slot, gfn, error);
	if (unlikely(spte_is_frozen(p.spte)))
		return RET_PF_RETRY;
	return install(tv, slot, gfn, write, &p);
}

/*
 * Where MMIO entries go: into tables that are there, and into a few that are made for them. A guest
 * that looks for devices everywhere must not use up the machine's frames.
 */
static struct place place_for_mmio(struct tdp_vcpu *tv, gfn_t gfn)
{
	_Atomic uint32_t *made = &tv->root->mmio_tables;
	unsigned reserve = tv->tables.nr;
	struct place p;

	if (atomic_load_explicit(made, memory_order_relaxed) >= TDP_MMIO_TABLES)
		return lookup(tv, gfn);
	p = walk(tv, gfn, 1, false);
	if (tv->tables.nr != reserve)
		atomic_fetch_add_explicit(made, reserve - tv->tables.nr, memory_order_relaxed);
	return p;
}

/*
 * No memory here: leave an entry that says so, for as long as the slots stay what they are (P6).
 * It is only a cache: where it cannot be made the access is emulated all the same.
 */
static enum ret_pf cache_mmio(struct tdp_vcpu *tv, gfn_t gfn, uint64_t generation)
{
	const struct spte_format *f = tv->tdp->fmt;
	struct place p;

	if (!spte_may_cache_mmio(f, gfn, generation))
		return RET_PF_EMULATE;
	p = place_for_mmio(tv, gfn);
	if (p.level == 1 && (!p.spte || spte_is_mmio(f, p.spte)))
		spte_cas(p.e, &p.spte, spte_make_mmio(f, gfn, f->mmio_access, generation));
	return RET_PF_EMULATE;
}

/*
 * The account is empty. Its pages are enough for one tree, so others are in what was taken out or
 * made obsolete and comes back: help with that, and have the guest fault again.
 */
static __cold __attribute__((noinline)) enum ret_pf reclaim(struct tdp_vcpu *tv)
{
	struct tdp *t = tv->tdp;
	uint64_t done = tdp_removals_done(t);

	if (!obj_reserve_topup(&tv->tables, t->fault_tables))
		return RET_PF_RETRY;
	if (!tdp_is_page_due(t, done))
		return RET_PF_INVALID;
	tdp_zap_work(t);
	return RET_PF_RETRY;
}

static enum ret_pf resolve(struct tdp_vcpu *tv, gfn_t gfn, uint32_t error)
{
	struct slot_array *slots = slots_get(tv->tdp->mem);
	uint64_t generation = atomic_load_explicit(&slots->generation, memory_order_relaxed);
	const struct memslot *slot;

	/* Only saves work: what is mapped in an invalid root is seen by nobody. */
	if (unlikely(atomic_load_explicit(&tv->root->invalid, memory_order_relaxed)))
		return RET_PF_RETRY;
	slot = slots_lookup(slots, gfn);
	/*
	 * Some CPUs report the reserved bit without the present bit, so only the reserved bit
	 * counts. An MMIO entry could only say that there is no slot, and the slots say it faster
	 * than the entry.
	 */
	if (!slot && (error & PFERR_RSVD))
		return RET_PF_EMULATE;
	if (unlikely(slot && (slot->flags & SLOT_INVALID)))
		return RET_PF_RETRY;
	/*
	 * The MMIO entry is older than the slot: replace it, as for a read, because not all CPUs
	 * tell what the access was. A write that is not allowed then faults again.
	 */
	if (unlikely(error & PFERR_RSVD))
		error &= ~(uint32_t)PFERR_WRITE;
	if (unlikely(slot && (error & PFERR_WRITE) && (slot->flags & SLOT_READONLY)))
		return RET_PF_EMULATE;
	if (unlikely(tv->tables.nr < tv->tdp->fault_tables) &&
	    obj_reserve_topup(&tv->tables, tv->tdp->fault_tables))
		return reclaim(tv);
	if (likely(slot))
		return map(tv, slot, gfn, error);
	/* Where EPT's entry for a device faults, the CPU does not say that a walk has led there. */
	return error & PFERR_GUEST_PT ? RET_PF_EMULATE : cache_mmio(tv, gfn, generation);
}

enum ret_pf tdp_fault(struct tdp_vcpu *tv, gpa_t gpa, uint32_t error)
{
	gfn_t gfn = gpa_to_gfn(gpa);
	enum ret_pf r = likely(gfn.v < tv->tdp->end.v) ? resolve(tv, gfn, error) : RET_PF_EMULATE;

	tdp_add(&tv->count.faults[r], 1);
	return r;
}
