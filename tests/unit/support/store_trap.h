/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Memory that tells of every store to it. Watched pages of the arena are write-protected; a store
 * faults and is announced, is let through alone (single step), and is then reported. The code under
 * test needs no change, and sees nothing of it. Threads take turns (adversary_sched.h), and may do
 * so within a hook. x86-64 Linux only.
 */
#ifndef TESTS_UNIT_SUPPORT_STORE_TRAP_H
#define TESTS_UNIT_SUPPORT_STORE_TRAP_H

#include <stdbool.h>
#include <stdint.h>

/*
 * Both are called for each store to a watched page, with its address, in signal context: `before`
 * with the old value still there, but what the store depends on read already (of a
 * compare-and-swap, what it compares with); `after` when it is done.
 */
void store_trap_begin(void (*before)(void *where), void (*after)(void *where));

/* All pages are left writable, the signal handlers as they were. */
void store_trap_end(void);

/* `tag` is the caller's; 1 ... 255. */
void store_trap_watch(void *page, uint8_t tag);
void store_trap_unwatch(void *page);

/* The tag of a watched page, else 0. */
uint8_t store_trap_tag(const void *page);

/* A store that is not the code's under test, and not reported. */
void store_trap_poke(uint64_t *where, uint64_t value);

#endif
