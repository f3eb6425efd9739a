/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The guest page-table walker against a second one, written bit by bit after the manual's text,
 * on random tables in every mode; then each cause of a fault by itself.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "arch/x86/regs.h"
#include "mm/frames.h"
#include "mm/grace.h"
#include "mm/guest.h"
#include "mm/walk.h"
#include "tests/unit/support/host.h"

#define MIB       (1ull << 20)
#define PAGES     48 /* guest RAM; the last two pages are read-only */
#define ROM_PAGES 2

static struct guest_memory mem;
static uint8_t *phys[PAGES];

static uint64_t rnd(void)
{
	static uint64_t x = 88172645463325252ull;

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	return x;
}

static bool one_in(unsigned n)
{
	return rnd() % n == 0;
}

/* --- the reference --- */

struct expect {
	int err;
	uint32_t error;
	uint64_t gpa;
	unsigned shift;
	bool w, u, x;
	unsigned pkey;
	/* Entries used, in order, what they must be afterwards, and the rights down to each. */
	unsigned nr, top;
	uint64_t at[5], before[5], after[5];
	unsigned rights[5];
};

static bool has(uint64_t word, unsigned bit)
{
	return word >> bit & 1;
}

static bool is_rom(uint64_t gpa)
{
	return gpa / PAGE_SIZE >= PAGES - ROM_PAGES;
}

static uint64_t ref_read(uint64_t gpa, unsigned bytes)
{
	uint64_t val = 0;

	if (gpa / PAGE_SIZE < PAGES)
		memcpy(&val, phys[gpa / PAGE_SIZE] + gpa % PAGE_SIZE, bytes);
	else
		memset(&val, 0xff, bytes);
	return val;
}

static bool nx_on(const struct guest_paging *p)
{
	return p->cr4 & CR4_PAE && p->efer & EFER_NXE;
}

/* Is this bit reserved in this entry? SDM volume 3, tables 4-5, 4-6 and 4-8 to 4-20. */
static bool is_reserved_wide(const struct guest_paging *p, unsigned level, uint64_t e, unsigned bit)
{
	bool pae = !(p->efer & EFER_LMA), ps = has(e, 7);

	if (bit == 63)
		return !nx_on(p);
	if (bit >= 52)
		return pae;
	if (bit >= p->maxphyaddr)
		return true;
	if (level >= 4)
		return bit == 7 || (bit == 8 && p->amd);
	if (level == 3 && ps)
		return p->has_1g_pages ? bit >= 13 && bit <= 29 : bit == 7;
	if (level == 2 && ps)
		return bit >= 13 && bit <= 20;
	return false;
}

static bool is_reserved_legacy(const struct guest_paging *p, unsigned level, uint64_t e,
			       unsigned bit)
{
	unsigned m = p->maxphyaddr < 40 ? p->maxphyaddr : 40;

	if (level == 1 || !has(e, 7) || !(p->cr4 & CR4_PSE))
		return false;
	return bit <= 21 && bit >= m - 19;
}

static void ref_fault(const struct guest_paging *p, uint32_t access, uint32_t bits,
		      struct expect *e)
{
	bool fetch = access & PFERR_FETCH;

	e->err = -EFAULT;
	e->error = bits;
	if (access & PFERR_WRITE && !fetch)
		e->error |= PFERR_WRITE;
	if (access & PFERR_USER && !(access & WALK_IMPLICIT))
		e->error |= PFERR_USER;
	if (fetch && (nx_on(p) || p->cr4 & CR4_SMEP))
		e->error |= PFERR_FETCH;
}

