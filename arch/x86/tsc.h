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
 * Find the frequency: by measuring for 2 to 5 ms, interrupts closed, against `ref`; what CPUID
 * tells (leaves 0x15 and 0x16, the hypervisor's 0x40000010) is more exact, and is taken if it is
 * within an eighth of that, or without a `ref` (NULL) unseen. On the boot CPU, once. Panics if
 * nobody knows.
 */
void tsc_init(const struct tsc_reference *ref);

/* Spin, with PAUSE. */
void tsc_delay_ns(uint64_t ns);

#endif
