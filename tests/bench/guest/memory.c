/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Rows of memory: touched for the first time, after all translations were dropped, while writes are
 * logged. Mapped by 4K and by 2M entries of the guest's own tables.
 */
#include <string.h>

#include "ktap.h"
#include "paging.h"
#include "tests/bench/guest/host.h"
#include "tests/bench/guest/rows.h"

#define PAGES    (REGION / PAGE_SIZE)
#define SPACE_VA TEST_VA
#define AGAIN_VA (TEST_VA + (1ul << 39)) /* another entry of the PML4 */

/* Map [va, va + REGION) to the arena's first part by 4K entries. */
static void map_small(unsigned long va)
{
	for (unsigned long off = 0; off < REGION; off += SIZE_2M) {
		pte_t *table = pte_get(va + off, 1);

		for (unsigned i = 0; i < 512; i++)
			table[i] = (arena() + off + i * PAGE_SIZE) | PTE_P | PTE_W | PTE_A | PTE_D;
	}
}

static void time_first_touch(void)
{
	map_small(SPACE_VA);
	time_touch("pop_w_4k_first", SPACE_VA, REGION);
	time_touch("pop_w_4k_second", SPACE_VA, REGION);
	time_touch("pop_w_2m_first", arena() + REGION, REGION);
	time_touch("pop_w_2m_second", arena() + REGION, REGION);
	map_small(AGAIN_VA);
	time_touch("remap_newspace_first", AGAIN_VA, REGION);
	time_touch("remap_newspace_second", AGAIN_VA, REGION);
}

static void time_zap(void)
{
	time_touch("zap64M_populate", arena(), REGION);
	TIME_CODE("zap64M_host", PAGES, host_zap());
	time_touch("zap64M_repopulate", arena(), REGION);
	time_touch("zap64M_4kpte_populate", SPACE_VA, REGION);
	TIME_CODE("zap64M_4kpte_host", PAGES, host_zap());
	time_touch("zap64M_4kpte_repopulate", SPACE_VA, REGION);
}

static void time_dirty_log(void)
{
	TIME_CODE("dirtylog_on_host", PAGES, host_dirty_start());
	time_touch("dirtylog_write1", SPACE_VA, REGION);
	time_touch("dirtylog_write1_again", SPACE_VA, REGION);
	TIME_CODE("dirtylog_get_host", PAGES, host_dirty_collect());
	time_touch("dirtylog_write2", SPACE_VA, REGION);
	TIME_CODE("dirtylog_get_host2", PAGES, host_dirty_collect());
	TIME_CODE("dirtylog_off_host", PAGES, host_dirty_stop());
	time_touch("dirtylog_off_write", SPACE_VA, REGION);
}

void time_memory(void)
{
	if (arena_bytes() < 2 * REGION) {
		printf("# the rows of memory need 160 MiB\n");
		return;
	}
	time_first_touch();
	if (!host_answers()) {
		printf("# no host that drops translations and logs writes\n");
		return;
	}
	time_zap();
	time_dirty_log();
}

/* --- what may grow with memory ---------------------------------------------------------------- */

/*
 * All memory but what the tables take, in one run for each size: the touch is for each page, the
 * rest is how long the guest stood still.
 */
void time_growth(void)
{
	unsigned long bytes = arena_bytes();

	cpus_sleep();
	TIME("grow_cpuid", "xor %%eax, %%eax; cpuid", "i"(0));
	time_touch("grow_touch_first", arena(), bytes);
	if (!host_answers())
		return;
	TIME_CODE("grow_zap_pause", 1, host_zap());
	time_touch("grow_touch_again", arena(), bytes);
	TIME_CODE("grow_dirty_start_pause", 1, host_dirty_start());
	time_touch("grow_dirty_write", arena(), bytes);
	TIME_CODE("grow_dirty_stop_pause", 1, host_dirty_stop());
}
