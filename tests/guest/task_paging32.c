/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Task switches by hardware between page tables: each task has its own address space (SDM volume 3,
 * 7.6).
 */
#include "access.h"
#include "ktap.h"
#include "paging.h"
#include "tasks32.h"

#define VA      0xd0000000ul /* a page that only the tests map */
#define RIGHTS  (PTE_P | PTE_W | PTE_U)
#define SIZE_4M 0x400000ul

static volatile uint32_t found;

static void look(void)
{
	found = *(volatile uint32_t *)VA;
}

/* All of the 4 GiB one to one, but for a page at VA. */
static unsigned long make_two_levels(uint32_t mark)
{
	uint32_t *directory = page_alloc(), *table = page_alloc(), *page = page_alloc();

	for (uint32_t i = 0; i < 1024; i++)
		directory[i] = i << 22 | (uint32_t)(RIGHTS | PTE_PS);
	directory[VA >> 22] = (uint32_t)(unsigned long)table | (uint32_t)RIGHTS;
	table[0] = (uint32_t)(unsigned long)page | (uint32_t)RIGHTS;
	page[0] = mark;
	return (unsigned long)directory;
}

static unsigned long make_pae(uint32_t mark)
{
	uint64_t *pdpt = page_alloc(), *table = page_alloc();
	uint32_t *page = page_alloc();

	for (unsigned i = 0; i < 4; i++) {
		uint64_t *directory = page_alloc();

		for (unsigned j = 0; j < 512; j++)
			directory[j] = (i * 512ull + j) << 21 | RIGHTS | PTE_PS;
		if (i == VA >> 30)
			directory[VA >> 21 & 511] = (unsigned long)table | RIGHTS;
		pdpt[i] = (unsigned long)directory | PTE_P;
	}
	table[0] = (unsigned long)page | RIGHTS;
	page[0] = mark;
	return (unsigned long)pdpt;
}

static void paging_off(void)
{
	write_cr0(read_cr0() & ~CR0_PG);
	write_cr4(read_cr4() & ~(CR4_PAE | CR4_PSE));
	task_home()->cr3 = 0;
}

/* Each task finds its own page, again and again, in the format of paging that `cr4` chooses. */
static void check_address_spaces(unsigned long ours, unsigned long theirs, unsigned long cr4)
{
	write_cr4(read_cr4() | cr4);
	write_cr3(ours);
	write_cr0(read_cr0() | CR0_PG);
	task_begin();
	task_home()->cr3 = (uint32_t)ours;
	task1.cr3 = (uint32_t)theirs;
	task_hook = look;
	for (unsigned i = 0; i < 10; i++) {
		CHECK_EQ(*(volatile uint32_t *)VA, 0x1000);
		found = 0;
		CALL_TASK(SEL_T1);
		CHECK_EQ(found, 0x2000);
		CHECK_EQ(task_seen.cr3, theirs);
		CHECK_EQ(read_cr3(), ours);
	}
	CHECK_EQ(task1.cr3, theirs); /* which the CPU never stores */
	paging_off();
}

TEST(page_tables_of_two_levels)
{
	check_address_spaces(make_two_levels(0x1000), make_two_levels(0x2000), CR4_PSE);
}

TEST(page_tables_of_pae)
{
	check_address_spaces(make_pae(0x1000), make_pae(0x2000), CR4_PAE);
}

TEST(no_paging_no_cr3)
{
	task_begin();
	task1.cr3 = 0x5000;
	CALL_TASK(SEL_T1);
	CHECK_EQ(task_seen.runs, 1);
	CHECK(task_seen.cr3 != 0x5000);
}

/* The new TSS is not mapped: the old task's page fault, and nothing has changed. */
TEST(absent_tss)
{
	unsigned long ours = make_two_levels(0);

	task_begin();
	write_cr4(read_cr4() | CR4_PSE);
	write_cr3(ours);
	write_cr0(read_cr0() | CR0_PG);
	task_set_tss(SEL_T1, (struct tss *)(VA + PAGE_SIZE), TSS_AVAILABLE);
	CHECK_EQ(TRY(CALL_TASK(SEL_T1)), PF_VECTOR);
	CHECK_EQ(fault()->cr2 & ~(PAGE_SIZE - 1), VA + PAGE_SIZE);
	CHECK_EQ(fault()->error & ~PF_W, 0);
	CHECK_EQ(str(), SEL_TSS);
	CHECK_EQ(task_type(SEL_T1), TSS_AVAILABLE);
	CHECK_EQ(task_type(SEL_TSS), TSS_BUSY);
	paging_off();
}
