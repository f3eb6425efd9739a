/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Which functions are stopped. All buses are looked at, and not only those that a bridge of bus 0
 * leads to: a large machine has several host bridges, and only its firmware's AML says where their
 * buses begin.
 */
#include "drivers/bus_master.h"

#include <stdbool.h>

#include "drivers/pci_config.h"
#include "lib/bits.h"
#include "lib/log.h"

/* PCI Local Bus 3.0, 6.1 and 6.2. */
#define REG_ID         0x00
#define REG_COMMAND    0x04
#define REG_CLASS      0x08 /* revision, interface, subclass, class: from the lowest byte up */
#define REG_HEADER     0x0c
#define NOTHING        0xffffffff
#define COMMAND_MASTER BIT(2)
#define HEADER_MULTI   BIT(23)
#define CLASS(reg)     ((reg) >> 16) /* with subclass */
#define BASE(class)    ((class) >> 8)

#define BASE_DISPLAY 0x03
#define BASE_BRIDGE  0x06
#define CLASS_PIC    0x0800 /* with an I/O APIC: its interrupts are writes to memory */
#define CLASS_IOMMU  0x0806
#define CLASS_USB    0x0c03

#define BUSES     256
#define DEVICES   32
#define FUNCTIONS 8

struct place {
	uint8_t bus;
	unsigned dev, fn;
};

/*
 * What goes on. A bridge passes on what the devices behind it send, also their interrupts, and an
 * I/O APIC sends them. The
 * picture of a built-in display comes out of memory. A USB controller may still work for the
 * firmware, which turns it into a keyboard and waits for it with the CPU stopped; its memory is
 * reserved.
 */
static bool may_go_on(unsigned class)
{
	return BASE(class) == BASE_BRIDGE || BASE(class) == BASE_DISPLAY || class == CLASS_IOMMU ||
	       class == CLASS_PIC || class == CLASS_USB;
}

/*
 * The second read shows whether the bit can be cleared; and what the function had already sent to
 * memory has arrived when its answer does (PCI Local Bus 3.0, 3.2.5.3).
 */
static bool stop(struct place p)
{
	uint32_t command = pci_read32(p.bus, p.dev, p.fn, REG_COMMAND);

	pci_write16(p.bus, p.dev, p.fn, REG_COMMAND,
		    (uint16_t)(command & ~(uint32_t)COMMAND_MASTER));
	return !(pci_read32(p.bus, p.dev, p.fn, REG_COMMAND) & COMMAND_MASTER);
}

/* 1 if this function was stopped. */
static unsigned look_at(struct place p)
{
	unsigned class = CLASS(pci_read32(p.bus, p.dev, p.fn, REG_CLASS));

	if (!(pci_read32(p.bus, p.dev, p.fn, REG_COMMAND) & COMMAND_MASTER) || may_go_on(class))
		return 0;
	log_debug("pci: %02x:%02x.%u of class %04x is a bus master: stopped", p.bus, p.dev, p.fn,
		  class);
	if (stop(p))
		return 1;
	log_warn("pci: %02x:%02x.%u of class %04x cannot be stopped: it may write into guests",
		 p.bus, p.dev, p.fn, class);
	return 0;
}

static bool is_there(struct place p)
{
	uint32_t id = pci_read32(p.bus, p.dev, p.fn, REG_ID);

	return id != NOTHING && (id & 0xffff) != 0xffff;
}

/* A device that has one function may answer for all eight. */
static unsigned look_at_device(uint8_t bus, unsigned dev)
{
	struct place p = {bus, dev, 0};
	unsigned stopped, end;

	if (!is_there(p))
		return 0;
	stopped = look_at(p);
	end = pci_read32(bus, dev, 0, REG_HEADER) & HEADER_MULTI ? FUNCTIONS : 1;
	for (p.fn = 1; p.fn < end; p.fn++) {
		if (is_there(p))
			stopped += look_at(p);
	}
	return stopped;
}

unsigned bus_master_stop_all(void)
{
	unsigned stopped = 0;

	if (!pci_config_works())
		return 0;
	for (unsigned bus = 0; bus < BUSES; bus++) {
		for (unsigned dev = 0; dev < DEVICES; dev++)
			stopped += look_at_device((uint8_t)bus, dev);
	}
	log_info("pci: bus mastering off for %u functions", stopped);
	return stopped;
}
