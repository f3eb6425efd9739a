/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The machine's serial ports and who speaks on them. One lock for all of them: output of a guest
 * that is attached, the monitor's words, and who is attached. The log has its own way to the same
 * ports (lib/log.h) and may cut into a guest's line, never into a byte.
 */
#include "vmm/console.h"

#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "drivers/uart.h"
#include "lib/log.h"
#include "lib/spinlock.h"
#include "vmm/monitor.h"
#include "vmm/vm.h"

#define INPUT_LEN 256

static struct spinlock lock = SPINLOCK_INIT;
static struct console *attached; /* lock */

/* What came in, until console_poll(): written by the receive interrupt on the boot CPU alone. */
static struct {
	struct uart *port;
	uint8_t byte;
} input[INPUT_LEN];
static unsigned input_head, input_tail;
