/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * 16550 UARTs (National Semiconductor PC16550D data sheet). The line settings are programmed in
 * full: an emulated port may come up with five data bits, and truncate what it is given. What is
 * sent goes through a ring (drivers/txring.h).
 *
 * An interrupt is tried before it is relied on: what is written about it, by convention, in ACPI's
 * tables or in PCI configuration space, may be wrong, and nobody would hear what is typed. So the
 * transmitter, which is empty, is made to ask for one, and the local APIC is looked at.
 */
#include "drivers/serial.h"

#include <stdio.h>
#include <string.h>

#include "arch/x86/apic.h"
#include "arch/x86/cpu.h"
#include "arch/x86/irq.h"
#include "arch/x86/paging.h"
#include "arch/x86/tsc.h"
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
#define FCR_ENABLE  0x87 /* and clear both FIFOs; ask at 8 bytes, or when no more come */
#define LCR_8N1     0x03
#define LCR_DLAB    0x80
#define MCR_RTS     0x02
#define MCR_DTR_RTS 0x03
#define MCR_OUT2    0x08 /* lets the interrupt out on a PC */
#define IIR_NONE    0x01 /* no interrupt is pending */
#define IIR_FIFOS   0xc0
#define LSR_DR      0x01
#define LSR_THRE    0x20
#define LSR_TEMT    0x40
#define NO_DEVICE   0xff /* what is read where nothing answers (any more) */

#define FIFO_LEN 16
/* Looks at the transmitter, of a microsecond each on a real machine. */
#define FLUSH_TURNS 1000000
#define MAX_PER_IRQ 64
#define MAX_PASSES  8 /* over the ports of a line, in one interrupt */
/* How long to wait for an interrupt that has been asked for. */
#define TRY_STEP_NS 10000
#define TRY_STEPS   100
/* Interrupts in a row with which no port has anything to do with, until their line is shut. */
#define MAX_VAIN_IRQS 1000

/* An input of an I/O APIC that ports ask on. */
struct line {
	bool is_used; /* all of a line: boot CPU */
	uint32_t gsi;
	unsigned vector;
	unsigned vain_irqs; /* in a row, that no port had asked for */
};

struct serial {
	struct serial_uart uart; /* const; stride 0: free object */
	volatile uint8_t *regs;  /* const; NULL: at I/O ports */
	uint8_t room;            /* const; bytes that an empty transmitter takes */
	uint8_t credit;          /* lock of `tx`; bytes that it takes without another look */
	bool was_tried;          /* boot CPU: `line` says whether there is an interrupt */
	struct line *line;       /* boot CPU; NULL: polled */
	_Atomic bool has_irq;    /* boot CPU writes; it has a line, for who fills `tx` */
	bool is_held;            /* lock of `tx`; what comes in stays in the port */
	struct tx_ring tx;
	bool (*rx)(struct serial *u, uint8_t byte);
	struct log_sink sink;
};

static struct serial ports[SERIAL_MAX_PORTS];
static struct line lines[SERIAL_MAX_PORTS];
static bool irqs_enabled;
static bool is_polled; /* boot CPU: a port with a receiver has no interrupt */

static uint8_t read_reg(const struct serial *u, unsigned reg)
{
	volatile uint8_t *p = u->regs + reg * u->uart.stride;

	if (!u->regs)
		return inb((uint16_t)(u->uart.base + reg * u->uart.stride));
	switch (u->uart.width) {
	case 1:
		return mmio_read8(p);
	case 2:
		return (uint8_t)mmio_read16(p);
	default:
		return (uint8_t)mmio_read32(p);
	}
}

static void write_reg(const struct serial *u, unsigned reg, uint8_t val)
{
	volatile uint8_t *p = u->regs + reg * u->uart.stride;

	if (!u->regs) {
		outb((uint16_t)(u->uart.base + reg * u->uart.stride), val);
		return;
	}
	switch (u->uart.width) {
	case 1:
		mmio_write8(p, val);
		break;
	case 2:
		mmio_write16(p, val);
		break;
	default:
		mmio_write32(p, val);
	}
}

