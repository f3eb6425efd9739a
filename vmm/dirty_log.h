/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The dirty log of a running VM: which 4K pages of its RAM were written, by the guest or by Umbra
 * on its behalf, since the last look at the log. It has one user at a time, the monitor or the
 * guest itself, because each look clears what it reports.
 *
 * All functions: any CPU, inside the hypervisor, with no lock and no reference into the memory
 * slots (rule 2 of docs/locking.md), while the vCPUs run.
 */
#ifndef VMM_DIRTY_LOG_H
#define VMM_DIRTY_LOG_H

#include <stdatomic.h>
#include <stdint.h>

#include "lib/types.h"

struct vcpu;
struct vm;

enum dirty_phase {
	DIRTY_OFF,
	DIRTY_CHANGING, /* one caller is publishing the new flags of the slots */
	DIRTY_STARTING, /* memory that is mapped follows, in slices */
	DIRTY_ON,
	DIRTY_STOPPING, /* the same at the end */
};

enum dirty_user { DIRTY_MONITOR, DIRTY_GUEST };

/* One word: of `changes` 48 bits, so that no state comes twice. */
struct dirty_state {
	enum dirty_phase phase;
	enum dirty_user user;
	uint64_t changes;
};

struct dirty_log {
	_Atomic uint64_t word;  /* atomic; a struct dirty_state, only ever compared and swapped */
	_Atomic uint64_t total; /* atomic; pages reported since the log was switched on */
};

/* Ranges of the log begin and end at multiples of so many pages; at most so many at a look. */
#define DIRTY_GRANULE   64u
#define DIRTY_MAX_PAGES 8192u

/*
 * Switch the log on or off. -EAGAIN: a slice of it is done, bounded work, and the same call is to
 * be made again, until it says otherwise. 0; start: -EEXIST: it is on already; stop: -ENOENT: it is
 * off. -EBUSY: somebody else has it, or is just changing it; -ENOMEM. Writes are logged from the
 * time that start says 0; at the end what was not collected is lost. When several of a user's
 * callers make the same call at the same time, they share the work, and one of them gets the 0.
 */
int dirty_start(struct vm *vm, enum dirty_user user);
int dirty_stop(struct vm *vm, enum dirty_user user);

/*
 * Get and clear: bit i of `bitmap` (nr_pages bits) is page first + i, 0 where there is no RAM.
 * `first` and `nr_pages` are multiples of DIRTY_GRANULE; nr_pages at most DIRTY_MAX_PAGES. How many
 * bits are set; or -ENOENT, -EBUSY as above, -EINVAL. The page of a write that was over before
 * this call is reported by this call or was by an earlier one (mm/slots.h).
 */
int dirty_collect(struct vm *vm, enum dirty_user user, gfn_t first, uint64_t nr_pages,
		  uint64_t *bitmap);

/*
 * The CPU's own log of written pages, where it has one (virt_caps.tdp_logs_writes).
 * dirty_switch_cpu_log() switches it as vm->logs_writes says; dirty_empty_cpu_log() copies the
 * pages in it into the slots' bitmaps. Owner CPU, out of guest mode; the CPU's log is empty when it
 * is switched.
 */
void dirty_switch_cpu_log(struct vcpu *v);
void dirty_empty_cpu_log(struct vcpu *v);

/* All RAM, in slices of so many pages. */
#define DIRTY_COUNT_PAGES 1024u

struct dirty_count {
	unsigned id; /* the slot ... */
	uint64_t at; /* ... and page that come next */
	uint64_t pages;
};

/*
 * Count all pages in the log, and clear it. `c` is cleared before the first call. -EAGAIN: a slice
 * is done, call again. 0: `c->pages` are all; or an error of dirty_collect().
 */
int dirty_count(struct vm *vm, enum dirty_user user, struct dirty_count *c);

#endif
