/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The innocent neighbour of a guest that attacks (tests/harness/boot.py): for three seconds its
 * timer must go on, its memory must keep what it holds, and its registers as well. run: vcpus=1
 */
#include <string.h>

#include "apic.h"
#include "clock.h"
#include "ktap.h"
#include "paging.h"
#include "random.h"
#include "trap.h"

#define SECONDS      3
#define TIMER_VECTOR 0x40
#define TICK_MS      10
#define NR_WORDS     (SIZE_2M / 8)

static volatile unsigned ticks;

static bool on_timer(struct regs *regs)
{
	ticks++;
	apic_eoi();
	return true;
}

static uint64_t *words;

static uint64_t word(unsigned i)
{
	return (i + 1) * 0x9e3779b97f4a7c15ull;
}

static bool is_memory_right(void)
{
	for (unsigned i = 0; i < NR_WORDS; i++) {
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

TEST(life_goes_on)
{
	uint64_t end;
	unsigned rounds = 0;

	words = pages_alloc(SIZE_2M, PAGE_SIZE);
	for (unsigned i = 0; i < NR_WORDS; i++)
		words[i] = word(i);
	apic_enable();
	trap_set(TIMER_VECTOR, on_timer);
	apic_write(APIC_TDCR, 0xb);
	apic_write(APIC_LVTT, TIMER_VECTOR | LVT_PERIODIC);
	apic_write(APIC_TMICT, apic_khz() * TICK_MS);
	end = rdtsc() + ms_to_tsc(SECONDS * 1000);
	sti();
	for (; rdtsc() < end; rounds++) {
		REQUIRE(is_memory_right());
		REQUIRE(are_registers_right());
	}
	cli();
	apic_write(APIC_LVTT, LVT_MASKED);
	printf("# %u ticks, %u rounds\n", ticks, rounds);
	CHECK(ticks >= 10 * SECONDS);
	CHECK(rounds >= SECONDS);
}

/* The line that says to the machine's user that it came through. */
TEST(done)
{
	printf("# witness: unharmed\n");
}
