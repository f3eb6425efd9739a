/* SPDX-License-Identifier: BSD-2-Clause */
/* The TSC's frequency; the clock that it drives is declared in lib/clock.h. */
#ifndef ARCH_X86_TSC_H
#define ARCH_X86_TSC_H

#include <stdint.h>

/* A free-running counter of known frequency to measure against. */
struct tsc_reference {
	const char *name;
	uint64_t hz;
	uint64_t (*read)(void);
	uint64_t mask; /* of the counter's width */
};

/*
 * Find the frequency. What CPUID tells of the crystal (leaf 0x15), or a hypervisor of the TSC (leaf
 * 0x40000010), is taken if it is within an eighth of what 2 ms of measuring against `ref` give, or
 * without a `ref` (NULL) unseen. Else it is measured, for 50 to 200 ms, and the log says how exact
 * that is, beside the reference's own error. Interrupts closed, on the boot CPU, once. Panics if
 * nobody knows.
 */
void tsc_init(const struct tsc_reference *ref);

/* Spin, with PAUSE. */
void tsc_delay_ns(uint64_t ns);

#endif