/* SDM volume 3, 4.6.1, its list from top to bottom. */
static bool ref_allowed(const struct guest_paging *p, uint32_t access, const struct expect *e)
{
	bool user = access & PFERR_USER && !(access & WALK_IMPLICIT);
	bool fetch = access & PFERR_FETCH, write = access & PFERR_WRITE && !fetch;
	bool smap_exempt = access & WALK_AC && !(access & WALK_IMPLICIT);

	if (user) {
		if (!e->u)
			return false;
		return fetch ? e->x : write ? e->w : true;
	}
	if (fetch) {
		if (e->u && p->cr4 & CR4_SMEP)
			return false;
		return e->x;
	}
	if (e->u && p->cr4 & CR4_SMAP && !smap_exempt)
		return false;
	if (write && p->cr0 & CR0_WP)
		return e->w;
	return true;
}

/* SDM volume 3, 4.6.2. */
static bool ref_key_denies(const struct guest_paging *p, uint32_t access, const struct expect *e)
{
	bool user = access & PFERR_USER && !(access & WALK_IMPLICIT);
	bool ad = has(p->pkru, 2 * e->pkey), wd = has(p->pkru, 2 * e->pkey + 1);

	if (!(p->efer & EFER_LMA) || !(p->cr4 & CR4_PKE) || !e->u || access & PFERR_FETCH)
		return false;
	return ad || (access & PFERR_WRITE && wd && (user || p->cr0 & CR0_WP));
}

static void ref_finish(const struct guest_paging *p, uint32_t access, struct expect *e)
{
	bool pk = ref_key_denies(p, access, e);

	if (pk || !ref_allowed(p, access, e)) {
		ref_fault(p, access, PFERR_PRESENT | (pk ? PFERR_PK : 0), e);
		return;
	}
	for (unsigned i = 0; i < e->nr; i++) {
		if (e->at[i] / PAGE_SIZE >= PAGES || is_rom(e->at[i]))
			continue;
		e->after[i] |= PTE_A;
		if (i == e->nr - 1 && access & PFERR_WRITE && !(access & PFERR_FETCH))
			e->after[i] |= PTE_D;
	}
}

static void ref_walk(const struct guest_paging *p, uint64_t gva, uint32_t access, struct expect *e)
{
	bool wide = p->cr4 & CR4_PAE, lma = p->efer & EFER_LMA;
	unsigned level = !wide ? 2 : !lma ? 3 : p->cr4 & CR4_LA57 ? 5 : 4;
	unsigned bits = wide ? 9 : 10, bytes = wide ? 8 : 4;
	uint64_t frame = p->cr3, limit = wide ? (1ull << p->maxphyaddr) - 1 : UINT32_MAX;

	memset(e, 0, sizeof(*e));
	if (!(p->cr0 & CR0_PG)) {
		e->gpa = gva & UINT32_MAX;
		e->shift = 32;
		e->w = e->u = e->x = true;
		return;
	}
	if (!lma)
		gva &= UINT32_MAX;
	if (wide && !lma) {
		frame = p->pdpte[gva >> 30];
		if (!has(frame, 0)) {
			ref_fault(p, access, 0, e);
			return;
		}
		level = 2;
	}
	e->w = e->u = e->x = true;
	e->top = level;
	for (;; level--) {
		unsigned shift = 12 + (level - 1) * bits;
		uint64_t at = (frame & limit & ~0xfffull) + (gva >> shift) % (1u << bits) * bytes;
		uint64_t v = ref_read(at, bytes);

		e->at[e->nr] = at;
		e->before[e->nr] = e->after[e->nr] = v;
		e->rights[e->nr] = (e->w && has(v, 1) ? RIGHT_WRITE : 0) |
				   (e->u && has(v, 2) ? RIGHT_USER : 0) |
				   (e->x && !has(v, 63) ? RIGHT_EXECUTE : 0);
		e->nr++;
		if (!has(v, 0)) {
			ref_fault(p, access, 0, e);
			return;
		}
		for (unsigned bit = 0; bit < 64; bit++) {
			if (has(v, bit) && (wide ? is_reserved_wide(p, level, v, bit)
						 : is_reserved_legacy(p, level, v, bit))) {
				ref_fault(p, access, PFERR_PRESENT | PFERR_RSVD, e);
				return;
			}
		}
		e->w &= has(v, 1);
		e->u &= has(v, 2);
		e->x &= !has(v, 63);
		if (level == 1 || (has(v, 7) && (wide || p->cr4 & CR4_PSE))) {
			e->shift = shift;
			e->gpa = (v & limit) >> shift << shift;
			if (!wide && level == 2)
				e->gpa |= (v >> 13 & 0xff) << 32;
			e->gpa |= gva & ((1ull << shift) - 1);
			e->pkey = lma && p->cr4 & CR4_PKE ? v >> 59 & 15 : 0;
			ref_finish(p, access, e);
			return;
		}
		frame = v;
	}
}

