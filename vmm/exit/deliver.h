/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Events that are delivered in software: where the emulator runs the guest, and where the CPU has
 * met memory on the way that it cannot write, or that is not there.
 */
#ifndef VMM_EXIT_DELIVER_H
#define VMM_EXIT_DELIVER_H

#include "vmm/vm.h"

/*
 * Deliver an event, at once. Afterwards the vCPU is in its handler; or the exception that came up
 * on the way is queued, the double fault of both, or the event itself again; or its VM has ended.
 * Owner CPU, outside realmode_run().
 */
void deliver_event(struct vcpu *v, const struct vm_event_info *ev);

/* The exit has interrupted the delivery of v->virt.idt_event: do it in software. Owner CPU. */
void deliver_interrupted(struct vcpu *v);

#endif
