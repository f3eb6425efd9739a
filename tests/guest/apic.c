/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The local APIC: registers, timer, priorities, and interrupts from one CPU to another in every
 * destination mode (SDM volume 3, chapter 11).
 */
#include <string.h>

#include "apic.h"
#include "clock.h"
#include "hypercall.h"
#include "ktap.h"
#include "pit.h"
#include "user.h"

#define VEC      0x41
#define VEC_LOW  0x31
#define VEC_HIGH 0x71
#define WAIT_MS  1000
#define QUIET_MS 20

static volatile unsigned seen[MAX_CPUS];
static volatile uint8_t order[64];
static volatile unsigned nr_order;

/* Note who came, in which order, and end the interrupt. */
static bool on_interrupt(struct regs *regs)
{
	seen[cpu_index()]++;
	if (nr_order < sizeof(order))
		order[nr_order++] = (uint8_t)regs->vector;
	apic_eoi();
	return true;
}

static void expect(unsigned vector)
{
	memset((void *)seen, 0, sizeof(seen));
	nr_order = 0;
	trap_set(vector, on_interrupt);
	apic_enable();
	sti();
}

static void open_interrupts(void *stop)
{
	sti();
	while (!*(volatile bool *)stop)
		pause();
	cli();
}

static volatile bool stop_others;

static void others_listen(void)
{
	stop_others = false;
	for (unsigned i = 1; i < smp_start(); i++)
		smp_run(i, open_interrupts, (void *)&stop_others);
}

static void others_stop(void)
{
	stop_others = true;
	for (unsigned i = 1; i < smp_start(); i++)
		CHECK(smp_wait(i, WAIT_MS));
}

/* --- registers -------------------------------------------------------------------------------- */

TEST(version_and_id)
{
	uint32_t version = apic_read(APIC_VERSION);

	CHECK((version & 0xff) >= 0x10 && (version & 0xff) <= 0x15);
	CHECK((version >> 16 & 0xff) >= 4);
	CHECK_EQ(apic_id(), cpuid(1).b >> 24);
	CHECK_EQ(apic_id(), 0);
}

TEST(registers_keep_their_bits)
{
	apic_enable();
	apic_write(APIC_LVTT, LVT_MASKED | LVT_PERIODIC | VEC);
	CHECK_EQ(apic_read(APIC_LVTT), LVT_MASKED | LVT_PERIODIC | VEC);
	apic_write(APIC_LVT0, LVT_MASKED | 0x700);
	CHECK_EQ(apic_read(APIC_LVT0), LVT_MASKED | 0x700);
	apic_write(APIC_LVT1, LVT_MASKED | 0x400);
	CHECK_EQ(apic_read(APIC_LVT1), LVT_MASKED | 0x400);
	apic_write(APIC_LVTERR, LVT_MASKED | VEC);
	CHECK_EQ(apic_read(APIC_LVTERR), LVT_MASKED | VEC);
	apic_write(APIC_TDCR, 0xb);
	CHECK_EQ(apic_read(APIC_TDCR), 0xb);
	apic_write(APIC_TPR, 0x35);
	CHECK_EQ(apic_read(APIC_TPR), 0x35);
	apic_write(APIC_TPR, 0);
}

TEST(logical_destination_registers)
{
	SKIP_UNLESS(!apic_is_x2(), "x2APIC mode");
	apic_write(APIC_DFR, 0xffffffff);
	CHECK_EQ(apic_read(APIC_DFR), 0xffffffff);
	apic_write(APIC_LDR, 0x04000000);
	CHECK_EQ(apic_read(APIC_LDR), 0x04000000);
}

