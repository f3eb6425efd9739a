/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * How both engines make, judge and repair leaves. The rights that a slot and an access allow
 * become bits of an entry, in one place for all formats. The engines decide where a leaf goes, and
 * when.
 */
#ifndef MM_LEAF_H
#define MM_LEAF_H

#include "arch/x86/regs.h" /* PFERR_* */
#include "lib/bits.h"
#include "mm/mmu.h"
#include "mm/slots.h"
#include "mm/spte.h"

/*
 * The rights that the guest's own tables and the MMU give to a leaf; the slot may allow less.
 * Two-dimensional paging gives all of them. A format without a bit to refuse a right gives that
 * right.
 */
#define LEAF_WRITE   BIT(0)
#define LEAF_USER    BIT(1)
#define LEAF_EXECUTE BIT(2)
#define LEAF_ALL     (LEAF_WRITE | LEAF_USER | LEAF_EXECUTE)

/*
 * All bits of a leaf except its frame and its accessed bit. `rights`: LEAF_*. `write`: the access
 * is a write, and the slot and `rights` allow it; then the leaf is dirty from the start, and the
 * caller logs the page (slot_mark_dirty()). Without `write`, in a slot whose writes are logged,
 * the leaf makes the first write fault or set the dirty bit.
 *
 * A large leaf is not executable, whatever `rights` say, on a CPU where it must not be
 * (spte_format_fetch_small()): so a fault of a kind that leaf_needs_small() names is resolved with
 * a leaf of 4K, and a large one that is there is split.
 */
static inline uint64_t leaf_bits(const struct spte_format *f, const struct memslot *slot,
				 unsigned level, unsigned rights, bool write)
{
	uint64_t bits = level > 1 ? f->large_leaf : f->leaf;

	if (!(rights & LEAF_USER))
		bits &= ~f->user;
	if (!(rights & LEAF_EXECUTE))
		bits = (bits & ~f->exec) | f->nx;
	if (unlikely(slot->flags & SLOT_READONLY))
		return bits;
	if (!(rights & LEAF_WRITE))
		return bits | f->host_writable;
	bits |= f->may_write;
	if (write)
		return bits | f->write | f->dirty;
	return bits | (unlikely(slot->flags & SLOT_DIRTY_LOG) ? f->logged : f->write);
}

static inline bool leaf_needs_small(const struct spte_format *f, uint32_t error)
{
	return error & f->small_access;
}

/*
 * Does this present leaf, as it is, allow the access `error` (PFERR_WRITE, _USER, _FETCH)? What
 * SMEP and SMAP forbid is not looked at: it follows from the guest's own tables.
 */
static inline bool leaf_allows(const struct spte_format *f, uint64_t spte, uint32_t error)
{
	if ((error & PFERR_WRITE) && !(spte & f->write))
		return false;
	if ((error & PFERR_USER) && (~spte & f->user))
		return false;
	if (error & PFERR_FETCH)
		return f->exec ? spte & f->exec : (spte & f->read) && !(spte & f->nx);
	return spte & f->read;
}

/*
 * This present leaf with the rights that the access `error` can get back without a lock (P2): the
 * rights of an access-tracked leaf, and W if it was taken only to see the next write. Rights that
 * are missing for another reason stay missing: ask leaf_allows().
 */
static inline uint64_t leaf_repaired(const struct spte_format *f, uint64_t spte, uint32_t error)
{
	spte = spte_restored(spte) | f->accessed;
	if ((error & PFERR_WRITE) && spte_may_set_writable(f, spte))
		spte |= f->write | f->dirty;
	return spte;
}

/*
 * A fault has found the present leaf `spte` at `e`, which maps a part of `slot` with `gfn`. A leaf
 * above level 1 must not be repaired for a write while the slot's writes are logged, nor for an
 * access that leaf_needs_small() names: split it.
 * Any CPU, no lock; reader of mm/grace.h.
 * RET_PF_SPURIOUS: it allows the access; RET_PF_FIXED: it does now, after one compare-and-swap, and
 * a write has been noted; RET_PF_RETRY: the entry has changed, or needs more than a repair.
 */
enum ret_pf leaf_repair(const struct spte_format *f, spte_t *e, uint64_t spte,
			const struct memslot *slot, gfn_t gfn, uint32_t error);

#endif
