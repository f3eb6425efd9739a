/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The two-dimensional engine against an adversarial CPU and a naive model.
 *
 * The model says for each guest frame what is written in the page behind it (a stamp that no other
 * page has), whether it is writable and whether writes to it are logged. Random operations change
 * slots and entries. After each single store to a linked table
 *  - the table shows the old mapping or the new one, never a third, and where a change keeps a
 *    page readable it is so at every moment;
 *  - another vCPU may make accesses, with all the cached entries it may have, and run its whole
 *    fault handler right there, between two stores of the operation;
 *  - a store that is none of the engine's shows a table page that was freed: nobody may have it
 *    cached.
 * After each operation every cached translation must be one that the model allows, and every cached
 * table still in the tree. What a missing flush leaves behind fails there.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "mm/host.h"
#include "tests/unit/support/adversary.h"
#include "tests/unit/support/host.h"
#include "tests/unit/support/store_trap.h"
#include "tests/unit/support/tdp_world.h"

#define SPACE   0x2000 /* guest frames of the small world */
#define BIG     0x40000
#define MAX_GFN (2 * BIG)

static struct model {
	uint64_t stamp; /* 0: no memory */
	bool ro, log;
	bool dirty;    /* written by a guest and not reported yet */
	bool due;      /* so was it when the log was asked for */
	bool readable; /* before the operation that is going on */
} model[MAX_GFN];

static uint64_t space; /* the guest frames that matter */
static uint64_t next_stamp;
static bool keeps_readable; /* the operation only takes rights to write */
static bool in_operation;   /* 0's CPU is inside one: 1's may come in between */
static unsigned depth;
static unsigned seen_reloads[WORLD_VCPUS];

/* Of a watched table, by its frame. */
static struct {
	uint64_t gfn; /* first */
	uint64_t was[SPTE_ENTRIES];
} * tables[1 << 20];

static unsigned pick(unsigned n)
{
	return (unsigned)rand() % n;
}

static struct memslot *slot_at(uint64_t gfn)
{
	return (struct memslot *)slots_find(&world.mem, GFN(gfn));
}

static uint64_t stamp_of(uint64_t pfn)
{
	return *(uint64_t *)pfn_to_va(PFN(pfn));
}

static bool is_logged_dirty(uint64_t gfn)
{
	struct memslot *slot = slot_at(gfn);
	uint64_t i = gfn - slot->base.v;

	return slot->dirty && atomic_load(&slot->dirty[i / 64]) & BIT_ULL(i % 64);
}

/* In the log, or still with the CPU that wrote. */
static bool is_noted(uint64_t gfn)
{
	return is_logged_dirty(gfn) || adv_has_noted(gfn);
}

/* --- what is checked --- */

/* While an operation goes on, both the slots before it and those published now may be in force. */
static bool may_write(uint64_t gfn)
{
	struct memslot *slot = slot_at(gfn);

	return !model[gfn].ro || (in_operation && slot && !(slot->flags & SLOT_READONLY));
}

static void check_mapping(const char *who, uint64_t gfn, uint64_t pfn, bool writable)
{
	if (!model[gfn].stamp || stamp_of(pfn) != model[gfn].stamp)
		adv_report("%s: gfn %llx leads to frame %llx with %llx, not %llx", who,
			   (unsigned long long)gfn, (unsigned long long)pfn,
			   (unsigned long long)stamp_of(pfn), (unsigned long long)model[gfn].stamp);
	else if (writable && !may_write(gfn))
		adv_report("%s: gfn %llx is writable", who, (unsigned long long)gfn);
}

static bool runs_on_old_root(unsigned cpu)
{
	return seen_reloads[cpu] != atomic_load(&host_reloads);
}

static void check_translation(unsigned cpu, uint64_t gfn, uint64_t nr, uint64_t pfn, bool writable)
{
	uint64_t probe[] = {0, nr - 1, pick(nr)};

	for (unsigned i = 0; i < ARRAY_SIZE(probe) && !runs_on_old_root(cpu); i++) {
		uint64_t g = gfn + probe[i];

		check_mapping("cached", g, pfn + probe[i], writable);
		if (!adv_violation[0] && writable && model[g].log && !is_noted(g))
			adv_report("cached: gfn %llx can be written unseen", (unsigned long long)g);
	}
}

