/* SPDX-License-Identifier: BSD-2-Clause */
/* What the files of mm/shadow/ share among themselves. All functions: `s->lock` held. */
#ifndef MM_SHADOW_INTERNAL_H
#define MM_SHADOW_INTERNAL_H

#include "lib/panic.h"
#include "mm/frames.h"
#include "mm/host.h"
#include "mm/leaf.h"
#include "mm/shadow/role.h"
#include "mm/shadow/shadow.h"

/* --- sets of entries (sptes.c): of the reverse map, and of a page's parents --- */

/* No entry, one, or a chain of chunks; mostly one. */
struct sptes {
	uintptr_t word; /* 0; the entry; or the first chunk, with bit 0 set */
};

#define CHUNK_SPTES 6

struct spte_chunk {
	struct spte_chunk *next;
	unsigned nr; /* all chunks but the first are full */
	spte_t *e[CHUNK_SPTES];
};

/* `chunks` has one to spare. */
void sptes_add(struct sptes *set, spte_t *e, struct obj_reserve *chunks);
void sptes_remove(struct shadow *s, struct sptes *set, spte_t *e); /* it is there: asserted */
bool sptes_has(const struct sptes *set, const spte_t *e);

struct sptes_cursor {
	const struct spte_chunk *chunk;
	unsigned i;
};

/* The first entry, the next; NULL: no more. The set does not change meanwhile. */
spte_t *sptes_first(const struct sptes *set, struct sptes_cursor *c);
spte_t *sptes_next(struct sptes_cursor *c);

/* --- shadow pages (page.c) --- */

struct shadow_page {
	gfn_t gfn;              /* const; the guest's table; direct: the first frame that it maps */
	union shadow_role role; /* const but for `invalid` */
	bool is_unsync;         /* in s->unsync: the guest may write to its table unseen */
	uint8_t writes;         /* emulated ones since a fault last came this way */
	unsigned roots;         /* vCPUs that have it as a root */
	uint64_t generation;    /* const; obsolete if it is not s->generation */
	spte_t *table;          /* const; the owner's word of its frame leads back here */
	uint64_t *gpte;       /* const; the guest's entry from which each spte was made; 0: no spte.
				 Direct: NULL */
	struct sptes parents; /* entries that lead here */
	struct list hash;     /* by gfn */
	struct list active;   /* s->active; invalid: in no list; dead: s->dead */
	struct list unsync;
};

static inline struct shadow_page *shadow_page_at(const void *table)
{
	return frame_owner(va_to_pfn(table));
}

/* The page that a present table entry leads to. */
static inline struct shadow_page *shadow_child(uint64_t spte)
{
	return shadow_page_at(host_va(spte_address(spte)));
}

static inline unsigned shadow_index_of(const struct shadow_page *sp, const spte_t *e)
{
	return (unsigned)(e - sp->table);
}

/* Entries of all levels below a root, and the bits of leaves, are the same in all three formats. */
static inline const struct spte_format *shadow_fmt(const struct shadow *s)
{
	return &s->formats->root[0];
}

/* What identifies a page. */
struct shadow_key {
	gfn_t gfn;
	union shadow_role role;
};

/* The rule by which a page is used again, and there is no other. */
static inline bool shadow_page_is(const struct shadow *s, const struct shadow_page *sp,
				  const struct shadow_key *key)
{
	return sp->gfn.v == key->gfn.v && sp->role.word == key->role.word &&
	       sp->generation == s->generation;
}

/* Does it shadow the guest table `gfn`, for somebody who still uses it? */
static inline bool shadow_is_of_table(const struct shadow *s, const struct shadow_page *sp,
				      gfn_t gfn)
{
	return sp->gfn.v == gfn.v && !sp->role.direct && sp->generation == s->generation;
}

/* The frame that entry `i` of a page of level 1 maps: of the reverse map, added and removed by it.
 */
static inline gfn_t shadow_gfn(const struct shadow_page *sp, unsigned i)
{
	if (!sp->gpte) /* direct */
		return GFN(sp->gfn.v + i);
	return GFN((sp->gpte[i] & PTE_ADDR) >> PAGE_SHIFT); /* PSE-36 is of large pages alone */
}

/* The page with `key`, made if there is none; NULL: one must be made, and `sv` is NULL. */
struct shadow_page *shadow_get_page(struct shadow *s, struct shadow_vcpu *sv,
				    const struct shadow_key *key);

