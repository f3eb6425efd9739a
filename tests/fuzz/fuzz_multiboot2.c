/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Both multiboot parsers: the first byte chooses, the rest is the information. Whatever comes in,
 * what comes out keeps its promises.
 */
#include "boot/boot_info.h"
#include "boot/memmap.h"
#include "tests/fuzz/fuzz_memory.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct boot_info info;
static struct memmap map;

static void check_string(const char *s)
{
	/* In the pool or a constant; ends in any case. */
	if (!s || strlen(s) >= BOOT_STRINGS_LEN)
		abort();
}

static void check(void)
{
	unsigned i;

	check_string(info.cmdline);
	check_string(info.loader);
	if (info.nr_regions > BOOT_MAX_REGIONS || info.nr_modules > BOOT_MAX_MODULES)
		abort();
	for (i = 0; i < info.nr_modules; i++)
		check_string(info.module[i].string);
	for (i = 0; i < info.nr_regions; i++)
		if (info.region[i].base.v + info.region[i].len < info.region[i].base.v)
			abort();
	if (info.rsdp_len != 0 && info.rsdp_len != 20 && info.rsdp_len != BOOT_RSDP_LEN)
		abort();
}

/* Memory that is found lies in RAM and touches nothing that is reserved. */
static void check_map(void)
{
	const struct mem_range *r;
	hpa_t hpa;
	size_t i;

	memmap_init(&map, &info, 1ull << 46);
	if (!memmap_find(&map, 16 * PAGE_SIZE, 0, 1ull << 32, &hpa))
		return;
	if (hpa.v % PAGE_SIZE || hpa.v + 16 * PAGE_SIZE > 1ull << 32)
		abort();
	for (i = 0; i < map.nr_reserved; i++) {
		r = &map.reserved[i];
		if (r->base.v < hpa.v + 16 * PAGE_SIZE && hpa.v < r->base.v + r->size)
			abort();
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	void *copy;

	if (!size)
		return 0;
	if (data[0] & 1) {
		fuzz_memory_begin(data + 1, size - 1);
		boot_parse_multiboot1(&fuzz_phys, data[0] & 0xfe, &info);
		fuzz_memory_end();
	} else {
		copy = malloc(size - 1); /* aligned, as the protocol has it */
		memcpy(copy, data + 1, size - 1);
		boot_parse_multiboot2(copy, size - 1, &info);
		free(copy);
	}
	check();
	check_map();
	return 0;
}
