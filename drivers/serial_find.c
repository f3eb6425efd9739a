/* SPDX-License-Identifier: BSD-2-Clause */
/* See serial_find.h. */
#include "drivers/serial_find.h"

#include <stddef.h>

#include "drivers/acpi.h"
#include "drivers/serial_pci.h"

static const struct acpi_info *acpi;

void serial_find_init(const struct acpi_info *info)
{
	acpi = info;
}

/* The ISA interrupt of a port, by the PC's convention. */
static struct serial_irq pc_irq(uint64_t port)
{
	switch (port) {
	case 0x3f8:
	case 0x3e8:
		return (struct serial_irq){SERIAL_IRQ_ISA, 4};
	case 0x2f8:
	case 0x2e8:
		return (struct serial_irq){SERIAL_IRQ_ISA, 3};
	default:
		return (struct serial_irq){SERIAL_IRQ_NONE};
	}
}

static const char *find_pci(const struct serial_word *w, struct serial_uart *out)
{
	struct pci_function f = {w->bus, w->dev, w->fn};

	if (w->is_any && !serial_pci_first(&f))
		return "there is no serial port on PCI";
	return serial_pci_describe(f, w->index, out);
}

const char *serial_find_acpi(const struct acpi_console *console, struct serial_uart *out)
{
	*out = console->uart;
	if (!console->is_pci)
		return NULL;
	return serial_pci_enable((struct pci_function){console->bus, console->dev, console->fn},
				 out);
}

static const char *find_spcr(struct serial_uart *out)
{
	if (acpi && acpi->spcr.uart.stride)
		return serial_find_acpi(&acpi->spcr, out);
	if (acpi && acpi->dbg2.uart.stride)
		return serial_find_acpi(&acpi->dbg2, out);
	return "the firmware has no SPCR or DBG2 table that names a 16550";
}

const char *serial_find(const struct serial_word *w, struct serial_uart *out)
{
	const char *why = NULL;

	*out = (struct serial_uart){
		.is_mmio = w->kind == SERIAL_WORD_MMIO,
		.stride = w->stride,
		.width = w->stride,
		.base = w->base,
		.clock = SERIAL_PC_CLOCK,
		.baud = SERIAL_BAUD,
	};
	if (w->kind == SERIAL_WORD_PORT)
		out->irq = pc_irq(w->base);
	else if (w->kind == SERIAL_WORD_PCI)
		why = find_pci(w, out);
	else if (w->kind == SERIAL_WORD_SPCR)
		why = find_spcr(out);
	if (w->has_baud)
		out->baud = w->baud;
	return why;
}
