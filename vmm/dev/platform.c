/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The board: which models there are, where they answer and where their interrupt lines end. It
 * is a PC without video, disks or a keyboard; what else a guest has comes over PCI.
 *
 * ISA interrupt n goes to the 8259 pair and to pin n of the IOAPIC, but for IRQ 0, which is wired
 * to pin 2 (the MADT and the MP table say so). The pair's INTR goes to LINT0 and to pin 0.
 */
#include "vmm/dev/platform.h"

#include <errno.h>

#include "lib/log.h"
#include "lib/panic.h"
#include "mm/frames.h"
#include "vmm/dev/acpi_pm.h"
#include "vmm/dev/debug.h"
#include "vmm/dev/ferr.h"
#include "vmm/dev/fw_cfg.h"
#include "vmm/dev/apic/ioapic.h"
#include "vmm/dev/apic/lapic.h"
#include "vmm/dev/latch.h"
#include "vmm/dev/pci.h"
#include "vmm/dev/pic.h"
#include "vmm/dev/pit.h"
#include "vmm/dev/i8042.h"
#include "vmm/dev/rtc.h"
#include "vmm/dev/testdev.h"
#include "vmm/dev/uart.h"

#define ISA_IRQS 16

struct platform {
	/* Const after create. */
	struct bus pio, mmio;
	struct lapic_group lapics;
	struct lapic *lapic; /* [nr_vcpus] */
	unsigned nr_vcpus;

	struct spinlock lock; /* the device lock: everything below */
	struct ioapic ioapic;
	struct pic pic;
	struct pit pit;
	struct rtc rtc;
	struct uart uart;
	struct acpi_pm acpi_pm;
	struct ferr ferr;
	struct reset reset;
	struct pci_bus pci;
	struct fw_cfg fw_cfg;
	struct testdev testdev;
	struct debug_exit debug_exit;
	struct debug_console debug_console, bochs_console;
	struct latch dma1, page, dma2;
};

/* --- interrupt lines --- */

static void set_isa_irq(void *ctx, unsigned irq, bool level)
{
	struct platform *p = ctx;

	if (irq < ISA_IRQS)
		pic_set_irq(&p->pic, irq, level);
	ioapic_set_irq(&p->ioapic, irq == 0 ? 2 : irq, level);
}

static void set_intr(void *ctx, unsigned line, bool level)
{
	struct platform *p = ctx;

	lapic_group_set_lint(&p->lapics, 0, level);
	ioapic_set_irq(&p->ioapic, 0, level);
}

static struct irq_line isa_irq(struct platform *p, unsigned irq)
{
	return (struct irq_line){.set = set_isa_irq, .ctx = p, .line = irq};
}

/* A local APIC's end of interrupt, without the device lock. */
static void broadcast_eoi(void *ctx, uint8_t vector)
{
	struct platform *p = ctx;

	spin_lock(&p->lock);
	ioapic_eoi(&p->ioapic, vector);
	spin_unlock(&p->lock);
}

/* --- dispatch --- */

uint64_t platform_pio_read(struct platform *p, uint16_t port, unsigned size)
{
	uint64_t val;

	spin_lock(&p->lock);
	val = bus_read(&p->pio, port, size);
	spin_unlock(&p->lock);
	return val;
}

void platform_pio_write(struct platform *p, uint16_t port, unsigned size, uint64_t val)
{
	spin_lock(&p->lock);
	bus_write(&p->pio, port, size, val);
	spin_unlock(&p->lock);
}

static bool is_own_apic(const struct lapic *l, gpa_t gpa)
{
	return (gpa.v & PAGE_MASK) == lapic_mmio_base(l);
}

uint64_t platform_mmio_read(struct platform *p, struct lapic *own, gpa_t gpa, unsigned size)
{
	uint64_t val;

	if (is_own_apic(own, gpa))
		return lapic_mmio_read(own, gpa.v & ~PAGE_MASK, size);
	spin_lock(&p->lock);
	val = bus_read(&p->mmio, gpa.v, size);
	spin_unlock(&p->lock);
	return val;
}

