/* SPDX-License-Identifier: BSD-2-Clause */
/* What tests of interrupts share: a handler that notes who was interrupted, and in which order. */
#ifndef TESTS_GUEST_LIB_INTERRUPTS_H
#define TESTS_GUEST_LIB_INTERRUPTS_H

#include <stdbool.h>
#include <stdint.h>

#include "trap.h"

#define VEC      0x41
#define VEC_LOW  0x31
#define VEC_HIGH 0x71
#define WAIT_MS  1000
#define QUIET_MS 20

extern volatile unsigned irq_seen[]; /* by CPU */
extern volatile unsigned irq_nr;
extern volatile uint8_t irq_order[64]; /* the vectors as they came */

/* Note who came, in which order, and end the interrupt. */
bool irq_note(struct regs *regs);
/* Forget all; `vector` is handled by irq_note(), and interrupts are open. */
void irq_expect(unsigned vector);

#endif
