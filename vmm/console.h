/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Consoles. Each VM has one: the byte stream between the guest's UART and a person or a program
 * outside. It has a physical serial port of its own (`console=com2` on the VM's module line), or
 * it shares the machine's console. There one VM at a time is attached; the last output of the
 * others is kept until they are attached. The machine's console also carries the log and the
 * monitor.
 */
#ifndef VMM_CONSOLE_H
#define VMM_CONSOLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vmm/dev/host.h"

#define CONSOLE_HISTORY 4096

struct serial;
struct vm;

struct console {
	struct char_sink sink;            /* const; takes the console lock, a leaf */
	struct serial *port;              /* const; its own serial port, or NULL */
	struct vm *vm;                    /* const; the VM that gets what is typed here */
	uint32_t head;                    /* console lock; bytes ever put into `history` */
	uint8_t history[CONSOLE_HISTORY]; /* console lock */
};

struct vm_config;

/*
 * Set up a VM's console as its configuration says. 0; -EINVAL: not a serial port; -ENODEV: no
 * such port in this machine; -EBUSY: another VM has it.
 */
int console_init(struct console *c, struct vm *vm, const struct vm_config *config);
void console_destroy(struct console *c);

/*
 * Attach this console to the machine's, and show its last output first; NULL: attach the monitor,
 * until the next call.
 */
void console_attach(struct console *c);

/* To the machine's console: the monitor's words. */
void console_print(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* Bytes typed since the last call go to their VM or to the monitor. Boot CPU. */
void console_poll(void);

/*
 * The receiver of what is typed while no VM's console is attached (vmm/control/monitor.c). Boot
 * CPU.
 */
struct console_monitor {
	void (*enter)(void);         /* CONSOLE_ESCAPE was typed at a VM's console */
	void (*input)(uint8_t byte); /* a byte for the monitor */
};

#define CONSOLE_ESCAPE 0x1d /* Ctrl-] */

/*
 * Take input from these ports, the machine's console, and from the keyboard if there is one (boot
 * CPU, once). Array and monitor are kept.
 */
void console_start(struct serial *const *ports, unsigned nr, const struct console_monitor *m);

#endif
