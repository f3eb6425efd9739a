/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The 16550 that the results of all payloads go through: registers, loop-back, FIFO, interrupt
 * identification and the interrupts themselves on IRQ 4 (PC16550D data sheet).
 */
#include "apic.h"
#include "clock.h"
#include "ktap.h"
#include "pit.h"
#include "trap.h"

#define UART 0x3f8
#define RBR  (UART + 0)
#define THR  (UART + 0)
#define IER  (UART + 1)
#define IIR  (UART + 2)
#define FCR  (UART + 2)
#define LCR  (UART + 3)
#define MCR  (UART + 4)
#define LSR  (UART + 5)
#define MSR  (UART + 6)
#define SCR  (UART + 7)

#define IER_RX      0x01
#define IER_THRE    0x02
#define IER_LINE    0x04
#define IER_MODEM   0x08
#define IIR_NONE    0x01
#define IIR_ID      0x0f
#define IIR_THRE    0x02
#define IIR_RX      0x04
#define IIR_LINE    0x06
#define IIR_TIMEOUT 0x0c
#define MCR_LOOP    0x10
#define MCR_OUT2    0x08
#define LSR_DR      0x01
#define LSR_OE      0x02
#define LSR_THRE    0x20
#define LSR_TEMT    0x40
#define VEC         0x24
#define WAIT_MS     2000

static void drain(void)
{
	wait_until(inb(LSR) & LSR_TEMT, WAIT_MS);
}

/* Into loop-back: from here on nothing may be printed before loop_end(). */
static void loop_begin(void)
{
	drain();
	outb(FCR, 0x07);
	outb(MCR, MCR_LOOP);
	while (inb(LSR) & LSR_DR)
		inb(RBR);
	inb(IIR);
	inb(MSR);
}

static void loop_end(void)
{
	outb(IER, 0);
	outb(FCR, 0x07);
	outb(MCR, 0x03);
}

TEST(scratch_register)
{
	outb(SCR, 0x5a);
	CHECK_EQ(inb(SCR), 0x5a);
	outb(SCR, 0xa5);
	CHECK_EQ(inb(SCR), 0xa5);
}

TEST(divisor_latch)
{
	uint8_t lcr = inb(LCR), lo, hi, ier;

	drain();
	outb(LCR, lcr | 0x80);
	outb(UART, 0x34);
	outb(UART + 1, 0x12);
	lo = inb(UART);
	hi = inb(UART + 1);
	outb(UART, 1);
	outb(UART + 1, 0);
	outb(LCR, lcr);
	ier = inb(IER);
	CHECK_EQ(lo, 0x34);
	CHECK_EQ(hi, 0x12);
	CHECK_EQ(ier, 0);
}

TEST(register_bits)
{
	outb(IER, 0x0f);
	CHECK_EQ(inb(IER), 0x0f);
	outb(IER, 0xf0);
	CHECK_EQ(inb(IER), 0);
	CHECK_EQ(inb(LCR), 3);
	CHECK_EQ(inb(IIR) & 0xc0, 0xc0); /* FIFO on */
	drain();
	outb(FCR, 0);
	CHECK_EQ(inb(IIR) & 0xc0, 0);
	drain();
	outb(FCR, 1);
}

TEST(loop_back_data)
{
	unsigned wrong = 0;

	loop_begin();
	for (unsigned i = 0; i < 256; i++) {
		outb(THR, (uint8_t)i);
		wrong += !wait_until(inb(LSR) & LSR_DR, WAIT_MS);
		wrong += inb(RBR) != i;
	}
	wrong += inb(LSR) & LSR_DR;
	loop_end();
	CHECK_EQ(wrong, 0);
}

TEST(loop_back_modem_lines)
{
	uint8_t dtr, rts, out1, out2;

	loop_begin();
	outb(MCR, MCR_LOOP | 1);
	dtr = inb(MSR) >> 4;
	outb(MCR, MCR_LOOP | 2);
	rts = inb(MSR) >> 4;
	outb(MCR, MCR_LOOP | 4);
	out1 = inb(MSR) >> 4;
	outb(MCR, MCR_LOOP | 8);
	out2 = inb(MSR) >> 4;
	loop_end();
	CHECK_EQ(dtr, 2); /* DTR -> DSR, RTS -> CTS, OUT1 -> RI, OUT2 -> DCD */
	CHECK_EQ(rts, 1);
	CHECK_EQ(out1, 4);
	CHECK_EQ(out2, 8);
}

TEST(receive_fifo)
{
	unsigned wrong = 0;

	loop_begin();
	for (unsigned i = 0; i < 16; i++) {
		outb(THR, (uint8_t)(0x30 + i));
		wrong += !wait_until(inb(LSR) & LSR_TEMT, WAIT_MS);
	}
	wrong += !!(inb(LSR) & LSR_OE);
	for (unsigned i = 0; i < 16; i++)
		wrong += inb(RBR) != 0x30 + i;
	wrong += inb(LSR) & LSR_DR;
	loop_end();
	CHECK_EQ(wrong, 0);
}

TEST(receive_overrun)
{
	uint8_t first, second;

	loop_begin();
	for (unsigned i = 0; i < 17; i++) {
		outb(THR, (uint8_t)i);
		delay_us(1000); /* looking at LSR would take the error back */
	}
	first = inb(LSR);
	second = inb(LSR);
	loop_end();
	CHECK(first & LSR_OE);
	CHECK(!(second & LSR_OE)); /* reading clears it */
}

