/* SPDX-License-Identifier: BSD-2-Clause */
/* The entry formats, MMIO entries, and the truth table of mm/spte.h as code. */
#include "arch/x86/regs.h" /* PFERR_* */
#include "lib/panic.h"
#include "mm/spte.h"

/* Inverted, a gfn below this has the highest physical address bit set, and no memory is there. */
static gfn_t mmio_end(unsigned phys_bits)
{
	return GFN(BIT_ULL(min(phys_bits - 1 - PAGE_SHIFT, 39u)));
}

/* The common part of NPT and legacy. */
static struct spte_format long_mode_format(unsigned phys_bits, unsigned max_level)
{
	struct spte_format f = {
		.read = NPT_P,
		.write = NPT_W,
		.nx = NPT_NX,
		.always = NPT_P,
		.accessed = NPT_A,
		.dirty = NPT_D,
		.host_writable = NPT_HOST_WRITABLE,
		.mmu_writable = NPT_MMU_WRITABLE,
		.may_write = NPT_HOST_WRITABLE | NPT_MMU_WRITABLE,
		.log = NPT_W | NPT_D,
		.large = NPT_PS,
		.leaf = NPT_P | NPT_U | SPTE_MMU_PRESENT,
		.table = NPT_P | NPT_W | NPT_U | NPT_A | SPTE_MMU_PRESENT,
		.root = NPT_P | NPT_W | NPT_U | NPT_A | SPTE_MMU_PRESENT,
		.max_level = max_level,
		.root_level = 4,
		.root_entries = SPTE_ENTRIES,
	};

	HV_BUG_ON(phys_bits < 32 || phys_bits > 52);
	if (phys_bits < 52) {
		f.mmio = f.mmio_mask = NPT_P | SPTE_MMIO_RSVD;
		f.mmio_access = NPT_W | NPT_U;
		f.mmio_end = mmio_end(phys_bits);
	}
	f.large_leaf = f.leaf | f.large;
	return f;
}

void spte_format_npt(struct spte_format *f, unsigned phys_bits, bool has_1g)
{
	*f = long_mode_format(phys_bits, has_1g ? 3 : 2);
	f->name = "NPT";
	f->always |= NPT_U;
}

void spte_format_legacy(struct spte_format *f, unsigned phys_bits, unsigned root_level,
			struct legacy_features features)
{
	HV_BUG_ON(root_level < 3 || root_level > 5);
	*f = long_mode_format(phys_bits, features.has_1g && root_level > 3 ? 3 : 2);
	f->name = "legacy";
	f->user = NPT_U;
	f->supervisor = features.has_smep_smap ? NPT_U : 0;
	f->nx = features.has_nx ? NPT_NX : 0;
	f->root_level = root_level;
	if (root_level == 3) {
		f->root = NPT_P | SPTE_MMU_PRESENT;
		f->root_entries = SPTE_PAE_ENTRIES;
	}
}

/*
 * The type is write-back whatever the guest's PAT says: all memory is mapped write-back by Umbra
 * too, and no device of the machine's is the guest's. W and X without R is a misconfiguration to
 * every CPU; its pattern leaves no room for the access.
 */
void spte_format_ept(struct spte_format *f, unsigned phys_bits, struct ept_features features)
{
	uint64_t accessed = features.has_ad ? EPT_A : 0, dirty = features.has_ad ? EPT_D : 0;

	HV_BUG_ON(phys_bits < 32 || phys_bits > 52);
	HV_BUG_ON(features.logs_writes && !features.has_ad);
	*f = (struct spte_format){
		.name = "EPT",
		.read = EPT_R,
		.write = EPT_W,
		.exec = EPT_X,
		.always = features.has_exec_only ? 0 : EPT_R,
		.accessed = accessed,
		.dirty = dirty,
		.host_writable = EPT_HOST_WRITABLE,
		.mmu_writable = EPT_MMU_WRITABLE,
		.may_write = EPT_HOST_WRITABLE | EPT_MMU_WRITABLE,
		.log = features.logs_writes ? dirty : EPT_W | dirty,
		.logged = features.logs_writes ? EPT_W : 0,
		.large = EPT_PS,
		.leaf = EPT_R | EPT_X | EPT_WB | EPT_IPAT | SPTE_MMU_PRESENT,
		.large_leaf = EPT_PS | EPT_R | EPT_X | EPT_WB | EPT_IPAT | SPTE_MMU_PRESENT,
		.table = EPT_R | EPT_W | EPT_X | accessed | SPTE_MMU_PRESENT,
		.root = EPT_R | EPT_W | EPT_X | accessed | SPTE_MMU_PRESENT,
		.mmio = EPT_W | EPT_X,
		.mmio_mask = EPT_R | EPT_W | EPT_X,
		.mmio_end = mmio_end(phys_bits),
		.max_level = features.has_1g ? 3 : 2,
		.root_level = 4,
		.root_entries = SPTE_ENTRIES,
	};
}

void spte_format_fetch_small(struct spte_format *f)
{
	HV_BUG_ON(!(f->exec | f->nx));
	f->large_leaf = (f->large_leaf & ~f->exec) | f->nx;
	f->small_access = PFERR_FETCH;
}

uint64_t spte_make_mmio(const struct spte_format *f, gfn_t gfn, uint64_t access,
			uint64_t generation)
{
	return f->mmio | (access & f->mmio_access) | FIELD_PREP(SPTE_MMIO_GFN, ~gfn.v) |
	       FIELD_PREP(SPTE_MMIO_GEN_LOW, generation) |
	       FIELD_PREP(SPTE_MMIO_GEN_HIGH, generation >> 8);
}

