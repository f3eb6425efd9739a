/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A guest that attacks by events: storms of interrupts and NMIs, IPIs of all kinds to everybody,
 * delivery that cannot succeed, and exceptions whose delivery raises them again, for ever: on a
 * bare CPU such a loop shuts out everything but RESET and INIT (CVE-2015-5307, CVE-2015-8104).
 * A hypervisor must still get its own interrupts: the test ends the loop by an INIT.
 * run: timeout=240
 */
#include <string.h>

#include "apic.h"
#include "boot.h"
#include "clock.h"
#include "flaws.h"
#include "hypercall.h"
#include "ktap.h"
#include "paging.h"
#include "random.h"
#include "user.h"

#define WAIT_MS   5000
#define EVENTS    2000
#define STORM     (EVENTS / one_in())
#define FIRST_VEC 0x30
#define LAST_VEC  0xfe

/* --- storms -------------------------------------------------------------------------------------
 */

static volatile unsigned counts[256];

static bool count_interrupt(struct regs *regs)
{
	counts[regs->vector]++;
	apic_eoi();
	return true;
}

static bool count_nmi(struct regs *regs)
{
	counts[regs->vector]++;
	return true;
}

static void count_all(void)
{
	for (unsigned vec = FIRST_VEC; vec <= LAST_VEC; vec++)
		trap_set(vec, count_interrupt);
	trap_set(NMI_VECTOR, count_nmi);
	memset((void *)counts, 0, sizeof(counts));
}

static unsigned random_vector(void)
{
	return FIRST_VEC + (unsigned)(random64() % (LAST_VEC - FIRST_VEC + 1));
}

TEST(storm_of_interrupts_to_oneself)
{
	unsigned taken = 0;

	apic_enable();
	count_all();
	for (unsigned i = 0; i < EVENTS; i++) {
		apic_send_ipi(apic_id(), random_vector());
		if (random64() & 1) {
			sti();
			pause();
			cli();
		}
	}
	sti();
	delay_us(1000);
	cli();
	for (unsigned vec = FIRST_VEC; vec <= LAST_VEC; vec++) {
		CHECK(counts[vec]);
		CHECK(!apic_test_vector(APIC_IRR, vec) && !apic_test_vector(APIC_ISR, vec));
		taken += counts[vec];
	}
	CHECK(taken <= EVENTS);
}

TEST(storm_of_nmis_to_oneself)
{
	apic_enable();
	count_all();
	for (unsigned i = 0; i < STORM; i++)
		apic_send_ipi(apic_id(), ICR_NMI);
	CHECK(wait_until(counts[NMI_VECTOR] >= STORM, WAIT_MS));
	CHECK_EQ(counts[NMI_VECTOR], STORM);
}

USER_CODE(user_machine_check, "int $18");

/* What a guest does with vector 18 is no machine check: it stays in the guest, however it comes. */
TEST(storm_of_machine_checks)
{
	apic_enable();
	count_all();
	trap_set(MC_VECTOR, count_nmi);
	for (unsigned i = 0; i < STORM; i++)
		__asm__ volatile("int $18" : : : "memory");
	CHECK_EQ(counts[MC_VECTOR], STORM);
	trap_set_gate(MC_VECTOR, 14, 3, 0);
	for (unsigned i = 0; i < 100; i++)
		CHECK_EQ(try_user(user_machine_check), NO_FAULT);
	CHECK_EQ(counts[MC_VECTOR], STORM + 100);
	trap_set_gate(MC_VECTOR, 14, 0, 0);
	CHECK_EQ(try_user(user_machine_check), GP_VECTOR);
	CHECK_EQ(fault()->error, MC_VECTOR * gate_bytes_in_errors() | 2);
	trap_set(MC_VECTOR, count_interrupt);
	for (unsigned i = 0; i < STORM; i++) {
		apic_send_ipi(apic_id(), MC_VECTOR);
		__asm__ volatile("sti; nop; nop; cli" : : : "memory");
	}
	CHECK_EQ(counts[MC_VECTOR], 2 * STORM + 100);
}

static volatile bool storm_ends;

static void send_storm(void *arg)
{
	sti();
	while (!storm_ends) {
		apic_send_ipi(0, ICR_ALL | ICR_NMI);
		apic_send_ipi(0, ICR_ALL | FIRST_VEC);
		apic_send_ipi(0, ICR_OTHERS | (FIRST_VEC + 1));
	}
	cli();
}

TEST(storm_from_all_to_all)
{
	unsigned nmis;

	NEED_CPUS(2);
	count_all();
	storm_ends = false;
	for (unsigned i = 1; i < smp_online; i++)
		smp_run(i, send_storm, NULL);
	sti();
	for (unsigned i = 0; i < 300; i++)
		apic_send_ipi(0, ICR_ALL | ICR_NMI);
	nmis = counts[NMI_VECTOR];
	CHECK(wait_until(counts[NMI_VECTOR] > nmis && counts[FIRST_VEC], WAIT_MS));
	storm_ends = true;
	for (unsigned i = 1; i < smp_online; i++)
		CHECK(smp_wait(i, WAIT_MS));
	delay_us(10000);
	cli();
	CHECK(counts[FIRST_VEC + 1]);
}

