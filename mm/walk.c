/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One loop serves all modes: what differs between them (number of levels, size of an entry,
 * reserved bits, which levels have large pages) was turned into masks by guest_paging_update().
 * Each entry is read once, and all decisions are taken on the value read. Rights are checked when
 * the walk is complete, since not-present and reserved-bit faults of lower levels come before
 * them; accessed and dirty bits are set after that, so that a walk that faults changes nothing.
 */
#include <errno.h>

#include "arch/x86/regs.h"
#include "mm/host.h"
#include "mm/walk.h"

/*
 * Rights of a page, as an index of 3 bits. The first two are bits 1 and 2 of the entries, ANDed
 * over the levels; NX is inverted first, so that it can be ANDed as well.
 */
#define RIGHT_WRITE   BIT(0)
#define RIGHT_USER    BIT(1)
#define RIGHT_EXECUTE BIT(2)
#define NR_RIGHTS     8u

/* Kind of an access, index of denied[]: the bits of the error code moved down, and SMAP's say. */
#define KIND_WRITE BIT(0)
#define KIND_USER  BIT(1)
#define KIND_FETCH BIT(2)
#define KIND_SMAP  BIT(3) /* supervisor data access that RFLAGS.AC does not exempt */
#define NR_KINDS   16u

/* The entries that a walk went through, for setting their bits. */
struct trail {
	struct {
		void *at;
		const struct memslot *slot;
		gfn_t gfn;
		uint64_t val;
	} step[WALK_MAX_LEVEL];
	unsigned nr;
	uint64_t all; /* AND over the entries, NX inverted */
};

/* --- what the control registers mean --- */

/* SDM volume 3, 4.6.1. */
static bool is_denied(const struct guest_paging *p, unsigned kind, unsigned rights)
{
	bool user_page = rights & RIGHT_USER, supervisor = !(kind & KIND_USER);

	if (!supervisor && !user_page)
		return true;
	if (kind & KIND_FETCH)
		return !(rights & RIGHT_EXECUTE) ||
		       (supervisor && user_page && (p->cr4 & CR4_SMEP));
	if (supervisor && user_page && (kind & KIND_SMAP) && (p->cr4 & CR4_SMAP))
		return true;
	if (!(kind & KIND_WRITE) || rights & RIGHT_WRITE)
		return false;
	return !supervisor || (p->cr0 & CR0_WP);
}

static void update_denied(struct guest_paging *p)
{
	for (unsigned kind = 0; kind < NR_KINDS; kind++) {
		p->denied[kind] = 0;
		for (unsigned rights = 0; rights < NR_RIGHTS; rights++)
			p->denied[kind] |= is_denied(p, kind, rights) ? BIT(rights) : 0;
	}
}

/* Bits from `low` up to and including `high`, none if they are the wrong way round. */
static uint64_t bits(unsigned high, unsigned low)
{
	return high >= low ? GENMASK_ULL(high, low) : 0;
}

/*
 * 32-bit paging, SDM volume 3, 4.3: only a 4 MiB page has any. With PSE-36 its bits 20:13 are
 * address bits 39:32, as many of them as the guest has.
 */
static void reserve_legacy(struct guest_paging *p)
{
	p->reserved[2][1] = p->pse ? bits(21, 13 + min(p->maxphyaddr, 40) - 32) : 0;
}

/* PAE, SDM volume 3, 4.4; 4 and 5 levels, 4.5; bit 8 of upper entries: APM volume 2, 5.3.3. */
static void reserve_wide(struct guest_paging *p)
{
	uint64_t all = bits(51, p->maxphyaddr) | (p->nx ? 0 : PTE_NX);

	if (p->levels == 3)
		all |= bits(62, 52);
	for (unsigned level = 1; level <= p->levels; level++)
		p->reserved[level][0] = p->reserved[level][1] = all;
	p->reserved[2][1] |= bits(20, 13);
	p->reserved[3][1] |= p->has_1g_pages ? bits(29, 13) : PTE_PS;
	for (unsigned level = 4; level <= p->levels; level++) {
		p->reserved[level][0] |= p->amd ? BIT_ULL(8) : 0;
		p->reserved[level][1] |= PTE_PS;
	}
}

static unsigned count_levels(const struct guest_paging *p)
{
	if (!(p->cr0 & CR0_PG))
		return 0;
	if (!(p->cr4 & CR4_PAE))
		return 2;
	if (!(p->efer & EFER_LMA))
		return 3;
	return p->cr4 & CR4_LA57 ? 5 : 4;
}

void guest_paging_update(struct guest_paging *p)
{
	bool wide;

	p->levels = count_levels(p);
	wide = p->levels > 2;
	p->entry_shift = wide ? 3 : 2;
	p->index_bits = wide ? 9 : 10;
	p->nx = wide && (p->efer & EFER_NXE);
	p->pse = wide || (p->cr4 & CR4_PSE);
	p->pke = p->levels >= 4 && (p->cr4 & CR4_PKE);
	p->addr_mask = wide ? bits(p->maxphyaddr - 1, PAGE_SHIFT) : bits(31, PAGE_SHIFT);
	p->large_levels = (p->pse ? BIT(2) : 0) | (p->levels >= 4 ? BIT(3) : 0);
	for (unsigned level = 0; level <= WALK_MAX_LEVEL; level++)
		p->reserved[level][0] = p->reserved[level][1] = 0;
	if (wide)
		reserve_wide(p);
	else
		reserve_legacy(p);
	update_denied(p);
}

