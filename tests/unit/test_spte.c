/* SPDX-License-Identifier: BSD-2-Clause */
/* The entry formats against the manuals, and the truth table against its rules in words. */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "mm/spte.h"
#include "tests/unit/support/panic.h"

static struct spte_format npt, npt52, ept, ept_log, ept_noad, ept_xo;
static struct spte_format pae, four, five, old_cpu; /* legacy; the last without NX, SMEP and SMAP */
static const struct spte_format *const legacy[] = {&pae, &four, &five, &old_cpu};

static int setup(void **state)
{
	spte_format_npt(&npt, 48, true);
	spte_format_npt(&npt52, 52, true);
	spte_format_legacy(&pae, 40, 3,
			   (struct legacy_features){.has_nx = true, .has_smep_smap = true});
	spte_format_legacy(
		&four, 46, 4,
		(struct legacy_features){.has_nx = true, .has_1g = true, .has_smep_smap = true});
	spte_format_legacy(
		&five, 51, 5,
		(struct legacy_features){.has_nx = true, .has_1g = true, .has_smep_smap = true});
	spte_format_legacy(&old_cpu, 36, 4, (struct legacy_features){0});
	spte_format_ept(&ept, 46, (struct ept_features){.has_ad = true, .has_1g = true});
	spte_format_ept(&ept_log, 46, (struct ept_features){.has_ad = true, .logs_writes = true});
	spte_format_ept(&ept_noad, 39, (struct ept_features){0});
	spte_format_ept(&ept_xo, 46, (struct ept_features){.has_ad = true, .has_exec_only = true});
	return 0;
}

/* The rules of mm/spte.h, said in another way than its table. */
static bool by_rules(unsigned p)
{
	bool present = p & SP_PRESENT, w = p & SP_WRITABLE, host = p & SP_HOST_WRITABLE,
	     mmu = p & SP_MMU_WRITABLE, user = p & SP_USER, a = p & SP_ACCESSED, d = p & SP_DIRTY,
	     t = p & SP_TRACKED;

	if (!present)
		return p == 0 || p == SP_MMIO || p == SP_FROZEN;
	if (p & (SP_MMIO | SP_FROZEN))
		return false;
	if (w && !(host && mmu))
		return false;
	if (mmu && !host)
		return false;
	if (d && !w)
		return false;
	return !(t && (a || d || w || user));
}

static void test_truth_table(void **state)
{
	unsigned legal = 0;

	for (unsigned p = 0; p <= SP_ALL; p++) {
		assert_int_equal(spte_props_are_legal(p), by_rules(p));
		legal += spte_props_are_legal(p);
	}
	assert_int_equal(legal, 26);
}

/* A leaf with the given properties, where the format can express them. */
static uint64_t leaf_with(const struct spte_format *f, unsigned p)
{
	uint64_t spte = (f->leaf & ~f->user) | 0x1234000;

	if (p & SP_USER)
		spte |= f->user;
	if (p & SP_WRITABLE)
		spte |= f->write;
	if (p & SP_HOST_WRITABLE)
		spte |= f->host_writable;
	if (p & SP_MMU_WRITABLE)
		spte |= f->mmu_writable;
	if (p & SP_ACCESSED)
		spte |= f->accessed;
	if (p & SP_DIRTY)
		spte |= f->dirty;
	if (p & SP_TRACKED)
		spte = (spte & ~(EPT_R | EPT_X)) | SPTE_SAVED_ACCESS;
	return spte;
}

static void check_leaves(const struct spte_format *f, unsigned can)
{
	for (unsigned p = SP_PRESENT; p <= SP_ALL; p++) {
		uint64_t spte = leaf_with(f, p);

		if (!(p & SP_PRESENT) || (p & ~can))
			continue;
		assert_int_equal(spte_props(f, spte), p);
		assert_int_equal(spte_is_legal(f, spte, 1), by_rules(p));
	}
}

static void test_leaves_of_each_format(void **state)
{
	unsigned always = SP_PRESENT | SP_WRITABLE | SP_HOST_WRITABLE | SP_MMU_WRITABLE;

	check_leaves(&npt, always | SP_ACCESSED | SP_DIRTY);
	check_leaves(&ept, always | SP_ACCESSED | SP_DIRTY);
	check_leaves(&ept_noad, always | SP_TRACKED);
	for (unsigned i = 0; i < ARRAY_SIZE(legacy); i++)
		check_leaves(legacy[i], always | SP_USER | SP_ACCESSED | SP_DIRTY);
}

