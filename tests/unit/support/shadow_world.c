/* SPDX-License-Identifier: BSD-2-Clause */
/* A VM's shadow MMU with nothing around it, and the CPUs that run on it. */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "mm/frames.h"
#include "mm/grace.h"
#include "tests/unit/support/host.h"
#include "tests/unit/support/shadow_world.h"

#define ARENA      (96ull << 20)
#define MAX_FAULTS 100 /* of one access */

struct shadow_world sw;
static uint64_t first_pfn[SW_PAGES], state, frames_before;

void sw_seed(uint64_t seed)
{
	state = seed * 0x9e3779b97f4a7c15ull + 1;
}

uint64_t sw_random(void)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state * 0x2545f4914f6cdd1dull >> 11;
}

static uint64_t free_frames(void)
{
	struct frames_stats s;

	frames_stats(&s);
	return s.free;
}

static void flush_all(struct vm *vm)
{
	for (unsigned i = 0; i < SW_CPUS; i++)
		sw.cpu[i].nr_tlb = 0;
}

static void reload_all(struct vm *vm)
{
	for (unsigned i = 0; i < SW_CPUS; i++)
		sw.cpu[i].reload = true;
}

void sw_create(void)
{
	int r;

	memset(&sw, 0, sizeof(sw));
	host_arena_with_frames(ARENA);
	if (!atomic_load(&grace_cpu()->word))
		grace_exit_guest(grace_cpu());
	frames_before = free_frames();
	host_on_flush = flush_all;
	host_on_reload = reload_all;
	slots_init(&sw.mem);
	account_init(&sw.account);
	do
		r = account_fill(&sw.account, shadow_account_pages(SW_PAGES, SW_CPUS));
	while (r > 0);
	assert_int_equal(r, 0);
	assert_int_equal(slots_create(&sw.mem, 0, GFN(0), SW_PAGES, 0), 0);
	for (unsigned i = 0; i < SW_PAGES; i++)
		first_pfn[i] = slot_pfn(slots_find(&sw.mem, GFN(i)), GFN(i)).v;
	shadow_formats_init(&sw.formats, 40, (struct legacy_features){true, true, true});
	sw.s = shadow_create(&sw.mem, NULL, &sw.formats, &sw.account, SW_PAGES);
	assert_non_null(sw.s);
	for (unsigned i = 0; i < SW_CPUS; i++)
		sw.cpu[i].sv = shadow_vcpu_create(sw.s);
}

void sw_destroy(void)
{
	assert_null(shadow_audit(sw.s));
	for (unsigned i = 0; i < SW_CPUS; i++)
		shadow_vcpu_destroy(sw.cpu[i].sv);
	while (!shadow_destroy_some(sw.s))
		;
	while (!account_drain(&sw.account))
		;
	slots_destroy(&sw.mem);
	assert_int_equal(free_frames(), frames_before);
	host_on_flush = host_on_reload = NULL;
}

uint64_t sw_gfn_of(uint64_t pfn)
{
	for (unsigned i = 0; i < SW_PAGES; i++) {
		if (first_pfn[i] == pfn)
			return i;
	}
	return ~0ull;
}

bool sw_has_cached(uint64_t gfn)
{
	for (unsigned c = 0; c < SW_CPUS; c++) {
		for (unsigned i = 0; i < sw.cpu[c].nr_tlb; i++) {
			if (sw.cpu[c].tlb[i].pfn == first_pfn[gfn])
				return true;
		}
	}
	return false;
}

static void load_root(struct sw_cpu *c)
{
	assert_int_equal(shadow_load_root(c->sv, &c->paging, &c->root, &c->levels), 0);
	c->reload = false;
	c->nr_tlb = 0;
}

void sw_load(unsigned cpu, const struct guest_paging *p)
{
	struct sw_cpu *c = &sw.cpu[cpu];

	c->paging = *p;
	c->paging.maxphyaddr = 40;
	c->paging.has_1g_pages = true;
	guest_paging_update(&c->paging);
	if (c->paging.levels == 3)
		guest_paging_load_pdptes(&sw.mem, &c->paging);
	load_root(c);
}

void sw_invlpg(unsigned cpu, uint64_t gva)
{
	struct sw_cpu *c = &sw.cpu[cpu];

	shadow_invlpg(c->sv, GVA(gva));
	for (unsigned i = 0; i < c->nr_tlb;) {
		if (c->tlb[i].page == gva >> PAGE_SHIFT)
			c->tlb[i] = c->tlb[--c->nr_tlb];
		else
			i++;
	}
}

/* --- the hardware --- */

