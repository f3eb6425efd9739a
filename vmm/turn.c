/* SPDX-License-Identifier: BSD-2-Clause */
#include "vmm/turn.h"

#include "lib/clock.h"
#include "vmm/vm.h"

static struct sched_group *group_of(struct fair_share *s)
{
	return container_of(s, struct sched_group, share);
}

/* The group of this vCPU's VM, if it has vCPUs here already. The CPU's lock is held, for all here.
 */
static struct sched_group *find_group(struct vmm_cpu *c, const struct vm *vm)
{
	struct fair_share *s;

	list_for_each (s, &c->queue.shares, link) {
		struct sched_group *g = group_of(s);

		if (list_first(&g->vcpus, struct vcpu, run_link)->vm == vm)
			return g;
	}
	return NULL;
}

static void join_group(struct vmm_cpu *c, struct vcpu *v)
{
	v->group = find_group(c, v->vm);
	if (!v->group) {
		v->group = &v->group_of_first;
		list_init(&v->group->vcpus);
		fair_join(&c->queue, &v->group->share, v->vm->config->weight);
	}
	list_add_tail(&v->run_link, &v->group->vcpus);
}

static void leave_group(struct vcpu *v)
{
	list_del(&v->run_link);
	if (list_empty(&v->group->vcpus))
		fair_leave(&v->group->share);
}

void turn_join(struct vmm_cpu *c, struct vcpu *v)
{
	spin_lock(&c->lock);
	join_group(c, v);
	atomic_fetch_add(&c->nr_vcpus, 1);
	spin_unlock(&c->lock);
}

void turn_leave(struct vmm_cpu *c, struct vcpu *v)
{
	spin_lock(&c->lock);
	leave_group(v);
	atomic_fetch_sub(&c->nr_vcpus, 1);
	spin_unlock(&c->lock);
}

static bool may_run(struct vcpu *v)
{
	uint32_t requests = atomic_load(&v->requests);

	if (atomic_load_explicit(&v->vm->paused, memory_order_relaxed))
		return requests & REQ_STOP;
	return requests || atomic_load_explicit(&v->state, memory_order_relaxed) == VCPU_RUNNABLE;
}

static struct vcpu *first_ready(struct sched_group *g)
{
	struct vcpu *v;

	list_for_each (v, &g->vcpus, run_link) {
		if (may_run(v))
			return v;
	}
	return NULL;
}

/* Which VMs want to run. True: there is one. */
static bool look_who_is_awake(struct vmm_cpu *c)
{
	struct fair_share *s;
	bool any = false;

	list_for_each (s, &c->queue.shares, link) {
		bool ready = first_ready(group_of(s));

		if (ready)
			fair_wake(&c->queue, s);
		else
			fair_sleep(s);
		any |= ready;
	}
	return any;
}

/* NULL also if the one that was ready was paused just now: the CPU looks once more before it halts.
 */
static struct vcpu *take_next(struct vmm_cpu *c)
{
	struct fair_share *s = fair_next(&c->queue);
	struct vcpu *v = s ? first_ready(group_of(s)) : NULL;

	if (v) {
		list_del(&v->run_link);
		list_add_tail(&v->run_link, &v->group->vcpus);
	}
	return v;
}

/* When the turn may end by the virtual times, which are charged up to now. */
static uint64_t fair_end(struct vmm_cpu *c)
{
	uint64_t ns = fair_turn_ns(&c->queue, &c->running->group->share);

	ns = min(ns, SCHED_SLICE_NS);
	return max(c->turn_began + SCHED_MIN_TURN_NS, c->charged_until + ns);
}

/* From now on `v`, which could run, waits for its turn; if it did not wait already. */
static void begin_wait(struct vcpu *v, uint64_t now)
{
	if (!v->kvm.waits_since)
		v->kvm.waits_since = now;
}

static void end_wait(struct vcpu *v, uint64_t now)
{
	if (v->kvm.waits_since && now > v->kvm.waits_since)
		v->kvm.waited += now - v->kvm.waits_since;
	v->kvm.waits_since = 0;
}

static void begin_turn(struct vmm_cpu *c, struct vcpu *v)
{
	c->running = v;
	if (!v)
		return;
	c->turn_began = c->charged_until = clock_ns();
	c->turn_ends = fair_end(c);
	end_wait(v, c->turn_began);
}

/* More than it takes to find the next one: the CPU was idle, or did its own work. */
#define LONGEST_SWITCH_NS (50 * NSEC_PER_USEC)

/*
 * The way from one turn to the next is charged to who ended the first: a guest that gives its turn
 * away all the time, by PAUSE, would have that for nothing.
 */
static void charge_switch(struct vmm_cpu *c)
{
	uint64_t took = clock_ns() - c->charged_until;

	if (c->last && took <= LONGEST_SWITCH_NS)
		fair_charge(&c->queue, &c->last->share, took);
	c->last = NULL;
}

struct vcpu *turn_begin(struct vmm_cpu *c)
{
	struct vcpu *v;

	spin_lock(&c->lock);
	charge_switch(c);
	v = look_who_is_awake(c) ? take_next(c) : NULL;
	begin_turn(c, v);
	spin_unlock(&c->lock);
	return v;
}

/* Charge for the turn up to now, by the clock of any CPU. */
static void charge(struct vmm_cpu *c)
{
	uint64_t now = clock_ns();

	if (now <= c->charged_until)
		return;
	fair_charge(&c->queue, &c->running->group->share, now - c->charged_until);
	c->charged_until = now;
}

void turn_end(struct vmm_cpu *c)
{
	spin_lock(&c->lock);
	charge(c);
	c->last = list_empty(&c->running->group->vcpus) ? NULL : c->running->group;
	if (atomic_load(&c->running->state) == VCPU_RUNNABLE &&
	    !atomic_load_explicit(&c->running->vm->paused, memory_order_relaxed))
		begin_wait(c->running, c->charged_until);
	c->running = NULL;
	spin_unlock(&c->lock);
}

/* The waker's side of the protocol in vmm/turn.h. True: the CPU is to be kicked. */
static bool preempt(struct vmm_cpu *c, struct vcpu *v)
{
	bool sooner = false;

	spin_lock(&c->lock);
	if (c->running && c->running != v)
		begin_wait(v, clock_ns());
	if (c->running && v->group && v->group != c->running->group) {
		charge(c);
		fair_wake(&c->queue, &v->group->share);
		v->group->share.is_new = true; /* also if it halted a moment ago, unseen */
		sooner = fair_end(c) < c->turn_ends;
	}
	if (sooner) {
		c->turn_ends = fair_end(c);
		atomic_fetch_or(&c->running->requests, REQ_PREEMPT);
	}
	spin_unlock(&c->lock);
	return sooner;
}

/* A vCPU that could run before has its place in the queue, and needs no other. */
static bool is_woken(const struct vcpu *v, uint32_t requests)
{
	return (requests & REQ_WAKES) && atomic_load(&v->state) != VCPU_RUNNABLE;
}

void turn_wake(struct vmm_cpu *c, struct vcpu *v, uint32_t requests)
{
	if (atomic_load(&c->mode) == CPU_IDLE || (is_woken(v, requests) && preempt(c, v)))
		vmm_cpu_kick(c);
}

bool turn_is_wanted(struct vmm_cpu *c)
{
	bool any;

	spin_lock(&c->lock);
	any = look_who_is_awake(c);
	spin_unlock(&c->lock);
	return any;
}

uint64_t turn_ends_at(struct vmm_cpu *c)
{
	uint64_t end;

	spin_lock(&c->lock);
	end = c->turn_ends;
	spin_unlock(&c->lock);
	return end;
}
