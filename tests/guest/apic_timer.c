/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The local APIC's timer: one shot, periodic, by TSC deadline, divided, and as what wakes a CPU
 * (SDM volume 3, 11.5.4).
 */
#include "apic.h"
#include "clock.h"
#include "hypercall.h"
#include "interrupts.h"
#include "ktap.h"
#include "pit.h"

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

/*
 * Undivided ticks in ten milliseconds, measured over that time or what became of it. A disturbance
 * between the two clocks' readings, at the start or at the end, spoils a measurement: once more.
 */
static uint32_t measure_ticks(uint32_t divide_code, uint32_t divide)
{
	uint64_t before, start, end, ticks, between;

	for (unsigned attempt = 0;; attempt++) {
		before = rdtsc();
		timer_start(LVT_MASKED, divide_code, 0xffffffff);
		start = rdtsc();
		delay_us(10000);
		end = rdtsc();
		ticks = (uint64_t)(0xffffffff - apic_read(APIC_TMCCT)) * divide;
		between = rdtsc() - end + start - before;
		timer_stop();
		if (between < ms_to_tsc(1) / 2 || attempt == 9)
			return (uint32_t)(ticks * ms_to_tsc(10) / (end - start));
	}
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
	irq_expect(VEC);
	timer_start(LVT_ONESHOT, 0xb, timer_ticks_10ms() / 10);
	CHECK(wait_until(irq_seen[0] == 1, WAIT_MS));
	CHECK_EQ(apic_read(APIC_TMCCT), 0);
	delay_us(QUIET_MS * 1000);
	CHECK_EQ(irq_seen[0], 1);
	timer_stop();
}

TEST(timer_periodic)
{
	uint64_t start;
	uint64_t us;

	irq_expect(VEC);
	start = rdtsc();
	timer_start(LVT_PERIODIC, 0xb, timer_ticks_10ms() / 5); /* 2 ms */
	CHECK(wait_until(irq_seen[0] >= 10, WAIT_MS));
	us = (rdtsc() - start) * 1000 / tsc_khz();
	timer_stop();
	printf("# 10 periods of 2 ms took %llu us\n", (unsigned long long)us);
	CHECK(us >= 18000); /* later on a busy machine */
}

TEST(timer_stopped_by_zero)
{
	irq_expect(VEC);
	timer_start(LVT_ONESHOT, 0xb, timer_ticks_10ms());
	apic_write(APIC_TMICT, 0);
	delay_us(QUIET_MS * 1000);
	CHECK_EQ(irq_seen[0], 0);
	timer_stop();
}

TEST(timer_masked)
{
	irq_expect(VEC);
	timer_start(LVT_ONESHOT | LVT_MASKED, 0xb, timer_ticks_10ms() / 10);
	delay_us(QUIET_MS * 1000);
	CHECK_EQ(irq_seen[0], 0);
	timer_stop();
}

TEST(timer_divide)
{
	static const struct {
		uint8_t code, by;
	} divides[] = {{0xb, 1}, {0, 2}, {1, 4}, {2, 8}, {3, 16}, {8, 32}, {9, 64}, {10, 128}};
	uint32_t full = timer_ticks_10ms();

	for (unsigned i = 0; i < sizeof(divides) / sizeof(divides[0]); i++) {
		uint32_t ticks = measure_ticks(divides[i].code, divides[i].by);

		if (!CHECK(ticks > full / 10 * 8 && ticks < full / 10 * 12))
			printf("# divided by %u: %u ticks, not %u\n", divides[i].by, ticks, full);
	}
}

TEST(timer_wakes_from_halt)
{
	irq_expect(VEC);
	cli();
	timer_start(LVT_ONESHOT, 0xb, timer_ticks_10ms() / 2);
	while (!irq_seen[0])
		safe_halt();
	CHECK_EQ(irq_seen[0], 1);
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
	return irq_note(regs);
}

static bool on_pit(struct regs *regs)
{
	pic_eoi(0);
	return true;
}

TEST(no_interrupt_between_sti_and_hlt)
{
	irq_expect(VEC);
	cli();
	pic_init(0x20);
	trap_set(VEC, on_timer);
	trap_set(0x20, on_pit);
	apic_write(APIC_LVT0, ICR_EXTINT);
	pit_program(0, PIT_MODE2, (uint16_t)(PIT_HZ / 50));
	pic_unmask(1);
	before_hlt = 0;
	for (uint32_t distance = 1; distance < 3000; distance += 1 + distance / 64) {
		irq_seen[0] = 0;
		timer_start(LVT_ONESHOT, 0xb, distance);
		__asm__ volatile("sti; here_hlt: hlt; cli" : : : "memory");
		while (!irq_seen[0]) {
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
	irq_expect(VEC);
	apic_write(APIC_LVTT, LVT_DEADLINE | VEC);
	deadline = rdtsc() + ms_to_tsc(10000);
	wrmsr(MSR_TSC_DEADLINE, deadline);
	CHECK_EQ(rdmsr(MSR_TSC_DEADLINE), deadline);
	deadline = rdtsc() + ms_to_tsc(2);
	wrmsr(MSR_TSC_DEADLINE, deadline);
	CHECK(wait_until(irq_seen[0] == 1, WAIT_MS));
	CHECK(rdtsc() >= deadline);
	CHECK_EQ(rdmsr(MSR_TSC_DEADLINE), 0);
	wrmsr(MSR_TSC_DEADLINE, 1); /* long past: at once */
	CHECK(wait_until(irq_seen[0] == 2, WAIT_MS));
	wrmsr(MSR_TSC_DEADLINE, rdtsc() + ms_to_tsc(100));
	wrmsr(MSR_TSC_DEADLINE, 0);
	delay_us(120000);
	CHECK_EQ(irq_seen[0], 2);
	apic_write(APIC_TMICT, 1000); /* ignored in this mode */
	CHECK_EQ(apic_read(APIC_TMICT), 0);
	timer_stop();
}

TEST(tsc_deadline_in_other_modes)
{
	SKIP_UNLESS(HAS_DEADLINE, "no TSC-deadline timer");
	irq_expect(VEC);
	apic_write(APIC_LVTT, LVT_ONESHOT | VEC);
	wrmsr(MSR_TSC_DEADLINE, rdtsc());
	CHECK_EQ(rdmsr(MSR_TSC_DEADLINE), 0);
	delay_us(1000);
	CHECK_EQ(irq_seen[0], 0);
	timer_stop();
}

TEST(x2apic_timer)
{
	uint32_t ticks = timer_ticks_10ms();

	SKIP_UNLESS(HAS_X2APIC, "no x2APIC");
	apic_enter_x2();
	irq_expect(VEC);
	timer_start(LVT_ONESHOT, 0xb, ticks / 10);
	CHECK(wait_until(irq_seen[0] == 1, WAIT_MS));
	timer_stop();
	cli();
	apic_leave_x2();
}
