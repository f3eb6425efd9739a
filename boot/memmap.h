/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * From the boot loader's memory map to what mm/ wants: the RAM, and what of it is taken. The first
 * MiB is left alone (firmware data, the page that other CPUs start in), and so is whatever any
 * entry of the map calls something else than RAM, however entries overlap. Hosted too.
 */
#ifndef BOOT_MEMMAP_H
#define BOOT_MEMMAP_H

#include "boot/boot_info.h"
#include "mm/frames.h"

#define MEMMAP_MAX_USABLE   BOOT_MAX_REGIONS
#define MEMMAP_MAX_RESERVED (BOOT_MAX_REGIONS + BOOT_MAX_MODULES + 16)

struct memmap {
	struct mem_range usable[MEMMAP_MAX_USABLE];
	size_t nr_usable;
	struct mem_range reserved[MEMMAP_MAX_RESERVED];
	size_t nr_reserved;
	hpa_t trampoline; /* a page of RAM below 1 MiB, for starting CPUs; 0: none */
};

/*
 * Everything of the boot loader's map and modules; the image is for the caller to reserve. RAM from
 * the physical address `limit` up is left out: nothing can reach it.
 */
void memmap_init(struct memmap *map, const struct boot_info *info, uint64_t limit);

void memmap_reserve(struct memmap *map, hpa_t base, uint64_t size);

/*
 * The highest `size` bytes (a multiple of 4K) of usable memory in [from, below), aligned to 4K,
 * that nobody has reserved. They are not reserved by this. False: there are none.
 */
bool memmap_find(const struct memmap *map, uint64_t size, uint64_t from, uint64_t below,
		 hpa_t *out);

#endif
