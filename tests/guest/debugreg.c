/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Debug registers and single steps, also over instructions that a hypervisor emulates: the trap
 * after them must not be lost (SDM volume 3, chapter 17).
 */
#include "apic.h"
#include "flaws.h"
#include "ktap.h"
#include "user.h"

#define DR6_B(n)           BIT(n)
#define DR6_BD             BIT(13)
#define DR6_BS             BIT(14)
#define DR6_INIT           0xffff0ff0ul
#define DR7_INIT           0x400ul
#define DR7_L(n)           BIT(2 * (n))
#define DR7_GD             BIT(13)
#define DR7_RW(n, rw, len) ((unsigned long)((rw) | (len) << 2) << (16 + 4 * (n)))
#define EXECUTE            0
#define WRITE              1
#define ACCESS             3

static volatile unsigned hits;
static unsigned long hit_ip[32], hit_causes[32], hit_dr6;

/* Count, and carry on: RF keeps an instruction breakpoint from hitting again at once. */
static bool on_debug(struct regs *regs)
{
	hit_dr6 = read_dr6();
	write_dr6(DR6_INIT);
	if (hits < 32) {
		hit_ip[hits] = regs->ip;
		hit_causes[hits] = hit_dr6;
	}
	hits++;
	regs->flags |= RFLAGS_RF;
	return true;
}

static void setup(void)
{
	hits = 0;
	hit_dr6 = 0;
	write_dr6(DR6_INIT);
	trap_set(DB_VECTOR, on_debug);
}

TEST(addresses_are_kept)
{
	write_dr0(0x1111);
	write_dr1(0x2222);
	write_dr2(0x3333);
	write_dr3(0x4444);
	cpuid(0);
	CHECK_EQ(read_dr0(), 0x1111);
	CHECK_EQ(read_dr1(), 0x2222);
	CHECK_EQ(read_dr2(), 0x3333);
	CHECK_EQ(read_dr3(), 0x4444);
}

TEST(fixed_bits)
{
	write_dr6(0);
	CHECK_EQ(read_dr6() & 0xffff0ff0, DR6_INIT);
	write_dr6(DR6_INIT);
	write_dr7(0);
	CHECK_EQ(read_dr7(), DR7_INIT);
}

#ifdef __x86_64__
TEST(upper_halves)
{
	CHECK_EQ(TRY(write_dr7(1ul << 32)), GP_VECTOR);
	CHECK_EQ(TRY(write_dr6(1ul << 32)), GP_VECTOR);
	CHECK_EQ(TRY(write_dr0(~0ul)), NO_FAULT);
	CHECK_EQ(read_dr0(), ~0ul);
}
#endif

extern const uint8_t here_exec[], here_after_write[];
static volatile uint32_t watched;

TEST(instruction_breakpoint)
{
	setup();
	write_dr0((unsigned long)here_exec);
	write_dr7(DR7_L(0) | DR7_RW(0, EXECUTE, 0));
	__asm__ volatile("nop; here_exec: nop; nop");
	write_dr7(0);
	CHECK_EQ(hits, 1);
	CHECK_EQ(hit_ip[0], (unsigned long)here_exec);
	CHECK_EQ(hit_dr6 & 0xf, DR6_B(0));
}

TEST(write_breakpoint)
{
	setup();
	write_dr1((unsigned long)&watched);
	write_dr7(DR7_L(1) | DR7_RW(1, WRITE, 3));
	(void)watched;
	CHECK_EQ(hits, 0);
	__asm__ volatile("movl $5, %0; here_after_write: nop" : "=m"(watched));
	write_dr7(0);
	CHECK_EQ(hits, 1);
	CHECK_EQ(hit_ip[0], (unsigned long)here_after_write);
	CHECK_EQ(hit_dr6 & 0xf, DR6_B(1));
	CHECK_EQ(watched, 5);
}

