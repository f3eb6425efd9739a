/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The page tables of 32-bit guests: two levels with 4K and 4M pages (PSE, PSE-36), and PAE with
 * its four page-directory-pointer entries that are loaded with CR3 (SDM volume 3, 4.3 and 4.4).
 * Paging is off when a test begins and when it ends.
 */
#include <string.h>

#include "access.h"
#include "hypercall.h"
#include "ktap.h"
#include "paging.h"

#define SIZE_4M 0x400000ul
#define VA      0xd0000000ul /* a page that only the tests map */
#define RIGHTS  (PTE_P | PTE_W | PTE_U)

static void paging_off(void)
{
	write_cr0(read_cr0() & ~(CR0_PG | CR0_WP));
	write_cr4(read_cr4() & ~(CR4_PAE | CR4_PSE | CR4_PGE));
}

/* --- two levels ------------------------------------------------------------------------------- */

static uint32_t *directory;

/* All of the 4 GiB one to one by 4M pages. */
static void two_level_on(void)
{
	directory = page_alloc();
	for (uint32_t i = 0; i < 1024; i++)
		directory[i] = i << 22 | (uint32_t)(RIGHTS | PTE_PS);
	write_cr4((read_cr4() & ~CR4_PAE) | CR4_PSE);
	write_cr3((unsigned long)directory);
	write_cr0(read_cr0() | CR0_PG | CR0_WP);
}

/* The 4K entry for VA's directory slot and page `index` in it. */
static uint32_t *small_entry(unsigned index)
{
	uint32_t *slot = &directory[VA >> 22];

	if (*slot & PTE_PS || !(*slot & PTE_P)) {
		*slot = (uint32_t)(unsigned long)page_alloc() | (uint32_t)RIGHTS;
		flush();
	}
	return (uint32_t *)(*slot & ~0xffful) + index;
}

TEST(two_level_4k_pages)
{
	uint32_t *page = page_alloc();

	two_level_on();
	*small_entry(0) = (uint32_t)(unsigned long)page | (uint32_t)RIGHTS;
	CHECK_EQ(try_write(VA + 8), NO_FAULT);
	CHECK_EQ(page[2], WRITE_PATTERN);
	*small_entry(0) = 0;
	invlpg((void *)VA);
	CHECK(is_pf(try_read(VA + 4), 0, VA + 4));
	CHECK(is_pf(try_write(VA + 4), PF_W, VA + 4));
	CHECK(is_pf(try_as_user(user_read, VA), PF_U, VA));
	directory[VA >> 22] = 0;
	flush();
	CHECK(is_pf(try_as_user(user_write, VA), PF_U | PF_W, VA));
	paging_off();
}

TEST(two_level_4m_pages)
{
	uint32_t *memory = pages_alloc(SIZE_4M, SIZE_4M);

	two_level_on();
	directory[VA >> 22] = (uint32_t)(unsigned long)memory | (uint32_t)(RIGHTS | PTE_PS);
	flush();
	CHECK_EQ(try_write(VA + 0x3ffffc), NO_FAULT);
	CHECK_EQ(memory[0xfffff], WRITE_PATTERN);
	paging_off();
}

TEST(pse_off_makes_a_table_of_it)
{
	uint32_t *table = page_alloc(), *page = page_alloc(), *low = page_alloc();

	/* Without CR4.PSE the bit is ignored; the payload itself needs 4K tables then. */
	directory = page_alloc();
	for (unsigned i = 0; i < 8; i++) {
		uint32_t *t = i ? page_alloc() : low;

		for (uint32_t j = 0; j < 1024; j++)
			t[j] = i << 22 | j << 12 | (uint32_t)RIGHTS;
		directory[i] = (uint32_t)(unsigned long)t | (uint32_t)RIGHTS;
	}
	table[0] = (uint32_t)(unsigned long)page | (uint32_t)RIGHTS;
	directory[VA >> 22] = (uint32_t)(unsigned long)table | (uint32_t)(RIGHTS | PTE_PS);
	write_cr4(read_cr4() & ~(CR4_PSE | CR4_PAE));
	write_cr3((unsigned long)directory);
	write_cr0(read_cr0() | CR0_PG);
	CHECK_EQ(try_write(VA), NO_FAULT);
	CHECK_EQ(*page, WRITE_PATTERN);
	paging_off();
}