TEST(fifo_reset)
{
	uint8_t lsr;

	loop_begin();
	outb(THR, 1);
	wait_until(inb(LSR) & LSR_DR, WAIT_MS);
	outb(FCR, 0x03);
	lsr = inb(LSR);
	loop_end();
	CHECK(!(lsr & LSR_DR));
}

TEST(interrupt_identification)
{
	uint8_t none, thre, after_read, rx, after_data;

	loop_begin();
	none = inb(IIR) & IIR_ID;
	outb(IER, IER_THRE);
	thre = inb(IIR) & IIR_ID;
	after_read = inb(IIR) & IIR_ID; /* reading the THRE cause takes it back */
	outb(IER, IER_RX);
	outb(THR, 'x');
	wait_until(inb(LSR) & LSR_DR, WAIT_MS);
	rx = inb(IIR) & IIR_ID;
	inb(RBR);
	after_data = inb(IIR) & IIR_ID;
	loop_end();
	CHECK_EQ(none, IIR_NONE);
	CHECK_EQ(thre, IIR_THRE);
	CHECK_EQ(after_read, IIR_NONE);
	CHECK(rx == IIR_RX || rx == IIR_TIMEOUT);
	CHECK_EQ(after_data, IIR_NONE);
}

TEST(receive_has_priority_over_transmit)
{
	uint8_t both, then;

	loop_begin();
	outb(THR, 'x');
	wait_until(inb(LSR) & LSR_DR, WAIT_MS);
	outb(IER, IER_RX | IER_THRE);
	both = inb(IIR) & IIR_ID;
	inb(RBR);
	then = inb(IIR) & IIR_ID;
	loop_end();
	CHECK(both == IIR_RX || both == IIR_TIMEOUT);
	CHECK_EQ(then, IIR_THRE);
}

/* --- IRQ 4 ------------------------------------------------------------------------------------ */

static volatile unsigned irqs;
static volatile uint8_t last_cause;

static bool on_uart(struct regs *regs)
{
	irqs++;
	last_cause = inb(IIR) & IIR_ID;
	pic_eoi(4);
	return true;
}

static void open_irq4(void)
{
	irqs = 0;
	apic_enable();
	apic_write(APIC_LVT0, ICR_EXTINT);
	pic_init(0x20);
	trap_set(VEC, on_uart);
	pic_unmask(1 << 4);
	drain();
	outb(MCR, 0x03 | MCR_OUT2); /* OUT2 lets the line through on a PC */
	sti();
}

static void close_irq4(void)
{
	cli();
	outb(IER, 0);
	outb(MCR, 0x03);
	pic_unmask(0);
}

TEST(transmit_interrupt)
{
	unsigned at_once, later;

	open_irq4();
	outb(IER, IER_THRE); /* the holding register is empty: at once */
	at_once = wait_until(irqs == 1, WAIT_MS);
	outb(THR, '#');
	later = wait_until(irqs == 2, WAIT_MS);
	drain();
	outb(THR, '\n');
	wait_until(irqs == 3, WAIT_MS);
	close_irq4();
	CHECK(at_once);
	CHECK(later);
	CHECK_EQ(irqs, 3);
	CHECK_EQ(last_cause, IIR_THRE);
}

/* --- a driver that is told of an empty transmitter by edges alone --------------------------------
 */

#define TEXT "# sent by edges alone\n"

static volatile unsigned nr_sent;
static bool by_ioapic;

/* It looks at no register: writing the next character is what takes the request away. */
static bool send_next(struct regs *regs)
{
	if (TEXT[nr_sent])
		outb(THR, (uint8_t)TEXT[nr_sent++]);
	else
		irqs++;
	if (by_ioapic)
		apic_eoi();
	else
		pic_eoi(4);
	return true;
}

/* Each character that has left raises the line anew, which was low: the data sheet, and an 8259 or
 * IOAPIC on edges. */
static void send_by_edges(void)
{
	bool all;

	nr_sent = 0;
	trap_set(VEC, send_next);
	outb(IER, IER_THRE);
	all = wait_until(irqs == 1, WAIT_MS);
	close_irq4();
	drain();
	CHECK(all);
	CHECK_EQ(nr_sent, sizeof(TEXT) - 1);
}

TEST(each_character_is_an_edge_for_the_8259)
{
	by_ioapic = false;
	open_irq4();
	send_by_edges();
}

TEST(each_character_is_an_edge_for_the_ioapic)
{
	unsigned pin = ioapic_isa_pin(4);

	by_ioapic = true;
	open_irq4();
	pic_unmask(0);
	ioapic_route(pin, VEC, (uint8_t)apic_id());
	send_by_edges();
	ioapic_route(pin, REDIR_MASKED, 0);
}

TEST(no_interrupt_without_ier)
{
	open_irq4();
	outb(THR, '#');
	drain();
	outb(THR, '\n');
	delay_us(5000);
	close_irq4();
	CHECK_EQ(irqs, 0);
}

TEST(loop_back_keeps_the_line_quiet)
{
	bool data;

	open_irq4();
	loop_begin(); /* OUT2 is off in there */
	outb(IER, IER_RX);
	outb(THR, 'x');
	data = wait_until(inb(LSR) & LSR_DR, WAIT_MS);
	inb(RBR);
	loop_end();
	close_irq4();
	CHECK(data);
}
