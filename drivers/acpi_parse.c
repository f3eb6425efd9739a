/* SPDX-License-Identifier: BSD-2-Clause */
/* The single tables: ACPI 5.2.9 (FADT), 5.2.12 (MADT); the HPET and PCI firmware specifications. */
#include "drivers/acpi_parse.h"

#include "lib/log.h"

#define MADT_ENTRIES  44
#define MADT_LAPIC    0
#define MADT_IOAPIC   1
#define MADT_OVERRIDE 2
#define MADT_NMI      4
#define MADT_X2APIC   9
#define MADT_X2NMI    10
#define CPU_ENABLED   BIT(0)
#define POLARITY_MASK 0x3
#define POLARITY_LOW  0x3
#define TRIGGER_MASK  0xc
#define TRIGGER_LEVEL 0xc

static void add_cpu(struct acpi_info *info, uint32_t uid, uint32_t apic_id, uint32_t flags)
{
	unsigned i;

	if (!(flags & CPU_ENABLED))
		return;
	/* Firmware may list a CPU as xAPIC and as x2APIC. */
	for (i = 0; i < info->nr_cpus; i++)
		if (info->apic_id[i] == apic_id)
			return;
	if (info->nr_cpus == ACPI_MAX_CPUS) {
		info->warnings++;
		return;
	}
	info->uid[info->nr_cpus] = uid;
	info->apic_id[info->nr_cpus++] = apic_id;
}

static void add_ioapic(struct acpi_info *info, const struct acpi_ioapic *ioapic)
{
	if (info->nr_ioapics == ACPI_MAX_IOAPICS)
		info->warnings++;
	else
		info->ioapic[info->nr_ioapics++] = *ioapic;
}

static void add_override(struct acpi_info *info, uint8_t irq, uint32_t gsi, uint16_t flags)
{
	if (irq >= ACPI_ISA_IRQS) {
		info->warnings++;
		return;
	}
	info->isa_irq[irq] = (struct acpi_isa_irq){
		.gsi = gsi,
		.is_low = (flags & POLARITY_MASK) == POLARITY_LOW,
		.is_level = (flags & TRIGGER_MASK) == TRIGGER_LEVEL,
	};
}

/* One entry at `off`, `len` bytes long, all inside the table. */
static void parse_madt_entry(const struct acpi_header *t, size_t off, size_t len,
			     struct acpi_info *info)
{
	switch (acpi_field(t, off, 1)) {
	case MADT_LAPIC:
		if (len >= 8)
			add_cpu(info, (uint32_t)acpi_field(t, off + 2, 1),
				(uint32_t)acpi_field(t, off + 3, 1),
				(uint32_t)acpi_field(t, off + 4, 4));
		break;
	case MADT_X2APIC:
		if (len >= 16)
			add_cpu(info, (uint32_t)acpi_field(t, off + 12, 4),
				(uint32_t)acpi_field(t, off + 4, 4),
				(uint32_t)acpi_field(t, off + 8, 4));
		break;
	case MADT_IOAPIC:
		if (len >= 12)
			add_ioapic(info, &(struct acpi_ioapic){
						 .id = (uint8_t)acpi_field(t, off + 2, 1),
						 .hpa = (uint32_t)acpi_field(t, off + 4, 4),
						 .gsi_base = (uint32_t)acpi_field(t, off + 8, 4),
					 });
		break;
	case MADT_OVERRIDE:
		if (len >= 10)
			add_override(info, (uint8_t)acpi_field(t, off + 3, 1),
				     (uint32_t)acpi_field(t, off + 4, 4),
				     (uint16_t)acpi_field(t, off + 8, 2));
		break;
	default:
		break;
	}
}

static void add_nmi(struct acpi_info *info, const struct apic_nmi_line *line)
{
	if (info->nr_nmis == ACPI_MAX_NMIS || line->lint > 1)
		info->warnings++;
	else
		info->nmi[info->nr_nmis++] = *line;
}

