/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What both multiboot protocols share: a kernel that is no ELF file, or does not want to be taken
 * for one, says in its header where its bytes go.
 */
#ifndef VMM_LOAD_MULTIBOOT_H
#define VMM_LOAD_MULTIBOOT_H

#include "vmm/load/loader.h"

struct multiboot_addresses {
	uint32_t header_addr; /* where the header, which is at header_off of the file, will be */
	uint32_t load_addr;   /* where the first byte that is loaded will be */
	uint32_t load_end;    /* and the end of these bytes; 0: all of the file */
	uint32_t bss_end;     /* zeros up to here; 0: none */
	uint32_t entry;
	uint64_t header_off; /* bytes */
};

/* Claim the memory of such a kernel; *end is where it ends (exclusive). 0 or -errno. */
int multiboot_plan_addresses(struct loader *l, const struct multiboot_addresses *a, uint64_t *end);

/*
 * Where a header of `size` bytes may be: the first offset from `off` on, a multiple of `step`,
 * where the file has `magic` and the whole header before `end`. `end` if there is none.
 */
size_t multiboot_find_magic(const struct load_file *f, uint32_t magic, size_t off, size_t step,
			    size_t size, size_t end);

#endif
