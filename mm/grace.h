/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Grace periods by quiescent states (McKenney and Slingwine, "Read-copy update", 1998; the
 * epochs are Fraser's, 2004). Inside the hypervisor a CPU may use whatever was published to it;
 * in guest mode, and in the idle halt, it holds no reference to anything. So a reader needs no
 * marker: being in the hypervisor is the read-side section, and entering a guest ends it.
 *
 * A grace period is over when each CPU has been quiescent at least once since it began; what was
 * unlinked before the beginning can then be freed. A grace period says nothing about what hardware
 * still walks or caches: the TLB flush takes care of that. Both are needed.
 *
 * The protocol. Each CPU has one word. It is 0 while the CPU is quiescent, and otherwise the
 * global epoch that the CPU read when it came (back) into the hypervisor. Epochs start at 1 and
 * never wrap.
 *
 *	reader (owns `word`)			updater
 *	enter_guest:				unlink the object, or publish the new copy (A)
 *	  last uses of old references		E = ++epoch				   (B)
 *	  word = 0		(1) release	for each CPU: wait until
 *	exit_guest:				  word == 0 or word >= E		   (C)
 *	  e = epoch		(2) acquire	free the object
 *	  word = e		(3) full barrier
 *	  follow references	(4)
 *
 * Why nobody uses what was freed; the updater sees in C one of:
 *  - 0 written by 1. C acquires what 1 released: the uses before 1 are over. If the reader comes
 *    back, 3 is ordered before its uses (4) by 3's barrier, and A before C by the barrier in B;
 *    C did not see 3, so 3 is behind C in the order of all these operations, and 4 sees A.
 *  - a word >= E. 2 read an epoch written by B or later and so acquired A: 4 sees the new copy;
 *    the uses before were over at 1, which precedes 2 on the same CPU and is released to C by 3.
 *  - 0 < word < E: the CPU may hold an old reference; wait. An epoch read too early (2 before B,
 *    3 after it) lands here also, and only makes the updater wait for one more round.
 * Without the barrier of 3 the store could be delayed behind the loads of 4: C sees 0 although the
 * CPU already follows an old reference. That broken variant is
 * tests/model/grace_barrier_broken.pml.
 *
 * A CPU that spins for a lock which is held across grace_wait() must be quiescent while it spins;
 * otherwise the two CPUs wait for each other. So such a lock is taken with grace_lock().
 *
 * A CPU that waits for a deferred call of another CPU must do two things meanwhile: be quiescent
 * again and again, because the other CPU waits for a grace period; and make its own deferred
 * calls, because the other CPU may be waiting for one of these. grace_round() does both, and every
 * such wait uses it.
 */
#ifndef MM_GRACE_H
#define MM_GRACE_H

#include <stdatomic.h>

#include "lib/bits.h"
#include "lib/spinlock.h"
#include "lib/types.h"
#include "mm/host.h"

/* Embedded in what is to be freed. */
struct grace_head {
	struct grace_head *next;
	void (*fn)(struct grace_head *head);
};

/* Deferred calls in the order of their arrival. */
struct grace_queue {
	struct grace_head *first, *last;
};

struct grace_cpu {
	_Atomic uint64_t word; /* own CPU writes: 0 quiescent, else an epoch */
	/* Own CPU only, all that follows; on a line that the others do not read. */
	struct grace_queue next __aligned(64); /* calls without an epoch yet */
	struct grace_queue wait;               /* calls that wait for `target` */
	struct grace_queue done;               /* calls whose grace period is over */
	uint64_t target;                       /* the epoch that ends the grace period of `wait` */
};

extern _Atomic uint64_t grace_epoch;

/* This CPU's record; constant, so keep it where it is cheap to find. */
struct grace_cpu *grace_cpu(void);

/*
 * Around guest mode and around the idle halt. A CPU is born quiescent: its first call is
 * grace_exit_guest(). All references into published structures die at grace_enter_guest().
 */
static inline void grace_enter_guest(struct grace_cpu *me)
{
	/* (1) Release: the uses before are done. Pairs with the acquire of (C). */
	atomic_store_explicit(&me->word, 0, memory_order_release);
}

static inline void grace_exit_guest(struct grace_cpu *me)
{
	/* (2) Acquire: pairs with the release in (B). */
	uint64_t e = atomic_load_explicit(&grace_epoch, memory_order_acquire);

	/* (3) Full barrier against the uses that follow. Pairs with the barrier in (B). */
	atomic_exchange_explicit(&me->word, e, memory_order_seq_cst);
}

/*
 * Call fn(head) on this CPU after a grace period, from grace_poll(), with no lock held. It is
 * meant for freeing: `fn` must not use anything that the caller destroys meanwhile.
 */
void grace_call(struct grace_head *head, void (*fn)(struct grace_head *head));

#define GRACE_BATCH 32

/* Advance this CPU's deferred calls and make at most GRACE_BATCH of them. From the run loop. */
void grace_poll_slow(struct grace_cpu *me);

/* True while this CPU has deferred calls: the idle loop polls and does not halt for long. */
static inline bool grace_is_pending(const struct grace_cpu *me)
{
	return me->next.first || me->wait.first || me->done.first;
}

static inline void grace_poll(struct grace_cpu *me)
{
	if (unlikely(grace_is_pending(me)))
		grace_poll_slow(me);
}

/*
 * Wait for a grace period. The caller itself is quiescent meanwhile: its references die as at
 * grace_enter_guest(). No lock that another CPU may spin for without being quiescent is held.
 */
void grace_wait(void);

/*
 * One round of waiting for the effect of a deferred call, of this CPU or of another one. As
 * grace_wait() for the caller; then this CPU's deferred calls that are due are made, with no lock
 * held.
 */
void grace_round(void);

/* Make all deferred calls of this CPU; as grace_round() for the caller. */
void grace_drain(void);

/* Take a lock that is held across grace_wait(); the caller's references die. */
void grace_lock(struct spinlock *lock) __acquires(lock);

#endif
