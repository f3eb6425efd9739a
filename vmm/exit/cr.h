/* SPDX-License-Identifier: BSD-2-Clause */
/* Control registers: what a write that exits may do. */
#ifndef VMM_EXIT_CR_H
#define VMM_EXIT_CR_H

#include <stdbool.h>
#include <stdint.h>

struct vcpu;

/* MOV to CR0, CR4 or CR8 (and LMSW). False: it is #GP(0), and nothing has changed. Owner CPU. */
bool cr_write(struct vcpu *v, unsigned cr, uint64_t val);

#endif
