/* SPDX-License-Identifier: BSD-2-Clause */
/* Physical frames: the buddy system against a naive map of owners, and hostile memory maps. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/bits.h"
#include "mm/frames.h"
#include "tests/unit/support/host.h"
#include "tests/unit/support/panic.h"

#define MIB (1ull << 20)
#define GIB (1ull << 30)

static struct frames_stats stats(void)
{
	struct frames_stats s;

	frames_stats(&s);
	return s;
}

#define LOW_END (4 * GIB / PAGE_SIZE)

/* Memory on both sides of 4 GiB; the bookkeeping is in what is lower. */
static void arena_around_4g(uint64_t below, uint64_t above)
{
	struct mem_range usable = {HPA(4 * GIB - below), below + above};

	host_arena_create(4 * GIB + above);
	assert_int_equal(frames_init(&usable, 1, NULL, 0), 0);
}

/* All free memory is whole again: as many blocks of each order as right after frames_init(). */
static void assert_all_back(const struct frames_stats *before)
{
	struct frames_stats now;
	pfn_t pfn;

	/* An order that cannot be had empties this CPU's stack first. */
	for (unsigned i = 0; i < 64 && frames_alloc(MAX_ORDER, &pfn); i++)
		frames_free(pfn, MAX_ORDER);
	now = stats();
	assert_int_equal(now.free, before->free);
	assert_int_equal(now.total, before->total);
}

static void test_sizes(void **state)
{
	struct frames_stats s;

	host_arena_with_frames(1 * GIB);
	s = stats();
	/* All but frame 0 and the bookkeeping of 9 bytes a frame. */
	assert_int_equal(s.metadata, ALIGN_UP(9 * (GIB / PAGE_SIZE), PAGE_SIZE));
	assert_int_equal(s.total, (GIB - s.metadata) / PAGE_SIZE - 1);
	assert_int_equal(s.free, s.total);
}

static void test_order_of(void **state)
{
	assert_int_equal(order_of(1), 0);
	assert_int_equal(order_of(PAGE_SIZE), 0);
	assert_int_equal(order_of(PAGE_SIZE + 1), 1);
	assert_int_equal(order_of(2 * MIB), ORDER_2M);
	assert_int_equal(order_of(2 * MIB + 1), ORDER_2M + 1);
	assert_int_equal(order_of(GIB), ORDER_1G);
}

static void test_large_runs(void **state)
{
	struct frames_stats before;
	pfn_t gig[2], two;

	host_arena_with_frames(3 * GIB);
	before = stats();
	assert_true(frames_alloc(ORDER_1G, &gig[0]));
	assert_true(frames_alloc(ORDER_1G, &gig[1]));
	assert_true(IS_ALIGNED(gig[0].v, 1u << ORDER_1G));
	assert_int_not_equal(gig[0].v, gig[1].v);
	assert_false(frames_alloc(ORDER_1G, &two)); /* the first has frame 0 and bookkeeping */
	assert_true(frames_alloc(ORDER_2M, &two));
	assert_true(IS_ALIGNED(two.v, 1u << ORDER_2M));
	frames_free(gig[0], ORDER_1G);
	frames_free(two, ORDER_2M);
	frames_free(gig[1], ORDER_1G);
	assert_memory_equal(stats().blocks, before.blocks, sizeof(before.blocks));
}

static void test_split_then_merge(void **state)
{
	struct frames_stats before;
	pfn_t gig;

	host_arena_with_frames(2 * GIB);
	before = stats();
	assert_true(frames_alloc(ORDER_1G, &gig));
	frames_split(gig, ORDER_1G, ORDER_2M);
	assert_panics(frames_free(gig, ORDER_1G));
	for (unsigned i = 0; i < 512; i++)
		frames_free(PFN(gig.v + (i * 197 % 512) * 512), ORDER_2M);
	assert_memory_equal(stats().blocks, before.blocks, sizeof(before.blocks));
}