static void check_cached_table(unsigned cpu, uint64_t gfn, unsigned level, void *want)
{
	spte_t *table = host_va(world.root[cpu]);

	if (runs_on_old_root(cpu))
		return;
	for (unsigned l = world.tdp.fmt->root_level; l > level; l--) {
		uint64_t spte = spte_load(&table[spte_index(GFN(gfn), l)]);

		if (!spte_is_table(world.tdp.fmt, spte, l)) {
			table = NULL;
			break;
		}
		table = host_va(spte_address(spte));
	}
	if (table != want)
		adv_report("cached: table of gfn %llx on level %u is not in the tree",
			   (unsigned long long)gfn, level);
}

static void check_all_cached(void)
{
	adv_each_translation(check_translation);
	adv_each_table(check_cached_table);
}

static void must_be_fine(void)
{
	if (adv_violation[0])
		fail_msg("%s", adv_violation);
}

/* A leaf comes to where nothing was: hardware must not have anything else for the same pages. */
static struct {
	uint64_t gfn, nr_pages, pfn;
	bool writable;
} fresh;

static void check_against_fresh(unsigned cpu, uint64_t gfn, uint64_t nr, uint64_t pfn,
				bool writable)
{
	if (runs_on_old_root(cpu) || gfn + nr <= fresh.gfn || fresh.gfn + fresh.nr_pages <= gfn)
		return;
	if (nr != fresh.nr_pages || pfn != fresh.pfn || (writable && !fresh.writable))
		adv_report("gfn %llx is mapped anew beside an old translation",
			   (unsigned long long)fresh.gfn);
}

static void check_fresh_leaf(uint64_t gfn, uint64_t spte, unsigned level)
{
	fresh.gfn = gfn;
	fresh.nr_pages = spte_pages(level);
	fresh.pfn = spte_address(spte).v / PAGE_SIZE;
	fresh.writable = spte & world.tdp.fmt->write;
	adv_each_translation(check_against_fresh);
}

static void watch(void *table, unsigned level, uint64_t gfn)
{
	uint64_t pfn = va_to_pfn(table).v;

	if (!tables[pfn])
		tables[pfn] = malloc(sizeof(*tables[pfn]));
	tables[pfn]->gfn = gfn;
	memcpy(tables[pfn]->was, table, PAGE_SIZE);
	store_trap_watch(table, level);
}

/* --- accesses of guests --- */

static void note(uint64_t gfn)
{
	struct memslot *slot = slot_at(gfn);

	if (slot)
		slot_mark_dirty(slot, GFN(gfn));
}

/* Out of guest mode: the run loop brings the CPU's notes into the slots' logs. */
static void leave(unsigned cpu)
{
	adv_take_log(cpu, note);
}

static void all_leave(struct vm *vm)
{
	for (unsigned i = 0; i < WORLD_VCPUS; i++)
		leave(i);
}

/* What the run loop does: out of guest mode since the request, a new root before the next entry. */
static void enter(unsigned cpu)
{
	if (!runs_on_old_root(cpu))
		return;
	seen_reloads[cpu] = atomic_load(&host_reloads);
	world_reload(cpu);
	adv_load_root(cpu);
	watch(host_va(world.root[cpu]), world.tdp.fmt->root_level, 0);
}

static void note_access(uint64_t gfn, struct adv_result r, bool write)
{
	check_mapping("access", gfn, r.pfn, r.writable && write);
	if (write && model[gfn].log)
		model[gfn].dirty = true;
}

static void note_emulated(uint64_t gfn, bool write)
{
	struct memslot *slot = slot_at(gfn);

	if (model[gfn].stamp && slot && !(write && (model[gfn].ro || slot->flags & SLOT_READONLY)))
		adv_report("gfn %llx: memory is taken for MMIO", (unsigned long long)gfn);
}

