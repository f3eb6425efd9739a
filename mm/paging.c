/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The meaning of the control registers for the walk of a guest's page tables, computed once when
 * they change: levels, reserved bits, and which rights allow which kind of access.
 */
#include <errno.h>
#include <string.h>

#include "arch/x86/regs.h"
#include "mm/host.h"
#include "mm/paging.h"
#include "mm/walk.h"

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
	p->reserved[2][1] |= p->pse ? bits(21, 13 + min(p->maxphyaddr, 40) - 32) : 0;
}

/* PAE, SDM volume 3, 4.4; 4 and 5 levels, 4.5; bit 8 of upper entries: APM volume 2, 5.3.3. */
static void reserve_wide(struct guest_paging *p)
{
	uint64_t all = bits(51, p->maxphyaddr) | (p->nx ? 0 : PTE_NX);

	for (unsigned level = 1; level <= p->levels; level++) {
		p->reserved[level][0] |= all;
		p->reserved[level][1] |= all;
	}
	if (!p->has_1g_pages)
		p->reserved[3][1] |= PTE_PS;
	for (unsigned level = 4; level <= p->levels; level++)
		p->reserved[level][0] |= p->amd ? BIT_ULL(8) : 0;
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

static void update_format(struct guest_paging *p)
{
	const struct walk_format *f = &walk_formats[count_levels(p)];
	bool wide = f->levels > 2;

	p->format = f->levels ? f : NULL;
	p->levels = f->levels;
	p->nx = wide && (p->efer & EFER_NXE);
	p->pse = wide || (p->cr4 & CR4_PSE);
	p->pke = p->levels >= 4 && (p->cr4 & CR4_PKE);
	p->addr_mask = f->address & (wide ? bits(p->maxphyaddr - 1, 0) : ~0ull);
	p->large_levels = p->pse ? f->large_levels : 0;
	memcpy(p->reserved, f->reserved, sizeof(p->reserved));
	if (wide)
		reserve_wide(p);
	else
		reserve_legacy(p);
}

void guest_paging_update(struct guest_paging *p)
{
	update_format(p);
	for (unsigned level = 1; level <= WALK_MAX_LEVEL; level++)
		p->special[level] = p->reserved[level][0] | (level > 1 ? PTE_PS : 0);
	update_denied(p);
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
