/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Timers of the device models. Each physical CPU has one queue; the queue's earliest deadline
 * programs that CPU's local APIC timer. A timer may be armed and cancelled from any CPU; it
 * fires on the CPU of its queue, with interrupts closed and no lock held.
 *
 * The queue's CPU says each time when it will look at the queue next, `look_at`, and has its
 * hardware come then. Only a timer that is due before that is news for it, and only such a one
 * calls `earlier`: a guest that arms one timer again and again, each time for later, disturbs
 * nobody.
 */
#ifndef VMM_DEV_TIMER_H
#define VMM_DEV_TIMER_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/list.h"
#include "lib/spinlock.h"

#define TIMER_NEVER UINT64_MAX

struct timer_queue {
	struct spinlock lock;
	struct list timers;                     /* lock; sorted, earliest first */
	bool running;                           /* lock; timer_queue_run() will look again */
	uint64_t look_at;                       /* lock; see above */
	const void *owner;                      /* own CPU; whose timers come in time */
	bool holds_back;                        /* own CPU; others' are due before `look_at` */
	void (*earlier)(struct timer_queue *q); /* const; a timer is due before `look_at` */
};

struct timer {
	struct timer_queue *queue;     /* const after init */
	struct list link;              /* queue->lock */
	uint64_t deadline_ns;          /* queue->lock; clock_ns() time, TIMER_NEVER when idle */
	bool is_shut;                  /* queue->lock; it cannot be armed any more */
	const void *owner;             /* const after init; the VM; NULL: the CPU itself */
	void (*fire)(struct timer *t); /* const after init */
};

/*
 * `earlier` is called when a timer is armed that is due before the CPU would look, except while
 * timer_queue_run() makes its callbacks: on the CPU that armed the timer, with no lock held.
 */
void timer_queue_init(struct timer_queue *q, void (*earlier)(struct timer_queue *q));

/* `owner` is NULL: the timer is the CPU's own. A VM's timers get their owner behind this. */
void timer_init(struct timer *t, struct timer_queue *q, void (*fire)(struct timer *t));

/* Fire once at `deadline_ns` (at the next look at the queue if that is past). Re-arms. */
void timer_arm(struct timer *t, uint64_t deadline_ns);

/* After the return the timer is not armed; a callback that has begun may still be running. */
void timer_cancel(struct timer *t);

/*
 * Cancel for good: arming does nothing from here on. A callback that has begun is over after a
 * grace period, because it runs in the hypervisor; only then may the timer be freed.
 */
void timer_shut(struct timer *t);

/* The earliest deadline of the queue, TIMER_NEVER if it is empty; and when its CPU will look. */
uint64_t timer_queue_next(struct timer_queue *q);
uint64_t timer_queue_look_at(struct timer_queue *q);

/* When the CPU may look at a queue, and when it must; clock_ns() time. */
struct timer_limits {
	uint64_t not_before;        /* not even for timers of the owner's, or of the CPU's own */
	uint64_t others_not_before; /* nor for those of others: they disturb the owner */
	uint64_t at_latest;         /* even if no timer is due */
};

/*
 * When the queue is to be looked at next; TIMER_NEVER: when a timer has been armed. Called by the
 * queue's own CPU, which has its hardware come then.
 */
uint64_t timer_queue_plan(struct timer_queue *q, const struct timer_limits *limits);

/*
 * The VM whose timers come in time from now on: the one that runs; NULL: nobody does, and all come
 * in time. True: timers were held back for the one before, so timer_queue_plan() is due. Own CPU.
 */
bool timer_queue_set_owner(struct timer_queue *q, const void *owner);

/*
 * Fire all timers due at `now_ns`, earliest first. Called by the queue's own CPU, which afterwards
 * calls timer_queue_plan(). A timer that a callback arms waits for the next run. True: there were
 * timers of others than the owner among them.
 */
bool timer_queue_run(struct timer_queue *q, uint64_t now_ns);

#endif