bool guest_is_canonical(const struct guest_paging *p, gva_t gva)
{
	unsigned unused = p->levels == 5 ? 7 : 16;

	if (!(p->efer & EFER_LMA))
		return true;
	return (uint64_t)((int64_t)(gva.v << unused) >> unused) == gva.v;
}

int guest_paging_load_pdptes(struct guest_memory *mem, struct guest_paging *p)
{
	uint64_t reserved = bits(63, p->maxphyaddr) | bits(8, 5) | bits(2, 1);
	struct slot_array *slots = slots_get(mem);
	gpa_t table = GPA(p->cr3 & bits(31, 5));
	const struct memslot *slot = slots_lookup(slots, gpa_to_gfn(table));
	uint64_t val[4] = {UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX};

	if (slot && !(slot->flags & SLOT_INVALID)) {
		const uint64_t *at = pfn_to_va(slot_pfn(slot, gpa_to_gfn(table)));

		for (unsigned i = 0; i < 4; i++)
			val[i] =
				__atomic_load_n(&at[table.v % PAGE_SIZE / 8 + i], __ATOMIC_RELAXED);
	}
	for (unsigned i = 0; i < 4; i++) {
		if (val[i] & PTE_P && val[i] & reserved)
			return -EINVAL;
	}
	for (unsigned i = 0; i < 4; i++)
		p->pdpte[i] = val[i];
	return 0;
}

/* --- faults --- */

static unsigned kind_of(uint32_t access)
{
	bool user = (access & (PFERR_USER | WALK_IMPLICIT)) == PFERR_USER;
	unsigned kind = access & PFERR_WRITE ? KIND_WRITE : 0;

	if (access & PFERR_FETCH)
		kind = KIND_FETCH;
	if (user)
		return kind | KIND_USER;
	return (access & (WALK_IMPLICIT | WALK_AC)) == WALK_AC ? kind : kind | KIND_SMAP;
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

	if (!p->pke || !r->user || kind & KIND_FETCH)
		return false;
	if (pkru & 1)
		return true;
	return kind & KIND_WRITE && pkru & 2 && (kind & KIND_USER || p->cr0 & CR0_WP);
}

static int check_rights(const struct guest_paging *p, unsigned kind, unsigned rights,
			struct walk_result *r)
{
	uint32_t pk = is_denied_by_key(p, kind, r) ? PFERR_PK : 0;

	if (likely(!pk && !(p->denied[kind] & BIT(rights))))
		return 0;
	return fault(p, kind, PFERR_PRESENT | pk, r);
}

/* --- entries --- */

static uint64_t load_entry(const struct guest_paging *p, const void *at)
{
	if (likely(p->entry_shift == 3))
		return __atomic_load_n((const uint64_t *)at, __ATOMIC_RELAXED);
	return __atomic_load_n((const uint32_t *)at, __ATOMIC_RELAXED);
}

/* False: the entry has changed since. */
static bool update_entry(const struct guest_paging *p, void *at, uint64_t old, uint64_t new)
{
	uint32_t old32 = old;

	if (p->entry_shift == 3)
		return __atomic_compare_exchange_n((uint64_t *)at, &old, new, false,
						   __ATOMIC_RELAXED, __ATOMIC_RELAXED);
	return __atomic_compare_exchange_n((uint32_t *)at, &old32, new, false, __ATOMIC_RELAXED,
					   __ATOMIC_RELAXED);
}

/* Read the entry at `gpa` and note where it is. Nobody there: all ones, and no place. */
static uint64_t read_entry(struct slot_array *slots, const struct guest_paging *p, uint64_t gpa,
			   struct trail *trail)
{
	unsigned i = trail->nr++;
	gfn_t gfn = GFN(gpa >> PAGE_SHIFT);
	const struct memslot *slot = slots_lookup(slots, gfn);

	trail->step[i].slot = slot;
	trail->step[i].gfn = gfn;
	if (unlikely(!slot || slot->flags & SLOT_INVALID)) {
		trail->step[i].slot = NULL;
		return trail->step[i].val = p->entry_shift == 3 ? UINT64_MAX : UINT32_MAX;
	}
	trail->step[i].at = (char *)pfn_to_va(slot_pfn(slot, gfn)) + gpa % PAGE_SIZE;
	return trail->step[i].val = load_entry(p, trail->step[i].at);
}

/*
 * Set `bits` where they are missing. False: an entry has changed since it was read, so nothing
 * that was concluded from it holds. Read-only memory is left as it is.
 */
static bool set_bits(const struct guest_paging *p, const struct trail *trail, unsigned i,
		     uint64_t set)
{
	const struct memslot *slot = trail->step[i].slot;
	uint64_t old = trail->step[i].val;

	if ((old & set) == set || !slot || slot->flags & SLOT_READONLY)
		return true;
	if (!update_entry(p, trail->step[i].at, old, old | set))
		return false;
	slot_mark_dirty(slot, trail->step[i].gfn);
	return true;
}

