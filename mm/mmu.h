/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The interface of an MMU engine. Two engines derive hardware translations from the memory slots:
 * ept/ (two-dimensional tables) and the shadow MMU of mm/. A VM uses one of them at a time.
 *
 * The calls that a vCPU makes on its own behalf are plain functions of each engine, picked by one
 * branch in vmm/mmu.h, so that the path of a fault has no indirect call:
 *
 *	fault(vcpu's part, gpa or gva, error)	-> enum ret_pf
 *	invlpg(vcpu's part, gva)		 shadow only
 *	load_root(vcpu's part)			 -> the root for the hardware
 *	work(engine), has_work(engine)		 a slice of background work; is there any?
 *	get_stats(engine)			 -> struct mmu_stats
 *
 * The owner of the guest's memory calls an engine through struct mmu_ops. These calls are slow and
 * rare, and mm/slots.c, which makes them, must not know ept/.
 */
#ifndef MM_MMU_H
#define MM_MMU_H

#include "lib/types.h"

struct memslot; /* mm/slots.h */

/* What a memory fault came to. Nothing here is an error of the hypervisor. */
enum ret_pf {
	RET_PF_FIXED,    /* an entry was installed or upgraded: re-enter the guest */
	RET_PF_SPURIOUS, /* the entry already allows the access: re-enter, but count it */
	RET_PF_RETRY,    /* lost a race, or the slot is about to change: re-enter and fault again */
	RET_PF_EMULATE,  /* no memory there, or a write that must not reach it directly: emulate */
	RET_PF_GUEST,    /* the guest's own tables do not allow it: inject a page fault */
	RET_PF_INVALID,  /* the guest cannot go on (its memory cannot be mapped): end the VM */
};

#define NR_RET_PF (RET_PF_INVALID + 1)

/* Sizes of pages that an engine installs: 4K, 2M, 1G. */
#define MMU_PAGE_SIZES 3

/* What an engine has counted for a VM, since it was created. */
struct mmu_stats {
	uint64_t faults[NR_RET_PF];      /* by result */
	uint64_t mapped[MMU_PAGE_SIZES]; /* leaves that faults installed, by size */
	uint64_t prefetched;             /* neighbours installed along with a 4K leaf */
	uint64_t split;  /* large pages split by a logged write, or an instruction fetch */
	uint64_t tables; /* table pages now */
};

/*
 * Every function is called with slots_lock held and no other lock, on any CPU, while vCPUs run.
 * `mmu` is the engine's own handle. Slots are in units of 4K frames.
 */
struct mmu_ops {
	/*
	 * A change is about to be made: `old` is NULL when a slot is created, `now` is NULL when
	 * one is deleted; both when one moves or changes its flags. Get hold of all that the
	 * change needs. Nothing is visible yet; -ENOMEM refuses the change.
	 */
	int (*slot_prepare)(void *mmu, const struct memslot *old, struct memslot *now);

	/* The change announced by slot_prepare() is not going to be made. */
	void (*slot_cancel)(void *mmu, const struct memslot *old, struct memslot *now);

	/*
	 * `slot` is going away or moves. It is published as SLOT_INVALID and a grace period has
	 * passed, so that no fault handler can install a translation into it any more. On return
	 * no entry leads to one of its frames and no TLB has such a translation.
	 */
	void (*slot_flush)(void *mmu, const struct memslot *slot);

	/*
	 * The change is published and every CPU sees it (a grace period has passed): new entries
	 * follow the slot's flags. Those that are there do after slot_settle(). `generation` is the
	 * new one (slots_generation()); an engine whose MMIO entries keep fewer bits of it drops
	 * them all when its own bits wrap. Bounded work, whatever the slot's size.
	 */
	void (*slot_commit)(void *mmu, const struct memslot *old, const struct memslot *now,
			    uint64_t generation);

	/*
	 * The flags of `slot` have changed in the bits `changed` since some of its entries were
	 * made: have entries of its pages [from, end), counted from its base, follow the flags. A
	 * page of a slot that has become SLOT_READONLY is not writable after this, and of one that
	 * has become SLOT_DIRTY_LOG the next write is noted, TLBs flushed on return. Bounded work:
	 * returns the page up to which it was done, which is more than `from`. slots_lock is free
	 * between two calls, so that anything may have happened, but the slot is looked up anew.
	 */
	uint64_t (*slot_settle)(void *mmu, const struct memslot *slot, uint32_t changed,
				uint64_t from, uint64_t end);

	/*
	 * Take out all translations of the frames [start, end). On return no TLB has one. Faults
	 * map whatever the slots say, so a caller that takes a frame away removes it from the
	 * slots first.
	 */
	void (*unmap)(void *mmu, gfn_t start, gfn_t end);

	/*
	 * Make every translation obsolete at once. On return no vCPU uses one. Their tables are
	 * freed later, in slices of background work.
	 */
	void (*zap_all)(void *mmu);

	/*
	 * Which of the pages [start, end) were accessed since the last call? Sets bit i of `young`
	 * (cleared by the caller) for page start + i. Returns their number. With `young` NULL they
	 * are only counted, and a large page as a whole in the call that has its first page. A
	 * hint: it does not flush, so a page in constant use may look old.
	 */
	uint64_t (*age)(void *mmu, gfn_t start, gfn_t end, uint64_t *young);

	/*
	 * The dirty log is about to be read: copy the pages that the hardware has logged so far
	 * into the bitmaps of their slots (slot_mark_dirty()).
	 */
	void (*gather_dirty)(void *mmu);

	/*
	 * The pages of `slot` whose bits are set in `bitmap` (page `first` + i is bit i; first a
	 * multiple of 64, relative to the slot's base) were taken from the log: have the next
	 * write to each of them noted again, TLBs flushed on return.
	 */
	void (*log_again)(void *mmu, const struct memslot *slot, uint64_t first,
			  const uint64_t *bitmap, uint64_t nr_pages);
};

#endif
