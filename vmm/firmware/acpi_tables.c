/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The guest's ACPI tables. Their layout in memory does not matter to anybody but the pointers
 * between them, so they are written one after the other as they get ready, and the RSDP last.
 * The DSDT is compiled from dsdt.asl by iasl.
 */
#include <assert.h>
#include <errno.h>
#include <string.h>

#include "dsdt.h"
#include "lib/bits.h"
#include "mm/guest.h"
#include "vmm/dev/acpi_pm.h"
#include "vmm/firmware/firmware.h"
#include "vmm/firmware/tables.h"
#include "vmm/dev/apic/ioapic.h"
#include "vmm/dev/i8042.h"
#include "vmm/dev/rtc.h"
#include "vmm/dev/platform.h"

struct rsdp {
	char signature[8];
	uint8_t checksum; /* of the first 20 bytes */
	char oem_id[6];
	uint8_t revision;
	uint32_t rsdt;
	uint32_t length;
	uint64_t xsdt;
	uint8_t ext_checksum; /* of everything */
	uint8_t reserved[3];
} __packed;
static_assert(sizeof(struct rsdp) == 36, "RSDP");

struct table_header {
	char signature[4];
	uint32_t length;
	uint8_t revision, checksum;
	char oem_id[6], oem_table_id[8];
	uint32_t oem_revision;
	char creator_id[4];
	uint32_t creator_revision;
} __packed;
static_assert(sizeof(struct table_header) == 36, "description header");

/* Generic address structure. */
struct gas {
	uint8_t space, bits, offset, access;
	uint64_t address;
} __packed;
static_assert(sizeof(struct gas) == 12, "generic address structure");

struct fadt {
	struct table_header header;
	uint32_t firmware_ctrl, dsdt;
	uint8_t reserved_44, pm_profile;
	uint16_t sci_int;
	uint32_t smi_cmd;
	uint8_t acpi_enable, acpi_disable, s4bios_req, pstate_cnt;
	uint32_t pm1a_evt, pm1b_evt, pm1a_cnt, pm1b_cnt, pm2_cnt, pm_tmr, gpe0, gpe1;
	uint8_t pm1_evt_len, pm1_cnt_len, pm2_cnt_len, pm_tmr_len, gpe0_len, gpe1_len, gpe1_base;
	uint8_t cst_cnt;
	uint16_t p_lvl2_lat, p_lvl3_lat, flush_size, flush_stride;
	uint8_t duty_offset, duty_width, day_alarm, month_alarm, century;
	uint16_t boot_arch;
	uint8_t reserved_111;
	uint32_t flags;
	struct gas reset_reg;
	uint8_t reset_value;
	uint16_t arm_boot_arch;
	uint8_t minor;
	uint64_t x_firmware_ctrl, x_dsdt;
	struct gas x_pm1a_evt, x_pm1b_evt, x_pm1a_cnt, x_pm1b_cnt, x_pm2_cnt, x_pm_tmr, x_gpe0,
		x_gpe1;
	struct gas sleep_control, sleep_status;
} __packed;
static_assert(offsetof(struct fadt, flags) == 112, "FADT flags");
static_assert(offsetof(struct fadt, x_pm_tmr) == 208, "FADT X_PM_TMR_BLK");
static_assert(sizeof(struct fadt) == 268, "FADT, revision 5");

#define BOOT_ARCH_LEGACY BIT(0) /* there are devices on an ISA bus */
#define BOOT_ARCH_NO_VGA BIT(2)
#define FADT_WBINVD      BIT(0)
#define FADT_PROC_C1     BIT(2)
#define FADT_NO_SLP_BTN  BIT(5)
#define FADT_NO_FIX_RTC  BIT(6)
#define FADT_TMR_32      BIT(8)
#define FADT_RESET_REG   BIT(10)
#define NO_C2_LATENCY    101 /* more than 100 and 1000: no such state */
#define NO_C3_LATENCY    1001
#define RESET_VALUE      0x06 /* system reset, and the edge that does it */
#define GAS_IO           1