/* --- IPIs that mean nothing
 * ----------------------------------------------------------------------- */

TEST(smi_and_reserved_modes_do_nothing)
{
	static const uint32_t modes[] = {ICR_SMI, 0x300, ICR_EXTINT, ICR_SMI | ICR_LEVEL};

	apic_enable();
	count_all();
	sti();
	for (unsigned i = 0; i < 1000 / one_in(); i++) {
		uint32_t mode = modes[random64() % 4];

		apic_send_ipi(apic_id(), mode | ICR_ASSERT);
		apic_send_ipi(0, mode | ICR_ALL);
	}
	cli();
	CHECK_EQ(counts[NMI_VECTOR], 0);
}

TEST(startup_to_a_running_cpu)
{
	NEED_CPUS(2);
	for (unsigned i = 0; i < 1000 / one_in(); i++)
		apic_send_ipi(cpus[1].apic_id, ICR_STARTUP | (random64() & 0xff));
	storm_ends = true;
	CHECK(smp_call(1, send_storm, NULL));
	CHECK_EQ(cpus[1].started, 1);
}

/* Any register with any value, save INIT and SIPI; then the APIC is as after power-up again. */
TEST(random_apic_writes)
{
	unsigned long base = rdmsr(MSR_APICBASE);

	apic_enable();
	for (unsigned i = 0; i < 5000 / one_in(); i++) {
		unsigned reg = random64() % 0x40 * 16;
		uint32_t val = (uint32_t)random64();

		if (reg == APIC_ICR && (val & 0x400) && (val & 0x700) != ICR_NMI)
			val &= ~0x700u;
		if (reg == APIC_ICR && (val & 0x700) == ICR_NMI)
			continue;
		apic_write(reg, val);
		(void)apic_read(reg);
	}
	wrmsr(MSR_APICBASE, base & ~APICBASE_ENABLE);
	wrmsr(MSR_APICBASE, base);
	apic_enable();
	for (unsigned vec = 0; vec < 256; vec++)
		CHECK(!apic_test_vector(APIC_IRR, vec) && !apic_test_vector(APIC_ISR, vec));
}

TEST(random_ioapic_writes)
{
	for (unsigned i = 0; i < 5000 / one_in(); i++) {
		volatile uint32_t *regs = (volatile uint32_t *)IOAPIC_PA;

		regs[random64() & 0xf] = (uint32_t)random64();
		(void)regs[random64() & 0x3ff];
	}
	for (unsigned pin = 0; pin < 24; pin++)
		ioapic_write(IOAPIC_REDIR(pin), LVT_MASKED);
	for (unsigned pin = 0; pin < 24; pin++)
		CHECK_EQ(ioapic_read(IOAPIC_REDIR(pin)) & LVT_MASKED, LVT_MASKED);
}

/* --- delivery that cannot succeed
 * ----------------------------------------------------------------- */

static __attribute__((noinline)) int try_open(void)
{
	return TRY(sti(); for (;;) pause());
}

/* An interrupt whose gate is not present. */
static bool sets_ext(void)
{
	uint64_t *gate = &idt[0x70 * GATE_WORDS], old = *gate;

	apic_enable();
	*gate &= ~BIT64(47);
	apic_send_ipi(apic_id(), 0x70);
	try_open();
	cli();
	*gate = old;
	apic_eoi();
	return IS_ABLE(fault()->error & 1);
}

/* The table ends before the vector: #GP with the vector, and EXT, in the error code. */
TEST(interrupt_beyond_the_idt)
{
	static const unsigned sizes[] = {0x20, 0x30, 0x7f};
	unsigned bytes = gate_bytes_in_errors(), ext = sets_ext() ? 1 : 0;

	for (unsigned i = 0; i < 3; i++) {
		int vector;

		lidt((struct table_ptr){(uint16_t)(sizes[i] * 8 * GATE_WORDS - 1),
					(unsigned long)idt});
		apic_send_ipi(apic_id(), 0x80);
		vector = try_open();
		cli();
		trap_load_idt();
		CHECK_EQ(vector, GP_VECTOR);
		CHECK_EQ(fault()->error, 0x80 * bytes | 2 | ext);
		apic_eoi();
	}
}

static __attribute__((noinline)) int try_int_90(void)
{
	return TRY(__asm__ volatile("int $0x90"));
}

TEST(gates_of_all_types)
{
	for (unsigned i = 0; i < 256; i++) {
		unsigned type = i & 0x1f, dpl = i >> 5 & 3, present = i >> 7;
		int vector;

		if (!IS_64BIT && type >= 5 && type <= 7)
			continue; /* a task gate; gates of 16 bits, which lead elsewhere */
		trap_set_gate(0x90, 14, 0, 0);
		idt[0x90 * GATE_WORDS] = (idt[0x90 * GATE_WORDS] & ~0xff0000000000ull) |
					 (uint64_t)(present << 7 | dpl << 5 | type) << 40;
		vector = try_int_90();
		CHECK(vector == 0x90 || vector == GP_VECTOR || vector == NP_VECTOR);
		if (type == 14 && present)
			CHECK_EQ(vector, 0x90);
	}
}

