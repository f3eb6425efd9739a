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

#endif