/* The scratch register keeps what is written to it, if there is a UART. */
static bool is_present(const struct serial *u)
{
	write_reg(u, UART_SCR, 0x5a);
	if (read_reg(u, UART_SCR) != 0x5a)
		return false;
	write_reg(u, UART_SCR, 0xa5);
	return read_reg(u, UART_SCR) == 0xa5;
}

static void set_speed(const struct serial *u)
{
	/* Of 64 bits: a firmware's table may give a clock of any number. */
	uint64_t rate = 16ull * u->uart.baud;
	uint64_t divisor = (u->uart.clock + rate / 2) / rate;

	divisor = max(divisor, (uint64_t)1);
	divisor = min(divisor, (uint64_t)0xffff);
	write_reg(u, UART_LCR, LCR_DLAB | LCR_8N1);
	write_reg(u, UART_DLL, divisor & 0xff);
	write_reg(u, UART_DLM, (uint8_t)(divisor >> 8));
}

static void set_line(const struct serial *u)
{
	write_reg(u, UART_IER, 0);
	if (u->uart.baud)
		set_speed(u);
	write_reg(u, UART_LCR, LCR_8N1);
	write_reg(u, UART_FCR, FCR_ENABLE);
	write_reg(u, UART_MCR, MCR_DTR_RTS);
}

static struct serial *find(const struct serial_uart *uart)
{
	for (unsigned i = 0; i < SERIAL_MAX_PORTS; i++) {
		const struct serial_uart *u = &ports[i].uart;

		if (u->stride && u->is_mmio == uart->is_mmio && u->base == uart->base)
			return &ports[i];
	}
	return NULL;
}

static struct serial *find_free(void)
{
	for (unsigned i = 0; i < SERIAL_MAX_PORTS; i++) {
		if (!ports[i].uart.stride)
			return &ports[i];
	}
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

static bool is_ready(const struct serial *u)
{
	return read_reg(u, UART_LSR) & LSR_THRE;
}

/* An empty transmitter takes a FIFO full. */
static size_t take(struct tx_ring *r, const char *data, size_t len)
{
	struct serial *u = container_of(r, struct serial, tx);
	size_t n;

	if (!u->credit && is_ready(u))
		u->credit = u->room;
	n = min(len, (size_t)u->credit);
	u->credit -= (uint8_t)n;
	for (size_t i = 0; i < n; i++)
		write_reg(u, UART_TX, (uint8_t)data[i]);
	return n;
}

/* The lock of `tx` is held. */
static void write_ier(const struct serial *u, bool wants_tx)
{
	if (atomic_load_explicit(&u->has_irq, memory_order_relaxed))
		write_reg(u, UART_IER, (u->is_held ? 0 : IER_RX) | (wants_tx ? IER_THRE : 0));
}

static void want_tx_irq(struct tx_ring *r, bool on)
{
	write_ier(container_of(r, struct serial, tx), on);
}

static const struct tx_ops tx_ops = {
	.take = take,
	.want_irq = want_tx_irq,
};

/* Registers in memory: map them. NULL, or why that cannot be. */
static const char *map_regs(struct serial *u)
{
	uint64_t base = u->uart.base, len = SERIAL_UART_LEN(&u->uart);

	u->regs = NULL;
	if (!u->uart.is_mmio)
		return base + len > 0x10000 ? "outside the I/O ports" : NULL;
	if (!IS_ALIGNED(base, u->uart.width))
		return "not aligned";
	if (base + len < base || base + len > paging_limit())
		return "outside the address space";
	if (paging_is_memory(HPA(base), len))
		return "memory is there, not a device";
	u->regs = paging_map(HPA(base), len, PAGING_UC);
	return NULL;
}

struct serial *serial_open(const struct serial_uart *uart, const char **why)
{
	struct serial *u = find(uart);

