/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The test of XSAVE. One round loads registers with a known pattern, saves them by the instruction
 * that is tried, loads another pattern, takes back what was saved, and looks at all registers and
 * at the area that was between. All components that a round has in their initial state, or leaves
 * out of the instruction's mask, are to come out as such.
 *
 * XRSTOR and XSAVE in the standard format carry the patterns, so they are tried first, for one
 * group of components after the other. The compacted format of XSAVEC and XSAVES depends on which
 * components the mask has: hence the rounds with many masks.
 */
#include "arch/x86/xstate.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>

#include "arch/x86/cpu.h"
#include "arch/x86/cpuid_bits.h"
#include "arch/x86/msr_safe.h"
#include "arch/x86/regs.h"
#include "arch/x86/xstate_insn.h"
#include "lib/bits.h"
#include "lib/log.h"

#define XSAVE_LEAF 0xd

/* The legacy region and the header: SDM volume 1, 13.4.1 and 13.4.2. */
#define LEGACY_MXCSR   24
#define LEGACY_ST      32
#define LEGACY_XMM     160
#define HEADER         512
#define HEADER_SIZE    64
#define FIRST_EXTENDED (HEADER + HEADER_SIZE)
#define COMPACTED      BIT_ULL(63)

#define FCW_INIT   0x37f
#define MXCSR_INIT 0x1f80

/* Up to PKRU: no component that is used has a higher number. */
#define NR_COMPONENTS 10
#define AREA_SIZE     2752
#define AVX512        (XCR0_OPMASK | XCR0_ZMM_HI256 | XCR0_HI16_ZMM)

/* What is believed or not. */
enum item {
	XSAVE,
	AVX_STATE,
	AVX512_STATE,
	PKRU_STATE,
	OPT,
	COMPACT,
	IN_USE,
	SUPERVISOR,
	NR_ITEMS
};
#define NR_GROUPS OPT

static const struct {
	const char *name, *without;
	uint64_t components; /* of a group */
	uint32_t bit;        /* of an instruction: CPUID leaf 0xd, subleaf 1, EAX */
} items[NR_ITEMS] = {
	[XSAVE] = {"XSAVE", "guests have x87 and SSE only", XCR0_X87 | XCR0_SSE, 0},
	[AVX_STATE] = {"AVX state", "guests have no AVX", XCR0_AVX, 0},
	[AVX512_STATE] = {"AVX-512 state", "guests have no AVX-512", AVX512, 0},
	[PKRU_STATE] = {"PKRU state", "guests have no protection keys", XCR0_PKRU, 0},
	[OPT] = {"XSAVEOPT", "hidden from guests", 0, CPUID_MASK(CPUID_XSAVEOPT)},
	[COMPACT] = {"XSAVEC", "hidden from guests", 0, CPUID_MASK(CPUID_XSAVEC)},
	[IN_USE] = {"XGETBV of 1", "hidden from guests", 0, CPUID_MASK(CPUID_XGETBV_1)},
	[SUPERVISOR] = {"XSAVES", "hidden from guests", 0, CPUID_MASK(CPUID_XSAVES)},
};

/* Ascending: of several CPUs the least holds. */
enum verdict { WRONG_REGISTERS, WRONG_SIZES, ABSENT, TRUSTED };
static _Atomic uint8_t verdicts[NR_ITEMS];
static bool was_told[NR_ITEMS];

/* Where the boot CPU has each component from 2 on, by CPUID. */
struct layout {
	uint32_t size[NR_COMPONENTS], offset[NR_COMPONENTS];
	bool is_aligned[NR_COMPONENTS]; /* to 64 bytes, in the compacted format */
};
static struct layout machine_layout __ro_after_init;
static bool has_layout __ro_after_init;

struct probe {
	struct layout layout; /* of this CPU */
	uint64_t xcr0;
	uint8_t saved[AREA_SIZE] __aligned(64);
	uint8_t image[AREA_SIZE] __aligned(64); /* of all registers, in the standard format */
};

/* ---- sizes ---- */