uint64_t spte_aged(const struct spte_format *f, uint64_t spte)
{
	uint64_t rights = f->read | f->write | f->exec;

	if (f->accessed || spte_is_tracked(spte))
		return spte & ~f->accessed;
	return (spte & ~rights) | ((spte << SPTE_SAVED_SHIFT) & SPTE_SAVED_ACCESS);
}

/* Is a right gone: a bit cleared that allows, or one set that forbids? */
static bool takes_rights(const struct spte_format *f, uint64_t old, uint64_t next)
{
	return (spte_restored(old) & ~spte_restored(next) & (f->read | f->exec | f->user)) ||
	       (~old & next & (f->nx | f->supervisor));
}

bool spte_flush_is_due(const struct spte_format *f, uint64_t old, uint64_t next)
{
	if (!spte_is_present(old))
		return false;
	if (!spte_is_present(next) || (old ^ next) & (SPTE_ADDRESS | f->large))
		return true;
	if ((old & f->mmu_writable) && !(next & f->write))
		return true;
	return (old & ~next & f->dirty) || takes_rights(f, old, next);
}

/* --- the truth table --- */

#define LEAF SP_PRESENT

/* Each row: what must be set, and what may be. The order is that of mm/spte.h. */
static const struct {
	uint16_t set, maybe;
} table[] = {
	{0, 0},
	{SP_FROZEN, 0},
	{SP_MMIO, 0},
	{LEAF, SP_USER | SP_ACCESSED},
	{LEAF | SP_HOST_WRITABLE, SP_USER | SP_ACCESSED},
	{LEAF | SP_HOST_WRITABLE | SP_MMU_WRITABLE, SP_USER | SP_ACCESSED},
	{LEAF | SP_HOST_WRITABLE | SP_MMU_WRITABLE | SP_WRITABLE, SP_USER | SP_ACCESSED | SP_DIRTY},
	{LEAF | SP_TRACKED, 0},
	{LEAF | SP_TRACKED | SP_HOST_WRITABLE, SP_MMU_WRITABLE},
};

bool spte_props_are_legal(unsigned props)
{
	for (unsigned i = 0; i < ARRAY_SIZE(table); i++) {
		if ((props & ~table[i].maybe) == table[i].set)
			return true;
	}
	return false;
}

static unsigned leaf_props(const struct spte_format *f, uint64_t spte)
{
	return SP_PRESENT | (spte & f->write ? SP_WRITABLE : 0) |
	       (spte & f->host_writable ? SP_HOST_WRITABLE : 0) |
	       (spte & f->mmu_writable ? SP_MMU_WRITABLE : 0) | (spte & f->user ? SP_USER : 0) |
	       (spte & f->accessed ? SP_ACCESSED : 0) | (spte & f->dirty ? SP_DIRTY : 0) |
	       (spte_is_tracked(spte) ? SP_TRACKED : 0);
}

unsigned spte_props(const struct spte_format *f, uint64_t spte)
{
	if (spte_is_present(spte))
		return leaf_props(f, spte);
	if (spte_is_frozen(spte))
		return SP_FROZEN;
	return spte_is_mmio(f, spte) ? SP_MMIO : 0;
}

/* Bits that a leaf of this format may have besides its address. */
static uint64_t leaf_bits(const struct spte_format *f, unsigned level)
{
	return f->leaf | f->read | f->write | f->user | f->exec | f->nx | f->accessed | f->dirty |
	       (level > 1 ? f->large : 0) | f->may_write | (f->accessed ? 0 : SPTE_SAVED_ACCESS);
}

/* Would an instruction be fetched through this leaf, now or when it is no longer tracked? */
static bool is_executable(const struct spte_format *f, uint64_t spte)
{
	return f->exec ? spte_restored(spte) & f->exec : !(spte & f->nx);
}

static bool has_legal_rights(const struct spte_format *f, uint64_t spte, unsigned level)
{
	if (level > 1 && (f->small_access & PFERR_FETCH) && is_executable(f, spte))
		return false;
	if (spte_is_tracked(spte))
		return !(spte & (f->read | f->write | f->exec));
	return (spte & (f->read | f->exec)) && (spte & f->always) == f->always &&
	       (!(spte & f->write) || (spte & f->read));
}

static bool is_legal_leaf(const struct spte_format *f, uint64_t spte, unsigned level)
{
	uint64_t fixed = f->leaf & ~(f->read | f->user | f->exec);

	return level <= f->max_level && !(spte & ~SPTE_ADDRESS & ~leaf_bits(f, level)) &&
	       (spte & fixed) == fixed && has_legal_rights(f, spte, level) &&
	       IS_ALIGNED(spte_address(spte).v, spte_pages(level) << PAGE_SHIFT) &&
	       spte_props_are_legal(leaf_props(f, spte));
}

/* The CPU sets the accessed bit where there is one. */
static bool is_legal_table(const struct spte_format *f, uint64_t spte, unsigned level)
{
	uint64_t bits = spte_table_bits(f, level);

	return ((spte & ~SPTE_ADDRESS) | (bits & f->accessed)) == bits;
}

bool spte_is_legal(const struct spte_format *f, uint64_t spte, unsigned level)
{
	if (spte_is_table(f, spte, level))
		return is_legal_table(f, spte, level);
	if (spte_is_present(spte))
		return is_legal_leaf(f, spte, level);
	return !spte || spte_is_frozen(spte) || (level == 1 && spte_is_mmio(f, spte));
}
