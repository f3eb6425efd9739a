/* SPDX-License-Identifier: BSD-2-Clause */
/* The hypervisor's side of mm/host.h, as far as it is the machine's: which CPU is this? */
#include "mm/host.h"

#include "arch/x86/percpu.h"

static_assert(HOST_MAX_CPUS == CPU_MAX, "mm/ indexes its arrays by our CPU numbers");

uintptr_t host_direct_map __ro_after_init;

unsigned host_cpu_id(void)
{
	return cpu_id();
}

unsigned host_nr_cpus(void)
{
	return cpu_count();
}
