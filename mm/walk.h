/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The walk of a guest's own page tables in software, as its CPU would do it: every paging mode,
 * every reason to fault, accessed and dirty bits (SDM volume 3, chapter 4; APM volume 2,
 * chapter 5).
 *
 * There are three steps: walk, set accessed and dirty bits, and look whether what was read is still
 * there. A caller that only translates needs the first two: guest_walk() does both. A caller that
 * builds something from the guest's entries also needs the third, at a time when nobody can change
 * them unseen any more.
 */
#ifndef MM_WALK_H
#define MM_WALK_H

#include "arch/x86/regs.h" /* PFERR_* */
#include "lib/types.h"
#include "mm/slots.h"

#define WALK_MAX_LEVEL 5

struct walk_format; /* mm/paging.h */

/*
 * What paging depends on. The owner (one vCPU) sets the first part and calls
 * guest_paging_update() after each change of it, except of cr3, pkru and pdpte.
 */
struct guest_paging {
	uint64_t cr0, cr3, cr4, efer;
	uint64_t pdpte[4]; /* PAE: the registers that a load of CR3 fills */
	uint32_t pkru;
	uint8_t maxphyaddr; /* the guest's physical address width, 32 ... 52 */
	bool has_1g_pages;  /* the guest's CPUID says so */
	bool amd;           /* bit 8 of PML4 and PML5 entries is reserved */

	/* Derived by guest_paging_update(). */
	const struct walk_format *format; /* NULL: no paging */
	uint8_t levels;                   /* 0: no paging; 2, 3 (PAE), 4, 5 */
	uint8_t large_levels; /* bit n: the PS bit makes a page of an entry of level n */
	bool nx, pse, pke;
	uint64_t addr_mask;                       /* address bits of an entry */
	uint64_t reserved[WALK_MAX_LEVEL + 1][2]; /* by level and PS bit: bits that must be 0 */
	uint64_t special[WALK_MAX_LEVEL + 1]; /* bits that need a closer look: PS and reserved */
	uint8_t denied[16]; /* by kind of access: bit n for pages with rights n (walk.c) */
};

void guest_paging_update(struct guest_paging *p);

/* Accesses: PFERR_WRITE, PFERR_USER and PFERR_FETCH as in an error code, and these: */
#define WALK_IMPLICIT                                                                              \
	BIT(16)         /* the CPU's own access to GDT, IDT, TSS: supervisor, SMAP in force        \
			 */
#define WALK_AC BIT(17) /* RFLAGS.AC is set: SMAP does not stop explicit accesses */

#define RIGHT_WRITE   BIT(0)
#define RIGHT_USER    BIT(1)
#define RIGHT_EXECUTE BIT(2)

/* An entry that the walk went through. */
struct walk_step {
	gpa_t at;         /* where it lies in the guest's memory ... */
	const void *host; /* ... and in the direct map; in a hole: a word of all ones */
	uint64_t val;     /* what was read, and what has been set in it since */
	uint64_t all;     /* the AND over all read so far, see guest_walk_rights() */
};

struct walk_result {
	gpa_t gpa;
	uint32_t error;     /* -EFAULT: the error code to push */
	uint8_t page_shift; /* log2 of the page size; 32 without paging */
	uint8_t rights;     /* of the page, RIGHT_*: the AND over all levels */
	uint8_t pkey;       /* 0 unless CR4.PKE and 4 or 5 levels */
	uint8_t top,
		last; /* levels of the first entry read and the last, also of a fault; 0: none */
	struct walk_step step[WALK_MAX_LEVEL + 1]; /* the trail, by level: top ... last */
};

/*
 * Translate `gva` for one access and set accessed and dirty bits as the CPU would. Bits of gva
 * beyond the mode's width are ignored (the check for canonical addresses comes before paging).
 * 0; -EFAULT: a page fault with r->error is due; -EAGAIN: other CPUs keep changing the entries
 * during the walk; let the guest execute its instruction again.
 * Reader of mm/grace.h, and the trail is valid as long as what is read there; any locks or none.
 * Page tables in a hole read as all ones. The PDPTEs of PAE are registers and not in the trail.
 */
int guest_walk(struct guest_memory *mem, const struct guest_paging *p, gva_t gva, uint32_t access,
	       struct walk_result *r);

/* The first step alone, which changes nothing: also for debuggers and the monitor. 0 or -EFAULT. */
int guest_walk_peek(struct guest_memory *mem, const struct guest_paging *p, gva_t gva,
		    uint32_t access, struct walk_result *r);

/*
 * The second step, after one that did not fault: set what is missing of accessed and dirty bits in
 * the entries of the trail. False: an entry has changed since it was read. Then nothing that was
 * concluded from the walk holds, and this entry and those below it were left as they are. Read-only
 * memory and holes stay as they are.
 */
bool guest_walk_set_accessed(struct guest_memory *mem, const struct guest_paging *p,
			     uint32_t access, struct walk_result *r);

/*
 * The third step: are all entries of the trail still what they were, bit for bit? It may be asked
 * after any walk, also one that faulted. A caller that has write-protected the tables asks after
 * the flush, because older writes of other CPUs may arrive until then. The reads have no order of
 * their own.
 */
bool guest_walk_is_current(const struct guest_paging *p, const struct walk_result *r);

/* The rights (RIGHT_*) that the entries from the top down to `level` of the trail leave. */
unsigned guest_walk_rights(const struct guest_paging *p, const struct walk_result *r,
			   unsigned level);

/*
 * PAE: load the four PDPTE registers from the table at CR3, as MOV to CR3 does (SDM 4.4.1).
 * 0, or -EINVAL: a reserved bit is set in a present one, which is #GP and changes nothing.
 */
int guest_paging_load_pdptes(struct guest_memory *mem, struct guest_paging *p);

#endif