/* True: the access is over. */
static bool access_once(unsigned cpu, uint64_t gfn, bool write)
{
	struct adv_result r;
	enum ret_pf ret;

	enter(cpu);
	r = adv_access(cpu, gfn, write);
	if (r.pfn) {
		note_access(gfn, r, write);
		return true;
	}
	leave(cpu);
	if (r.log_full)
		return false;
	ret = world_fault(cpu, gfn, r.error);
	if (ret == RET_PF_EMULATE)
		note_emulated(gfn, write);
	else if (ret == RET_PF_INVALID)
		adv_report("gfn %llx: no memory for tables", (unsigned long long)gfn);
	return ret == RET_PF_EMULATE;
}

static void guest_access(unsigned cpu, uint64_t gfn, bool write)
{
	for (unsigned i = 0; i < 8; i++) {
		if (access_once(cpu, gfn, write))
			return;
	}
	adv_report("gfn %llx: the guest does not get ahead", (unsigned long long)gfn);
}

/* --- after each store --- */

static uint64_t focus;

static uint64_t pick_gfn(void)
{
	uint64_t gfn = pick(3) ? focus + pick(24) : pick(space);

	return gfn < space ? gfn : 0;
}

static void check_walk(uint64_t gfn)
{
	uint64_t pfn = world_walk(gfn, false);

	if (gfn >= space)
		return;
	if (pfn)
		check_mapping("walk", gfn, pfn, world_walk(gfn, true));
	else if (keeps_readable && model[gfn].readable)
		adv_report("gfn %llx: not readable for a moment", (unsigned long long)gfn);
}

/* The other CPU gets its turn; each run of its handler is a reader of its own. */
static void other_cpu(void)
{
	host_set_cpu(1);
	grace_exit_guest(grace_cpu());
	access_once(1, pick_gfn(), pick(2));
	grace_enter_guest(grace_cpu());
	host_set_cpu(0);
}

static void after_store(void *where)
{
	const struct spte_format *f = world.tdp.fmt;
	char *table = (char *)((uintptr_t)where & PAGE_MASK);
	unsigned level = store_trap_tag(table), i = (uintptr_t)where % PAGE_SIZE / 8;
	uint64_t pfn = va_to_pfn(table).v, spte = ((uint64_t *)table)[i];
	uint64_t old = tables[pfn]->was[i], base = tables[pfn]->gfn + i * spte_pages(level);

	if (!spte_is_legal(f, spte, level)) {
		if (adv_knows_table(table))
			adv_report("a table that hardware has cached was freed");
		store_trap_unwatch(table);
		return;
	}
	tables[pfn]->was[i] = spte;
	if (spte_is_table(f, spte, level))
		watch(host_va(spte_address(spte)), level - 1, base);
	else if (spte_is_present(spte) && !spte_is_present(old))
		check_fresh_leaf(base, spte, level);
	check_walk(base);
	check_walk(base + spte_pages(level) - 1);
	check_walk(base + pick(spte_pages(level)));
	if (in_operation && !depth && !pick(3)) {
		depth++;
		other_cpu();
		depth--;
	}
}

/* --- operations --- */

static void begin(bool only_rights)
{
	for (uint64_t gfn = 0; gfn < space; gfn++)
		model[gfn].readable = only_rights && world_walk(gfn, false);
	keeps_readable = only_rights;
	in_operation = true;
}

static void end(void)
{
	in_operation = keeps_readable = false;
}

static const struct {
	uint64_t base, other, pages;
} places[] = {
	{0x000, 0x1000, 0x100},
	{0x200, 0x1200, 0x400},
	{0x601, 0x1600, 0x3fe},
	{0xa00, 0x1a01, 0x400},
};

static void stamp_slot(uint64_t base, uint64_t pages, uint32_t flags)
{
	for (uint64_t gfn = base; gfn < base + pages; gfn++) {
		uint64_t pfn = slot_pfn(slot_at(gfn), GFN(gfn)).v;

		*(uint64_t *)pfn_to_va(PFN(pfn)) = ++next_stamp;
		model[gfn] = (struct model){.stamp = next_stamp,
					    .ro = flags & SLOT_READONLY,
					    .log = flags & SLOT_DIRTY_LOG};
	}
}

