/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The local APIC between CPUs: interrupts and NMIs from one to another in every destination mode,
 * and what wakes a CPU that is halted (SDM volume 3, chapter 11).
 */
#include "apic.h"
#include "clock.h"
#include "interrupts.h"
#include "ktap.h"

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

/* --- every destination ------------------------------------------------------------------------ */

/* Send, and see exactly the CPUs of `mask` interrupted, once each. */
static void check_reach(uint32_t dest, uint32_t icr, uint64_t mask)
{
	unsigned count = smp_start(), i;

	irq_expect(VEC);
	others_listen();
	delay_us(1000);
	apic_send_ipi(dest, icr | VEC);
	for (i = 0; i < count; i++)
		if (mask >> i & 1)
			CHECK(wait_until(irq_seen[i] == 1, WAIT_MS));
	delay_us(1000);
	for (i = 0; i < count; i++)
		CHECK_EQ(irq_seen[i], mask >> i & 1);
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
		total += irq_seen[i];
	return total;
}

TEST(lowest_priority_reaches_one)
{
	NEED_CPUS(2);
	SKIP_UNLESS(!apic_is_x2(), "xAPIC only");
	all_set_logical(0xffffffff);
	irq_expect(VEC);
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

/* --- halted CPUs ------------------------------------------------------------------------------ */

static volatile unsigned nmis;

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

static void halt_until_seen(void *arg)
{
	cli();
	while (!irq_seen[cpu_index()]) {
		safe_halt();
		cli();
	}
}

TEST(ipi_wakes_a_halted_cpu)
{
	NEED_CPUS(2);
	for (unsigned round = 0; round < 20; round++) {
		irq_expect(VEC);
		smp_run(1, halt_until_seen, NULL);
		delay_us(round * 100);
		CHECK_EQ(irq_seen[1], 0);
		apic_send_ipi(cpus[1].apic_id, VEC);
		if (!CHECK(smp_wait(1, WAIT_MS)))
			break;
	}
}

static volatile unsigned halts_ended;
static volatile bool is_halting;

static void take_pending(void *arg)
{
	sti();
	delay_us(100);
	cli();
}

static void halt_behind_tpr(void *arg)
{
	apic_write(APIC_TPR, 0xf0);
	is_halting = true;
	safe_halt();
	halts_ended++;
	cli();
	apic_write(APIC_TPR, 0);
}

/* HLT goes on only with an event that is delivered: what TPR holds back does not end it. */
TEST(held_back_interrupt_does_not_wake)
{
	NEED_CPUS(2);
	irq_expect(VEC);
	trap_set(NMI_VECTOR, count_nmi);
	for (unsigned round = 0; round < 10; round++) {
		halts_ended = nmis = irq_seen[1] = 0;
		is_halting = false;
		smp_run(1, halt_behind_tpr, NULL);
		CHECK(wait_until(is_halting, WAIT_MS));
		delay_us(5000);
		apic_send_ipi(cpus[1].apic_id, VEC);
		delay_us(5000);
		CHECK_EQ(halts_ended, 0);
		apic_send_ipi(cpus[1].apic_id, ICR_NMI);
		CHECK(smp_wait(1, WAIT_MS));
		CHECK_EQ(halts_ended, 1);
		CHECK_EQ(nmis, 1);
		CHECK(smp_call(1, take_pending, NULL));
		CHECK_EQ(irq_seen[1], 1); /* it was kept for later */
	}
}
