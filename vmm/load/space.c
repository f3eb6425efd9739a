/* SPDX-License-Identifier: BSD-2-Clause */
/* Ranges of guest memory, a few dozen at most: linear search serves. */
#include "vmm/load/space.h"

#include <stddef.h>

#include "vmm/dev/e820.h"

void space_init(struct space *s, uint64_t ram_bytes)
{
	s->nr = 0;
	space_claim(s, FIRMWARE_BASE, FIRMWARE_LIMIT - FIRMWARE_BASE, "the firmware's area");
	space_claim(s, ram_low_end(ram_bytes), RAM_HIGH_BASE - ram_low_end(ram_bytes),
		    "the end of memory");
	space_claim(s, ram_high_end(ram_bytes), UINT64_MAX - ram_high_end(ram_bytes),
		    "the end of memory");
}

/* Is [start, start + size) no range at all, or one that touches r? */
static bool overlaps(const struct space_range *r, uint64_t start, uint64_t size)
{
	return start < r->end && (size > UINT64_MAX - start || start + size > r->start);
}

const struct space_range *space_clash(const struct space *s, uint64_t start, uint64_t size)
{
	for (unsigned i = 0; i < s->nr; i++) {
		if (overlaps(&s->range[i], start, size))
			return &s->range[i];
	}
	return NULL;
}

bool space_claim(struct space *s, uint64_t start, uint64_t size, const char *what)
{
	if (s->nr == SPACE_MAX_RANGES)
		return false;
	s->range[s->nr++] = (struct space_range){start, start + size, what};
	return true;
}

bool space_find_low(const struct space *s, uint64_t size, uint64_t align, uint64_t from,
		    uint64_t limit, uint64_t *addr)
{
	const struct space_range *r;
	uint64_t at = ALIGN_UP(from, align);

	if (at < from)
		return false;
	while (at <= limit && size <= limit - at) {
		r = space_clash(s, at, size);
		if (!r) {
			*addr = at;
			return true;
		}
		if (r->end > UINT64_MAX - align)
			return false;
		at = ALIGN_UP(r->end, align);
	}
	return false;
}

bool space_find_high(const struct space *s, uint64_t size, uint64_t align, uint64_t from,
		     uint64_t limit, uint64_t *addr)
{
	const struct space_range *r;
	uint64_t at, top = limit;

	while (top >= size && (at = ALIGN_DOWN(top - size, align)) >= from) {
		r = space_clash(s, at, size);
		if (!r) {
			*addr = at;
			return true;
		}
		top = r->start;
	}
	return false;
}
