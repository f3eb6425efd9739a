/* SPDX-License-Identifier: BSD-2-Clause */
/* A VM's two-dimensional tables with nothing around them; what a test sees is in the header. */
#include <stdarg.h>
#include <setjmp.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/support/host.h"
#include "tests/unit/support/tdp_world.h"

struct world world;
struct spte_format world_format[WORLD_FORMATS];

uint64_t world_free_frames(void)
{
	struct frames_stats s;

	frames_stats(&s);
	return s.free;
}

static void make_formats(void)
{
	spte_format_npt(&world_format[WORLD_NPT], 48, true);
	spte_format_ept(&world_format[WORLD_EPT], 46,
			(struct ept_features){.has_ad = true, .has_1g = true});
	spte_format_ept(&world_format[WORLD_EPT_LOG], 46,
			(struct ept_features){.has_ad = true, .has_1g = true, .logs_writes = true});
	spte_format_ept(&world_format[WORLD_EPT_NO_AD], 46, (struct ept_features){.has_1g = true});
	spte_format_npt(&world_format[WORLD_NPT_SMALL], 48, true);
	spte_format_fetch_small(&world_format[WORLD_NPT_SMALL]);
	spte_format_ept(&world_format[WORLD_EPT_SMALL], 46, (struct ept_features){.has_1g = true});
	spte_format_fetch_small(&world_format[WORLD_EPT_SMALL]);
}

void world_fill(struct page_account *a, uint64_t pages)
{
	int r;

	account_init(a);
	do
		r = account_fill(a, pages);
	while (r > 0);
	assert_int_equal(r, 0);
}

void world_create(uint64_t arena, const struct spte_format *fmt, unsigned max_level)
{
	make_formats();
	host_arena_with_frames(arena);
	if (!atomic_load(&grace_cpu()->word))
		grace_exit_guest(grace_cpu());
	memset(&world, 0, sizeof(world));
	world.frames_before = world_free_frames();
	slots_init(&world.mem);
	world_fill(&world.account, WORLD_PAGES);
	assert_int_equal(tdp_init(&world.tdp, &world.mem, NULL, fmt, max_level, &world.account), 0);
	for (unsigned i = 0; i < WORLD_VCPUS; i++) {
		tdp_vcpu_init(&world.vcpu[i], &world.tdp);
		world_reload(i);
	}
}

void world_destroy(void)
{
	for (unsigned i = 0; i < WORLD_VCPUS; i++)
		tdp_vcpu_destroy(&world.vcpu[i]);
	tdp_destroy(&world.tdp);
	while (!account_drain(&world.account))
		;
	slots_destroy(&world.mem);
	assert_int_equal(world.tdp.tables, 0);
	assert_int_equal(world_free_frames(), world.frames_before);
	host_on_flush = NULL;
	host_on_reload = NULL;
	host_on_log = NULL;
	host_on_gather = NULL;
}

void world_reload(unsigned i)
{
	assert_int_equal(tdp_load_root(&world.vcpu[i], &world.root[i]), 0);
}

enum ret_pf world_fault(unsigned vcpu, uint64_t gfn, uint32_t error)
{
	return tdp_fault(&world.vcpu[vcpu], GPA(gfn << PAGE_SHIFT | 0x123), error);
}

uint64_t world_spte(uint64_t gfn, unsigned *level)
{
	spte_t *table;

	*level = world.tdp.fmt->root_level;
	if (!world.tdp.root)
		return 0;
	for (table = world.tdp.root->table;; --*level) {
		uint64_t spte = spte_load(&table[spte_index(GFN(gfn), *level)]);

		if (!spte_is_table(world.tdp.fmt, spte, *level))
			return spte;
		table = host_va(spte_address(spte));
	}
}

uint64_t world_walk(uint64_t gfn, bool write)
{
	const struct spte_format *f = world.tdp.fmt;
	unsigned level;
	uint64_t spte = world_spte(gfn, &level);

	if (!spte_is_present(spte) || !(spte & f->read) || (write && !(spte & f->write)))
		return 0;
	return (spte_address(spte).v >> PAGE_SHIFT) + (gfn & (spte_pages(level) - 1));
}

