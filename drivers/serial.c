/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * 16550 UARTs (National Semiconductor PC16550D data sheet). The line settings are programmed in
 * full: an emulated port may come up with five data bits, and truncate what it is given.
 */
#include "drivers/serial.h"

#include <stdbool.h>
#include <string.h>

#include "arch/x86/cpu.h"
#include "arch/x86/irq.h"
#include "arch/x86/stop.h"
#include "drivers/host_ioapic.h"
#include "lib/panic.h"
#include "lib/spinlock.h"

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
#define FCR_ENABLE  0x07 /* and clear both FIFOs */
#define LCR_8N1     0x03
#define LCR_DLAB    0x80
#define MCR_DTR_RTS 0x03
#define MCR_OUT2    0x08 /* lets the interrupt out on a PC */
#define IIR_FIFOS   0xc0
#define LSR_DR      0x01
#define LSR_THRE    0x20
#define LSR_TEMT    0x40

#define BASE_BAUD 115200
#define FIFO_LEN  16
#define MAX_PORTS 8
/* Looks at the transmitter, of a microsecond each on a real machine, before it counts as stuck; and
 * then. */
#define TX_TURNS       1000000
#define TX_STUCK_TURNS 1000
#define MAX_PER_IRQ    64

struct serial {
	uint16_t port; /* const; 0: free object */
	bool is_stuck; /* lock; the last wait for the transmitter was in vain */
	uint8_t room;  /* const; bytes that an empty transmitter takes */
	bool has_irq;  /* const after serial_enable_irqs() */
	struct spinlock lock;
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

static void write_log(struct log_sink *sink, const char *text, size_t len)
{
	struct serial *u = container_of(sink, struct serial, sink);
	const char *newline;
	size_t n;

	while (len) {
		newline = memchr(text, '\n', len);
		n = newline ? (size_t)(newline - text) : len;
		serial_write(u, text, n);
		if (!newline)
			return;
		serial_write(u, "\r\n", 2);
		text += n + 1;
		len -= n + 1;
	}
}

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
	u->sink.write = write_log;
	spin_init(&u->lock);
	u->port = port;
	return u;
}

/*
 * A port that nobody empties costs the full wait once, and a short one for each piece after that.
 * It may be an emulator's whose reader does not get the CPU for a while.
 */
static bool wait_for_room(struct serial *u)
{
	unsigned turns = u->is_stuck ? TX_STUCK_TURNS : TX_TURNS;

	for (; turns; turns--) {
		if (inb(u->port + UART_LSR) & LSR_THRE) {
			u->is_stuck = false;
			return true;
		}
		cpu_relax();
	}
	u->is_stuck = true;
	return false;
}

static void send(struct serial *u, const char *data, size_t len)
{
	size_t n;

	while (len && wait_for_room(u)) {
		for (n = min(len, (size_t)u->room), len -= n; n; n--)
			outb(u->port + UART_TX, (uint8_t)*data++);
	}
}

void serial_write(struct serial *u, const char *data, size_t len)
{
	/* In a panic the holder of the lock may have been stopped. */
	if (stop_in_progress()) {
		send(u, data, len);
		return;
	}
	spin_lock(&u->lock);
	send(u, data, len);
	spin_unlock(&u->lock);
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

/* Ports may share an interrupt: look at all. Reading IIR settles a spurious one. */
static void handle_irq(unsigned vector)
{
	unsigned i;

	for (i = 0; i < MAX_PORTS; i++) {
		if (!ports[i].has_irq)
			continue;
		(void)inb(ports[i].port + UART_IIR);
		receive(&ports[i]);
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

void serial_flush_all(void)
{
	unsigned i, turns;

	for (i = 0; i < MAX_PORTS; i++) {
		if (!ports[i].port)
			continue;
		for (turns = 0; turns < TX_TURNS; turns++)
			if (inb(ports[i].port + UART_LSR) & LSR_TEMT)
				break;
	}
}
