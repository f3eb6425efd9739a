/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The CPUs of the guest: descriptor tables, a stack and a task state segment each, and starting
 * the others. A CPU knows itself by its task register, which no ordinary code changes.
 */
#ifndef GUEST_CPU_H
#define GUEST_CPU_H

#include "x86.h"

#define MAX_CPUS   64
#define STACK_SIZE 16384ul

/* Selectors; 0x40 to 0x78 are free for a test's own descriptors. */
#define SEL_CODE     0x08
#define SEL_DATA     0x10
#define SEL_UCODE32  0x1b
#define SEL_UDATA    0x23
#define SEL_UCODE64  0x2b
#define SEL_CODE32   0x30
#define SEL_CODE16   0x38
#define SEL_TEST     0x40
#define NR_TEST_SELS 8
#define SEL_TSS      0x80 /* 16 bytes for each CPU */

/* What an exception left behind; in the order trap.S pushes it. */
struct regs {
#ifdef __x86_64__
	unsigned long r15, r14, r13, r12, r11, r10, r9, r8;
	unsigned long di, si, bp, bx, dx, cx, ax;
#else
	unsigned long es, ds;
	unsigned long di, si, bp, unused_sp, bx, dx, cx, ax;
#endif
	unsigned long vector, error;
	unsigned long ip, cs, flags;
	unsigned long sp, ss; /* 32-bit: only there when the CPL changed */
};

struct fault_jump { /* offsets known to trap.S */
	unsigned long ip, sp, bp, bx, flags, s0, s1, s2, s3;
};

struct fault {
	int vector;
	unsigned long error, cr2;
	struct regs regs;
};

struct tss {
#ifdef __x86_64__
	uint32_t reserved0;
	uint64_t rsp[3];
	uint64_t ist[8]; /* ist[0] is reserved */
	uint64_t reserved1;
	uint16_t reserved2, iomap;
#else
	uint32_t link, esp0, ss0, esp1, ss1, esp2, ss2, cr3, eip, eflags;
	uint32_t eax, ecx, edx, ebx, esp, ebp, esi, edi, es, cs, ss, ds, fs, gs, ldt;
	uint16_t trap, iomap;
#endif
} __attribute__((packed));

struct cpu {
	struct tss tss;
	struct fault fault;
	struct fault_jump jump;
	volatile bool catching; /* an exception goes to `jump` */
	volatile bool online;
	volatile unsigned started; /* times this CPU came through its start-up code */
	uint32_t apic_id;
	void (*volatile work)(void *arg);
	void *arg;
};

extern struct cpu cpus[MAX_CPUS];
extern uint8_t stacks[MAX_CPUS][STACK_SIZE];
extern uint64_t gdt[];

/* Byte-granular descriptor `limit` for a test selector or any other slot. */
void gdt_set(unsigned selector, uint32_t base, uint32_t limit, uint16_t attr);
#define GDT_DATA   0x0093 /* attr: bits 7:0 = type, S, DPL, P; bits 15:12 = AVL, L, D/B, G */
#define GDT_CODE   0x009b
#define GDT_DPL3   0x0060
#define GDT_ABSENT 0x0080 /* xor to clear P */
#define GDT_L      0x2000
#define GDT_DB     0x4000
#define GDT_G      0x8000

static inline unsigned cpu_index(void)
{
	return (unsigned)(str() - SEL_TSS) / 16;
}

static inline struct cpu *this_cpu(void)
{
	return &cpus[cpu_index()];
}

/* Load the descriptor tables on this CPU, which becomes number `index`. */
void cpu_init(unsigned index);

/* Number of CPUs the firmware reports (fw_cfg key 5, else the MADT, else 1). */
unsigned smp_count(void);

/* Start the other CPUs, once; they wait for work. Returns how many are online, this one counted. */
unsigned smp_start(void);

/* Run fn(arg) on CPU `index`: start it, wait for it, or both. */
void smp_run(unsigned index, void (*fn)(void *arg), void *arg);
bool smp_wait(unsigned index, unsigned ms); /* false: it did not finish in time */
bool smp_call(unsigned index, void (*fn)(void *arg), void *arg);

/* Send INIT and SIPI to CPU `index` again: it comes up anew and waits for work. */
bool smp_restart(unsigned index);

/* Room for code of this size at a SIPI vector (below 64 KiB); see start.S. */
#define SIPI_PAGE 0x8000

extern unsigned smp_online;

/* Skip a test that needs two CPUs. */
#define NEED_CPUS(n) SKIP_UNLESS(smp_start() >= (n), "needs " #n " CPUs")

void console_init(void);

#endif