static void test_what_else_is_legal(void **state)
{
	const struct spte_format *f[] = {&npt, &ept, &ept_noad, &four, &five};

	for (unsigned i = 0; i < ARRAY_SIZE(f); i++) {
		assert_true(spte_is_legal(f[i], 0, 1));
		assert_true(spte_is_legal(f[i], SPTE_FROZEN, 4));
		assert_true(spte_is_legal(f[i], f[i]->table | 0x5000, 4));
		assert_false(spte_is_legal(f[i], f[i]->table | 0x5000 | f[i]->host_writable, 2));
		assert_false(spte_is_legal(f[i], SPTE_FROZEN | 0x1000, 1));
		assert_false(spte_is_legal(f[i], f[i]->host_writable, 1));
		/* 2M pages are aligned; 512G pages do not exist. */
		assert_true(spte_is_legal(f[i], f[i]->leaf | f[i]->large | 0x200000, 2));
		assert_false(spte_is_legal(f[i], f[i]->leaf | f[i]->large | 0x201000, 2));
		assert_false(spte_is_legal(f[i], f[i]->leaf | f[i]->large, 4));
		/* MMIO entries are for level 1 only. */
		assert_true(spte_is_legal(f[i], spte_make_mmio(f[i], GFN(5), 0, 7), 1));
		assert_false(spte_is_legal(f[i], spte_make_mmio(f[i], GFN(5), 0, 7), 2));
	}
	assert_false(spte_is_legal(&ept_noad, ept_noad.leaf | ept_noad.large, 3)); /* no 1G */
}

static void test_rights(void **state)
{
	uint64_t xo = (ept_xo.leaf & ~EPT_R) | 0x1000;

	assert_true(spte_is_legal(&ept_xo, xo, 1));
	assert_false(spte_is_legal(&ept, xo, 1));
	/* W without R is a misconfiguration everywhere: SDM 28.3.3.1. */
	assert_false(spte_is_legal(&ept_xo, xo | EPT_W | ept.may_write, 1));
	assert_false(spte_is_legal(&npt, (npt.leaf & ~NPT_U) | 0x1000, 1));
	assert_true(spte_is_legal(&npt, npt.leaf | NPT_NX | 0x1000, 1));
	assert_false(spte_is_legal(&npt, npt.leaf | NPT_PCD | 0x1000, 1));
	assert_true(spte_is_legal(&four, (four.leaf & ~NPT_U) | 0x1000, 1));
	assert_false(spte_is_legal(&four, (four.leaf & ~NPT_P) | 0x1000, 1));
	assert_false(spte_is_legal(&four, four.leaf | NPT_G | 0x1000, 1));
	assert_false(spte_is_legal(&four, four.leaf | SPTE_SAVED_ACCESS | 0x1000, 1));
	assert_true(spte_is_legal(&four, four.leaf | NPT_NX | 0x1000, 1));
	assert_false(spte_is_legal(&old_cpu, old_cpu.leaf | NPT_NX | 0x1000, 1));
}

/*
 * Bits that must be 0 in a present entry: SDM volume 3, tables 4-8 to 4-11 (PAE) and 4-14 to 4-20;
 * APM volume 2, 5.2.3 and 5.3. Where they differ, what either reserves.
 */
static uint64_t reserved_bits(const struct spte_format *f, unsigned phys_bits, unsigned level,
			      bool large)
{
	uint64_t reserved = phys_bits < 52 ? GENMASK_ULL(51, phys_bits) : 0;

	if (f->root_level == 3)
		reserved |= GENMASK_ULL(62, 52);
	if (f->root_level == 3 && level == 3)
		return reserved | 0x1e6 | BIT_ULL(63);
	if (!f->nx)
		reserved |= BIT_ULL(63);
	if (level >= 4)
		reserved |= BIT_ULL(7) | BIT_ULL(8);
	if (level == 3 && large)
		reserved |= f->max_level == 3 ? GENMASK_ULL(29, 13) : BIT_ULL(7);
	if (level == 2 && large)
		reserved |= GENMASK_ULL(20, 13);
	return reserved;
}

