/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A page fault of the shadow tables: the guest's own tables say whether it is the guest's, and if
 * it is not, the shadow tables are completed along the way that the walk took.
 *
 * The walk is made without the lock and may be outdated by the time that is taken. So before an
 * entry is made of what it read, the trail is compared with the guest's tables again: at a time
 * when the table's page is synchronised, and a later write is going to drop the entry, or unsync,
 * and a later flush is.
 */
#include <errno.h>

#include "mm/shadow/internal.h"

#define PREFETCH 16u /* leaves of an aligned group */

struct mapping {
	struct shadow *s;
	struct shadow_vcpu *sv;
	const struct guest_paging *p;
	const struct shadow_fault *f;
	const struct memslot *slot; /* of the page */
	const struct walk_result *walk;
};

/* What the guest's entry leaves of the rights of those above it. */
static unsigned rights_of(unsigned access, uint64_t gpte)
{
	if (!(gpte & PTE_RW))
		access &= ~LEAF_WRITE;
	if (!(gpte & PTE_US))
		access &= ~LEAF_USER;
	if (gpte & PTE_NX)
		access &= ~LEAF_EXECUTE;
	return access;
}

/* The same of a page: nothing is written to before the guest's entry says that it is dirty. */
static unsigned rights_of_page(unsigned access, uint64_t gpte)
{
	access = rights_of(access, gpte);
	return gpte & PTE_D ? access : access & ~LEAF_WRITE;
}

static unsigned index_of(gva_t gva, unsigned level)
{
	return spte_index(GFN(gva.v >> PAGE_SHIFT), level);
}

/* The page below `sp`: of the next guest table, or of a part of a guest page that is larger. */
static struct shadow_key child_of(const struct mapping *m, const struct shadow_page *sp)
{
	unsigned level = sp->role.level;
	uint64_t gpte = m->walk->step[level].val;
	struct shadow_key key = {.role = sp->role};

	key.role.level--;
	if (!sp->role.direct && m->walk->last < level) {
		key.gfn = GFN((gpte & m->p->addr_mask) >> PAGE_SHIFT);
		key.role.access = rights_of(sp->role.access, gpte);
		if (sp->role.has_4_byte_gpte)
			key.role.quadrant = m->f->gva.v >> 21 & 1;
		return key;
	}
	if (!sp->role.direct) {
		key.role.access = rights_of_page(sp->role.access, gpte);
		key.role.direct = 1;
		key.role.has_4_byte_gpte = key.role.quadrant = key.role.pse = 0;
	}
	key.gfn = GFN(ALIGN_DOWN(gpa_to_gfn(m->walk->gpa).v, spte_pages(level)));
	return key;
}

/* The page below entry `i` of `sp`, if it leads to the right one. */
static struct shadow_page *follow(const struct mapping *m, const struct shadow_page *sp, unsigned i,
				  const struct shadow_key *key)
{
	uint64_t spte = spte_load(&sp->table[i]);
	struct shadow_page *child;

	if (!spte_is_present(spte) || !spte_is_table(shadow_fmt(m->s), spte, sp->role.level))
		return NULL;
	child = shadow_child(spte);
	return shadow_page_is(m->s, child, key) ? child : NULL;
}

/* It leads somewhere else, and hardware must not go on there while another page takes its place. */
static void unlink_entry(struct shadow *s, struct shadow_page *sp, unsigned i)
{
	if (likely(!spte_load(&sp->table[i])))
		return;
	shadow_drop(s, sp, i);
	shadow_flush(s);
}

/* NULL: what the walk has read is not there any more. */
static struct shadow_page *step(const struct mapping *m, struct shadow_page *sp)
{
	unsigned i = index_of(m->f->gva, sp->role.level);
	struct shadow_key key = child_of(m, sp);
	struct shadow_page *child = follow(m, sp, i, &key);

	sp->writes = 0;
	if (likely(child))
		return child;
	unlink_entry(m->s, sp, i);
	child = shadow_get_page(m->s, m->sv, &key);
	if (!guest_walk_is_current(m->p, m->walk))
		return NULL;
	shadow_link(m->s, m->sv, sp, i, child, m->walk->step[sp->role.level].val);
	return child;
}

