/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * More than one CPU: starting, starting again, counting together, sleeping and waking.
 */
#include "apic.h"
#include "boot.h"
#include "clock.h"
#include "ktap.h"
#include "trap.h"

#define VEC     0x41
#define WAIT_MS 5000
#define ROUNDS  10000

TEST(all_cpus_start)
{
	CHECK_EQ(smp_start(), smp_count());
	for (unsigned i = 1; i < smp_start(); i++) {
		CHECK_EQ(cpus[i].started, 1);
		CHECK_EQ(cpus[i].apic_id, i);
	}
}

TEST(madt_lists_them)
{
	const struct acpi_madt *madt = acpi_find("APIC");
	unsigned enabled = 0;

	SKIP_UNLESS(madt, "no MADT");
	CHECK_EQ(acpi_sum(madt, madt->header.length), 0);
	CHECK_EQ(madt->apic_base, APIC_BASE_PA);
	for (const uint8_t *p = madt->entries; p < (const uint8_t *)madt + madt->header.length;
	     p += p[1]) {
		REQUIRE(p[1] >= 2);
		if (p[0] == 0 && p[4] & 1) { /* local APIC, enabled */
			CHECK(p[3] < smp_count());
			enabled++;
		}
	}
	CHECK_EQ(enabled, smp_count());
}

static void reset_state(void *arg)
{
	unsigned long *out = arg;

	out[0] = read_cr0() & (CR0_CD | CR0_NW | CR0_PE);
	out[1] = !!(rdmsr(MSR_APICBASE) & APICBASE_BSP);
	out[2] = cpuid(1).b >> 24;
}

TEST(only_the_first_is_the_bsp)
{
	unsigned long out[3];

	CHECK(rdmsr(MSR_APICBASE) & APICBASE_BSP);
	for (unsigned i = 1; i < smp_start(); i++) {
		CHECK(smp_call(i, reset_state, out));
		CHECK_EQ(out[0], CR0_PE | CR0_CD | CR0_NW); /* INIT leaves the caches off */
		CHECK_EQ(out[1], 0);
		CHECK_EQ(out[2], i);
	}
}

static volatile uint64_t shared;

static void add(void *arg)
{
	for (unsigned i = 0; i < ROUNDS; i++)
		__atomic_add_fetch(&shared, 1, __ATOMIC_SEQ_CST);
}

static void add_with_exits(void *arg)
{
	for (unsigned i = 0; i < ROUNDS / 20; i++) {
		cpuid(0);
		__atomic_add_fetch(&shared, 1, __ATOMIC_SEQ_CST);
	}
}

static void all_do(void (*fn)(void *))
{
	shared = 0;
	for (unsigned i = 1; i < smp_start(); i++)
		smp_run(i, fn, NULL);
	fn(NULL);
	for (unsigned i = 1; i < smp_start(); i++)
		CHECK(smp_wait(i, WAIT_MS));
}

TEST(atomic_counter)
{
	all_do(add);
	CHECK_EQ(shared, (uint64_t)ROUNDS * smp_start());
}

TEST(atomic_counter_between_exits)
{
	all_do(add_with_exits);
	CHECK_EQ(shared, (uint64_t)(ROUNDS / 20) * smp_start());
}

static volatile uint32_t ball;

static void play(void *arg)
{
	for (uint32_t i = 0; i < 200; i++) {
		while (ball != 2 * i + 1)
			pause();
		ball = 2 * i + 2;
	}
}

TEST(ping_pong)
{
	NEED_CPUS(2);
	ball = 0;
	smp_run(1, play, NULL);
	for (uint32_t i = 0; i < 200; i++) {
		ball = 2 * i + 1;
		if (!CHECK(wait_until(ball == 2 * i + 2, WAIT_MS)))
			return;
	}
	CHECK(smp_wait(1, WAIT_MS));
}

TEST(init_starts_a_cpu_again)
{
	NEED_CPUS(2);
	for (unsigned i = 2; i < 7; i++) {
		REQUIRE(smp_restart(1));
		CHECK_EQ(cpus[1].started, i);
	}
	all_do(add);
	CHECK_EQ(shared, (uint64_t)ROUNDS * smp_start());
}

