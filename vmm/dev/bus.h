/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The two address spaces of a guest's devices, ports and MMIO: sorted regions, each with a read
 * and a write function of its model. A bus is built when the VM is created and constant after
 * that. The caller holds the VM's device lock (struct platform), so models need none.
 */
#ifndef VMM_DEV_BUS_H
#define VMM_DEV_BUS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "lib/bits.h"

#define BUS_MAX_REGIONS 48

struct bus_region {
	uint64_t base, len; /* bytes or ports */
	/* `off` counts from base; size 1, 2, 4 or 8; the access lies inside the region. */
	uint64_t (*read)(void *dev, uint64_t off, unsigned size);
	void (*write)(void *dev, uint64_t off, unsigned size, uint64_t val);
	void *dev;
};

struct bus {
	unsigned nr;
	/* Relaxed; where in region[] the one found last is, in bytes: only ever a guess. */
	_Atomic unsigned hint;
	struct bus_region region[BUS_MAX_REGIONS]; /* sorted by base, no two overlap */
};

/* Add a region. 0, or -EEXIST on an overlap, or -ENOSPC. */
int bus_add(struct bus *bus, const struct bus_region *region);

/*
 * For models whose registers are bytes: a wider access is one access per byte, lowest address
 * first, as an ISA bus does it.
 */
static inline uint64_t bus_read_bytes(uint8_t (*read)(void *dev, uint64_t off), void *dev,
				      uint64_t off, unsigned size)
{
	uint64_t val = read(dev, off);

	for (unsigned i = 1; unlikely(i < size); i++)
		val |= (uint64_t)read(dev, off + i) << (8 * i);
	return val;
}

static inline void bus_write_bytes(void (*write)(void *dev, uint64_t off, uint8_t val), void *dev,
				   uint64_t off, unsigned size, uint64_t val)
{
	write(dev, off, (uint8_t)val);
	for (unsigned i = 1; unlikely(i < size); i++)
		write(dev, off + i, (uint8_t)(val >> (8 * i)));
}

/* Access a region. Where there is none, reads give all ones and writes are dropped. */
uint64_t bus_read(struct bus *bus, uint64_t addr, unsigned size);
void bus_write(struct bus *bus, uint64_t addr, unsigned size, uint64_t val);

#endif
