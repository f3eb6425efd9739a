/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Two CPUs with the real scheduler, above a machine and below a run loop that do nothing. The test
 * runs on the first.
 */
#ifndef TESTS_UNIT_SCHED_CPUS_H
#define TESTS_UNIT_SCHED_CPUS_H

#include "arch/x86/irq.h"
#include "tests/unit/support/clock.h"
#include "tests/unit/support/host.h"
#include "vmm/sched.h"
#include "vmm/vm.h"

extern struct cpu cpus[2];
extern unsigned ipis[2]; /* kicks sent to each */
extern uint64_t armed;   /* this CPU's timer */
extern irq_handler_t kick;

extern struct vm vm, others[8];
extern struct vcpu other[8]; /* each of the others with one vCPU ... */
extern struct vcpu vcpu[64]; /* ... and `vm` with as many as a test adds */

extern void (*at_work)(void); /* what happens to come while the CPU looks for work */
extern bool work_pending, output_pending;
extern unsigned halts, openings;
extern void (*interrupt)(void); /* that ends the halt, or comes when interrupts are opened */

int cpus_setup(void **state);
int cpus_teardown(void **state);

/* This CPU's next turn, up to where a vCPU runs. The turn before has ended. */
struct vcpu *turn(void);

#endif
