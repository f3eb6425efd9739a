/* SPDX-License-Identifier: BSD-2-Clause */
/* A handler that notes who was interrupted, and in which order. */
#include "interrupts.h"

#include <string.h>

#include "apic.h"
#include "cpu.h"

volatile unsigned irq_seen[MAX_CPUS];
volatile uint8_t irq_order[64];
volatile unsigned irq_nr;

bool irq_note(struct regs *regs)
{
	irq_seen[cpu_index()]++;
	if (irq_nr < sizeof(irq_order))
		irq_order[irq_nr++] = (uint8_t)regs->vector;
	apic_eoi();
	return true;
}

void irq_expect(unsigned vector)
{
	memset((void *)irq_seen, 0, sizeof(irq_seen));
	irq_nr = 0;
	trap_set(vector, irq_note);
	apic_enable();
	sti();
}
