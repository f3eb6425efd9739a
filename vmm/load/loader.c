/* SPDX-License-Identifier: BSD-2-Clause */
/* Planning and writing, for all loaders. */
#include "vmm/load/loader.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "lib/panic.h"
#include "mm/guest.h"
#include "vmm/dev/e820.h"

/*
 * Tables start here: page 0 and what follows belong to real-mode code and SIPI trampolines by
 * custom (guests start their other CPUs from there).
 */
#define TABLES_BASE 0x10000

int loader_fail(struct loader *l, int error, const char *fmt, ...)
{
	int n = snprintf(l->err, l->errlen, "vm %s: ", l->req->vm);
	va_list ap;

	if (n >= 0 && (size_t)n < l->errlen) {
		va_start(ap, fmt);
		vsnprintf(l->err + n, l->errlen - (size_t)n, fmt, ap);
		va_end(ap);
	}
	return error;
}

int loader_add_piece(struct loader *l, const char *what, uint64_t addr, uint64_t mem_size,
		     const void *data, size_t size)
{
	const struct space_range *clash = space_clash(&l->space, addr, mem_size);

	if (clash)
		return loader_fail(l, -ENOMEM, "%s: 0x%llx bytes at 0x%llx run into %s at 0x%llx",
				   what, (unsigned long long)mem_size, (unsigned long long)addr,
				   clash->what, (unsigned long long)clash->start);
	if (l->nr_pieces == LOADER_MAX_PIECES || !space_claim(&l->space, addr, mem_size, what))
		return loader_fail(l, -ENOMEM, "%s: too many pieces", what);
	l->piece[l->nr_pieces++] = (struct loader_piece){
		.addr = addr, .mem_size = mem_size, .data = data, .size = size};
	return 0;
}

/*
 * What a segment has in the firmware's area, before it goes on at 1 MiB, is left out: a PC has ROM
 * there. Linkers that start the first segment at a whole page put the file's own headers there.
 */
static uint64_t bytes_in_rom(const struct elf_segment *s)
{
	if (s->paddr < FIRMWARE_BASE || s->paddr >= FIRMWARE_LIMIT ||
	    s->mem_size <= FIRMWARE_LIMIT - s->paddr)
		return 0;
	return FIRMWARE_LIMIT - s->paddr;
}

int loader_add_elf(struct loader *l, const struct elf_image *elf)
{
	const uint8_t *file = l->req->kernel.data;
	int error = 0;

	for (unsigned i = 0; !error && i < elf->nr; i++) {
		const struct elf_segment *s = &elf->load[i];
		uint64_t rom = bytes_in_rom(s), in_file = min(rom, s->file_size);

		error = loader_add_piece(l, "kernel", s->paddr + rom, s->mem_size - rom,
					 file + s->offset + in_file, s->file_size - in_file);
	}
	return error;
}

int loader_add_initrd(struct loader *l, uint64_t limit, uint64_t *addr)
{
	const struct load_file *f = &l->req->initrd;
	uint64_t size = ALIGN_UP((uint64_t)f->size, PAGE_SIZE);

	*addr = 0;
	if (!f->data)
		return 0;
	limit = min(limit, ram_low_end(l->req->ram_bytes));
	if (!space_find_high(&l->space, size, PAGE_SIZE, FIRMWARE_LIMIT, limit, addr))
		return loader_fail(l, -ENOMEM,
				   "initrd: %llu bytes do not fit beside the kernel under 0x%llx",
				   (unsigned long long)f->size, (unsigned long long)limit);
	return loader_add_piece(l, "initrd", *addr, size, f->data, f->size);
}

unsigned loader_module_count(const struct loader *l)
{
	return l->req->nr_modules + (l->req->initrd.data ? 1 : 0);
}

const struct load_file *loader_module(const struct loader *l, unsigned i)
{
	if (!l->req->initrd.data)
		return &l->req->module[i];
	return i ? &l->req->module[i - 1] : &l->req->initrd;
}

const char *loader_module_args(const struct load_file *f)
{
	return f->args ? f->args : "";
}

