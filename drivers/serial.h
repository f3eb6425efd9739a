/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The machine's serial ports: 16550 and its relatives, one object for each port. Output goes
 * through a ring (drivers/txring.h); input comes by interrupt. A port is the log's, a guest's, or
 * the machine's console; who uses it is for those above to agree on.
 */
#ifndef DRIVERS_SERIAL_H
#define DRIVERS_SERIAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/log.h"

#define SERIAL_BAUD 115200

struct serial;
struct tx_ring;

/* The I/O port of "com1" ... "com4"; 0 for any other name. */
uint16_t serial_port_of(const char *name);

/*
 * The port at I/O address `port`, set to 8 data bits, no parity, 1 stop bit, and `baud` (a
 * divisor of 115200). The same object if it is open already (its speed stays). NULL: nothing
 * answers there, or all objects are in use.
 */
struct serial *serial_open(uint16_t port, uint32_t baud);

/* The ring in front of the transmitter: bytes go out as they are. */
struct tx_ring *serial_tx(struct serial *u);

/* The log on this port: "\n" becomes "\r\n". Add it with log_add_sink(), once. */
struct log_sink *serial_log_sink(struct serial *u);

/*
 * Call `rx` for every byte that comes in: in interrupt context, interrupts closed. Wants
 * serial_enable_irqs() before or after. Replaces the function set before.
 */
void serial_set_rx(struct serial *u, void (*rx)(struct serial *u, uint8_t byte));

/* The IOAPIC is up: from now on ports with a receiver get their interrupts. */
void serial_enable_irqs(void);

/*
 * Hand all transmitters what they take now; true while bytes wait. `*polled`: some of them for a
 * port without an interrupt. Boot CPU, from its timer.
 */
bool serial_drain_all(bool *polled);

/*
 * Wait until what was sent so far has left every open port, to the last bit. For the machine's end.
 */
void serial_flush_all(void);

#endif
