/* SPDX-License-Identifier: BSD-2-Clause */
/* Exceptions of the guest that exit, and the triple fault that ends its VM. Owner CPU. */
#ifndef VMM_EXIT_EXCEPTION_H
#define VMM_EXIT_EXCEPTION_H

struct vcpu;
struct vm_exit;

/* EXIT_EXCEPTION. */
void exception_exit(struct vcpu *v, const struct vm_exit *exit);

/*
 * A waiting x87 instruction has met an error: #MF, or with CR0.NE clear the signal FERR#. RIP is
 * still before the instruction.
 */
void exception_math_fault(struct vcpu *v);

/* The guest has met a third exception while a double fault was delivered: the end of its VM. */
void exception_triple_fault(struct vcpu *v);

#endif
