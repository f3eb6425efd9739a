/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Two ports for those who write and test guests: isa-debug-exit, whose value ends the VM, and
 * the debug console, whose lines go to the hypervisor's log (SeaBIOS and OVMF write theirs there).
 * It answers at the port of Bochs's as well.
 */
#ifndef VMM_DEV_DEBUG_H
#define VMM_DEV_DEBUG_H

#include <stdint.h>

struct dev_host;

#define DEBUG_EXIT_PORT    0xf4 /* 4 ports */
#define DEBUG_CONSOLE_PORT 0x402
#define DEBUG_BOCHS_PORT   0xe9
#define DEBUG_CONSOLE_ID   0xe9 /* what a read of the console port gives: it is there */
#define DEBUG_LINE_MAX     120

struct debug_exit {
	const struct dev_host *host; /* const */
	void *vm;                    /* const */
};

struct debug_console {
	const char *name; /* const; of the VM, for the log */
	unsigned len;
	char line[DEBUG_LINE_MAX + 1];
};

/* Bus regions of 4 ports and of 1 port. A write of 1, 2 or 4 bytes to the exit port is the status.
 */
uint64_t debug_exit_read(void *dev, uint64_t off, unsigned size);
void debug_exit_write(void *dev, uint64_t off, unsigned size, uint64_t val);
uint64_t debug_console_read(void *dev, uint64_t off, unsigned size);
void debug_console_write(void *dev, uint64_t off, unsigned size, uint64_t val);

#endif
