/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A frame allocator that never frees, and the walk that makes page tables on demand.
 */
#include <string.h>

#include "boot.h"
#include "ktap.h"
#include "paging.h"

extern uint8_t image_end[];
static unsigned long next_free;

void *pages_alloc(unsigned long bytes, unsigned long align)
{
	unsigned long start;

	if (!next_free)
		next_free = (unsigned long)image_end;
	start = (next_free + align - 1) & ~(align - 1);
	if (start + bytes > boot_memory_end())
		bail_out("out of memory: %lu bytes", bytes);
	next_free = (start + bytes + PAGE_SIZE - 1) & ~(PAGE_SIZE - 1);
	return memset((void *)start, 0, bytes);
}

void *page_alloc(void)
{
	return pages_alloc(PAGE_SIZE, PAGE_SIZE);
}

void pages_rest(unsigned long *start, unsigned long *end)
{
	page_alloc();
	*start = next_free;
	*end = boot_memory_end() & ~(PAGE_SIZE - 1);
}

unsigned phys_bits(void)
{
	return cpuid(0x80000000).a >= 0x80000008 ? cpuid(0x80000008).a & 0xff : 36;
}

#ifdef __x86_64__
/* Replace a large page by a table that maps the same memory. */
static void split(pte_t *entry, unsigned level)
{
	pte_t *table = page_alloc();
	pte_t step = 1ull << (12 + 9 * (level - 2)), old = *entry;

	for (unsigned i = 0; i < 512; i++)
		table[i] = (level == 2 ? old & ~PTE_PS : old) + i * step;
	*entry = (pte_t)(unsigned long)table | PTE_P | PTE_W | PTE_U;
}

pte_t *pte_get(unsigned long va, unsigned level)
{
	pte_t *table = (pte_t *)(read_cr3() & PTE_PFN);

	for (unsigned l = 4;; l--) {
		pte_t *entry = &table[va >> (12 + 9 * (l - 1)) & 511];

		if (l == level)
			return entry;
		if (!(*entry & PTE_P))
			*entry = (pte_t)(unsigned long)page_alloc() | PTE_P | PTE_W | PTE_U;
		else if (*entry & PTE_PS)
			split(entry, l);
		table = (pte_t *)(*entry & PTE_PFN);
	}
}

void tlb_flush_all(void)
{
	unsigned long cr4 = read_cr4();

	write_cr4(cr4 ^ CR4_PGE); /* any change of PGE drops global entries too */
	write_cr4(cr4);
}
#endif