TEST(software_disable_masks_the_lvt)
{
	apic_enable();
	apic_write(APIC_LVTT, VEC);
	apic_write(APIC_LVT1, 0x400);
	apic_write(APIC_SVR, SPURIOUS_VECTOR);
	SKIP_UNLESS(!is_bare_tcg(), "QEMU TCG leaves the mask bits alone");
	CHECK(apic_read(APIC_LVTT) & LVT_MASKED);
	CHECK(apic_read(APIC_LVT1) & LVT_MASKED);
	apic_write(APIC_LVTT, VEC); /* stays masked while disabled */
	CHECK(apic_read(APIC_LVTT) & LVT_MASKED);
	apic_enable();
	CHECK(apic_read(APIC_LVTT) & LVT_MASKED);
}

/* --- interrupts to oneself -------------------------------------------------------------------- */

TEST(self_ipi_by_shorthand)
{
	expect(VEC);
	apic_send_ipi(0, ICR_SELF | ICR_FIXED | VEC);
	CHECK(wait_until(seen[0] == 1, WAIT_MS));
	CHECK(!apic_test_vector(APIC_ISR, VEC) && !apic_test_vector(APIC_IRR, VEC));
}

TEST(self_ipi_by_physical_id)
{
	expect(VEC);
	apic_send_ipi(apic_id(), ICR_FIXED | VEC);
	CHECK(wait_until(seen[0] == 1, WAIT_MS));
}

TEST(ipi_waits_in_irr)
{
	expect(VEC);
	cli();
	apic_send_ipi(0, ICR_SELF | VEC);
	CHECK(wait_until(apic_test_vector(APIC_IRR, VEC), WAIT_MS));
	CHECK_EQ(seen[0], 0);
	CHECK(!apic_test_vector(APIC_ISR, VEC));
	apic_send_ipi(0, ICR_SELF | VEC); /* merges with the one that waits */
	delay_us(100);
	sti();
	CHECK(wait_until(seen[0] == 1, WAIT_MS));
	delay_us(100);
	CHECK_EQ(seen[0], 1);
}

static volatile bool in_service;

static bool look_at_isr(struct regs *regs)
{
	in_service = apic_test_vector(APIC_ISR, (unsigned)regs->vector) &&
		     !apic_test_vector(APIC_IRR, (unsigned)regs->vector) &&
		     (apic_read(APIC_PPR) & 0xf0) == (regs->vector & 0xf0);
	return on_interrupt(regs);
}

TEST(isr_and_ppr_during_service)
{
	expect(VEC);
	trap_set(VEC, look_at_isr);
	in_service = false;
	apic_send_ipi(0, ICR_SELF | VEC);
	CHECK(wait_until(seen[0] == 1, WAIT_MS));
	CHECK(in_service);
	CHECK_EQ(apic_read(APIC_PPR), 0);
}

TEST(higher_priority_first)
{
	static const uint8_t vectors[] = {0x52, 0x31, 0xa0, 0x71, 0x53, 0xef};

	expect(0x31);
	cli();
	for (unsigned i = 0; i < sizeof(vectors); i++) {
		trap_set(vectors[i], on_interrupt);
		apic_send_ipi(0, ICR_SELF | vectors[i]);
	}
	delay_us(100);
	sti();
	CHECK(wait_until(nr_order == sizeof(vectors), WAIT_MS));
	for (unsigned i = 1; i < nr_order; i++)
		CHECK(order[i - 1] > order[i]);
}

TEST(tpr_holds_back)
{
	expect(VEC_LOW);
	trap_set(VEC_HIGH, on_interrupt);
	apic_write(APIC_TPR, 0x50);
	apic_send_ipi(0, ICR_SELF | VEC_LOW);
	apic_send_ipi(0, ICR_SELF | VEC_HIGH);
	CHECK(wait_until(nr_order == 1, WAIT_MS));
	delay_us(1000);
	CHECK_EQ(nr_order, 1);
	CHECK_EQ(order[0], VEC_HIGH);
	CHECK_EQ(apic_read(APIC_PPR), 0x50);
	apic_write(APIC_TPR, 0);
	CHECK(wait_until(nr_order == 2, WAIT_MS));
	CHECK_EQ(order[1], VEC_LOW);
}

