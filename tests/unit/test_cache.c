/* SPDX-License-Identifier: BSD-2-Clause */
/* Object caches and reserves: contents, limits, misuse, failure at every site, nothing lost. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/bits.h"
#include "mm/cache.h"
#include "mm/frames.h"
#include "tests/unit/support/host.h"
#include "tests/unit/support/panic.h"

#define MIB (1ull << 20)

static uint64_t free_frames(void)
{
	struct frames_stats s;

	frames_stats(&s);
	return s.free;
}

static void assert_cleared(const uint8_t *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		assert_int_equal(p[i], 0);
}

/* Every size class: objects are aligned, cleared, apart from each other, and all come back. */
static void check_size(uint32_t size, uint32_t align)
{
	struct obj_cache c;
	uint8_t *obj[300];
	uint64_t before = free_frames();

	obj_cache_init(&c, "test", size, align, NULL);
	for (unsigned i = 0; i < ARRAY_SIZE(obj); i++) {
		obj[i] = obj_alloc(&c);
		assert_non_null(obj[i]);
		assert_true(IS_ALIGNED((uintptr_t)obj[i], align));
		assert_cleared(obj[i], size);
		memset(obj[i], i + 1, size);
	}
	assert_int_equal(c.nr_objects, ARRAY_SIZE(obj));
	for (unsigned i = 0; i < ARRAY_SIZE(obj); i++) {
		for (uint32_t j = 0; j < size; j++)
			assert_int_equal(obj[i][j], (uint8_t)(i + 1));
	}
	for (unsigned i = 0; i < ARRAY_SIZE(obj); i++)
		obj_free(&c, obj[(i * 7) % ARRAY_SIZE(obj)]);
	assert_int_equal(c.nr_objects, 0);
	assert_int_equal(c.nr_slabs, 0);
	assert_int_equal(free_frames(), before);
}

static void test_sizes(void **state)
{
	static const uint32_t size[] = {1,    8,    9,    24,   64,   100,  512,
					1000, 2048, 4000, 4096, 5000, 16384};

	host_arena_with_frames(64 * MIB);
	for (unsigned i = 0; i < ARRAY_SIZE(size); i++) {
		check_size(size[i], 8);
		check_size(size[i], 64);
		check_size(size[i], 4096);
	}
}

static void test_reuse_is_cleared(void **state)
{
	struct obj_cache c;
	void *obj, *keep;

	host_arena_with_frames(16 * MIB);
	obj_cache_init(&c, "test", 48, 8, NULL);
	keep = obj_alloc(&c);
	obj = obj_alloc(&c);
	memset(obj, 0xff, 48);
	obj_free(&c, obj);
	assert_ptr_equal(obj_alloc(&c), obj);
	assert_cleared(obj, 48);
	obj_free(&c, keep);
}

/* A full slab that has an object back is used again before a new one is made. */
static void test_full_slab_comes_back(void **state)
{
	struct obj_cache c;
	void *obj = NULL;

	host_arena_with_frames(16 * MIB);
	obj_cache_init(&c, "test", 64, 8, NULL);
	for (unsigned i = 0; i < 2 * c.per_slab; i++) {
		void *last = obj_alloc(&c);

		obj = i == 5 ? last : obj;
	}
	assert_int_equal(c.nr_slabs, 2);
	obj_free(&c, obj);
	assert_ptr_equal(obj_alloc(&c), obj);
	assert_int_equal(c.nr_slabs, 2);
}

static void test_misuse(void **state)
{
	struct obj_cache a, b;
	char *obj, *other;

	host_arena_with_frames(16 * MIB);
	assert_panics(obj_cache_init(&a, "none", 0, 8, NULL));
	assert_panics(obj_cache_init(&a, "huge", OBJ_MAX_SIZE + 1, 8, NULL));
	assert_panics(obj_cache_init(&a, "align", 8, 24, NULL));
	obj_cache_init(&a, "a", 40, 8, NULL);
	obj_cache_init(&b, "b", 40, 8, NULL);
	obj = obj_alloc(&a);
	other = obj_alloc(&a);
	assert_panics(obj_free(&b, obj));
	assert_panics(obj_free(&a, obj + 8));
	assert_panics(obj_free(&a, (void *)ALIGN_DOWN((uintptr_t)obj, PAGE_SIZE)));
	obj_free(&a, obj);
	assert_panics(obj_free(&a, obj));
	spin_init(&a.lock); /* the panic was under it */
	obj_free(&a, other);
}

