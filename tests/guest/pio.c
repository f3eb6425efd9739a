/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Port input and output in every form: all widths, absent ports, and the string instructions with
 * repeat, both directions, address sizes, page crossings and faults in the middle.
 *
 * The UART's scratch register is the port that keeps a byte; fw_cfg's data port gives a sequence.
 */
#include <string.h>

#include "boot.h"
#include "flaws.h"
#include "ktap.h"
#include "paging.h"
#include "user.h"

#define SCRATCH    0x3ff
#define ABSENT     0x1234
#define FWCFG_SEL  0x510
#define FWCFG_DATA 0x511

TEST(byte_register)
{
	for (unsigned i = 0; i < 256; i++) {
		outb(SCRATCH, (uint8_t)i);
		CHECK_EQ(inb(SCRATCH), i);
	}
}

TEST(absent_ports_read_ones)
{
	SKIP_UNLESS(is_umbra() || inb(ABSENT) == 0xff, "this machine gives something else");
	CHECK_EQ(inb(ABSENT), 0xff);
	CHECK_EQ(inw(ABSENT), 0xffff);
	CHECK_EQ(inl(ABSENT), 0xffffffff);
	outb(ABSENT, 1);
	outw(ABSENT, 1);
	outl(ABSENT, 1);
	CHECK_EQ(inl(ABSENT), 0xffffffff);
	CHECK_EQ(inb(0xffff), 0xff);
	CHECK_EQ(inw(0xfffe), 0xffff);
}

/* What an IN leaves in RAX: 8 and 16 bits keep the rest, 32 bits clear the upper half. */
TEST(upper_bits_of_the_accumulator)
{
	unsigned long a;

	outb(SCRATCH, 0x5a);
	a = (unsigned long)0x1122334455667788ull;
	__asm__ volatile("inb %1, %b0" : "+a"(a) : "d"((uint16_t)SCRATCH));
	CHECK_EQ(a, ((unsigned long)0x1122334455667788ull & ~0xfful) | 0x5a);
	a = (unsigned long)0x1122334455667788ull;
	__asm__ volatile("inw %1, %w0" : "+a"(a) : "d"((uint16_t)ABSENT));
	CHECK_EQ(a >> 16, (unsigned long)0x1122334455667788ull >> 16);
	a = ~0ul;
	__asm__ volatile("inl %1, %k0" : "+a"(a) : "d"((uint16_t)ABSENT));
	CHECK_EQ(a >> 16 >> 16, 0);
}

TEST(immediate_port_forms)
{
	uint8_t old = inb(0x21), val;

	__asm__ volatile("outb %0, $0x21" : : "a"((uint8_t)0xfb));
	__asm__ volatile("inb $0x21, %0" : "=a"(val));
	CHECK_EQ(val, 0xfb);
	outb(0x21, old);
}

/* A wide access to byte-wide neighbours reaches each of them. */
TEST(word_access_to_byte_ports)
{
	uint16_t both;

	SKIP_UNLESS(is_umbra(), "QEMU's UART stops with a failed assertion");
	outb(SCRATCH, 0x77);
	both = inw(0x3fe); /* MSR and scratch */
	CHECK_EQ(both >> 8, 0x77);
}

/* --- strings ---------------------------------------------------------------------------------- */

static void select_signature(void)
{
	outw(FWCFG_SEL, FWCFG_SIGNATURE);
}

/* Put the direction flag back whatever happens. */
#define INSB(di, count, prefix, flag)                                                              \
	__asm__ volatile(flag "; " prefix " insb; cld"                                             \
			 : "+D"(di), "+c"(count)                                                   \
			 : "d"((uint16_t)FWCFG_DATA)                                               \
			 : "memory")

TEST(rep_insb)
{
	uint8_t buf[8] = "????????", *p = buf;
	unsigned long n = 4;

	select_signature();
	INSB(p, n, "rep", "cld");
	CHECK(!memcmp(buf, "QEMU????", 8));
	CHECK_EQ(n, 0);
	CHECK(p == buf + 4);
}

