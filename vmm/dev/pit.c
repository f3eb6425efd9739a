/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * 8254: the ports, and channel 0's way to IRQ 0.
 *
 * Each rising edge of channel 0's OUT is delivered in its order from a host timer. When the host
 * was late, the edges that were missed follow quickly but one by one, so that a guest that
 * counts ticks loses none; after a longer stop (BACKLOG_TICKS) they are dropped, because a guest
 * that was paused wants no storm of old ticks.
 */
#include "lib/bits.h"
#include "lib/clock.h"
#include "vmm/dev/bus.h"
#include "vmm/dev/pit_channel.h"

#define CONTROL_PORT        3
#define CONTROL_SELECT      0xc0
#define CONTROL_ACCESS      0x30
#define CONTROL_MODE        0x0e
#define CONTROL_BCD         BIT(0)
#define SELECT_READ_BACK    3
#define READ_BACK_NO_COUNT  BIT(5)
#define READ_BACK_NO_STATUS BIT(4)
#define STATUS_OUT          BIT(7)
#define STATUS_NULL         BIT(6)

enum { ACCESS_LATCH, ACCESS_LSB, ACCESS_MSB, ACCESS_BOTH };

#define PORT61_GATE2    BIT(0)
#define PORT61_WRITABLE 0x0f
#define PORT61_REFRESH  BIT(4)
#define PORT61_OUT2     BIT(5)
#define REFRESH_TICKS   18 /* the 15 microseconds between two refreshes of an AT's memory */

#define BACKLOG_TICKS (PIT_HZ / 10)
/* The least time between two edges: what a guest can take, and a host can serve. */
#define MIN_GAP_NS (20 * NSEC_PER_USEC)

static uint64_t now_ticks(void)
{
	return mul_div(clock_ns(), PIT_HZ, NSEC_PER_SEC);
}

/* The first nanosecond at which now_ticks() is `tick`. */
static uint64_t tick_to_ns(uint64_t tick)
{
	return mul_div(tick, NSEC_PER_SEC, PIT_HZ) + 1;
}

/* --- channel 0 to IRQ 0 --- */

static void set_line(struct pit *p, bool level)
{
	if (level == p->irq_level)
		return;
	p->irq_level = level;
	irq_set(&p->irq, level);
}

/* Have the timer fire at the next edge, or where a waiting count changes it. */
static void arm(struct pit *p, uint64_t not_before_ns)
{
	const struct pit_channel *ch = &p->ch[0];
	uint64_t at = p->next_rise;

	if (at != TIMER_NEVER && ch->next_count)
		at = min(at, ch->load_at);
	if (at == TIMER_NEVER)
		timer_cancel(&p->timer);
	else
		timer_arm(&p->timer, max(tick_to_ns(at), not_before_ns));
}

/* A count that was waiting has been loaded: edges that are not yet due move. */
static void settle(struct pit *p, uint64_t now)
{
	struct pit_channel *ch = &p->ch[0];

	if (pit_channel_settle(ch, now) && p->next_rise > ch->load_at)
		p->next_rise = pit_channel_next_rise(ch, ch->load_at);
}

/* The edge after the one just delivered, and how soon: see the head of the file. */
static void schedule_next(struct pit *p, uint64_t now)
{
	const struct pit_channel *ch = &p->ch[0];
	uint64_t gap = mul_div(ch->count, NSEC_PER_SEC / 4, PIT_HZ);

	if (pit_channel_is_periodic(ch) && now - p->next_rise < BACKLOG_TICKS)
		p->next_rise += ch->count;
	else
		p->next_rise = pit_channel_next_rise(ch, now);
	arm(p, clock_ns() + max(gap, MIN_GAP_NS));
}

/* Deliver one edge if one is due. OUT is high after it in every mode. */
static void run(struct pit *p, uint64_t now)
{
	settle(p, now);
	if (p->next_rise > now) {
		arm(p, 0);
		return;
	}
	set_line(p, false);
	set_line(p, true);
	schedule_next(p, now);
}

