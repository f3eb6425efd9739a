/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Shadow page-table entries (sptes): what hardware walks on behalf of a guest, in the NPT format
 * (the CPU's own long-mode format) or the EPT format, with the software bits of the MMU.
 *
 * Layout. Bits that both formats leave to software are used for the same purpose in both:
 *
 *	 62..52          51..12          11          10..0
 *	 software        frame           MMU_PRESENT hardware
 *
 *	bit 11	SPTE_MMU_PRESENT: the entry leads somewhere, to a page or to a table. Neither
 *		format's hardware bits can say so for all entries: an access-tracked one has none
 *		of them, and an MMIO entry has some without leading anywhere.
 *	bit 52	SPTE_HOST_WRITABLE: the slot lets the guest write this frame. Fixed while the
 *		entry is present.
 *	bit 53	SPTE_MMU_WRITABLE: no reason of the MMU's own (a shadowed guest page table) forbids
 *		writing. Both set and W clear: the entry is only write-protected to see the next
 *		write, and one compare-and-swap may set W again, without a lock (P2).
 *	54-56	SPTE_SAVED_ACCESS: while the hardware has no accessed bits and the entry is access-
 *		tracked, its R (54) and X (56) bits wait here and hardware sees not-present.
 *	bit 57	SPTE_FROZEN: somebody is taking this entry away; wait, do not touch (P12).
 *
 * MMIO entries: hardware always faults on them in a way of its own (a reserved bit, or an EPT
 * misconfiguration), and the fault handler finds in them what it needs to know: the gfn, the
 * access, and 19 bits of the generation of the slots they were made from (P6):
 *
 *	bits 3-10: generation 7..0	12-50: gfn	52-62: generation 18..8
 *
 * Legal combinations. present = MMU_PRESENT; R stands for any right in hardware.
 *
 *	what            present  R  W  HOST_W  MMU_W  SAVED  MMIO  FROZEN
 *	empty              -     -  -    -       -      -     -      -
 *	frozen             -     -  -    -       -      -     -      x
 *	MMIO               -     x  ?    -       -      -     x      -
 *	table              x     x  x    -       -      -     -      -
 *	leaf, read-only    x     x  -    -       -      -     -      -
 *	leaf, shadowed     x     x  -    x       -      -     -      -
 *	leaf, protected    x     x  -    x       x      -     -      -
 *	leaf, writable     x     x  x    x       x      -     -      -
 *	leaf, tracked      x     -  -    ?       ?      x     -      -
 */
#ifndef MM_SPTE_H
#define MM_SPTE_H

#include <assert.h>
#include <stdatomic.h>

#include "lib/bits.h"
#include "lib/types.h"

typedef _Atomic uint64_t spte_t;

#define SPTE_MMU_PRESENT   BIT_ULL(11)
#define SPTE_HOST_WRITABLE BIT_ULL(52)
#define SPTE_MMU_WRITABLE  BIT_ULL(53)
#define SPTE_SAVED_SHIFT   54
#define SPTE_SAVED_ACCESS  (BIT_ULL(54) | BIT_ULL(56))
#define SPTE_FROZEN	   BIT_ULL(57)
#define SPTE_ADDRESS	   GENMASK_ULL(51, 12)

#define SPTE_WRITABLE_BITS (SPTE_HOST_WRITABLE | SPTE_MMU_WRITABLE)
#define SPTE_SOFTWARE                                                                              \
	(SPTE_MMU_PRESENT | SPTE_WRITABLE_BITS | SPTE_SAVED_ACCESS | SPTE_FROZEN)

/* NPT: APM volume 2, 5.4 and 15.25.5. Nested accesses are user accesses. */
#define NPT_P	 BIT_ULL(0)
#define NPT_W	 BIT_ULL(1)
#define NPT_U	 BIT_ULL(2)
#define NPT_A	 BIT_ULL(5)
#define NPT_D	 BIT_ULL(6)
#define NPT_PS	 BIT_ULL(7)
#define NPT_NX	 BIT_ULL(63)
#define NPT_BITS (NPT_P | NPT_W | NPT_U | NPT_A | NPT_D | NPT_PS | NPT_NX)

/* EPT: SDM volume 3, 28.3.2. */
#define EPT_R	 BIT_ULL(0)
#define EPT_W	 BIT_ULL(1)
#define EPT_X	 BIT_ULL(2)
#define EPT_WB	 (6ull << 3) /* memory type, leaves only */
#define EPT_TYPE GENMASK_ULL(5, 3)
#define EPT_PS	 BIT_ULL(7)
#define EPT_A	 BIT_ULL(8)
#define EPT_D	 BIT_ULL(9)
#define EPT_BITS (EPT_R | EPT_W | EPT_X | EPT_TYPE | EPT_PS | EPT_A | EPT_D)

static_assert(!(SPTE_SOFTWARE & SPTE_ADDRESS), "software bits inside the address");
static_assert(!(SPTE_SOFTWARE & NPT_BITS), "software bits that NPT hardware reads");
static_assert(!(SPTE_SOFTWARE & EPT_BITS), "software bits that EPT hardware reads");
static_assert(!(SPTE_FROZEN & (SPTE_WRITABLE_BITS | SPTE_SAVED_ACCESS)), "frozen is its own bit");
static_assert((SPTE_SAVED_ACCESS >> SPTE_SAVED_SHIFT) == (EPT_R | EPT_X), "what is saved");

#define SPTE_MMIO_GEN_LOW   GENMASK_ULL(10, 3)
#define SPTE_MMIO_GEN_HIGH  GENMASK_ULL(62, 52)
#define SPTE_MMIO_GFN	    GENMASK_ULL(50, 12)
#define SPTE_MMIO_GEN_BITS  19
#define SPTE_MMIO_GEN_MASK  GENMASK_ULL(SPTE_MMIO_GEN_BITS - 1, 0)
#define SPTE_MMIO_RSVD	    BIT_ULL(51)

static_assert(!((SPTE_MMIO_GEN_LOW | SPTE_MMIO_GEN_HIGH) & SPTE_MMU_PRESENT), "MMIO is not present");
static_assert(!((SPTE_MMIO_GEN_LOW | SPTE_MMIO_GEN_HIGH) & (7 | SPTE_MMIO_GFN)), "MMIO fields");

#define SPTE_LEVELS  4 /* of the two-dimensional tables; level 1 maps 4K */
#define SPTE_ENTRIES 512

/* A format: masks, 0 where the hardware has no such bit. Constant. */
struct spte_format {
	const char *name;
	uint64_t read;	   /* any of read | write | exec set: hardware walks on */
	uint64_t write;
	uint64_t exec;	   /* EPT: set to allow */
	uint64_t nx;	   /* NPT: set to forbid */
	uint64_t accessed;
	uint64_t dirty;
	uint64_t large;	   /* a leaf above level 1 */
	uint64_t leaf;	   /* in each leaf: read-only, executable, normal memory */
	uint64_t table;	   /* in each entry that leads to a table */
	uint64_t mmio;	   /* in each MMIO entry ... */
	uint64_t mmio_mask; /* ... and what of it tells one from any other entry; 0: no MMIO entries */
	unsigned max_level; /* of a leaf: 2 or 3 */
};

/*
 * The format for this machine. `phys_bits`: the physical address width, 32-52 (with 52 NPT has
 * no reserved address bit left, and MMIO accesses fault as not present).
 */
void spte_format_npt(struct spte_format *f, unsigned phys_bits, bool has_1g);
void spte_format_ept(struct spte_format *f, bool has_ad, bool has_1g);

static inline bool spte_is_present(uint64_t spte)
{
	return spte & SPTE_MMU_PRESENT;
}

/* MMIO entries may have this bit in their generation, so the whole word is compared. */
static inline bool spte_is_frozen(uint64_t spte)
{
	return spte == SPTE_FROZEN;
}

static inline bool spte_is_mmio(const struct spte_format *f, uint64_t spte)
{
	return f->mmio_mask && (spte & (f->mmio_mask | SPTE_MMU_PRESENT)) == f->mmio;
}

static inline bool spte_is_leaf(const struct spte_format *f, uint64_t spte, unsigned level)
{
	return level == 1 || (spte & f->large);
}

static inline hpa_t spte_address(uint64_t spte)
{
	return HPA(spte & SPTE_ADDRESS);
}

/* May one compare-and-swap set W (P2)? */
static inline bool spte_may_set_writable(uint64_t spte)
{
	return (spte & SPTE_WRITABLE_BITS) == SPTE_WRITABLE_BITS;
}

/* 4K frames that an entry of this level spans. */
static inline uint64_t spte_pages(unsigned level)
{
	return 1ull << (9 * (level - 1));
}

static inline unsigned spte_index(gfn_t gfn, unsigned level)
{
	return (gfn.v >> (9 * (level - 1))) & (SPTE_ENTRIES - 1);
}

/* The MMIO entry for `gfn`, made from slots of `generation` (without the in-progress bit). */
uint64_t spte_make_mmio(const struct spte_format *f, gfn_t gfn, uint64_t generation);
uint64_t spte_mmio_generation(uint64_t spte);
gfn_t spte_mmio_gfn(uint64_t spte);

/* Is this one of the combinations of the table above? For assertions and tests. */
bool spte_is_legal(const struct spte_format *f, uint64_t spte, unsigned level);

#endif
