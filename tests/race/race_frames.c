/* SPDX-License-Identifier: BSD-2-Clause */
/* Frames and objects under several CPUs: each run belongs to one of them at a time, none is lost.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "mm/cache.h"
#include "mm/frames.h"
#include "tests/unit/support/host.h"

#define CPUS  2
#define STEPS 20000
#define HELD  64

static struct obj_cache cache;
static _Atomic unsigned failures;

/* Plain stores: a run that two CPUs have is a data race. */
static void scribble(uint64_t *p, uint64_t val)
{
	*p = val;
}

static void check(const uint64_t *p, uint64_t val)
{
	if (*p != val)
		atomic_fetch_add(&failures, 1);
}

static bool alloc(unsigned order, bool low, pfn_t *pfn)
{
	return low && !order ? frames_alloc_low(pfn) : frames_alloc(order, pfn);
}

static void *cpu_main(void *arg)
{
	unsigned cpu = (unsigned)(uintptr_t)arg, seed = cpu, order[HELD];
	uint64_t *held[HELD] = {}, *obj[HELD] = {};

	host_set_cpu(cpu);
	for (unsigned i = 0; i < STEPS; i++) {
		unsigned k = rand_r(&seed) % HELD;
		pfn_t pfn;

		if (held[k]) {
			check(held[k], cpu);
			pages_free(held[k], order[k]);
			obj_free(&cache, obj[k]);
			held[k] = NULL;
			continue;
		}
		order[k] = rand_r(&seed) % 8 ? 0 : rand_r(&seed) % 5;
		obj[k] = obj_alloc(&cache);
		if (!obj[k] || !alloc(order[k], rand_r(&seed) % 4 == 0, &pfn)) {
			atomic_fetch_add(&failures, 1);
			break;
		}
		held[k] = pfn_to_va(pfn);
		scribble(held[k], cpu);
		scribble(obj[k], cpu);
	}
	for (unsigned k = 0; k < HELD; k++) {
		if (held[k]) {
			pages_free(held[k], order[k]);
			obj_free(&cache, obj[k]);
		}
	}
	return NULL;
}

int main(void)
{
	pthread_t thread[CPUS];
	struct frames_stats before, after;

	host_arena_with_frames(64ull << 20);
	host_set_nr_cpus(CPUS);
	obj_cache_init(&cache, "race", 72, 8, NULL);
	frames_stats(&before);
	for (uintptr_t i = 0; i < CPUS; i++)
		pthread_create(&thread[i], NULL, cpu_main, (void *)i);
	for (unsigned i = 0; i < CPUS; i++)
		pthread_join(thread[i], NULL);
	frames_stats(&after);
	printf("race_frames: %u failures\n", failures);
	return failures || after.free != before.free || cache.nr_objects;
}
