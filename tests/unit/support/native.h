/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Run one instruction on the build machine's own CPU, in 64-, 32- or 16-bit mode, with given
 * registers, and say how it ended. It lives in a sandbox below 4 GiB: a page range for code, one
 * for data with a read-only and an inaccessible end, and nothing else that it could reach.
 */
#ifndef TESTS_UNIT_SUPPORT_NATIVE_H
#define TESTS_UNIT_SUPPORT_NATIVE_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

#include "arch/x86/virt.h"

#define NATIVE_DATA     0x10000000ul /* read and write */
#define NATIVE_DATA_LEN 0x10000ul
#define NATIVE_RO       (NATIVE_DATA + NATIVE_DATA_LEN) /* one page, read only */
#define NATIVE_NONE     (NATIVE_RO + 0x1000) /* no access, and none before NATIVE_DATA either */
#define NATIVE_NONE_LEN 0xf000ul
#define NATIVE_CODE     0x10100000ul /* 64 KiB of INT3 around the instruction */
#define NATIVE_CODE_LEN 0x10000ul
#define NATIVE_INSN     0x8000ul    /* offset of the instruction in it */
#define NATIVE_GS_BASE  0x7654321ul /* in 64-bit mode */
#define NATIVE_EXIT_LEN 16          /* bytes behind the instruction that lead back */

/* Selectors in the LDT: see native.c for what they are. */
#define NATIVE_LDT(n) ((n) << 3 | 7)
enum { LDT_CODE16 = 1, LDT_DATA16, LDT_SHORT32, LDT_DOWN16, LDT_READ_ONLY, NR_LDT };

struct native_regs {
	uint64_t gpr[NR_GPRS];
	uint64_t rflags;
};

/*
 * XSAVE's area in its standard form with the vector and x87 registers, of which native_run() loads
 * NATIVE_FPU_MASK, and into which it saves them.
 */
#define NATIVE_FPU      0x10301000ul
#define NATIVE_FPU_LEN  0x1000ul
#define NATIVE_FPU_MASK 0xe7 /* x87, SSE, AVX, AVX-512 */

struct native_env {
	uint16_t cs, ds, es, ss, gs;
};

/* How it ended: behind the instruction, or with an exception. */
struct native_end {
	bool exception;
	uint8_t vector;
	uint32_t error;
	uint64_t cr2, rip;
	uint16_t ds, es, ss, gs; /* without an exception: the segment registers behind it */
};

#define NATIVE_NR_GDT 7 /* descriptors of the GDT that programs have to know */

/* Build the sandbox. NULL, or what this machine lacks. */
const char *native_init(void);
/* Is this machine's CPU an AMD one? After native_init(). */
bool native_is_amd(void);
/* A segment as the LDT and GDT have it. */
/* The handler of the signals that end an instruction; who takes them first hands others on. */
void native_signal(int sig, siginfo_t *info, void *context);
struct segment native_segment(uint16_t selector);
uint64_t native_fs_base(void);
/* A descriptor of the LDT (below NR_LDT) or the GDT (below NATIVE_NR_GDT). */
uint64_t native_descriptor(unsigned index, bool in_ldt);
/* Put the instruction in place, run it, and replace *regs. */
void native_run(const struct native_env *env, const uint8_t *insn, unsigned len,
		struct native_regs *regs, struct native_end *end);

#endif
