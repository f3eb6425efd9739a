/* SPDX-License-Identifier: BSD-2-Clause */
/* PCI Local Bus Specification 3.0, 6.1 to 6.2.5 and appendix D: see serial_pci.h. */
#include "drivers/serial_pci.h"

#include <stddef.h>

#include "drivers/pci_config.h"
#include "lib/bits.h"

#define PCI_VENDOR    0x00
#define PCI_COMMAND   0x04
#define PCI_CLASS     0x08 /* revision, interface, subclass, class */
#define PCI_HEADER    0x0e
#define PCI_BAR(n)    (0x10 + 4 * (n))
#define PCI_IRQ_LINE  0x3c
#define PCI_IRQ_PIN   0x3d
#define NR_BARS       6
#define NO_FUNCTION   0xffff
#define HEADER_TYPE   0x7f
#define HEADER_MULTI  0x80
#define CLASS_SERIAL  0x0700
#define COMMAND_IO    BIT(0)
#define COMMAND_MEM   BIT(1)
#define COMMAND_NOINT BIT(10)
#define BAR_IO        BIT(0)
#define BAR_IO_BITS   0x3u
#define BAR_MEM_BITS  0xfu
#define BAR_TYPE      0x6u
#define BAR_64BIT     0x4u
#define REGS          8 /* of a UART */

struct range {
	bool is_mmio;
	uint64_t base; /* 0: the firmware has given it none */
	uint32_t len;  /* 0: not there */
};

static uint32_t read_class(struct pci_function f)
{
	return pci_read32(f.bus, f.dev, f.fn, PCI_CLASS) >> 16;
}

static bool is_there(struct pci_function f)
{
	return pci_read16(f.bus, f.dev, f.fn, PCI_VENDOR) != NO_FUNCTION;
}

static bool find_on_device(uint8_t bus, uint8_t dev, struct pci_function *out)
{
	struct pci_function f = {bus, dev, 0};
	unsigned nr;

	if (!is_there(f))
		return false;
	nr = pci_read8(bus, dev, 0, PCI_HEADER) & HEADER_MULTI ? 8 : 1;
	for (; f.fn < nr; f.fn++) {
		if (!is_there(f) || read_class(f) != CLASS_SERIAL)
			continue;
		*out = f;
		return true;
	}
	return false;
}

bool serial_pci_first(struct pci_function *out)
{
	unsigned at;

	for (at = 0; at < 256 * 32; at++) {
		if (find_on_device((uint8_t)(at / 32), at % 32, out))
			return true;
	}
	return false;
}

static uint16_t set_command(struct pci_function f, uint16_t clear, uint16_t set)
{
	uint16_t old = pci_read16(f.bus, f.dev, f.fn, PCI_COMMAND);

	pci_write16(f.bus, f.dev, f.fn, PCI_COMMAND, (uint16_t)((old & ~clear) | set));
	return old;
}

/* What of a base address register can be written says how long its range is (6.2.5.1). */
static uint32_t read_len(struct pci_function f, unsigned bar, uint32_t val)
{
	uint16_t command = set_command(f, COMMAND_IO | COMMAND_MEM, 0);
	uint32_t mask;

	pci_write32(f.bus, f.dev, f.fn, PCI_BAR(bar), ~0u);
	mask = pci_read32(f.bus, f.dev, f.fn, PCI_BAR(bar));
	pci_write32(f.bus, f.dev, f.fn, PCI_BAR(bar), val);
	pci_write16(f.bus, f.dev, f.fn, PCI_COMMAND, command);
	mask &= ~(val & BAR_IO ? BAR_IO_BITS : BAR_MEM_BITS);
	return mask & -mask;
}

static struct range read_range(struct pci_function f, unsigned bar)
{
	uint32_t val = pci_read32(f.bus, f.dev, f.fn, PCI_BAR(bar));
	struct range r = {.is_mmio = !(val & BAR_IO), .len = read_len(f, bar, val)};

	r.base = val & ~(r.is_mmio ? BAR_MEM_BITS : BAR_IO_BITS);
	if (r.is_mmio && (val & BAR_TYPE) == BAR_64BIT && bar + 1 < NR_BARS)
		r.base |= (uint64_t)pci_read32(f.bus, f.dev, f.fn, PCI_BAR(bar + 1)) << 32;
	return r;
}

/* The registers of port `index` in what its card answers to; a range of no length if nowhere. */
static struct range find_regs(struct pci_function f, unsigned index, unsigned stride)
{
	struct range r = read_range(f, 0);

	if (!index)
		return r;
	if (r.len / (REGS * stride) > index) {
		r.base += r.base ? (uint64_t)index * REGS * stride : 0;
		return r;
	}
	return index < NR_BARS ? read_range(f, index) : (struct range){};
}

/* What the firmware has written there is the 8259's input, and so the I/O APIC's for ISA. */
static struct serial_irq read_irq(struct pci_function f)
{
	uint8_t line = pci_read8(f.bus, f.dev, f.fn, PCI_IRQ_LINE);

	if (!pci_read8(f.bus, f.dev, f.fn, PCI_IRQ_PIN) || !line || line >= 16)
		return (struct serial_irq){SERIAL_IRQ_NONE};
	return (struct serial_irq){SERIAL_IRQ_ISA, line};
}

const char *serial_pci_enable(struct pci_function f, struct serial_uart *uart)
{
	if (!is_there(f))
		return "there is no such PCI function";
	set_command(f, COMMAND_NOINT, uart->is_mmio ? COMMAND_MEM : COMMAND_IO);
	if (uart->irq.kind == SERIAL_IRQ_NONE)
		uart->irq = read_irq(f);
	return NULL;
}

const char *serial_pci_describe(struct pci_function f, unsigned index, struct serial_uart *out)
{
	bool is_serial = read_class(f) == CLASS_SERIAL;
	struct range r;

	if (!is_there(f))
		return "there is no such PCI function";
	if (pci_read8(f.bus, f.dev, f.fn, PCI_HEADER) & HEADER_TYPE)
		return "that PCI function is a bridge";
	r = find_regs(f, index, is_serial ? 1 : 4);
	if (r.len < REGS)
		return "that PCI function has no such port";
	if (!r.base)
		return "the firmware has given that PCI function no address";
	*out = (struct serial_uart){
		.is_mmio = r.is_mmio,
		.stride = r.is_mmio && !is_serial ? 4 : 1,
		.base = r.base,
		.clock = SERIAL_PC_CLOCK,
		.baud = r.is_mmio && !is_serial ? 0 : SERIAL_BAUD,
	};
	out->width = out->stride;
	return serial_pci_enable(f, out);
}