static void test_zeroed_and_owner(void **state)
{
	uint8_t *page;
	int me;

	host_arena_with_frames(16 * MIB);
	page = page_zalloc();
	memset(page, 0xff, PAGE_SIZE);
	assert_null(frame_owner(va_to_pfn(page)));
	frame_set_owner(va_to_pfn(page), &me);
	assert_ptr_equal(frame_owner(va_to_pfn(page)), &me);
	page_free(page);
	for (int i = 0; i < 100; i++) {
		page = page_zalloc();
		assert_null(frame_owner(va_to_pfn(page)));
		for (unsigned j = 0; j < PAGE_SIZE; j++)
			assert_int_equal(page[j], 0);
	}
}

static void test_wrong_frees(void **state)
{
	pfn_t run, one;

	host_arena_with_frames(16 * MIB);
	assert_true(frames_alloc(3, &run));
	assert_true(frames_alloc(0, &one));
	assert_panics(frames_free(run, 2));             /* wrong order */
	assert_panics(frames_free(PFN(run.v + 1), 0));  /* inside a run */
	assert_panics(frames_free(PFN(1ull << 40), 0)); /* nowhere */
	assert_panics(frames_free(PFN(0), 0));          /* reserved */
	assert_panics(page_free((char *)pfn_to_va(one) + 8));
	frames_free(run, 3);
	assert_panics(frames_free(run, 3)); /* twice */
	frames_free(one, 0);
	assert_panics(frames_free(one, 0)); /* twice, in the CPU's stack */
	assert_panics(frame_owner(one));
	assert_panics(frames_alloc(MAX_ORDER + 1, &one));
}

static void test_poison(void **state)
{
	uint64_t *page;

	host_arena_with_frames(16 * MIB);
	frames_set_poison(true);
	page = page_zalloc();
	page_free(page);
	assert_ptr_equal(page_zalloc(), page); /* untouched: no complaint */
	page_free(page);
	page[17] = 1; /* use after free */
	assert_panics(page_zalloc());
}

static void test_exhaustion(void **state)
{
	static pfn_t got[16384];
	struct frames_stats before;
	unsigned n = 0;

	host_arena_with_frames(32 * MIB);
	before = stats();
	while (frames_alloc(0, &got[n]))
		n++;
	assert_int_equal(n, before.total);
	assert_int_equal(stats().free, 0);
	assert_null(page_zalloc());
	assert_false(frames_alloc(1, &got[n]));
	while (n--)
		frames_free(got[n], 0);
	assert_all_back(&before);
	assert_memory_equal(stats().blocks, before.blocks, sizeof(before.blocks));
}

/* Random allocations of all orders; `owner` says for each frame which allocation has it. */
struct model {
	struct {
		pfn_t pfn;
		unsigned order;
	} run[4096];
	unsigned nr;
	uint64_t first; /* frame that owner[0] is for */
	uint8_t owner[65536];
};

static bool alloc_some(unsigned order, pfn_t *pfn)
{
	bool low = !order && rand() % 3 == 0;

	if (!(low ? frames_alloc_low(pfn) : frames_alloc(order, pfn)))
		return false;
	assert_true(!low || pfn->v < LOW_END);
	return true;
}

static void model_alloc(struct model *m)
{
	unsigned order = rand() % 4 ? rand() % 4 : rand() % 11;
	uint8_t *owner;
	pfn_t pfn;

	if (m->nr == ARRAY_SIZE(m->run) || !alloc_some(order, &pfn))
		return;
	assert_true(IS_ALIGNED(pfn.v, 1u << order));
	assert_true(pfn.v > 0 && pfn.v >= m->first);
	owner = &m->owner[pfn.v - m->first];
	assert_true(owner + (1u << order) <= m->owner + sizeof(m->owner));
	for (unsigned i = 0; i < 1u << order; i++) {
		assert_int_equal(owner[i], 0);
		owner[i] = 1;
	}
	m->run[m->nr].pfn = pfn;
	m->run[m->nr++].order = order;
}

static void model_free(struct model *m)
{
	unsigned i;

	if (!m->nr)
		return;
	i = rand() % m->nr;
	memset(m->owner + m->run[i].pfn.v - m->first, 0, 1u << m->run[i].order);
	frames_free(m->run[i].pfn, m->run[i].order);
	m->run[i] = m->run[--m->nr];
}

