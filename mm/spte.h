/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Shadow page-table entries (sptes): the entries that hardware walks on behalf of a guest, with
 * the software bits of the MMU. Both engines use them. Every bit that is added is explained here.
 *
 * There are three formats. EPT has its own. Nested paging (NPT) has the entries of AMD's long mode,
 * all with the user bit, because nested accesses are user accesses. Shadow paging (legacy) has the
 * same entries, in trees of three shapes (PAE, 4 and 5 levels); there the user bit is a right.
 *
 * Layout. A bit that software may have means the same in all formats:
 *
 *	EPT		63        62..57  56  55  54  53  52  51..12  11  10..0
 *			hardware  unused  X       R   MW  HW  frame   MP  hardware
 *	NPT, legacy	63        62..52                      51..12  11  10  9   8..0
 *			NX        unused                      frame   MP  MW  HW  hardware
 *
 *	MP	SPTE_MMU_PRESENT: the entry leads somewhere, to a page or to a table. No bit of
 *		the hardware's can say so: an access-tracked entry has none of them set, and an
 *		MMIO entry has some without leading anywhere.
 *	HW	host_writable: the slot lets the guest write this frame. Fixed while the entry is
 *		present.
 *	MW	mmu_writable: nothing else forbids writing, neither the guest's own tables nor that
 *		the frame is itself a guest page table that is shadowed. With both set and W clear
 *		the entry is write-protected only to see the next write, and one
 *		compare-and-swap may set W again without a lock (P2).
 *	R, X	SPTE_SAVED_ACCESS: rights of an access-tracked entry (spte_aged()), kept while
 *		hardware sees not-present; W (55) is never kept: a write has to prove itself. EPT
 *		only: the other formats always have an accessed bit.
 *	bit 57	SPTE_FROZEN, in an entry that has nothing else: the old entry is being removed and
 *		TLBs are not flushed yet. Do not change it; fault again (P12).
 *
 * Why HW and MW have two places: PAE paging reserves bits 62:52 of present entries (SDM volume 3,
 * table 4-11; APM volume 2, 5.2.3), and EPT gives 9 and 10 to the dirty bit and to execute
 * control. Only bit 11 is free in both. NPT goes with legacy.
 *
 * Bits 57-62 are unused in present entries: EPT gives 57, 58, 60 and 61 to features that Umbra
 * does not switch on, the other formats give 59-62 to protection keys (SDM volume 3, 4.6.2 and
 * 28.3.2; APM volume 2, 5.6.6).
 *
 * Never set in the legacy format: the global bit, because a translation with it outlives the load
 * of another root, which may map the address otherwise; PAT, PWT and PCD, because all memory is
 * write-back.
 *
 * The root of PAE paging has four entries, which the CPU loads into registers. Bits 63:52, 8:5 and
 * 2:1 are reserved in them (SDM volume 3, table 4-8): they have a frame and no rights to take.
 *
 * MMIO entries: hardware faults on them in a way of its own (a reserved bit, or an EPT
 * misconfiguration). They hold the gfn, the access, and 19 bits of the generation of the slots they
 * were made from (P6). ept/ asks the slots instead and does not read these fields back:
 *
 *	63  62..52        51        50..12         11  10..3        2..0
 *	-   gen 18..8     reserved  gfn, inverted  -   gen 7..0     format's pattern and access
 *
 * The gfn is inverted because of L1TF: some CPUs use the address bits of an entry that faults for a
 * speculative load from the L1 cache. Inverted, they point to the upper half of the physical
 * address space, where there is no memory; a gfn that would point to the lower half is not cached.
 *
 * Legal combinations. x set, - clear, ? either:
 *
 *	what             present  W  host-W  MMU-W  user  accessed  dirty  tracked  MMIO  frozen
 *	empty               -     -    -       -     -       -        -       -      -      -
 *	frozen              -     -    -       -     -       -        -       -      -      x
 *	MMIO                -     -    -       -     -       -        -       -      x      -
 *	read-only           x     -    -       -     ?       ?        -       -      -      -
 *	shadowed table      x     -    x       -     ?       ?        -       -      -      -
 *	write-protected     x     -    x       x     ?       ?        -       -      -      -
 *	writable            x     x    x       x     ?       ?        ?       -      -      -
 *	tracked, read-only  x     -    -       -     -       -        -       x      -      -
 *	tracked             x     -    x       ?     -       -        -       x      -      -
 *
 * Why not the others: W needs both permissions. MMU-W without host-W would let the lock-free path
 * make a page of a read-only slot writable. Dirty without W: whenever W is taken, the dirty bit is
 * taken too (and the page is logged), because the next write would find the dirty bit set and go
 * unseen. Besides, W=0 D=1 is a shadow-stack page on CPUs that have them. Tracked is a substitute
 * for the accessed bit, so it excludes it, and its W is never kept; no format has both tracking and
 * user as a right. An MMIO entry's other bits are its own fields and say none of this. User goes
 * with everything: with CR0.WP clear, a read-only user page of the guest is mapped as user and
 * read-only for user mode, and as supervisor and writable for supervisor mode.
 */
