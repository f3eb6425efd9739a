/* SPDX-License-Identifier: BSD-2-Clause */
/* A VM's local APICs with nothing around them: what they ask of the vCPUs is written down. */
#ifndef TESTS_UNIT_SUPPORT_APICS_H
#define TESTS_UNIT_SUPPORT_APICS_H

#include "vmm/dev/apic/lapic.h"

/* What was asked of one vCPU; atomic for tests with threads. */
struct apic_calls {
	_Atomic unsigned notify, nmi, init, startup;
	_Atomic uint8_t sipi_vector;
};

extern struct lapic_group apics;
extern struct lapic apic[VM_MAX_VCPUS];
extern struct apic_calls apic_calls[VM_MAX_VCPUS];
extern struct timer_queue apic_queue;

/* EOI broadcasts: how many, and the last one's vector. */
extern unsigned apic_eois;
extern uint8_t apic_eoi_vector;

/* `nr` APICs in power-up state; 40 physical address bits; the clock at 1 s, nothing recorded. */
void apics_create(unsigned nr);
void apics_forget_calls(void);

/* Let the clock run for `ns`, and the timers of the queue with it, each at its time. */
void apics_advance_ns(uint64_t ns);

/* Registers by their xAPIC offset, through the page. */
uint32_t apic_read(struct lapic *l, unsigned off);
void apic_write(struct lapic *l, unsigned off, uint32_t val);

/* Software-enabled (SVR = 0x1ff); then, for the second, x2APIC mode. */
void apic_enable(struct lapic *l);
void apic_enable_x2apic(struct lapic *l);

/* Take the pending vector as the run loop does: the vector, or -1. */
int apic_take(struct lapic *l);

#endif
