/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A guest that has Umbra make as many page tables for it as it can, again and again: by its dirty
 * log, by devices where there are none, by the test device's port that drops pages (way=attack);
 * and one that comes to need many when the other has had time for that (way=victim, which is also
 * what it does without a word). tests/harness/boot.py runs both on a machine whose memory is used
 * up. run: vcpus=1
 */
#include <string.h>

#include "boot.h"
#include "clock.h"
#include "hypercall.h"
#include "ktap.h"
#include "paging.h"

#define HOLE          0xd0000000ul /* no memory, no device, for 256 MiB */
#define TESTDEV_FLUSH 0xe4
#define WAIT_MS       2000

static unsigned long start, end;

/* One page in each `step` bytes: with 2M each needs a table of its own where pages are small. */
static void write_all(unsigned long step)
{
	for (unsigned long va = start; va < end; va += step)
		*(volatile uint64_t *)va = va;
}

static bool is_all_there(unsigned long step)
{
	for (unsigned long va = start; va < end; va += step) {
		if (*(volatile uint64_t *)va != va)
			return false;
	}
	return true;
}

/* The 64-bit payload's own tables map 4 GiB, and this reads what is not there. */
static void look_for_devices(void)
{
	for (unsigned long gpa = HOLE; gpa < HOLE + 128 * SIZE_2M; gpa += SIZE_2M)
		(void)*(volatile uint32_t *)gpa;
}

static void drop_pages(void)
{
	for (unsigned long gpa = start; gpa < end; gpa += SIZE_2M)
		outl(TESTDEV_FLUSH, (uint32_t)gpa);
}

static void attack(void)
{
	for (unsigned i = 0;; i++) {
		write_all(SIZE_2M);
		hypercall(HC_DIRTY_START, 0);
		if (!i) {
			printf("# attacker: has its tables\n");
			delay_us(3 * WAIT_MS * 1000); /* and needs no more: the other does */
		}
		write_all(SIZE_2M);
		look_for_devices();
		drop_pages();
		hypercall(HC_DIRTY_STOP, 0);
	}
}

TEST(memory_that_is_touched_late)
{
	const char *way = boot_option("way");

	pages_rest(&start, &end);
	if (way && !strncmp(way, "attack", 6))
		attack();
	delay_us(WAIT_MS * 1000);
	write_all(SIZE_2M);
	write_all(PAGE_SIZE);
	CHECK(is_all_there(PAGE_SIZE));
}

TEST(done)
{
	printf("# victim: unharmed\n");
}