/* --- random tables --- */

static uint64_t random_entry(const struct guest_paging *p)
{
	uint64_t pages = one_in(64) ? PAGES + 4 : PAGES;
	uint64_t e = (rnd() % pages) << 12 | (rnd() & 0xe7e); /* not PS, not G */

	if (!one_in(30))
		e |= PTE_P;
	if (!one_in(8))
		e |= PTE_RW;
	if (!one_in(5))
		e |= PTE_US;
	if (one_in(2))
		e |= PTE_A;
	if (one_in(6))
		e |= PTE_PS;
	if (one_in(40))
		e |= PTE_G;
	if (e & PTE_PS && !one_in(4)) /* a large page without reserved bits */
		e &= ~GENMASK_ULL(p->cr4 & CR4_PAE ? 29 : 21, 12);
	if (one_in(4))
		e |= rnd() & GENMASK_ULL(62, 52);
	if (!(p->efer & EFER_LMA) && !one_in(10))
		e &= ~GENMASK_ULL(62, 52);
	if (one_in(6) && (nx_on(p) || one_in(4)))
		e |= PTE_NX;
	if (one_in(40))
		e |= BIT_ULL(rnd() % 52);
	return e;
}

static void random_tables(const struct guest_paging *p)
{
	for (unsigned i = 0; i < PAGES; i++) {
		if (p->cr4 & CR4_PAE) {
			for (unsigned k = 0; k < 512; k++)
				((uint64_t *)phys[i])[k] = random_entry(p);
		} else {
			for (unsigned k = 0; k < 1024; k++)
				((uint32_t *)phys[i])[k] = random_entry(p);
		}
	}
}

static void random_paging(struct guest_paging *p)
{
	static const uint8_t width[] = {32, 36, 39, 40, 41, 46, 48, 51, 52};

	memset(p, 0, sizeof(*p));
	p->maxphyaddr = width[rnd() % ARRAY_SIZE(width)];
	p->has_1g_pages = !one_in(4);
	p->amd = one_in(2);
	p->cr0 = CR0_PE | (one_in(40) ? 0 : CR0_PG) | (one_in(2) ? CR0_WP : 0);
	p->cr4 = (one_in(4) ? 0 : CR4_PAE) | (one_in(3) ? 0 : CR4_PSE) | (one_in(2) ? CR4_LA57 : 0);
	p->cr4 |= rnd() & (CR4_SMEP | CR4_SMAP | CR4_PKE);
	p->efer = (one_in(4) ? 0 : EFER_NXE);
	if (p->cr4 & CR4_PAE && p->cr0 & CR0_PG && !one_in(3))
		p->efer |= EFER_LMA | EFER_LME;
	p->pkru = rnd() & rnd();
	p->cr3 = (rnd() % PAGES) << 12 | (rnd() & 0x18);
	for (unsigned i = 0; i < 4; i++)
		p->pdpte[i] = (rnd() % PAGES) << 12 | (one_in(8) ? 0 : PTE_P);
	guest_paging_update(p);
}

static uint32_t random_access(void)
{
	uint32_t access = rnd() & (PFERR_WRITE | PFERR_USER | WALK_AC);

	if (one_in(4))
		access = (access & ~PFERR_WRITE) | PFERR_FETCH;
	if (one_in(8))
		access = (access & ~PFERR_FETCH) | WALK_IMPLICIT;
	return access;
}

