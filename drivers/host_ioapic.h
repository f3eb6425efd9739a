/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The I/O APICs (Intel 82093AA data sheet): all inputs masked, except those that somebody routes.
 * The 8259 pair is masked for good. Boot CPU, during start-up or with interrupts closed.
 */
#ifndef DRIVERS_HOST_IOAPIC_H
#define DRIVERS_HOST_IOAPIC_H

#include <stdint.h>

struct acpi_info;

/* Map and mask the I/O APICs that the firmware lists, and mask the 8259s. */
void host_ioapic_init(const struct acpi_info *info);

/* ACPI's global interrupt of ISA interrupt `irq` (0 ... 15). */
uint32_t host_ioapic_gsi(unsigned irq);

/*
 * Let a global interrupt arrive as `vector` on the boot CPU: with the trigger and polarity that the
 * firmware tells of an ISA interrupt, else as a PCI line's, level and low. 0; -ENODEV when no I/O
 * APIC has an input for it.
 */
int host_ioapic_route(uint32_t gsi, unsigned vector);

/* It is not to arrive any more. It has been routed before. */
void host_ioapic_mask(uint32_t gsi);

#endif