TEST(two_level_rights)
{
	uint32_t *page = page_alloc();

	two_level_on();
	small_entry(0);
	for (unsigned bits = 0; bits < 16; bits++) {
		bool w = (bits & 1) && (bits & 4), u = (bits & 2) && (bits & 8);
		uint32_t leaf = (bits & 1 ? 2 : 0) | (bits & 2 ? 4 : 0) | 1;
		uint32_t slot = (bits & 4 ? 2 : 0) | (bits & 8 ? 4 : 0) | 1;

		*small_entry(0) = (uint32_t)(unsigned long)page | leaf;
		directory[VA >> 22] = (directory[VA >> 22] & ~0xffful) | slot;
		flush();
		CHECK_EQ(try_read(VA), NO_FAULT);
		if (w)
			CHECK_EQ(try_write(VA), NO_FAULT);
		else
			CHECK(is_pf(try_write(VA), PF_P | PF_W, VA));
		if (u)
			CHECK_EQ(try_as_user(user_read, VA), NO_FAULT);
		else
			CHECK(is_pf(try_as_user(user_read, VA), PF_P | PF_U, VA));
		if (u && w)
			CHECK_EQ(try_as_user(user_write, VA), NO_FAULT);
		else
			CHECK(is_pf(try_as_user(user_write, VA), PF_P | PF_W | PF_U, VA));
		write_cr0(read_cr0() & ~CR0_WP);
		CHECK_EQ(try_write(VA), NO_FAULT);
		write_cr0(read_cr0() | CR0_WP);
	}
	paging_off();
}

TEST(two_level_accessed_and_dirty)
{
	two_level_on();
	*small_entry(3) = (uint32_t)(unsigned long)page_alloc() | (uint32_t)RIGHTS;
	directory[VA >> 22] &= ~(uint32_t)PTE_A;
	flush();
	CHECK_EQ(try_read(VA + 0x3000), NO_FAULT);
	CHECK_EQ(*small_entry(3) & (PTE_A | PTE_D), PTE_A);
	CHECK_EQ(directory[VA >> 22] & (PTE_A | PTE_D), PTE_A);
	CHECK_EQ(try_write(VA + 0x3000), NO_FAULT);
	CHECK_EQ(*small_entry(3) & (PTE_A | PTE_D), PTE_A | PTE_D);
	CHECK_EQ(directory[VA >> 22] & PTE_D, 0);
	directory[VA >> 22] = (uint32_t)(unsigned long)pages_alloc(SIZE_4M, SIZE_4M) |
			      (uint32_t)(RIGHTS | PTE_PS);
	flush();
	CHECK_EQ(try_read(VA), NO_FAULT);
	CHECK_EQ(directory[VA >> 22] & (PTE_A | PTE_D), PTE_A);
	CHECK_EQ(try_write(VA), NO_FAULT);
	CHECK_EQ(directory[VA >> 22] & (PTE_A | PTE_D), PTE_A | PTE_D);
	paging_off();
}

/* --- PAE -------------------------------------------------------------------------------------- */

static uint64_t *pointers; /* the four */

/* One to one by 2M pages. */
static void pae_on(void)
{
	uint64_t *tables = pages_alloc(4 * PAGE_SIZE, PAGE_SIZE);

	pointers = page_alloc();
	for (uint32_t i = 0; i < 2048; i++)
		tables[i] = (uint64_t)i << 21 | RIGHTS | PTE_PS;
	for (unsigned i = 0; i < 4; i++)
		pointers[i] = (unsigned long)(tables + 512 * i) | PTE_P;
	write_cr4((read_cr4() & ~CR4_PSE) | CR4_PAE);
	write_cr3((unsigned long)pointers);
	write_cr0(read_cr0() | CR0_PG | CR0_WP);
}

static uint64_t *pae_slot(void)
{
	return (uint64_t *)(unsigned long)(pointers[VA >> 30] & PTE_PFN) + (VA >> 21 & 511);
}

static uint64_t *pae_entry(unsigned index)
{
	uint64_t *slot = pae_slot();

	if (*slot & PTE_PS || !(*slot & PTE_P)) {
		*slot = (unsigned long)page_alloc() | RIGHTS;
		flush();
	}
	return (uint64_t *)(unsigned long)(*slot & PTE_PFN) + index;
}

