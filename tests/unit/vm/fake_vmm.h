/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What vmm/vm.c and vmm/control/work.c stand on, for their hosted tests: two CPUs that run nothing,
 * a machine, a console. They note what was asked of them; most of the rest does nothing.
 */
#ifndef TESTS_UNIT_VM_FAKE_VMM_H
#define TESTS_UNIT_VM_FAKE_VMM_H

#include <setjmp.h>

#include "vmm/console.h"
#include "vmm/cpu.h"

extern struct vmm_cpu fake_cpus[2];

/* How often vmm_cpu_kick(), vmm_cpu_reschedule() were called for each; and sched_add() in all. */
extern unsigned fake_kicks[2], fake_rescheduled[2];
extern unsigned fake_added;

/* If not NULL, called when a vCPU is loaded; and between two slices of background work. */
extern void (*fake_at_load)(struct vcpu *v);
extern void (*fake_at_interrupts)(void);

/* machine_power_off() leaves its status here and jumps there. */
extern uint32_t fake_status;
extern jmp_buf fake_powered_off;

/* The console made last, until it is destroyed. */
extern struct console *fake_attached;

#endif
