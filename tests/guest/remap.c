/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Code that changes while its addresses stay the same, under the same CR3: other bytes in its page,
 * or another page by a changed entry of any level. Each piece of code exits, so that a hypervisor
 * sees it again and again, and may have remembered what it was.
 */
#include <string.h>

#include "ktap.h"
#include "paging.h"

#define VA     TEST_VA
#define DEVICE 0xfee00020ul /* the local APIC's ID; its version is behind that */

/* Of the same length, and of another. */
static const uint8_t read_id[] = {0x8b, 0x07, 0x90, 0x90,
				  0xc3}; /* mov (%rdi), %eax; nop; nop; ret */
static const uint8_t read_version[] = {0x8b, 0x47, 0x10, 0x90,
				       0xc3}; /* mov 16(%rdi), %eax; nop; ret */
static const uint8_t cpuid_plain[] = {0x0f, 0xa2, 0x90,
				      0xb0, 0x11, 0xc3}; /* cpuid; nop; mov $0x11, %al; ret */
static const uint8_t cpuid_long[] = {0xf2, 0x0f, 0xa2,
				     0xb0, 0x22, 0xc3}; /* repne cpuid; mov $0x22, %al; ret */

static uint32_t call(unsigned long at)
{
	uint32_t eax = 0;
	unsigned long rdi = DEVICE;

	__asm__ volatile("call *%2"
			 : "+a"(eax), "+D"(rdi)
			 : "r"(at)
			 : "rbx", "rcx", "rdx", "memory", "cc");
	return eax;
}

static uint8_t *page_with(const uint8_t *code, size_t len)
{
	uint8_t *page = page_alloc();

	memcpy(page, code, len);
	return page;
}

/* Some times each: what is remembered is used from the second time on. */
static void expect(unsigned long at, uint32_t value, uint32_t mask)
{
	for (unsigned i = 0; i < 3; i++)
		CHECK_EQ(call(at) & mask, value & mask);
}

TEST(bytes_change)
{
	uint32_t id = *(volatile uint32_t *)DEVICE, version = *(volatile uint32_t *)(DEVICE + 16);
	uint8_t *page = page_with(read_id, sizeof(read_id));

	REQUIRE(id != version);
	expect((unsigned long)page, id, ~0u);
	memcpy(page, read_version, sizeof(read_version));
	expect((unsigned long)page, version, ~0u);
	memcpy(page, read_id, sizeof(read_id));
	expect((unsigned long)page, id, ~0u);
}

/* One page of code after the other at VA. */
static void alternate(void (*put)(unsigned which))
{
	uint32_t id = *(volatile uint32_t *)DEVICE, version = *(volatile uint32_t *)(DEVICE + 16);

	for (unsigned i = 0; i < 3; i++) {
		put(0);
		expect(VA, id, ~0u);
		put(1);
		expect(VA, version, ~0u);
	}
}

static unsigned long code_pages[2];

static void make_pages(void)
{
	uint8_t *first = page_with(read_id, sizeof(read_id));
	uint8_t *second = page_with(read_version, sizeof(read_version));

	memcpy(first + 0x100, cpuid_plain, sizeof(cpuid_plain));
	memcpy(second + 0x100, cpuid_long, sizeof(cpuid_long));
	code_pages[0] = (unsigned long)first;
	code_pages[1] = (unsigned long)second;
}

static void put_page(unsigned which)
{
	map_page(VA, 1, code_pages[which] | PTE_P | PTE_W);
}

TEST(another_page)
{
	make_pages();
	alternate(put_page);
	for (unsigned i = 0; i < 3; i++) {
		put_page(0);
		expect(VA + 0x100, 0x11, 0xff);
		put_page(1);
		expect(VA + 0x100, 0x22, 0xff);
	}
}

/* Tables of their own, of one level each: the entry of the level above changes. */
static pte_t *tables[2];
static unsigned table_level;

static void put_table(unsigned which)
{
	*pte_get(VA, table_level + 1) = (unsigned long)tables[which] | PTE_P | PTE_W;
	tlb_flush_all();
}

TEST(another_table)
{
	make_pages();
	for (table_level = 1; table_level < 4; table_level++) {
		put_page(0);
		for (unsigned i = 0; i < 2; i++) {
			pte_t entry = code_pages[i] | PTE_P | PTE_W;

			/* From the lowest table up, all new. */
			for (unsigned l = 1; l <= table_level; l++) {
				pte_t *table = page_alloc();

				table[VA >> (12 + 9 * (l - 1)) & 511] = entry;
				entry = (unsigned long)table | PTE_P | PTE_W;
				tables[i] = table;
			}
		}
		alternate(put_table);
	}
}
