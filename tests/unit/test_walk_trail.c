/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The trail of a walk, and its three steps by themselves: what a look changes (nothing), when bits
 * cannot be set, when the trail is no longer what is there; and that a guest's EPT is one more
 * format of the same walk.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "arch/x86/regs.h"
#include "mm/frames.h"
#include "mm/grace.h"
#include "mm/guest.h"
#include "mm/paging.h"
#include "mm/walk.h"
#include "tests/unit/support/host.h"

#define MIB      (1ull << 20)
#define PAGES    16 /* guest RAM; the table of level n is page n, what they map is page 8 */
#define ROM_PAGE PAGES
#define RIGHTS   (PTE_P | PTE_RW | PTE_US)
#define VA       0x40403123ull

static struct guest_memory mem;
static struct guest_paging p;
static unsigned top, bytes;

/* Where the entry of `level` lies when its table is page `page`. */
static gpa_t place(unsigned level, unsigned page)
{
	unsigned bits = bytes == 4 ? 10 : 9, index = VA >> (12 + (level - 1) * bits);

	return GPA(page * PAGE_SIZE + index % (1u << bits) * bytes);
}

static uint64_t get(unsigned level)
{
	uint64_t val = 0;

	assert_int_equal(guest_read(&mem, place(level, level), &val, bytes), 0);
	return val;
}

static void set(unsigned level, uint64_t val)
{
	assert_int_equal(guest_write(&mem, place(level, level), &val, bytes), 0);
}

/* Tables that map VA with all rights, and none of the accessed and dirty bits. */
static void tables(unsigned levels, uint64_t rights)
{
	bytes = levels == 2 ? 4 : 8;
	top = levels == 3 ? 2 : levels;
	assert_int_equal(guest_zero(&mem, GPA(0), PAGES * PAGE_SIZE), 0);
	for (unsigned level = top; level; level--)
		set(level, (level > 1 ? level - 1 : 8) * PAGE_SIZE | rights);
}

static void mode(unsigned levels)
{
	p = (struct guest_paging){.cr0 = CR0_PG | CR0_PE | CR0_WP, .maxphyaddr = 40};
	p.cr4 = (levels > 2 ? CR4_PAE : 0) | (levels == 5 ? CR4_LA57 : 0);
	p.efer = EFER_NXE | (levels > 3 ? EFER_LMA | EFER_LME : 0);
	p.pdpte[VA >> 30] = 2 * PAGE_SIZE | PTE_P;
	tables(levels, RIGHTS);
	p.cr3 = top * PAGE_SIZE;
	guest_paging_update(&p);
	assert_int_equal(p.levels, levels);
}

static void check_reread(const struct walk_result *r, unsigned level)
{
	uint64_t val = get(level);
	gpa_t next = GPA(place(level, level).v ^ bytes);

	for (unsigned bit = 0; bit < 8 * bytes; bit++) {
		set(level, val ^ BIT_ULL(bit));
		assert_false(guest_walk_is_current(&p, r));
		set(level, val);
		assert_true(guest_walk_is_current(&p, r));
	}
	assert_int_equal(guest_write(&mem, next, &val, bytes), 0); /* another entry */
	assert_true(guest_walk_is_current(&p, r));
}

static void test_reread(void **state)
{
	struct walk_result r;

	for (unsigned levels = 2; levels <= 5; levels++) {
		mode(levels);
		assert_int_equal(guest_walk_peek(&mem, &p, GVA(VA), PFERR_USER, &r), 0);
		assert_int_equal(r.gpa.v, 8 * PAGE_SIZE + VA % PAGE_SIZE);
		assert_int_equal(r.top, top);
		assert_int_equal(r.last, 1);
		for (unsigned level = top; level; level--) {
			assert_int_equal(r.step[level].at.v, place(level, level).v);
			assert_int_equal(r.step[level].val, get(level));
			check_reread(&r, level);
		}
	}
}

