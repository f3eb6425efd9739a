/* SPDX-License-Identifier: BSD-2-Clause */
/* The neutral boot information: what both multiboot parsers put together. */
#include "boot/boot_info.h"

#include <string.h>

void boot_info_init(struct boot_info *info)
{
	memset(info, 0, sizeof(*info));
	info->loader = "";
	info->cmdline = "";
}

const char *boot_info_add_string(struct boot_info *info, const char *s, size_t len)
{
	size_t n = strnlen(s, len);
	char *copy = info->strings + info->strings_used;

	if (n >= sizeof(info->strings) - info->strings_used) {
		info->problems++;
		return "";
	}
	memcpy(copy, s, n);
	copy[n] = '\0';
	info->strings_used += n + 1;
	return copy;
}

void boot_info_add_region(struct boot_info *info, uint64_t base, uint64_t len, uint32_t type)
{
	if (!len)
		return;
	if (base + len < base || info->nr_regions == BOOT_MAX_REGIONS) {
		info->problems++;
		return;
	}
	info->region[info->nr_regions++] = (struct boot_region){HPA(base), len, type};
}

void boot_info_add_module(struct boot_info *info, uint64_t start, uint64_t end, const char *s,
			  size_t len)
{
	struct boot_module *m = &info->module[info->nr_modules];

	if (end < start || info->nr_modules == BOOT_MAX_MODULES) {
		info->problems++;
		return;
	}
	*m = (struct boot_module){HPA(start), end - start, boot_info_add_string(info, s, len)};
	info->nr_modules++;
}
