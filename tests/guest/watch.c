/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Breakpoints on what a hypervisor does in software: ports, device memory, and the RAM side of
 * instructions that move between RAM and a device or a port. The trap comes right behind the
 * instruction, or behind the iteration of a repeated one (SDM volume 3, 17.2; APM volume 2, 13.1).
 * run: testdev=1
 */
#include "flaws.h"
#include "ktap.h"

#define PORT   0xe0         /* pc-testdev's latch, four bytes wide */
#define DEVICE 0xff000000ul /* its RAM */

#define DR6_B(n)           BIT(n)
#define DR6_BS             BIT(14)
#define DR6_INIT           0xffff0ff0ul
#define DR7_INIT           0x400ul
#define DR7_L(n)           BIT(2 * (n))
#define DR7_RW(n, rw, len) ((unsigned long)((rw) | (len) << 2) << (16 + 4 * (n)))
#define EXECUTE            0
#define WRITE              1
#define IO                 2
#define ACCESS             3
#define LEN1               0
#define LEN2               1
#define LEN4               3

static volatile unsigned hits;
static unsigned long hit_ip[8], hit_dr6[8], hit_flags[8];

static bool on_debug(struct regs *regs)
{
	if (hits < 8) {
		hit_ip[hits] = regs->ip;
		hit_dr6[hits] = read_dr6();
		hit_flags[hits] = regs->flags;
	}
	write_dr6(DR6_INIT);
	hits++;
	return true;
}

static uint8_t ram[16] __attribute__((aligned(16)));

/* Number 1, on `len` bytes at `at`. */
static void arm(unsigned long at, unsigned rw, unsigned len)
{
	hits = 0;
	trap_set(DB_VECTOR, on_debug);
	write_dr6(DR6_INIT);
	write_dr1(at);
	write_cr4(read_cr4() | CR4_DE);
	write_dr7(DR7_INIT | DR7_L(1) | DR7_RW(1, rw, len));
}

static void disarm(void)
{
	write_dr7(DR7_INIT);
	write_cr4(read_cr4() & ~CR4_DE);
}

static bool has_device(void)
{
	volatile uint32_t *cell = (volatile uint32_t *)DEVICE;

	*cell = 0x5aa5f00f;
	return *cell == 0x5aa5f00f;
}

/* Where a trap is to find RIP: right behind the instruction. */
#define BEHIND(code, ...)                                                                          \
	({                                                                                         \
		unsigned long _ip;                                                                 \
		__asm__ volatile(code "; 1: " LEA : "=&r"(_ip) : __VA_ARGS__ : "memory", "cc");    \
		_ip;                                                                               \
	})
#ifdef __x86_64__
#define LEA   "lea 1b(%%rip), %0"
#define STACK "%%rsp"
#else
#define LEA   "lea 1b, %0"
#define STACK "%%esp"
#endif

static void expect_hits(unsigned count)
{
	bool told;

	disarm();
	CHECK_EQ(hits, count);
	told = notes_steps();
	for (unsigned i = 0; told && i < count && i < hits; i++)
		CHECK_EQ(hit_dr6[i] & 0xf, DR6_B(1));
}

#define EXPECT(count, code)                                                                        \
	do {                                                                                       \
		code;                                                                              \
		expect_hits(count);                                                                \
	} while (0)

TEST(ports)
{
	unsigned long ip;

	arm(PORT, IO, LEN1);
	ip = BEHIND("out %%al, $0xe0", "a"(0x11));
	expect_hits(1);
	CHECK_EQ(hit_ip[0], ip);
	arm(PORT, IO, LEN1);
	ip = BEHIND("in %%dx, %%al", "d"(PORT), "a"(0));
	expect_hits(1);
	CHECK_EQ(hit_ip[0], ip);
	arm(PORT, IO, LEN1);
	inl(0x1234);
	outb(PORT + 1, 0);
	expect_hits(0);
	/* An access that overlaps, and one of the other bytes that LEN covers. */
	arm(PORT + 2, IO, LEN1);
	inl(PORT);
	expect_hits(1);
	arm(PORT, IO, LEN4);
	inb(PORT + 3);
	expect_hits(1);
}