/* The trail says which entries the walk went through, and what it saw and left there. */
static void check_trail(const struct guest_paging *p, const struct expect *e,
			const struct walk_result *r, bool peek)
{
	unsigned bytes = p->cr4 & CR4_PAE ? 8 : 4;
	bool current = true, twice = false;

	assert_int_equal(r->top, e->top);
	assert_int_equal(r->top ? r->top - r->last + 1u : 0, e->nr);
	for (unsigned i = 0; i < e->nr; i++) {
		const struct walk_step *step = &r->step[e->top - i];
		uint64_t now = ref_read(e->at[i], bytes);

		assert_int_equal(step->at.v, e->at[i]);
		assert_memory_equal(step->host, &now, bytes);
		assert_int_equal(step->val & ~(PTE_A | PTE_D), e->before[i] & ~(PTE_A | PTE_D));
		if (has(e->before[i], 0))
			assert_int_equal(guest_walk_rights(p, r, e->top - i), e->rights[i]);
		current &= step->val == now;
		for (unsigned k = 0; k < i; k++)
			twice |= e->at[k] == e->at[i];
	}
	assert_int_equal(guest_walk_is_current(p, r), current);
	assert_true(current || (twice && !peek));
}

static unsigned outcome[4]; /* how often: success, not present, reserved, rights */

static void check(const struct guest_paging *p, uint64_t gva, uint32_t access, bool peek)
{
	unsigned bytes = p->cr4 & CR4_PAE ? 8 : 4;
	struct walk_result r;
	struct expect e;
	int err;

	ref_walk(p, gva, access, &e);
	err = peek ? guest_walk_peek(&mem, p, GVA(gva), access, &r)
		   : guest_walk(&mem, p, GVA(gva), access, &r);
	if (err != e.err || (err && r.error != e.error))
		printf("cr0 %llx cr4 %llx efer %llx gva %llx access %x: %d/%x, want %d/%x\n",
		       (unsigned long long)p->cr0, (unsigned long long)p->cr4,
		       (unsigned long long)p->efer, (unsigned long long)gva, access, err, r.error,
		       e.err, e.error);
	assert_int_equal(err, e.err);
	if (err) {
		assert_int_equal(r.error, e.error);
		outcome[!(r.error & PFERR_PRESENT) ? 1 : r.error & PFERR_RSVD ? 2 : 3]++;
	} else {
		assert_int_equal(r.gpa.v, e.gpa);
		assert_int_equal(r.page_shift, e.shift);
		assert_int_equal(r.rights,
				 e.w * RIGHT_WRITE + e.u * RIGHT_USER + e.x * RIGHT_EXECUTE);
		assert_int_equal(r.pkey, e.pkey);
		outcome[0]++;
	}
	check_trail(p, &e, &r, peek || err);
	/* An entry can be used twice in one walk: compare with all that was to be set in it. */
	for (unsigned i = 0; i < e.nr; i++) {
		uint64_t want = e.before[i];

		for (unsigned k = 0; !err && !peek && k < e.nr; k++)
			want |= e.at[k] == e.at[i] ? e.after[k] : 0;
		assert_int_equal(ref_read(e.at[i], bytes), want);
	}
}

static uint64_t checksum(void)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < PAGES; i++) {
		for (unsigned k = 0; k < 512; k++)
			sum = sum * 31 + (((uint64_t *)phys[i])[k] & ~(PTE_A | PTE_D) &
					  ~((PTE_A | PTE_D) << 32));
	}
	return sum;
}

static void test_random(void **state)
{
	memset(outcome, 0, sizeof(outcome));
	for (unsigned round = 0; round < 400; round++) {
		struct guest_paging p;
		uint64_t sum;

		random_paging(&p);
		random_tables(&p);
		sum = checksum();
		for (unsigned i = 0; i < 5000; i++)
			check(&p, rnd(), random_access(), one_in(4));
		/* Nothing but accessed and dirty bits has changed anywhere. */
		assert_int_equal(checksum(), sum);
	}
	for (unsigned i = 0; i < 4; i++)
		assert_true(outcome[i] > 100000);
}