static void check_reserved(const struct spte_format *f, unsigned phys_bits)
{
	for (unsigned level = 1; level <= f->root_level; level++) {
		uint64_t table = spte_table_bits(f, level) | 0x5000;
		uint64_t leaf = f->leaf | 0x40000000 | (level > 1 ? f->large : 0);
		bool has_leaf = level <= f->max_level;

		assert_int_equal(spte_is_legal(f, leaf, level), has_leaf);
		assert_int_equal(spte_is_legal(f, table, level), level > 1);
		if (has_leaf)
			assert_int_equal(leaf & reserved_bits(f, phys_bits, level, level > 1), 0);
		if (level > 1)
			assert_int_equal(table & reserved_bits(f, phys_bits, level, false), 0);
		/* Nor does a reserved bit more make a legal entry; the width is not known to it. */
		for (uint64_t bits = reserved_bits(f, 52, level, level > 1); bits; bits &= bits - 1)
			assert_false(spte_is_legal(f, leaf | (bits & -bits), level));
		for (uint64_t bits = reserved_bits(f, 52, level, false); bits; bits &= bits - 1)
			assert_false(spte_is_legal(f, table | (bits & -bits), level));
	}
	/* But MMIO entries have one. */
	assert_true(spte_make_mmio(f, GFN(5), 0, 0) & reserved_bits(f, phys_bits, 1, false));
}

static void test_reserved_bits(void **state)
{
	check_reserved(&pae, 40);
	check_reserved(&four, 46);
	check_reserved(&five, 51);
	check_reserved(&old_cpu, 36);
	check_reserved(&npt, 48);
}

static void test_shapes(void **state)
{
	assert_int_equal(spte_tree_pages(&pae) << PAGE_SHIFT, 1ull << 32);
	assert_int_equal(spte_tree_pages(&four) << PAGE_SHIFT, 1ull << 48);
	assert_int_equal(spte_tree_pages(&five) << PAGE_SHIFT, 1ull << 57);
	assert_int_equal(spte_tree_pages(&npt) << PAGE_SHIFT, 1ull << 48);
	assert_int_equal(spte_tree_pages(&ept) << PAGE_SHIFT, 1ull << 48);
	for (unsigned i = 0; i < ARRAY_SIZE(legacy); i++) {
		const struct spte_format *f = legacy[i];
		gfn_t last = GFN(spte_tree_pages(f) - 1);

		assert_int_equal(spte_index(last, f->root_level), f->root_entries - 1);
		assert_int_equal(spte_index(last, f->root_level - 1), 511);
		/* Tables below the roots can be shared. */
		assert_int_equal(f->leaf, four.leaf);
		assert_int_equal(f->table, four.table);
	}
	assert_int_equal(pae.max_level, 2);
}

/* The constants that a CPU sees, from the manuals. */
static void test_format_constants(void **state)
{
	assert_int_equal(npt.leaf & ~NPT_SOFTWARE, 0x5);
	assert_int_equal(npt.table & ~NPT_SOFTWARE, 0x27);
	assert_int_equal(ept.leaf & ~EPT_SOFTWARE, 0x75); /* R, X, WB, ignore PAT */
	assert_int_equal(ept.table & ~EPT_SOFTWARE, 0x107);
	assert_int_equal(ept_noad.table & ~EPT_SOFTWARE, 0x7);
	assert_int_equal(ept_noad.accessed | ept_noad.dirty, 0);
	assert_int_equal(four.leaf & ~NPT_SOFTWARE, 0x5);
	assert_int_equal(four.table & ~NPT_SOFTWARE, 0x27);
	assert_int_equal(pae.root & ~NPT_SOFTWARE, 0x1);
	assert_int_equal(five.root, five.table);
	assert_int_equal(old_cpu.nx | old_cpu.supervisor, 0);
	assert_int_equal(four.user, 0x4);
	assert_int_equal(npt.user | npt.supervisor | ept.user | ept.supervisor, 0);
	assert_int_equal(npt.large, 0x80);
	assert_int_equal(ept.large, 0x80);
	assert_int_equal(npt.max_level, 3);
	assert_int_equal(ept_noad.max_level, 2);
	assert_int_equal(npt52.mmio_mask, 0);
	assert_panics(spte_format_npt(&npt52, 53, false));
	assert_panics(spte_format_legacy(&npt52, 46, 2, (struct legacy_features){0}));
	assert_panics(spte_format_legacy(&npt52, 46, 6, (struct legacy_features){0}));
	assert_panics(spte_format_legacy(&npt52, 53, 4, (struct legacy_features){0}));
	assert_panics(spte_format_ept(&npt52, 31, (struct ept_features){0}));
	assert_panics(spte_format_ept(&npt52, 46, (struct ept_features){.logs_writes = true}));
}