/* `uid`: `all_uids` stands for every CPU. That of a CPU that is not enabled says nothing to us. */
static void find_nmi(struct acpi_info *info, uint32_t uid, uint32_t all_uids, uint16_t flags,
		     uint8_t lint)
{
	struct apic_nmi_line line = {.all = uid == all_uids,
				     .lint = lint,
				     .is_low = (flags & POLARITY_MASK) == POLARITY_LOW};

	if (line.all) {
		add_nmi(info, &line);
		return;
	}
	for (unsigned i = 0; i < info->nr_cpus; i++) {
		if (info->uid[i] != uid)
			continue;
		line.apic_id = info->apic_id[i];
		add_nmi(info, &line);
	}
}

/* Local APIC NMIs: ACPI 5.2.12.7 and 5.2.12.13. */
static void parse_madt_nmi(const struct acpi_header *t, size_t off, size_t len,
			   struct acpi_info *info)
{
	uint64_t type = acpi_field(t, off, 1);

	if (type == MADT_NMI && len >= 6)
		find_nmi(info, (uint32_t)acpi_field(t, off + 2, 1), 0xff,
			 (uint16_t)acpi_field(t, off + 3, 2), (uint8_t)acpi_field(t, off + 5, 1));
	else if (type == MADT_X2NMI && len >= 12)
		find_nmi(info, (uint32_t)acpi_field(t, off + 4, 4), 0xffffffff,
			 (uint16_t)acpi_field(t, off + 2, 2), (uint8_t)acpi_field(t, off + 8, 1));
}

/* Each entry that is whole, up to one that is not. False: there was such a one, at `*off`. */
static bool each_madt_entry(const struct acpi_header *table, struct acpi_info *info,
			    void (*parse)(const struct acpi_header *t, size_t off, size_t len,
					  struct acpi_info *info),
			    size_t *off)
{
	size_t len;

	for (*off = MADT_ENTRIES; *off + 2 <= table->length; *off += len) {
		len = (size_t)acpi_field(table, *off + 1, 1);
		if (len < 2 || *off + len > table->length)
			return false;
		parse(table, *off, len, info);
	}
	return true;
}

/* Twice: an entry for an NMI may come before that of its CPU. */
void acpi_parse_madt(const struct acpi_header *table, struct acpi_info *info)
{
	size_t off;

	if (!each_madt_entry(table, info, parse_madt_entry, &off)) {
		log_warn("acpi: MADT: bad entry at offset %u", (unsigned)off);
		info->warnings++;
	}
	each_madt_entry(table, info, parse_madt_nmi, &off);
}

/* A generic address structure (ACPI 5.2.3.2). */
static struct acpi_register parse_register(const struct acpi_header *t, size_t off)
{
	return (struct acpi_register){
		.space = (uint8_t)acpi_field(t, off, 1),
		.addr = acpi_field(t, off + 4, 8),
	};
}

/* The extended register at `x_off`; if there is none, the I/O port in the old field at `off`. */
static struct acpi_register parse_block(const struct acpi_header *t, size_t x_off, size_t off)
{
	struct acpi_register r = parse_register(t, x_off);

	if (r.addr)
		return r;
	return (struct acpi_register){ACPI_SPACE_IO, acpi_field(t, off, 4)};
}

#define FADT_DSDT        40
#define FADT_SMI_COMMAND 48
#define FADT_ACPI_ENABLE 52
#define FADT_PM1A        64
#define FADT_PM1B        68
#define FADT_PM_TIMER    76
#define FADT_BOOT_ARCH   109
#define FADT_FLAGS       112
#define FADT_RESET       116
#define FADT_RESET_VALUE 128
#define FADT_X_DSDT      140
#define FADT_X_PM1A      172
#define FADT_X_PM1B      184
#define FADT_X_PM_TIMER  208
#define BOOT_ARCH_8042   BIT(1)
#define FLAG_TMR_VAL_EXT BIT(8)
#define FLAG_RESET_REG   BIT(10)

