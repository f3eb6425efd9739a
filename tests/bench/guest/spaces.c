/* SPDX-License-Identifier: BSD-2-Clause */
/* Rows of address spaces: switches between two, and processes that come and go. */
#include <string.h>

#include "paging.h"
#include "tests/bench/guest/rows.h"
#include "trap.h"

#define MOST             4096ul /* entries that change before a switch */
#define VA               (TEST_VA + (3ul << 39))
#define PROC_VA          (TEST_VA + (4ul << 39))
#define PROCESSES        64
#define FAULTS           32
#define PF               14
#define FLAGS            (PTE_P | PTE_W | PTE_A | PTE_D)
#define NO_FLUSH         BIT64(63) /* in CR3, with PCIDs */
#define INDEX(va, level) ((va) >> (12 + 9 * ((level)-1)) & 511)

static unsigned long spaces[2];
static pte_t *tables[MOST / 512];

static pte_t page(unsigned long i)
{
	return (arena() + i * PAGE_SIZE) | FLAGS;
}

/* The second space has the tables of the first, but the one at the top. */
static void make_spaces(void)
{
	for (unsigned t = 0; t < MOST / 512; t++) {
		tables[t] = pte_get(VA + t * SIZE_2M, 1);
		for (unsigned i = 0; i < 512; i++)
			tables[t][i] = page(512 * t + i);
	}
	pte_get(PROC_VA, 1);
	spaces[0] = read_cr3();
	spaces[1] = (unsigned long)page_alloc();
	memcpy((void *)spaces[1], (void *)spaces[0], PAGE_SIZE);
	for (unsigned i = 0; i < 2; i++) {
		write_cr3(spaces[i]);
		write_pages(VA, VA + MOST * PAGE_SIZE);
	}
}

/* Switch, having changed entries, and touch pages in the other space. */
static void time_switch(const char *name, unsigned rounds, unsigned long changed,
			unsigned long touched)
{
	TIME_CODE(
		name, rounds, for (unsigned r = 0; r < rounds; r++) {
			for (unsigned long i = 0; i < changed; i++)
				tables[i / 512][i % 512] = page(i ^ (r & 1));
			write_cr3(spaces[r & 1]);
			if (touched)
				write_pages(VA, VA + touched * PAGE_SIZE);
		});
}

static void time_switches(void)
{
	time_switch("cr3_switch_touch0", ROUNDS, 0, 0);
	time_switch("cr3_switch_touch1", ROUNDS, 0, 1);
	time_switch("cr3_switch_touch16", ROUNDS, 0, 16);
	time_switch("cr3_switch_touch64", ROUNDS, 0, 64);
	time_switch("cr3_switch_touch256", ROUNDS, 0, 256);
	time_switch("cr3_switch_1pte_touch16", ROUNDS, 1, 16);
	time_switch("cr3_switch_64pte_touch16", 100, 64, 16);
	time_switch("cr3_switch_4096pte_touch16", 16, MOST, 16);
}

/* With PCIDs a switch need not flush. */
static void time_pcids(void)
{
	unsigned long cr4 = read_cr4();

	write_cr3(spaces[0]);
	if (!(cpuid(1).c & BIT(17)))
		return;
	write_cr4(cr4 | CR4_PCIDE);
	TIME_CODE("cr3_switch_pcid", ROUNDS,
		  for (unsigned r = 0; r < ROUNDS; r++) write_cr3(spaces[r & 1] | (1 + (r & 1))));
	TIME_CODE("cr3_switch_pcid_noflush", ROUNDS,
		  for (unsigned r = 0; r < ROUNDS; r++)
			  write_cr3(spaces[r & 1] | (1 + (r & 1)) | NO_FLUSH));
	write_cr3(spaces[0]);
	write_cr4(cr4);
}

/* --- processes -------------------------------------------------------------------------------- */

static pte_t *process[4]; /* its tables, from the lowest */

static bool on_fault(struct regs *regs)
{
	unsigned long i = (read_cr2() - PROC_VA) / PAGE_SIZE;

	(void)regs;
	if (i >= FAULTS)
		return false;
	process[0][i] = page(i);
	return true;
}

/* Tables of its own for the part that is private, a fault for each page, and the end. */
static void run_process(void)
{
	for (unsigned l = 0; l < 3; l++)
		memset(process[l], 0, PAGE_SIZE);
	memcpy(process[3], (void *)spaces[0], PAGE_SIZE);
	for (unsigned l = 1; l < 4; l++)
		process[l][INDEX(PROC_VA, l + 1)] =
			(unsigned long)process[l - 1] | PTE_P | PTE_W | PTE_U;
	write_cr3((unsigned long)process[3]);
	write_pages(PROC_VA, PROC_VA + FAULTS * PAGE_SIZE);
	write_cr3(spaces[0]);
}

static void time_processes(void)
{
	for (unsigned l = 0; l < 4; l++)
		process[l] = page_alloc();
	trap_set(PF, on_fault);
	TIME_CODE("proc_churn_32faults", PROCESSES,
		  for (unsigned i = 0; i < PROCESSES; i++) run_process());
	trap_set(PF, NULL);
}

void time_spaces(void)
{
	make_spaces();
	time_switches();
	time_pcids();
	time_processes();
}
