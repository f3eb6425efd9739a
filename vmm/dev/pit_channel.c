/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * 8254 counters by the datasheet's mode definitions. A count is loaded one tick after it was
 * written or triggered; that tick is in `start`.
 */
#include "lib/bits.h"
#include "vmm/dev/pit_channel.h"

bool pit_channel_is_periodic(const struct pit_channel *ch)
{
	return ch->mode == 2 || ch->mode == 3;
}

static bool is_triggered_mode(const struct pit_channel *ch)
{
	return ch->mode == 1 || ch->mode == 5;
}

static bool is_counting(const struct pit_channel *ch)
{
	return ch->loaded && (is_triggered_mode(ch) ? ch->triggered : ch->gate);
}

/* Before `start` the count has not been loaded: like the first tick. */
static bool is_started(const struct pit_channel *ch, uint64_t now)
{
	return (int64_t)(now - ch->start) >= 0;
}

/* Ticks since the count was loaded, without the time that the gate stopped it. */
static uint64_t elapsed(const struct pit_channel *ch, uint64_t now)
{
	if (!is_counting(ch))
		return ch->frozen;
	return is_started(ch, now) ? now - ch->start : 0;
}

/* Mode 3: how long OUT is high; the odd tick is the high half's. */
static uint32_t high_half(uint32_t count)
{
	return (count + 1) / 2;
}

void pit_channel_program(struct pit_channel *ch, unsigned mode, bool bcd)
{
	ch->mode = mode;
	ch->bcd = bcd;
	ch->loaded = false;
	ch->triggered = false;
	ch->next_count = 0;
	ch->frozen = 0;
}

static uint32_t decode_count(const struct pit_channel *ch, uint16_t val)
{
	if (!ch->bcd)
		return val ? val : 0x10000;
	val = (val >> 12) * 1000 + (val >> 8 & 0xf) * 100 + (val >> 4 & 0xf) * 10 + (val & 0xf);
	return val ? val : 10000;
}

static uint16_t encode_count(const struct pit_channel *ch, uint64_t val)
{
	if (!ch->bcd)
		return val;
	val %= 10000;
	return val / 1000 << 12 | val / 100 % 10 << 8 | val / 10 % 10 << 4 | val % 10;
}

static void load(struct pit_channel *ch, uint32_t count, uint64_t start)
{
	ch->count = count;
	ch->next_count = 0;
	ch->start = start;
	ch->frozen = 0;
	ch->loaded = true;
}

/* The end of the cycle under way, or in mode 3 of the half of it. */
static uint64_t cycle_end(const struct pit_channel *ch, uint64_t now)
{
	uint64_t ticks = elapsed(ch, now);
	uint64_t phase = ticks % ch->count, cycle = ch->start + ticks - phase;

	if (ch->mode == 3 && phase < high_half(ch->count))
		return cycle + high_half(ch->count);
	return cycle + ch->count;
}

void pit_channel_write_count(struct pit_channel *ch, uint16_t val, uint64_t now)
{
	uint32_t count = decode_count(ch, val);

	pit_channel_settle(ch, now);
	if (pit_channel_is_periodic(ch) && ch->loaded) {
		ch->load_at = cycle_end(ch, now);
		ch->next_count = count;
	} else if (is_triggered_mode(ch) && ch->triggered) {
		ch->next_count = count;
	} else {
		load(ch, count, now + 1);
	}
}

bool pit_channel_settle(struct pit_channel *ch, uint64_t now)
{
	uint64_t start = ch->load_at;

	if (!ch->next_count || !pit_channel_is_periodic(ch) || !is_counting(ch) ||
	    (int64_t)(now - ch->load_at) < 0)
		return false;
	/* At the middle of mode 3's cycle the low half of the new count begins. */
	if ((ch->load_at - ch->start) % ch->count)
		start -= high_half(ch->next_count);
	load(ch, ch->next_count, start);
	return true;
}

static void gate_rises(struct pit_channel *ch, uint64_t now)
{
	if (!ch->loaded)
		return;
	if (pit_channel_is_periodic(ch) || is_triggered_mode(ch)) {
		load(ch, ch->next_count ? ch->next_count : ch->count, now + 1);
		ch->triggered = true;
	} else {
		ch->start = now - ch->frozen;
	}
}

static void gate_falls(struct pit_channel *ch, uint64_t now)
{
	if (ch->loaded && !is_triggered_mode(ch))
		ch->frozen = elapsed(ch, now);
}

void pit_channel_set_gate(struct pit_channel *ch, bool gate, uint64_t now)
{
	if (gate == ch->gate)
		return;
	pit_channel_settle(ch, now);
	if (gate)
		gate_rises(ch, now);
	else
		gate_falls(ch, now);
	ch->gate = gate;
}

uint16_t pit_channel_value(const struct pit_channel *ch, uint64_t now)
{
	uint64_t ticks = elapsed(ch, now), wrap = ch->bcd ? 10000 : 0x10000;
	uint32_t phase;

	if (!ch->count)
		return 0;
	phase = ticks % ch->count;
	switch (ch->mode) {
	case 2:
		return encode_count(ch, ch->count - phase);
	case 3: /* two at a time, from the even number, in each half */
		if (phase >= high_half(ch->count))
			phase -= high_half(ch->count);
		return encode_count(ch, (ch->count & ~1u) - 2 * phase);
	default: /* past zero it goes on from the top */
		return encode_count(ch, ch->count + wrap - ticks % wrap);
	}
}

bool pit_channel_out(const struct pit_channel *ch, uint64_t now)
{
	uint64_t ticks = elapsed(ch, now);

	switch (ch->mode) {
	case 0:
		return ch->loaded && ticks >= ch->count;
	case 1:
		return !is_counting(ch) || ticks >= ch->count;
	case 2:
		return !is_counting(ch) || ticks % ch->count != ch->count - 1;
	case 3:
		return !is_counting(ch) || ticks % ch->count < high_half(ch->count);
	case 4: /* not only while counting: the gate does not move OUT */
		return !ch->loaded || ticks != ch->count;
	default:
		return !is_counting(ch) || ticks != ch->count;
	}
}

bool pit_channel_is_null(const struct pit_channel *ch, uint64_t now)
{
	return !ch->loaded || ch->next_count || (is_counting(ch) && !is_started(ch, now));
}

uint64_t pit_channel_next_rise(const struct pit_channel *ch, uint64_t now)
{
	uint64_t ticks = elapsed(ch, now), rise;

	if (!is_counting(ch))
		return TIMER_NEVER;
	if (pit_channel_is_periodic(ch))
		return ch->start + (ticks / ch->count + 1) * ch->count;
	rise = ch->start + ch->count + (ch->mode >= 4);
	return rise > now ? rise : TIMER_NEVER;
}
