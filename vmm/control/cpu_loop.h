/* SPDX-License-Identifier: BSD-2-Clause */
/* What a physical CPU does all its life: housekeeping, its vCPUs in turn, and idling. */
#ifndef VMM_CONTROL_CPU_LOOP_H
#define VMM_CONTROL_CPU_LOOP_H

#include "lib/bits.h"

/* Run this CPU's vCPUs, for ever. Interrupts are closed, and open only in guests and here. */
__noreturn void cpu_loop(void);

#endif
