/* SPDX-License-Identifier: BSD-2-Clause */
/* The test device. */
#include "vmm/dev/testdev.h"

#include <string.h>

#include "vmm/dev/host.h"

enum { REG_LATCH = 0, REG_FLUSH = 4, REG_BYTE = 8 };

/* The bits of the latch that an access at `off` covers. */
static uint32_t latch_mask(uint64_t off, unsigned size)
{
	return (uint32_t)(~0ull >> (64 - 8 * size) << 8 * off);
}

uint64_t testdev_read(void *dev, uint64_t off, unsigned size)
{
	struct testdev *t = dev;

	if (off >= REG_FLUSH)
		return off == REG_BYTE ? t->latch & 0xff : 0;
	return (t->latch & latch_mask(off, size)) >> 8 * off;
}

/* It may wait for CPUs that wait for the device lock: let go of that meanwhile. */
static void drop_page(struct testdev *t, gpa_t gpa) __must_hold(t->lock)
{
	if (!t->host->drop_page)
		return;
	spin_unlock(t->lock);
	t->host->drop_page(t->vm, gpa);
	spin_lock(t->lock);
}

void testdev_write(void *dev, uint64_t off, unsigned size, uint64_t val)
{
	struct testdev *t = dev;
	uint32_t mask;

	if (off == REG_FLUSH) {
		drop_page(t, GPA(val & PAGE_MASK));
		return;
	}
	if (off == REG_BYTE)
		off = REG_LATCH;
	if (off > REG_FLUSH)
		return;
	mask = latch_mask(off, size);
	t->latch = (t->latch & ~mask) | ((uint32_t)(val << 8 * off) & mask);
}

uint64_t testdev_irq_read(void *dev, uint64_t off, unsigned size)
{
	return 0;
}

void testdev_irq_write(void *dev, uint64_t off, unsigned size, uint64_t val)
{
	struct testdev *t = dev;

	t->irq.line = (unsigned)off;
	irq_set(&t->irq, val != 0);
}

uint64_t testdev_ram_read(void *dev, uint64_t off, unsigned size)
{
	struct testdev *t = dev;
	uint64_t val = 0;

	memcpy(&val, t->ram + off, size);
	return val;
}

void testdev_ram_write(void *dev, uint64_t off, unsigned size, uint64_t val)
{
	struct testdev *t = dev;

	memcpy(t->ram + off, &val, size);
}
