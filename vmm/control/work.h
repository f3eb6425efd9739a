/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Housekeeping, between two runs of a CPU's vCPUs: calls that are due after grace periods, slices
 * of the MMU engines' background work, the reaping of VMs that have ended, and what happens when
 * the last one has.
 */
#ifndef VMM_CONTROL_WORK_H
#define VMM_CONTROL_WORK_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/bits.h"

/* What to do when the last VM has ended. */
enum onexit { ONEXIT_MONITOR, ONEXIT_POWEROFF, ONEXIT_REBOOT };

/* The machine's status when its configuration was wrong and no guest has one (docs/usage.md). */
#define STATUS_BAD_CONFIG 102

/* The VMs are started. `bad_config`: a mistake was reported on the way. Boot CPU. */
void work_init(enum onexit onexit, bool bad_config);

/* Do a slice of the housekeeping, on every CPU; and is there any to do? */
void work_do(void);
bool work_is_pending(void);

/* Log the status and do as `onexit` says; ONEXIT_MONITOR halts. Boot CPU. */
__noreturn void work_end_machine(enum onexit onexit, uint32_t status);

#endif
