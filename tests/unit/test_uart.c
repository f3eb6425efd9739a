/* SPDX-License-Identifier: BSD-2-Clause */
/* The 16550A by its datasheet: FIFOs, the priorities of its interrupts, time-outs, loopback. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "lib/bits.h"
#include "tests/unit/support/clock.h"
#include "tests/unit/support/wires.h"
#include "vmm/dev/uart.h"

enum { RBR, IER, IIR, LCR, MCR, LSR, MSR, SCR, THR = RBR, FCR = IIR };

#define OUT2    0x08
#define CHAR_NS 86806 /* 10 bits at 115200 */

static struct {
	struct uart uart;
	struct char_sink sink;
	struct wire irq;
	struct timer_queue queue;
	struct spinlock lock;
	char sent[64];
	size_t nr_sent;
	size_t room; /* at the other end */
	unsigned go_ons;
} t;

static bool output(struct char_sink *s, uint8_t byte)
{
	if (!t.room)
		return false;
	t.room--;
	t.sent[t.nr_sent++] = (char)byte;
	return true;
}

static void go_on(struct char_sink *s)
{
	t.go_ons++;
}

static void earlier(struct timer_queue *q) {}

static uint8_t in(unsigned reg)
{
	return (uint8_t)uart_read(&t.uart, reg, 1);
}

static void out(unsigned reg, uint8_t val)
{
	uart_write(&t.uart, reg, 1, val);
}

static void receive(const char *text)
{
	while (*text)
		uart_receive(&t.uart, (uint8_t)*text++);
}

static void pass_ns(uint64_t ns)
{
	clock_advance_ns(ns);
	timer_queue_run(&t.queue, clock_ns());
}

static int setup(void **state)
{
	memset(&t, 0, sizeof(t));
	t.sink = (struct char_sink){.put = output, .go_on = go_on};
	t.room = sizeof(t.sent);
	wire_init(&t.irq);
	spin_init(&t.lock);
	clock_set_ns(1000);
	timer_queue_init(&t.queue, earlier);
	uart_init(&t.uart, &t.sink, &t.irq.line, &t.queue, &t.lock);
	return 0;
}

static void test_reset_state(void **state)
{
	assert_int_equal(in(IER), 0);
	assert_int_equal(in(IIR), 0x01);
	assert_int_equal(in(LCR), 0);
	assert_int_equal(in(MCR), 0);
	assert_int_equal(in(LSR), 0x60);
	assert_int_equal(in(MSR), 0xb0); /* the other end is there, and nothing changed */
	assert_false(t.irq.level);
}

static void test_registers(void **state)
{
	out(SCR, 0xa5);
	assert_int_equal(in(SCR), 0xa5);
	out(IER, 0xff);
	assert_int_equal(in(IER), 0x0f);
	out(MCR, 0xff);
	assert_int_equal(in(MCR), 0x1f);
	out(MCR, 0);
	out(LCR, 0x83); /* DLAB */
	out(RBR, 0x34);
	out(IER, 0x12);
	assert_int_equal(in(RBR), 0x34);
	assert_int_equal(in(IER), 0x12);
	assert_int_equal(uart_read(&t.uart, RBR, 2), 0x1234); /* a word is two bytes */
	uart_write(&t.uart, RBR, 2, 0xabcd);
	assert_int_equal(uart_read(&t.uart, RBR, 2), 0xabcd);
	out(LCR, 0x03);
	assert_int_equal(in(IER), 0x0f);
	assert_int_equal(t.nr_sent, 0);
	out(LSR, 0xff); /* read only */
	out(MSR, 0xff);
	assert_int_equal(in(LSR), 0x60);
}

static void test_transmit(void **state)
{
	out(THR, 'h');
	out(THR, 'i');
	assert_memory_equal(t.sent, "hi", 2);
	assert_int_equal(in(LSR)&0x60, 0x60);
	assert_false(t.irq.level);
}

static void test_thre_interrupt(void **state)
{
	out(MCR, OUT2);
	out(IER, 0x02); /* enabling it while the transmitter is empty raises it */
	assert_true(t.irq.level);
	assert_int_equal(in(IIR), 0x02);
	assert_int_equal(in(IIR), 0x01); /* reading IIR took it away */
	assert_false(t.irq.level);
	out(THR, 'a');
	assert_true(t.irq.level);
	out(THR, 'b'); /* still the one interrupt */
	assert_int_equal(in(IIR), 0x02);
	assert_false(t.irq.level);
	out(THR, 'c');
	out(IER, 0);
	assert_false(t.irq.level);
	out(IER, 0x02);
	assert_true(t.irq.level);
	out(IER, 0x02); /* no news */
	in(IIR);
	out(IER, 0x02);
	assert_false(t.irq.level);
}

