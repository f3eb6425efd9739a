/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Between mm/paging.c, which turns control registers into masks, and mm/walk.c, which uses them:
 * the formats of guests' tables, and how kinds of accesses and rights of pages are numbered in
 * guest_paging.denied[].
 */
#ifndef MM_PAGING_H
#define MM_PAGING_H

#include "lib/bits.h"
#include "lib/types.h"
#include "mm/walk.h"

/*
 * How an entry is read, at any level. A right is there if its bit is set in the entries of all
 * levels; bits that forbid are inverted first.
 */
struct walk_entry {
	uint8_t shift;      /* log2 of its bytes: 2 or 3 */
	uint8_t index_bits; /* log2 of the entries of a table */
	uint64_t present;   /* one of these is set */
	uint64_t write, user, execute;
	uint64_t inverted;
	uint64_t accessed, dirty;
	uint64_t large;     /* a page, at the levels that have pages */
	uint64_t high_base; /* of a large page: address bits from 32 on (PSE-36) */
};

/*
 * The tables of a paging mode. The CPU's features and the control registers add to it (physical
 * width, NX, 1G pages): guest_paging has the sum of both, which the walk uses.
 *
 * A guest's own nested tables are formats too. NPT: the modes of 4 and 5 levels, with accesses that
 * are all user accesses (APM volume 2, 15.25.5). EPT (SDM volume 3, 28.3): .present = R | W | X,
 * .write = W, .execute = X, nothing inverted, and .user = R, the right that reads need; its
 * denied[] is filled from these three.
 */
struct walk_format {
	const struct walk_entry *entry;
	uint8_t levels;       /* of tables: 2, 3 (PAE, the upper one in registers), 4, 5 */
	uint8_t large_levels; /* bit n: entries of level n may be pages */
	uint64_t address;     /* where an entry has the address of a table or page */
	uint64_t reserved[WALK_MAX_LEVEL + 1][2]; /* as in guest_paging: on every CPU */
};

/* By number of levels; of 0 and 1: nothing. */
extern const struct walk_format walk_formats[WALK_MAX_LEVEL + 1];

/* Rights of a page, RIGHT_*, as an index of 3 bits. */
#define NR_RIGHTS 8u

/* Kind of an access, index of denied[]: the bits of the error code moved down, and SMAP's say. */
#define KIND_WRITE BIT(0)
#define KIND_USER  BIT(1)
#define KIND_FETCH BIT(2)
#define KIND_SMAP  BIT(3) /* supervisor data access that RFLAGS.AC does not exempt */
#define NR_KINDS   16u

#endif
