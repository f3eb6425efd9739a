/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A VM's console: the byte stream between the guest's UART and whoever looks at it (a physical
 * serial port of its own, or the machine's console when it is attached there).
 */
#ifndef VMM_CONSOLE_H
#define VMM_CONSOLE_H

#include <stddef.h>
#include <stdint.h>

struct console {
	/* The guest's UART sends a byte. Holds the VM's device lock. */
	void (*output)(struct console *c, uint8_t byte);
};

#endif
