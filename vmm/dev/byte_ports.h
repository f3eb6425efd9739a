/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Devices on an 8-bit bus: an access of 2 or 4 bytes reaches them as so many accesses to
 * consecutive ports, as the ISA bus splits it.
 */
#ifndef VMM_DEV_BYTE_PORTS_H
#define VMM_DEV_BYTE_PORTS_H

#include <stdint.h>

static inline __attribute__((always_inline)) uint64_t
byte_ports_read(void *dev, uint64_t off, unsigned size, uint8_t (*read)(void *dev, unsigned port))
{
	uint64_t val = read(dev, (unsigned)off);

	for (unsigned i = 1; i < size; i++)
		val |= (uint64_t)read(dev, (unsigned)off + i) << 8 * i;
	return val;
}

static inline __attribute__((always_inline)) void
byte_ports_write(void *dev, uint64_t off, unsigned size, uint64_t val,
		 void (*write)(void *dev, unsigned port, uint8_t val))
{
	for (unsigned i = 0; i < size; i++)
		write(dev, (unsigned)off + i, (uint8_t)(val >> 8 * i));
}

#endif