TEST(insb_without_rep)
{
	uint8_t buf[2] = "??", *p = buf;
	unsigned long n = 7;

	select_signature();
	INSB(p, n, "", "cld");
	CHECK(buf[0] == 'Q' && buf[1] == '?');
	CHECK_EQ(n, 7);
	CHECK(p == buf + 1);
}

TEST(rep_insb_backwards)
{
	uint8_t buf[8] = "????????", *p = buf + 5;
	unsigned long n = 4;

	select_signature();
	INSB(p, n, "rep", "std");
	CHECK(!memcmp(buf, "??UMEQ??", 8));
	CHECK(p == buf + 1);
}

TEST(rep_with_count_zero)
{
	uint8_t buf[2] = "??", *p = buf;
	unsigned long n = 0;

	select_signature();
	INSB(p, n, "rep", "cld");
	CHECK(buf[0] == '?' && p == buf);
	CHECK_EQ(inb(FWCFG_DATA), 'Q'); /* the port was not touched */
}

TEST(rep_outsb)
{
	const uint8_t bytes[] = {0, 1, 2, 3, 4, 0x99};
	const uint8_t *p = bytes + 1;
	unsigned long n = 5;

	__asm__ volatile("rep outsb" : "+S"(p), "+c"(n) : "d"((uint16_t)SCRATCH) : "memory");
	CHECK_EQ(inb(SCRATCH), 0x99);
	CHECK(n == 0 && p == bytes + sizeof(bytes));
	p = bytes + 4;
	n = 4;
	__asm__ volatile("std; rep outsb; cld"
			 : "+S"(p), "+c"(n)
			 : "d"((uint16_t)SCRATCH)
			 : "memory");
	CHECK_EQ(inb(SCRATCH), 1);
	CHECK(p == bytes);
}

TEST(wide_strings)
{
	uint32_t words[3] = {0x11111111, 0x22222222, 0x33333333}, *p = words;
	uint16_t halves[4] = {0}, *h = halves;
	unsigned long n = 2;

	__asm__ volatile("rep insl" : "+D"(p), "+c"(n) : "d"((uint16_t)ABSENT) : "memory");
	CHECK(p == words + 2);
	CHECK_EQ(words[2], 0x33333333);
	n = 3;
	__asm__ volatile("rep insw" : "+D"(h), "+c"(n) : "d"((uint16_t)ABSENT) : "memory");
	CHECK(h == halves + 3);
	CHECK_EQ(halves[3], 0);
	SKIP_UNLESS(is_umbra() || words[0] == 0xffffffff, "this machine gives something else");
	CHECK(words[0] == 0xffffffff && words[1] == 0xffffffff);
	CHECK(halves[0] == 0xffff && halves[2] == 0xffff);
}

/* Many repetitions: an emulator may split them, an interrupt may come between. */
TEST(long_repeat)
{
	static uint8_t buf[3 * PAGE_SIZE];
	uint8_t *p = buf;
	unsigned long n = sizeof(buf), wrong = 0;

	outb(SCRATCH, 0xab);
	__asm__ volatile("rep insb" : "+D"(p), "+c"(n) : "d"((uint16_t)SCRATCH) : "memory");
	for (unsigned i = 0; i < sizeof(buf); i++)
		wrong += buf[i] != 0xab;
	CHECK_EQ(wrong, 0);
	CHECK(n == 0 && p == buf + sizeof(buf));
}

#ifdef __x86_64__
TEST(address_size_override)
{
	uint8_t *buf = page_alloc(); /* below 4 GiB */
	unsigned long di = (unsigned long)buf | 0xdeadbeef00000000ul, n = 0xdeadbeef00000003ul;

	select_signature();
	__asm__ volatile("rep addr32 insb"
			 : "+D"(di), "+c"(n)
			 : "d"((uint16_t)FWCFG_DATA)
			 : "memory");
	CHECK(!memcmp(buf, "QEM\0", 4));
	CHECK_EQ(di, (unsigned long)buf + 3);
	CHECK_EQ(n, 0);
}

