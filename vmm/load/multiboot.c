/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Multiboot 0.6.96. Kernels are ELF files of either class (a 64-bit ELF starts in 32-bit
 * protected mode like every other), or anything at all with the address fields in its header.
 */
#include <assert.h>
#include <errno.h>
#include <string.h>

#include "vmm/dev/e820.h"
#include "vmm/load/loader.h"
#include "vmm/load/multiboot.h"

#define HEADER_MAGIC  0x1badb002u
#define HEADER_ALIGN  4
#define LOADER_MAGIC  0x2badb002u
#define HEADER_SEARCH 8192    /* the header lies in the first 8 KiB, 4-byte aligned */
#define HEADER_NEEDS  0xffffu /* flags that a loader must understand or refuse ... */
#define HEADER_KNOWN  0x7u    /* ... page-aligned modules, memory size, video mode (we have none) */
#define HEADER_ADDRS  BIT(16) /* the address fields count, not the ELF headers */

struct header {
	uint32_t magic, flags, checksum;
};

/* Flags of the information structure: which of its fields are valid. */
#define INFO_MEMORY  BIT(0)
#define INFO_CMDLINE BIT(2)
#define INFO_MODS    BIT(3)
#define INFO_MMAP    BIT(6)
#define INFO_LOADER  BIT(9)

struct info {
	uint32_t flags;
	uint32_t mem_lower, mem_upper; /* KiB from 0 and from 1M */
	uint32_t boot_device;
	uint32_t cmdline;
	uint32_t mods_count, mods_addr;
	uint32_t syms[4];
	uint32_t mmap_length, mmap_addr;
	uint32_t drives_length, drives_addr;
	uint32_t config_table;
	uint32_t loader_name;
	uint32_t apm_table;
	uint32_t vbe[4];
	uint32_t framebuffer[7];
};
static_assert(offsetof(struct info, mmap_addr) == 48, "mmap_addr");
static_assert(offsetof(struct info, loader_name) == 64, "boot_loader_name");
static_assert(sizeof(struct info) == 116, "multiboot information structure");

struct module {
	uint32_t start, end, string, reserved;
};

struct mmap_entry {
	uint32_t size; /* of what follows */
	struct e820_entry e820;
} __packed;
static_assert(sizeof(struct mmap_entry) == 24, "mmap entry");

/* The kernel as read from the file. */
struct kernel {
	uint32_t flags;                       /* of its header */
	struct multiboot_addresses addresses; /* with HEADER_ADDRS */
	uint64_t entry;
	uint64_t end; /* where its memory ends: modules come behind */
};

/* Of the header no more than the magic is read: each start of a VM looks at thousands of places. */
size_t multiboot_find_magic(const struct load_file *f, uint32_t magic, size_t off, size_t step,
			    size_t size, size_t end)
{
	const uint8_t *at = f->data;
	uint32_t word;

	for (; off + size <= end; off += step) {
		memcpy(&word, at + off, sizeof(word));
		if (word == magic)
			return off;
	}
	return end;
}

static bool find_header(const struct load_file *f, struct kernel *k)
{
	size_t end = min(f->size, (size_t)HEADER_SEARCH);
	const size_t addresses = offsetof(struct multiboot_addresses, header_off);
	struct header h;

	*k = (struct kernel){0};
	for (size_t off = 0;; off += HEADER_ALIGN) {
		off = multiboot_find_magic(f, HEADER_MAGIC, off, HEADER_ALIGN, sizeof(h), end);
		if (off == end)
			return false;
		memcpy(&h, (const uint8_t *)f->data + off, sizeof(h));
		if (h.magic + h.flags + h.checksum)
			continue;
		if ((h.flags & HEADER_ADDRS) && off + sizeof(h) + addresses <= f->size)
			memcpy(&k->addresses, (const uint8_t *)f->data + off + sizeof(h),
			       addresses);
		k->addresses.header_off = off;
		k->flags = h.flags;
		return true;
	}
}

bool is_multiboot(const struct load_file *f)
{
	struct kernel k;

	return find_header(f, &k);
}

static int plan_elf(struct loader *l, struct kernel *k)
{
	struct elf_image elf;
	const char *why = elf_parse(l->req->kernel.data, l->req->kernel.size, &elf);

	if (why)
		return loader_fail(l, -ENOEXEC, "kernel: %s", why);
	if (!elf_find_entry(&elf, &k->entry) || k->entry > UINT32_MAX)
		return loader_fail(l, -ENOEXEC, "kernel: ELF entry 0x%llx lies in no segment",
				   (unsigned long long)elf.entry);
	k->end = elf_end(&elf);
	return loader_add_elf(l, &elf);
}