static void op_create(unsigned id)
{
	static const uint32_t kinds[] = {0, 0, 0, SLOT_READONLY, SLOT_DIRTY_LOG};
	uint64_t base = pick(2) ? places[id].base : places[id].other;
	uint32_t flags = kinds[pick(ARRAY_SIZE(kinds))];
	int err;

	begin(true);
	err = slots_create(&world.mem, id, GFN(base), places[id].pages, flags);
	end();
	if (!err)
		stamp_slot(base, places[id].pages, flags);
}

static struct memslot *slot_by_id(unsigned id)
{
	struct slot_array *s = slots_get(&world.mem);

	for (unsigned i = 0; i < s->nr; i++) {
		if (s->slot[i].id == id)
			return &s->slot[i];
	}
	return NULL;
}

static void op_delete(unsigned id)
{
	struct memslot *s = slot_by_id(id);
	uint64_t base = s->base.v, pages = s->nr_pages;

	begin(false);
	assert_int_equal(slots_delete(&world.mem, id), 0);
	end();
	memset(&model[base], 0, pages * sizeof(*model));
}

static void op_move(unsigned id)
{
	static struct model moved[0x400];
	struct memslot *s = slot_by_id(id);
	uint64_t from = s->base.v, pages = s->nr_pages;
	uint64_t to = from == places[id].base ? places[id].other : places[id].base;

	begin(false);
	assert_int_equal(slots_move(&world.mem, id, GFN(to)), 0);
	end();
	memcpy(moved, &model[from], pages * sizeof(*model));
	memset(&model[from], 0, pages * sizeof(*model));
	memcpy(&model[to], moved, pages * sizeof(*model));
}

static void op_flags_to(unsigned id, uint32_t new)
{
	struct memslot *s = slot_by_id(id);
	uint32_t old = s->flags;
	uint64_t base = s->base.v, pages = s->nr_pages;

	begin(!((old ^ new) & SLOT_READONLY) && !(old & ~new &SLOT_DIRTY_LOG));
	assert_int_equal(slots_set_flags(&world.mem, id, new), 0);
	end();
	for (uint64_t gfn = base; gfn < base + pages; gfn++) {
		model[gfn].ro = new &SLOT_READONLY;
		model[gfn].log = new &SLOT_DIRTY_LOG;
		model[gfn].dirty = model[gfn].dirty && model[gfn].log;
	}
}

static void op_flags(unsigned id)
{
	static const uint32_t kinds[] = {0, SLOT_READONLY, SLOT_DIRTY_LOG,
					 SLOT_READONLY | SLOT_DIRTY_LOG};

	op_flags_to(id, kinds[pick(4)]);
}

/* What was written before is reported; what is written meanwhile, now or later. */
static void check_report(uint64_t gfn, bool reported)
{
	bool later = is_noted(gfn);

	if (model[gfn].due && !reported)
		adv_report("gfn %llx: a write was lost", (unsigned long long)gfn);
	else if (model[gfn].dirty && !reported && !later)
		adv_report("gfn %llx: a write is being lost", (unsigned long long)gfn);
	model[gfn].dirty = later;
}

static void op_get_dirty(unsigned id)
{
	static uint64_t bitmap[BIG / 64];
	struct memslot *s = slot_by_id(id);

	if (!s->dirty)
		return;
	for (uint64_t gfn = s->base.v; gfn < s->base.v + s->nr_pages; gfn++)
		model[gfn].due = model[gfn].dirty;
	begin(true);
	assert_int_equal(slots_get_dirty(&world.mem, id, 0, s->nr_pages, bitmap), 0);
	end();
	for (uint64_t i = 0; i < s->nr_pages; i++)
		check_report(s->base.v + i, bitmap[i / 64] & BIT_ULL(i % 64));
}

static void op_unmap(void)
{
	uint64_t start = pick_gfn(), size = pick(3) ? 1 + pick(40) : 1 + pick(space);

	begin(false);
	slots_lock(&world.mem);
	tdp_unmap_range(&world.tdp, GFN(start), GFN(start + size));
	slots_unlock(&world.mem);
	end();
}

static void op_age(void)
{
	begin(world.tdp.fmt->accessed);
	slots_lock(&world.mem);
	tdp_age_range(&world.tdp, GFN(0), GFN(space), NULL);
	slots_unlock(&world.mem);
	end();
}