static bool needs_size(unsigned i, uint64_t components)
{
	return i >= 2 && (components & BIT_ULL(i));
}

static uint32_t standard_size(const struct layout *l, uint64_t components)
{
	uint32_t size = FIRST_EXTENDED;

	for (unsigned i = 0; i < NR_COMPONENTS; i++) {
		if (needs_size(i, components))
			size = max(size, l->offset[i] + l->size[i]);
	}
	return size;
}

/* Where a component is in the compacted format, behind the others in `components`. */
static uint32_t compacted_offset(const struct layout *l, uint64_t components, unsigned component)
{
	uint32_t offset = FIRST_EXTENDED;

	for (unsigned i = 0; i <= component; i++) {
		if (!needs_size(i, components))
			continue;
		if (l->is_aligned[i])
			offset = ALIGN_UP(offset, 64u);
		if (i < component)
			offset += l->size[i];
	}
	return offset;
}

static uint32_t compacted_size(const struct layout *l, uint64_t components)
{
	return compacted_offset(l, components | BIT_ULL(NR_COMPONENTS), NR_COMPONENTS);
}

static void read_layout(struct layout *l)
{
	*l = (struct layout){0};
	for (unsigned i = 2; i < NR_COMPONENTS; i++) {
		struct cpuid id = cpuid_count(XSAVE_LEAF, i);

		l->size[i] = id.eax;
		l->offset[i] = id.ebx;
		l->is_aligned[i] = id.ecx & BIT(1);
	}
}

static bool overlap(const struct layout *l, unsigned i, unsigned j)
{
	return l->offset[i] < l->offset[j] + l->size[j] && l->offset[j] < l->offset[i] + l->size[i];
}

/* Component `i` has a place of its own beside `others`, the same on each CPU. */
static bool has_place(const struct layout *l, unsigned i, uint64_t others)
{
	if (!l->size[i] || l->offset[i] < FIRST_EXTENDED || l->size[i] > AREA_SIZE ||
	    l->offset[i] > AREA_SIZE - l->size[i] || l->size[i] % 8)
		return false;
	for (unsigned j = 2; j < NR_COMPONENTS; j++) {
		if (j != i && needs_size(j, others) && overlap(l, i, j))
			return false;
	}
	return l->size[i] == machine_layout.size[i] && l->offset[i] == machine_layout.offset[i] &&
	       l->is_aligned[i] == machine_layout.is_aligned[i];
}

static bool adds_up(const struct layout *l, uint64_t components)
{
	for (unsigned i = 0; i < NR_COMPONENTS; i++) {
		if (needs_size(i, components) && !has_place(l, i, components))
			return false;
	}
	return true;
}

/* ---- patterns ---- */

enum pattern { INITIAL, FIRST, SECOND };

static uint64_t word_of(enum pattern pattern, unsigned component, unsigned index)
{
	if (pattern == INITIAL)
		return 0;
	return (pattern * 4096 + component * 256 + index + 1) * 0x9e3779b97f4a7c15ull;
}

/* No exception waits: control word, status word (conditions, top of the stack), tags. */
static void fill_x87(uint8_t *area, enum pattern pattern)
{
	static const uint16_t words[][3] = {
		[INITIAL] = {FCW_INIT, 0, 0},
		[FIRST] = {0x27f, 0x4700, 0xff},
		[SECOND] = {0xc7f, 0x1900, 0x5a},
	};

	memcpy(area, words[pattern], sizeof(words[pattern]));
	for (unsigned i = 0; i < 8; i++) {
		uint64_t reg[2] = {word_of(pattern, 0, 2 * i),
				   word_of(pattern, 0, 2 * i + 1) & 0xffff};

		memcpy(area + LEGACY_ST + 16 * i, reg, sizeof(reg));
	}
}

static uint32_t mxcsr_of(enum pattern pattern)
{
	return MXCSR_INIT | pattern << 13; /* the rounding */
}

