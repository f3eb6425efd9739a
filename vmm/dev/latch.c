/* SPDX-License-Identifier: BSD-2-Clause */
/* Ports that remember. */
#include "vmm/dev/latch.h"

#include "vmm/dev/bus.h"

static uint8_t read_port(void *dev, uint64_t port)
{
	return ((struct latch *)dev)->value[port];
}

static void write_port(void *dev, uint64_t port, uint8_t val)
{
	((struct latch *)dev)->value[port] = val;
}

uint64_t latch_read(void *dev, uint64_t off, unsigned size)
{
	return bus_read_bytes(read_port, dev, off, size);
}

void latch_write(void *dev, uint64_t off, unsigned size, uint64_t val)
{
	bus_write_bytes(write_port, dev, off, size, val);
}