void platform_mmio_write(struct platform *p, struct lapic *own, gpa_t gpa, unsigned size,
			 uint64_t val)
{
	if (is_own_apic(own, gpa)) {
		lapic_mmio_write(own, gpa.v & ~PAGE_MASK, size, val);
		return;
	}
	spin_lock(&p->lock);
	bus_write(&p->mmio, gpa.v, size, val);
	spin_unlock(&p->lock);
}

struct lapic *platform_lapic(struct platform *p, unsigned vcpu)
{
	return &p->lapic[vcpu];
}

bool platform_extint_pending(struct platform *p, unsigned vcpu)
{
	return pic_intr(&p->pic) && lapic_extint_open(&p->lapic[vcpu]);
}

uint8_t platform_extint_ack(struct platform *p, unsigned vcpu)
{
	uint8_t vector;

	spin_lock(&p->lock);
	/* First: an ExtINT message for the next request may come out of the INTA cycle. */
	lapic_extint_acked(&p->lapic[vcpu]);
	vector = pic_ack(&p->pic);
	spin_unlock(&p->lock);
	return vector;
}

bool platform_fpu_error(struct platform *p, bool interrupts_open)
{
	bool is_ignored;

	spin_lock(&p->lock);
	is_ignored = ferr_report(&p->ferr, interrupts_open);
	spin_unlock(&p->lock);
	return is_ignored;
}

void platform_console_input(struct platform *p, uint8_t byte)
{
	spin_lock(&p->lock);
	uart_receive(&p->uart, byte);
	spin_unlock(&p->lock);
}

unsigned platform_console_room(struct platform *p)
{
	unsigned room;

	spin_lock(&p->lock);
	room = uart_receive_room(&p->uart);
	spin_unlock(&p->lock);
	return room;
}

void platform_console_transmit(struct platform *p)
{
	spin_lock(&p->lock);
	uart_transmit(&p->uart);
	spin_unlock(&p->lock);
}

void platform_console_break(struct platform *p)
{
	spin_lock(&p->lock);
	uart_receive_break(&p->uart);
	spin_unlock(&p->lock);
}

void platform_power_button(struct platform *p)
{
	spin_lock(&p->lock);
	acpi_pm_power_button(&p->acpi_pm);
	spin_unlock(&p->lock);
}

/* --- building --- */

/* PCI's address register and the reset control register share four ports. */
static uint64_t read_cf8(void *dev, uint64_t off, unsigned size)
{
	struct platform *p = dev;

	if (size == 4)
		return pci_address_read(&p->pci);
	if (size == 1 && off == RESET_CF9_PORT - PCI_ADDRESS_PORT)
		return reset_cf9_read(&p->reset, 0, 1);
	return ~0ull >> (64 - 8 * size);
}

static void write_cf8(void *dev, uint64_t off, unsigned size, uint64_t val)
{
	struct platform *p = dev;

	if (size == 4)
		pci_address_write(&p->pci, (uint32_t)val);
	else if (size == 1 && off == RESET_CF9_PORT - PCI_ADDRESS_PORT)
		reset_cf9_write(&p->reset, 0, 1, val);
}

static void add_regions(struct bus *bus, const struct bus_region *r, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		int error = bus_add(bus, &r[i]);

		HV_BUG_ON(error);
	}
}

