/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Faults: walk down, make the tables that are missing, install the leaf. Each change is one
 * compare-and-swap of one entry from what was seen there, so that at every moment the tree shows
 * either the old state or the new one.
 *
 * Against removal. A fault handler is a grace-period reader; the slot it found was valid when it
 * began. Removal first publishes the slot as invalid and waits for a grace period, so all handlers
 * that saw it valid have finished before the first entry is taken out, and later ones see it
 * invalid. A table that is being taken away is frozen from top to bottom before it is freed, and
 * freed only after another grace period: a handler inside it meets SPTE_FROZEN, or its
 * compare-and-swap fails.
 */
#include "ept/internal.h"

#include "arch/x86/regs.h"

/* Map neighbours with a 4K fault: the empty ones of its naturally aligned group. */
#define PREFETCH_PAGES 16u

static uint64_t load(spte_t *e)
{
	/* Acquire: pairs with the release of install(): the table an entry leads to is cleared. */
	return atomic_load_explicit(e, memory_order_acquire);
}

static bool install(spte_t *e, uint64_t old, uint64_t new)
{
	return atomic_compare_exchange_strong_explicit(e, &old, new, memory_order_acq_rel,
						       memory_order_relaxed);
}

uint64_t tdp_make_leaf(const struct tdp *t, const struct memslot *slot, gfn_t gfn, unsigned level,
		       bool write, bool accessed)
{
	const struct spte_format *f = t->fmt;
	gfn_t first = GFN(ALIGN_DOWN(gfn.v, spte_pages(level)));
	uint64_t spte = pfn_to_hpa(slot_pfn(slot, first)).v | f->leaf | SPTE_MMU_PRESENT;

	if (level > 1)
		spte |= f->large;
	if (accessed)
		spte |= f->accessed;
	if (slot->flags & SLOT_READONLY)
		return spte;
	spte |= SPTE_WRITABLE_BITS;
	/* While writes are logged, the first one to each page has to fault. */
	if (write || !(slot->flags & SLOT_DIRTY_LOG))
		spte |= f->write;
	return write ? spte | f->dirty : spte;
}

/* The largest page to use for `gfn`. */
static unsigned goal_level(const struct tdp *t, const struct memslot *slot, gfn_t gfn)
{
	if (t->max_level == 1 || (slot->flags & SLOT_DIRTY_LOG))
		return 1;
	return min(slot_max_level(slot, gfn), t->max_level);
}

/*
 * Turn the entry, seen as `old`, into a table. False: no memory. When somebody else was faster, or
 * the entry was frozen meanwhile, the caller sees that when it looks again.
 */
static bool make_table(struct tdp *t, spte_t *e, uint64_t old)
{
	void *table = tdp_alloc_table(t);

	if (!table)
		return false;
	if (!install(e, old, tdp_make_table(t, table)))
		tdp_free_table(t, table);
	return true;
}

struct place {
	spte_t *e;
	uint64_t spte; /* what was seen at `e` */
	unsigned level;
};

/*
 * Go down to the entry of `goal` level, or to a leaf or frozen entry above it, making tables for
 * what is empty; where a table is in the place of a wanted large page, on to level 1.
 */
static bool walk_down(struct tdp_root *root, gfn_t gfn, unsigned goal, struct place *p)
{
	struct tdp *t = root->tdp;
	spte_t *table = root->table;
	unsigned level = SPTE_LEVELS;

	for (;;) {
		spte_t *e = &table[spte_index(gfn, level)];
		uint64_t spte = load(e);

		if (spte_is_present(spte) && !spte_is_leaf(t->fmt, spte, level)) {
			table = tdp_table(spte);
			level--;
			continue;
		}
		if (level <= goal || spte_is_present(spte) || spte_is_frozen(spte)) {
			*p = (struct place){e, spte, level};
			return true;
		}
		if (!make_table(t, e, spte))
			return false;
	}
}

/* Only empty entries are filled, and without the accessed bit: nobody has touched these pages. */
static void prefetch(struct tdp *t, const struct memslot *slot, gfn_t gfn, spte_t *e)
{
	gfn_t first = GFN(ALIGN_DOWN(gfn.v, (uint64_t)PREFETCH_PAGES));
	uint64_t mapped = 0;

	e -= gfn.v - first.v;
	for (unsigned i = 0; i < PREFETCH_PAGES; i++) {
		gfn_t g = GFN(first.v + i);

		if (atomic_load_explicit(&e[i], memory_order_relaxed) || !slot_has(slot, g))
			continue;
		mapped += install(&e[i], 0, tdp_make_leaf(t, slot, g, 1, false, false));
	}
	tdp_count(&t->stats.mapped[0], mapped);
}

static bool allows(const struct spte_format *f, uint64_t spte, uint32_t error)
{
	if ((error & PFERR_WRITE) && !(spte & f->write))
		return false;
	if (error & PFERR_FETCH)
		return f->exec ? spte & f->exec : !(spte & f->nx);
	return spte & f->read;
}