static bool set_accessed_dirty(const struct guest_paging *p, const struct trail *trail,
			       unsigned kind)
{
	uint64_t leaf = trail->step[trail->nr - 1].val;

	if (likely(trail->all & PTE_A && (!(kind & KIND_WRITE) || leaf & PTE_D)))
		return true;
	for (unsigned i = 0; i + 1 < trail->nr; i++) {
		if (!set_bits(p, trail, i, PTE_A))
			return false;
	}
	return set_bits(p, trail, trail->nr - 1, kind & KIND_WRITE ? PTE_A | PTE_D : PTE_A);
}

/* --- the walk --- */

/* Where a walk begins: level and table. False: the PAE pointer is not present. */
static bool start(const struct guest_paging *p, uint64_t gva, unsigned *level, uint64_t *table)
{
	uint64_t root = p->cr3;

	*level = p->levels;
	if (unlikely(p->levels == 3)) {
		root = p->pdpte[gva >> 30 & 3];
		*level = 2;
		if (!(root & PTE_P))
			return false;
	}
	*table = root & p->addr_mask;
	return true;
}

/* Bits 39:32 of a 4 MiB page's address (PSE-36) are in bits 20:13 of its entry. */
static uint64_t page_base(const struct guest_paging *p, uint64_t leaf, unsigned page_shift)
{
	uint64_t base = leaf & p->addr_mask & ~(BIT_ULL(page_shift) - 1);

	if (unlikely(p->levels == 2 && page_shift == 22))
		base |= FIELD_GET(GENMASK_ULL(20, 13), leaf) << 32;
	return base;
}

static void fill_result(const struct guest_paging *p, uint64_t gva, uint64_t leaf, unsigned level,
			unsigned rights, struct walk_result *r)
{
	unsigned shift = PAGE_SHIFT + p->index_bits * (level - 1);

	r->gpa = GPA(page_base(p, leaf, shift) | (gva & (BIT_ULL(shift) - 1)));
	r->error = 0;
	r->page_shift = shift;
	r->writable = rights & RIGHT_WRITE;
	r->user = rights & RIGHT_USER;
	r->executable = rights & RIGHT_EXECUTE;
	r->pkey = p->pke ? leaf >> 59 & 15 : 0;
}

/* 0 or -EFAULT. `trail` has the entries used. */
static int walk(struct slot_array *slots, const struct guest_paging *p, uint64_t gva, unsigned kind,
		struct trail *trail, struct walk_result *r)
{
	uint64_t table, entry, all = ~0ull;
	unsigned level, rights;
	bool large;

	trail->nr = 0;
	if (!start(p, gva, &level, &table))
		return fault(p, kind, 0, r);
	for (;; level--) {
		unsigned shift = PAGE_SHIFT + p->index_bits * (level - 1);
		uint64_t index = gva >> shift & (BIT_ULL(p->index_bits) - 1);

		entry = read_entry(slots, p, table + (index << p->entry_shift), trail);
		if (!(entry & PTE_P))
			return fault(p, kind, 0, r);
		large = entry & PTE_PS;
		if (unlikely(entry & p->reserved[level][large]))
			return fault(p, kind, PFERR_PRESENT | PFERR_RSVD, r);
		all &= entry ^ PTE_NX;
		if (level == 1 || (large && p->large_levels & BIT(level)))
			break;
		table = entry & p->addr_mask;
	}
	trail->all = all;
	rights = (all >> 1 & (RIGHT_WRITE | RIGHT_USER)) | (all & PTE_NX ? RIGHT_EXECUTE : 0);
	fill_result(p, gva, entry, level, rights, r);
	return check_rights(p, kind, rights, r);
}

static int walk_without_paging(gva_t gva, struct walk_result *r)
{
	*r = (struct walk_result){
		.gpa = GPA((uint32_t)gva.v),
		.page_shift = 32,
		.writable = true,
		.user = true,
		.executable = true,
	};
	return 0;
}

#define MAX_LOST_RACES 16

int guest_walk(struct guest_memory *mem, const struct guest_paging *p, gva_t gva, uint32_t access,
	       struct walk_result *r)
{
	struct slot_array *slots = slots_get(mem);
	unsigned kind = kind_of(access);
	struct trail trail;

	if (!p->levels)
		return walk_without_paging(gva, r);
	for (unsigned i = 0; i < MAX_LOST_RACES; i++) {
		int err = walk(slots, p, gva.v, kind, &trail, r);

		if (err || likely(set_accessed_dirty(p, &trail, kind)))
			return err;
	}
	return -EAGAIN;
}

int guest_walk_peek(struct guest_memory *mem, const struct guest_paging *p, gva_t gva,
		    uint32_t access, struct walk_result *r)
{
	struct trail trail;

	if (!p->levels)
		return walk_without_paging(gva, r);
	return walk(slots_get(mem), p, gva.v, kind_of(access), &trail, r);
}