#ifndef MM_SPTE_H
#define MM_SPTE_H

#include <assert.h>
#include <stdatomic.h>

#include "lib/bits.h"
#include "lib/types.h"
#include "mm/slots.h"

typedef _Atomic uint64_t spte_t;

#define SPTE_MMU_PRESENT  BIT_ULL(11)
#define SPTE_SAVED_SHIFT  54
#define SPTE_SAVED_ACCESS (BIT_ULL(54) | BIT_ULL(56))
#define SPTE_FROZEN       BIT_ULL(57) /* the whole entry */
#define SPTE_ADDRESS      GENMASK_ULL(51, 12)

/* NPT and legacy: APM volume 2, 5.3, 5.4 and 15.25.5; SDM volume 3, 4.4 and 4.5. */
#define NPT_HOST_WRITABLE BIT_ULL(9)
#define NPT_MMU_WRITABLE  BIT_ULL(10)
#define NPT_SOFTWARE      (SPTE_MMU_PRESENT | NPT_HOST_WRITABLE | NPT_MMU_WRITABLE)

#define NPT_P    BIT_ULL(0)
#define NPT_W    BIT_ULL(1)
#define NPT_U    BIT_ULL(2)
#define NPT_PWT  BIT_ULL(3)
#define NPT_PCD  BIT_ULL(4)
#define NPT_A    BIT_ULL(5)
#define NPT_D    BIT_ULL(6)
#define NPT_PS   BIT_ULL(7) /* PAT in level 1: never set */
#define NPT_G    BIT_ULL(8)
#define NPT_MPK  GENMASK_ULL(62, 59)
#define NPT_NX   BIT_ULL(63)
#define NPT_BITS (GENMASK_ULL(8, 0) | NPT_MPK | NPT_NX)

#define PAE_RESERVED   GENMASK_ULL(62, 52)
#define PDPTE_RESERVED (GENMASK_ULL(63, 52) | GENMASK_ULL(8, 5) | GENMASK_ULL(2, 1))

/* EPT: SDM volume 3, 28.3.2 */
#define EPT_HOST_WRITABLE BIT_ULL(52)
#define EPT_MMU_WRITABLE  BIT_ULL(53)
#define EPT_SOFTWARE      (SPTE_MMU_PRESENT | EPT_HOST_WRITABLE | EPT_MMU_WRITABLE | SPTE_SAVED_ACCESS)

