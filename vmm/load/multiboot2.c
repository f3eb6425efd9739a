/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Multiboot2 (specification 2.0). The kernel's header is a list of tags that say where it goes,
 * where it starts and what it wants to know; the loader answers with a list of tags. The machine
 * has no EFI and no screen: tags about these are known and ask for nothing.
 */
#include <assert.h>
#include <errno.h>
#include <string.h>

#include "mm/guest.h"
#include "vmm/dev/e820.h"
#include "vmm/load/loader.h"
#include "vmm/load/multiboot.h"

#define HEADER_MAGIC  0xe85250d6u
#define LOADER_MAGIC  0x36d76289u
#define HEADER_SEARCH 32768 /* the header lies in the first 32 KiB, 8-byte aligned */
#define TAG_ALIGN     8

struct header {
	uint32_t magic, architecture, length, checksum;
};

/* Tags of the kernel's header. */
enum {
	WANT_END,
	WANT_INFORMATION,
	WANT_ADDRESS,
	WANT_ENTRY,
	WANT_CONSOLE,
	WANT_FRAMEBUFFER,
	WANT_MODULE_ALIGN, /* modules are always on pages of their own */
	WANT_EFI_SERVICES,
	WANT_EFI32_ENTRY,
	WANT_EFI64_ENTRY,
	WANT_RELOCATION,
};

struct want {
	uint16_t type, flags;
	uint32_t size; /* of all of it */
};

#define WANT_OPTIONAL BIT(0)

#define LOAD_ALL UINT32_MAX /* as a load address: from the beginning of the file */

struct relocation {
	uint32_t min, max; /* of the first and the last byte */
	uint32_t align;
	uint32_t preference; /* PREFER_* */
};

enum { PREFER_NOTHING, PREFER_LOW, PREFER_HIGH };

/* Tags of the information that the kernel gets. */
enum {
	INFO_END,
	INFO_CMDLINE,
	INFO_LOADER,
	INFO_MODULE,
	INFO_MEMORY,
	INFO_MMAP = 6,
	INFO_RSDP_1 = 14, /* copies of the ACPI root pointer, revision 1 and 2 */
	INFO_RSDP_2,
	INFO_LOAD_BASE = 21,
};

#define INFO_GIVEN                                                                                 \
	(BIT(INFO_CMDLINE) | BIT(INFO_LOADER) | BIT(INFO_MODULE) | BIT(INFO_MEMORY) |              \
	 BIT(INFO_MMAP) | BIT(INFO_RSDP_1) | BIT(INFO_RSDP_2) | BIT(INFO_LOAD_BASE))

struct info_head {
	uint32_t type, size;
};

struct info_module {
	struct info_head head;
	uint32_t start, end;
};

struct info_memory {
	struct info_head head;
	uint32_t lower, upper; /* KiB from 0 and from 1M */
};

struct info_mmap {
	struct info_head head;
	uint32_t entry_size, entry_version;
};

struct mmap_entry {
	uint64_t addr, size;
	uint32_t type, reserved;
};
static_assert(sizeof(struct mmap_entry) == 24, "memory map entry");

struct info_base {
	struct info_head head;
	uint32_t base;
};

#define RSDP_1_BYTES 20
#define RSDP_2_BYTES 36

/* The kernel as read from the file. */
struct kernel {
	const uint8_t *tags;
	uint32_t length; /* of all tags, bytes */
	struct multiboot_addresses addresses;
	bool has_addresses, has_entry, is_relocatable;
	uint32_t entry_tag;
	struct relocation relocation;
	uint64_t entry, base, end; /* where it starts, and the memory that it takes */
};

static bool find_header(const struct load_file *f, struct kernel *k)
{
	size_t end = min(f->size, (size_t)HEADER_SEARCH);
	struct header h;

	*k = (struct kernel){0};
	for (size_t off = 0;; off += TAG_ALIGN) {
		off = multiboot_find_magic(f, HEADER_MAGIC, off, TAG_ALIGN, sizeof(h), end);
		if (off == end)
			return false;
		memcpy(&h, (const uint8_t *)f->data + off, sizeof(h));
		if (h.magic + h.architecture + h.length + h.checksum)
			continue;
		if (h.architecture || h.length < sizeof(h) || h.length > f->size - off)
			continue;
		k->tags = (const uint8_t *)f->data + off + sizeof(h);
		k->length = h.length - (uint32_t)sizeof(h);
		k->addresses.header_off = off;
		return true;
	}
}

bool is_multiboot2(const struct load_file *f)
{
	struct kernel k;

	return find_header(f, &k);
}

/* The first kind of information that the kernel cannot do without and does not get, or 0. */
static uint32_t find_missing(const uint8_t *body, uint32_t size)
{
	uint32_t type;

	for (uint32_t off = 0; off + 4 <= size; off += 4) {
		memcpy(&type, body + off, 4);
		if (type > INFO_LOAD_BASE || !(INFO_GIVEN & BIT(type)))
			return type;
	}
	return 0;
}