/* Writing takes the interrupt away, though it is back at once: an input that counts edges. */
static void test_each_character_is_an_edge(void **state)
{
	out(MCR, OUT2);
	out(IER, 0x02);
	assert_int_equal(t.irq.rises, 1);
	for (unsigned i = 0; i < 5; i++)
		out(THR, 'a'); /* a handler that does not look at IIR */
	assert_int_equal(t.irq.rises, 6);
	assert_true(t.irq.level);
	out(MCR, OUT2 | 0x10);
	out(MCR, OUT2);
	assert_int_equal(in(IIR), 0x02);
}

/* Reading IIR takes the transmitter's interrupt away only if it is the one that is told. */
static void test_iir_tells_another(void **state)
{
	out(MCR, OUT2);
	out(IER, 0x03);
	receive("x");
	assert_int_equal(in(IIR), 0x04);
	assert_int_equal(in(IIR), 0x04);
	in(RBR);
	assert_true(t.irq.level);
	assert_int_equal(in(IIR), 0x02);
	assert_false(t.irq.level);
}

/* While the transmitter is not empty there is nothing to ask for, in loopback either. */
static void test_loopback_has_interrupts(void **state)
{
	out(FCR, 0x01);
	out(IER, 0x03);
	out(MCR, 0x10);
	in(MSR);
	in(IIR);
	out(THR, 'L');
	assert_int_equal(in(IIR), 0xc4);
	in(RBR);
	assert_int_equal(in(IIR), 0xc2);
	assert_int_equal(in(IIR), 0xc1);
	out(IER, 0x08);
	out(MCR, 0x11);
	assert_int_equal(in(IIR), 0xc0); /* DTR is DSR */
	assert_int_equal(in(MSR), 0x22);
	assert_int_equal(in(IIR), 0xc1);
}

static void make_room(size_t bytes)
{
	t.room += bytes;
	uart_transmit(&t.uart);
}

/* The other end is full: THRE and TEMT stay clear, and the interrupt waits, until it takes bytes.
 */
static void test_transmitter_waits(void **state)
{
	out(FCR, 0x01);
	out(MCR, OUT2);
	out(IER, 0x02);
	in(IIR);
	t.room = 1;
	out(THR, 'a');
	assert_int_equal(in(LSR), 0x60);
	out(THR, 'b');
	assert_int_equal(in(LSR), 0);
	assert_false(t.irq.level); /* writing took away what 'a' had raised */
	assert_int_equal(in(IIR), 0xc1);
	out(THR, 'c');
	make_room(1);
	assert_int_equal(in(LSR), 0); /* 'c' is still there */
	assert_false(t.irq.level);
	make_room(1);
	assert_true(t.irq.level);
	assert_int_equal(in(IIR), 0xc2);
	assert_int_equal(in(LSR), 0x60);
	assert_memory_equal(t.sent, "abc", 3);
	make_room(1);
	assert_false(t.irq.level); /* that was no news */
}

/* Who polls needs no call from outside. */
static void test_polling_transmits(void **state)
{
	t.room = 0;
	out(THR, 'a');
	assert_int_equal(in(LSR), 0);
	t.room = 1;
	assert_int_equal(in(LSR), 0x60);
	assert_memory_equal(t.sent, "a", 1);
}

/* The FIFO holds 16; what is written to a full one is lost, as with the chip. */
static void test_transmitter_overrun(void **state)
{
	out(FCR, 0x01);
	t.room = 0;
	for (unsigned i = 0; i < UART_FIFO_SIZE + 3; i++)
		out(THR, (uint8_t)('a' + i));
	make_room(30);
	assert_int_equal(t.nr_sent, UART_FIFO_SIZE);
	assert_memory_equal(t.sent, "abcdefghijklmnop", UART_FIFO_SIZE);
	out(FCR, 0x00); /* without it there is one holding register, which is overwritten */
	t.room = 0;
	out(THR, 'x');
	out(THR, 'y');
	make_room(30);
	assert_int_equal(t.nr_sent, UART_FIFO_SIZE + 1);
	assert_int_equal(t.sent[UART_FIFO_SIZE], 'y');
}