static void random_steps(uint64_t first)
{
	static struct model m;
	struct frames_stats before = stats();

	m.first = first;
	host_set_nr_cpus(3);
	for (unsigned round = 0; round < 20; round++) {
		unsigned bias = round % 2 ? 30 : 70;

		for (unsigned i = 0; i < 10000; i++) {
			host_set_cpu(rand() % 3);
			if ((unsigned)rand() % 100 < bias)
				model_alloc(&m);
			else
				model_free(&m);
		}
	}
	while (m.nr)
		model_free(&m);
	for (unsigned cpu = 0; cpu < 3; cpu++) {
		host_set_cpu(cpu);
		assert_all_back(&before);
	}
	assert_memory_equal(stats().blocks, before.blocks, sizeof(before.blocks));
	host_set_cpu(0);
	host_set_nr_cpus(1);
}

static void test_random(void **state)
{
	host_arena_with_frames(128 * MIB);
	random_steps(0);
	arena_around_4g(128 * MIB, 128 * MIB);
	random_steps(LOW_END - 128 * MIB / PAGE_SIZE);
}

/* --- below 4 GiB --- */

/* Nobody who can use a frame above gets one below while there is one above, of any order. */
static void test_low_is_spared(void **state)
{
	static pfn_t got[65536];
	uint64_t free_low, nr_high = 128 * MIB / PAGE_SIZE;
	struct frames_stats before;
	unsigned n = 0;

	arena_around_4g(128 * MIB, 128 * MIB);
	before = stats();
	free_low = before.free_low;
	assert_in_range(free_low, 1, before.total - nr_high);
	assert_true(frames_alloc(ORDER_2M, &got[n++]));
	for (; n <= nr_high - 512; n++)
		assert_true(frames_alloc(0, &got[n]));
	for (unsigned i = 0; i < n; i++)
		assert_true(got[i].v >= LOW_END);
	assert_int_equal(stats().free_low, free_low);
	/* All above is used: any frame is better than none. */
	assert_true(frames_alloc(3, &got[n]) && got[n].v < LOW_END);
	frames_free(got[n], 3);
	assert_true(frames_alloc(0, &got[n]) && got[n].v < LOW_END);
	while (n)
		frames_free(got[n--], 0);
	frames_free(got[0], ORDER_2M);
	assert_all_back(&before);
	assert_int_equal(stats().free_low, free_low);
}

static void test_low_exhaustion(void **state)
{
	static pfn_t got[65536];
	struct frames_stats before;
	unsigned n = 0;
	pfn_t pfn;

	arena_around_4g(128 * MIB, 128 * MIB);
	before = stats();
	while (frames_alloc_low(&got[n])) {
		assert_true(got[n].v && got[n].v < LOW_END);
		n++;
	}
	assert_int_equal(n, before.free_low);
	assert_int_equal(stats().free_low, 0);
	assert_int_equal(stats().free, before.free - n);
	assert_true(frames_alloc(0, &pfn) && pfn.v >= LOW_END);
	frames_free(pfn, 0);
	/* One that is in this CPU's stack is found. */
	frames_free(got[--n], 0);
	assert_int_equal(stats().free_low, 0);
	assert_true(frames_alloc_low(&pfn));
	assert_int_equal(pfn.v, got[n].v);
	assert_false(frames_alloc_low(&got[n]));
	frames_free(pfn, 0);
	while (n)
		frames_free(got[--n], 0);
	assert_all_back(&before);
	assert_memory_equal(stats().blocks, before.blocks, sizeof(before.blocks));
}

/* A machine with memory above only, and one with memory below only. */
static void test_one_side_only(void **state)
{
	pfn_t pfn;

	arena_around_4g(0, 256 * MIB);
	assert_int_equal(stats().free_low, 0);
	assert_false(frames_alloc_low(&pfn));
	assert_true(frames_alloc(0, &pfn));
	host_arena_with_frames(16 * MIB);
	assert_int_equal(stats().free_low, stats().free);
	assert_true(frames_alloc(0, &pfn));
	assert_true(frames_alloc_low(&pfn));
	frame_set_owner(pfn, state);
	frames_free(pfn, 0);
	assert_panics(frames_free(pfn, 0));
}

