/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A guest that attacks by its page tables: leaves with random entries, string instructions that run
 * out of memory into a device or a hole and back, operands half here and half there. What is read
 * where nothing is are ones, what is written there is lost, and the guest goes on. run: testdev=1
 */
#include <string.h>

#include "boot.h"
#include "hypercall.h"
#include "ktap.h"
#include "paging.h"
#include "random.h"
#include "trap.h"

#define HOLE       0xd0000000ul /* no memory, no device */
#define DEVICE_RAM 0xff000000ul /* a device that keeps what is written: see mmio.c */
#define VA         TEST_VA
#define EDGE       (TEST_VA + PAGE_SIZE) /* RAM below, something else from here on */
#define MAP        (PTE_P | PTE_W)

static __attribute__((noinline)) int try_read(unsigned long va, unsigned size)
{
	switch (size) {
	case 1:
		return TRY(*(volatile uint8_t *)va);
	case 2:
		return TRY(*(volatile uint16_t *)va);
	case 4:
		return TRY(*(volatile uint32_t *)va);
	default:
		return TRY(*(volatile uint64_t *)va);
	}
}

/* Memory, a device, a hole, or more than the CPU has address bits. */
static pte_t random_frame(void)
{
	static const pte_t frames[] = {0x200000,   DEVICE_RAM, HOLE,
				       0xfec00000, 0xfee00000, 0x100000000000};

	if (random64() & 1)
		return random64() & PTE_PFN;
	return frames[random64() % 6];
}

TEST(random_leaves)
{
	pte_t reserved = PTE_PFN & ~((1ull << phys_bits()) - 1);
	unsigned faults = 0, count = 10000 / one_in();

	SKIP_UNLESS(is_umbra(), "a real machine may have anything there");
	for (unsigned i = 0; i < count; i++) {
		pte_t entry = random_frame() | (random64() & 0x1ff);
		unsigned size = 1u << random64() % 4;
		int vector, expected = PF_VECTOR;

		if ((entry & PTE_P) && !(entry & reserved))
			expected = NO_FAULT;
		map_page(VA, 1, entry);
		vector = try_read(VA + (random64() & 0xff8), size);
		if (vector != expected)
			printf("# entry %#llx\n", (unsigned long long)entry);
		CHECK_EQ(vector, expected);
		faults += vector == PF_VECTOR;
	}
	CHECK(faults > count / 10 && faults < count / 10 * 9);
}

/* --- strings over the edge ----------------------------------------------------------------------
 */

static uint8_t *below, *source;

static void set_up(pte_t behind)
{
	if (!below) {
		below = page_alloc();
		source = pages_alloc(2 * PAGE_SIZE, PAGE_SIZE);
		random_fill(source, 2 * PAGE_SIZE);
	}
	memset(below, 0x11, PAGE_SIZE);
	map_page(VA, 1, (unsigned long)below | MAP);
	map_page(EDGE, 1, behind);
}

static void copy(void *to, const void *from, unsigned long count)
{
	__asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(count) : : "memory");
	CHECK_EQ(count, 0);
}

static void *edge(long offset)
{
	return (void *)(EDGE + (unsigned long)offset);
}

TEST(strings_into_a_hole)
{
	unsigned long count = 64;
	uint8_t got[64];
	void *at = edge(-32);

	set_up(HOLE | MAP);
	copy(edge(-32), source, 64);
	CHECK(!memcmp(below + PAGE_SIZE - 32, source, 32));
	copy(got, edge(-32), 64);
	CHECK(!memcmp(got, source, 32));
	for (unsigned i = 32; i < 64; i++)
		CHECK_EQ(got[i], 0xff);
	__asm__ volatile("rep stosl" : "+D"(at), "+c"(count) : "a"(0x22222222) : "memory");
	CHECK_EQ(count, 0);
	CHECK_EQ(below[PAGE_SIZE - 1], 0x22);
	count = 64;
	at = edge(-32);
	__asm__ volatile("repe scasb" : "+D"(at), "+c"(count) : "a"(0x22) : "memory", "cc");
	CHECK_EQ(at, edge(1)); /* the first one that differs is behind the edge */
}

static bool has_device_ram(void)
{
	volatile uint32_t *word = (volatile uint32_t *)DEVICE_RAM;

	*word = 0x12345678;
	return *word == 0x12345678;
}

TEST(strings_into_a_device)
{
	uint8_t got[256];

	SKIP_UNLESS(has_device_ram(), "no device RAM at 0xff000000");
	set_up(DEVICE_RAM | MAP);
	for (unsigned i = 0; i < 100; i++) {
		unsigned len = 1 + (unsigned)(random64() % 256);
		long start = -(long)(random64() % 256);
		const uint8_t *from = source + random64() % PAGE_SIZE;

		copy(edge(start), from, len);
		memset(got, 0, sizeof(got));
		copy(got, edge(start), len);
		CHECK(!memcmp(got, from, len));
	}
}

/* The second page is absent: what came before is done, the registers say how far. */
TEST(strings_into_a_page_fault)
{
	int vector;

	set_up(0);
	vector = TRY(copy(edge(-32), source, 64));
	CHECK_EQ(vector, PF_VECTOR);
	CHECK_EQ(fault()->cr2, EDGE);
	CHECK_EQ(fault()->regs.cx, 32);
	CHECK_EQ(fault()->regs.di, EDGE);
	CHECK(!memcmp(below + PAGE_SIZE - 32, source, 32));
}

TEST(operands_over_the_edge)
{
	SKIP_UNLESS(has_device_ram(), "no device RAM at 0xff000000");
	set_up(DEVICE_RAM | MAP);
	for (unsigned i = 1; i < 8; i++) {
		uint64_t val = random64();
		volatile uint64_t *at = edge(-(long)i);

		*at = val;
		CHECK_EQ(*at, val);
		CHECK(!memcmp(below + PAGE_SIZE - i, &val, i));
		__atomic_fetch_add(at, 1, __ATOMIC_SEQ_CST);
		CHECK_EQ(*at, val + 1);
	}
	set_up(HOLE | MAP);
	for (unsigned i = 1; i < 8; i++) {
		*(volatile uint64_t *)edge(-(long)i) = 0;
		CHECK_EQ(*(volatile uint64_t *)edge(-(long)i), ~0ull << 8 * i);
	}
}

/* The access right of the first half does not serve the second. */
TEST(operand_over_the_edge_of_rights)
{
	volatile uint64_t *at = edge(-4);

	set_up(DEVICE_RAM | PTE_P);
	below[PAGE_SIZE - 1] = 0x5a;
	write_cr0(read_cr0() | CR0_WP);
	CHECK_EQ(TRY(*at = 0), PF_VECTOR);
	CHECK_EQ(fault()->cr2, EDGE);
	CHECK_EQ(below[PAGE_SIZE - 1], 0x5a);
	write_cr0(read_cr0() & ~CR0_WP);
}

TEST(string_io_over_the_edge)
{
	unsigned long count = 16;
	void *at = edge(-32);

	set_up(HOLE | MAP);
	__asm__ volatile("rep insl" : "+D"(at), "+c"(count) : "d"(0xe0) : "memory");
	CHECK_EQ(count, 0);
	CHECK_EQ(at, edge(32));
	at = edge(-32);
	count = 16;
	__asm__ volatile("rep outsl" : "+S"(at), "+c"(count) : "d"(0xe0) : "memory");
	CHECK_EQ(count, 0);
	CHECK_EQ(inl(0xe0), ~0u); /* the last came from the hole */
}
