/* SPDX-License-Identifier: BSD-2-Clause */
/* What the parts of the run loop share (run.c, run_tmpl.h). */
#ifndef VMM_EXIT_LOOP_H
#define VMM_EXIT_LOOP_H

#include "vmm/cpu.h"
#include "vmm/vm.h"

/* Serve the requests of the vCPU. False: it must not be entered now. Owner CPU. */
bool vcpu_handle_requests(struct vmm_cpu *c, struct vcpu *v);

/* The two copies of the loop: vcpu_run() picks one. */
void vcpu_run_svm(struct vmm_cpu *c, struct vcpu *v);
void vcpu_run_vmx(struct vmm_cpu *c, struct vcpu *v);

#endif
