/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The hypervisor's own page tables (layout.h says what lies where): text read and execute,
 * constants read, everything else read and write, and nothing that is writable is executable, but
 * for one page, which is executable in the image and writable in the direct map (insn_slot.h).
 * Built during start-up on the boot CPU.
 */
#ifndef ARCH_X86_PAGING_H
#define ARCH_X86_PAGING_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/types.h"

/* Memory type of a mapping in the direct map. */
enum paging_cache { PAGING_WB, PAGING_WC, PAGING_UC };

/*
 * Make page tables with the image in them, and nothing else yet. `alloc` gives one frame below
 * 4 GiB, reached through the direct map, or panics; it need not be zeroed.
 */
void paging_init(hpa_t (*alloc)(void));

/* Later tables come from here. */
void paging_set_allocator(hpa_t (*alloc)(void));

/*
 * Put [hpa, hpa + len), below paging_limit(), into the direct map, readable and writable, in pages
 * as large as fit, and return its address there. What is mapped already stays as it is.
 */
void *paging_map(hpa_t hpa, uint64_t len, enum paging_cache cache);

/*
 * Is any of [hpa, hpa + len) in the direct map as memory that is cached or combined, not as device
 * registers? All RAM is.
 */
bool paging_is_memory(hpa_t hpa, uint64_t len);

/* Map one 4K page, readable and writable, outside the direct map: for stacks. */
void paging_map_page(uint64_t va, hpa_t hpa);

/* Use the tables on this CPU; sets up NX, global pages and PAT. On every CPU. */
void paging_activate(void);

/*
 * Start-up is over: what is __ro_after_init becomes read-only, on each CPU when it has flushed its
 * TLB. The caller sees to that: shootdown().
 */
void paging_seal(void);

/* Physical address bits of this CPU; bits above are reserved in page tables. */
unsigned paging_phys_bits(void);

/* The end of what paging_map() can map: of the CPU's physical addresses, or of the direct map. */
uint64_t paging_limit(void);

#endif
