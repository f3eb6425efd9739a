/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The buddy system. For each frame there is one byte of state and one word:
 *
 *	state	RESERVED, or TAIL (not the first frame of anything), or a kind with an order:
 *		FREE block on a list, CACHED in a CPU's stack, USED run
 *	word	head of a FREE block: its two links, as frame numbers; head of a USED run: the owner
 *
 * Only heads carry a kind, so that allocation, split and merge write a constant number of bytes
 * whatever the order, and a wrong free is found by comparing one byte.
 *
 * Memory below 4 GiB and memory above have lists of their own. A caller that can use any frame
 * gets one from above as long as there is one. So the frames below are left for the few callers
 * that need them. The price is that a large block above may be split while small ones below are
 * free. Nothing is kept back for the few: when all above is used, the rest is anybody's.
 */
#include <assert.h>
#include <errno.h>
#include <string.h>

#include "lib/bits.h"
#include "lib/panic.h"
#include "lib/spinlock.h"
#include "mm/frames.h"

#define NIL        UINT32_MAX
#define NR_ORDERS  (MAX_ORDER + 1)
#define PHYS_LIMIT BIT_ULL(52)
#define LOW_FRAMES BIT_ULL(32 - PAGE_SHIFT)
static_assert(LOW_FRAMES % BIT_ULL(MAX_ORDER) == 0, "no block lies across 4 GiB");

enum frame_kind {
	RESERVED = 0x00,
	TAIL = 0x20,
	FREE = 0x40,
	CACHED = 0x60,
	USED = 0x80,
};
#define KIND_MASK 0xe0
static_assert(MAX_ORDER < 0x20, "the order shares a byte with the kind");

union frame_word {
	struct {
		uint32_t next, prev;
	} free;
	void *owner;
};
static_assert(sizeof(union frame_word) == 8, "bookkeeping is 9 bytes a frame");

/* A stack of single frames. Filled and drained by half, so that no pattern hits the lock often. */
#define CPU_FRAMES 32
struct cpu_frames {
	uint32_t nr; /* own CPU writes */
	uint32_t frame[CPU_FRAMES];
} __aligned(64);

/* The free blocks of one zone; the frames' lock. */
struct zone {
	uint64_t nr_free;         /* frames */
	uint32_t nonempty;        /* bit for each order whose list is not empty */
	uint32_t head[NR_ORDERS]; /* by order */
	uint64_t blocks[NR_ORDERS];
};

static struct {
	struct spinlock lock;
	uint8_t *state;           /* const; lock, but own CPU for CACHED <-> USED */
	union frame_word *word;   /* const; lock for FREE, else the user's */
	uint64_t nr;              /* const; frames that have state and word */
	uint64_t total, metadata; /* const */
	struct zone low, high;    /* lock; below 4 GiB and above */
	bool poison;
} frames;

static struct cpu_frames cpu_frames[HOST_MAX_CPUS];
static bool highest_first; /* const from frames_init() on */

bool (*mm_inject_failure)(void);

/*
 * Relaxed: the merge of a block looks at its buddy's state, which another CPU may be turning from
 * CACHED to USED or back; it is FREE of no order before, between and after.
 */
static uint8_t state_of(uint64_t pfn)
{
	return __atomic_load_n(&frames.state[pfn], __ATOMIC_RELAXED);
}

static void set_state(uint64_t pfn, uint8_t state)
{
	__atomic_store_n(&frames.state[pfn], state, __ATOMIC_RELAXED);
}

static bool is_run(pfn_t pfn, unsigned order)
{
	return pfn.v < frames.nr && state_of(pfn.v) == (USED | order);
}

/* --- free lists; all with frames.lock held --- */

static struct zone *zone_of(uint64_t pfn)
{
	return pfn < LOW_FRAMES ? &frames.low : &frames.high;
}

