/* SPDX-License-Identifier: BSD-2-Clause */
/* What trampoline.S is told by smp.c, which sends CPUs there. Assembler files include this too. */
#ifndef ARCH_X86_TRAMPOLINE_H
#define ARCH_X86_TRAMPOLINE_H

/* Offsets for assembler code. */
#define TRAMPOLINE_CPUS      0
#define TRAMPOLINE_START     8
#define TRAMPOLINE_CR3       16
#define TRAMPOLINE_NR_CPUS   24
#define TRAMPOLINE_BOOT_CR3  28
#define TRAMPOLINE_ARGS_SIZE 32

#ifndef __ASSEMBLY__

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

struct cpu;

struct trampoline_args {
	struct cpu **cpus;           /* a CPU finds its own by its APIC id */
	void (*start)(struct cpu *); /* on the CPU's stack, interrupts closed; never returns */
	uint64_t cr3;                /* the page tables in which all of these are; anywhere */
	uint32_t nr_cpus;
	uint32_t boot_cr3; /* boot_pml4: 32-bit code loads it */
};

static_assert(offsetof(struct trampoline_args, cpus) == TRAMPOLINE_CPUS, "assembler offset");
static_assert(offsetof(struct trampoline_args, start) == TRAMPOLINE_START, "assembler offset");
static_assert(offsetof(struct trampoline_args, cr3) == TRAMPOLINE_CR3, "assembler offset");
static_assert(offsetof(struct trampoline_args, nr_cpus) == TRAMPOLINE_NR_CPUS, "assembler offset");
static_assert(offsetof(struct trampoline_args, boot_cr3) == TRAMPOLINE_BOOT_CR3,
	      "assembler offset");
static_assert(sizeof(struct trampoline_args) == TRAMPOLINE_ARGS_SIZE, "assembler offset");

/* Part of what is to be copied. Const from the first INIT on. */
extern struct trampoline_args trampoline_args;

/* The code and its data, to be copied to a page below 1 MiB. */
extern const char trampoline_start[], trampoline_end[];

/* Page tables with the first 4 GiB and the image: boot_tables.S. */
extern uint64_t boot_pml4[512];

#endif
#endif
