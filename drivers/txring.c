/* SPDX-License-Identifier: BSD-2-Clause */
/* Rings in front of slow devices: see txring.h. */
#include "drivers/txring.h"

#include <stdatomic.h>
#include <string.h>

#include "arch/x86/stop.h"
#include "lib/bits.h"
#include "lib/clock.h"

/* Looks at the device, of a microsecond each on a real machine, before it counts as stuck for who
 * waits for it; and then. */
#define WAIT_TURNS       1000000
#define WAIT_STUCK_TURNS 1000

static _Atomic bool in_background;
static _Atomic unsigned nr_watched; /* rings */

bool tx_is_watched(void)
{
	return atomic_load_explicit(&nr_watched, memory_order_relaxed);
}

static void (*wake_boot_cpu)(void); /* const after tx_go_background() */

void tx_go_background(void (*wake)(void))
{
	wake_boot_cpu = wake;
	atomic_store(&in_background, true);
}

void tx_wake(void)
{
	wake_boot_cpu();
}

bool tx_is_background(void)
{
	return atomic_load_explicit(&in_background, memory_order_relaxed) && !stop_in_progress();
}

void tx_init(struct tx_ring *r, const struct tx_ops *ops)
{
	memset(r, 0, sizeof(*r));
	spin_init(&r->lock);
	r->ops = ops;
}

static size_t pending(const struct tx_ring *r)
{
	return r->head - r->tail;
}

static void append(struct tx_ring *r, const char *data, size_t len)
{
	size_t at = r->head % TX_RING_LEN;
	size_t first = min(len, TX_RING_LEN - at);

	memcpy(r->data + at, data, first);
	memcpy(r->data, data + first, len - first);
	r->head += (uint32_t)len;
}

static void update_irq(struct tx_ring *r)
{
	bool wants = pending(r);

	if (wants == r->wants_irq)
		return;
	r->wants_irq = wants;
	r->ops->want_irq(r, wants);
}

static void drop_all(struct tx_ring *r)
{
	r->is_stuck = true;
	r->dropped += pending(r);
	r->tail = r->head;
}

/* What the device takes at once of the bytes up to the ring's end. How many. */
static size_t move_some(struct tx_ring *r)
{
	size_t at = r->tail % TX_RING_LEN;
	size_t n = r->ops->take(r, r->data + at, min(pending(r), TX_RING_LEN - at));

	r->tail += (uint32_t)n;
	r->is_stuck = r->is_stuck && !n;
	return n;
}

static void drain(struct tx_ring *r)
{
	uint64_t now = clock_ns();

	if (!pending(r) || move_some(r))
		r->progress_ns = now;
	else if (now - r->progress_ns > TX_STUCK_NS)
		drop_all(r);
	update_irq(r);
}

/* The first byte that waits: from here on the boot CPU looks after them. */
static void begin_watch(struct tx_ring *r)
{
	if (!pending(r) || r->is_watched)
		return;
	r->is_watched = true;
	atomic_fetch_add_explicit(&nr_watched, 1, memory_order_relaxed);
	r->progress_ns = clock_ns();
	tx_wake();
}

/* What a device that is stuck does not take is lost at once. */
static void put_stuck(struct tx_ring *r, const char *data, size_t len)
{
	size_t n = r->ops->take(r, data, len);

	r->is_stuck = !n;
	if (n)
		append(r, data + n, len - n);
	else
		r->dropped += len;
}

static bool put(struct tx_ring *r, const char *data, size_t len, size_t max_pending)
{
	size_t n = 0;

	if (r->is_stuck) {
		put_stuck(r, data, len);
	} else {
		if (pending(r) + len > max_pending)
			drain(r);
		if (pending(r) + len > max_pending)
			return false;
		if (!pending(r))
			n = r->ops->take(r, data, len);
		append(r, data + n, len - n);
	}
	begin_watch(r);
	update_irq(r);
	return true;
}

/* The device's turn comes while this CPU waits; false: it is stuck. */
static bool wait_and_move(struct tx_ring *r)
{
	unsigned turns = r->is_stuck ? WAIT_STUCK_TURNS : WAIT_TURNS;

	for (; turns; turns--) {
		if (move_some(r))
			return true;
		cpu_relax();
	}
	drop_all(r);
	return false;
}

/* Empty the ring, which may hold more than the device takes in a second. */
static void send_all(struct tx_ring *r)
{
	while (pending(r))
		wait_and_move(r);
}

static void put_and_wait(struct tx_ring *r, const char *data, size_t len)
{
	size_t n;

	for (; len; data += n, len -= n) {
		send_all(r);
		n = min(len, (size_t)TX_RING_LEN);
		append(r, data, n);
	}
	send_all(r);
}

bool tx_put(struct tx_ring *r, const char *data, size_t len, size_t max_pending)
{
	bool done = true;

	if (stop_in_progress()) {
		put_and_wait(r, data, len);
		return true;
	}
	spin_lock(&r->lock);
	if (tx_is_background())
		done = put(r, data, len, max_pending);
	else
		put_and_wait(r, data, len);
	spin_unlock(&r->lock);
	return done;
}

size_t tx_pending(struct tx_ring *r)
{
	size_t n;

	if (!tx_is_background())
		return 0;
	spin_lock(&r->lock);
	n = pending(r);
	spin_unlock(&r->lock);
	return n;
}

static void end_watch(struct tx_ring *r)
{
	if (pending(r) || !r->is_watched)
		return;
	r->is_watched = false;
	atomic_fetch_sub_explicit(&nr_watched, 1, memory_order_relaxed);
}

void tx_drain(struct tx_ring *r)
{
	spin_lock(&r->lock);
	drain(r);
	spin_unlock(&r->lock);
}

bool tx_look(struct tx_ring *r)
{
	bool more;

	spin_lock(&r->lock);
	drain(r);
	end_watch(r);
	more = pending(r);
	spin_unlock(&r->lock);
	return more;
}

static bool is_out(const struct tx_ring *r, uint32_t end)
{
	return (int32_t)(r->tail - end) >= 0;
}

void tx_flush(struct tx_ring *r)
{
	unsigned turns = WAIT_TURNS;
	uint32_t end;

	if (stop_in_progress()) {
		send_all(r);
		return;
	}
	spin_lock(&r->lock);
	end = r->head; /* others may still put bytes in, for ever */
	for (; !is_out(r, end) && turns; turns--) {
		if (move_some(r))
			turns = WAIT_TURNS;
		spin_unlock(&r->lock);
		cpu_relax();
		spin_lock(&r->lock);
	}
	spin_unlock(&r->lock);
}
