/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * MC146818: the time is a base and the clock, written into the registers only while the guest
 * has the clock stopped (register B's SET, or the divider held in reset). Update, alarm and
 * periodic events are computed when the guest reads a register, or when a host timer says that an
 * enabled one is due: sync() collects into register C all events since the last look.
 */
#include "lib/bits.h"
#include "lib/clock.h"
#include "vmm/dev/bus.h"
#include "vmm/dev/rtc.h"
#include "vmm/dev/rtc_time.h"
#include "vmm/dev/e820.h"

enum {
	REG_SECOND,
	REG_SECOND_ALARM,
	REG_MINUTE,
	REG_MINUTE_ALARM,
	REG_HOUR,
	REG_HOUR_ALARM,
	REG_WEEKDAY,
	REG_DAY,
	REG_MONTH,
	REG_YEAR,
	REG_A,
	REG_B,
	REG_C,
	REG_D,
	FIRST_CMOS,
};

#define A_UIP         BIT(7) /* update in progress */
#define A_DIVIDER     0x70
#define A_DIVIDER_32K 0x20 /* runs; the AT's crystal allows no other setting that does */
#define A_RATE        0x0f
#define B_SET         BIT(7) /* the clock stands still and may be set */
#define B_BINARY      BIT(2)
#define B_24H         BIT(1)
#define B_SQWE        BIT(3)
#define C_IRQ         BIT(7)
#define C_PERIODIC    BIT(6) /* these three: flags in C, enables in B */
#define C_ALARM       BIT(5)
#define C_UPDATE      BIT(4)
#define C_EVENTS      (C_PERIODIC | C_ALARM | C_UPDATE)
#define D_VALID       BIT(7)
#define HOUR_PM       BIT(7)
#define ALARM_ANY     0xc0 /* both bits: matches every value */

#define CRYSTAL_HZ 32768
/* UIP rises 244 us before an update, which takes 1984 us and ends with the new second. */
#define UIP_NS (2228 * NSEC_PER_USEC)

/* The clock's time, ahead by a second so that half a second before it is never negative. */
static uint64_t now_ns(void)
{
	return clock_ns() + NSEC_PER_SEC;
}

static bool divider_runs(const struct rtc *r)
{
	return (r->cmos[REG_A] & A_DIVIDER) == A_DIVIDER_32K;
}

static bool is_running(const struct rtc *r)
{
	return divider_runs(r) && !(r->cmos[REG_B] & B_SET);
}

/* Whole seconds since the base. */
static uint64_t ticks(const struct rtc *r, uint64_t ns)
{
	return (ns - r->base_ns) / NSEC_PER_SEC;
}

/* --- the registers' formats --- */

static uint8_t encode(const struct rtc *r, unsigned val)
{
	return (r->cmos[REG_B] & B_BINARY) ? val : val / 10 << 4 | val % 10;
}

static unsigned decode(const struct rtc *r, uint8_t val)
{
	return (r->cmos[REG_B] & B_BINARY) ? val : (val >> 4) * 10 + (val & 0xf);
}

/* 12-hour format: 12, 1, ... 11, with bit 7 in the afternoon. */
static uint8_t encode_hour(const struct rtc *r, unsigned hour)
{
	if (r->cmos[REG_B] & B_24H)
		return encode(r, hour);
	return encode(r, hour % 12 ? hour % 12 : 12) | (hour >= 12 ? HOUR_PM : 0);
}

static unsigned decode_hour(const struct rtc *r, uint8_t val)
{
	if (r->cmos[REG_B] & B_24H)
		return decode(r, val);
	return decode(r, val & ~HOUR_PM) % 12 + ((val & HOUR_PM) ? 12 : 0);
}

/* The time at `ns` into the registers. */
static void show_time(struct rtc *r, uint64_t ns)
{
	struct rtc_time t;

	rtc_time_from_seconds(r->base_s + ticks(r, ns), &t);
	r->cmos[REG_SECOND] = encode(r, t.second);
	r->cmos[REG_MINUTE] = encode(r, t.minute);
	r->cmos[REG_HOUR] = encode_hour(r, t.hour);
	r->cmos[REG_WEEKDAY] = encode(r, (t.weekday + r->weekday_shift) % 7 + 1);
	r->cmos[REG_DAY] = encode(r, t.day);
	r->cmos[REG_MONTH] = encode(r, t.month);
	r->cmos[REG_YEAR] = encode(r, t.year % 100);
	r->cmos[RTC_CENTURY] = encode(r, t.year / 100 % 100);
}

/* The registers' time becomes the time at `ns`; the moment of the next update stays. */
static void take_time(struct rtc *r, uint64_t ns)
{
	struct rtc_time t = {
		.second = decode(r, r->cmos[REG_SECOND]),
		.minute = decode(r, r->cmos[REG_MINUTE]),
		.hour = decode_hour(r, r->cmos[REG_HOUR]),
		.day = decode(r, r->cmos[REG_DAY]),
		.month = decode(r, r->cmos[REG_MONTH]),
		.year = decode(r, r->cmos[RTC_CENTURY]) * 100 + decode(r, r->cmos[REG_YEAR]),
	};
	unsigned weekday = decode(r, r->cmos[REG_WEEKDAY]);

	/* A clock that shows a time before 1970 has lost it: the epoch is as good. */
	r->base_s = max(rtc_time_to_seconds(&t), (int64_t)0);
	r->base_ns += ticks(r, ns) * NSEC_PER_SEC;
	rtc_time_from_seconds(r->base_s, &t);
	/* The chip counts weekdays on from whatever they were set to. */
	r->weekday_shift = (weekday + 6 + 7 - t.weekday) % 7;
}

/* --- events --- */

/* How many periods of the square wave have begun at `ns`; 0 with the rate off. */
static uint64_t periods(const struct rtc *r, uint64_t ns)
{
	unsigned rate = r->cmos[REG_A] & A_RATE;

	if (!rate)
		return 0;
	/* The two fastest settings repeat 256 and 128 Hz. */
	return mul_div(ns - r->base_ns, CRYSTAL_HZ, NSEC_PER_SEC) >>
	       (rate < 3 ? rate + 6 : rate - 1);
}

/* When the next period begins after `ns`. */
static uint64_t next_period(const struct rtc *r, uint64_t ns)
{
	unsigned rate = r->cmos[REG_A] & A_RATE;
	uint64_t crystal = (periods(r, ns) + 1) << (rate < 3 ? rate + 6 : rate - 1);

	if (!rate)
		return TIMER_NEVER;
	return r->base_ns + mul_div(crystal, NSEC_PER_SEC, CRYSTAL_HZ) + 1;
}

static bool alarm_matches(uint8_t alarm, uint8_t value)
{
	return (alarm & ALARM_ANY) == ALARM_ANY || alarm == value;
}

/*
 * The next match is searched from the hour down: `from` and the result count in the unit above
 * (seconds of the minute, of the hour, of the day); -1 is no match. Each level asks first whether
 * the ones below match at all, so an impossible alarm does not cost a day's search.
 */
static int find_in_minute(const struct rtc *r, int from)
{
	for (int s = from; s < 60; s++) {
		if (alarm_matches(r->cmos[REG_SECOND_ALARM], encode(r, s)))
			return s;
	}
	return -1;
}

static int find_in_hour(const struct rtc *r, int from)
{
	if (find_in_minute(r, 0) < 0)
		return -1;
	for (int m = from / 60; m < 60; m++) {
		int s;

		if (!alarm_matches(r->cmos[REG_MINUTE_ALARM], encode(r, m)))
			continue;
		s = find_in_minute(r, m == from / 60 ? from % 60 : 0);
		if (s >= 0)
			return m * 60 + s;
	}
	return -1;
}

static int find_in_day(const struct rtc *r, int from)
{
	if (find_in_hour(r, 0) < 0)
		return -1;
	for (int h = from / 3600; h < 24; h++) {
		int s;

		if (!alarm_matches(r->cmos[REG_HOUR_ALARM], encode_hour(r, h)))
			continue;
		s = find_in_hour(r, h == from / 3600 ? from % 3600 : 0);
		if (s >= 0)
			return h * 3600 + s;
	}
	return -1;
}

/* How many seconds after the time `s` the next alarm comes (1 or more), or 0: never. */
static uint64_t seconds_to_alarm(const struct rtc *r, int64_t s)
{
	int next = (s + 1) % 86400, found = find_in_day(r, next);

	if (found >= 0)
		return found - next + 1;
	found = find_in_day(r, 0);
	return found >= 0 ? found + 86400 - next + 1 : 0;
}

static uint64_t next_update(const struct rtc *r, uint64_t ns)
{
	return is_running(r) ? r->base_ns + (ticks(r, ns) + 1) * NSEC_PER_SEC : TIMER_NEVER;
}

static uint64_t next_alarm(const struct rtc *r, uint64_t ns)
{
	uint64_t left = seconds_to_alarm(r, r->base_s + ticks(r, ns));

	if (!is_running(r) || !left)
		return TIMER_NEVER;
	return r->base_ns + (ticks(r, ns) + left) * NSEC_PER_SEC;
}

/* Interrupt request: any flag whose enable is set. */
static void update_irq(struct rtc *r)
{
	uint8_t c = r->cmos[REG_C] & C_EVENTS;
	bool irq = c & r->cmos[REG_B];

	r->cmos[REG_C] = irq ? c | C_IRQ : c;
	if (irq == r->irq_level)
		return;
	r->irq_level = irq;
	irq_set(&r->irq, irq);
}

/* Collect the events since the last look. */
static void sync(struct rtc *r, uint64_t ns)
{
	uint64_t since = r->synced_ns;

	if (divider_runs(r) && periods(r, ns) != periods(r, since))
		r->cmos[REG_C] |= C_PERIODIC;
	if (next_update(r, since) <= ns)
		r->cmos[REG_C] |= C_UPDATE;
	/* The search is long: only where it can change something. */
	if (!(r->cmos[REG_C] & C_ALARM) && next_update(r, since) <= ns &&
	    next_alarm(r, since) <= ns)
		r->cmos[REG_C] |= C_ALARM;
	r->synced_ns = ns;
	update_irq(r);
}

/* Have the timer fire at the next event that is enabled; one whose flag is up says no more. */
static void arm(struct rtc *r)
{
	uint8_t wanted = r->cmos[REG_B] & C_EVENTS & ~r->cmos[REG_C];
	uint64_t at = TIMER_NEVER, ns = r->synced_ns;

	if (r->cmos[REG_C] & C_IRQ || !divider_runs(r))
		wanted = 0;
	if (wanted & C_PERIODIC)
		at = min(at, next_period(r, ns));
	if (wanted & C_UPDATE)
		at = min(at, next_update(r, ns));
	if (wanted & C_ALARM)
		at = min(at, next_alarm(r, ns));
	if (at == TIMER_NEVER)
		timer_cancel(&r->timer);
	else
		timer_arm(&r->timer, at - NSEC_PER_SEC);
}

static void fire(struct timer *t)
{
	struct rtc *r = container_of(t, struct rtc, timer);

	spin_lock(r->lock);
	sync(r, now_ns());
	arm(r);
	spin_unlock(r->lock);
}

/* --- registers --- */

/* Change register A or B; the clock may stop or start by it. */
static void write_control(struct rtc *r, unsigned reg, uint8_t val, uint64_t ns)
{
	bool ran = is_running(r), divided = divider_runs(r);

	if (ran)
		show_time(r, ns);
	r->cmos[reg] = val;
	if (divider_runs(r) && !divided) /* the first update comes half a second later */
		r->base_ns = ns - NSEC_PER_SEC / 2;
	if (is_running(r) && !ran)
		take_time(r, ns);
}

static bool is_time(unsigned reg)
{
	return reg <= REG_YEAR && reg != REG_SECOND_ALARM && reg != REG_MINUTE_ALARM &&
	       reg != REG_HOUR_ALARM;
}

/* A time register may be written while the clock runs, too. */
static void write_time(struct rtc *r, unsigned reg, uint8_t val, uint64_t ns)
{
	if (is_running(r))
		show_time(r, ns);
	r->cmos[reg] = val;
	if (is_running(r))
		take_time(r, ns);
}

static void write_register(struct rtc *r, unsigned reg, uint8_t val)
{
	uint64_t ns = now_ns();

	sync(r, ns);
	if (is_time(reg) || reg == RTC_CENTURY)
		write_time(r, reg, val, ns);
	else if (reg == REG_A)
		write_control(r, reg, val & ~A_UIP, ns);
	else if (reg == REG_B)
		write_control(r, reg, (val & B_SET) ? val & ~C_UPDATE : val, ns);
	else if (reg != REG_C && reg != REG_D)
		r->cmos[reg] = val;
	update_irq(r);
	arm(r);
}

static uint8_t read_status_a(const struct rtc *r, uint64_t ns)
{
	bool uip = is_running(r) && next_update(r, ns) - ns <= UIP_NS;

	return r->cmos[REG_A] | (uip ? A_UIP : 0);
}

/* Reading the flags clears them, and with them the interrupt request. */
static uint8_t read_status_c(struct rtc *r, uint64_t ns)
{
	uint8_t val;

	sync(r, ns);
	val = r->cmos[REG_C];
	r->cmos[REG_C] = 0;
	update_irq(r);
	arm(r);
	return val;
}

static uint8_t read_register(struct rtc *r, unsigned reg)
{
	uint64_t ns = now_ns();

	if (reg == REG_A)
		return read_status_a(r, ns);
	if (reg == REG_C)
		return read_status_c(r, ns);
	if ((is_time(reg) || reg == RTC_CENTURY) && is_running(r))
		show_time(r, ns);
	return r->cmos[reg];
}

static uint8_t read8(void *dev, uint64_t off)
{
	struct rtc *r = dev;

	return off == 0 ? 0xff : read_register(r, r->index); /* the index is write-only */
}

static void write8(void *dev, uint64_t off, uint8_t val)
{
	struct rtc *r = dev;

	if (off == 0)
		r->index = val & 0x7f; /* bit 7 would mask NMI */
	else
		write_register(r, r->index, val);
}

uint64_t rtc_read(void *dev, uint64_t off, unsigned size)
{
	return bus_read_bytes(read8, dev, off, size);
}

void rtc_write(void *dev, uint64_t off, unsigned size, uint64_t val)
{
	bus_write_bytes(write8, dev, off, size, val);
}

void rtc_set_cmos(struct rtc *r, uint8_t index, uint8_t val)
{
	if (index >= FIRST_CMOS && index < sizeof(r->cmos))
		r->cmos[index] = val;
}

/* --- life --- */

static void set_cmos16(struct rtc *r, uint8_t index, uint64_t val)
{
	rtc_set_cmos(r, index, val);
	rtc_set_cmos(r, index + 1, val >> 8);
}

/* The memory sizes where a PC's firmware looks for them; each field holds what fits into it. */
static void set_memory_size(struct rtc *r, uint64_t ram_bytes)
{
	uint64_t low = min(ram_bytes, RAM_LOW_LIMIT), high = ram_bytes - low;
	uint64_t above_1m = low >> 20 ? (low - (1 << 20)) >> 10 : 0;
	uint64_t above_16m = low >> 24 ? (low - (1 << 24)) >> 16 : 0;

	set_cmos16(r, 0x15, min(low >> 10, 640ull)); /* KiB below 1 MiB */
	set_cmos16(r, 0x17, min(above_1m, 0xffffull));
	set_cmos16(r, 0x30, min(above_1m, 0xffffull));
	set_cmos16(r, 0x34, above_16m);
	set_cmos16(r, 0x5b, high >> 16);
	rtc_set_cmos(r, 0x5d, high >> 32);
}

void rtc_init(struct rtc *r, int64_t unix_time, uint64_t ram_bytes, const struct irq_line *irq,
	      struct timer_queue *queue, struct spinlock *lock)
{
	uint64_t ns = now_ns();

	*r = (struct rtc){
		.base_s = unix_time > 0 ? unix_time : 0,
		.base_ns = ns,
		.synced_ns = ns,
		.irq = *irq,
		.lock = lock,
	};
	timer_init(&r->timer, queue, fire);
	r->cmos[REG_A] = A_DIVIDER_32K | 6; /* 1024 Hz, as a BIOS sets it */
	r->cmos[REG_B] = B_24H;
	r->cmos[REG_D] = D_VALID;
	set_memory_size(r, ram_bytes);
}
