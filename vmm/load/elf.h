/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The parts of an ELF file that a loader needs (System V ABI, chapters 4 and 5; AMD64 and i386
 * supplements): its segments, its entry, and the PVH entry from its notes.
 */
#ifndef VMM_LOAD_ELF_H
#define VMM_LOAD_ELF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ELF_MAX_SEGMENTS 16

struct elf_segment {
	uint64_t offset, file_size; /* bytes of the file, checked to lie in it */
	uint64_t paddr, mem_size;   /* mem_size >= file_size, > 0; no wrap-around */
	uint64_t vaddr;             /* where the kernel will map it; unchecked */
};

struct elf_image {
	bool is_64;
	uint64_t entry;
	bool has_pvh;
	uint64_t pvh_entry;
	unsigned nr;
	struct elf_segment load[ELF_MAX_SEGMENTS]; /* PT_LOAD with a size, in file order */
};

bool elf_is_elf(const void *data, size_t size);

/* Check and read `data`. NULL, or why it cannot be loaded. */
const char *elf_parse(const void *data, size_t size, struct elf_image *out);

/* Where the memory of the lowest segment begins, and that of the highest ends (exclusive). */
uint64_t elf_start(const struct elf_image *elf);
uint64_t elf_end(const struct elf_image *elf);

/* Does the physical `addr` lie in one of the segments? */
bool elf_contains(const struct elf_image *elf, uint64_t addr);

/*
 * Where the entry point is in physical memory. e_entry is a virtual address (System V ABI, chapter
 * 4), so it counts in the segment that holds it by p_vaddr; some kernels' linker scripts write the
 * physical address there instead. False if it lies in no segment either way.
 */
bool elf_find_entry(const struct elf_image *elf, uint64_t *paddr);

#endif