static void fire(struct timer *t)
{
	struct pit *p = container_of(t, struct pit, timer);

	spin_lock(p->lock);
	run(p, now_ticks());
	spin_unlock(p->lock);
}

/*
 * Channel 0 is about to change. An edge that is due but whose timer has not come yet belongs to
 * the old programming; more of them are dropped.
 */
static void finish(struct pit *p, const struct pit_channel *ch, uint64_t now)
{
	if (ch == &p->ch[0] && p->next_rise <= now)
		run(p, now);
}

/* Channel 0 has changed: follow OUT as it is now. */
static void restart(struct pit *p, uint64_t now)
{
	set_line(p, pit_channel_out(&p->ch[0], now));
	p->next_rise = pit_channel_next_rise(&p->ch[0], now);
	arm(p, 0);
}

/* --- ports 0x40-0x43 --- */

static void latch_count(struct pit_channel *ch, uint64_t now)
{
	if (ch->latched_bytes)
		return;
	ch->latch = pit_channel_value(ch, now);
	ch->latched_bytes = ch->access == ACCESS_BOTH ? 2 : 1;
}

static void latch_status(struct pit_channel *ch, uint64_t now)
{
	if (ch->status_latched)
		return;
	ch->status_latched = true;
	ch->status = ch->access << 4 | ch->mode << 1 | ch->bcd;
	if (pit_channel_out(ch, now))
		ch->status |= STATUS_OUT;
	if (pit_channel_is_null(ch, now))
		ch->status |= STATUS_NULL;
}

static void read_back(struct pit *p, uint8_t cmd, uint64_t now)
{
	for (unsigned i = 0; i < 3; i++) {
		if (!(cmd & BIT(i + 1)))
			continue;
		if (!(cmd & READ_BACK_NO_COUNT))
			latch_count(&p->ch[i], now);
		if (!(cmd & READ_BACK_NO_STATUS))
			latch_status(&p->ch[i], now);
	}
}

static void program(struct pit *p, struct pit_channel *ch, uint8_t cmd, uint64_t now)
{
	unsigned mode = FIELD_GET(CONTROL_MODE, cmd);

	finish(p, ch, now);
	/* Modes 2 and 3 have a second encoding with the top bit set. */
	pit_channel_program(ch, mode > 5 ? mode & 3 : mode, cmd & CONTROL_BCD);
	ch->access = FIELD_GET(CONTROL_ACCESS, cmd);
	ch->write_high = ch->read_high = false;
	ch->status_latched = false;
	ch->latched_bytes = 0;
	if (ch == &p->ch[0])
		restart(p, now);
}

static void write_control(struct pit *p, uint8_t cmd, uint64_t now)
{
	unsigned select = FIELD_GET(CONTROL_SELECT, cmd);

	if (select == SELECT_READ_BACK)
		read_back(p, cmd, now);
	else if (FIELD_GET(CONTROL_ACCESS, cmd) == ACCESS_LATCH)
		latch_count(&p->ch[select], now);
	else
		program(p, &p->ch[select], cmd, now);
}

static void write_count(struct pit *p, struct pit_channel *ch, uint16_t val, uint64_t now)
{
	finish(p, ch, now);
	pit_channel_write_count(ch, val, now);
	if (ch != &p->ch[0])
		return;
	/* A count that waits for the end of the cycle leaves the edge that is due alone. */
	if (ch->next_count)
		arm(p, 0);
	else
		restart(p, now);
}

/* The first byte of two. In mode 0 it stops the count and lowers OUT. */
static void write_low(struct pit *p, struct pit_channel *ch, uint8_t val, uint64_t now)
{
	ch->write_low = val;
	if (ch->mode != 0)
		return;
	finish(p, ch, now);
	ch->loaded = false;
	if (ch == &p->ch[0])
		restart(p, now);
}

