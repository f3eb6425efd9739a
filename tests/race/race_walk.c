/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The walker sets accessed and dirty bits while another CPU changes the same entries: it flips
 * the page between two frames, counts in the available bits, and clears A and D. No step of its
 * count may be lost, and a walk must give one of the two pages: the one of the entry in its trail.
 */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "arch/x86/regs.h"
#include "mm/frames.h"
#include "mm/grace.h"
#include "mm/guest.h"
#include "mm/walk.h"
#include "tests/unit/support/host.h"

#define WALKERS 2
#define STEPS   100000

static struct guest_memory mem;
static uint64_t *pte;
static _Atomic bool done;
static _Atomic unsigned failures, walks, stale;

/* What the walk found is what its trail says, be it still there or not. */
static bool is_consistent(const struct walk_result *r)
{
	uint64_t leaf = r->step[1].val;

	return (leaf & PTE_ADDR) == (r->gpa.v & PTE_ADDR) && (leaf & PTE_A) && (leaf & PTE_D);
}

static void walk_once(const struct guest_paging *p)
{
	struct walk_result r;
	int err = guest_walk(&mem, p, GVA(0x18), PFERR_WRITE, &r);

	if (err == -EAGAIN)
		return;
	if (err || (r.gpa.v != 0x5018 && r.gpa.v != 0x6018) || !is_consistent(&r))
		atomic_fetch_add(&failures, 1);
	if (!guest_walk_is_current(p, &r))
		atomic_fetch_add_explicit(&stale, 1, memory_order_relaxed);
	atomic_fetch_add_explicit(&walks, 1, memory_order_relaxed);
}

static void *walker_main(void *arg)
{
	struct guest_paging p = {.cr0 = CR0_PG | CR0_PE, .cr4 = CR4_PAE, .cr3 = 0x1000};
	struct grace_cpu *me;

	p.efer = EFER_LMA | EFER_LME;
	p.maxphyaddr = 40;
	guest_paging_update(&p);
	host_set_cpu((unsigned)(uintptr_t)arg);
	me = grace_cpu();
	while (!atomic_load_explicit(&done, memory_order_relaxed)) {
		grace_exit_guest(me);
		walk_once(&p);
		grace_enter_guest(me);
	}
	return NULL;
}

/* One atomic change: the other frame, A and D cleared, the count (bits 58:52) one up. */
static void step(unsigned *seen_dirty)
{
	uint64_t old = __atomic_load_n(pte, __ATOMIC_RELAXED), next;

	do {
		next = (old ^ 0x3000) & ~(PTE_A | PTE_D);
		next = (next & ~GENMASK_ULL(58, 52)) | ((old + BIT_ULL(52)) & GENMASK_ULL(58, 52));
	} while (!__atomic_compare_exchange_n(pte, &old, next, false, __ATOMIC_RELAXED,
					      __ATOMIC_RELAXED));
	*seen_dirty += (old & PTE_D) != 0;
}

int main(void)
{
	pthread_t thread[WALKERS + 1];
	unsigned seen_dirty = 0;

	host_arena_with_frames(16ull << 20);
	host_set_nr_cpus(WALKERS + 1);
	slots_init(&mem);
	grace_exit_guest(grace_cpu());
	slots_create(&mem, 0, GFN(0), 16, 0);
	for (uint64_t i = 1; i <= 4; i++) {
		uint64_t entry = (i + 1) << 12 | PTE_P | PTE_RW;

		guest_write(&mem, GPA(i << 12), &entry, sizeof(entry));
	}
	pte = guest_ptr(&mem, GPA(0x4000), 8, true);
	for (uintptr_t i = 1; i <= WALKERS; i++)
		pthread_create(&thread[i], NULL, walker_main, (void *)i);
	for (unsigned i = 0; i < STEPS || seen_dirty < 1000; i++) {
		uint64_t before = __atomic_load_n(pte, __ATOMIC_RELAXED) >> 52 & 127;

		step(&seen_dirty);
		if ((__atomic_load_n(pte, __ATOMIC_RELAXED) >> 52 & 127) != ((before + 1) & 127))
			atomic_fetch_add(&failures, 1);
	}
	atomic_store(&done, true);
	for (unsigned i = 1; i <= WALKERS; i++)
		pthread_join(thread[i], NULL);
	printf("race_walk: %u walks, %u stale at once, dirty bit seen %u times\n", walks, stale,
	       seen_dirty);
	return failures != 0;
}
