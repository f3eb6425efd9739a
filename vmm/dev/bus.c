/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Ports and MMIO to models: a binary search in a sorted array that never changes once its VM
 * runs, so a look-up takes no lock.
 */
#include <errno.h>
#include <stddef.h>

#include "vmm/dev/bus.h"

#include "lib/bits.h"

/* The index of the first region that begins above `addr`. */
static unsigned upper_bound(const struct bus *bus, uint64_t addr)
{
	unsigned lo = 0, hi = bus->nr;

	while (lo < hi) {
		unsigned mid = (lo + hi) / 2;

		if (bus->region[mid].base <= addr)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

int bus_add(struct bus *bus, const struct bus_region *region)
{
	unsigned at = upper_bound(bus, region->base);

	if (bus->nr == BUS_MAX_REGIONS)
		return -ENOSPC;
	/* Differences, not sums: a region may end at the very top of the address space. */
	if (at > 0 && region->base - bus->region[at - 1].base < bus->region[at - 1].len)
		return -EEXIST;
	if (at < bus->nr && bus->region[at].base - region->base < region->len)
		return -EEXIST;

	for (unsigned i = bus->nr; i > at; i--)
		bus->region[i] = bus->region[i - 1];
	bus->region[at] = *region;
	bus->nr++;
	return 0;
}

static bool holds(const struct bus_region *r, uint64_t addr, unsigned size)
{
	uint64_t off = addr - r->base;

	return off < r->len && size <= r->len - off;
}

static const struct bus_region *search(struct bus *bus, uint64_t addr, unsigned size)
{
	unsigned at = upper_bound(bus, addr);

	if (at == 0 || !holds(&bus->region[at - 1], addr, size))
		return NULL;
	atomic_store_explicit(&bus->hint, (at - 1) * sizeof(bus->region[0]), memory_order_relaxed);
	return &bus->region[at - 1];
}

/* Accesses come in bursts to one device. Region 0 of an empty bus has no length. */
static inline const struct bus_region *guess(const struct bus *bus)
{
	unsigned hint = atomic_load_explicit(&bus->hint, memory_order_relaxed);

	return (const struct bus_region *)((const char *)bus->region + hint);
}

static __cold uint64_t read_other(struct bus *bus, uint64_t addr, unsigned size)
{
	const struct bus_region *r = search(bus, addr, size);

	return r ? r->read(r->dev, addr - r->base, size) : ~0ull >> (64 - 8 * size);
}

static __cold void write_other(struct bus *bus, uint64_t addr, unsigned size, uint64_t val)
{
	const struct bus_region *r = search(bus, addr, size);

	if (r)
		r->write(r->dev, addr - r->base, size, val);
}

uint64_t bus_read(struct bus *bus, uint64_t addr, unsigned size)
{
	const struct bus_region *r = guess(bus);

	if (unlikely(!holds(r, addr, size)))
		return read_other(bus, addr, size);
	return r->read(r->dev, addr - r->base, size);
}

void bus_write(struct bus *bus, uint64_t addr, unsigned size, uint64_t val)
{
	const struct bus_region *r = guess(bus);

	if (unlikely(!holds(r, addr, size)))
		write_other(bus, addr, size, val);
	else
		r->write(r->dev, addr - r->base, size, val);
}