/* A fault may be stale too: the entry that was missing has come. */
static void test_reread_after_fault(void **state)
{
	struct walk_result r;

	for (unsigned level = 4; level; level--) {
		uint64_t val;

		mode(4);
		val = get(level);
		set(level, val & ~PTE_P);
		assert_int_equal(guest_walk(&mem, &p, GVA(VA), 0, &r), -EFAULT);
		assert_int_equal(r.last, level);
		assert_true(guest_walk_is_current(&p, &r));
		if (level > 1) { /* not read, so not part of it */
			set(level - 1, 0);
			assert_true(guest_walk_is_current(&p, &r));
		}
		set(level, val);
		assert_false(guest_walk_is_current(&p, &r));
	}
}

static void test_rights_so_far(void **state)
{
	struct walk_result r;

	mode(4);
	set(3, get(3) & ~PTE_RW);
	set(2, get(2) | PTE_NX);
	set(1, get(1) & ~PTE_US);
	assert_int_equal(guest_walk_peek(&mem, &p, GVA(VA), 0, &r), 0);
	assert_int_equal(guest_walk_rights(&p, &r, 4), RIGHT_WRITE | RIGHT_USER | RIGHT_EXECUTE);
	assert_int_equal(guest_walk_rights(&p, &r, 3), RIGHT_USER | RIGHT_EXECUTE);
	assert_int_equal(guest_walk_rights(&p, &r, 2), RIGHT_USER);
	assert_int_equal(guest_walk_rights(&p, &r, 1), 0);
	assert_int_equal(r.rights, 0);
}

/* The steps one by one do what guest_walk() does, and a second time nothing is left to do. */
static void test_steps_add_up(void **state)
{
	struct walk_result r;

	for (unsigned levels = 2; levels <= 5; levels++) {
		for (unsigned write = 0; write < 2; write++) {
			uint32_t access = write ? PFERR_WRITE : 0;
			uint64_t dirty = 0;

			mode(levels);
			assert_int_equal(slots_set_flags(&mem, 0, SLOT_DIRTY_LOG), 0);
			assert_int_equal(guest_walk_peek(&mem, &p, GVA(VA), access, &r), 0);
			assert_int_equal(get(1) & (PTE_A | PTE_D), 0);
			assert_true(guest_walk_set_accessed(&mem, &p, access, &r));
			for (unsigned level = top; level; level--)
				assert_int_equal(get(level) & (PTE_A | PTE_D),
						 level == 1 && write ? PTE_A | PTE_D : PTE_A);
			assert_true(guest_walk_is_current(&p, &r));
			assert_int_equal(slots_get_dirty(&mem, 0, 0, PAGES, &dirty), 0);
			assert_int_equal(dirty, BIT(top + 1) - 2); /* each table */
			assert_true(guest_walk_set_accessed(&mem, &p, access, &r));
			assert_int_equal(slots_get_dirty(&mem, 0, 0, PAGES, &dirty), 0);
			assert_int_equal(dirty, 0);
			assert_int_equal(slots_set_flags(&mem, 0, 0), 0);
		}
	}
}

/* An entry that has changed gets no bits, nor does anything below it. */
static void test_set_accessed_loses(void **state)
{
	struct walk_result r;

	for (unsigned levels = 2; levels <= 5; levels++) {
		for (unsigned changed = levels == 3 ? 2 : levels; changed; changed--) {
			uint64_t val;

			mode(levels);
			assert_int_equal(guest_walk_peek(&mem, &p, GVA(VA), PFERR_WRITE, &r), 0);
			val = get(changed) | BIT(9);
			set(changed, val);
			assert_false(guest_walk_set_accessed(&mem, &p, PFERR_WRITE, &r));
			assert_int_equal(get(changed), val);
			for (unsigned level = top; level; level--)
				assert_int_equal(get(level) & (PTE_A | PTE_D),
						 level > changed ? PTE_A : 0);
			assert_int_equal(guest_walk(&mem, &p, GVA(VA), PFERR_WRITE, &r), 0);
			assert_true(guest_walk_is_current(&p, &r));
		}
	}
}

