/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The parts of a guest's memory that are taken while a kernel is being placed: first the ranges
 * that are no RAM or belong to the firmware, then each piece as it is claimed.
 */
#ifndef VMM_LOAD_SPACE_H
#define VMM_LOAD_SPACE_H

#include <stdbool.h>
#include <stdint.h>

#define SPACE_MAX_RANGES 40

struct space_range {
	uint64_t start, end; /* [start, end) */
	const char *what;    /* for messages */
};

struct space {
	unsigned nr;
	struct space_range range[SPACE_MAX_RANGES]; /* in no order, no two overlap */
};

/* All of [0, 2^64) but the guest's RAM is taken, and so is the firmware's area. */
void space_init(struct space *s, uint64_t ram_bytes);

/* The range that stands in the way of [start, start + size), or NULL; size > 0. */
const struct space_range *space_clash(const struct space *s, uint64_t start, uint64_t size);

/* Take a range that space_clash() found free. False if the table is full. */
bool space_claim(struct space *s, uint64_t start, uint64_t size, const char *what);

/*
 * The lowest or the highest free `size` bytes in [from, limit), aligned (a power of two).
 * False if there are none.
 */
bool space_find_low(const struct space *s, uint64_t size, uint64_t align, uint64_t from,
		    uint64_t limit, uint64_t *addr);
bool space_find_high(const struct space *s, uint64_t size, uint64_t align, uint64_t from,
		     uint64_t limit, uint64_t *addr);

#endif
