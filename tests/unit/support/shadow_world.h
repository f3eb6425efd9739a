/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A VM under the shadow MMU with nothing around it: memory, an engine, and CPUs that walk the
 * shadow tables as hardware does, with a TLB that forgets nothing until it is told to. What an
 * emulator or lucky hardware hides shows here.
 *
 * A CPU's accesses go through the engine when they fault, and end as the architecture lets them:
 * with a place in memory, or with a page fault of the guest's.
 */
#ifndef TESTS_UNIT_SUPPORT_SHADOW_WORLD_H
#define TESTS_UNIT_SUPPORT_SHADOW_WORLD_H

#include "mm/account.h"
#include "mm/guest.h"
#include "mm/shadow/shadow.h"
#include "mm/walk.h"

#define SW_CPUS  2
#define SW_PAGES 1024u /* of guest RAM, from gfn 0 */
#define SW_TLB   256

struct sw_translation {
	uint64_t page, pfn;
	bool write, user, nx, dirty;
};

struct sw_cpu {
	struct shadow_vcpu *sv;
	struct guest_paging paging;
	hpa_t root;
	unsigned levels;
	bool reload; /* host_reload_roots() has asked */
	unsigned nr_tlb;
	struct sw_translation tlb[SW_TLB];
};

struct shadow_world {
	struct guest_memory mem;
	struct page_account account;
	struct shadow_formats formats;
	struct shadow *s;
	struct sw_cpu cpu[SW_CPUS];
	uint64_t results[NR_RET_PF];
	uint64_t hits; /* accesses that a TLB answered */
};

extern struct shadow_world sw;

void sw_create(void);
void sw_destroy(void); /* asserts that nothing is left */

/* A number of the sequence that `seed` began. */
void sw_seed(uint64_t seed);
uint64_t sw_random(void);

/* The guest's control registers; p->cr3 and the rest are set before. Then: the load of a root. */
void sw_load(unsigned cpu, const struct guest_paging *p);

struct sw_result {
	bool fault;
	uint32_t error; /* of the fault */
	uint64_t gpa;   /* else */
	void *host;     /* the byte itself; NULL: the access is emulated */
};

/* `access`: PFERR_WRITE, _USER, _FETCH. */
struct sw_result sw_access(unsigned cpu, uint64_t gva, uint32_t access);

/* The supervisor of `cpu` stores an aligned word at `gva`, emulated if it has to be. */
void sw_store(unsigned cpu, uint64_t gva, uint64_t val, unsigned size);

void sw_invlpg(unsigned cpu, uint64_t gva);

/* Does some TLB have a translation to this frame? */
bool sw_has_cached(uint64_t gfn);

/* The gfn behind a frame of the guest's RAM. */
uint64_t sw_gfn_of(uint64_t pfn);

#endif
