/* SPDX-License-Identifier: BSD-2-Clause */
/* A vCPU of the VMX back end on the fake CPU, in a mode that a VM entry can enter. */
#ifndef TESTS_UNIT_VMX_FAKE_GUEST_H
#define TESTS_UNIT_VMX_FAKE_GUEST_H

#include "tests/unit/vmx/fake_cpu.h"

extern struct virt_vcpu fake_vcpu;

/* Of its EPT, which is never looked at. */
#define FAKE_ROOT HPA(0x7654321000)

/* A CPU of these limits (but for its physical addresses: pointers are such here), switched on, and
 * fake_vcpu loaded on it in real mode. */
void fake_guest_begin(const struct vmx_limits *limits);
/* The same for a vCPU without nested paging, which has no root yet. */
void fake_guest_begin_shadowed(const struct vmx_limits *limits);
/* The same as the first, up to virt_probe()'s answer. */
int fake_guest_probe(const struct vmx_limits *limits);

void fake_guest_real_mode(void);
void fake_guest_long_mode(void);
/* A mode of support/paging_modes.h: flat segments, but for real mode's. */
struct paging_mode;
void fake_guest_mode(const struct paging_mode *m);

/*
 * A root for PAE paging, with these as its first and its last entry: a page below 4 GiB, which
 * lasts as long as the test.
 */
hpa_t fake_guest_pae_root(uint64_t first, uint64_t last);

/* Enter; the guest leaves at once with these exit fields. */
struct vm_exit fake_guest_exit(uint32_t reason, uint64_t qualification);
/* Enter; any exit will do. */
void fake_guest_enter(void);

#endif
