/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The local APIC in whichever mode it is (xAPIC by MMIO, x2APIC by MSR), and the IOAPIC
 * (SDM volume 3, chapter 11; 82093AA data sheet).
 */
#ifndef GUEST_APIC_H
#define GUEST_APIC_H

#include "x86.h"

#define APIC_BASE_PA    0xfee00000ul
#define APICBASE_BSP    BIT(8)
#define APICBASE_X2APIC BIT(10)
#define APICBASE_ENABLE BIT(11)

#define APIC_ID       0x020
#define APIC_VERSION  0x030
#define APIC_TPR      0x080
#define APIC_PPR      0x0a0
#define APIC_EOI      0x0b0
#define APIC_LDR      0x0d0
#define APIC_DFR      0x0e0
#define APIC_SVR      0x0f0
#define APIC_ISR      0x100
#define APIC_TMR      0x180
#define APIC_IRR      0x200
#define APIC_ESR      0x280
#define APIC_ICR      0x300
#define APIC_ICR2     0x310
#define APIC_LVTT     0x320
#define APIC_LVTTHMR  0x330
#define APIC_LVTPC    0x340
#define APIC_LVT0     0x350
#define APIC_LVT1     0x360
#define APIC_LVTERR   0x370
#define APIC_TMICT    0x380
#define APIC_TMCCT    0x390
#define APIC_TDCR     0x3e0
#define APIC_SELF_IPI 0x3f0 /* x2APIC only */

#define SVR_ENABLE 0x100

#define ICR_FIXED   0x000
#define ICR_LOWEST  0x100
#define ICR_SMI     0x200
#define ICR_NMI     0x400
#define ICR_INIT    0x500
#define ICR_STARTUP 0x600
#define ICR_EXTINT  0x700
#define ICR_LOGICAL 0x800
#define ICR_BUSY    0x1000
#define ICR_ASSERT  0x4000
#define ICR_LEVEL   0x8000
#define ICR_SELF    0x40000
#define ICR_ALL     0x80000
#define ICR_OTHERS  0xc0000

#define LVT_MASKED   0x10000
#define LVT_ONESHOT  0x00000
#define LVT_PERIODIC 0x20000
#define LVT_DEADLINE 0x40000

#define SPURIOUS_VECTOR 0xff

static inline bool apic_is_x2(void)
{
	return rdmsr(MSR_APICBASE) & APICBASE_X2APIC;
}

uint32_t apic_read(unsigned reg);
void apic_write(unsigned reg, uint32_t val);
uint32_t apic_id(void);

/* Software-enable with the spurious vector, TPR 0. Leaves the mode as it is. */
void apic_enable(void);
void apic_enter_x2(void);

/* Back to xAPIC through the disabled state, and enabled. */
void apic_leave_x2(void);

static inline void apic_eoi(void)
{
	apic_write(APIC_EOI, 0);
}

/* Rate of the timer before its divider: what the hypervisor says, else that of QEMU's. */
uint32_t apic_khz(void);

/* `dest`: an APIC id, or a logical address with ICR_LOGICAL. Waits until it is sent. */
void apic_send_ipi(uint32_t dest, uint32_t icr_low);

/* Bit `vector` of ISR, IRR or TMR. */
bool apic_test_vector(unsigned reg, unsigned vector);

#define IOAPIC_PA        0xfec00000ul
#define IOAPIC_ID        0
#define IOAPIC_VERSION   1
#define IOAPIC_REDIR(n)  (0x10 + 2 * (n))
#define REDIR_LOGICAL    BIT(11)
#define REDIR_PENDING    BIT(12)
#define REDIR_LOW_ACTIVE BIT(13)
#define REDIR_REMOTE_IRR BIT(14)
#define REDIR_LEVEL      BIT(15)
#define REDIR_MASKED     BIT(16)

uint32_t ioapic_read(unsigned reg);
void ioapic_write(unsigned reg, uint32_t val);
void ioapic_route(unsigned pin, uint32_t low, uint8_t dest);

/* The pin an ISA interrupt comes in at, after the MADT's overrides. */
unsigned ioapic_isa_pin(unsigned irq);

#endif
