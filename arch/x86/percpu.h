/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What each physical CPU has of its own, reached through GS. A CPU's index (`id`) is dense: the
 * boot CPU is 0, the others follow in the order of the MADT; CPUs that did not come up have no
 * index. There is no preemption, so a pointer from this_cpu() stays right.
 *
 * GS belongs to the hypervisor whenever interrupts are open or NMIs can arrive: a guest's GS base
 * must be gone before that (after #VMEXIT the global interrupt flag is closed, which gives the
 * back end the time).
 */
#ifndef ARCH_X86_PERCPU_H
#define ARCH_X86_PERCPU_H

/* Offsets for assembler code. */
#define CPU_SELF      0
#define CPU_ID        8
#define CPU_APIC_ID   12
#define CPU_CURRENT   16
#define CPU_VMM       24
#define CPU_VIRT      32
#define CPU_STACK_TOP 40

#ifndef __ASSEMBLY__

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "arch/x86/desc.h"
#include "lib/bits.h"

#define CPU_MAX 256

struct vcpu;

enum cpu_state { CPU_STARTING, CPU_UP, CPU_GIVEN_UP };

struct cpu {
	struct cpu *self;     /* const; found at GS:0 */
	uint32_t id;          /* const; 0 ... cpu_count() - 1 */
	uint32_t apic_id;     /* const */
	struct vcpu *current; /* own CPU: whose state is loaded, for vmm/ */
	void *vmm;            /* own CPU: vmm/'s data of this CPU */
	void *virt;           /* own CPU: the vendor back end's data of this CPU */
	uint64_t stack_top;   /* const; end of the CPU's one stack */
	uint64_t timer_ns;    /* own CPU: deadline the APIC timer is armed for, UINT64_MAX: none */
	_Atomic int state;    /* enum cpu_state: smp.c says who changes it */
	_Atomic bool stopped; /* it has taken the stop NMI */
	struct tss tss;       /* const after init */
	uint64_t gdt[GDT_ENTRIES];
};

static_assert(offsetof(struct cpu, self) == CPU_SELF, "assembler offset");
static_assert(offsetof(struct cpu, id) == CPU_ID, "assembler offset");
static_assert(offsetof(struct cpu, apic_id) == CPU_APIC_ID, "assembler offset");
static_assert(offsetof(struct cpu, current) == CPU_CURRENT, "assembler offset");
static_assert(offsetof(struct cpu, vmm) == CPU_VMM, "assembler offset");
static_assert(offsetof(struct cpu, virt) == CPU_VIRT, "assembler offset");
static_assert(offsetof(struct cpu, stack_top) == CPU_STACK_TOP, "assembler offset");

/* Not volatile: within one function the answer cannot change, so the compiler may keep it. */
static inline struct cpu *this_cpu(void)
{
	struct cpu *cpu;

	__asm__("mov %%gs:0, %0" : "=r"(cpu));
	return cpu;
}

static inline unsigned cpu_id(void)
{
	unsigned id;

	__asm__("mov %%gs:8, %0" : "=r"(id));
	return id;
}

/* CPUs that are up; constant once vmm_main() runs. */
unsigned cpu_count(void);

/* `id` < cpu_count(). */
struct cpu *cpu_by_id(unsigned id);

/* For smp.c: fill a zeroed area, with `stacks` for its CPU to run on. */
struct cpu_stacks;
void cpu_init_area(struct cpu *cpu, struct cpu_stacks *stacks);

/* For smp.c, on the boot CPU: this one is up. Give it the next index; cpu_by_id() finds it. */
void cpu_add(struct cpu *cpu);

#endif
#endif
