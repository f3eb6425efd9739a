/* SPDX-License-Identifier: BSD-2-Clause */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "lib/bits.h"
#include "mm/host.h"
#include "tests/unit/support/adversary.h"
#include "tests/unit/support/store_trap.h"

#define MAX_CACHED 4096

struct translation {
	uint64_t gfn, nr_pages, pfn;
	bool writable;    /* W, and D known to be set */
	bool has_w_alone; /* W, and D not */
};

struct cached_table {
	uint64_t gfn; /* first that the table spans */
	unsigned level;
	spte_t *table;
};

static struct adv_cpu {
	struct translation tlb[MAX_CACHED];
	struct cached_table tables[MAX_CACHED];
	unsigned nr_tlb, nr_tables;
	uint64_t log[ADV_LOG_ENTRIES];
	unsigned nr_log;
	spte_t *root;
} cpus[WORLD_VCPUS];

bool adv_logs;

static uint64_t rng;
char adv_violation[256];

void adv_report(const char *fmt, ...)
{
	va_list ap;

	if (adv_violation[0])
		return;
	va_start(ap, fmt);
	vsnprintf(adv_violation, sizeof(adv_violation), fmt, ap);
	va_end(ap);
}

static unsigned whim(unsigned n)
{
	rng ^= rng << 13;
	rng ^= rng >> 7;
	rng ^= rng << 17;
	return rng % n;
}

void adv_flush(void)
{
	for (unsigned i = 0; i < WORLD_VCPUS; i++)
		cpus[i].nr_tlb = cpus[i].nr_tables = 0;
}

void adv_load_root(unsigned cpu)
{
	cpus[cpu].nr_tlb = cpus[cpu].nr_tables = 0;
	cpus[cpu].root = host_va(world.root[cpu]);
}

void adv_reset(uint64_t seed)
{
	rng = seed * 2 + 1;
	adv_violation[0] = 0;
	adv_logs = false;
	for (unsigned i = 0; i < WORLD_VCPUS; i++) {
		cpus[i].nr_log = 0;
		adv_load_root(i);
	}
}

void adv_take_log(unsigned cpu, void (*note)(uint64_t gfn))
{
	while (cpus[cpu].nr_log)
		note(cpus[cpu].log[--cpus[cpu].nr_log]);
}

bool adv_has_noted(uint64_t gfn)
{
	for (unsigned i = 0; i < WORLD_VCPUS; i++) {
		for (unsigned j = 0; j < cpus[i].nr_log; j++) {
			if (cpus[i].log[j] == gfn)
				return true;
		}
	}
	return false;
}

static uint64_t first_gfn(uint64_t gfn, unsigned level)
{
	return gfn & ~(spte_pages(level + 1) - 1); /* of a table of this level */
}

static void keep_translation(struct adv_cpu *c, struct translation t)
{
	for (unsigned i = 0; i < c->nr_tlb; i++) {
		if (!memcmp(&c->tlb[i], &t, sizeof(t)))
			return;
	}
	if (c->nr_tlb < MAX_CACHED)
		c->tlb[c->nr_tlb++] = t;
}

static void keep_table(struct adv_cpu *c, uint64_t gfn, unsigned level, spte_t *table)
{
	for (unsigned i = 0; i < c->nr_tables; i++) {
		if (c->tables[i].table == table && c->tables[i].level == level &&
		    c->tables[i].gfn == gfn)
			return;
	}
	if (c->nr_tables < MAX_CACHED)
		c->tables[c->nr_tables++] = (struct cached_table){gfn, level, table};
}

/* Some cached translation of `gfn`, or none: picked without order. */
static const struct translation *lookup_tlb(struct adv_cpu *c, uint64_t gfn, bool write)
{
	const struct translation *found = NULL;
	unsigned n = 1;

	for (unsigned i = 0; i < c->nr_tlb; i++) {
		const struct translation *t = &c->tlb[i];

		if (gfn - t->gfn < t->nr_pages && (!write || t->writable) && !whim(n++))
			found = t;
	}
	return whim(3) ? found : NULL;
}

/* Where the walk begins: the root, or any cached table on the way. */
static spte_t *start(struct adv_cpu *c, uint64_t gfn, unsigned *level)
{
	spte_t *table = c->root;
	unsigned n = 2;

	*level = world.tdp.fmt->root_level;
	for (unsigned i = 0; i < c->nr_tables; i++) {
		if (c->tables[i].gfn == first_gfn(gfn, c->tables[i].level) && !whim(n++)) {
			table = c->tables[i].table;
			*level = c->tables[i].level;
		}
	}
	return table;
}

static void forget_page(struct adv_cpu *c, uint64_t gfn)
{
	for (unsigned i = 0; i < c->nr_tlb;) {
		if (gfn - c->tlb[i].gfn < c->tlb[i].nr_pages)
			c->tlb[i] = c->tlb[--c->nr_tlb];
		else
			i++;
	}
	for (unsigned i = 0; i < c->nr_tables;) {
		if (c->tables[i].gfn == first_gfn(gfn, c->tables[i].level))
			c->tables[i] = c->tables[--c->nr_tables];
		else
			i++;
	}
}