TEST(segment_base_of_outs)
{
	static const uint8_t bytes[] = {0x10, 0x20, 0x30};
	const uint8_t *p = NULL;

	wrmsr(MSR_FS_BASE, (unsigned long)bytes + 2);
	__asm__ volatile("fs outsb" : "+S"(p) : "d"((uint16_t)SCRATCH) : "memory");
	CHECK_EQ(inb(SCRATCH), 0x30);
	CHECK_EQ((unsigned long)p, 1);
	wrmsr(MSR_GS_BASE, (unsigned long)bytes);
	p = (const uint8_t *)1;
	__asm__ volatile("gs outsb" : "+S"(p) : "d"((uint16_t)SCRATCH) : "memory");
	CHECK_EQ(inb(SCRATCH), 0x20);
	wrmsr(MSR_FS_BASE, 0);
	wrmsr(MSR_GS_BASE, 0);
}

/* Two pages that are neighbours in linear but not in physical memory. */
static uint8_t *split_pages(uint8_t **first, uint8_t **second)
{
	uint8_t *a = page_alloc(), *gap = page_alloc(), *b = page_alloc();

	(void)gap;
	*first = b;
	*second = a;
	map_page(TEST_VA, 1, (pte_t)(unsigned long)b | PTE_P | PTE_W | PTE_U);
	map_page(TEST_VA + PAGE_SIZE, 1, (pte_t)(unsigned long)a | PTE_P | PTE_W | PTE_U);
	return (uint8_t *)TEST_VA;
}

TEST(strings_across_pages)
{
	uint8_t *first, *second, *va = split_pages(&first, &second), *p = va + PAGE_SIZE - 2;
	unsigned long n = 4;

	select_signature();
	INSB(p, n, "rep", "cld");
	CHECK(first[PAGE_SIZE - 2] == 'Q' && first[PAGE_SIZE - 1] == 'E');
	CHECK(second[0] == 'M' && second[1] == 'U');
}

/* One element that lies in two pages. */
TEST(element_across_pages)
{
	uint8_t *first, *second, *va = split_pages(&first, &second);
	uint8_t *p = va + PAGE_SIZE - 2;

	outb(SCRATCH, 0);
	__asm__ volatile("insl" : "+D"(p) : "d"((uint16_t)ABSENT) : "memory");
	SKIP_UNLESS(is_umbra() || first[PAGE_SIZE - 2], "this machine gives something else");
	CHECK(first[PAGE_SIZE - 2] == 0xff && first[PAGE_SIZE - 1] == 0xff);
	CHECK(second[0] == 0xff && second[1] == 0xff && second[2] == 0);
}

/* A fault in the middle: what was done is done, the registers say where it stopped. */
TEST(fault_in_the_middle)
{
	uint8_t *first, *second, *va = split_pages(&first, &second);
	int vector;

	*pte_get(TEST_VA + PAGE_SIZE, 1) = 0;
	invlpg(va + PAGE_SIZE);
	SKIP_UNLESS(keeps_fault_address(va + PAGE_SIZE), "no address in CR2 of an injected #PF");
	outb(SCRATCH, 0x5c);
	vector = TRY(__asm__ volatile("rep insb"
				      :
				      : "D"(va + PAGE_SIZE - 3), "c"(10ul), "d"((uint16_t)SCRATCH)
				      : "memory"));
	CHECK_EQ(vector, PF_VECTOR);
	CHECK_EQ(fault()->cr2, TEST_VA + PAGE_SIZE);
	CHECK_EQ(fault()->error, PF_W);
	CHECK_EQ(fault()->regs.cx, 7);
	CHECK_EQ(fault()->regs.di, TEST_VA + PAGE_SIZE);
	CHECK(first[PAGE_SIZE - 3] == 0x5c && first[PAGE_SIZE - 1] == 0x5c);
	vector = TRY(__asm__ volatile("rep outsb"
				      :
				      : "S"(va + PAGE_SIZE - 3), "c"(10ul), "d"((uint16_t)SCRATCH)
				      : "memory"));
	CHECK_EQ(vector, PF_VECTOR);
	CHECK_EQ(fault()->error, 0);
	CHECK_EQ(fault()->regs.cx, 7);
	CHECK_EQ(fault()->regs.si, TEST_VA + PAGE_SIZE);
}

