/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The dirty log of the guest's own memory: what was written, by its CPUs, by their walks of page
 * tables and by Umbra's emulation, is reported, and nothing else is; with one CPU and with two that
 * write while one of them collects. run: dirtylog=1
 */
#include <string.h>

#include "apic.h"
#include "boot.h"
#include "cpu.h"
#include "hypercall.h"
#include "ktap.h"
#include "paging.h"
#include "random.h"

#define PAGES   2048u /* more than a CPU's own log has room for; several large pages */
#define WORDS   (PAGES / 64)
#define WAIT_MS 60000

#define NEED_UMBRA SKIP_UNLESS(is_umbra(), "no Umbra underneath")

static uint8_t *memory; /* PAGES of them, all written before; what else is written lies outside */
static uint64_t bitmap[WORDS] __attribute__((aligned(4096)));

static long collect(void)
{
	return hypercall3(HC_DIRTY_COLLECT, (unsigned long)memory, PAGES, (unsigned long)bitmap);
}

static volatile uint64_t *page(unsigned i)
{
	return (volatile uint64_t *)(memory + i * PAGE_SIZE);
}

static bool is_reported(unsigned i)
{
	return bitmap[i / 64] >> (i % 64) & 1;
}

static void prepare(void)
{
	if (!memory)
		memory = pages_alloc(PAGES * PAGE_SIZE, SIZE_2M);
	CHECK_EQ(hypercall(HC_DIRTY_START, 0), 0);
	CHECK(collect() >= 0);
}

static void finish(void)
{
	CHECK_EQ(hypercall(HC_DIRTY_STOP, 0), 0);
}

/* The last collection is exactly what `written` says. */
static void check_report(const uint64_t *written)
{
	for (unsigned i = 0; i < WORDS; i++)
		CHECK_EQ(bitmap[i], written[i]);
}

TEST(off_is_off)
{
	NEED_UMBRA;
	CHECK_EQ(hypercall3(HC_DIRTY_COLLECT, 0, 64, (unsigned long)bitmap), HC_ENOENT);
	CHECK_EQ(hypercall(HC_DIRTY_STOP, 0), HC_ENOENT);
}

TEST(wrong_arguments)
{
	unsigned long buf = (unsigned long)bitmap;

	NEED_UMBRA;
	prepare();
	CHECK_EQ(hypercall(HC_DIRTY_START, 0), HC_EEXIST);
	CHECK_EQ(hypercall3(HC_DIRTY_COLLECT, 1, 64, buf), HC_EINVAL);
	CHECK_EQ(hypercall3(HC_DIRTY_COLLECT, PAGE_SIZE, 64, buf), HC_EINVAL);
	CHECK_EQ(hypercall3(HC_DIRTY_COLLECT, 0, 0, buf), HC_EINVAL);
	CHECK_EQ(hypercall3(HC_DIRTY_COLLECT, 0, 63, buf), HC_EINVAL);
	CHECK_EQ(hypercall3(HC_DIRTY_COLLECT, 0, 8192 + 64, buf), HC_EINVAL);
	CHECK_EQ(hypercall3(HC_DIRTY_COLLECT, 0, ~0ul, buf), HC_EINVAL);
	CHECK_EQ(hypercall3(HC_DIRTY_COLLECT, 0, ~0ul << 6, buf), HC_EINVAL);
	CHECK_EQ(hypercall3(HC_DIRTY_COLLECT, ~0ul, 64, buf), HC_EINVAL);
	CHECK_EQ(hypercall3(HC_DIRTY_COLLECT, ~0ul << 18, 64, buf), HC_EINVAL);
	CHECK_EQ(hypercall3(HC_DIRTY_COLLECT, 1ul << 52, 64, buf), HC_EINVAL);
	CHECK_EQ(hypercall3(HC_DIRTY_COLLECT, 0, 64, 0xf0000000), HC_EFAULT); /* no memory there */
	CHECK_EQ(hypercall3(HC_DIRTY_COLLECT, 0, 64, ~0ul), HC_EFAULT);
	CHECK_EQ(hypercall3(HC_DIRTY_COLLECT, 0, 64, ~0ul - 7), HC_EFAULT);
	CHECK_EQ(hypercall3(HC_DIRTY_COLLECT, 0, 64, 1ul << 63), HC_EFAULT);
	/* Where there is no memory nothing is written. */
	memset(bitmap, 0xff, sizeof(bitmap));
	CHECK_EQ(hypercall3(HC_DIRTY_COLLECT, 0xf0000000, 128, buf), 0);
	CHECK(bitmap[0] == 0 && bitmap[1] == 0 && bitmap[2] == ~0ull);
	finish();
}

TEST(a_refused_call_takes_nothing)
{
	NEED_UMBRA;
	prepare();
	*page(5) = 1;
	CHECK_EQ(hypercall3(HC_DIRTY_COLLECT, (unsigned long)memory, PAGES, 0xf0000000), HC_EFAULT);
	CHECK_EQ(collect(), 1);
	CHECK(is_reported(5));
	finish();
}

