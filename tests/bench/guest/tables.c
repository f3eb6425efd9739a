/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Rows of what a guest's kernel does to its page tables, for each of 4096 entries in eight tables:
 * nothing to a hypervisor with nested paging, everything to a shadow MMU.
 */
#include "paging.h"
#include "tests/bench/guest/rows.h"
#include "trap.h"

#define NR     4096ul
#define VA     (TEST_VA + (2ul << 39))
#define END    (VA + NR * PAGE_SIZE)
#define PF     14
#define FLAGS  (PTE_P | PTE_W | PTE_A | PTE_D)
#define EACH_I for (unsigned long i = 0; i < NR; i++)

static pte_t *tables[NR / 512];

static pte_t *entry(unsigned long i)
{
	return &tables[i / 512][i % 512];
}

static pte_t page(unsigned long i)
{
	return (arena() + i * PAGE_SIZE) | FLAGS;
}

static void flush(unsigned long i)
{
	invlpg((void *)(VA + i * PAGE_SIZE));
}

static void write_page(unsigned long i)
{
	*(volatile uint64_t *)(VA + i * PAGE_SIZE) = i;
}

static void change(unsigned long i, pte_t value)
{
	*entry(i) = value;
	flush(i);
}

/* As a kernel answers a fault: map the page, or make it writable. */
static bool on_fault(struct regs *regs)
{
	unsigned long i = (read_cr2() - VA) / PAGE_SIZE;

	if (i >= NR)
		return false;
	*entry(i) = page(i);
	if (regs->error & PF_P)
		flush(i);
	return true;
}

static void time_one_by_one(void)
{
	TIME_CODE("unmap_invlpg", NR, EACH_I change(i, 0));
	TIME_CODE(
		"map_touch", NR, EACH_I {
			*entry(i) = page(i);
			write_page(i);
		});
	TIME_CODE("protect_invlpg", NR, EACH_I change(i, page(i) & ~PTE_W));
	TIME_CODE("touch_r_after_protect", NR, read_pages(VA, END));
	TIME_CODE("wp_fault_guest", NR, write_pages(VA, END));
}

static void time_batches(void)
{
	TIME_CODE("unmap_batch", NR, EACH_I * entry(i) = 0);
	TIME_CODE("cr3_flush_after_unmap", 1, write_cr3(read_cr3()));
	TIME_CODE("map_batch", NR, EACH_I * entry(i) = page(i));
	TIME_CODE("touch_after_map_batch", NR, write_pages(VA, END));
	EACH_I *entry(i) = 0;
	write_cr3(read_cr3());
	TIME_CODE("demand_fault_guest", NR, write_pages(VA, END));
}

static void time_accessed_dirty(void)
{
	TIME_CODE("clear_AD_invlpg", NR, EACH_I change(i, page(i) & ~(PTE_A | PTE_D)));
	TIME_CODE("touch_r_sets_A", NR, read_pages(VA, END));
	TIME_CODE("touch_w_sets_D", NR, write_pages(VA, END));
}

void time_tables(void)
{
	for (unsigned t = 0; t < NR / 512; t++)
		tables[t] = pte_get(VA + t * SIZE_2M, 1);
	EACH_I *entry(i) = page(i);
	write_pages(VA, END);
	trap_set(PF, on_fault);
	time_one_by_one();
	time_batches();
	time_accessed_dirty();
	trap_set(PF, NULL);
}
