/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Two-dimensional paging: the tables from guest-physical to host-physical addresses that hardware
 * walks under the guest's own. One tree per VM, shared by its vCPUs, in either entry format.
 *
 * Everything in the tree follows from the memory slots, so it may be thrown away at any time and
 * is rebuilt by faults. Who changes what:
 *
 *  - Faults (any number of vCPUs at once, no lock) only fill: they turn an empty or stale entry
 *    into a mapping or into a table with one compare-and-swap, or set W in an entry that allows
 *    it. They lose races gracefully: whoever fails looks again.
 *  - Removal (under the slots_lock of the VM, so one at a time) takes entries out with atomic
 *    exchanges. An entry that led to a table becomes SPTE_FROZEN, and so does everything below
 *    it, until nobody can be using the tables any more; a fault that meets a frozen entry retries.
 *
 * When may a table page be reused? It can be in use by software, a fault handler that has already
 * loaded the pointer: those are over after a grace period (mm/grace.h). And by hardware, which may
 * walk it or have cached its entries: that ends with a flush of the VM's TLB tags. The two are
 * different things, and removal waits for both (docs/mmu.md).
 *
 * Roots: a vCPU holds a reference to the root it runs on. Zapping everything marks the root
 * invalid and asks the vCPUs to load another one, which costs them a constant time; the old tree
 * is torn down in slices when the last reference is gone.
 */
#ifndef EPT_TDP_H
#define EPT_TDP_H

#include "lib/list.h"
#include "lib/spinlock.h"
#include "lib/types.h"
#include "mm/cache.h"
#include "mm/grace.h"
#include "mm/mmu.h"
#include "mm/slots.h"
#include "mm/spte.h"

struct vm;
struct tdp;

/* A tree. Allocated with its first table. */
struct tdp_root {
	struct tdp *tdp;		/* const */
	spte_t *table;			/* const; level SPTE_LEVELS */
	hpa_t hpa;			/* const; of `table` */
	_Atomic uint32_t refs;		/* atomic; the VM's own one, and one for each vCPU on it */
	_Atomic bool invalid;		/* atomic; set once: no new references, no new entries */
	struct grace_head grace;	/* used when refs has fallen to 0 */
	struct list link;		/* tdp->lock; in tdp->roots, then in tdp->dying */
};

/* Counters, relaxed: any CPU adds, the monitor reads. */
struct tdp_stats {
	_Atomic uint64_t mapped[SPTE_LEVELS];	      /* leaves installed, by level - 1 */
	_Atomic uint64_t tables;		      /* table pages in use */
	_Atomic uint64_t faults[RET_PF_INVALID + 1];  /* by result */
};

struct tdp {
	struct guest_memory *mem;	/* const */
	struct vm *vm;			/* const; handed to mm/host.h */
	const struct spte_format *fmt;	/* const */
	unsigned max_level;		/* const; of a leaf */
	struct spinlock lock;		/* leaf */
	_Atomic(struct tdp_root *) root; /* lock to write; NULL: made when a vCPU asks */
	struct list roots;		/* lock; all that somebody may still use */
	struct list dying;		/* lock; those that nobody does, to be torn down */
	struct obj_cache root_cache;	/* its own lock */
	_Atomic unsigned nr_dying;	/* atomic; roots between their last reference and their end */
	struct tdp_stats stats;
};

/*
 * Set up the engine of a VM and make it the one of its memory. `fmt` is kept. `max_level`: the
 * largest page to use, 1 (4K) to 3 (1G), cut to what the format has. 0, or -ENOMEM.
 */
int tdp_init(struct tdp *t, struct guest_memory *mem, struct vm *vm, const struct spte_format *fmt,
	     unsigned max_level);

/* Free everything. No vCPU of the VM runs any more, and all have given their roots back. */
void tdp_destroy(struct tdp *t);

/* The current root with a reference of the caller's; NULL: no memory. Any CPU. */
struct tdp_root *tdp_get_root(struct tdp *t);
void tdp_put_root(struct tdp_root *root);

/*
 * Resolve a fault of a vCPU that runs on `root`: `error` is PFERR_*. Any number of CPUs at once,
 * each inside the hypervisor (a reader of mm/grace.h), with no lock held or taken.
 *
 * RET_PF_INVALID: no memory for a table. Tables made on the way stay, and are correct.
 */
enum ret_pf tdp_fault(struct tdp_root *root, gpa_t gpa, uint32_t error);

/*
 * Take out all entries for [start, end). On return no hardware uses one of them any more. A large
 * page that lies across a border is split; when memory is short, it goes as a whole.
 * slots_lock held; the caller's references die (mm/grace.h).
 */
void tdp_unmap_range(struct tdp *t, gfn_t start, gfn_t end);

/* Make all entries obsolete at once. slots_lock held. */
void tdp_zap_all(struct tdp *t);

/* Tear down a slice of obsolete trees; cheap when there are none. Any CPU, between runs. */
void tdp_zap_work_slow(struct tdp *t);

static inline void tdp_zap_work(struct tdp *t)
{
	if (unlikely(atomic_load_explicit(&t->nr_dying, memory_order_relaxed)))
		tdp_zap_work_slow(t);
}

#endif