uint64_t acpi_parse_fadt(const struct acpi_header *t, struct acpi_info *info)
{
	uint32_t flags = (uint32_t)acpi_field(t, FADT_FLAGS, 4);
	uint64_t dsdt = acpi_field(t, FADT_X_DSDT, 8);

	info->has_fadt = true;
	/* ACPI 1.0 had no such flags. */
	info->has_no_i8042 = t->revision >= 2 && t->length > FADT_FLAGS &&
			     !(acpi_field(t, FADT_BOOT_ARCH, 2) & BOOT_ARCH_8042);
	info->pm_timer = parse_block(t, FADT_X_PM_TIMER, FADT_PM_TIMER);
	info->pm_timer_is_32bit = flags & FLAG_TMR_VAL_EXT;
	info->pm1a_control = parse_block(t, FADT_X_PM1A, FADT_PM1A);
	info->pm1b_control = parse_block(t, FADT_X_PM1B, FADT_PM1B);
	if (flags & FLAG_RESET_REG)
		info->reset = parse_register(t, FADT_RESET);
	info->reset_value = (uint8_t)acpi_field(t, FADT_RESET_VALUE, 1);
	info->smi_command = (uint16_t)acpi_field(t, FADT_SMI_COMMAND, 4);
	info->acpi_enable = (uint8_t)acpi_field(t, FADT_ACPI_ENABLE, 1);
	return dsdt ? dsdt : acpi_field(t, FADT_DSDT, 4);
}

void acpi_parse_hpet(const struct acpi_header *t, struct acpi_info *info)
{
	struct acpi_register r = parse_register(t, 40);

	if (r.space == ACPI_SPACE_MEMORY && !info->hpet_base)
		info->hpet_base = r.addr;
}

void acpi_parse_mcfg(const struct acpi_header *t, struct acpi_info *info)
{
	size_t off;

	for (off = 44; off + 16 <= t->length; off += 16) {
		if (info->nr_mcfg == ACPI_MAX_MCFG) {
			info->warnings++;
			return;
		}
		info->mcfg[info->nr_mcfg++] = (struct acpi_mcfg){
			.base = acpi_field(t, off, 8),
			.segment = (uint16_t)acpi_field(t, off + 8, 2),
			.first_bus = (uint8_t)acpi_field(t, off + 10, 1),
			.last_bus = (uint8_t)acpi_field(t, off + 11, 1),
		};
	}
}

#define DMAR_FLAGS          37
#define DMAR_X2APIC_OPT_OUT BIT(1)

/* Intel's Virtualization Technology for Directed I/O, 8.1. */
void acpi_parse_dmar(const struct acpi_header *t, struct acpi_info *info)
{
	info->x2apic_opt_out = acpi_field(t, DMAR_FLAGS, 1) & DMAR_X2APIC_OPT_OUT;
}

#define AML_NAME    0x08
#define AML_BYTE    0x0a
#define AML_WORD    0x0b
#define AML_DWORD   0x0c
#define AML_PACKAGE 0x12
#define AML_ONES    0xff

/* An integer constant at `*off`; advances. -1: something else stands there. */
static int aml_integer(const struct acpi_header *t, size_t *off)
{
	uint8_t op = (uint8_t)acpi_field(t, *off, 1);
	size_t size = op == AML_BYTE ? 1 : op == AML_WORD ? 2 : op == AML_DWORD ? 4 : 0;
	int val;

	if (op == 0 || op == 1 || op == AML_ONES) {
		*off += 1;
		return op;
	}
	if (!size)
		return -1;
	val = (int)acpi_field(t, *off + 1, 1);
	*off += 1 + size;
	return val;
}

/* Package(n) {type_a, type_b, ...} at `off` (ACPI 20.2.5, 16.1 on \_Sx). */
static bool parse_s5_package(const struct acpi_header *t, size_t off, struct acpi_info *info)
{
	int a, b;

	if (acpi_field(t, off, 1) != AML_PACKAGE)
		return false;
	off += 2 + (size_t)(acpi_field(t, off + 1, 1) >> 6); /* the length's own length */
	if (off + 4 > t->length || acpi_field(t, off, 1) < 2)
		return false;
	off++;
	a = aml_integer(t, &off);
	b = aml_integer(t, &off);
	if (a < 0 || b < 0)
		return false;
	info->s5_type_a = a & 7;
	info->s5_type_b = b & 7;
	info->has_s5 = true;
	return true;
}

void acpi_find_s5(const struct acpi_header *t, struct acpi_info *info)
{
	const uint8_t *aml = (const uint8_t *)t;
	size_t off;

	for (off = sizeof(*t) + 2; off + 4 < t->length && !info->has_s5; off++) {
		if (memcmp(aml + off, "_S5_", 4))
			continue;
		if (aml[off - 1] == AML_NAME || (aml[off - 1] == '\\' && aml[off - 2] == AML_NAME))
			parse_s5_package(t, off + 4, info);
	}
}
