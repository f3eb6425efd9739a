/* SPDX-License-Identifier: BSD-2-Clause */
/* A VM as the two-dimensional engine sees one: memory, engine, vCPUs; for its hosted tests. */
#ifndef TESTS_UNIT_SUPPORT_TDP_WORLD_H
#define TESTS_UNIT_SUPPORT_TDP_WORLD_H

#include "arch/x86/virt.h" /* PFERR_* */
#include "ept/tdp.h"
#include "mm/frames.h"
#include "mm/grace.h"
#include "mm/slots.h"

#define MIB         (1ull << 20)
#define GIB         (1ull << 30)
#define WORLD_VCPUS 2
#define WORLD_PAGES 2048 /* in the account: more than any test needs that does not say so */

/*
 * The formats that tests run over. In WORLD_EPT_LOG hardware notes what it makes dirty; in those of
 * SMALL no large page may be executed.
 */
enum {
	WORLD_NPT,
	WORLD_EPT,
	WORLD_EPT_LOG,
	WORLD_EPT_NO_AD,
	WORLD_NPT_SMALL,
	WORLD_EPT_SMALL, /* and without accessed bits */
	WORLD_FORMATS
};
extern struct spte_format world_format[WORLD_FORMATS];

struct world {
	struct guest_memory mem;
	struct page_account account;
	struct tdp tdp;
	struct tdp_vcpu vcpu[WORLD_VCPUS];
	hpa_t root[WORLD_VCPUS]; /* what the hardware was given */
	uint64_t frames_before;  /* free ones, before the world was made */
};

extern struct world world;

/* As many pages in `a` as are asked for, in one go. */
void world_fill(struct page_account *a, uint64_t pages);

/* The calling thread is a CPU inside the hypervisor; `arena` bytes of RAM; the engine is ready. */
void world_create(uint64_t arena, const struct spte_format *fmt, unsigned max_level);

/* Take all down and check that every frame came back. */
void world_destroy(void);

/* vCPU i does what the run loop does when roots are to be reloaded. */
void world_reload(unsigned i);

enum ret_pf world_fault(unsigned vcpu, uint64_t gfn, uint32_t error);

/* The entry that maps `gfn` in the current tree, and its level. */
uint64_t world_spte(uint64_t gfn, unsigned *level);

/* What hardware would make of an access: the frame, or 0 for a fault. Sets no bits. */
uint64_t world_walk(uint64_t gfn, bool write);

/* May a guest write to this page and nobody notes it? */
bool world_hides_writes(uint64_t gfn);

/* Every entry of the current tree is legal; the tables are as many as are accounted. */
void world_check_tree(void);

uint64_t world_free_frames(void);

/* A world with room for gigabytes, and slot 0 of `pages` from `base` on. */
void world_with_memory(unsigned format, unsigned max_level, uint64_t base, uint64_t pages,
		       uint32_t flags);

/* The frame behind `gfn`. */
uint64_t world_backing(uint64_t gfn);

/* The first fault at `gfn`, with `error`, maps it with a page of level `want`. */
void world_check_level(uint64_t gfn, uint32_t error, unsigned want);

/* Under slots_lock. */
void world_unmap(uint64_t start, uint64_t end);
void world_zap_all(void);

/* Until no tree is dying any more. */
void world_zap_work(void);

struct mmu_stats world_stats(void);

/* In the current tree. */
uint64_t world_mmio_entries(void);

/* For mm_inject_failure. */
bool world_no_memory(void);

#endif