#define EPT_R       BIT_ULL(0)
#define EPT_W       BIT_ULL(1)
#define EPT_X       BIT_ULL(2)
#define EPT_TYPE    GENMASK_ULL(5, 3) /* memory type, leaves only */
#define EPT_WB      FIELD_PREP(EPT_TYPE, 6)
#define EPT_IPAT    BIT_ULL(6) /* the guest's PAT does not matter, leaves only */
#define EPT_PS      BIT_ULL(7)
#define EPT_A       BIT_ULL(8)
#define EPT_D       BIT_ULL(9)
#define EPT_XU      BIT_ULL(10) /* mode-based execute control */
#define EPT_SPECIAL (BIT_ULL(57) | BIT_ULL(58) | BIT_ULL(60) | BIT_ULL(61))
#define EPT_VE      BIT_ULL(63) /* suppress #VE */
#define EPT_BITS    (GENMASK_ULL(10, 0) | EPT_SPECIAL | EPT_VE)

static_assert(!((NPT_SOFTWARE | EPT_SOFTWARE) & SPTE_ADDRESS), "software bits in the address");
static_assert(!(NPT_SOFTWARE & (NPT_BITS | PAE_RESERVED)), "software bits that NPT or PAE reads");
static_assert(!(EPT_SOFTWARE & EPT_BITS), "software bits that EPT hardware reads");
static_assert(!(SPTE_MMU_PRESENT & (NPT_HOST_WRITABLE | EPT_HOST_WRITABLE)),
	      "one bit, one meaning");
static_assert(!(SPTE_MMU_PRESENT & (NPT_MMU_WRITABLE | EPT_MMU_WRITABLE)), "one bit, one meaning");
static_assert(!(SPTE_SAVED_ACCESS & (SPTE_MMU_PRESENT | EPT_HOST_WRITABLE | EPT_MMU_WRITABLE)),
	      "one bit, one meaning");
static_assert(!((NPT_P | SPTE_MMU_PRESENT) & PDPTE_RESERVED), "what a PDPTE has");
static_assert((SPTE_SAVED_ACCESS >> SPTE_SAVED_SHIFT) == (EPT_R | EPT_X), "R and X are kept");
static_assert(!(SPTE_FROZEN & (NPT_SOFTWARE | EPT_SOFTWARE)), "frozen has nothing else");
static_assert(!(SPTE_FROZEN & SPTE_ADDRESS), "frozen leads nowhere (L1TF)");
static_assert(!(SPTE_FROZEN & (NPT_P | EPT_R | EPT_W | EPT_X)), "frozen is not present");

#define SPTE_MMIO_GEN_LOW  GENMASK_ULL(10, 3)
#define SPTE_MMIO_GEN_HIGH GENMASK_ULL(62, 52)
#define SPTE_MMIO_GFN      GENMASK_ULL(50, 12)
#define SPTE_MMIO_RSVD     BIT_ULL(51)
#define SPTE_MMIO_GEN_BITS 19
#define SPTE_MMIO_GEN_MASK GENMASK_ULL(SPTE_MMIO_GEN_BITS - 1, 0)

static_assert(!((SPTE_MMIO_GEN_LOW | SPTE_MMIO_GEN_HIGH) & SPTE_MMU_PRESENT), "never present");
static_assert(!((SPTE_MMIO_GEN_LOW | SPTE_MMIO_GEN_HIGH) & SPTE_ADDRESS), "MMIO fields overlap");
static_assert(!((SPTE_MMIO_GEN_LOW | SPTE_MMIO_GEN_HIGH | SPTE_MMIO_GFN) &
		(NPT_P | NPT_W | NPT_U | NPT_NX | SPTE_MMIO_RSVD)),
	      "MMIO fields in the pattern");
static_assert(SPTE_MMIO_GEN_LOW >> 3 == 0xff && SPTE_MMIO_GEN_HIGH >> 52 == 0x7ff, "19 bits");

#define SPTE_ENTRIES     512 /* of a table, but for the root of PAE */
#define SPTE_PAE_ENTRIES 4