TEST(tpr_of_the_same_class_holds_back)
{
	expect(VEC_LOW);
	apic_write(APIC_TPR, VEC_LOW & 0xf0);
	apic_send_ipi(0, ICR_SELF | VEC_LOW);
	delay_us(1000);
	CHECK_EQ(nr_order, 0);
	apic_write(APIC_TPR, (VEC_LOW & 0xf0) - 1);
	CHECK(wait_until(nr_order == 1, WAIT_MS));
	apic_write(APIC_TPR, 0);
}

#ifdef __x86_64__
TEST(cr8_is_tpr)
{
	apic_enable();
	for (unsigned i = 0; i < 16; i++) {
		write_cr8(i);
		CHECK_EQ(read_cr8(), i);
		CHECK_EQ(apic_read(APIC_TPR), i << 4);
	}
	apic_write(APIC_TPR, 0x9f);
	CHECK_EQ(read_cr8(), 9);
	if (!is_on_tcg()) /* which drops the reserved bits */
		CHECK_EQ(TRY(write_cr8(16)), GP_VECTOR);
	apic_write(APIC_TPR, 0);
	CHECK_EQ(read_cr8(), 0);
}

TEST(cr8_holds_back)
{
	expect(VEC_LOW);
	write_cr8(5);
	apic_send_ipi(0, ICR_SELF | VEC_LOW);
	delay_us(1000);
	CHECK_EQ(nr_order, 0);
	write_cr8(0);
	CHECK(wait_until(nr_order == 1, WAIT_MS));
}
#endif

static bool nest_high(struct regs *regs)
{
	apic_send_ipi(0, ICR_SELF | VEC_HIGH);
	apic_send_ipi(0, ICR_SELF | VEC_LOW);
	sti();
	delay_us(1000);
	cli();
	return on_interrupt(regs);
}

TEST(higher_interrupts_lower)
{
	expect(VEC_LOW);
	trap_set(VEC_HIGH, on_interrupt);
	trap_set(VEC, nest_high);
	apic_send_ipi(0, ICR_SELF | VEC);
	CHECK(wait_until(nr_order == 3, WAIT_MS));
	CHECK(order[0] == VEC_HIGH && order[1] == VEC && order[2] == VEC_LOW);
}

TEST(illegal_vector_is_an_error)
{
	SKIP_UNLESS(!is_bare_tcg(), "QEMU TCG delivers the vector");
	apic_enable();
	apic_write(APIC_LVTERR, LVT_MASKED | VEC);
	apic_write(APIC_ESR, 0);
	apic_write(APIC_ESR, 0);
	apic_send_ipi(0, ICR_SELF | 5);
	delay_us(1000);
	apic_write(APIC_ESR, 0);
	CHECK(apic_read(APIC_ESR) & 0x60); /* send or receive illegal vector */
	apic_write(APIC_ESR, 0);
	apic_write(APIC_ESR, 0);
	CHECK_EQ(apic_read(APIC_ESR), 0);
}

TEST(error_interrupt)
{
	SKIP_UNLESS(!is_bare_tcg(), "QEMU TCG delivers the vector");
	expect(VEC);
	apic_write(APIC_ESR, 0);
	apic_write(APIC_LVTERR, VEC);
	apic_send_ipi(0, ICR_SELF | 5);
	CHECK(wait_until(seen[0] >= 1, WAIT_MS));
	apic_write(APIC_LVTERR, LVT_MASKED);
	apic_write(APIC_ESR, 0);
}

/* --- NMI -------------------------------------------------------------------------------------- */

static volatile unsigned nmis, nmi_depth, nmi_deepest;

static bool on_nmi(struct regs *regs)
{
	nmi_depth++;
	if (nmi_depth > nmi_deepest)
		nmi_deepest = nmi_depth;
	if (nmis++ == 0) { /* another waits until this one has returned */
		apic_send_ipi(apic_id(), ICR_NMI);
		delay_us(1000);
	}
	nmi_depth--;
	return true;
}

