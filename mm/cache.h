/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Caches of objects of one size, in slabs of one or a few pages (Bonwick, "The Slab Allocator",
 * 1994), and reserves: objects set aside before a lock is taken, so that work under the lock
 * cannot fail for lack of memory.
 */
#ifndef MM_CACHE_H
#define MM_CACHE_H

#include "lib/list.h"
#include "lib/spinlock.h"
#include "lib/types.h"
#include "mm/account.h"

struct obj_cache {
	const char *name;             /* const */
	struct page_account *account; /* const; whose pages the slabs are; NULL: the machine's */
	uint32_t size;                /* const; bytes between objects */
	uint32_t offset;      /* const; bytes from the start of a slab to its first object */
	uint32_t per_slab;    /* const */
	uint32_t order;       /* const; pages of a slab */
	struct spinlock lock; /* leaf, above the frames' lock */
	struct list partial;  /* lock; slabs with free objects and used ones */
	uint64_t nr_objects;  /* lock; allocated now */
	uint64_t nr_slabs;    /* lock */
};

#define OBJ_MAX_SIZE 16384u

/*
 * `size` in 1 ... OBJ_MAX_SIZE bytes; `align` a power of two, 8 ... 4096. With an account, slabs
 * are single pages that are charged to it, and an object and its header must fit one.
 */
void obj_cache_init(struct obj_cache *cache, const char *name, uint32_t size, uint32_t align,
		    struct page_account *account);

/* A cleared object; NULL: no memory. */
void *obj_alloc(struct obj_cache *cache);

/* Asserts that `obj` is an allocated object of this very cache. Empty slabs go back at once. */
void obj_free(struct obj_cache *cache, void *obj);

#define OBJ_RESERVE_MAX 40

/* Belongs to one vCPU or CPU: no lock of its own. */
struct obj_reserve {
	struct obj_cache *cache;      /* const; NULL: whole pages ... */
	struct page_account *account; /* const; ... that are charged to this account */
	unsigned nr;
	void *obj[OBJ_RESERVE_MAX];
};

/* Of objects of a cache; or of whole pages of an account. */
void obj_reserve_init(struct obj_reserve *r, struct obj_cache *cache);
void obj_reserve_init_pages(struct obj_reserve *r, struct page_account *account);

/*
 * Have at least `n` <= OBJ_RESERVE_MAX objects set aside. 0, or -ENOMEM (what was got stays in
 * the reserve). May take the locks of the cache, the account and the frames.
 */
int obj_reserve_topup(struct obj_reserve *r, unsigned n);

/* A cleared object, never NULL: asserts that the reserve is not empty. No lock. */
void *obj_reserve_alloc(struct obj_reserve *r);

/*
 * Put an object of obj_reserve_alloc() that was not used, and is cleared again, back into the
 * reserve. No lock.
 */
void obj_reserve_return(struct obj_reserve *r, void *obj);

/* Give back all that is set aside. */
void obj_reserve_drain(struct obj_reserve *r);

#endif
