/* SPDX-License-Identifier: BSD-2-Clause */
/* A VM's account of pages: what is set aside, charged, refused, and given back. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "mm/account.h"
#include "mm/frames.h"
#include "tests/unit/support/host.h"
#include "tests/unit/support/panic.h"

#define MIB   (1ull << 20)
#define LIMIT (2 * ACCOUNT_SLICE + 3)

static uint64_t free_frames(void)
{
	struct frames_stats s;

	frames_stats(&s);
	return s.free;
}

static struct account_stats stats_of(struct page_account *a)
{
	struct account_stats s;

	account_get_stats(a, &s);
	return s;
}

static void test_filled_and_drained_in_slices(void **state)
{
	struct page_account a;
	uint64_t before;

	host_arena_with_frames(16 * MIB);
	before = free_frames();
	account_init(&a);
	assert_true(account_drain(&a)); /* nothing in it */
	for (uint64_t n = ACCOUNT_SLICE; n < LIMIT; n += ACCOUNT_SLICE) {
		assert_int_equal(account_fill(&a, LIMIT), 1);
		assert_int_equal(before - free_frames(), n);
	}
	assert_int_equal(account_fill(&a, LIMIT), 0);
	assert_int_equal(account_fill(&a, LIMIT), 0); /* it has enough */
	assert_int_equal(before - free_frames(), LIMIT);
	assert_int_equal(stats_of(&a).limit, LIMIT);
	assert_false(account_drain(&a));
	assert_int_equal(before - free_frames(), LIMIT - ACCOUNT_SLICE);
	assert_false(account_drain(&a));
	assert_true(account_drain(&a));
	assert_true(account_drain(&a));
	assert_int_equal(free_frames(), before);
}

/* All of its pages, no more, whatever the machine has left. */
static void test_charge_and_uncharge(void **state)
{
	static char *page[LIMIT];
	struct page_account a;
	uint64_t before;

	host_arena_with_frames(16 * MIB);
	frames_set_poison(true);
	account_init(&a);
	while (account_fill(&a, LIMIT) > 0)
		;
	before = free_frames();
	for (unsigned i = 0; i < LIMIT; i++) {
		page[i] = account_charge(&a);
		assert_non_null(page[i]);
		for (unsigned j = 0; j < PAGE_SIZE; j++)
			assert_int_equal(page[i][j], 0);
		memset(page[i], 0xee, PAGE_SIZE);
		assert_int_equal(stats_of(&a).charged, i + 1);
	}
	assert_null(account_charge(&a));
	assert_null(account_charge(&a));
	for (unsigned i = 0; i < LIMIT; i++)
		assert_int_equal(page[i][17], (char)0xee); /* nobody else has it */
	assert_panics(account_drain(&a));
	account_uncharge(&a, page[7]);
	assert_int_not_equal(page[7][17], (char)0xee); /* overwritten: it is freed */
	assert_ptr_equal(account_charge(&a), page[7]);
	assert_int_equal(page[7][17], 0);
	for (unsigned i = 0; i < LIMIT; i++)
		account_uncharge(&a, page[i]);
	assert_panics(account_uncharge(&a, page[0]));
	assert_int_equal(stats_of(&a).charged, 0);
	assert_int_equal(stats_of(&a).most, LIMIT);
	assert_int_equal(stats_of(&a).refused, 2);
	assert_int_equal(free_frames(), before);
	while (!account_drain(&a))
		;
	assert_int_equal(free_frames(), before + LIMIT);
	frames_set_poison(false);
}

static void test_too_little_memory(void **state)
{
	struct page_account a;
	uint64_t before;
	int r;

	host_arena_with_frames(1 * MIB);
	before = free_frames();
	account_init(&a);
	do
		r = account_fill(&a, before + 1);
	while (r > 0);
	assert_int_equal(r, -ENOMEM);
	assert_int_equal(stats_of(&a).limit, before);
	while (!account_drain(&a))
		;
	assert_int_equal(free_frames(), before);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_filled_and_drained_in_slices),
		cmocka_unit_test(test_charge_and_uncharge),
		cmocka_unit_test(test_too_little_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