/*
 * An entry that is its own table is met again after its accessed bit was set in memory but not in
 * the value read: the compare-and-swap loses and the walk starts over.
 */
static void test_self_map(void **state)
{
	struct guest_paging p = {.cr0 = CR0_PG | CR0_PE, .cr4 = CR4_PAE, .maxphyaddr = 40};
	struct walk_result r;
	uint64_t *table = (uint64_t *)phys[1];

	p.efer = EFER_LMA | EFER_NXE;
	p.cr3 = 0x1000;
	guest_paging_update(&p);
	memset(table, 0, PAGE_SIZE);
	table[511] = 0x1000 | PTE_P | PTE_RW;
	assert_int_equal(guest_walk(&mem, &p, GVA(~0ull & ~7ull), PFERR_WRITE, &r), 0);
	assert_int_equal(r.gpa.v, 0x1ff8);
	assert_int_equal(table[511], 0x1000 | PTE_P | PTE_RW | PTE_A | PTE_D);
}

/* --- causes of faults, one by one, in 4-level paging --- */

/* Tables in pages 1 to 4, level 4 first; the page is 5. One entry differs from all allowed. */
struct cause {
	unsigned level;
	uint64_t set, clear; /* in the entry of that level */
	uint64_t cr0, cr4;   /* added */
	uint32_t pkru;
	uint32_t access;
	int error; /* -1: no fault */
	uint64_t efer_off;
};

