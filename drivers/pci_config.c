/* SPDX-License-Identifier: BSD-2-Clause */
/* PCI configuration accesses: an address and a data port, which one lock keeps together. */
#include "drivers/pci_config.h"

#include "arch/x86/cpu.h"
#include "lib/bits.h"
#include "lib/spinlock.h"

#define PORT_ADDRESS 0xcf8
#define PORT_DATA    0xcfc
#define ENABLE       BIT(31)

static struct spinlock lock = SPINLOCK_INIT;

static void select(uint8_t bus, unsigned dev, unsigned fn, unsigned off)
{
	outl(PORT_ADDRESS,
	     ENABLE | (uint32_t)bus << 16 | (dev & 31) << 11 | (fn & 7) << 8 | (off & 0xfc));
}

/* A chipset without this mechanism does not keep what is written to the address port. */
bool pci_config_works(void)
{
	uint32_t old, seen;

	spin_lock(&lock);
	old = inl(PORT_ADDRESS);
	outl(PORT_ADDRESS, ENABLE);
	seen = inl(PORT_ADDRESS);
	outl(PORT_ADDRESS, old);
	spin_unlock(&lock);
	return seen == ENABLE;
}

uint32_t pci_read32(uint8_t bus, unsigned dev, unsigned fn, unsigned off)
{
	uint32_t val;

	spin_lock(&lock);
	select(bus, dev, fn, off);
	val = inl(PORT_DATA);
	spin_unlock(&lock);
	return val;
}

void pci_write16(uint8_t bus, unsigned dev, unsigned fn, unsigned off, uint16_t val)
{
	spin_lock(&lock);
	select(bus, dev, fn, off);
	outw((uint16_t)(PORT_DATA + (off & 2)), val);
	spin_unlock(&lock);
}

void pci_write8(uint8_t bus, unsigned dev, unsigned fn, unsigned off, uint8_t val)
{
	spin_lock(&lock);
	select(bus, dev, fn, off);
	outb((uint16_t)(PORT_DATA + (off & 3)), val);
	spin_unlock(&lock);
}