TEST(exactly_what_was_written)
{
	uint64_t written[WORDS];

	NEED_UMBRA;
	prepare();
	for (unsigned round = 0; round < 6; round++) {
		long n = 0;

		random_fill(written, sizeof(written));
		for (unsigned i = 0; i < PAGES; i++) {
			if (!(written[i / 64] >> (i % 64) & 1))
				continue;
			page(i)[i % 512] = round;
			n++;
		}
		CHECK_EQ(collect(), n);
		check_report(written);
	}
	CHECK_EQ(collect(), 0);
	finish();
}

/* All translations go, also while those before are still being freed. Nothing is lost. */
TEST(zap_loses_nothing)
{
	uint64_t written[WORDS];

	NEED_UMBRA;
	prepare();
	for (unsigned round = 0; round < 20; round++) {
		memset(written, 0, sizeof(written));
		for (unsigned i = round % 7; i < PAGES; i += 7) {
			page(i)[1] = round + i;
			written[i / 64] |= 1ull << (i % 64);
			if (i % 64 < 7)
				CHECK_EQ(hypercall(HC_ZAP, 0), 0);
		}
		CHECK_EQ(hypercall(HC_ZAP, 0), 0);
		CHECK(collect() > 0);
		check_report(written);
		for (unsigned i = round % 7; i < PAGES; i += 7)
			CHECK_EQ(page(i)[1], round + i);
	}
	finish();
}

TEST(reading_is_not_writing)
{
	uint64_t sum = 0;

	NEED_UMBRA;
	prepare();
	for (unsigned i = 0; i < PAGES; i++)
		sum += *page(i);
	CHECK_EQ(collect(), 0);
	printf("# sum %llx\n", (unsigned long long)sum);
	finish();
}

/* The first write of a round after reads, after writes of the round before, and after nothing. */
TEST(each_round_anew)
{
	NEED_UMBRA;
	prepare();
	for (unsigned round = 0; round < 20; round++) {
		(void)*page(round);
		*page(round) = round;
		*page(7) = round;
		*page(7) = round + 1;
		CHECK_EQ(collect(), round == 7 ? 1 : 2);
		CHECK(is_reported(7) && is_reported(round));
	}
	finish();
}

TEST(all_pages_at_once)
{
	NEED_UMBRA;
	prepare();
	for (unsigned round = 0; round < 3; round++) {
		for (unsigned i = 0; i < PAGES; i++)
			*page(i) += 1;
		CHECK_EQ(collect(), PAGES);
	}
	finish();
}

/* What a walk sets in the guest's tables is a write to them. */
TEST(walks_write_to_page_tables)
{
	NEED_UMBRA;
	SKIP_UNLESS(!boot_option("walks"), "the emulator writes to page tables unasked");
	prepare();
	map_page(TEST_VA, 1, (uintptr_t)page(1) | PTE_P | PTE_W | PTE_A | PTE_D);
	*pte_get(TEST_VA, 2) = (uintptr_t)page(0) | PTE_P | PTE_W | PTE_A; /* its table: page 0 */
	*page(0) = (uintptr_t)page(1) | PTE_P | PTE_W;
	invlpg((void *)TEST_VA);
	CHECK_EQ(collect(), 1);
	(void)*(volatile uint64_t *)TEST_VA;
	CHECK(*page(0) & PTE_A);
	CHECK(collect() >= 1);
	CHECK(is_reported(0));
	*(volatile uint64_t *)TEST_VA = 1;
	CHECK(*page(0) & PTE_D);
	CHECK_EQ(collect(), 2);
	CHECK(is_reported(0) && is_reported(1));
	finish();
}

/* Instructions that Umbra executes in the CPU's place. */
TEST(emulated_writes)
{
	void *to = (void *)page(3), *from = (void *)IOAPIC_PA;
	unsigned long n = 8;

	NEED_UMBRA;
	prepare();
	__asm__ volatile("rep insb" : "+D"(to), "+c"(n) : "d"(0x80) : "memory");
	CHECK_EQ(collect(), 1);
	CHECK(is_reported(3));
	to = (void *)page(70);
	__asm__ volatile("movsl" : "+D"(to), "+S"(from) : : "memory");
	CHECK_EQ(collect(), 1);
	CHECK(is_reported(70));
	CHECK(hypercall3(HC_DIRTY_COLLECT, 0, 64, (uintptr_t)page(99)) >= 0);
	CHECK_EQ(collect(), 1);
	CHECK(is_reported(99));
	finish();
}

/* --- two CPUs --- */

static volatile bool stop;

static unsigned pick(uint64_t *seed)
{
	*seed = *seed * 6364136223846793005 + 1442695040888963407;
	return *seed >> 33;
}

/* Each CPU has every other word of the pages for itself, and counts up in it. */
static void write_at_random(void *arg)
{
	uint64_t seed = (uintptr_t)arg;

	for (unsigned i = 0; !stop; i++) {
		unsigned at = pick(&seed);

		/* Near each other for a while, so that pages stay dirty and change. */
		page((at % 32 + i / 64) % PAGES)[(uintptr_t)arg] += 1;
	}
}

