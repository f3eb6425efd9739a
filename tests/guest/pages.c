/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Guest page tables of the 4-level format: sizes, permissions, accessed and dirty bits, reserved
 * bits and error codes, and memory touched for the first time (SDM volume 3, chapter 4).
 */
#include <string.h>

#include "access.h"
#include "apic.h"
#include "flaws.h"
#include "hypercall.h"
#include "ktap.h"
#include "paging.h"

#define LINK (PTE_P | PTE_W | PTE_U)

/* --- sizes ------------------------------------------------------------------------------------ */

static void check_alias(unsigned level, unsigned long bytes)
{
	uint64_t *memory =
		pages_alloc(bytes < SIZE_1G ? bytes : SIZE_2M, bytes < SIZE_1G ? bytes : SIZE_2M);
	unsigned long pa = (unsigned long)memory, off = pa & (bytes - 1);
	volatile uint64_t *alias = (uint64_t *)(TEST_VA + off);

	map_page(TEST_VA, level, (pa - off) | LINK);
	alias[1] = 0x1122334455667788ull;
	CHECK_EQ(memory[1], 0x1122334455667788ull);
	memory[500] = 0x99;
	CHECK_EQ(alias[500], 0x99);
	map_page(TEST_VA, level, 0);
	CHECK(is_pf(try_read(TEST_VA + off), 0, TEST_VA + off));
}

TEST(map_4k)
{
	check_alias(1, PAGE_SIZE);
}

TEST(map_2m)
{
	*pte_get(TEST_VA, 2) = 0;
	check_alias(2, SIZE_2M);
}

TEST(map_1g)
{
	SKIP_UNLESS(HAS_1G_PAGES, "no 1 GiB pages");
	*pte_get(TEST_VA, 3) = 0;
	check_alias(3, SIZE_1G);
}

TEST(remap_after_invlpg)
{
	uint64_t *a = page_alloc(), *b = page_alloc();
	volatile uint64_t *alias = (uint64_t *)TEST_VA;

	*pte_get(TEST_VA, 3) = 0;
	for (unsigned i = 0; i < 100; i++) {
		map_page(TEST_VA, 1, (pte_t)(unsigned long)a | LINK);
		*alias = i;
		map_page(TEST_VA, 1, (pte_t)(unsigned long)b | LINK);
		*alias = ~(uint64_t)i;
		if (!CHECK_EQ(*a, i) || !CHECK_EQ(*b, ~(uint64_t)i))
			break;
	}
}

TEST(non_global_pages_go_with_cr3)
{
	uint64_t *a = page_alloc(), *b = page_alloc();
	volatile uint64_t *alias = (uint64_t *)TEST_VA;

	*a = 1;
	*b = 2;
	map_page(TEST_VA, 1, (pte_t)(unsigned long)a | LINK);
	CHECK_EQ(*alias, 1);
	*pte_get(TEST_VA, 1) = (pte_t)(unsigned long)b | LINK;
	flush();
	CHECK_EQ(*alias, 2);
}

TEST(global_pages_go_with_pge)
{
	uint64_t *a = page_alloc(), *b = page_alloc();
	volatile uint64_t *alias = (uint64_t *)TEST_VA;
	unsigned long cr4 = read_cr4();

	SKIP_UNLESS(HAS_PGE, "no PGE");
	write_cr4(cr4 | CR4_PGE);
	*a = 1;
	*b = 2;
	map_page(TEST_VA, 1, (pte_t)(unsigned long)a | LINK | PTE_G);
	CHECK_EQ(*alias, 1);
	*pte_get(TEST_VA, 1) = (pte_t)(unsigned long)b | LINK;
	tlb_flush_all();
	CHECK_EQ(*alias, 2);
	write_cr4(cr4);
}

