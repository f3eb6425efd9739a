/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * An interrupt line from a device model to the interrupt controllers of its VM. A device knows
 * nothing about where the line ends.
 */
#ifndef VMM_DEV_IRQ_LINE_H
#define VMM_DEV_IRQ_LINE_H

#include <stdbool.h>

struct irq_line {
	void (*set)(void *ctx, unsigned line, bool level); /* const after init */
	void *ctx;
	unsigned line; /* ISA IRQ 0-15, or IOAPIC pin (GSI) 0-23 */
};

static inline void irq_set(const struct irq_line *irq, bool level)
{
	irq->set(irq->ctx, irq->line, level);
}

#endif
