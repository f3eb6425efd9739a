/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Slabs: a naturally aligned run of pages, a header at its start, objects behind it. The header
 * is found from an object by masking its address. Free objects are bits in the header, not links
 * in the objects: a stray write cannot break the cache, and a double free is found.
 */
#include <errno.h>
#include <string.h>

#include "lib/panic.h"
#include "mm/cache.h"
#include "mm/frames.h"

#define SLAB_MAX_ORDER   4
#define SLAB_MAX_OBJECTS 256

struct slab {
	struct list link;                     /* cache->lock; in cache->partial unless full */
	struct obj_cache *cache;              /* const */
	uint32_t nr_used;                     /* cache->lock */
	uint64_t used[SLAB_MAX_OBJECTS / 64]; /* cache->lock */
};

static uint32_t objects_in(const struct obj_cache *c, unsigned order)
{
	uint32_t n = ((PAGE_SIZE << order) - c->offset) / c->size;

	return min(n, (uint32_t)SLAB_MAX_OBJECTS);
}

/* The smallest slab that wastes no more than an eighth, if one does. */
static uint32_t choose_order(const struct obj_cache *c)
{
	unsigned order = 0;

	if (c->account)
		return 0;
	while (order < SLAB_MAX_ORDER &&
	       (uint64_t)objects_in(c, order) * c->size * 8 < (PAGE_SIZE << order) * 7 &&
	       objects_in(c, order) < SLAB_MAX_OBJECTS)
		order++;
	return order;
}

void obj_cache_init(struct obj_cache *cache, const char *name, uint32_t size, uint32_t align,
		    struct page_account *account)
{
	HV_BUG_ON(!size || size > OBJ_MAX_SIZE || align < 8 || align > PAGE_SIZE ||
		  (align & (align - 1)));
	cache->name = name;
	cache->account = account;
	cache->size = ALIGN_UP(size, align);
	cache->offset = ALIGN_UP((uint32_t)sizeof(struct slab), align);
	cache->order = choose_order(cache);
	cache->per_slab = objects_in(cache, cache->order);
	HV_BUG_ON(!cache->per_slab);
	cache->nr_objects = cache->nr_slabs = 0;
	spin_init(&cache->lock);
	list_init(&cache->partial);
}

/* With cache->lock held, as everything down to obj_alloc(). */
static struct slab *grow(struct obj_cache *c)
{
	struct slab *s = c->account ? account_charge(c->account) : pages_zalloc(c->order);

	if (!s)
		return NULL;
	s->cache = c;
	list_add(&s->link, &c->partial);
	c->nr_slabs++;
	return s;
}

static unsigned first_free(const struct slab *s)
{
	unsigned i = 0;

	while (!~s->used[i])
		i++;
	return i * 64 + __builtin_ctzll(~s->used[i]);
}

static void *take(struct obj_cache *c, struct slab *s)
{
	unsigned i = first_free(s);

	s->used[i / 64] |= BIT_ULL(i % 64);
	if (++s->nr_used == c->per_slab)
		list_del(&s->link);
	c->nr_objects++;
	return (char *)s + c->offset + i * c->size;
}

void *obj_alloc(struct obj_cache *cache)
{
	struct slab *s;
	void *obj = NULL;

	if (unlikely(mm_inject_failure && mm_inject_failure()))
		return NULL;
	spin_lock(&cache->lock);
	s = list_empty(&cache->partial) ? grow(cache)
					: list_first(&cache->partial, struct slab, link);
	if (s)
		obj = take(cache, s);
	spin_unlock(&cache->lock);
	return obj ? memset(obj, 0, cache->size) : NULL;
}

/* True: the slab is empty now and unlinked. */
static bool put(struct obj_cache *c, struct slab *s, unsigned i)
{
	HV_BUG_ON(!(s->used[i / 64] & BIT_ULL(i % 64)));
	s->used[i / 64] &= ~BIT_ULL(i % 64);
	c->nr_objects--;
	if (s->nr_used-- == c->per_slab)
		list_add(&s->link, &c->partial);
	if (s->nr_used)
		return false;
	list_del(&s->link);
	c->nr_slabs--;
	return true;
}

void obj_free(struct obj_cache *cache, void *obj)
{
	struct slab *s = (struct slab *)ALIGN_DOWN((uintptr_t)obj, PAGE_SIZE << cache->order);
	uint32_t at = (uintptr_t)obj - (uintptr_t)s - cache->offset;
	bool empty;

	HV_BUG_ON(s->cache != cache || at % cache->size || at / cache->size >= cache->per_slab);
	spin_lock(&cache->lock);
	empty = put(cache, s, at / cache->size);
	spin_unlock(&cache->lock);
	if (!empty)
		return;
	if (cache->account)
		account_uncharge(cache->account, s);
	else
		pages_free(s, cache->order);
}

/* --- reserves --- */

void obj_reserve_init(struct obj_reserve *r, struct obj_cache *cache)
{
	*r = (struct obj_reserve){.cache = cache};
}

void obj_reserve_init_pages(struct obj_reserve *r, struct page_account *account)
{
	*r = (struct obj_reserve){.account = account};
}

int obj_reserve_topup(struct obj_reserve *r, unsigned n)
{
	HV_BUG_ON(n > OBJ_RESERVE_MAX);
	while (r->nr < n) {
		void *obj = r->cache ? obj_alloc(r->cache) : account_charge(r->account);

		if (!obj)
			return -ENOMEM;
		r->obj[r->nr++] = obj;
	}
	return 0;
}

void *obj_reserve_alloc(struct obj_reserve *r)
{
	HV_BUG_ON(!r->nr);
	return r->obj[--r->nr];
}

void obj_reserve_return(struct obj_reserve *r, void *obj)
{
	HV_BUG_ON(r->nr == OBJ_RESERVE_MAX);
	r->obj[r->nr++] = obj;
}

void obj_reserve_drain(struct obj_reserve *r)
{
	while (r->nr) {
		void *obj = r->obj[--r->nr];

		if (r->cache)
			obj_free(r->cache, obj);
		else
			account_uncharge(r->account, obj);
	}
}
