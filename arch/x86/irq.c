/* SPDX-License-Identifier: BSD-2-Clause */
/* The table of interrupt handlers. It is filled during start-up, and read without a lock. */
#include "arch/x86/irq.h"

#include <errno.h>
#include <stddef.h>

#include "lib/log.h"
#include "lib/panic.h"

#define FIRST_VECTOR 32
#define NR_VECTORS   256

static irq_handler_t handlers[NR_VECTORS];

void irq_register(unsigned vector, irq_handler_t handler)
{
	HV_BUG_ON(vector < FIRST_VECTOR || vector >= NR_VECTORS || handlers[vector]);
	handlers[vector] = handler;
}

void irq_unregister(unsigned vector)
{
	handlers[vector] = NULL;
}

int irq_alloc_vector(irq_handler_t handler)
{
	unsigned v;

	for (v = IRQ_VECTOR_DEVICE; v < IRQ_VECTOR_DEVICE + IRQ_NR_DEVICE; v++) {
		if (handlers[v])
			continue;
		irq_register(v, handler);
		return (int)v;
	}
	return -ENOSPC;
}

/* Spurious interrupts of the local APIC and of the 8259s are not in service. */
static bool is_spurious(unsigned vector)
{
	return vector == IRQ_VECTOR_SPURIOUS ||
	       (vector >= IRQ_VECTOR_PIC && vector < IRQ_VECTOR_PIC + 16);
}

bool irq_handle(unsigned vector)
{
	irq_handler_t handler = handlers[vector];

	if (is_spurious(vector))
		return false;
	if (handler)
		handler(vector);
	else
		log_guest(LOG_WARN, "irq: nobody waits for vector 0x%x", vector);
	return true;
}
