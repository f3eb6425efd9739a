/* SPDX-License-Identifier: BSD-2-Clause */
/* The hypervisor's page tables. Four levels; level 1 is the one with the 4K entries. */
#include "arch/x86/paging.h"

#include <string.h>

#include "arch/x86/cpu.h"
#include "arch/x86/cpu_features.h"
#include "arch/x86/layout.h"
#include "arch/x86/insn_slot.h"
#include "lib/log.h"
#include "lib/panic.h"

#define LEVELS      4
#define TABLE_FLAGS (PTE_P | PTE_RW | PTE_A)
#define PAGE_RW     (PTE_P | PTE_RW | PTE_A | PTE_D | PTE_G)
#define PAGE_RO     (PTE_P | PTE_A | PTE_G)

/* PAT entry 1 (PWT) is write-combining instead of write-through; the rest as after reset. */
#define PAT_VALUE ((PAT_RESET & ~0xff00ull) | (uint64_t)MEMTYPE_WC << 8)

static hpa_t root __ro_after_init;
static hpa_t (*alloc_frame)(void);
static bool has_1g_pages __ro_after_init;
/* PTE_NX; 0 on a CPU without it, which gets no further than to a screen that says so. */
static uint64_t no_exec __ro_after_init;

static unsigned level_shift(unsigned level)
{
	return PAGE_SHIFT + 9 * (level - 1);
}

static uint64_t level_size(unsigned level)
{
	return 1ull << level_shift(level);
}

static uint64_t cache_bits(enum paging_cache cache)
{
	switch (cache) {
	case PAGING_WC:
		return PTE_PWT;
	case PAGING_UC:
		return PTE_PCD | PTE_PWT;
	default:
		return 0;
	}
}

static uint64_t *table_of(uint64_t pte)
{
	return direct_map(HPA(pte & PTE_ADDR));
}

static hpa_t new_table(void)
{
	hpa_t hpa = alloc_frame();

	memset(direct_map(hpa), 0, PAGE_SIZE);
	return hpa;
}

/* Replace a large page by a table of the next smaller size that maps the same. */
static void split(uint64_t *pte, unsigned level)
{
	hpa_t hpa = new_table();
	uint64_t *table = direct_map(hpa);
	uint64_t small = level == 2 ? *pte & ~PTE_PS : *pte;
	unsigned i;

	for (i = 0; i < 512; i++)
		table[i] = small + i * level_size(level - 1);
	*pte = hpa.v | TABLE_FLAGS;
}

/* The entry of `va` in `level`; makes the tables above it, and splits larger pages. */
static uint64_t *walk(uint64_t va, unsigned level)
{
	uint64_t *table = direct_map(root);
	uint64_t *pte;
	unsigned l;

	for (l = LEVELS;; l--) {
		pte = &table[va >> level_shift(l) & 511];
		if (l == level)
			return pte;
		if (!(*pte & PTE_P))
			*pte = new_table().v | TABLE_FLAGS;
		else if (*pte & PTE_PS)
			split(pte, l);
		table = table_of(*pte);
	}
}

/* The entry that maps `va`, and the size of its page; 0: none does. */
static uint64_t find_entry(uint64_t va, uint64_t *size)
{
	uint64_t pte = root.v | PTE_P;
	unsigned l;

	for (l = LEVELS; l >= 1; l--) {
		pte = table_of(pte)[va >> level_shift(l) & 511];
		if (!(pte & PTE_P))
			break;
		if (l == 1 || (pte & PTE_PS)) {
			*size = level_size(l);
			return pte;
		}
	}
	return 0;
}

/* Does anything already map the start of [va, ...)? Then the size of that page, else 0. */
static uint64_t mapped_size(uint64_t va)
{
	uint64_t size;

	return find_entry(va, &size) ? size : 0;
}

/* The largest page that starts at `hpa`, fits into `len`, and would not cover existing tables. */
static unsigned best_level(uint64_t va, uint64_t hpa, uint64_t len)
{
	unsigned level = has_1g_pages ? 3 : 2;

	/* Below 2 MiB memory types change every few pages; large pages must not span them. */
	if (hpa < level_size(2))
		return 1;
	while (level > 1 && (!IS_ALIGNED(hpa, level_size(level)) || len < level_size(level) ||
			     (*walk(va, level) & PTE_P)))
		level--;
	return level;
}

