/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a CPU may have cached, without bound: translations, and the tables that a walk may begin
 * with (paging-structure caches). Nothing is ever dropped but by what the manuals say drops it, so
 * a flush that is missing, or that names too little, is seen.
 *
 * The rules, SDM volume 3, 4.10 and 28.4, and APM volume 2, 5.5 and 15.16:
 *  - A translation may be used for as long as no operation below has named it, beside newer ones
 *    for the same page, in any order, and with the rights that the whole walk had then (4.10.2.2).
 *    The rights include those of the tables above, and so do those kept with a table (4.10.3.1).
 *  - It belongs to a tag (ASID; VPID and EPT root) and within that to a PCID (4.10.1, 15.16), and
 *    is used with both; a global one with every PCID of its tag (4.10.2.4, 5.5.2).
 *  - Entries that fault are not cached (4.10.2.3, 5.5.3), and D is set by a walk: a translation
 *    made without D is not used for a write (4.8, 28.3.5).
 *  - A fault drops what was cached for its address (4.10.4.1, 28.4.3.1, 5.5.3).
 */
#ifndef TESTS_UNIT_SUPPORT_ADVERSARY_TLB_H
#define TESTS_UNIT_SUPPORT_ADVERSARY_TLB_H

#include <stdbool.h>
#include <stdint.h>

#include "mm/spte.h"

/* Rights, and what an access wants. */
#define ADV_READ  1u
#define ADV_WRITE 2u
#define ADV_EXEC  4u
#define ADV_USER  8u

struct adv_translation {
	uint64_t frame, nr_pages, pfn; /* 4K frames: virtual or guest-physical to physical */
	uint16_t tag, pcid;
	bool global;
	bool dirty; /* D is known to be set */
	uint8_t rights;
};

struct adv_table {
	uint64_t frame; /* first that the table spans */
	spte_t *table;
	unsigned level;
	uint16_t tag, pcid;
	uint8_t rights; /* of the way to it */
};

/* May it be written through without another walk? */
static inline bool adv_is_writable(const struct adv_translation *t)
{
	return (t->rights & ADV_WRITE) && t->dirty;
}

#define ADV_MAX_CACHED 4096

struct adv_tlb {
	struct adv_translation page[ADV_MAX_CACHED];
	struct adv_table table[ADV_MAX_CACHED];
	unsigned nr_pages, nr_tables;
};

/* Of the CPUs' whims: which of several entries is used, or none. A number below n. */
void adv_seed(uint64_t seed);
unsigned adv_whim(unsigned n);

static inline bool adv_covers(const struct adv_translation *t, uint64_t frame)
{
	return frame - t->frame < t->nr_pages;
}

/* The first frame that the table of `level` spans which maps `frame`. */
static inline uint64_t adv_table_frame(uint64_t frame, unsigned level)
{
	return frame & ~(spte_pages(level + 1) - 1);
}

void adv_keep_translation(struct adv_tlb *tlb, const struct adv_translation *t);
void adv_keep_table(struct adv_tlb *tlb, const struct adv_table *t);

/*
 * Any translation of `frame` with all of `rights`, dirty for ADV_WRITE; or NULL, though there may
 * be one. What is returned lives until the next call with this TLB.
 */
const struct adv_translation *adv_find_translation(struct adv_tlb *tlb, uint16_t tag, uint16_t pcid,
						   uint64_t frame, unsigned rights);

/* Any table on the way to `frame`, or NULL: begin with the root. */
const struct adv_table *adv_find_table(struct adv_tlb *tlb, uint16_t tag, uint16_t pcid,
				       uint64_t frame);

/* --- what drops them --- */

/* A fault of an access to `frame`. */
void adv_drop_fault(struct adv_tlb *tlb, uint16_t tag, uint16_t pcid, uint64_t frame);

/* INVLPG: the page, also where it is global; all tables of the PCID (SDM 4.10.4.1, APM 5.5.3). */
void adv_invlpg(struct adv_tlb *tlb, uint16_t tag, uint16_t pcid, uint64_t frame);

/* Types of INVPCID (SDM 4.10.4.1). None but ALL drops what is global. */
enum { ADV_PCID_ADDRESS, ADV_PCID_ONE, ADV_PCID_ALL, ADV_PCID_ALL_BUT_GLOBAL };
void adv_invpcid(struct adv_tlb *tlb, uint16_t tag, unsigned type, uint16_t pcid, uint64_t frame);

/* MOV to CR3: the PCID's, but what is global; nothing with bit 63 (`keep`) (SDM 4.10.4.1). */
void adv_load_cr3(struct adv_tlb *tlb, uint16_t tag, uint16_t pcid, bool keep);

/* Types of INVVPID (SDM 28.4.3.1). The address is that of all PCIDs, and global pages too. */
enum { ADV_VPID_ADDRESS, ADV_VPID_ONE, ADV_VPID_ALL, ADV_VPID_ONE_BUT_GLOBAL };
void adv_invvpid(struct adv_tlb *tlb, unsigned type, uint16_t tag, uint64_t frame);

/* INVLPGA: the page under another tag, as INVLPG does (APM 15.16.2). */
void adv_invlpga(struct adv_tlb *tlb, uint16_t tag, uint64_t frame);

/* All of a tag: TLB_CONTROL 3 (APM 15.16.1), INVEPT of a root (SDM 28.4.3.1). */
void adv_flush_tag(struct adv_tlb *tlb, uint16_t tag);

/* Everything. */
void adv_flush_tlb(struct adv_tlb *tlb);

#endif
