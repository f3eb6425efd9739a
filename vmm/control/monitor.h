/* SPDX-License-Identifier: BSD-2-Clause */
/* The monitor: a few commands on the machine's console, behind the escape key (docs/usage.md). */
#ifndef VMM_CONTROL_MONITOR_H
#define VMM_CONTROL_MONITOR_H

#include <stdbool.h>
#include <stdint.h>

#include "vmm/console.h"

/* The escape key was pressed: detach, and show the prompt. */
void monitor_enter(void);

/* A byte for the monitor's line. False: there is no room for it until a command is over. */
bool monitor_input(uint8_t byte);

/*
 * Is a command going on? A slice of it; true if the next one can follow at once. Boot CPU, from its
 * loop, with no lock and no reference.
 */
bool monitor_is_busy(void);
bool monitor_work(void);

/* The first two, for console_start(). */
extern const struct console_monitor monitor;

#endif