static void op_zap_all(void)
{
	begin(false);
	slots_lock(&world.mem);
	tdp_zap_all(&world.tdp);
	slots_unlock(&world.mem);
	end();
}

/* Both CPUs make their deferred calls; the thread is one after the other. */
static void drain(void)
{
	grace_drain();
	grace_enter_guest(grace_cpu());
	host_set_cpu(1);
	grace_exit_guest(grace_cpu());
	grace_drain();
	grace_enter_guest(grace_cpu());
	host_set_cpu(0);
	grace_exit_guest(grace_cpu());
}

static void op_zap_work(void)
{
	if (pick(2))
		drain();
	tdp_zap_work(&world.tdp);
}

/* An operation on one slot, or what brings it into being. */
static void slot_operation(unsigned id)
{
	if (!slot_by_id(id)) {
		op_create(id);
		return;
	}
	switch (pick(6)) {
	case 0:
		op_delete(id);
		break;
	case 1:
		op_move(id);
		break;
	case 2:
	case 3:
		op_flags(id);
		break;
	default:
		op_get_dirty(id);
	}
}

static void accesses(unsigned n)
{
	while (n-- && !adv_violation[0])
		guest_access(pick(WORLD_VCPUS), pick_gfn(), pick(2));
}

static void step(void)
{
	if (!pick(8))
		focus = pick(space);
	switch (pick(16)) {
	case 0:
	case 1:
	case 2:
		slot_operation(pick(ARRAY_SIZE(places)));
		break;
	case 3:
		op_unmap();
		break;
	case 4:
		op_age();
		break;
	case 5:
		if (!pick(4))
			op_zap_all();
		break;
	case 6:
		op_zap_work();
		break;
	default:
		accesses(1 + pick(8));
	}
	check_all_cached();
}

/* --- the runs --- */

static void flush(struct vm *vm)
{
	all_leave(vm);
	adv_flush();
}

static void log_writes(struct vm *vm, bool on)
{
	all_leave(vm);
	adv_logs = on;
}

static void start(unsigned format, unsigned max_level, uint64_t arena, uint64_t size)
{
	world_create(arena, &world_format[format], max_level);
	host_set_nr_cpus(2);
	host_on_flush = flush;
	host_on_reload = all_leave;
	host_on_log = log_writes;
	host_on_gather = all_leave;
	memset(model, 0, sizeof(model));
	memset(seen_reloads, 0, sizeof(seen_reloads));
	space = size;
	focus = 0;
	adv_reset(1);
	store_trap_begin(after_store);
}

static void finish(void)
{
	store_trap_end();
	drain();
	world_destroy();
	host_set_nr_cpus(1);
}

static void run_small(unsigned format, unsigned max_level, unsigned seed, unsigned steps)
{
	start(format, max_level, 96 * MIB, SPACE);
	frames_set_poison(true);
	watch(host_va(world.root[0]), world.tdp.fmt->root_level, 0);
	srand(seed);
	for (unsigned i = 0; i < steps && !adv_violation[0]; i++) {
		step();
		if (i % 16 == 0)
			world_check_tree();
	}
	finish();
	must_be_fine();
}

static void test_small_worlds(void **state)
{
	for (unsigned f = 0; f < WORLD_FORMATS; f++) {
		for (unsigned max = 1; max <= 3; max++)
			run_small(f, max, 100 * f + max, 400);
	}
}

/* A gigabyte in one page: taken to pieces and put together again. */
static void run_gigabyte(unsigned format, unsigned max_level)
{
	static const uint32_t kinds[] = {SLOT_DIRTY_LOG, 0, SLOT_READONLY, 0};

	start(format, max_level, 2 * GIB + 256 * MIB, MAX_GFN);
	assert_int_equal(slots_create(&world.mem, 0, GFN(BIG), BIG, 0), 0);
	stamp_slot(BIG, BIG, 0);
	for (unsigned i = 0; i < 160 && !adv_violation[0]; i++) {
		focus = BIG + pick(BIG);
		accesses(30);
		if (i % 3 == 0)
			op_unmap();
		if (i % 40 == 39) {
			slots_set_flags(&world.mem, 0, kinds[i / 40]);
			for (uint64_t gfn = BIG; gfn < 2 * BIG; gfn++) {
				model[gfn].log = kinds[i / 40] & SLOT_DIRTY_LOG;
				model[gfn].ro = kinds[i / 40] & SLOT_READONLY;
			}
		}
		if (i % 5 == 4)
			op_get_dirty(0);
		check_all_cached();
	}
	world_check_tree();
	finish();
	must_be_fine();
}