static void test_interrupt_enabled_while_waiting(void **state)
{
	out(FCR, 0x01);
	out(MCR, OUT2);
	t.room = 0;
	out(THR, 'a');
	out(IER, 0x02);
	assert_false(t.irq.level); /* the transmitter is not empty */
	make_room(1);
	assert_true(t.irq.level);
}

static void test_transmitter_cleared(void **state)
{
	out(FCR, 0x01);
	out(MCR, OUT2);
	out(IER, 0x02);
	in(IIR);
	t.room = 0;
	out(THR, 'a');
	out(FCR, 0x03); /* the receiver's */
	assert_int_equal(in(LSR), 0);
	out(FCR, 0x05);
	assert_int_equal(in(LSR), 0x60);
	assert_true(t.irq.level);
	out(THR, 'b');
	out(FCR, 0x00); /* switching the FIFOs off clears both */
	assert_int_equal(in(LSR), 0x60);
	make_room(5);
	assert_int_equal(t.nr_sent, 0);
	t.room = 0;
	out(THR, 'c');
	uart_reset(&t.uart);
	assert_int_equal(in(LSR), 0x60);
	make_room(1);
	assert_int_equal(t.nr_sent, 0);
}

/* Loopback while something waits for the line outside: it still goes there. */
static void test_loopback_leaves_the_line_alone(void **state)
{
	out(FCR, 0x01);
	t.room = 0;
	out(THR, 'a');
	out(MCR, 0x10);
	assert_int_equal(in(LSR), 0);
	make_room(1);
	assert_memory_equal(t.sent, "a", 1);
	out(THR, 'b');
	assert_int_equal(in(LSR), 0x61);
	assert_int_equal(in(RBR), 'b');
	assert_int_equal(t.nr_sent, 1);
}

static void test_out2_gates_irq(void **state)
{
	out(IER, 0x01);
	receive("x");
	assert_int_equal(in(IIR), 0x04);
	assert_false(t.irq.level);
	out(MCR, OUT2);
	assert_true(t.irq.level);
	out(MCR, OUT2 | 0x10); /* loopback disconnects the pin */
	assert_false(t.irq.level);
}

static void test_receive_without_fifo(void **state)
{
	out(MCR, OUT2);
	out(IER, 0x01);
	receive("ab");
	assert_int_equal(in(LSR)&0x01, 0x01);
	assert_int_equal(in(IIR), 0x04);
	assert_int_equal(in(RBR), 'a');
	assert_true(t.irq.level); /* the next has moved up */
	assert_int_equal(in(RBR), 'b');
	assert_false(t.irq.level);
	assert_int_equal(in(LSR), 0x60);
	assert_int_equal(in(RBR), 'b'); /* the holding register keeps its last */
	pass_ns(100 * CHAR_NS);
	assert_int_equal(in(IIR), 0x01); /* no time-outs without the FIFO */
}

static void test_trigger_levels(void **state)
{
	static const unsigned level[] = {1, 4, 8, 14};

	for (unsigned i = 0; i < 4; i++) {
		setup(NULL);
		out(MCR, OUT2);
		out(IER, 0x01);
		out(FCR, (uint8_t)(i << 6 | 1));
		for (unsigned n = 1; n < level[i]; n++) {
			receive("x");
			assert_false(t.irq.level);
			assert_int_equal(in(LSR)&1, 1);
		}
		receive("x");
		assert_true(t.irq.level);
		assert_int_equal(in(IIR), 0xc4);
		in(RBR);
		assert_false(t.irq.level); /* below the level again */
	}
}

static void test_timeout(void **state)
{
	out(MCR, OUT2);
	out(IER, 0x01);
	out(FCR, 0x81); /* trigger at 8 */
	receive("abc");
	pass_ns(4 * CHAR_NS - 100);
	assert_false(t.irq.level);
	receive("d"); /* starts it anew */
	pass_ns(4 * CHAR_NS - 100);
	assert_false(t.irq.level);
	pass_ns(200);
	assert_true(t.irq.level);
	assert_int_equal(in(IIR), 0xcc);
	assert_int_equal(in(IIR), 0xcc); /* not cleared by reading IIR */
	assert_int_equal(in(RBR), 'a');
	assert_false(t.irq.level); /* but by reading a character, which also restarts it */
	pass_ns(4 * CHAR_NS + 100);
	assert_true(t.irq.level);
	in(RBR);
	in(RBR);
	in(RBR);
	assert_false(t.irq.level);
	pass_ns(100 * CHAR_NS); /* an empty FIFO never times out */
	assert_false(t.irq.level);
	assert_int_equal(t.queue.timers.next == &t.queue.timers, 1);
}

