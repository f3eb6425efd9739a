/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A CPU that walks tables of any of the formats with 512 entries of 8 bytes, and has a TLB that
 * forgets nothing (adversary_tlb.h): the guest's own or a shadow's, from virtual addresses (P, W,
 * U, NX, G), as well as two-dimensional ones, from guest-physical ones.
 */
#ifndef TESTS_UNIT_SUPPORT_ADVERSARY_WALK_H
#define TESTS_UNIT_SUPPORT_ADVERSARY_WALK_H

#include "tests/unit/support/adversary_tlb.h"

/* Masks, 0 where the format has no such bit. */
struct adv_format {
	uint64_t present;                 /* an entry with none of these leads nowhere */
	uint64_t read, write, user, exec; /* set to allow; of no such bit, always */
	uint64_t nx;                      /* set to forbid */
	uint64_t global, accessed, dirty, large;
	unsigned levels;
	/* An entry that faults as reserved or misconfigured; NULL: none. */
	bool (*is_reserved)(uint64_t entry);
	/* An entry that this walk may meet; else it is reported as a violation. NULL: any. */
	bool (*is_legal)(uint64_t entry, unsigned level);
};

#define ADV_LOG_ENTRIES 8 /* as few as hardware has many, so that it is often full */

struct adv_cpu {
	const struct adv_format *format;
	spte_t *root;
	uint16_t tag, pcid;
	bool wp; /* CR0.WP: without it, W binds only users */
	/* Note the page of a write that makes an entry dirty (SDM volume 3, 28.3.6). */
	bool logs;
	unsigned nr_log;
	uint64_t log[ADV_LOG_ENTRIES];
	struct adv_tlb tlb;
};

/* What an access came to. */
struct adv_result {
	uint64_t pfn;   /* 0: it faulted, with ... */
	uint32_t error; /* ... PFERR_*; or only */
	bool log_full;  /* ... because the CPU's log has no room */
	bool writable;
};

/*
 * One access to `frame` that wants `rights` (ADV_*): served from any cached translation that
 * matches, or by a walk from any cached table or the root, which sets accessed and dirty bits.
 */
struct adv_result adv_cpu_access(struct adv_cpu *c, uint64_t frame, unsigned rights);

/* The first thing that must never happen. */
extern char adv_violation[256];
void adv_report(const char *fmt, ...) __printf_fmt(1, 2);

#endif
