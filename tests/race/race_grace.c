/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Grace periods with real threads as CPUs, under the thread sanitizer. Each CPU reads the shared
 * object in its sections with plain loads, and some replace it: half of the objects are freed by
 * grace_call(), half after grace_wait(). Freeing scribbles over the object with plain stores, so
 * a period that ends too early is a data race, and a wrong magic number.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "lib/bits.h"
#include "mm/grace.h"
#include "tests/unit/support/host.h"

#define CPUS     4
#define UPDATERS 2
#define ROUNDS   20000
#define MAGIC    0x600dcafe

struct object {
	struct grace_head head;
	unsigned magic, number;
};

static _Atomic(struct object *) shared;
static struct spinlock update_lock = SPINLOCK_INIT; /* held across grace_wait() */
static _Atomic unsigned made, freed, failures;

static void fail(const char *what)
{
	fprintf(stderr, "race_grace: %s\n", what);
	atomic_fetch_add(&failures, 1);
}

static struct object *make(unsigned number)
{
	struct object *o = malloc(sizeof(*o));

	o->magic = MAGIC;
	o->number = number;
	atomic_fetch_add(&made, 1);
	return o;
}

static void free_object(struct grace_head *head)
{
	struct object *o = container_of(head, struct object, head);

	if (o->magic != MAGIC)
		fail("freed twice");
	o->magic = o->number = 0;
	free(o);
	atomic_fetch_add(&freed, 1);
}

static void read_section(unsigned *last)
{
	for (unsigned i = 0; i < 4; i++) {
		struct object *o = atomic_load_explicit(&shared, memory_order_acquire);

		if (o->magic != MAGIC)
			fail("object used after its grace period");
		if (o->number < *last)
			fail("an older object came back");
		*last = o->number;
	}
}

static void update_deferred(unsigned *number)
{
	struct object *old;

	grace_lock(&update_lock);
	old = atomic_load_explicit(&shared, memory_order_relaxed);
	*number = old->number + 1;
	atomic_store_explicit(&shared, make(*number), memory_order_release);
	spin_unlock(&update_lock);
	grace_call(&old->head, free_object);
}

static void update_waiting(unsigned *number)
{
	struct object *old;

	grace_lock(&update_lock);
	old = atomic_load_explicit(&shared, memory_order_relaxed);
	*number = old->number + 1;
	atomic_store_explicit(&shared, make(*number), memory_order_release);
	grace_wait();
	spin_unlock(&update_lock);
	free_object(&old->head);
}

static void *cpu_main(void *arg)
{
	unsigned cpu = (unsigned)(uintptr_t)arg, last = 0;
	struct grace_cpu *me;

	host_set_cpu(cpu);
	me = grace_cpu();
	for (unsigned i = 0; i < ROUNDS; i++) {
		grace_exit_guest(me);
		read_section(&last);
		if (cpu < UPDATERS && i % 4 == 0)
			update_deferred(&last);
		if (cpu < UPDATERS && i % 64 == 2)
			update_waiting(&last);
		grace_poll(me);
		grace_enter_guest(me);
	}
	grace_exit_guest(me);
	grace_drain();
	grace_enter_guest(me);
	return NULL;
}

int main(void)
{
	pthread_t thread[CPUS];

	host_set_nr_cpus(CPUS);
	atomic_store(&shared, make(1));
	for (uintptr_t i = 0; i < CPUS; i++)
		pthread_create(&thread[i], NULL, cpu_main, (void *)i);
	for (unsigned i = 0; i < CPUS; i++)
		pthread_join(thread[i], NULL);
	free_object(&atomic_load(&shared)->head);
	if (made != freed)
		fail("not every object was freed exactly once");
	printf("race_grace: %u objects\n", freed);
	return failures != 0;
}
