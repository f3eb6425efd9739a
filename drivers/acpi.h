/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The firmware's description of the machine (ACPI Specification 6.4, chapter 5): what Umbra needs
 * of it, found without AML. Checksums are verified and lengths distrusted; a table that fails is
 * one warning, and whatever it would have said keeps its default. Runs hosted, and is fuzzed.
 */
#ifndef DRIVERS_ACPI_H
#define DRIVERS_ACPI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "arch/x86/apic.h" /* struct apic_nmi_line */
#include "drivers/serial_uart.h"
#include "lib/physmem.h"

#define ACPI_MAX_CPUS    256
#define ACPI_MAX_IOAPICS 16
#define ACPI_MAX_MCFG    8
#define ACPI_MAX_NMIS    (2 * ACPI_MAX_CPUS)
#define ACPI_ISA_IRQS    16

struct acpi_ioapic {
	uint32_t hpa;
	uint32_t gsi_base; /* the global interrupt of its input 0 */
	uint8_t id;
};

/* Where an ISA interrupt goes: MADT, interrupt source override. */
struct acpi_isa_irq {
	uint32_t gsi;
	bool is_level, is_low; /* trigger and polarity; ISA: edge, high */
};

struct acpi_mcfg {
	uint64_t base; /* of bus 0 */
	uint16_t segment;
	uint8_t first_bus, last_bus;
};

/* A register in I/O or memory space (generic address structure). */
enum acpi_space { ACPI_SPACE_MEMORY = 0, ACPI_SPACE_IO = 1, ACPI_SPACE_PCI = 2 };

struct acpi_register {
	uint8_t space; /* enum acpi_space, or another that we do not use */
	uint64_t addr; /* 0: there is no such register */
};

/* A serial port that the firmware names: SPCR, DBG2. */
struct acpi_console {
	struct serial_uart uart; /* stride 0: there is none */
	bool is_pci;             /* a function of segment 0 ... */
	uint8_t bus, dev, fn;    /* ... namely this one */
};

struct acpi_info {
	uint32_t apic_id[ACPI_MAX_CPUS]; /* of the enabled CPUs, in the firmware's order */
	uint32_t uid[ACPI_MAX_CPUS];     /* their names in the firmware's own tables */
	unsigned nr_cpus;
	struct apic_nmi_line nmi[ACPI_MAX_NMIS];
	unsigned nr_nmis;
	bool x2apic_opt_out; /* DMAR: the firmware asks the system not to use x2APIC mode */
	struct acpi_ioapic ioapic[ACPI_MAX_IOAPICS];
	unsigned nr_ioapics;
	struct acpi_isa_irq isa_irq[ACPI_ISA_IRQS];
	uint64_t hpet_base; /* 0: none */
	struct acpi_mcfg mcfg[ACPI_MAX_MCFG];
	unsigned nr_mcfg;

	bool has_fadt;
	struct acpi_register pm_timer;
	bool pm_timer_is_32bit; /* else 24 */
	struct acpi_register pm1a_control, pm1b_control;
	struct acpi_register reset;
	uint8_t reset_value;
	uint16_t smi_command; /* I/O port, 0: always in ACPI mode */
	uint8_t acpi_enable;  /* written there to enter ACPI mode */
	bool has_no_i8042;    /* it says so: there is no keyboard controller */
	struct acpi_console spcr, dbg2;
	bool has_s5;
	uint8_t s5_type_a, s5_type_b; /* SLP_TYP of soft-off */

	unsigned warnings;
};

/*
 * Fill `info`. `rsdp` is the loader's copy of the root pointer (20 or 36 bytes), or NULL: then,
 * and when it is damaged, the BIOS areas are searched. 0, or -ENOENT when there is no ACPI at
 * all; `info` is valid in both cases.
 */
int acpi_parse(const struct phys_memory *mem, const uint8_t *rsdp, size_t rsdp_len,
	       struct acpi_info *info);

#endif