/* One that has happened is there until a character is read; the next one that comes does not undo
 * it. */
static void test_timeout_stays(void **state)
{
	out(MCR, OUT2);
	out(IER, 0x01);
	out(FCR, 0x81);
	receive("a");
	pass_ns(5 * CHAR_NS);
	assert_int_equal(in(IIR), 0xcc);
	receive("b");
	assert_true(t.irq.level);
	assert_int_equal(in(IIR), 0xcc);
	in(RBR);
	assert_false(t.irq.level);
	pass_ns(5 * CHAR_NS);
	assert_true(t.irq.level);
	in(RBR);
	assert_false(t.irq.level);
}

/* A slow line has long character times. */
static void test_timeout_divisor(void **state)
{
	out(LCR, 0x80);
	out(RBR, 12); /* 9600 */
	out(LCR, 0x03);
	out(MCR, OUT2);
	out(IER, 0x01);
	out(FCR, 0x81);
	receive("a");
	pass_ns(12 * 4 * CHAR_NS - 1000);
	assert_false(t.irq.level);
	pass_ns(2000);
	assert_true(t.irq.level);
}

static void test_priorities(void **state)
{
	out(MCR, OUT2);
	out(FCR, 0x01);
	out(IER, 0x0f); /* the transmitter is empty */
	receive("x");
	uart_receive_break(&t.uart);
	in(RBR); /* the break is at the top now */
	out(MCR, 0x10);
	out(MCR, OUT2); /* modem lines fell and rose */
	assert_int_equal(in(IIR), 0xc6);
	assert_int_equal(in(LSR)&0x10, 0x10);
	assert_int_equal(in(IIR), 0xc4);
	assert_int_equal(in(RBR), 0);
	assert_int_equal(in(IIR), 0xc2);
	assert_int_equal(in(IIR), 0xc0);
	assert_int_equal(in(MSR), 0xbb); /* CTS, DSR, DCD and their deltas */
	assert_int_equal(in(IIR), 0xc1);
	assert_false(t.irq.level);
	assert_int_equal(in(MSR), 0xb0);
}

/* The lower ones wait in IIR until they are unmasked. */
static void test_masked(void **state)
{
	out(MCR, OUT2);
	out(FCR, 0x01);
	receive("x");
	out(IER, 0x0e);
	assert_int_equal(in(IIR), 0xc2);
	assert_int_equal(in(IIR), 0xc1);
	out(IER, 0x0f);
	assert_int_equal(in(IIR), 0xc4);
}

static void test_break(void **state)
{
	out(FCR, 0x01);
	receive("a");
	uart_receive_break(&t.uart);
	assert_int_equal(in(LSR), 0xe1); /* an error in the FIFO, but not at its top */
	assert_int_equal(in(RBR), 'a');
	assert_int_equal(in(LSR), 0xf1); /* BI */
	assert_int_equal(in(LSR), 0x61); /* reading LSR cleared it; the zero is still there */
	assert_int_equal(in(RBR), 0);
	assert_int_equal(in(LSR), 0x60);
}

static void test_fcr(void **state)
{
	receive("a");
	out(FCR, 0x01); /* switching the FIFOs on empties the receiver */
	assert_int_equal(in(LSR)&1, 0);
	assert_int_equal(in(IIR), 0xc1);
	receive("abc");
	out(FCR, 0x05); /* clearing the transmitter's does not */
	assert_int_equal(in(LSR)&1, 1);
	out(FCR, 0x03);
	assert_int_equal(in(LSR)&1, 0);
	out(FCR, 0xc0); /* without bit 0 nothing else counts, and they are off */
	assert_int_equal(in(IIR), 0x01);
}

/* Input does not get lost when the guest is slow. */
static void test_backlog(void **state)
{
	char text[UART_BACKLOG + UART_FIFO_SIZE];

	out(FCR, 0x01);
	for (unsigned i = 0; i < sizeof(text); i++) {
		text[i] = (char)(i * 31);
		uart_receive(&t.uart, (uint8_t)text[i]);
	}
	assert_int_equal(in(LSR), 0x61);
	uart_receive(&t.uart, '!'); /* one too many */
	assert_int_equal(in(LSR), 0x63);
	assert_int_equal(in(LSR), 0x61);
	for (unsigned i = 0; i < sizeof(text); i++)
		assert_int_equal(in(RBR), (uint8_t)text[i]);
	assert_int_equal(in(LSR), 0x60);
}

