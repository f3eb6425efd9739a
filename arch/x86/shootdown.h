/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The TLB shoot-down of the hypervisor's own page tables (Intel SDM volume 3, 4.10.5). What guests
 * see is flushed by their vCPUs' CPUs at the next entry: vmm/mm_host.c.
 */
#ifndef ARCH_X86_SHOOTDOWN_H
#define ARCH_X86_SHOOTDOWN_H

/* Take the vector. Once, on the boot CPU, before the first shootdown(). */
void shootdown_init(void);

/*
 * Drop all translations of the hypervisor, global ones too: on this CPU at once, on each of the
 * others when it next takes an interrupt. Does not wait for them.
 */
void shootdown(void);

#endif
