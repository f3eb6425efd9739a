/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Roots: made when a vCPU asks for one, shared, made obsolete all at once, torn down in slices.
 *
 *	zap all (slots_lock)			vCPU
 *	tdp->root = NULL, root->invalid
 *	request RELOAD_ROOT, kick, wait		exits
 *	put the VM's own reference		sees the request before it enters again:
 *						get(): a new root; put(old); flush; enter
 *
 * A vCPU that took its reference just before the first line gets the request after it, and so does
 * not enter either. After the wait no hardware runs on the old root, and none will, so that all
 * that is removed later is removed from the current root only.
 *
 * The last put hands the root to a grace period: a fault handler on another CPU may still be
 * inside the tree. Then the tree is nobody's, and is torn down with plain stores. Its table pages
 * may be cached by hardware under the tags of vCPUs that ran on it; each of those flushed its tag
 * between its put and its next entry, and uses no such entry in between.
 */
#include <errno.h>

#include "ept/internal.h"

void *tdp_alloc_table(struct tdp *t)
{
	void *table = account_charge(t->account);

	if (table)
		tdp_count_table(t);
	return table;
}

void tdp_free_table(struct tdp *t, void *table)
{
	account_uncharge(t->account, table);
	tdp_uncount_table(t);
}

static void free_root(struct tdp_root *root)
{
	struct tdp *t = root->tdp;

	tdp_free_table(t, root->table);
	obj_free(&t->root_cache, root);
}

static struct tdp_root *new_root(struct tdp *t)
{
	struct tdp_root *root = obj_alloc(&t->root_cache);

	if (!root)
		return NULL;
	root->tdp = t;
	root->table = tdp_alloc_table(t);
	if (!root->table) {
		obj_free(&t->root_cache, root);
		return NULL;
	}
	root->hpa = host_pa(root->table);
	root->refs = 1; /* the VM's own */
	atomic_init(&root->invalid, false);
	atomic_init(&root->mmio_tables, 0);
	list_init(&root->link);
	return root;
}

/* The current root with a reference of the caller's; NULL: the account has no page for one. */
static struct tdp_root *get_root(struct tdp *t)
{
	struct tdp_root *root;

	spin_lock(&t->lock);
	if (!t->root)
		t->root = new_root(t);
	root = t->root;
	if (root)
		root->refs++;
	spin_unlock(&t->lock);
	return root;
}

/* No fault handler is inside the tree any more. */
static void root_unused(struct grace_head *head)
{
	struct tdp_root *root = container_of(head, struct tdp_root, grace);
	struct tdp *t = root->tdp;

	spin_lock(&t->lock);
	list_add_tail(&root->link, &t->dying);
	spin_unlock(&t->lock);
}

static void put_root(struct tdp_root *root)
{
	struct tdp *t = root->tdp;
	unsigned left;

	spin_lock(&t->lock);
	left = --root->refs;
	spin_unlock(&t->lock);
	if (left)
		return;
	HV_BUG_ON(!atomic_load_explicit(&root->invalid, memory_order_relaxed));
	atomic_fetch_add_explicit(&t->nr_dying, 1, memory_order_relaxed);
	grace_call(&root->grace, root_unused);
}

/* The next get_root() makes another one. Returns the old one with the VM's own reference. */
static struct tdp_root *detach_root(struct tdp *t)
{
	struct tdp_root *root;

	spin_lock(&t->lock);
	root = t->root;
	if (root)
		tdp_begin_removal(t); /* its pages come back when the tree has been torn down */
	t->root = NULL;
	if (root)
		atomic_store_explicit(&root->invalid, true, memory_order_relaxed);
	spin_unlock(&t->lock);
	return root;
}

void tdp_drop_root(struct tdp *t)
{
	struct tdp_root *root = detach_root(t);

	if (root)
		put_root(root);
}

spte_t *tdp_current_table(struct tdp *t)
{
	struct tdp_root *root;

	spin_lock(&t->lock);
	root = t->root;
	spin_unlock(&t->lock);
	return root ? root->table : NULL;
}

void tdp_zap_all(struct tdp *t)
{
	struct tdp_root *root;

	tdp_assert_locked(t);
	root = detach_root(t);
	if (!root)
		return;
	host_reload_roots(t->vm);
	put_root(root);
}

void tdp_leave_root(struct tdp_vcpu *tv)
{
	if (tv->root)
		put_root(tv->root);
	tv->root = NULL;
}

/*
 * What the vCPU leaves comes first: it may be the old tree that has all pages of the account, and
 * its last reference.
 */
int tdp_load_root(struct tdp_vcpu *tv, hpa_t *root)
{
	struct tdp *t = tv->tdp;
	uint64_t done = tdp_removals_done(t);

	tdp_leave_root(tv);
	tv->root = get_root(t);
	if (unlikely(!tv->root)) {
		tdp_zap_work(t);
		return tdp_is_page_due(t, done) ? -EAGAIN : -ENOMEM;
	}
	*root = tv->root->hpa;
	return 0;
}

/* --- the end of a tree --- */

/* Tables to free in one slice. */
#define TEARDOWN_SLICE 32u

/*
 * Free the tables below `table`, the deepest first; what is done is erased, so that the next slice
 * goes on behind it. False: the slice is used up.
 */
static bool teardown(struct tdp *t, spte_t *table, unsigned level, unsigned *budget)
{
	for (unsigned i = 0; level > 1 && i < SPTE_ENTRIES; i++) {
		uint64_t spte = atomic_load_explicit(&table[i], memory_order_relaxed);

		if (!spte_is_table(t->fmt, spte, level))
			continue;
		if (!*budget || !teardown(t, tdp_table(spte), level - 1, budget))
			return false;
		atomic_store_explicit(&table[i], 0, memory_order_relaxed);
		tdp_free_table(t, tdp_table(spte));
		--*budget;
	}
	return true;
}

/* A root of which this CPU alone tears down a slice. NULL: none. */
static struct tdp_root *take_dying(struct tdp *t)
{
	struct tdp_root *root = NULL;

	spin_lock(&t->lock);
	if (!list_empty(&t->dying)) {
		root = list_first(&t->dying, struct tdp_root, link);
		list_del(&root->link);
	}
	spin_unlock(&t->lock);
	return root;
}

bool tdp_zap_work_slow(struct tdp *t)
{
	unsigned budget = TEARDOWN_SLICE;
	struct tdp_root *root = take_dying(t);

	if (!root)
		return false;
	if (teardown(t, root->table, t->fmt->root_level, &budget)) {
		free_root(root);
		tdp_end_removal(t);
		/* Release: pairs with tdp_destroy_some(), after which `t` is freed. */
		atomic_fetch_sub_explicit(&t->nr_dying, 1, memory_order_release);
		return true;
	}
	spin_lock(&t->lock);
	list_add(&root->link, &t->dying);
	spin_unlock(&t->lock);
	return true;
}
