/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * KVM's paravirtual clock and steal time, for guests that know them (Linux, the BSDs), in VMs that
 * have them (`kvmclock` of the module line): Documentation/virt/kvm/x86/msr.rst and cpuid.rst.
 *
 * The guest says by an MSR where in its memory it reads. A clock is a line: nanoseconds at a value
 * of the TSC, and what a tick is worth. It is written once, since neither the guest's TSC nor
 * Umbra's clock ever changes its pace, and again when the guest moves its TSC. The lines of all
 * vCPUs are the same one, and so is what they tell, without the guest comparing them.
 *
 * All on the vCPU's own CPU. An address that is no memory gets nothing; the guest learns by what it
 * does not read.
 */
#ifndef VMM_EXIT_KVM_CLOCK_H
#define VMM_EXIT_KVM_CLOCK_H

#include "vmm/cpuid_table.h"
#include "vmm/exit/msr.h"

#define MSR_KVM_WALL_CLOCK_OLD  0x11
#define MSR_KVM_SYSTEM_TIME_OLD 0x12
#define MSR_KVM_WALL_CLOCK      0x4b564d00
#define MSR_KVM_SYSTEM_TIME     0x4b564d01
#define MSR_KVM_STEAL_TIME      0x4b564d03

/* As msr_read() and msr_write(), for these MSRs. */
struct msr_value kvm_clock_read_msr(const struct vcpu *v, uint32_t msr);
int kvm_clock_write_msr(struct vcpu *v, uint32_t msr, uint64_t val);

/* The guest's TSC has moved. */
void kvm_clock_update(struct vcpu *v);

/* A turn begins: how long the vCPU has waited for its turns, to where the guest reads it. */
void kvm_clock_tell_steal(struct vcpu *v);

/* The leaves 0x40000000 and 0x40000001 of such a VM; zeros for the others up to 0x400000ff. */
struct cpuid_entry kvm_clock_leaf(uint32_t leaf);

#endif
