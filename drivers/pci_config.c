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

void pci_write8(uint8_t bus, unsigned dev, unsigned fn, unsigned off, uint8_t val)
{
	spin_lock(&lock);
	select(bus, dev, fn, off);
	outb((uint16_t)(PORT_DATA + (off & 3)), val);
	spin_unlock(&lock);
}
