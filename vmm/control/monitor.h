/* SPDX-License-Identifier: BSD-2-Clause */
/* The monitor: a few commands on the machine's console, behind the escape key (docs/usage.md). */
#ifndef VMM_CONTROL_MONITOR_H
#define VMM_CONTROL_MONITOR_H

#include <stdint.h>

#define MONITOR_ESCAPE 0x1d /* Ctrl-] */

/* The escape key was pressed: detach, and show the prompt. */
void monitor_enter(void);

/* A byte for the monitor's line. */
void monitor_input(uint8_t byte);

#endif
