/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The ELF reader. Nothing in the file is believed: each offset is checked against the file's
 * size before it is used, and fields are copied out, so alignment does not matter. Both classes
 * go through one path; the 32-bit headers are widened on reading.
 */
#include "vmm/load/elf.h"

#include <assert.h>
#include <string.h>

#include "lib/bits.h"

#define ET_EXEC   2
#define ET_DYN    3
#define EM_386    3
#define EM_X86_64 62
#define PT_LOAD   1
#define PT_NOTE   4

#define MAX_PROGRAM_HEADERS 256

#define NOTE_PHYS32_ENTRY 18 /* XEN_ELFNOTE_PHYS32_ENTRY, owner "Xen" */

struct ehdr {
	uint8_t ident[16]; /* magic, class (1 = 32-bit, 2), data (1 = little endian), version */
	uint16_t type, machine;
	uint32_t version;
};
static_assert(sizeof(struct ehdr) == 24, "common part of both ELF headers");

struct ehdr32 {
	uint32_t entry, phoff, shoff, flags;
	uint16_t ehsize, phentsize, phnum;
};

struct ehdr64 {
	uint64_t entry, phoff, shoff;
	uint32_t flags;
	uint16_t ehsize, phentsize, phnum;
} __packed;
static_assert(offsetof(struct ehdr32, phnum) == 44 - 24, "e_phnum of ELF32");
static_assert(offsetof(struct ehdr64, phnum) == 56 - 24, "e_phnum of ELF64");

struct phdr32 {
	uint32_t type, offset, vaddr, paddr, file_size, mem_size, flags, align;
};

struct phdr64 {
	uint32_t type, flags;
	uint64_t offset, vaddr, paddr, file_size, mem_size, align;
};
static_assert(sizeof(struct phdr32) == 32 && sizeof(struct phdr64) == 56, "program headers");

struct nhdr {
	uint32_t name_size, desc_size, type;
};

/* The file, and where its program headers are. */
struct file {
	const uint8_t *data;
	size_t size;
	bool is_64;
	uint64_t phoff;
	unsigned phentsize, phnum;
};

/* Copy `len` bytes from `off`; false if the file ends before. */
static bool get(const struct file *f, uint64_t off, void *to, size_t len)
{
	if (off > f->size || len > f->size - off)
		return false;
	memcpy(to, f->data + off, len);
	return true;
}

bool elf_is_elf(const void *data, size_t size)
{
	return size >= 4 && memcmp(data, "\177ELF", 4) == 0;
}

static const char *read_header(struct file *f, struct elf_image *out)
{
	struct ehdr h;
	struct ehdr32 h32;
	struct ehdr64 h64;

	if (!get(f, 0, &h, sizeof(h)))
		return "truncated ELF header";
	if (h.ident[4] != 1 && h.ident[4] != 2)
		return "ELF class neither 32 nor 64 bits";
	if (h.ident[5] != 1)
		return "ELF for a big-endian machine";
	if (h.type != ET_EXEC && h.type != ET_DYN)
		return "ELF file that is not executable";
	f->is_64 = out->is_64 = h.ident[4] == 2;
	if (h.machine != (f->is_64 ? EM_X86_64 : EM_386))
		return "ELF for another machine than x86";
	if (f->is_64) {
		if (!get(f, sizeof(h), &h64, sizeof(h64)))
			return "truncated ELF header";
		h32.phentsize = h64.phentsize;
		h32.phnum = h64.phnum;
	} else {
		if (!get(f, sizeof(h), &h32, sizeof(h32)))
			return "truncated ELF header";
		h64.entry = h32.entry;
		h64.phoff = h32.phoff;
	}
	out->entry = h64.entry;
	f->phoff = h64.phoff;
	f->phentsize = h32.phentsize;
	f->phnum = h32.phnum;
	if (f->phentsize < (f->is_64 ? sizeof(struct phdr64) : sizeof(struct phdr32)))
		return "ELF program headers of a wrong size";
	if (f->phnum > MAX_PROGRAM_HEADERS)
		return "too many ELF program headers";
	return NULL;
}

