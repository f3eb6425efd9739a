/* SPDX-License-Identifier: BSD-2-Clause */
/* Task switches of a CPU that leaves them to the hypervisor. */
#ifndef VMM_EXIT_TASK_SWITCH_H
#define VMM_EXIT_TASK_SWITCH_H

struct vcpu;
struct vm_exit;

/* EXIT_TASK_SWITCH. Owner CPU. */
void task_switch_exit(struct vcpu *v, const struct vm_exit *exit);

#endif
