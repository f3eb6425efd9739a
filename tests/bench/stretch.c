/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The guest whose memory costs Umbra work: all of it is written, its dirty log is switched on and
 * off, and then it waits to be reset. XCHG BX, BX begins the next part of tests/bench/closed.c;
 * tools/bench knows them by number.
 */
#include "hypercall.h"
#include "ktap.h"
#include "paging.h"

static void next_part(void)
{
	__asm__ volatile("xchg %%bx, %%bx" : : : "memory");
}

static void write_all(void)
{
	unsigned long start, end;

	pages_rest(&start, &end);
	for (unsigned long va = start; va < end; va += PAGE_SIZE)
		*(volatile uint64_t *)va = 1;
}

void guest_main(void)
{
	long started, stopped;

	write_all();
	next_part();
	started = hypercall(HC_DIRTY_START, 0);
	next_part();
	write_all();
	next_part();
	stopped = hypercall(HC_DIRTY_STOP, 0);
	next_part();
	write_all();
	next_part();
	printf("stretch: log %ld %ld\n", started, stopped);
	for (;;)
		pause();
}