/* Read-only memory and holes keep what they have, and that is no reason to walk again. */
static void test_set_accessed_in_rom(void **state)
{
	uint64_t entry = 8 * PAGE_SIZE | RIGHTS;
	struct walk_result r;

	mode(4);
	set(2, ROM_PAGE * PAGE_SIZE | RIGHTS);
	assert_int_equal(slots_set_flags(&mem, 1, 0), 0);
	assert_int_equal(guest_write(&mem, place(1, ROM_PAGE), &entry, 8), 0);
	assert_int_equal(slots_set_flags(&mem, 1, SLOT_READONLY), 0);
	assert_int_equal(guest_walk_peek(&mem, &p, GVA(VA), PFERR_WRITE, &r), 0);
	assert_true(guest_walk_set_accessed(&mem, &p, PFERR_WRITE, &r));
	assert_true(get(2) & PTE_A);
	assert_int_equal(r.step[1].val, entry);
	assert_int_equal(r.step[1].at.v, place(1, ROM_PAGE).v);
	assert_true(guest_walk_is_current(&p, &r));
	set(2, 0xff000 | RIGHTS); /* a hole: all ones, and its frame has reserved bits */
	assert_int_equal(guest_walk_peek(&mem, &p, GVA(VA), 0, &r), -EFAULT);
	assert_int_equal(r.step[1].val, UINT64_MAX);
	assert_true(guest_walk_is_current(&p, &r));
}

static struct {
	unsigned nr;
	gpa_t gpa[8];
} heard;

static void wrote(struct slot_watch *w, const struct memslot *slot, gpa_t gpa, uint64_t len)
{
	assert_int_equal(len, bytes);
	heard.gpa[heard.nr++] = gpa;
}

/* An engine that shadows these tables hears of each entry that gets a bit. */
static void test_set_accessed_is_heard_of(void **state)
{
	struct slot_watch watch = {.wrote = wrote};
	struct memslot *slot = (struct memslot *)slots_find(&mem, GFN(0));
	struct walk_result r;

	for (unsigned levels = 2; levels <= 5; levels++) {
		mode(levels);
		slot->watch = &watch;
		for (unsigned round = 0; round < 2; round++) {
			heard.nr = 0;
			assert_int_equal(guest_walk(&mem, &p, GVA(VA), PFERR_WRITE, &r), 0);
			assert_int_equal(heard.nr, round ? 0 : top);
		}
		for (unsigned level = top; level; level--)
			assert_int_equal(heard.gpa[top - level].v, place(level, level).v);
		slot->watch = NULL;
	}
}

static void test_no_paging(void **state)
{
	struct walk_result r;

	p = (struct guest_paging){.maxphyaddr = 40};
	guest_paging_update(&p);
	assert_int_equal(guest_walk_peek(&mem, &p, GVA(VA), PFERR_WRITE, &r), 0);
	assert_int_equal(r.top, 0);
	assert_true(guest_walk_set_accessed(&mem, &p, PFERR_WRITE, &r));
	assert_true(guest_walk_is_current(&p, &r));
}

/* --- EPT, as the tables of a guest's own guest: SDM volume 3, 28.3.2 --- */

#define EPT_R BIT_ULL(0)
#define EPT_W BIT_ULL(1)
#define EPT_X BIT_ULL(2)
#define EPT_A BIT_ULL(8)
#define EPT_D BIT_ULL(9)

static const struct walk_entry ept_entry = {
	.shift = 3,
	.index_bits = 9,
	.present = EPT_R | EPT_W | EPT_X,
	.write = EPT_W,
	.user = EPT_R,
	.execute = EPT_X,
	.accessed = EPT_A,
	.dirty = EPT_D,
	.large = PTE_PS,
};