static bool read_phdr(const struct file *f, unsigned i, struct phdr64 *p)
{
	uint64_t off;
	struct phdr32 p32;

	if (f->phoff > f->size)
		return false;
	off = f->phoff + (uint64_t)i * f->phentsize;
	if (f->is_64)
		return get(f, off, p, sizeof(*p));
	if (!get(f, off, &p32, sizeof(p32)))
		return false;
	*p = (struct phdr64){.type = p32.type,
			     .offset = p32.offset,
			     .vaddr = p32.vaddr,
			     .paddr = p32.paddr,
			     .file_size = p32.file_size,
			     .mem_size = p32.mem_size,
			     .align = p32.align};
	return true;
}

/* Look through a PT_NOTE segment (in the file already checked) for the PVH entry. */
static void read_notes(const struct file *f, const struct phdr64 *p, struct elf_image *out)
{
	uint64_t align = p->align == 8 ? 8 : 4;
	uint64_t off = p->offset, end = p->offset + p->file_size, desc, next;
	char name[4];
	struct nhdr n;

	while (end - off >= sizeof(n) && get(f, off, &n, sizeof(n))) {
		desc = ALIGN_UP(off + sizeof(n) + n.name_size, align);
		next = ALIGN_UP(desc + n.desc_size, align);
		if (n.type == NOTE_PHYS32_ENTRY && n.name_size == 4 &&
		    get(f, off + sizeof(n), name, sizeof(name)) && !memcmp(name, "Xen", 4) &&
		    (n.desc_size == 4 || n.desc_size == 8) && desc + n.desc_size <= end) {
			out->pvh_entry = 0;
			out->has_pvh = get(f, desc, &out->pvh_entry, n.desc_size);
		}
		if (next > end)
			return;
		off = next;
	}
}

static const char *add_segment(const struct phdr64 *p, struct elf_image *out)
{
	if (p->mem_size < p->file_size)
		return "ELF segment with more bytes in the file than in memory";
	if (p->mem_size > UINT64_MAX - p->paddr)
		return "ELF segment that wraps around";
	if (p->mem_size == 0)
		return NULL;
	if (out->nr == ELF_MAX_SEGMENTS)
		return "too many ELF segments";
	out->load[out->nr++] = (struct elf_segment){.offset = p->offset,
						    .file_size = p->file_size,
						    .paddr = p->paddr,
						    .mem_size = p->mem_size,
						    .vaddr = p->vaddr};
	return NULL;
}

const char *elf_parse(const void *data, size_t size, struct elf_image *out)
{
	struct file f = {.data = data, .size = size};
	const char *why;
	struct phdr64 p;

	*out = (struct elf_image){0};
	if (!elf_is_elf(data, size))
		return "not an ELF file";
	why = read_header(&f, out);
	for (unsigned i = 0; !why && i < f.phnum; i++) {
		if (!read_phdr(&f, i, &p))
			return "truncated ELF program headers";
		if (p.type != PT_LOAD && p.type != PT_NOTE)
			continue;
		if (p.offset > size || p.file_size > size - p.offset)
			return "truncated ELF segment";
		if (p.type == PT_NOTE)
			read_notes(&f, &p, out);
		else
			why = add_segment(&p, out);
	}
	if (!why && out->nr == 0)
		why = "ELF file without anything to load";
	return why;
}

uint64_t elf_start(const struct elf_image *elf)
{
	uint64_t start = UINT64_MAX;

	for (unsigned i = 0; i < elf->nr; i++)
		start = min(start, elf->load[i].paddr);
	return start;
}

uint64_t elf_end(const struct elf_image *elf)
{
	uint64_t end = 0;

	for (unsigned i = 0; i < elf->nr; i++)
		end = max(end, elf->load[i].paddr + elf->load[i].mem_size);
	return end;
}

bool elf_contains(const struct elf_image *elf, uint64_t addr)
{
	for (unsigned i = 0; i < elf->nr; i++) {
		const struct elf_segment *s = &elf->load[i];

		if (addr - s->paddr < s->mem_size)
			return true;
	}
	return false;
}

bool elf_find_entry(const struct elf_image *elf, uint64_t *paddr)
{
	for (unsigned i = 0; i < elf->nr; i++) {
		const struct elf_segment *s = &elf->load[i];

		if (elf->entry - s->vaddr < s->mem_size) {
			*paddr = s->paddr + (elf->entry - s->vaddr);
			return true;
		}
	}
	*paddr = elf->entry;
	return elf_contains(elf, elf->entry);
}
