/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * How many pages two-dimensional tables can take: the bound against a naive count, a guest that
 * takes all of them, and one that goes on although they are used up.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/support/host.h"
#include "tests/unit/support/tdp_world.h"

#define R PFERR_USER
#define W (PFERR_USER | PFERR_WRITE)

/* One vCPU whose account has as many pages as the bound says, and not one more. */
static struct {
	struct guest_memory mem;
	struct page_account account;
	struct spte_format fmt;
	struct tdp tdp;
	struct tdp_vcpu vcpu;
	uint64_t bound, frames_before;
} t;

static uint64_t charged(void)
{
	struct account_stats s;

	account_get_stats(&t.account, &s);
	return s.charged;
}

static uint64_t most_charged(void)
{
	struct account_stats s;

	account_get_stats(&t.account, &s);
	return s.most;
}

static void load_root(void)
{
	hpa_t root;
	int r;

	while ((r = tdp_load_root(&t.vcpu, &root)) == -EAGAIN)
		grace_round(); /* as the run loop does */
	assert_int_equal(r, 0);
}

static void take_format(bool ept)
{
	if (ept)
		spte_format_ept(&t.fmt, 46, (struct ept_features){.has_ad = true, .has_1g = true});
	else
		spte_format_npt(&t.fmt, 48, true);
}

static void create(bool ept, unsigned max_level, uint64_t ram)
{
	host_arena_with_frames(2 * GIB + 512 * MIB);
	frames_set_poison(true);
	if (!atomic_load(&grace_cpu()->word))
		grace_exit_guest(grace_cpu());
	memset(&t, 0, sizeof(t));
	take_format(ept);
	t.frames_before = world_free_frames();
	slots_init(&t.mem);
	/* As a VM has them: RAM, a firmware below 4 GiB, and RAM from there on. */
	assert_int_equal(slots_create(&t.mem, 0, GFN(0), ram, 0), 0);
	assert_int_equal(slots_create(&t.mem, 2, GFN(0x100000 - 0x800), 0x800, SLOT_READONLY), 0);
	assert_int_equal(slots_create(&t.mem, 1, GFN(0x100000), 0x4321, 0), 0);
	t.bound = tdp_account_pages(&t.fmt, slots_get(&t.mem), 1);
	world_fill(&t.account, t.bound);
	assert_int_equal(tdp_init(&t.tdp, &t.mem, NULL, &t.fmt, max_level, &t.account), 0);
	tdp_vcpu_init(&t.vcpu, &t.tdp);
	load_root();
}

static void destroy(void)
{
	tdp_vcpu_destroy(&t.vcpu);
	tdp_destroy(&t.tdp);
	assert_int_equal(charged(), 0);
	while (!account_drain(&t.account))
		;
	slots_destroy(&t.mem);
	assert_int_equal(world_free_frames(), t.frames_before);
	frames_set_poison(false);
}

/* What a vCPU does until the access is over; how often it had to come back. */
static unsigned touch(uint64_t gfn, uint32_t error)
{
	unsigned n = 0;
	enum ret_pf r;

	while ((r = tdp_fault(&t.vcpu, GPA(gfn << PAGE_SHIFT), error)) == RET_PF_RETRY) {
		assert_true(n++ < 10000);
		grace_round(); /* in guest mode in between */
	}
	if (r != RET_PF_FIXED && r != RET_PF_SPURIOUS && r != RET_PF_EMULATE)
		fail_msg("gfn %llx: %d", (unsigned long long)gfn, r);
	return n;
}

/* A page in each piece of memory that a table of small pages covers. */
static void touch_one_of_each_table(uint32_t error)
{
	struct slot_array *slots = slots_get(&t.mem);

	for (uint32_t i = 0; i < slots->nr; i++) {
		const struct memslot *s = &slots->slot[i];

		for (uint64_t gfn = s->base.v; gfn < s->base.v + s->nr_pages;
		     gfn = ALIGN_DOWN(gfn, 512ull) + 512)
			touch(gfn, s->flags & SLOT_READONLY ? R : error);
	}
}

/* Devices as far apart as there are: each look wants tables of all levels. */
static void look_for_devices(void)
{
	for (uint64_t i = 0; i < 2 * TDP_MMIO_TABLES; i++)
		touch((i + 1) * spte_pages(4), R);
}

static void log_all(bool on)
{
	assert_int_equal(slots_set_flags(&t.mem, 0, on ? SLOT_DIRTY_LOG : 0), 0);
	assert_int_equal(slots_set_flags(&t.mem, 1, on ? SLOT_DIRTY_LOG : 0), 0);
	assert_int_equal(slots_set_flags(&t.mem, 2, SLOT_READONLY | (on ? SLOT_DIRTY_LOG : 0)), 0);
}

/* All that the bound has, but the page with which a removal splits: there is nothing to split. */
static void worst_guest_takes_all(bool ept)
{
	create(ept, 3, 0x40000 + 0x123);
	log_all(true);
	look_for_devices();
	touch_one_of_each_table(W);
	touch(1, W); /* the vCPU's reserve is full again */
	assert_int_equal(most_charged(), t.bound - 1);
	/* The rest of its memory takes no more. */
	for (uint64_t gfn = 0; gfn < 0x40000; gfn += 97)
		touch(gfn, W);
	assert_int_equal(most_charged(), t.bound - 1);
	destroy();
}

