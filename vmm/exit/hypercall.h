/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Hypercalls (docs/hypercalls.md): VMMCALL or VMCALL from CPL 0, the number in RAX, arguments in
 * RDI, RSI, RDX, R10, the result in RAX, a negative errno for an error.
 */
#ifndef VMM_EXIT_HYPERCALL_H
#define VMM_EXIT_HYPERCALL_H

#include <stdint.h>

#include "vmm/vcpu.h"

#define HYPERCALL_NULL    0 /* 0 */
#define HYPERCALL_VERSION 1 /* major << 16 | minor */
#define HYPERCALL_EXIT    2 /* end the VM with status RDI (0-255); does not return */
#define HYPERCALL_PUTC    3 /* the byte in RDI to the VM's console */
#define HYPERCALL_CLOCK   4 /* nanoseconds since the hypervisor started */

/* The dirty log of the VM's own RAM; 0 or a number of pages, or an error of vmm/dirty_log.h. */
#define HYPERCALL_DIRTY_START   5
#define HYPERCALL_DIRTY_COLLECT 6 /* of RSI pages from gpa RDI on, into a bitmap at gpa RDX */
#define HYPERCALL_DIRTY_STOP    7

#define HYPERCALL_ZAP 8 /* drop all translations of the VM's memory; 0 */

/* Errors have Linux' numbers, whatever the C library calls them. */
#define HYPERCALL_EPERM  ((uint64_t)-1)
#define HYPERCALL_ENOSYS ((uint64_t)-38)

#define HYPERCALL_ABI_VERSION 0x10002

/* A hypercall from CPL 0, and its result. Owner CPU. */
uint64_t hypercall_execute(struct vcpu *v, uint64_t number, uint64_t arg);

/* Execute the hypercall that the vCPU's registers describe. Owner CPU. */
static inline void hypercall(struct vcpu *v)
{
	uint64_t result = HYPERCALL_EPERM;

	if (likely(virt_cpl(&v->virt) == 0))
		result = hypercall_execute(v, vcpu_gpr(v, GPR_RAX), vcpu_gpr(v, GPR_RDI));
	v->virt.gpr[GPR_RAX] = result;
}

#endif