static const struct walk_format ept = {
	.entry = &ept_entry,
	.levels = 4,
	.large_levels = BIT(2) | BIT(3),
	.address = PTE_ADDR,
	.reserved = {[2] = {0x78, 0x1ff000}, [3] = {0x78, 0x3ffff000}, [4] = {0xf8, 0xf8}},
};

static void ept_mode(void)
{
	tables(4, EPT_R | EPT_W | EPT_X);
	p = (struct guest_paging){.format = &ept, .levels = 4, .large_levels = ept.large_levels};
	p.cr3 = 4 * PAGE_SIZE;
	p.addr_mask = ept.address;
	memcpy(p.reserved, ept.reserved, sizeof(p.reserved));
	for (unsigned level = 1; level <= 4; level++)
		p.special[level] = p.reserved[level][0] | (level > 1 ? ept_entry.large : 0);
	for (unsigned rights = 0; rights < NR_RIGHTS; rights++) {
		p.denied[KIND_SMAP] |= rights & RIGHT_USER ? 0 : BIT(rights);
		p.denied[KIND_SMAP | KIND_WRITE] |= rights & RIGHT_WRITE ? 0 : BIT(rights);
		p.denied[KIND_FETCH] |= rights & RIGHT_EXECUTE ? 0 : BIT(rights);
	}
}

static int ept_walk(uint32_t access, struct walk_result *r)
{
	return guest_walk(&mem, &p, GVA(VA), access, r);
}

static void test_ept_is_a_format(void **state)
{
	struct walk_result r;

	ept_mode();
	assert_int_equal(ept_walk(PFERR_WRITE, &r), 0);
	assert_int_equal(r.gpa.v, 8 * PAGE_SIZE + VA % PAGE_SIZE);
	assert_int_equal(r.rights, RIGHT_WRITE | RIGHT_USER | RIGHT_EXECUTE);
	for (unsigned level = 4; level; level--)
		assert_int_equal(get(level) & (EPT_A | EPT_D), level > 1 ? EPT_A : EPT_A | EPT_D);
	set(1, 8 * PAGE_SIZE | EPT_X); /* execute-only: present, without bit 0 */
	assert_int_equal(ept_walk(PFERR_FETCH, &r), 0);
	assert_int_equal(ept_walk(0, &r), -EFAULT);
	assert_true(r.error & PFERR_PRESENT);
	set(1, 8 * PAGE_SIZE | EPT_A); /* no right at all: not present */
	assert_int_equal(ept_walk(0, &r), -EFAULT);
	assert_false(r.error & PFERR_PRESENT);
	set(2, EPT_R | PTE_PS);
	assert_int_equal(ept_walk(0, &r), 0);
	assert_int_equal(r.page_shift, 21);
	assert_int_equal(r.gpa.v, VA % (2 * MIB));
	assert_int_equal(ept_walk(PFERR_WRITE, &r), -EFAULT);
	set(2, EPT_R | BIT(3)); /* reserved where there is no page */
	assert_int_equal(ept_walk(0, &r), -EFAULT);
	assert_true(r.error & PFERR_RSVD);
}

static int setup(void **state)
{
	grace_exit_guest(grace_cpu());
	host_arena_with_frames(16 * MIB);
	slots_init(&mem);
	assert_int_equal(slots_create(&mem, 0, GFN(0), PAGES, 0), 0);
	assert_int_equal(slots_create(&mem, 1, GFN(ROM_PAGE), 1, SLOT_READONLY), 0);
	return 0;
}

static int teardown(void **state)
{
	slots_destroy(&mem);
	grace_enter_guest(grace_cpu());
	return 0;
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_reread),
		TEST(test_reread_after_fault),
		TEST(test_rights_so_far),
		TEST(test_steps_add_up),
		TEST(test_set_accessed_loses),
		TEST(test_set_accessed_in_rom),
		TEST(test_set_accessed_is_heard_of),
		TEST(test_no_paging),
		TEST(test_ept_is_a_format),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
