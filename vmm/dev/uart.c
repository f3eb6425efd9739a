/* SPDX-License-Identifier: BSD-2-Clause */
/* The 16550A: registers, FIFOs and the four levels of interrupts. */
#include "vmm/dev/uart.h"

#include "lib/bits.h"
#include "lib/clock.h"
#include "vmm/dev/bus.h"

/* Registers; the first two are the divisor while LCR.DLAB is set. */
enum { REG_DATA, REG_IER, REG_IIR, REG_LCR, REG_MCR, REG_LSR, REG_MSR, REG_SCR };
#define REG_FCR REG_IIR /* write only */

#define IER_RDA   BIT(0) /* received data available, and character timeout */
#define IER_THRE  BIT(1)
#define IER_RLS   BIT(2) /* receiver line status */
#define IER_MODEM BIT(3)
#define IER_MASK  0x0f

#define IIR_NONE    0x01
#define IIR_RLS     0x06
#define IIR_RDA     0x04
#define IIR_TIMEOUT 0x0c
#define IIR_THRE    0x02
#define IIR_MODEM   0x00
#define IIR_FIFO    0xc0 /* the FIFOs are on */

#define FCR_ENABLE   BIT(0)
#define FCR_CLEAR_RX BIT(1)
#define FCR_CLEAR_TX BIT(2)
#define FCR_KEEP     (FCR_ENABLE | 0xc8) /* DMA mode, trigger level */

#define LCR_BREAK BIT(6)
#define LCR_DLAB  BIT(7)

#define MCR_DTR  BIT(0)
#define MCR_RTS  BIT(1)
#define MCR_OUT1 BIT(2)
#define MCR_OUT2 BIT(3)
#define MCR_LOOP BIT(4)
#define MCR_MASK 0x1f

#define LSR_DR     BIT(0) /* data ready */
#define LSR_OE     BIT(1) /* overrun */
#define LSR_PE     BIT(2)
#define LSR_FE     BIT(3)
#define LSR_BI     BIT(4) /* break */
#define LSR_THRE   BIT(5)
#define LSR_TEMT   BIT(6)
#define LSR_FIFO   BIT(7) /* an error or break somewhere in the FIFO */
#define LSR_ERRORS (LSR_OE | LSR_PE | LSR_FE | LSR_BI)

#define MSR_DELTAS 0x0f
#define MSR_TERI   BIT(2) /* RI went away */
#define MSR_CTS    BIT(4)
#define MSR_DSR    BIT(5)
#define MSR_RI     BIT(6)
#define MSR_DCD    BIT(7)
#define MSR_LINES  0xf0
#define MSR_IDLE   (MSR_CTS | MSR_DSR | MSR_DCD) /* the other end is listening */

#define CLOCK_HZ      1843200ull /* divided by 16 and the divisor: the bit rate */
#define BITS_PER_CHAR 10

static bool has_fifo(const struct uart *u)
{
	return u->fcr & FCR_ENABLE;
}

static unsigned trigger_level(const struct uart *u)
{
	static const uint8_t level[] = {1, 4, 8, 14};

	return has_fifo(u) ? level[u->fcr >> 6] : 1;
}

/* The interrupt of highest priority that is enabled and pending. */
static uint8_t interrupt_id(const struct uart *u)
{
	if ((u->ier & IER_RLS) && (u->lsr & LSR_ERRORS))
		return IIR_RLS;
	if ((u->ier & IER_RDA) && u->fifo_len >= trigger_level(u))
		return IIR_RDA;
	if ((u->ier & IER_RDA) && u->timeout_pending)
		return IIR_TIMEOUT;
	if ((u->ier & IER_THRE) && u->thre_pending)
		return IIR_THRE;
	if ((u->ier & IER_MODEM) && (u->msr & MSR_DELTAS))
		return IIR_MODEM;
	return IIR_NONE;
}

