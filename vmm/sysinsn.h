/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the instructions do that the hypervisor executes for a guest, whoever met them: an exit or
 * the emulator. None of these moves RIP, and none looks at the CPL unless it says so. Owner CPU.
 */
#ifndef VMM_SYSINSN_H
#define VMM_SYSINSN_H

#include <stdbool.h>

struct vcpu;

/* MSR number in ECX, value in EDX:EAX. False: it is #GP(0), and nothing has changed. */
bool sysinsn_rdmsr(struct vcpu *v);
bool sysinsn_wrmsr(struct vcpu *v);

/* XCR number in ECX, value in EDX:EAX. False: #GP(0). Looks at the CPL. */
bool sysinsn_xsetbv(struct vcpu *v);

/* RIP is behind the HLT: stop until an event comes, unless it is there. */
void sysinsn_hlt(struct vcpu *v);

/* The guest has met a third exception while a double fault was delivered: the end of its VM. */
void sysinsn_triple_fault(struct vcpu *v);

#endif
