/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vCPUs fault on the same and on neighbouring frames while another CPU changes slots, unmaps,
 * protects, ages and zaps. Each vCPU is a thread with the real protocols around guest mode: the
 * request word, the kick that is waited for, grace periods. In guest mode it is hardware: it walks
 * the tables with a TLB that forgets only at flushes, sets accessed and dirty bits, and touches
 * the frames. Each page carries a tag made of its slot and its place in it, so that a translation
 * to a frame that was freed shows; freed frames and tables are overwritten.
 *
 * The second word of a page counts the writes to it: what the dirty log leaves out shows there.
 */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "arch/x86/virt.h"
#include "ept/tdp.h"
#include "mm/frames.h"
#include "mm/guest.h"
#include "tests/unit/support/host.h"

#define VCPUS   3
#define IDS     4
#define SPACE   8192 /* frames */
#define CHANGES 150
#define PAGES   1600 /* of the largest slot */

/*
 * What one tree can have of tables here, wherever the slots lie (the root, one each of the levels 2
 * and 3, 16 below), and what tdp_account_pages() adds to it without tables for MMIO, which the
 * same 19 tables serve. With no more than that, obsolete trees and what is being removed have to
 * come back in time.
 */
#define ACCOUNT_PAGES (3 + SPACE / 512 + 3 * VCPUS + 2)

#define REQ_FLUSH  1u
#define REQ_RELOAD 2u
#define REQ_LOG    4u
#define REQ_OUT    8u

#define LOG_ENTRIES 16 /* as few as hardware has many */

struct cached {
	uint64_t gfn, pfn; /* pfn 0: nothing */
	bool writable;
};

static struct vcpu {
	struct tdp_vcpu tdp;
	_Atomic uint32_t requests;
	_Atomic bool in_guest;
	spte_t *root;
	uint64_t log[LOG_ENTRIES]; /* gfns that hardware made dirty since the last exit */
	unsigned nr_log;
	bool logs;
	struct cached tlb[256];
	unsigned seed;
} vcpus[VCPUS];

static struct guest_memory mem;
static struct page_account account;
static struct tdp tdp;
static struct spte_format format;
static _Atomic bool done, log_writes;
static uint64_t refused;
static _Atomic unsigned failures, hits, writes, logged, waits;

static void fail(const char *what, uint64_t gfn)
{
	fprintf(stderr, "race_tdp: %s (gfn %llx)\n", what, (unsigned long long)gfn);
	atomic_fetch_add(&failures, 1);
}

static uint64_t tag(unsigned id, uint64_t page)
{
	return (uint64_t)(id + 1) << 32 | page;
}

/* --- requests, as in vmm/vcpu.h --- */

static void request(uint32_t what)
{
	for (unsigned i = 0; i < VCPUS; i++)
		atomic_fetch_or(&vcpus[i].requests, what);
	for (unsigned i = 0; i < VCPUS; i++) {
		while (atomic_load(&vcpus[i].in_guest) && (atomic_load(&vcpus[i].requests) & what))
			cpu_relax();
	}
}

static void request_flush(struct vm *vm)
{
	request(REQ_FLUSH);
}

static void request_reload(struct vm *vm)
{
	request(REQ_RELOAD);
}

static void request_log(struct vm *vm, bool on)
{
	atomic_store(&log_writes, on);
	request(REQ_LOG);
}

static void request_out(struct vm *vm)
{
	request(REQ_OUT);
}

/* As reload_root() in vmm/exit/requests.c. */
static void wait_for_root(struct vcpu *v)
{
	atomic_fetch_or(&v->requests, REQ_RELOAD);
	atomic_fetch_add_explicit(&waits, 1, memory_order_relaxed);
	grace_round();
}

static void handle_requests(struct vcpu *v)
{
	uint32_t what = atomic_exchange(&v->requests, 0);
	hpa_t root;

	if (what & REQ_LOG)
		v->logs = atomic_load(&log_writes);
	if (what & (REQ_FLUSH | REQ_RELOAD))
		memset(v->tlb, 0, sizeof(v->tlb));
	if (what & REQ_RELOAD) {
		int r = tdp_load_root(&v->tdp, &root);

		if (!r)
			v->root = host_va(root);
		else if (r == -EAGAIN)
			wait_for_root(v);
		else
			fail("no root", 0);
	}
}

