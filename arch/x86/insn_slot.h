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
#ifndef ARCH_X86_INSN_SLOT_H
#define ARCH_X86_INSN_SLOT_H

/* struct slot_regs, for insn_slot_call.S. */
#define SLOT_RAX   0
#define SLOT_RBX   8
#define SLOT_RCX   16
#define SLOT_RDX   24
#define SLOT_RSI   32
#define SLOT_FLAGS 40

#define INSN_SLOT_LEN 16 /* room for an instruction; NOPs fill it up */

#ifndef __ASSEMBLY__

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

/* The registers that it may use, in and out; rDI has the operand's address, others are the CPU's.
 */
struct slot_regs {
	uint64_t rax, rbx, rcx, rdx, rsi;
	uint64_t flags; /* the arithmetic ones; the rest is not looked at */
};

static_assert(offsetof(struct slot_regs, rax) == SLOT_RAX, "assembler offset");
static_assert(offsetof(struct slot_regs, rbx) == SLOT_RBX, "assembler offset");
static_assert(offsetof(struct slot_regs, rcx) == SLOT_RCX, "assembler offset");
static_assert(offsetof(struct slot_regs, rdx) == SLOT_RDX, "assembler offset");
static_assert(offsetof(struct slot_regs, rsi) == SLOT_RSI, "assembler offset");
static_assert(offsetof(struct slot_regs, flags) == SLOT_FLAGS, "assembler offset");

/* The page that the instruction is executed in, and nothing else is (insn_slot_call.S). */
extern uint8_t insn_slot_page[];

/* Before any guest: `alias` is where insn_slot_page can be written. */
void insn_slot_init(void *alias);

/*
 * Run the instruction of `len` bytes, at most 15, at `code`. 0: done, with *regs as it left them.
 * Or the vector of the exception that it raised (#UD, #GP, #PF, #MF, #XM); *regs is as it was, and
 * the error code would be 0. Any CPU, interrupts closed; takes a lock inside which nothing waits.
 */
unsigned insn_slot_run(const uint8_t *code, unsigned len, void *operand, struct slot_regs *regs);

#endif
#endif
