/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Exceptions and interrupts as values. `TRY(code)` runs code on this CPU and gives the vector of
 * the exception it raised, or NO_FAULT; fault() then has the details. A handler set with
 * trap_set() sees a vector first and may repair the cause and return.
 */
#ifndef GUEST_TRAP_H
#define GUEST_TRAP_H

#include "cpu.h"

#define NO_FAULT (-1)

/* Save a point to come back to: 0 now, 1 when an exception came. */
int fault_save(struct fault_jump *jump) __attribute__((returns_twice));
_Noreturn void fault_resume(struct fault_jump *jump);

/*
 * Locals that `code` changes must be volatile (or only read when no fault came). The stack
 * pointer, the flags and the code and stack segments are put back; nothing else is.
 */
#define TRY(...)                                                                                   \
	({                                                                                         \
		struct cpu *_cpu = this_cpu();                                                     \
		_cpu->fault = (struct fault){.vector = NO_FAULT};                                  \
		_cpu->catching = true;                                                             \
		if (!fault_save(&_cpu->jump)) {                                                    \
			__VA_ARGS__;                                                               \
			this_cpu()->catching = false;                                              \
		}                                                                                  \
		this_cpu()->fault.vector;                                                          \
	})

/* The last fault this CPU caught. */
static inline const struct fault *fault(void)
{
	return &this_cpu()->fault;
}

/* Handle a vector on every CPU; false = not mine, go on as if there was no handler. */
typedef bool (*trap_handler)(struct regs *regs);
trap_handler trap_set(unsigned vector, trap_handler handler);

/* Drop all handlers (the runtime does so after each test). */
void trap_reset(void);

void trap_init(void);     /* build the IDT */
void trap_load_idt(void); /* this CPU uses it */

/* Gates are the tests' to change: dpl 0 or 3, ist 0 to 7, kind 14 interrupt or 15 trap. */
void trap_set_gate(unsigned vector, unsigned kind, unsigned dpl, unsigned ist);

/* An entry point of one's own for a vector (assembly); NULL = the runtime's. */
void trap_set_entry(unsigned vector, const void *entry);

#ifdef __x86_64__
#define GATE_WORDS 2
#else
#define GATE_WORDS 1
#endif
extern uint64_t idt[256 * GATE_WORDS];

#endif
