/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The adversarial CPUs of a VM's vCPUs: they walk its two-dimensional tables as hardware may, at
 * the worst moments, and forget nothing that the architecture lets them keep (adversary_walk.h).
 * What emulators and lucky hardware hide shows here.
 *
 * They work on the world of tdp_world.h.
 */
#ifndef TESTS_UNIT_SUPPORT_ADVERSARY_H
#define TESTS_UNIT_SUPPORT_ADVERSARY_H

#include "tests/unit/support/adversary_walk.h"
#include "tests/unit/support/tdp_world.h"

/* All CPUs note what they make dirty, or none; a note is kept while the CPU is in guest mode. */
void adv_set_logs(bool on);

/* The CPU leaves guest mode: its notes are handed over, and gone. */
void adv_take_log(unsigned cpu, void (*note)(uint64_t gfn));

/* Has some CPU such a note? */
bool adv_has_noted(uint64_t gfn);

/* No caches, no notes; each CPU is on world.root[]. `seed`: of their whims. */
void adv_reset(uint64_t seed);

/* The CPU goes to world.root[cpu], and flushes its tag as tdp_load_root() demands. */
void adv_load_root(unsigned cpu);

/* All CPUs flush the VM's tags. */
void adv_flush(void);

/* One access of a guest on `cpu`: ADV_READ, ADV_WRITE or ADV_EXEC. */
struct adv_result adv_access(unsigned cpu, uint64_t gfn, unsigned right);

/* Does some CPU have this page cached as a table? */
bool adv_knows_table(const void *table);

/* Call `check` for each cached translation. */
void adv_each_translation(void (*check)(unsigned cpu, const struct adv_translation *t));

/* Call `check` for each cached table that a walk of `cpu` may begin with. */
void adv_each_table(void (*check)(unsigned cpu, uint64_t gfn, unsigned level, void *table));

#endif
