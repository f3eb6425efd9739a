/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * How many pages the engine of a VM can need. The VM's account has so many from its creation on, so
 * that what other VMs do has no say in whether this one gets a table. docs/mmu.md, "How many
 * tables", has the reasons.
 */
#include "ept/internal.h"

/* Pages of guest-physical space that a table of `level` covers. */
static uint64_t table_pages(unsigned level)
{
	return spte_pages(level) * SPTE_ENTRIES;
}

/*
 * Tables of one level. The slots are sorted: of what the next one touches, only the first piece can
 * have been counted already. A tree does not reach beyond `end`.
 */
static uint64_t tables_of_level(const struct slot_array *slots, unsigned level, uint64_t end)
{
	uint64_t nr = 0, next = 0; /* the first piece that is not counted yet */

	for (uint32_t i = 0; i < slots->nr; i++) {
		const struct memslot *s = &slots->slot[i];
		uint64_t to = min(s->base.v + s->nr_pages, end);
		uint64_t first = max(s->base.v / table_pages(level), next);
		uint64_t behind = DIV_ROUND_UP(to, table_pages(level));

		if (first >= behind)
			continue;
		nr += behind - first;
		next = behind;
	}
	return nr;
}

uint64_t tdp_slot_tables(const struct spte_format *fmt, const struct slot_array *slots)
{
	uint64_t nr = 1;

	for (unsigned level = 1; level < fmt->root_level; level++)
		nr += tables_of_level(slots, level, spte_tree_pages(fmt));
	return nr;
}

/* place_for_mmio() looks at the count first, and adds afterwards what its walk has linked. */
static uint64_t mmio_tables(unsigned fault_tables, unsigned nr_vcpus)
{
	return TDP_MMIO_TABLES - 1 + (uint64_t)fault_tables * nr_vcpus;
}

uint64_t tdp_account_pages(const struct spte_format *fmt, const struct slot_array *slots,
			   unsigned nr_vcpus)
{
	unsigned fault_tables = fmt->root_level - 1;
	uint64_t tree = tdp_slot_tables(fmt, slots) + mmio_tables(fault_tables, nr_vcpus);
	uint64_t reserves = (uint64_t)fault_tables * nr_vcpus;

	/* And the slab of the current root, and the table with which a removal splits a page. */
	return tree + reserves + 2;
}