TEST(nmi_to_oneself)
{
	apic_enable();
	trap_set(NMI_VECTOR, on_nmi);
	nmis = nmi_depth = nmi_deepest = 0;
	cli();
	apic_send_ipi(apic_id(), ICR_NMI);
	CHECK(wait_until(nmis == 2, WAIT_MS));
	CHECK_EQ(nmi_deepest, 1);
}

static bool count_nmi(struct regs *regs)
{
	nmis++;
	return true;
}

static void halt_until_nmi(void *arg)
{
	cli();
	while (!nmis)
		__asm__ volatile("hlt" : : : "memory");
}

TEST(nmi_wakes_a_halted_cpu)
{
	NEED_CPUS(2);
	trap_set(NMI_VECTOR, count_nmi);
	nmis = 0;
	smp_run(1, halt_until_nmi, NULL);
	delay_us(20000);
	CHECK_EQ(nmis, 0);
	apic_send_ipi(cpus[1].apic_id, ICR_NMI);
	CHECK(smp_wait(1, WAIT_MS));
	CHECK_EQ(nmis, 1);
}

/* --- interrupts to others --------------------------------------------------------------------- */

/* Send, and see exactly the CPUs of `mask` interrupted, once each. */
static void check_reach(uint32_t dest, uint32_t icr, uint64_t mask)
{
	unsigned count = smp_start(), i;

	expect(VEC);
	others_listen();
	delay_us(1000);
	apic_send_ipi(dest, icr | VEC);
	for (i = 0; i < count; i++)
		if (mask >> i & 1)
			CHECK(wait_until(seen[i] == 1, WAIT_MS));
	delay_us(1000);
	for (i = 0; i < count; i++)
		CHECK_EQ(seen[i], mask >> i & 1);
	others_stop();
	cli();
}

static uint64_t all_cpus(void)
{
	return smp_start() == 64 ? ~0ull : (1ull << smp_start()) - 1;
}

TEST(physical_destination)
{
	NEED_CPUS(2);
	for (unsigned i = 0; i < smp_start(); i++)
		check_reach(cpus[i].apic_id, ICR_FIXED, 1ull << i);
}

TEST(physical_broadcast)
{
	check_reach(apic_is_x2() ? 0xffffffff : 0xff, ICR_FIXED, all_cpus());
}

TEST(shorthands)
{
	check_reach(0, ICR_SELF, 1);
	check_reach(0, ICR_ALL, all_cpus());
	check_reach(0, ICR_OTHERS, all_cpus() & ~1ull);
}

TEST(nobody_there)
{
	check_reach(0x7e, ICR_FIXED, 0);
}

static void set_logical(void *arg)
{
	unsigned mode = *(unsigned *)arg, i = cpu_index();

	apic_write(APIC_DFR, mode);
	/* flat: a bit each; cluster: one bit in cluster i / 4 */
	apic_write(APIC_LDR,
		   mode == 0xffffffff ? 1u << (24 + i % 8) : (i / 4) << 28 | 1u << (24 + i % 4));
}

static void all_set_logical(unsigned mode)
{
	for (unsigned i = 1; i < smp_start(); i++)
		CHECK(smp_call(i, set_logical, &mode));
	set_logical(&mode);
}

TEST(logical_flat)
{
	NEED_CPUS(2);
	SKIP_UNLESS(!apic_is_x2() && smp_start() <= 8, "xAPIC with up to 8 CPUs");
	all_set_logical(0xffffffff);
	for (unsigned mask = 0; mask < 1u << smp_start(); mask++)
		check_reach(mask, ICR_LOGICAL, mask);
	check_reach(0xff, ICR_LOGICAL, all_cpus());
}