static struct adv_result fault(struct adv_cpu *c, uint64_t gfn, bool write, uint32_t error)
{
	forget_page(c, gfn);
	return (struct adv_result){.error = error | (write ? PFERR_WRITE : 0) | PFERR_USER};
}

/* False: the log is full, and nothing happened. */
static bool set_bits(struct adv_cpu *c, uint64_t gfn, spte_t *e, uint64_t spte, uint64_t bits)
{
	uint64_t missing = bits & ~spte;

	if (!missing)
		return true;
	if (adv_logs && c->nr_log == ADV_LOG_ENTRIES)
		return false;
	store_trap_poke((uint64_t *)e, spte | bits);
	if (adv_logs && (missing & world.tdp.fmt->dirty))
		c->log[c->nr_log++] = gfn;
	return true;
}

/*
 * A larger translation of before a split, which was not dirty: the walk for this write has set a
 * dirty bit, and the CPU takes it for the larger one's.
 */
static void confuse_sizes(struct adv_cpu *c, uint64_t gfn, uint64_t span)
{
	for (unsigned i = 0; i < c->nr_tlb; i++) {
		struct translation *t = &c->tlb[i];

		if (t->has_w_alone && t->nr_pages > span && gfn - t->gfn < t->nr_pages &&
		    !whim(2)) {
			t->writable = true;
			t->has_w_alone = false;
		}
	}
}

static struct adv_result finish(struct adv_cpu *c, uint64_t gfn, bool write, spte_t *e,
				uint64_t spte, unsigned level)
{
	const struct spte_format *f = world.tdp.fmt;
	uint64_t span = spte_pages(level);
	struct translation t;

	if (write && !(spte & f->write))
		return fault(c, gfn, write, PFERR_PRESENT);
	if (!set_bits(c, gfn, e, spte, f->accessed | (write ? f->dirty : 0)))
		return (struct adv_result){.log_full = true};
	memset(&t, 0, sizeof(t)); /* compared with its padding */
	t.gfn = gfn & ~(span - 1);
	t.nr_pages = span;
	t.pfn = spte_address(spte).v >> PAGE_SHIFT;
	/* Without D, hardware comes back to set it, and sees W then. */
	t.writable = (spte & f->write) && (write || !f->dirty || (spte & f->dirty));
	t.has_w_alone = (spte & f->write) && !t.writable;
	if (write)
		confuse_sizes(c, gfn, span);
	keep_translation(c, t);
	return (struct adv_result){.pfn = t.pfn + (gfn - t.gfn), .writable = t.writable};
}

static struct adv_result walk(struct adv_cpu *c, uint64_t gfn, bool write)
{
	const struct spte_format *f = world.tdp.fmt;
	unsigned level;
	spte_t *table = start(c, gfn, &level);

	for (;;) {
		spte_t *e = &table[spte_index(GFN(gfn), level)];
		uint64_t spte = spte_load(e);

		if (!spte_is_legal(f, spte, level)) {
			adv_report("gfn %llx: walked into %llx on level %u",
				   (unsigned long long)gfn, (unsigned long long)spte, level);
			return fault(c, gfn, write, 0);
		}
		if (spte_is_mmio(f, spte))
			return fault(c, gfn, write, PFERR_RSVD | PFERR_PRESENT);
		if (!spte_is_present(spte) || !(spte_restored(spte) & f->read) ||
		    spte_is_tracked(spte))
			return fault(c, gfn, write, 0);
		if (spte_is_leaf(f, spte, level))
			return finish(c, gfn, write, e, spte, level);
		level--;
		table = host_va(spte_address(spte));
		keep_table(c, first_gfn(gfn, level), level, table);
	}
}

struct adv_result adv_access(unsigned cpu, uint64_t gfn, bool write)
{
	struct adv_cpu *c = &cpus[cpu];
	const struct translation *t = lookup_tlb(c, gfn, write);

	if (t)
		return (struct adv_result){.pfn = t->pfn + (gfn - t->gfn), .writable = t->writable};
	return walk(c, gfn, write);
}

bool adv_knows_table(const void *table)
{
	for (unsigned i = 0; i < WORLD_VCPUS; i++) {
		for (unsigned j = 0; j < cpus[i].nr_tables; j++) {
			if (cpus[i].tables[j].table == table)
				return true;
		}
	}
	return false;
}

void adv_each_translation(void (*check)(unsigned cpu, uint64_t gfn, uint64_t nr_pages, uint64_t pfn,
					bool writable))
{
	for (unsigned i = 0; i < WORLD_VCPUS; i++) {
		for (unsigned j = 0; j < cpus[i].nr_tlb; j++) {
			const struct translation *t = &cpus[i].tlb[j];

			check(i, t->gfn, t->nr_pages, t->pfn, t->writable);
		}
	}
}

void adv_each_table(void (*check)(unsigned cpu, uint64_t gfn, unsigned level, void *table))
{
	for (unsigned i = 0; i < WORLD_VCPUS; i++) {
		for (unsigned j = 0; j < cpus[i].nr_tables; j++) {
			const struct cached_table *t = &cpus[i].tables[j];

			check(i, t->gfn, t->level, t->table);
		}
	}
}