static bool may(const struct sw_cpu *c, const struct sw_translation *t, uint32_t access)
{
	bool paged = c->paging.levels;

	if ((access & PFERR_WRITE) && !(t->write && t->dirty))
		return false;
	if ((access & PFERR_USER) && !t->user)
		return false;
	if ((access & PFERR_FETCH) && t->nx)
		return false;
	if ((access & PFERR_USER) || !t->user || !paged)
		return true;
	return !(c->paging.cr4 & (access & PFERR_FETCH ? CR4_SMEP : CR4_SMAP));
}

static const struct sw_translation *cached(const struct sw_cpu *c, uint64_t page, uint32_t access)
{
	for (unsigned i = 0; i < c->nr_tlb; i++) {
		if (c->tlb[i].page == page && may(c, &c->tlb[i], access) && sw_random() % 4)
			return &c->tlb[i];
	}
	return NULL;
}

static void drop_page(struct sw_cpu *c, uint64_t page)
{
	for (unsigned i = 0; i < c->nr_tlb;) {
		if (c->tlb[i].page == page)
			c->tlb[i] = c->tlb[--c->nr_tlb];
		else
			i++;
	}
}

/* False: a page fault. */
static bool walk(struct sw_cpu *c, uint64_t gva, uint32_t access, struct sw_translation *t)
{
	spte_t *table = host_va(HPA(c->root.v)), *e;
	uint64_t spte, all = NPT_W | NPT_U;

	*t = (struct sw_translation){.page = gva >> PAGE_SHIFT};
	for (unsigned level = c->levels;; level--) {
		e = &table[spte_index(GFN(gva >> PAGE_SHIFT), level)];
		spte = spte_load(e);
		if (!(spte & NPT_P))
			return false;
		if (level == 3 && c->levels == 3)
			assert_int_equal(spte & PDPTE_RESERVED, 0);
		else
			all &= spte;
		t->nx |= spte >> 63;
		if (level == 1)
			break;
		assert_int_equal(spte & NPT_PS, 0);
		table = host_va(spte_address(spte));
	}
	t->pfn = spte_address(spte).v >> PAGE_SHIFT;
	t->write = all & NPT_W;
	t->user = all & NPT_U;
	t->dirty = (access & PFERR_WRITE) || (spte & NPT_D);
	if (!may(c, t, access))
		return false;
	atomic_fetch_or(e, NPT_A | (access & PFERR_WRITE ? NPT_D : 0));
	return true;
}

/* Caches more than one translation of a page, as a CPU may. */
static bool translate(struct sw_cpu *c, uint64_t gva, uint32_t access, struct sw_translation *t)
{
	const struct sw_translation *hit = cached(c, gva >> PAGE_SHIFT, access);

	if (hit) {
		sw.hits++;
		*t = *hit;
		return true;
	}
	if (!walk(c, gva, access, t)) {
		drop_page(c, gva >> PAGE_SHIFT);
		return false;
	}
	c->tlb[c->nr_tlb < SW_TLB ? c->nr_tlb++ : sw_random() % SW_TLB] = *t;
	return true;
}

/* --- accesses --- */

static struct sw_result hit(const struct sw_translation *t, uint64_t gva)
{
	uint64_t gfn = sw_gfn_of(t->pfn);

	assert_true(gfn < SW_PAGES);
	return (struct sw_result){
		.gpa = gfn << PAGE_SHIFT | gva % PAGE_SIZE,
		.host = host_va(HPA(t->pfn << PAGE_SHIFT | gva % PAGE_SIZE)),
	};
}

struct sw_result sw_access(unsigned cpu, uint64_t gva, uint32_t access)
{
	struct sw_cpu *c = &sw.cpu[cpu];
	struct sw_translation t;

	for (unsigned i = 0; i < MAX_FAULTS; i++) {
		struct shadow_fault f = {.gva = GVA(gva), .access = access};
		enum ret_pf r;

		if (c->reload)
			load_root(c);
		if (translate(c, gva, access, &t))
			return hit(&t, gva);
		r = shadow_fault(c->sv, &c->paging, &f);
		sw.results[r]++;
		if (r == RET_PF_GUEST)
			return (struct sw_result){.fault = true, .error = f.error};
		if (r == RET_PF_EMULATE)
			return (struct sw_result){.gpa = f.gpa.v};
		assert_true(r == RET_PF_FIXED || r == RET_PF_RETRY);
	}
	fail_msg("the access to %llx does not end", (unsigned long long)gva);
	return (struct sw_result){0};
}

void sw_store(unsigned cpu, uint64_t gva, uint64_t val, unsigned size)
{
	struct sw_result r = sw_access(cpu, gva, PFERR_WRITE);

	assert_false(r.fault);
	if (!r.host)
		assert_int_equal(guest_write(&sw.mem, GPA(r.gpa), &val, size), 0);
	else if (size == 4)
		__atomic_store_n((uint32_t *)r.host, (uint32_t)val, __ATOMIC_RELAXED);
	else
		__atomic_store_n((uint64_t *)r.host, val, __ATOMIC_RELAXED);
}