/* OUT2 drives the buffer between the chip and the bus; loopback turns the pin off. */
static void update_irq(struct uart *u)
{
	bool wired = (u->mcr & (MCR_OUT2 | MCR_LOOP)) == MCR_OUT2;
	bool level = wired && interrupt_id(u) != IIR_NONE;

	if (level == u->irq_level)
		return;
	u->irq_level = level;
	irq_set(&u->irq, level);
}

/* Four character times after the last character came or was read (datasheet, FIFO mode). */
static void restart_timeout(struct uart *u)
{
	uint64_t divisor = u->divisor ? u->divisor : 1;

	u->timeout_pending = false;
	if (has_fifo(u) && u->fifo_len)
		timer_arm(&u->timer,
			  clock_ns() + 4 * BITS_PER_CHAR * 16 * divisor * NSEC_PER_SEC / CLOCK_HZ);
	else
		timer_cancel(&u->timer);
}

static void fire_timeout(struct timer *t)
{
	struct uart *u = container_of(t, struct uart, timer);

	spin_lock(u->lock);
	/* It may have been read, or the timer armed again, before the lock was ours. */
	if (u->fifo_len && has_fifo(u) && t->deadline_ns == TIMER_NEVER) {
		u->timeout_pending = true;
		update_irq(u);
	}
	spin_unlock(u->lock);
}

static bool is_receiver_full(const struct uart *u)
{
	return u->fifo_len == (has_fifo(u) ? UART_FIFO_SIZE : 1);
}

/* A break counts as an error of its character when that one is the next to be read. */
static void show_head_errors(struct uart *u)
{
	if (u->fifo_len && u->fifo_break[u->fifo_head]) {
		u->lsr |= LSR_BI;
		u->fifo_break[u->fifo_head] = false;
	}
}

static void push_fifo(struct uart *u, uint8_t byte, bool is_break)
{
	unsigned at = (u->fifo_head + u->fifo_len) % UART_FIFO_SIZE;

	u->fifo[at] = byte;
	u->fifo_break[at] = is_break;
	u->fifo_len++;
	show_head_errors(u);
	if (!u->timeout_pending)
		restart_timeout(u); /* one that has happened stays until a character is read */
}

/* Characters that wait on the line come in as far as there is room. */
static void drain_backlog(struct uart *u)
{
	while (u->backlog_len && !is_receiver_full(u) && !(u->mcr & MCR_LOOP)) {
		push_fifo(u, u->backlog[u->backlog_head], false);
		u->backlog_head = (u->backlog_head + 1) % UART_BACKLOG;
		if (--u->backlog_len == UART_GO_ON)
			u->sink->go_on(u->sink);
	}
}

unsigned uart_receive_room(const struct uart *u)
{
	return UART_BACKLOG - u->backlog_len;
}

void uart_receive(struct uart *u, uint8_t byte)
{
	if (u->backlog_len == UART_BACKLOG) {
		u->lsr |= LSR_OE;
	} else {
		u->backlog[(u->backlog_head + u->backlog_len) % UART_BACKLOG] = byte;
		u->backlog_len++;
		drain_backlog(u);
	}
	update_irq(u);
}

void uart_receive_break(struct uart *u)
{
	if (u->mcr & MCR_LOOP)
		return;
	if (is_receiver_full(u))
		u->lsr |= LSR_OE;
	else
		push_fifo(u, 0, true);
	update_irq(u);
}

static uint8_t read_data(struct uart *u)
{
	if (u->fifo_len) {
		u->rbr = u->fifo[u->fifo_head];
		u->fifo_head = (u->fifo_head + 1) % UART_FIFO_SIZE;
		u->fifo_len--;
		show_head_errors(u);
		restart_timeout(u);
		drain_backlog(u);
	}
	update_irq(u);
	return u->rbr;
}

static bool is_transmitter_empty(const struct uart *u)
{
	return !u->tx_len;
}

static uint8_t read_iir(struct uart *u)
{
	uint8_t id = interrupt_id(u);

	if (id == IIR_THRE) {
		u->thre_pending = false;
		update_irq(u);
	}
	return id | (has_fifo(u) ? IIR_FIFO : 0);
}