static void test_gigabyte(void **state)
{
	run_gigabyte(WORLD_NPT, 3);
	run_gigabyte(WORLD_EPT, 2);
	run_gigabyte(WORLD_EPT_LOG, 3);
}

/* --- the detector detects --- */

static void no_flush(struct vm *vm) {}

static void no_log(struct vm *vm, bool on) {}

static void map_and_cache_in(unsigned format, uint64_t gfn, uint32_t flags)
{
	start(format, 3, 96 * MIB, SPACE);
	frames_set_poison(true);
	watch(host_va(world.root[0]), world.tdp.fmt->root_level, 0);
	assert_int_equal(slots_create(&world.mem, 1, GFN(0x200), 0x400, flags), 0);
	stamp_slot(0x200, 0x400, flags);
	guest_access(0, gfn, true);
	check_all_cached();
	must_be_fine();
}

static void map_and_cache(uint64_t gfn, uint32_t flags)
{
	map_and_cache_in(WORLD_NPT, gfn, flags);
}

static void expect_violation(const char *what)
{
	check_all_cached();
	finish();
	if (!strstr(adv_violation, what))
		fail_msg("not detected; said \"%s\"", adv_violation);
}

static void test_finds_missing_flush_at_delete(void **state)
{
	map_and_cache(0x234, 0);
	host_on_flush = no_flush;
	op_delete(1);
	expect_violation("gfn 2");
}

static void test_finds_missing_flush_of_log(void **state)
{
	map_and_cache(0x234, SLOT_DIRTY_LOG);
	host_on_flush = no_flush;
	op_get_dirty(1);
	expect_violation("can be written unseen");
}

/* The same where the CPU logs: it has the page cached as dirty, and does not look again. */
static void test_finds_missing_flush_of_dirty_bit(void **state)
{
	map_and_cache_in(WORLD_EPT_LOG, 0x234, SLOT_DIRTY_LOG);
	host_on_flush = no_flush;
	op_get_dirty(1);
	expect_violation("can be written unseen");
}

static void test_finds_missing_flush_as_a_log_begins(void **state)
{
	map_and_cache_in(WORLD_EPT_LOG, 0x234, 0);
	host_on_flush = no_flush;
	op_flags_to(1, SLOT_DIRTY_LOG);
	expect_violation("can be written unseen");
}

/* Notes that are still with a CPU when the log is read. */
static void test_finds_missing_gathering(void **state)
{
	map_and_cache_in(WORLD_EPT_LOG, 0x234, SLOT_DIRTY_LOG);
	op_get_dirty(1);
	guest_access(0, 0x234, true); /* no fault: D alone was clear */
	must_be_fine();
	host_on_gather = NULL;
	op_get_dirty(1);
	expect_violation("a write was lost");
}

/* A vCPU that goes on without a log. */
static void test_finds_log_that_is_off(void **state)
{
	map_and_cache_in(WORLD_EPT_LOG, 0x234, 0);
	host_on_log = no_log;
	op_flags_to(1, SLOT_DIRTY_LOG);
	guest_access(0, 0x234, true);
	expect_violation("can be written unseen");
}

static void test_finds_freed_table(void **state)
{
	map_and_cache(0x234, SLOT_DIRTY_LOG); /* 4K pages, so that there is a table to free */
	host_on_flush = no_flush;
	slots_lock(&world.mem);
	tdp_unmap_range(&world.tdp, GFN(0x200), GFN(0x400));
	slots_unlock(&world.mem);
	expect_violation("a table that hardware has cached was freed");
}

static void test_finds_kept_root(void **state)
{
	map_and_cache(0x234, 0);
	op_zap_all();
	/* The vCPU takes the new root but does not flush its tag. */
	for (unsigned i = 0; i < WORLD_VCPUS; i++) {
		seen_reloads[i] = atomic_load(&host_reloads);
		world_reload(i);
	}
	grace_drain();
	tdp_zap_work(&world.tdp);
	expect_violation("table"); /* cached and freed, or cached and in no tree */
}

