/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Time that agrees with itself: the TSC never goes back, on one CPU or between two, and the PIT,
 * the ACPI timer and the APIC timer measure the same durations.
 * run: icount=1
 */
#include "apic.h"
#include "boot.h"
#include "clock.h"
#include "flaws.h"
#include "ktap.h"
#include "pit.h"

#define PM_HZ 3579545u

TEST(tsc_never_goes_back)
{
	uint64_t last = rdtsc();
	unsigned backwards = 0;

	for (unsigned i = 0; i < 100000; i++) {
		uint64_t now = rdtsc();

		backwards += now < last;
		last = now;
		if (i % 64 == 0)
			cpuid(0); /* across exits too */
	}
	CHECK_EQ(backwards, 0);
}

TEST(tsc_and_its_msr_agree)
{
	SKIP_UNLESS(is_umbra() || rdmsr(MSR_TSC), "this CPU reads 0 from the MSR");
	for (unsigned i = 0; i < 100; i++) {
		uint64_t a = rdtsc(), b = rdmsr(MSR_TSC), c = rdtsc();

		CHECK(a <= b && b <= c);
	}
}

/* CPUs hand a time stamp to each other: the receiver's clock must not be behind it. */
static volatile uint64_t stamp;
static volatile uint32_t turn;
static volatile unsigned behind;

static void exchange(void *arg)
{
	uint32_t me = (uint32_t)(unsigned long)arg;

	for (uint32_t i = 0; i < 500; i++) {
		while ((turn & 1) != me)
			pause();
		behind += rdtsc() < stamp;
		stamp = rdtsc();
		turn++;
	}
}

TEST(tsc_across_cpus)
{
	NEED_CPUS(2);
	stamp = 0;
	turn = 0;
	behind = 0;
	smp_run(1, exchange, (void *)1ul);
	exchange((void *)0ul);
	CHECK(smp_wait(1, 5000));
	CHECK_EQ(behind, 0);
}

struct span {
	uint64_t tsc_us, pm_us, apic_ticks;
};

/* One duration of the PIT, measured by all the others. */
static struct span measure(unsigned ms)
{
	uint16_t port = acpi_pm_timer_port();
	struct span span = {0};
	uint64_t tsc;
	uint32_t pm = 0, apic;

	outb(PORT_61, (inb(PORT_61) & ~PORT_61_SPEAKER) | PORT_61_GATE2);
	apic_enable();
	apic_write(APIC_TDCR, 0xb);
	apic_write(APIC_LVTT, LVT_MASKED);
	apic_write(APIC_TMICT, 0xffffffff);
	pit_program(2, PIT_MODE0, (uint16_t)(PIT_HZ * ms / 1000));
	if (port)
		pm = inl(port);
	tsc = rdtsc();
	apic = apic_read(APIC_TMCCT);
	while (!(inb(PORT_61) & PORT_61_OUT2))
		pause();
	tsc = rdtsc() - tsc;
	span.apic_ticks = apic - apic_read(APIC_TMCCT);
	if (port)
		span.pm_us = ((inl(port) - pm) & 0xffffff) * 1000000ull / PM_HZ;
	span.tsc_us = tsc * 1000 / tsc_khz();
	apic_write(APIC_TMICT, 0);
	return span;
}

static bool within(uint64_t got, uint64_t want, unsigned percent)
{
	return got * 100 >= want * (100 - percent) && got * 100 <= want * (100 + percent);
}

TEST(clocks_agree)
{
	struct span first = measure(20);
	unsigned bad = 0;

	for (unsigned i = 0; i < 5; i++) {
		struct span s = measure(40);
		uint64_t apic_us = s.apic_ticks * first.tsc_us / first.apic_ticks;
		/* The PIT's end is seen late when the machine is busy: by all clocks alike. */
		bool ok = s.tsc_us >= 36000 && (!s.pm_us || within(s.pm_us, s.tsc_us, 10)) &&
			  within(apic_us, s.tsc_us, 10);

		printf("# 40 ms of the PIT: TSC %llu, PM timer %llu, APIC %llu us\n",
		       (unsigned long long)s.tsc_us, (unsigned long long)s.pm_us,
		       (unsigned long long)apic_us);
		bad += !ok;
	}
	CHECK(bad <= 1); /* one may have been disturbed between two readings */
}

TEST(pm_timer_wraps_in_24_bits)
{
	uint16_t port = acpi_pm_timer_port();
	uint32_t last, now;

	SKIP_UNLESS(port, "no ACPI PM timer");
	last = inl(port);
	CHECK(wait_until((now = inl(port)) != last, 100));
	for (unsigned i = 0; i < 1000; i++) {
		now = inl(port);
		if (!CHECK(((now - last) & 0xffffff) < 0x800000))
			break;
		last = now;
	}
}

TEST(halted_time_counts)
{
	uint64_t start, us;

	pic_init(0x20);
	apic_enable();
	apic_write(APIC_LVT0, ICR_EXTINT);
	pic_unmask(1);
	pit_program(0, PIT_MODE0, (uint16_t)(PIT_HZ / 25)); /* 40 ms */
	start = rdtsc();
	CHECK_EQ(TRY(safe_halt()), 0x20);
	us = (rdtsc() - start) * 1000 / tsc_khz();
	pic_eoi(0);
	pic_unmask(0);
	printf("# HLT for 40 ms took %llu us\n", (unsigned long long)us);
	CHECK(us > 32000 && us < 2000000);
}
