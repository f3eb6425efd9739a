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
	q->earlier = earlier;
}

void timer_init(struct timer *t, struct timer_queue *q, void (*fire)(struct timer *t))
{
	t->queue = q;
	list_init(&t->link);
	t->deadline_ns = TIMER_NEVER;
	t->is_shut = false;
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
	bool first;

	spin_lock(&q->lock);
	list_del(&t->link);
	t->deadline_ns = likely(!t->is_shut) ? deadline_ns : TIMER_NEVER;
	if (t->deadline_ns != TIMER_NEVER)
		insert(q, t);
	first = q->timers.next == &t->link && !q->running;
	spin_unlock(&q->lock);

	if (first)
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

/* Move all timers due at `now_ns` to `due`. The lock is held. */
static void take_due(struct timer_queue *q, struct list *due, uint64_t now_ns)
{
	struct timer *t, *tmp;

	list_for_each_safe (t, tmp, &q->timers, link) {
		if (t->deadline_ns > now_ns)
			break;
		list_del(&t->link);
		list_add_tail(&t->link, due);
	}
}

void timer_queue_run(struct timer_queue *q, uint64_t now_ns)
{
	struct list due = LIST_INIT(due);

	spin_lock(&q->lock);
	q->running = true;
	take_due(q, &due, now_ns);
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
}
