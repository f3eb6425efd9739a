/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Checked access to guest memory. Each call loads the slots once and so sees one consistent set.
 * A write across pages is checked in full before its first byte, so that it is all or nothing.
 */
#include <errno.h>
#include <string.h>

#include "mm/guest.h"
#include "mm/host.h"

/* The slot for an access at `gpa`, or NULL. */
static const struct memslot *usable_slot(struct slot_array *slots, gpa_t gpa, bool write)
{
	const struct memslot *slot = slots_lookup(slots, gpa_to_gfn(gpa));
	uint32_t refused = SLOT_INVALID | (write ? SLOT_READONLY : 0);

	return slot && !(slot->flags & refused) ? slot : NULL;
}

static size_t left_in_page(gpa_t gpa)
{
	return PAGE_SIZE - gpa.v % PAGE_SIZE;
}

/*
 * Is every page of [gpa, gpa + len) there? An address so high that the sum could wrap is in no
 * slot, so the walk ends at it.
 */
static bool is_memory(struct slot_array *slots, gpa_t gpa, uint64_t len, bool write)
{
	while (len) {
		uint64_t n = min(len, left_in_page(gpa));

		if (!usable_slot(slots, gpa, write))
			return false;
		gpa.v += n;
		len -= n;
	}
	return true;
}

/* One aligned word at a time where the guest could tell the difference. */
static void copy_from_guest(void *to, const void *from, size_t n)
{
	uint64_t word;

	if (n > 8 || !n || (n & (n - 1)) || !IS_ALIGNED((uintptr_t)from, n)) {
		memcpy(to, from, n);
		return;
	}
	switch (n) {
	case 1:
		word = __atomic_load_n((const uint8_t *)from, __ATOMIC_RELAXED);
		break;
	case 2:
		word = __atomic_load_n((const uint16_t *)from, __ATOMIC_RELAXED);
		break;
	case 4:
		word = __atomic_load_n((const uint32_t *)from, __ATOMIC_RELAXED);
		break;
	default:
		word = __atomic_load_n((const uint64_t *)from, __ATOMIC_RELAXED);
	}
	memcpy(to, &word, n);
}

static void copy_to_guest(void *to, const void *from, size_t n)
{
	uint64_t word = 0;

	if (n > 8 || !n || (n & (n - 1)) || !IS_ALIGNED((uintptr_t)to, n)) {
		memcpy(to, from, n);
		return;
	}
	memcpy(&word, from, n);
	switch (n) {
	case 1:
		__atomic_store_n((uint8_t *)to, word, __ATOMIC_RELAXED);
		break;
	case 2:
		__atomic_store_n((uint16_t *)to, word, __ATOMIC_RELAXED);
		break;
	case 4:
		__atomic_store_n((uint32_t *)to, word, __ATOMIC_RELAXED);
		break;
	default:
		__atomic_store_n((uint64_t *)to, word, __ATOMIC_RELAXED);
	}
}

int guest_read(struct guest_memory *mem, gpa_t gpa, void *buf, size_t len)
{
	struct slot_array *slots = slots_get(mem);
	uint8_t *to = buf;

	while (len) {
		size_t n = min(len, left_in_page(gpa));
		const struct memslot *slot = usable_slot(slots, gpa, false);

		if (!slot)
			return -EFAULT;
		copy_from_guest(to, slot_va(slot, gpa), n);
		to += n;
		gpa.v += n;
		len -= n;
	}
	return 0;
}

/* Write `from`, or zeros if it is NULL. The note of it comes after the write: see slots.h. */
static int write_pages(struct guest_memory *mem, gpa_t gpa, const uint8_t *from, uint64_t len)
{
	struct slot_array *slots = slots_get(mem);

	if (!is_memory(slots, gpa, len, true))
		return -EFAULT;
	while (len) {
		size_t n = min(len, left_in_page(gpa));
		const struct memslot *slot = slots_lookup(slots, gpa_to_gfn(gpa));

		if (from) {
			copy_to_guest(slot_va(slot, gpa), from, n);
			from += n;
		} else {
			memset(slot_va(slot, gpa), 0, n);
		}
		slot_wrote(slot, gpa, n);
		gpa.v += n;
		len -= n;
	}
	return 0;
}

int guest_write(struct guest_memory *mem, gpa_t gpa, const void *buf, size_t len)
{
	return write_pages(mem, gpa, buf, len);
}

int guest_zero(struct guest_memory *mem, gpa_t gpa, uint64_t len)
{
	return write_pages(mem, gpa, NULL, len);
}

void *guest_ptr(struct guest_memory *mem, gpa_t gpa, size_t len, bool write)
{
	const struct memslot *slot = usable_slot(slots_get(mem), gpa, write);

	return slot && len <= left_in_page(gpa) ? slot_va(slot, gpa) : NULL;
}

void guest_mark_dirty(struct guest_memory *mem, gpa_t gpa)
{
	const struct memslot *slot = slots_find(mem, gpa_to_gfn(gpa));

	if (slot)
		slot_mark_dirty(slot, gpa_to_gfn(gpa));
}

/* LOCK CMPXCHG takes any alignment, which C's atomics do not. */
#define CMPXCHG(type)                                                                              \
	({                                                                                         \
		type expected_, new_;                                                              \
		bool done_;                                                                        \
		memcpy(&expected_, old, sizeof(type));                                             \
		memcpy(&new_, desired, sizeof(type));                                              \
		__asm__ volatile("lock cmpxchg %3, %1"                                             \
				 : "=@ccz"(done_), "+m"(*(type *)p), "+a"(expected_)               \
				 : "r"(new_)                                                       \
				 : "memory");                                                      \
		memcpy(old, &expected_, sizeof(type));                                             \
		done_;                                                                             \
	})

static bool cmpxchg(void *p, void *old, const void *desired, size_t size)
{
	switch (size) {
	case 1:
		return CMPXCHG(uint8_t);
	case 2:
		return CMPXCHG(uint16_t);
	case 4:
		return CMPXCHG(uint32_t);
	default:
		return CMPXCHG(uint64_t);
	}
}

int guest_cmpxchg(struct guest_memory *mem, gpa_t gpa, void *old, const void *desired, size_t size)
{
	const struct memslot *slot;

	if ((size != 1 && size != 2 && size != 4 && size != 8) || size > left_in_page(gpa))
		return -EINVAL;
	slot = usable_slot(slots_get(mem), gpa, true);
	if (!slot)
		return -EFAULT;
	if (!cmpxchg(slot_va(slot, gpa), old, desired, size))
		return 1;
	slot_wrote(slot, gpa, size);
	return 0;
}
