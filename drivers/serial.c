/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * 16550 UARTs (National Semiconductor PC16550D data sheet). The line settings are programmed in
 * full: an emulated port may come up with five data bits, and truncate what it is given. What is
 * sent goes through a ring (drivers/txring.h).
 */
#include "drivers/serial.h"

#include <stdbool.h>
#include <string.h>

#include "arch/x86/cpu.h"
#include "arch/x86/irq.h"
#include "drivers/host_ioapic.h"
#include "drivers/txring.h"
#include "lib/panic.h"

#define UART_RX  0 /* read */
#define UART_TX  0 /* write */
#define UART_DLL 0 /* with LCR_DLAB */
#define UART_DLM 1
#define UART_IER 1
#define UART_IIR 2 /* read */
#define UART_FCR 2 /* write */
#define UART_LCR 3
#define UART_MCR 4
#define UART_LSR 5
#define UART_SCR 7

#define IER_RX      BIT(0)
#define IER_THRE    BIT(1)
#define FCR_ENABLE  0x07 /* and clear both FIFOs */
#define LCR_8N1     0x03
#define LCR_DLAB    0x80
#define MCR_DTR_RTS 0x03
#define MCR_OUT2    0x08 /* lets the interrupt out on a PC */
#define IIR_NONE    0x01
#define IIR_FIFOS   0xc0
#define LSR_DR      0x01
#define LSR_THRE    0x20
#define LSR_TEMT    0x40

#define BASE_BAUD 115200
#define FIFO_LEN  16
#define MAX_PORTS 8
/* Looks at the transmitter, of a microsecond each on a real machine. */
#define FLUSH_TURNS 1000000
#define MAX_PER_IRQ 64
#define MAX_PASSES  8 /* over all ports, in one interrupt */

struct serial {
	uint16_t port;  /* const; 0: free object */
	uint8_t room;   /* const; bytes that an empty transmitter takes */
	uint8_t credit; /* lock of `tx`; bytes that it takes without another look */
	bool has_irq;   /* const after serial_enable_irqs() */
	struct tx_ring tx;
	void (*rx)(struct serial *u, uint8_t byte);
	struct log_sink sink;
};

static struct serial ports[MAX_PORTS];
static bool irqs_enabled;

uint16_t serial_port_of(const char *name)
{
	static const uint16_t addresses[] = {0x3f8, 0x2f8, 0x3e8, 0x2e8};

	if (strlen(name) != 4 || memcmp(name, "com", 3) || name[3] < '1' || name[3] > '4')
		return 0;
	return addresses[name[3] - '1'];
}

/* The ISA interrupt of a port, by the PC's convention; 0: none known. */
static unsigned port_irq(uint16_t port)
{
	switch (port) {
	case 0x3f8:
	case 0x3e8:
		return 4;
	case 0x2f8:
	case 0x2e8:
		return 3;
	default:
		return 0;
	}
}

/* The scratch register keeps what is written to it, if there is a UART. */
static bool is_present(uint16_t port)
{
	outb(port + UART_SCR, 0x5a);
	if (inb(port + UART_SCR) != 0x5a)
		return false;
	outb(port + UART_SCR, 0xa5);
	return inb(port + UART_SCR) == 0xa5;
}

static void set_line(uint16_t port, uint32_t baud)
{
	unsigned divisor = BASE_BAUD / baud;

	outb(port + UART_IER, 0);
	outb(port + UART_LCR, LCR_DLAB | LCR_8N1);
	outb(port + UART_DLL, divisor & 0xff);
	outb(port + UART_DLM, (uint8_t)(divisor >> 8));
	outb(port + UART_LCR, LCR_8N1);
	outb(port + UART_FCR, FCR_ENABLE);
	outb(port + UART_MCR, MCR_DTR_RTS);
}

static struct serial *find(uint16_t port)
{
	unsigned i;

	for (i = 0; i < MAX_PORTS; i++)
		if (ports[i].port == port)
			return &ports[i];
	return NULL;
}

static void put_text(struct serial *u, const char *text, size_t len)
{
	tx_put(&u->tx, text, len, TX_RING_LEN);
}

static void write_log(struct log_sink *sink, const char *text, size_t len)
{
	struct serial *u = container_of(sink, struct serial, sink);
	const char *newline;
	size_t n;

	while (len) {
		newline = memchr(text, '\n', len);
		n = newline ? (size_t)(newline - text) : len;
		put_text(u, text, n);
		if (!newline)
			return;
		put_text(u, "\r\n", 2);
		text += n + 1;
		len -= n + 1;
	}
}

static size_t pending_log(struct log_sink *sink)
{
	static_assert(TX_RING_LEN == LOG_SINK_ROOM, "an empty ring takes what the log believes");
	return tx_pending(&container_of(sink, struct serial, sink)->tx);
}