/* Thawed before the flush: a page could be mapped with other rights beside its old translation. */
static void test_finds_third_mapping(void **state)
{
	unsigned level;
	uint64_t spte;
	spte_t *table;

	map_and_cache(0x234, 0);
	spte = world_spte(0x234, &level);
	assert_int_equal(level, 2);
	table = host_va(world.root[0]);
	for (level = world.tdp.fmt->root_level; level > 2; level--)
		table = host_va(spte_address(spte_load(&table[spte_index(GFN(0x234), level)])));
	/* A store that leads somewhere else, for the length of one store. */
	spte_store(&table[spte_index(GFN(0x234), 2)], spte + 0x200000);
	spte_store(&table[spte_index(GFN(0x234), 2)], spte);
	expect_violation("walk: gfn");
}

/*
 * A large page that was only read is split as the log begins; a CPU that still had it whole could
 * take the dirty bit of one piece for the whole one's.
 */
static void test_log_begins_on_a_clean_large_page(void **state)
{
	start(WORLD_EPT_LOG, 3, 96 * MIB, SPACE);
	frames_set_poison(true);
	watch(host_va(world.root[0]), world.tdp.fmt->root_level, 0);
	assert_int_equal(slots_create(&world.mem, 1, GFN(0x200), 0x400, 0), 0);
	stamp_slot(0x200, 0x400, 0);
	guest_access(0, 0x234, false);
	/* While nobody else is about, whose writes would be reason enough for a flush. */
	assert_int_equal(slots_set_flags(&world.mem, 1, SLOT_DIRTY_LOG), 0);
	for (uint64_t gfn = 0x200; gfn < 0x600; gfn++)
		model[gfn].log = true;
	for (uint64_t gfn = 0x230; gfn < 0x240; gfn++)
		guest_access(0, gfn, true);
	check_all_cached();
	finish();
	must_be_fine();
}

/*
 * The same, and the page is split already: by the write of a vCPU that found no page, but then,
 * with the log about to begin, the large one that another's fault had just made.
 */
static void test_log_begins_behind_a_split(void **state)
{
	struct memslot *slot;

	start(WORLD_EPT_LOG, 3, 96 * MIB, SPACE);
	frames_set_poison(true);
	watch(host_va(world.root[0]), world.tdp.fmt->root_level, 0);
	assert_int_equal(slots_create(&world.mem, 1, GFN(0x200), 0x400, 0), 0);
	stamp_slot(0x200, 0x400, 0);
	guest_access(0, 0x234, false);
	slot = (struct memslot *)slots_find(&world.mem, GFN(0x200));
	slot->flags = SLOT_DIRTY_LOG;
	assert_int_equal(world_fault(1, 0x235, PFERR_WRITE), RET_PF_SPURIOUS);
	slot->flags = 0;
	assert_int_equal(slots_set_flags(&world.mem, 1, SLOT_DIRTY_LOG), 0);
	for (uint64_t gfn = 0x200; gfn < 0x600; gfn++)
		model[gfn].log = true;
	for (uint64_t gfn = 0x230; gfn < 0x240; gfn++)
		guest_access(0, gfn, true);
	check_all_cached();
	finish();
	must_be_fine();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_finds_missing_flush_at_delete),
		cmocka_unit_test(test_finds_missing_flush_of_log),
		cmocka_unit_test(test_finds_missing_flush_of_dirty_bit),
		cmocka_unit_test(test_finds_missing_flush_as_a_log_begins),
		cmocka_unit_test(test_finds_missing_gathering),
		cmocka_unit_test(test_finds_log_that_is_off),
		cmocka_unit_test(test_finds_freed_table),
		cmocka_unit_test(test_finds_kept_root),
		cmocka_unit_test(test_finds_third_mapping),
		cmocka_unit_test(test_log_begins_on_a_clean_large_page),
		cmocka_unit_test(test_log_begins_behind_a_split),
		cmocka_unit_test(test_small_worlds),
		cmocka_unit_test(test_gigabyte),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
