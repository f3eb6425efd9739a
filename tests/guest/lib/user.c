/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Into user mode by IRET, out of it by whatever exception comes first.
 */
#include "user.h"

void user_enter(const void *entry, void *stack, unsigned long flags, unsigned long selector);

unsigned long user_arg;
static uint8_t user_stacks[MAX_CPUS][PAGE_SIZE] __attribute__((aligned(4096)));

static int run(const uint8_t *code, unsigned long flags, unsigned selector)
{
	uint8_t *stack = user_stacks[cpu_index()] + PAGE_SIZE - 16;
	int vector;

	trap_set_gate(BP_VECTOR, 14, 3, 0);
	vector = TRY(user_enter(code, stack, flags | 2, selector));
	return vector == BP_VECTOR && (fault()->regs.cs & 3) == 3 ? NO_FAULT : vector;
}

int try_user_flags(const uint8_t *code, unsigned long flags)
{
	return run(code, flags, IS_64BIT ? SEL_UCODE64 : SEL_UCODE32);
}

int try_user(const uint8_t *code)
{
	return try_user_flags(code, 0);
}

#ifdef __x86_64__
int try_user32(const uint8_t *code)
{
	return run(code, 0, SEL_UCODE32);
}
#endif