/* An empty transmitter takes a FIFO full. */
static size_t take(struct tx_ring *r, const char *data, size_t len)
{
	struct serial *u = container_of(r, struct serial, tx);
	size_t n;

	if (!u->credit && (inb(u->port + UART_LSR) & LSR_THRE))
		u->credit = u->room;
	n = min(len, (size_t)u->credit);
	u->credit -= (uint8_t)n;
	for (size_t i = 0; i < n; i++)
		outb(u->port + UART_TX, (uint8_t)data[i]);
	return n;
}

static void want_tx_irq(struct tx_ring *r, bool on)
{
	struct serial *u = container_of(r, struct serial, tx);

	if (u->has_irq)
		outb(u->port + UART_IER, IER_RX | (on ? IER_THRE : 0));
}

static const struct tx_ops tx_ops = {
	.take = take,
	.want_irq = want_tx_irq,
};

struct serial *serial_open(uint16_t port, uint32_t baud)
{
	struct serial *u = find(port);

	if (u)
		return u;
	u = find(0);
	if (!u || !is_present(port))
		return NULL;
	set_line(port, baud);
	u->room = (inb(port + UART_IIR) & IIR_FIFOS) == IIR_FIFOS ? FIFO_LEN : 1;
	u->sink =
		(struct log_sink){.write = write_log, .pending = pending_log, .takes_marks = true};
	tx_init(&u->tx, &tx_ops);
	u->port = port;
	return u;
}

struct tx_ring *serial_tx(struct serial *u)
{
	return &u->tx;
}

struct log_sink *serial_log_sink(struct serial *u)
{
	return &u->sink;
}

static void receive(struct serial *u)
{
	unsigned i;

	for (i = 0; i < MAX_PER_IRQ && (inb(u->port + UART_LSR) & LSR_DR); i++)
		u->rx(u, inb(u->port + UART_RX));
}

/* Reading IIR settles a spurious interrupt. Was there one? */
static bool serve(struct serial *u)
{
	bool asked = !(inb(u->port + UART_IIR) & IIR_NONE);

	receive(u);
	tx_drain(&u->tx);
	return asked;
}

/*
 * Ports may share an interrupt: look at all, until none asks. A line on which one asks while
 * another is served never falls, and so never rises again.
 */
static void handle_irq(unsigned vector)
{
	bool any = true;

	for (unsigned pass = 0; any && pass < MAX_PASSES; pass++) {
		any = false;
		for (unsigned i = 0; i < MAX_PORTS; i++)
			any |= ports[i].has_irq && serve(&ports[i]);
	}
}

static bool shares_irq(const struct serial *u)
{
	unsigned i;

	for (i = 0; i < MAX_PORTS; i++)
		if (&ports[i] != u && ports[i].has_irq &&
		    port_irq(ports[i].port) == port_irq(u->port))
			return true;
	return false;
}

static void enable_irq(struct serial *u)
{
	unsigned irq = port_irq(u->port);
	int vector;

	if (u->has_irq || !irqs_enabled)
		return;
	if (!irq) {
		log_warn("serial: no interrupt known for port 0x%x: no input", u->port);
		return;
	}
	if (!shares_irq(u)) {
		vector = irq_alloc_vector(handle_irq);
		if (vector < 0 || host_ioapic_route_isa(irq, (unsigned)vector) < 0) {
			log_warn("serial: no IOAPIC input for IRQ %u: no input on port 0x%x", irq,
				 u->port);
			return;
		}
	}
	u->has_irq = true;
	outb(u->port + UART_MCR, MCR_DTR_RTS | MCR_OUT2);
	outb(u->port + UART_IER, IER_RX);
	/* What came before the interrupt was on would block the edge of the next one. */
	receive(u);
}

void serial_set_rx(struct serial *u, void (*rx)(struct serial *u, uint8_t byte))
{
	u->rx = rx;
	enable_irq(u);
}

void serial_enable_irqs(void)
{
	unsigned i;

	irqs_enabled = true;
	for (i = 0; i < MAX_PORTS; i++)
		if (ports[i].port && ports[i].rx)
			enable_irq(&ports[i]);
}

bool serial_drain_all(bool *polled)
{
	bool any = false, more;

	*polled = false;
	for (unsigned i = 0; i < MAX_PORTS; i++) {
		more = ports[i].port && tx_look(&ports[i].tx);
		any |= more;
		*polled |= more && !ports[i].has_irq;
	}
	return any;
}

void serial_flush_all(void)
{
	unsigned i, turns;

	for (i = 0; i < MAX_PORTS; i++) {
		if (!ports[i].port)
			continue;
		tx_flush(&ports[i].tx);
		for (turns = 0; turns < FLUSH_TURNS; turns++)
			if (inb(ports[i].port + UART_LSR) & LSR_TEMT)
				break;
	}
}
