/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The frames behind a slot. Internal to mm/slots.c. One word for each 2 MiB chunk of guest
 * memory: a run of frames where there was one, else a table of single frames.
 */
#ifndef MM_BACKING_H
#define MM_BACKING_H

#include "mm/slots.h"

/*
 * Find and clear frames for all of [slot->base, slot->base + nr_pages): 1 GiB runs first, then
 * 2 MiB runs, then single frames. Sets slot->origin and slot->chunk. 0, or -ENOMEM with nothing
 * taken. No locks held (clearing takes its time).
 */
int backing_create(struct memslot *slot);

/* Give the frames back. Nobody, no CPU and no TLB, may have a translation to them any more. */
void backing_destroy(struct memslot *slot);

/* The dirty log of a slot, not cleared. 0 or -ENOMEM. */
int dirty_log_create(struct memslot *slot);
void dirty_log_destroy(struct memslot *slot);

#endif