static void fill_words(uint8_t *to, unsigned component, size_t size, enum pattern pattern)
{
	for (unsigned i = 0; i < size / 8; i++) {
		uint64_t word = word_of(pattern, component, i);

		if (component == 9) /* PKRU has 32 bits */
			word &= UINT32_MAX;
		memcpy(to + 8ul * i, &word, 8);
	}
}

/* An area of the standard format, with `pattern` in the components `used`. */
static void fill_image(struct probe *p, uint64_t used, enum pattern pattern)
{
	uint32_t mxcsr = mxcsr_of(used & XCR0_SSE ? pattern : INITIAL);

	memset(p->image, 0, FIRST_EXTENDED);
	memcpy(p->image + HEADER, &used, sizeof(used));
	memcpy(p->image + LEGACY_MXCSR, &mxcsr, sizeof(mxcsr));
	fill_x87(p->image, pattern);
	fill_words(p->image + LEGACY_XMM, 1, 256, pattern);
	for (unsigned i = 2; i < NR_COMPONENTS; i++) {
		if (used & BIT_ULL(i))
			fill_words(p->image + p->layout.offset[i], i, p->layout.size[i], pattern);
	}
}

/* The reserved bytes, and the pointers to the last instruction, which some CPUs do not keep. */
static bool is_x87(const uint8_t *area, enum pattern pattern)
{
	uint8_t want[LEGACY_XMM];

	fill_x87(want, pattern);
	for (unsigned i = 0; i < 8; i++) {
		if (memcmp(area + LEGACY_ST + 16 * i, want + LEGACY_ST + 16 * i, 10))
			return false;
	}
	return !memcmp(area, want, 5);
}

static bool are_words(const uint8_t *area, unsigned component, size_t size, enum pattern pattern)
{
	uint64_t word, mask = component == 9 ? UINT32_MAX : UINT64_MAX;

	for (unsigned i = 0; i < size / 8; i++) {
		memcpy(&word, area + 8ul * i, 8);
		if ((word ^ word_of(pattern, component, i)) & mask)
			return false;
	}
	return true;
}

static bool is_sse(const uint8_t *area, enum pattern pattern)
{
	uint32_t mxcsr = mxcsr_of(pattern);

	return !memcmp(area + LEGACY_MXCSR, &mxcsr, sizeof(mxcsr)) &&
	       are_words(area + LEGACY_XMM, 1, 256, pattern);
}

/* Does an area have this in a component, which its header calls initial or not? */
static bool has_pattern(const struct probe *p, const uint8_t *area, unsigned i, uint32_t offset,
			enum pattern pattern)
{
	uint64_t in_use;

	memcpy(&in_use, area + HEADER, sizeof(in_use));
	if (!(in_use & BIT_ULL(i)))
		return pattern == INITIAL;
	if (i == 0)
		return is_x87(area, pattern);
	if (i == 1)
		return is_sse(area, pattern);
	return are_words(area + offset, i, p->layout.size[i], pattern);
}

/* ---- rounds ---- */

static bool is_compacted(enum xstate_save how)
{
	return how == XSTATE_XSAVEC || how == XSTATE_XSAVES;
}

/* An area to save to: nothing in it is right yet, but for what the CPU takes for granted. */
static void spoil(uint8_t *area)
{
	memset(area, 0xa5, AREA_SIZE);
	memset(area, 0, LEGACY_ST);
	memset(area + HEADER, 0, HEADER_SIZE);
}

static bool header_is_right(const struct probe *p, enum xstate_save how, uint64_t mask)
{
	uint64_t header[2];

	memcpy(header, p->saved + HEADER, sizeof(header));
	return !(header[0] & ~mask) && header[1] == (is_compacted(how) ? COMPACTED | mask : 0);
}

/* The area between: each component of `mask` at its place. */
static bool was_saved(const struct probe *p, enum xstate_save how, uint64_t used, uint64_t mask)
{
	if (!header_is_right(p, how, mask))
		return false;
	for (unsigned i = 0; i < NR_COMPONENTS; i++) {
		uint32_t offset = is_compacted(how) ? compacted_offset(&p->layout, mask, i)
						    : p->layout.offset[i];

		if ((mask & BIT_ULL(i)) &&
		    !has_pattern(p, p->saved, i, offset, used & BIT_ULL(i) ? FIRST : INITIAL))
			return false;
	}
	return true;
}