static void list_push(uint32_t pfn, unsigned order)
{
	struct zone *z = zone_of(pfn);
	uint32_t next = z->head[order];

	frames.word[pfn].free.next = next;
	frames.word[pfn].free.prev = NIL;
	if (next != NIL)
		frames.word[next].free.prev = pfn;
	z->head[order] = pfn;
	z->nonempty |= BIT(order);
	z->blocks[order]++;
	z->nr_free += BIT_ULL(order);
	set_state(pfn, FREE | order);
}

/* The frame becomes TAIL: the caller says what it is, if it is a head. */
static void list_remove(uint32_t pfn, unsigned order)
{
	struct zone *z = zone_of(pfn);
	uint32_t next = frames.word[pfn].free.next, prev = frames.word[pfn].free.prev;

	if (next != NIL)
		frames.word[next].free.prev = prev;
	if (prev != NIL)
		frames.word[prev].free.next = next;
	else
		z->head[order] = next;
	if (z->head[order] == NIL)
		z->nonempty &= ~BIT(order);
	z->blocks[order]--;
	z->nr_free -= BIT_ULL(order);
	set_state(pfn, TAIL);
}

/* The highest block on the lists of the orders that `fit` has bits for. */
static uint32_t find_highest(const struct zone *z, uint32_t fit, unsigned *order)
{
	uint32_t best = 0;

	for (; fit; fit &= fit - 1) {
		unsigned o = __builtin_ctz(fit);

		for (uint32_t pfn = z->head[o]; pfn != NIL; pfn = frames.word[pfn].free.next) {
			if (pfn < best)
				continue;
			best = pfn;
			*order = o;
		}
	}
	return best;
}

/* Give back all of a block but 2^order frames: its first ones, or, highest first, its last. */
static uint32_t trim(uint32_t pfn, unsigned from, unsigned order)
{
	while (from > order) {
		from--;
		list_push(highest_first ? pfn : pfn + BIT(from), from);
		pfn += highest_first ? BIT(from) : 0;
	}
	return pfn;
}

/* Take a block off a zone's lists, splitting a larger one if need be. Its state stays TAIL. */
static bool take_from(const struct zone *z, unsigned order, uint32_t *out)
{
	uint32_t fit = z->nonempty & ~(BIT(order) - 1);
	unsigned from;
	uint32_t pfn;

	if (!fit)
		return false;
	from = __builtin_ctz(fit);
	pfn = unlikely(highest_first) ? find_highest(z, fit, &from) : z->head[from];
	list_remove(pfn, from);
	*out = trim(pfn, from, order);
	return true;
}

static bool take(unsigned order, uint32_t *out)
{
	return take_from(&frames.high, order, out) || take_from(&frames.low, order, out);
}

/* Put a block on the lists, merged with its buddies as far as they are free. */
static void give(uint32_t pfn, unsigned order)
{
	set_state(pfn, TAIL);
	for (; order < MAX_ORDER; order++) {
		uint32_t buddy = pfn ^ BIT(order);

		if (buddy >= frames.nr || state_of(buddy) != (FREE | order))
			break;
		list_remove(buddy, order);
		pfn &= buddy;
	}
	list_push(pfn, order);
}

/* --- initialisation --- */

struct span {
	uint64_t first, end; /* frames */
};

/* Frames that lie wholly in the range. */
static struct span inner(const struct mem_range *r)
{
	uint64_t base = min(r->base.v, PHYS_LIMIT);
	uint64_t end = base + min(r->size, PHYS_LIMIT - base);

	return (struct span){DIV_ROUND_UP(base, PAGE_SIZE), end / PAGE_SIZE};
}

/* Frames that the range touches. */
static struct span outer(const struct mem_range *r)
{
	uint64_t base = min(r->base.v, PHYS_LIMIT);
	uint64_t end = base + min(r->size, PHYS_LIMIT - base);

	return (struct span){base / PAGE_SIZE, DIV_ROUND_UP(end, PAGE_SIZE)};
}

static uint64_t metadata_pages(uint64_t nr)
{
	return DIV_ROUND_UP(nr * sizeof(union frame_word) + nr, PAGE_SIZE);
}

