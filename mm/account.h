/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A VM's account of pages: all that its behaviour can make the hypervisor take at run time. The
 * pages are taken from the machine's when the VM is created, as many as it can ever need, and are
 * nobody else's until it has ended. So a VM never goes without a page because of what another one
 * does, and never takes one from another.
 *
 * A page is charged to the account when it becomes a page table (or whatever else), and uncharged
 * when nobody can use it as that any more. A page that waits for a grace period is still charged.
 *
 * How many pages are enough is what the user of the account knows: tdp_account_pages() (ept/tdp.h)
 * for two-dimensional tables.
 */
#ifndef MM_ACCOUNT_H
#define MM_ACCOUNT_H

#include "lib/spinlock.h"
#include "lib/types.h"

struct page_account {
	struct spinlock lock; /* leaf: nothing is taken under it */
	void *first;          /* lock; pages not charged, linked through their owners' words */
	uint64_t nr;          /* lock; so many */
	uint64_t lowest;      /* lock; the fewest that they were since it was filled */
	uint64_t limit;       /* const once filled; pages that were set aside */
	uint64_t refused;     /* lock; charges that found none */
};

/* Pages that a slice of account_fill() or account_drain() moves. */
#define ACCOUNT_SLICE 256u

void account_init(struct page_account *a);

/*
 * Set pages aside until there are `limit` of them. Each call is bounded work: 1 as long as there is
 * more to do, then 0; or -ENOMEM, and what was set aside stays so. Before the VM runs.
 */
int account_fill(struct page_account *a, uint64_t limit);

/*
 * Give the machine its pages back, all of which are uncharged (asserted). Each call is bounded
 * work: false as long as there is more to do. Does nothing to a cleared struct. When the VM has
 * ended.
 */
bool account_drain(struct page_account *a);

/* A page of the account's, cleared; NULL: all are charged. Any CPU, any locks but another's own. */
void *account_charge(struct page_account *a);

/* Nobody uses the page any more: no CPU, no hardware. Any CPU, any locks. */
void account_uncharge(struct page_account *a, void *page);

struct account_stats {
	uint64_t limit;   /* pages set aside */
	uint64_t charged; /* of these, in use now */
	uint64_t most;    /* in use at the same time, so far */
	uint64_t refused; /* charges that found none */
};
void account_get_stats(struct page_account *a, struct account_stats *s);

#endif