/* One piece of the file, from load_addr to load_end, and zeros to bss_end. */
int multiboot_plan_addresses(struct loader *l, const struct multiboot_addresses *a, uint64_t *end)
{
	const struct load_file *f = &l->req->kernel;
	uint64_t off, size, mem_size;

	if (a->header_addr < a->load_addr || a->header_addr - a->load_addr > a->header_off)
		return loader_fail(l, -ENOEXEC,
				   "kernel: multiboot load_addr 0x%x is not in the file",
				   a->load_addr);
	off = a->header_off - (a->header_addr - a->load_addr);
	size = a->load_end ? (uint64_t)a->load_end - a->load_addr : f->size - off;
	if (size > f->size - off)
		return loader_fail(l, -ENOEXEC, "kernel: truncated: multiboot load_end_addr 0x%x",
				   a->load_end);
	mem_size = a->bss_end ? (uint64_t)a->bss_end - a->load_addr : size;
	mem_size = mem_size > UINT32_MAX ? size : max(mem_size, size);
	if (a->entry < a->load_addr || a->entry - a->load_addr >= size)
		return loader_fail(l, -ENOEXEC, "kernel: multiboot entry_addr 0x%x lies outside",
				   a->entry);
	*end = a->load_addr + mem_size;
	return loader_add_piece(l, "kernel", a->load_addr, mem_size, (const uint8_t *)f->data + off,
				size);
}

static size_t table_bytes(const struct loader *l)
{
	size_t n = sizeof(struct info) + E820_MAX_ENTRIES * sizeof(struct mmap_entry);

	n += strlen(l->req->vm) + 1 + strlen(l->req->cmdline) + 1;
	for (unsigned i = 0; i < loader_module_count(l); i++)
		n += sizeof(struct module) + strlen(loader_module_args(loader_module(l, i))) + 1;
	return n + LOADER_GDT_BYTES + 256; /* the loader's name, and alignments */
}

static int plan(struct loader *l, struct kernel *k, uint64_t *module_addr)
{
	int error;

	if (!find_header(&l->req->kernel, k))
		return loader_fail(l, -ENOEXEC, "kernel: no multiboot header in the first 8 KiB");
	if (k->flags & HEADER_NEEDS & ~HEADER_KNOWN)
		return loader_fail(l, -ENOEXEC,
				   "kernel: multiboot header needs unknown features 0x%x",
				   k->flags & HEADER_NEEDS & ~HEADER_KNOWN);
	k->entry = k->addresses.entry;
	if (k->flags & HEADER_ADDRS)
		error = multiboot_plan_addresses(l, &k->addresses, &k->end);
	else
		error = plan_elf(l, k);
	if (!error)
		error = loader_add_tables(l, table_bytes(l));
	if (!error)
		error = loader_add_modules(l, k->end, module_addr);
	return error;
}

static void put_modules(struct loader *l, struct info *info, const uint64_t *addr)
{
	struct module m = {0};

	info->mods_count = loader_module_count(l);
	info->mods_addr = (uint32_t)loader_take(l, info->mods_count * sizeof(m), 8);
	for (unsigned i = 0; i < info->mods_count; i++) {
		const struct load_file *f = loader_module(l, i);

		m.start = (uint32_t)addr[i];
		m.end = (uint32_t)(addr[i] + f->size);
		m.string = (uint32_t)loader_put_string(l, loader_module_args(f));
		loader_write(l, info->mods_addr + i * sizeof(m), &m, sizeof(m));
	}
}

static void put_mmap(struct loader *l, struct info *info)
{
	struct e820_entry map[E820_MAX_ENTRIES];
	unsigned n = e820_build(map, l->req->ram_bytes);
	struct mmap_entry entry = {.size = sizeof(entry.e820)};

	info->mmap_length = n * sizeof(entry);
	info->mmap_addr = (uint32_t)loader_take(l, info->mmap_length, 8);
	for (unsigned i = 0; i < n; i++) {
		entry.e820 = map[i];
		loader_write(l, info->mmap_addr + i * sizeof(entry), &entry, sizeof(entry));
	}
}

/* "name args": the first word of a multiboot command line is the program. */
static uint32_t put_cmdline(struct loader *l)
{
	const char *name = l->req->vm, *args = l->req->cmdline;
	uint64_t at = loader_put(l, name, strlen(name), 1);

	if (*args)
		loader_put(l, " ", 1, 1);
	loader_put_string(l, args);
	return (uint32_t)at;
}

int load_multiboot(struct loader *l)
{
	uint64_t low = ram_low_end(l->req->ram_bytes);
	uint64_t module_addr[LOADER_MAX_MODULES];
	struct info info = {.flags = INFO_MEMORY | INFO_CMDLINE | INFO_MODS | INFO_MMAP |
				     INFO_LOADER,
			    .mem_lower = FIRMWARE_BASE / 1024,
			    .mem_upper = (uint32_t)((low - FIRMWARE_LIMIT) / 1024)};
	struct kernel k;
	int error = plan(l, &k, module_addr);

	if (error)
		return error;
	loader_commit(l);
	boot_state_prot32(l->out, k.entry);
	loader_put_gdt(l, false);
	info.cmdline = put_cmdline(l);
	info.loader_name = (uint32_t)loader_put_string(l, "umbra");
	put_mmap(l, &info);
	put_modules(l, &info, module_addr);
	l->out->gpr[GPR_RAX] = LOADER_MAGIC;
	l->out->gpr[GPR_RBX] = loader_put(l, &info, sizeof(info), 8);
	return 0;
}