/* --- guest mode: hardware --- */

static bool set_bits(struct vcpu *v, uint64_t gfn, spte_t *e, uint64_t spte, uint64_t bits)
{
	if ((spte | bits) == spte)
		return true;
	if (!atomic_compare_exchange_strong_explicit(e, &spte, spte | bits, memory_order_relaxed,
						     memory_order_relaxed))
		return false;
	if (v->logs && (bits & ~spte & format.dirty))
		v->log[v->nr_log++] = gfn;
	return true;
}

/* Out of guest mode: the run loop's part. */
static void empty_log(struct vcpu *v)
{
	atomic_fetch_add_explicit(&logged, v->nr_log, memory_order_relaxed);
	while (v->nr_log)
		guest_mark_dirty(&mem, GPA(v->log[--v->nr_log] << PAGE_SHIFT));
}

static bool walk(struct vcpu *v, uint64_t gfn, bool write, struct cached *t)
{
	spte_t *table = v->root;

	for (unsigned level = format.root_level;;) {
		spte_t *e = &table[spte_index(GFN(gfn), level)];
		uint64_t spte = spte_load(e), bits = format.accessed | (write ? format.dirty : 0);

		if (!(spte & format.read) || spte_is_mmio(&format, spte))
			return false;
		if (!spte_is_legal(&format, spte, level))
			fail("walked into garbage", gfn);
		if (spte_is_leaf(&format, spte, level)) {
			if (write && !(spte & format.write))
				return false;
			if (!set_bits(v, gfn, e, spte, bits))
				continue; /* changed meanwhile: look again */
			t->gfn = gfn;
			t->pfn = (spte_address(spte).v >> PAGE_SHIFT) +
				 (gfn & (spte_pages(level) - 1));
			t->writable = write;
			return true;
		}
		table = host_va(spte_address(spte));
		level--;
	}
}

static void touch(uint64_t gfn, uint64_t pfn, bool write)
{
	uint64_t *page = pfn_to_va(PFN(pfn));
	uint64_t val = __atomic_load_n(&page[0], __ATOMIC_RELAXED);

	/* A new slot is cleared, and not yet filled. */
	if (val && (val >> 32 > IDS || (uint32_t)val >= PAGES))
		fail("frame of somebody else", gfn);
	if (write)
		__atomic_fetch_add(&page[1], 1, __ATOMIC_RELAXED);
	atomic_fetch_add_explicit(&hits, val != 0, memory_order_relaxed);
	atomic_fetch_add_explicit(&writes, write, memory_order_relaxed);
}

/* True: done; false: a fault. */
static bool access_page(struct vcpu *v, uint64_t gfn, bool write)
{
	struct cached *t = &v->tlb[gfn % ARRAY_SIZE(v->tlb)];

	if ((!t->pfn || t->gfn != gfn || (write && !t->writable)) && !walk(v, gfn, write, t)) {
		t->pfn = 0;
		return false;
	}
	touch(gfn, t->pfn, write);
	return true;
}

static uint64_t hot; /* most accesses go near it */

static uint64_t pick_gfn(struct vcpu *v)
{
	if (rand_r(&v->seed) % 4)
		return (__atomic_load_n(&hot, __ATOMIC_RELAXED) + rand_r(&v->seed) % 40) % SPACE;
	return rand_r(&v->seed) % SPACE;
}

/* Until a fault, a kick or a full log. */
static void run_guest(struct vcpu *v)
{
	uint64_t gfn = 0;
	bool write = false, faulted = false;

	atomic_store(&v->in_guest, true);
	if (!atomic_load(&v->requests)) {
		grace_enter_guest(grace_cpu());
		while (!faulted && v->nr_log < LOG_ENTRIES && !atomic_load(&v->requests) &&
		       !atomic_load_explicit(&done, memory_order_relaxed)) {
			gfn = pick_gfn(v);
			write = rand_r(&v->seed) % 2;
			faulted = !access_page(v, gfn, write);
		}
		grace_exit_guest(grace_cpu());
		empty_log(v);
	}
	atomic_store_explicit(&v->in_guest, false, memory_order_release);
	if (faulted &&
	    tdp_fault(&v->tdp, GPA(gfn << PAGE_SHIFT), write ? PFERR_WRITE : 0) == RET_PF_INVALID)
		fail("no memory", gfn);
}

