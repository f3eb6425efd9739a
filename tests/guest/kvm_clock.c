/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * KVM's clock and steal time (Documentation/virt/kvm/x86/msr.rst), where CPUID offers them: what
 * they tell against the TSC and the 8254, on each CPU, and addresses that are no memory.
 * run: kvmclock=1
 */
#include "boot.h"
#include "clock.h"
#include "hypercall.h"
#include "ktap.h"
#include "user.h"

#define MSR_WALL   0x4b564d00
#define MSR_TIME   0x4b564d01
#define MSR_STEAL  0x4b564d03
#define OLD_WALL   0x11
#define OLD_TIME   0x12
#define ENABLED    1
#define STABLE     1
#define NO_MEMORY  0xfd000000u
#define IS_OFFERED (cpuid(0x40000000).b == 0x4b4d564b)
#define REASON     "CPUID does not offer KVM's clock"

struct line {
	uint32_t version, pad;
	uint64_t tsc, ns;
	uint32_t mul;
	int8_t shift;
	uint8_t flags, pad_2[2];
} __attribute__((aligned(64)));

static volatile struct line lines[2];
static volatile uint32_t wall[3];
static volatile struct {
	uint64_t ns;
	uint32_t version, flags, pad[12];
} __attribute__((aligned(64))) steal;

static uint64_t read_line(volatile struct line *l, uint64_t tsc)
{
	uint64_t ticks = tsc - l->tsc;

	ticks = l->shift < 0 ? ticks >> -l->shift : ticks << l->shift;
	/* By halves: the product has 96 bits. */
	return l->ns + (ticks >> 32) * l->mul + ((ticks & 0xffffffff) * l->mul >> 32);
}

static void start(unsigned cpu)
{
	wrmsr(MSR_TIME, (unsigned long)&lines[cpu] | ENABLED);
}

static void start_there(void *arg)
{
	start(1);
}

TEST(leaves)
{
	SKIP_UNLESS(IS_OFFERED, REASON);
	CHECK_EQ(cpuid(0x40000000).a, 0x40000001);
	CHECK_EQ(cpuid(0x40000000).c, 0x564b4d56);
	CHECK_EQ(cpuid(0x40000000).d, 0x4d);
	CHECK_EQ(cpuid(0x40000001).a, 1u << 0 | 1u << 3 | 1u << 5 | 1u << 24);
	/* Umbra's own come behind them. */
	CHECK_EQ(cpuid(0x40000100).b, 0x72626d55);
	CHECK_EQ(cpuid(0x40000100).a, 0x40000110);
	CHECK(cpuid(0x40000110).a);
	CHECK_EQ(cpuid(0x40000010).a, 0);
}

/* A busy machine sees the 8254's end late: the least of some measurements. */
static uint64_t measure_hz(void)
{
	uint64_t khz = ~0ull;

	for (unsigned i = 0; i < 5; i++) {
		uint64_t once = tsc_measure_khz();

		khz = once < khz ? once : khz;
	}
	return khz * 1000;
}

TEST(clock_goes_as_the_tsc_and_the_8254_do)
{
	uint64_t tsc, from, ns;

	SKIP_UNLESS(IS_OFFERED, REASON);
	start(0);
	CHECK_EQ(rdmsr(MSR_TIME), (unsigned long)&lines[0] | ENABLED);
	CHECK_EQ(rdmsr(OLD_TIME), rdmsr(MSR_TIME));
	CHECK(lines[0].version && !(lines[0].version & 1));
	CHECK(lines[0].mul >= 1u << 31);
	tsc = rdtsc();
	from = read_line(&lines[0], tsc);
	ns = read_line(&lines[0], tsc + measure_hz()) - from;
	printf("# a second by the 8254 is %llu ns\n", (unsigned long long)ns);
	CHECK(ns > 950000000 && ns < 1050000000);
	/* By what CPUID says it is exact. */
	ns = read_line(&lines[0], tsc + cpuid(0x40000110).a * 1000ull) - from;
	CHECK(ns > 999999000 && ns < 1000001000);
}

TEST(clock_keeps_its_time_when_the_tsc_is_written)
{
	uint64_t before, after;
	uint32_t version;

	SKIP_UNLESS(IS_OFFERED, REASON);
	start(0);
	version = lines[0].version;
	before = read_line(&lines[0], rdtsc());
	wrmsr(MSR_TSC, rdtsc() + 1000000000000ull);
	after = read_line(&lines[0], rdtsc());
	CHECK(lines[0].version != version && !(lines[0].version & 1));
	CHECK(after >= before && after - before < 100000000);
	wrmsr(MSR_TSC, rdtsc() - 1000000000000ull);
}

TEST(all_cpus_have_one_clock)
{
	SKIP_UNLESS(IS_OFFERED, REASON);
	NEED_CPUS(2);
	start(0);
	smp_run(1, start_there, NULL);
	CHECK(smp_wait(1, 5000));
	CHECK_EQ(lines[0].flags & STABLE, lines[1].flags & STABLE);
	CHECK_EQ(lines[0].mul, lines[1].mul);
	CHECK_EQ(lines[0].shift, lines[1].shift);
	CHECK_EQ(lines[0].ns, lines[1].ns);
}

/* The time of day when the clock was 0: with the clock it is the RTC's. */
TEST(wall_clock)
{
	SKIP_UNLESS(IS_OFFERED, REASON);
	wrmsr(MSR_WALL, (unsigned long)wall);
	CHECK(wall[0] && !(wall[0] & 1));
	CHECK(wall[1] > 900000000); /* in 1998 */
	CHECK(wall[2] < 1000000000);
	wall[1] = 0;
	wrmsr(OLD_WALL, (unsigned long)wall);
	CHECK(wall[1] > 900000000);
}

TEST(steal_time)
{
	SKIP_UNLESS(IS_OFFERED, REASON);
	steal.version = 1;
	wrmsr(MSR_STEAL, (unsigned long)&steal | ENABLED);
	CHECK(steal.version && !(steal.version & 1));
	CHECK_EQ(rdmsr(MSR_STEAL), (unsigned long)&steal | ENABLED);
	CHECK(steal.ns < 1000000000000ull);
	CHECK_EQ(TRY(wrmsr(MSR_STEAL, (unsigned long)&steal | ENABLED | 2)), GP_VECTOR);
	wrmsr(MSR_STEAL, 0);
}

/* What is no memory gets nothing, and nothing else happens. */
TEST(addresses_that_are_no_memory)
{
	static const uint32_t msrs[] = {MSR_WALL, MSR_TIME, MSR_STEAL, OLD_WALL, OLD_TIME};

	SKIP_UNLESS(IS_OFFERED, REASON);
	for (unsigned i = 0; i < sizeof(msrs) / sizeof(msrs[0]); i++) {
		bool plain = msrs[i] == MSR_WALL || msrs[i] == OLD_WALL;

		CHECK_EQ(TRY(wrmsr(msrs[i], NO_MEMORY | !plain)), NO_FAULT);
		CHECK_EQ(TRY(wrmsr(msrs[i], 0xfee00000u | !plain)), NO_FAULT);
		CHECK_EQ(TRY(wrmsr(msrs[i], 1ull << 63)), GP_VECTOR);
		wrmsr(msrs[i], 0);
	}
	CHECK_EQ(TRY(wrmsr(MSR_TIME, (unsigned long)&lines[0] | 3)), GP_VECTOR);
	CHECK_EQ(TRY(rdmsr(0x4b564d02)), GP_VECTOR); /* asynchronous page faults */
	CHECK_EQ(TRY(rdmsr(0x4b564d04)), GP_VECTOR);
}
