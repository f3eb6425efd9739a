/* SPDX-License-Identifier: BSD-2-Clause */
/* The effect of INIT and SIPI on a vCPU. Other vCPUs or devices send them. Owner CPU. */
#ifndef VMM_EXIT_INIT_SIPI_H
#define VMM_EXIT_INIT_SIPI_H

struct vcpu;

/*
 * REQ_INIT: put the vCPU into the state after INIT, in which all vCPUs but the first wait for a
 * SIPI.
 */
void init_sipi_init(struct vcpu *v);

/* REQ_STARTUP: start at the page that v->sipi_vector names, if the vCPU waits for a SIPI. */
void init_sipi_startup(struct vcpu *v);

#endif
