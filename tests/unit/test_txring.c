/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Rings in front of slow devices, on a UART that sends a byte in 87 us of the test's clock: nothing
 * is lost, nobody waits, the device is never idle while bytes wait, and in a panic all comes out.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "arch/x86/stop.h"
#include "drivers/txring.h"
#include "lib/bits.h"
#include "tests/unit/support/clock.h"

#define FIFO_LEN 16
#define CHAR_NS  86806 /* 10 bits at 115,200 */

static struct {
	uint64_t empty_ns; /* when what is in the FIFO will have been sent */
	bool has_irq, wants_irq, is_dead;
	char sent[4 * TX_RING_LEN];
	size_t nr_sent;
	unsigned looks, wakes;
} uart;

static struct tx_ring ring;
static bool stopping;

bool stop_in_progress(void)
{
	return stopping;
}

/* Time goes by while somebody looks, as with a register that takes a microsecond to read. */
static size_t take(struct tx_ring *r, const char *data, size_t len)
{
	size_t n = min(len, (size_t)FIFO_LEN);

	assert_ptr_equal(r, &ring);
	assert_true(len > 0);
	assert_true(stopping || spin_is_locked(&r->lock));
	uart.looks++;
	clock_advance_ns(1000);
	if (uart.is_dead || clock_ns() < uart.empty_ns)
		return 0;
	memcpy(uart.sent + uart.nr_sent, data, n);
	uart.nr_sent += n;
	assert_true(uart.nr_sent < sizeof(uart.sent));
	uart.empty_ns = clock_ns() + n * CHAR_NS;
	return n;
}

static void want_irq(struct tx_ring *r, bool on)
{
	assert_true(uart.wants_irq != on);
	uart.wants_irq = on;
}

static void wake(void)
{
	uart.wakes++;
}

static const struct tx_ops ops = {.take = take, .want_irq = want_irq};

static bool put(const char *text)
{
	return tx_put(&ring, text, strlen(text), TX_RING_LEN);
}

/* The transmitter's interrupts, until it asks for none. */
static void interrupts(void)
{
	while (uart.wants_irq) {
		clock_set_ns(max(clock_ns(), uart.empty_ns));
		tx_drain(&ring);
	}
	assert_false(tx_look(&ring));
}

static char text_at(size_t i)
{
	return (char)('a' + i * 7 % 26);
}

static void fill(char *text, size_t from, size_t len)
{
	for (size_t i = 0; i < len; i++)
		text[i] = text_at(from + i);
}

static void assert_sent(size_t len)
{
	assert_int_equal(uart.nr_sent, len);
	for (size_t i = 0; i < len; i++)
		assert_int_equal(uart.sent[i], text_at(i));
}

static int setup(void **state)
{
	clock_set_ns(1000000);
	memset(&uart, 0, sizeof(uart));
	stopping = false;
	tx_init(&ring, &ops);
	return 0;
}

/* The tests run in order: this one before there are interrupts. */
static void at_first_who_puts_waits(void **state)
{
	char text[100];

	fill(text, 0, sizeof(text));
	assert_false(tx_is_background());
	assert_true(tx_put(&ring, text, sizeof(text), 1)); /* whatever is said of a limit */
	assert_sent(sizeof(text));
	assert_int_equal(uart.wakes, 0);
	assert_false(uart.wants_irq);
	assert_false(tx_is_watched());
	tx_go_background(wake);
	assert_true(tx_is_background());
}

static void a_ready_device_takes_bytes_at_once(void **state)
{
	assert_true(put("abc"));
	assert_int_equal(uart.nr_sent, 3);
	assert_int_equal(tx_pending(&ring), 0);
	assert_false(uart.wants_irq);
	assert_int_equal(uart.wakes, 0);
}

/* No more than a look or two at the device for each call, however slow that is. */
static void nobody_waits(void **state)
{
	char text[64];
	size_t len = 0;

	for (fill(text, 0, 64); tx_put(&ring, text, 64, TX_RING_LEN); fill(text, len, 64)) {
		len += 64;
		assert_in_range(uart.looks, 0, 2);
		uart.looks = 0;
	}
	assert_in_range(uart.looks, 1, 2); /* the call that failed */
	assert_int_equal(uart.wakes, 1);
	assert_true(tx_is_watched());
	assert_true(uart.wants_irq);
	assert_true(tx_pending(&ring) > TX_RING_LEN - 64);
	uart.looks = 0;
	assert_true(tx_look(&ring));
	assert_int_equal(uart.looks, 1);
	interrupts();
	assert_sent(len);
	assert_false(tx_is_watched());
}

/* All or nothing; and a guest's limit is not the log's. */
static void limits_hold(void **state)
{
	char text[1500];

	uart.is_dead = true;
	fill(text, 0, sizeof(text));
	assert_true(tx_put(&ring, text, 1000, 1024));
	assert_true(tx_put(&ring, text + 1000, 24, 1024));
	assert_false(tx_put(&ring, text + 1024, 1, 1024));
	assert_false(tx_put(&ring, text + 1024, 200, 1200));
	assert_true(tx_put(&ring, text + 1024, 476, 1500));
	assert_int_equal(tx_pending(&ring), 1500);
	uart.is_dead = false;
	interrupts();
	assert_sent(1500);
}