static uint8_t read_lsr(struct uart *u)
{
	uint8_t val = u->lsr | (u->fifo_len ? LSR_DR : 0);

	if (unlikely(!is_transmitter_empty(u)))
		uart_transmit(u); /* who polls need not wait for an interrupt of the machine's */
	if (is_transmitter_empty(u))
		val |= LSR_THRE | LSR_TEMT;
	for (unsigned i = 0; has_fifo(u) && i < u->fifo_len; i++) {
		if (u->fifo_break[(u->fifo_head + i) % UART_FIFO_SIZE])
			val |= LSR_FIFO;
	}
	if (has_fifo(u) && (u->lsr & (LSR_BI | LSR_PE | LSR_FE)))
		val |= LSR_FIFO;
	if (u->lsr) {
		u->lsr = 0;
		update_irq(u);
	}
	return val;
}

static uint8_t read_msr(struct uart *u)
{
	uint8_t val = u->msr;

	u->msr &= MSR_LINES;
	update_irq(u);
	return val;
}

static uint8_t read_port(void *dev, uint64_t port)
{
	struct uart *u = dev;
	bool dlab = u->lcr & LCR_DLAB;

	switch (port) {
	case REG_DATA:
		return dlab ? (uint8_t)u->divisor : read_data(u);
	case REG_IER:
		return dlab ? u->divisor >> 8 : u->ier;
	case REG_IIR:
		return read_iir(u);
	case REG_LCR:
		return u->lcr;
	case REG_MCR:
		return u->mcr;
	case REG_LSR:
		return read_lsr(u);
	case REG_MSR:
		return read_msr(u);
	default:
		return u->scr;
	}
}

/*
 * Writing the transmitter takes its interrupt away, though it may be there again at once: an input
 * that is triggered by edges sees each.
 */
static void drop_thre(struct uart *u)
{
	u->thre_pending = false;
	update_irq(u);
}

/* The transmitter has just fallen empty, or was written and is empty again. */
static void raise_thre(struct uart *u)
{
	u->thre_pending = true;
	update_irq(u);
}

void uart_transmit(struct uart *u)
{
	if (is_transmitter_empty(u))
		return;
	while (u->tx_len && u->sink->put(u->sink, u->tx[u->tx_head])) {
		u->tx_head = (u->tx_head + 1) % UART_FIFO_SIZE;
		u->tx_len--;
	}
	if (is_transmitter_empty(u))
		raise_thre(u);
}

/* Without its FIFO the transmitter holds one character, which the next one overwrites. */
static void push_transmitter(struct uart *u, uint8_t val)
{
	if (!has_fifo(u))
		u->tx_head = u->tx_len = 0;
	if (u->tx_len == UART_FIFO_SIZE)
		return;
	u->tx[(u->tx_head + u->tx_len) % UART_FIFO_SIZE] = val;
	u->tx_len++;
}

static void loop_back(struct uart *u, uint8_t val)
{
	if (is_receiver_full(u))
		u->lsr |= LSR_OE;
	else
		push_fifo(u, val, false);
	u->thre_pending = is_transmitter_empty(u); /* what waits for the line outside still does */
	update_irq(u);
}

/* Out as soon as written, if the other end takes it: the transmitter falls empty again at once. */
static void write_data(struct uart *u, uint8_t val)
{
	uart_transmit(u);
	drop_thre(u);
	if (u->mcr & MCR_LOOP)
		loop_back(u, val);
	else if (is_transmitter_empty(u) && u->sink->put(u->sink, val))
		raise_thre(u);
	else
		push_transmitter(u, val);
}

static void write_ier(struct uart *u, uint8_t val)
{
	/* Enabling the interrupt while the transmitter is empty asks for it. */
	if (!(u->ier & IER_THRE) && (val & IER_THRE) && is_transmitter_empty(u))
		u->thre_pending = true;
	u->ier = val & IER_MASK;
	update_irq(u);
}