/* --- highest first --- */

/* Runs come from the top down, whatever their order and whatever was freed in between. */
static void test_highest_first(void **state)
{
	static const struct mem_range usable[] = {{HPA(4 * GIB - 128 * MIB), 144 * MIB},
						  {HPA(4 * GIB + 32 * MIB), 32 * MIB}};
	static const struct mem_range reserved[] = {{HPA(4 * GIB + 60 * MIB), PAGE_SIZE}};
	const uint64_t end = LOW_END + 64 * 256, gap_end = LOW_END + 60 * 256;
	static pfn_t run[32768];
	uint64_t gap;
	unsigned n = 0;
	pfn_t low;

	host_arena_create(4 * GIB + 64 * MIB);
	frames_set_highest_first(true);
	assert_int_equal(frames_init(usable, 2, reserved, 1), 0);
	/* The bookkeeping has no room above the reserved page, so it ends there. */
	gap = gap_end - stats().metadata / PAGE_SIZE;
	assert_true(stats().metadata > 4 * MIB);
	assert_true(frames_alloc(1, &run[n++]));
	assert_int_equal(run[0].v, end - 2);
	assert_true(frames_alloc(3, &run[n++]));
	assert_int_equal(run[1].v, end - 16);
	assert_true(frames_alloc(1, &run[n++]));
	assert_int_equal(run[2].v, end - 4);
	frames_free(run[0], 1);
	assert_true(frames_alloc(1, &run[0]));
	assert_int_equal(run[0].v, end - 2);
	assert_true(frames_alloc_low(&low));
	assert_int_equal(low.v, LOW_END - 1);
	for (; frames_alloc(1, &run[n]); n++) {
		assert_true(n < 4 || run[n].v < run[n - 1].v);
		assert_true(run[n].v > gap_end || run[n].v + 2 <= gap);
	}
	assert_true(n > 128 * 128);
	frames_set_highest_first(false);
}

/* --- memory maps --- */

/* Allocate everything; every frame handed out must be allowed by a naive reading of the map. */
static uint64_t check_map(const struct mem_range *usable, size_t n,
			  const struct mem_range *reserved, size_t m)
{
	uint64_t count = 0;
	pfn_t pfn;

	while (frames_alloc(0, &pfn)) {
		uint64_t a = pfn.v * PAGE_SIZE, e = a + PAGE_SIZE;
		bool in = false;

		for (size_t i = 0; i < n; i++)
			in |= usable[i].base.v <= a && e - usable[i].base.v <= usable[i].size;
		for (size_t i = 0; i < m; i++)
			in &= !(reserved[i].base.v < e &&
				a - reserved[i].base.v + PAGE_SIZE < reserved[i].size + PAGE_SIZE &&
				reserved[i].base.v + reserved[i].size > a);
		assert_true(in);
		assert_int_not_equal(pfn.v, 0);
		count++;
	}
	return count;
}

static void test_map_fragmented(void **state)
{
	static const struct mem_range usable[] = {
		{HPA(16 * MIB), 16 * MIB},      {HPA(0), 0x9fc00},
		{HPA(20 * MIB), 20 * MIB}, /* overlaps the first */
		{HPA(1 * MIB + 123), 5 * MIB},  {HPA(50 * MIB), 0},
		{HPA(60 * MIB - 1), PAGE_SIZE}, /* no whole frame */
	};
	static const struct mem_range reserved[] = {
		{HPA(2 * MIB + 1), 1}, {HPA(17 * MIB), MIB},       {HPA(17 * MIB + 4096), 3 * MIB},
		{HPA(0), PAGE_SIZE},   {HPA(39 * MIB), 100 * GIB}, {HPA(30 * MIB), 0},
	};
	uint64_t total;

	host_arena_create(64 * MIB);
	assert_int_equal(frames_init(usable, ARRAY_SIZE(usable), reserved, ARRAY_SIZE(reserved)),
			 0);
	total = stats().total;
	assert_int_equal(check_map(usable, ARRAY_SIZE(usable), reserved, ARRAY_SIZE(reserved)),
			 total);
	/* 0x1..0x9e; 5 MiB less the broken ends and one frame; 16..39 less 17..20(+4K). */
	assert_int_equal(total + stats().metadata / PAGE_SIZE,
			 0x9e + (1280 - 1 - 1) + (23 * 256 - 3 * 256 - 1));
}

