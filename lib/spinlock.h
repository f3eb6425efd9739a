/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Ticket spin locks. Umbra runs to completion with interrupts closed, so a lock never has to
 * save an interrupt state, and a holder is never preempted. Plain C atomics: hosted tests use
 * the same code under the thread sanitizer. The order of locks is in docs/locking.md.
 */
#ifndef LIB_SPINLOCK_H
#define LIB_SPINLOCK_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#ifdef __CHECKER__ /* sparse counts locks */
#define __acquires(x)  __attribute__((context(x, 0, 1)))
#define __releases(x)  __attribute__((context(x, 1, 0)))
#define __must_hold(x) __attribute__((context(x, 1, 1)))
#define __acquire(x)   __context__(x, 1)
#define __release(x)   __context__(x, -1)
#else
#define __acquires(x)
#define __releases(x)
#define __must_hold(x)
#define __acquire(x) (void)0
#define __release(x) (void)0
#endif

struct spinlock {
	_Atomic uint32_t next;  /* the next ticket to hand out */
	_Atomic uint32_t owner; /* the ticket that holds the lock */
};

#define SPINLOCK_INIT                                                                              \
	{                                                                                          \
		0, 0                                                                               \
	}

static inline void spin_init(struct spinlock *l)
{
	atomic_init(&l->next, 0);
	atomic_init(&l->owner, 0);
}

static inline void cpu_relax(void)
{
	__builtin_ia32_pause();
}

static inline void spin_lock(struct spinlock *l) __acquires(l)
{
	uint32_t me = atomic_fetch_add_explicit(&l->next, 1, memory_order_relaxed);

	/* Acquire: pairs with the release in spin_unlock(). */
	while (atomic_load_explicit(&l->owner, memory_order_acquire) != me)
		cpu_relax();
	__acquire(l);
}

static inline void spin_unlock(struct spinlock *l) __releases(l)
{
	uint32_t me = atomic_load_explicit(&l->owner, memory_order_relaxed);

	/* Release: pairs with the acquire in spin_lock(). */
	atomic_store_explicit(&l->owner, me + 1, memory_order_release);
	__release(l);
}

/* True if somebody holds the lock: for assertions, no more. */
static inline bool spin_is_locked(struct spinlock *l)
{
	return atomic_load_explicit(&l->owner, memory_order_relaxed) !=
	       atomic_load_explicit(&l->next, memory_order_relaxed);
}

#endif