/*
 * A format: masks, 0 where the hardware has no such bit, and the shape of a tree. Level 1 maps 4K.
 * Trees of different shape have the same entries below their roots. Constant once the guests run.
 */
struct spte_format {
	const char *name;
	uint64_t read; /* cleared: no access at all (NPT, legacy), or no reads (EPT) */
	uint64_t write;
	uint64_t user;       /* legacy: set to allow user mode */
	uint64_t supervisor; /* legacy: the same bit, if it forbids something to supervisor mode */
	uint64_t exec;       /* EPT: set to allow */
	uint64_t nx;         /* NPT, legacy: set to forbid; 0: this CPU cannot */
	uint64_t always;     /* rights that no present leaf may lack, unless it is tracked */
	uint64_t accessed;
	uint64_t dirty;
	uint64_t host_writable; /* software bits, see above */
	uint64_t mmu_writable;
	uint64_t may_write;    /* both: one compare-and-swap may set W (P2) */
	uint64_t log;          /* a 4K leaf without these has its next write noted (P8) ... */
	uint64_t logged;       /* ... and may be mapped with these: W, if that is not one of them */
	uint64_t large;        /* a leaf above level 1 */
	uint64_t leaf;         /* in each 4K leaf, if it may all but be written; normal memory */
	uint64_t large_leaf;   /* the same, above level 1; executable unless ... */
	uint32_t small_access; /* ... accesses of these kinds (PFERR_*) need 4K leaves */
	uint64_t table;        /* in each entry that leads to a table, but ... */
	uint64_t root;         /* ... in those of the root */
	uint64_t mmio;         /* in each MMIO entry ... */
	uint64_t mmio_mask;    /* ... the bits that tell one; 0: this CPU has no MMIO entries */
	uint64_t mmio_access;  /* rights of the access that MMIO entries have room for */
	gfn_t mmio_end;        /* gfns from here on are not put into MMIO entries (L1TF) */
	unsigned max_level;    /* of a leaf: 2 or 3 */
	unsigned root_level;   /* of the root: 3 (PAE), 4 or 5 */
	unsigned root_entries; /* SPTE_PAE_ENTRIES or SPTE_ENTRIES */
};

/*
 * The formats for this machine. `phys_bits`: width of physical addresses, 32-52. With 52 no address
 * bit is reserved, so that NPT and legacy have no MMIO entries: their faults look like any other.
 */
void spte_format_npt(struct spte_format *f, unsigned phys_bits, bool has_1g);

struct legacy_features {
	bool has_nx;
	bool has_1g;        /* not with PAE */
	bool has_smep_smap; /* either: supervisor mode may be kept out of the user's pages */
};

/*
 * `root_level`: 3, and hardware runs with CR4.PAE outside long mode, its root below 4 GiB; 4; or 5,
 * with CR4.LA57. In all of them it runs with CR0.WP, and with EFER.NXE if it has NX.
 */
void spte_format_legacy(struct spte_format *f, unsigned phys_bits, unsigned root_level,
			struct legacy_features features);

struct ept_features {
	bool has_ad, has_1g;
	bool has_exec_only; /* X without R is valid */
	bool logs_writes;   /* the CPU notes the pages whose dirty bits it sets; with has_ad only */
};
void spte_format_ept(struct spte_format *f, unsigned phys_bits, struct ept_features features);

/*
 * Only 4K leaves may be executed from now on: for CPUs that raise a machine check when an
 * instruction is fetched through two sizes of a page (ERRATUM_LARGE_FETCH of arch/x86/errata.h).
 * Right after the format was filled, which must have a bit to refuse execution.
 */
void spte_format_fetch_small(struct spte_format *f);

/* --- access: every one states its order --- */

static inline uint64_t spte_load(spte_t *e)
{
	/* Acquire: pairs with the release of spte_cas(): a table is filled before it is linked. */
	return atomic_load_explicit(e, memory_order_acquire);
}