static const struct cause causes[] = {
	/* Nothing wrong. */
	{1, 0, 0, 0, 0, 0, 0, -1, 0},
	{1, 0, 0, 0, 0, 0, PFERR_WRITE | PFERR_USER, -1, 0},
	{1, 0, 0, 0, 0, 0, PFERR_FETCH | PFERR_USER, -1, 0},
	/* Not present, at each level. */
	{4, 0, PTE_P, 0, 0, 0, 0, 0, 0},
	{3, 0, PTE_P, 0, 0, 0, PFERR_WRITE, PFERR_WRITE, 0},
	{2, 0, PTE_P, 0, 0, 0, PFERR_USER, PFERR_USER, 0},
	{1, 0, PTE_P, 0, 0, 0, PFERR_USER | PFERR_FETCH, PFERR_USER | PFERR_FETCH, 0},
	/* A fetch is only reported as one with NX or SMEP. */
	{1, 0, PTE_P, 0, 0, 0, PFERR_FETCH, 0, EFER_NXE},
	{1, 0, PTE_P, 0, CR4_SMEP, 0, PFERR_FETCH, PFERR_FETCH, EFER_NXE},
	/* Not present beats reserved bits, which beat rights. */
	{1, BIT_ULL(51), PTE_P, 0, 0, 0, 0, 0, 0},
	{1, BIT_ULL(51), PTE_US, 0, 0, 0, PFERR_USER, PFERR_USER | PFERR_PRESENT | PFERR_RSVD, 0},
	/* Reserved bits. */
	{4, BIT_ULL(40), 0, 0, 0, 0, 0, PFERR_PRESENT | PFERR_RSVD, 0},
	{4, PTE_PS, 0, 0, 0, 0, 0, PFERR_PRESENT | PFERR_RSVD, 0},
	{3, BIT_ULL(51), 0, 0, 0, 0, 0, PFERR_PRESENT | PFERR_RSVD, 0},
	{3, PTE_PS | BIT_ULL(29), 0, 0, 0, 0, 0, PFERR_PRESENT | PFERR_RSVD, 0},
	{2, PTE_PS | BIT_ULL(13), 0, 0, 0, 0, 0, PFERR_PRESENT | PFERR_RSVD, 0},
	{1, PTE_NX, 0, 0, 0, 0, 0, PFERR_PRESENT | PFERR_RSVD, EFER_NXE},
	{1, BIT_ULL(58) | PTE_G | PTE_PAT, 0, 0, 0, 0, 0, -1, 0}, /* these are ignored */
	/* R/W. */
	{1, 0, PTE_RW, 0, 0, 0, PFERR_WRITE | PFERR_USER, PFERR_PRESENT | PFERR_WRITE | PFERR_USER,
	 0},
	{3, 0, PTE_RW, 0, 0, 0, PFERR_WRITE | PFERR_USER, PFERR_PRESENT | PFERR_WRITE | PFERR_USER,
	 0},
	{1, 0, PTE_RW, 0, 0, 0, PFERR_WRITE, -1, 0}, /* supervisor, WP = 0 */
	{1, 0, PTE_RW, CR0_WP, 0, 0, PFERR_WRITE, PFERR_PRESENT | PFERR_WRITE, 0},
	{4, 0, PTE_RW, CR0_WP, 0, 0, PFERR_WRITE, PFERR_PRESENT | PFERR_WRITE, 0},
	{1, 0, PTE_RW, CR0_WP, 0, 0, PFERR_USER, -1, 0},
	/* U/S. */
	{1, 0, PTE_US, 0, 0, 0, PFERR_USER, PFERR_PRESENT | PFERR_USER, 0},
	{2, 0, PTE_US, 0, 0, 0, PFERR_USER | PFERR_FETCH, PFERR_PRESENT | PFERR_USER | PFERR_FETCH,
	 0},
	{1, 0, PTE_US, 0, 0, 0, PFERR_USER | WALK_IMPLICIT, -1, 0},
	/* NX. */
	{1, PTE_NX, 0, 0, 0, 0, PFERR_FETCH, PFERR_PRESENT | PFERR_FETCH, 0},
	{4, PTE_NX, 0, 0, 0, 0, PFERR_FETCH | PFERR_USER, PFERR_PRESENT | PFERR_FETCH | PFERR_USER,
	 0},
	{1, PTE_NX, 0, 0, 0, 0, PFERR_WRITE, -1, 0},
	/* SMEP. */
	{1, 0, 0, 0, CR4_SMEP, 0, PFERR_FETCH, PFERR_PRESENT | PFERR_FETCH, 0},
	{3, 0, PTE_US, 0, CR4_SMEP, 0, PFERR_FETCH, -1, 0},
	{1, 0, 0, 0, CR4_SMEP, 0, PFERR_FETCH | PFERR_USER, -1, 0},
	/* SMAP. */
	{1, 0, 0, 0, CR4_SMAP, 0, 0, PFERR_PRESENT, 0},
	{1, 0, 0, 0, CR4_SMAP, 0, PFERR_WRITE, PFERR_PRESENT | PFERR_WRITE, 0},
	{1, 0, 0, 0, CR4_SMAP, 0, PFERR_WRITE | WALK_AC, -1, 0},
	{1, 0, 0, 0, CR4_SMAP, 0, WALK_AC | WALK_IMPLICIT, PFERR_PRESENT, 0},
	{1, 0, 0, 0, CR4_SMAP, 0, PFERR_USER | WALK_IMPLICIT, PFERR_PRESENT, 0},
	{1, 0, PTE_US, 0, CR4_SMAP, 0, 0, -1, 0},
	{1, 0, 0, 0, CR4_SMAP, 0, PFERR_USER, -1, 0},
	{1, 0, 0, 0, CR4_SMAP, 0, PFERR_FETCH, -1, 0},
	/* Protection key 3: access disabled, then write disabled. */
	{1, 3ull << 59, 0, 0, CR4_PKE, 1u << 6, PFERR_USER, PFERR_PRESENT | PFERR_USER | PFERR_PK,
	 0},
	{1, 3ull << 59, 0, 0, CR4_PKE, 1u << 6, 0, PFERR_PRESENT | PFERR_PK, 0},
	{1, 3ull << 59, 0, 0, CR4_PKE, 1u << 6, PFERR_USER | PFERR_FETCH, -1, 0},
	{1, 3ull << 59, 0, 0, 0, 1u << 6, PFERR_USER, -1, 0},
	{1, 3ull << 59, PTE_US, 0, CR4_PKE, 1u << 6, 0, -1, 0},
	{1, 2ull << 59, 0, 0, CR4_PKE, 1u << 6, PFERR_USER, -1, 0},
	{2, 3ull << 59, 0, 0, CR4_PKE, 1u << 6, PFERR_USER, -1, 0}, /* only the last level's key */
	{1, 3ull << 59, 0, 0, CR4_PKE, 2u << 6, PFERR_USER, -1, 0},
	{1, 3ull << 59, 0, 0, CR4_PKE, 2u << 6, PFERR_USER | PFERR_WRITE,
	 PFERR_PRESENT | PFERR_USER | PFERR_WRITE | PFERR_PK, 0},
	{1, 3ull << 59, 0, 0, CR4_PKE, 2u << 6, PFERR_WRITE, -1, 0},
	{1, 3ull << 59, 0, CR0_WP, CR4_PKE, 2u << 6, PFERR_WRITE,
	 PFERR_PRESENT | PFERR_WRITE | PFERR_PK, 0},
};

