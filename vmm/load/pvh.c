/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The PVH entry: an ELF kernel with a note that names a 32-bit entry point, which gets the
 * physical address of a struct hvm_start_info in EBX.
 */
#include <assert.h>
#include <errno.h>
#include <string.h>

#include "vmm/dev/e820.h"
#include "vmm/load/loader.h"

#define START_INFO_MAGIC 0x336ec578u

struct start_info {
	uint32_t magic, version, flags, nr_modules;
	uint64_t modules, cmdline, rsdp;
	uint64_t memmap; /* version 1 */
	uint32_t memmap_entries, reserved;
};
static_assert(sizeof(struct start_info) == 56, "struct hvm_start_info, version 1");

struct modlist_entry {
	uint64_t addr, size, cmdline, reserved;
};

struct memmap_entry {
	uint64_t addr, size;
	uint32_t type, reserved;
};
static_assert(sizeof(struct memmap_entry) == 24, "struct hvm_memmap_table_entry");

static size_t table_bytes(const struct loader *l)
{
	size_t n = sizeof(struct start_info) + E820_MAX_ENTRIES * sizeof(struct memmap_entry) +
		   LOADER_GDT_BYTES + strlen(l->req->cmdline) + 1 + 64; /* and alignments */

	for (unsigned i = 0; i < loader_module_count(l); i++)
		n += sizeof(struct modlist_entry) +
		     strlen(loader_module_args(loader_module(l, i))) + 1;
	return n;
}

static int plan(struct loader *l, struct elf_image *elf, uint64_t *module_addr)
{
	const char *why = elf_parse(l->req->kernel.data, l->req->kernel.size, elf);
	int error;

	if (why)
		return loader_fail(l, -ENOEXEC, "kernel: %s", why);
	if (!elf->has_pvh)
		return loader_fail(l, -ENOEXEC, "kernel: ELF file without a PVH note");
	if (!elf_contains(elf, elf->pvh_entry) || elf->pvh_entry > UINT32_MAX)
		return loader_fail(l, -ENOEXEC, "kernel: PVH entry 0x%llx lies in no segment",
				   (unsigned long long)elf->pvh_entry);
	error = loader_add_elf(l, elf);
	if (!error)
		error = loader_add_tables(l, table_bytes(l));
	if (!error)
		error = loader_add_modules(l, elf_end(elf), module_addr);
	return error;
}

static void put_memmap(struct loader *l, struct start_info *info)
{
	struct e820_entry map[E820_MAX_ENTRIES];
	unsigned n = e820_build(map, l->req->ram_bytes);
	struct memmap_entry entry = {0};

	info->memmap_entries = n;
	info->memmap = loader_take(l, n * sizeof(entry), 8);
	for (unsigned i = 0; i < n; i++) {
		entry.addr = map[i].addr;
		entry.size = map[i].size;
		entry.type = map[i].type;
		loader_write(l, info->memmap + i * sizeof(entry), &entry, sizeof(entry));
	}
}

static void put_modules(struct loader *l, struct start_info *info, const uint64_t *addr)
{
	struct modlist_entry entry = {0};

	info->nr_modules = loader_module_count(l);
	if (info->nr_modules)
		info->modules = loader_take(l, info->nr_modules * sizeof(entry), 8);
	for (unsigned i = 0; i < info->nr_modules; i++) {
		const struct load_file *f = loader_module(l, i);

		entry.addr = addr[i];
		entry.size = f->size;
		entry.cmdline = f->args ? loader_put_string(l, f->args) : 0;
		loader_write(l, info->modules + i * sizeof(entry), &entry, sizeof(entry));
	}
}

int load_pvh(struct loader *l)
{
	struct start_info info = {.magic = START_INFO_MAGIC, .version = 1};
	uint64_t module_addr[LOADER_MAX_MODULES];
	struct elf_image elf;
	int error = plan(l, &elf, module_addr);

	if (error)
		return error;
	loader_commit(l);
	boot_state_prot32(l->out, elf.pvh_entry);
	loader_put_gdt(l, false);
	info.cmdline = loader_put_string(l, l->req->cmdline);
	info.rsdp = l->req->rsdp.v;
	put_memmap(l, &info);
	put_modules(l, &info, module_addr);
	l->out->gpr[GPR_RBX] = loader_put(l, &info, sizeof(info), 8);
	return 0;
}
