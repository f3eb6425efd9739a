/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The run loop of one vCPU: entry, exit, and again. It is compiled once for each vendor
 * (loop_tmpl.h).
 */
#ifndef VMM_EXIT_LOOP_H
#define VMM_EXIT_LOOP_H

struct vcpu;
struct vmm_cpu;

/* Run until the vCPU halts, stops, is paused, or its time slice ends. Owner CPU. */
void loop_run(struct vmm_cpu *c, struct vcpu *v);

/* The two copies: loop_run() picks one. */
void loop_run_svm(struct vmm_cpu *c, struct vcpu *v);
void loop_run_vmx(struct vmm_cpu *c, struct vcpu *v);

#endif
