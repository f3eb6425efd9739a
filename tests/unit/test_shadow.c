/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The shadow MMU under guests that write their page tables at random: in each paging mode, tables
 * that are shared, that map themselves, that are used at several levels. Each access is compared
 * with what the guest's own tables allow: what they say now, or have said since the last flush. The
 * invariants of the engine are looked at all the time.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "mm/frames.h"
#include "tests/unit/support/host.h"
#include "tests/unit/support/shadow_world.h"

/* --- the guest's memory --- */

#define WINDOW 0x10000000ull /* where the supervisor finds its memory, whatever else is mapped */

enum {
	ROOTS = 1, /* two of them */
	NR_ROOTS = 2,
	FIXED = 8, /* tables of the window */
	TABLES = 16,
	NR_TABLES = 8,
	DATA = 64,
	NR_DATA = 16,
};

static unsigned mode; /* levels */

static unsigned entry_size(void)
{
	return mode == 2 ? 4 : 8;
}

static void put(uint64_t gfn, unsigned i, uint64_t val)
{
	guest_write(&sw.mem, GPA((gfn << PAGE_SHIFT) + i * entry_size()), &val, entry_size());
}

#define ALL (PTE_P | PTE_RW | PTE_US | PTE_A | PTE_D)

/* A table that maps all memory, from entry 0 on, over as many frames as that takes. */
static void fill_window(uint64_t gfn)
{
	unsigned per_table = PAGE_SIZE / entry_size();

	for (unsigned i = 0; i < SW_PAGES; i++)
		put(gfn + i / per_table, i % per_table,
		    (uint64_t)i << PAGE_SHIFT | (ALL & ~PTE_US));
}

static void link_window(unsigned directory_entry, uint64_t directory)
{
	put(directory, directory_entry, FIXED << PAGE_SHIFT | ALL);
	if (mode > 2)
		put(directory, directory_entry + 1, (FIXED + 1) << PAGE_SHIFT | ALL);
}

/* The address spaces: the window, and nothing else. */
static void build(void)
{
	fill_window(FIXED);
	if (mode > 2)
		link_window(WINDOW >> 21, FIXED + 2);
	for (unsigned r = 0; r < NR_ROOTS; r++) {
		uint64_t root = ROOTS + r;

		if (mode == 2)
			link_window(WINDOW >> 22, root);
		if (mode == 3) {
			put(root, 0, (FIXED + 2) << PAGE_SHIFT | PTE_P);
			put(root, 1, TABLES << PAGE_SHIFT | PTE_P);
			put(root, 2, (TABLES + 1) << PAGE_SHIFT | PTE_P);
		}
		if (mode == 5) {
			put(root, 0, (FIXED + 4 + r) << PAGE_SHIFT | ALL);
			root = FIXED + 4 + r;
		}
		if (mode > 3) {
			put(root, 0, (FIXED + 3) << PAGE_SHIFT | ALL);
			put(FIXED + 3, 0, (FIXED + 2) << PAGE_SHIFT | ALL);
		}
	}
}

/* --- what is accessed, and what that may come to --- */

#define NR_KINDS   6
#define MAX_PAGES  48
#define MAX_CHOICE 64

static const uint32_t kinds[NR_KINDS] = {
	0, PFERR_WRITE, PFERR_USER, PFERR_USER | PFERR_WRITE, PFERR_FETCH, PFERR_USER | PFERR_FETCH,
};

static uint64_t page[MAX_PAGES];
static unsigned nr_pages;

/* A translation or an error code; of a CPU, a page and a kind: all since its last flush. */
static struct choice {
	uint64_t is[MAX_CHOICE];
	unsigned nr;
} choice[SW_CPUS][MAX_PAGES][NR_KINDS];

