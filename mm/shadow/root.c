/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a vCPU runs on. A guest in long mode has a root of as many levels as its own tables. All
 * others run on PAE paging: the four directories of a PAE guest; the four quarters of the directory
 * of a guest with 32-bit paging; or four that map each address to itself, without paging. The four
 * entries above them belong to the vCPU, and are filled only here.
 */
#include <errno.h>

#include "mm/shadow/internal.h"

/* Of the page at the top, by what the guest's registers say. */
static union shadow_role role_of(const struct guest_paging *p)
{
	bool wp = p->cr0 & CR0_WP;

	if (!p->levels)
		return (union shadow_role){
			.direct = 1, .level = 2, .access = LEAF_ALL, .cr0_wp = 1};
	return (union shadow_role){
		.level = p->levels > 3 ? p->levels : 2,
		.access = LEAF_ALL,
		.has_4_byte_gpte = p->levels == 2,
		.pse = p->levels == 2 && p->pse,
		.long_mode = p->levels > 3,
		.efer_nx = p->nx,
		.cr0_wp = wp,
		.smep_andnot_wp = !wp && (p->cr4 & CR4_SMEP),
		.smap_andnot_wp = !wp && (p->cr4 & CR4_SMAP),
	};
}

/* The page for part `i` of the root. False: there is nothing. */
static bool part_of(const struct guest_paging *p, unsigned i, struct shadow_key *key)
{
	uint64_t table = p->cr3;

	key->role = role_of(p);
	if (!p->levels) {
		key->gfn = GFN(i * spte_pages(3));
		return true;
	}
	if (p->levels == 2)
		key->role.quadrant = i & 3;
	if (p->levels == 3)
		table = p->pdpte[i];
	key->gfn = GFN((table & p->addr_mask) >> PAGE_SHIFT);
	return p->levels != 3 || (table & PTE_P);
}

static unsigned nr_parts(const struct guest_paging *p)
{
	return p->levels > 3 ? 1 : SHADOW_ROOT_PAGES;
}

static void leave(struct shadow *s, struct shadow_page *root[])
{
	for (unsigned i = 0; i < SHADOW_ROOT_PAGES; i++) {
		if (root[i])
			shadow_put_root(s, root[i]);
		root[i] = NULL;
	}
}

static void enter(struct shadow_vcpu *sv, const struct guest_paging *p)
{
	const struct spte_format *pae = shadow_format(sv->s->formats, 3);

	for (unsigned i = 0; i < SHADOW_ROOT_PAGES; i++) {
		struct shadow_key key;
		struct shadow_page *sp = NULL;

		if (i < nr_parts(p) && part_of(p, i, &key)) {
			sp = shadow_get_page(sv->s, sv, &key);
			sp->roots++;
		}
		sv->root[i] = sp;
		spte_store(&sv->pae[i], sp ? host_pa(sp->table).v | pae->root : 0);
	}
}

int shadow_load_root(struct shadow_vcpu *sv, const struct guest_paging *p, hpa_t *root,
		     unsigned *levels)
{
	struct shadow *s = sv->s;
	struct shadow_page *old[SHADOW_ROOT_PAGES];

	if (!shadow_make_room(sv))
		return -ENOMEM;
	shadow_lock(s);
	shadow_sync_all(s);
	for (unsigned i = 0; i < SHADOW_ROOT_PAGES; i++)
		old[i] = sv->root[i];
	enter(sv, p);
	leave(s, old);
	sv->generation = s->generation;
	sv->levels = p->levels > 3 ? p->levels : 3;
	*root = host_pa(p->levels > 3 ? sv->root[0]->table : sv->pae);
	*levels = sv->levels;
	shadow_unlock(s);
	return 0;
}

void shadow_vcpu_destroy(struct shadow_vcpu *sv)
{
	struct shadow *s = sv->s;

	shadow_lock(s);
	leave(s, sv->root);
	shadow_unlock(s);
	obj_reserve_drain(&sv->pages);
	obj_reserve_drain(&sv->descriptors);
	obj_reserve_drain(&sv->chunks);
	page_free(sv->pae);
	page_free(sv);
}
