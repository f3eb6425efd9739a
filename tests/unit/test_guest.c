/* SPDX-License-Identifier: BSD-2-Clause */
/* The accessors of guest memory: pages, slot edges, holes, read-only memory, the dirty log. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/bits.h"
#include "mm/frames.h"
#include "mm/grace.h"
#include "mm/guest.h"
#include "tests/unit/support/host.h"

#define MIB (1ull << 20)

/* RAM [0, 0x14000), a hole, RAM that is logged [0x20000, 0x24000), and read-only up to 0x26000. */
#define RAM_END  0x14000ull
#define LOG_BASE 0x20000ull
#define ROM_BASE 0x24000ull
#define ROM_END  0x26000ull

static struct guest_memory mem;

static int setup(void **state)
{
	grace_exit_guest(grace_cpu());
	host_arena_with_frames(16 * MIB);
	slots_init(&mem);
	assert_int_equal(slots_create(&mem, 0, GFN(0), RAM_END >> 12, 0), 0);
	assert_int_equal(slots_create(&mem, 1, GFN(LOG_BASE >> 12), 4, SLOT_DIRTY_LOG), 0);
	assert_int_equal(slots_create(&mem, 2, GFN(ROM_BASE >> 12), 2, SLOT_READONLY), 0);
	return 0;
}

static int teardown(void **state)
{
	slots_destroy(&mem);
	grace_enter_guest(grace_cpu());
	return 0;
}

static uint64_t dirty(void)
{
	uint64_t bits = 0;

	assert_int_equal(slots_get_dirty(&mem, 1, 0, 4, &bits), 0);
	return bits;
}

static void test_read_back(void **state)
{
	uint8_t out[9000], in[9000];

	for (unsigned i = 0; i < sizeof(out); i++)
		out[i] = i * 7;
	for (uint64_t gpa = 0xff0; gpa < 0x1010; gpa++) {
		for (size_t len = 0; len < 40; len++) {
			assert_int_equal(guest_write(&mem, GPA(gpa), out, len), 0);
			memset(in, 0, sizeof(in));
			assert_int_equal(guest_read(&mem, GPA(gpa), in, len), 0);
			assert_memory_equal(in, out, len);
			assert_int_equal(in[len], 0);
		}
	}
	assert_int_equal(guest_write(&mem, GPA(0x2fff), out, sizeof(out)), 0);
	assert_int_equal(guest_read(&mem, GPA(0x2fff), in, sizeof(in)), 0);
	assert_memory_equal(in, out, sizeof(in));
}

/* Each byte lands where guest_ptr() says it is, and nowhere else. */
static void test_placement(void **state)
{
	uint64_t val = 0x8877665544332211;

	for (uint64_t gpa = 0x4ff8; gpa <= 0x5000; gpa++) {
		guest_zero(&mem, GPA(0x4000), 0x2000);
		assert_int_equal(guest_write(&mem, GPA(gpa), &val, 8), 0);
		for (uint64_t a = 0x4ff0; a < 0x5010; a++) {
			uint8_t want = a - gpa < 8 ? val >> (a - gpa) * 8 : 0;

			assert_int_equal(*(uint8_t *)guest_ptr(&mem, GPA(a), 1, false), want);
		}
	}
}

static void test_edges(void **state)
{
	uint8_t b[64] = {};

	assert_int_equal(guest_read(&mem, GPA(RAM_END - 8), b, 8), 0);
	assert_int_equal(guest_read(&mem, GPA(RAM_END - 8), b, 9), -EFAULT);
	assert_int_equal(guest_read(&mem, GPA(RAM_END), b, 1), -EFAULT);
	assert_int_equal(guest_read(&mem, GPA(RAM_END), b, 0), 0);
	assert_int_equal(guest_read(&mem, GPA(LOG_BASE - 1), b, 2), -EFAULT);
	assert_int_equal(guest_read(&mem, GPA(ROM_BASE - 4), b, 8), 0); /* two slots */
	assert_int_equal(guest_read(&mem, GPA(ROM_END - 1), b, 2), -EFAULT);
	assert_int_equal(guest_read(&mem, GPA(UINT64_MAX - 3), b, 8), -EFAULT); /* wraps to RAM */
	assert_int_equal(guest_write(&mem, GPA(UINT64_MAX - 3), b, 8), -EFAULT);
	assert_int_equal(guest_read(&mem, GPA(1ull << 52), b, 1), -EFAULT);
	assert_int_equal(guest_zero(&mem, GPA(0), UINT64_MAX), -EFAULT);
	assert_int_equal(guest_zero(&mem, GPA(1), UINT64_MAX), -EFAULT);
	assert_int_equal(guest_zero(&mem, GPA(0), RAM_END + 1), -EFAULT);
	assert_int_equal(guest_zero(&mem, GPA(0), RAM_END), 0);
}