TEST(ports_without_de)
{
	arm(PORT, IO, LEN1);
	write_cr4(read_cr4() & ~CR4_DE);
	inb(PORT);
	expect_hits(0);
}

TEST(ports_and_a_step)
{
	SKIP_UNLESS(steps_across_exits(), "this CPU takes a step that waits to the host");
	arm(PORT, IO, LEN1);
	__asm__ volatile("pushf; orl $0x100, (" STACK
			 "); popf; in %%dx, %%al; pushf; andl $~0x100, (" STACK "); popf"
			 :
			 : "d"(PORT)
			 : "eax", "memory", "cc");
	disarm();
	CHECK_EQ(hits, 4);
	if (notes_steps())
		CHECK_EQ(hit_dr6[0] & (DR6_BS | 0xf), DR6_BS | DR6_B(1));
}

TEST(strings_of_ports)
{
	unsigned long di = (unsigned long)ram, count = 3;

	arm(PORT, IO, LEN1);
	__asm__ volatile("rep insb" : "+D"(di), "+c"(count) : "d"(PORT) : "memory");
	expect_hits(3);
	CHECK_EQ(hit_flags[0] & RFLAGS_RF, RFLAGS_RF); /* between two iterations */
	CHECK_EQ(hit_flags[2] & RFLAGS_RF, 0);
	CHECK_EQ(hit_ip[0], hit_ip[1]);
	CHECK(hit_ip[2] > hit_ip[1]);
	/* The memory's side. */
	di = (unsigned long)ram;
	count = 4;
	arm(di + 2, WRITE, LEN2);
	__asm__ volatile("rep insb" : "+D"(di), "+c"(count) : "d"(PORT) : "memory");
	expect_hits(2);
	di = (unsigned long)ram;
	count = 4;
	arm(di + 1, WRITE, LEN1);
	__asm__ volatile("rep outsb" : "+S"(di), "+c"(count) : "d"(PORT) : "memory");
	expect_hits(0); /* it reads */
	di = (unsigned long)ram;
	count = 4;
	arm(di + 1, ACCESS, LEN1);
	__asm__ volatile("rep outsb" : "+S"(di), "+c"(count) : "d"(PORT) : "memory");
	expect_hits(1);
}

TEST(device_memory)
{
	volatile uint32_t *cell = (volatile uint32_t *)DEVICE;
	unsigned long ip;

	SKIP_UNLESS(has_device(), "no device RAM at 0xff000000");
	arm(DEVICE, WRITE, LEN4);
	ip = BEHIND("mov %%eax, (%1)", "r"(DEVICE), "a"(7));
	expect_hits(1);
	CHECK_EQ(hit_ip[0], ip);
	EXPECT(0, arm(DEVICE, WRITE, LEN4); (void)*cell);
	EXPECT(1, arm(DEVICE, ACCESS, LEN4); (void)*cell);
	EXPECT(0, arm(DEVICE + 4, ACCESS, LEN4); (void)*cell);
	EXPECT(1, arm(DEVICE, WRITE, LEN4); __asm__ volatile("lock incl %0" : "+m"(*cell)));
	EXPECT(1, arm(DEVICE + 3, ACCESS, LEN1); (void)*cell);
}

TEST(ram_beside_a_device)
{
	unsigned long si = DEVICE, di = (unsigned long)ram, count = 2;

	SKIP_UNLESS(has_device(), "no device RAM at 0xff000000");
	arm(di + 4, WRITE, LEN4);
	__asm__ volatile("rep movsl" : "+S"(si), "+D"(di), "+c"(count) : : "memory");
	expect_hits(1);
	di = (unsigned long)ram;
	arm(di, WRITE, LEN4);
	__asm__ volatile("push (%0); pop (%1)" : : "r"(DEVICE), "r"(di) : "memory");
	expect_hits(1);
}

/* A fault of an emulated instruction comes without the traps of what it has done before. */
TEST(no_trap_of_a_fault)
{
	SKIP_UNLESS(has_device(), "no device RAM at 0xff000000");
	arm(DEVICE, ACCESS, LEN4);
	CHECK_EQ(TRY(__asm__ volatile("div %0"
				      :
				      : "m"(*(volatile uint32_t *)(DEVICE + 0x100)), "a"(1),
					"d"(0))),
		 DE_VECTOR);
	expect_hits(0);
}
