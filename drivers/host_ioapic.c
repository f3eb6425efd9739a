/* SPDX-License-Identifier: BSD-2-Clause */
/* I/O APICs and the masking of the 8259s: see host_ioapic.h. */
#include "drivers/host_ioapic.h"

#include <errno.h>
#include <stdbool.h>

#include "arch/x86/cpu.h"
#include "arch/x86/irq.h"
#include "arch/x86/paging.h"
#include "arch/x86/percpu.h"
#include "drivers/acpi.h"
#include "lib/log.h"
#include "lib/spinlock.h"

#define REG_SELECT      0x00
#define REG_WINDOW      0x10
#define IOAPIC_VERSION  0x01
#define IOAPIC_ENTRY(n) (0x10 + 2 * (n))
#define ENTRY_MASKED    BIT(16)
#define ENTRY_LEVEL     BIT(15)
#define ENTRY_LOW       BIT(13)
#define ENTRY_DEST      24 /* in the upper word */

#define PIC1_COMMAND 0x20
#define PIC1_DATA    0x21
#define PIC2_COMMAND 0xa0
#define PIC2_DATA    0xa1
#define PIC_INIT     0x11
#define PIC_8086     0x01

static struct {
	volatile uint8_t *regs;
	uint32_t gsi_base;
	unsigned nr_inputs;
} ioapics[ACPI_MAX_IOAPICS] __ro_after_init;
static unsigned nr_ioapics __ro_after_init;
static struct acpi_isa_irq isa_irqs[ACPI_ISA_IRQS] __ro_after_init;
static struct spinlock lock = SPINLOCK_INIT; /* the pair of select and window */

static uint32_t read_reg(volatile uint8_t *regs, unsigned reg)
{
	mmio_write32(regs + REG_SELECT, reg);
	return mmio_read32(regs + REG_WINDOW);
}

static void write_reg(volatile uint8_t *regs, unsigned reg, uint32_t val)
{
	mmio_write32(regs + REG_SELECT, reg);
	mmio_write32(regs + REG_WINDOW, val);
}

/*
 * Program the 8259s to vectors that nobody uses, and mask them: a spurious interrupt of theirs,
 * which no mask stops, must not look like an exception.
 */
static void mask_pics(void)
{
	outb(PIC1_COMMAND, PIC_INIT);
	outb(PIC2_COMMAND, PIC_INIT);
	outb(PIC1_DATA, IRQ_VECTOR_PIC);
	outb(PIC2_DATA, IRQ_VECTOR_PIC + 8);
	outb(PIC1_DATA, 1 << 2); /* the second one sits on input 2 */
	outb(PIC2_DATA, 2);
	outb(PIC1_DATA, PIC_8086);
	outb(PIC2_DATA, PIC_8086);
	outb(PIC1_DATA, 0xff);
	outb(PIC2_DATA, 0xff);
}

static void add(const struct acpi_ioapic *info)
{
	volatile uint8_t *regs = paging_map(HPA(info->hpa), PAGE_SIZE, PAGING_UC);
	uint32_t version = read_reg(regs, IOAPIC_VERSION);
	unsigned i, nr = (version >> 16 & 0xff) + 1;

	if (version == UINT32_MAX) {
		log_warn("ioapic: nothing answers at 0x%x", info->hpa);
		return;
	}
	for (i = 0; i < nr; i++)
		write_reg(regs, IOAPIC_ENTRY(i), ENTRY_MASKED);
	ioapics[nr_ioapics].regs = regs;
	ioapics[nr_ioapics].gsi_base = info->gsi_base;
	ioapics[nr_ioapics++].nr_inputs = nr;
	log_info("ioapic: %u inputs from interrupt %u at 0x%x", nr, info->gsi_base, info->hpa);
}

void host_ioapic_init(const struct acpi_info *info)
{
	unsigned i;

	mask_pics();
	for (i = 0; i < ACPI_ISA_IRQS; i++)
		isa_irqs[i] = info->isa_irq[i];
	for (i = 0; i < info->nr_ioapics; i++)
		add(&info->ioapic[i]);
}

static bool has_input(unsigned i, uint32_t gsi)
{
	return gsi >= ioapics[i].gsi_base && gsi - ioapics[i].gsi_base < ioapics[i].nr_inputs;
}

/* Index of the I/O APIC, or -ENODEV. */
static int find_ioapic(uint32_t gsi)
{
	unsigned i;

	for (i = 0; i < nr_ioapics; i++) {
		if (has_input(i, gsi))
			return (int)i;
	}
	return -ENODEV;
}

uint32_t host_ioapic_gsi(unsigned irq)
{
	return isa_irqs[irq].gsi;
}

static uint32_t mode_of(uint32_t gsi)
{
	struct acpi_isa_irq mode = {.is_level = true, .is_low = true};
	unsigned i;

	for (i = 0; i < ACPI_ISA_IRQS; i++) {
		if (isa_irqs[i].gsi == gsi)
			mode = isa_irqs[i];
	}
	return (mode.is_level ? ENTRY_LEVEL : 0) | (mode.is_low ? ENTRY_LOW : 0);
}

int host_ioapic_route(uint32_t gsi, unsigned vector)
{
	int i = find_ioapic(gsi);
	unsigned input;

	if (i < 0)
		return i;
	input = gsi - ioapics[i].gsi_base;
	spin_lock(&lock);
	write_reg(ioapics[i].regs, IOAPIC_ENTRY(input) + 1, cpu_by_id(0)->apic_id << ENTRY_DEST);
	write_reg(ioapics[i].regs, IOAPIC_ENTRY(input), vector | mode_of(gsi));
	spin_unlock(&lock);
	return 0;
}

void host_ioapic_mask(uint32_t gsi)
{
	int i = find_ioapic(gsi);

	if (i < 0)
		return;
	spin_lock(&lock);
	write_reg(ioapics[i].regs, IOAPIC_ENTRY(gsi - ioapics[i].gsi_base), ENTRY_MASKED);
	spin_unlock(&lock);
}