static uint64_t copy[PAGES][2];

static void copy_reported(void)
{
	for (unsigned i = 0; i < PAGES; i++) {
		if (!is_reported(i))
			continue;
		copy[i][0] = page(i)[0];
		copy[i][1] = page(i)[1];
	}
}

static unsigned count_lost(void)
{
	unsigned lost = 0;

	for (unsigned i = 0; i < PAGES; i++)
		lost += copy[i][0] != page(i)[0] || copy[i][1] != page(i)[1];
	return lost;
}

/* As a migration: what the log names is copied; in the end the copy is the memory. */
static void migrate(bool other)
{
	uint64_t seed = 1, reported = 0;
	uint64_t end = 300;

	prepare();
	for (unsigned i = 0; i < PAGES; i++)
		bitmap[i / 64] = ~0ull;
	copy_reported();
	stop = false;
	if (other)
		smp_run(1, write_at_random, (void *)1);
	for (unsigned round = 0; round < end; round++) {
		for (unsigned i = pick(&seed) % 200; i; i--)
			page(pick(&seed) % 64 + round)[0] += 1;
		reported += (unsigned long)collect();
		copy_reported();
	}
	stop = true;
	if (other)
		CHECK(smp_wait(1, WAIT_MS));
	reported += (unsigned long)collect();
	copy_reported();
	CHECK_EQ(count_lost(), 0);
	CHECK(reported > end);
	printf("# %llu pages\n", (unsigned long long)reported);
	finish();
}

TEST(migration)
{
	NEED_UMBRA;
	migrate(false);
}

TEST(migration_with_another_writer)
{
	NEED_UMBRA;
	NEED_CPUS(2);
	migrate(true);
}

/* Both CPUs write, and each collects: what one takes away the other does not see, but one does. */
static uint64_t seen[2][WORDS], mine[2][WORDS] __attribute__((aligned(4096)));
static volatile unsigned ready;

static void write_and_collect(void *arg)
{
	unsigned me = (unsigned)(uintptr_t)arg;
	uint64_t seed = me + 5;

	__atomic_add_fetch(&ready, 1, __ATOMIC_SEQ_CST);
	while (ready < 2)
		pause();
	for (unsigned round = 0; round < 100; round++) {
		for (unsigned i = 0; i < 30; i++)
			page(pick(&seed) % PAGES / 2 * 2 + me)[me] += 1;
		CHECK(hypercall3(HC_DIRTY_COLLECT, (uintptr_t)memory, PAGES, (uintptr_t)mine[me]) >=
		      0);
		for (unsigned i = 0; i < WORDS; i++)
			seen[me][i] |= mine[me][i];
	}
}

TEST(two_collectors)
{
	NEED_UMBRA;
	NEED_CPUS(2);
	prepare();
	memset(memory, 0, PAGES * PAGE_SIZE);
	collect();
	ready = 0;
	smp_run(1, write_and_collect, (void *)1);
	write_and_collect(NULL);
	CHECK(smp_wait(1, WAIT_MS));
	collect();
	for (unsigned i = 0; i < PAGES; i++) {
		bool was = page(i)[0] || page(i)[1];
		uint64_t all = seen[0][i / 64] | seen[1][i / 64] | bitmap[i / 64];

		CHECK_EQ(all >> (i % 64) & 1, was);
	}
	finish();
}

static bool is_one_of(long got, long a, long b, long c)
{
	return got == a || got == b || got == c;
}

/* Everything at the same time on both: nobody waits for ever, and each call says what it found. */
static void all_calls(void *arg)
{
	uint64_t buf[1];

	for (unsigned round = 0; round < 60; round++) {
		long n;

		CHECK(is_one_of(hypercall(HC_DIRTY_START, 0), 0, HC_EEXIST, HC_EBUSY));
		page(round)[1] += 1;
		n = hypercall3(HC_DIRTY_COLLECT, (uintptr_t)memory, 64, (uintptr_t)buf);
		CHECK(n >= 0 || is_one_of(n, HC_ENOENT, HC_EBUSY, HC_EBUSY));
		CHECK(is_one_of(hypercall(HC_DIRTY_STOP, 0), 0, HC_ENOENT, HC_EBUSY));
	}
}

TEST(all_calls_at_once)
{
	NEED_UMBRA;
	NEED_CPUS(2);
	smp_run(1, all_calls, NULL);
	all_calls(NULL);
	CHECK(smp_wait(1, WAIT_MS));
	CHECK_EQ(hypercall(HC_DIRTY_STOP, 0), HC_ENOENT);
}

/* Memory is as before, and as fast as before: large pages are back. */
TEST(it_ends)
{
	NEED_UMBRA;
	prepare();
	finish();
	for (unsigned i = 0; i < PAGES; i++)
		*page(i) = i;
	for (unsigned i = 0; i < PAGES; i++)
		CHECK_EQ(*page(i), i);
	CHECK_EQ(collect(), HC_ENOENT);
}
