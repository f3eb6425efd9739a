/* SPDX-License-Identifier: BSD-2-Clause */
/* What INIT and SIPI, which other vCPUs or devices send, do to a vCPU. Owner CPU. */
#ifndef VMM_EXIT_INIT_SIPI_H
#define VMM_EXIT_INIT_SIPI_H

struct vcpu;

/* REQ_INIT: back to the state after INIT, where all but the boot CPU wait for a SIPI. */
void init_sipi_init(struct vcpu *v);

/* REQ_STARTUP: start at the page that v->sipi_vector names, if the vCPU waits for that. */
void init_sipi_startup(struct vcpu *v);

#endif