static uint64_t *entry_of_level(unsigned level)
{
	return (uint64_t *)phys[5 - level];
}

static void check_cause(const struct cause *c)
{
	struct guest_paging p = {.cr0 = CR0_PG | CR0_PE | c->cr0, .cr4 = CR4_PAE | c->cr4};
	bool faults = c->error >= 0;
	struct walk_result r;

	p.efer = (EFER_LMA | EFER_LME | EFER_NXE) & ~c->efer_off;
	p.maxphyaddr = 40;
	p.has_1g_pages = true;
	p.pkru = c->pkru;
	p.cr3 = 0x1000;
	guest_paging_update(&p);
	for (unsigned level = 4; level; level--)
		*entry_of_level(level) = (6 - level) << 12 | PTE_P | PTE_RW | PTE_US;
	*entry_of_level(c->level) = (*entry_of_level(c->level) | c->set) & ~c->clear;
	assert_int_equal(guest_walk(&mem, &p, GVA(0x123), c->access, &r), faults ? -EFAULT : 0);
	if (faults)
		assert_int_equal(r.error, c->error);
	else
		assert_int_equal(r.gpa.v, 0x5123);
	for (unsigned level = 4; level; level--) {
		bool dirty = !faults && level == 1 && c->access & PFERR_WRITE;

		assert_int_equal(!!(*entry_of_level(level) & PTE_A), !faults);
		assert_int_equal(!!(*entry_of_level(level) & PTE_D), dirty);
	}
}

static void test_causes(void **state)
{
	for (unsigned i = 0; i < ARRAY_SIZE(causes); i++)
		check_cause(&causes[i]);
}

static void test_32bit_large_pages(void **state)
{
	struct guest_paging p = {.cr0 = CR0_PG | CR0_PE, .cr4 = CR4_PSE, .maxphyaddr = 36};
	uint32_t *pde = (uint32_t *)phys[1];
	struct walk_result r;

	p.cr3 = 0x1000;
	guest_paging_update(&p);
	pde[3] = 0x00400000 | 0x5 << 13 | PTE_PS | PTE_P; /* PSE-36: 5 << 32 */
	assert_int_equal(guest_walk(&mem, &p, GVA(0xffffffff00c12345), 0, &r), 0);
	assert_int_equal(r.gpa.v, 0x500412345);
	assert_int_equal(r.page_shift, 22);
	pde[3] |= 1 << 17; /* address bit 36 */
	assert_int_equal(guest_walk(&mem, &p, GVA(0xc12345), 0, &r), -EFAULT);
	assert_int_equal(r.error, PFERR_PRESENT | PFERR_RSVD);
	pde[3] = 0x2000 | PTE_PS | PTE_P; /* without CR4.PSE: a table */
	((uint32_t *)phys[2])[0x12] = 0x7000 | PTE_P;
	p.cr4 = 0;
	guest_paging_update(&p);
	assert_int_equal(guest_walk(&mem, &p, GVA(0xc12345), 0, &r), 0);
	assert_int_equal(r.gpa.v, 0x7345);
}

