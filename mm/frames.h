/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The machine's RAM in frames of 4 KiB and naturally aligned runs of 2^order frames: a binary
 * buddy system (Knowlton 1965; Knuth, TAOCP 2.5) with a small stack of single frames for each
 * CPU in front of it. The links of free blocks and the owner's word of used ones are kept outside
 * the frames. So the user of a frame has all of it, and a stray write into a free frame cannot
 * break the allocator.
 *
 * Locks: one leaf lock inside, taken by everything but the CPU's own stack. No NMI context.
 */
#ifndef MM_FRAMES_H
#define MM_FRAMES_H

#include "lib/types.h"
#include "mm/host.h"

/* Orders of the sizes that page tables can map. */
#define ORDER_4K  0
#define ORDER_2M  9
#define ORDER_1G  18
#define MAX_ORDER 18

/* A piece of the physical address space. A piece that wraps ends at the end of the space. */
struct mem_range {
	hpa_t base;
	uint64_t size; /* bytes */
};

/*
 * Take over the frames that lie wholly in some `usable` range and do not touch any `reserved`
 * range. Both lists may be in any order and overlap. Frame 0 is never used. The bookkeeping (9
 * bytes for each frame up to the highest one) is put into the lowest gap that has room, which must
 * be in the direct map. Usable memory is ignored when it lies so high that its bookkeeping would
 * cost more than 1/16 of all there is. Call once, on one CPU. 0, or -ENOMEM when no gap is
 * large enough.
 */
int frames_init(const struct mem_range *usable, size_t nr_usable, const struct mem_range *reserved,
		size_t nr_reserved);

/*
 * A run of 2^order frames, order <= MAX_ORDER, not cleared; above 4 GiB as long as there is one.
 * False: there is none.
 */
bool frames_alloc(unsigned order, pfn_t *out);

/*
 * One frame below 4 GiB, for what the CPU finds by 32 bits of an address: the root of PAE paging
 * (CR3: SDM volume 3, table 4-7). Not cleared; freed as others are. False: there is none
 * that is free, or in this CPU's stack.
 */
bool frames_alloc_low(pfn_t *out);

/* Give back a run as it was allocated or split: asserts both. */
void frames_free(pfn_t pfn, unsigned order);

/* Turn an allocated run of `order` into runs of `new_order`, each to be freed by itself. */
void frames_split(pfn_t pfn, unsigned order, unsigned new_order);

/* The same in virtual addresses of the direct map, cleared. NULL: there is none. */
void *pages_zalloc(unsigned order);
void pages_free(void *va, unsigned order);

static inline void *page_zalloc(void)
{
	return pages_zalloc(0);
}

static inline void page_free(void *va)
{
	pages_free(va, 0);
}

/* The smallest order whose run has `bytes` bytes; bytes in 1 ... 1 GiB. */
unsigned order_of(uint64_t bytes);

/* Clear whole pages. */
void pages_clear(void *va, uint64_t nr_pages);

/*
 * The owner's word of an allocated run (kept for its first frame): NULL until set. The way back
 * from the frame of a page table to its descriptor.
 */
void frame_set_owner(pfn_t pfn, void *owner);
void *frame_owner(pfn_t pfn);

struct frames_stats {
	uint64_t total;                 /* frames under management */
	uint64_t free;                  /* of these, in free blocks or in a CPU's stack */
	uint64_t free_low;              /* below 4 GiB and in free blocks */
	uint64_t metadata;              /* bytes of bookkeeping */
	uint64_t blocks[MAX_ORDER + 1]; /* free blocks by order */
};
void frames_stats(struct frames_stats *stats);

/*
 * Hand out the frames with the highest addresses first, and put the bookkeeping into the highest
 * gap, so that whatever cannot live up there is found. Off by default: each look for a frame goes
 * through all free blocks. Before frames_init().
 */
void frames_set_highest_first(bool on);

/* Fill freed runs with a pattern and check it at the next allocation. Off by default: slow. */
void frames_set_poison(bool on);

/* The same for who keeps free frames of its own (mm/account.h). They do nothing while it is off. */
void frames_poison(pfn_t pfn, unsigned order);
void frames_check_poison(pfn_t pfn, unsigned order);

/*
 * For tests: if not NULL, asked at every allocation of a run or of a cached object; true makes
 * that allocation fail.
 */
extern bool (*mm_inject_failure)(void);

#endif
