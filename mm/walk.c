/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One loop serves all formats: what differs between them (number of levels, reserved bits, which
 * levels have large pages) was turned into masks by mm/paging.c; how an entry is read is a const
 * description, of which the compiler knows the common one. Each entry is read once, and all
 * decisions are taken on the value read. Rights are checked when the walk is complete, since
 * not-present and reserved-bit faults of lower levels come before them; accessed and dirty bits are
 * set after that, so that a walk that faults changes nothing.
 */
#include <errno.h>

#include "arch/x86/regs.h"
#include "mm/paging.h"
#include "mm/walk.h"

/* --- formats --- */

/* The bits that are in the same place in each format. */
#define ENTRY_BITS                                                                                 \
	.present = PTE_P, .write = PTE_RW, .user = PTE_US, .execute = PTE_NX, .inverted = PTE_NX,  \
	.accessed = PTE_A, .dirty = PTE_D, .large = PTE_PS

/* 32-bit paging: SDM volume 3, 4.3. There is no NX: its bit is never set. */
static const struct walk_entry narrow = {
	.shift = 2,
	.index_bits = 10,
	ENTRY_BITS,
	.high_base = GENMASK_ULL(20, 13),
};

/* PAE, 4 and 5 levels: 4.4 and 4.5. */
static const struct walk_entry wide = {
	.shift = 3,
	.index_bits = 9,
	ENTRY_BITS,
};

#define PAE_HIGH GENMASK_ULL(62, 52)
#define RSVD_2M  GENMASK_ULL(20, 13)
#define RSVD_1G  GENMASK_ULL(29, 13)

/* Reserved bits, of tables and of pages: SDM volume 3, tables 4-5 to 4-20. */
const struct walk_format walk_formats[WALK_MAX_LEVEL + 1] = {
	[2] = {.entry = &narrow,
	       .levels = 2,
	       .large_levels = BIT(2),
	       .address = GENMASK_ULL(31, 12)},
	[3] = {.entry = &wide,
	       .levels = 3,
	       .large_levels = BIT(2),
	       .address = PTE_ADDR,
	       .reserved = {[1] = {PAE_HIGH, PAE_HIGH}, [2] = {PAE_HIGH, PAE_HIGH | RSVD_2M}}},
	[4] = {.entry = &wide,
	       .levels = 4,
	       .large_levels = BIT(2) | BIT(3),
	       .address = PTE_ADDR,
	       .reserved = {[2] = {0, RSVD_2M}, [3] = {0, RSVD_1G}, [4] = {0, PTE_PS}}},
	[5] = {.entry = &wide,
	       .levels = 5,
	       .large_levels = BIT(2) | BIT(3),
	       .address = PTE_ADDR,
	       .reserved = {[2] = {0, RSVD_2M},
			    [3] = {0, RSVD_1G},
			    [4] = {0, PTE_PS},
			    [5] = {0, PTE_PS}}},
};

/* The rights that all entries give whose AND is `all`, with bits that forbid inverted. */
static inline unsigned rights_of(const struct walk_entry *e, uint64_t all)
{
	return (all & e->write ? RIGHT_WRITE : 0) | (all & e->user ? RIGHT_USER : 0) |
	       (all & e->execute ? RIGHT_EXECUTE : 0);
}

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

static inline uint64_t load_entry(const struct walk_entry *e, const void *at)
{
	return e->shift == 3 ? __atomic_load_n((const uint64_t *)at, __ATOMIC_RELAXED)
			     : __atomic_load_n((const uint32_t *)at, __ATOMIC_RELAXED);
}

/* False: the entry has changed since. */
static bool update_entry(const struct walk_entry *e, void *at, uint64_t old, uint64_t desired)
{
	uint32_t old32 = old;

	if (e->shift == 3)
		return __atomic_compare_exchange_n((uint64_t *)at, &old, desired, false,
						   __ATOMIC_RELAXED, __ATOMIC_RELAXED);
	return __atomic_compare_exchange_n((uint32_t *)at, &old32, desired, false, __ATOMIC_RELAXED,
					   __ATOMIC_RELAXED);
}

/*
 * Set bits where they are missing. False: the entry has changed since it was read, so nothing
 * that was concluded from it holds. Read-only memory is left as it is.
 */
static bool set_bits(struct slot_array *slots, const struct walk_entry *e, struct walk_step *step,
		     uint64_t set)
{
	const struct memslot *slot = usable_slot(slots, step->at);
	uint64_t marked = step->val | set;

	if (marked == step->val || !slot || slot->flags & SLOT_READONLY)
		return true;
	if (!update_entry(e, slot_va(slot, step->at), step->val, marked))
		return false;
	slot_wrote(slot, step->at, 1ull << e->shift);
	step->val = marked;
	return true;
}

static inline uint64_t bits_of_leaf(const struct walk_entry *e, unsigned kind)
{
	return kind & KIND_WRITE ? e->accessed | e->dirty : e->accessed;
}

static bool set_accessed(struct slot_array *slots, const struct walk_entry *e, unsigned kind,
			 struct walk_result *r)
{
	for (unsigned level = r->top; level > r->last; level--) {
		if (!set_bits(slots, e, &r->step[level], e->accessed))
			return false;
	}
	return set_bits(slots, e, &r->step[r->last], bits_of_leaf(e, kind));
}

/* After a walk that did not fault. */
static inline bool has_accessed(const struct walk_entry *e, unsigned kind,
				const struct walk_result *r)
{
	const struct walk_step *leaf = &r->step[r->last];

	return !(e->accessed & ~leaf->all) && !(bits_of_leaf(e, kind) & ~leaf->val);
}

/* --- the walk --- */

