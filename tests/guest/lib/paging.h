/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Page frames for the tests, and page tables: 4-level in 64-bit payloads. In 32-bit payloads only
 * the frames are here; pages32.c builds its own two formats.
 */
#ifndef GUEST_PAGING_H
#define GUEST_PAGING_H

#include "x86.h"

#define PTE_P   BIT64(0)
#define PTE_W   BIT64(1)
#define PTE_U   BIT64(2)
#define PTE_PWT BIT64(3)
#define PTE_PCD BIT64(4)
#define PTE_A   BIT64(5)
#define PTE_D   BIT64(6)
#define PTE_PS  BIT64(7)
#define PTE_G   BIT64(8)
#define PTE_NX  BIT64(63)
#define PTE_PFN 0x000ffffffffff000ull

/* Page-fault error code. */
#define PF_P     BIT(0)
#define PF_W     BIT(1)
#define PF_U     BIT(2)
#define PF_RSVD  BIT(3)
#define PF_FETCH BIT(4)

/* Zeroed memory, mapped one to one: physical and virtual address are the same. */
void *page_alloc(void);
void *pages_alloc(unsigned long bytes, unsigned long align);

/* All memory that is still free, as one range. */
void pages_rest(unsigned long *start, unsigned long *end);

/* Physical address width, and the bits above it that are reserved in an entry. */
unsigned phys_bits(void);

#ifdef __x86_64__
typedef uint64_t pte_t;

/* A virtual address nobody uses: the lower half above all of physical memory. */
#define TEST_VA 0x400000000000ul

/*
 * The entry that maps `va` at `level` (1 = 4K, 2 = 2M, 3 = 1G, 4 = PML4E); tables above are made
 * with all permissions, and a large page on the way is split. Changes no TLB.
 */
pte_t *pte_get(unsigned long va, unsigned level);
static inline void map_page(unsigned long va, unsigned level, pte_t entry)
{
	*pte_get(va, level) = entry | (level > 1 ? PTE_PS : 0);
	invlpg((void *)va);
}

void tlb_flush_all(void);
#endif

#endif