static void check_mmio(const struct spte_format *f)
{
	static const uint64_t gens[] = {0, 1, 0xff, 0x100, 0x55555, 0x7fffe, 0x123456789abull};

	for (unsigned bit = 0; GFN(BIT_ULL(bit)).v < f->mmio_end.v; bit++) {
		for (unsigned i = 0; i < ARRAY_SIZE(gens); i++) {
			gfn_t gfn = GFN(BIT_ULL(bit) | 1);
			uint64_t spte = spte_make_mmio(f, gfn, f->mmio_access, gens[i]);

			assert_true(spte_is_mmio(f, spte));
			assert_false(spte_is_present(spte));
			assert_int_equal(spte_mmio_gfn(spte).v, gfn.v);
			assert_int_equal(spte_mmio_generation(spte), gens[i] & 0x7ffff);
			assert_int_equal(spte_mmio_access(f, spte), f->mmio_access);
			assert_true(spte_mmio_is_fresh(spte, gens[i]));
			assert_false(spte_mmio_is_fresh(spte, gens[i] + 1));
			assert_false(spte_mmio_is_fresh(spte, gens[i] | SLOTS_GEN_IN_PROGRESS));
			assert_int_equal(spte_props(f, spte), SP_MMIO);
		}
	}
}

static void test_mmio(void **state)
{
	check_mmio(&npt);
	check_mmio(&ept);
	check_mmio(&ept_noad);
	for (unsigned i = 0; i < ARRAY_SIZE(legacy); i++)
		check_mmio(legacy[i]);
	assert_int_equal(spte_mmio_access(&npt, spte_make_mmio(&npt, GFN(1), NPT_W, 0)), NPT_W);
	/* Hardware: a reserved bit in a present entry (48-bit addresses); W and X without R. */
	assert_int_equal(spte_make_mmio(&npt, GFN(1), 0, 3) & (NPT_P | BIT_ULL(51)),
			 NPT_P | BIT_ULL(51));
	assert_int_equal(spte_make_mmio(&ept, GFN(1), 0, 3) & 7, 6);
}

/* L1TF: what the address field of an MMIO entry points to is above half of the address space. */
static void test_mmio_points_nowhere(void **state)
{
	gfn_t last = GFN(ept.mmio_end.v - 1);

	assert_int_equal(ept.mmio_end.v, 1ull << 33);
	for (uint64_t gfn = 0; gfn <= last.v; gfn += last.v / 64 + 1) {
		uint64_t spte = spte_make_mmio(&ept, GFN(gfn), 0, 0);

		assert_true(spte_address(spte).v & BIT_ULL(45));
	}
	assert_true(spte_may_cache_mmio(&ept, last, 0));
	assert_false(spte_may_cache_mmio(&ept, ept.mmio_end, 0));
}

static void test_mmio_generations(void **state)
{
	assert_true(spte_may_cache_mmio(&npt, GFN(1), 0x7fffe));
	assert_false(spte_may_cache_mmio(&npt, GFN(1), 0x7ffff));
	assert_false(spte_may_cache_mmio(&npt, GFN(1), 0xfffff));
	assert_true(spte_may_cache_mmio(&npt, GFN(1), 0x80000));
	assert_false(spte_may_cache_mmio(&npt, GFN(1), 5 | SLOTS_GEN_IN_PROGRESS));
	assert_false(spte_may_cache_mmio(&npt52, GFN(1), 5));
	assert_true(spte_mmio_must_drop(0x7ffff));
	assert_false(spte_mmio_must_drop(0x80000));
	assert_false(spte_is_mmio(&npt52, 0));
}

static void test_aging(void **state)
{
	uint64_t writable = ept.may_write | 0x1000;
	uint64_t hw = ept.leaf | writable | EPT_W | EPT_A | EPT_D;
	uint64_t sw = ept_noad.leaf | writable | EPT_W, tracked = spte_aged(&ept_noad, sw);

	assert_int_equal(spte_aged(&ept, hw), hw & ~EPT_A);
	assert_true(spte_is_legal(&ept, spte_aged(&ept, hw), 1));
	assert_true(spte_is_tracked(tracked));
	assert_true(spte_is_legal(&ept_noad, tracked, 1));
	assert_int_equal(tracked & 7, 0);
	assert_int_equal(spte_aged(&ept_noad, tracked), tracked);
	assert_int_equal(spte_restored(tracked), sw & ~EPT_W); /* W is not given back */
	assert_int_equal(spte_restored(sw), sw);
}