static void *vcpu_main(void *arg)
{
	struct vcpu *v = arg;

	host_set_cpu(v - vcpus + 1);
	v->seed = v - vcpus + 1;
	grace_exit_guest(grace_cpu());
	while (!atomic_load_explicit(&done, memory_order_relaxed)) {
		handle_requests(v);
		run_guest(v);
		tdp_zap_work(&tdp);
		grace_poll(grace_cpu());
	}
	tdp_vcpu_destroy(&v->tdp);
	while (grace_is_pending(grace_cpu()))
		grace_drain();
	grace_enter_guest(grace_cpu());
	return NULL;
}

/* --- the other CPU: changes --- */

static uint64_t counted[IDS][PAGES]; /* writes at the last look; ~0: not logged */

static const struct memslot *slot_by_id(unsigned id)
{
	struct slot_array *slots = slots_get(&mem);

	for (uint32_t i = 0; i < slots->nr; i++) {
		if (slots->slot[i].id == id)
			return &slots->slot[i];
	}
	return NULL;
}

static uint64_t *page_of(const struct memslot *s, uint64_t page)
{
	return pfn_to_va(slot_pfn(s, GFN(s->base.v + page)));
}

static uint64_t count(const struct memslot *s, uint64_t page)
{
	return __atomic_load_n(&page_of(s, page)[1], __ATOMIC_ACQUIRE);
}

static void fill(unsigned id)
{
	const struct memslot *s = slot_by_id(id);

	for (uint64_t page = 0; page < s->nr_pages; page++)
		__atomic_store_n(page_of(s, page), tag(id, page), __ATOMIC_RELAXED);
}

static void forget_counts(unsigned id)
{
	for (unsigned page = 0; page < PAGES; page++)
		counted[id][page] = ~0ull;
}

/* A write comes a moment before its note, when another vCPU's handler made the page writable. */
static bool is_noted_soon(const struct memslot *s, uint64_t page)
{
	for (unsigned i = 0; i < 2000; i++) {
		const struct timespec ms = {.tv_nsec = 1000000};

		if (atomic_load(&s->dirty[page / 64]) & BIT_ULL(page % 64))
			return true;
		nanosleep(&ms, NULL);
	}
	return false;
}

static void get_dirty(unsigned id)
{
	uint64_t bitmap[PAGES / 64 + 1];
	const struct memslot *s = slot_by_id(id);

	if (!s || !(s->flags & SLOT_DIRTY_LOG) || slots_get_dirty(&mem, id, 0, s->nr_pages, bitmap))
		return;
	s = slot_by_id(id);
	for (uint64_t page = 0; page < s->nr_pages; page++) {
		uint64_t now = count(s, page), before = counted[id][page];
		bool reported = bitmap[page / 64] & BIT_ULL(page % 64);

		if (before != ~0ull && now != before && !reported && !is_noted_soon(s, page))
			fail("a write was lost", s->base.v + page);
		counted[id][page] = now;
	}
}

static void toggle_log(unsigned id)
{
	const struct memslot *s = slot_by_id(id);

	if (!s)
		return;
	slots_set_flags(&mem, id, s->flags ^ SLOT_DIRTY_LOG);
	forget_counts(id);
}

static void change_slots(unsigned id, unsigned *seed)
{
	uint64_t base = (uint64_t)id * 2048; /* aligned for large pages, or anywhere */

	if (!(rand_r(seed) % 3))
		base = rand_r(seed) % (SPACE - PAGES);
	if (!slot_by_id(id)) {
		if (!slots_create(&mem, id, GFN(base), 1 + rand_r(seed) % PAGES, 0))
			fill(id);
	} else if (rand_r(seed) % 2) {
		slots_delete(&mem, id);
	} else {
		slots_move(&mem, id, GFN(base));
	}
	forget_counts(id);
}

