/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The end of a guest's NMI handler. SVM exits at its IRET, before that is executed; VMX behind it.
 * What an NMI that waits does then is decided in vmm/event.c.
 */
#ifndef VMM_EXIT_NMI_H
#define VMM_EXIT_NMI_H

struct vcpu;

/* EXIT_NMI_WINDOW. Owner CPU. */
void nmi_window_exit(struct vcpu *v);

#endif
