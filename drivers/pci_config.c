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

#define PCI_ACCESS(bits, suffix)                                                                   \
	uint##bits##_t pci_read##bits(uint8_t bus, unsigned dev, unsigned fn, unsigned off)        \
	{                                                                                          \
		uint##bits##_t val;                                                                \
                                                                                                   \
		spin_lock(&lock);                                                                  \
		select(bus, dev, fn, off);                                                         \
		val = in##suffix((uint16_t)(PORT_DATA + (off & 3)));                               \
		spin_unlock(&lock);                                                                \
		return val;                                                                        \
	}                                                                                          \
	void pci_write##bits(uint8_t bus, unsigned dev, unsigned fn, unsigned off,                 \
			     uint##bits##_t val)                                                   \
	{                                                                                          \
		spin_lock(&lock);                                                                  \
		select(bus, dev, fn, off);                                                         \
		out##suffix((uint16_t)(PORT_DATA + (off & 3)), val);                               \
		spin_unlock(&lock);                                                                \
	}

PCI_ACCESS(8, b)
PCI_ACCESS(16, w)
PCI_ACCESS(32, l)
#undef PCI_ACCESS