int loader_add_modules(struct loader *l, uint64_t from, uint64_t addr[LOADER_MAX_MODULES])
{
	uint64_t limit = ram_low_end(l->req->ram_bytes), size;
	int error = 0;

	from = max(from, FIRMWARE_LIMIT);
	for (unsigned i = 0; !error && i < loader_module_count(l); i++) {
		const struct load_file *f = loader_module(l, i);
		const char *what = f == &l->req->initrd ? "initrd" : "module";

		size = ALIGN_UP((uint64_t)f->size, PAGE_SIZE);
		if (!space_find_low(&l->space, size, PAGE_SIZE, from, limit, &addr[i]))
			return loader_fail(l, -ENOMEM, "%s: %zu bytes do not fit behind the kernel",
					   what, f->size);
		error = loader_add_piece(l, what, addr[i], size, f->data, f->size);
	}
	return error;
}

int loader_add_tables(struct loader *l, size_t size)
{
	uint64_t low = ram_low_end(l->req->ram_bytes);

	size = ALIGN_UP(size, PAGE_SIZE);
	if (!space_find_low(&l->space, size, PAGE_SIZE, TABLES_BASE, low, &l->table_pos))
		return loader_fail(l, -ENOMEM, "kernel: no room for %zu bytes of boot tables",
				   size);
	space_claim(&l->space, l->table_pos, size, "the boot tables");
	l->table_end = l->table_pos + size;
	return 0;
}

void loader_write(struct loader *l, uint64_t addr, const void *data, size_t size)
{
	int error = guest_write(l->mem, GPA(addr), data, size);

	if (error && !l->write_error)
		l->write_error = error;
}

void loader_write64(struct loader *l, uint64_t addr, uint64_t val)
{
	loader_write(l, addr, &val, sizeof(val));
}

void loader_zero(struct loader *l, uint64_t addr, uint64_t size)
{
	int error = guest_zero(l->mem, GPA(addr), size);

	if (error && !l->write_error)
		l->write_error = error;
}

void loader_commit(struct loader *l)
{
	for (unsigned i = 0; i < l->nr_pieces; i++) {
		const struct loader_piece *p = &l->piece[i];

		if (p->size)
			loader_write(l, p->addr, p->data, p->size);
		if (p->mem_size > p->size)
			loader_zero(l, p->addr + p->size, p->mem_size - p->size);
	}
	if (l->table_end > l->table_pos)
		loader_zero(l, l->table_pos, l->table_end - l->table_pos);
}

uint64_t loader_take(struct loader *l, size_t size, size_t align)
{
	uint64_t addr = ALIGN_UP(l->table_pos, (uint64_t)align);

	HV_BUG_ON(addr > l->table_end || size > l->table_end - addr);
	l->table_pos = addr + size;
	return addr;
}

uint64_t loader_put(struct loader *l, const void *data, size_t size, size_t align)
{
	uint64_t addr = loader_take(l, size, align);

	loader_write(l, addr, data, size);
	return addr;
}

uint64_t loader_put_string(struct loader *l, const char *text)
{
	return loader_put(l, text, strlen(text) + 1, 1);
}

uint64_t loader_put_identity_map(struct loader *l)
{
	const uint64_t table = 0x3, page_2m = 0x83; /* present, writable; and page size */
	uint64_t pml4 = loader_take(l, PAGE_SIZE, PAGE_SIZE);
	uint64_t pdpt = loader_take(l, PAGE_SIZE, PAGE_SIZE);
	uint64_t batch[64], addr = 0, pd;

	loader_write64(l, pml4, pdpt | table);
	for (unsigned i = 0; i < 4; i++) {
		pd = loader_take(l, PAGE_SIZE, PAGE_SIZE);
		loader_write64(l, pdpt + i * 8, pd | table);
		for (unsigned j = 0; j < 512; j += ARRAY_SIZE(batch)) {
			for (unsigned k = 0; k < ARRAY_SIZE(batch); k++, addr += 2ull << 20)
				batch[k] = addr | page_2m;
			loader_write(l, pd + j * 8, batch, sizeof(batch));
		}
	}
	return pml4;
}

void loader_put_gdt(struct loader *l, bool code_64)
{
	const uint64_t gdt[] = {
		0, 0, code_64 ? 0x00af9b000000ffff : 0x00cf9b000000ffff, /* BOOT_CS */
		0x00cf93000000ffff,                                      /* BOOT_DS */
	};

	l->out->gdt.base = loader_put(l, gdt, sizeof(gdt), 16);
	l->out->gdt.limit = sizeof(gdt) - 1;
}
