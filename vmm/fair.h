/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Fair shares of one CPU: how much of it each VM has had, and whose turn it is. Start-time fair
 * queueing, as Goyal, Guo and Vin describe it in "A Hierarchical CPU Scheduler for Multimedia
 * Operating Systems" (OSDI 1996), with a bound on what a sleeper may make up for.
 *
 * Each VM has a virtual time on each CPU where it has vCPUs: the time that it ran there, divided by
 * its weight. The VM with the least is next. So VMs that always want to run get time in proportion
 * to their weights, however many vCPUs they have and however long their turns are.
 *
 * The floor of the queue is the least virtual time of the VMs that want to run. It never goes back.
 * A VM that slept wakes FAIR_CREDIT_NS below the floor at the most: it runs soon, but has not saved
 * up the time that it slept. It never gets less than it had: sleeping and waking often gives
 * nothing. So in any interval a VM gets at most its share and that credit, once.
 *
 *	vtime:  ---+--------------+----+-------+-------->
 *	           woke just now  |    runs    had its turn
 *	           floor - credit floor
 *
 * Virtual times are compared by their signed difference, so they may wrap. No locks here: all of a
 * queue belongs to its owner (vmm/sched.c: the lock of the CPU).
 */
#ifndef VMM_FAIR_H
#define VMM_FAIR_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/list.h"
#include "vmm/vm_config.h"

/*
 * How much less virtual time than the running VM a woken one must have to end its turn, in
 * nanoseconds at CONFIG_DEFAULT_WEIGHT. The credit is more, so who slept long enough always does.
 */
#define FAIR_MARGIN_NS 500000ull
#define FAIR_CREDIT_NS 3000000ull

/* A VM's part of a CPU. */
struct fair_share {
	struct list link;
	uint64_t vtime;  /* nanoseconds at CONFIG_DEFAULT_WEIGHT */
	unsigned weight; /* CONFIG_MIN_WEIGHT to CONFIG_MAX_WEIGHT */
	bool awake;      /* it wanted to run when it was looked at last */
	bool is_new;     /* it has had no turn since it woke */
};

struct fair_queue {
	struct list shares;
	uint64_t floor;
};

void fair_queue_init(struct fair_queue *q);

/* A newcomer, asleep, who has slept no time yet: it starts at the floor. And one that goes. */
void fair_join(struct fair_queue *q, struct fair_share *s, unsigned weight);
void fair_leave(struct fair_share *s);

/* It ran for `ns`. The floor follows. */
void fair_charge(struct fair_queue *q, struct fair_share *s, uint64_t ns);

/* It wants to run from now on, or not any more. Nothing if it did, or did not, before. */
void fair_wake(struct fair_queue *q, struct fair_share *s);
void fair_sleep(struct fair_share *s);

/*
 * The share with the least virtual time of those that are awake, equals in turn; NULL: there is
 * none. The floor follows.
 */
struct fair_share *fair_next(struct fair_queue *q);

/*
 * For how many nanoseconds `s`, which has been charged up to now, may go on before one that woke
 * and has had no turn since is behind by more than the margin; ~0: there is none.
 */
uint64_t fair_turn_ns(const struct fair_queue *q, const struct fair_share *s);

#endif
