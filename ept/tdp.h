/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Two-dimensional paging: the tables from guest-physical to host-physical addresses that hardware
 * walks under the guest's own. One tree per VM, shared by its vCPUs, in either entry format.
 *
 * Everything in the tree follows from the memory slots, so it may be thrown away at any time, and
 * faults build it again. Two parties change it:
 *
 *  - Faults (any number of vCPUs at once, no lock) only fill: they turn an empty or stale entry
 *    into a mapping or into a table with one compare-and-swap, or give an entry rights that it
 *    allows. A fault that loses a race looks again.
 *  - Removal (under the slots_lock of the VM, so one at a time) takes entries out with atomic
 *    exchanges. A present entry becomes SPTE_FROZEN, with all entries below it, until no hardware
 *    can be using it any more. A fault that meets a frozen entry retries.
 *
 * When may a table page be reused? Two kinds of users can still have it. Software: a fault handler
 * that has already loaded the pointer; all such handlers are over after a grace period
 * (mm/grace.h). Hardware: it may walk the table or have cached its entries; a flush of the VM's
 * TLB tags ends that. Removal waits for both. docs/mmu.md has the interleavings.
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
#include "mm/account.h"
#include "mm/cache.h"
#include "mm/grace.h"
#include "mm/mmu.h"
#include "mm/slots.h"
#include "mm/spte.h"

#define TDP_LEVELS MMU_PAGE_SIZES

/*
 * A tree has about so many tables for MMIO entries alone; when they are used up, an access to a
 * device leaves no entry. tdp_account_pages() says how many "about" can be.
 */
#define TDP_MMIO_TABLES 64

struct vm;
struct tdp;

/* A tree. */
struct tdp_root {
	struct tdp *tdp;              /* const */
	spte_t *table;                /* const; of the level that the format says */
	hpa_t hpa;                    /* const; of `table` */
	unsigned refs;                /* tdp->lock; the VM's own one, and one for each vCPU on it */
	_Atomic bool invalid;         /* atomic; set once: nothing is mapped here any more */
	_Atomic uint32_t mmio_tables; /* atomic; tables made for MMIO entries alone */
	struct grace_head grace;      /* used when refs has fallen to 0 */
	struct list link;             /* tdp->lock; in tdp->dying */
};

/* Counters of the results of a vCPU's faults. Its CPU adds, any CPU reads; 64 bits never wrap. */
struct tdp_counters {
	_Atomic uint64_t faults[NR_RET_PF];  /* by result */
	_Atomic uint64_t mapped[TDP_LEVELS]; /* leaves installed by faults, by level - 1 */
	_Atomic uint64_t prefetched;         /* neighbours installed along with a 4K one */
	_Atomic uint64_t split; /* large pages split by a logged write, or an instruction fetch */
};

/* A vCPU's part of the engine; embedded in the vCPU and used by the CPU that owns it. */
struct tdp_vcpu {
	struct tdp *tdp;           /* const */
	struct tdp_root *root;     /* owner; with a reference; NULL: none is loaded */
	struct obj_reserve tables; /* owner; cleared pages, so that no fault fails half-way */
	struct tdp_counters count; /* see above */
	struct list link;          /* tdp->lock; in tdp->vcpus */
};

/* For counters that one CPU writes. */
static inline void tdp_add(_Atomic uint64_t *counter, uint64_t n)
{
	uint64_t v = atomic_load_explicit(counter, memory_order_relaxed);

	atomic_store_explicit(counter, v + n, memory_order_relaxed);
}

struct tdp {
	struct guest_memory *mem;      /* const */
	struct vm *vm;                 /* const; handed to mm/host.h */
	const struct spte_format *fmt; /* const */
	struct page_account *account;  /* const; whose pages the tables are */
	gfn_t end;                     /* const; what a tree reaches */
	unsigned max_level;            /* const; of a leaf */
	unsigned fault_tables;         /* const; that a fault may need: all levels but the root's */
	unsigned nr_logged;            /* slots_lock; slots whose writes are logged */
	struct spinlock lock;          /* leaf, above the locks of frames and caches */
	struct tdp_root *root;         /* lock; NULL: made when a vCPU asks */
	struct list dying;             /* lock; roots that nobody uses, to be torn down */
	struct list vcpus;             /* lock */
	struct obj_cache root_cache;   /* its own lock */
	struct tdp_counters gone;      /* lock; of vCPUs that are no more */
	_Atomic uint64_t tables;       /* atomic; table pages, linked or not */
	_Atomic unsigned nr_dying;     /* atomic; roots between last reference and end */
	/* Atomic. What gives table pages back later: removals of ranges, obsolete trees. */
	_Atomic uint64_t removals_begun, removals_done;
};

/*
 * The tables that a tree for these slots can have at most: the root, and one for each aligned piece
 * of guest-physical space that a table of each level covers and that has a page of a slot in it, as
 * if each page were mapped by itself.
 */
