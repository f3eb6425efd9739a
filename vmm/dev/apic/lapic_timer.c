/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Local APIC: the timer (SDM 11.5.4). No counter ticks here: a count under way is the time at
 * which it will reach zero, and everything else follows from that.
 *
 * The first look at the timer after that time lets it expire: the callback, a read of the count,
 * or a write that changes the timer. So a guest can not see a zero count before its
 * interrupt is pending, and a late callback finds its work done and does nothing twice.
 */
#include <assert.h>

#include "vmm/dev/apic/lapic_regs.h"

static_assert(LAPIC_BUS_HZ == NSEC_PER_SEC, "an undivided tick is one nanosecond");

/*
 * The shortest time between two interrupts of a periodic timer: what a host can serve without
 * doing nothing else. Shorter periods lose interrupts, as they do on a slow CPU.
 */
#define MIN_PERIOD_NS (20 * NSEC_PER_USEC)

static unsigned mode_of(const struct lapic *l)
{
	return FIELD_GET(LVT_TIMER_MODE, lapic_lvt(l, LVT_TIMER));
}

/* Nanoseconds per tick: bits 3, 1, 0 of the divide register, where 0 means 2 and 7 means 1. */
static uint64_t divisor(const struct lapic *l)
{
	unsigned code = (l->divide_config & 3) | (l->divide_config & 8) >> 1;

	return 1ull << ((code + 1) & 7);
}

static uint64_t period_ns(const struct lapic *l)
{
	return l->initial_count * divisor(l);
}

/* Let the count expire if its time has come. True: raise the LVT entry, after the unlock. */
static bool expire(struct lapic *l, uint64_t now)
{
	uint64_t late, period = period_ns(l);

	if (l->deadline_ns > now)
		return false;
	late = now - l->deadline_ns;
	l->tsc_deadline = 0;
	if (mode_of(l) == TIMER_PERIODIC && period)
		l->deadline_ns += (late / period + 1) * period;
	else
		l->deadline_ns = TIMER_NEVER;
	return true;
}

/* Have the host's timer fire for the count under way; a masked timer needs no host timer. */
static void arm(struct lapic *l, uint64_t now)
{
	uint64_t at = l->deadline_ns;

	if (at == TIMER_NEVER || lapic_lvt(l, LVT_TIMER) & LVT_MASKED) {
		timer_cancel(&l->timer);
		return;
	}
	if (mode_of(l) == TIMER_PERIODIC && period_ns(l) < MIN_PERIOD_NS)
		at = max(at, now + MIN_PERIOD_NS);
	timer_arm(&l->timer, at);
}

/* Lock, and let an expired count expire first. To be followed by end(). */
static bool begin(struct lapic *l, uint64_t now) __acquires(&l->timer_lock)
{
	spin_lock(&l->timer_lock);
	return expire(l, now);
}

static void end(struct lapic *l, bool expired) __releases(&l->timer_lock)
{
	spin_unlock(&l->timer_lock);
	if (expired)
		lapic_raise_lvt(l, LVT_TIMER);
}

static void fire(struct timer *t)
{
	struct lapic *l = container_of(t, struct lapic, timer);
	uint64_t now = clock_ns();
	bool expired = begin(l, now);

	/* One-shot counts end here; others go on, also when another look has let them expire. */
	if (l->deadline_ns != TIMER_NEVER)
		arm(l, now);
	end(l, expired);
}

void lapic_timer_init(struct lapic *l, struct timer_queue *queue)
{
	spin_init(&l->timer_lock);
	timer_init(&l->timer, queue, fire);
	l->timer.owner = l->group->vm;
	l->tsc_offset = 0;
}

void lapic_timer_reset(struct lapic *l)
{
	spin_lock(&l->timer_lock);
	l->initial_count = 0;
	l->divide_config = 0;
	l->tsc_deadline = 0;
	l->deadline_ns = TIMER_NEVER;
	timer_cancel(&l->timer);
	spin_unlock(&l->timer_lock);
}