static void add_page(unsigned top, unsigned l3, unsigned l2, unsigned l1)
{
	uint64_t gva = (uint64_t)l2 << 21 | (uint64_t)l1 << 12;

	if (mode == 2)
		gva = (uint64_t)(top * 256 + l2) << 22 | (uint64_t)(l1 * 2) << 12;
	if (mode == 3)
		gva |= (uint64_t)top << 30;
	if (mode > 3)
		gva |= (uint64_t)top << 39 | (uint64_t)l3 << 30;
	page[nr_pages++] = gva;
}

static void choose_pages(void)
{
	nr_pages = 0;
	for (unsigned top = 1; top < 3; top++) {
		for (unsigned l2 = 0; l2 < 2; l2++) {
			for (unsigned l1 = 0; l1 < 3; l1++) {
				add_page(top, 0, l2, l1);
				if (mode > 3)
					add_page(top, 1, l2 * 2, l1);
			}
		}
	}
}

#define FAULT BIT_ULL(63)

static uint64_t outcome(unsigned cpu, uint64_t gva, uint32_t access)
{
	struct walk_result w;

	if (guest_walk_peek(&sw.mem, &sw.cpu[cpu].paging, GVA(gva), access, &w))
		return FAULT | w.error;
	return w.gpa.v >> PAGE_SHIFT;
}

static bool is_choice(const struct choice *c, uint64_t what)
{
	for (unsigned i = 0; i < c->nr; i++) {
		if (c->is[i] == what)
			return true;
	}
	return false;
}

static void look(unsigned cpu, unsigned p)
{
	for (unsigned k = 0; k < NR_KINDS; k++) {
		struct choice *c = &choice[cpu][p][k];
		uint64_t now = outcome(cpu, page[p], kinds[k]);

		if (!is_choice(c, now))
			c->is[c->nr++ % MAX_CHOICE] = now;
		if (c->nr > MAX_CHOICE)
			c->nr = MAX_CHOICE;
	}
}

/* No table was written since this CPU's last flush of everything. */
static bool quiet[SW_CPUS];

static void look_at_all(void)
{
	for (unsigned cpu = 0; cpu < SW_CPUS; cpu++) {
		for (unsigned p = 0; p < nr_pages; p++)
			look(cpu, p);
	}
}

static void note_write(void)
{
	memset(quiet, 0, sizeof(quiet));
	look_at_all();
}

static void forget(unsigned cpu, unsigned p)
{
	for (unsigned k = 0; k < NR_KINDS; k++)
		choice[cpu][p][k].nr = 0;
	look(cpu, p);
}

static void forget_all(unsigned cpu)
{
	for (unsigned i = 0; i < nr_pages; i++)
		forget(cpu, i);
	quiet[cpu] = true;
}

/* --- what the guests do --- */

static unsigned pick_index(void)
{
	static const unsigned wide[] = {0, 1, 2, 3}, top[] = {1, 2};

	if (mode == 2)
		return sw_random() % 3 * 256 + sw_random() % 5;
	return sw_random() % 8 ? wide[sw_random() % 4] : top[sw_random() % 2];
}

static uint64_t pick_target(void)
{
	switch (sw_random() % 8) {
	case 0:
	case 1:
	case 2:
		return DATA + sw_random() % NR_DATA;
	case 3:
		return sw_random() % 4 ? ROOTS + sw_random() % NR_ROOTS : SW_PAGES + 5;
	default:
		return TABLES + sw_random() % NR_TABLES;
	}
}

static uint64_t pick_entry(void)
{
	uint64_t val = pick_target() << PAGE_SHIFT | PTE_P;

	if (sw_random() % 8 == 0)
		return 0;
	val |= sw_random() & (PTE_RW | PTE_US | PTE_A | PTE_D);
	if (sw_random() % 3)
		val |= ALL;
	if (mode > 2 && sw_random() % 8 == 0)
		val |= PTE_NX;
	if (sw_random() % 10 == 0)
		val = (val & 0xfff) | PTE_PS; /* a large page at 0 */
	if (mode > 2 && sw_random() % 30 == 0)
		val |= BIT_ULL(45);
	return val;
}

