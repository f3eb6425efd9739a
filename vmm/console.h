/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Consoles. Each VM has one: the byte stream between the guest's UART and a person or a program
 * outside. It has a physical serial port of its own (`console=com2` on the VM's module line), or
 * it shares the machine's console. There one VM at a time is attached; the last output of the
 * others is kept until they are attached. The machine's console also carries the log and the
 * monitor.
 *
 * A byte goes into the ring of its port (drivers/txring.h), or of all the machine's ports. When
 * LOG_GUEST_PENDING bytes wait there the guest's UART keeps its bytes, and the guest waits for
 *THRE; a VM whose output goes to its history alone never waits. When there is room again the boot
 *CPU has the UART transmit (console_wake()):
 *
 *	guest's CPU, device lock held		who empties the ring, then console_wake()
 *	does not fit in the ring (1)		ring: take bytes out	(5)
 *	waits = any_waits = true (2)		any_waits = false	(6)
 *	try the ring again	 (3)		if waits = false	(7)
 *	no: keep the byte	 (4)		  uart_transmit(), or any_waits = true
 *
 * (3) and (5) hold the ring's lock. If (3) comes behind (5) it finds room. Else (2) happens before
 * (6), which sees it. Bytes wait after (4), so the boot CPU's timer keeps going through (5), (6)
 * and (7), at the latest until the ring is empty. tests/model/tx_wait.pml.
 *
 * What is typed waits as well: in the guest's UART, then in a buffer for each port, then in the
 * port, whose sender is asked to wait. The boot CPU goes on when the guest has read (`go_on`), and
 * looks at each turn.
 */
#ifndef VMM_CONSOLE_H
#define VMM_CONSOLE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/log.h"
#include "vmm/dev/host.h"

#define CONSOLE_HISTORY 4096

/* Bytes that may still wait when a guest that waits is to go on: it has work then. */
#define CONSOLE_GO_ON (LOG_GUEST_PENDING / 2)

struct serial;
struct vm;

struct console {
	struct char_sink sink;            /* const; takes the console lock, a leaf */
	struct serial *port;              /* const; its own serial port, or NULL */
	struct vm *vm;                    /* const; the VM that gets what is typed here */
	_Atomic bool waits;               /* atomic; its UART keeps bytes until there is room */
	_Atomic bool is_ending;           /* atomic; what is left goes out whatever waits */
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
 * What is typed for a VM that is to start again waits from console_destroy() to console_init(); or
 * to this, if there is to be no such VM. Boot CPU.
 */
void console_give_up(void);

/*
 * The VM ends: what its UART keeps comes out as well, before the line that says so. Any CPU, no
 * device lock held.
 */
void console_finish(struct console *c);

/* Have UARTs that wait transmit again, where there is room. Boot CPU, no lock held. */
void console_wake(void);

/* Does any wait? */
bool console_is_waiting(void);

/*
 * Attach this console to the machine's, and show its last output first; NULL: attach the monitor,
 * until the next call.
 */
void console_attach(struct console *c);

/* To the machine's console: the monitor's words. It has asked console_has_room(). */
void console_print(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* Has the machine's console room for all that a command of the monitor's says at once (8 KiB)? */
bool console_has_room(void);

/* Has a guest read, so that console_poll() can go on with what is typed? Any CPU. */
bool console_input_goes_on(void);

/*
 * After interrupts: bytes typed since the last call go to their VM or to the monitor, and the
 * machine's output goes on (vmm/output.h). Does nothing on other CPUs than the boot CPU.
 */
void console_poll(void);

/*
 * The receiver of what is typed while no VM's console is attached (vmm/control/monitor.c). Boot
 * CPU.
 */
struct console_monitor {
	void (*enter)(void);         /* CONSOLE_ESCAPE was typed at a VM's console */
	bool (*input)(uint8_t byte); /* a byte for the monitor; false: it comes again */
};

#define CONSOLE_ESCAPE 0x1d /* Ctrl-] */

/*
 * Take input from these ports, the machine's console, and from the keyboard if there is one (boot
 * CPU, once). Array and monitor are kept.
 */
void console_start(struct serial *const *ports, unsigned nr, const struct console_monitor *m);

#endif