TEST(large_pages_over_device_holes)
{
	uint32_t version = ioapic_read(IOAPIC_VERSION),
		 lapic = *(volatile uint32_t *)(APIC_BASE_PA + 0x30);
	volatile uint32_t *window;

	*pte_get(TEST_VA, 3) = 0;
	map_page(TEST_VA, 2, 0xfec00000 | LINK);
	window = (uint32_t *)TEST_VA;
	window[0] = IOAPIC_VERSION;
	CHECK_EQ(window[4], version);
	map_page(TEST_VA + SIZE_2M, 2, 0xfee00000 | LINK);
	CHECK_EQ(*(volatile uint32_t *)(TEST_VA + SIZE_2M + 0x30), lapic);
	SKIP_UNLESS(HAS_1G_PAGES, "no 1 GiB pages");
	map_page(TEST_VA, 3, 0xc0000000 | LINK);
	window = (uint32_t *)(TEST_VA + 0x3ec00000);
	window[0] = IOAPIC_VERSION;
	CHECK_EQ(window[4], version);
	CHECK_EQ(*(volatile uint32_t *)(TEST_VA + 0x3ee00030), lapic);
	*pte_get(TEST_VA, 3) = 0;
	flush();
}

/* One page seen through 4K, 2M and 1G pages of the guest at once. */
TEST(one_page_through_three_sizes)
{
	uint64_t *memory = pages_alloc(SIZE_2M, SIZE_2M);
	unsigned long pa = (unsigned long)memory;
	volatile uint64_t *small = (uint64_t *)(TEST_VA + SIZE_1G);
	volatile uint64_t *large = (uint64_t *)(TEST_VA + 2 * SIZE_1G);
	volatile uint64_t *huge = (uint64_t *)(TEST_VA + 3 * SIZE_1G + (pa & (SIZE_1G - 1)));

	SKIP_UNLESS(HAS_1G_PAGES, "no 1 GiB pages");
	map_page((unsigned long)small, 1, pa | LINK);
	map_page((unsigned long)large, 2, pa | LINK);
	map_page((unsigned long)huge & ~(SIZE_1G - 1), 3, (pa & ~(SIZE_1G - 1)) | LINK);
	*small = 1;
	CHECK_EQ(*large, 1);
	CHECK_EQ(*huge, 1);
	*large = 2;
	CHECK_EQ(*small, 2);
	*huge = 3;
	CHECK_EQ(*small, 3);
	CHECK_EQ(*memory, 3);
}

/* --- faults ----------------------------------------------------------------------------------- */

TEST(not_present_at_every_level)
{
	unsigned long va = TEST_VA + 0x8000000000ul; /* a PML4 entry of its own */
	uint64_t *page = page_alloc();

	map_page(va, 1, (pte_t)(unsigned long)page | LINK);
	CHECK_EQ(try_read(va), NO_FAULT);
	for (unsigned level = 1; level <= 4; level++) {
		pte_t *entry = pte_get(va, level), old = *entry;

		*entry &= ~PTE_P;
		flush();
		CHECK(is_pf(try_read(va + 8), 0, va + 8));
		CHECK(is_pf(try_write(va + 16), PF_W, va + 16));
		CHECK(is_pf(try_as_user(user_read, va + 24), PF_U, va + 24));
		CHECK(is_pf(try_as_user(user_write, va + 32), PF_U | PF_W, va + 32));
		*entry = old;
		flush();
		CHECK_EQ(try_read(va), NO_FAULT);
	}
}

/* Bit 7 of the topmost level's entries; the bits that the tests are about are others. */
TEST(reserved_bit_is_reported_as_present)
{
	unsigned long va = 2 * TEST_VA - (1ul << 39);
	pte_t *entry = pte_get(va, 4);

	*entry = (pte_t)(unsigned long)page_alloc() | PTE_P | PTE_W | PTE_PS;
	try_read(va);
	*entry = 0;
	SKIP_UNLESS(find_reserved_error(), "this CPU reports a reserved bit without P");
	CHECK_EQ(fault()->vector, PF_VECTOR);
	CHECK_EQ(fault()->error, PF_P | PF_RSVD);
}