/* --- delivery that raises itself
 * ------------------------------------------------------------------ */

#ifdef __x86_64__
extern const uint8_t spin_handler[];
__asm__(".pushsection .text\nspin_handler: jmp spin_handler\n.popsection");
static uint8_t loop_stack[PAGE_SIZE] __attribute__((aligned(4096)));
static volatile uint64_t trigger;

/* A breakpoint on what the delivery of #DB itself writes: its frame, on a stack of the IST. */
static void loop_by_debug_exceptions(void *arg)
{
	unsigned long top = (unsigned long)loop_stack + PAGE_SIZE;

	this_cpu()->tss.ist[2] = top;
	trap_set_entry(DB_VECTOR, spin_handler);
	idt[DB_VECTOR * GATE_WORDS] |= 2ull << 32;
	write_dr0(top - 8);
	write_dr1((unsigned long)&trigger);
	write_dr7(0x400 | 1 | 4 | 0xful << 16 | 0xful << 20); /* reads and writes of 4 bytes */
	trigger = 1;
	for (;;)
		pause();
}

TEST(debug_exceptions_for_ever)
{
	unsigned started;

	NEED_CPUS(2);
	started = cpus[1].started;
	smp_run(1, loop_by_debug_exceptions, NULL);
	delay_us(200000);
	CHECK(!smp_wait(1, 10));
	/* INIT gets through, and it comes up again with its debug registers as after reset. */
	CHECK(smp_restart(1));
	CHECK_EQ(cpus[1].started, started + 1);
	trap_init();
}
#else
/* A stack that is not aligned, and a handler of #AC at CPL 3, whose frame is misaligned again. */
static uint8_t user_stack[PAGE_SIZE] __attribute__((aligned(4096)));
extern const uint8_t ac_handler[], ac_user[];
__asm__(".pushsection .text\n"
	"ac_handler: jmp ac_handler\n"
	"ac_user: pushf; orl $0x40000, (%esp); popf\n"
	"mov %esp, %eax; mov %eax, 1(%eax)\n"
	"1: jmp 1b\n.popsection");
void user_enter(const void *entry, void *stack, unsigned long flags, unsigned long selector);

static void loop_by_alignment_checks(void *arg)
{
	trap_set_entry(AC_VECTOR, ac_handler);
	idt[AC_VECTOR] = (idt[AC_VECTOR] & ~0xffff0000ull) | (uint64_t)SEL_UCODE32 << 16;
	write_cr0(read_cr0() | CR0_AM);
	user_enter(ac_user, user_stack + PAGE_SIZE - 63, 2, SEL_UCODE32);
}

TEST(alignment_checks_for_ever)
{
	unsigned started;

	SKIP_UNLESS(has_alignment_checks(), "this CPU raises no #AC");
	NEED_CPUS(2);
	started = cpus[1].started;
	smp_run(1, loop_by_alignment_checks, NULL);
	delay_us(200000);
	CHECK(!smp_wait(1, 10));
	CHECK(smp_restart(1));
	CHECK_EQ(cpus[1].started, started + 1);
}
#endif

/* --- MOV SS and what comes with the next instruction (CVE-2018-8897)
 * ------------------------------ */

static volatile unsigned long watched_ss;
static volatile unsigned db_hits, db_in_handler;
extern const uint8_t trap_stubs[];

static bool on_debug(struct regs *regs)
{
	unsigned long stub = (unsigned long)trap_stubs;

	db_hits++;
	db_in_handler += regs->ip >= stub && regs->ip < stub + 256 * 16;
	write_dr6(0xffff0ff0);
	return true;
}

#define MOV_SS_THEN(insn)                                                                          \
	TRY(__asm__ volatile("mov %0, %%ss; " insn : : "m"(watched_ss) : "memory"))

/* The breakpoint on MOV SS' operand waits for the next instruction; no state is lost by that. */
TEST(mov_ss_then_interrupt)
{
	SKIP_UNLESS(notes_steps(), "this CPU does not write DR6 with #DB");
	watched_ss = SEL_DATA;
	trap_set(DB_VECTOR, on_debug);
	write_dr0((unsigned long)&watched_ss);
	write_dr7(0x400 | 1 | 7u << 16); /* read or write, 2 bytes */
	db_hits = db_in_handler = 0;
	CHECK_EQ(MOV_SS_THEN("int3"), BP_VECTOR);
	CHECK_EQ(MOV_SS_THEN("int $0x80"), 0x80);
	CHECK_EQ(MOV_SS_THEN("ud2"), UD_VECTOR);
	CHECK_EQ(TRY(__asm__ volatile("mov %0, %%ss; cpuid"
				      :
				      : "m"(watched_ss), "a"(0)
				      : "ebx", "ecx", "edx", "memory")),
		 NO_FAULT);
	write_dr7(0x400);
	printf("# %u breakpoints, %u of them in a handler's first instruction\n", db_hits,
	       db_in_handler);
	CHECK(db_hits);
}
