/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The frames behind a slot. Internal to mm/slots.c. One word for each 2 MiB chunk of guest
 * memory: a run of frames where there was one, else a table of single frames.
 */
#ifndef MM_BACKING_H
#define MM_BACKING_H

#include "mm/slots.h"

/*
 * Find frames for all of [slot->base, slot->base + nr_pages) and clear them: 1 GiB runs first, then
 * 2 MiB runs, then single frames. Sets slot->origin, slot->chunk and slot->dirty (not cleared): a
 * log that begins later takes no memory. Each call is bounded work.
 *
 * backing_begin(): 0, or -ENOMEM with nothing taken. backing_build(), until it does not return 1:
 * 0 when all is there, or -ENOMEM, and what has been built is to be given back. No locks held.
 */
int backing_begin(struct memslot *slot, struct backing_build *b);
int backing_build(const struct memslot *slot, struct backing_build *b);

/*
 * Give the frames back, of the first *built chunks; backing_chunks() for a slot that is complete.
 * Nobody, no CPU and no TLB, may have a translation to them any more. Each call is bounded work:
 * false as long as there is more to do.
 */
bool backing_destroy(struct memslot *slot, uint64_t *built);
uint64_t backing_chunks(const struct memslot *slot);

#endif
