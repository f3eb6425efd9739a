/* SPDX-License-Identifier: BSD-2-Clause */
/* HLT, and the end of a VM whose vCPUs have all halted for good. Owner CPU. */
#ifndef VMM_EXIT_HALT_H
#define VMM_EXIT_HALT_H

struct vcpu;

/* RIP is behind the HLT. Halt the vCPU until an event comes, unless one is there already. */
void halt_execute(struct vcpu *v);

/*
 * These two stand around each look at a vCPU's requests. halt_count_alive() comes before the
 * requests are taken. halt_count_if_dead() comes after it, when the vCPU is not entered: it counts
 * the vCPU as dead if nothing of its own can wake it.
 */
void halt_count_alive(struct vcpu *v);
void halt_count_if_dead(struct vcpu *v);

#endif
