/* SPDX-License-Identifier: BSD-2-Clause */
#include <string.h>

#include "lib/bits.h"
#include "tests/unit/support/adversary_tlb.h"

static uint64_t rng = 1;

void adv_seed(uint64_t seed)
{
	rng = seed * 2 + 1;
}

unsigned adv_whim(unsigned n)
{
	rng ^= rng << 13;
	rng ^= rng >> 7;
	rng ^= rng << 17;
	return rng % n;
}

/* --- what is kept --- */

static bool same_translation(const struct adv_translation *a, const struct adv_translation *b)
{
	return a->frame == b->frame && a->nr_pages == b->nr_pages && a->pfn == b->pfn &&
	       a->tag == b->tag && a->pcid == b->pcid && a->global == b->global &&
	       a->dirty == b->dirty && a->rights == b->rights;
}

void adv_keep_translation(struct adv_tlb *tlb, const struct adv_translation *t)
{
	for (unsigned i = 0; i < tlb->nr_pages; i++) {
		if (same_translation(&tlb->page[i], t))
			return;
	}
	if (tlb->nr_pages < ADV_MAX_CACHED)
		tlb->page[tlb->nr_pages++] = *t;
}

static bool same_table(const struct adv_table *a, const struct adv_table *b)
{
	return a->frame == b->frame && a->table == b->table && a->level == b->level &&
	       a->tag == b->tag && a->pcid == b->pcid && a->rights == b->rights;
}

void adv_keep_table(struct adv_tlb *tlb, const struct adv_table *t)
{
	for (unsigned i = 0; i < tlb->nr_tables; i++) {
		if (same_table(&tlb->table[i], t))
			return;
	}
	if (tlb->nr_tables < ADV_MAX_CACHED)
		tlb->table[tlb->nr_tables++] = *t;
}

const struct adv_translation *adv_find_translation(struct adv_tlb *tlb, uint16_t tag, uint16_t pcid,
						   uint64_t frame, unsigned rights)
{
	const struct adv_translation *found = NULL;
	unsigned n = 1;

	for (unsigned i = 0; i < tlb->nr_pages; i++) {
		const struct adv_translation *t = &tlb->page[i];

		if (t->tag == tag && (t->global || t->pcid == pcid) && adv_covers(t, frame) &&
		    !(rights & ~t->rights) && (!(rights & ADV_WRITE) || t->dirty) && !adv_whim(n++))
			found = t;
	}
	return adv_whim(3) ? found : NULL;
}

const struct adv_table *adv_find_table(struct adv_tlb *tlb, uint16_t tag, uint16_t pcid,
				       uint64_t frame)
{
	const struct adv_table *found = NULL;
	unsigned n = 2;

	for (unsigned i = 0; i < tlb->nr_tables; i++) {
		const struct adv_table *t = &tlb->table[i];

		if (t->tag == tag && t->pcid == pcid &&
		    t->frame == adv_table_frame(frame, t->level) && !adv_whim(n++))
			found = t;
	}
	return found;
}

/* --- what is dropped --- */

#define ALL (-1)

struct scope {
	int tag, pcid;         /* ALL: each */
	bool globals;          /* those too, whatever their PCID */
	bool page_only;        /* of the pages, that of `frame` */
	bool page_tables_only; /* of the tables, those on the way to `frame` */
	uint64_t frame;
};

static bool names_page(const struct scope *s, const struct adv_translation *t)
{
	if (s->tag != ALL && s->tag != t->tag)
		return false;
	if (t->global ? !s->globals : s->pcid != ALL && s->pcid != t->pcid)
		return false;
	return !s->page_only || adv_covers(t, s->frame);
}

/* A table is never global. */
static bool names_table(const struct scope *s, const struct adv_table *t)
{
	return (s->tag == ALL || s->tag == t->tag) && (s->pcid == ALL || s->pcid == t->pcid) &&
	       (!s->page_tables_only || t->frame == adv_table_frame(s->frame, t->level));
}

static void drop(struct adv_tlb *tlb, const struct scope *s)
{
	for (unsigned i = 0; i < tlb->nr_pages;) {
		if (names_page(s, &tlb->page[i]))
			tlb->page[i] = tlb->page[--tlb->nr_pages];
		else
			i++;
	}
	for (unsigned i = 0; i < tlb->nr_tables;) {
		if (names_table(s, &tlb->table[i]))
			tlb->table[i] = tlb->table[--tlb->nr_tables];
		else
			i++;
	}
}

void adv_drop_fault(struct adv_tlb *tlb, uint16_t tag, uint16_t pcid, uint64_t frame)
{
	drop(tlb, &(struct scope){tag, pcid, true, true, true, frame});
}

void adv_invlpg(struct adv_tlb *tlb, uint16_t tag, uint16_t pcid, uint64_t frame)
{
	drop(tlb, &(struct scope){tag, pcid, true, true, false, frame});
}

void adv_invpcid(struct adv_tlb *tlb, uint16_t tag, unsigned type, uint16_t pcid, uint64_t frame)
{
	const struct scope scopes[] = {
		[ADV_PCID_ADDRESS] = {tag, pcid, false, true, false, frame},
		[ADV_PCID_ONE] = {tag, pcid, false, false, false, 0},
		[ADV_PCID_ALL] = {tag, ALL, true, false, false, 0},
		[ADV_PCID_ALL_BUT_GLOBAL] = {tag, ALL, false, false, false, 0},
	};

	drop(tlb, &scopes[type]);
}

void adv_load_cr3(struct adv_tlb *tlb, uint16_t tag, uint16_t pcid, bool keep)
{
	if (!keep)
		adv_invpcid(tlb, tag, ADV_PCID_ONE, pcid, 0);
}

void adv_invvpid(struct adv_tlb *tlb, unsigned type, uint16_t tag, uint64_t frame)
{
	const struct scope scopes[] = {
		[ADV_VPID_ADDRESS] = {tag, ALL, true, true, true, frame},
		[ADV_VPID_ONE] = {tag, ALL, true, false, false, 0},
		[ADV_VPID_ALL] = {ALL, ALL, true, false, false, 0},
		[ADV_VPID_ONE_BUT_GLOBAL] = {tag, ALL, false, false, false, 0},
	};

	drop(tlb, &scopes[type]);
}

void adv_invlpga(struct adv_tlb *tlb, uint16_t tag, uint64_t frame)
{
	drop(tlb, &(struct scope){tag, ALL, true, true, true, frame});
}

void adv_flush_tag(struct adv_tlb *tlb, uint16_t tag)
{
	adv_invvpid(tlb, ADV_VPID_ONE, tag, 0);
}

void adv_flush_tlb(struct adv_tlb *tlb)
{
	tlb->nr_pages = tlb->nr_tables = 0;
}
