/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A guest's physical memory: slots, each a range of guest frames backed by frames that the VM
 * owns. There are two copies of the array of slots; one is published, the other is where the
 * next change is prepared. A reader loads the pointer and uses that copy until its CPU is next
 * quiescent (mm/grace.h), with no lock and no marker.
 *
 * The generation is part of each copy. A change is made in these steps, under slots_lock:
 *
 *	1. write the change into the copy that is not published; generation = g | IN_PROGRESS
 *	2. publish it
 *	3. wait for a grace period: nobody uses the old copy
 *	4. generation = g + 1
 *
 * A fact about slots that is cached elsewhere (as in MMIO entries) is stamped with the generation
 * of the copy that it was read from. A fact from the old copy has g: step 3 waits until no CPU can
 * make such a fact any more, and step 4 makes it stale. A fact that was read from the new copy
 * before step 4 is stamped g as well (the bit is never stored). It counts as stale while
 * IN_PROGRESS is set, and after step 4. So no fact is believed after the slots have changed.
 *
 * A slot that is deleted or moved is first published as SLOT_INVALID. When that has been drained,
 * the MMU engine drops its translations and flushes TLBs, and no handler can make new ones: they
 * see SLOT_INVALID and retry. Then the slot's entry is changed and that is drained too. Only after
 * this the frames are freed.
 */
#ifndef MM_SLOTS_H
#define MM_SLOTS_H

#include <stdatomic.h>

#include "lib/bits.h"
#include "lib/spinlock.h"
#include "lib/types.h"
#include "mm/host.h"
#include "mm/mmu.h"

#define SLOTS_MAX             64
#define SLOTS_GEN_IN_PROGRESS BIT_ULL(63)
#define SLOTS_MAX_GFN         BIT_ULL(40) /* guest-physical addresses end at 2^52 */

#define SLOT_READONLY  BIT(0) /* writes by the guest are not memory accesses: emulate them */
#define SLOT_DIRTY_LOG BIT(1) /* note each page that is written */
#define SLOT_INVALID   BIT(2) /* about to go away: retry; internal */

/* A chunk is the 2 MiB-aligned (when the slot was created) piece of guest memory. */
#define CHUNK_PAGES 512u
#define CHUNK_BYTES (CHUNK_PAGES * PAGE_SIZE)
#define CHUNK_RUN   BIT_ULL(0) /* one run of ORDER_2M, pfn in bits 63:12; else: table of 512 pfns */
#define CHUNK_GIG   BIT_ULL(1) /* and part of 1 GiB that is contiguous and aligned */

struct memslot;

/*
 * An MMU engine that shadows page tables in a slot must see the writes that Umbra itself makes
 * there. It sets the slot's `watch` (in slot_prepare()), whose function is called after each such
 * write, for at most one page at a time, on any CPU, inside the hypervisor. The caller may hold
 * any lock but slots_lock, such as a device lock; so the engine's own locks are below all these
 * (docs/locking.md).
 */
struct slot_watch {
	void (*wrote)(struct slot_watch *w, const struct memslot *slot, gpa_t gpa, uint64_t len);
};

struct memslot {
	gfn_t base;
	uint64_t nr_pages;
	uint32_t flags; /* SLOT_* */
	uint32_t id;
	uint64_t origin;          /* the gfn with which chunk[0] would begin; may be "negative" */
	const uint64_t *chunk;    /* constant while the slot exists */
	_Atomic uint64_t *dirty;  /* one bit for each page; means nothing unless SLOT_DIRTY_LOG */
	struct slot_watch *watch; /* the engine's (slot_prepare); NULL: it does not care */
} __aligned(64);

struct slot_array {
	_Atomic uint64_t generation;
	uint32_t nr;
	_Atomic uint32_t hint;          /* index of the slot found last */
	struct memslot slot[SLOTS_MAX]; /* sorted by base, no two overlap */
};

/* What a change of flags has still to do: the engine's entries of the pages from `at` on. */
struct slot_change {
	uint32_t flags; /* SLOT_*: these bits have changed; 0: all entries follow the slot */
	uint64_t at;    /* counted from the slot's base */
};

/* The frames of a slot that is being made (mm/backing.h). Its maker's. */
struct backing_build {
	uint64_t *chunk;
	uint64_t built;          /* chunks that are there */
	char *unclean;           /* pages of the last run that are still to be cleared */
	uint64_t nr_unclean;     /* so many */
	unsigned page, page_end; /* pages of the last table that are still to be found */
};

/* A slot that is being made. */
struct slot_build {
	struct memslot slot;
	struct backing_build backing;
};

