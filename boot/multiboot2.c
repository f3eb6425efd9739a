/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The multiboot2 information (Multiboot2 Specification 2.0, 3.6): a sequence of tags, each with
 * its type and size, 8-byte aligned.
 */
#include <errno.h>
#include <string.h>

#include "boot/boot_info.h"
#include "lib/bits.h"

enum {
	TAG_END = 0,
	TAG_CMDLINE = 1,
	TAG_LOADER = 2,
	TAG_MODULE = 3,
	TAG_MMAP = 6,
	TAG_FRAMEBUFFER = 8,
	TAG_EFI32 = 11,
	TAG_EFI64 = 12,
	TAG_RSDP_OLD = 14,
	TAG_RSDP_NEW = 15,
};

struct tag {
	uint32_t type;
	uint32_t size; /* bytes, with this header */
};

struct tag_module {
	struct tag tag;
	uint32_t start, end;
	char string[];
};

struct mmap_entry {
	uint64_t base, len;
	uint32_t type, reserved;
};

struct tag_mmap {
	struct tag tag;
	uint32_t entry_size, entry_version;
	uint8_t entries[];
};

struct tag_framebuffer {
	struct tag tag;
	uint64_t base;
	uint32_t pitch, width, height;
	uint8_t bpp, type;
	uint16_t reserved;
	uint8_t red_pos, red_size, green_pos, green_size, blue_pos, blue_size;
};
#define FRAMEBUFFER_RGB  1
#define FRAMEBUFFER_TEXT 2
/* Without the colours: what every framebuffer tag has. */
#define FRAMEBUFFER_MIN_SIZE offsetof(struct tag_framebuffer, red_pos)

/* The string that fills the tag from `off` on. */
static const char *add_tag_string(struct boot_info *info, const struct tag *tag, size_t off)
{
	return boot_info_add_string(info, (const char *)tag + off, tag->size - off);
}

static void parse_module(struct boot_info *info, const struct tag *tag)
{
	const struct tag_module *m = (const struct tag_module *)tag;

	if (tag->size < sizeof(*m)) {
		info->problems++;
		return;
	}
	boot_info_add_module(info, m->start, m->end, m->string, tag->size - sizeof(*m));
}

static void parse_mmap(struct boot_info *info, const struct tag *tag)
{
	const struct tag_mmap *m = (const struct tag_mmap *)tag;
	struct mmap_entry e;
	size_t off;

	if (tag->size < sizeof(*m) || m->entry_size < sizeof(e)) {
		info->problems++;
		return;
	}
	for (off = sizeof(*m); tag->size - off >= m->entry_size; off += m->entry_size) {
		memcpy(&e, (const uint8_t *)tag + off, sizeof(e));
		boot_info_add_region(info, e.base, e.len, e.type);
	}
}

static void parse_framebuffer(struct boot_info *info, const struct tag *tag)
{
	struct tag_framebuffer f = {};
	struct screen_mode *out = &info->screen;

	if (tag->size < FRAMEBUFFER_MIN_SIZE) {
		info->problems++;
		return;
	}
	memcpy(&f, tag, min((size_t)tag->size, sizeof(f)));
	*out = (struct screen_mode){
		.base = HPA(f.base),
		.pitch = f.pitch,
		.width = f.width,
		.height = f.height,
		.bpp = f.bpp,
		.red_pos = f.red_pos,
		.red_size = f.red_size,
		.green_pos = f.green_pos,
		.green_size = f.green_size,
		.blue_pos = f.blue_pos,
		.blue_size = f.blue_size,
	};
	if (f.type == FRAMEBUFFER_TEXT)
		out->kind = SCREEN_TEXT;
	else if (f.type == FRAMEBUFFER_RGB &&
		 tag->size >= offsetof(struct tag_framebuffer, blue_size) + 1)
		out->kind = SCREEN_RGB;
}

/* The tag carries a copy of the table. A new one (ACPI 2.0 and later) wins over an old one. */
static void parse_rsdp(struct boot_info *info, const struct tag *tag)
{
	unsigned len = tag->type == TAG_RSDP_NEW ? BOOT_RSDP_LEN : 20;

	if (tag->size - sizeof(*tag) < len) {
		info->problems++;
		return;
	}
	if (info->rsdp_len >= len)
		return;
	memcpy(info->rsdp, tag + 1, len);
	info->rsdp_len = len;
}

static void parse_efi(struct boot_info *info, const struct tag *tag)
{
	unsigned len = tag->type == TAG_EFI64 ? 8 : 4;

	if (tag->size - sizeof(*tag) < len)
		info->problems++;
	else
		memcpy(&info->efi_system_table, tag + 1, len);
}

static void parse_tag(struct boot_info *info, const struct tag *tag)
{
	switch (tag->type) {
	case TAG_CMDLINE:
		info->cmdline = add_tag_string(info, tag, sizeof(*tag));
		break;
	case TAG_LOADER:
		info->loader = add_tag_string(info, tag, sizeof(*tag));
		break;
	case TAG_MODULE:
		parse_module(info, tag);
		break;
	case TAG_MMAP:
		parse_mmap(info, tag);
		break;
	case TAG_FRAMEBUFFER:
		parse_framebuffer(info, tag);
		break;
	case TAG_RSDP_OLD:
	case TAG_RSDP_NEW:
		parse_rsdp(info, tag);
		break;
	case TAG_EFI32:
	case TAG_EFI64:
		parse_efi(info, tag);
		break;
	default:
		break; /* the specification asks us to skip what we do not know */
	}
}

int boot_parse_multiboot2(const void *data, size_t len, struct boot_info *out)
{
	const struct tag *tag;
	uint32_t total;
	size_t off;

	boot_info_init(out);
	if (len < 8)
		return -EINVAL;
	memcpy(&total, data, sizeof(total));
	if (total < 8)
		return -EINVAL;
	len = min(len, (size_t)total);
	for (off = 8; len - off >= sizeof(*tag); off = ALIGN_UP(off + tag->size, 8)) {
		tag = (const struct tag *)((const char *)data + off);
		if (tag->type == TAG_END)
			return 0;
		if (tag->size < sizeof(*tag) || tag->size > len - off)
			break;
		parse_tag(out, tag);
		if (ALIGN_UP(off + tag->size, 8) > len)
			break;
	}
	out->problems++; /* no end tag */
	return 0;
}