static void test_flush_decision(void **state)
{
	const struct spte_format *f = &npt;
	uint64_t ro = f->leaf | 0x200000, w = ro | f->may_write | f->write, p = w & ~f->write;

	assert_false(spte_flush_is_due(f, 0, w));
	assert_false(spte_flush_is_due(f, SPTE_FROZEN, 0));
	assert_true(spte_flush_is_due(f, ro, SPTE_FROZEN));
	assert_true(spte_flush_is_due(f, ro, ro + 0x1000));
	assert_true(spte_flush_is_due(f, w, p));
	assert_true(spte_flush_is_due(f, p, p)); /* somebody may just have taken W */
	assert_false(spte_flush_is_due(f, p, w));
	assert_false(spte_flush_is_due(f, ro, ro | f->accessed));
	assert_true(spte_flush_is_due(f, ro, ro | f->nx));
	assert_false(spte_flush_is_due(f, ro | f->nx, ro));
	assert_true(spte_flush_is_due(f, ro, ro | f->large));
	assert_true(spte_flush_is_due(&ept, ept.leaf, ept.leaf & ~EPT_X));
	assert_false(
		spte_flush_is_due(&ept_noad, ept_noad.leaf, spte_aged(&ept_noad, ept_noad.leaf)));
	assert_true(spte_flush_is_due(f, f->table | 0x5000, SPTE_FROZEN));
}

/* What an access needs of a cached translation, in SDM volume 3, 4.6.1, with CR0.WP. */
static bool cpu_allows(uint64_t spte, bool user, char access, bool smep, bool smap)
{
	if (user && !(spte & NPT_U))
		return false;
	if (!user && (spte & NPT_U) && (access == 'x' ? smep : smap))
		return false;
	return access == 'w' ? spte & NPT_W : access == 'x' ? !(spte & NPT_NX) : true;
}

/* Is there an access that the old entry lets through, as the CPU may have it, and not the new? */
static bool is_stricter(const struct spte_format *f, uint64_t old, uint64_t next)
{
	if (old & f->mmu_writable)
		old |= f->write; /* until a moment ago */
	for (unsigned i = 0; i < 8; i++) {
		bool user = i & 1, smep = f->supervisor && (i & 2), smap = f->supervisor && (i & 4);

		for (const char *a = "rwx"; *a; a++) {
			if (cpu_allows(old, user, *a, smep, smap) &&
			    !cpu_allows(next, user, *a, smep, smap))
				return true;
		}
	}
	return old & ~next & f->dirty;
}

/* The i-th of all combinations of bits that a leaf of this format may have; false: not a leaf. */
static bool nth_leaf(const struct spte_format *f, unsigned i, uint64_t *spte)
{
	uint64_t bits[] = {f->write, f->user,          f->nx,          f->accessed,
			   f->dirty, f->host_writable, f->mmu_writable};

	*spte = (f->leaf & ~f->user) | 0x1234000;
	for (unsigned k = 0; k < ARRAY_SIZE(bits); k++)
		*spte |= i & BIT(k) ? bits[k] : 0;
	return spte_is_legal(f, *spte, 1);
}

/* Each change of a leaf into another one, in the formats of legacy paging and NPT. */
static void test_flush_exhaustively(void **state)
{
	const struct spte_format *formats[] = {&npt, &pae, &four, &five, &old_cpu};
	unsigned due = 0, not_due = 0;
	uint64_t old, next;

	for (unsigned n = 0; n < ARRAY_SIZE(formats); n++) {
		const struct spte_format *f = formats[n];

		for (unsigned i = 0; i < 128 * 128; i++) {
			if (!nth_leaf(f, i / 128, &old) || !nth_leaf(f, i % 128, &next))
				continue;
			assert_int_equal(spte_flush_is_due(f, old, next),
					 is_stricter(f, old, next));
			assert_true(spte_flush_is_due(f, old, next ^ 0x1000));
			*(is_stricter(f, old, next) ? &due : &not_due) += 1;
		}
	}
	assert_true(due > 1000 && not_due > 1000);
}

