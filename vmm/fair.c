/* SPDX-License-Identifier: BSD-2-Clause */
#include "vmm/fair.h"

#include "lib/bits.h"
#include "lib/clock.h"

/* A turn without an end, of a VM alone on its CPU, counts as 13 days: the product must not wrap. */
#define MAX_CHARGE_NS BIT_ULL(50)

void fair_queue_init(struct fair_queue *q)
{
	list_init(&q->shares);
	q->floor = 0;
}

void fair_leave(struct fair_share *s)
{
	list_del(&s->link);
	s->awake = false;
}

static bool is_before(uint64_t a, uint64_t b)
{
	return (int64_t)(a - b) < 0;
}

static struct fair_share *first_awake(const struct fair_queue *q)
{
	struct fair_share *s, *first = NULL;

	list_for_each (s, &q->shares, link) {
		if (s->awake && (!first || is_before(s->vtime, first->vtime)))
			first = s;
	}
	return first;
}

static void raise_floor(struct fair_queue *q, const struct fair_share *first)
{
	if (first && is_before(q->floor, first->vtime))
		q->floor = first->vtime;
}

/* Rounded up: no turn is free, however short it is and however great the weight. */
void fair_charge(struct fair_queue *q, struct fair_share *s, uint64_t ns)
{
	s->vtime += DIV_ROUND_UP(min(ns, MAX_CHARGE_NS) * CONFIG_DEFAULT_WEIGHT, s->weight);
	raise_floor(q, first_awake(q));
}

void fair_join(struct fair_queue *q, struct fair_share *s, unsigned weight)
{
	s->weight = weight;
	s->vtime = q->floor;
	s->awake = s->is_new = false;
	list_add_tail(&s->link, &q->shares);
}

void fair_wake(struct fair_queue *q, struct fair_share *s)
{
	if (s->awake)
		return;
	if (is_before(s->vtime, q->floor - FAIR_CREDIT_NS))
		s->vtime = q->floor - FAIR_CREDIT_NS;
	s->awake = s->is_new = true;
}

void fair_sleep(struct fair_share *s)
{
	s->awake = false;
}

struct fair_share *fair_next(struct fair_queue *q)
{
	struct fair_share *next = first_awake(q);

	raise_floor(q, next);
	if (!next)
		return NULL;
	list_del(&next->link);
	list_add_tail(&next->link, &q->shares);
	next->is_new = false;
	return next;
}

/* The time in which `s` gets that far ahead of `other`. */
static uint64_t time_to_pass(const struct fair_share *s, const struct fair_share *other)
{
	int64_t left = (int64_t)(other->vtime + FAIR_MARGIN_NS - s->vtime);

	return left > 0 ? mul_div((uint64_t)left, s->weight, CONFIG_DEFAULT_WEIGHT) : 0;
}

uint64_t fair_turn_ns(const struct fair_queue *q, const struct fair_share *s)
{
	struct fair_share *other;
	uint64_t least = ~0ull;

	list_for_each (other, &q->shares, link) {
		if (other != s && other->awake && other->is_new)
			least = min(least, time_to_pass(s, other));
	}
	return least;
}