/* One tag: `size` bytes at `body`. */
static int read_want(struct loader *l, struct kernel *k, const struct want *w, const uint8_t *body,
		     uint32_t size)
{
	bool optional = w->flags & WANT_OPTIONAL;
	uint32_t missing;

	switch (w->type) {
	case WANT_INFORMATION:
		missing = optional ? 0 : find_missing(body, size);
		if (missing)
			return loader_fail(l, -ENOEXEC,
					   "kernel: multiboot2 header needs information of type %u",
					   missing);
		return 0;
	case WANT_ADDRESS:
		k->has_addresses = size >= 16;
		if (k->has_addresses)
			memcpy(&k->addresses.header_addr, body, 16);
		break;
	case WANT_ENTRY:
		k->has_entry = size >= 4;
		if (k->has_entry)
			memcpy(&k->entry_tag, body, 4);
		break;
	case WANT_RELOCATION:
		k->is_relocatable = size >= sizeof(k->relocation);
		if (k->is_relocatable)
			memcpy(&k->relocation, body, sizeof(k->relocation));
		break;
	case WANT_CONSOLE:
	case WANT_FRAMEBUFFER:
	case WANT_MODULE_ALIGN:
	case WANT_EFI_SERVICES:
	case WANT_EFI32_ENTRY:
	case WANT_EFI64_ENTRY:
		break;
	default:
		if (!optional)
			return loader_fail(l, -ENOEXEC,
					   "kernel: multiboot2 header has an unknown tag %u",
					   w->type);
	}
	return 0;
}

static int read_wants(struct loader *l, struct kernel *k)
{
	uint32_t off = 0;
	struct want w;
	int error = 0;

	while (!error && off + sizeof(w) <= k->length) {
		memcpy(&w, k->tags + off, sizeof(w));
		if (w.type == WANT_END)
			return 0;
		if (w.size < sizeof(w) || w.size > k->length - off)
			return loader_fail(
				l, -ENOEXEC,
				"kernel: multiboot2 tag %u has %u bytes, too many or too "
				"few",
				w.type, w.size);
		error = read_want(l, k, &w, k->tags + off + sizeof(w),
				  w.size - (uint32_t)sizeof(w));
		off += (uint32_t)min(ALIGN_UP((uint64_t)w.size, TAG_ALIGN),
				     (uint64_t)(k->length - off));
	}
	return error;
}

/* Another place for a relocatable kernel of `size` bytes, as its header asks. */
static bool find_place(const struct loader *l, const struct relocation *r, uint64_t size,
		       uint64_t *base)
{
	uint64_t align = max(r->align, 1u);
	uint64_t limit = min((uint64_t)r->max + 1, ram_low_end(l->req->ram_bytes));

	if (align & (align - 1))
		return false;
	if (r->preference == PREFER_HIGH)
		return space_find_high(&l->space, size, align, r->min, limit, base);
	return space_find_low(&l->space, size, align, r->min, limit, base);
}

/* Move the kernel if it wants to be elsewhere, or if it can be and its place is taken. */
static void relocate(const struct loader *l, struct kernel *k, struct elf_image *elf)
{
	uint64_t from = elf_start(elf), size = elf_end(elf) - from, to;
	bool stays =
		k->relocation.preference == PREFER_NOTHING && !space_clash(&l->space, from, size);

	if (!k->is_relocatable || stays || !find_place(l, &k->relocation, size, &to))
		return;
	for (unsigned i = 0; i < elf->nr; i++)
		elf->load[i].paddr += to - from;
	k->entry += to - from;
}

static int plan_elf(struct loader *l, struct kernel *k)
{
	struct elf_image elf;
	const char *why = elf_parse(l->req->kernel.data, l->req->kernel.size, &elf);

	if (why)
		return loader_fail(l, -ENOEXEC, "kernel: %s", why);
	if (k->has_entry)
		elf.entry = k->entry_tag;
	if (!elf_find_entry(&elf, &k->entry))
		return loader_fail(l, -ENOEXEC, "kernel: ELF entry 0x%llx lies in no segment",
				   (unsigned long long)elf.entry);
	relocate(l, k, &elf);
	if (k->entry > UINT32_MAX)
		return loader_fail(l, -ENOEXEC, "kernel: entry 0x%llx is not below 4G",
				   (unsigned long long)k->entry);
	k->base = elf_start(&elf);
	k->end = elf_end(&elf);
	return loader_add_elf(l, &elf);
}

static int plan_addresses(struct loader *l, struct kernel *k)
{
	struct multiboot_addresses *a = &k->addresses;

	if (!k->has_entry)
		return loader_fail(l, -ENOEXEC,
				   "kernel: multiboot2 header has addresses, and no "
				   "entry address");
	if (a->load_addr == LOAD_ALL && a->header_addr >= a->header_off)
		a->load_addr = a->header_addr - (uint32_t)a->header_off;
	a->entry = k->entry_tag;
	k->entry = k->entry_tag;
	k->base = a->load_addr;
	return multiboot_plan_addresses(l, a, &k->end);
}