/*
 * How many frames to keep books for: up to the end of the highest usable range that is worth it.
 * Overlaps count twice in `sum`; that only makes the limit a little more generous.
 */
static uint64_t count_frames(const struct mem_range *usable, size_t n)
{
	uint64_t sum = 0, nr = 0;

	for (size_t i = 0; i < n; i++) {
		struct span s = inner(&usable[i]);

		sum += s.end > s.first ? s.end - s.first : 0;
	}
	for (size_t i = 0; i < n; i++) {
		struct span s = inner(&usable[i]);

		if (s.end > s.first && s.end < NIL && metadata_pages(s.end) <= sum / 16 + 1)
			nr = max(nr, s.end);
	}
	return nr;
}

/* The lowest frame >= first from which `want` frames up to `end` touch no reserved range. */
static uint64_t find_gap(uint64_t first, uint64_t end, uint64_t want,
			 const struct mem_range *reserved, size_t m)
{
	for (size_t i = 0; i < m && first + want <= end; i++) {
		struct span r = outer(&reserved[i]);

		if (r.first < first + want && r.end > first) {
			first = r.end;
			i = (size_t)-1; /* the ranges before may be in the way of the new place */
		}
	}
	return first + want <= end ? first : 0;
}

/* The same from the end down: the highest such frame. */
static uint64_t find_last_gap(uint64_t first, uint64_t end, uint64_t want,
			      const struct mem_range *reserved, size_t m)
{
	for (size_t i = 0; i < m && first + want <= end; i++) {
		struct span r = outer(&reserved[i]);

		if (r.first < end && r.end > end - want) {
			end = r.first;
			i = (size_t)-1;
		}
	}
	return first + want <= end ? end - want : 0;
}

static uint64_t place_metadata(const struct mem_range *usable, size_t n,
			       const struct mem_range *reserved, size_t m, uint64_t want)
{
	uint64_t best = 0;

	for (size_t i = 0; i < n; i++) {
		struct span s = inner(&usable[i]);
		uint64_t at = highest_first
				      ? find_last_gap(max(s.first, 1ull), s.end, want, reserved, m)
				      : find_gap(max(s.first, 1ull), s.end, want, reserved, m);

		if (at && (!best || (at < best) != highest_first))
			best = at;
	}
	return best;
}

static void mark(struct span s, enum frame_kind kind)
{
	s.end = min(s.end, frames.nr);
	if (s.first < s.end)
		memset(frames.state + s.first, kind, s.end - s.first);
}

/* The end of the run of equal states that begins at `pfn`; eight at a time where it can. */
static uint64_t run_end(uint64_t pfn)
{
	uint64_t pattern = frames.state[pfn] * 0x0101010101010101ull, word;

	while (pfn + 8 <= frames.nr) {
		memcpy(&word, frames.state + pfn, sizeof(word));
		if (word != pattern)
			break;
		pfn += 8;
	}
	while (pfn < frames.nr && frames.state[pfn] == (uint8_t)pattern)
		pfn++;
	return pfn;
}

/* Put a run of frames on the lists in the largest aligned blocks. */
static void give_run(uint64_t pfn, uint64_t end)
{
	frames.total += end - pfn;
	while (pfn < end) {
		unsigned order = min(__builtin_ctzll(pfn), 63 - __builtin_clzll(end - pfn));

		order = min(order, (unsigned)MAX_ORDER);
		give(pfn, order);
		pfn += BIT_ULL(order);
	}
}

static void give_all_runs(void)
{
	for (uint64_t pfn = 0, end; pfn < frames.nr; pfn = end) {
		end = run_end(pfn);
		if (frames.state[pfn] == TAIL)
			give_run(pfn, end);
	}
}

