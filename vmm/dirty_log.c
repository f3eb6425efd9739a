/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The dirty log of all RAM of a VM, out of those of its memory slots (mm/slots.h). Who may use it
 * is one word that is exchanged, not a lock: whoever loses a race is told so. A look that overlaps
 * with the end of the log sees that slot by slot, as an error or as nothing.
 */
#include "vmm/dirty_log.h"

#include <errno.h>
#include <string.h>

#include "mm/guest.h"
#include "vmm/dev/e820.h"
#include "vmm/vm.h"

static_assert(IS_ALIGNED(RAM_LOW_LIMIT >> PAGE_SHIFT, DIRTY_GRANULE), "slots in granules");

/* Has `user` the log, as far as that can be said while others may change it? */
static int check_user(struct vm *vm, enum dirty_user user)
{
	enum dirty_user now = atomic_load(&vm->dirty.user);

	if (now == user)
		return 0;
	return now == DIRTY_OFF ? -ENOENT : -EBUSY;
}

static bool take(struct vm *vm, enum dirty_user from)
{
	return atomic_compare_exchange_strong(&vm->dirty.user, &from, DIRTY_CHANGING);
}

/* For each slot of RAM that there is, from the first on; stops at an error. */
static int set_flags(struct vm *vm, uint32_t flags)
{
	gfn_t base;
	int r = 0;

	for (unsigned id = 0; id < VM_RAM_SLOTS && !r; id++) {
		if (vm_ram_slot(vm, id, &base))
			r = slots_set_flags(&vm->mem, id, flags);
	}
	return r;
}

int dirty_start(struct vm *vm, enum dirty_user user)
{
	int r;

	if (!take(vm, DIRTY_OFF))
		return check_user(vm, user) ? -EBUSY : -EEXIST;
	atomic_store(&vm->dirty.total, 0);
	r = set_flags(vm, SLOT_DIRTY_LOG);
	if (r)
		set_flags(vm, 0);
	atomic_store(&vm->dirty.user, r ? DIRTY_OFF : user);
	return r;
}

int dirty_stop(struct vm *vm, enum dirty_user user)
{
	int r;

	if (!take(vm, user))
		return check_user(vm, user) == -ENOENT ? -ENOENT : -EBUSY;
	r = set_flags(vm, 0);
	atomic_store(&vm->dirty.user, DIRTY_OFF);
	return r;
}

/* The part of one slot that is in [first, first + nr_pages), into its place in the bitmap. */
static int collect_slot(struct vm *vm, unsigned id, gfn_t first, uint64_t nr_pages,
			uint64_t *bitmap)
{
	gfn_t base;
	uint64_t pages = vm_ram_slot(vm, id, &base);
	uint64_t from = max(first.v, base.v), to = min(first.v + nr_pages, base.v + pages);

	if (from >= to)
		return 0;
	return slots_get_dirty(&vm->mem, id, from - base.v, to - from,
			       &bitmap[(from - first.v) / 64]);
}

static int count_bits(const uint64_t *words, uint64_t nr)
{
	int n = 0;

	for (uint64_t i = 0; i < nr; i++) {
		for (uint64_t bits = words[i]; bits; bits &= bits - 1)
			n++;
	}
	return n;
}

int dirty_collect(struct vm *vm, enum dirty_user user, gfn_t first, uint64_t nr_pages,
		  uint64_t *bitmap)
{
	int r = check_user(vm, user), n;

	if (r)
		return r;
	if (first.v % DIRTY_GRANULE || first.v >= SLOTS_MAX_GFN || nr_pages % DIRTY_GRANULE ||
	    !nr_pages || nr_pages > DIRTY_MAX_PAGES)
		return -EINVAL;
	memset(bitmap, 0, nr_pages / 8);
	for (unsigned id = 0; id < VM_RAM_SLOTS && !r; id++)
		r = collect_slot(vm, id, first, nr_pages, bitmap);
	if (r)
		return r;
	n = count_bits(bitmap, nr_pages / 64);
	atomic_fetch_add(&vm->dirty.total, (uint64_t)n);
	return n;
}

int dirty_count(struct vm *vm, enum dirty_user user, uint64_t *pages)
{
	uint64_t bitmap[DIRTY_MAX_PAGES / 64];
	gfn_t base;
	int n = check_user(vm, user);

	*pages = 0;
	for (unsigned id = 0; id < VM_RAM_SLOTS && n >= 0; id++) {
		uint64_t end = vm_ram_slot(vm, id, &base);

		for (uint64_t at = 0; at < end && n >= 0; at += DIRTY_MAX_PAGES) {
			n = dirty_collect(vm, user, GFN(base.v + at), DIRTY_MAX_PAGES, bitmap);
			*pages += n > 0 ? (unsigned)n : 0;
		}
	}
	return min(n, 0);
}

/* Nothing is in the CPU's log: that was emptied at the last exit. */
void dirty_switch_cpu_log(struct vcpu *v)
{
	bool on = atomic_load(&v->vm->logs_writes);

	virt_log_writes(&v->virt, on);
	v->watch = (v->watch & ~WATCH_LOG) | (on ? WATCH_LOG : 0);
}

/* What the CPU noted is brought into the dirty bitmaps of the slots as they are now. */
void dirty_empty_cpu_log(struct vcpu *v)
{
	const uint64_t *gpa;
	unsigned nr = virt_take_log(&v->virt, &gpa);

	for (unsigned i = 0; i < nr; i++)
		guest_mark_dirty(&v->vm->mem, GPA(gpa[i]));
}