struct list *shadow_bucket(struct shadow *s, gfn_t gfn);

/* Lead from entry `i` of `parent`, which is empty, to `child`. `gpte`: from which this follows. */
void shadow_link(struct shadow *s, struct shadow_vcpu *sv, struct shadow_page *parent, unsigned i,
		 struct shadow_page *child, uint64_t gpte);

/* Empty entry `i`, whatever it is: a link, a leaf. A flush is due then, but not yet. */
void shadow_drop(struct shadow *s, struct shadow_page *sp, unsigned i);

/* Is `gfn` a guest table with shadow pages? */
bool shadow_is_table(struct shadow *s, gfn_t gfn);

/* --- the reverse map (rmap.c) --- */

/* Per slot; its watch is the slot's. */
struct shadow_slot {
	struct slot_watch watch;
	struct shadow *s;
	uint64_t nr_pages;
	struct sptes *rmap; /* by page of the slot: the leaves that map it */
};

static inline struct shadow_slot *shadow_slot_of(const struct memslot *slot)
{
	return container_of(slot->watch, struct shadow_slot, watch);
}

/* NULL: no slot there. */
struct sptes *rmap_of(struct shadow *s, gfn_t gfn);
void rmap_add(struct shadow *s, struct shadow_vcpu *sv, gfn_t gfn, spte_t *e);
void rmap_remove(struct shadow *s, gfn_t gfn, spte_t *e);

/* Clear these bits, which are rights or tell of writes, in all leaves of `gfn`. A flush is due
 * then. */
void rmap_clear(struct shadow *s, gfn_t gfn, uint64_t bits);

void rmap_drop(struct shadow *s, struct sptes *set);

/* --- synchronisation (sync.c) --- */

#define SHADOW_MAX_UNSYNC 32

/*
 * All writes to the guest table `gfn` are seen from here on: leaves write-protected, TLBs flushed,
 * and its pages synchronised.
 */
void shadow_protect_table(struct shadow *s, gfn_t gfn);

/* Drop what does not follow from the guest's table any more: of all entries, or of one. */
void shadow_sync_page(struct shadow *s, struct shadow_page *sp);
/* Did the guest's entry change, other than by getting its accessed or dirty bit? */
bool shadow_sync_entry(struct shadow *s, struct shadow_page *sp, unsigned i);

void shadow_sync_all(struct shadow *s);

/* The table in host memory; NULL: it is in a hole. */
const void *shadow_guest_table(struct shadow *s, const struct shadow_page *sp);

/* The guest's entry in that table behind entry `i` of the page. */
uint64_t shadow_load_gpte(const struct shadow_page *sp, const void *table, unsigned i);

/* Is every entry made of what the guest's table has now? */
bool shadow_is_current(struct shadow *s, const struct shadow_page *sp);

/*
 * May a leaf of `gfn` be writable? `write`: it is about to be written, so tables of level 1 stop
 * being synchronised.
 */
bool shadow_allow_write(struct shadow *s, gfn_t gfn, bool write);

void shadow_forget_unsync(struct shadow *s, struct shadow_page *sp);

/* --- removal (zap.c) --- */

void shadow_lock(struct shadow *s) __acquires(&s->lock);
/* Flushes and frees what became due, and asks for roots. */
void shadow_unlock(struct shadow *s) __releases(&s->lock);

/* Flush now if one is due. */
void shadow_flush(struct shadow *s);

/* Nothing leads to the page, and nothing of it is left but its memory, until shadow_unlock(). */
void shadow_zap(struct shadow *s, struct shadow_page *sp);

/* All pages of one guest table, and of all that are in [start, end). */
void shadow_zap_table(struct shadow *s, gfn_t gfn);
void shadow_zap_tables(struct shadow *s, gfn_t start, gfn_t end);

/* A vCPU does not have it as a root any more. */
void shadow_put_root(struct shadow *s, struct shadow_page *sp);

/* Reserves for a fault or a root, and room for its pages. False: there is none now. No lock. */
bool shadow_make_room(struct shadow_vcpu *sv);

/* The oldest pages, up to `nr`, that no vCPU has as a root. Returns how many. */
unsigned shadow_reclaim(struct shadow *s, unsigned nr);

/* --- writes of Umbra's own (write.c), slots (slot.c) --- */

void shadow_wrote(struct slot_watch *w, const struct memslot *slot, gpa_t gpa, uint64_t len);
extern const struct mmu_ops shadow_mmu_ops;

#endif