/* A write that cannot be completed does not begin. */
static void test_write_is_all_or_nothing(void **state)
{
	uint8_t b[0x3000], *last = guest_ptr(&mem, GPA(RAM_END - 1), 1, true);
	uint8_t *log = guest_ptr(&mem, GPA(ROM_BASE - 1), 1, true);

	memset(b, 0xff, sizeof(b));
	assert_int_equal(guest_write(&mem, GPA(RAM_END - 0x1800), b, sizeof(b)), -EFAULT);
	assert_int_equal(*last, 0);
	assert_int_equal(guest_write(&mem, GPA(ROM_BASE - 0x800), b, 0x1000), -EFAULT);
	assert_int_equal(*log, 0);
	assert_int_equal(dirty(), 0);
}

static void test_read_only(void **state)
{
	uint32_t val = 1, old = 0;

	assert_int_equal(guest_write(&mem, GPA(ROM_BASE), &val, 4), -EFAULT);
	assert_int_equal(guest_zero(&mem, GPA(ROM_BASE), 1), -EFAULT);
	assert_null(guest_ptr(&mem, GPA(ROM_BASE), 4, true));
	assert_non_null(guest_ptr(&mem, GPA(ROM_BASE), 4, false));
	assert_int_equal(guest_cmpxchg(&mem, GPA(ROM_BASE), &old, &val, 4), -EFAULT);
	assert_int_equal(slots_set_flags(&mem, 2, 0), 0);
	assert_int_equal(guest_write(&mem, GPA(ROM_BASE), &val, 4), 0);
	assert_int_equal(slots_set_flags(&mem, 2, SLOT_READONLY), 0);
	val = 0;
	assert_int_equal(guest_read(&mem, GPA(ROM_BASE), &val, 4), 0);
	assert_int_equal(val, 1);
}

static void test_ptr(void **state)
{
	assert_null(guest_ptr(&mem, GPA(0xffd), 4, false));
	assert_non_null(guest_ptr(&mem, GPA(0xffc), 4, false));
	assert_non_null(guest_ptr(&mem, GPA(0), 4096, true));
	assert_null(guest_ptr(&mem, GPA(0), 4097, true));
	assert_null(guest_ptr(&mem, GPA(1), SIZE_MAX, true));
	assert_null(guest_ptr(&mem, GPA(RAM_END), 1, false));
}

static void test_dirty_log(void **state)
{
	uint8_t b[0x2000] = {};
	uint64_t old = 0, next = 1;

	assert_int_equal(guest_write(&mem, GPA(LOG_BASE + 0xfff), b, 2), 0);
	assert_int_equal(dirty(), 3);
	assert_int_equal(guest_read(&mem, GPA(LOG_BASE), b, 0x2000), 0);
	assert_int_equal(dirty(), 0);
	assert_int_equal(guest_zero(&mem, GPA(LOG_BASE + 0x3000), 0x1000), 0);
	assert_int_equal(dirty(), 8);
	assert_int_equal(guest_cmpxchg(&mem, GPA(LOG_BASE + 0x1000), &old, &next, 8), 0);
	assert_int_equal(dirty(), 2);
	assert_int_equal(guest_cmpxchg(&mem, GPA(LOG_BASE + 0x1000), &old, &next, 8), 1);
	assert_int_equal(dirty(), 0); /* nothing was written */
	guest_mark_dirty(&mem, GPA(LOG_BASE + 0x2123));
	guest_mark_dirty(&mem, GPA(RAM_END));
	guest_mark_dirty(&mem, GPA(0));
	assert_int_equal(dirty(), 4);
}

/* --- an engine that shadows page tables --- */

static struct {
	struct slot_watch watch;
	unsigned nr;
	struct {
		uint64_t gpa, len;
		uint8_t byte; /* what memory had there by then */
	} heard[8];
} engine;

static void wrote(struct slot_watch *w, const struct memslot *slot, gpa_t gpa, uint64_t len)
{
	assert_ptr_equal(w, &engine.watch);
	assert_true(slot_has(slot, gpa_to_gfn(gpa)));
	assert_in_range(engine.nr, 0, ARRAY_SIZE(engine.heard) - 1);
	engine.heard[engine.nr].gpa = gpa.v;
	engine.heard[engine.nr].len = len;
	engine.heard[engine.nr++].byte = *(const uint8_t *)slot_va(slot, gpa);
}

static int watch_slot(void *mmu, const struct memslot *was, struct memslot *slot)
{
	slot->watch = slot->id == 0 ? &engine.watch : NULL;
	return 0;
}

