/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The instruction CPUID: most leaves come from the VM's table (vmm/cpuid_table.h), some depend on
 * the vCPU.
 */
#ifndef VMM_EXIT_CPUID_H
#define VMM_EXIT_CPUID_H

struct vcpu;

/* Execute CPUID: read and write the vCPU's RAX, RBX, RCX, RDX; does not move RIP. Owner CPU. */
void cpuid_execute(struct vcpu *v);

#endif