/* The entry is not one of the window's, nor of a PDPT. */
static bool is_free(uint64_t gfn, unsigned i)
{
	if (gfn >= TABLES)
		return true;
	if (mode == 2)
		return i != WINDOW >> 22;
	return mode > 3 && i;
}

static void write_table(unsigned cpu)
{
	uint64_t gfn =
		sw_random() % 5 ? TABLES + sw_random() % NR_TABLES : ROOTS + sw_random() % NR_ROOTS;
	unsigned i = pick_index(), size = entry_size();
	uint64_t at = (gfn << PAGE_SHIFT) + i * size, val = pick_entry(), old;

	if (mode == 5 && gfn < TABLES)
		gfn += FIXED + 4 - ROOTS, at = (gfn << PAGE_SHIFT) + i * size;
	if (!is_free(gfn < FIXED ? gfn : gfn >= TABLES ? gfn : ROOTS, i))
		return;
	if (sw_random() % 3 == 0) { /* only its bits */
		old = 0;
		guest_read(&sw.mem, GPA(at), &old, size);
		val = old ^ (BIT_ULL(sw_random() % 7) & (ALL & ~PTE_P));
	}
	sw_store(cpu, WINDOW + at, val, size);
	note_write();
}

static void load_cr3(unsigned cpu)
{
	struct guest_paging p = sw.cpu[cpu].paging;

	p.cr3 = (ROOTS + sw_random() % NR_ROOTS) << PAGE_SHIFT;
	sw_load(cpu, &p);
	forget_all(cpu);
}

static void invlpg(unsigned cpu)
{
	unsigned p = sw_random() % nr_pages;

	sw_invlpg(cpu, page[p]);
	forget(cpu, p);
}

static void toggle(unsigned cpu)
{
	struct guest_paging p = sw.cpu[cpu].paging;

	switch (sw_random() % 4) {
	case 0:
		p.cr0 ^= CR0_WP;
		break;
	case 1:
		p.cr4 ^= CR4_SMEP;
		break;
	case 2:
		p.cr4 ^= CR4_SMAP;
		break;
	default:
		if (mode > 2)
			p.efer ^= EFER_NXE;
	}
	sw_load(cpu, &p);
	forget_all(cpu);
}

/* A random byte order of writes by a device. */
static void device_write(void)
{
	uint64_t at = ((TABLES + sw_random() % NR_TABLES) << PAGE_SHIFT) +
		      pick_index() * entry_size() + sw_random() % 8;
	uint64_t val = sw_random();

	guest_write(&sw.mem, GPA(at), &val, 1 + sw_random() % 8);
	note_write();
}

static void check_marks(unsigned cpu, uint64_t gva, uint32_t access)
{
	struct walk_result w;

	guest_walk_peek(&sw.mem, &sw.cpu[cpu].paging, GVA(gva), access, &w);
	assert_true(w.step[w.last].val & PTE_A);
	if (access & PFERR_WRITE)
		assert_true(w.step[w.last].val & PTE_D);
}

static void access_one(unsigned cpu)
{
	unsigned p = sw_random() % nr_pages, k = sw_random() % NR_KINDS;
	uint64_t hits = sw.hits;
	struct sw_result r = sw_access(cpu, page[p], kinds[k]);
	uint64_t what = r.fault ? FAULT | r.error : r.gpa >> PAGE_SHIFT;

	look_at_all(); /* accessed and dirty bits in tables that are pages, too */
	if (!is_choice(&choice[cpu][p][k], what))
		fail_msg("levels %u: cpu %u, gva %llx, access %x: %llx, now %llx", mode, cpu,
			 (unsigned long long)page[p], kinds[k], (unsigned long long)what,
			 (unsigned long long)outcome(cpu, page[p], kinds[k]));
	if (!r.fault && hits == sw.hits && quiet[cpu])
		check_marks(cpu, page[p], kinds[k]);
}