static void build_buses(struct platform *p)
{
	const struct bus_region pio[] = {
		{LATCH_DMA1_PORT, 16, latch_read, latch_write, &p->dma1},
		{PIC_MASTER_PORT, 2, pic_read, pic_write, &p->pic.chip[0]},
		{PIT_PORT, 4, pit_read, pit_write, &p->pit},
		{I8042_DATA_PORT, 1, i8042_data_read, i8042_data_write, &p->reset},
		{PIT_SPEAKER_PORT, 1, pit_speaker_read, pit_speaker_write, &p->pit},
		{I8042_CMD_PORT, 1, i8042_status_read, i8042_command_write, &p->reset},
		{RTC_PORT, 2, rtc_read, rtc_write, &p->rtc},
		{LATCH_PAGE_PORT, 16, latch_read, latch_write, &p->page},
		{RESET_PORT_92, 1, reset_port_92_read, reset_port_92_write, &p->reset},
		{PIC_SLAVE_PORT, 2, pic_read, pic_write, &p->pic.chip[1]},
		{LATCH_DMA2_PORT, 32, latch_read, latch_write, &p->dma2},
		{FERR_PORT, 1, ferr_read, ferr_write, &p->ferr},
		{DEBUG_BOCHS_PORT, 1, debug_console_read, debug_console_write, &p->bochs_console},
		{DEBUG_EXIT_PORT, 4, debug_exit_read, debug_exit_write, &p->debug_exit},
		{UART_COM1_PORT, UART_PORTS, uart_read, uart_write, &p->uart},
		{DEBUG_CONSOLE_PORT, 1, debug_console_read, debug_console_write, &p->debug_console},
		{PIC_ELCR_PORT, 2, pic_elcr_read, pic_elcr_write, &p->pic},
		{FW_CFG_PORT, FW_CFG_PORTS, fw_cfg_read, fw_cfg_write, &p->fw_cfg},
		{ACPI_PM_PORT, ACPI_PM_PORTS, acpi_pm_read, acpi_pm_write, &p->acpi_pm},
		{PCI_ADDRESS_PORT, 4, read_cf8, write_cf8, p},
		{PCI_DATA_PORT, 4, pci_data_read, pci_data_write, &p->pci},
	};
	const struct bus_region mmio[] = {
		{IOAPIC_DEFAULT_BASE, IOAPIC_SIZE, ioapic_read, ioapic_write, &p->ioapic},
	};

	add_regions(&p->pio, pio, ARRAY_SIZE(pio));
	add_regions(&p->mmio, mmio, ARRAY_SIZE(mmio));
}

static void add_test_device(struct platform *p)
{
	const struct bus_region pio[] = {
		{TESTDEV_LATCH_PORT, TESTDEV_PORTS, testdev_read, testdev_write, &p->testdev},
		{TESTDEV_IRQ_PORT, TESTDEV_IRQ_LINES, testdev_irq_read, testdev_irq_write,
		 &p->testdev},
	};
	const struct bus_region ram = {TESTDEV_RAM_BASE, TESTDEV_RAM_SIZE, testdev_ram_read,
				       testdev_ram_write, &p->testdev};

	add_regions(&p->pio, pio, ARRAY_SIZE(pio));
	add_regions(&p->mmio, &ram, 1);
}

static void build_interrupts(struct platform *p, const struct platform_config *c)
{
	const struct irq_line intr = {.set = set_intr, .ctx = p};

	lapic_group_init(&p->lapics, c->host, c->vm, broadcast_eoi, p, c->phys_bits);
	for (unsigned i = 0; i < c->nr_vcpus; i++)
		lapic_init(&p->lapic[i], &p->lapics, i, c->vcpu_timers[i]);
	ioapic_init(&p->ioapic, &p->lapics, lapic_deliver);
	pic_init(&p->pic, &intr);
}

static void own_timers(struct platform *p, const void *vm)
{
	p->pit.timer.owner = vm;
	p->rtc.timer.owner = vm;
	p->uart.timer.owner = vm;
	p->acpi_pm.timer.owner = vm;
}

