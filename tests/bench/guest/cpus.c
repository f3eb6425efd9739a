/* SPDX-License-Identifier: BSD-2-Clause */
/* Rows of interrupts, and of what two CPUs do with each other. */
#include "apic.h"
#include "clock.h"
#include "ktap.h"
#include "paging.h"
#include "tests/bench/guest/host.h"
#include "tests/bench/guest/rows.h"
#include "trap.h"

#define VEC 0x41

static volatile unsigned long got[2]; /* interrupts of CPU 0 and CPU 1 */

static bool on_interrupt(struct regs *regs)
{
	got[cpu_index()]++;
	apic_eoi();
	return true;
}

/* An interrupt is pending when the CPU halts: HLT exits, wakes at once, the handler runs. */
void time_halt(void)
{
	uint64_t start;

	trap_set(VEC, on_interrupt);
	cli();
	start = start_row();
	for (unsigned i = 0; i < ROUNDS; i++) {
		apic_send_ipi(0, ICR_SELF | VEC);
		safe_halt();
		cli();
	}
	row("self_ipi_hlt_wake", rdtsc() - start, ROUNDS);
}

/* --- two CPUs --------------------------------------------------------------------------------- */

static void (*volatile job)(void);
static volatile unsigned long asked, done;

/* Jobs for CPU 1. It sleeps in between, as a CPU without work does, and says when one is done. */
static void serve(void *arg)
{
	(void)arg;
	for (;;) {
		cli();
		while (done == asked) {
			safe_halt();
			cli();
		}
		sti();
		job();
		done++;
		apic_send_ipi(cpus[0].apic_id, VEC);
	}
}

static void begin(void (*what)(void))
{
	job = what;
	asked++;
	apic_send_ipi(cpus[1].apic_id, VEC);
}

static void wait_until_done(void)
{
	cli();
	while (done != asked) {
		safe_halt();
		cli();
	}
	sti();
}

static void nothing(void) {}

static void flush_page(void)
{
	invlpg((void *)TEST_VA);
}

static void touch_first_half(void)
{
	write_pages(arena(), arena() + REGION / 2);
}

static void touch_second_half(void)
{
	write_pages(arena() + REGION / 2, arena() + REGION);
}

static void time_messages(void)
{
	pte_t *entry = pte_get(TEST_VA, 1);

	TIME_CODE(
		"ipi_round_trip", ROUNDS, for (unsigned i = 0; i < ROUNDS; i++) {
			begin(nothing);
			wait_until_done();
		});
	TIME_CODE(
		"tlb_shootdown", ROUNDS, for (unsigned i = 0; i < ROUNDS; i++) {
			*entry = (arena() + (i & 1) * PAGE_SIZE) | PTE_P | PTE_W | PTE_A | PTE_D;
			flush_page();
			begin(flush_page);
			wait_until_done();
		});
}

/* Both touch memory whose translations were dropped: halves of it, or the same half. */
static void time_touch_by_two(const char *name, void (*mine)(void), void (*theirs)(void),
			      unsigned long bytes)
{
	host_zap();
	TIME_CODE(name, bytes / PAGE_SIZE, {
		begin(theirs);
		mine();
		wait_until_done();
	});
}

static void time_zap_meanwhile(void)
{
	TIME_CODE("two_touch_zap", REGION / PAGE_SIZE, {
		begin(touch_second_half);
		for (unsigned i = 0; i < 4; i++) {
			host_zap();
			write_pages(arena() + i * REGION / 8, arena() + (i + 1) * REGION / 8);
		}
		wait_until_done();
	});
}

void time_cpus(void)
{
	if (smp_start() < 2)
		bail_out("these rows need two CPUs");
	trap_set(VEC, on_interrupt);
	smp_run(1, serve, NULL);
	time_messages();
	if (arena_bytes() < REGION || !host_answers())
		return;
	time_touch_by_two("two_touch_different", touch_first_half, touch_second_half, REGION);
	time_touch_by_two("two_touch_same", touch_first_half, touch_first_half, REGION / 2);
	time_zap_meanwhile();
}

static void sleep_for_ever(void *arg)
{
	(void)arg;
	for (;;)
		safe_halt();
}

void cpus_sleep(void)
{
	unsigned count = smp_start();

	for (unsigned i = 1; i < count; i++)
		smp_run(i, sleep_for_ever, NULL);
	delay_us(10000);
}
