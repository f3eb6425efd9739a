/* SPDX-License-Identifier: BSD-2-Clause */
/* The repair of a leaf that is in the way of an access, by one compare-and-swap. */
#include "mm/leaf.h"

enum ret_pf leaf_repair(const struct spte_format *f, spte_t *e, uint64_t spte,
			const struct memslot *slot, gfn_t gfn, uint32_t error)
{
	uint64_t repaired = leaf_repaired(f, spte, error);

	if (leaf_allows(f, spte, error))
		return RET_PF_SPURIOUS;
	if (!leaf_allows(f, repaired, error) || !spte_cas(e, &spte, repaired))
		return RET_PF_RETRY;
	if (error & PFERR_WRITE)
		slot_mark_dirty(slot, gfn);
	return RET_PF_FIXED;
}