TEST(reserved_bits_of_large_pages)
{
	*pte_get(TEST_VA, 3) = 0;
	map_page(TEST_VA, 2, BIT(13) | LINK);
	CHECK(is_pf(try_read(TEST_VA), PF_P | PF_RSVD, TEST_VA));
	CHECK(is_pf(try_write(TEST_VA), PF_P | PF_RSVD | PF_W, TEST_VA));
	map_page(TEST_VA, 2, BIT(20) | LINK);
	CHECK(is_pf(try_read(TEST_VA), PF_P | PF_RSVD, TEST_VA));
	if (HAS_1G_PAGES) {
		*pte_get(TEST_VA, 3) = BIT(13) | LINK | PTE_PS;
		flush();
		CHECK(is_pf(try_read(TEST_VA), PF_P | PF_RSVD, TEST_VA));
	}
	*pte_get(TEST_VA, 3) = 0;
	flush();
}

TEST(reserved_bits_above_the_physical_width)
{
	unsigned long va = TEST_VA + 0x8000000000ul;

	SKIP_UNLESS(phys_bits() < 52, "all 52 bits are there");
	for (unsigned level = 1; level <= 4; level++) {
		pte_t *entry = pte_get(va, level), old = *entry;

		for (unsigned bit = phys_bits(); bit < 52; bit++) {
			*entry = old | BIT64(bit);
			flush();
			if (!CHECK(is_pf(try_read(va), PF_P | PF_RSVD, va)))
				printf("# level %u bit %u\n", level, bit);
		}
		*entry = old;
		flush();
	}
	CHECK_EQ(try_read(va), NO_FAULT);
}

TEST(large_bit_in_the_pml4)
{
	unsigned long va = TEST_VA + 0x8000000000ul;
	pte_t *entry = pte_get(va, 4);

	*entry |= PTE_PS;
	flush();
	CHECK(is_pf(try_read(va), PF_P | PF_RSVD, va));
	*entry &= ~PTE_PS;
	flush();
}

TEST(nx_without_nxe_is_reserved)
{
	uint64_t efer = rdmsr(MSR_EFER);

	wrmsr(MSR_EFER, efer & ~EFER_NXE);
	map_page(TEST_VA, 1, (pte_t)(unsigned long)page_alloc() | LINK | PTE_NX);
	CHECK(is_pf(try_read(TEST_VA), PF_P | PF_RSVD, TEST_VA));
	wrmsr(MSR_EFER, efer | EFER_NXE);
	flush();
	CHECK_EQ(try_read(TEST_VA), NO_FAULT);
	wrmsr(MSR_EFER, efer);
}

TEST(write_across_pages)
{
	uint8_t *first = page_alloc();
	unsigned long end = TEST_VA + PAGE_SIZE;

	*pte_get(TEST_VA, 3) = 0;
	map_page(TEST_VA, 1, (pte_t)(unsigned long)first | LINK);
	CHECK(is_pf(try_write(end - 4), PF_W, end));
	CHECK_EQ(first[PAGE_SIZE - 4], 0); /* nothing was written */
	CHECK(is_pf(try_read(end - 1), 0, end));
	CHECK(is_pf(try_as_user(user_write, end - 7), PF_W | PF_U, end));
}

TEST(non_canonical_address)
{
	unsigned long va = 0x0000800000000000ul;

	SKIP_UNLESS(!(read_cr4() & CR4_LA57), "57-bit addresses");
	CHECK_EQ(try_read(va), GP_VECTOR);
	CHECK_EQ(fault()->error, 0);
	CHECK_EQ(try_write(0xffff7ffffffffff8ul), GP_VECTOR);
	SKIP_UNLESS(
		IS_ABLE(TRY(__asm__ volatile("push %%rbp; mov %0, %%rbp; incb 8(%%rbp); pop %%rbp"
					     :
					     : "r"(va))) == SS_VECTOR),
		"this CPU raises #GP where the stack segment is #SS");
	CHECK_EQ(TRY(__asm__ volatile("push %%rbp; mov %0, %%rbp; mov (%%rbp), %%rax; pop %%rbp"
				      :
				      : "r"(va)
				      : "rax")),
		 SS_VECTOR);
}

/* --- permissions ------------------------------------------------------------------------------ */

