/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * How CPUs stop for good, in a panic or at the machine's end. One CPU goes on: it says stop_begin()
 * and sends NMIs (smp_stop_others() does both); each of the others finds stop_in_progress() in its
 * NMI handler, and halts.
 */
#ifndef ARCH_X86_STOP_H
#define ARCH_X86_STOP_H

#include <stdbool.h>

#include "lib/bits.h"

/* From now on an NMI means: stop; and locks may never open again. May be said more than once. */
void stop_begin(void);

/* Has anybody said so? Any context. */
bool stop_in_progress(void);

/* Halt this CPU for good, and mark it as stopped (struct cpu). Any context. */
__noreturn void stop_this_cpu(void);

#endif
