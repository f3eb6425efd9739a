/* SPDX-License-Identifier: BSD-2-Clause */
/* Notes each exit of a vCPU that is watched (WATCH_* of vmm/vcpu.h). */
#ifndef VMM_EXIT_WATCH_H
#define VMM_EXIT_WATCH_H

struct vcpu;
struct vm_exit;

/* Right behind the exit; the CPU still counts as in guest mode. Owner CPU. */
void watch_exit(struct vcpu *v, const struct vm_exit *exit);

#endif