static void build_devices(struct platform *p, const struct platform_config *c)
{
	struct timer_queue *q = c->vcpu_timers[0];
	const struct irq_line irq0 = isa_irq(p, 0), irq1 = isa_irq(p, I8042_IRQ),
			      irq4 = isa_irq(p, UART_COM1_IRQ), irq8 = isa_irq(p, RTC_IRQ),
			      irq9 = isa_irq(p, ACPI_SCI_IRQ);

	pit_init(&p->pit, &irq0, q, &p->lock);
	rtc_init(&p->rtc, c->unix_time, c->ram_bytes, &irq8, q, &p->lock);
	uart_init(&p->uart, c->serial, &irq4, q, &p->lock);
	acpi_pm_init(&p->acpi_pm, c->host, c->vm, &irq9, q, &p->lock);
	own_timers(p, c->vm);
	p->ferr.irq = isa_irq(p, FERR_IRQ);
	reset_init(&p->reset, c->host, c->vm, &irq1);
	pci_init(&p->pci);
	p->debug_exit = (struct debug_exit){.host = c->host, .vm = c->vm};
	p->debug_console = p->bochs_console = (struct debug_console){.name = c->name};
	p->testdev.irq = irq0;
	p->testdev.lock = &p->lock;
	p->testdev.host = c->host;
	p->testdev.vm = c->vm;
}

static int build_fw_cfg(struct platform *p, const struct platform_config *c)
{
	int error = 0;

	fw_cfg_init(&p->fw_cfg, c->ram_bytes, c->nr_vcpus);
	for (unsigned i = 0; !error && i < c->nr_fw_cfg; i++) {
		error = fw_cfg_add(&p->fw_cfg, &c->fw_cfg[i]);
		if (error)
			log_error("vm %s: fwcfg=%s: %s", c->name, c->fw_cfg[i].name,
				  error == -EEXIST ? "this file exists already"
						   : "no room in the directory");
	}
	return error;
}

void platform_act_as_firmware(struct platform *p)
{
	pic_set_pc_defaults(&p->pic);
	pit_set_pc_defaults(&p->pit);
	lapic_set_virtual_wire(&p->lapic[0]);
}

static unsigned lapic_order(unsigned nr_vcpus)
{
	return order_of(nr_vcpus * sizeof(struct lapic));
}

static void free_pages(struct platform *p)
{
	if (p->lapic)
		pages_free(p->lapic, lapic_order(p->nr_vcpus));
	if (p->testdev.ram)
		pages_free(p->testdev.ram, order_of(TESTDEV_RAM_SIZE));
	pages_free(p, order_of(sizeof(*p)));
}

struct platform *platform_create(const struct platform_config *c)
{
	struct platform *p = pages_zalloc(order_of(sizeof(*p)));

	HV_BUG_ON(c->nr_vcpus < 1 || c->nr_vcpus > VM_MAX_VCPUS);
	if (!p)
		goto no_memory;
	p->nr_vcpus = c->nr_vcpus;
	p->lapic = pages_zalloc(lapic_order(c->nr_vcpus));
	if (c->test_device)
		p->testdev.ram = pages_zalloc(order_of(TESTDEV_RAM_SIZE));
	if (!p->lapic || (c->test_device && !p->testdev.ram))
		goto no_memory;
	build_interrupts(p, c);
	build_devices(p, c);
	build_buses(p);
	if (c->test_device)
		add_test_device(p);
	if (build_fw_cfg(p, c)) {
		platform_destroy(p);
		return NULL;
	}
	return p;

no_memory:
	log_error("vm %s: no memory for its devices", c->name);
	if (p)
		free_pages(p);
	return NULL;
}

void platform_shut_timers(struct platform *p)
{
	timer_shut(&p->pit.timer);
	timer_shut(&p->rtc.timer);
	timer_shut(&p->uart.timer);
	timer_shut(&p->acpi_pm.timer);
	for (unsigned i = 0; i < p->nr_vcpus; i++)
		timer_shut(&p->lapic[i].timer);
}

void platform_destroy(struct platform *p)
{
	free_pages(p);
}