/* Whoever asks for room first loses nothing, and is told once that there is room again. */
static void test_the_sender_waits(void **state)
{
	unsigned n = 0;

	out(FCR, 0x01);
	for (; uart_receive_room(&t.uart); n++)
		uart_receive(&t.uart, (uint8_t)n);
	assert_int_equal(n, UART_BACKLOG + UART_FIFO_SIZE);
	for (unsigned i = 0; i < n; i++) {
		assert_int_equal(t.go_ons, i >= UART_BACKLOG - UART_GO_ON);
		assert_int_equal(in(RBR), (uint8_t)i);
	}
	assert_int_equal(uart_receive_room(&t.uart), UART_BACKLOG);
	assert_int_equal(in(LSR), 0x60);
}

static void test_overrun_interrupt(void **state)
{
	out(MCR, OUT2);
	out(IER, 0x04);
	for (unsigned i = 0; i < UART_BACKLOG + 1; i++)
		receive("x");
	assert_false(t.irq.level);
	receive("x");
	assert_true(t.irq.level);
	assert_int_equal(in(IIR), 0x06);
	in(LSR);
	assert_false(t.irq.level);
}

static void test_loopback(void **state)
{
	static const uint8_t lines[] = {0x20, 0x10, 0x40, 0x80}; /* DTR, RTS, OUT1, OUT2 */

	out(FCR, 0x01);
	out(MCR, 0x10);
	in(MSR);
	for (unsigned i = 0; i < 4; i++) {
		out(MCR, (uint8_t)(0x10 | 1 << i));
		assert_int_equal(in(MSR)&0xf0, lines[i]);
	}
	out(MCR, 0x10);
	in(MSR);
	out(MCR, 0x14); /* RI comes: no delta, its trailing edge counts */
	assert_int_equal(in(MSR), 0x40);
	out(MCR, 0x10);
	assert_int_equal(in(MSR), 0x04);

	out(THR, 'L');
	assert_int_equal(t.nr_sent, 0);
	receive("x"); /* the line is cut off */
	assert_int_equal(in(LSR), 0x61);
	assert_int_equal(in(RBR), 'L');
	assert_int_equal(in(LSR), 0x60);
	out(LCR, 0x43); /* a break that one sends comes back */
	assert_int_equal(in(LSR), 0xf1);
	out(LCR, 0x03);
	in(RBR);
	for (unsigned i = 0; i < 17; i++)
		out(THR, (uint8_t)i);
	assert_int_equal(in(LSR)&0x02, 0x02);
	assert_int_equal(in(RBR), 0); /* the one too many was lost, not the first */
	out(FCR, 0x03);
	out(MCR, 0);
	assert_int_equal(in(RBR), 'x'); /* what waited on the line arrives */
}

static void test_reset(void **state)
{
	out(MCR, OUT2);
	out(IER, 0x01);
	out(FCR, 0x81);
	receive("abcdefghi");
	assert_true(t.irq.level);
	uart_reset(&t.uart);
	assert_false(t.irq.level);
	assert_int_equal(in(LSR), 0x60);
	assert_int_equal(in(IIR), 0x01);
	pass_ns(100 * CHAR_NS);
	assert_false(t.irq.level);
}

int main(void)
{
#define T(test) cmocka_unit_test_setup(test, setup)
	const struct CMUnitTest tests[] = {
		T(test_reset_state),
		T(test_registers),
		T(test_transmit),
		T(test_thre_interrupt),
		T(test_each_character_is_an_edge),
		T(test_iir_tells_another),
		T(test_loopback_has_interrupts),
		T(test_transmitter_waits),
		T(test_polling_transmits),
		T(test_transmitter_overrun),
		T(test_interrupt_enabled_while_waiting),
		T(test_transmitter_cleared),
		T(test_loopback_leaves_the_line_alone),
		T(test_out2_gates_irq),
		T(test_receive_without_fifo),
		T(test_trigger_levels),
		T(test_timeout),
		T(test_timeout_stays),
		T(test_timeout_divisor),
		T(test_priorities),
		T(test_masked),
		T(test_break),
		T(test_fcr),
		T(test_backlog),
		T(test_the_sender_waits),
		T(test_overrun_interrupt),
		T(test_loopback),
		T(test_reset),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
