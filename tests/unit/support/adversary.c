/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/unit/support/adversary.h"

static struct adv_cpu cpus[WORLD_VCPUS];
static struct adv_format format;

static bool is_legal(uint64_t entry, unsigned level)
{
	return spte_is_legal(world.tdp.fmt, entry, level);
}

static bool is_reserved(uint64_t entry)
{
	return spte_is_mmio(world.tdp.fmt, entry);
}

/* An access-tracked entry has no rights, and so is not present to hardware. */
static void choose_format(const struct spte_format *f)
{
	format = (struct adv_format){
		.present = f->read,
		.read = f->read,
		.write = f->write,
		.exec = f->exec,
		.nx = f->nx,
		.accessed = f->accessed,
		.dirty = f->dirty,
		.large = f->large,
		.levels = f->root_level,
		.is_reserved = is_reserved,
		.is_legal = is_legal,
	};
}

void adv_flush(void)
{
	for (unsigned i = 0; i < WORLD_VCPUS; i++)
		adv_flush_tag(&cpus[i].tlb, cpus[i].tag);
}

void adv_load_root(unsigned cpu)
{
	adv_flush_tag(&cpus[cpu].tlb, cpus[cpu].tag);
	cpus[cpu].root = host_va(world.root[cpu]);
}

void adv_set_logs(bool on)
{
	for (unsigned i = 0; i < WORLD_VCPUS; i++)
		cpus[i].logs = on;
}

void adv_reset(uint64_t seed)
{
	adv_seed(seed);
	adv_violation[0] = 0;
	choose_format(world.tdp.fmt);
	for (unsigned i = 0; i < WORLD_VCPUS; i++) {
		cpus[i].format = &format;
		cpus[i].tag = i + 1;
		cpus[i].nr_log = 0;
		adv_flush_tlb(&cpus[i].tlb);
		adv_load_root(i);
	}
	adv_set_logs(false);
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

/* Nested accesses are user accesses (APM volume 2, 15.25.5). */
struct adv_result adv_access(unsigned cpu, uint64_t gfn, unsigned right)
{
	return adv_cpu_access(&cpus[cpu], gfn, ADV_USER | right);
}

bool adv_knows_table(const void *table)
{
	for (unsigned i = 0; i < WORLD_VCPUS; i++) {
		for (unsigned j = 0; j < cpus[i].tlb.nr_tables; j++) {
			if (cpus[i].tlb.table[j].table == table)
				return true;
		}
	}
	return false;
}

void adv_each_translation(void (*check)(unsigned cpu, const struct adv_translation *t))
{
	for (unsigned i = 0; i < WORLD_VCPUS; i++) {
		for (unsigned j = 0; j < cpus[i].tlb.nr_pages; j++) {
			const struct adv_translation *t = &cpus[i].tlb.page[j];

			check(i, t);
		}
	}
}

void adv_each_table(void (*check)(unsigned cpu, uint64_t gfn, unsigned level, void *table))
{
	for (unsigned i = 0; i < WORLD_VCPUS; i++) {
		for (unsigned j = 0; j < cpus[i].tlb.nr_tables; j++) {
			const struct adv_table *t = &cpus[i].tlb.table[j];

			check(i, t->frame, t->level, t->table);
		}
	}
}