static void test_random(void **state)
{
	static struct {
		uint8_t *p;
		uint8_t tag;
	} obj[2000];
	struct obj_cache c;
	uint64_t before;
	unsigned nr = 0;

	host_arena_with_frames(64 * MIB);
	before = free_frames();
	obj_cache_init(&c, "test", 200, 8, NULL);
	for (unsigned i = 0; i < 100000; i++) {
		if (rand() % 100 < (i / 10000 % 2 ? 35 : 65) && nr < ARRAY_SIZE(obj)) {
			obj[nr].p = obj_alloc(&c);
			assert_non_null(obj[nr].p);
			obj[nr].tag = rand();
			memset(obj[nr].p, obj[nr].tag, 200);
			nr++;
		} else if (nr) {
			unsigned k = rand() % nr;

			assert_int_equal(obj[k].p[0], obj[k].tag);
			assert_int_equal(obj[k].p[199], obj[k].tag);
			obj_free(&c, obj[k].p);
			obj[k] = obj[--nr];
		}
		assert_int_equal(c.nr_objects, nr);
	}
	while (nr)
		obj_free(&c, obj[--nr].p);
	assert_int_equal(free_frames(), before);
}

static void test_reserve(void **state)
{
	struct obj_cache c;
	struct page_account a;
	struct obj_reserve r, pages;
	uint64_t before;
	void *obj[5];

	host_arena_with_frames(16 * MIB);
	before = free_frames();
	obj_cache_init(&c, "test", 100, 8, NULL);
	obj_reserve_init(&r, &c);
	account_init(&a);
	assert_int_equal(account_fill(&a, OBJ_RESERVE_MAX + 1), 0);
	obj_reserve_init_pages(&pages, &a);
	assert_panics(obj_reserve_alloc(&r));
	assert_panics(obj_reserve_topup(&r, OBJ_RESERVE_MAX + 1));
	assert_int_equal(obj_reserve_topup(&r, 5), 0);
	assert_int_equal(obj_reserve_topup(&r, 3), 0); /* has enough */
	assert_int_equal(r.nr, 5);
	assert_int_equal(obj_reserve_topup(&pages, OBJ_RESERVE_MAX), 0);
	for (unsigned i = 0; i < 5; i++) {
		obj[i] = obj_reserve_alloc(&r);
		assert_cleared(obj[i], 100);
	}
	assert_panics(obj_reserve_alloc(&r));
	account_uncharge(&a, obj_reserve_alloc(&pages));
	for (unsigned i = 0; i < 5; i++)
		obj_free(&c, obj[i]);
	assert_int_equal(obj_reserve_topup(&r, 2), 0);
	obj_reserve_drain(&r);
	obj_reserve_drain(&pages);
	obj_reserve_drain(&pages);
	assert_true(account_drain(&a));
	assert_int_equal(free_frames(), before);
}

static unsigned fail_at, asked;

static bool fail_one(void)
{
	return asked++ == fail_at;
}

/* Let each allocation of a top-up fail in turn: what was got stays, and a second try completes. */
static void test_reserve_failure(void **state)
{
	struct obj_cache c;
	struct obj_reserve r;
	uint64_t before;

	host_arena_with_frames(16 * MIB);
	before = free_frames();
	obj_cache_init(&c, "test", 1500, 8, NULL);
	for (fail_at = 0; fail_at < 100; fail_at++) {
		int err;

		obj_reserve_init(&r, &c);
		asked = 0;
		mm_inject_failure = fail_one;
		err = obj_reserve_topup(&r, 20);
		mm_inject_failure = NULL;
		assert_int_equal(err, asked > fail_at ? -ENOMEM : 0);
		assert_int_equal(c.nr_objects, r.nr);
		assert_int_equal(obj_reserve_topup(&r, 20), 0);
		assert_int_equal(r.nr, 20);
		obj_reserve_drain(&r);
		assert_int_equal(free_frames(), before);
	}
	assert_true(asked < fail_at); /* the last rounds failed nowhere */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sizes),
		cmocka_unit_test(test_reuse_is_cleared),
		cmocka_unit_test(test_full_slab_comes_back),
		cmocka_unit_test(test_misuse),
		cmocka_unit_test(test_random),
		cmocka_unit_test(test_reserve),
		cmocka_unit_test(test_reserve_failure),
	};

	srand(1);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