/*
 * Without CR0.WP the guest's supervisor writes to pages that are read-only to its user mode. The
 * hardware has WP set. So such a leaf has two states: for user mode, read-only; or, after a write
 * by the supervisor, writable and for the supervisor alone. Each turns into the other by a fault.
 */
static bool is_write_without_wp(const struct shadow_page *sp, uint32_t access, unsigned rights)
{
	return !sp->role.cr0_wp && (access & PFERR_WRITE) && !(access & PFERR_USER) &&
	       !(rights & LEAF_WRITE);
}

static unsigned without_wp(const struct shadow_page *sp, unsigned rights)
{
	if (sp->role.smep_andnot_wp)
		rights &= ~LEAF_EXECUTE; /* it was a user page */
	return (rights & ~LEAF_USER) | LEAF_WRITE;
}

/* The guest's entry behind entry `i` of a page of level 1, as far as the page keeps it. */
static void set_leaf(const struct mapping *m, struct shadow_page *sp, unsigned i, gfn_t gfn,
		     uint64_t gpte, uint64_t next)
{
	struct shadow *s = m->s;
	spte_t *e = &sp->table[i];
	uint64_t old = spte_load(e);

	if (spte_is_present(old) && shadow_gfn(sp, i).v != gfn.v)
		shadow_drop(s, sp, i);
	if (sp->gpte)
		sp->gpte[i] = gpte;
	old = spte_exchange(e, next);
	if (!spte_is_present(old))
		rmap_add(s, m->sv, gfn, e);
	else
		s->flush_due |= spte_flush_is_due(shadow_fmt(s), old, next);
}

static uint64_t leaf_for(const struct mapping *m, const struct memslot *slot, gfn_t gfn,
			 unsigned rights, bool write)
{
	return pfn_to_hpa(slot_pfn(slot, gfn)).v |
	       leaf_bits(shadow_fmt(m->s), slot, 1, rights, write);
}

/* A neighbour that the guest has used before. */
static void prefetch_one(const struct mapping *m, struct shadow_page *sp, unsigned i, gfn_t gfn,
			 uint64_t gpte, unsigned rights)
{
	const struct memslot *slot = slots_find(m->s->mem, gfn);

	if (!slot || (slot->flags & SLOT_INVALID))
		return;
	if ((rights & LEAF_WRITE) && !shadow_allow_write(m->s, gfn, false))
		rights &= ~LEAF_WRITE;
	set_leaf(m, sp, i, gfn, gpte, leaf_for(m, slot, gfn, rights, false));
	m->s->stats.prefetched++;
}

static void prefetch_direct(const struct mapping *m, struct shadow_page *sp, unsigned first)
{
	for (unsigned i = first; i < first + PREFETCH; i++) {
		if (!spte_load(&sp->table[i]))
			prefetch_one(m, sp, i, GFN(sp->gfn.v + i), 0, sp->role.access);
	}
}

static bool is_usable(const struct guest_paging *p, uint64_t gpte)
{
	return (gpte & PTE_P) && (gpte & PTE_A) && !(gpte & p->reserved[1][!!(gpte & PTE_PS)]);
}

static void prefetch_guest(const struct mapping *m, struct shadow_page *sp, unsigned first)
{
	const void *table = shadow_guest_table(m->s, sp);

	if (unlikely(!table))
		return;
	for (unsigned i = first; i < first + PREFETCH; i++) {
		uint64_t gpte;

		if (spte_load(&sp->table[i]))
			continue;
		gpte = shadow_load_gpte(sp, table, i);
		if (is_usable(m->p, gpte))
			prefetch_one(m, sp, i, GFN((gpte & m->p->addr_mask) >> PAGE_SHIFT), gpte,
				     rights_of_page(sp->role.access, gpte));
	}
}

static void prefetch(const struct mapping *m, struct shadow_page *sp, unsigned i)
{
	if (sp->role.direct)
		prefetch_direct(m, sp, ALIGN_DOWN(i, PREFETCH));
	else
		prefetch_guest(m, sp, ALIGN_DOWN(i, PREFETCH));
}

