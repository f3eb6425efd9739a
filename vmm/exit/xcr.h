/* SPDX-License-Identifier: BSD-2-Clause */
/* XCR0: the effects of XSETBV and XGETBV, which exited or are emulated. Owner CPU. */
#ifndef VMM_EXIT_XCR_H
#define VMM_EXIT_XCR_H

#include <stdbool.h>

struct vcpu;

/* XCR number in ECX, value in EDX:EAX. False: #GP(0). Looks at the CPL; does not move RIP. */
bool xcr_execute_xsetbv(struct vcpu *v);
bool xcr_execute_xgetbv(struct vcpu *v);

#endif