TEST(logical_cluster)
{
	NEED_CPUS(2);
	SKIP_UNLESS(!apic_is_x2() && smp_start() <= 4, "xAPIC with up to 4 CPUs");
	all_set_logical(0x0fffffff);
	for (unsigned mask = 1; mask < 1u << smp_start(); mask++)
		check_reach(mask, ICR_LOGICAL, mask);
	check_reach(0x11, ICR_LOGICAL, 0); /* another cluster */
	all_set_logical(0xffffffff);
}

static unsigned total_seen(void)
{
	unsigned total = 0;

	for (unsigned i = 0; i < smp_start(); i++)
		total += seen[i];
	return total;
}

TEST(lowest_priority_reaches_one)
{
	NEED_CPUS(2);
	SKIP_UNLESS(!apic_is_x2(), "xAPIC only");
	all_set_logical(0xffffffff);
	expect(VEC);
	others_listen();
	for (unsigned i = 1; i <= 10; i++) {
		apic_send_ipi(0xff, ICR_LOGICAL | ICR_LOWEST | VEC);
		CHECK(wait_until(total_seen() == i, WAIT_MS));
	}
	delay_us(1000);
	others_stop();
	cli();
	CHECK_EQ(total_seen(), 10);
}

static void halt_until_seen(void *arg)
{
	cli();
	while (!seen[cpu_index()]) {
		safe_halt();
		cli();
	}
}

TEST(ipi_wakes_a_halted_cpu)
{
	NEED_CPUS(2);
	for (unsigned round = 0; round < 20; round++) {
		expect(VEC);
		smp_run(1, halt_until_seen, NULL);
		delay_us(round * 100);
		CHECK_EQ(seen[1], 0);
		apic_send_ipi(cpus[1].apic_id, VEC);
		if (!CHECK(smp_wait(1, WAIT_MS)))
			break;
	}
}

static volatile unsigned halts_ended;

static void take_pending(void *arg)
{
	sti();
	delay_us(100);
	cli();
}

static void halt_behind_tpr(void *arg)
{
	apic_write(APIC_TPR, 0xf0);
	safe_halt();
	halts_ended++;
	cli();
	apic_write(APIC_TPR, 0);
}

/* HLT goes on only with an event that is delivered: what TPR holds back does not end it. */
TEST(held_back_interrupt_does_not_wake)
{
	NEED_CPUS(2);
	expect(VEC);
	trap_set(NMI_VECTOR, count_nmi);
	for (unsigned round = 0; round < 10; round++) {
		halts_ended = nmis = seen[1] = 0;
		smp_run(1, halt_behind_tpr, NULL);
		delay_us(5000);
		apic_send_ipi(cpus[1].apic_id, VEC);
		delay_us(5000);
		CHECK_EQ(halts_ended, 0);
		apic_send_ipi(cpus[1].apic_id, ICR_NMI);
		CHECK(smp_wait(1, WAIT_MS));
		CHECK_EQ(halts_ended, 1);
		CHECK_EQ(nmis, 1);
		CHECK(smp_call(1, take_pending, NULL));
		CHECK_EQ(seen[1], 1); /* it was kept for later */
	}
}

/* --- timer ------------------------------------------------------------------------------------ */

static void timer_start(uint32_t mode, uint32_t divide, uint32_t count)
{
	apic_write(APIC_TMICT, 0);
	apic_write(APIC_TDCR, divide);
	apic_write(APIC_LVTT, mode | VEC);
	apic_write(APIC_TMICT, count);
}

static void timer_stop(void)
{
	apic_write(APIC_TMICT, 0);
	apic_write(APIC_LVTT, LVT_MASKED);
}

/* Undivided ticks in ten milliseconds, measured over that time or what became of it. */
static uint32_t measure_ticks(uint32_t divide_code, uint32_t divide)
{
	uint64_t start, ticks;

	timer_start(LVT_MASKED, divide_code, 0xffffffff);
	start = rdtsc();
	delay_us(10000);
	ticks = (uint64_t)(0xffffffff - apic_read(APIC_TMCCT)) * divide;
	ticks = ticks * ms_to_tsc(10) / (rdtsc() - start);
	timer_stop();
	return (uint32_t)ticks;
}