TEST(write_protected_destination)
{
	unsigned long cr0 = read_cr0();
	uint8_t *first, *second, *va = split_pages(&first, &second);

	*pte_get(TEST_VA + PAGE_SIZE, 1) = 0;
	invlpg(va + PAGE_SIZE);
	SKIP_UNLESS(keeps_fault_address(va + PAGE_SIZE), "no address in CR2 of an injected #PF");
	write_cr0(cr0 | CR0_WP);
	*pte_get(TEST_VA, 1) &= ~PTE_W;
	invlpg(va);
	select_signature();
	CHECK_EQ(TRY(__asm__ volatile("insb"
				      :
				      : "D"(va), "d"((uint16_t)FWCFG_DATA)
				      : "memory")),
		 PF_VECTOR);
	CHECK_EQ(fault()->error, PF_P | PF_W);
	CHECK_EQ(fault()->cr2, TEST_VA);
	write_cr0(cr0);
}

TEST(dirty_bit_by_ins)
{
	uint8_t *first, *second, *va = split_pages(&first, &second), *p = va;
	unsigned long n = 1;

	select_signature();
	INSB(p, n, "rep", "cld");
	CHECK_EQ(*pte_get(TEST_VA, 1) & (PTE_A | PTE_D), PTE_A | PTE_D);
	p = va + PAGE_SIZE;
	__asm__ volatile("outsb" : "+S"(p) : "d"((uint16_t)SCRATCH) : "memory");
	CHECK_EQ(*pte_get(TEST_VA + PAGE_SIZE, 1) & (PTE_A | PTE_D), PTE_A);
}

TEST(strings_into_untouched_memory)
{
	unsigned long start, end;
	uint8_t *p;
	unsigned long n = 4;

	pages_rest(&start, &end);
	p = (uint8_t *)(((start + end) / 2 & ~(SIZE_2M - 1)) + PAGE_SIZE - 2);
	select_signature();
	INSB(p, n, "rep", "cld");
	CHECK(!memcmp(p - 4, "QEMU", 4));
}
#endif

/* --- permission ------------------------------------------------------------------------------- */

#define BITMAP_PORT 0x1237 /* the next one is in the next byte of the bitmap */

USER_CODE(user_in, "mov $0x1237, %edx; in %dx, %al");
USER_CODE(user_inw, "mov $0x1237, %edx; in %dx, %ax");

TEST(io_permission_bitmap)
{
	static struct {
		struct tss tss;
		uint8_t bitmap[0x2000 + 1];
	} __attribute__((packed)) wide;

	wide.tss = this_cpu()->tss;
	wide.tss.iomap = sizeof(struct tss);
	memset(wide.bitmap, 0xff, sizeof(wide.bitmap));
	gdt_set(SEL_TSS, (uint32_t)(unsigned long)&wide, sizeof(wide) - 1, 0x89);
	ltr(SEL_TSS);
	CHECK_EQ(try_user(user_in), GP_VECTOR);
	wide.bitmap[BITMAP_PORT / 8] &= (uint8_t) ~(1 << BITMAP_PORT % 8);
	CHECK_EQ(try_user(user_in), NO_FAULT);
	CHECK_EQ(try_user(user_inw), GP_VECTOR); /* the second port is not allowed */
	wide.bitmap[BITMAP_PORT / 8 + 1] &= (uint8_t)~1;
	CHECK_EQ(try_user(user_inw), NO_FAULT);
	cpu_init(0);
	CHECK_EQ(try_user(user_in), GP_VECTOR); /* no bitmap at all */
}