static void commit(void *mmu, const struct memslot *old, const struct memslot *next, uint64_t gen)
{
}

static void expect_heard(unsigned i, uint64_t gpa, uint64_t len, uint8_t byte)
{
	assert_int_equal(engine.heard[i].gpa, gpa);
	assert_int_equal(engine.heard[i].len, len);
	assert_int_equal(engine.heard[i].byte, byte);
}

/* Each write of Umbra's own, page by page, when it is made, and nothing else. */
static void test_watch(void **state)
{
	static const struct mmu_ops ops = {.slot_prepare = watch_slot, .slot_commit = commit};
	uint8_t b[0x1800];
	uint64_t old = 0, val = 0x77;

	engine.watch.wrote = wrote;
	memset(b, 0x5a, sizeof(b));
	assert_int_equal(slots_set_mmu(&mem, &ops, &engine), 0);
	assert_int_equal(guest_write(&mem, GPA(0x1f00), b, sizeof(b)), 0);
	assert_int_equal(guest_zero(&mem, GPA(0x3010), 8), 0);
	assert_int_equal(guest_cmpxchg(&mem, GPA(0x3010), &old, &val, 8), 0);
	assert_int_equal(engine.nr, 5);
	expect_heard(0, 0x1f00, 0x100, 0x5a);
	expect_heard(1, 0x2000, 0x1000, 0x5a);
	expect_heard(2, 0x3000, 0x700, 0x5a);
	expect_heard(3, 0x3010, 8, 0);
	expect_heard(4, 0x3010, 8, 0x77);
	assert_int_equal(guest_cmpxchg(&mem, GPA(0x3010), &old, &val, 8), 1);
	assert_int_equal(guest_read(&mem, GPA(0x3010), b, 8), 0);
	assert_int_equal(guest_write(&mem, GPA(LOG_BASE), b, 8), 0); /* nobody watches that */
	assert_int_equal(guest_write(&mem, GPA(RAM_END - 4), b, 8), -EFAULT);
	guest_mark_dirty(&mem, GPA(0)); /* the guest's own */
	assert_int_equal(engine.nr, 5);
	assert_int_equal(slots_set_mmu(&mem, NULL, NULL), 0);
	assert_int_equal(guest_write(&mem, GPA(0x1f00), b, 8), 0);
	assert_int_equal(engine.nr, 5);
}

static void test_cmpxchg(void **state)
{
	static const size_t size[] = {1, 2, 4, 8};

	for (unsigned i = 0; i < ARRAY_SIZE(size); i++) {
		uint64_t mask = size[i] == 8 ? UINT64_MAX : BIT_ULL(size[i] * 8) - 1;

		for (unsigned at = 0; at < 16; at++) {
			uint64_t old = 0xa5a5a5a5a5a5a5a5, next = 0x1122334455667788, now = 0;
			uint8_t *p = guest_ptr(&mem, GPA(0x3000), 32, true);

			memset(p, 0xa5, 32);
			assert_int_equal(
				guest_cmpxchg(&mem, GPA(0x3000 + at), &old, &next, size[i]), 0);
			memcpy(&now, p + at, size[i]);
			assert_int_equal(now, next & mask);
			assert_int_equal(p[at + size[i]], 0xa5);
			assert_int_equal(
				guest_cmpxchg(&mem, GPA(0x3000 + at), &old, &next, size[i]), 1);
			assert_int_equal(old & mask, next & mask);
			assert_int_equal(old & ~mask, 0xa5a5a5a5a5a5a5a5 & ~mask);
		}
	}
}

static void test_cmpxchg_refuses(void **state)
{
	uint64_t old = 0, next = 1;

	assert_int_equal(guest_cmpxchg(&mem, GPA(0), &old, &next, 3), -EINVAL);
	assert_int_equal(guest_cmpxchg(&mem, GPA(0), &old, &next, 16), -EINVAL);
	assert_int_equal(guest_cmpxchg(&mem, GPA(0), &old, &next, 0), -EINVAL);
	assert_int_equal(guest_cmpxchg(&mem, GPA(0xffc), &old, &next, 8), -EINVAL);
	assert_int_equal(guest_cmpxchg(&mem, GPA(0xffc), &old, &next, 4), 0);
	assert_int_equal(guest_cmpxchg(&mem, GPA(RAM_END), &old, &next, 8), -EFAULT);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_read_back), TEST(test_placement),
		TEST(test_edges),     TEST(test_write_is_all_or_nothing),
		TEST(test_read_only), TEST(test_ptr),
		TEST(test_dirty_log), TEST(test_watch),
		TEST(test_cmpxchg),   TEST(test_cmpxchg_refuses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
