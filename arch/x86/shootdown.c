/* SPDX-License-Identifier: BSD-2-Clause */
/* The TLB shoot-down: an interrupt to every CPU, whose handler flushes. */
#include "arch/x86/shootdown.h"

#include "arch/x86/apic.h"
#include "arch/x86/cpu.h"
#include "arch/x86/irq.h"

static void flush(unsigned vector)
{
	/* Toggling PGE drops global entries too. */
	write_cr4(read_cr4() & ~CR4_PGE);
	write_cr4(read_cr4() | CR4_PGE);
}

void shootdown_init(void)
{
	irq_register(IRQ_VECTOR_FLUSH, flush);
}

void shootdown(void)
{
	flush(IRQ_VECTOR_FLUSH);
	apic_broadcast(IRQ_VECTOR_FLUSH);
}
