/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * All that mm/ and ept/ need from the machine they run on. There are two implementations: the
 * hypervisor's (vmm/mm_host.c), and that of hosted tests (tests/unit/support/host.c), where the
 * machine is an arena in the test's memory.
 */
#ifndef MM_HOST_H
#define MM_HOST_H

#include "lib/types.h"

/* Upper bound of host_nr_cpus(), for arrays that are indexed by CPU. */
#define HOST_MAX_CPUS 256

struct vm; /* only handed through */

/*
 * The direct map: all of physical memory, readable and writable, at a constant offset. Set once,
 * before frames_init(), to a multiple of 1 GiB, so that alignment survives the conversion.
 */
extern uintptr_t host_direct_map;

static inline void *host_va(hpa_t hpa)
{
	return (void *)(uintptr_t)(hpa.v + host_direct_map);
}

/* `va` must lie in the direct map: not in the image, not on a stack. */
static inline hpa_t host_pa(const void *va)
{
	return HPA((uintptr_t)va - host_direct_map);
}

static inline void *pfn_to_va(pfn_t pfn)
{
	return host_va(pfn_to_hpa(pfn));
}

static inline pfn_t va_to_pfn(const void *va)
{
	return hpa_to_pfn(host_pa(va));
}

/* Index of the CPU that asks, 0 ... host_nr_cpus() - 1. */
unsigned host_cpu_id(void);
unsigned host_nr_cpus(void);

/*
 * Make all vCPUs of `vm` forget every translation from guest-physical addresses (and everything
 * derived from one) before they run guest code again. On return no vCPU uses an older translation:
 * vCPUs in guest mode were kicked out and waited for. Any lock may be held, because a CPU leaves
 * guest mode without taking one.
 */
void host_flush_vm(struct vm *vm);

/* The same for the paging roots: each vCPU asks for a root again before its next entry. */
void host_reload_roots(struct vm *vm);

/*
 * Switch the CPU's log of pages that become dirty on or off, for all vCPUs of `vm`. Only where the
 * CPU has such a log (spte_hardware_logs()). On return no vCPU runs guest code with the old
 * setting. Whenever a vCPU is out of guest mode, the pages in its log are in the slots' dirty
 * bitmaps.
 */
void host_log_writes(struct vm *vm, bool on);

/*
 * On return all pages that the CPUs have logged so far are in the bitmaps: vCPUs in guest mode were
 * kicked out.
 */
void host_gather_writes(struct vm *vm);

#endif