static size_t table_bytes(const struct loader *l)
{
	size_t n = sizeof(struct info_mmap) + E820_MAX_ENTRIES * sizeof(struct mmap_entry);

	n += sizeof(struct info_memory) + sizeof(struct info_base) + RSDP_1_BYTES + RSDP_2_BYTES;
	n += strlen(l->req->cmdline) + 1;
	for (unsigned i = 0; i < loader_module_count(l); i++)
		n += sizeof(struct info_module) + TAG_ALIGN +
		     strlen(loader_module_args(loader_module(l, i))) + 1;
	return n + LOADER_GDT_BYTES + 256; /* the loader's name, heads and alignments */
}

/* Behind the kernel; anywhere if it has asked for the end of memory. */
static uint64_t modules_from(const struct kernel *k)
{
	return k->relocation.preference == PREFER_HIGH ? FIRMWARE_LIMIT : k->end;
}

static int plan(struct loader *l, struct kernel *k, uint64_t *module_addr)
{
	int error;

	if (!find_header(&l->req->kernel, k))
		return loader_fail(l, -ENOEXEC, "kernel: no multiboot2 header in the first 32 KiB");
	error = read_wants(l, k);
	if (!error)
		error = k->has_addresses ? plan_addresses(l, k) : plan_elf(l, k);
	if (!error)
		error = loader_add_tables(l, table_bytes(l));
	if (!error)
		error = loader_add_modules(l, modules_from(k), module_addr);
	return error;
}

/* One tag of the information: its fixed part, which begins with the head, and what follows. */
static void put_tag(struct loader *l, uint32_t type, struct info_head *head, size_t head_size,
		    const void *rest, size_t rest_size)
{
	head->type = type;
	head->size = (uint32_t)(head_size + rest_size);
	loader_put(l, head, head_size, TAG_ALIGN);
	loader_put(l, rest, rest_size, 1);
}

static void put_text(struct loader *l, uint32_t type, const char *text)
{
	struct info_head head;

	put_tag(l, type, &head, sizeof(head), text, strlen(text) + 1);
}

static void put_modules(struct loader *l, const uint64_t *addr)
{
	for (unsigned i = 0; i < loader_module_count(l); i++) {
		const struct load_file *f = loader_module(l, i);
		const char *args = loader_module_args(f);
		struct info_module m = {.start = (uint32_t)addr[i],
					.end = (uint32_t)(addr[i] + f->size)};

		put_tag(l, INFO_MODULE, &m.head, sizeof(m), args, strlen(args) + 1);
	}
}

static void put_mmap(struct loader *l)
{
	struct e820_entry map[E820_MAX_ENTRIES];
	unsigned n = e820_build(map, l->req->ram_bytes);
	struct info_mmap tag = {.entry_size = sizeof(struct mmap_entry)};
	struct mmap_entry entry[E820_MAX_ENTRIES];

	for (unsigned i = 0; i < n; i++)
		entry[i] = (struct mmap_entry){map[i].addr, map[i].size, map[i].type, 0};
	put_tag(l, INFO_MMAP, &tag.head, sizeof(tag), entry, n * sizeof(entry[0]));
}

/* Copies of the root pointer, as a BIOS machine's loader finds it below 1 MiB. */
static void put_rsdp(struct loader *l)
{
	uint8_t rsdp[RSDP_2_BYTES];
	struct info_head head;

	if (!l->req->rsdp.v || guest_read(l->mem, l->req->rsdp, rsdp, sizeof(rsdp)))
		return;
	put_tag(l, INFO_RSDP_1, &head, sizeof(head), rsdp, RSDP_1_BYTES);
	put_tag(l, INFO_RSDP_2, &head, sizeof(head), rsdp, RSDP_2_BYTES);
}

static void put_tags(struct loader *l, const struct kernel *k, const uint64_t *module_addr)
{
	uint64_t low = ram_low_end(l->req->ram_bytes);
	struct info_memory memory = {.lower = FIRMWARE_BASE / 1024,
				     .upper = (uint32_t)((low - FIRMWARE_LIMIT) / 1024)};
	struct info_base base = {.base = (uint32_t)k->base};
	struct info_head end;

	put_text(l, INFO_CMDLINE, l->req->cmdline);
	put_text(l, INFO_LOADER, "umbra");
	put_tag(l, INFO_MEMORY, &memory.head, sizeof(memory), NULL, 0);
	put_tag(l, INFO_LOAD_BASE, &base.head, sizeof(base), NULL, 0);
	put_mmap(l);
	put_modules(l, module_addr);
	put_rsdp(l);
	put_tag(l, INFO_END, &end, sizeof(end), NULL, 0);
}

int load_multiboot2(struct loader *l)
{
	uint64_t module_addr[LOADER_MAX_MODULES], info;
	struct kernel k;
	int error = plan(l, &k, module_addr);

	if (error)
		return error;
	loader_commit(l);
	boot_state_prot32(l->out, k.entry);
	loader_put_gdt(l, false);
	info = loader_take(l, 8, TAG_ALIGN); /* total size, and a reserved word */
	put_tags(l, &k, module_addr);
	loader_write64(l, info, l->table_pos - info);
	l->out->gpr[GPR_RAX] = LOADER_MAGIC;
	l->out->gpr[GPR_RBX] = info;
	return 0;
}