void *paging_map(hpa_t hpa, uint64_t len, enum paging_cache cache)
{
	uint64_t end = ALIGN_UP(hpa.v + len, PAGE_SIZE);
	uint64_t at = ALIGN_DOWN(hpa.v, PAGE_SIZE);
	uint64_t va, size, flags;
	unsigned level;

	HV_BUG_ON(end < at || end > paging_limit());
	for (; at < end; at += size) {
		va = DIRECT_MAP_BASE + at;
		size = mapped_size(va);
		if (size) {
			size -= va & (size - 1);
			continue;
		}
		level = best_level(va, at, end - at);
		flags = PAGE_RW | no_exec | cache_bits(cache) | (level > 1 ? PTE_PS : 0);
		*walk(va, level) = at | flags;
		size = level_size(level);
	}
	return direct_map(hpa);
}

bool paging_is_memory(hpa_t hpa, uint64_t len)
{
	uint64_t at, pte, size;

	for (at = ALIGN_DOWN(hpa.v, PAGE_SIZE); at < hpa.v + len; at += PAGE_SIZE) {
		pte = find_entry(DIRECT_MAP_BASE + at, &size);
		if (pte && !(pte & PTE_PCD))
			return true;
	}
	return false;
}

void paging_map_page(uint64_t va, hpa_t hpa)
{
	*walk(va, 1) = hpa.v | PAGE_RW | no_exec;
}

/* Give the pages of [start, end) of the image these rights, in the image. */
static void map_image(const char *start, const char *end, uint64_t flags)
{
	const char *va;

	for (va = start; va < end; va += PAGE_SIZE)
		*walk((uint64_t)va, 1) = direct_map_hpa(va).v | flags;
}

/* The same in the direct map, where nothing is executable. */
static void map_alias(const char *start, const char *end, uint64_t flags)
{
	const char *va;
	hpa_t hpa;

	for (va = start; va < end; va += PAGE_SIZE) {
		hpa = direct_map_hpa(va);
		*walk((uint64_t)direct_map(hpa), 1) = hpa.v | flags;
	}
}

/* A fault instead of a silent overrun below each of the boot CPU's stacks. */
static void unmap_guards(void)
{
	unsigned i;

	*walk((uint64_t)boot_stacks.guard, 1) = 0;
	for (i = 0; i < ARRAY_SIZE(boot_stacks.ist); i++)
		*walk((uint64_t)boot_stacks.ist[i].guard, 1) = 0;
}

void paging_init(hpa_t (*alloc)(void))
{
	has_1g_pages = cpu_has(FEATURE_1G_PAGES);
	no_exec = cpu_has(FEATURE_NX) ? PTE_NX : 0;
	alloc_frame = alloc;
	root = new_table();
	map_image(text_start, text_end, PAGE_RO);
	map_image(rodata_start, rodata_end, PAGE_RO | no_exec);
	map_image(ro_after_init_start, bss_end, PAGE_RW | no_exec);
	unmap_guards();
	map_alias(text_start, rodata_end, PAGE_RO | no_exec);
	map_alias((char *)insn_slot_page, (char *)insn_slot_page + PAGE_SIZE, PAGE_RW | no_exec);
}

void paging_set_allocator(hpa_t (*alloc)(void))
{
	alloc_frame = alloc;
}

void paging_activate(void)
{
	if (no_exec)
		wrmsr(MSR_EFER, rdmsr(MSR_EFER) | EFER_NXE);
	wrmsr(MSR_PAT, PAT_VALUE);
	write_cr3(root.v);
	write_cr4(read_cr4() | CR4_PGE);
}

void paging_seal(void)
{
	map_image(ro_after_init_start, ro_after_init_end, PAGE_RO | no_exec);
	map_alias(ro_after_init_start, ro_after_init_end, PAGE_RO | no_exec);
}

unsigned paging_phys_bits(void)
{
	if (cpuid(0x80000000).eax < 0x80000008)
		return 36;
	return cpuid(0x80000008).eax & 0xff;
}

uint64_t paging_limit(void)
{
	return min(1ull << paging_phys_bits(), STACKS_BASE - DIRECT_MAP_BASE);
}
