/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Start-up of memory. The page tables must map all RAM before mm/ can manage it, and need frames
 * before that: these come from one piece of RAM below 4 GiB, which the boot page tables map.
 */
#include "boot/memory.h"

#include "arch/x86/layout.h"
#include "arch/x86/insn_slot.h"
#include "arch/x86/paging.h"
#include "lib/bits.h"
#include "lib/log.h"
#include "lib/panic.h"

#define GIB         (1ull << 30)
#define EARLY_LIMIT (4 * GIB) /* of the boot page tables */

/* Page tables for the image, the edges of large pages, and the levels above. */
#define TABLES_FIXED      48
#define TABLES_PER_REGION 4

static struct mem_range early; /* frames for page tables */
static uint64_t early_used;    /* bytes */
static const struct boot_info *boot;

static const void *map_early(void *ctx, uint64_t hpa, uint64_t len)
{
	return hpa < EARLY_LIMIT && len <= EARLY_LIMIT - hpa ? direct_map(HPA(hpa)) : NULL;
}

const struct phys_memory memory_early = {map_early, NULL};

/* Is the whole range in entries of the map, of any type? Then reading it does no harm. */
static bool is_known(uint64_t hpa, uint64_t len)
{
	const struct boot_region *r;
	unsigned i;

	if (hpa + len < hpa)
		return false;
	if (hpa + len <= 0x100000)
		return true;
	for (i = 0; i < boot->nr_regions; i++) {
		r = &boot->region[i];
		if (hpa >= r->base.v && hpa - r->base.v < r->len &&
		    len <= r->len - (hpa - r->base.v))
			return true;
	}
	return false;
}

static const void *map_firmware(void *ctx, uint64_t hpa, uint64_t len)
{
	if (!is_known(hpa, len) || hpa + len > paging_limit())
		return NULL;
	return paging_map(HPA(hpa), len, PAGING_WB);
}

const struct phys_memory memory_firmware = {map_firmware, NULL};

static hpa_t alloc_early(void)
{
	hpa_t hpa = HPA(early.base.v + early_used);

	if (early_used == early.size)
		panic("memory: out of frames for the page tables");
	early_used += PAGE_SIZE;
	return hpa;
}

static hpa_t alloc_late(void)
{
	pfn_t pfn;

	if (!frames_alloc(ORDER_4K, &pfn))
		panic("memory: out of frames for the page tables");
	return pfn_to_hpa(pfn);
}

void *memory_alloc(unsigned pages)
{
	return pages_zalloc(order_of(pages * PAGE_SIZE));
}

/* At most: a table for each started GiB of each region, as if there were only 2M pages. */
static void find_early(const struct memmap *map)
{
	uint64_t tables = TABLES_FIXED;
	size_t i;

	for (i = 0; i < map->nr_usable; i++)
		tables += TABLES_PER_REGION + map->usable[i].size / GIB;
	early.size = tables * PAGE_SIZE;
	if (!memmap_find(map, early.size, 0, EARLY_LIMIT, &early.base))
		panic("memory: no room for the page tables: %lu pages", (unsigned long)tables);
}

static void map_ram(const struct memmap *map)
{
	size_t i;

	/* The firmware's data of the first MiB; its memory types are the MTRRs' business. */
	paging_map(HPA(0), 0x100000, PAGING_WB);
	for (i = 0; i < map->nr_usable; i++)
		paging_map(map->usable[i].base, map->usable[i].size, PAGING_WB);
}

/* The loader has put them there, whatever its map calls that memory (GRUB's badram, say). */
static void map_modules(const struct boot_info *info)
{
	unsigned i;

	for (i = 0; i < info->nr_modules; i++)
		paging_map(info->module[i].base, info->module[i].size, PAGING_WB);
}

static void report(void)
{
	struct frames_stats stats;

	frames_stats(&stats);
	log_info("memory: %lu MiB usable, %lu KiB of bookkeeping",
		 (unsigned long)(stats.total >> 8), (unsigned long)(stats.metadata >> 10));
}

void memory_init(const struct boot_info *info, struct memmap *map)
{
	int err;

	boot = info;
	memmap_reserve(map, direct_map_hpa(image_start), (uint64_t)(image_end - image_start));
	find_early(map);
	paging_init(alloc_early);
	map_ram(map);
	paging_activate();
	insn_slot_init(direct_map(direct_map_hpa(insn_slot_page)));
	memmap_reserve(map, early.base, early_used);
	host_direct_map = DIRECT_MAP_BASE;
	err = frames_init(map->usable, map->nr_usable, map->reserved, map->nr_reserved);
	if (err)
		panic("memory: no room for the frames' bookkeeping");
	paging_set_allocator(alloc_late);
	map_modules(info);
	report();
}
