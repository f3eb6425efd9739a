/* SPDX-License-Identifier: BSD-2-Clause */
/* Leaves: all slots, rights and accesses against the rules in words, and each way a repair ends. */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "mm/leaf.h"

#define FRAME   0x40000000ull
#define FORMATS 10

static struct spte_format format[FORMATS];
static _Atomic uint64_t dirty_bits[1];

static int setup(void **state)
{
	struct legacy_features nx = {.has_nx = true, .has_1g = true, .has_smep_smap = true};

	spte_format_npt(&format[0], 48, true);
	spte_format_ept(&format[1], 46, (struct ept_features){.has_ad = true, .has_1g = true});
	spte_format_ept(&format[2], 46, (struct ept_features){.has_ad = true, .logs_writes = true});
	spte_format_ept(&format[3], 46, (struct ept_features){0});
	spte_format_legacy(&format[4], 46, 4, nx);
	spte_format_legacy(&format[5], 40, 3, nx);
	spte_format_legacy(&format[6], 36, 4, (struct legacy_features){0});
	for (unsigned i = 7; i < FORMATS; i++) {
		format[i] = format[(unsigned[]){1, 3, 4}[i - 7]];
		spte_format_fetch_small(&format[i]);
	}
	return 0;
}

static struct memslot slot_with(uint32_t flags)
{
	dirty_bits[0] = 0;
	return (struct memslot){
		.base = GFN(16), .nr_pages = 64, .flags = flags, .dirty = dirty_bits};
}

/* A write is let through at once, or faults, or (by the CPU's log) needs no fault. */
static bool may_write(const struct spte_format *f, const struct memslot *slot, unsigned rights,
		      bool write)
{
	if (slot->flags & SLOT_READONLY || !(rights & LEAF_WRITE))
		return false;
	return write || !(slot->flags & SLOT_DIRTY_LOG) || spte_hardware_logs(f);
}

static void check_bits(const struct spte_format *f, const struct memslot *slot, unsigned level,
		       unsigned rights, bool write)
{
	uint64_t leaf = leaf_bits(f, slot, level, rights, write) | FRAME;
	bool user = !f->user || rights & LEAF_USER;
	bool execute = !(f->exec | f->nx) ||
		       (rights & LEAF_EXECUTE && (level == 1 || !leaf_needs_small(f, PFERR_FETCH)));
	bool writable = may_write(f, slot, rights, write);

	assert_true(spte_is_legal(f, leaf, level));
	assert_true(spte_is_leaf(f, leaf, level));
	assert_true(leaf_allows(f, leaf, 0));
	assert_int_equal(leaf_allows(f, leaf, PFERR_USER), user);
	assert_int_equal(leaf_allows(f, leaf, PFERR_FETCH), execute);
	assert_int_equal(leaf_allows(f, leaf, PFERR_WRITE), writable);
	assert_int_equal(leaf_allows(f, leaf, PFERR_WRITE | PFERR_USER), writable && user);
	assert_int_equal(leaf_allows(f, leaf, PFERR_FETCH | PFERR_USER), execute && user);
	/* Whoever asked for a write gets it with the dirty bit: the page is noted already. */
	assert_int_equal(leaf & f->dirty, write ? f->dirty : 0);
	assert_int_equal(!!(leaf & f->host_writable), !(slot->flags & SLOT_READONLY));
	assert_int_equal(spte_may_set_writable(f, leaf),
			 !(slot->flags & SLOT_READONLY) && rights & LEAF_WRITE);
}

static void test_bits(void **state)
{
	for (unsigned i = 0; i < FORMATS * 4 * 8 * 3; i++) {
		const struct spte_format *f = &format[i % FORMATS];
		uint32_t flags = i / FORMATS % 4; /* of SLOT_READONLY, SLOT_DIRTY_LOG */
		unsigned rights = i / FORMATS / 4 % 8, level = i / FORMATS / 32 + 1;
		struct memslot slot = slot_with(flags);

		if (level > f->max_level)
			continue;
		check_bits(f, &slot, level, rights, false);
		if (!(flags & SLOT_READONLY) && rights & LEAF_WRITE)
			check_bits(f, &slot, level, rights, true);
	}
}

