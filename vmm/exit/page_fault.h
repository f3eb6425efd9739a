/* SPDX-License-Identifier: BSD-2-Clause */
/* Exits of vCPUs that run on shadow tables. */
#ifndef VMM_EXIT_PAGE_FAULT_H
#define VMM_EXIT_PAGE_FAULT_H

struct vcpu;
struct vm_exit;

/* EXIT_PAGE_FAULT: of the shadow tables, or the guest's own. Owner CPU. */
void page_fault_exit(struct vcpu *v, const struct vm_exit *exit);

/* EXIT_INVLPG. Owner CPU. */
void invlpg_exit(struct vcpu *v, const struct vm_exit *exit);

#endif
