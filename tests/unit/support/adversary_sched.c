/* SPDX-License-Identifier: BSD-2-Clause */
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>

#include "lib/bits.h"
#include "tests/unit/support/adversary_sched.h"
#include "tests/unit/support/host.h"
#include "tests/unit/support/panic.h"

/* One run; its threads keep it as long as they live, and those of a stuck run do so for ever. */
struct run {
	uint64_t seed, rng, points, bound;
	void (*cpu_main)(unsigned cpu);
	unsigned nr, current, turn; /* `turn`: points until somebody else gets it */
	unsigned pace;              /* turns last up to 2^pace points */
	const struct adv_turn *plan;
	unsigned nr_planned; /* left */
	bool over[ADV_MAX_CPUS], stuck;
	sem_t go[ADV_MAX_CPUS], end;
};

/* Only who has the turn looks: the semaphores order it. */
static struct run *run;

/* Of the next run. */
static const struct adv_turn *plan;
static unsigned nr_planned;

void adv_sched_plan(const struct adv_turn *turns, unsigned nr)
{
	plan = turns;
	nr_planned = nr;
}

unsigned adv_sched_draw(unsigned n)
{
	run->rng ^= run->rng << 13;
	run->rng ^= run->rng >> 7;
	run->rng ^= run->rng << 17;
	return (run->rng >> 11) % n;
}

uint64_t adv_sched_points(void)
{
	return run->points;
}

/* Another CPU that has not finished; this one if there is none, `nr` if that has finished too. */
static unsigned draw_cpu(void)
{
	unsigned n = 0, found = run->over[run->current] ? run->nr : run->current;

	for (unsigned i = 0; i < run->nr; i++) {
		if (i != run->current && !run->over[i] && !adv_sched_draw(++n))
			found = i;
	}
	return found;
}

/* Whose turn is next, and for how long: as planned, as long as there is a plan. */
static unsigned next_cpu(void)
{
	while (run->nr_planned) {
		const struct adv_turn *t = run->plan++;

		run->nr_planned--;
		run->turn = t->points;
		if (!run->over[t->cpu])
			return t->cpu;
	}
	run->turn = 1 + adv_sched_draw(1u << adv_sched_draw(run->pace));
	return draw_cpu();
}

static void wait_for(sem_t *sem)
{
	while (sem_wait(sem))
		continue; /* interrupted */
}

static void hand_over(unsigned to)
{
	struct run *r = run;
	unsigned from = r->current;

	r->current = to;
	if (to == from)
		return;
	sem_post(&r->go[to]);
	if (!r->over[from])
		wait_for(&r->go[from]);
}

static void give_up(void)
{
	struct run *r = run;

	r->stuck = true;
	sem_post(&r->end);
	for (;;)
		wait_for(&r->go[r->current]); /* nobody posts it */
}

static void count_point(void)
{
	if (++run->points > run->bound)
		give_up();
}

void adv_sched_point(void)
{
	if (!run)
		return;
	count_point();
	if (!--run->turn)
		hand_over(next_cpu());
}

static void spin(void)
{
	if (!run)
		return;
	count_point();
	hand_over(next_cpu());
}

static void *thread_main(void *arg)
{
	struct run *r = run;
	unsigned cpu = (unsigned)(uintptr_t)arg, next;

	wait_for(&r->go[cpu]);
	host_set_cpu(cpu);
	r->cpu_main(cpu);
	r->over[cpu] = true;
	next = next_cpu();
	if (next < r->nr)
		hand_over(next);
	else
		sem_post(&r->end);
	return NULL;
}

static void say_seed(void)
{
	if (run)
		fprintf(stderr, "seed %llu, point %llu, CPU %u\n", (unsigned long long)run->seed,
			(unsigned long long)run->points, run->current);
}

static struct run *new_run(uint64_t seed, unsigned nr, uint64_t bound, void (*cpu_main)(unsigned))
{
	struct run *r = calloc(1, sizeof(*r));

	r->seed = seed;
	r->rng = seed * 0x9e3779b97f4a7c15 + 1;
	r->bound = bound;
	r->cpu_main = cpu_main;
	r->nr = nr;
	sem_init(&r->end, 0, 0);
	for (unsigned i = 0; i < nr; i++)
		sem_init(&r->go[i], 0, 0);
	return r;
}

bool adv_sched_run(uint64_t seed, unsigned nr, uint64_t bound, void (*cpu_main)(unsigned cpu))
{
	struct run *r = new_run(seed, nr, bound, cpu_main);
	pthread_t thread[ADV_MAX_CPUS];
	bool stuck;

	run = r;
	r->pace = 1 + adv_sched_draw(14);
	r->plan = plan;
	r->nr_planned = nr_planned;
	nr_planned = 0;
	r->current = next_cpu();
	panic_says = say_seed;
	for (uintptr_t i = 0; i < nr; i++)
		pthread_create(&thread[i], NULL, thread_main, (void *)i);
	host_on_spin = spin;
	host_on_ask = adv_sched_point;
	sem_post(&r->go[r->current]);
	wait_for(&r->end);
	host_on_spin = host_on_ask = NULL;
	stuck = r->stuck;
	for (unsigned i = 0; i < nr; i++) {
		if (stuck)
			pthread_detach(thread[i]);
		else
			pthread_join(thread[i], NULL);
	}
	run = NULL;
	panic_says = NULL;
	if (!stuck)
		free(r);
	return !stuck;
}

void adv_sched_must_end(uint64_t seed, unsigned nr, uint64_t bound, void (*cpu_main)(unsigned cpu))
{
	if (adv_sched_run(seed, nr, bound, cpu_main))
		return;
	fprintf(stderr, "seed %llu: after %llu points the CPUs still wait for each other\n",
		(unsigned long long)seed, (unsigned long long)bound);
	exit(1);
}