static void test_map_wraps(void **state)
{
	static const struct mem_range usable[] = {
		{HPA(MIB), 7 * MIB},
		{HPA(UINT64_MAX - 4095), UINT64_MAX}, /* wraps */
		{HPA(1ull << 51), 4 * MIB},           /* bookkeeping would not pay */
	};
	static const struct mem_range reserved[] = {{HPA(UINT64_MAX - 5), 100},
						    {HPA(7 * MIB), UINT64_MAX}};
	uint64_t total;

	host_arena_create(8 * MIB);
	assert_int_equal(frames_init(usable, 3, reserved, 2), 0);
	total = stats().total;
	assert_int_equal(total + stats().metadata / PAGE_SIZE, 6 * 256);
	assert_int_equal(check_map(usable, 3, reserved, 1), total);
}

static void test_map_hopeless(void **state)
{
	static const struct mem_range tiny = {HPA(0), PAGE_SIZE}, some = {HPA(0), MIB};
	static const struct mem_range all = {HPA(0), UINT64_MAX};

	host_arena_create(MIB);
	assert_int_equal(frames_init(NULL, 0, NULL, 0), -ENOMEM);
	assert_int_equal(frames_init(&tiny, 1, NULL, 0), -ENOMEM);
	assert_int_equal(frames_init(&some, 1, &all, 1), -ENOMEM);
	assert_int_equal(frames_init(&some, 1, NULL, 0), 0);
}

static void test_map_random(void **state)
{
	for (unsigned round = 0; round < 300; round++) {
		struct mem_range usable[6], reserved[6];

		for (unsigned i = 0; i < 6; i++) {
			usable[i].base = HPA(rand() % (16 * MIB));
			usable[i].size = rand() % (16 * MIB - usable[i].base.v + 1);
			reserved[i].base = HPA(rand() % (16 * MIB));
			reserved[i].size = rand() % (MIB);
		}
		host_arena_create(16 * MIB);
		frames_set_highest_first(round % 2);
		if (frames_init(usable, 6, reserved, 6) == 0) {
			uint64_t total = stats().total;

			assert_int_equal(check_map(usable, 6, reserved, 6), total);
		}
	}
	frames_set_highest_first(false);
}

static bool always(void)
{
	return true;
}

static void test_injected_failure(void **state)
{
	pfn_t pfn;

	host_arena_with_frames(16 * MIB);
	mm_inject_failure = always;
	assert_false(frames_alloc(0, &pfn));
	assert_false(frames_alloc(5, &pfn));
	assert_false(frames_alloc_low(&pfn));
	assert_null(page_zalloc());
	mm_inject_failure = NULL;
	assert_true(frames_alloc(5, &pfn));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sizes),
		cmocka_unit_test(test_order_of),
		cmocka_unit_test(test_large_runs),
		cmocka_unit_test(test_split_then_merge),
		cmocka_unit_test(test_zeroed_and_owner),
		cmocka_unit_test(test_wrong_frees),
		cmocka_unit_test(test_poison),
		cmocka_unit_test(test_exhaustion),
		cmocka_unit_test(test_random),
		cmocka_unit_test(test_low_is_spared),
		cmocka_unit_test(test_low_exhaustion),
		cmocka_unit_test(test_one_side_only),
		cmocka_unit_test(test_highest_first),
		cmocka_unit_test(test_map_fragmented),
		cmocka_unit_test(test_map_wraps),
		cmocka_unit_test(test_map_hopeless),
		cmocka_unit_test(test_map_random),
		cmocka_unit_test(test_injected_failure),
	};

	srand(1);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
