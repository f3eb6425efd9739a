/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Timers of the device models. Each physical CPU has one queue; the queue's earliest deadline
 * programs that CPU's local APIC timer. A timer may be armed and cancelled from any CPU; it
 * fires on the CPU of its queue, with interrupts closed and no lock held.
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
	void (*earlier)(struct timer_queue *q); /* const; the first deadline moved: reprogram */
};

struct timer {
	struct timer_queue *queue;     /* const after init */
	struct list link;              /* queue->lock */
	uint64_t deadline_ns;          /* queue->lock; clock_ns() time, TIMER_NEVER when idle */
	bool is_shut;                  /* queue->lock; it cannot be armed any more */
	void (*fire)(struct timer *t); /* const after init */
};

/*
 * `earlier` is called when the first deadline of the queue has become earlier, except while
 * timer_queue_run() makes its callbacks: on the CPU that armed the timer, with no lock held.
 */
void timer_queue_init(struct timer_queue *q, void (*earlier)(struct timer_queue *q));
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

/* The earliest deadline of the queue, TIMER_NEVER if it is empty. */
uint64_t timer_queue_next(struct timer_queue *q);

/*
 * Fire all timers due at `now_ns`, earliest first. Called by the queue's own CPU, which afterwards
 * programs timer_queue_next(). A timer that a callback arms waits for the next run.
 */
void timer_queue_run(struct timer_queue *q, uint64_t now_ns);

#endif
