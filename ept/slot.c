/* SPDX-License-Identifier: BSD-2-Clause */
/* What the memory slots tell the engine (struct mmu_ops of mm/mmu.h): all under slots_lock. */
#include "ept/internal.h"

static gfn_t end_of(const struct memslot *slot)
{
	return GFN(slot->base.v + slot->nr_pages);
}

/* What the engine needs it finds at fault time, so nothing is kept with a slot. */
static int slot_prepare(void *mmu, const struct memslot *old, struct memslot *new)
{
	return 0;
}

static void slot_cancel(void *mmu, const struct memslot *old, struct memslot *new) {}

static void slot_flush(void *mmu, const struct memslot *slot)
{
	tdp_unmap_range(mmu, slot->base, end_of(slot));
}

/*
 * The rights of present entries follow SLOT_READONLY, so those go and faults make new ones. When a
 * dirty log starts, entries only lose W. When it ends they get it back one by one, by faults, if
 * they are to stay small; else they go too, and come back as large pages.
 */
static void change_flags(struct tdp *t, const struct memslot *old, const struct memslot *new)
{
	uint32_t changed = old->flags ^ new->flags;

	if ((changed & SLOT_READONLY) ||
	    ((changed & ~new->flags &SLOT_DIRTY_LOG) && t->max_level > 1))
		tdp_unmap_range(t, new->base, end_of(new));
	else if (changed & SLOT_DIRTY_LOG & new->flags)
		tdp_protect_range(t, new->base, end_of(new));
}

/*
 * Creating, deleting or moving a slot makes the MMIO entries stale by itself, as long as the bits
 * that they keep of the generation do not come round.
 */
static void slot_commit(void *mmu, const struct memslot *old, const struct memslot *new,
			uint64_t generation)
{
	struct tdp *t = mmu;

	if (old && new && old->base.v == new->base.v)
		change_flags(t, old, new);
	if (spte_mmio_must_drop(generation))
		tdp_zap_all(t);
}

static void write_protect(void *mmu, const struct memslot *slot, uint64_t first,
			  const uint64_t *bitmap, uint64_t nr_pages)
{
	tdp_protect_bitmap(mmu, GFN(slot->base.v + first), bitmap, nr_pages);
}

const struct mmu_ops tdp_mmu_ops = {
	.slot_prepare = slot_prepare,
	.slot_cancel = slot_cancel,
	.slot_flush = slot_flush,
	.slot_commit = slot_commit,
	.write_protect = write_protect,
};