/* Bits 39:32 of a 4 MiB page's address (PSE-36) are elsewhere in its entry. */
static inline uint64_t page_base(const struct guest_paging *p, const struct walk_entry *e,
				 uint64_t leaf, unsigned page_shift)
{
	uint64_t base = leaf & p->addr_mask & (UINT64_MAX << page_shift);

	if (e->high_base && page_shift > PAGE_SHIFT)
		base |= FIELD_GET(e->high_base, leaf) << 32;
	return base;
}

/*
 * An entry with its PS bit set, or with some reserved bit. 0: a table, 1: a page, -1: a fault.
 * Level 1 has no PS bit; what is there is PAT.
 */
static int classify(const struct guest_paging *p, const struct walk_entry *e, uint64_t entry,
		    unsigned level)
{
	bool large = entry & e->large;

	if (entry & p->reserved[level][large])
		return -1;
	return large && p->large_levels & BIT(level);
}

static int fault_at(const struct guest_paging *p, unsigned kind, uint32_t cause, unsigned level,
		    struct walk_result *r)
{
	r->last = level;
	return fault(p, kind, cause, r);
}

/*
 * 0 or -EFAULT. `e` is that of p->format; in the expansion for wide entries the compiler knows what
 * it says.
 */
static __always_inline int walk(struct slot_array *slots, const struct guest_paging *p,
				const struct walk_entry *e, uint64_t gva, unsigned kind,
				struct walk_result *r)
{
	struct window window = {.size = 0};
	unsigned level = p->levels, shift;
	uint64_t entry = p->cr3, all = ~0ull;
	struct walk_step *step;

	if (unlikely(level == 3)) { /* PAE: the upper level is in registers */
		entry = p->pdpte[gva >> 30 & 3];
		level = entry & PTE_P ? 2 : 0;
	}
	r->top = level;
	if (unlikely(!level))
		return fault_at(p, kind, 0, 0, r);
	/* Of gva, to get the offset in a table. */
	shift = PAGE_SHIFT - e->shift + e->index_bits * (level - 1);
	for (step = &r->step[level];; level--, step--, shift -= e->index_bits) {
		uint64_t offset = gva >> shift & (PAGE_SIZE - 1) & (UINT64_MAX << e->shift);
		gpa_t at = GPA((entry & p->addr_mask) + offset);

		step->at = at;
		step->host = entry_at(&window, slots, at);
		step->val = entry = load_entry(e, step->host);
		step->all = all &= entry ^ e->inverted;
		if (!(entry & e->present))
			return fault_at(p, kind, 0, level, r);
		if (unlikely(entry & p->special[level])) {
			int large = classify(p, e, entry, level);

			if (large < 0)
				return fault_at(p, kind, PFERR_PRESENT | PFERR_RSVD, level, r);
			if (large)
				break;
		}
		if (level == 1)
			break;
	}
	shift += e->shift;
	r->last = level;
	r->gpa = GPA(page_base(p, e, entry, shift) | (gva & ~(UINT64_MAX << shift)));
	r->page_shift = shift;
	r->rights = rights_of(e, all);
	r->pkey = p->pke ? entry >> 59 & 15 : 0;
	return check_rights(p, kind, r->rights, r);
}

static int walk_without_paging(gva_t gva, struct walk_result *r)
{
	r->gpa = GPA((uint32_t)gva.v);
	r->page_shift = 32;
	r->rights = RIGHT_WRITE | RIGHT_USER | RIGHT_EXECUTE;
	r->pkey = r->top = r->last = 0;
	return 0;
}

#define MAX_LOST_RACES 16

/* Walk, set bits, and again when another CPU was faster. */
static __always_inline int walk_and_set(struct slot_array *slots, const struct guest_paging *p,
					const struct walk_entry *e, uint64_t gva, unsigned kind,
					struct walk_result *r)
{
	for (unsigned i = 0; i < MAX_LOST_RACES; i++) {
		int err = walk(slots, p, e, gva, kind, r);

		if (err || likely(has_accessed(e, kind, r)) || set_accessed(slots, e, kind, r))
			return err;
	}
	return -EAGAIN;
}

int guest_walk(struct guest_memory *mem, const struct guest_paging *p, gva_t gva, uint32_t access,
	       struct walk_result *r)
{
	if (unlikely(!p->format))
		return walk_without_paging(gva, r);
	if (likely(p->format->entry == &wide))
		return walk_and_set(slots_get(mem), p, &wide, gva.v, kind_of(access), r);
	return walk_and_set(slots_get(mem), p, p->format->entry, gva.v, kind_of(access), r);
}

int guest_walk_peek(struct guest_memory *mem, const struct guest_paging *p, gva_t gva,
		    uint32_t access, struct walk_result *r)
{
	if (!p->format)
		return walk_without_paging(gva, r);
	return walk(slots_get(mem), p, p->format->entry, gva.v, kind_of(access), r);
}

bool guest_walk_set_accessed(struct guest_memory *mem, const struct guest_paging *p,
			     uint32_t access, struct walk_result *r)
{
	if (!r->top || has_accessed(p->format->entry, kind_of(access), r))
		return true;
	return set_accessed(slots_get(mem), p->format->entry, kind_of(access), r);
}

bool guest_walk_is_current(const struct guest_paging *p, const struct walk_result *r)
{
	for (unsigned level = r->top; level && level >= r->last; level--) {
		if (load_entry(p->format->entry, r->step[level].host) != r->step[level].val)
			return false;
	}
	return true;
}

unsigned guest_walk_rights(const struct guest_paging *p, const struct walk_result *r,
			   unsigned level)
{
	return rights_of(p->format->entry, r->step[level].all);
}
