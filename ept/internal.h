/* SPDX-License-Identifier: BSD-2-Clause */
/* What the files of ept/ share among themselves. */
#ifndef EPT_INTERNAL_H
#define EPT_INTERNAL_H

#include "ept/tdp.h"
#include "mm/frames.h"
#include "mm/host.h"


static inline spte_t *tdp_table(uint64_t spte)
{
	return host_va(spte_address(spte));
}

/* A leaf for `gfn` in a slot: `level` at most slot_max_level(). `write`: the access that asks. */
uint64_t tdp_make_leaf(const struct tdp *t, const struct memslot *slot, gfn_t gfn, unsigned level,
		       bool write, bool accessed);

/* An entry that leads to the table page at `table`. */
static inline uint64_t tdp_make_table(const struct tdp *t, const void *table)
{
	return host_pa(table).v | t->fmt->table;
}

extern const struct mmu_ops tdp_mmu_ops;

/* Table pages, counted. NULL: no memory. */
void *tdp_alloc_table(struct tdp *t);
void tdp_free_table(struct tdp *t, void *table);

static inline void tdp_count(_Atomic uint64_t *counter, uint64_t n)
{
	atomic_fetch_add_explicit(counter, n, memory_order_relaxed);
}

#endif