struct rights {
	bool w, u, nx;
};

static unsigned long expected_error(struct rights r, bool write, bool fetch, bool user)
{
	bool denied = (write && !r.w) || (fetch && r.nx) || (user && !r.u);

	return denied ? PF_P | (write ? PF_W : 0) | (user ? PF_U : 0) | (fetch ? PF_FETCH : 0) : 0;
}

static void check_access(int vector, unsigned long error, unsigned long va)
{
	if (error)
		CHECK(is_pf(vector, error, va));
	else
		CHECK_EQ(vector, NO_FAULT);
}

static void check_all_accesses(struct rights r, unsigned long va)
{
	check_access(try_read(va), expected_error(r, false, false, false), va);
	check_access(try_write(va), expected_error(r, true, false, false), va);
	check_access(try_fetch(va), expected_error(r, false, true, false), va);
	check_access(try_as_user(user_read, va), expected_error(r, false, false, true), va);
	check_access(try_as_user(user_write, va + 8), expected_error(r, true, false, true), va + 8);
	check_access(try_as_user(user_fetch, va), expected_error(r, false, true, true), va);
}

/* W, U and NX of three levels in all combinations: 512 x 6 accesses. CR0.WP is set. */
TEST(rights_are_those_of_all_levels)
{
	unsigned long va = TEST_VA, cr0 = read_cr0();
	uint64_t efer = rdmsr(MSR_EFER);
	uint8_t *page = page_alloc();
	pte_t *entry[4], old[4];

	memset(page, 0xc3, PAGE_SIZE); /* RET */
	wrmsr(MSR_EFER, efer | EFER_NXE);
	write_cr0(cr0 | CR0_WP);
	*pte_get(va, 3) = 0;
	map_page(va, 1, (pte_t)(unsigned long)page | LINK);
	for (unsigned l = 1; l <= 3; l++) {
		entry[l] = pte_get(va, l);
		old[l] = *entry[l] & ~(PTE_W | PTE_U);
	}
	for (unsigned bits = 0; bits < 512; bits++) {
		struct rights r = {true, true, false};

		for (unsigned l = 1; l <= 3; l++) {
			unsigned b = bits >> 3 * (l - 1);

			*entry[l] = old[l] | (b & 1 ? PTE_W : 0) | (b & 2 ? PTE_U : 0) |
				    (b & 4 ? PTE_NX : 0);
			r.w &= b & 1;
			r.u &= b >> 1 & 1;
			r.nx |= b >> 2 & 1;
		}
		flush();
		memset(page, 0xc3, 16);
		check_all_accesses(r, va);
	}
	*pte_get(va, 3) = 0;
	flush();
	write_cr0(cr0);
	wrmsr(MSR_EFER, efer);
}

TEST(supervisor_write_without_wp)
{
	unsigned long cr0 = read_cr0();
	uint64_t *page = page_alloc();

	*pte_get(TEST_VA, 3) = 0;
	map_page(TEST_VA, 1, (pte_t)(unsigned long)page | PTE_P | PTE_U);
	write_cr0(cr0 & ~CR0_WP);
	CHECK_EQ(try_write(TEST_VA), NO_FAULT);
	CHECK_EQ(*page, WRITE_PATTERN);
	CHECK(is_pf(try_as_user(user_write, TEST_VA), PF_P | PF_W | PF_U, TEST_VA));
	write_cr0(cr0 | CR0_WP);
	CHECK(is_pf(try_write(TEST_VA), PF_P | PF_W, TEST_VA));
	CHECK_EQ(try_read(TEST_VA), NO_FAULT);
	write_cr0(cr0);
}

