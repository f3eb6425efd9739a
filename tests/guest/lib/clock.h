/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Time: the TSC, measured once against channel 2 of the 8254, which every machine here has.
 */
#ifndef GUEST_CLOCK_H
#define GUEST_CLOCK_H

#include "x86.h"

#define PIT_HZ 1193182ul

uint64_t tsc_khz(void);
void delay_us(unsigned us);

static inline uint64_t ms_to_tsc(uint64_t ms)
{
	return tsc_khz() * ms;
}

static inline uint64_t us_to_tsc(uint64_t us)
{
	return tsc_khz() * us / 1000;
}

/* Spin until the condition holds; false if it does not within `ms` milliseconds. */
#define wait_until(cond, ms)                                                                       \
	({                                                                                         \
		uint64_t _end = rdtsc() + ms_to_tsc(ms);                                           \
		bool _met;                                                                         \
		while (!(_met = (cond)) && rdtsc() < _end)                                         \
			pause();                                                                   \
		_met;                                                                              \
	})

#endif
