/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the benchmark guest asks of its host on KVM: a 32-bit OUT of a command to this port. On
 * Umbra it makes hypercalls for the same (tests/bench/guest/host.c).
 */
#ifndef BENCH_KVM_HOST_H
#define BENCH_KVM_HOST_H

#define HOST_PORT 0x5c0

#define HOST_NULL          0
#define HOST_ZAP           1 /* drop all translations of the VM: its slot is deleted and made anew */
#define HOST_DIRTY_START   2
#define HOST_DIRTY_COLLECT 3 /* all of the slot */
#define HOST_DIRTY_STOP    4

#endif
