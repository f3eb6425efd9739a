/* SPDX-License-Identifier: BSD-2-Clause */
/* What the memory slots tell the engine (struct mmu_ops of mm/mmu.h): all under slots_lock. */
#include "ept/internal.h"

static bool is_logged(const struct memslot *slot)
{
	return slot && (slot->flags & SLOT_DIRTY_LOG);
}

/*
 * One slot more, or less, is logged. Where the CPU notes the writes it does so from before the
 * first slot's dirty bits are cleared until no slot is logged any more.
 */
static void count_logged(struct tdp *t, int change)
{
	bool was = t->nr_logged;

	t->nr_logged += (unsigned)change;
	if (spte_hardware_logs(t->fmt) && was != !!t->nr_logged)
		host_log_writes(t->vm, !was);
}

/* What else the engine needs it finds at fault time, so nothing is kept with a slot. */
static int slot_prepare(void *mmu, const struct memslot *old, struct memslot *now)
{
	if (is_logged(now) && !is_logged(old))
		count_logged(mmu, 1);
	return 0;
}

static void slot_cancel(void *mmu, const struct memslot *old, struct memslot *now)
{
	if (is_logged(now) && !is_logged(old))
		count_logged(mmu, -1);
}

static void slot_flush(void *mmu, const struct memslot *slot)
{
	tdp_unmap_range(mmu, slot->base, slot_end(slot));
}

/*
 * Creating, deleting or moving a slot makes the MMIO entries stale by itself, as long as the bits
 * that they keep of the generation do not come round.
 */
static void slot_commit(void *mmu, const struct memslot *old, const struct memslot *now,
			uint64_t generation)
{
	struct tdp *t = mmu;

	if (is_logged(old) && !is_logged(now))
		count_logged(t, -1);
	if (spte_mmio_must_drop(generation))
		tdp_zap_all(t);
}

static void gather_dirty(void *mmu)
{
	struct tdp *t = mmu;

	if (spte_hardware_logs(t->fmt))
		host_gather_writes(t->vm);
}

static void log_again(void *mmu, const struct memslot *slot, uint64_t first, const uint64_t *bitmap,
		      uint64_t nr_pages)
{
	tdp_log_bitmap(mmu, GFN(slot->base.v + first), bitmap, nr_pages);
}

static void unmap(void *mmu, gfn_t start, gfn_t end)
{
	tdp_unmap_range(mmu, start, end);
}

static void zap_all(void *mmu)
{
	tdp_zap_all(mmu);
}

static uint64_t age(void *mmu, gfn_t start, gfn_t end, uint64_t *young)
{
	return tdp_age_range(mmu, start, end, young);
}

const struct mmu_ops tdp_mmu_ops = {
	.slot_prepare = slot_prepare,
	.slot_cancel = slot_cancel,
	.slot_flush = slot_flush,
	.slot_commit = slot_commit,
	.slot_settle = tdp_settle,
	.unmap = unmap,
	.zap_all = zap_all,
	.age = age,
	.gather_dirty = gather_dirty,
	.log_again = log_again,
};
