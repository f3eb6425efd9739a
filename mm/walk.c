/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One loop serves all modes: what differs between them (number of levels, reserved bits, which
 * levels have large pages) was turned into masks by mm/paging.c; only the size of an entry makes
 * two instances of it. Each entry is read once, and all decisions are taken on the value read.
 * Rights are checked when the walk is complete, since not-present and reserved-bit faults of
 * lower levels come before them; accessed and dirty bits are set after that, so that a walk that
 * faults changes nothing.
 */
#include <errno.h>

#include "arch/x86/regs.h"
#include "mm/paging.h"
#include "mm/walk.h"

/* The entries that a walk went through, for setting their bits. Index: level. */
struct trail {
	struct {
		gpa_t at;
		uint64_t val;
	} step[WALK_MAX_LEVEL + 1];
	unsigned top, leaf; /* first and last level */
	uint64_t all;       /* AND over the entries, NX inverted */
	uint64_t leaf_val;
};

/* --- faults --- */

static inline unsigned kind_of(uint32_t access)
{
	unsigned kind = access >> 1 & (KIND_WRITE | KIND_USER);

	if (access & WALK_IMPLICIT)
		return (kind & KIND_WRITE) | KIND_SMAP;
	if (unlikely(access & PFERR_FETCH))
		return (kind & KIND_USER) | KIND_FETCH;
	return access & WALK_AC ? kind : kind | KIND_SMAP;
}

/* SDM volume 3, 4.7. `cause`: PFERR_PRESENT, _RSVD and _PK as they apply. */
static int fault(const struct guest_paging *p, unsigned kind, uint32_t cause, struct walk_result *r)
{
	r->error = cause;
	if (kind & KIND_WRITE)
		r->error |= PFERR_WRITE;
	if (kind & KIND_USER)
		r->error |= PFERR_USER;
	if (kind & KIND_FETCH && (p->nx || p->cr4 & CR4_SMEP))
		r->error |= PFERR_FETCH;
	return -EFAULT;
}

/* Protection keys stop data accesses to user pages only: SDM volume 3, 4.6.2. */
static bool is_denied_by_key(const struct guest_paging *p, unsigned kind,
			     const struct walk_result *r)
{
	unsigned pkru = p->pkru >> (2 * r->pkey);

	if (!p->pke || !(r->rights & RIGHT_USER) || kind & KIND_FETCH)
		return false;
	if (pkru & 1)
		return true;
	return kind & KIND_WRITE && pkru & 2 && (kind & KIND_USER || p->cr0 & CR0_WP);
}

static inline int check_rights(const struct guest_paging *p, unsigned kind, unsigned rights,
			       struct walk_result *r)
{
	uint32_t pk = is_denied_by_key(p, kind, r) ? PFERR_PK : 0;

	if (likely(!pk && !(p->denied[kind] & BIT(rights))))
		return 0;
	return fault(p, kind, PFERR_PRESENT | pk, r);
}

/* --- entries --- */

/* What a hole reads as. */
static const uint64_t all_ones = UINT64_MAX;

/*
 * The slot that the walk is in, unpacked: page tables seldom lie in two. Bytes, not frames. As
 * long as nothing was looked up, or there is a hole, it has no size.
 */
struct window {
	uint64_t base, size, origin;
	const uint64_t *chunk;
};

static const struct memslot *usable_slot(struct slot_array *slots, gpa_t gpa)
{
	const struct memslot *slot = slots_lookup(slots, gpa_to_gfn(gpa));

	return slot && !(slot->flags & SLOT_INVALID) ? slot : NULL;
}

/* False: nobody there. */
static inline bool open_window(struct window *w, struct slot_array *slots, gpa_t gpa)
{
	const struct memslot *slot = usable_slot(slots, gpa);

	if (unlikely(!slot))
		return false;
	w->base = slot->base.v << PAGE_SHIFT;
	w->size = slot->nr_pages << PAGE_SHIFT;
	w->origin = slot->origin << PAGE_SHIFT;
	w->chunk = slot->chunk;
	return true;
}

static inline const void *entry_at(struct window *w, struct slot_array *slots, gpa_t gpa)
{
	if (unlikely(gpa.v - w->base >= w->size) && !open_window(w, slots, gpa))
		return &all_ones;
	return chunk_va(w->chunk, gpa.v - w->origin);
}

static inline uint64_t load_entry(const void *at, bool wide)
{
	return wide ? __atomic_load_n((const uint64_t *)at, __ATOMIC_RELAXED)
		    : __atomic_load_n((const uint32_t *)at, __ATOMIC_RELAXED);
}

/* False: the entry has changed since. */
static bool update_entry(void *at, uint64_t old, uint64_t new, bool wide)
{
	uint32_t old32 = old;

	if (wide)
		return __atomic_compare_exchange_n((uint64_t *)at, &old, new, false,
						   __ATOMIC_RELAXED, __ATOMIC_RELAXED);
	return __atomic_compare_exchange_n((uint32_t *)at, &old32, new, false, __ATOMIC_RELAXED,
					   __ATOMIC_RELAXED);
}

/*
 * Set bits where they are missing. False: the entry has changed since it was read, so nothing
 * that was concluded from it holds. Read-only memory is left as it is.
 */
static bool set_bits(struct slot_array *slots, const struct trail *trail, unsigned level,
		     uint64_t set, bool wide)
{
	gpa_t at = trail->step[level].at;
	uint64_t old = trail->step[level].val;
	const struct memslot *slot = usable_slot(slots, at);

	if ((old & set) == set || !slot || slot->flags & SLOT_READONLY)
		return true;
	if (!update_entry(slot_va(slot, at), old, old | set, wide))
		return false;
	slot_mark_dirty(slot, gpa_to_gfn(at));
	return true;
}

