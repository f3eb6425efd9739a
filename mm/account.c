/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The pages that are not charged are a stack, linked through the owner's words of their frames, so
 * that nothing is written into them. Pages are cleared when they are charged, outside of the lock.
 */
#include "mm/account.h"

#include <errno.h>

#include "lib/bits.h"
#include "lib/panic.h"
#include "mm/frames.h"

void account_init(struct page_account *a)
{
	*a = (struct page_account){0};
	spin_init(&a->lock);
}

/* With a->lock held, or while nobody else knows the account. */
static void push(struct page_account *a, void *page)
{
	frame_set_owner(va_to_pfn(page), a->first);
	a->first = page;
	a->nr++;
}

static void *pop(struct page_account *a)
{
	void *page = a->first;

	if (!page)
		return NULL;
	a->first = frame_owner(va_to_pfn(page));
	a->nr--;
	return page;
}

int account_fill(struct page_account *a, uint64_t limit)
{
	uint64_t end = min(limit, a->limit + ACCOUNT_SLICE);
	pfn_t pfn;

	for (; a->limit < end; a->limit++) {
		if (!frames_alloc(ORDER_4K, &pfn))
			return -ENOMEM;
		push(a, pfn_to_va(pfn));
	}
	a->lowest = a->nr;
	return a->limit < limit;
}

bool account_drain(struct page_account *a)
{
	HV_BUG_ON(a->nr != a->limit);
	for (unsigned i = 0; i < ACCOUNT_SLICE && a->nr; i++, a->limit--)
		page_free(pop(a));
	return !a->nr;
}

void *account_charge(struct page_account *a)
{
	bool refuse = unlikely(mm_inject_failure && mm_inject_failure());
	void *page;

	spin_lock(&a->lock);
	page = refuse ? NULL : pop(a);
	a->refused += !page;
	a->lowest = min(a->lowest, a->nr);
	spin_unlock(&a->lock);
	if (!page)
		return NULL;
	frames_check_poison(va_to_pfn(page), ORDER_4K);
	pages_clear(page, 1);
	return page;
}

void account_uncharge(struct page_account *a, void *page)
{
	bool is_charged;

	frames_poison(va_to_pfn(page), ORDER_4K);
	spin_lock(&a->lock);
	is_charged = a->nr < a->limit;
	if (is_charged)
		push(a, page);
	spin_unlock(&a->lock);
	HV_BUG_ON(!is_charged);
}

void account_get_stats(struct page_account *a, struct account_stats *s)
{
	spin_lock(&a->lock);
	*s = (struct account_stats){
		.limit = a->limit,
		.charged = a->limit - a->nr,
		.most = a->limit - a->lowest,
		.refused = a->refused,
	};
	spin_unlock(&a->lock);
}
