/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Changes of the memory slots while vCPUs run. The order of steps is explained in mm/slots.h;
 * here it is publish() and finish(), and for what goes away withdraw() before them.
 */
#include <errno.h>
#include <string.h>

#include "lib/panic.h"
#include "mm/backing.h"
#include "mm/frames.h"
#include "mm/grace.h"

#define SLOT_USER_FLAGS (SLOT_READONLY | SLOT_DIRTY_LOG)

void slots_init(struct guest_memory *mem)
{
	memset(mem, 0, sizeof(*mem));
	atomic_store_explicit(&mem->slots, &mem->copy[0], memory_order_release);
}

void slots_lock(struct guest_memory *mem) __acquires(&mem->lock)
{
	grace_lock(&mem->lock);
}

void slots_unlock(struct guest_memory *mem) __releases(&mem->lock)
{
	spin_unlock(&mem->lock);
}

/* --- readers --- */

const struct memslot *slots_search(struct slot_array *slots, gfn_t gfn)
{
	uint32_t low = 0, high = slots->nr;

	while (low < high) {
		uint32_t mid = (low + high) / 2;

		if (gfn.v < slots->slot[mid].base.v) {
			high = mid;
		} else if (slot_has(&slots->slot[mid], gfn)) {
			atomic_store_explicit(&slots->hint, mid, memory_order_relaxed);
			return &slots->slot[mid];
		} else {
			low = mid + 1;
		}
	}
	return NULL;
}

/*
 * A run is a whole chunk of the slot, so that what is aligned like it lies inside the slot; a slot
 * that was moved need not be aligned like its runs any more.
 */
unsigned slot_max_level(const struct memslot *slot, gfn_t gfn)
{
	uint64_t chunk = slot->chunk[(gfn.v - slot->origin) / CHUNK_PAGES];
	uint64_t skew = gfn.v ^ slot_pfn(slot, gfn).v;

	if (!(chunk & CHUNK_RUN) || skew & (BIT_ULL(ORDER_2M) - 1))
		return 1;
	if (!(chunk & CHUNK_GIG) || skew & (BIT_ULL(ORDER_1G) - 1))
		return 2;
	return 3;
}

void slot_set_dirty(const struct memslot *slot, gfn_t gfn)
{
	uint64_t page = gfn.v - slot->base.v;

	/*
	 * Release: pairs with the acquire in get_dirty_locked(). Always a locked operation, even
	 * when the bit seems set already: a plain look could come before the caller's write, and
	 * miss that the bit was taken and the page read in between.
	 */
	atomic_fetch_or_explicit(&slot->dirty[page / 64], BIT_ULL(page % 64), memory_order_release);
}

/* --- the engine, if there is one; slots_lock held --- */

static int engine_prepare(struct guest_memory *mem, const struct memslot *old, struct memslot *now)
{
	return mem->ops ? mem->ops->slot_prepare(mem->mmu, old, now) : 0;
}

static void engine_flush(struct guest_memory *mem, const struct memslot *slot)
{
	if (mem->ops)
		mem->ops->slot_flush(mem->mmu, slot);
}

static void engine_commit(struct guest_memory *mem, const struct memslot *old,
			  const struct memslot *now)
{
	if (mem->ops)
		mem->ops->slot_commit(mem->mmu, old, now, slots_generation(mem));
}

/* --- the two copies; slots_lock held --- */

/* The copy that is not published, made equal to the one that is. */
static struct slot_array *prepare(struct guest_memory *mem)
{
	struct slot_array *cur = slots_get(mem);
	struct slot_array *next = &mem->copy[cur == &mem->copy[0]];
	uint64_t gen = atomic_load_explicit(&cur->generation, memory_order_relaxed);

	atomic_store_explicit(&next->generation, gen | SLOTS_GEN_IN_PROGRESS, memory_order_relaxed);
	atomic_store_explicit(&next->hint, 0, memory_order_relaxed);
	next->nr = cur->nr;
	memcpy(next->slot, cur->slot, sizeof(next->slot));
	return next;
}

/* On return nobody uses the other copy. */
static void publish(struct guest_memory *mem, struct slot_array *next)
{
	/* Release: pairs with the acquire in slots_get(). */
	atomic_store_explicit(&mem->slots, next, memory_order_release);
	grace_wait();
}

static void finish(struct guest_memory *mem)
{
	struct slot_array *cur = slots_get(mem);
	uint64_t gen = atomic_load_explicit(&cur->generation, memory_order_relaxed);

	HV_BUG_ON(!(gen & SLOTS_GEN_IN_PROGRESS));
	atomic_store_explicit(&cur->generation, (gen & ~SLOTS_GEN_IN_PROGRESS) + 1,
			      memory_order_relaxed);
}