/* A guest that polls, with no interrupt at all: full, it makes room for itself. */
static void who_finds_it_full_empties_it(void **state)
{
	char c;
	size_t i = 0;

	for (unsigned turns = 0; i < 5000; turns++) {
		c = text_at(i);
		i += tx_put(&ring, &c, 1, 1024);
		assert_true(turns < 1000000);
	}
	assert_in_range(tx_pending(&ring), 1024 - FIFO_LEN, 1024);
	interrupts();
	assert_sent(5000);
}

/* From the last byte sent to the first of the next: the interrupt is asked for each time. */
static void an_empty_ring_starts_again(void **state)
{
	char text[20];

	for (size_t i = 0; i < 50; i++) {
		fill(text, i * 20, 20);
		assert_true(tx_put(&ring, text, 20, TX_RING_LEN));
		assert_true(uart.wants_irq);
		assert_int_equal(uart.wakes, i + 1);
		interrupts();
		assert_int_equal(tx_pending(&ring), 0);
		clock_advance_ns(i * 30000);
	}
	assert_sent(1000);
}

/* The line is busy without a gap: 16 bytes with each interrupt. */
static void the_line_is_never_idle(void **state)
{
	char text[8000];
	uint64_t begin = clock_ns();

	fill(text, 0, sizeof(text));
	assert_true(tx_put(&ring, text, sizeof(text), TX_RING_LEN));
	interrupts();
	assert_in_range(uart.empty_ns - begin, 8000ull * CHAR_NS, 8000ull * CHAR_NS * 102 / 100);
}

static void a_stuck_device_holds_nobody_up(void **state)
{
	char text[1024];

	fill(text, 0, sizeof(text));
	assert_true(tx_put(&ring, text, 16, 1024));
	uart.is_dead = true;
	assert_true(tx_put(&ring, text, 1024, 1024));
	clock_advance_ns(TX_STUCK_NS / 2);
	tx_drain(&ring);
	assert_int_equal(tx_pending(&ring), 1024);
	clock_advance_ns(TX_STUCK_NS / 2 + CHAR_NS);
	tx_drain(&ring);
	assert_int_equal(tx_pending(&ring), 0);
	assert_int_equal(ring.dropped, 1024);
	assert_false(uart.wants_irq);
	assert_true(tx_put(&ring, text, 1024, 1024));
	assert_int_equal(ring.dropped, 2048);
	uart.is_dead = false;
	assert_true(tx_put(&ring, text + 16, 1008, 1024));
	interrupts();
	assert_sent(1024);
	assert_int_equal(ring.dropped, 2048);
}

/* However long the ring has been empty: only then the time begins. */
static void an_idle_device_is_not_stuck(void **state)
{
	clock_advance_ns(10 * TX_STUCK_NS);
	uart.empty_ns = clock_ns() + 10 * CHAR_NS; /* still at what somebody sent before */
	assert_true(put("abc"));
	tx_drain(&ring);
	assert_int_equal(ring.dropped, 0);
	interrupts();
	assert_memory_equal(uart.sent, "abc", 3);
}

static void the_machines_end_waits_for_all(void **state)
{
	char text[3000];

	fill(text, 0, sizeof(text));
	assert_true(tx_put(&ring, text, sizeof(text), TX_RING_LEN));
	tx_flush(&ring);
	assert_sent(sizeof(text));
	uart.is_dead = true; /* it ends all the same */
	assert_true(put("lost"));
	tx_flush(&ring);
}

/* First what waits, then the report; the holder of the lock was stopped, and does not matter. */
static void a_panic_sends_what_waits_first(void **state)
{
	char text[2000];

	fill(text, 0, sizeof(text));
	assert_true(tx_put(&ring, text, 1500, TX_RING_LEN));
	spin_lock(&ring.lock);
	stopping = true;
	assert_false(tx_is_background());
	assert_int_equal(tx_pending(&ring), 0); /* whoever asks may write */
	assert_true(tx_put(&ring, text + 1500, 500, 1));
	assert_sent(2000);
	uart.is_dead = true;
	assert_true(put("lost"));
	tx_flush(&ring);
	spin_unlock(&ring.lock);
}

int main(void)
{
#define T(test) cmocka_unit_test_setup(test, setup)
	const struct CMUnitTest tests[] = {
		T(at_first_who_puts_waits),
		T(a_ready_device_takes_bytes_at_once),
		T(nobody_waits),
		T(limits_hold),
		T(who_finds_it_full_empties_it),
		T(an_empty_ring_starts_again),
		T(the_line_is_never_idle),
		T(a_stuck_device_holds_nobody_up),
		T(an_idle_device_is_not_stuck),
		T(the_machines_end_waits_for_all),
		T(a_panic_sends_what_waits_first),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
