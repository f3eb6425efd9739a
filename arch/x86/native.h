/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One instruction of a guest, run by the hypervisor itself: for the emulator, which lends the CPU's
 * vector and x87 registers (the guest's, as long as its vCPU is loaded) instead of computing on
 * copies of them. The caller answers for what the instruction is: unprivileged, of one length only,
 * and with no memory but at rDI.
 *
 * Nothing that is writable is executable: the instruction's place is text, and is written through
 * its alias in the direct map (paging.c).
 */
#ifndef ARCH_X86_NATIVE_H
#define ARCH_X86_NATIVE_H

/* struct native_regs, for native_call.S. */
#define NATIVE_RAX   0
#define NATIVE_RBX   8
#define NATIVE_RCX   16
#define NATIVE_RDX   24
#define NATIVE_RSI   32
#define NATIVE_FLAGS 40

#define NATIVE_SLOT_LEN 16 /* room for an instruction; NOPs fill it up */

#ifndef __ASSEMBLY__

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

/* The registers that it may use, in and out; rDI has the operand's address, others are the CPU's.
 */
struct native_regs {
	uint64_t rax, rbx, rcx, rdx, rsi;
	uint64_t flags; /* the arithmetic ones; the rest is not looked at */
};

static_assert(offsetof(struct native_regs, rax) == NATIVE_RAX, "assembler offset");
static_assert(offsetof(struct native_regs, rbx) == NATIVE_RBX, "assembler offset");
static_assert(offsetof(struct native_regs, rcx) == NATIVE_RCX, "assembler offset");
static_assert(offsetof(struct native_regs, rdx) == NATIVE_RDX, "assembler offset");
static_assert(offsetof(struct native_regs, rsi) == NATIVE_RSI, "assembler offset");
static_assert(offsetof(struct native_regs, flags) == NATIVE_FLAGS, "assembler offset");

/* The page that the instruction is executed in, and nothing else is (native_call.S). */
extern uint8_t native_page[];

/* Before any guest: `alias` is where native_page can be written. */
void native_init(void *alias);

/*
 * Run the instruction of `len` bytes, at most 15, at `code`. 0: done, with *regs as it left them.
 * Or the vector of the exception that it raised (#UD, #GP, #PF, #MF, #XM); *regs is as it was, and
 * the error code would be 0. Any CPU, interrupts closed; takes a lock inside which nothing waits.
 */
unsigned native_run(const uint8_t *code, unsigned len, void *operand, struct native_regs *regs);

#endif
#endif
