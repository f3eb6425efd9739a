/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One clock for everything above arch/x86: nanoseconds since the TSC was calibrated, from the
 * invariant TSC (arch/x86/tsc.c), or a variable that a hosted test sets.
 */
#ifndef LIB_CLOCK_H
#define LIB_CLOCK_H

#include <stdint.h>

#define NSEC_PER_SEC  1000000000ull
#define NSEC_PER_MSEC 1000000ull
#define NSEC_PER_USEC 1000ull

uint64_t clock_ns(void);
uint64_t clock_tsc_khz(void); /* TSC frequency, kHz; never 0 after calibration */
uint64_t
clock_tsc_to_ns(uint64_t tsc); /* a TSC value to clock_ns() time; also for differences from 0 */
uint64_t clock_ns_to_tsc(uint64_t ns);

/* a * b / c without overflow of the product; c != 0, and the quotient must fit. */
static inline uint64_t mul_div(uint64_t a, uint64_t b, uint64_t c)
{
	uint64_t lo, hi, q, r;

	__asm__("mulq %3" : "=a"(lo), "=d"(hi) : "a"(a), "rm"(b) : "cc");
	__asm__("divq %4" : "=a"(q), "=d"(r) : "a"(lo), "d"(hi), "rm"(c) : "cc");
	return q;
}

#endif
