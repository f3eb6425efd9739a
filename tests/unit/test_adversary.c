/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The adversarial CPU itself: what a flush drops and what it leaves, walks of one-dimensional
 * tables and what an engine with a flush too few looks like there, and the scheduler of CPUs.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "arch/x86/regs.h"
#include "mm/frames.h"
#include "tests/unit/support/adversary_sched.h"
#include "tests/unit/support/adversary_walk.h"
#include "tests/unit/support/host.h"

static struct adv_cpu cpu;

/* --- what a flush names --- */

#define TAGS    2
#define PCIDS   2
#define FRAMES  2
#define PAGE(i) (0x40000ull + (i)*0x1000) /* not below the same tables of levels 1 and 2 */

/* Every kind of entry once: of each tag and PCID, global or not, and the tables of levels 1, 2. */
static void fill(void)
{
	adv_flush_tlb(&cpu.tlb);
	for (unsigned i = 0; i < TAGS * PCIDS * FRAMES; i++) {
		struct adv_translation t = {
			.frame = PAGE(i & 1),
			.nr_pages = 1,
			.pfn = i + 1,
			.tag = i >> 1 & 1,
			.pcid = i >> 2,
		};

		adv_keep_translation(&cpu.tlb, &t);
		t.global = true;
		adv_keep_translation(&cpu.tlb, &t);
		for (unsigned level = 1; level <= 2; level++) {
			struct adv_table table = {
				.frame = adv_table_frame(t.frame, level),
				.level = level,
				.tag = t.tag,
				.pcid = t.pcid,
			};

			adv_keep_table(&cpu.tlb, &table);
		}
	}
}

/* All entries are of one of these kinds; `tables`: level 1 tables, level 2 is shared by pages. */
static void expect_left(unsigned pages, unsigned globals, unsigned tables)
{
	unsigned nr_globals = 0, nr_tables = 0;

	for (unsigned i = 0; i < cpu.tlb.nr_pages; i++)
		nr_globals += cpu.tlb.page[i].global;
	for (unsigned i = 0; i < cpu.tlb.nr_tables; i++)
		nr_tables += cpu.tlb.table[i].level == 1;
	assert_int_equal(cpu.tlb.nr_pages - nr_globals, pages);
	assert_int_equal(nr_globals, globals);
	assert_int_equal(nr_tables, tables);
}

static void test_what_a_flush_names(void **state)
{
	fill();
	expect_left(8, 8, 8);
	adv_invlpg(&cpu.tlb, 0, 0, PAGE(0));
	expect_left(7, 6, 6); /* the global ones of both PCIDs; all tables of this one */
	fill();
	adv_invpcid(&cpu.tlb, 0, ADV_PCID_ADDRESS, 1, PAGE(0));
	expect_left(7, 8, 6);
	fill();
	adv_invpcid(&cpu.tlb, 0, ADV_PCID_ONE, 1, 0);
	expect_left(6, 8, 6);
	fill();
	adv_invpcid(&cpu.tlb, 0, ADV_PCID_ALL, 0, 0);
	expect_left(4, 4, 4);
	fill();
	adv_invpcid(&cpu.tlb, 0, ADV_PCID_ALL_BUT_GLOBAL, 0, 0);
	expect_left(4, 8, 4);
	fill();
	adv_load_cr3(&cpu.tlb, 1, 0, false);
	expect_left(6, 8, 6);
	adv_load_cr3(&cpu.tlb, 1, 1, true);
	expect_left(6, 8, 6);
	fill();
	adv_invvpid(&cpu.tlb, ADV_VPID_ADDRESS, 1, PAGE(1));
	expect_left(6, 6, 6); /* of both PCIDs, and the tables of this address */
	fill();
	adv_invvpid(&cpu.tlb, ADV_VPID_ONE_BUT_GLOBAL, 1, 0);
	expect_left(4, 8, 4);
	fill();
	adv_invlpga(&cpu.tlb, 1, PAGE(1));
	expect_left(6, 6, 6);
	fill();
	adv_flush_tag(&cpu.tlb, 1);
	expect_left(4, 4, 4);
	adv_invvpid(&cpu.tlb, ADV_VPID_ALL, 0, 0);
	expect_left(0, 0, 0);
}

static void test_a_fault_drops_its_address(void **state)
{
	fill();
	adv_drop_fault(&cpu.tlb, 0, 0, PAGE(0));
	expect_left(7, 6, 7); /* one table of level 1; that of another address stays */
}

/* A large page goes with any address in it. */
static void test_large_page_is_one(void **state)
{
	const struct adv_translation t = {.frame = 0x200, .nr_pages = 512, .pfn = 0x200};

	adv_flush_tlb(&cpu.tlb);
	adv_keep_translation(&cpu.tlb, &t);
	adv_invlpg(&cpu.tlb, 0, 0, 0x400);
	expect_left(0 + 1, 0, 0);
	adv_invlpg(&cpu.tlb, 0, 0, 0x3ff);
	expect_left(0, 0, 0);
}