static uint32_t timer_ticks_10ms(void)
{
	static uint32_t ticks;

	if (!ticks) {
		apic_enable();
		ticks = measure_ticks(0xb, 1);
		printf("# APIC timer: %u kHz\n", ticks / 10);
	}
	return ticks;
}

TEST(timer_counts_down)
{
	uint32_t a, b;

	apic_enable();
	timer_start(LVT_MASKED, 0xb, 0xffffffff);
	a = apic_read(APIC_TMCCT);
	delay_us(100);
	b = apic_read(APIC_TMCCT);
	CHECK(b < a);
	CHECK_EQ(apic_read(APIC_TMICT), 0xffffffff);
	timer_stop();
	CHECK_EQ(apic_read(APIC_TMCCT), 0);
	CHECK(timer_ticks_10ms() > 10000);
}

TEST(timer_one_shot)
{
	expect(VEC);
	timer_start(LVT_ONESHOT, 0xb, timer_ticks_10ms() / 10);
	CHECK(wait_until(seen[0] == 1, WAIT_MS));
	CHECK_EQ(apic_read(APIC_TMCCT), 0);
	delay_us(QUIET_MS * 1000);
	CHECK_EQ(seen[0], 1);
	timer_stop();
}

TEST(timer_periodic)
{
	uint64_t start;
	uint64_t us;

	expect(VEC);
	start = rdtsc();
	timer_start(LVT_PERIODIC, 0xb, timer_ticks_10ms() / 5); /* 2 ms */
	CHECK(wait_until(seen[0] >= 10, WAIT_MS));
	us = (rdtsc() - start) * 1000 / tsc_khz();
	timer_stop();
	printf("# 10 periods of 2 ms took %llu us\n", (unsigned long long)us);
	CHECK(us >= 18000); /* later on a busy machine */
}

TEST(timer_stopped_by_zero)
{
	expect(VEC);
	timer_start(LVT_ONESHOT, 0xb, timer_ticks_10ms());
	apic_write(APIC_TMICT, 0);
	delay_us(QUIET_MS * 1000);
	CHECK_EQ(seen[0], 0);
	timer_stop();
}

TEST(timer_masked)
{
	expect(VEC);
	timer_start(LVT_ONESHOT | LVT_MASKED, 0xb, timer_ticks_10ms() / 10);
	delay_us(QUIET_MS * 1000);
	CHECK_EQ(seen[0], 0);
	timer_stop();
}

TEST(timer_divide)
{
	static const struct {
		uint8_t code, by;
	} divides[] = {{0xb, 1}, {0, 2}, {1, 4}, {2, 8}, {3, 16}, {8, 32}, {9, 64}, {10, 128}};
	uint32_t full = timer_ticks_10ms();

	for (unsigned i = 0; i < sizeof(divides) / sizeof(divides[0]); i++) {
		uint32_t ticks = 0;

		/* A disturbance between two readings spoils one measurement, not three. */
		for (unsigned attempt = 0; attempt < 3; attempt++) {
			ticks = measure_ticks(divides[i].code, divides[i].by);
			if (ticks > full / 10 * 8 && ticks < full / 10 * 12)
				break;
		}
		if (!CHECK(ticks > full / 10 * 8 && ticks < full / 10 * 12))
			printf("# divided by %u: %u ticks, not %u\n", divides[i].by, ticks, full);
	}
}

TEST(timer_wakes_from_halt)
{
	expect(VEC);
	cli();
	timer_start(LVT_ONESHOT, 0xb, timer_ticks_10ms() / 2);
	while (!seen[0])
		safe_halt();
	CHECK_EQ(seen[0], 1);
	timer_stop();
}

/*
 * The timer fires at every distance from the STI. No interrupt may be taken between STI and HLT,
 * for then HLT would sleep through it: an interrupt that returns to the HLT is wrong. A tick of the
 * PIT ends such a sleep.
 */
