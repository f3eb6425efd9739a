/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The shadow MMU: tables from the guest's linear addresses to host-physical ones, for machines
 * without two-dimensional paging. They are made of the guest's own tables, entry by entry, when the
 * guest faults, and follow them as a TLB would: what the guest changes may be seen late, but not
 * later than the flush that the architecture asks the guest for. docs/shadow.md has the protocols.
 *
 * One engine per VM, one lock in it (docs/locking.md). A vCPU has a part of it, which only its
 * owner CPU uses.
 */
#ifndef MM_SHADOW_SHADOW_H
#define MM_SHADOW_SHADOW_H

#include "lib/list.h"
#include "lib/spinlock.h"
#include "lib/types.h"
#include "mm/account.h"
#include "mm/cache.h"
#include "mm/mmu.h"
#include "mm/slots.h"
#include "mm/spte.h"
#include "mm/walk.h"

struct vm;
struct shadow_page; /* mm/shadow/internal.h */

#define SHADOW_HASH_BITS  10
#define SHADOW_ROOT_PAGES 4 /* the four page directories of PAE; other roots have one page */

/* The formats of this machine, of entries below a root of 3, 4 and 5 levels. */
struct shadow_formats {
	struct spte_format root[3];
};

static inline const struct spte_format *shadow_format(const struct shadow_formats *f,
						      unsigned levels)
{
	return &f->root[levels - 3];
}

struct shadow {
	struct guest_memory *mem;             /* const */
	struct vm *vm;                        /* const; handed to mm/host.h */
	const struct shadow_formats *formats; /* const */
	struct page_account *account;         /* const; whose pages all of this is */
	uint64_t max_pages;                   /* const; shadow pages at the same time */
	struct obj_cache page_cache;          /* its own lock */
	struct obj_cache chunk_cache;         /* its own lock */

	struct spinlock lock;      /* mmu_lock: all that follows, all tables, all reverse maps */
	uint64_t generation;       /* of pages that are not obsolete; never comes round */
	_Atomic uint64_t nr_pages; /* read without it; shadow pages that have memory */
	_Atomic bool has_obsolete; /* read without it; pages of an older generation */
	struct list active; /* newest first: so generations are in order, obsolete ones last */
	struct list unsync; /* pages whose guest tables may be written unseen, oldest last */
	unsigned nr_unsync;
	struct list dead; /* pages whose tables wait for the flush in shadow_unlock() */
	bool flush_due;   /* TLBs may have what is in no reverse map any more */
	bool reload_due;  /* a vCPU may run on an invalid root */
	struct mmu_stats stats;
	struct list hash[1u << SHADOW_HASH_BITS];
};

/* A vCPU's part. Owner CPU. */
struct shadow_vcpu {
	struct shadow *s;                            /* const */
	struct shadow_page *root[SHADOW_ROOT_PAGES]; /* with a count; NULL: none */
	uint64_t generation;                         /* of the root */
	unsigned levels;                             /* of the tables that it runs on */
	spte_t *pae;                                 /* const; 4 entries, below 4 GiB */
	struct obj_reserve pages, descriptors, chunks;
	uint64_t zap_rip; /* the instruction for which tables were zapped last ... */
	unsigned zaps;    /* ... so often */
};

/* The formats for this machine: as spte_format_legacy() for each number of levels. */
void shadow_formats_init(struct shadow_formats *f, unsigned phys_bits,
			 struct legacy_features features);

/* Pages that the account of a VM with so many frames of memory and vCPUs is to have. */
uint64_t shadow_account_pages(uint64_t frames, unsigned nr_vcpus);

/*
 * An engine for `mem`, which is told to call it. `formats` and `account` are kept. Takes
 * slots_lock. NULL: no memory.
 */
struct shadow *shadow_create(struct guest_memory *mem, struct vm *vm,
			     const struct shadow_formats *formats, struct page_account *account,
			     uint64_t frames);

/* Bounded work: false as long as there is more to do. All vCPUs' parts are destroyed. */
bool shadow_destroy_some(struct shadow *s);

/* NULL: no memory. Any CPU. */
struct shadow_vcpu *shadow_vcpu_create(struct shadow *s);
void shadow_vcpu_destroy(struct shadow_vcpu *sv);

/*
 * The root for a guest with the paging `p`, and how many levels it has; the vCPU runs on it from
 * its next entry, and flushes its TLB. All that the guest has written to its tables is seen from
 * there on: this is what a load of CR3, and all that flushes, comes to. 0; -EAGAIN: ask again;
 * -ENOMEM. Owner CPU, between runs, no lock.
 */
int shadow_load_root(struct shadow_vcpu *sv, const struct guest_paging *p, hpa_t *root,
		     unsigned *levels);

struct shadow_fault {
	gva_t gva;
	uint32_t access; /* PFERR_WRITE, _USER, _FETCH; WALK_* */
	uint32_t error;  /* RET_PF_GUEST: the error code to push */
	gpa_t gpa;       /* else: where the guest's tables lead to */
};

/*
 * Resolve a page fault of the tables that the hardware runs with. `p`: as for the root. Owner CPU,
 * inside the hypervisor (a reader of mm/grace.h), no lock.
 */
enum ret_pf shadow_fault(struct shadow_vcpu *sv, const struct guest_paging *p,
			 struct shadow_fault *f);

/*
 * INVLPG: what the guest has written to the entries for `gva` is seen. The caller flushes the
 * address from the vCPU's TLB. Owner CPU, no lock.
 */
void shadow_invlpg(struct shadow_vcpu *sv, gva_t gva);

/* The same for every address: what flushes all is executed without a load of the root. Any CPU. */
void shadow_sync(struct shadow *s);

/*
 * A write that faulted cannot be emulated: give up all shadows of the guest table at `gpa`, so that
 * the guest can write to it. False: that has been tried for the instruction at `rip` and did not
 * help. Owner CPU, no lock.
 */
bool shadow_unprotect(struct shadow_vcpu *sv, gpa_t gpa, uint64_t rip);

/* Background work: obsolete pages. A slice; false: there was none. Any CPU, no lock. */
bool shadow_work(struct shadow *s);

static inline bool shadow_has_work(struct shadow *s)
{
	return atomic_load_explicit(&s->has_obsolete, memory_order_relaxed);
}

void shadow_get_stats(struct shadow *s, struct mmu_stats *stats);

/*
 * For tests: are all invariants of docs/shadow.md true? NULL, or the one that is not. Takes the
 * lock.
 */
const char *shadow_audit(struct shadow *s);

#endif