TEST(pae_reserved_bit_is_reported_as_present)
{
	pae_on();
	*pae_entry(0) = BIT64(52) | RIGHTS;
	try_read(VA);
	paging_off();
	SKIP_UNLESS(find_reserved_error(), "this CPU reports a reserved bit without P");
	CHECK_EQ(fault()->vector, PF_VECTOR);
	CHECK_EQ(fault()->error, PF_P | PF_RSVD);
}

TEST(pae_pages)
{
	uint32_t *page = page_alloc(), *memory = pages_alloc(SIZE_2M, SIZE_2M);

	pae_on();
	*pae_entry(5) = (unsigned long)page | RIGHTS;
	CHECK_EQ(try_write(VA + 0x5004), NO_FAULT);
	CHECK_EQ(page[1], WRITE_PATTERN);
	CHECK_EQ(*pae_entry(5) & (PTE_A | PTE_D), PTE_A | PTE_D);
	*pae_slot() = (unsigned long)memory | RIGHTS | PTE_PS;
	flush();
	CHECK_EQ(try_write(VA + 0x1ffffc), NO_FAULT);
	CHECK_EQ(memory[0x7ffff], WRITE_PATTERN);
	*pae_slot() = 0;
	flush();
	CHECK(is_pf(try_write(VA), PF_W, VA));
	paging_off();
}

TEST(pae_no_execute)
{
	uint8_t *page = page_alloc();
	uint64_t efer = rdmsr(MSR_EFER);

	SKIP_UNLESS(HAS_NX, "no NX");
	*page = 0xc3;
	wrmsr(MSR_EFER, efer | EFER_NXE);
	pae_on();
	*pae_entry(0) = (unsigned long)page | RIGHTS;
	CHECK_EQ(try_fetch(VA), NO_FAULT);
	*pae_entry(0) |= PTE_NX;
	invlpg((void *)VA);
	CHECK(is_pf(try_fetch(VA), PF_P | PF_FETCH, VA));
	CHECK_EQ(try_read(VA), NO_FAULT);
	*pae_entry(0) &= ~PTE_NX;
	*pae_slot() |= PTE_NX;
	flush();
	CHECK(is_pf(try_fetch(VA), PF_P | PF_FETCH, VA));
	wrmsr(MSR_EFER, efer & ~EFER_NXE);
	flush();
	CHECK(is_pf(try_read(VA), PF_P | PF_RSVD, VA));
	paging_off();
	wrmsr(MSR_EFER, efer);
}

TEST(pae_reserved_bits)
{
	pae_on();
	*pae_entry(0) = (unsigned long)page_alloc() | RIGHTS;
	for (unsigned bit = 52; bit < 63; bit++) {
		/* PAE has no ignored bits up there, unlike the 4-level format. */
		uint64_t old = *pae_entry(0);

		*pae_entry(0) |= BIT64(bit);
		invlpg((void *)VA);
		if (!CHECK(is_pf(try_read(VA), PF_P | PF_RSVD, VA)))
			printf("# bit %u\n", bit);
		*pae_entry(0) = old;
	}
	*pae_slot() = BIT64(13) | RIGHTS | PTE_PS;
	flush();
	CHECK(is_pf(try_read(VA), PF_P | PF_RSVD, VA));
	paging_off();
}

/*
 * In a guest with nested paging AMD's CPUs do not keep the pointers, and so look at them when they
 * walk (APM volume 2, 15.25.10). Others do not see a change before the next MOV to CR3.
 */
static bool reads_pointers_at_each_walk(void)
{
	uint64_t old = pointers[VA >> 30];
	int vector;

	pointers[VA >> 30] = 0;
	invlpg((void *)VA);
	vector = try_read(VA);
	pointers[VA >> 30] = old;
	flush();
	return vector == PF_VECTOR;
}

/* A load of CR3 with a reserved bit in a present pointer is refused. */
TEST(pae_reserved_bits_of_the_pointers)
{
	static const unsigned bits[] = {1, 2, 5, 63};

	pae_on();
	if (reads_pointers_at_each_walk()) {
		paging_off();
		SKIP("this CPU reads the pointers at each walk");
	}
	for (unsigned i = 0; i < sizeof(bits) / sizeof(bits[0]); i++) {
		uint64_t old = pointers[3];

		pointers[3] |= BIT64(bits[i]);
		CHECK_EQ(TRY(write_cr3((unsigned long)pointers)), GP_VECTOR);
		pointers[3] &= ~PTE_P; /* not present: nothing is reserved */
		CHECK_EQ(TRY(write_cr3((unsigned long)pointers)), NO_FAULT);
		pointers[3] = old;
		flush();
	}
	paging_off();
}