extern const uint8_t here_hlt[];
static volatile unsigned before_hlt;

static bool on_timer(struct regs *regs)
{
	before_hlt += regs->ip == (unsigned long)here_hlt;
	return on_interrupt(regs);
}

static bool on_pit(struct regs *regs)
{
	pic_eoi(0);
	return true;
}

TEST(no_interrupt_between_sti_and_hlt)
{
	expect(VEC);
	cli();
	pic_init(0x20);
	trap_set(VEC, on_timer);
	trap_set(0x20, on_pit);
	apic_write(APIC_LVT0, ICR_EXTINT);
	pit_program(0, PIT_MODE2, (uint16_t)(PIT_HZ / 50));
	pic_unmask(1);
	before_hlt = 0;
	for (uint32_t distance = 1; distance < 3000; distance += 1 + distance / 64) {
		seen[0] = 0;
		timer_start(LVT_ONESHOT, 0xb, distance);
		__asm__ volatile("sti; here_hlt: hlt; cli" : : : "memory");
		while (!seen[0]) {
			safe_halt();
			cli();
		}
	}
	pic_unmask(0);
	apic_write(APIC_LVT0, LVT_MASKED);
	timer_stop();
	CHECK_EQ(before_hlt, 0);
}

TEST(tsc_deadline)
{
	uint64_t deadline;

	SKIP_UNLESS(HAS_DEADLINE, "no TSC-deadline timer");
	expect(VEC);
	apic_write(APIC_LVTT, LVT_DEADLINE | VEC);
	deadline = rdtsc() + ms_to_tsc(10000);
	wrmsr(MSR_TSC_DEADLINE, deadline);
	CHECK_EQ(rdmsr(MSR_TSC_DEADLINE), deadline);
	deadline = rdtsc() + ms_to_tsc(2);
	wrmsr(MSR_TSC_DEADLINE, deadline);
	CHECK(wait_until(seen[0] == 1, WAIT_MS));
	CHECK(rdtsc() >= deadline);
	CHECK_EQ(rdmsr(MSR_TSC_DEADLINE), 0);
	wrmsr(MSR_TSC_DEADLINE, 1); /* long past: at once */
	CHECK(wait_until(seen[0] == 2, WAIT_MS));
	wrmsr(MSR_TSC_DEADLINE, rdtsc() + ms_to_tsc(100));
	wrmsr(MSR_TSC_DEADLINE, 0);
	delay_us(120000);
	CHECK_EQ(seen[0], 2);
	apic_write(APIC_TMICT, 1000); /* ignored in this mode */
	CHECK_EQ(apic_read(APIC_TMICT), 0);
	timer_stop();
}

TEST(tsc_deadline_in_other_modes)
{
	SKIP_UNLESS(HAS_DEADLINE, "no TSC-deadline timer");
	expect(VEC);
	apic_write(APIC_LVTT, LVT_ONESHOT | VEC);
	wrmsr(MSR_TSC_DEADLINE, rdtsc());
	CHECK_EQ(rdmsr(MSR_TSC_DEADLINE), 0);
	delay_us(1000);
	CHECK_EQ(seen[0], 0);
	timer_stop();
}

/* --- x2APIC ----------------------------------------------------------------------------------- */

static void enter_x2(void *arg)
{
	apic_enter_x2();
}

static void leave_x2(void *arg)
{
	apic_leave_x2();
}

static void all_run(void (*fn)(void *))
{
	fn(NULL);
	for (unsigned i = 1; i < smp_start(); i++)
		CHECK(smp_call(i, fn, NULL));
}