struct guest_memory {
	_Atomic(struct slot_array *) slots;   /* published copy; written under `lock` */
	struct spinlock lock;                 /* slots_lock; taken by slots_lock() */
	const struct mmu_ops *ops;            /* `lock`; NULL: no engine */
	void *mmu;                            /* `lock` */
	struct slot_array copy[2];            /* the one not published: `lock` */
	struct slot_change change[SLOTS_MAX]; /* `lock`; by id */
	uint64_t left;                        /* slots_destroy(): chunks of the last slot */
};

void slots_init(struct guest_memory *mem);

/*
 * Free all slots. No vCPU of the VM runs any more and the engine is detached or gone. Bounded work:
 * false as long as there is more to do.
 */
bool slots_destroy_some(struct guest_memory *mem);

/* The same in one go. */
void slots_destroy(struct guest_memory *mem);

/* slots_lock: the caller's references to published structures die (grace_lock()). */
void slots_lock(struct guest_memory *mem) __acquires(&mem->lock);
void slots_unlock(struct guest_memory *mem) __releases(&mem->lock);

/*
 * Choose the engine that is told about changes. The new engine is called as if the existing slots
 * were created now. The old engine, if there is one, is called as if they were deleted, after its
 * translations are out of use. 0, or -ENOMEM, with the old engine still in place. Takes slots_lock.
 */
int slots_set_mmu(struct guest_memory *mem, const struct mmu_ops *ops, void *mmu);

/*
 * Changes. They may be made while vCPUs run, on any CPU, by a caller who holds no lock and no
 * reference into published structures. All or nothing.
 *
 * create: memory at [base, base + nr_pages), cleared. `id` < SLOTS_MAX is the caller's name for
 * it. -EEXIST: id taken, or an overlap; -EINVAL: empty, beyond SLOTS_MAX_GFN, unknown flags;
 * -ENOMEM. The rest: -ENOENT: no such slot; move: -EEXIST, -EINVAL, -ENOMEM as for create.
 * A ROM is created writable, filled, and then made SLOT_READONLY. All that a slot needs, its dirty
 * log too, it has from its creation on.
 */
int slots_create(struct guest_memory *mem, unsigned id, gfn_t base, uint64_t nr_pages,
		 uint32_t flags);
int slots_delete(struct guest_memory *mem, unsigned id);
int slots_move(struct guest_memory *mem, unsigned id, gfn_t base);
int slots_set_flags(struct guest_memory *mem, unsigned id, uint32_t flags);

/*
 * slots_create() in slices of bounded work, with nothing held between them: begin, and then build
 * until it does not return 1. Both: 0 or an error as above; after an error of slots_build(), and to
 * give up in between, slots_abandon() until it returns true.
 */
int slots_begin(struct guest_memory *mem, struct slot_build *b, unsigned id, gfn_t base,
		uint64_t nr_pages, uint32_t flags);
int slots_build(struct guest_memory *mem, struct slot_build *b);
bool slots_abandon(struct slot_build *b);

/*
 * slots_set_flags() in slices, each of them bounded work under slots_lock, and nothing held between
 * two of them: slots_change_flags() publishes the flags, so that what is mapped from then on
 * follows them; slots_settle() has a part of what was mapped before follow them too. It returns 1
 * as long as there is more to do, and 0 when there is not, because this or another caller did it.
 * -ENOENT: no such slot. A slot that moves, goes or changes its flags again between two slices is
 * settled as it is then.
 *
 * The log of a slot that has become SLOT_DIRTY_LOG has begun when it is settled: writes before that
 * may be missing in it or not. Of a page whose turn it is the bit in the log is cleared first, then
 * the next write to the page made to be noted; so a write that sets the bit, and is not noted any
 * more because it has, is never followed by the clearing.
 */
int slots_change_flags(struct guest_memory *mem, unsigned id, uint32_t flags);
int slots_settle(struct guest_memory *mem, unsigned id);

/* Pages of a slot that one slice goes over at most: 64 MiB. */
#define SLOTS_SLICE_PAGES BIT_ULL(14)

/*
 * Read and clear the dirty log of the pages [first, first + nr_pages) of a slot, 64-aligned
 * both (the last piece may end with the slot): bit i of `bitmap` is page first + i. The next write
 * to each page reported is noted again. A write that was over before this call (for a vCPU's
 * write: and all faults on its page) is reported by this call or was by an earlier one; any other
 * write is reported by this call or by a later one.
 * -ENOENT: no such slot, or not logged; -EAGAIN: the log has not begun; -EINVAL. As for changes: no
 * locks, no references.
 */
int slots_get_dirty(struct guest_memory *mem, unsigned id, uint64_t first, uint64_t nr_pages,
		    uint64_t *bitmap);

