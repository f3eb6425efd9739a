/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Which event a vCPU takes next: exceptions, NMIs and interrupts, in the order of their priority
 * (SDM volume 3, 6.9; APM volume 2, 8.5). Each entry injects at most one event. When an event must
 * wait, the CPU is asked to exit as soon as the guest can take it (a window).
 *
 * These functions only decide. The caller of event_next() executes the decision
 * (vmm/exit/requests.c). All functions: owner CPU.
 */
#ifndef VMM_EVENT_H
#define VMM_EVENT_H

#include <stdbool.h>
#include <stdint.h>

#include "arch/x86/virt.h"
#include "lib/types.h"

struct vcpu;

/*
 * Queue an exception of the instruction at RIP for the next entry. Two of them may make a double
 * fault, and three end the VM. event_inject_error() leaves the error code out in real mode.
 */
void event_inject(struct vcpu *v, uint8_t vector);
void event_inject_error(struct vcpu *v, uint8_t vector, uint32_t error);
void event_inject_page_fault(struct vcpu *v, gva_t gva, uint32_t error);

/*
 * Queue the #DB of an instruction, or an iteration of one, that was executed in software. Causes
 * are bits of DR6: B0 to B3 for breakpoints that it has hit, and BS if it began with RFLAGS.TF set.
 */
void event_raise_debug(struct vcpu *v, uint64_t causes);

enum event_next {
	EVENT_NEXT_NOTHING,   /* an event goes in already, or must wait for a window */
	EVENT_NEXT_INJECT,    /* *ev, which is taken off the queue */
	EVENT_NEXT_IRET,      /* execute the IRET at RIP in software: it ends an NMI's task */
	EVENT_NEXT_INTERRUPT, /* no exception, no NMI: event_take_interrupt() */
};

/* Choose between exceptions and NMIs. Afterwards: event_ask_for_windows(). */
enum event_next event_next(struct vcpu *v, struct vm_event_info *ev);

/* Does an interrupt wait, whether or not the guest can take it now? */
bool event_has_interrupt(struct vcpu *v);

/* Acknowledge the interrupt that waits, if the guest can take it now: true, and *ev is it. */
bool event_take_interrupt(struct vcpu *v, struct vm_event_info *ev);

/* Have the vendor exit when the guest can take what waits. */
void event_ask_for_windows(struct vcpu *v);

/* EXIT_IRQ_WINDOW: close the window, and look for events again. */
void event_close_irq_window(struct vcpu *v);

/* REQ_NMI: latch the NMIs that were sent. */
void event_latch_nmis(struct vcpu *v);

/*
 * Is it of an instruction that is executed again (INT n, INT3, INTO), and not an event to be queued
 * again, when an exit interrupts its delivery?
 */
static inline bool event_is_of_insn(const struct vm_event_info *ev)
{
	return ev->type == EVENT_SOFT_INT ||
	       (ev->type == EVENT_EXCEPTION &&
		(ev->vector == X86_TRAP_BP || ev->vector == X86_TRAP_OF));
}

/* The exit interrupted the delivery of an event: queue that event again. */
void event_requeue(struct vcpu *v);

/* The event that is queued, off the queue, with RFLAGS as its handler is to find them. */
struct vm_event_info event_take_pending(struct vcpu *v);

/*
 * A step has come to its end. True: it was the one over an IRET that a waiting NMI asked for, and
 * is no event of the guest's; what the IRET has loaded into RFLAGS is.
 */
bool event_end_nmi_step(struct vcpu *v);

/* May the halted vCPU wake: is there an event that it would take? */
bool event_wakes(struct vcpu *v);

#endif
