/* SPDX-License-Identifier: BSD-2-Clause */
/* The life of an engine and of the vCPUs' parts in it, how much memory it has, and statistics. */
#include "mm/shadow/shadow.h"

#include "mm/shadow/internal.h"

void shadow_formats_init(struct shadow_formats *f, unsigned phys_bits,
			 struct legacy_features features)
{
	for (unsigned levels = 3; levels <= 5; levels++)
		spte_format_legacy(&f->root[levels - 3], phys_bits, levels, features);
}

/* --- how much --- */

/* Shadow pages for so many frames of memory, so that address spaces that are in use have theirs. */
static uint64_t pages_for(uint64_t frames)
{
	return max((uint64_t)128, frames / 50);
}

/* What all parts of a vCPU's reserves can hold. */
#define RESERVED_PAGES (2 * OBJ_RESERVE_MAX)

/*
 * A shadow page has a table and a snapshot. The third is for descriptors and chunks; whoever finds
 * the account empty takes the oldest pages away, so it does not have to be enough for the worst.
 */
uint64_t shadow_account_pages(uint64_t frames, unsigned nr_vcpus)
{
	return 3 * pages_for(frames) + (uint64_t)nr_vcpus * RESERVED_PAGES;
}

/* --- life --- */

static void init(struct shadow *s)
{
	spin_init(&s->lock);
	list_init(&s->active);
	list_init(&s->unsync);
	list_init(&s->dead);
	for (unsigned i = 0; i < ARRAY_SIZE(s->hash); i++)
		list_init(&s->hash[i]);
	obj_cache_init(&s->page_cache, "shadow_page", sizeof(struct shadow_page), 8, s->account);
	obj_cache_init(&s->chunk_cache, "spte_chunk", sizeof(struct spte_chunk), 8, s->account);
}

struct shadow *shadow_create(struct guest_memory *mem, struct vm *vm,
			     const struct shadow_formats *formats, struct page_account *account,
			     uint64_t frames)
{
	struct shadow *s = pages_zalloc(order_of(sizeof(*s)));

	if (!s)
		return NULL;
	s->mem = mem;
	s->vm = vm;
	s->formats = formats;
	s->account = account;
	s->max_pages = pages_for(frames);
	init(s);
	if (!slots_set_mmu(mem, &shadow_mmu_ops, s))
		return s;
	pages_free(s, order_of(sizeof(*s)));
	return NULL;
}

#define DESTROY_SLICE 32u

bool shadow_destroy_some(struct shadow *s)
{
	bool more;

	shadow_lock(s);
	shadow_reclaim(s, DESTROY_SLICE);
	more = !list_empty(&s->active);
	shadow_unlock(s);
	if (more)
		return false;
	HV_BUG_ON(atomic_load_explicit(&s->nr_pages, memory_order_relaxed));
	HV_BUG_ON(s->page_cache.nr_objects || s->chunk_cache.nr_objects);
	slots_set_mmu(s->mem, NULL, NULL); /* frees the slots' parts */
	pages_free(s, order_of(sizeof(*s)));
	return true;
}

/* The four entries at the top of PAE tables are found by 32 bits of an address. */
static spte_t *new_pae_root(void)
{
	pfn_t pfn;
	spte_t *table;

	if (!frames_alloc_low(&pfn))
		return NULL;
	table = pfn_to_va(pfn);
	pages_clear(table, 1);
	return table;
}

struct shadow_vcpu *shadow_vcpu_create(struct shadow *s)
{
	struct shadow_vcpu *sv = page_zalloc();

	static_assert(sizeof(*sv) <= PAGE_SIZE, "it has a page to itself");
	if (!sv)
		return NULL;
	sv->pae = new_pae_root();
	if (!sv->pae) {
		page_free(sv);
		return NULL;
	}
	sv->s = s;
	obj_reserve_init_pages(&sv->pages, s->account);
	obj_reserve_init(&sv->descriptors, &s->page_cache);
	obj_reserve_init(&sv->chunks, &s->chunk_cache);
	return sv;
}

/* --- statistics --- */

void shadow_get_stats(struct shadow *s, struct mmu_stats *stats)
{
	shadow_lock(s);
	*stats = s->stats;
	shadow_unlock(s);
}
