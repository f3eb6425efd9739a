/* SPDX-License-Identifier: BSD-2-Clause */
/* Where the frames of a slot come from, in the largest pieces there are (mm/backing.h). */
#include <errno.h>

#include "mm/backing.h"
#include "mm/frames.h"

#define GIG_CHUNKS BIT_ULL(ORDER_1G - ORDER_2M)

/* A slot under construction or demolition, in units of chunks. */
struct layout {
	uint64_t first; /* page of chunk 0 where the slot begins: 0 ... 511 */
	uint64_t end;   /* page behind the last, counted from the start of chunk 0 */
	uint64_t nr_chunks;
	uint64_t *chunk;
};

static struct layout layout_of(const struct memslot *slot)
{
	struct layout l = {.first = slot->base.v - slot->origin, .chunk = (uint64_t *)slot->chunk};

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

/* Frame 0 is never handed out, so a zero in a table is a page that the slot does not have. */
static bool fill_table(uint64_t *table, unsigned from, unsigned to)
{
	for (unsigned i = from; i < to; i++) {
		void *page = page_zalloc();

		if (!page)
			return false;
		table[i] = va_to_pfn(page).v;
	}
	return true;
}

static bool alloc_table(struct layout *l, uint64_t i)
{
	unsigned from, to;
	uint64_t *table = page_zalloc();

	if (!table)
		return false;
	bounds(l, i, &from, &to);
	if (!fill_table(table, from, to)) {
		free_table(table);
		return false;
	}
	l->chunk[i] = (uintptr_t)table;
	return true;
}

static bool alloc_run(struct layout *l, uint64_t i)
{
	void *run;

	if (!is_whole(l, i))
		return false;
	run = pages_zalloc(ORDER_2M);
	if (run)
		l->chunk[i] = host_pa(run).v | CHUNK_RUN;
	return run;
}

/* Chunks i ... i + 511 in one piece, if they are whole and `gfn` of chunk i is 1 GiB-aligned. */
static bool alloc_gig(struct layout *l, uint64_t i, uint64_t gfn)
{
	hpa_t run;
	void *va;

	if (!IS_ALIGNED(gfn, BIT_ULL(ORDER_1G)) || i + GIG_CHUNKS > l->nr_chunks ||
	    !is_whole(l, i) || !is_whole(l, i + GIG_CHUNKS - 1))
		return false;
	va = pages_zalloc(ORDER_1G);
	if (!va)
		return false;
	run = host_pa(va);
	frames_split(hpa_to_pfn(run), ORDER_1G, ORDER_2M);
	for (uint64_t k = 0; k < GIG_CHUNKS; k++)
		l->chunk[i + k] = (run.v + (k << (ORDER_2M + PAGE_SHIFT))) | CHUNK_RUN | CHUNK_GIG;
	return true;
}

static bool fill(struct layout *l, uint64_t origin)
{
	for (uint64_t i = 0; i < l->nr_chunks;) {
		if (alloc_gig(l, i, origin + i * CHUNK_PAGES)) {
			i += GIG_CHUNKS;
			continue;
		}
		if (!alloc_run(l, i) && !alloc_table(l, i))
			return false;
		i++;
	}
	return true;
}

/* All memory of the machine is in order 0 ... MAX_ORDER: what needs more is not there. */
static void *table_alloc(uint64_t bytes)
{
	unsigned order = order_of(bytes);

	return order <= MAX_ORDER ? pages_zalloc(order) : NULL;
}

int backing_create(struct memslot *slot)
{
	struct layout l;

	slot->origin = ALIGN_DOWN(slot->base.v, (uint64_t)CHUNK_PAGES);
	slot->chunk = NULL;
	l = layout_of(slot);
	l.chunk = table_alloc(l.nr_chunks * sizeof(*l.chunk));
	if (!l.chunk)
		return -ENOMEM;
	slot->chunk = l.chunk;
	if (fill(&l, slot->origin))
		return 0;
	backing_destroy(slot);
	return -ENOMEM;
}

void backing_destroy(struct memslot *slot)
{
	struct layout l = layout_of(slot);

	for (uint64_t i = 0; i < l.nr_chunks; i++)
		free_chunk(l.chunk[i]);
	pages_free(l.chunk, order_of(l.nr_chunks * sizeof(*l.chunk)));
	slot->chunk = NULL;
}

static uint64_t dirty_log_bytes(const struct memslot *slot)
{
	return DIV_ROUND_UP(slot->nr_pages, 64) * sizeof(uint64_t);
}

int dirty_log_create(struct memslot *slot)
{
	slot->dirty = table_alloc(dirty_log_bytes(slot));
	return slot->dirty ? 0 : -ENOMEM;
}

void dirty_log_destroy(struct memslot *slot)
{
	pages_free((void *)slot->dirty, order_of(dirty_log_bytes(slot)));
	slot->dirty = NULL;
}
