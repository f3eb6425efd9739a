/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The local APIC of the physical CPUs (Intel SDM volume 3, chapter 10): xAPIC through its page,
 * or x2APIC through MSRs, behind the same functions. All of them are callable on any CPU after
 * its apic_init_cpu(), unless said otherwise.
 */
#ifndef ARCH_X86_APIC_H
#define ARCH_X86_APIC_H

#include <stdbool.h>
#include <stdint.h>

/*
 * On the boot CPU, before apic_init_cpu(): find the APIC, choose the mode. x2APIC is used when
 * the CPU has it and `may_x2apic`, and always when the firmware left it switched on. 0, or
 * -ENODEV when there is no local APIC.
 */
int apic_init(bool may_x2apic);

/* An NMI of the machine's that comes in through a CPU's LINT0 or LINT1. */
struct apic_nmi_line {
	uint32_t apic_id; /* of the CPU, unless ... */
	bool all;         /* ... it is every CPU's */
	uint8_t lint;     /* 0 or 1 */
	bool is_low;      /* active low */
};

/* Where such lines are; `lines` is kept. On the boot CPU, before apic_init_cpu(). */
void apic_set_nmi_lines(const struct apic_nmi_line *lines, unsigned nr);

/*
 * Enable this CPU's APIC: spurious and error vectors; all local interrupts masked but NMIs of the
 * machine's.
 */
void apic_init_cpu(void);

/* Measure the timer against the TSC, if TSC-deadline mode is missing; on the boot CPU. */
void apic_timer_init(void);

/* The APIC id of this CPU, from the APIC itself. */
uint32_t apic_read_id(void);

void apic_eoi(void);

/* Have this CPU's APIC offer the CPU what is pending, as if it had just come. */
void apic_offer_pending(void);

/* Has an interrupt with `vector` come to this CPU that it has not taken yet? */
bool apic_is_pending(unsigned vector);

/* Send an interrupt with `vector` to one CPU (index < cpu_count()), or to all but this one. */
void apic_send_ipi(unsigned cpu, unsigned vector);
void apic_broadcast(unsigned vector);

/*
 * To this CPU itself. Also in a handler of NMIs or machine checks, whatever it has interrupted: the
 * destination of an IPI that is half written is left alone.
 */
void apic_send_self(unsigned vector);

/* An NMI to all CPUs but this one. */
void apic_broadcast_nmi(void);

/* INIT and start-up IPIs, by APIC id. `page`: physical page number of the start, below 256. */
void apic_send_init(uint32_t apic_id);
void apic_send_sipi(uint32_t apic_id, unsigned page);

/*
 * One interrupt on IRQ_VECTOR_TIMER of this CPU at clock_ns() time `deadline_ns`, at once if that
 * is past; a new deadline replaces the old one. UINT64_MAX: none. It may come early, when the
 * counter is too narrow for the distance or does not run as fast as it was measured: look at the
 * clock, and arm again. The interrupt's handler calls apic_timer_fired().
 */
void apic_timer_arm_ns(uint64_t deadline_ns);
void apic_timer_fired(void);

/* For the preflight table and the log. */
bool apic_is_x2apic(void);

#endif
