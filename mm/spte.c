/* SPDX-License-Identifier: BSD-2-Clause */
/* The two entry formats, MMIO entries, and the truth table of mm/spte.h. */
#include "mm/spte.h"

void spte_format_npt(struct spte_format *f, unsigned phys_bits, bool has_1g)
{
	*f = (struct spte_format){
		.name = "NPT",
		.read = NPT_P,
		.write = NPT_W,
		.nx = NPT_NX,
		.accessed = NPT_A,
		.dirty = NPT_D,
		.large = NPT_PS,
		.leaf = NPT_P | NPT_U,
		.table = NPT_P | NPT_W | NPT_U | NPT_A | SPTE_MMU_PRESENT,
		.max_level = has_1g ? 3 : 2,
	};
	if (phys_bits < 52) {
		f->mmio = NPT_P | NPT_W | NPT_U | SPTE_MMIO_RSVD;
		f->mmio_mask = f->mmio;
	}
}

/* Write and execute without read is a misconfiguration that no CPU gives a meaning to. */
void spte_format_ept(struct spte_format *f, bool has_ad, bool has_1g)
{
	*f = (struct spte_format){
		.name = "EPT",
		.read = EPT_R,
		.write = EPT_W,
		.exec = EPT_X,
		.accessed = has_ad ? EPT_A : 0,
		.dirty = has_ad ? EPT_D : 0,
		.large = EPT_PS,
		.leaf = EPT_R | EPT_X | EPT_WB,
		.table = EPT_R | EPT_W | EPT_X | (has_ad ? EPT_A : 0) | SPTE_MMU_PRESENT,
		.mmio = EPT_W | EPT_X,
		.mmio_mask = EPT_R | EPT_W | EPT_X,
		.max_level = has_1g ? 3 : 2,
	};
}

uint64_t spte_make_mmio(const struct spte_format *f, gfn_t gfn, uint64_t generation)
{
	return f->mmio | FIELD_PREP(SPTE_MMIO_GFN, gfn.v) |
	       FIELD_PREP(SPTE_MMIO_GEN_LOW, generation & 0xff) |
	       FIELD_PREP(SPTE_MMIO_GEN_HIGH, (generation & SPTE_MMIO_GEN_MASK) >> 8);
}

uint64_t spte_mmio_generation(uint64_t spte)
{
	return FIELD_GET(SPTE_MMIO_GEN_HIGH, spte) << 8 | FIELD_GET(SPTE_MMIO_GEN_LOW, spte);
}

gfn_t spte_mmio_gfn(uint64_t spte)
{
	return GFN(FIELD_GET(SPTE_MMIO_GFN, spte));
}

static bool is_legal_leaf(const struct spte_format *f, uint64_t spte)
{
	bool host = spte & SPTE_HOST_WRITABLE, mmu = spte & SPTE_MMU_WRITABLE;

	if (mmu && !host)
		return false;
	if (spte & SPTE_SAVED_ACCESS) /* tracked: only where hardware has no accessed bit */
		return !f->accessed && !(spte & (f->read | f->write | f->exec));
	if (!(spte & f->read) || (spte & SPTE_FROZEN))
		return false;
	return !(spte & f->write) || (host && mmu);
}

bool spte_is_legal(const struct spte_format *f, uint64_t spte, unsigned level)
{
	if (spte_is_present(spte)) {
		if (spte_is_leaf(f, spte, level))
			return level <= f->max_level && is_legal_leaf(f, spte);
		return (spte & ~SPTE_ADDRESS & ~f->accessed) == (f->table & ~f->accessed);
	}
	return spte == 0 || spte == SPTE_FROZEN || (level == 1 && spte_is_mmio(f, spte));
}
