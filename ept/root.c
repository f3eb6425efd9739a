/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Roots: made when a vCPU asks for one, shared, made obsolete all at once, torn down in slices.
 *
 *	zap all (slots_lock)			vCPU
 *	root->invalid = true
 *	tdp->root = NULL			still runs on the old root
 *	request RELOAD_ROOT, kick
 *	put the VM's own reference		exits; put(old); get(): a new root
 *
 * The last put hands the root to a grace period: a fault handler on another CPU may still be
 * inside the tree. No hardware is: a vCPU puts its reference outside guest mode, and enters again
 * only with another root and a new TLB tag.
 */
#include "ept/internal.h"

#include "lib/panic.h"

void *tdp_alloc_table(struct tdp *t)
{
	void *table = page_alloc();

	if (table)
		tdp_count(&t->stats.tables, 1);
	return table;
}

void tdp_free_table(struct tdp *t, void *table)
{
	page_free(table);
	tdp_count(&t->stats.tables, -1ull);
}

static struct tdp_root *new_root(struct tdp *t)
{
	struct tdp_root *root = obj_alloc(&t->root_cache);

	if (!root)
		return NULL;
	root->table = tdp_alloc_table(t);
	if (!root->table) {
		obj_free(&t->root_cache, root);
		return NULL;
	}
	root->tdp = t;
	root->hpa = host_pa(root->table);
	atomic_init(&root->refs, 1); /* the VM's own */
	atomic_init(&root->invalid, false);
	return root;
}

/* t->lock held. */
static struct tdp_root *get_or_make(struct tdp *t)
{
	struct tdp_root *root = atomic_load_explicit(&t->root, memory_order_relaxed);

	if (!root) {
		root = new_root(t);
		if (!root)
			return NULL;
		list_add(&root->link, &t->roots);
		atomic_store_explicit(&t->root, root, memory_order_release);
	}
	/* The VM's reference cannot go away under the lock, so the count is not 0. */
	atomic_fetch_add(&root->refs, 1);
	return root;
}

struct tdp_root *tdp_get_root(struct tdp *t)
{
	struct tdp_root *root;

	spin_lock(&t->lock);
	root = get_or_make(t);
	spin_unlock(&t->lock);
	return root;
}

/* No fault handler is inside the tree any more. */
static void root_unused(struct grace_head *head)
{
	struct tdp_root *root = container_of(head, struct tdp_root, grace);
	struct tdp *t = root->tdp;

	spin_lock(&t->lock);
	list_del(&root->link);
	list_add_tail(&root->link, &t->dying);
	spin_unlock(&t->lock);
}

void tdp_put_root(struct tdp_root *root)
{
	if (atomic_fetch_sub(&root->refs, 1) > 1)
		return;
	HV_BUG_ON(!atomic_load(&root->invalid));
	atomic_fetch_add(&root->tdp->nr_dying, 1);
	grace_call(&root->grace, root_unused);
}

/* The VM lets go of its root: the next tdp_get_root() makes another. */
static void drop_root(struct tdp *t)
{
	struct tdp_root *root;

	spin_lock(&t->lock);
	root = atomic_exchange(&t->root, NULL);
	if (root)
		atomic_store(&root->invalid, true);
	spin_unlock(&t->lock);
	if (root)
		tdp_put_root(root);
}

void tdp_zap_all(struct tdp *t)
{
	drop_root(t);
	host_reload_roots(t->vm);
}

/* Tables to free in one slice. */
#define TEARDOWN_SLICE 32

/* Free the tables below `table`, the deepest first. False: the slice is used up. */
static bool teardown(struct tdp *t, spte_t *table, unsigned level, unsigned *budget)
{
	for (unsigned i = 0; i < SPTE_ENTRIES; i++) {
		uint64_t spte = atomic_load_explicit(&table[i], memory_order_relaxed);

		if (!spte_is_present(spte) || spte_is_leaf(t->fmt, spte, level))
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

void tdp_zap_work_slow(struct tdp *t)
{
	unsigned budget = TEARDOWN_SLICE;
	struct tdp_root *root = take_dying(t);

	if (!root)
		return;
	if (teardown(t, root->table, SPTE_LEVELS, &budget)) {
		tdp_free_table(t, root->table);
		obj_free(&t->root_cache, root);
		atomic_fetch_sub(&t->nr_dying, 1);
		return;
	}
	spin_lock(&t->lock);
	list_add(&root->link, &t->dying);
	spin_unlock(&t->lock);
}

int tdp_init(struct tdp *t, struct guest_memory *mem, struct vm *vm, const struct spte_format *fmt,
	     unsigned max_level)
{
	t->mem = mem;
	t->vm = vm;
	t->fmt = fmt;
	t->max_level = min(max_level, fmt->max_level);
	spin_init(&t->lock);
	list_init(&t->roots);
	list_init(&t->dying);
	obj_cache_init(&t->root_cache, "tdp_root", sizeof(struct tdp_root), 64);
	return slots_set_mmu(mem, &tdp_mmu_ops, t);
}

void tdp_destroy(struct tdp *t)
{
	if (!t->mem)
		return; /* never set up */
	drop_root(t);
	while (atomic_load(&t->nr_dying)) {
		grace_drain();
		tdp_zap_work_slow(t);
	}
	HV_BUG_ON(!list_empty(&t->roots));
	HV_BUG_ON(atomic_load(&t->stats.tables));
}