static void write_data(struct pit *p, struct pit_channel *ch, uint8_t val, uint64_t now)
{
	switch (ch->access) {
	case ACCESS_LSB:
		write_count(p, ch, val, now);
		break;
	case ACCESS_MSB:
		write_count(p, ch, val << 8, now);
		break;
	default:
		if (ch->write_high)
			write_count(p, ch, val << 8 | ch->write_low, now);
		else
			write_low(p, ch, val, now);
		ch->write_high = !ch->write_high;
	}
}

static void settle_all(struct pit *p, uint64_t now)
{
	settle(p, now);
	pit_channel_settle(&p->ch[1], now);
	pit_channel_settle(&p->ch[2], now);
}

static void write8(void *dev, uint64_t off, uint8_t val)
{
	struct pit *p = dev;
	uint64_t now = now_ticks();

	settle_all(p, now);
	if (off == CONTROL_PORT)
		write_control(p, val, now);
	else
		write_data(p, &p->ch[off], val, now);
}

/* The byte whose turn it is of a 16-bit value. */
static uint8_t next_byte(struct pit_channel *ch, uint16_t val)
{
	bool high = ch->access == ACCESS_MSB;

	if (ch->access == ACCESS_BOTH) {
		high = ch->read_high;
		ch->read_high = !high;
	}
	return high ? val >> 8 : val;
}

static uint8_t read8(void *dev, uint64_t off)
{
	struct pit *p = dev;
	struct pit_channel *ch = &p->ch[off];
	uint64_t now = now_ticks();

	if (off == CONTROL_PORT) /* write-only: the bus floats */
		return 0xff;
	if (ch->status_latched) {
		ch->status_latched = false;
		return ch->status;
	}
	if (ch->latched_bytes) {
		ch->latched_bytes--;
		return next_byte(ch, ch->latch);
	}
	settle_all(p, now);
	return next_byte(ch, pit_channel_value(ch, now));
}

uint64_t pit_read(void *dev, uint64_t off, unsigned size)
{
	return bus_read_bytes(read8, dev, off, size);
}

void pit_write(void *dev, uint64_t off, unsigned size, uint64_t val)
{
	bus_write_bytes(write8, dev, off, size, val);
}

/* --- port 0x61 --- */

uint64_t pit_speaker_read(void *dev, uint64_t off, unsigned size)
{
	struct pit *p = dev;
	uint64_t now = now_ticks();
	uint8_t val = p->port61;

	settle_all(p, now);
	if (now / REFRESH_TICKS & 1)
		val |= PORT61_REFRESH;
	if (pit_channel_out(&p->ch[2], now))
		val |= PORT61_OUT2;
	return val;
}

void pit_speaker_write(void *dev, uint64_t off, unsigned size, uint64_t val)
{
	struct pit *p = dev;

	p->port61 = val & PORT61_WRITABLE;
	pit_channel_set_gate(&p->ch[2], val & PORT61_GATE2, now_ticks());
}

void pit_set_pc_defaults(struct pit *p)
{
	write8(p, CONTROL_PORT,
	       FIELD_PREP(CONTROL_ACCESS, ACCESS_BOTH) | FIELD_PREP(CONTROL_MODE, 2));
	write8(p, 0, 0);
	write8(p, 0, 0);
}

void pit_reset(struct pit *p)
{
	for (unsigned i = 0; i < 3; i++)
		p->ch[i] = (struct pit_channel){.access = ACCESS_BOTH, .gate = i != 2};
	p->port61 = 0;
	p->next_rise = TIMER_NEVER;
	timer_cancel(&p->timer);
	set_line(p, false);
}

void pit_init(struct pit *p, const struct irq_line *irq, struct timer_queue *queue,
	      struct spinlock *lock)
{
	*p = (struct pit){.irq = *irq, .lock = lock};
	timer_init(&p->timer, queue, fire);
	pit_reset(p);
}
