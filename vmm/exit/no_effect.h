/* SPDX-License-Identifier: BSD-2-Clause */
/* Exits of instructions that have no effect here, except that time passes. Owner CPU. */
#ifndef VMM_EXIT_NO_EFFECT_H
#define VMM_EXIT_NO_EFFECT_H

struct vcpu;

void wbinvd_exit(struct vcpu *v); /* WBINVD and INVD */
void pause_exit(struct vcpu *v);  /* PAUSE, when vCPUs share the CPU */

#endif
