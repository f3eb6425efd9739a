/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Interrupts of the hypervisor: who handles which vector. A handler runs with interrupts closed,
 * on the CPU that took the interrupt, between two of its instructions in the idle halt or in the
 * gap after a guest exit: it must be tiny, and may take no lock that code with interrupts open
 * holds. The end of interrupt is signalled after it.
 */
#ifndef ARCH_X86_IRQ_H
#define ARCH_X86_IRQ_H

#include <stdbool.h>

/* Vectors; the upper four bits are the priority. */
#define IRQ_VECTOR_PIC      0x20 /* 16 vectors of the masked 8259 pair: only spurious ones come */
#define IRQ_VECTOR_DEVICE   0x40 /* first of the devices' */
#define IRQ_NR_DEVICE       32
#define IRQ_VECTOR_TIMER    0xe0 /* local APIC timer */
#define IRQ_VECTOR_MCE      0xec /* this CPU has had a machine check that is to be told */
#define IRQ_VECTOR_NMI      0xed /* this CPU has taken an NMI: write a line about it */
#define IRQ_VECTOR_WAKE     0xee /* during start-up: something happened, look */
#define IRQ_VECTOR_FLUSH    0xef /* the page tables of the hypervisor lost rights */
#define IRQ_VECTOR_KICK     0xf0 /* leave guest mode or the idle halt, and look around */
#define IRQ_VECTOR_ERROR    0xfe /* local APIC error */
#define IRQ_VECTOR_SPURIOUS 0xff

typedef void (*irq_handler_t)(unsigned vector);

/* Take a vector; before the first interrupt can come on it. One handler for each vector. */
void irq_register(unsigned vector, irq_handler_t handler);

/* Give a vector back; nothing may come on it any more. */
void irq_unregister(unsigned vector);

/* A free vector for a device, or -ENOSPC. */
int irq_alloc_vector(irq_handler_t handler);

/*
 * An interrupt has arrived on `vector`, 32 or above: call its handler. True if it is in service
 * now, so that the caller signals its end; false for a spurious one.
 */
bool irq_handle(unsigned vector);

#endif
