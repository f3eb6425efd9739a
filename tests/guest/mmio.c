/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Instructions on device memory: each runs once on a device register and once on RAM from the same
 * start, and must leave the same value, register and flags. A hypervisor has no page to give and
 * emulates them.
 *
 * The 32-bit cell is the local APIC's timer count, which keeps any value while the timer is
 * masked; cells of all widths are the RAM that pc-testdev puts at 0xff000000, where it exists. run:
 * testdev=1
 */
#include <string.h>

#include "apic.h"
#include "boot.h"
#include "flaws.h"
#include "ktap.h"
#include "paging.h"
#include "user.h"

#define TESTDEV_RAM 0xff000000ul

#ifdef __x86_64__
#define CX "%%rcx"
#else
#define CX "%%ecx"
#endif
#define M "(" CX ")" /* the memory operand of all instructions here */

struct state {
	unsigned long a, d, flags; /* in and out */
};

struct op {
	const char *name;
	void (*run)(volatile void *mem, struct state *s);
	unsigned width;          /* bytes of memory it touches */
	unsigned long undefined; /* flags the manual leaves undefined */
};

/* X(id, width, undefined flags, instruction): one function and one table entry for each. */
#define ALU(X, id, op, b, w, l)                                                                    \
	X(id##_mr8, 1, 0, op "b %%al, " M)                                                         \
	X(id##_mr16, 2, 0, op "w %%ax, " M)                                                        \
	X(id##_mr32, 4, 0, op "l %%eax, " M)                                                       \
	X(id##_rm8, 1, 0, op "b " M ", %%al")                                                      \
	X(id##_rm16, 2, 0, op "w " M ", %%ax")                                                     \
	X(id##_rm32, 4, 0, op "l " M ", %%eax")                                                    \
	X(id##_mi8, 1, 0, op "b $" b ", " M)                                                       \
	X(id##_mi16, 2, 0, op "w $" w ", " M)                                                      \
	X(id##_mi32, 4, 0, op "l $" l ", " M)                                                      \
	X(id##_ms32, 4, 0, op "l $-5, " M)

#define BITS(X, id, op)                                                                            \
	X(id##_i16, 2, BT_UNDEF, op "w $13, " M)                                                   \
	X(id##_i32, 4, BT_UNDEF, op "l $29, " M)                                                   \
	X(id##_r16, 2, BT_UNDEF, "and $15, %%eax; " op "w %%ax, " M)                               \
	X(id##_r32, 4, BT_UNDEF, "and $31, %%eax; " op "l %%eax, " M)

#define BT_UNDEF (RFLAGS_OF | RFLAGS_SF | RFLAGS_AF | RFLAGS_PF)
#define LOGIC    RFLAGS_AF

#define OPS(X)                                                                                     \
	X(store8, 1, 0, "movb %%al, " M)                                                           \
	X(store8h, 1, 0, "movb %%ah, " M)                                                          \
	X(store16, 2, 0, "movw %%ax, " M)                                                          \
	X(store32, 4, 0, "movl %%eax, " M)                                                         \
	X(load8, 1, 0, "movb " M ", %%al")                                                         \
	X(load8h, 1, 0, "movb " M ", %%dh")                                                        \
	X(load16, 2, 0, "movw " M ", %%ax")                                                        \
	X(load32, 4, 0, "movl " M ", %%eax")                                                       \
	X(imm8, 1, 0, "movb $0x9c, " M)                                                            \
	X(imm16, 2, 0, "movw $0x89ab, " M)                                                         \
	X(imm32, 4, 0, "movl $0x89abcdef, " M)                                                     \
	X(movzx8_16, 1, 0, "movzbw " M ", %%ax")                                                   \
	X(movzx8_32, 1, 0, "movzbl " M ", %%eax")                                                  \
	X(movzx16_32, 2, 0, "movzwl " M ", %%eax")                                                 \
	X(movsx8_16, 1, 0, "movsbw " M ", %%ax")                                                   \
	X(movsx8_32, 1, 0, "movsbl " M ", %%eax")                                                  \
	X(movsx16_32, 2, 0, "movswl " M ", %%eax")                                                 \
	ALU(X, add, "add", "0x71", "0x1234", "0x12345678")                                         \
	ALU(X, or_, "or", "0x71", "0x1234", "0x12345678")                                          \
	ALU(X, adc, "adc", "0x71", "0x1234", "0x12345678")                                         \
	ALU(X, sbb, "sbb", "0x71", "0x1234", "0x12345678")                                         \
	ALU(X, and_, "and", "0x71", "0x1234", "0x12345678")                                        \
	ALU(X, sub, "sub", "0x71", "0x1234", "0x12345678")                                         \
	ALU(X, xor_, "xor", "0x71", "0x1234", "0x12345678")                                        \
	ALU(X, cmp, "cmp", "0x71", "0x1234", "0x12345678")                                         \
	X(lock_add32, 4, 0, "lock addl %%eax, " M)                                                 \
	X(lock_or32, 4, LOGIC, "lock orl $0x101, " M)                                              \
	X(test8, 1, LOGIC, "testb %%al, " M)                                                       \
	X(test16, 2, LOGIC, "testw %%ax, " M)                                                      \
	X(test32, 4, LOGIC, "testl %%eax, " M)                                                     \
	X(test_i8, 1, LOGIC, "testb $0x81, " M)                                                    \
	X(test_i32, 4, LOGIC, "testl $0x80000001, " M)                                             \
	X(xchg8, 1, 0, "xchgb %%al, " M)                                                           \
	X(xchg16, 2, 0, "xchgw %%ax, " M)                                                          \
	X(xchg32, 4, 0, "xchgl %%eax, " M)                                                         \
	X(cmpxchg8, 1, 0, "cmpxchgb %%dl, " M)                                                     \
	X(cmpxchg16, 2, 0, "cmpxchgw %%dx, " M)                                                    \
	X(cmpxchg32, 4, 0, "cmpxchgl %%edx, " M)                                                   \
	X(cmpxchg32_hit, 4, 0, "movl " M ", %%eax; lock cmpxchgl %%edx, " M)                       \
	X(xadd8, 1, 0, "xaddb %%al, " M)                                                           \
	X(xadd16, 2, 0, "xaddw %%ax, " M)                                                          \
	X(xadd32, 4, 0, "lock xaddl %%eax, " M)                                                    \
	X(inc8, 1, 0, "incb " M)                                                                   \
	X(inc32, 4, 0, "incl " M)                                                                  \
	X(dec16, 2, 0, "decw " M)                                                                  \
	X(dec32, 4, 0, "decl " M)                                                                  \
	X(not8, 1, 0, "notb " M)                                                                   \
	X(not32, 4, 0, "notl " M)                                                                  \
	X(neg16, 2, 0, "negw " M)                                                                  \
	X(neg32, 4, 0, "negl " M)                                                                  \
	BITS(X, bt, "bt")                                                                          \
	BITS(X, bts, "bts")                                                                        \
	BITS(X, btr, "btr")                                                                        \
	BITS(X, btc, "btc")

#define OPS64(X)                                                                                   \
	X(store64, 8, 0, "movq %%rax, " M)                                                         \
	X(load64, 8, 0, "movq " M ", %%rax")                                                       \
	X(imm64, 8, 0, "movq $-0x12345678, " M)                                                    \
	X(movsx32_64, 4, 0, "movslq " M ", %%rax")                                                 \
	X(movzx16_64, 2, 0, "movzwq " M ", %%rax")                                                 \
	X(movsx8_64, 1, 0, "movsbq " M ", %%rax")                                                  \
	X(add64, 8, 0, "addq %%rax, " M)                                                           \
	X(sub64, 8, 0, "subq " M ", %%rax")                                                        \
	X(xor64, 8, LOGIC, "xorq $-2, " M)                                                         \
	X(cmp64, 8, 0, "cmpq %%rax, " M)                                                           \
	X(test64, 8, LOGIC, "testq %%rax, " M)                                                     \
	X(xchg64, 8, 0, "xchgq %%rax, " M)                                                         \
	X(cmpxchg64, 8, 0, "lock cmpxchgq %%rdx, " M)                                              \
	X(xadd64, 8, 0, "xaddq %%rax, " M)                                                         \
	X(bts64, 8, BT_UNDEF, "btsq $61, " M)

#define DEFINE(id, width, undefined, insn)                                                         \
	static void do_##id(volatile void *mem, struct state *s)                                   \
	{                                                                                          \
		unsigned long flags = s->flags;                                                    \
                                                                                                   \
		__asm__ volatile("push %[f]; popf; " insn "; pushf; pop %[f]"                      \
				 : "+a"(s->a), "+d"(s->d), [f] "+b"(flags)                         \
				 : "c"(mem)                                                        \
				 : "memory", "cc");                                                \
		s->flags = flags & RFLAGS_ARITH;                                                   \
	}
#define ENTRY(id, width, undefined, insn) {#id, do_##id, width, undefined},

OPS(DEFINE)
#ifdef __x86_64__
OPS64(DEFINE)
#endif

static const struct op ops[] = {OPS(ENTRY)
#ifdef __x86_64__
					OPS64(ENTRY)
#endif
};

#define NR_OPS (sizeof(ops) / sizeof(ops[0]))

static volatile void *apic_cell(void)
{
	apic_enable();
	apic_write(APIC_LVTT, LVT_MASKED);
	return (volatile void *)(APIC_BASE_PA + APIC_TMICT);
}

static bool has_testdev_ram(void)
{
	volatile uint64_t *p = (uint64_t *)TESTDEV_RAM;

	p[0] = 0x1122334455667788ull;
	p[1] = 0;
	return p[0] == 0x1122334455667788ull;
}

static uint64_t random_state = 0x123456789abcdefull;

static uint64_t next_random(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return random_state;
}

/* Numbers near the edges are more telling than any. */
static uint64_t interesting(void)
{
	static const uint64_t edges[] = {0,
					 1,
					 0x7f,
					 0x80,
					 0xff,
					 0x7fff,
					 0x8000,
					 0x7fffffff,
					 0x80000000,
					 0xffffffff,
					 0x7fffffffffffffffull,
					 ~0ull};
	uint64_t r = next_random();

	return r & 1 ? next_random() : edges[(r >> 8) % 12];
}

static void put(volatile void *mem, unsigned width, uint64_t val)
{
	*(volatile uint32_t *)mem = (uint32_t)val;
	if (width == 8)
		((volatile uint32_t *)mem)[1] = (uint32_t)(val >> 32);
}

static uint64_t get(volatile void *mem, unsigned width)
{
	uint64_t val = *(volatile uint32_t *)mem;

	if (width == 8)
		val |= (uint64_t)((volatile uint32_t *)mem)[1] << 32;
	return val;
}

/* Once on the device, once on RAM. */
static bool same(const struct op *op, volatile void *device, unsigned long undefined)
{
	static volatile uint64_t ram;
	uint64_t start = interesting();
	struct state s = {(unsigned long)interesting(), (unsigned long)interesting(),
			  (next_random() & RFLAGS_ARITH) | 2};
	struct state in = s, t = s;

	put(device, op->width, start);
	ram = start;
	op->run(device, &s);
	op->run(&ram, &t);
	if (s.a == t.a && s.d == t.d && !((s.flags ^ t.flags) & ~undefined) &&
	    get(device, op->width) == get(&ram, op->width))
		return true;
	printf("# %s: memory %#llx a %#lx d %#lx flags %#lx\n", op->name, (unsigned long long)start,
	       in.a, in.d, in.flags);
	printf("#   device: memory %#llx a %#lx d %#lx flags %#lx\n",
	       (unsigned long long)get(device, op->width), s.a, s.d, s.flags);
	printf("#   RAM:    memory %#llx a %#lx d %#lx flags %#lx\n",
	       (unsigned long long)get(&ram, op->width), t.a, t.d, t.flags);
	return false;
}

/*
 * QEMU's CPU, if there are several, loses the flags of an exit from an unaligned XCHG. Words are
 * tried; what the flags are of is no matter of the width.
 */
static bool keeps_flags_at_xchg(volatile void *device)
{
	const struct op *op = ops;

	while (strncmp(op->name, "xchg", 4) || op->width != 2)
		op++;
	for (unsigned i = 0; i < 20; i++)
		if (!same(op, device, op->undefined) &&
		    same(op, device, op->undefined | RFLAGS_ARITH))
			return false;
	return true;
}

static void run_ops(volatile void *device, unsigned min_width, unsigned max_width)
{
	bool forget_xchg = (unsigned long)device % 8 &&
			   !IS_ABLE(keeps_flags_at_xchg((volatile void *)(TESTDEV_RAM + 1)));
	unsigned ran = 0;

	for (unsigned i = 0; i < NR_OPS; i++) {
		unsigned long undefined;

		if (ops[i].width < min_width || ops[i].width > max_width)
			continue;
		undefined = ops[i].undefined;
		if (forget_xchg && !strncmp(ops[i].name, "xchg", 4))
			undefined |= RFLAGS_ARITH;
		ran++;
		for (unsigned round = 0; round < 20; round++)
			if (!CHECK(same(&ops[i], device, undefined)))
				break;
	}
	printf("# %u instructions\n", ran);
}

TEST(instructions_on_an_apic_register)
{
	run_ops(apic_cell(), 4, 4);
	apic_write(APIC_TMICT, 0);
}

TEST(instructions_of_all_widths)
{
	SKIP_UNLESS(has_testdev_ram(), "no device RAM at 0xff000000");
	for (unsigned off = 0; off < 16; off += 8)
		run_ops((volatile void *)(TESTDEV_RAM + off), 1, 8);
}

TEST(unaligned_accesses)
{
	SKIP_UNLESS(has_testdev_ram(), "no device RAM at 0xff000000");
	for (unsigned off = 1; off < 8; off += 3)
		run_ops((volatile void *)(TESTDEV_RAM + off), 1, 8);
}

/* --- addressing ------------------------------------------------------------------------------- */

#ifdef __x86_64__
#define CHANGED "memory", "r9", "r12", "r13"
#else
#define CHANGED "memory"
#endif

#define LOADS(address, ...)                                                                        \
	do {                                                                                       \
		uint32_t _got;                                                                     \
		__asm__ volatile("movl " address ", %0" : "=a"(_got) : __VA_ARGS__ : CHANGED);     \
		CHECK_EQ(_got, 0x13572468);                                                        \
	} while (0)

TEST(addressing_modes)
{
	unsigned long cell = (unsigned long)apic_cell();

	apic_write(APIC_TMICT, 0x13572468);
	LOADS("(%1)", "c"(cell));
	LOADS("-8(%1)", "d"(cell + 8));
	LOADS("0x1234(%1)", "S"(cell - 0x1234));
	LOADS("(%1,%2)", "b"(cell - 0x100), "c"(0x100ul));
	LOADS("-0x10(%1,%2,4)", "D"(cell - 0x70), "d"(0x20ul));
	LOADS("(,%1,8)", "c"(cell / 8));
	LOADS("0x380(,%1,2)", "c"(APIC_BASE_PA / 2));
#ifdef __x86_64__
	LOADS("(%1), %%eax; mov %1, %%r9; movl (%%r9)", "c"(cell));
	LOADS("(%1), %%eax; mov %1, %%r12; movl (%%r12)", "c"(cell)); /* has a SIB byte */
	LOADS("(%1), %%eax; mov %1, %%r13; movl (%%r13)", "c"(cell)); /* a displacement */
	wrmsr(MSR_GS_BASE, cell - 0x40);
	LOADS("%%gs:0x40", "c"(0));
	LOADS("%%gs:(%1)", "d"(0x40ul));
	wrmsr(MSR_GS_BASE, 0);
	LOADS("(%k1)", "c"(cell | 0xdead00000000ul)); /* 32-bit address */
#else
	gdt_set(SEL_TEST, cell - 0x40, 0xfff, GDT_DATA | GDT_DB);
	__asm__ volatile("mov %0, %%gs" : : "r"(SEL_TEST));
	LOADS("%%gs:0x40", "c"(0));
	LOADS("%%gs:(%1)", "d"(0x40ul));
	LOADS("%%gs:(%%bx,%%si)", "b"(0x30ul), "S"(0x10ul)); /* 16-bit address */
#endif
	apic_write(APIC_TMICT, 0);
}

/* The instruction itself lies in two pages that are no neighbours in physical memory. */
TEST(instruction_across_pages)
{
#ifdef __x86_64__
	static const uint8_t code[] = {0x8b, 0x87, 0x80, 0x03,
				       0,    0,    0xc3}; /* mov 0x380(%rdi), %eax; ret */
	uint8_t *first = pages_alloc(3 * PAGE_SIZE, PAGE_SIZE), *second = first + 2 * PAGE_SIZE;

	apic_cell();
	map_page(TEST_VA, 1, (pte_t)(unsigned long)second | PTE_P | PTE_W);
	map_page(TEST_VA + PAGE_SIZE, 1, (pte_t)(unsigned long)first | PTE_P | PTE_W);
	for (unsigned long split = 1; split < 6; split++) {
		uint8_t *at = (uint8_t *)TEST_VA + PAGE_SIZE - split;

		memcpy(at, code, sizeof(code));
		apic_write(APIC_TMICT, 0x1000 + (uint32_t)split);
		CHECK_EQ(((uint32_t(*)(unsigned long))at)(APIC_BASE_PA), 0x1000 + split);
	}
	apic_write(APIC_TMICT, 0);
#else
	SKIP("64-bit paging");
#endif
}

/* --- strings ---------------------------------------------------------------------------------- */

#define STRING(insn, di, si, count, a)                                                             \
	__asm__ volatile(insn : "+D"(di), "+S"(si), "+c"(count), "+a"(a) : : "memory", "cc")

TEST(string_instructions_on_an_apic_register)
{
	volatile uint32_t *cell = apic_cell();
	uint32_t ram[4] = {11, 22, 33, 44};
	volatile void *di = cell;
	const volatile void *si = ram;
	unsigned long n = 1, a = 0;

	STRING("movsl", di, si, n, a);
	CHECK_EQ(*cell, 11);
	CHECK(di == cell + 1 && si == ram + 1);
	di = ram + 2;
	si = cell;
	STRING("rep movsl", di, si, n, a);
	CHECK(ram[2] == 11 && n == 0);
	n = 1;
	a = 77;
	di = cell;
	STRING("rep stosl", di, si, n, a);
	CHECK(*cell == 77 && di == cell + 1 && n == 0);
	si = cell;
	a = 0;
	STRING("std; lodsl; cld", di, si, n, a);
	CHECK(a == 77 && si == cell - 1);
	*cell = 0;
}

TEST(repeated_strings)
{
	static uint8_t ram[4096];
	volatile uint8_t *device = (uint8_t *)TESTDEV_RAM;
	volatile void *di = device;
	const volatile void *si = ram;
	unsigned long n = 1000, a = 0;

	SKIP_UNLESS(has_testdev_ram(), "no device RAM at 0xff000000");
	for (unsigned i = 0; i < sizeof(ram); i++)
		ram[i] = (uint8_t)next_random();
	STRING("rep movsb", di, si, n, a);
	CHECK(n == 0 && di == device + 1000 && si == ram + 1000);
	for (unsigned i = 0; i < 1000; i++)
		if (!CHECK_EQ(device[i], ram[i]))
			break;
	n = 250;
	di = ram + 2000;
	si = device;
	STRING("rep movsl", di, si, n, a);
	CHECK(!memcmp(ram, ram + 2000, 1000));
	n = 100; /* device to device, overlapping, backwards */
	di = device + 199;
	si = device + 149;
	STRING("std; rep movsb; cld", di, si, n, a);
	CHECK(device[199] == ram[149] && device[100] == ram[50]);
	n = 64;
	a = 0xa5a5;
	di = device;
	STRING("rep stosw", di, si, n, a);
	CHECK(device[0] == 0xa5 && device[127] == 0xa5 && device[128] == ram[78]);
}

/* --- stack ------------------------------------------------------------------------------------ */

TEST(push_and_pop_of_memory)
{
	volatile unsigned long *cell =
		IS_64BIT ? (unsigned long *)TESTDEV_RAM : (unsigned long *)apic_cell();
	unsigned long popped;

	SKIP_UNLESS(!IS_64BIT || has_testdev_ram(), "no device RAM at 0xff000000");
	*cell = 0x1357246;
	__asm__ volatile("push (%1); pop %0" : "=r"(popped) : "r"(cell) : "memory");
	CHECK_EQ(popped, 0x1357246);
	__asm__ volatile("push %0; pop (%1)" : : "r"(0x7654321ul), "r"(cell) : "memory");
	CHECK_EQ(*cell, 0x7654321);
	*cell = 0;
}

/* --- pages ------------------------------------------------------------------------------------ */

#ifdef __x86_64__
#define RIGHTS (PTE_P | PTE_W | PTE_U)

TEST(access_across_ram_and_device)
{
	volatile uint8_t *ram = page_alloc(), *device = (uint8_t *)TESTDEV_RAM,
			 *va = (uint8_t *)TEST_VA;

	SKIP_UNLESS(has_testdev_ram(), "no device RAM at 0xff000000");
	map_page(TEST_VA, 1, (pte_t)(unsigned long)ram | RIGHTS);
	map_page(TEST_VA + PAGE_SIZE, 1, TESTDEV_RAM | RIGHTS);
	*(volatile uint32_t *)(va + PAGE_SIZE - 2) = 0x44332211;
	CHECK(ram[PAGE_SIZE - 2] == 0x11 && ram[PAGE_SIZE - 1] == 0x22);
	CHECK(device[0] == 0x33 && device[1] == 0x44);
	CHECK_EQ(*(volatile uint32_t *)(va + PAGE_SIZE - 2), 0x44332211);
	CHECK_EQ(*(volatile uint64_t *)(va + PAGE_SIZE - 1) & 0xffffff, 0x443322);
	map_page(TEST_VA, 1, TESTDEV_RAM | RIGHTS);
	map_page(TEST_VA + PAGE_SIZE, 1, (pte_t)(unsigned long)ram | RIGHTS);
	*(volatile uint32_t *)(va + PAGE_SIZE - 1) = 0x88776655;
	CHECK(device[PAGE_SIZE - 1] == 0x55 && ram[0] == 0x66 && ram[2] == 0x88);
}

TEST(missing_page_after_a_device)
{
	volatile uint8_t *device = (uint8_t *)TESTDEV_RAM;

	SKIP_UNLESS(has_testdev_ram(), "no device RAM at 0xff000000");
	map_page(TEST_VA, 1, TESTDEV_RAM | RIGHTS);
	map_page(TEST_VA + PAGE_SIZE, 1, 0);
	SKIP_UNLESS(keeps_fault_address((void *)(TEST_VA + PAGE_SIZE)),
		    "no address in CR2 of an injected #PF");
	device[PAGE_SIZE - 1] = 0x42;
	CHECK_EQ(TRY(*(volatile uint32_t *)(TEST_VA + PAGE_SIZE - 1) = 0), PF_VECTOR);
	CHECK_EQ(fault()->cr2, TEST_VA + PAGE_SIZE);
	CHECK_EQ(fault()->error, PF_W);
	CHECK_EQ(device[PAGE_SIZE - 1], 0x42); /* nothing was written */
}

/* The other side of a string move faults: precise registers, precise error. */
TEST(string_move_faults_on_the_ram_side)
{
	unsigned long cell = (unsigned long)apic_cell();

	*pte_get(TEST_VA, 1) = 0;
	invlpg((void *)TEST_VA);
	SKIP_UNLESS(keeps_fault_address((void *)TEST_VA), "no address in CR2 of an injected #PF");
	CHECK_EQ(TRY(__asm__ volatile("rep movsl"
				      :
				      : "D"(TEST_VA), "S"(cell), "c"(3ul)
				      : "memory")),
		 PF_VECTOR);
	CHECK_EQ(fault()->cr2, TEST_VA);
	CHECK_EQ(fault()->error, PF_W);
	CHECK(fault()->regs.cx == 3 && fault()->regs.si == cell && fault()->regs.di == TEST_VA);
	CHECK_EQ(TRY(__asm__ volatile("rep movsl"
				      :
				      : "D"(cell), "S"(TEST_VA), "c"(3ul)
				      : "memory")),
		 PF_VECTOR);
	CHECK_EQ(fault()->error, 0);
	CHECK(fault()->regs.cx == 3 && fault()->regs.di == cell && fault()->regs.si == TEST_VA);
}

TEST(write_protected_device_page)
{
	unsigned long cr0 = read_cr0();
	volatile uint32_t *cell = apic_cell();

	write_cr0(cr0 | CR0_WP);
	*cell = 1234;
	map_page(TEST_VA, 1, APIC_BASE_PA | PTE_P | PTE_U);
	CHECK_EQ(TRY(*(volatile uint32_t *)(TEST_VA + APIC_TMICT) = 1), PF_VECTOR);
	CHECK_EQ(fault()->error, PF_P | PF_W);
	CHECK_EQ(*cell, 1234);
	CHECK_EQ(*(volatile uint32_t *)(TEST_VA + APIC_TMICT), 1234);
	write_cr0(cr0);
	*cell = 0;
}

USER_CODE(user_load, "mov user_arg, %rcx; mov (%rcx), %eax");

TEST(user_mode_access)
{
	apic_cell();
	user_arg = TEST_VA + APIC_TMICT;
	map_page(TEST_VA, 1, APIC_BASE_PA | RIGHTS);
	CHECK_EQ(try_user(user_load), NO_FAULT);
	map_page(TEST_VA, 1, APIC_BASE_PA | PTE_P | PTE_W);
	CHECK_EQ(try_user(user_load), PF_VECTOR);
	CHECK_EQ(fault()->error, PF_P | PF_U);
}

TEST(accessed_and_dirty_bits_of_a_device_page)
{
	apic_cell();
	map_page(TEST_VA, 1, APIC_BASE_PA | RIGHTS);
	(void)*(volatile uint32_t *)(TEST_VA + APIC_TMICT);
	CHECK_EQ(*pte_get(TEST_VA, 1) & (PTE_A | PTE_D), PTE_A);
	*(volatile uint32_t *)(TEST_VA + APIC_TMICT) = 0;
	CHECK_EQ(*pte_get(TEST_VA, 1) & (PTE_A | PTE_D), PTE_A | PTE_D);
}
#endif

TEST(ioapic_window)
{
	volatile uint32_t *select = (uint32_t *)IOAPIC_PA, *window = (uint32_t *)(IOAPIC_PA + 16);
	uint32_t old = ioapic_read(IOAPIC_REDIR(10));

	*(volatile uint8_t *)select = IOAPIC_REDIR(10); /* a byte is enough to select */
	*window = REDIR_MASKED | 0x33;
	*window ^= 0x11;
	CHECK_EQ(*window, REDIR_MASKED | 0x22);
	*window += 1;
	CHECK_EQ(ioapic_read(IOAPIC_REDIR(10)), REDIR_MASKED | 0x23);
	CHECK_EQ(*select, IOAPIC_REDIR(10));
	ioapic_write(IOAPIC_REDIR(10), old);
}

/* Two CPUs at the same device registers: each access is whole. */
static void hammer(void *arg)
{
	apic_cell();
	for (uint32_t i = 0; i < 2000; i++) {
		apic_write(APIC_TMICT, i | 0x10000);
		if (apic_read(APIC_TMICT) != (i | 0x10000))
			*(volatile unsigned *)arg += 1;
	}
	apic_write(APIC_TMICT, 0);
}

TEST(each_cpu_has_its_own_apic)
{
	unsigned wrong[2] = {0};

	NEED_CPUS(2);
	smp_run(1, hammer, &wrong[1]);
	hammer(&wrong[0]);
	CHECK(smp_wait(1, 10000));
	CHECK_EQ(wrong[0], 0);
	CHECK_EQ(wrong[1], 0);
}