TEST(access_breakpoint)
{
	setup();
	write_dr3((unsigned long)&watched);
	write_dr7(DR7_L(3) | DR7_RW(3, ACCESS, 3));
	(void)watched;
	write_dr7(0);
	CHECK_EQ(hits, 1);
	CHECK_EQ(hit_dr6 & 0xf, DR6_B(3));
}

TEST(disabled_breakpoint)
{
	setup();
	write_dr0((unsigned long)&watched);
	write_dr7(DR7_RW(0, WRITE, 3));
	watched = 1;
	CHECK_EQ(hits, 0);
	write_dr7(0);
}

TEST(survive_exits)
{
	setup();
	write_dr0((unsigned long)&watched);
	write_dr7(DR7_L(0) | DR7_RW(0, WRITE, 3));
	for (unsigned i = 0; i < 100; i++) {
		cpuid(0);
		inb(0x4d0);
		watched = i;
	}
	write_dr7(0);
	CHECK_EQ(hits, 100);
}

/* --- single step ------------------------------------------------------------------------------ */

#define STEP(code)                                                                                 \
	__asm__ volatile("pushf; orl $0x100, (" STACK "); popf; " code                             \
			 "; pushf; andl $~0x100, (" STACK "); popf"                                \
			 :                                                                         \
			 :                                                                         \
			 : "eax", "ebx", "ecx", "edx", "memory", "cc")
#ifdef __x86_64__
#define STACK "%%rsp"
#else
#define STACK "%%esp"
#endif
#define STEP_OVERHEAD 3 /* PUSHF, AND and POPF are traced as well */

TEST(single_step)
{
	setup();
	STEP("nop; nop; nop; nop");
	CHECK_EQ(hits, 4 + STEP_OVERHEAD);
	CHECK_EQ(hit_dr6 & DR6_BS, DR6_BS);
}

TEST(step_over_cpuid)
{
	setup();
	STEP("xor %%eax, %%eax; cpuid; nop");
	CHECK_EQ(hits, 3 + STEP_OVERHEAD);
	CHECK_EQ(hit_ip[1] - hit_ip[0], 2); /* CPUID is two bytes: the trap came right behind it */
}

TEST(step_over_in)
{
	setup();
	STEP("mov $0x4d0, %%edx; in %%dx, %%al; nop");
	CHECK_EQ(hits, 3 + STEP_OVERHEAD);
	CHECK_EQ(hit_ip[1] - hit_ip[0], 1);
}

TEST(step_over_rdmsr)
{
	setup();
	STEP("mov $0x1b, %%ecx; rdmsr; nop");
	CHECK_EQ(hits, 3 + STEP_OVERHEAD);
	CHECK_EQ(hit_ip[1] - hit_ip[0], 2);
}

TEST(step_over_mmio)
{
	setup();
	STEP("mov $0xfee00030, %%edx; mov (%%edx), %%eax; nop");
	CHECK_EQ(hits, 3 + STEP_OVERHEAD);
}

TEST(step_over_control_register)
{
	setup();
#ifdef __x86_64__
	STEP("mov %%cr0, %%rax; mov %%rax, %%cr0; nop");
#else
	STEP("mov %%cr0, %%eax; mov %%eax, %%cr0; nop");
#endif
	CHECK_EQ(hits, 3 + STEP_OVERHEAD);
}

static volatile unsigned nmis, nmis_in_front;

static bool count_nmi(struct regs *regs)
{
	nmis++;
	return true;
}

static bool on_debug_with_nmi(struct regs *regs)
{
	if (hits == 2) /* behind the store */
		nmis_in_front = nmis;
	return on_debug(regs);
}

/*
 * A store that sends this CPU an NMI, and is stepped over: the trap has the higher priority, and
 * the NMI comes in front of the first instruction of its handler, though interrupts are closed.
 */
