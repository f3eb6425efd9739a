/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The innocent neighbour of a guest that attacks (tests/harness/boot.py): for three seconds its
 * timer must go on, its memory must keep what it holds, and its registers as well. It also measures
 * its own time, and fails if that is beyond the limits on its command line:
 *
 *	late=US		its timer's interrupts come at most so many microseconds late
 *	share=PERCENT	it gets at least so much of its CPU
 *	gaps=N		it is interrupted at most so many times per second
 *	ms=N		how long it looks, instead of the three seconds
 *	sleep		it halts between its timer's interrupts, and has no share and no gaps
 *
 * A stretch of its work that nobody interrupts always takes the same time, the shortest that it
 * sees. What the others take beyond that was not its own. On a machine whose own speed varies
 * (an emulator without --icount) a limit must leave room for that. run: vcpus=1
 */
#include <stdlib.h>
#include <string.h>

#include "apic.h"
#include "boot.h"
#include "clock.h"
#include "ktap.h"
#include "paging.h"
#include "random.h"
#include "trap.h"

#define DEFAULT_MS    3000
#define TIMER_VECTOR  0x40
#define MEAN_TICK_US  10000
#define NR_WORDS      (SIZE_2M / 8)
#define STRETCH_WORDS 256

/* In ticks of the TSC. */
static struct {
	volatile uint64_t due; /* when the timer's next interrupt should come */
	volatile unsigned timer_irqs;
	uint64_t most_late;
	uint64_t shortest; /* of the stretches */
	uint64_t begin, elapsed;
	uint64_t stretches, gaps;
} seen;

/* At changing distances, so that it does not keep step with anything. */
static void arm_timer(void)
{
	uint32_t us = MEAN_TICK_US / 2 + (uint32_t)(random64() % MEAN_TICK_US);

	seen.due = rdtsc() + us_to_tsc(us);
	apic_write(APIC_TMICT, (uint32_t)((uint64_t)apic_khz() * us / 1000));
}

static bool on_timer(struct regs *regs)
{
	uint64_t now = rdtsc();

	if (now > seen.due && now - seen.due > seen.most_late)
		seen.most_late = now - seen.due;
	seen.timer_irqs++;
	arm_timer();
	apic_eoi();
	return true;
}

static uint64_t *words;

static uint64_t word(unsigned i)
{
	return (i + 1) * 0x9e3779b97f4a7c15ull;
}

static bool is_memory_right(unsigned from)
{
	for (unsigned i = from; i < from + STRETCH_WORDS; i++) {
		if (words[i] != word(i))
			return false;
	}
	return true;
}

/* Registers across an exit. */
static bool are_registers_right(void)
{
	unsigned long si = random64(), di = random64(), a = 0, s = si, d = di;

	__asm__ volatile("cpuid" : "+a"(a), "+S"(s), "+D"(d) : : "ebx", "ecx", "edx");
	return s == si && d == di;
}

/* One that took half as long again was interrupted; not if it was by the timer that is its own. */
static void note_stretch(uint64_t ticks, bool had_timer)
{
	seen.stretches++;
	if (ticks < seen.shortest)
		seen.shortest = ticks;
	if (!had_timer && ticks > seen.shortest + seen.shortest / 2)
		seen.gaps++;
}

/* False: what it had in memory or in registers is not there any more. */
static bool work(uint64_t end)
{
	uint64_t from = rdtsc(), to;

	seen.begin = from;
	for (unsigned i = 0; from < end; i = (i + STRETCH_WORDS) % NR_WORDS, from = to) {
		unsigned irqs = seen.timer_irqs;

		if (!CHECK(is_memory_right(i)))
			return false;
		to = rdtsc();
		note_stretch(to - from, seen.timer_irqs != irqs);
		if (i)
			continue;
		if (!CHECK(are_registers_right()))
			return false;
		to = rdtsc();
	}
	seen.elapsed = from - seen.begin;
	return true;
}

static void sleep_and_wake(uint64_t end)
{
	while (rdtsc() < end)
		__asm__ volatile("sti; hlt; cli" : : : "memory");
}

static bool is_harmed = true; /* until it has come to its end */

static bool is_option(const char *name)
{
	return boot_option(name) != NULL;
}

static uint64_t number(const char *name, uint64_t otherwise)
{
	return is_option(name) ? strtoull(boot_option(name), NULL, 0) : otherwise;
}

static bool judge_work(void)
{
	uint64_t share = seen.stretches * seen.shortest * 100 / seen.elapsed;
	uint64_t gaps = seen.gaps * tsc_khz() * 1000 / seen.elapsed;

	printf("# share: %u %% of the CPU, in %u stretches\n", (unsigned)share,
	       (unsigned)seen.stretches);
	printf("# gaps: %u per second\n", (unsigned)gaps);
	return CHECK(share >= number("share", 0)) & CHECK(gaps <= number("gaps", UINT64_MAX));
}

static bool judge_timer(unsigned ms)
{
	uint64_t late = seen.most_late * 1000 / tsc_khz();

	printf("# late: %u us at most, of %u interrupts\n", (unsigned)late, seen.timer_irqs);
	return CHECK(late <= number("late", UINT64_MAX)) & CHECK(seen.timer_irqs >= ms / 100);
}

TEST(life_goes_on)
{
	unsigned ms = (unsigned)number("ms", DEFAULT_MS);
	uint64_t end;

	words = pages_alloc(SIZE_2M, PAGE_SIZE);
	for (unsigned i = 0; i < NR_WORDS; i++)
		words[i] = word(i);
	seen.shortest = UINT64_MAX;
	apic_enable();
	trap_set(TIMER_VECTOR, on_timer);
	apic_write(APIC_TDCR, 0xb);
	apic_write(APIC_LVTT, TIMER_VECTOR | LVT_ONESHOT);
	arm_timer();
	end = rdtsc() + ms_to_tsc(ms);
	if (is_option("sleep")) {
		sleep_and_wake(end);
		is_harmed = false;
	} else {
		sti();
		REQUIRE(work(end));
		cli();
		is_harmed = !judge_work();
	}
	apic_write(APIC_LVTT, LVT_MASKED);
	is_harmed |= !judge_timer(ms);
}

/* The line that says to the machine's user that it came through. */
TEST(done)
{
	REQUIRE(!is_harmed);
	printf("# witness: unharmed\n");
}