/* MXCSR comes with AVX's registers as well, in the standard format. */
static bool stayed(const struct probe *p, unsigned i)
{
	if (i == 1)
		return are_words(p->image + LEGACY_XMM, 1, 256, SECOND);
	return has_pattern(p, p->image, i, p->layout.offset[i], SECOND);
}

/* All registers, after those of `mask` were taken back. */
static bool came_back(struct probe *p, uint64_t used, uint64_t mask)
{
	spoil(p->image);
	if (!xstate_save(XSTATE_XSAVE, p->image, p->xcr0))
		return false;
	for (unsigned i = 0; i < NR_COMPONENTS; i++) {
		uint64_t bit = p->xcr0 & BIT_ULL(i);

		if (bit & ~mask ? !stayed(p, i)
				: bit && !has_pattern(p, p->image, i, p->layout.offset[i],
						      used & bit ? FIRST : INITIAL))
			return false;
	}
	return true;
}

static bool load(struct probe *p, uint64_t used, enum pattern pattern)
{
	fill_image(p, used, pattern);
	return xstate_load(XSTATE_XSAVE, p->image, p->xcr0);
}

static bool round_trip(struct probe *p, enum xstate_save how, uint64_t used, uint64_t mask)
{
	spoil(p->saved);
	return load(p, used, FIRST) && xstate_save(how, p->saved, mask) &&
	       was_saved(p, how, used, mask) && load(p, p->xcr0, SECOND) &&
	       xstate_load(how, p->saved, mask) && came_back(p, used, mask);
}

/* Two components, or one: in use alone; alone in their initial state. */
static bool pair_comes_back(struct probe *p, enum xstate_save how, uint64_t pair)
{
	return round_trip(p, how, pair, p->xcr0) && round_trip(p, how, p->xcr0 & ~pair, p->xcr0);
}

/* All in use, and one of them alone in the mask, or out of it. */
static bool mask_holds(struct probe *p, enum xstate_save how, uint64_t one)
{
	return round_trip(p, how, p->xcr0, one) && round_trip(p, how, p->xcr0, p->xcr0 & ~one);
}

static bool all_come_back(struct probe *p, enum xstate_save how)
{
	if (!round_trip(p, how, 0, p->xcr0) || !round_trip(p, how, p->xcr0, p->xcr0))
		return false;
	for (unsigned i = 0; i < NR_COMPONENTS; i++) {
		if (!(p->xcr0 & BIT_ULL(i)))
			continue;
		if (!mask_holds(p, how, BIT_ULL(i)))
			return false;
		for (unsigned j = i; j < NR_COMPONENTS; j++) {
			if ((p->xcr0 & BIT_ULL(j)) &&
			    !pair_comes_back(p, how, BIT_ULL(i) | BIT_ULL(j)))
				return false;
		}
	}
	return true;
}

/* ---- the items ---- */

static uint64_t host_components(void)
{
	struct cpuid id = cpuid_count(XSAVE_LEAF, 0);

	return (uint64_t)id.edx << 32 | id.eax;
}

/* A group of components in addition to those that are trusted; the CPU's XCR0 has what is. */
static enum verdict try_group(struct probe *p, uint64_t group)
{
	uint64_t before = p->xcr0, with = p->xcr0 | group;
	enum verdict verdict = WRONG_SIZES;

	if ((group & ~host_components()) || (group == AVX512 && !(before & XCR0_AVX)))
		return ABSENT;
	if (adds_up(&p->layout, with)) {
		p->xcr0 = with;
		xsetbv(0, with);
		if (cpuid_count(XSAVE_LEAF, 0).ebx == standard_size(&p->layout, with))
			verdict = all_come_back(p, XSTATE_XSAVE) ? TRUSTED : WRONG_REGISTERS;
	}
	if (verdict != TRUSTED) {
		p->xcr0 = before;
		xsetbv(0, before ? before : XCR0_X87);
	}
	return verdict;
}