/* --- one-dimensional tables, and a small engine that shadows a guest's --- */

#define P  BIT_ULL(0)
#define W  BIT_ULL(1)
#define U  BIT_ULL(2)
#define A  BIT_ULL(5)
#define D  BIT_ULL(6)
#define G  BIT_ULL(8)
#define NX BIT_ULL(63)

#define USER_READ  (ADV_READ | ADV_USER)
#define USER_WRITE (ADV_READ | ADV_WRITE | ADV_USER)

static const struct adv_format legacy = {
	.present = P,
	.write = W,
	.user = U,
	.nx = NX,
	.global = G,
	.accessed = A,
	.dirty = D,
	.large = BIT_ULL(7),
	.levels = 4,
};

static spte_t *root;

static void *new_table(void)
{
	return page_zalloc();
}

/* The entry of level 1 for a page, below tables that allow everything. */
static spte_t *entry_of(uint64_t frame, unsigned want)
{
	spte_t *table = root;

	for (unsigned level = 4; level > want; level--) {
		spte_t *e = &table[spte_index(GFN(frame), level)];

		if (!*e)
			*e = host_pa(new_table()).v | P | W | U;
		table = host_va(spte_address(*e));
	}
	return &table[spte_index(GFN(frame), want)];
}

static int start_legacy(void **state)
{
	host_arena_with_frames(16ull << 20);
	root = new_table();
	memset(&cpu, 0, sizeof(cpu));
	cpu.format = &legacy;
	cpu.root = root;
	cpu.wp = true;
	adv_seed(1);
	return 0;
}

static void expect_fault(uint64_t frame, unsigned rights, uint32_t error)
{
	struct adv_result r = adv_cpu_access(&cpu, frame, rights);

	assert_int_equal(r.pfn, 0);
	assert_int_equal(r.error, error);
}

static void test_rights_of_the_whole_walk(void **state)
{
	*entry_of(5, 1) = 0x77000 | P | W | U;
	assert_int_equal(adv_cpu_access(&cpu, 5, USER_WRITE).pfn, 0x77);
	assert_int_equal(*entry_of(5, 1), 0x77000 | P | W | U | A | D);
	assert_true(*entry_of(5, 3) & A);
	adv_flush_tlb(&cpu.tlb);
	*entry_of(5, 2) &= ~W;
	expect_fault(5, USER_WRITE, PFERR_PRESENT | PFERR_WRITE | PFERR_USER);
	assert_int_equal(adv_cpu_access(&cpu, 5, USER_READ).pfn, 0x77);
	*entry_of(5, 3) &= ~U;
	*entry_of(5, 4) |= NX;
	adv_flush_tlb(&cpu.tlb);
	expect_fault(5, USER_READ, PFERR_PRESENT | PFERR_USER);
	expect_fault(5, ADV_READ | ADV_EXEC, PFERR_PRESENT | PFERR_FETCH);
	assert_int_equal(adv_cpu_access(&cpu, 5, ADV_READ).pfn, 0x77);
	expect_fault(5, ADV_READ | ADV_WRITE, PFERR_PRESENT | PFERR_WRITE);
	cpu.wp = false;
	assert_int_equal(adv_cpu_access(&cpu, 5, ADV_READ | ADV_WRITE).pfn, 0x77);
	expect_fault(6, USER_READ, PFERR_USER);
}

/* How often of many an access gets this far: caches may serve it or not. */
static unsigned count_hits(uint64_t frame, unsigned rights)
{
	unsigned hits = 0;

	for (unsigned i = 0; i < 64; i++) {
		struct adv_cpu before = cpu; /* a fault drops what it used */

		hits += adv_cpu_access(&cpu, frame, rights).pfn != 0;
		cpu = before;
	}
	return hits;
}

/* The engine makes an entry worse, and then flushes: enough, or too little. */
static unsigned hits_after(uint64_t old, void (*flush)(void))
{
	start_legacy(NULL);
	cpu.pcid = 3;
	*entry_of(5, 1) = 0x77000 | old;
	assert_int_equal(adv_cpu_access(&cpu, 5, USER_WRITE).pfn, 0x77);
	*entry_of(5, 1) = 0;
	flush();
	return count_hits(5, USER_READ);
}

static void no_flush(void) {}

static void flush_page(void)
{
	adv_invlpg(&cpu.tlb, 0, 3, 5);
}

static void flush_page_in_wrong_space(void)
{
	adv_invlpg(&cpu.tlb, 0, 2, 5);
}

static void flush_wrong_tag(void)
{
	adv_flush_tag(&cpu.tlb, 1);
}

static void flush_page_but_global(void)
{
	adv_invpcid(&cpu.tlb, 0, ADV_PCID_ADDRESS, 3, 5);
}