/* Replace *old by `next` in one step. False: *old is now what was there. */
static inline bool spte_cas(spte_t *e, uint64_t *old, uint64_t next)
{
	/* Release: pairs with spte_load(). Acquire on failure: *old may lead to a table. */
	return atomic_compare_exchange_strong_explicit(e, old, next, memory_order_acq_rel,
						       memory_order_acquire);
}

/* Take out what hardware and fault handlers may be changing: nothing they set gets lost. */
static inline uint64_t spte_exchange(spte_t *e, uint64_t next)
{
	/* Acquire: the old entry may lead to a table. Release: pairs with spte_load(). */
	return atomic_exchange_explicit(e, next, memory_order_acq_rel);
}

/* Only into an entry that nobody else changes: one that is frozen, or in an unlinked table. */
static inline void spte_store(spte_t *e, uint64_t next)
{
	/* Release: pairs with spte_load(): after a thaw the flush is over. */
	atomic_store_explicit(e, next, memory_order_release);
}

/* --- what an entry is --- */

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

/* Of a present entry. */
static inline bool spte_is_leaf(const struct spte_format *f, uint64_t spte, unsigned level)
{
	return level == 1 || (spte & f->large);
}

static inline bool spte_is_table(const struct spte_format *f, uint64_t spte, unsigned level)
{
	return level > 1 && (spte & (SPTE_MMU_PRESENT | f->large)) == SPTE_MMU_PRESENT;
}

/* Of a present leaf. */
static inline bool spte_is_tracked(uint64_t spte)
{
	return spte & SPTE_SAVED_ACCESS;
}

static inline hpa_t spte_address(uint64_t spte)
{
	return HPA(spte & SPTE_ADDRESS);
}

static inline bool spte_may_set_writable(const struct spte_format *f, uint64_t spte)
{
	return !(~spte & f->may_write);
}

/* What an entry of this level that leads to a table has besides the table's address. */
static inline uint64_t spte_table_bits(const struct spte_format *f, unsigned level)
{
	return level == f->root_level ? f->root : f->table;
}

/* 4K frames that an entry of this level spans. */
static inline uint64_t spte_pages(unsigned level)
{
	return 1ull << (9 * (level - 1));
}

/* 4K frames that a tree spans, from 0 on. */
static inline uint64_t spte_tree_pages(const struct spte_format *f)
{
	return f->root_entries * spte_pages(f->root_level);
}

static inline unsigned spte_index(gfn_t gfn, unsigned level)
{
	return (gfn.v >> (9 * (level - 1))) & (SPTE_ENTRIES - 1);
}

/* --- changes of a present leaf --- */

/* Write-protect: takes W, and the dirty bit with it. */
static inline uint64_t spte_protected(const struct spte_format *f, uint64_t spte)
{
	return spte & ~(f->write | f->dirty);
}

/*
 * Have the next write logged: by the fault that it takes on a leaf without W, or by the CPU, in a
 * format whose dirty bits the CPU logs. The CPU logs one 4K page for each dirty bit. So a large
 * page loses W in any case: it has to be split first.
 */
static inline uint64_t spte_logged(const struct spte_format *f, uint64_t spte, unsigned level)
{
	return level == 1 ? spte & ~f->log : spte_protected(f, spte);
}

/* Does the CPU itself note the first write to a page? */
static inline bool spte_hardware_logs(const struct spte_format *f)
{
	return f->logged;
}

/*
 * Start to watch for the next access: clear the accessed bit, or all rights where hardware has no
 * accessed bit. The caller does not need to flush: a cached translation only hides an access.
 */
uint64_t spte_aged(const struct spte_format *f, uint64_t spte);

/* The other way: an access-tracked leaf gets R and X back, others are returned as they are. */
static inline uint64_t spte_restored(uint64_t spte)
{
	uint64_t saved = spte & SPTE_SAVED_ACCESS;

	return (spte & ~saved) | saved >> SPTE_SAVED_SHIFT;
}

