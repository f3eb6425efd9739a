/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Between mm/paging.c, which turns control registers into masks, and mm/walk.c, which uses them:
 * how kinds of accesses and rights of pages are numbered in guest_paging.denied[].
 */
#ifndef MM_PAGING_H
#define MM_PAGING_H

#include "lib/bits.h"

/*
 * Rights of a page, as an index of 3 bits. The first two are bits 1 and 2 of the entries, ANDed
 * over the levels; NX is inverted first, so that it can be ANDed as well.
 */
#define NR_RIGHTS 8u

/* Kind of an access, index of denied[]: the bits of the error code moved down, and SMAP's say. */
#define KIND_WRITE BIT(0)
#define KIND_USER  BIT(1)
#define KIND_FETCH BIT(2)
#define KIND_SMAP  BIT(3) /* supervisor data access that RFLAGS.AC does not exempt */
#define NR_KINDS   16u

#endif