static struct memslot *by_id(struct slot_array *slots, unsigned id)
{
	for (uint32_t i = 0; i < slots->nr; i++) {
		if (slots->slot[i].id == id)
			return &slots->slot[i];
	}
	return NULL;
}

/* Is some frame of [base, base + nr_pages) in a slot other than `id`? */
static bool overlaps(const struct slot_array *slots, unsigned id, gfn_t base, uint64_t nr_pages)
{
	for (uint32_t i = 0; i < slots->nr; i++) {
		const struct memslot *s = &slots->slot[i];

		if (s->id != id && base.v < s->base.v + s->nr_pages &&
		    s->base.v < base.v + nr_pages)
			return true;
	}
	return false;
}

static bool is_valid_range(gfn_t base, uint64_t nr_pages)
{
	return nr_pages && base.v < SLOTS_MAX_GFN && nr_pages <= SLOTS_MAX_GFN - base.v;
}

static void insert(struct slot_array *slots, const struct memslot *slot)
{
	uint32_t i = slots->nr++;

	for (; i > 0 && slots->slot[i - 1].base.v > slot->base.v; i--)
		slots->slot[i] = slots->slot[i - 1];
	slots->slot[i] = *slot;
}

/* The entry that falls free is cleared: a hint may point to it. */
static void erase(struct slot_array *slots, unsigned id)
{
	struct memslot *s = by_id(slots, id), *end = &slots->slot[--slots->nr];

	memmove(s, s + 1, (char *)end - (char *)s);
	memset(end, 0, sizeof(*end));
}

/* Take a slot out of use: nobody can reach its frames when this returns, but it is still there. */
static void withdraw(struct guest_memory *mem, const struct memslot *slot)
{
	struct slot_array *next = prepare(mem);

	by_id(next, slot->id)->flags |= SLOT_INVALID;
	publish(mem, next);
	engine_flush(mem, slot);
}

/* Put `now` in the place of `old`; either may be NULL. */
static void replace(struct guest_memory *mem, const struct memslot *old, const struct memslot *now)
{
	struct slot_array *next = prepare(mem);

	if (old)
		erase(next, old->id);
	if (now)
		insert(next, now);
	publish(mem, next);
	finish(mem);
	engine_commit(mem, old, now);
}

/* --- changes --- */

static int insert_new(struct guest_memory *mem, struct memslot *now)
{
	struct slot_array *cur;
	int err;

	slots_lock(mem);
	cur = slots_get(mem);
	err = by_id(cur, now->id) || overlaps(cur, now->id, now->base, now->nr_pages) ? -EEXIST : 0;
	if (!err)
		err = engine_prepare(mem, NULL, now);
	if (!err)
		replace(mem, NULL, now);
	slots_unlock(mem);
	return err;
}

/* Saves the work of clearing memory for a slot that has no place; insert_new() decides. */
static bool has_place(struct guest_memory *mem, const struct memslot *now)
{
	struct slot_array *cur = slots_get(mem);

	return !by_id(cur, now->id) && !overlaps(cur, now->id, now->base, now->nr_pages);
}

static void free_slot(struct memslot *slot)
{
	uint64_t chunks = backing_chunks(slot);

	while (!backing_destroy(slot, &chunks))
		;
}

/*
 * The bits of the pages [from, end). A word that begins before `from` was cleared with the slice
 * before, and has bits of pages that are settled. Relaxed: the change of the page's entry comes
 * after it, and whoever sets the bit once the page is settled has seen that change.
 */
static void clear_log(const struct memslot *slot, uint64_t from, uint64_t end)
{
	for (uint64_t i = DIV_ROUND_UP(from, 64); i < DIV_ROUND_UP(end, 64); i++)
		atomic_store_explicit(&slot->dirty[i], 0, memory_order_relaxed);
}

int slots_begin(struct guest_memory *mem, struct slot_build *b, unsigned id, gfn_t base,
		uint64_t nr_pages, uint32_t flags)
{
	*b = (struct slot_build){
		.slot = {.base = base, .nr_pages = nr_pages, .flags = flags, .id = id}};
	if (id >= SLOTS_MAX || flags & ~SLOT_USER_FLAGS || !is_valid_range(base, nr_pages))
		return -EINVAL;
	if (!has_place(mem, &b->slot))
		return -EEXIST;
	return backing_begin(&b->slot, &b->backing);
}

/* On success the frames are the slot's that is published, and the builder has none. */
static int finish_slot(struct guest_memory *mem, struct slot_build *b)
{
	int err;

	if (b->slot.flags & SLOT_DIRTY_LOG)
		clear_log(&b->slot, 0, b->slot.nr_pages);
	err = insert_new(mem, &b->slot);
	if (!err)
		*b = (struct slot_build){0};
	return err;
}