static void act(void)
{
	unsigned cpu = sw_random() % SW_CPUS;

	switch (sw_random() % 32) {
	case 0:
		load_cr3(cpu);
		break;
	case 1:
	case 2:
		invlpg(cpu);
		break;
	case 3:
		if (sw_random() % 4 == 0)
			toggle(cpu);
		break;
	case 4:
		if (sw_random() % 4 == 0)
			device_write();
		break;
	case 5:
		if (sw_random() % 64 == 0)
			slots_zap_all(&sw.mem);
		shadow_work(sw.s);
		break;
	case 6 ... 15:
		write_table(cpu);
		break;
	default:
		access_one(cpu);
	}
}

/* --- single cases, with 4 levels --- */

/* What is mapped below entry 1 of the first root. */
#define HERE  BIT_ULL(39)
#define THERE (HERE + (1ull << 21))

static void start(unsigned levels);

/* TABLES, TABLES + 1 and TABLES + 2 lead to DATA at HERE, all through entries 0. */
static void start_case(void)
{
	start(4);
	put(ROOTS, 1, TABLES << PAGE_SHIFT | ALL);
	for (unsigned i = 0; i < 2; i++)
		put(TABLES + i, 0, (TABLES + i + 1) << PAGE_SHIFT | ALL);
	put(TABLES + 2, 0, DATA << PAGE_SHIFT | ALL);
}

static uint64_t read_at(uint64_t gva)
{
	return sw_access(0, gva, 0).gpa >> PAGE_SHIFT;
}

static void store_entry(uint64_t table, unsigned i, uint64_t val)
{
	sw_store(0, WINDOW + (table << PAGE_SHIFT) + i * 8, val, 8);
}

/* The guest unmaps a page and does not flush. As a table the page is protected all the same. */
static void test_stale_page_becomes_a_table(void **state)
{
	start_case();
	assert_int_equal(sw_access(0, HERE, PFERR_WRITE).gpa >> PAGE_SHIFT, DATA);
	assert_true(sw_has_cached(DATA));
	put(TABLES + 2, 0, 0);
	assert_true(sw_has_cached(DATA));
	put(TABLES + 1, 1, DATA << PAGE_SHIFT | ALL);
	assert_true(sw_access(0, THERE, 0).fault);
	put(DATA, 0, (DATA + 1) << PAGE_SHIFT | ALL);
	assert_int_equal(read_at(THERE), DATA + 1);
	assert_false(sw_has_cached(DATA));
	sw_destroy();
}

/* The same of a right that a leaf loses while it stays. */
static void test_lost_right_is_flushed(void **state)
{
	struct guest_paging p;

	start_case();
	p = sw.cpu[0].paging;
	p.cr0 &= ~CR0_WP;
	put(TABLES + 2, 0, DATA << PAGE_SHIFT | (ALL & ~PTE_RW));
	sw_load(0, &p);
	assert_non_null(sw_access(0, HERE, PFERR_WRITE).host);
	assert_non_null(sw_access(0, HERE, PFERR_USER).host); /* read-only from here on */
	put(TABLES + 1, 1, DATA << PAGE_SHIFT | ALL);
	put(DATA, 0, (DATA + 1) << PAGE_SHIFT | ALL);
	assert_int_equal(read_at(THERE), DATA + 1);
	assert_false(sw_has_cached(DATA));
	sw_destroy();
}

/* What a table has lost while it was written unseen is not shown to who has never used it. */
static void test_link_to_unsync_page(void **state)
{
	start_case();
	put(TABLES + 2, 1, (DATA + 2) << PAGE_SHIFT | ALL);
	assert_int_equal(read_at(HERE), DATA);
	assert_int_equal(read_at(HERE + PAGE_SIZE), DATA + 2);
	store_entry(TABLES + 2, 0, (DATA + 1) << PAGE_SHIFT | ALL); /* the table is unsync now */
	store_entry(TABLES + 2, 1, (DATA + 3) << PAGE_SHIFT | ALL);
	put(TABLES + 1, 1, (TABLES + 2) << PAGE_SHIFT | ALL);
	assert_int_equal(read_at(THERE), DATA + 1);
	assert_int_equal(read_at(THERE + PAGE_SIZE), DATA + 3);
	sw_destroy();
}