static void test_user_and_flush(void **state)
{
	uint64_t user = four.leaf | 0x1000, kernel = user & ~NPT_U, pdpte = pae.root | 0x5000;

	assert_true(spte_flush_is_due(&four, user, kernel));
	assert_true(spte_flush_is_due(&old_cpu, user, kernel));
	/* SMEP and SMAP keep supervisor mode out of what becomes the user's. */
	assert_true(spte_flush_is_due(&four, kernel, user));
	assert_false(spte_flush_is_due(&old_cpu, kernel, user));
	assert_false(spte_flush_is_due(&four, 0, user));
	assert_false(spte_flush_is_due(&four, spte_make_mmio(&four, GFN(1), NPT_U, 3), kernel));
	assert_true(spte_flush_is_due(&pae, pdpte, SPTE_FROZEN));
	assert_true(spte_flush_is_due(&pae, pdpte, pdpte + 0x1000));
	assert_false(spte_flush_is_due(&pae, pdpte, pdpte));
}

/* What a leaf loses, so that its next write is noted by a fault, or by the CPU. */
static void test_logging(void **state)
{
	uint64_t w = ept.leaf | ept.may_write | EPT_W | EPT_A | EPT_D, large = w | EPT_PS;

	assert_false(spte_hardware_logs(&npt) || spte_hardware_logs(&ept));
	assert_false(spte_hardware_logs(&ept_noad));
	assert_true(spte_hardware_logs(&ept_log));
	assert_int_equal(spte_logged(&ept, w, 1), w & ~(EPT_W | EPT_D));
	assert_int_equal(spte_logged(&ept_log, w, 1), w & ~EPT_D);
	assert_int_equal(spte_logged(&ept_noad, w & ~(EPT_A | EPT_D), 1),
			 w & ~(EPT_W | EPT_A | EPT_D));
	/* The CPU notes a single 4K page of a large one. */
	assert_int_equal(spte_logged(&ept_log, large, 2), large & ~(EPT_W | EPT_D));
	assert_int_equal(spte_logged(&ept_log, large, 3), large & ~(EPT_W | EPT_D));
	assert_true(spte_is_legal(&ept_log, spte_logged(&ept_log, w, 1), 1));
	/* A CPU that has seen the dirty bit set does not look again. */
	assert_true(spte_flush_is_due(&ept_log, w, w & ~EPT_D));
	assert_false(spte_flush_is_due(&ept_log, w & ~EPT_D, w & ~EPT_D));
	assert_false(spte_flush_is_due(&ept_log, w & ~EPT_D, w));
}

static void test_large_leaves_that_must_not_be_executed(void **state)
{
	struct spte_format f[] = {npt, ept, ept_noad, four, pae};

	for (unsigned i = 0; i < ARRAY_SIZE(f); i++) {
		uint64_t leaf = f[i].leaf | f[i].large | 0x200000, nx;

		assert_true(spte_is_legal(&f[i], leaf, 2));
		assert_int_equal(f[i].large_leaf, f[i].leaf | f[i].large);
		spte_format_fetch_small(&f[i]);
		nx = f[i].large_leaf | 0x200000;
		assert_false(spte_is_legal(&f[i], leaf, 2));
		assert_true(spte_is_legal(&f[i], nx, 2));
		assert_true(spte_is_legal(&f[i], f[i].leaf | 0x200000, 1));
		if (f[i].accessed)
			continue;
		/* Nor may a tracked one be, once it has its rights back. */
		assert_false(spte_is_legal(&f[i], spte_aged(&f[i], leaf), 2));
		assert_true(spte_is_legal(&f[i], spte_aged(&f[i], nx), 2));
	}
	f[0] = old_cpu; /* which cannot refuse */
	assert_panics(spte_format_fetch_small(&f[0]));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_truth_table),
		cmocka_unit_test(test_leaves_of_each_format),
		cmocka_unit_test(test_what_else_is_legal),
		cmocka_unit_test(test_rights),
		cmocka_unit_test(test_reserved_bits),
		cmocka_unit_test(test_shapes),
		cmocka_unit_test(test_format_constants),
		cmocka_unit_test(test_mmio),
		cmocka_unit_test(test_mmio_points_nowhere),
		cmocka_unit_test(test_mmio_generations),
		cmocka_unit_test(test_aging),
		cmocka_unit_test(test_flush_decision),
		cmocka_unit_test(test_flush_exhaustively),
		cmocka_unit_test(test_user_and_flush),
		cmocka_unit_test(test_logging),
		cmocka_unit_test(test_large_leaves_that_must_not_be_executed),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
