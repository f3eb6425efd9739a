/* SPDX-License-Identifier: BSD-2-Clause */
/* The monitor: a few commands on the machine's console, behind the escape key (docs/usage.md). */
#ifndef VMM_CONTROL_MONITOR_H
#define VMM_CONTROL_MONITOR_H

#include <stdint.h>

#include "vmm/console.h"

/* The escape key was pressed: detach, and show the prompt. */
void monitor_enter(void);

/* A byte for the monitor's line. */
void monitor_input(uint8_t byte);

/* These two, for console_start(). */
extern const struct console_monitor monitor;

#endif
