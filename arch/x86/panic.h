/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The end of the machine: the first CPU to get here reports, the others are stopped by NMI.
 * panic() itself is declared in lib/panic.h.
 */
#ifndef ARCH_X86_PANIC_H
#define ARCH_X86_PANIC_H

#include <stdbool.h>
#include <stddef.h>

#include "lib/bits.h"

struct trap_frame;

/* What those above can add to a report; both may be NULL. Callable in NMI context, no locks. */
struct panic_hooks {
	/* One line about the guest whose exit this CPU serves ("vm web vcpu 1 rip 0x..."), or "".
	 */
	void (*describe_guest)(char *text, size_t len);
	/* After the report: end the machine if there is a way; returns if there is none. */
	void (*end_machine)(void);
};

/* Replaces the members that are not NULL. */
void panic_set_hooks(const struct panic_hooks *hooks);

/* Report an exception of the hypervisor, and end. */
__noreturn void panic_trap(const struct trap_frame *frame);

/* Are the CPUs being stopped, for a panic or for the machine's end? Then locks may never open. */
bool panic_in_progress(void);

/* Halt this CPU for good. */
__noreturn void panic_stop_this_cpu(void);

/* Stop all CPUs but this one by NMI; waits up to 100 ms for them. */
void panic_stop_others(void);

#endif
