/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The end of a guest's NMI handler. SVM exits before the handler's IRET is executed, VMX behind
 * it. vmm/event.c decides what happens to an NMI that waits.
 */
#ifndef VMM_EXIT_NMI_H
#define VMM_EXIT_NMI_H

struct vcpu;

/* EXIT_NMI_WINDOW. Owner CPU. */
void nmi_window_exit(struct vcpu *v);

/* An IRET was executed in software while NMIs were masked: their handler is at its end. Owner CPU.
 */
void nmi_iret_emulated(struct vcpu *v);

#endif
