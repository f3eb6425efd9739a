/* SPDX-License-Identifier: BSD-2-Clause */
/* PCI configuration accesses, and the host bridge. */
#include "vmm/dev/pci.h"

#include <errno.h>
#include <stddef.h>

#include "lib/bits.h"

#define ADDRESS_ENABLE BIT(31)
#define ADDRESS_BUS    0x00ff0000u
#define ADDRESS_DEV    0x0000f800u
#define ADDRESS_FN     0x00000700u
#define ADDRESS_REG    0x000000fcu
#define ADDRESS_MASK   (ADDRESS_ENABLE | ADDRESS_BUS | ADDRESS_DEV | ADDRESS_FN | ADDRESS_REG)

#define REG_VENDOR    0x00 /* and the device ID */
#define REG_COMMAND   0x04
#define REG_CLASS     0x08 /* revision, programming interface, class */
#define REG_SUBSYSTEM 0x2c

/*
 * A host bridge without chipset registers. The subsystem is the one by which firmware knows a
 * virtual machine, and then looks for fw_cfg.
 */
#define BRIDGE_ID        0x00081b36
#define BRIDGE_CLASS     0x06000000
#define BRIDGE_SUBSYSTEM 0x11001af4
#define COMMAND_ENABLE   0x0007 /* I/O, memory, bus master */

void pci_set(struct pci_function *f, unsigned reg, unsigned size, uint32_t val, uint32_t writable)
{
	for (unsigned i = 0; i < size; i++) {
		f->config[reg + i] = (uint8_t)(val >> 8 * i);
		f->writable[reg + i] = (uint8_t)(writable >> 8 * i);
	}
}

int pci_add(struct pci_bus *bus, struct pci_function *f)
{
	for (int i = 0; i < PCI_DEVICES; i++) {
		if (!bus->dev[i]) {
			bus->dev[i] = f;
			return i;
		}
	}
	return -ENOSPC;
}

uint32_t pci_address_read(const struct pci_bus *bus)
{
	return bus->address;
}

void pci_address_write(struct pci_bus *bus, uint32_t val)
{
	bus->address = val & ADDRESS_MASK;
}

/* The function that the address register selects, or NULL. */
static struct pci_function *selected(const struct pci_bus *bus)
{
	uint32_t a = bus->address;

	if (!(a & ADDRESS_ENABLE) || (a & (ADDRESS_BUS | ADDRESS_FN)))
		return NULL;
	return bus->dev[FIELD_GET(ADDRESS_DEV, a)];
}

uint64_t pci_data_read(void *dev, uint64_t off, unsigned size)
{
	struct pci_bus *bus = dev;
	struct pci_function *f = selected(bus);
	unsigned reg = (bus->address & ADDRESS_REG) + (unsigned)off;
	uint64_t val = 0;

	if (!f)
		return ~0ull >> (64 - 8 * size);
	for (unsigned i = 0; i < size; i++)
		val |= (uint64_t)f->config[reg + i] << 8 * i;
	return val;
}

void pci_data_write(void *dev, uint64_t off, unsigned size, uint64_t val)
{
	struct pci_bus *bus = dev;
	struct pci_function *f = selected(bus);
	unsigned reg = (bus->address & ADDRESS_REG) + (unsigned)off;

	if (!f)
		return;
	for (unsigned i = 0; i < size; i++) {
		uint8_t mask = f->writable[reg + i];

		f->config[reg + i] =
			(f->config[reg + i] & (uint8_t)~mask) | ((uint8_t)(val >> 8 * i) & mask);
	}
	if (f->written)
		f->written(f, reg, size);
}

void pci_reset(struct pci_bus *bus)
{
	bus->address = 0;
	pci_set(&bus->bridge, REG_COMMAND, 2, 0, COMMAND_ENABLE);
}

void pci_init(struct pci_bus *bus)
{
	*bus = (struct pci_bus){0};
	pci_set(&bus->bridge, REG_VENDOR, 4, BRIDGE_ID, 0);
	pci_set(&bus->bridge, REG_CLASS, 4, BRIDGE_CLASS, 0);
	pci_set(&bus->bridge, REG_SUBSYSTEM, 4, BRIDGE_SUBSYSTEM, 0);
	pci_add(bus, &bus->bridge);
	pci_reset(bus);
}