	if (u)
		return u;
	u = find_free();
	if (!u) {
		*why = "too many serial ports";
		return NULL;
	}
	memset(u, 0, sizeof(*u));
	u->uart = *uart;
	*why = map_regs(u);
	if (!*why && !is_present(u))
		*why = "no serial port there";
	if (*why) {
		u->uart.stride = 0;
		return NULL;
	}
	set_line(u);
	u->room = (read_reg(u, UART_IIR) & IIR_FIFOS) == IIR_FIFOS ? FIFO_LEN : 1;
	u->sink =
		(struct log_sink){.write = write_log, .pending = pending_log, .takes_marks = true};
	tx_init(&u->tx, &tx_ops);
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

/* Of a port that has gone (a card that was drawn) all bits are set, for ever. */
static bool has_input(const struct serial *u)
{
	uint8_t lsr = read_reg(u, UART_LSR);

	return lsr != NO_DEVICE && (lsr & LSR_DR);
}

/* Enabling the interrupt again asks for what has come meanwhile (data sheet, IER bit 0). */
static void hold(struct serial *u, bool on)
{
	uint8_t mcr = read_reg(u, UART_MCR);

	spin_lock(&u->tx.lock);
	u->is_held = on;
	write_reg(u, UART_MCR, on ? mcr & (uint8_t)~MCR_RTS : mcr | MCR_RTS);
	write_ier(u, u->tx.wants_irq);
	spin_unlock(&u->tx.lock);
}

static void receive(struct serial *u)
{
	for (unsigned i = 0; i < MAX_PER_IRQ && !u->is_held && has_input(u); i++) {
		if (!u->rx(u, read_reg(u, UART_RX)))
			hold(u, true);
	}
}

void serial_resume_rx(struct serial *u)
{
	if (u->is_held)
		hold(u, false);
}

/* True: it was this port that asked. Reading IIR settles a spurious interrupt. */
static bool serve(struct serial *u)
{
	bool asked = !(read_reg(u, UART_IIR) & IIR_NONE);

	receive(u);
	tx_drain(&u->tx);
	return asked;
}

/* --- interrupts --- */

static void name_port(const struct serial *u, char *text, size_t len)
{
	snprintf(text, len, "%s 0x%llx", u->uart.is_mmio ? "address" : "port",
		 (unsigned long long)u->uart.base);
}

static void poll_from_now_on(struct serial *u)
{
	u->line = NULL;
	/* The ring's lock: want_tx_irq() must not switch on again what is off here. */
	spin_lock(&u->tx.lock);
	atomic_store(&u->has_irq, false);
	write_reg(u, UART_IER, 0);
	spin_unlock(&u->tx.lock);
	is_polled = true;
}

static void close_line(struct line *line)
{
	host_ioapic_mask(line->gsi);
	irq_unregister(line->vector);
	line->is_used = false;
}

/*
 * A device that we know nothing of asks on this line, and is not answered: it would ask for ever.
 * Or the line's polarity is the other one.
 */
static void shut(struct line *line)
{
	log_warn("serial: interrupt %u comes for nothing: input is polled", line->gsi);
	for (unsigned i = 0; i < SERIAL_MAX_PORTS; i++) {
		if (ports[i].line == line)
			poll_from_now_on(&ports[i]);
	}
	close_line(line);
}

static struct line *line_of(unsigned vector)
{
	for (unsigned i = 0; i < SERIAL_MAX_PORTS; i++) {
		if (lines[i].is_used && lines[i].vector == vector)
			return &lines[i];
	}
	return NULL;
}

/* Has one of the line's ports asked? */
static bool serve_line(const struct line *line)
{
	bool asked = false;

	for (unsigned i = 0; i < SERIAL_MAX_PORTS; i++)
		asked |= ports[i].line == line && serve(&ports[i]);
	return asked;
}

/*
 * Ports may share an interrupt: look at all, until none asks. A line on which one asks while
 * another is served never falls, and so never rises again.
 */
static void handle_irq(unsigned vector)
{
	struct line *line = line_of(vector);
	unsigned passes = 0;

	if (!line)
		return;
	while (passes < MAX_PASSES && serve_line(line))
		passes++;
	line->vain_irqs = passes ? 0 : line->vain_irqs + 1;
	if (line->vain_irqs == MAX_VAIN_IRQS)
		shut(line);
}

/*
 * Does an interrupt of this port arrive? Interrupts are closed here, so it is seen in the local
 * APIC, and taken later. A transmitter that does not get empty cannot ask, and what the line has to
 * say for another port has been heard already: then it is believed.
 */
static bool does_irq_come(const struct serial *u, const struct line *line)
{
	bool comes = apic_is_pending(line->vector);

	write_reg(u, UART_IER, IER_THRE);
	for (unsigned i = 0; i < TRY_STEPS && !comes; i++) {
		tsc_delay_ns(TRY_STEP_NS);
		comes = apic_is_pending(line->vector);
	}
	comes |= !(read_reg(u, UART_LSR) & LSR_THRE);
	write_reg(u, UART_IER, 0);
	return comes;
}

static struct line *find_line(uint32_t gsi)
{
	for (unsigned i = 0; i < SERIAL_MAX_PORTS; i++) {
		if (lines[i].is_used && lines[i].gsi == gsi)
			return &lines[i];
	}
	return NULL;
}

/* NULL: no I/O APIC has this interrupt, or there is no vector left. As many lines as ports. */
static struct line *open_line(uint32_t gsi)
{
	struct line *line = lines;
	int vector = irq_alloc_vector(handle_irq);