static void change_entries(unsigned *seed)
{
	uint64_t gfn = rand_r(seed) % SPACE;

	slots_lock(&mem);
	switch (rand_r(seed) % 8) {
	case 0:
		tdp_zap_all(&tdp);
		break;
	case 1:
	case 2:
		tdp_age_range(&tdp, GFN(0), GFN(SPACE), NULL);
		break;
	default:
		tdp_unmap_range(&tdp, GFN(gfn), GFN(gfn + 1 + rand_r(seed) % 700));
	}
	slots_unlock(&mem);
}

static void change(unsigned *seed)
{
	unsigned id = rand_r(seed) % IDS;

	__atomic_store_n(&hot, rand_r(seed) % SPACE, __ATOMIC_RELAXED);
	switch (rand_r(seed) % 8) {
	case 0:
	case 1:
		change_slots(id, seed);
		break;
	case 2:
		toggle_log(id);
		break;
	case 3:
	case 4:
		get_dirty(id);
		break;
	default:
		change_entries(seed);
	}
	tdp_zap_work(&tdp);
	grace_poll(grace_cpu());
}

static void run(const char *name, unsigned max_level, unsigned seed, bool tight)
{
	pthread_t thread[VCPUS];
	struct frames_stats before, after;
	struct account_stats pages;
	struct mmu_stats stats;

	host_arena_with_frames(96ull << 20);
	frames_set_poison(true);
	frames_stats(&before);
	memset(vcpus, 0, sizeof(vcpus));
	memset(&tdp, 0, sizeof(tdp));
	atomic_store(&done, false);
	atomic_store(&log_writes, false);
	slots_init(&mem);
	account_init(&account);
	while (account_fill(&account, ACCOUNT_PAGES * (tight ? 1 : 8)) > 0)
		;
	if (tdp_init(&tdp, &mem, NULL, &format, max_level, &account))
		fail("no engine", 0);
	for (unsigned i = 0; i < VCPUS; i++) {
		tdp_vcpu_init(&vcpus[i].tdp, &tdp);
		atomic_store(&vcpus[i].requests, REQ_RELOAD);
		pthread_create(&thread[i], NULL, vcpu_main, &vcpus[i]);
	}
	for (unsigned i = 0; i < CHANGES; i++)
		change(&seed);
	atomic_store(&done, true);
	grace_enter_guest(grace_cpu());
	for (unsigned i = 0; i < VCPUS; i++)
		pthread_join(thread[i], NULL);
	grace_exit_guest(grace_cpu());
	tdp_get_stats(&tdp, &stats);
	tdp_destroy(&tdp);
	account_get_stats(&account, &pages);
	if (pages.charged)
		fail("pages are charged to nobody", pages.charged);
	refused += pages.refused;
	while (!account_drain(&account))
		;
	slots_destroy(&mem);
	frames_stats(&after);
	if (after.free != before.free)
		fail("frames were lost", before.free - after.free);
	printf("race_tdp: %s, level %u: %llu faults fixed, %llu spurious, %llu retried\n", name,
	       max_level, (unsigned long long)stats.faults[RET_PF_FIXED],
	       (unsigned long long)stats.faults[RET_PF_SPURIOUS],
	       (unsigned long long)stats.faults[RET_PF_RETRY]);
}

int main(void)
{
	host_set_nr_cpus(VCPUS + 1);
	host_on_flush = request_flush;
	host_on_reload = request_reload;
	host_on_log = request_log;
	host_on_gather = request_out;
	host_arena_with_frames(16ull << 20);
	grace_exit_guest(grace_cpu());
	spte_format_npt(&format, 48, true);
	run("NPT", 1, 1, true);
	run("NPT", 3, 2, false);
	spte_format_ept(&format, 46, (struct ept_features){0});
	run("EPT without A/D", 2, 3, false);
	if (logged)
		fail("no hardware logs here", 0);
	spte_format_ept(&format, 46, (struct ept_features){.has_ad = true, .logs_writes = true});
	run("EPT with a log", 1, 4, false);
	run("EPT with a log", 2, 5, true);
	if (!hits || !writes || !logged)
		fail("nothing was touched", 0);
	if (!refused || !waits)
		fail("pages were never short", 0);
	printf("race_tdp: %u pages read, %u written, %u logged; %llu charges refused, %u waits\n",
	       hits, writes, logged, (unsigned long long)refused, waits);
	return failures != 0;
}