struct facs {
	char signature[4];
	uint32_t length, hardware_signature, waking_vector, global_lock, flags;
	uint64_t x_waking_vector;
	uint8_t version, reserved[31];
} __packed;
static_assert(sizeof(struct facs) == 64, "FACS");

struct madt_lapic {
	uint8_t type, length, uid, apic_id;
	uint32_t flags;
} __packed;

struct madt_ioapic {
	uint8_t type, length, id, reserved;
	uint32_t address, gsi_base;
} __packed;

struct madt_override {
	uint8_t type, length, bus, irq;
	uint32_t gsi;
	uint16_t flags;
} __packed;

struct madt_nmi {
	uint8_t type, length, uid;
	uint16_t flags;
	uint8_t lint;
} __packed;

struct madt {
	struct table_header header;
	uint32_t lapic_address, flags;
	struct madt_ioapic ioapic;
	struct madt_override irq0, sci;
	struct madt_nmi nmi;
	struct madt_lapic lapic[VM_MAX_VCPUS]; /* last: as many as there are */
} __packed;

#define MADT_PCAT_COMPAT       BIT(0) /* there are 8259s */
#define MADT_ENABLED           BIT(0)
#define MADT_LEVEL_ACTIVE_HIGH 0x000d
#define MADT_ALL_CPUS          0xff

/* Where the next table goes, and the first error. */
struct writer {
	struct guest_memory *mem;
	uint64_t pos;
	int error;
};

/* Copy to the next place that is aligned; returns where that is. */
static uint64_t put(struct writer *w, const void *data, unsigned len, unsigned align)
{
	uint64_t at = ALIGN_UP(w->pos, (uint64_t)align);

	if (!w->error && at + len > FIRMWARE_ACPI_END)
		w->error = -ENOSPC;
	if (!w->error)
		w->error = guest_write(w->mem, GPA(at), data, len);
	w->pos = at + len;
	return at;
}

static uint64_t put_table(struct writer *w, struct table_header *h, const char *signature,
			  uint8_t revision, unsigned len)
{
	memcpy(h->signature, signature, 4);
	h->length = len;
	h->revision = revision;
	h->checksum = 0;
	memcpy(h->oem_id, "UMBRA ", 6);
	memcpy(h->oem_table_id, "UMBRAPC ", 8);
	h->oem_revision = 1;
	memcpy(h->creator_id, "UMBR", 4);
	h->creator_revision = 1;
	h->checksum = firmware_checksum(h, len);
	return put(w, h, len, 16);
}

static struct gas io_register(uint16_t port, uint8_t bytes)
{
	return (struct gas){.space = GAS_IO,
			    .bits = (uint8_t)(bytes * 8),
			    .access = bytes == 1   ? 1
				      : bytes == 2 ? 2
						   : 3,
			    .address = port};
}

static uint64_t put_facs(struct writer *w)
{
	struct facs facs = {
		.signature = {'F', 'A', 'C', 'S'}, .length = sizeof(facs), .version = 2};

	return put(w, &facs, sizeof(facs), 64);
}

static uint64_t put_fadt(struct writer *w, uint64_t facs, uint64_t dsdt)
{
	struct fadt f = {
		.firmware_ctrl = (uint32_t)facs,
		.dsdt = (uint32_t)dsdt,
		.x_dsdt = dsdt,
		.sci_int = ACPI_SCI_IRQ,
		.pm1a_evt = ACPI_PM1_EVT_PORT,
		.pm1_evt_len = 4,
		.x_pm1a_evt = io_register(ACPI_PM1_EVT_PORT, 4),
		.pm1a_cnt = ACPI_PM1_CNT_PORT,
		.pm1_cnt_len = 2,
		.x_pm1a_cnt = io_register(ACPI_PM1_CNT_PORT, 2),
		.pm_tmr = ACPI_PM_TMR_PORT,
		.pm_tmr_len = 4,
		.x_pm_tmr = io_register(ACPI_PM_TMR_PORT, 4),
		.gpe0 = ACPI_GPE0_PORT,
		.gpe0_len = 4,
		.x_gpe0 = io_register(ACPI_GPE0_PORT, 4),
		.p_lvl2_lat = NO_C2_LATENCY,
		.p_lvl3_lat = NO_C3_LATENCY,
		.century = RTC_CENTURY,
		.boot_arch = BOOT_ARCH_LEGACY | BOOT_ARCH_NO_VGA,
		.flags = FADT_WBINVD | FADT_PROC_C1 | FADT_NO_SLP_BTN | FADT_NO_FIX_RTC |
			 FADT_TMR_32 | FADT_RESET_REG,
		.reset_reg = io_register(RESET_CF9_PORT, 1),
		.reset_value = RESET_VALUE,
	};

	return put_table(w, &f.header, "FACP", 5, sizeof(f));
}

