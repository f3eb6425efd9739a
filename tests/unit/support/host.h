/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The machine of the hosted tests (mm/host.h): an arena that stands for physical memory from
 * address 0, and CPUs that are threads, or one thread that says which CPU it is.
 */
#ifndef TESTS_UNIT_SUPPORT_HOST_H
#define TESTS_UNIT_SUPPORT_HOST_H

#include "mm/host.h"

/*
 * Map `bytes` of cleared physical memory at host-physical 0 (and release the arena before, if
 * any), 1 GiB aligned in virtual memory too. Costs real memory only where it is touched.
 */
void host_arena_create(uint64_t bytes);
void host_arena_destroy(void);

/* Arena, and frames_init() over all of it. What most tests want. */
void host_arena_with_frames(uint64_t bytes);

void host_set_nr_cpus(unsigned nr); /* default 1 */
void host_set_cpu(unsigned id);     /* of the calling thread; default 0 */

/* How often the code under test asked, since host_arena_create(). */
extern _Atomic unsigned host_flushes, host_reloads;

/* If not NULL, called at each host_flush_vm(): an adversarial CPU flushes its TLB here. */
extern void (*host_on_flush)(struct vm *vm);

/* The same for host_reload_roots(), host_log_writes(), host_gather_writes(). */
extern void (*host_on_reload)(struct vm *vm);
extern void (*host_on_log)(struct vm *vm, bool on);
extern void (*host_on_gather)(struct vm *vm);

/* If not NULL, called in each turn of a spin, and whenever somebody asks which CPU it is. */
extern void (*host_on_spin)(void), (*host_on_ask)(void);

#endif