bool world_hides_writes(uint64_t gfn)
{
	const struct spte_format *f = world.tdp.fmt;
	unsigned level;
	uint64_t spte = world_spte(gfn, &level);

	return spte_is_present(spte) && (spte & (level == 1 ? f->log : f->write));
}

static uint64_t check_table(spte_t *table, unsigned level, uint64_t gfn)
{
	const struct spte_format *f = world.tdp.fmt;
	uint64_t tables = 1;

	for (unsigned i = 0; i < SPTE_ENTRIES; i++, gfn += spte_pages(level)) {
		uint64_t spte = spte_load(&table[i]);

		if (!spte_is_legal(f, spte, level))
			fail_msg("level %u gfn %llx: illegal %llx", level, (unsigned long long)gfn,
				 (unsigned long long)spte);
		if (spte_is_table(f, spte, level))
			tables += check_table(host_va(spte_address(spte)), level - 1, gfn);
		else if (spte_is_mmio(f, spte))
			assert_int_equal(spte_mmio_gfn(spte).v, gfn);
	}
	return tables;
}

void world_check_tree(void)
{
	uint64_t tables;

	if (!world.tdp.root)
		return;
	tables = check_table(world.tdp.root->table, world.tdp.fmt->root_level, 0);
	for (unsigned i = 0; i < WORLD_VCPUS; i++) {
		if (world.vcpu[i].root != world.tdp.root)
			return; /* there are other trees too */
	}
	if (!world.tdp.nr_dying)
		assert_int_equal(world.tdp.tables, tables);
}

/* --- what many tests do --- */

void world_with_memory(unsigned format, unsigned max_level, uint64_t base, uint64_t pages,
		       uint32_t flags)
{
	world_create(2 * GIB + 512 * MIB, &world_format[format], max_level);
	assert_int_equal(slots_create(&world.mem, 0, GFN(base), pages, flags), 0);
}

uint64_t world_backing(uint64_t gfn)
{
	return slot_pfn(slots_find(&world.mem, GFN(gfn)), GFN(gfn)).v;
}

void world_zap_work(void)
{
	while (world.tdp.nr_dying) {
		grace_drain();
		tdp_zap_work(&world.tdp);
	}
}

static uint64_t count_mmio(spte_t *table, unsigned level)
{
	const struct spte_format *f = world.tdp.fmt;
	uint64_t n = 0;

	for (unsigned i = 0; i < SPTE_ENTRIES; i++) {
		uint64_t spte = spte_load(&table[i]);

		if (spte_is_table(f, spte, level))
			n += count_mmio(host_va(spte_address(spte)), level - 1);
		else
			n += spte_is_mmio(f, spte);
	}
	return n;
}

uint64_t world_mmio_entries(void)
{
	struct tdp_root *root = world.tdp.root;

	return root ? count_mmio(root->table, world.tdp.fmt->root_level) : 0;
}

struct mmu_stats world_stats(void)
{
	struct mmu_stats s;

	tdp_get_stats(&world.tdp, &s);
	return s;
}

void world_unmap(uint64_t start, uint64_t end)
{
	slots_lock(&world.mem);
	tdp_unmap_range(&world.tdp, GFN(start), GFN(end));
	slots_unlock(&world.mem);
}

void world_check_level(uint64_t gfn, uint32_t error, unsigned want)
{
	unsigned level;

	assert_int_equal(world_fault(0, gfn, error), RET_PF_FIXED);
	assert_int_equal(world_walk(gfn, true), world_backing(gfn));
	world_spte(gfn, &level);
	assert_int_equal(level, want);
}

void world_zap_all(void)
{
	slots_lock(&world.mem);
	tdp_zap_all(&world.tdp);
	slots_unlock(&world.mem);
}

bool world_no_memory(void)
{
	return true;
}