uint64_t tdp_slot_tables(const struct spte_format *fmt, const struct slot_array *slots);

/*
 * The pages that the engine of a VM with `nr_vcpus` vCPUs needs at most, with these slots (later
 * ones are not counted): with so many in its account no fault is ever without a table for long.
 * docs/mmu.md, "How many tables", has the reasons.
 */
uint64_t tdp_account_pages(const struct spte_format *fmt, const struct slot_array *slots,
			   unsigned nr_vcpus);

/*
 * Set up the engine of a VM and make it the one of its memory. `fmt` and `account` are kept, and
 * all that the engine allocates is charged to that account. `max_level`: the largest page to use,
 * 1 (4K) to 3 (1G), cut to what the format has. Takes slots_lock. 0, or -ENOMEM.
 */
int tdp_init(struct tdp *t, struct guest_memory *mem, struct vm *vm, const struct spte_format *fmt,
	     unsigned max_level, struct page_account *account);

/*
 * Free everything. No vCPU of the VM runs any more, and all have called tdp_vcpu_destroy(). Does
 * nothing to a cleared struct. Each call is bounded work: false as long as there is more to do,
 * which may have to wait for a grace period, perhaps among the deferred calls of another CPU. The
 * same CPU makes all calls.
 */
bool tdp_destroy_some(struct tdp *t);

/* The same in one go. As grace_round() for the caller. Several CPUs may do this, each to its own
 * VM. */
void tdp_destroy(struct tdp *t);

/* `tv` is cleared. Any CPU; the CPU that owns the vCPU is the only one to use `tv` afterwards. */
void tdp_vcpu_init(struct tdp_vcpu *tv, struct tdp *t);

/* Does nothing to a cleared struct. */
void tdp_vcpu_destroy(struct tdp_vcpu *tv);

/*
 * Put the vCPU on the VM's current root: at its creation, and when host_reload_roots() asked for
 * it. The caller gives `*root` to the hardware, and flushes all translations cached under the
 * vCPU's tag on this CPU before the vCPU runs on it: the page of the root may once have been a
 * table of another tree.
 * 0; or the vCPU cannot be entered: -EAGAIN, until it was asked again, because all pages of the
 * account are in use and some of them by obsolete trees; -ENOMEM. Owner CPU, between runs.
 */
int tdp_load_root(struct tdp_vcpu *tv, hpa_t *root);

/*
 * Resolve a fault at `gpa`; `error` is PFERR_*. Any number of CPUs at once, each inside the
 * hypervisor (a reader of mm/grace.h). Takes no lock, unless it needs pages for tables.
 *
 * RET_PF_INVALID: the account has no page for tables; nothing was changed. RET_PF_EMULATE: no
 * memory at `gpa`, or a write to a read-only slot. Others: mm/mmu.h.
 */
enum ret_pf tdp_fault(struct tdp_vcpu *tv, gpa_t gpa, uint32_t error);

/*
 * Count a fault whose result is known without asking the engine: RET_PF_EMULATE, no memory. Owner
 * CPU.
 */
static inline void tdp_count_mmio(struct tdp_vcpu *tv)
{
	tdp_add(&tv->count.faults[RET_PF_EMULATE], 1);
}

/*
 * Take out all entries for [start, end). On return no hardware uses one of them any more. A large
 * page that lies across a border is split, or taken as a whole when there is no memory for that.
 * Faults map whatever the slots say, so a caller that takes a frame away removes it from the slots
 * first. slots_lock held; the caller's references die (mm/grace.h).
 */
void tdp_unmap_range(struct tdp *t, gfn_t start, gfn_t end);

/* Make all entries obsolete at once. On return no hardware uses one. slots_lock held. */
void tdp_zap_all(struct tdp *t);

/*
 * Which of the 4K pages [start, end) have been accessed since the last call? Sets bit i of `young`
 * (cleared by the caller; NULL: only count) for page start + i, all bits of a large page. Returns
 * their number. Does not flush, so that a page in constant use may look old: a hint. slots_lock
 * held.
 */
uint64_t tdp_age_range(struct tdp *t, gfn_t start, gfn_t end, uint64_t *young);

/*
 * Tear down a slice of obsolete trees. Any CPU, between runs; cheap when there is none. False:
 * there was nothing to do, because each obsolete tree still waits for its grace period or another
 * CPU is at work on it.
 */
bool tdp_zap_work_slow(struct tdp *t);

static inline bool tdp_has_zap_work(struct tdp *t)
{
	return unlikely(atomic_load_explicit(&t->nr_dying, memory_order_relaxed));
}

static inline bool tdp_zap_work(struct tdp *t)
{
	return tdp_has_zap_work(t) && tdp_zap_work_slow(t);
}

/* Add up what the vCPUs have counted. Any CPU. */
void tdp_get_stats(struct tdp *t, struct mmu_stats *stats);

#endif