TEST(step_and_nmi)
{
	setup();
	trap_set(DB_VECTOR, on_debug_with_nmi);
	trap_set(NMI_VECTOR, count_nmi);
	apic_enable();
	apic_write(APIC_ICR2, apic_id() << 24);
	nmis = nmis_in_front = 0;
	STEP("mov $0xfee00300, %%edx; mov $0x400, %%eax; mov %%eax, (%%edx); nop");
	CHECK_EQ(nmis_in_front, 1);
	CHECK_EQ(nmis, 1);
	CHECK_EQ(hits, 4 + STEP_OVERHEAD);
}

/* The interrupt gate clears TF: a step into a handler does not go on stepping there. */
static bool on_soft(struct regs *regs)
{
	return true;
}

TEST(step_over_a_software_interrupt)
{
	setup();
	trap_set(0x60, on_soft);
	STEP("int $0x60; nop");
	CHECK(hits >= 1 + STEP_OVERHEAD && hits <= 2 + STEP_OVERHEAD);
}

USER_CODE(user_step, "nop; nop");

TEST(step_in_user_mode)
{
	setup();
	CHECK_EQ(try_user_flags(user_step, RFLAGS_TF), NO_FAULT);
	CHECK_EQ(hits, 2);
	CHECK_EQ(hit_ip[0], (unsigned long)user_step + 1);
}

USER_CODE(user_dr, "mov %dr0, " REG(ax));

static bool has_general_detect(void)
{
	int vector;

	write_dr7(DR7_GD);
	vector = TRY(write_dr3(0));
	write_dr7(0);
	return IS_ABLE(vector == DB_VECTOR);
}

TEST(privilege_and_general_detect)
{
	CHECK_EQ(try_user(user_dr), GP_VECTOR);
	SKIP_UNLESS(has_general_detect(), "this CPU has no general detect");
	write_dr6(DR6_INIT);
	write_dr7(DR7_GD);
	CHECK_EQ(TRY(read_dr0()), DB_VECTOR);
	CHECK_EQ(read_dr6() & DR6_BD, DR6_BD);
	CHECK_EQ(read_dr7() & DR7_GD, 0); /* the CPU clears it on the way to the handler */
	write_dr6(DR6_INIT);
}

TEST(dr4_and_dr5)
{
	unsigned long cr4 = read_cr4(), val;

	write_cr4(cr4 & ~CR4_DE);
	CHECK_EQ(TRY(__asm__ volatile("mov %%db4, %0" : "=r"(val))), NO_FAULT);
	write_cr4(cr4 | CR4_DE);
	CHECK_EQ(TRY(__asm__ volatile("mov %%db4, %0" : "=r"(val))), UD_VECTOR);
	CHECK_EQ(TRY(__asm__ volatile("mov %%db5, %0" : "=r"(val))), UD_VECTOR);
	write_cr4(cr4);
}

USER_CODE(user_icebp, ".byte 0xf1");

TEST(icebp)
{
	SKIP_UNLESS(IS_ABLE(try_user(user_icebp) != UD_VECTOR), "this CPU raises #UD");
	setup();
	__asm__ volatile(".byte 0xf1");
	CHECK_EQ(hits, 1);
}

/* MOV SS puts its step off, and INT1 is none itself. */
TEST(icebp_is_no_step)
{
	SKIP_UNLESS(IS_ABLE(try_user(user_icebp) != UD_VECTOR), "this CPU raises #UD");
	setup();
	STEP("mov %%ss, %%eax; mov %%eax, %%ss; .byte 0xf1; nop");
	CHECK_EQ(hits, 3 + STEP_OVERHEAD);
	CHECK_EQ(hit_causes[0] & DR6_BS, DR6_BS);
	CHECK_EQ(hit_causes[1] & DR6_BS, 0);
	CHECK_EQ(hit_ip[1] - hit_ip[0], 3);
	CHECK_EQ(hit_causes[2] & DR6_BS, DR6_BS);
}

/* Last: leave nothing armed behind. */
TEST(all_off)
{
	write_dr7(DR7_INIT);
	write_dr6(DR6_INIT);
	CHECK_EQ(read_dr7(), DR7_INIT);
}
