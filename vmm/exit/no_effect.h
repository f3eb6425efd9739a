/* SPDX-License-Identifier: BSD-2-Clause */
/* Exits of instructions that have no effect here, except that time passes. Owner CPU. */
#ifndef VMM_EXIT_NO_EFFECT_H
#define VMM_EXIT_NO_EFFECT_H

struct vcpu;

void no_effect_wbinvd(struct vcpu *v); /* WBINVD and INVD */
void no_effect_pause(struct vcpu *v);  /* PAUSE, when vCPUs share the CPU */

#endif
