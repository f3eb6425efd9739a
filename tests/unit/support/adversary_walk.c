/* SPDX-License-Identifier: BSD-2-Clause */
#include <stdarg.h>
#include <stdio.h>

#include "arch/x86/regs.h" /* PFERR_* */
#include "mm/host.h"
#include "tests/unit/support/adversary_walk.h"
#include "tests/unit/support/store_trap.h"

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

struct step {
	uint64_t frame;
	unsigned wanted; /* rights */
	spte_t *e;
	uint64_t entry;
	unsigned level, rights;
};

static struct adv_result fault(struct adv_cpu *c, const struct step *s, uint32_t error)
{
	adv_drop_fault(&c->tlb, c->tag, c->pcid, s->frame);
	error |= s->wanted & ADV_WRITE ? PFERR_WRITE : 0;
	error |= s->wanted & ADV_USER ? PFERR_USER : 0;
	error |= s->wanted & ADV_EXEC ? PFERR_FETCH : 0;
	return (struct adv_result){.error = error};
}

static unsigned rights_of(const struct adv_format *f, uint64_t entry)
{
	unsigned rights = 0;

	if (!f->read || (entry & f->read))
		rights |= ADV_READ;
	if (entry & f->write)
		rights |= ADV_WRITE;
	if (!f->user || (entry & f->user))
		rights |= ADV_USER;
	if (f->exec ? entry & f->exec : !(entry & f->nx))
		rights |= ADV_EXEC;
	return rights;
}

/* False: the log is full, and nothing happened. */
static bool set_bits(struct adv_cpu *c, const struct step *s, uint64_t bits)
{
	uint64_t missing = bits & ~s->entry;

	if (!missing)
		return true;
	if (c->logs && c->nr_log == ADV_LOG_ENTRIES)
		return false;
	store_trap_poke((uint64_t *)s->e, s->entry | bits);
	if (c->logs && (missing & c->format->dirty))
		c->log[c->nr_log++] = s->frame;
	return true;
}

/*
 * A larger translation of before a split, which was not dirty: the walk for this write has set a
 * dirty bit, and the CPU takes it for the larger one's.
 */
static void confuse_sizes(struct adv_cpu *c, const struct adv_translation *small)
{
	for (unsigned i = 0; i < c->tlb.nr_pages; i++) {
		struct adv_translation *t = &c->tlb.page[i];

		if (!t->dirty && t->tag == small->tag && t->pcid == small->pcid &&
		    t->nr_pages > small->nr_pages && adv_covers(t, small->frame) && !adv_whim(2))
			t->dirty = true;
	}
}

/* CR0.WP clear: a supervisor's write needs no W. */
static unsigned needed(const struct adv_cpu *c, unsigned wanted)
{
	return wanted & ADV_USER || c->wp ? wanted : wanted & ~ADV_WRITE;
}

static struct adv_result use(const struct adv_translation *t, uint64_t frame)
{
	return (struct adv_result){
		.pfn = t->pfn + (frame - t->frame),
		.writable = adv_is_writable(t),
	};
}

static struct adv_result finish(struct adv_cpu *c, const struct step *s)
{
	const struct adv_format *f = c->format;
	uint64_t span = spte_pages(s->level);
	bool write = s->wanted & ADV_WRITE;
	struct adv_translation t = {
		.frame = s->frame & ~(span - 1),
		.nr_pages = span,
		.pfn = spte_address(s->entry).v >> PAGE_SHIFT,
		.tag = c->tag,
		.pcid = c->pcid,
		.global = s->entry & f->global,
		/* Without D, hardware comes back to set it, and sees W then. */
		.dirty = write || !f->dirty || (s->entry & f->dirty),
		.rights = s->rights,
	};

	if (needed(c, s->wanted) & ~s->rights)
		return fault(c, s, PFERR_PRESENT);
	if (!set_bits(c, s, f->accessed | (write ? f->dirty : 0)))
		return (struct adv_result){.log_full = true};
	if (write)
		confuse_sizes(c, &t);
	adv_keep_translation(&c->tlb, &t);
	return use(&t, s->frame);
}

/* Where the walk begins: the root, or any cached table on the way. */
static spte_t *begin(struct adv_cpu *c, struct step *s)
{
	const struct adv_table *t = adv_find_table(&c->tlb, c->tag, c->pcid, s->frame);

	s->level = t ? t->level : c->format->levels;
	s->rights = t ? t->rights : ADV_READ | ADV_WRITE | ADV_EXEC | ADV_USER;
	return t ? t->table : c->root;
}

static spte_t *go_down(struct adv_cpu *c, struct step *s)
{
	struct adv_table t = {
		.frame = adv_table_frame(s->frame, s->level - 1),
		.table = host_va(spte_address(s->entry)),
		.level = s->level - 1,
		.tag = c->tag,
		.pcid = c->pcid,
		.rights = s->rights,
	};

	set_bits(c, s, c->format->accessed);
	adv_keep_table(&c->tlb, &t);
	s->level--;
	return t.table;
}

static struct adv_result walk(struct adv_cpu *c, struct step s)
{
	const struct adv_format *f = c->format;
	spte_t *table = begin(c, &s);

	for (;;) {
		s.e = &table[spte_index(GFN(s.frame), s.level)];
		s.entry = spte_load(s.e);
		if (f->is_legal && !f->is_legal(s.entry, s.level)) {
			adv_report("frame %llx: walked into %llx on level %u",
				   (unsigned long long)s.frame, (unsigned long long)s.entry,
				   s.level);
			return fault(c, &s, 0);
		}
		if (f->is_reserved && f->is_reserved(s.entry))
			return fault(c, &s, PFERR_RSVD | PFERR_PRESENT);
		if (!(s.entry & f->present))
			return fault(c, &s, 0);
		s.rights &= rights_of(f, s.entry);
		if (s.level == 1 || (s.entry & f->large))
			return finish(c, &s);
		table = go_down(c, &s);
	}
}

struct adv_result adv_cpu_access(struct adv_cpu *c, uint64_t frame, unsigned rights)
{
	const struct adv_translation *t;
	/* A supervisor that may write without W still waits for D: such a write always walks. */
	bool may_hit = needed(c, rights) == rights;

	t = may_hit ? adv_find_translation(&c->tlb, c->tag, c->pcid, frame, rights) : NULL;
	return t ? use(t, frame) : walk(c, (struct step){.frame = frame, .wanted = rights});
}
