/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The multiboot1 information (Multiboot Specification 0.6.96, 3.3): a structure full of physical
 * addresses, each of which is checked through the caller's map().
 */
#include <errno.h>
#include <string.h>

#include "boot/boot_info.h"
#include "lib/bits.h"

#define INFO_CMDLINE BIT(2)
#define INFO_MODULES BIT(3)
#define INFO_MMAP    BIT(6)
#define INFO_LOADER  BIT(9)

struct mb1_info {
	uint32_t flags;
	uint32_t mem_lower, mem_upper;
	uint32_t boot_device;
	uint32_t cmdline;
	uint32_t mods_count, mods_addr;
	uint32_t syms[4];
	uint32_t mmap_length, mmap_addr;
	uint32_t drives_length, drives_addr;
	uint32_t config_table;
	uint32_t boot_loader_name;
};

struct mb1_module {
	uint32_t start, end, string, reserved;
};

struct mb1_mmap {
	uint32_t size; /* of what follows this word */
	uint64_t base, len;
	uint32_t type;
} __packed;

#define STRING_MAX 4096

/* A zero-terminated string of unknown length: find the end one byte at a time. */
static size_t string_length(const struct phys_memory *mem, uint64_t hpa)
{
	const char *c;
	size_t n;

	for (n = 0; n < STRING_MAX; n++) {
		c = phys_map(mem, hpa + n, 1);
		if (!c || !*c)
			break;
	}
	return n;
}

static const char *add_string(const struct phys_memory *mem, uint64_t hpa, struct boot_info *out)
{
	size_t n = hpa ? string_length(mem, hpa) : 0;

	return n ? boot_info_add_string(out, phys_map(mem, hpa, n), n) : "";
}

static void parse_modules(const struct phys_memory *mem, const struct mb1_info *info,
			  struct boot_info *out)
{
	const void *entry;
	struct mb1_module m;
	const char *string;
	size_t n;
	uint32_t i;

	for (i = 0; i < info->mods_count; i++) {
		entry = phys_map(mem, info->mods_addr + (uint64_t)i * sizeof(m), sizeof(m));
		if (!entry || out->nr_modules == BOOT_MAX_MODULES) {
			out->problems++;
			return;
		}
		memcpy(&m, entry, sizeof(m));
		n = m.string ? string_length(mem, m.string) : 0;
		string = n ? phys_map(mem, m.string, n) : "";
		boot_info_add_module(out, m.start, m.end, string, n);
	}
}

static void parse_mmap(const struct phys_memory *mem, const struct mb1_info *info,
		       struct boot_info *out)
{
	const void *entry;
	struct mb1_mmap e;
	uint64_t off;

	for (off = 0; off + sizeof(e) <= info->mmap_length; off += e.size + 4ull) {
		entry = phys_map(mem, info->mmap_addr + off, sizeof(e));
		if (entry)
			memcpy(&e, entry, sizeof(e));
		if (!entry || e.size < sizeof(e) - 4) {
			out->problems++;
			return;
		}
		boot_info_add_region(out, e.base, e.len, e.type);
	}
}

static const char *skip_file_name(const char *s)
{
	size_t n = strcspn(s, " ");

	if (!memchr(s, '/', n) && memchr(s, '=', n))
		return s;
	return s + n + strspn(s + n, " ");
}

int boot_parse_multiboot1(const struct phys_memory *mem, uint64_t hpa, struct boot_info *out)
{
	const struct mb1_info *p = phys_map(mem, hpa, sizeof(*p));
	struct mb1_info info;

	boot_info_init(out);
	if (!p)
		return -EINVAL;
	memcpy(&info, p, sizeof(info));
	if (info.flags & INFO_CMDLINE)
		out->cmdline = skip_file_name(add_string(mem, info.cmdline, out));
	if (info.flags & INFO_LOADER)
		out->loader = add_string(mem, info.boot_loader_name, out);
	if (info.flags & INFO_MMAP)
		parse_mmap(mem, &info, out);
	else
		out->problems++;
	if (info.flags & INFO_MODULES)
		parse_modules(mem, &info, out);
	return 0;
}
