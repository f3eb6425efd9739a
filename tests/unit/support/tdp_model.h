/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The two-dimensional engine against adversarial CPUs and a naive model.
 *
 * The model says for each guest frame what is written in the page behind it (a stamp that no other
 * page has), whether it is writable and whether writes to it are logged. Operations (tdp_ops.h)
 * change slots and entries, while vCPUs go on. After each single store to a linked table
 *  - the table shows the old mapping or the new one, never a third, and where a change keeps a
 *    page readable it is so at every moment;
 *  - any other CPU may go on (adversary_sched.h): a vCPU in guest mode, with all the cached entries
 *    it may have, or in its fault handler, or whoever takes entries away;
 *  - a store that is none of the engine's shows a table page that was freed: nobody may have it
 *    cached.
 * After each operation every cached translation must be one that the model allows, and every cached
 * table still in the tree. What a missing flush leaves behind fails there.
 */
#ifndef TESTS_UNIT_SUPPORT_TDP_MODEL_H
#define TESTS_UNIT_SUPPORT_TDP_MODEL_H

#include <stdbool.h>
#include <stdint.h>

#include "tests/unit/support/adversary.h"

#define MODEL_SPACE   0x2000 /* guest frames of the small world */
#define MODEL_BIG     0x40000
#define MODEL_MAX_GFN (2 * MODEL_BIG)

struct model {
	uint64_t stamp; /* 0: no memory */
	bool ro, log;
	bool dirty;    /* written by a guest and not reported yet */
	bool due;      /* so was it, and all was over, when the log was asked for */
	bool readable; /* before the operation that is going on */
};

extern struct model model[MODEL_MAX_GFN];
extern uint64_t model_space; /* the guest frames that matter */
extern uint64_t model_focus; /* most accesses go near it */

/* A world of this format, with `arena` bytes of RAM; vCPU i is the guest of CPU i + 1. */
void model_start(uint64_t seed, unsigned format, unsigned max_level, uint64_t arena,
		 uint64_t space);

/* Trap stores to the tree's tables, from the root on, and overwrite what is freed. */
void model_watch_tree(void);

/* Takes the world down. After a run that got stuck it cannot be. */
void model_finish(void);

/* Fails with the first violation and the seed. */
void model_must_be_fine(void);

/* An operation begins: does it keep what is readable so? */
void model_begin(bool keeps_readable);

/* Until model_end() the frames from `base` on, and from `other` on, may be as the model says or as
 * the slots do. */
void model_in_flux(uint64_t base, uint64_t other, uint64_t pages);
void model_end(void);

/* The pages of a slot are new: each gets a stamp of its own. */
void model_stamp_slot(uint64_t base, uint64_t pages, uint32_t flags);

struct memslot *model_slot(uint64_t gfn);

/* Was a write to this page noted, or is it being? */
bool model_is_noted(uint64_t gfn);

/* Is a vCPU inside a handler of a write to this page, which may have installed it already? */
bool model_is_handled(uint64_t gfn);

void model_check_all_cached(void);

uint64_t model_pick_gfn(void);
unsigned model_pick_right(void);

/* What a vCPU does before it enters its guest: it loads another root, if it was asked to. */
void model_enter(unsigned vcpu);

/* One access of a vCPU (ADV_READ, ADV_WRITE, ADV_EXEC), or its fault. True: the access is over. */
bool model_access_once(unsigned vcpu, uint64_t gfn, unsigned right);

/* Until it is over; with nobody else about that does not take long. */
void model_access(unsigned vcpu, uint64_t gfn, unsigned right);

/* The vCPU of the calling CPU runs until `done`: access after access, and the run loop's work. */
void model_run_vcpu(const bool *done);

/* What host_flush_vm() does here: all notes are taken, all CPUs flush. */
void model_flush(struct vm *vm);

/* Requests to load another root that this vCPU has not followed. */
extern unsigned model_seen_reloads[WORLD_VCPUS];

#endif
