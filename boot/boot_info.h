/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the boot loader told us, in one form for both protocols. The parsers copy all strings and
 * believe nothing: a length, an offset or a pointer that leads outside its container ends the
 * parse of that item, and is counted in `problems`. They run hosted too, and are fuzzed.
 *
 * Multiboot Specification 0.6.96, 3.3; Multiboot2 Specification 2.0, 3.6.
 */
#ifndef BOOT_BOOT_INFO_H
#define BOOT_BOOT_INFO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "drivers/screen.h"
#include "lib/physmem.h"
#include "lib/types.h"

#define BOOT_MAGIC_MULTIBOOT1 0x2badb002u
#define BOOT_MAGIC_MULTIBOOT2 0x36d76289u

#define BOOT_MAX_REGIONS 256
#define BOOT_MAX_MODULES 64
#define BOOT_STRINGS_LEN 24576

/* Types of memory, numbered as in both protocols and in ACPI 15.1. */
enum boot_memory_type {
	BOOT_MEMORY_RAM = 1,
	BOOT_MEMORY_RESERVED = 2,
	BOOT_MEMORY_ACPI = 3, /* tables: readable */
	BOOT_MEMORY_NVS = 4,
	BOOT_MEMORY_BAD = 5,
};

struct boot_region {
	hpa_t base;
	uint64_t len; /* bytes; base + len does not wrap */
	uint32_t type;
};

struct boot_module {
	hpa_t base;
	uint64_t size;      /* bytes */
	const char *string; /* never NULL */
};

#define BOOT_RSDP_LEN 36

struct boot_info {
	const char *loader;  /* never NULL */
	const char *cmdline; /* never NULL */
	struct boot_region region[BOOT_MAX_REGIONS];
	unsigned nr_regions;
	struct boot_module module[BOOT_MAX_MODULES];
	unsigned nr_modules;
	struct screen_mode screen;
	uint8_t rsdp[BOOT_RSDP_LEN]; /* the loader's copy of the ACPI root pointer */
	unsigned rsdp_len;           /* 0: none; 20 or 36 */
	uint64_t efi_system_table;   /* physical, 0: not started by EFI */
	unsigned problems;           /* items that made no sense or did not fit */
	size_t strings_used;
	char strings[BOOT_STRINGS_LEN];
};

/*
 * Parse the multiboot2 information of `len` bytes at `data` (8-byte aligned; its own first word
 * may say less). 0, or -EINVAL when it is not even that; `out` is valid in both cases.
 */
int boot_parse_multiboot2(const void *data, size_t len, struct boot_info *out);

/*
 * Parse the multiboot1 information at `hpa`. The first word of the command line is dropped when
 * it is the image's file name (it has a '/', or no '='). 0 or -EINVAL, as above.
 */
int boot_parse_multiboot1(const struct phys_memory *mem, uint64_t hpa, struct boot_info *out);

/* For the parsers: start empty; copy a string (cut at `len`) into the pool; add an item. */
void boot_info_init(struct boot_info *info);
const char *boot_info_add_string(struct boot_info *info, const char *s, size_t len);
void boot_info_add_region(struct boot_info *info, uint64_t base, uint64_t len, uint32_t type);
void boot_info_add_module(struct boot_info *info, uint64_t start, uint64_t end, const char *s,
			  size_t len);

#endif
