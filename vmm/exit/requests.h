/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The requests of other CPUs to a vCPU (REQ_* of vmm/vcpu.h), which are served between two of its
 * runs.
 */
#ifndef VMM_EXIT_REQUESTS_H
#define VMM_EXIT_REQUESTS_H

#include <stdbool.h>

struct vcpu;
struct vmm_cpu;

/* Serve the requests of the vCPU. False: it must not be entered now. Owner CPU. */
bool requests_serve(struct vmm_cpu *c, struct vcpu *v);

#endif