int slots_build(struct guest_memory *mem, struct slot_build *b)
{
	int r = backing_build(&b->slot, &b->backing);

	return r ? r : finish_slot(mem, b);
}

bool slots_abandon(struct slot_build *b)
{
	return !b->slot.chunk || backing_destroy(&b->slot, &b->backing.built);
}

int slots_create(struct guest_memory *mem, unsigned id, gfn_t base, uint64_t nr_pages,
		 uint32_t flags)
{
	struct slot_build b;
	int r = slots_begin(mem, &b, id, base, nr_pages, flags);

	if (r)
		return r;
	do
		r = slots_build(mem, &b);
	while (r > 0);
	while (!slots_abandon(&b))
		;
	return r;
}

static int delete_locked(struct guest_memory *mem, unsigned id, struct memslot *old)
{
	struct memslot *cur = by_id(slots_get(mem), id);
	int err;

	if (!cur)
		return -ENOENT;
	*old = *cur;
	err = engine_prepare(mem, old, NULL);
	if (err)
		return err;
	withdraw(mem, old);
	replace(mem, old, NULL);
	mem->change[id].flags = 0;
	return 0;
}

int slots_delete(struct guest_memory *mem, unsigned id)
{
	struct memslot old;
	int err;

	slots_lock(mem);
	err = delete_locked(mem, id, &old);
	slots_unlock(mem);
	if (!err)
		free_slot(&old); /* flushed in withdraw(), drained in replace() */
	return err;
}

static int move_locked(struct guest_memory *mem, unsigned id, gfn_t base)
{
	struct memslot *cur = by_id(slots_get(mem), id), old, now;
	int err;

	if (!cur)
		return -ENOENT;
	if (!is_valid_range(base, cur->nr_pages))
		return -EINVAL;
	if (overlaps(slots_get(mem), id, base, cur->nr_pages))
		return -EEXIST;
	old = now = *cur;
	now.base = base;
	now.origin = base.v - (old.base.v - old.origin);
	err = engine_prepare(mem, &old, &now);
	if (err)
		return err;
	withdraw(mem, &old);
	replace(mem, &old, &now);
	return 0;
}

int slots_move(struct guest_memory *mem, unsigned id, gfn_t base)
{
	int err;

	slots_lock(mem);
	err = move_locked(mem, id, base);
	slots_unlock(mem);
	return err;
}

/* Between two settlings the bits add up: what is to be done follows from the flags as they are. */
static void note_change(struct guest_memory *mem, const struct memslot *old, uint32_t flags)
{
	struct slot_change *change = &mem->change[old->id];

	change->flags |= old->flags ^ flags;
	change->at = 0;
}

/* The new log is cleared page by page as the slot is settled. */
static int change_flags_locked(struct guest_memory *mem, struct memslot *old, uint32_t flags)
{
	struct memslot now = *old;
	int err;

	now.flags = flags;
	err = engine_prepare(mem, old, &now);
	if (err)
		return err;
	note_change(mem, old, flags);
	replace(mem, old, &now);
	return 0;
}

int slots_change_flags(struct guest_memory *mem, unsigned id, uint32_t flags)
{
	struct memslot *cur, old;
	int err = 0;

	if (flags & ~SLOT_USER_FLAGS)
		return -EINVAL;
	slots_lock(mem);
	cur = by_id(slots_get(mem), id);
	if (!cur) {
		err = -ENOENT;
	} else if (cur->flags != flags) {
		old = *cur;
		err = change_flags_locked(mem, &old, flags);
	}
	slots_unlock(mem);
	return err;
}

static int settle_locked(struct guest_memory *mem, unsigned id)
{
	const struct memslot *slot = by_id(slots_get(mem), id);
	struct slot_change *change = &mem->change[id];
	uint64_t end;

	if (!slot)
		return -ENOENT;
	if (!change->flags)
		return 0;
	end = min(change->at + SLOTS_SLICE_PAGES, slot->nr_pages);
	if (change->flags & slot->flags & SLOT_DIRTY_LOG)
		clear_log(slot, change->at, end);
	change->at =
		!mem->ops ? end
			  : mem->ops->slot_settle(mem->mmu, slot, change->flags, change->at, end);
	if (change->at >= slot->nr_pages)
		change->flags = 0;
	return change->flags != 0;
}

int slots_settle(struct guest_memory *mem, unsigned id)
{
	int r;

	if (id >= SLOTS_MAX)
		return -ENOENT;
	slots_lock(mem);
	r = settle_locked(mem, id);
	slots_unlock(mem);
	return r;
}

