/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The local APIC of a vCPU (Intel SDM volume 3, chapter 11): xAPIC and x2APIC. Registers belong
 * to the owning vCPU's CPU; other CPUs only set IRR bits and make requests, with atomics.
 */
#ifndef VMM_DEV_LAPIC_H
#define VMM_DEV_LAPIC_H

#include <stdbool.h>
#include <stdint.h>

struct lapic;

/* MSR_IA32_APICBASE. The write returns 0, or -1 for a value that is #GP. */
uint64_t lapic_get_base(const struct lapic *l);
int lapic_set_base(struct lapic *l, uint64_t val);

/* x2APIC MSRs 0x800-0x8ff and IA32_TSC_DEADLINE. 0, or -1 for #GP. */
int lapic_msr_read(struct lapic *l, uint32_t msr, uint64_t *val);
int lapic_msr_write(struct lapic *l, uint32_t msr, uint64_t val);

/* The highest vector that IRR holds and PPR lets through now, or -1. Reads only: cheap. */
int lapic_pending(struct lapic *l);

/* The vector was injected: IRR to ISR. */
void lapic_ack(struct lapic *l, uint8_t vector);

/* CR8: bits 7:4 of TPR. */
uint64_t lapic_get_cr8(const struct lapic *l);
void lapic_set_cr8(struct lapic *l, uint64_t cr8);

#endif
