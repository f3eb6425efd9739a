/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The only way to the contents of guest memory. Every address and length is taken as hostile:
 * it may cross pages and slots, reach into holes, and wrap. Naturally aligned accesses of 1, 2, 4
 * and 8 bytes are single-copy atomic, as a guest expects of devices that share memory with it.
 *
 * All are called inside the hypervisor (a reader of mm/grace.h), with any locks held or none.
 * A slot that is about to go away (SLOT_INVALID) is a hole.
 */
#ifndef MM_GUEST_H
#define MM_GUEST_H

#include "lib/types.h"
#include "mm/slots.h"

/* 0, or -EFAULT: some byte is not memory; then `buf` has no meaning. */
int guest_read(struct guest_memory *mem, gpa_t gpa, void *buf, size_t len);

/*
 * 0, or -EFAULT: some byte is not memory, or is in a read-only slot; then nothing was written.
 * Each page written is reported (slot_wrote()). guest_zero() writes zeros.
 */
int guest_write(struct guest_memory *mem, gpa_t gpa, const void *buf, size_t len);
int guest_zero(struct guest_memory *mem, gpa_t gpa, uint64_t len);

/*
 * The bytes [gpa, gpa + len) themselves, or NULL when they are not memory (or, for writing, not
 * writable), or not within one page. Valid until this CPU is next quiescent. Write through it only
 * before the guest runs, because such a write is not reported to slot_wrote().
 */
void *guest_ptr(struct guest_memory *mem, gpa_t gpa, size_t len, bool write);

/*
 * The guest itself has written to this page, as its CPU has logged: put the page into the slot's
 * dirty log.
 */
void guest_mark_dirty(struct guest_memory *mem, gpa_t gpa);

/*
 * Compare and exchange of `size` bytes (1, 2, 4, 8) within one page, atomic against the guest's
 * CPUs. `old` and `desired` point to values of that size. 0: exchanged; 1: memory differed, and
 * *old is now what it had; -EFAULT: not writable memory; -EINVAL: crosses a page or is of no such
 * size.
 */
int guest_cmpxchg(struct guest_memory *mem, gpa_t gpa, void *old, const void *desired, size_t size);

#endif
