/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A ring of bytes in front of a device that is slow to take them, such as a UART's transmitter, so
 * that nobody waits for the device. Each serial port has one. Any CPU puts bytes in. They leave the
 * ring, at most as many at a time as the device takes at once,
 *
 *  - when a byte is put in and the device is ready,
 *  - with the device's interrupt (tx_drain()),
 *  - from the boot CPU's timer (tx_look(), vmm/output.c), for a device without an interrupt and for
 * an interrupt that got lost,
 *  - when the ring is full for somebody who puts: a guest that polls empties its ring itself.
 *
 * One lock covers a ring and its device's transmitter, and is held for as long as it takes to move
 * a few bytes. So the interrupt cannot be switched off for an empty ring while somebody puts the
 * first byte in.
 *
 * Two times are different. Before tx_go_background() there are no interrupts, and in a panic or at
 * the machine's end (arch/x86/stop.h) there is nobody else: then who puts bytes in sends them
 * itself, and waits for the device. In a panic no lock is taken, since its holder may have been
 * stopped. What the ring holds is sent first; of the bytes that the holder was just moving, some
 * may come twice.
 */
#ifndef DRIVERS_TXRING_H
#define DRIVERS_TXRING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/spinlock.h"

#define TX_RING_LEN 16384u /* bytes; a power of two */

/* After so long without taking a byte a device is stuck, and what waits for it is dropped. */
#define TX_STUCK_NS 10000000000ull

struct tx_ring;

/* The device. All are called with the ring's lock held (in a panic with none). */
struct tx_ops {
	/* Hand over what it takes at once, at most `len` bytes. How many; does not wait. */
	size_t (*take)(struct tx_ring *r, const char *data, size_t len);
	/* Interrupt when it can take more, or not any more. Does nothing if it has no interrupt. */
	void (*want_irq)(struct tx_ring *r, bool on);
};

struct tx_ring {
	const struct tx_ops *ops; /* const */
	struct spinlock lock;
	uint32_t head;   /* lock; bytes ever put in */
	uint32_t tail;   /* lock; bytes ever taken out */
	bool wants_irq;  /* lock */
	bool is_watched; /* lock; the boot CPU has been woken, and looks at it from time to time */
	bool is_stuck;   /* lock; bytes are dropped until the device takes one */
	uint64_t progress_ns; /* lock; clock_ns() when the device last took a byte, or was empty */
	uint64_t dropped;     /* lock; bytes, because the device was stuck */
	char data[TX_RING_LEN]; /* lock */
};

void tx_init(struct tx_ring *r, const struct tx_ops *ops);

/*
 * Put bytes in, all or none: false if more than `max_pending` (at most TX_RING_LEN) would wait
 * then. Any CPU, under any lock but a ring's.
 */
bool tx_put(struct tx_ring *r, const char *data, size_t len, size_t max_pending);

/* How many bytes wait. Any CPU; as tx_put(). */
size_t tx_pending(struct tx_ring *r);

/* The device's interrupt: hand it what it takes now. */
void tx_drain(struct tx_ring *r);

/*
 * The boot CPU's look, from its timer: the same. True while bytes wait; false: the next that waits
 * wakes the boot CPU again.
 */
bool tx_look(struct tx_ring *r);

/*
 * Wait until the device has taken what is in the ring now, or is stuck. For the machine's end: the
 * only wait for a device. Any context.
 */
void tx_flush(struct tx_ring *r);

/*
 * The boot CPU's loop and interrupts work: from now on nobody waits. `wake` has the boot CPU call
 * tx_look() for each ring, soon and until none waits; it is called on any CPU, under any locks, and
 * takes none. Boot CPU, once.
 */
void tx_go_background(void (*wake)(void));

/* Call `wake`: for a device that is no ring. */
void tx_wake(void);

/* Is there a ring whose bytes wait for the boot CPU? */
bool tx_is_watched(void);

/* Do bytes go out in the background? Not before tx_go_background(), nor in a panic. */
bool tx_is_background(void);

#endif