/* XGETBV of 1 tells, at least, what is not in its initial state (SDM volume 1, 13.6). */
static enum verdict try_in_use(struct probe *p)
{
	return load(p, p->xcr0, FIRST) && xgetbv(1) == p->xcr0 ? TRUSTED : WRONG_REGISTERS;
}

static enum verdict try_instruction(struct probe *p, enum xstate_save how)
{
	if (how == XSTATE_XSAVES)
		wrmsr_safe(MSR_XSS, 0);
	if (is_compacted(how) &&
	    cpuid_count(XSAVE_LEAF, 1).ebx != compacted_size(&p->layout, p->xcr0))
		return WRONG_SIZES;
	return all_come_back(p, how) ? TRUSTED : WRONG_REGISTERS;
}

static enum verdict try_item(struct probe *p, enum item item)
{
	if (item < NR_GROUPS)
		return item == XSAVE || p->xcr0 ? try_group(p, items[item].components) : ABSENT;
	if (!p->xcr0 || !(cpuid_count(XSAVE_LEAF, 1).eax & items[item].bit))
		return ABSENT;
	switch (item) {
	case OPT:
		return try_instruction(p, XSTATE_XSAVEOPT);
	case COMPACT:
		return try_instruction(p, XSTATE_XSAVEC);
	case SUPERVISOR:
		return try_instruction(p, XSTATE_XSAVES);
	default:
		return try_in_use(p);
	}
}

static void note(enum item item, enum verdict verdict)
{
	uint8_t old = atomic_load(&verdicts[item]);

	while (verdict < old &&
	       !atomic_compare_exchange_weak(&verdicts[item], &old, (uint8_t)verdict))
		;
}

/* The boot CPU is the first. */
static void begin(const struct layout *l)
{
	if (has_layout)
		return;
	machine_layout = *l;
	has_layout = true;
	for (unsigned i = 0; i < NR_ITEMS; i++)
		atomic_store(&verdicts[i], TRUSTED);
}

void xstate_check_cpu(void)
{
	struct probe p;

	p.xcr0 = 0;
	read_layout(&p.layout);
	begin(&p.layout);
	for (unsigned i = 0; i < NR_ITEMS; i++)
		note(i, try_item(&p, i));
	if (p.xcr0)
		(void)load(&p, 0, INITIAL);
}

static bool is_trusted(enum item item)
{
	return atomic_load(&verdicts[item]) == TRUSTED;
}

uint64_t xstate_components(void)
{
	uint64_t components = 0;

	for (unsigned i = 0; i < NR_GROUPS && has_layout && is_trusted(XSAVE); i++) {
		if (is_trusted(i))
			components |= items[i].components;
	}
	/* AVX-512 comes with AVX: SDM volume 1, 13.3. */
	return components & XCR0_AVX ? components : components & ~(uint64_t)AVX512;
}

uint32_t xstate_instructions(void)
{
	uint32_t bits = 0;

	for (unsigned i = NR_GROUPS; i < NR_ITEMS && xstate_components(); i++) {
		if (is_trusted(i))
			bits |= items[i].bit;
	}
	/* XRSTOR of the compacted format comes with XSAVEC. */
	return bits & CPUID_MASK(CPUID_XSAVEC) ? bits : bits & ~CPUID_MASK(CPUID_XSAVES);
}

size_t xstate_area_size(uint64_t components)
{
	return standard_size(&machine_layout, components);
}

void xstate_report(void)
{
	for (unsigned i = 0; i < NR_ITEMS && has_layout; i++) {
		uint8_t verdict = atomic_load(&verdicts[i]);

		if (verdict >= ABSENT || was_told[i])
			continue;
		was_told[i] = true;
		log_info("cpu: %-22s found, not used (%s) -> %s", items[i].name,
			 verdict == WRONG_SIZES ? "its sizes in CPUID do not add up"
						: "registers do not come back",
			 items[i].without);
	}
}