#define LSTAR_MARK 0xffffffff81234560

static void mark_state(void *arg)
{
	write_dr0(0x1234);
	write_cr2(0x5678);
	wrmsr(MSR_LSTAR, LSTAR_MARK);
}

static void read_state(void *arg)
{
	unsigned long *out = arg;

	out[0] = read_dr0();
	out[1] = read_cr2();
	out[2] = rdmsr(MSR_LSTAR);
}

/* SDM volume 3, table 10-1: debug registers as after RESET, MSRs unchanged. */
TEST(init_clears_registers_and_keeps_msrs)
{
	unsigned long out[3];

	NEED_CPUS(2);
	SKIP_UNLESS(HAS_LM, "no long mode");
	REQUIRE(smp_call(1, mark_state, NULL));
	REQUIRE(smp_call(1, read_state, out));
	CHECK_EQ(out[0], 0x1234);
	REQUIRE(smp_restart(1));
	REQUIRE(smp_call(1, read_state, out));
	CHECK_EQ(out[0], 0);
	CHECK_EQ(out[1], 0);
	CHECK_EQ(out[2], LSTAR_MARK);
}

static void halt_for_ever(void *arg)
{
	cli();
	for (;;)
		__asm__ volatile("hlt");
}

TEST(init_wakes_a_dead_halt)
{
	unsigned before = cpus[1].started;

	NEED_CPUS(2);
	smp_run(1, halt_for_ever, NULL);
	CHECK(!smp_wait(1, 50));
	REQUIRE(smp_restart(1));
	CHECK_EQ(cpus[1].started, before + 1);
}

static void shut_down(void *arg)
{
	for (;;)
		safe_halt();
}

TEST(sipi_without_init_is_ignored)
{
	unsigned before = cpus[1].started;

	NEED_CPUS(2);
	apic_send_ipi(cpus[1].apic_id, ICR_STARTUP | SIPI_PAGE >> 12);
	delay_us(10000);
	CHECK_EQ(cpus[1].started, before);
	CHECK(smp_call(1, add, NULL)); /* it works on */
	smp_run(1, shut_down, NULL);
	delay_us(1000);
	REQUIRE(smp_restart(1));
}

/* --- wake-ups: none may be lost --------------------------------------------------------------- */

static volatile unsigned wakes[MAX_CPUS];

static bool on_wake(struct regs *regs)
{
	wakes[cpu_index()]++;
	apic_eoi();
	return true;
}

static void answer_wakes(void *arg)
{
	cli();
	for (unsigned i = 1; i <= 200; i++) {
		while (wakes[cpu_index()] < i) {
			safe_halt();
			cli();
		}
		apic_send_ipi(cpus[0].apic_id, VEC);
	}
}

TEST(no_wake_up_is_lost)
{
	NEED_CPUS(2);
	apic_enable();
	trap_set(VEC, on_wake);
	wakes[0] = wakes[1] = 0;
	smp_run(1, answer_wakes, NULL);
	for (unsigned i = 1; i <= 200; i++) {
		apic_send_ipi(cpus[1].apic_id, VEC);
		cli();
		while (wakes[0] < i) {
			safe_halt();
			cli();
		}
	}
	CHECK(smp_wait(1, WAIT_MS));
	CHECK_EQ(wakes[0], 200);
	CHECK_EQ(wakes[1], 200);
}

/* Both CPUs halt and only the timer of one can end that. */
static void sleep_on_timer(void *arg)
{
	unsigned me = cpu_index();

	apic_enable();
	apic_write(APIC_TDCR, 0xb);
	apic_write(APIC_LVTT, LVT_PERIODIC | VEC);
	apic_write(APIC_TMICT, 2000000);
	cli();
	while (wakes[me] < 5) {
		safe_halt();
		cli();
	}
	apic_write(APIC_TMICT, 0);
	apic_write(APIC_LVTT, LVT_MASKED);
}

TEST(all_sleep_on_their_timers)
{
	trap_set(VEC, on_wake);
	for (unsigned i = 0; i < MAX_CPUS; i++)
		wakes[i] = 0;
	all_do(sleep_on_timer);
	for (unsigned i = 0; i < smp_start(); i++)
		CHECK(wakes[i] >= 5);
}
