/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Starting the CPUs: the boot CPU's own area, then INIT-SIPI for the others (Intel SDM volume
 * 3, 8.4.4; multiprocessor specification 1.4, B.4). And stopping them.
 */
#ifndef ARCH_X86_SMP_H
#define ARCH_X86_SMP_H

#include <stdint.h>

#include "lib/types.h"

/* First thing on the boot CPU: its area, descriptor tables and interrupt stacks. */
void smp_init_boot_cpu(void);

/* Memory for the areas of the other CPUs: `pages` zeroed, contiguous frames, or NULL. */
typedef void *(*smp_alloc_t)(unsigned pages);

/*
 * Start the CPUs with the given APIC ids in parallel, until there are `max` (1 or more) with the
 * boot CPU, whose id may be among them; each ends up in `entry`, which must not return.
 * `trampoline` is a page of RAM below 1 MiB that nobody else uses; none is needed for a `max` of 1.
 * Waits until all are up or 500 ms have passed; one that does not come up is a warning, and is not
 * counted.
 */
void smp_start(const uint32_t *apic_ids, unsigned nr, unsigned max, hpa_t trampoline,
	       smp_alloc_t alloc, void (*entry)(void));

/*
 * Stop all CPUs but this one for good, by NMI; waits up to 100 ms for them. Any context, also
 * before there are others.
 */
void smp_stop_others(void);

/* Are the TSCs of all CPUs one, as far as smp_start() could see? */
bool smp_tscs_agree(void);

#endif
