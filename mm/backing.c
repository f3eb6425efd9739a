/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Where the frames of a slot come from, in the largest pieces there are, and how they are cleared
 * and given back, all in slices (mm/backing.h). What has been built are the chunks up to `built`,
 * and of the last run so many pages are still to be cleared; so whatever was built can be given
 * back.
 */
#include <errno.h>

#include "mm/backing.h"
#include "mm/frames.h"

#define GIG_CHUNKS BIT_ULL(ORDER_1G - ORDER_2M)

/* What a slice does: clear or find so many pages, give back so many runs or one table of pages. */
#define SLICE_PAGES  64u
#define SLICE_CHUNKS 64u

/* Where a slot lies in its chunks. */
struct layout {
	uint64_t first; /* page of chunk 0 where the slot begins: 0 ... 511 */
	uint64_t end;   /* page behind the last, counted from the start of chunk 0 */
	uint64_t nr_chunks;
};

static struct layout layout_of(const struct memslot *slot)
{
	struct layout l = {.first = slot->base.v - slot->origin};

	l.end = l.first + slot->nr_pages;
	l.nr_chunks = DIV_ROUND_UP(l.end, CHUNK_PAGES);
	return l;
}

/* The pages [*from, *to) of chunk i that belong to the slot. */
static void bounds(const struct layout *l, uint64_t i, unsigned *from, unsigned *to)
{
	uint64_t start = i * CHUNK_PAGES;

	*from = i == 0 ? l->first : 0;
	*to = min(l->end - start, (uint64_t)CHUNK_PAGES);
}

static bool is_whole(const struct layout *l, uint64_t i)
{
	unsigned from, to;

	bounds(l, i, &from, &to);
	return to - from == CHUNK_PAGES;
}

static void free_table(uint64_t *table)
{
	for (unsigned i = 0; i < CHUNK_PAGES; i++) {
		if (table[i])
			frames_free(PFN(table[i]), ORDER_4K);
	}
	page_free(table);
}

static void free_chunk(uint64_t chunk)
{
	if (chunk & CHUNK_RUN)
		frames_free(PFN(chunk >> PAGE_SHIFT), ORDER_2M);
	else if (chunk)
		free_table((uint64_t *)chunk);
}

/*
 * The last chunk is a table; its pages from `b->page` on. Frame 0 is never handed out, so a zero in
 * a table is a page that the slot does not have.
 */
static int fill_table(struct backing_build *b)
{
	uint64_t *table = (uint64_t *)b->chunk[b->built - 1];
	unsigned end = min(b->page + SLICE_PAGES, b->page_end);

	for (; b->page < end; b->page++) {
		void *page = page_zalloc();

		if (!page)
			return -ENOMEM;
		table[b->page] = va_to_pfn(page).v;
	}
	return 0;
}

static int add_table(struct backing_build *b, const struct layout *l)
{
	uint64_t *table = page_zalloc();

	if (!table)
		return -ENOMEM;
	bounds(l, b->built, &b->page, &b->page_end);
	b->chunk[b->built++] = (uintptr_t)table;
	return 0;
}

/* Chunks that are one run. False: there is none. */
static bool add_run(struct backing_build *b, unsigned order, uint64_t flags)
{
	uint64_t nr = BIT_ULL(order - ORDER_2M);
	pfn_t run;

	if (!frames_alloc(order, &run))
		return false;
	frames_split(run, order, ORDER_2M);
	for (uint64_t k = 0; k < nr; k++)
		b->chunk[b->built + k] = pfn_to_hpa(PFN(run.v + k * CHUNK_PAGES)).v | flags;
	b->built += nr;
	b->unclean = pfn_to_va(run);
	b->nr_unclean = BIT_ULL(order);
	return true;
}

/* Can the next chunks be 1 GiB in one piece? They are whole, and the first one is aligned to it. */
static bool may_be_gig(const struct backing_build *b, const struct layout *l, uint64_t origin)
{
	return IS_ALIGNED(origin + b->built * CHUNK_PAGES, BIT_ULL(ORDER_1G)) &&
	       b->built + GIG_CHUNKS <= l->nr_chunks && is_whole(l, b->built) &&
	       is_whole(l, b->built + GIG_CHUNKS - 1);
}

static int add_chunk(struct backing_build *b, const struct memslot *slot)
{
	struct layout l = layout_of(slot);

	if (may_be_gig(b, &l, slot->origin) && add_run(b, ORDER_1G, CHUNK_RUN | CHUNK_GIG))
		return 0;
	if (is_whole(&l, b->built) && add_run(b, ORDER_2M, CHUNK_RUN))
		return 0;
	return add_table(b, &l);
}

static void clear_some(struct backing_build *b)
{
	uint64_t nr = min(b->nr_unclean, (uint64_t)SLICE_PAGES);

	pages_clear(b->unclean, nr);
	b->unclean += nr * PAGE_SIZE;
	b->nr_unclean -= nr;
}

/* All memory of the machine is in order 0 ... MAX_ORDER: what needs more is not there. */
static int table_alloc(uint64_t bytes, void **table)
{
	unsigned order = order_of(bytes);
	pfn_t pfn;

	if (order > MAX_ORDER || !frames_alloc(order, &pfn))
		return -ENOMEM;
	*table = pfn_to_va(pfn);
	return 0;
}

static uint64_t nr_chunks(const struct memslot *slot)
{
	return layout_of(slot).nr_chunks;
}

static uint64_t chunk_bytes(const struct memslot *slot)
{
	return nr_chunks(slot) * sizeof(*slot->chunk);
}

static uint64_t dirty_bytes(const struct memslot *slot)
{
	return DIV_ROUND_UP(slot->nr_pages, 64) * sizeof(*slot->dirty);
}

int backing_begin(struct memslot *slot, struct backing_build *b)
{
	void *chunk, *dirty;

	*b = (struct backing_build){0};
	slot->origin = ALIGN_DOWN(slot->base.v, (uint64_t)CHUNK_PAGES);
	if (table_alloc(chunk_bytes(slot), &chunk))
		return -ENOMEM;
	if (table_alloc(dirty_bytes(slot), &dirty)) {
		pages_free(chunk, order_of(chunk_bytes(slot)));
		return -ENOMEM;
	}
	slot->chunk = b->chunk = chunk;
	slot->dirty = dirty;
	return 0;
}

int backing_build(const struct memslot *slot, struct backing_build *b)
{
	int r = 0;

	if (b->nr_unclean)
		clear_some(b);
	else if (b->page < b->page_end)
		r = fill_table(b);
	else if (b->built < nr_chunks(slot))
		r = add_chunk(b, slot);
	else
		return 0;
	return r ? r : 1;
}

uint64_t backing_chunks(const struct memslot *slot)
{
	return slot->chunk ? nr_chunks(slot) : 0;
}

bool backing_destroy(struct memslot *slot, uint64_t *built)
{
	unsigned budget = SLICE_CHUNKS;

	for (; *built && budget; --*built) {
		uint64_t chunk = slot->chunk[*built - 1];

		free_chunk(chunk);
		budget = chunk & CHUNK_RUN ? budget - 1 : 0; /* a table ends the slice */
	}
	if (*built)
		return false;
	if (slot->chunk) {
		pages_free((void *)slot->chunk, order_of(chunk_bytes(slot)));
		pages_free((void *)slot->dirty, order_of(dirty_bytes(slot)));
	}
	slot->chunk = NULL;
	slot->dirty = NULL;
	return true;
}
