/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The part of QEMU's pc-testdev that test guests rely on: a four-byte latch, interrupt lines to
 * pull, memory that is an I/O device, and a port that makes the hypervisor forget its mapping of
 * a page.
 *
 * All functions: the VM's device lock is held.
 */
#ifndef VMM_DEV_TESTDEV_H
#define VMM_DEV_TESTDEV_H

#include <stdint.h>

#include "lib/spinlock.h"
#include "vmm/dev/irq_line.h"

struct dev_host;

#define TESTDEV_LATCH_PORT 0xe0 /* 4 ports */
#define TESTDEV_FLUSH_PORT 0xe4 /* 4 ports: a guest-physical address */
#define TESTDEV_BYTE_PORT  0xe8 /* the latch's low byte again */
#define TESTDEV_PORTS      9    /* all of the above */
#define TESTDEV_IRQ_PORT   0x2000
#define TESTDEV_IRQ_LINES  24
#define TESTDEV_RAM_BASE   0xff000000ull
#define TESTDEV_RAM_SIZE   0x10000

struct testdev {
	uint32_t latch;
	struct spinlock *lock;       /* const; the device lock */
	uint8_t *ram;                /* const; TESTDEV_RAM_SIZE bytes */
	struct irq_line irq;         /* const; `line` is set for each use */
	const struct dev_host *host; /* const */
	void *vm;                    /* const */
};

/* For bus regions of TESTDEV_PORTS and TESTDEV_IRQ_LINES ports and TESTDEV_RAM_SIZE bytes. */
uint64_t testdev_read(void *dev, uint64_t off, unsigned size);
void testdev_write(void *dev, uint64_t off, unsigned size, uint64_t val);
uint64_t testdev_irq_read(void *dev, uint64_t off, unsigned size);
void testdev_irq_write(void *dev, uint64_t off, unsigned size, uint64_t val);
uint64_t testdev_ram_read(void *dev, uint64_t off, unsigned size);
void testdev_ram_write(void *dev, uint64_t off, unsigned size, uint64_t val);

#endif