TEST(smep)
{
	unsigned long cr4 = read_cr4();
	uint8_t *page = page_alloc();

	SKIP_UNLESS(HAS_SMEP, "no SMEP");
	*page = 0xc3;
	map_page(TEST_VA, 1, (pte_t)(unsigned long)page | LINK);
	/* The payload itself lies in user pages: take U from them while SMEP is on. */
	*pte_get(0, 4) &= ~PTE_U;
	flush();
	write_cr4(cr4 | CR4_SMEP);
	CHECK(is_pf(try_fetch(TEST_VA), PF_P | PF_FETCH, TEST_VA));
	CHECK_EQ(try_read(TEST_VA), NO_FAULT);
	map_page(TEST_VA, 1, (pte_t)(unsigned long)page | PTE_P | PTE_W);
	CHECK_EQ(try_fetch(TEST_VA), NO_FAULT);
	write_cr4(cr4);
	*pte_get(0, 4) |= PTE_U;
	flush();
}

TEST(smap)
{
	unsigned long cr4 = read_cr4();

	SKIP_UNLESS(HAS_SMAP, "no SMAP");
	map_page(TEST_VA, 1, (pte_t)(unsigned long)page_alloc() | LINK);
	*pte_get(0, 4) &= ~PTE_U;
	flush();
	write_cr4(cr4 | CR4_SMAP);
	write_flags(read_flags() & ~RFLAGS_AC);
	CHECK(is_pf(try_read(TEST_VA), PF_P, TEST_VA));
	CHECK(is_pf(try_write(TEST_VA), PF_P | PF_W, TEST_VA));
	__asm__ volatile("stac");
	CHECK_EQ(try_read(TEST_VA), NO_FAULT);
	__asm__ volatile("clac");
	CHECK(is_pf(try_read(TEST_VA), PF_P, TEST_VA));
	write_cr4(cr4);
	*pte_get(0, 4) |= PTE_U;
	flush();
}

/* --- accessed and dirty ----------------------------------------------------------------------- */

TEST(accessed_and_dirty_bits)
{
	unsigned long va = TEST_VA + 0x10000000000ul;

	map_page(va, 1, (pte_t)(unsigned long)page_alloc() | LINK);
	CHECK_EQ(try_read(va), NO_FAULT);
	CHECK_EQ(*pte_get(va, 1) & (PTE_A | PTE_D), PTE_A);
	for (unsigned level = 2; level <= 4; level++)
		CHECK_EQ(*pte_get(va, level) & (PTE_A | PTE_D), PTE_A);
	CHECK_EQ(try_write(va), NO_FAULT);
	CHECK_EQ(*pte_get(va, 1) & (PTE_A | PTE_D), PTE_A | PTE_D);
	for (unsigned level = 2; level <= 4; level++)
		CHECK_EQ(*pte_get(va, level) & PTE_D, 0);
}

TEST(accessed_and_dirty_bits_come_back)
{
	unsigned long va = TEST_VA + 0x10000000000ul;
	pte_t *entry = pte_get(va, 1);

	map_page(va, 1, (pte_t)(unsigned long)page_alloc() | LINK | PTE_A | PTE_D);
	for (unsigned i = 0; i < 16; i++) {
		CHECK_EQ(try_write(va), NO_FAULT);
		*entry &= ~(PTE_A | PTE_D);
		invlpg((void *)va);
		CHECK_EQ(try_read(va), NO_FAULT);
		CHECK_EQ(*entry & (PTE_A | PTE_D), PTE_A);
		CHECK_EQ(try_write(va), NO_FAULT);
		CHECK_EQ(*entry & (PTE_A | PTE_D), PTE_A | PTE_D);
	}
}

TEST(dirty_bits_of_large_pages)
{
	unsigned long va = TEST_VA + 0x10000000000ul + SIZE_1G;
	pte_t *entry;

	map_page(va, 2, (pte_t)(unsigned long)pages_alloc(SIZE_2M, SIZE_2M) | LINK);
	entry = pte_get(va, 2);
	CHECK_EQ(*entry & (PTE_A | PTE_D), 0);
	CHECK_EQ(try_read(va + 0x12340), NO_FAULT);
	CHECK_EQ(*entry & (PTE_A | PTE_D), PTE_A);
	CHECK_EQ(try_write(va + 0x23450), NO_FAULT);
	CHECK_EQ(*entry & (PTE_A | PTE_D), PTE_A | PTE_D);
}

