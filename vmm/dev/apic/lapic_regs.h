/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The register map of the local APIC (SDM volume 3, tables 11-1 and 11-6) and what the parts of
 * its model share. A register's number is its xAPIC offset / 16, and its x2APIC MSR - 0x800.
 */
#ifndef VMM_DEV_APIC_LAPIC_REGS_H
#define VMM_DEV_APIC_LAPIC_REGS_H

#include "lib/bits.h"
#include "vmm/dev/apic/lapic.h"

#define MSR_IA32_TSC_DEADLINE 0x6e0
#define MSR_X2APIC_BASE       0x800

enum lapic_reg {
	REG_ID = 0x02,
	REG_VERSION = 0x03,
	REG_TPR = 0x08,
	REG_APR = 0x09, /* xAPIC only */
	REG_PPR = 0x0a,
	REG_EOI = 0x0b,
	REG_RRD = 0x0c, /* xAPIC only: remote read, of no content */
	REG_LDR = 0x0d,
	REG_DFR = 0x0e, /* xAPIC only */
	REG_SVR = 0x0f,
	REG_ISR = 0x10, /* 8 registers of 32 vectors each, as TMR and IRR */
	REG_TMR = 0x18,
	REG_IRR = 0x20,
	REG_ESR = 0x28,
	REG_ICR = 0x30,
	REG_ICR_HIGH = 0x31, /* xAPIC only */
	REG_LVT_TIMER = 0x32,
	REG_LVT_ERROR = 0x37,
	REG_INITIAL_COUNT = 0x38,
	REG_CURRENT_COUNT = 0x39,
	REG_DIVIDE = 0x3e,
	REG_SELF_IPI = 0x3f, /* x2APIC only */
};

/* Integrated APIC, six LVT entries, EOI broadcasts can be suppressed. */
#define LAPIC_VERSION (0x14 | (NR_LVTS - 1) << 16 | BIT(24))

#define SVR_VECTOR       0xff
#define SVR_ENABLE       BIT(8)
#define SVR_FOCUS        BIT(9)
#define SVR_EOI_SUPPRESS BIT(12)
#define SVR_WRITABLE     (SVR_VECTOR | SVR_ENABLE | SVR_FOCUS | SVR_EOI_SUPPRESS)

#define LVT_VECTOR     0xff
#define LVT_MODE       0x700
#define LVT_STATUS     BIT(12) /* read-only; always idle here */
#define LVT_POLARITY   BIT(13)
#define LVT_REMOTE_IRR BIT(14) /* read-only */
#define LVT_LEVEL      BIT(15)
#define LVT_MASKED     BIT(16)
#define LVT_TIMER_MODE 0x60000

enum { TIMER_ONE_SHOT, TIMER_PERIODIC, TIMER_TSC_DEADLINE };

#define DFR_FLAT     0xf
#define DFR_RESERVED 0x0fffffffu

#define ICR_STATUS    BIT(12)
#define ICR_LOGICAL   BIT(11)
#define ICR_ASSERT    BIT(14)
#define ICR_LEVEL     BIT(15)
#define ICR_SHORTHAND 0xc0000
#define ICR_WRITABLE  (LVT_VECTOR | LVT_MODE | ICR_LOGICAL | ICR_ASSERT | ICR_LEVEL | ICR_SHORTHAND)

#define ESR_SEND_ILLEGAL_VECTOR    BIT(5)
#define ESR_RECEIVE_ILLEGAL_VECTOR BIT(6)
#define ESR_ILLEGAL_REGISTER       BIT(7)

/* struct lapic.route: what a sender needs to know. */
#define ROUTE_LDR        0xffull
#define ROUTE_DFR        0xf00ull
#define ROUTE_ENABLED    BIT_ULL(16) /* APICBASE.EN */
#define ROUTE_X2APIC     BIT_ULL(17)
#define ROUTE_SW_ENABLED BIT_ULL(18) /* SVR: takes fixed and lowest-priority messages */

static inline bool lapic_is_x2apic(const struct lapic *l)
{
	return l->base & LAPIC_BASE_X2APIC;
}

static inline uint32_t lapic_lvt(const struct lapic *l, enum lapic_lvt n)
{
	return atomic_load_explicit(&l->lvt[n], memory_order_relaxed);
}

/* Logical x2APIC ID (SDM 11.12.10.2): cluster in the upper half, one bit of 16 in the lower. */
static inline uint32_t lapic_x2apic_ldr(uint32_t id)
{
	return (id >> 4) << 16 | BIT(id & 0xf);
}

/* lapic_deliver.c and lapic_priority.c */

/* Have the vCPU look at its APIC before its next entry. */
void lapic_notify(struct lapic *l);

/* The highest bit of a 256-bit register, or -1. */
int lapic_highest(const uint64_t reg[4]);

/* Work out PPR again after TPR or ISR changed. By the owner. */
void lapic_update_ppr(struct lapic *l);
void lapic_eoi(struct lapic *l);

/* Send what `icr` says, with the destination in its upper half as the APIC's mode lays it out. */
void lapic_send_ipi(struct lapic *l, uint64_t icr);

/* Note an error for ESR and raise LVT ERROR. Any CPU. */
void lapic_error(struct lapic *l, uint32_t esr_bit);

/* The event of LVT entry `n` happened: deliver as the entry says. Any CPU. */
void lapic_raise_lvt(struct lapic *l, enum lapic_lvt n);

/* A level-triggered LINT entry may have become deliverable (unmasked, or its EOI came). */
void lapic_retrigger_lint(struct lapic *l, unsigned pin);

/* lapic_timer.c; all by the owner */
void lapic_timer_init(struct lapic *l, struct timer_queue *queue);
void lapic_timer_reset(struct lapic *l);
void lapic_timer_write_lvt(struct lapic *l, uint32_t val);
void lapic_timer_write_count(struct lapic *l, uint32_t count);
void lapic_timer_write_divide(struct lapic *l, uint32_t val);
uint32_t lapic_timer_read_count(struct lapic *l);
void lapic_timer_write_deadline(struct lapic *l, uint64_t tsc);
uint64_t lapic_timer_read_deadline(struct lapic *l);

#endif
