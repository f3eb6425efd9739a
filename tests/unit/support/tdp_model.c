/* SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "mm/host.h"
#include "tests/unit/support/adversary_sched.h"
#include "tests/unit/support/host.h"
#include "tests/unit/support/store_trap.h"
#include "tests/unit/support/tdp_model.h"

struct model model[MODEL_MAX_GFN];
uint64_t model_space, model_focus;
unsigned model_seen_reloads[WORLD_VCPUS];

static uint64_t seed, next_stamp;
static uint64_t stores;     /* so far: the time, for what follows */
static bool keeps_readable; /* the operation only takes rights to write */

static struct {
	uint64_t base, other, pages;
} flux;

/* What each vCPU's handler is at. */
static struct {
	bool active, write;
	uint64_t gfn, since;
} handler[WORLD_VCPUS];

/* Of a watched table, by its frame. */
static struct {
	uint64_t root;     /* of the tree that it was linked into */
	uint64_t gfn;      /* first */
	uint64_t unlinked; /* when a remover took it out; 0: it did not */
	uint64_t was[SPTE_ENTRIES];
} * tables[1 << 20];

struct memslot *model_slot(uint64_t gfn)
{
	return (struct memslot *)slots_find(&world.mem, GFN(gfn));
}

static uint64_t stamp_of(uint64_t pfn)
{
	return *(uint64_t *)pfn_to_va(PFN(pfn));
}

static bool is_logged_dirty(uint64_t gfn)
{
	struct memslot *slot = model_slot(gfn);
	uint64_t i = gfn - slot->base.v;

	return (slot->flags & SLOT_DIRTY_LOG) &&
	       atomic_load(&slot->dirty[i / 64]) & BIT_ULL(i % 64);
}

bool model_is_handled(uint64_t gfn)
{
	for (unsigned i = 0; i < WORLD_VCPUS; i++) {
		if (handler[i].active && handler[i].write && handler[i].gfn == gfn)
			return true;
	}
	return false;
}

bool model_is_noted(uint64_t gfn)
{
	return is_logged_dirty(gfn) || adv_has_noted(gfn) || model_is_handled(gfn);
}

/* --- what is checked --- */

static bool is_in_flux(uint64_t gfn)
{
	return gfn - flux.base < flux.pages || gfn - flux.other < flux.pages;
}

/* The frame that the slots give, while an operation goes on that has not told the model yet. */
static bool is_coming(uint64_t gfn, uint64_t pfn)
{
	struct memslot *slot = model_slot(gfn);

	return is_in_flux(gfn) && slot && slot_pfn(slot, GFN(gfn)).v == pfn;
}

static bool may_write(uint64_t gfn)
{
	struct memslot *slot = model_slot(gfn);

	return !model[gfn].ro || (is_in_flux(gfn) && slot && !(slot->flags & SLOT_READONLY));
}

static void check_mapping(const char *who, uint64_t gfn, uint64_t pfn, bool writable)
{
	if (!is_coming(gfn, pfn) && (!model[gfn].stamp || stamp_of(pfn) != model[gfn].stamp))
		adv_report("%s: gfn %llx leads to frame %llx with %llx, not %llx", who,
			   (unsigned long long)gfn, (unsigned long long)pfn,
			   (unsigned long long)stamp_of(pfn), (unsigned long long)model[gfn].stamp);
	else if (writable && !may_write(gfn))
		adv_report("%s: gfn %llx is writable", who, (unsigned long long)gfn);
}

static bool runs_on_old_root(unsigned vcpu)
{
	return model_seen_reloads[vcpu] != atomic_load(&host_reloads);
}

static void check_translation(unsigned vcpu, const struct adv_translation *t)
{
	uint64_t probe[] = {0, t->nr_pages - 1, adv_whim(t->nr_pages)};
	bool writable = adv_is_writable(t);

	for (unsigned i = 0; i < ARRAY_SIZE(probe) && !runs_on_old_root(vcpu); i++) {
		uint64_t g = t->frame + probe[i];

		check_mapping("cached", g, t->pfn + probe[i], writable);
		if (!adv_violation[0] && writable && model[g].log && !model_is_noted(g))
			adv_report("cached: gfn %llx can be written unseen", (unsigned long long)g);
	}
}