TEST(refused_write_leaves_no_dirty_bit)
{
	unsigned long cr0 = read_cr0(), va = TEST_VA + 0x10000000000ul;
	pte_t *entry = pte_get(va, 1);

	write_cr0(cr0 | CR0_WP);
	map_page(va, 1, (pte_t)(unsigned long)page_alloc() | PTE_P | PTE_U);
	CHECK(is_pf(try_write(va), PF_P | PF_W, va));
	CHECK_EQ(*entry & PTE_D, 0);
	write_cr0(cr0);
}

/* --- memory ----------------------------------------------------------------------------------- */

/* Page tables in memory nobody has touched: the walk itself meets missing pages underneath. */
TEST(tables_in_untouched_memory)
{
	unsigned long start, end, va = TEST_VA + 0x18000000000ul;
	unsigned long table[4];

	pages_rest(&start, &end);
	start = ((start + end) / 2 & ~(SIZE_2M - 1)) + 0x5000;
	for (unsigned i = 0; i < 4; i++)
		table[i] = start + i * SIZE_2M;
	*pte_get(va, 4) = table[0] | LINK;
	CHECK(is_pf(try_read(va), 0, va)); /* zeroed memory: nothing is present */
	*(volatile pte_t *)(table[0] + 8 * (va >> 30 & 511)) = table[1] | LINK;
	CHECK(is_pf(try_write(va), PF_W, va));
	*(volatile pte_t *)(table[1] + 8 * (va >> 21 & 511)) = table[2] | LINK;
	CHECK(is_pf(try_as_user(user_read, va), PF_U, va));
	*(volatile pte_t *)(table[2] + 8 * (va >> 12 & 511)) = table[3] | LINK;
	flush();
	CHECK_EQ(try_write(va), NO_FAULT);
	CHECK_EQ(*(volatile uint64_t *)table[3], WRITE_PATTERN);
	*pte_get(va, 4) = 0;
	flush();
}

static uint64_t pattern(unsigned long pa)
{
	return (pa ^ 0x5555aaaa5555aaaaul) * 0x9e3779b97f4a7c15ul;
}

/* Every page gets a word of its own; then all are read back: no two share a frame. */
TEST(first_touch_of_all_memory)
{
	unsigned long start, end, wrong = 0, nonzero = 0;

	pages_rest(&start, &end);
	printf("# %lu MiB\n", (end - start) >> 20);
	for (unsigned long pa = start; pa < end; pa += PAGE_SIZE) {
		volatile uint64_t *p = (uint64_t *)(pa + pattern(pa) % 512 * 8);

		nonzero += *p != 0;
		*p = pattern(pa);
	}
	for (unsigned long pa = start; pa < end; pa += PAGE_SIZE) {
		volatile uint64_t *p = (uint64_t *)(pa + pattern(pa) % 512 * 8);

		wrong += *p != pattern(pa);
		*p = 0;
	}
	CHECK_EQ(wrong, 0);
	if (is_umbra()) /* elsewhere firmware has left its traces */
		CHECK_EQ(nonzero, 0);
}

/* Low memory below 640 KiB is RAM as well. */
TEST(low_memory)
{
	for (unsigned long pa = 0x10000; pa < 0x80000; pa += PAGE_SIZE) {
		volatile uint64_t *p = (uint64_t *)pa;
		uint64_t old = *p;

		*p = pattern(pa);
		CHECK_EQ(*p, pattern(pa));
		*p = old;
	}
}

/* Nobody answers between RAM and the devices. */
TEST(absent_memory_reads_all_ones)
{
	unsigned long hole = 0xf0000000ul;

	SKIP_UNLESS(is_umbra() || *(volatile uint32_t *)hole, "this machine gives 0");
	CHECK_EQ(try_read(hole), NO_FAULT);
	CHECK_EQ(*(volatile uint32_t *)hole, 0xffffffff);
	CHECK_EQ(*(volatile uint8_t *)(hole + 3), 0xff);
	CHECK_EQ(TRY(*(volatile uint32_t *)hole = 0), NO_FAULT);
	CHECK_EQ(*(volatile uint32_t *)hole, 0xffffffff);
}
