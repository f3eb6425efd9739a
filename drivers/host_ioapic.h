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

/*
 * Let ISA interrupt `irq` (0 ... 15) arrive as `vector` on the boot CPU. 0; -ENODEV when no I/O
 * APIC has an input for it.
 */
int host_ioapic_route_isa(unsigned irq, unsigned vector);

#endif
