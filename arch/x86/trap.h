/* SPDX-License-Identifier: BSD-2-Clause */
/* Exceptions and NMIs taken by the hypervisor itself. All but a few planned ones end in panic(). */
#ifndef ARCH_X86_TRAP_H
#define ARCH_X86_TRAP_H

#include <stdint.h>

/* What trap_entry.S pushes, from the lowest address up. */
struct trap_frame {
	uint64_t r15, r14, r13, r12, r11, r10, r9, r8;
	uint64_t rdi, rsi, rbp, rdx, rcx, rbx, rax;
	uint64_t vector;
	uint64_t error; /* 0 for vectors without */
	uint64_t rip, cs, rflags, rsp, ss;
};

/*
 * Called by trap_entry.S for every vector, interrupts closed. Does not return from an NMI while the
 * machine is being stopped.
 */
void trap_dispatch(struct trap_frame *frame);

/*
 * The instruction behind the one that runs a guest on AMD's CPUs. Some of family 10h deliver a
 * debug exception of the guest's there, to the hypervisor (erratum 246: behind an instruction with
 * an interrupt shadow). It is nobody's: the handler returns at once. GS and TR are still the
 * guest's.
 */
extern const uint8_t guest_has_run[];

/*
 * The instruction at label `from` may fault with #GP, #UD, #PF, #MF or #XM; execution then goes on
 * at label `to`, with the vector in RAX. For inline assembler.
 */
#define EXTABLE(from, to)                                                                          \
	".pushsection .extable, \"a\"\n\t"                                                         \
	".quad " #from ", " #to "\n\t"                                                             \
	".popsection\n\t"

#endif
