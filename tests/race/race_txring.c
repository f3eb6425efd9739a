/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The ring of a port (drivers/txring.h) and the wait for room (vmm/console.h) under the thread
 * sanitizer: guests of two CPUs and a log put bytes in, the boot CPU takes its interrupts, a timer
 * that comes rarely, and has who waits go on. Each guest's bytes come out in their order, none is
 * lost, and none waits for ever.
 */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "arch/x86/stop.h"
#include "drivers/txring.h"
#include "lib/bits.h"

#define GUESTS 2
#define BYTES  60000u
#define LINES  2000u
#define LIMIT  256
#define RARELY 64 /* turns of the boot CPU between two looks at what waits without an interrupt */

static struct tx_ring ring;
static _Atomic bool irq_on, woken, done;
static _Atomic uint32_t turns; /* the device is ready at every fourth */
static char sent[GUESTS * BYTES + 8 * LINES];
static size_t nr_sent; /* ring's lock */

bool stop_in_progress(void)
{
	return false;
}

static size_t take(struct tx_ring *r, const char *data, size_t len)
{
	size_t n = min(len, (size_t)16);

	if (atomic_fetch_add(&turns, 1) % 4)
		return 0;
	memcpy(sent + nr_sent, data, n);
	nr_sent += n;
	return n;
}

static void want_irq(struct tx_ring *r, bool on)
{
	atomic_store(&irq_on, on);
}

static void wake(void)
{
	atomic_store(&woken, true);
}

static const struct tx_ops ops = {take, want_irq};

/* A guest that does not poll: it goes on only when it is told to. */
static struct guest {
	_Atomic bool waits; /* (2), (6) and (7) of vmm/console.h */
	_Atomic bool go_on; /* its THRE interrupt */
} guests[GUESTS];
static _Atomic bool any_waits;

static bool put_byte(struct guest *g, char c)
{
	if (tx_put(&ring, &c, 1, LIMIT))
		return true;
	atomic_store(&g->waits, true);
	atomic_store(&any_waits, true);
	return tx_put(&ring, &c, 1, LIMIT);
}

static void *run_guest(void *arg)
{
	struct guest *g = arg;
	char base = g == guests ? 'a' : 'A';

	for (unsigned i = 0; i < BYTES;) {
		atomic_store(&g->go_on, false);
		if (put_byte(g, (char)(base + i % 26))) {
			i++;
			continue;
		}
		while (!atomic_load(&g->go_on))
			sched_yield();
	}
	return NULL;
}

static void *run_log(void *unused)
{
	char line[16];

	for (unsigned i = 0; i < LINES; i++) {
		snprintf(line, sizeof(line), "<%06u>", i);
		while (!tx_put(&ring, line, 8, TX_RING_LEN))
			sched_yield();
		if (i % 16 == 0)
			sched_yield();
	}
	return NULL;
}

static void wake_waiting(void)
{
	if (!atomic_exchange(&any_waits, false))
		return;
	for (unsigned i = 0; i < GUESTS; i++) {
		if (!atomic_load(&guests[i].waits))
			continue;
		if (tx_pending(&ring) > LIMIT / 2) {
			atomic_store(&any_waits, true);
			continue;
		}
		atomic_store(&guests[i].waits, false);
		atomic_store(&guests[i].go_on, true);
	}
}

static void *run_boot_cpu(void *unused)
{
	bool armed = false;

	for (unsigned turn = 0; !atomic_load(&done) || tx_pending(&ring); turn++) {
		if (atomic_load(&irq_on))
			tx_drain(&ring);
		wake_waiting();
		armed |= atomic_exchange(&woken, false);
		if (turn % RARELY == 0 && armed)
			armed = tx_look(&ring) || atomic_load(&any_waits);
		sched_yield();
	}
	return NULL;
}

static void check(bool ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "race_txring: %s\n", what);
	exit(1);
}

static void check_output(void)
{
	unsigned nr[GUESTS] = {0}, lines = 0;

	check(nr_sent == sizeof(sent), "bytes are missing, or too many");
	for (size_t i = 0; i < nr_sent; i++) {
		unsigned g = sent[i] < 'a';

		if (sent[i] == '<') { /* whole lines */
			check((unsigned)atoi(sent + i + 1) == lines++ && sent[i + 7] == '>',
			      "a line is broken or out of its order");
			i += 7;
			continue;
		}
		check(sent[i] == (g ? 'A' : 'a') + (char)(nr[g]++ % 26),
		      "a guest's bytes are out of order");
	}
	check(nr[0] == BYTES && nr[1] == BYTES && lines == LINES, "the counts are wrong");
}

int main(void)
{
	pthread_t boot, others[GUESTS + 1];

	tx_init(&ring, &ops);
	tx_go_background(wake);
	pthread_create(&boot, NULL, run_boot_cpu, NULL);
	for (unsigned i = 0; i < GUESTS; i++)
		pthread_create(&others[i], NULL, run_guest, &guests[i]);
	pthread_create(&others[GUESTS], NULL, run_log, NULL);
	for (unsigned i = 0; i < ARRAY_SIZE(others); i++)
		pthread_join(others[i], NULL);
	atomic_store(&done, true);
	pthread_join(boot, NULL);
	check_output();
	return 0;
}
