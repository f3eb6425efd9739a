/* SPDX-License-Identifier: BSD-2-Clause */
/* lib/clock.h for hosted tests. */
#include "tests/unit/support/clock.h"

static uint64_t now_ns;

void clock_set_ns(uint64_t ns)
{
	now_ns = ns;
}

void clock_advance_ns(uint64_t ns)
{
	now_ns += ns;
}

uint64_t clock_ns(void)
{
	return now_ns;
}

uint64_t clock_tsc_khz(void)
{
	return 1000000;
}

uint64_t clock_tsc_to_ns(uint64_t tsc)
{
	return tsc;
}

uint64_t clock_ns_to_tsc(uint64_t ns)
{
	return ns;
}
