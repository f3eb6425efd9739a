/* SPDX-License-Identifier: BSD-2-Clause */
/* The loop in which a physical CPU spends its life: housekeeping, its vCPUs in turn, and idling. */
#ifndef VMM_CONTROL_CPU_LOOP_H
#define VMM_CONTROL_CPU_LOOP_H

#include "lib/bits.h"

/* Run this CPU's vCPUs, for ever. Interrupts are closed, and open only in guests and here. */
__noreturn void cpu_loop(void);

#endif