static uint64_t put_madt(struct writer *w, unsigned nr_vcpus)
{
	struct madt m = {
		.lapic_address = LAPIC_DEFAULT_BASE,
		.flags = MADT_PCAT_COMPAT,
		.ioapic = {.type = 1, .length = sizeof(m.ioapic), .address = IOAPIC_DEFAULT_BASE},
		.irq0 = {.type = 2, .length = sizeof(m.irq0), .irq = 0, .gsi = 2},
		.sci = {.type = 2,
			.length = sizeof(m.sci),
			.irq = ACPI_SCI_IRQ,
			.gsi = ACPI_SCI_IRQ,
			.flags = MADT_LEVEL_ACTIVE_HIGH},
		.nmi = {.type = 4, .length = sizeof(m.nmi), .uid = MADT_ALL_CPUS, .lint = 1},
	};

	for (unsigned i = 0; i < nr_vcpus; i++) {
		m.lapic[i] = (struct madt_lapic){.length = sizeof(m.lapic[i]),
						 .uid = (uint8_t)i,
						 .apic_id = (uint8_t)i,
						 .flags = MADT_ENABLED};
	}
	return put_table(w, &m.header, "APIC", 3,
			 offsetof(struct madt, lapic) + nr_vcpus * sizeof(m.lapic[0]));
}

static uint64_t put_rsdt(struct writer *w, uint64_t fadt, uint64_t madt)
{
	struct {
		struct table_header header;
		uint32_t table[2];
	} __packed rsdt = {.table = {(uint32_t)fadt, (uint32_t)madt}};

	return put_table(w, &rsdt.header, "RSDT", 1, sizeof(rsdt));
}

static uint64_t put_xsdt(struct writer *w, uint64_t fadt, uint64_t madt)
{
	struct {
		struct table_header header;
		uint64_t table[2];
	} __packed xsdt = {.table = {fadt, madt}};

	return put_table(w, &xsdt.header, "XSDT", 1, sizeof(xsdt));
}

int acpi_write_tables(struct guest_memory *mem, unsigned nr_vcpus)
{
	struct writer w = {.mem = mem, .pos = FIRMWARE_RSDP + sizeof(struct rsdp)};
	struct rsdp rsdp = {.signature = {'R', 'S', 'D', ' ', 'P', 'T', 'R', ' '},
			    .oem_id = {'U', 'M', 'B', 'R', 'A', ' '},
			    .revision = 2,
			    .length = sizeof(rsdp)};
	uint64_t dsdt = put(&w, dsdt_aml_code, sizeof(dsdt_aml_code), 16);
	uint64_t fadt = put_fadt(&w, put_facs(&w), dsdt);
	uint64_t madt = put_madt(&w, nr_vcpus);

	rsdp.rsdt = (uint32_t)put_rsdt(&w, fadt, madt);
	rsdp.xsdt = put_xsdt(&w, fadt, madt);
	rsdp.checksum = firmware_checksum(&rsdp, 20);
	rsdp.ext_checksum = firmware_checksum(&rsdp, sizeof(rsdp));
	w.pos = FIRMWARE_RSDP;
	put(&w, &rsdp, sizeof(rsdp), 16);
	return w.error;
}
