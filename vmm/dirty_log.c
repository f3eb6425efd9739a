/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The dirty log of all RAM of a VM, out of those of its memory slots (mm/slots.h). Who may use it
 * is one word that is exchanged, not a lock: whoever loses a race is told so. A look that overlaps
 * with the end of the log sees that slot by slot, as an error or as nothing.
 *
 * Switching it goes over all memory that is mapped, a slice with each call. Nobody owns that work
 * between two calls, since a vCPU may never come back to its call (an INIT may come): whoever calls
 * next goes on.
 */
#include "vmm/dirty_log.h"

#include <errno.h>
#include <string.h>

#include "mm/guest.h"
#include "vmm/dev/e820.h"
#include "vmm/vm.h"

static_assert(IS_ALIGNED(RAM_LOW_LIMIT >> PAGE_SHIFT, DIRTY_GRANULE), "slots in granules");

static struct dirty_state state_of(uint64_t word)
{
	return (struct dirty_state){
		.phase = word & 0xff,
		.user = word >> 8 & 0xff,
		.changes = word >> 16,
	};
}

static uint64_t word_of(struct dirty_state s)
{
	return s.changes << 16 | (uint64_t)s.user << 8 | s.phase;
}

/* From a state that was seen to its successor. False: somebody else was faster. */
static bool advance(struct vm *vm, struct dirty_state *s, enum dirty_phase phase,
		    enum dirty_user user)
{
	struct dirty_state next = {.phase = phase, .user = user, .changes = s->changes + 1};
	uint64_t seen = word_of(*s);

	if (!atomic_compare_exchange_strong(&vm->dirty.word, &seen, word_of(next)))
		return false;
	*s = next;
	return true;
}

static struct dirty_state look(struct vm *vm)
{
	return state_of(atomic_load(&vm->dirty.word));
}

static bool is_in(struct dirty_state s, enum dirty_phase phase, enum dirty_user user)
{
	return s.phase == phase && s.user == user;
}

/* Has `user` the log, as far as that can be said while others may change it? */
static int check_user(struct vm *vm, enum dirty_user user)
{
	struct dirty_state s = look(vm);

	if (is_in(s, DIRTY_ON, user))
		return 0;
	return s.phase == DIRTY_OFF ? -ENOENT : -EBUSY;
}

/* For each slot of RAM that there is, from the first on; stops at an error. */
static int change_flags(struct vm *vm, uint32_t flags)
{
	gfn_t base;
	int r = 0;

	for (unsigned id = 0; id < VM_RAM_SLOTS && !r; id++) {
		if (vm_ram_slot(vm, id, &base))
			r = slots_change_flags(&vm->mem, id, flags);
	}
	return r;
}

/*
 * A slice of what the change of flags is to memory that is mapped. Who else does the same at the
 * same time helps. The change is over if nothing is left to do, and the state is what it was
 * before this look: else somebody has finished this change, and perhaps begun the next.
 */
static int go_on(struct vm *vm, struct dirty_state s, enum dirty_phase phase, enum dirty_user user)
{
	gfn_t base;
	int r = 0;

	for (unsigned id = 0; id < VM_RAM_SLOTS && !r; id++) {
		if (vm_ram_slot(vm, id, &base))
			r = slots_settle(&vm->mem, id);
	}
	return r || !advance(vm, &s, phase, user) ? -EAGAIN : 0;
}

/* What a log was refused for is forgotten unsettled: its pages are only smaller than need be. */
static int begin(struct vm *vm, struct dirty_state *s, enum dirty_user user)
{
	int r;

	if (!advance(vm, s, DIRTY_CHANGING, user))
		return -EBUSY;
	atomic_store(&vm->dirty.total, 0);
	r = change_flags(vm, SLOT_DIRTY_LOG);
	if (r)
		change_flags(vm, 0);
	advance(vm, s, r ? DIRTY_OFF : DIRTY_STARTING, user);
	return r;
}

int dirty_start(struct vm *vm, enum dirty_user user)
{
	struct dirty_state s = look(vm);
	int r = s.phase == DIRTY_OFF ? begin(vm, &s, user) : 0;

	if (r)
		return r;
	if (is_in(s, DIRTY_STARTING, user))
		return go_on(vm, s, DIRTY_ON, user);
	return is_in(s, DIRTY_ON, user) ? -EEXIST : -EBUSY;
}

static int end(struct vm *vm, struct dirty_state *s, enum dirty_user user)
{
	if (!advance(vm, s, DIRTY_CHANGING, user))
		return -EBUSY;
	change_flags(vm, 0); /* needs no memory */
	advance(vm, s, DIRTY_STOPPING, user);
	return 0;
}

int dirty_stop(struct vm *vm, enum dirty_user user)
{
	struct dirty_state s = look(vm);
	int r = is_in(s, DIRTY_ON, user) ? end(vm, &s, user) : 0;

	if (r)
		return r;
	if (is_in(s, DIRTY_STOPPING, user))
		return go_on(vm, s, DIRTY_OFF, user);
	return s.phase == DIRTY_OFF ? -ENOENT : -EBUSY;
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
		return r == -EAGAIN ? -EBUSY : r; /* stopped and begun anew meanwhile */
	n = count_bits(bitmap, nr_pages / 64);
	atomic_fetch_add(&vm->dirty.total, (uint64_t)n);
	return n;
}

int dirty_count(struct vm *vm, enum dirty_user user, struct dirty_count *c)
{
	uint64_t bitmap[DIRTY_COUNT_PAGES / 64];
	gfn_t base = GFN(0);
	int n;

	while (c->id < VM_RAM_SLOTS && c->at >= vm_ram_slot(vm, c->id, &base)) {
		c->id++;
		c->at = 0;
	}
	if (c->id == VM_RAM_SLOTS)
		return check_user(vm, user);
	n = dirty_collect(vm, user, GFN(base.v + c->at), DIRTY_COUNT_PAGES, bitmap);
	if (n < 0)
		return n;
	c->pages += (unsigned)n;
	c->at += DIRTY_COUNT_PAGES;
	return -EAGAIN;
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