/* A supervisor that may write to a read-only user page must not come to read it against SMAP. */
static void test_write_without_wp_under_smap(void **state)
{
	struct guest_paging p;

	start_case();
	p = sw.cpu[0].paging;
	p.cr0 &= ~CR0_WP;
	p.cr4 |= CR4_SMAP;
	put(TABLES + 2, 0, DATA << PAGE_SHIFT | (ALL & ~PTE_RW));
	sw_load(0, &p);
	assert_null(sw_access(0, HERE, PFERR_WRITE | WALK_AC).host);
	assert_true(sw_access(0, HERE, 0).fault);
	sw_destroy();
}

/* --- the test of each mode --- */

static void start(unsigned levels)
{
	struct guest_paging p = {
		.cr0 = CR0_PE | CR0_PG | CR0_WP,
		.cr3 = ROOTS << PAGE_SHIFT,
		.cr4 = (levels == 2 ? CR4_PSE : CR4_PAE) | (levels == 5 ? CR4_LA57 : 0),
		.efer = levels == 2 ? 0 : EFER_NXE | (levels > 3 ? EFER_LME | EFER_LMA : 0),
	};

	mode = levels;
	sw_create();
	build();
	choose_pages();
	memset(choice, 0, sizeof(choice));
	for (unsigned i = 0; i < SW_CPUS; i++)
		sw_load(i, &p);
	look_at_all();
}

static unsigned steps = 4000;

static void run(unsigned levels, uint64_t seed)
{
	sw_seed(seed);
	start(levels);
	for (unsigned i = 0; i < steps; i++) {
		const char *bad;

		act();
		bad = i % 16 ? NULL : shadow_audit(sw.s);
		if (bad)
			fail_msg("levels %u, seed %llu, step %u: %s", levels,
				 (unsigned long long)seed, i, bad);
	}
	assert_in_range(sw.hits, steps / 100, ~0u); /* it was about something */
	assert_in_range(sw.results[RET_PF_FIXED], steps / 50, ~0u);
	sw_destroy();
}

#define SEEDS 6

static void run_seeds(unsigned levels)
{
	for (uint64_t seed = 1; seed <= SEEDS; seed++)
		run(levels, seed);
}

static void test_random_guest_of_2_levels(void **state)
{
	run_seeds(2);
}

static void test_random_guest_of_pae(void **state)
{
	run_seeds(3);
}

static void test_random_guest_of_4_levels(void **state)
{
	run_seeds(4);
}

static void test_random_guest_of_5_levels(void **state)
{
	run_seeds(5);
}

/* Without paging each address is its own. */
static void test_no_paging(void **state)
{
	struct guest_paging p = {.cr0 = CR0_PE};

	sw_create();
	sw_load(0, &p);
	for (uint64_t gfn = 0; gfn < SW_PAGES; gfn += 37)
		assert_int_equal(sw_access(0, gfn << PAGE_SHIFT, PFERR_WRITE).gpa,
				 gfn << PAGE_SHIFT);
	assert_null(sw_access(0, 0xfee00000, 0).host);
	sw_destroy();
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_no_paging),
		cmocka_unit_test(test_stale_page_becomes_a_table),
		cmocka_unit_test(test_lost_right_is_flushed),
		cmocka_unit_test(test_link_to_unsync_page),
		cmocka_unit_test(test_write_without_wp_under_smap),
		cmocka_unit_test(test_random_guest_of_2_levels),
		cmocka_unit_test(test_random_guest_of_pae),
		cmocka_unit_test(test_random_guest_of_4_levels),
		cmocka_unit_test(test_random_guest_of_5_levels),
	};

	if (argc > 3) { /* levels, seed, steps: one run again */
		steps = (unsigned)strtoul(argv[3], NULL, 0);
		run((unsigned)strtoul(argv[1], NULL, 0), strtoull(argv[2], NULL, 0));
		return 0;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
