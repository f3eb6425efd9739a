/* SPDX-License-Identifier: BSD-2-Clause */
/* The life of an engine and of the vCPUs' parts in it, and what both have counted. */
#include "ept/internal.h"

int tdp_init(struct tdp *t, struct guest_memory *mem, struct vm *vm, const struct spte_format *fmt,
	     unsigned max_level, struct page_account *account)
{
	t->mem = mem;
	t->vm = vm;
	t->fmt = fmt;
	t->account = account;
	t->end = GFN(spte_tree_pages(fmt));
	t->fault_tables = fmt->root_level - 1;
	t->max_level = min(max_level, fmt->max_level);
	spin_init(&t->lock);
	list_init(&t->dying);
	list_init(&t->vcpus);
	obj_cache_init(&t->root_cache, "tdp_root", sizeof(struct tdp_root), 64, account);
	return slots_set_mmu(mem, &tdp_mmu_ops, t);
}

bool tdp_destroy_some(struct tdp *t)
{
	if (!t->mem)
		return true; /* never set up */
	HV_BUG_ON(!list_empty(&t->vcpus));
	tdp_drop_root(t); /* none is there any more the second time */
	tdp_zap_work(t);
	/* Acquire: pairs with the release in tdp_zap_work_slow(). */
	if (atomic_load_explicit(&t->nr_dying, memory_order_acquire))
		return false;
	HV_BUG_ON(atomic_load_explicit(&t->tables, memory_order_relaxed));
	return true;
}

/* A tree may be with the deferred calls of another CPU, which may itself wait here. */
void tdp_destroy(struct tdp *t)
{
	while (!tdp_destroy_some(t))
		grace_round();
}

void tdp_vcpu_init(struct tdp_vcpu *tv, struct tdp *t)
{
	tv->tdp = t;
	tv->root = NULL;
	obj_reserve_init_pages(&tv->tables, t->account);
	spin_lock(&t->lock);
	list_add_tail(&tv->link, &t->vcpus);
	spin_unlock(&t->lock);
}

/* struct tdp_counters is nothing but counters. */
#define NR_COUNTERS (sizeof(struct tdp_counters) / sizeof(uint64_t))

static void add_counters(struct tdp_counters *sum, const struct tdp_counters *c)
{
	const _Atomic uint64_t *from = (const _Atomic uint64_t *)c;
	_Atomic uint64_t *to = (_Atomic uint64_t *)sum;

	for (size_t i = 0; i < NR_COUNTERS; i++)
		tdp_add(&to[i], atomic_load_explicit(&from[i], memory_order_relaxed));
}

void tdp_vcpu_destroy(struct tdp_vcpu *tv)
{
	struct tdp *t = tv->tdp;

	if (!t)
		return; /* never set up */
	tdp_leave_root(tv);
	obj_reserve_drain(&tv->tables);
	spin_lock(&t->lock);
	list_del(&tv->link);
	add_counters(&t->gone, &tv->count);
	spin_unlock(&t->lock);
}

/* --- statistics --- */

void tdp_get_stats(struct tdp *t, struct mmu_stats *s)
{
	struct tdp_counters sum = {0};
	struct tdp_vcpu *tv;

	spin_lock(&t->lock);
	add_counters(&sum, &t->gone);
	list_for_each (tv, &t->vcpus, link)
		add_counters(&sum, &tv->count);
	spin_unlock(&t->lock);
	*s = (struct mmu_stats){
		.prefetched = sum.prefetched,
		.split = sum.split,
		.tables = atomic_load_explicit(&t->tables, memory_order_relaxed),
	};
	for (unsigned i = 0; i < NR_RET_PF; i++)
		s->faults[i] = sum.faults[i];
	for (unsigned i = 0; i < TDP_LEVELS; i++)
		s->mapped[i] = sum.mapped[i];
}