/*
 * Requests of the memory's owner to the engine, see struct mmu_ops: drop the translations of
 * [start, end), or all; tell which pages were accessed since the last call. Without an engine they
 * do nothing. As for changes: no locks, no references.
 */
void slots_unmap(struct guest_memory *mem, gfn_t start, gfn_t end);
void slots_zap_all(struct guest_memory *mem);
uint64_t slots_age(struct guest_memory *mem, gfn_t start, gfn_t end, uint64_t *young);

/* The rest is for readers: what they return is valid until this CPU is next quiescent. */

static inline struct slot_array *slots_get(struct guest_memory *mem)
{
	/* Acquire: pairs with the release in publish(). */
	return atomic_load_explicit(&mem->slots, memory_order_acquire);
}

static inline uint64_t slots_generation(struct guest_memory *mem)
{
	return atomic_load_explicit(&slots_get(mem)->generation, memory_order_relaxed);
}

/* The gfn behind the last of the slot. */
static inline gfn_t slot_end(const struct memslot *slot)
{
	return GFN(slot->base.v + slot->nr_pages);
}

static inline bool slot_has(const struct memslot *slot, gfn_t gfn)
{
	return gfn.v - slot->base.v < slot->nr_pages;
}

const struct memslot *slots_search(struct slot_array *slots, gfn_t gfn);

/* The slot that has `gfn`, in one given copy; NULL: no memory there. May be SLOT_INVALID. */
static inline const struct memslot *slots_lookup(struct slot_array *slots, gfn_t gfn)
{
	uint32_t i = atomic_load_explicit(&slots->hint, memory_order_relaxed);

	/* Entry 0 of an empty array has no pages, so no hint is ever out of bounds. */
	if (likely(slot_has(&slots->slot[i], gfn)))
		return &slots->slot[i];
	return slots_search(slots, gfn);
}

static inline const struct memslot *slots_find(struct guest_memory *mem, gfn_t gfn)
{
	return slots_lookup(slots_get(mem), gfn);
}

/* The frame behind `gfn`, which lies in `slot`. */
static inline pfn_t slot_pfn(const struct memslot *slot, gfn_t gfn)
{
	uint64_t i = gfn.v - slot->origin;
	uint64_t chunk = slot->chunk[i / CHUNK_PAGES];

	if (likely(chunk & CHUNK_RUN))
		return PFN((chunk >> PAGE_SHIFT) + i % CHUNK_PAGES);
	return PFN(((const uint64_t *)chunk)[i % CHUNK_PAGES]);
}

/* The byte at `offset`, counted from the start of the first chunk, in the direct map. */
static inline void *chunk_va(const uint64_t *chunks, uint64_t offset)
{
	uint64_t chunk = chunks[offset / CHUNK_BYTES];

	if (unlikely(!(chunk & CHUNK_RUN))) {
		const uint64_t *table = (const uint64_t *)chunk;

		chunk = table[offset / PAGE_SIZE % CHUNK_PAGES] << PAGE_SHIFT;
		offset %= PAGE_SIZE;
	}
	return host_va(HPA((chunk & PAGE_MASK) + offset % CHUNK_BYTES));
}

/* The byte at `gpa`, which lies in `slot`, in the direct map. */
static inline void *slot_va(const struct memslot *slot, gpa_t gpa)
{
	return chunk_va(slot->chunk, gpa.v - (slot->origin << PAGE_SHIFT));
}

/*
 * The largest page (1: 4K, 2: 2M, 3: 1G) that can map `gfn`. The aligned range of that page lies
 * inside the slot, and one run of frames with the same alignment backs it.
 */
unsigned slot_max_level(const struct memslot *slot, gfn_t gfn);

/* Note a write to `gfn`, after it was made. Does nothing without SLOT_DIRTY_LOG. Any CPU. */
void slot_set_dirty(const struct memslot *slot, gfn_t gfn);

static inline void slot_mark_dirty(const struct memslot *slot, gfn_t gfn)
{
	if (unlikely(slot->flags & SLOT_DIRTY_LOG))
		slot_set_dirty(slot, gfn);
}

/*
 * Umbra itself has written [gpa, gpa + len), which lies in one page of `slot`. Every such write is
 * reported here: of an emulated instruction, of a device model, and of the walker that sets
 * accessed and dirty bits. Locks: see struct slot_watch.
 */
static inline void slot_wrote(const struct memslot *slot, gpa_t gpa, uint64_t len)
{
	slot_mark_dirty(slot, gpa_to_gfn(gpa));
	if (unlikely(slot->watch))
		slot->watch->wrote(slot->watch, slot, gpa, len);
}

#endif
