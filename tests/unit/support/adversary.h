/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The adversarial CPU: walks two-dimensional tables as hardware may, at the worst moments, and
 * forgets nothing that the architecture lets it keep. Each of its CPUs has a TLB and paging-
 * structure caches without bound; an access may be served from any cached entry that matches, or
 * from memory below any cached table (SDM volume 3, 4.10.3 and 28.4; APM volume 2, 5.5.3 and
 * 15.25.12). Only a flush makes it forget. What emulators and lucky hardware hide shows here.
 *
 * It works on the world of tdp_world.h.
 */
#ifndef TESTS_UNIT_SUPPORT_ADVERSARY_H
#define TESTS_UNIT_SUPPORT_ADVERSARY_H

#include <stdbool.h>
#include <stdint.h>

#include "tests/unit/support/tdp_world.h"

/* What an access came to. */
struct adv_result {
	uint64_t pfn;   /* 0: it faulted, with ... */
	uint32_t error; /* ... PFERR_*; or only */
	bool log_full;  /* ... because the CPU's log has no room */
	bool writable;
};

/*
 * While this is set each CPU notes the page of a write that makes an entry dirty (SDM volume 3,
 * 28.3.6), and keeps the note for as long as it is in guest mode.
 */
extern bool adv_logs;
#define ADV_LOG_ENTRIES 8 /* as few as hardware has many, so that it is often full */

/* The CPU leaves guest mode: its notes are handed over, and gone. */
void adv_take_log(unsigned cpu, void (*note)(uint64_t gfn));

/* Has some CPU such a note? */
bool adv_has_noted(uint64_t gfn);

/* No caches, no notes; each CPU is on world.root[]. `seed`: of its whims. */
void adv_reset(uint64_t seed);

/* The CPU goes to world.root[cpu], and flushes its tag as tdp_load_root() demands. */
void adv_load_root(unsigned cpu);

/* All CPUs forget everything. */
void adv_flush(void);

/*
 * One access of a guest on `cpu`. Hardware's own accessed and dirty bits are set, where the format
 * has them. A failing walk forgets what it used, as a page fault does (SDM 4.10.4.1).
 */
struct adv_result adv_access(unsigned cpu, uint64_t gfn, bool write);

/* Does some CPU have this page cached as a table? */
bool adv_knows_table(const void *table);

/* Call `check` for each cached translation. */
void adv_each_translation(void (*check)(unsigned cpu, uint64_t gfn, uint64_t nr_pages, uint64_t pfn,
					bool writable));

/* Call `check` for each cached table that a walk of `cpu` may begin with. */
void adv_each_table(void (*check)(unsigned cpu, uint64_t gfn, unsigned level, void *table));

/* The first thing that must never happen, or NULL. Reset by adv_reset(). */
extern char adv_violation[256];
void adv_report(const char *fmt, ...) __printf_fmt(1, 2);

#endif
