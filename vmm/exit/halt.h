/* SPDX-License-Identifier: BSD-2-Clause */
/* HLT, and the end of a VM whose vCPUs have all halted for good. Owner CPU. */
#ifndef VMM_EXIT_HALT_H
#define VMM_EXIT_HALT_H

struct vcpu;

/* RIP is behind the HLT: stop until an event comes, unless it is there. */
void halt_execute(struct vcpu *v);

/*
 * Around each look at the requests of a vCPU: before any is taken it counts as alive; behind the
 * look, when it is not to be entered, as dead if nothing of its own can wake it.
 */
void halt_count_alive(struct vcpu *v);
void halt_count_if_dead(struct vcpu *v);

#endif
