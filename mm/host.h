/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * All that mm/ and ept/ need from the machine they run on. Two implementations: the hypervisor's,
 * and tests/unit/support/host.c, where the machine is an arena of the test's own memory.
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
 * Make all vCPUs of `vm` forget every translation from guest-physical addresses (and what was
 * derived from one) before they run guest code again. On return none runs on an older one: those
 * in guest mode were kicked out and waited for. Any lock may be held, because a CPU leaves guest
 * mode without taking one.
 */
void host_flush_vm(struct vm *vm);

/* The same for the paging roots: each vCPU asks for a root again before its next entry. */
void host_reload_roots(struct vm *vm);

/*
 * Only where the CPU notes the pages whose dirty bits it sets (spte_hardware_logs()). Have it do so
 * for all vCPUs of `vm`, or no more: on return none runs guest code otherwise. What a vCPU has
 * noted is in the slots' dirty bitmaps whenever it is out of guest mode.
 */
void host_log_writes(struct vm *vm, bool on);

/* All that was noted until now is in the bitmaps on return: vCPUs in guest mode were kicked out. */
void host_gather_writes(struct vm *vm);

#endif