/* Ticks until zero, rounded up: the count is 0 from the deadline on, and not earlier. */
static uint32_t ticks_left(const struct lapic *l, uint64_t now)
{
	if (l->deadline_ns == TIMER_NEVER || mode_of(l) == TIMER_TSC_DEADLINE)
		return 0;
	return DIV_ROUND_UP(l->deadline_ns - now, divisor(l));
}

/* Between one-shot and periodic the count goes on; into or out of deadline mode disarms. */
void lapic_timer_write_lvt(struct lapic *l, uint32_t val)
{
	uint64_t now = clock_ns();
	unsigned old_mode = mode_of(l);
	bool expired = begin(l, now);

	/* A count that has expired did so under the old entry. */
	if (expired)
		lapic_raise_lvt(l, LVT_TIMER);
	atomic_store_explicit(&l->lvt[LVT_TIMER], val, memory_order_relaxed);
	if (mode_of(l) != old_mode && (mode_of(l) | old_mode) & TIMER_TSC_DEADLINE) {
		l->deadline_ns = TIMER_NEVER;
		l->tsc_deadline = 0;
	}
	arm(l, now);
	end(l, false);
}

void lapic_timer_write_count(struct lapic *l, uint32_t count)
{
	uint64_t now = clock_ns();
	bool expired;

	if (mode_of(l) & TIMER_TSC_DEADLINE)
		return;
	expired = begin(l, now);
	l->initial_count = count;
	l->deadline_ns = count ? now + period_ns(l) : TIMER_NEVER;
	arm(l, now);
	end(l, expired);
}

/* The prescaler changes at once; the count goes on from where it is. */
void lapic_timer_write_divide(struct lapic *l, uint32_t val)
{
	uint64_t now = clock_ns();
	bool expired = begin(l, now);
	uint64_t left = ticks_left(l, now);

	l->divide_config = val & 0xb;
	if (left) {
		l->deadline_ns = now + left * divisor(l);
		arm(l, now);
	}
	end(l, expired);
}

uint32_t lapic_timer_read_count(struct lapic *l)
{
	uint64_t now = clock_ns();
	bool expired = begin(l, now);
	uint32_t left = ticks_left(l, now);

	end(l, expired);
	return left;
}

/* The clock_ns() time at which the guest's TSC reaches `tsc`; 0 if that is before the host's 0. */
static uint64_t guest_tsc_to_ns(const struct lapic *l, uint64_t tsc)
{
	__int128 host_tsc = (__int128)tsc - (int64_t)l->tsc_offset;

	if (host_tsc <= 0)
		return 0;
	/* Decades away: a 64-bit product of it may not fit, and nobody will wait for it. */
	if (host_tsc >> 60)
		return TIMER_NEVER;
	/* + 1: the conversion rounds down, and the guest must not see a TSC short of its deadline.
	 */
	return clock_tsc_to_ns(host_tsc) + 1;
}

/* Set the deadline that `tsc_deadline` stands for; it may be past. timer_lock is held. */
static void start_deadline(struct lapic *l, uint64_t now)
{
	l->deadline_ns = l->tsc_deadline ? guest_tsc_to_ns(l, l->tsc_deadline) : TIMER_NEVER;
	if (l->deadline_ns > now)
		arm(l, now);
}

void lapic_timer_write_deadline(struct lapic *l, uint64_t tsc)
{
	uint64_t now = clock_ns();
	bool expired;

	if (mode_of(l) != TIMER_TSC_DEADLINE)
		return;
	expired = begin(l, now);
	l->tsc_deadline = tsc;
	start_deadline(l, now);
	expired |= expire(l, now);
	end(l, expired);
}

uint64_t lapic_timer_read_deadline(struct lapic *l)
{
	bool expired = begin(l, clock_ns());
	uint64_t val = l->tsc_deadline;

	end(l, expired);
	return val;
}

void lapic_set_tsc_offset(struct lapic *l, uint64_t offset)
{
	uint64_t now = clock_ns();
	bool expired = begin(l, now);

	l->tsc_offset = offset;
	if (l->tsc_deadline) {
		start_deadline(l, now);
		expired |= expire(l, now);
	}
	end(l, expired);
}
