/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The dirty log loses nothing: CPUs write numbers into pages while one collects the log and reads
 * the pages that it names, as a migration would. At the end its copy equals the memory.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "mm/frames.h"
#include "mm/grace.h"
#include "mm/guest.h"
#include "tests/unit/support/host.h"

#define WRITERS 3
#define PAGES   128
#define WRITES  60000

static struct guest_memory mem;
static _Atomic unsigned running = WRITERS;

static void *writer_main(void *arg)
{
	unsigned cpu = (unsigned)(uintptr_t)arg, seed = cpu;
	struct grace_cpu *me;

	host_set_cpu(cpu);
	me = grace_cpu();
	for (uint64_t i = 1; i <= WRITES; i++) {
		gpa_t gpa = GPA(rand_r(&seed) % PAGES * PAGE_SIZE);
		uint64_t val = (uint64_t)cpu << 32 | i;

		grace_exit_guest(me);
		guest_write(&mem, gpa, &val, sizeof(val));
		grace_enter_guest(me);
	}
	atomic_fetch_sub(&running, 1);
	return NULL;
}

static unsigned collect(uint64_t copy[PAGES])
{
	uint64_t bitmap[PAGES / 64];
	unsigned n = 0;

	slots_get_dirty(&mem, 0, 0, PAGES, bitmap);
	for (unsigned i = 0; i < PAGES; i++) {
		if (!(bitmap[i / 64] >> i % 64 & 1))
			continue;
		guest_read(&mem, GPA(i * PAGE_SIZE), &copy[i], sizeof(copy[i]));
		n++;
	}
	return n;
}

int main(void)
{
	static uint64_t copy[PAGES];
	pthread_t thread[WRITERS + 1];
	unsigned lost = 0, n = 0;

	host_arena_with_frames(16ull << 20);
	host_set_nr_cpus(WRITERS + 1);
	slots_init(&mem);
	grace_exit_guest(grace_cpu());
	slots_create(&mem, 0, GFN(0), PAGES, SLOT_DIRTY_LOG);
	for (uintptr_t i = 1; i <= WRITERS; i++)
		pthread_create(&thread[i], NULL, writer_main, (void *)i);
	while (atomic_load(&running))
		n += collect(copy);
	n += collect(copy);
	for (unsigned i = 1; i <= WRITERS; i++)
		pthread_join(thread[i], NULL);
	for (unsigned i = 0; i < PAGES; i++) {
		uint64_t now;

		guest_read(&mem, GPA(i * PAGE_SIZE), &now, sizeof(now));
		lost += now != copy[i];
	}
	printf("race_dirty: %u pages collected, %u writes lost\n", n, lost);
	return lost || !n;
}
