/* SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/support/tdp_ops.h"

static const struct {
	uint64_t base, other, pages;
} places[] = {
	{0x000, 0x1000, 0x100},
	{0x200, 0x1200, 0x400},
	{0x601, 0x1600, 0x3fe},
	{0xa00, 0x1a01, 0x400},
};

void op_create(unsigned id)
{
	static const uint32_t kinds[] = {0, 0, 0, SLOT_READONLY, SLOT_DIRTY_LOG};
	uint64_t base = adv_whim(2) ? places[id].base : places[id].other;
	uint32_t flags = kinds[adv_whim(ARRAY_SIZE(kinds))];
	int err;

	model_begin(true);
	model_in_flux(base, base, places[id].pages);
	err = slots_create(&world.mem, id, GFN(base), places[id].pages, flags);
	model_end();
	if (!err)
		model_stamp_slot(base, places[id].pages, flags);
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

void op_delete(unsigned id)
{
	struct memslot *s = slot_by_id(id);
	uint64_t base = s->base.v, pages = s->nr_pages;

	model_begin(false);
	model_in_flux(base, base, pages);
	assert_int_equal(slots_delete(&world.mem, id), 0);
	model_end();
	memset(&model[base], 0, pages * sizeof(*model));
}

void op_move(unsigned id)
{
	static struct model moved[0x400];
	struct memslot *s = slot_by_id(id);
	uint64_t from = s->base.v, pages = s->nr_pages;
	uint64_t to = from == places[id].base ? places[id].other : places[id].base;

	model_begin(false);
	model_in_flux(from, to, pages);
	assert_int_equal(slots_move(&world.mem, id, GFN(to)), 0);
	model_end();
	memcpy(moved, &model[from], pages * sizeof(*model));
	memset(&model[from], 0, pages * sizeof(*model));
	memcpy(&model[to], moved, pages * sizeof(*model));
}

void op_flags_to(unsigned id, uint32_t next)
{
	struct memslot *s = slot_by_id(id);
	uint32_t old = s->flags;
	uint64_t base = s->base.v, pages = s->nr_pages;

	model_begin(!((old ^ next) & SLOT_READONLY) && !(old & ~next & SLOT_DIRTY_LOG));
	model_in_flux(base, base, pages);
	assert_int_equal(slots_set_flags(&world.mem, id, next), 0);
	model_end();
	for (uint64_t gfn = base; gfn < base + pages; gfn++) {
		model[gfn].ro = next & SLOT_READONLY;
		model[gfn].log = next & SLOT_DIRTY_LOG;
		model[gfn].dirty = model[gfn].dirty && model[gfn].log;
	}
}

void op_flags(unsigned id)
{
	static const uint32_t kinds[] = {0, SLOT_READONLY, SLOT_DIRTY_LOG,
					 SLOT_READONLY | SLOT_DIRTY_LOG};

	op_flags_to(id, kinds[adv_whim(4)]);
}

/* What was written before is reported; what is written meanwhile, now or later. */
static void check_report(uint64_t gfn, bool reported)
{
	bool later = model_is_noted(gfn);

	if (model[gfn].due && !reported)
		adv_report("gfn %llx: a write was lost", (unsigned long long)gfn);
	else if (model[gfn].dirty && !reported && !later)
		adv_report("gfn %llx: a write is being lost", (unsigned long long)gfn);
	model[gfn].dirty = later;
}

void op_get_dirty(unsigned id)
{
	static uint64_t bitmap[MODEL_BIG / 64];
	struct memslot *s = slot_by_id(id);

	if (!(s->flags & SLOT_DIRTY_LOG))
		return;
	for (uint64_t gfn = s->base.v; gfn < s->base.v + s->nr_pages; gfn++)
		model[gfn].due = model[gfn].dirty && !model_is_handled(gfn);
	model_begin(true);
	assert_int_equal(slots_get_dirty(&world.mem, id, 0, s->nr_pages, bitmap), 0);
	model_end();
	for (uint64_t i = 0; i < s->nr_pages; i++)
		check_report(s->base.v + i, bitmap[i / 64] & BIT_ULL(i % 64));
}

void op_unmap(void)
{
	uint64_t start = model_pick_gfn(),
		 size = adv_whim(3) ? 1 + adv_whim(40) : 1 + adv_whim(model_space);

	if (!adv_whim(6)) { /* down to the root */
		start = 0;
		size = spte_tree_pages(world.tdp.fmt);
	}
	model_begin(false);
	world_unmap(start, start + size);
	model_end();
}

void op_age(void)
{
	model_begin(world.tdp.fmt->accessed);
	slots_lock(&world.mem);
	tdp_age_range(&world.tdp, GFN(0), GFN(model_space), NULL);
	slots_unlock(&world.mem);
	model_end();
}

void op_zap_all(void)
{
	model_begin(false);
	world_zap_all();
	model_end();
}

/* An operation on one slot, or what brings it into being. */
static void slot_operation(unsigned id)
{
	if (!slot_by_id(id)) {
		op_create(id);
		return;
	}
	switch (adv_whim(6)) {
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

void op_any(void)
{
	if (!adv_whim(4))
		model_focus = adv_whim(model_space);
	switch (adv_whim(8)) {
	case 0:
	case 1:
	case 2:
	case 3:
		slot_operation(adv_whim(ARRAY_SIZE(places)));
		break;
	case 4:
	case 5:
		op_unmap();
		break;
	case 6:
		op_age();
		break;
	default:
		if (!adv_whim(4))
			op_zap_all();
	}
}