static void check_cached_table(unsigned vcpu, uint64_t gfn, unsigned level, void *want)
{
	spte_t *table = host_va(world.root[vcpu]);

	if (runs_on_old_root(vcpu))
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

/* What two sizes of a page in the TLB for instructions would be, on some CPUs: a machine check. */
static void check_fetch(unsigned vcpu, const struct adv_translation *t)
{
	if (world.tdp.fmt->small_access && t->nr_pages > 1 && (t->rights & ADV_EXEC))
		adv_report("cached: gfn %llx is executable, and large",
			   (unsigned long long)t->frame);
}

void model_check_all_cached(void)
{
	adv_each_translation(check_translation);
	adv_each_translation(check_fetch);
	adv_each_table(check_cached_table);
}

void model_must_be_fine(void)
{
	if (adv_violation[0])
		fail_msg("seed %llu: %s", (unsigned long long)seed, adv_violation);
}

/*
 * A leaf comes to where nothing was: hardware must not have anything else for the same pages. Not
 * that of a vCPU on another tree, which a handler may still fill that began before it was zapped.
 */
static struct {
	uint64_t gfn, nr_pages, pfn;
	bool writable;
	uint64_t root; /* of its tree */
} fresh;

static void check_against_fresh(unsigned vcpu, const struct adv_translation *t)
{
	if (runs_on_old_root(vcpu) || world.root[vcpu].v != fresh.root ||
	    t->frame + t->nr_pages <= fresh.gfn || fresh.gfn + fresh.nr_pages <= t->frame)
		return;
	if (t->nr_pages != fresh.nr_pages || t->pfn != fresh.pfn ||
	    (adv_is_writable(t) && !fresh.writable))
		adv_report("gfn %llx is mapped anew beside an old translation",
			   (unsigned long long)fresh.gfn);
}

static void check_fresh_leaf(uint64_t root, uint64_t gfn, uint64_t spte, unsigned level)
{
	fresh.root = root;
	fresh.gfn = gfn;
	fresh.nr_pages = spte_pages(level);
	fresh.pfn = spte_address(spte).v / PAGE_SIZE;
	fresh.writable = spte & world.tdp.fmt->write;
	adv_each_translation(check_against_fresh);
}

static void watch(uint64_t root, void *table, unsigned level, uint64_t gfn)
{
	uint64_t pfn = va_to_pfn(table).v;

	if (!tables[pfn])
		tables[pfn] = malloc(sizeof(*tables[pfn]));
	tables[pfn]->root = root;
	tables[pfn]->gfn = gfn;
	tables[pfn]->unlinked = 0;
	memcpy(tables[pfn]->was, table, PAGE_SIZE);
	store_trap_watch(table, level);
}

static void watch_root(unsigned vcpu)
{
	hpa_t root = world.root[vcpu];

	watch(root.v, host_va(root), world.tdp.fmt->root_level, 0);
}

/* --- accesses of guests --- */

static void note(uint64_t gfn)
{
	struct memslot *slot = model_slot(gfn);

	if (slot)
		slot_mark_dirty(slot, GFN(gfn));
}

/* Out of guest mode: the run loop brings the CPU's notes into the slots' logs. */
static void leave(unsigned vcpu)
{
	adv_take_log(vcpu, note);
}

static void all_leave(struct vm *vm)
{
	adv_sched_point();
	for (unsigned i = 0; i < WORLD_VCPUS; i++)
		leave(i);
}

void model_flush(struct vm *vm)
{
	all_leave(vm);
	adv_flush();
	adv_sched_point();
}

static void log_writes(struct vm *vm, bool on)
{
	all_leave(vm);
	adv_set_logs(on);
	adv_sched_point();
}

/* What the run loop does: out of guest mode since the request, a new root before the next entry. */
void model_enter(unsigned vcpu)
{
	while (runs_on_old_root(vcpu)) {
		unsigned reloads = atomic_load(&host_reloads);

		world_reload(vcpu);
		adv_load_root(vcpu);
		watch_root(vcpu);
		model_seen_reloads[vcpu] = reloads;
	}
}

static void note_access(uint64_t gfn, struct adv_result r, bool write)
{
	check_mapping("access", gfn, r.pfn, r.writable && write);
	if (write && model[gfn].log)
		model[gfn].dirty = true;
}

static void note_emulated(uint64_t gfn, bool write)
{
	struct memslot *slot = model_slot(gfn);

	if (model[gfn].stamp && slot && !is_in_flux(gfn) &&
	    !(write && (model[gfn].ro || slot->flags & SLOT_READONLY)))
		adv_report("gfn %llx: memory is taken for MMIO", (unsigned long long)gfn);
}

static enum ret_pf handle_fault(unsigned vcpu, uint64_t gfn, bool write, uint32_t error)
{
	enum ret_pf r;

	handler[vcpu].gfn = gfn;
	handler[vcpu].since = stores;
	handler[vcpu].write = write;
	handler[vcpu].active = true;
	r = world_fault(vcpu, gfn, error);
	handler[vcpu].active = false;
	return r;
}

bool model_access_once(unsigned vcpu, uint64_t gfn, unsigned right)
{
	bool write = right == ADV_WRITE;
	struct adv_result r;
	enum ret_pf ret;

	model_enter(vcpu);
	r = adv_access(vcpu, gfn, right);
	if (r.pfn) {
		note_access(gfn, r, write);
		return true;
	}
	leave(vcpu);
	if (r.log_full)
		return false;
	ret = handle_fault(vcpu, gfn, write, r.error);
	if (ret == RET_PF_EMULATE)
		note_emulated(gfn, write);
	else if (ret == RET_PF_INVALID)
		adv_report("gfn %llx: no memory for tables", (unsigned long long)gfn);
	return ret == RET_PF_EMULATE;
}

unsigned model_pick_right(void)
{
	static const unsigned rights[] = {ADV_WRITE, ADV_WRITE, ADV_READ, ADV_EXEC};

	return rights[adv_whim(ARRAY_SIZE(rights))];
}

void model_access(unsigned vcpu, uint64_t gfn, unsigned right)
{
	for (unsigned i = 0; i < 8; i++) {
		if (model_access_once(vcpu, gfn, right))
			return;
	}
	adv_report("gfn %llx: the guest does not get ahead", (unsigned long long)gfn);
}

uint64_t model_pick_gfn(void)
{
	uint64_t gfn = adv_whim(3) ? model_focus + adv_whim(24) : adv_whim(model_space);

	return gfn < model_space ? gfn : 0;
}

void model_run_vcpu(const bool *done)
{
	struct grace_cpu *me = grace_cpu();
	unsigned vcpu = host_cpu_id() - 1;

	while (!*done && !adv_violation[0]) {
		uint64_t gfn = model_pick_gfn();
		unsigned right = model_pick_right();
		bool over = false;

		for (unsigned i = 0; i < 4 && !over; i++) {
			grace_exit_guest(me);
			over = model_access_once(vcpu, gfn, right);
			tdp_zap_work(&world.tdp);
			grace_poll(me);
			grace_enter_guest(me);
			adv_sched_point();
		}
	}
	grace_exit_guest(me);
	grace_drain();
	grace_enter_guest(me);
}

/* --- after each store --- */

static void check_walk(uint64_t gfn)
{
	uint64_t pfn = world_walk(gfn, false);

	if (gfn >= model_space)
		return;
	if (pfn)
		check_mapping("walk", gfn, pfn, world_walk(gfn, true));
	else if (keeps_readable && model[gfn].readable)
		adv_report("gfn %llx: not readable for a moment", (unsigned long long)gfn);
}

/* Neither hardware nor a handler that began before it was taken out may still look into it. */
static void check_freed(const char *table)
{
	if (adv_knows_table(table))
		adv_report("a table that hardware has cached was freed");
	for (unsigned i = 0; i < WORLD_VCPUS; i++) {
		if (handler[i].active && handler[i].since < tables[va_to_pfn(table).v]->unlinked)
			adv_report("a table was freed under a fault handler");
	}
}

static void check_store(char *table, unsigned level, unsigned i)
{
	const struct spte_format *f = world.tdp.fmt;
	uint64_t pfn = va_to_pfn(table).v, spte = ((uint64_t *)table)[i];
	uint64_t old = tables[pfn]->was[i], base = tables[pfn]->gfn + i * spte_pages(level);

	stores++;
	if (!spte_is_legal(f, spte, level)) {
		check_freed(table);
		store_trap_unwatch(table);
		return;
	}
	tables[pfn]->was[i] = spte;
	if (spte_is_frozen(spte) && spte_is_table(f, old, level))
		tables[spte_address(old).v / PAGE_SIZE]->unlinked = stores;
	if (spte_is_table(f, spte, level))
		watch(tables[pfn]->root, host_va(spte_address(spte)), level - 1, base);
	else if (spte_is_present(spte) && !spte_is_present(old))
		check_fresh_leaf(tables[pfn]->root, base, spte, level);
	check_walk(base);
	check_walk(base + spte_pages(level) - 1);
	check_walk(base + adv_whim(spte_pages(level)));
}

static void before_store(void *where)
{
	adv_sched_point();
}

static void after_store(void *where)
{
	char *table = (char *)((uintptr_t)where & PAGE_MASK);

	check_store(table, store_trap_tag(table), (uintptr_t)where % PAGE_SIZE / 8);
	adv_sched_point();
}

/* --- operations --- */

void model_begin(bool keeps)
{
	for (uint64_t gfn = 0; gfn < model_space; gfn++)
		model[gfn].readable = keeps && world_walk(gfn, false);
	keeps_readable = keeps;
}

void model_in_flux(uint64_t base, uint64_t other, uint64_t pages)
{
	flux.base = base;
	flux.other = other;
	flux.pages = pages;
}

void model_end(void)
{
	keeps_readable = false;
	flux.pages = 0;
}

void model_stamp_slot(uint64_t base, uint64_t pages, uint32_t flags)
{
	for (uint64_t gfn = base; gfn < base + pages; gfn++) {
		uint64_t pfn = slot_pfn(model_slot(gfn), GFN(gfn)).v;

		*(uint64_t *)pfn_to_va(PFN(pfn)) = ++next_stamp;
		model[gfn] = (struct model){.stamp = next_stamp,
					    .ro = flags & SLOT_READONLY,
					    .log = flags & SLOT_DIRTY_LOG};
	}
}

void model_start(uint64_t new_seed, unsigned format, unsigned max_level, uint64_t arena,
		 uint64_t space)
{
	world_create(arena, &world_format[format], max_level);
	host_set_nr_cpus(1 + WORLD_VCPUS);
	host_on_flush = model_flush;
	host_on_reload = all_leave;
	host_on_log = log_writes;
	host_on_gather = all_leave;
	memset(model, 0, sizeof(model));
	memset(model_seen_reloads, 0, sizeof(model_seen_reloads));
	memset(handler, 0, sizeof(handler));
	model_end();
	seed = new_seed;
	model_space = space;
	model_focus = 0;
	adv_reset(seed);
	store_trap_begin(before_store, after_store);
}

void model_watch_tree(void)
{
	frames_set_poison(true);
	watch_root(0);
}

void model_finish(void)
{
	store_trap_end();
	grace_drain();
	world_destroy();
	host_set_nr_cpus(1);
}