static void load_cr3(void)
{
	adv_load_cr3(&cpu.tlb, 0, 3, false);
}

static void test_finds_a_flush_too_few(void **state)
{
	assert_true(hits_after(P | W | U, no_flush));
	assert_true(hits_after(P | W | U, flush_page_in_wrong_space));
	assert_true(hits_after(P | W | U, flush_wrong_tag));
	assert_false(hits_after(P | W | U, flush_page));
	assert_false(hits_after(P | W | U, flush_page_but_global));
	assert_false(hits_after(P | W | U, load_cr3));
	assert_true(hits_after(P | W | U | G, flush_page_but_global));
	assert_true(hits_after(P | W | U | G, load_cr3));
	assert_false(hits_after(P | W | U | G, flush_page));
}

/* Rights are kept with a table: W taken above it binds nobody who begins there. */
static void test_finds_a_table_with_its_rights(void **state)
{
	*entry_of(5, 1) = 0x77000 | P | W | U;
	*entry_of(6, 1) = 0x78000 | P | W | U;
	assert_int_equal(adv_cpu_access(&cpu, 5, USER_WRITE).pfn, 0x77);
	*entry_of(5, 3) &= ~W;
	assert_true(count_hits(6, USER_WRITE));
	adv_invlpg(&cpu.tlb, 0, 0, 5);
	assert_false(count_hits(6, USER_WRITE));
}

/* A page that was only read is not written to without a look at its entry. */
static void test_a_write_looks_for_dirty(void **state)
{
	*entry_of(5, 1) = 0x77000 | P | W | U;
	assert_int_equal(adv_cpu_access(&cpu, 5, USER_READ).pfn, 0x77);
	*entry_of(5, 1) = 0x77000 | P | U | A;
	assert_false(count_hits(5, USER_WRITE));
}

/* --- the scheduler --- */

static char order[4096];
static unsigned nr_order;

static void say_often(unsigned id)
{
	for (unsigned i = 0; i < 50; i++) {
		order[nr_order++] = (char)('0' + id);
		assert_int_equal(host_cpu_id(), id); /* a point, too */
	}
}

static void test_a_seed_is_an_order(void **state)
{
	char first[sizeof(order)];
	unsigned different = 0;

	for (unsigned seed = 1; seed <= 10; seed++) {
		for (unsigned again = 0; again < 2; again++) {
			char before[sizeof(order)];

			memcpy(before, order, sizeof(order));
			memset(order, 0, sizeof(order));
			nr_order = 0;
			assert_true(adv_sched_run(seed, 3, 100000, say_often));
			assert_int_equal(nr_order, 150);
			if (again)
				assert_string_equal(before, order);
		}
		if (seed == 1)
			memcpy(first, order, sizeof(order));
		different += strcmp(first, order) != 0;
	}
	assert_true(different > 5);
	host_set_cpu(0);
}

static unsigned number;

static void count_badly(unsigned id)
{
	unsigned seen = number;

	adv_sched_point();
	number = seen + 1;
}

static void test_finds_a_lost_update(void **state)
{
	unsigned lost = 0;

	for (unsigned seed = 1; seed <= 20; seed++) {
		number = 0;
		assert_true(adv_sched_run(seed, 2, 1000, count_badly));
		lost += number == 1;
	}
	assert_in_range(lost, 1, 19);
}

static bool has[2];

static void wait_for_the_other(unsigned id)
{
	while (!has[!id])
		cpu_relax();
	has[id] = true;
}

static struct spinlock lock = SPINLOCK_INIT;

static void take_lock(unsigned id)
{
	for (unsigned i = 0; i < 20; i++) {
		spin_lock(&lock);
		adv_sched_point();
		spin_unlock(&lock);
	}
}

/* CPUs that spin for each other are found, and those that only spin for a while are not. */
static void test_finds_a_deadlock(void **state)
{
	has[0] = has[1] = false;
	assert_false(adv_sched_run(1, 2, 1000, wait_for_the_other));
	has[0] = true;
	assert_true(adv_sched_run(1, 2, 1000, wait_for_the_other));
	assert_true(adv_sched_run(1, 3, 10000, take_lock));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_a_flush_names),
		cmocka_unit_test(test_a_fault_drops_its_address),
		cmocka_unit_test(test_large_page_is_one),
		cmocka_unit_test_setup(test_rights_of_the_whole_walk, start_legacy),
		cmocka_unit_test(test_finds_a_flush_too_few),
		cmocka_unit_test_setup(test_finds_a_table_with_its_rights, start_legacy),
		cmocka_unit_test_setup(test_a_write_looks_for_dirty, start_legacy),
		cmocka_unit_test(test_a_seed_is_an_order),
		cmocka_unit_test(test_finds_a_lost_update),
		cmocka_unit_test(test_finds_a_deadlock),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