/* The leaf in `sp`, of level 1. */
static enum ret_pf map_leaf(const struct mapping *m, struct shadow_page *sp)
{
	struct shadow *s = m->s;
	gfn_t gfn = gpa_to_gfn(m->walk->gpa);
	unsigned i = index_of(m->f->gva, 1), rights = sp->role.access;
	uint64_t gpte = sp->role.direct ? 0 : m->walk->step[1].val;
	bool write = m->f->access & PFERR_WRITE;

	if (!sp->role.direct)
		rights = rights_of_page(rights, gpte);
	if (is_write_without_wp(sp, m->f->access, rights)) {
		if (sp->role.smap_andnot_wp)
			return RET_PF_EMULATE;
		rights = without_wp(sp, rights);
	}
	if ((rights & LEAF_WRITE) && !shadow_allow_write(s, gfn, write)) {
		if (write)
			return RET_PF_EMULATE;
		rights &= ~LEAF_WRITE;
	}
	if (!guest_walk_is_current(m->p, m->walk))
		return RET_PF_RETRY;
	set_leaf(m, sp, i, gfn, gpte,
		 leaf_for(m, m->slot, gfn, rights, write) | shadow_fmt(s)->accessed);
	if (write)
		slot_mark_dirty(m->slot, gfn);
	s->stats.mapped[0]++;
	prefetch(m, sp, i);
	return RET_PF_FIXED;
}

/* The page of the vCPU's root for the address; NULL: it has to ask for a root first. */
static struct shadow_page *root_for(const struct shadow_vcpu *sv, gva_t gva)
{
	struct shadow_page *sp = sv->root[sv->levels > 3 ? 0 : gva.v >> 30 & 3];

	return sv->generation == sv->s->generation && sp && !sp->role.invalid ? sp : NULL;
}

static enum ret_pf map(const struct mapping *m)
{
	struct shadow_page *sp = root_for(m->sv, m->f->gva);

	if (!sp || !guest_walk_is_current(m->p, m->walk))
		return RET_PF_RETRY;
	while (sp->role.level > 1) {
		sp = step(m, sp);
		if (!sp)
			return RET_PF_RETRY;
	}
	sp->writes = 0;
	return map_leaf(m, sp);
}

static enum ret_pf map_locked(struct shadow_vcpu *sv, const struct guest_paging *p,
			      const struct shadow_fault *f, const struct memslot *slot,
			      const struct walk_result *walk)
{
	struct mapping m = {sv->s, sv, p, f, slot, walk};
	enum ret_pf r;

	if (!shadow_make_room(sv))
		return RET_PF_INVALID;
	shadow_lock(sv->s);
	r = map(&m);
	shadow_unlock(sv->s);
	return r;
}

static enum ret_pf resolve(struct shadow_vcpu *sv, const struct guest_paging *p,
			   struct shadow_fault *f)
{
	const struct memslot *slot;
	struct walk_result walk;
	int r = guest_walk(sv->s->mem, p, f->gva, f->access, &walk);

	if (r) {
		f->error = walk.error;
		return r == -EFAULT ? RET_PF_GUEST : RET_PF_RETRY;
	}
	f->gpa = walk.gpa;
	slot = slots_find(sv->s->mem, gpa_to_gfn(walk.gpa));
	if (slot && (slot->flags & SLOT_INVALID))
		return RET_PF_RETRY;
	if (!slot || ((f->access & PFERR_WRITE) && (slot->flags & SLOT_READONLY)))
		return RET_PF_EMULATE;
	return map_locked(sv, p, f, slot, &walk);
}

enum ret_pf shadow_fault(struct shadow_vcpu *sv, const struct guest_paging *p,
			 struct shadow_fault *f)
{
	enum ret_pf r = resolve(sv, p, f);

	__atomic_fetch_add(&sv->s->stats.faults[r], 1, __ATOMIC_RELAXED);
	return r;
}

void shadow_invlpg(struct shadow_vcpu *sv, gva_t gva)
{
	struct shadow *s = sv->s;
	struct shadow_page *sp;

	shadow_lock(s);
	sp = root_for(sv, gva);
	while (sp && sp->role.level > 1) {
		uint64_t spte = spte_load(&sp->table[index_of(gva, sp->role.level)]);

		sp = spte_is_present(spte) ? shadow_child(spte) : NULL;
	}
	if (sp && sp->is_unsync)
		shadow_sync_entry(s, sp, index_of(gva, 1));
	shadow_unlock(s);
}