TEST(x2apic_registers)
{
	SKIP_UNLESS(HAS_X2APIC, "no x2APIC");
	apic_enter_x2();
	REQUIRE(apic_is_x2());
	CHECK_EQ(apic_id(), cpuid(1).b >> 24);
	CHECK_EQ(apic_read(APIC_LDR), 1); /* cluster 0, bit 0 */
	CHECK((apic_read(APIC_VERSION) & 0xff) >= 0x10);
	CHECK_EQ(TRY(rdmsr(0x80e)), GP_VECTOR); /* DFR is gone */
	CHECK_EQ(TRY(rdmsr(0x831)), GP_VECTOR); /* ICR is one register */
	CHECK_EQ(TRY(wrmsr(0x802, 0)), GP_VECTOR);
	CHECK_EQ(TRY(wrmsr(0x803, 0)), GP_VECTOR);
	CHECK_EQ(TRY(wrmsr(0x80a, 0)), GP_VECTOR);
	CHECK_EQ(TRY(wrmsr(0x80b, 1)), GP_VECTOR); /* EOI takes only 0 */
	CHECK_EQ(TRY(wrmsr(0x828, 1)), GP_VECTOR); /* so does ESR */
	CHECK_EQ(TRY(wrmsr(0x808, 0x100)), GP_VECTOR);
	CHECK_EQ(TRY(wrmsr(0x80f, 0x100000000ull)), GP_VECTOR);
	CHECK_EQ(TRY(rdmsr(0x83f)), GP_VECTOR); /* self IPI is write-only */
	CHECK_EQ(TRY(rdmsr(0x8ff)), GP_VECTOR);
	apic_leave_x2();
	CHECK(!apic_is_x2());
	CHECK_EQ(apic_id(), 0);
}

TEST(x2apic_transitions)
{
	const volatile uint64_t base = rdmsr(MSR_APICBASE);

	SKIP_UNLESS(HAS_X2APIC, "no x2APIC");
	CHECK_EQ(TRY(wrmsr(MSR_APICBASE, (base & ~APICBASE_ENABLE) | APICBASE_X2APIC)), GP_VECTOR);
	apic_enter_x2();
	CHECK_EQ(TRY(wrmsr(MSR_APICBASE, base)), GP_VECTOR); /* not straight back to xAPIC */
	apic_leave_x2();
	wrmsr(MSR_APICBASE, base & ~APICBASE_ENABLE);
	CHECK_EQ(TRY(wrmsr(MSR_APICBASE, base | APICBASE_X2APIC)), GP_VECTOR);
	wrmsr(MSR_APICBASE, base);
	apic_enable();
}

TEST(x2apic_self_ipi)
{
	SKIP_UNLESS(HAS_X2APIC, "no x2APIC");
	apic_enter_x2();
	expect(VEC);
	apic_write(APIC_SELF_IPI, VEC);
	CHECK(wait_until(seen[0] == 1, WAIT_MS));
	cli();
	apic_leave_x2();
}

TEST(x2apic_ipis)
{
	SKIP_UNLESS(HAS_X2APIC, "no x2APIC");
	NEED_CPUS(2);
	all_run(enter_x2);
	for (unsigned i = 0; i < smp_start(); i++)
		check_reach(cpus[i].apic_id, ICR_FIXED, 1ull << i);
	check_reach(0xffffffff, ICR_FIXED, all_cpus());
	check_reach(0, ICR_ALL, all_cpus());
	check_reach(0, ICR_OTHERS, all_cpus() & ~1ull);
	if (smp_start() <= 16)
		for (unsigned mask = 1; mask < 1u << smp_start() && mask < 16; mask++)
			check_reach(mask, ICR_LOGICAL, mask); /* cluster 0 */
	check_reach(0x00010001, ICR_LOGICAL, 0);
	check_reach(0x12345, ICR_FIXED, 0);
	all_run(leave_x2);
}

TEST(x2apic_timer)
{
	uint32_t ticks = timer_ticks_10ms();

	SKIP_UNLESS(HAS_X2APIC, "no x2APIC");
	apic_enter_x2();
	expect(VEC);
	timer_start(LVT_ONESHOT, 0xb, ticks / 10);
	CHECK(wait_until(seen[0] == 1, WAIT_MS));
	timer_stop();
	cli();
	apic_leave_x2();
}
