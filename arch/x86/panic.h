/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The end of the machine: the first CPU to get here stops the others and reports. panic() itself is
 * declared in lib/panic.h.
 */
#ifndef ARCH_X86_PANIC_H
#define ARCH_X86_PANIC_H

#include <stddef.h>

#include "lib/bits.h"

struct trap_frame;

/* What others do at the end; each may be NULL. Callable in NMI context, no locks. */
struct panic_hooks {
	/* Stop all CPUs but this one: set before there are any (smp.c). Before the report. */
	void (*stop_others)(void);
	/* One line about the guest whose exit this CPU serves ("vm web vcpu 1 rip 0x..."), or "".
	 */
	void (*describe_guest)(char *text, size_t len);
	/* After the report: end the machine if there is a way; returns if there is none. */
	void (*end_machine)(void);
};

/* Replaces the members that are not NULL; during start-up only, on the boot CPU. */
void panic_set_hooks(const struct panic_hooks *hooks);

/* The same line for other reports, or "none": of the calling CPU. Any context, no locks. */
#define PANIC_GUEST_LEN 160
void panic_describe_guest(char *text, size_t len);

/* Report an exception of the hypervisor, and end. */
__noreturn void panic_trap(const struct trap_frame *frame);

/*
 * Report a machine check, and end: `why` it is fatal, and what `print` adds to the log when the
 * other CPUs have stopped. `frame` is what it interrupted; NULL: a guest.
 */
__noreturn void panic_machine_check(const struct trap_frame *frame, const char *why,
				    void (*print)(void));

#endif
