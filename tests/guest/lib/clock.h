/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Time: the TSC, whose rate is measured against channel 2 of the 8254, which every machine has.
 */
#ifndef GUEST_CLOCK_H
#define GUEST_CLOCK_H

#include "x86.h"

#define PIT_HZ 1193182ul

#define HV_TIMING_LEAF 0x40000010 /* CPUID: TSC kHz in EAX, APIC timer kHz in EBX */

/* Against the PIT; takes 32 ms. */
uint64_t tsc_measure_khz(void);

/* What the hypervisor says, or measured once. */
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

/* Look every `gap` microseconds whether the condition holds; false if not within `ms` milliseconds.
 */
#define wait_looking(cond, ms, gap)                                                                \
	({                                                                                         \
		uint64_t _end = rdtsc() + ms_to_tsc(ms);                                           \
		bool _met;                                                                         \
		while (!(_met = (cond)) && rdtsc() < _end)                                         \
			delay_us(gap);                                                             \
		_met;                                                                              \
	})

/* A look may cost an exit: not too often, and seldom where seconds will pass. */
#define wait_until(cond, ms)  wait_looking(cond, ms, 10)
#define wait_seldom(cond, ms) wait_looking(cond, ms, 1000)

#endif