static void write_fcr(struct uart *u, uint8_t val)
{
	bool toggled = (u->fcr ^ val) & FCR_ENABLE;

	if (toggled || ((val & FCR_ENABLE) && (val & FCR_CLEAR_RX))) {
		u->fifo_head = u->fifo_len = 0;
		u->lsr &= (uint8_t) ~(LSR_BI | LSR_PE | LSR_FE);
	}
	if ((toggled || ((val & FCR_ENABLE) && (val & FCR_CLEAR_TX))) && !is_transmitter_empty(u)) {
		u->tx_head = u->tx_len = 0;
		u->thre_pending = true;
	}
	u->fcr = (val & FCR_ENABLE) ? val & FCR_KEEP : 0; /* the rest needs the enable bit */
	restart_timeout(u);
	drain_backlog(u);
	update_irq(u);
}

/* Set the modem lines, and note what changed; of RI only the trailing edge counts. */
static void set_modem_lines(struct uart *u, uint8_t lines)
{
	uint8_t deltas = (u->msr ^ lines) & MSR_LINES;

	if (lines & MSR_RI)
		deltas &= (uint8_t)~MSR_RI;
	u->msr = lines | (u->msr & MSR_DELTAS) | deltas >> 4;
}

/* Loopback: the modem outputs come back as modem inputs. */
static uint8_t loop_lines(uint8_t mcr)
{
	return (mcr & MCR_RTS ? MSR_CTS : 0) | (mcr & MCR_DTR ? MSR_DSR : 0) |
	       (mcr & MCR_OUT1 ? MSR_RI : 0) | (mcr & MCR_OUT2 ? MSR_DCD : 0);
}

static void write_mcr(struct uart *u, uint8_t val)
{
	u->mcr = val & MCR_MASK;
	set_modem_lines(u, u->mcr & MCR_LOOP ? loop_lines(u->mcr) : MSR_IDLE);
	drain_backlog(u);
	update_irq(u);
}

static void write_lcr(struct uart *u, uint8_t val)
{
	bool starts_break = !(u->lcr & LCR_BREAK) && (val & LCR_BREAK);

	u->lcr = val;
	if (starts_break && (u->mcr & MCR_LOOP) && !is_receiver_full(u)) {
		push_fifo(u, 0, true);
		update_irq(u);
	}
}

static void write_port(void *dev, uint64_t port, uint8_t val)
{
	struct uart *u = dev;
	bool dlab = u->lcr & LCR_DLAB;

	switch (port) {
	case REG_DATA:
		if (dlab)
			u->divisor = (u->divisor & 0xff00) | val;
		else
			write_data(u, val);
		break;
	case REG_IER:
		if (dlab)
			u->divisor = (uint16_t)(u->divisor & 0xff) | (uint16_t)(val << 8);
		else
			write_ier(u, val);
		break;
	case REG_FCR:
		write_fcr(u, val);
		break;
	case REG_LCR:
		write_lcr(u, val);
		break;
	case REG_MCR:
		write_mcr(u, val);
		break;
	case REG_SCR:
		u->scr = val;
		break;
	default: /* LSR and MSR are read only */
		break;
	}
}

uint64_t uart_read(void *dev, uint64_t off, unsigned size)
{
	return bus_read_bytes(read_port, dev, off, size);
}

void uart_write(void *dev, uint64_t off, unsigned size, uint64_t val)
{
	bus_write_bytes(write_port, dev, off, size, val);
}

void uart_reset(struct uart *u)
{
	u->ier = u->lcr = u->mcr = u->scr = u->fcr = u->lsr = u->rbr = 0;
	u->msr = MSR_IDLE;
	u->divisor = 1;
	u->thre_pending = u->timeout_pending = false;
	u->fifo_head = u->fifo_len = 0;
	u->tx_head = u->tx_len = 0;
	u->backlog_head = u->backlog_len = 0;
	timer_cancel(&u->timer);
	update_irq(u);
}

void uart_init(struct uart *u, struct char_sink *sink, const struct irq_line *irq,
	       struct timer_queue *queue, struct spinlock *lock)
{
	*u = (struct uart){.sink = sink, .irq = *irq, .lock = lock};
	timer_init(&u->timer, queue, fire_timeout);
	uart_reset(u);
}