int frames_init(const struct mem_range *usable, size_t nr_usable, const struct mem_range *reserved,
		size_t nr_reserved)
{
	uint64_t nr = count_frames(usable, nr_usable), pages = metadata_pages(nr), at;

	memset(&frames, 0, sizeof(frames));
	memset(cpu_frames, 0, sizeof(cpu_frames));
	memset(frames.low.head, 0xff, sizeof(frames.low.head));
	memset(frames.high.head, 0xff, sizeof(frames.high.head));
	at = nr ? place_metadata(usable, nr_usable, reserved, nr_reserved, pages) : 0;
	if (!at)
		return -ENOMEM;
	frames.nr = nr;
	frames.metadata = pages * PAGE_SIZE;
	frames.word = pfn_to_va(PFN(at));
	frames.state = (uint8_t *)(frames.word + nr);
	memset(frames.state, RESERVED, nr);
	for (size_t i = 0; i < nr_usable; i++)
		mark(inner(&usable[i]), TAIL);
	for (size_t i = 0; i < nr_reserved; i++)
		mark(outer(&reserved[i]), RESERVED);
	mark((struct span){at, at + pages}, RESERVED);
	mark((struct span){0, 1}, RESERVED);
	give_all_runs();
	return 0;
}

void frames_set_highest_first(bool on)
{
	highest_first = on;
}

/* --- poison --- */

#define POISON 0x6b6b6b6b6b6b6b6bull

void frames_set_poison(bool on)
{
	frames.poison = on;
}

void frames_poison(pfn_t pfn, unsigned order)
{
	if (unlikely(frames.poison))
		memset(pfn_to_va(pfn), (uint8_t)POISON, PAGE_SIZE << order);
}

/*
 * Frames that were free before poisoning was switched on, or never used, carry no pattern; a
 * frame either is poisoned from its first word on, or not at all.
 */
void frames_check_poison(pfn_t pfn, unsigned order)
{
	for (uint64_t i = 0; unlikely(frames.poison) && i < BIT_ULL(order); i++) {
		const uint64_t *p = pfn_to_va(PFN(pfn.v + i));
		unsigned same = 0;

		for (unsigned j = 0; j < PAGE_SIZE / sizeof(*p); j++)
			same += p[j] == POISON;
		HV_BUG_ON(same >= PAGE_SIZE / sizeof(*p) / 2 && same < PAGE_SIZE / sizeof(*p));
	}
}

/* --- single frames: the CPU's own stack --- */

static void refill(struct cpu_frames *c)
{
	spin_lock(&frames.lock);
	while (c->nr < CPU_FRAMES / 2 && take(0, &c->frame[c->nr])) {
		set_state(c->frame[c->nr], CACHED);
		c->nr++;
	}
	spin_unlock(&frames.lock);
}

static void drain(struct cpu_frames *c, unsigned keep)
{
	spin_lock(&frames.lock);
	while (c->nr > keep)
		give(c->frame[--c->nr], 0);
	spin_unlock(&frames.lock);
}

static bool alloc_single(uint32_t *out)
{
	struct cpu_frames *c = &cpu_frames[host_cpu_id()];

	if (unlikely(!c->nr))
		refill(c);
	if (unlikely(!c->nr))
		return false;
	*out = c->frame[--c->nr];
	return true;
}

static void free_single(uint32_t pfn)
{
	struct cpu_frames *c = &cpu_frames[host_cpu_id()];

	if (unlikely(c->nr == CPU_FRAMES))
		drain(c, CPU_FRAMES / 2);
	set_state(pfn, CACHED);
	c->frame[c->nr++] = pfn;
}

/* --- runs --- */

/* `low`: below 4 GiB only. */
static bool alloc_run(unsigned order, bool low, uint32_t *out)
{
	bool ok;

	spin_lock(&frames.lock);
	ok = low ? take_from(&frames.low, order, out) : take(order, out);
	spin_unlock(&frames.lock);
	return ok;
}

/* The frames in this CPU's stack may be those that a run lacks to be whole, or the last ones below.
 */
