/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The 16550A UART (National Semiconductor PC16550D datasheet) in its PC wiring: OUT2 gates the
 * interrupt line. A byte that the guest sends goes out at once as long as the other end takes it;
 * then the transmitter is always empty. Otherwise bytes wait in the transmitter's FIFO, THRE and
 * TEMT stay clear, and a guest that obeys them sends as fast as the line is. What is written to a
 * full FIFO is lost, as with the chip. Bytes that come in wait in a backlog until the receiver has
 * room, and whoever sends them asks for room there first (uart_receive_room()), as if he obeyed
 * RTS. An overrun happens only when the backlog is full as well.
 *
 * All functions: the VM's device lock is held. The timer callback takes it through `lock`.
 */
#ifndef VMM_DEV_UART_H
#define VMM_DEV_UART_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/spinlock.h"
#include "vmm/dev/host.h"
#include "vmm/dev/irq_line.h"
#include "vmm/dev/timer.h"

#define UART_COM1_PORT 0x3f8
#define UART_COM1_IRQ  4
#define UART_PORTS     8
#define UART_FIFO_SIZE 16
#define UART_BACKLOG   1024 /* a power of two */
#define UART_GO_ON     512  /* bytes still there when the sender is told that there is room */

struct uart {
	uint8_t ier, lcr, mcr, scr, fcr;
	uint8_t lsr; /* the error bits; the rest is computed on reading */
	uint8_t msr;
	uint8_t rbr; /* the character read last: an empty receiver repeats it */
	uint16_t divisor;
	bool thre_pending;    /* the transmitter-empty interrupt waits */
	bool timeout_pending; /* the character-timeout interrupt waits */
	bool irq_level;       /* what the line was last driven to */
	uint8_t fifo_head, fifo_len;
	uint8_t fifo[UART_FIFO_SIZE];
	bool fifo_break[UART_FIFO_SIZE]; /* the character is a break */
	uint8_t tx_head, tx_len;
	uint8_t tx[UART_FIFO_SIZE]; /* what the other end has not taken yet */
	uint16_t backlog_head, backlog_len;
	uint8_t backlog[UART_BACKLOG];
	struct char_sink *sink; /* const */
	struct irq_line irq;    /* const */
	struct spinlock *lock;  /* const; the device lock, for the timer callback */
	struct timer timer;     /* character timeout */
};

/* Reset state. `irq` is copied. */
void uart_init(struct uart *u, struct char_sink *sink, const struct irq_line *irq,
	       struct timer_queue *queue, struct spinlock *lock);
void uart_reset(struct uart *u);

/* For a bus region of UART_PORTS ports with `dev` = the uart. */
uint64_t uart_read(void *dev, uint64_t off, unsigned size);
void uart_write(void *dev, uint64_t off, unsigned size, uint64_t val);

/* The other end may take bytes again: send what waits. */
void uart_transmit(struct uart *u);

/* How many characters the line takes now without losing one. */
unsigned uart_receive_room(const struct uart *u);

/* A character, or a break, comes in on the line. */
void uart_receive(struct uart *u, uint8_t byte);
void uart_receive_break(struct uart *u);

#endif