int slots_set_flags(struct guest_memory *mem, unsigned id, uint32_t flags)
{
	int r = slots_change_flags(mem, id, flags);

	if (r)
		return r;
	do
		r = slots_settle(mem, id);
	while (r > 0);
	return r;
}

static int get_dirty_locked(struct guest_memory *mem, const struct memslot *slot, uint64_t first,
			    uint64_t nr_pages, uint64_t *bitmap)
{
	uint64_t any = 0;

	if (!slot || !(slot->flags & SLOT_DIRTY_LOG))
		return -ENOENT;
	if (mem->change[slot->id].flags & SLOT_DIRTY_LOG)
		return -EAGAIN;
	if (first % 64 || first >= slot->nr_pages || !nr_pages ||
	    nr_pages > slot->nr_pages - first ||
	    (nr_pages % 64 && first + nr_pages != slot->nr_pages))
		return -EINVAL;
	if (mem->ops)
		mem->ops->gather_dirty(mem->mmu);
	for (uint64_t i = 0; i < DIV_ROUND_UP(nr_pages, 64); i++) {
		/* Acquire: the CPU that set a bit had written the page before. Pairs with
		 * slot_set_dirty(). */
		bitmap[i] = atomic_exchange_explicit(&slot->dirty[first / 64 + i], 0,
						     memory_order_acquire);
		any |= bitmap[i];
	}
	if (any && mem->ops)
		mem->ops->log_again(mem->mmu, slot, first, bitmap, nr_pages);
	return 0;
}

int slots_get_dirty(struct guest_memory *mem, unsigned id, uint64_t first, uint64_t nr_pages,
		    uint64_t *bitmap)
{
	int err;

	slots_lock(mem);
	err = get_dirty_locked(mem, by_id(slots_get(mem), id), first, nr_pages, bitmap);
	slots_unlock(mem);
	return err;
}

/* --- what the engine does for the owner of the memory --- */

void slots_unmap(struct guest_memory *mem, gfn_t start, gfn_t end)
{
	slots_lock(mem);
	if (mem->ops)
		mem->ops->unmap(mem->mmu, start, end);
	slots_unlock(mem);
}

void slots_zap_all(struct guest_memory *mem)
{
	slots_lock(mem);
	if (mem->ops)
		mem->ops->zap_all(mem->mmu);
	slots_unlock(mem);
}

uint64_t slots_age(struct guest_memory *mem, gfn_t start, gfn_t end, uint64_t *young)
{
	uint64_t nr = 0;

	slots_lock(mem);
	if (mem->ops)
		nr = mem->ops->age(mem->mmu, start, end, young);
	slots_unlock(mem);
	return nr;
}

/* --- engines come and go --- */

static int adopt_slots(struct slot_array *next, const struct mmu_ops *ops, void *mmu)
{
	for (uint32_t i = 0; i < next->nr; i++) {
		int err;

		next->slot[i].watch = NULL;
		err = ops ? ops->slot_prepare(mmu, NULL, &next->slot[i]) : 0;
		if (!err)
			continue;
		while (i--)
			ops->slot_cancel(mmu, NULL, &next->slot[i]);
		return err;
	}
	return 0;
}

static int set_mmu_locked(struct guest_memory *mem, const struct mmu_ops *ops, void *mmu)
{
	struct slot_array *cur = slots_get(mem), *next = prepare(mem);
	int err = adopt_slots(next, ops, mmu);

	if (err)
		return err;
	publish(mem, next);
	finish(mem);
	for (uint32_t i = 0; i < cur->nr; i++)
		engine_commit(mem, &cur->slot[i], NULL);
	mem->ops = ops;
	mem->mmu = mmu;
	for (uint32_t i = 0; i < next->nr; i++)
		engine_commit(mem, NULL, &next->slot[i]);
	return 0;
}

int slots_set_mmu(struct guest_memory *mem, const struct mmu_ops *ops, void *mmu)
{
	int err;

	slots_lock(mem);
	err = set_mmu_locked(mem, ops, mmu);
	slots_unlock(mem);
	return err;
}

bool slots_destroy_some(struct guest_memory *mem)
{
	struct slot_array *cur = slots_get(mem);
	struct memslot *last;

	if (!cur->nr) {
		slots_init(mem);
		return true;
	}
	last = &cur->slot[cur->nr - 1];
	if (!mem->left)
		mem->left = backing_chunks(last);
	if (backing_destroy(last, &mem->left))
		cur->nr--;
	return false;
}

void slots_destroy(struct guest_memory *mem)
{
	while (!slots_destroy_some(mem))
		;
}
