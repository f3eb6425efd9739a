/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The machine's serial ports: 16550 and its relatives at I/O ports or in memory, one object for
 * each. Output goes through a ring (drivers/txring.h). Input comes by interrupt, or, where no
 * interrupt is known or none comes, by serial_poll(). A port is the log's, a guest's, or the
 * machine's console; who uses it is for those above to agree on.
 */
#ifndef DRIVERS_SERIAL_H
#define DRIVERS_SERIAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "drivers/serial_uart.h"
#include "lib/log.h"

#define SERIAL_MAX_PORTS 8 /* that are open at the same time */

struct serial;
struct tx_ring;

/*
 * The port of this description, set to 8 data bits, no parity, 1 stop bit, and its speed. The same
 * object if it is open already (its speed stays). NULL, and the reason in `why`: there is none, or
 * all objects are in use. Boot CPU; one in memory wants the page tables.
 */
struct serial *serial_open(const struct serial_uart *uart, const char **why);

/* The ring in front of the transmitter: bytes go out as they are. */
struct tx_ring *serial_tx(struct serial *u);

/* The log on this port: "\n" becomes "\r\n". Add it with log_add_sink(), once. */
struct log_sink *serial_log_sink(struct serial *u);

/*
 * Call `rx` for every byte that comes in: in interrupt context, interrupts closed. It says whether
 * there is room for the next one. If not, what comes stays in the port, and RTS asks the sender to
 * wait, until serial_resume_rx(). Wants serial_enable_irqs() before or after. Replaces the function
 * set before. Boot CPU.
 */
void serial_set_rx(struct serial *u, bool (*rx)(struct serial *u, uint8_t byte));

/* There is room again. Does nothing if there always was. Boot CPU, interrupts closed. */
void serial_resume_rx(struct serial *u);

/* The IOAPIC and the clock are up: from now on ports with a receiver get their interrupts. */
void serial_enable_irqs(void);

/*
 * Hand all transmitters what they take now; true while bytes wait. `*polled`: some of them for a
 * port without an interrupt. Boot CPU, from its timer.
 */
bool serial_drain_all(bool *polled);

/* Has a port a receiver and no interrupt? Then somebody calls serial_poll(). Boot CPU. */
bool serial_is_polled(void);

/* Take in what such ports have received. Boot CPU, interrupts closed. */
void serial_poll(void);

/*
 * Wait until what was sent so far has left every open port, to the last bit. For the machine's end.
 */
void serial_flush_all(void);

#endif