static enum ret_pf repair(const struct spte_format *f, spte_t *e, uint64_t seen, uint32_t error)
{
	struct memslot slot = slot_with(SLOT_DIRTY_LOG);

	return leaf_repair(f, e, seen, &slot, GFN(16 + 5), error);
}

/* What a write-protection for the log took comes back to a writer, with the page noted. */
static void test_write_protected(void **state)
{
	for (unsigned i = 0; i < FORMATS; i++) {
		const struct spte_format *f = &format[i];
		uint64_t w = f->leaf | FRAME | f->may_write | f->write | f->dirty | f->accessed;
		uint64_t protected = spte_protected(f, w);
		spte_t e = protected;

		assert_int_equal(repair(f, &e, protected, 0), RET_PF_SPURIOUS);
		assert_int_equal(e, protected);
		assert_int_equal(repair(f, &e, protected, PFERR_WRITE), RET_PF_FIXED);
		assert_int_equal(e, w);
		assert_int_equal(dirty_bits[0], BIT_ULL(5));
		assert_int_equal(repair(f, &e, w, PFERR_WRITE), RET_PF_SPURIOUS);
		assert_int_equal(dirty_bits[0], 0);
	}
}

static void test_tracked(void **state)
{
	const struct spte_format *f = &format[3];
	uint64_t w = f->leaf | FRAME | f->may_write | f->write, tracked = spte_aged(f, w);
	uint32_t errors[] = {0, PFERR_FETCH, PFERR_WRITE};

	for (unsigned i = 0; i < ARRAY_SIZE(errors); i++) {
		bool write = errors[i] & PFERR_WRITE;
		spte_t e = tracked;

		assert_false(leaf_allows(f, tracked, errors[i]));
		assert_int_equal(repair(f, &e, tracked, errors[i]), RET_PF_FIXED);
		assert_int_equal(e, write ? w : w & ~f->write);
		assert_int_equal(dirty_bits[0], write ? BIT_ULL(5) : 0);
	}
}

/* Nothing is given that the slot, the guest's tables or the MMU have refused. */
static void test_refused(void **state)
{
	for (unsigned i = 0; i < FORMATS; i++) {
		const struct spte_format *f = &format[i];
		uint64_t all = f->leaf | FRAME | f->accessed;
		uint64_t without[] = {all, all | f->host_writable, all | f->may_write,
				      (all & ~f->exec) | f->nx | f->may_write};

		without[2] &= ~f->user;
		for (unsigned k = 0; k < ARRAY_SIZE(without); k++) {
			uint32_t error = k < 2 ? PFERR_WRITE : k == 2 ? PFERR_USER : PFERR_FETCH;
			spte_t e = without[k];

			if ((k == 2 && !f->user) || (k == 3 && !(f->exec | f->nx)))
				continue;
			if (k == 2)
				error |= PFERR_WRITE; /* W it could have */
			assert_false(leaf_allows(f, leaf_repaired(f, e, error), error));
			assert_int_equal(repair(f, &e, without[k], error), RET_PF_RETRY);
			assert_int_equal(e, without[k]);
			assert_int_equal(dirty_bits[0], 0);
		}
	}
}

/* Somebody else was there since the look at the entry: it stays as it is. */
static void test_lost(void **state)
{
	const struct spte_format *f = &format[4];
	uint64_t seen = f->leaf | FRAME | f->may_write | f->accessed;
	uint64_t now[] = {0, SPTE_FROZEN, seen + 0x1000, seen & ~f->mmu_writable};

	for (unsigned i = 0; i < ARRAY_SIZE(now); i++) {
		spte_t e = now[i];

		assert_int_equal(repair(f, &e, seen, PFERR_WRITE), RET_PF_RETRY);
		assert_int_equal(e, now[i]);
		assert_int_equal(dirty_bits[0], 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bits),    cmocka_unit_test(test_write_protected),
		cmocka_unit_test(test_tracked), cmocka_unit_test(test_refused),
		cmocka_unit_test(test_lost),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