static bool alloc_run_hard(unsigned order, bool low, uint32_t *out)
{
	struct cpu_frames *c = &cpu_frames[host_cpu_id()];

	if (alloc_run(order, low, out))
		return true;
	if (!c->nr)
		return false;
	drain(c, 0);
	return alloc_run(order, low, out);
}

static bool is_failure_injected(void)
{
	return unlikely(mm_inject_failure && mm_inject_failure());
}

static pfn_t hand_out(uint32_t pfn, unsigned order)
{
	set_state(pfn, USED | order);
	frames.word[pfn].owner = NULL;
	frames_check_poison(PFN(pfn), order);
	return PFN(pfn);
}

bool frames_alloc(unsigned order, pfn_t *out)
{
	uint32_t pfn;

	HV_BUG_ON(order > MAX_ORDER);
	if (is_failure_injected())
		return false;
	if (!(order ? alloc_run_hard(order, false, &pfn) : alloc_single(&pfn)))
		return false;
	*out = hand_out(pfn, order);
	return true;
}

bool frames_alloc_low(pfn_t *out)
{
	uint32_t pfn;

	if (is_failure_injected() || !alloc_run_hard(0, true, &pfn))
		return false;
	*out = hand_out(pfn, 0);
	return true;
}

void frames_free(pfn_t pfn, unsigned order)
{
	HV_BUG_ON(order > MAX_ORDER || !is_run(pfn, order));
	frames_poison(pfn, order);
	if (order == 0) {
		free_single(pfn.v);
		return;
	}
	spin_lock(&frames.lock);
	give(pfn.v, order);
	spin_unlock(&frames.lock);
}

void frames_split(pfn_t pfn, unsigned order, unsigned new_order)
{
	HV_BUG_ON(new_order > order || order > MAX_ORDER || !is_run(pfn, order));
	for (uint64_t i = 0; i < BIT_ULL(order); i += BIT_ULL(new_order)) {
		set_state(pfn.v + i, USED | new_order);
		frames.word[pfn.v + i].owner = NULL;
	}
}

void *pages_zalloc(unsigned order)
{
	pfn_t pfn;

	if (!frames_alloc(order, &pfn))
		return NULL;
	pages_clear(pfn_to_va(pfn), BIT_ULL(order));
	return pfn_to_va(pfn);
}

void pages_free(void *va, unsigned order)
{
	HV_BUG_ON(!IS_ALIGNED((uintptr_t)va, PAGE_SIZE));
	frames_free(va_to_pfn(va), order);
}

unsigned order_of(uint64_t bytes)
{
	uint64_t pages = DIV_ROUND_UP(bytes, PAGE_SIZE);

	return pages <= 1 ? 0 : 64 - __builtin_clzll(pages - 1);
}

void pages_clear(void *va, uint64_t nr_pages)
{
	uint64_t words = nr_pages * (PAGE_SIZE / 8);

	__asm__ volatile("rep stosq" : "+D"(va), "+c"(words) : "a"(0) : "memory");
}

void frame_set_owner(pfn_t pfn, void *owner)
{
	HV_BUG_ON(pfn.v >= frames.nr || (state_of(pfn.v) & KIND_MASK) != USED);
	frames.word[pfn.v].owner = owner;
}

void *frame_owner(pfn_t pfn)
{
	HV_BUG_ON(pfn.v >= frames.nr || (state_of(pfn.v) & KIND_MASK) != USED);
	return frames.word[pfn.v].owner;
}

void frames_stats(struct frames_stats *stats)
{
	spin_lock(&frames.lock);
	stats->total = frames.total;
	stats->metadata = frames.metadata;
	stats->free = frames.low.nr_free + frames.high.nr_free;
	stats->free_low = frames.low.nr_free;
	for (unsigned i = 0; i < NR_ORDERS; i++)
		stats->blocks[i] = frames.low.blocks[i] + frames.high.blocks[i];
	spin_unlock(&frames.lock);
	for (unsigned i = 0; i < host_nr_cpus(); i++)
		stats->free += __atomic_load_n(&cpu_frames[i].nr, __ATOMIC_RELAXED);
}
