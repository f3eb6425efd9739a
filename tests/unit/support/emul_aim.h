/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Random instructions that get somewhere: registers, displacements and selectors are chosen so that
 * most operands lie in the memory that both the CPU and the emulator have (emul_shadow.h).
 */
#ifndef TESTS_UNIT_SUPPORT_EMUL_AIM_H
#define TESTS_UNIT_SUPPORT_EMUL_AIM_H

#include "tests/unit/support/emul_shadow.h"

/* Random registers and flags, with a stack pointer into the stack segment. */
void aim_registers(struct emul_random *r, struct emulation *e);
/* Make base, index or displacement such that the memory operand is in the sandbox. */
void aim_operand(struct emul_random *r, struct emulation *e, uint8_t *bytes);
/* Registers that an operation uses as addresses or counts without naming them. */
void aim_implicit(struct emul_random *r, struct emulation *e);
/* Where the instruction takes a selector from, put one that leads somewhere. */
void aim_selector(struct emul_random *r, struct emulation *e);
/* POPF may set what changes the way back: single steps and alignment checks. */
void aim_flags(struct emulation *e);

#endif