/*
 * Does replacing the leaf or table entry `old` by `next` leave something in TLBs that must be
 * flushed? This is decided here only. A flush is due when the entry leads to another place or
 * loses a right. For writing, mmu_writable counts and not W, because spte_aged() may have taken W
 * a moment ago without a flush (P2, race 3). A dirty bit that is cleared counts as well: a CPU
 * that has seen it set does not look again before it writes (SDM volume 3, 4.8 and 28.3.5). A
 * right that is given needs no flush: a CPU that lacks it faults, which drops the cached entry
 * (SDM volume 3, 4.10.4.3). The user bit takes a right when it is cleared, and, on CPUs with SMEP
 * or SMAP, when it is set.
 */
bool spte_flush_is_due(const struct spte_format *f, uint64_t old, uint64_t next);

/* --- MMIO entries --- */

/*
 * Can an entry cache the fact that `gfn` is no memory, which was found in slots of `generation`?
 * Not during a change of slots. Never with a generation whose 19 bits are all ones: the engine
 * drops every entry while that generation lasts, so that no old entry is left when the 19 bits
 * come round.
 */
static inline bool spte_may_cache_mmio(const struct spte_format *f, gfn_t gfn, uint64_t generation)
{
	return f->mmio_mask && gfn.v < f->mmio_end.v && !(generation & SLOTS_GEN_IN_PROGRESS) &&
	       (generation & SPTE_MMIO_GEN_MASK) != SPTE_MMIO_GEN_MASK;
}

/* Has the caller (slot_commit) to drop all MMIO entries now? */
static inline bool spte_mmio_must_drop(uint64_t generation)
{
	return (generation & SPTE_MMIO_GEN_MASK) == SPTE_MMIO_GEN_MASK;
}

/* spte_may_cache_mmio() has said yes. `access`: rights as bits of the format, see mmio_access. */
uint64_t spte_make_mmio(const struct spte_format *f, gfn_t gfn, uint64_t access,
			uint64_t generation);

static inline uint64_t spte_mmio_generation(uint64_t spte)
{
	return FIELD_GET(SPTE_MMIO_GEN_HIGH, spte) << 8 | FIELD_GET(SPTE_MMIO_GEN_LOW, spte);
}

static inline gfn_t spte_mmio_gfn(uint64_t spte)
{
	return GFN(FIELD_GET(SPTE_MMIO_GFN, ~spte));
}

static inline uint64_t spte_mmio_access(const struct spte_format *f, uint64_t spte)
{
	return spte & f->mmio_access;
}

/* Is the fact in this MMIO entry still true for slots of `generation`? */
static inline bool spte_mmio_is_fresh(uint64_t spte, uint64_t generation)
{
	return !(generation & SLOTS_GEN_IN_PROGRESS) &&
	       spte_mmio_generation(spte) == (generation & SPTE_MMIO_GEN_MASK);
}

/* --- the truth table --- */

enum spte_prop {
	SP_PRESENT = 1 << 0,
	SP_WRITABLE = 1 << 1,
	SP_HOST_WRITABLE = 1 << 2,
	SP_MMU_WRITABLE = 1 << 3,
	SP_ACCESSED = 1 << 4,
	SP_DIRTY = 1 << 5,
	SP_TRACKED = 1 << 6,
	SP_MMIO = 1 << 7,
	SP_FROZEN = 1 << 8,
	SP_USER = 1 << 9,
	SP_ALL = (1 << 10) - 1,
};

/* The properties of a leaf or of an entry that is not present. */
unsigned spte_props(const struct spte_format *f, uint64_t spte);

/* Is this a row of the table above? */
bool spte_props_are_legal(unsigned props);

/* Is this entry one that the MMU makes, bit for bit? For assertions and tests. */
bool spte_is_legal(const struct spte_format *f, uint64_t spte, unsigned level);

#endif
