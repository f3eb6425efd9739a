/* SPDX-License-Identifier: BSD-2-Clause */
/* The updaters' side of grace periods. The protocol and why it holds: mm/grace.h. */
#include "lib/panic.h"
#include "mm/grace.h"

_Atomic uint64_t grace_epoch = 1;

static struct grace_cpu cpus[HOST_MAX_CPUS];

struct grace_cpu *grace_cpu(void)
{
	return &cpus[host_cpu_id()];
}

/* (B). Full barrier: pairs with (3); its release half pairs with (2). */
static uint64_t begin_grace_period(void)
{
	return atomic_fetch_add_explicit(&grace_epoch, 1, memory_order_seq_cst) + 1;
}

/* (C). Acquire: pairs with the release of (1) and (3). */
static bool has_been_quiescent(const struct grace_cpu *c, uint64_t target)
{
	uint64_t word = atomic_load_explicit(&c->word, memory_order_acquire);

	return word == 0 || word >= target;
}

static bool is_over(uint64_t target)
{
	for (unsigned i = 0; i < host_nr_cpus(); i++) {
		if (!has_been_quiescent(&cpus[i], target))
			return false;
	}
	return true;
}

/* Move all of `from` behind `to`. */
static void splice(struct grace_queue *to, struct grace_queue *from)
{
	if (!from->first)
		return;
	if (to->first)
		to->last->next = from->first;
	else
		to->first = from->first;
	to->last = from->last;
	from->first = NULL;
}

void grace_call(struct grace_head *head, void (*fn)(struct grace_head *head))
{
	struct grace_queue one = {head, head};

	head->next = NULL;
	head->fn = fn;
	splice(&grace_cpu()->next, &one);
}

static void call_done(struct grace_cpu *me, unsigned limit)
{
	while (me->done.first && limit--) {
		struct grace_head *head = me->done.first;

		me->done.first = head->next; /* before fn frees the head */
		head->fn(head);
	}
}

void grace_poll_slow(struct grace_cpu *me)
{
	if (me->wait.first && is_over(me->target))
		splice(&me->done, &me->wait);
	if (!me->wait.first && me->next.first) {
		splice(&me->wait, &me->next);
		me->target = begin_grace_period();
	}
	call_done(me, GRACE_BATCH);
}

void grace_wait(void)
{
	struct grace_cpu *me = grace_cpu();
	uint64_t target;

	HV_BUG_ON(!atomic_load_explicit(&me->word, memory_order_relaxed));
	grace_enter_guest(me);
	target = begin_grace_period();
	while (!is_over(target))
		cpu_relax();
	grace_exit_guest(me);
}

void grace_round(void)
{
	grace_wait();
	grace_poll(grace_cpu());
}

void grace_drain(void)
{
	struct grace_cpu *me = grace_cpu();

	while (grace_is_pending(me))
		grace_round();
}

void grace_lock(struct spinlock *lock) __acquires(lock)
{
	struct grace_cpu *me = grace_cpu();

	HV_BUG_ON(!atomic_load_explicit(&me->word, memory_order_relaxed));
	grace_enter_guest(me);
	spin_lock(lock);
	grace_exit_guest(me);
}
