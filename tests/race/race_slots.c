/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Memory slots change while other CPUs use them. Each page carries a tag made of its slot and its
 * place in it; the tag stays with the page when the slot moves, and goes when it is deleted and
 * its frames are used for another slot. A reader that finds a slot must find its tags.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "mm/frames.h"
#include "mm/grace.h"
#include "mm/guest.h"
#include "tests/unit/support/host.h"

#define CPUS    4
#define IDS     4
#define SPACE   4096 /* frames */
#define CHANGES 400

static struct guest_memory mem;
static _Atomic bool done;
static _Atomic unsigned failures, hits;

static void fail(const char *what)
{
	fprintf(stderr, "race_slots: %s\n", what);
	atomic_fetch_add(&failures, 1);
}

static uint64_t tag(unsigned id, uint64_t page)
{
	return (uint64_t)(id + 1) << 32 | page;
}

/* A slot is filled through its frames: readers may look at it as soon as it is there. */
static void fill(unsigned id)
{
	struct slot_array *slots = slots_get(&mem);

	for (uint32_t i = 0; i < slots->nr; i++) {
		const struct memslot *s = &slots->slot[i];

		for (uint64_t page = 0; s->id == id && page < s->nr_pages; page++) {
			uint64_t val = tag(id, page);

			guest_write(&mem, gfn_to_gpa(GFN(s->base.v + page)), &val, sizeof(val));
		}
	}
}

static void check_page(uint64_t gfn)
{
	struct slot_array *slots = slots_get(&mem);
	const struct memslot *s = slots_lookup(slots, GFN(gfn));
	uint64_t val;

	if (!s || s->flags & SLOT_INVALID)
		return;
	if (!slot_has(s, GFN(gfn)))
		fail("slot without the frame that was asked for");
	val = __atomic_load_n((uint64_t *)slot_va(s, GPA(gfn * PAGE_SIZE)), __ATOMIC_RELAXED);
	/* A new slot is cleared, and not yet filled. */
	if (val && val != tag(s->id, gfn - s->base.v))
		fail("page of another slot");
	atomic_fetch_add_explicit(&hits, val != 0, memory_order_relaxed);
}

/* Within one section the generation of a copy moves at most from "in progress" to final. */
static void check_generation(uint64_t *last)
{
	uint64_t gen = slots_generation(&mem) & ~SLOTS_GEN_IN_PROGRESS;

	if (gen < *last)
		fail("generation went back");
	*last = gen;
}

static void *reader_main(void *arg)
{
	unsigned cpu = (unsigned)(uintptr_t)arg, seed = cpu;
	struct grace_cpu *me;
	uint64_t generation = 0;

	host_set_cpu(cpu);
	me = grace_cpu();
	while (!atomic_load_explicit(&done, memory_order_relaxed)) {
		grace_exit_guest(me);
		for (unsigned i = 0; i < 16; i++)
			check_page(rand_r(&seed) % SPACE);
		check_generation(&generation);
		grace_enter_guest(me);
	}
	return NULL;
}

static void change(unsigned *seed)
{
	unsigned id = rand_r(seed) % IDS;
	uint64_t base = rand_r(seed) % (SPACE - 600);

	switch (rand_r(seed) % 4) {
	case 0:
		if (!slots_create(&mem, id, GFN(base), 1 + rand_r(seed) % 600, 0))
			fill(id);
		break;
	case 1:
		slots_delete(&mem, id);
		break;
	case 2:
		slots_move(&mem, id, GFN(base));
		break;
	default:
		slots_set_flags(&mem, id, rand_r(seed) % 2 ? SLOT_DIRTY_LOG : 0);
	}
}

int main(void)
{
	pthread_t thread[CPUS];
	unsigned seed = 1;
	struct frames_stats before, after;

	host_arena_with_frames(64ull << 20);
	host_set_nr_cpus(CPUS);
	frames_stats(&before);
	slots_init(&mem);
	grace_exit_guest(grace_cpu());
	for (uintptr_t i = 1; i < CPUS; i++)
		pthread_create(&thread[i], NULL, reader_main, (void *)i);
	for (unsigned i = 0; i < CHANGES; i++)
		change(&seed);
	atomic_store(&done, true);
	for (unsigned i = 1; i < CPUS; i++)
		pthread_join(thread[i], NULL);
	slots_destroy(&mem);
	frames_stats(&after);
	if (after.free != before.free)
		fail("frames were lost");
	if (!hits)
		fail("no page was ever read");
	printf("race_slots: %u pages checked\n", hits);
	return failures != 0;
}
