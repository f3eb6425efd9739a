/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Leaves as both engines make, judge and repair them: what a slot and an access allow becomes bits
 * of an entry, once for every format. Where the leaf goes, and when, is the engines' own matter.
 */
#ifndef MM_LEAF_H
#define MM_LEAF_H

#include "arch/x86/regs.h" /* PFERR_* */
#include "lib/bits.h"
#include "mm/mmu.h"
#include "mm/slots.h"
#include "mm/spte.h"

/*
 * Rights that a leaf may have as far as the guest's own tables and the MMU go; the slot may allow
 * less. Two-dimensional paging gives all of them; so does every format that has no bit to refuse
 * one.
 */
#define LEAF_WRITE   BIT(0)
#define LEAF_USER    BIT(1)
#define LEAF_EXECUTE BIT(2)
#define LEAF_ALL     (LEAF_WRITE | LEAF_USER | LEAF_EXECUTE)

/*
 * All of a leaf but its frame and its accessed bit. `rights`: LEAF_*. `write`: the access that asks
 * is a write, which the slot and `rights` allow; the leaf is dirty from the start, and the caller
 * notes the page (slot_mark_dirty()). Else, while writes are logged, the first one has to fault, or
 * to set the dirty bit.
 */
static inline uint64_t leaf_bits(const struct spte_format *f, const struct memslot *slot,
				 unsigned level, unsigned rights, bool write)
{
	uint64_t bits = level > 1 ? f->leaf | f->large : f->leaf;

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
 * This present leaf with all that `error` may be given without a lock (P2): the rights of an
 * access-tracked leaf, and W where only a write-protection to see writes took it. What the leaf
 * lacks for other reasons it still lacks: ask leaf_allows().
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
 * above level 1 must not be repaired for a write while the slot's writes are logged: split it.
 * Any CPU, no lock; reader of mm/grace.h.
 * RET_PF_SPURIOUS: it allows the access; RET_PF_FIXED: it does now, after one compare-and-swap, and
 * a write has been noted; RET_PF_RETRY: the entry has changed, or needs more than a repair.
 */
enum ret_pf leaf_repair(const struct spte_format *f, spte_t *e, uint64_t spte,
			const struct memslot *slot, gfn_t gfn, uint32_t error);

#endif