	if (vector < 0)
		return NULL;
	if (host_ioapic_route(gsi, (unsigned)vector) < 0) {
		irq_unregister((unsigned)vector);
		return NULL;
	}
	while (line->is_used)
		line++;
	*line = (struct line){.is_used = true, .gsi = gsi, .vector = (unsigned)vector};
	return line;
}

/* The line on which this port's interrupt is known to come, or NULL. */
static struct line *try_irq(const struct serial *u)
{
	const struct serial_irq *irq = &u->uart.irq;
	uint32_t gsi = irq->kind == SERIAL_IRQ_ISA ? host_ioapic_gsi(irq->number) : irq->number;
	struct line *line;
	bool is_shared;

	if (irq->kind == SERIAL_IRQ_NONE)
		return NULL;
	line = find_line(gsi);
	is_shared = line;
	line = line ? line : open_line(gsi);
	if (!line)
		return NULL;
	write_reg(u, UART_MCR, MCR_DTR_RTS | MCR_OUT2);
	if (does_irq_come(u, line))
		return line;
	write_reg(u, UART_MCR, MCR_DTR_RTS);
	if (!is_shared)
		close_line(line);
	return NULL;
}

static void say_polled(const struct serial *u)
{
	char name[32];

	name_port(u, name, sizeof(name));
	log_info("serial: %s: %s: input is polled", name,
		 u->uart.irq.kind == SERIAL_IRQ_NONE ? "no interrupt is known"
						     : "its interrupt does not come");
}

static void enable_irq(struct serial *u)
{
	if (u->was_tried || !irqs_enabled)
		return;
	u->was_tried = true;
	u->line = try_irq(u);
	if (u->line) {
		write_reg(u, UART_IER, IER_RX);
		atomic_store(&u->has_irq, true);
	} else {
		say_polled(u);
		is_polled = true;
	}
	/* What came before the interrupt was on would block the edge of the next one. */
	receive(u);
}

void serial_set_rx(struct serial *u, bool (*rx)(struct serial *u, uint8_t byte))
{
	u->rx = rx;
	enable_irq(u);
}

void serial_enable_irqs(void)
{
	irqs_enabled = true;
	for (unsigned i = 0; i < SERIAL_MAX_PORTS; i++) {
		if (ports[i].rx)
			enable_irq(&ports[i]);
	}
}

bool serial_is_polled(void)
{
	return is_polled;
}

void serial_poll(void)
{
	for (unsigned i = 0; i < SERIAL_MAX_PORTS; i++) {
		if (ports[i].was_tried && !ports[i].line)
			receive(&ports[i]);
	}
}

bool serial_drain_all(bool *polled)
{
	bool any = false, more;

	*polled = false;
	for (unsigned i = 0; i < SERIAL_MAX_PORTS; i++) {
		more = ports[i].uart.stride && tx_look(&ports[i].tx);
		any |= more;
		*polled |= more && !ports[i].has_irq;
	}
	return any;
}

void serial_flush_all(void)
{
	unsigned i, turns;

	for (i = 0; i < SERIAL_MAX_PORTS; i++) {
		if (!ports[i].uart.stride)
			continue;
		tx_flush(&ports[i].tx);
		for (turns = 0; turns < FLUSH_TURNS; turns++)
			if (read_reg(&ports[i], UART_LSR) & LSR_TEMT)
				break;
	}
}