TEST(pae_absent_pointer)
{
	uint64_t old;

	pae_on();
	old = pointers[VA >> 30];
	pointers[VA >> 30] = 0;
	flush();
	CHECK(is_pf(try_read(VA), 0, VA));
	CHECK(is_pf(try_as_user(user_write, VA), PF_U | PF_W, VA));
	pointers[VA >> 30] = old;
	flush();
	*pae_slot() = 0xfec00000u | RIGHTS | PTE_PS;
	flush();
	*(volatile uint32_t *)VA = 1;
	CHECK_EQ(*(volatile uint32_t *)(VA + 16) >> 16 & 0xff, 23);
	paging_off();
}

/* The table of pointers needs only 32-byte alignment. */
TEST(pae_pointers_within_a_page)
{
	uint64_t *page;

	pae_on();
	page = page_alloc();
	for (unsigned off = 0; off < PAGE_SIZE; off += 1024 - 32) {
		memcpy((uint8_t *)page + off, pointers, 32);
		write_cr3((unsigned long)page + off);
		CHECK_EQ(try_read(VA & ~(SIZE_1G - 1)), NO_FAULT);
	}
	paging_off();
}

/* Behind those of PAE, where it is found what a reserved bit's error code has. */
TEST(pse36)
{
	uint32_t *memory = pages_alloc(SIZE_4M, SIZE_4M);

	SKIP_UNLESS(HAS_PSE36, "no PSE-36");
	two_level_on();
	directory[VA >> 22] = (uint32_t)(unsigned long)memory | (uint32_t)(RIGHTS | PTE_PS);
	flush();
	memory[0] = 1234;
	CHECK_EQ(*(volatile uint32_t *)VA, 1234);
	directory[VA >> 22] |= 1u << 21; /* always reserved */
	flush();
	CHECK(is_pf(try_read(VA), PF_P | PF_RSVD, VA));
	directory[VA >> 22] =
		(uint32_t)(unsigned long)memory | (uint32_t)(RIGHTS | PTE_PS) | 1u << 13;
	flush(); /* physical address bit 32: no RAM there */
	CHECK_EQ(try_read(VA), NO_FAULT);
	CHECK(*(volatile uint32_t *)VA != 1234);
	paging_off();
}

TEST(two_level_devices)
{
	two_level_on();
	directory[VA >> 22] = 0xfec00000u | (uint32_t)(RIGHTS | PTE_PS);
	flush();
	*(volatile uint32_t *)VA = 1; /* the IOAPIC's version register */
	CHECK_EQ(*(volatile uint32_t *)(VA + 16) >> 16 & 0xff, 23);
	paging_off();
}

TEST(global_pages)
{
	uint32_t *a = page_alloc(), *b = page_alloc();

	SKIP_UNLESS(HAS_PGE, "no PGE");
	two_level_on();
	write_cr4(read_cr4() | CR4_PGE);
	*a = 1;
	*b = 2;
	*small_entry(0) = (uint32_t)(unsigned long)a | (uint32_t)(RIGHTS | PTE_G);
	flush();
	CHECK_EQ(*(volatile uint32_t *)VA, 1);
	*small_entry(0) = (uint32_t)(unsigned long)b | (uint32_t)(RIGHTS | PTE_G);
	invlpg((void *)VA);
	CHECK_EQ(*(volatile uint32_t *)VA, 2);
	paging_off();
}

TEST(formats_can_be_switched)
{
	uint32_t *page = page_alloc();

	for (unsigned i = 0; i < 10; i++) {
		two_level_on();
		*small_entry(0) = (uint32_t)(unsigned long)page | (uint32_t)RIGHTS;
		*(volatile uint32_t *)VA = i;
		paging_off();
		CHECK_EQ(*page, i);
		pae_on();
		*pae_entry(0) = (unsigned long)page | RIGHTS;
		CHECK_EQ(*(volatile uint32_t *)VA, i);
		*(volatile uint32_t *)VA = i + 100;
		paging_off();
		CHECK_EQ(*page, i + 100);
	}
}
