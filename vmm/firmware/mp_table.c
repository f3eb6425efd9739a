/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The MP configuration table, for kernels without ACPI: CPUs, one ISA bus, the IOAPIC, where the
 * ISA interrupts go, and the local pins.
 */
#include <assert.h>
#include <string.h>

#include "arch/x86/cpuid_bits.h"
#include "lib/bits.h"
#include "mm/guest.h"
#include "vmm/dev/acpi_pm.h"
#include "vmm/firmware/firmware.h"
#include "vmm/firmware/tables.h"
#include "vmm/dev/apic/ioapic.h"
#include "vmm/dev/platform.h"

struct floating_pointer {
	char signature[4];
	uint32_t table;
	uint8_t length; /* 16-byte units */
	uint8_t revision, checksum, feature[5];
} __packed;
static_assert(sizeof(struct floating_pointer) == 16, "MP floating pointer");

struct config_header {
	char signature[4];
	uint16_t length;
	uint8_t revision, checksum;
	char oem_id[8], product_id[12];
	uint32_t oem_table;
	uint16_t oem_length, entries;
	uint32_t lapic_address;
	uint16_t ext_length;
	uint8_t ext_checksum, reserved;
} __packed;
static_assert(sizeof(struct config_header) == 44, "MP configuration table header");

struct processor {
	uint8_t type, apic_id, apic_version, flags;
	uint32_t signature, features, reserved[2];
} __packed;
static_assert(sizeof(struct processor) == 20, "processor entry");

struct bus_entry {
	uint8_t type, id;
	char name[6];
} __packed;

struct ioapic_entry {
	uint8_t type, id, version, flags;
	uint32_t address;
} __packed;

/* I/O interrupt and local interrupt assignment have the same shape. */
struct interrupt {
	uint8_t type, kind;
	uint16_t flags;
	uint8_t bus, irq, apic, pin;
} __packed;

enum { ENTRY_PROCESSOR, ENTRY_BUS, ENTRY_IOAPIC, ENTRY_INTERRUPT, ENTRY_LOCAL };
enum { KIND_INT, KIND_NMI, KIND_SMI, KIND_EXTINT };

#define ISA_BUS        0
#define ISA_IRQS       16
#define IRQ_CASCADE    2
#define CPU_ENABLED    BIT(0)
#define CPU_BSP        BIT(1)
#define CPU_SIGNATURE  0x600
#define CPU_FEATURES   (CPUID_MASK(CPUID_FPU) | CPUID_MASK(CPUID_APIC)) /* what any CPU here has */
#define APIC_VERSION   0x14
#define IOAPIC_VERSION 0x20
#define IOAPIC_ID      0
#define ALL_APICS      0xff
#define LEVEL_HIGH     0x000d

struct table {
	struct config_header header;
	struct processor cpu[VM_MAX_VCPUS]; /* not all of them are written */
	struct {
		struct bus_entry bus;
		struct ioapic_entry ioapic;
		struct interrupt irq[ISA_IRQS - 1]; /* all but the cascade */
		struct interrupt local[2];
	} __packed rest;
} __packed;

static void fill_cpus(struct table *t, unsigned nr)
{
	for (unsigned i = 0; i < nr; i++) {
		t->cpu[i] = (struct processor){.type = ENTRY_PROCESSOR,
					       .apic_id = (uint8_t)i,
					       .apic_version = APIC_VERSION,
					       .flags = CPU_ENABLED | (i == 0 ? CPU_BSP : 0),
					       .signature = CPU_SIGNATURE,
					       .features = CPU_FEATURES};
	}
}

static void fill_irqs(struct table *t)
{
	struct interrupt *out = t->rest.irq;

	for (uint8_t irq = 0; irq < ISA_IRQS; irq++) {
		if (irq == IRQ_CASCADE)
			continue;
		*out++ = (struct interrupt){.type = ENTRY_INTERRUPT,
					    .kind = KIND_INT,
					    .flags = irq == ACPI_SCI_IRQ ? LEVEL_HIGH : 0,
					    .bus = ISA_BUS,
					    .irq = irq,
					    .apic = IOAPIC_ID,
					    .pin = irq == 0 ? 2 : irq};
	}
	t->rest.local[0] =
		(struct interrupt){.type = ENTRY_LOCAL, .kind = KIND_EXTINT, .apic = 0, .pin = 0};
	t->rest.local[1] = (struct interrupt){
		.type = ENTRY_LOCAL, .kind = KIND_NMI, .apic = ALL_APICS, .pin = 1};
}

static void fill_header(struct config_header *h, unsigned nr_vcpus)
{
	*h = (struct config_header){.signature = {'P', 'C', 'M', 'P'},
				    .length = (uint16_t)(sizeof(*h) +
							 nr_vcpus * sizeof(struct processor) +
							 sizeof(((struct table *)0)->rest)),
				    .revision = 4,
				    .entries = (uint16_t)(nr_vcpus + 2 + ISA_IRQS - 1 + 2),
				    .lapic_address = LAPIC_DEFAULT_BASE};
	memcpy(h->oem_id, "UMBRA   ", 8);
	memcpy(h->product_id, "UMBRAPC     ", 12);
}

int mp_write_table(struct guest_memory *mem, unsigned nr_vcpus)
{
	struct floating_pointer fp = {.signature = {'_', 'M', 'P', '_'},
				      .table = FIRMWARE_MP_TABLE + sizeof(fp),
				      .length = 1,
				      .revision = 4};
	struct table t = {.rest = {.bus = {.type = ENTRY_BUS, .id = ISA_BUS},
				   .ioapic = {.type = ENTRY_IOAPIC,
					      .id = IOAPIC_ID,
					      .version = IOAPIC_VERSION,
					      .flags = 1,
					      .address = IOAPIC_DEFAULT_BASE}}};
	int error;

	memcpy(t.rest.bus.name, "ISA   ", 6);
	fill_header(&t.header, nr_vcpus);
	fill_cpus(&t, nr_vcpus);
	fill_irqs(&t);
	/* Close the gap that the CPUs which are not there leave. */
	memmove((uint8_t *)t.cpu + nr_vcpus * sizeof(t.cpu[0]), &t.rest, sizeof(t.rest));
	t.header.checksum = firmware_checksum(&t, t.header.length);
	fp.checksum = firmware_checksum(&fp, sizeof(fp));
	error = guest_write(mem, GPA(FIRMWARE_MP_TABLE), &fp, sizeof(fp));
	return error ? error : guest_write(mem, GPA(fp.table), &t, t.header.length);
}
