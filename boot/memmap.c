/* SPDX-License-Identifier: BSD-2-Clause */
/* The memory map in the form of two lists: see memmap.h. */
#include "boot/memmap.h"

#include "lib/bits.h"
#include "lib/panic.h"

#define LOW_MEMORY_END 0x100000
#define TRAMPOLINE_END 0xa0000 /* start-up IPIs know pages below this */

void memmap_reserve(struct memmap *map, hpa_t base, uint64_t size)
{
	HV_BUG_ON(map->nr_reserved == MEMMAP_MAX_RESERVED);
	map->reserved[map->nr_reserved++] = (struct mem_range){base, size};
}

static void add_usable(struct memmap *map, const struct boot_region *r, uint64_t limit)
{
	if (r->base.v < limit)
		map->usable[map->nr_usable++] =
			(struct mem_range){r->base, min(r->len, limit - r->base.v)};
}

void memmap_init(struct memmap *map, const struct boot_info *info, uint64_t limit)
{
	const struct boot_region *r;
	unsigned i;

	map->nr_usable = 0;
	map->nr_reserved = 0;
	for (i = 0; i < info->nr_regions; i++) {
		r = &info->region[i];
		if (r->type == BOOT_MEMORY_RAM)
			add_usable(map, r, limit);
		else
			memmap_reserve(map, r->base, r->len);
	}
	for (i = 0; i < info->nr_modules; i++)
		memmap_reserve(map, info->module[i].base, info->module[i].size);
	memmap_find(map, PAGE_SIZE, PAGE_SIZE, TRAMPOLINE_END, &map->trampoline);
	memmap_reserve(map, HPA(0), LOW_MEMORY_END);
}

/* The reserved range that touches [base, base + size) and starts lowest, or NULL. */
static const struct mem_range *find_reserved(const struct memmap *map, uint64_t base, uint64_t size)
{
	const struct mem_range *found = NULL, *r;
	size_t i;

	for (i = 0; i < map->nr_reserved; i++) {
		r = &map->reserved[i];
		if (r->base.v < base + size && base < r->base.v + r->size &&
		    (!found || r->base.v < found->base.v))
			found = r;
	}
	return found;
}

/* From the top of [start, end) down, below every reserved range that is in the way. */
static bool find_in(const struct memmap *map, uint64_t size, uint64_t start, uint64_t end,
		    uint64_t *out)
{
	const struct mem_range *r;

	end = ALIGN_DOWN(end, PAGE_SIZE);
	while (end >= start && end - start >= size) {
		*out = end - size;
		r = find_reserved(map, *out, size);
		if (!r)
			return true;
		end = ALIGN_DOWN(r->base.v, PAGE_SIZE);
	}
	return false;
}

bool memmap_find(const struct memmap *map, uint64_t size, uint64_t from, uint64_t below, hpa_t *out)
{
	uint64_t best = 0, found;
	bool is_found = false;
	size_t i;

	for (i = 0; i < map->nr_usable; i++) {
		uint64_t start = max(map->usable[i].base.v, from);
		uint64_t end = min(map->usable[i].base.v + map->usable[i].size, below);

		if (!find_in(map, size, start, end, &found) || (is_found && found < best))
			continue;
		best = found;
		is_found = true;
	}
	*out = HPA(best);
	return is_found;
}
