/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One queue of timers per physical CPU: a sorted list, because a CPU has a handful of them (one
 * per vCPU, and the board's).
 *
 * A run takes all due timers off the queue first and then fires them one by one, with the lock
 * dropped. So a callback that arms its timer in the past cannot keep the run going, and
 * timer_cancel() still finds a due timer that has not fired: it is linked to the run's own list,
 * which the queue's lock covers as well.
 */
#include "vmm/dev/timer.h"

void timer_queue_init(struct timer_queue *q, void (*earlier)(struct timer_queue *q))
{
	spin_init(&q->lock);
	list_init(&q->timers);
	q->running = false;
	q->look_at = TIMER_NEVER;
	q->owner = NULL;
	q->holds_back = false;
	q->earlier = earlier;
}

void timer_init(struct timer *t, struct timer_queue *q, void (*fire)(struct timer *t))
{
	t->queue = q;
	list_init(&t->link);
	t->deadline_ns = TIMER_NEVER;
	t->is_shut = false;
	t->owner = NULL;
	t->fire = fire;
}

/* Behind those of the same deadline, so that equals fire in the order of arming. */
static void insert(struct timer_queue *q, struct timer *t)
{
	struct list *before = &q->timers;
	struct timer *pos;

	list_for_each (pos, &q->timers, link) {
		if (pos->deadline_ns > t->deadline_ns) {
			before = &pos->link;
			break;
		}
	}
	list_add_tail(&t->link, before);
}

void timer_arm(struct timer *t, uint64_t deadline_ns)
{
	struct timer_queue *q = t->queue;
	bool news;

	spin_lock(&q->lock);
	list_del(&t->link);
	t->deadline_ns = likely(!t->is_shut) ? deadline_ns : TIMER_NEVER;
	if (t->deadline_ns != TIMER_NEVER)
		insert(q, t);
	news = t->deadline_ns < q->look_at && !q->running;
	spin_unlock(&q->lock);

	if (news)
		q->earlier(q);
}

/* The queue's lock is held. */
static void unlink_timer(struct timer *t)
{
	list_del(&t->link);
	t->deadline_ns = TIMER_NEVER;
}

void timer_cancel(struct timer *t)
{
	spin_lock(&t->queue->lock);
	unlink_timer(t);
	spin_unlock(&t->queue->lock);
}

void timer_shut(struct timer *t)
{
	spin_lock(&t->queue->lock);
	unlink_timer(t);
	t->is_shut = true;
	spin_unlock(&t->queue->lock);
}

uint64_t timer_queue_next(struct timer_queue *q)
{
	uint64_t next = TIMER_NEVER;

	spin_lock(&q->lock);
	if (!list_empty(&q->timers))
		next = list_first(&q->timers, struct timer, link)->deadline_ns;
	spin_unlock(&q->lock);
	return next;
}

uint64_t timer_queue_look_at(struct timer_queue *q)
{
	uint64_t at;

	spin_lock(&q->lock);
	at = q->look_at;
	spin_unlock(&q->lock);
	return at;
}

/* Is it one that may wait a little, lest it disturb the VM that runs? */
static bool is_of_others(const struct timer_queue *q, const struct timer *t)
{
	return q->owner && t->owner && t->owner != q->owner;
}

uint64_t timer_queue_plan(struct timer_queue *q, const struct timer_limits *limits)
{
	uint64_t look = limits->at_latest, at;
	struct timer *t;
	bool others;

	q->holds_back = false;
	spin_lock(&q->lock);
	list_for_each (t, &q->timers, link) {
		others = is_of_others(q, t);
		q->holds_back |= others && t->deadline_ns < limits->others_not_before;
		at = max(t->deadline_ns, others ? limits->others_not_before : limits->not_before);
		look = min(look, at);
		if (!others) /* those behind it are due later */
			break;
	}
	q->look_at = look;
	spin_unlock(&q->lock);
	return look;
}

bool timer_queue_set_owner(struct timer_queue *q, const void *owner)
{
	bool change = q->owner != owner;

	q->owner = owner;
	return change && q->holds_back;
}

/* Move all timers due at `now_ns` to `due`. True: some are of others. The lock is held. */
static bool take_due(struct timer_queue *q, struct list *due, uint64_t now_ns)
{
	struct timer *t, *tmp;
	bool others = false;

	list_for_each_safe (t, tmp, &q->timers, link) {
		if (t->deadline_ns > now_ns)
			break;
		others |= is_of_others(q, t);
		list_del(&t->link);
		list_add_tail(&t->link, due);
	}
	return others;
}

bool timer_queue_run(struct timer_queue *q, uint64_t now_ns)
{
	struct list due = LIST_INIT(due);
	bool others;

	spin_lock(&q->lock);
	q->running = true;
	others = take_due(q, &due, now_ns);
	while (!list_empty(&due)) {
		struct timer *t = list_first(&due, struct timer, link);

		list_del(&t->link);
		t->deadline_ns = TIMER_NEVER;
		spin_unlock(&q->lock);
		t->fire(t);
		spin_lock(&q->lock);
	}
	q->running = false;
	spin_unlock(&q->lock);
	return others;
}