/* A leaf is there already: enough for the access, or one write-enable away from it (P2). */
static enum ret_pf fix_leaf(struct tdp *t, const struct memslot *slot, gfn_t gfn, uint32_t error,
			    const struct place *p)
{
	const struct spte_format *f = t->fmt;

	if (allows(f, p->spte, error))
		return RET_PF_SPURIOUS;
	if (!(error & PFERR_WRITE) || !spte_may_set_writable(p->spte) || p->level > 1)
		return RET_PF_RETRY;
	if (!install(p->e, p->spte, p->spte | f->write | f->dirty | f->accessed))
		return RET_PF_RETRY;
	slot_mark_dirty(slot, gfn);
	return RET_PF_FIXED;
}

static enum ret_pf map(struct tdp_root *root, const struct memslot *slot, gfn_t gfn, uint32_t error)
{
	struct tdp *t = root->tdp;
	bool write = error & PFERR_WRITE;
	struct place p;

	if (!walk_down(root, gfn, goal_level(t, slot, gfn), &p))
		return RET_PF_INVALID;
	if (spte_is_frozen(p.spte))
		return RET_PF_RETRY;
	if (spte_is_present(p.spte))
		return fix_leaf(t, slot, gfn, error, &p);
	if (!install(p.e, p.spte, tdp_make_leaf(t, slot, gfn, p.level, write, true)))
		return RET_PF_RETRY;
	if (write)
		slot_mark_dirty(slot, gfn);
	tdp_count(&t->stats.mapped[p.level - 1], 1);
	if (p.level == 1)
		prefetch(t, slot, gfn, p.e);
	return RET_PF_FIXED;
}

/*
 * No memory here: leave an entry that says so, for as long as the slots stay what they are (P6).
 * It is only a cache: where it cannot be made the access is emulated all the same.
 */
static enum ret_pf cache_mmio(struct tdp_root *root, struct slot_array *slots, gfn_t gfn)
{
	const struct spte_format *f = root->tdp->fmt;
	uint64_t generation = atomic_load_explicit(&slots->generation, memory_order_relaxed);
	struct place p;

	if (!f->mmio_mask || (generation & SLOTS_GEN_IN_PROGRESS))
		return RET_PF_EMULATE;
	if (walk_down(root, gfn, 1, &p) && p.level == 1 && !spte_is_present(p.spte) &&
	    !spte_is_frozen(p.spte))
		install(p.e, p.spte, spte_make_mmio(f, gfn, generation));
	return RET_PF_EMULATE;
}

/* A fault on an MMIO entry that is up to date: nothing to look up. */
static bool is_known_mmio(struct tdp_root *root, struct slot_array *slots, gfn_t gfn)
{
	const struct spte_format *f = root->tdp->fmt;
	uint64_t generation = atomic_load_explicit(&slots->generation, memory_order_relaxed);
	spte_t *table = root->table;

	for (unsigned level = SPTE_LEVELS;; level--) {
		uint64_t spte = load(&table[spte_index(gfn, level)]);

		if (level == 1)
			return spte_is_mmio(f, spte) && !(generation & SLOTS_GEN_IN_PROGRESS) &&
			       spte_mmio_generation(spte) == (generation & SPTE_MMIO_GEN_MASK);
		if (!spte_is_present(spte) || spte_is_leaf(f, spte, level))
			return false;
		table = tdp_table(spte);
	}
}

static enum ret_pf resolve(struct tdp_root *root, gfn_t gfn, uint32_t error)
{
	struct slot_array *slots = slots_get(root->tdp->mem);
	const struct memslot *slot;

	if (unlikely(atomic_load_explicit(&root->invalid, memory_order_relaxed)))
		return RET_PF_RETRY;
	/* Some emulators report the reserved bit without the present bit: it alone counts. */
	if ((error & PFERR_RSVD) && is_known_mmio(root, slots, gfn))
		return RET_PF_EMULATE;
	slot = slots_lookup(slots, gfn);
	if (!slot)
		return cache_mmio(root, slots, gfn);
	if (unlikely(slot->flags & SLOT_INVALID))
		return RET_PF_RETRY;
	if ((error & PFERR_WRITE) && (slot->flags & SLOT_READONLY))
		return RET_PF_EMULATE;
	return map(root, slot, gfn, error);
}

enum ret_pf tdp_fault(struct tdp_root *root, gpa_t gpa, uint32_t error)
{
	enum ret_pf r;

	/* Beyond what four levels reach there is nothing. */
	if (unlikely(gpa.v >> (PAGE_SHIFT + 9 * SPTE_LEVELS)))
		return RET_PF_EMULATE;
	r = resolve(root, gpa_to_gfn(gpa), error);
	tdp_count(&root->tdp->stats.faults[r], 1);
	return r;
}
