/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vCPUs of a VM charge pages to its account and give them back at the same time, with more of them
 * wanted than there are: no page has two users, none gets lost.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "lib/bits.h"
#include "mm/account.h"
#include "mm/frames.h"
#include "tests/unit/support/host.h"

#define CPUS   3
#define LIMIT  20
#define KEPT   24 /* by each at most: one alone may find none left */
#define ROUNDS 5000

static struct page_account account;
static _Atomic unsigned failures, refused;

static void check(bool ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "race_account: %s\n", what);
	atomic_fetch_add(&failures, 1);
}

static void give_back(uint64_t *page, uint64_t mark)
{
	check(page[0] == mark && page[511] == mark, "a page has two users");
	account_uncharge(&account, page);
}

static void *cpu_main(void *arg)
{
	unsigned me = (unsigned)(uintptr_t)arg, seed = me + 1, nr = 0;
	uint64_t *kept[KEPT];

	host_set_cpu(me);
	for (unsigned i = 0; i < ROUNDS; i++) {
		if (nr < KEPT && rand_r(&seed) % 2) {
			uint64_t *page = account_charge(&account);

			atomic_fetch_add(&refused, !page);
			if (!page)
				continue;
			check(!page[0] && !page[511], "a page is not clear");
			page[0] = page[511] = me + 1;
			kept[nr++] = page;
		} else if (nr) {
			give_back(kept[--nr], me + 1);
		}
	}
	while (nr)
		give_back(kept[--nr], me + 1);
	return NULL;
}

int main(void)
{
	pthread_t thread[CPUS];
	struct account_stats s;

	host_set_nr_cpus(CPUS);
	host_arena_with_frames(16ull << 20);
	account_init(&account);
	check(account_fill(&account, LIMIT) == 0, "no pages");
	for (uintptr_t i = 0; i < CPUS; i++)
		pthread_create(&thread[i], NULL, cpu_main, (void *)i);
	for (unsigned i = 0; i < CPUS; i++)
		pthread_join(thread[i], NULL);
	account_get_stats(&account, &s);
	check(s.limit == LIMIT && !s.charged, "pages were lost");
	check(s.most == LIMIT && s.refused == refused && refused, "pages were never short");
	check(account_drain(&account), "pages were lost");
	printf("race_account: %u charges refused\n", refused);
	return failures != 0;
}
