/* SPDX-License-Identifier: BSD-2-Clause */
/* Start-up of memory: the hypervisor's page tables, then mm/'s frames. */
#ifndef BOOT_MEMORY_H
#define BOOT_MEMORY_H

#include "boot/memmap.h"
#include "lib/physmem.h"

/*
 * Build and use the page tables, with all RAM and the modules in the direct map, and
 * hand the RAM to frames_init(). Panics when there is not enough.
 */
void memory_init(const struct boot_info *info, struct memmap *map);

/* The boot page tables' view: everything below 4 GiB. For what the boot loader left. */
extern const struct phys_memory memory_early;

/* What the memory map knows of, mapped on demand. For ACPI tables; after memory_init(). */
extern const struct phys_memory memory_firmware;

/* `pages` cleared, contiguous frames, or NULL. */
void *memory_alloc(unsigned pages);

#endif
