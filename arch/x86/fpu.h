/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The x87, SSE, AVX ... registers of the guests. The hypervisor itself uses general registers
 * only, so a guest's state stays loaded until another vCPU needs the CPU. Intel SDM volume 1,
 * chapter 13; without XSAVE, FXSAVE does (10.5).
 */
#ifndef ARCH_X86_FPU_H
#define ARCH_X86_FPU_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* On every CPU: switch the instructions on, try them (xstate.h), and load the initial state. */
void fpu_init_cpu(void);

/* On the boot CPU when the others have done that: what all of them have, and how large it is. */
void fpu_settle(void);

/* On every CPU then, before the first fpu_restore(). */
void fpu_enable_cpu(void);

bool fpu_has_xsave(void);

/* Bytes of a save area; it must be 64-byte aligned. */
size_t fpu_area_size(void);

/* The state after RESET in a zeroed area. */
void fpu_init_area(void *area);

/*
 * Have the x87's pointers to the last instruction and operand point to here. What waits as an x87
 * exception, and what is in its registers, is lost. Any CPU, also a hosted program's.
 */
static inline void fpu_forget_pointers(void)
{
	static const int zero;

	__asm__ volatile("fnclex\n\t"
			 "ffree %%st(7)\n\t" /* there is room for one more */
			 "fildl %0" ::"m"(zero));
}

/* Of a guest whose registers are loaded. */
static inline void fpu_clear_errors(void)
{
	__asm__ volatile("fnclex");
}

/* Where the x87's last instruction and its operand were; `opcode`: the low 11 bits of both bytes.
 */
struct fpu_pointers {
	uint64_t ip, dp;
	uint16_t cs, ds, opcode;
};

/* Have the x87 remember these, and not an instruction of the hypervisor. Any CPU, as above. */
void fpu_set_pointers(const struct fpu_pointers *p);

/*
 * Save the registers of a guest whose XCR0 is `xcr0` (and in the CPU); load another's, and its
 * XCR0. All components are moved, also those that the guest has switched off in XCR0 just now.
 * After fpu_save() the CPU has the hypervisor's own XCR0, as fpu_restore() wants it.
 */
void fpu_save(void *area, uint64_t xcr0);
void fpu_restore(const void *area, uint64_t xcr0);

#endif
