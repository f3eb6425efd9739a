/* SPDX-License-Identifier: BSD-2-Clause */
/* What others ask of a vCPU (REQ_* of vmm/vcpu.h), served between two of its runs. */
#ifndef VMM_EXIT_REQUESTS_H
#define VMM_EXIT_REQUESTS_H

#include <stdbool.h>

struct vcpu;
struct vmm_cpu;

/* Serve the requests of the vCPU. False: it must not be entered now. Owner CPU. */
bool requests_serve(struct vmm_cpu *c, struct vcpu *v);

#endif
