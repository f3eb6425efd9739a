/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * CPUs that are threads, of which one runs at a time: the worst moments to be interrupted, drawn
 * by a seed, and the same again with the same seed. The code under test cannot tell; sanitizers see
 * ordinary threads.
 *
 * Another CPU may get its turn at each point: at each trapped store (store_trap.h), each turn of a
 * spin (host_on_spin), and each question for the number of the CPU. How many points a CPU keeps
 * its turn for is drawn anew each time, short and long alike: a bug may want another CPU to do one
 * step in between, or its whole work (Burckhardt et al., "A randomized scheduler with probabilistic
 * guarantees of finding bugs", 2010). A CPU that spins loses its turn at once.
 *
 * A run has a bound in points. CPUs that wait for each other reach it, whatever it is they do
 * while they wait; no clock is involved. They are left as they are: what they have in hand is lost.
 */
#ifndef TESTS_UNIT_SUPPORT_ADVERSARY_SCHED_H
#define TESTS_UNIT_SUPPORT_ADVERSARY_SCHED_H

#include <stdbool.h>
#include <stdint.h>

#define ADV_MAX_CPUS 8

/*
 * Run cpu_main(0) ... cpu_main(nr - 1), each on a CPU of that number (host_set_cpu()), until all
 * have returned. The caller is CPU 0 as well, and lends it. False: they did not within `bound`
 * points. A panic meanwhile says the seed, and ends the program.
 */
bool adv_sched_run(uint64_t seed, unsigned nr, uint64_t bound, void (*cpu_main)(unsigned cpu));

/* The same, and if they did not, say so with the seed and end the program: nothing can go on. */
void adv_sched_must_end(uint64_t seed, unsigned nr, uint64_t bound, void (*cpu_main)(unsigned cpu));

/*
 * The next run begins with these turns, and goes on by its seed when they are over: so all places
 * can be gone through in which one CPU, or two, are interrupted (Musuvathi and Qadeer, "Iterative
 * context bounding", 2007). A turn lasts for so many points (1 ...), or until the CPU spins or has
 * finished. `turns` is kept until the run is over.
 */
struct adv_turn {
	unsigned cpu, points;
};
#define ADV_TO_THE_END 1000000000u
void adv_sched_plan(const struct adv_turn *turns, unsigned nr);

/* Somebody else may go on here. Does nothing outside adv_sched_run(). */
void adv_sched_point(void);

/* Points since the run began. */
uint64_t adv_sched_points(void);

/* A number below n, from the seed of the run. */
unsigned adv_sched_draw(unsigned n);

#endif