static void test_worst_guest_takes_all(void **state)
{
	worst_guest_takes_all(false);
	worst_guest_takes_all(true);
}

/* Everything becomes obsolete again and again while the account has no room for a second tree. */
static void test_zapped_with_all_in_use(void **state)
{
	create(false, 1, 0x40000);
	look_for_devices();
	touch_one_of_each_table(W);
	for (unsigned i = 0; i < 5; i++) {
		slots_lock(&t.mem);
		tdp_zap_all(&t.tdp);
		slots_unlock(&t.mem);
		load_root();
		look_for_devices();
		touch_one_of_each_table(i % 2 ? R : W);
		assert_true(most_charged() <= t.bound);
	}
	destroy();
}

/* Start and end of a log: large pages are split, small ones taken out and the large ones back. */
static void test_log_on_and_off(void **state)
{
	create(true, 3, 0x40000);
	for (unsigned i = 0; i < 3; i++) {
		touch_one_of_each_table(W);
		log_all(true);
		touch_one_of_each_table(W);
		log_all(false);
	}
	slots_unmap(&t.mem, GFN(5), GFN(6)); /* splits, or takes the large page as a whole */
	touch_one_of_each_table(W);
	destroy();
}

/* A bound that is too small ends in an error, and not in an endless wait. */
static void test_too_small_an_account(void **state)
{
	void *kept[200];
	enum ret_pf r = RET_PF_FIXED;

	create(false, 1, 0x40000);
	for (unsigned i = 0; i < ARRAY_SIZE(kept); i++)
		kept[i] = account_charge(&t.account); /* more than all that devices might have */
	for (uint64_t gfn = 0; gfn < 0x40000 && r == RET_PF_FIXED; gfn += 512)
		r = tdp_fault(&t.vcpu, GPA(gfn << PAGE_SHIFT), W);
	assert_int_equal(r, RET_PF_INVALID);
	for (unsigned i = 0; i < ARRAY_SIZE(kept); i++)
		account_uncharge(&t.account, kept[i]);
	touch_one_of_each_table(W);
	destroy();
}

/* --- the count --- */

#define PIECES 4096

/* Does a table that covers [gfn, gfn + pages) have a page of a slot in it? */
static bool is_needed(const struct slot_array *slots, uint64_t gfn, uint64_t pages)
{
	for (uint32_t i = 0; i < slots->nr; i++) {
		const struct memslot *s = &slots->slot[i];

		if (s->base.v < gfn + pages && gfn < s->base.v + s->nr_pages)
			return true;
	}
	return false;
}

static uint64_t naive_tables(const struct slot_array *slots, uint64_t space)
{
	uint64_t nr = 1;

	for (unsigned level = 1; level <= 3; level++) {
		uint64_t pages = 1ull << (9 * level);

		for (uint64_t gfn = 0; gfn < space; gfn += pages)
			nr += is_needed(slots, gfn, pages);
	}
	return nr;
}

static void test_count_is_right(void **state)
{
	static struct slot_array slots;
	uint64_t space = PIECES * 512;

	srand(1);
	take_format(false);
	assert_int_equal(tdp_slot_tables(&t.fmt, &slots), 1);
	for (unsigned round = 0; round < 300; round++) {
		uint64_t at = 0;

		memset(&slots, 0, sizeof(slots));
		while (slots.nr < SLOTS_MAX) {
			struct memslot *s = &slots.slot[slots.nr];

			s->base.v = at + (rand() % 3 ? rand() % 2000 : 0);
			s->nr_pages = 1 + rand() % (rand() % 2 ? 700 : 300000);
			at = s->base.v + s->nr_pages;
			if (at > space)
				break;
			slots.nr++;
		}
		assert_int_equal(tdp_slot_tables(&t.fmt, &slots), naive_tables(&slots, space));
	}
	/* What a tree does not reach has no tables. */
	slots = (struct slot_array){.nr = 1};
	slots.slot[0] = (struct memslot){.base = GFN((1ull << 36) - 1), .nr_pages = 1000};
	assert_int_equal(tdp_slot_tables(&t.fmt, &slots), 4);
	slots.slot[0].base = GFN(1ull << 36);
	assert_int_equal(tdp_slot_tables(&t.fmt, &slots), 1);
	/* 2 MiB for each gigabyte, and what does not grow with it. */
	slots.slot[0] = (struct memslot){.base = GFN(0), .nr_pages = 1 << 18};
	assert_int_equal(tdp_account_pages(&t.fmt, &slots, 1), 512 + 3 + 63 + 3 + 3 + 2);
	assert_int_equal(tdp_account_pages(&t.fmt, &slots, 64), 512 + 3 + 63 + 192 + 192 + 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_count_is_right),
		cmocka_unit_test(test_worst_guest_takes_all),
		cmocka_unit_test(test_zapped_with_all_in_use),
		cmocka_unit_test(test_log_on_and_off),
		cmocka_unit_test(test_too_small_an_account),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