static void test_pdptes(void **state)
{
	struct guest_paging p = {.maxphyaddr = 40, .cr3 = 0x1fe0 | 0x18};
	uint64_t *e = (uint64_t *)(phys[1] + 0xfe0);

	p.pdpte[0] = 77;
	for (unsigned i = 0; i < 4; i++)
		e[i] = (i + 2) << 12 | PTE_P | 0xe18; /* PWT, PCD, available */
	e[2] = ~PTE_P;                                /* not present: nothing is reserved */
	assert_int_equal(guest_paging_load_pdptes(&mem, &p), 0);
	assert_memory_equal(p.pdpte, e, 32);
	for (unsigned bit = 1; bit < 64; bit++) {
		bool reserved = bit == 1 || bit == 2 || (bit >= 5 && bit <= 8) || bit >= 40;

		e[3] = PTE_P | BIT_ULL(bit);
		assert_int_equal(guest_paging_load_pdptes(&mem, &p), reserved ? -EINVAL : 0);
		if (reserved)
			assert_int_not_equal(p.pdpte[3], e[3]);
	}
	p.cr3 = 0xf0000000; /* nobody there: all ones */
	assert_int_equal(guest_paging_load_pdptes(&mem, &p), -EINVAL);
}

/* The walker's own writes are writes to guest memory: they show in the dirty log. */
static void test_accessed_bits_are_logged(void **state)
{
	struct guest_paging p = {.cr0 = CR0_PG | CR0_PE, .maxphyaddr = 36, .cr3 = 0x1000};
	uint64_t bits;
	struct walk_result r;

	guest_paging_update(&p);
	assert_int_equal(slots_set_flags(&mem, 0, SLOT_DIRTY_LOG), 0);
	((uint32_t *)phys[1])[0] = 0x2000 | PTE_P | PTE_A;
	((uint32_t *)phys[2])[0] = 0x3000 | PTE_P;
	assert_int_equal(guest_walk_peek(&mem, &p, GVA(0), 0, &r), 0);
	assert_int_equal(slots_get_dirty(&mem, 0, 0, PAGES - ROM_PAGES, &bits), 0);
	assert_int_equal(bits, 0);
	assert_int_equal(guest_walk(&mem, &p, GVA(0), 0, &r), 0);
	assert_int_equal(slots_get_dirty(&mem, 0, 0, PAGES - ROM_PAGES, &bits), 0);
	assert_int_equal(bits, BIT_ULL(2));
	assert_int_equal(slots_set_flags(&mem, 0, 0), 0);
}

static int setup(void **state)
{
	grace_exit_guest(grace_cpu());
	host_arena_with_frames(16 * MIB);
	slots_init(&mem);
	assert_int_equal(slots_create(&mem, 0, GFN(0), PAGES - ROM_PAGES, 0), 0);
	assert_int_equal(slots_create(&mem, 1, GFN(PAGES - ROM_PAGES), ROM_PAGES, SLOT_READONLY),
			 0);
	for (unsigned i = 0; i < PAGES; i++)
		phys[i] = guest_ptr(&mem, GPA(i * PAGE_SIZE), PAGE_SIZE, false);
	return 0;
}

static int teardown(void **state)
{
	slots_destroy(&mem);
	grace_enter_guest(grace_cpu());
	return 0;
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_random), TEST(test_self_map),
		TEST(test_causes), TEST(test_32bit_large_pages),
		TEST(test_pdptes), TEST(test_accessed_bits_are_logged),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
