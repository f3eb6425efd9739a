/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The benchmark guest's rows: "name total n each", where total is in ticks of the TSC. They are
 * printed at the end: while output waits for a serial line the hypervisor runs its guests in time
 * slices, and what is measured then is that as well.
 */
#ifndef BENCH_GUEST_ROWS_H
#define BENCH_GUEST_ROWS_H

#include "x86.h"

#define ROUNDS 1000
#define REGION (64ul << 20)

void row(const char *name, uint64_t total, uint64_t n);
void print_rows(void);

/* Where a row begins and ends, for tests/bench/costly.c. */
static inline void mark_begin(void)
{
	__asm__ volatile("xchg %%cx, %%cx" : : : "memory");
}

static inline void mark_end(void)
{
	__asm__ volatile("xchg %%bx, %%bx" : : : "memory");
}

static inline uint64_t start_row(void)
{
	mark_begin();
	return rdtsc();
}

/* Time ROUNDS runs of an instruction in a loop of DEC and JNZ; operands may be named. */
#define TIME(name, insn, ...)                                                                      \
	do {                                                                                       \
		unsigned long _n = ROUNDS;                                                         \
		uint64_t _start = start_row();                                                     \
		__asm__ volatile("1: " insn "\n dec %[n]\n jnz 1b"                                 \
				 : [n] "+r"(_n)                                                    \
				 : __VA_ARGS__                                                     \
				 : "rax", "rcx", "rdx", "rbx", "rdi", "memory", "cc");             \
		row(name, rdtsc() - _start, ROUNDS);                                               \
	} while (0)

/* Time some code that does something n times. */
#define TIME_CODE(name, n, ...)                                                                    \
	do {                                                                                       \
		uint64_t _start = start_row();                                                     \
		__VA_ARGS__;                                                                       \
		row(name, rdtsc() - _start, n);                                                    \
	} while (0)

/* The groups of rows, each in a file of its own. */
void time_memory(void); /* first touch, zap, dirty log */
void time_tables(void); /* changes of the guest's page tables, and its page faults */
void time_spaces(void); /* address spaces: switches, processes */
void time_halt(void);   /* an interrupt while the CPU sleeps */
void time_cpus(void);   /* what two CPUs do; another run */
void time_growth(void); /* what may grow with memory; another run */

/* Start the other CPUs, and let them sleep. */
void cpus_sleep(void);

/* Write one word into each page of [va, end): five instructions a page when nothing faults. */
static inline void write_pages(unsigned long va, unsigned long end)
{
	__asm__ volatile("1: movq $1, (%0)\n add $4096, %0\n nop\n cmp %1, %0\n jb 1b"
			 : "+r"(va)
			 : "r"(end)
			 : "memory", "cc");
}

static inline void read_pages(unsigned long va, unsigned long end)
{
	__asm__ volatile("1: movq (%0), %%rax\n add $4096, %0\n nop\n cmp %1, %0\n jb 1b"
			 : "+r"(va)
			 : "r"(end)
			 : "rax", "memory", "cc");
}

/* The first row of a touch, and that nothing is left to do. */
static inline void time_touch(const char *name, unsigned long va, unsigned long bytes)
{
	TIME_CODE(name, bytes / PAGE_SIZE, write_pages(va, va + bytes));
}

/* Memory that the groups of rows share: physically contiguous, 2M-aligned, mapped one to one. */
unsigned long arena(void);
unsigned long arena_bytes(void);

#endif