static bool set_accessed_dirty(struct slot_array *slots, const struct trail *trail,
			       uint64_t leaf_bits, bool wide)
{
	for (unsigned level = trail->top; level > trail->leaf; level--) {
		if (!set_bits(slots, trail, level, PTE_A, wide))
			return false;
	}
	return set_bits(slots, trail, trail->leaf, leaf_bits, wide);
}

/* --- the walk --- */

/* Bits 39:32 of a 4 MiB page's address (PSE-36) are in bits 20:13 of its entry. */
static inline uint64_t page_base(const struct guest_paging *p, uint64_t leaf, unsigned page_shift,
				 bool wide)
{
	uint64_t base = leaf & p->addr_mask & (UINT64_MAX << page_shift);

	if (!wide && page_shift == 22)
		base |= FIELD_GET(GENMASK_ULL(20, 13), leaf) << 32;
	return base;
}

/*
 * An entry with its PS bit set, or with some reserved bit. 0: a table, 1: a page, -1: a fault.
 * Level 1 has no PS bit; what is there is PAT.
 */
static int classify(const struct guest_paging *p, uint64_t entry, unsigned level)
{
	bool large = entry & PTE_PS;

	if (entry & p->reserved[level][large])
		return -1;
	return large && p->large_levels & BIT(level);
}

/* 0 or -EFAULT. `wide`: entries of 8 bytes; a constant where this is expanded. */
static inline __attribute__((always_inline)) int walk(struct slot_array *slots,
						      const struct guest_paging *p, uint64_t gva,
						      unsigned kind, struct trail *trail,
						      struct walk_result *r, bool wide)
{
	const unsigned entry_shift = wide ? 3 : 2, index_bits = PAGE_SHIFT - entry_shift;
	struct window window = {.size = 0};
	unsigned level = p->levels, shift, rights;
	uint64_t entry = p->cr3, all = ~0ull;

	if (unlikely(level == 3)) { /* PAE: the upper level is in registers */
		entry = p->pdpte[gva >> 30 & 3];
		if (!(entry & PTE_P))
			return fault(p, kind, 0, r);
		level = 2;
	}
	trail->top = level;
	shift = PAGE_SHIFT + index_bits * (level - 1);
	for (;; level--, shift -= index_bits) {
		uint64_t offset = (gva >> shift << entry_shift) & (PAGE_SIZE - 1);
		gpa_t at = GPA((entry & p->addr_mask) + offset);
		int kind_of_entry = 0;

		entry = load_entry(entry_at(&window, slots, at), wide);
		trail->step[level].at = at;
		trail->step[level].val = entry;
		if (!(entry & PTE_P))
			return fault(p, kind, 0, r);
		if (unlikely(entry & p->special[level]))
			kind_of_entry = classify(p, entry, level);
		if (unlikely(kind_of_entry < 0))
			return fault(p, kind, PFERR_PRESENT | PFERR_RSVD, r);
		all &= entry ^ PTE_NX;
		if (level == 1 || kind_of_entry)
			break;
	}
	trail->leaf = level;
	trail->all = all;
	trail->leaf_val = entry;
	rights = (all >> 1 & (RIGHT_WRITE | RIGHT_USER)) | (all & PTE_NX ? RIGHT_EXECUTE : 0);
	*r = (struct walk_result){
		.gpa = GPA(page_base(p, entry, shift, wide) | (gva & ~(UINT64_MAX << shift))),
		.page_shift = shift,
		.rights = rights,
		.pkey = p->pke ? entry >> 59 & 15 : 0,
	};
	return check_rights(p, kind, rights, r);
}

static int walk_without_paging(gva_t gva, struct walk_result *r)
{
	*r = (struct walk_result){
		.gpa = GPA((uint32_t)gva.v),
		.page_shift = 32,
		.rights = RIGHT_WRITE | RIGHT_USER | RIGHT_EXECUTE,
	};
	return 0;
}

#define MAX_LOST_RACES 16

/* Walk, set bits, and again when another CPU was faster. */
static inline __attribute__((always_inline)) int walk_and_set(struct slot_array *slots,
							      const struct guest_paging *p,
							      uint64_t gva, unsigned kind,
							      struct walk_result *r, bool wide)
{
	struct trail trail;

	for (unsigned i = 0; i < MAX_LOST_RACES; i++) {
		uint64_t leaf_bits = kind & KIND_WRITE ? PTE_A | PTE_D : PTE_A;
		int err = walk(slots, p, gva, kind, &trail, r, wide);

		if (err || likely(trail.all & PTE_A && !(leaf_bits & ~trail.leaf_val)))
			return err;
		if (set_accessed_dirty(slots, &trail, leaf_bits, wide))
			return 0;
	}
	return -EAGAIN;
}

int guest_walk(struct guest_memory *mem, const struct guest_paging *p, gva_t gva, uint32_t access,
	       struct walk_result *r)
{
	if (likely(p->levels > 2))
		return walk_and_set(slots_get(mem), p, gva.v, kind_of(access), r, true);
	if (!p->levels)
		return walk_without_paging(gva, r);
	return walk_and_set(slots_get(mem), p, gva.v, kind_of(access), r, false);
}

int guest_walk_peek(struct guest_memory *mem, const struct guest_paging *p, gva_t gva,
		    uint32_t access, struct walk_result *r)
{
	struct trail trail;

	if (!p->levels)
		return walk_without_paging(gva, r);
	return p->levels > 2 ? walk(slots_get(mem), p, gva.v, kind_of(access), &trail, r, true)
			     : walk(slots_get(mem), p, gva.v, kind_of(access), &trail, r, false);
}
