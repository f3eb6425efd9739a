/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The I/O APIC: 24 pins, each with a redirection entry that says which interrupt message a change
 * of the pin becomes (Intel 82093AA datasheet; version 0x20 with the EOI register as in the
 * later ICH datasheets). All functions: the VM's device lock is held.
 */
#ifndef VMM_DEV_APIC_IOAPIC_H
#define VMM_DEV_APIC_IOAPIC_H

#include <stdbool.h>
#include <stdint.h>

#include "vmm/dev/apic/lapic.h"

#define IOAPIC_DEFAULT_BASE 0xfec00000ull
#define IOAPIC_SIZE         0x1000
#define IOAPIC_PINS         24

struct ioapic {
	uint64_t redir[IOAPIC_PINS];
	uint32_t lines; /* pin levels; 1 = asserted, whatever the polarity bit says */
	uint8_t select; /* IOREGSEL */
	uint8_t id;     /* 4 bits */
	/* Sends a message, returns how many accepted it: lapic_deliver(). Const after init. */
	unsigned (*deliver)(struct lapic_group *g, const struct apic_msg *msg);
	struct lapic_group *group;
};

/* Power-up state: every pin masked. `deliver` is lapic_deliver(), or a test's. */
void ioapic_init(struct ioapic *io, struct lapic_group *group,
		 unsigned (*deliver)(struct lapic_group *g, const struct apic_msg *msg));
void ioapic_reset(struct ioapic *io);

/* The register window, for a bus region of IOAPIC_SIZE bytes with `dev` = the ioapic. */
uint64_t ioapic_read(void *dev, uint64_t off, unsigned size);
void ioapic_write(void *dev, uint64_t off, unsigned size, uint64_t val);

/* Drive a pin (0-23). */
void ioapic_set_irq(struct ioapic *io, unsigned pin, bool level);

/* A local APIC's EOI of a level-triggered vector. */
void ioapic_eoi(struct ioapic *io, uint8_t vector);

#endif
