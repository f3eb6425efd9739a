/* SPDX-License-Identifier: BSD-2-Clause */
/* The CPUs that are up, by index, what a CPU's own area starts with, and the boot CPU's stacks. */
#include "arch/x86/percpu.h"

#include "arch/x86/layout.h"
#include "lib/panic.h"

struct cpu_stacks boot_stacks __aligned(4096) __attribute__((section(".bss.page_aligned")));

static struct cpu *cpus[CPU_MAX];
static _Atomic unsigned nr_cpus;

unsigned cpu_count(void)
{
	return atomic_load_explicit(&nr_cpus, memory_order_acquire);
}

struct cpu *cpu_by_id(unsigned id)
{
	HV_BUG_ON(id >= cpu_count());
	return cpus[id];
}

void cpu_add(struct cpu *cpu)
{
	unsigned id = atomic_load_explicit(&nr_cpus, memory_order_relaxed);

	HV_BUG_ON(id >= CPU_MAX);
	cpu->id = id;
	cpus[id] = cpu;
	/* Release: whoever sees the count sees the pointer (pairs with cpu_count()). */
	atomic_store_explicit(&nr_cpus, id + 1, memory_order_release);
}

void cpu_init_area(struct cpu *cpu, struct cpu_stacks *stacks)
{
	unsigned i;

	cpu->self = cpu;
	cpu->timer_ns = UINT64_MAX;
	cpu->stack_top = (uint64_t)stacks + STACK_TOP;
	for (i = 0; i < NR_IST - 1; i++)
		cpu->tss.ist[i] = (uint64_t)stacks->ist[i].stack + IST_STACK_SIZE;
}
