/* SPDX-License-Identifier: BSD-2-Clause */
/* Which models have which faults. No instruction is executed here: hosted too. */
#include "arch/x86/errata.h"

#include "arch/x86/regs.h"
#include "lib/bits.h"

#define SIG_STEPPING   GENMASK_ULL(3, 0)
#define SIG_MODEL      GENMASK_ULL(7, 4)
#define SIG_FAMILY     GENMASK_ULL(11, 8)
#define SIG_MODEL_EXT  GENMASK_ULL(19, 16)
#define SIG_FAMILY_EXT GENMASK_ULL(27, 20)
#define SIG_RESERVED   (GENMASK_ULL(15, 14) | GENMASK_ULL(31, 28))

unsigned cpu_model_family(const struct cpu_model *m)
{
	unsigned family = FIELD_GET(SIG_FAMILY, m->signature);

	if (family == 0xf)
		family += FIELD_GET(SIG_FAMILY_EXT, m->signature);
	return family;
}

unsigned cpu_model_number(const struct cpu_model *m)
{
	unsigned family = FIELD_GET(SIG_FAMILY, m->signature);
	unsigned model = FIELD_GET(SIG_MODEL, m->signature);

	if (family == 0xf || (family == 6 && m->vendor == VENDOR_INTEL))
		model |= FIELD_GET(SIG_MODEL_EXT, m->signature) << 4;
	return model;
}

/*
 * Intel's family 6 without the fault, as far as it does not say so itself: Atoms and their like,
 * whose instruction TLBs hold one size of a page (Bonnell to Tremont, Knights Landing and Mill).
 */
static bool fetches_large_pages_safely(unsigned model)
{
	static const uint8_t models[] = {0x1c, 0x26, 0x27, 0x35, 0x36, 0x37, 0x4a, 0x4c, 0x4d, 0x57,
					 0x5a, 0x5c, 0x5f, 0x75, 0x7a, 0x85, 0x86, 0x96, 0x9c};

	for (unsigned i = 0; i < ARRAY_SIZE(models); i++) {
		if (models[i] == model)
			return true;
	}
	return false;
}

static bool has_large_fetch(const struct cpu_model *m)
{
	if (m->vendor != VENDOR_INTEL || (m->capabilities & ARCH_CAP_PSCHANGE_MC_NO))
		return false;
	return cpu_model_family(m) != 6 || !fetches_large_pages_safely(cpu_model_number(m));
}

#define ANY_STEPPING 0xff

/* The first revision of microcode that has the TSC deadline right; later models always have it. */
static const struct {
	uint8_t model, stepping;
	uint32_t fixed;
} deadlines[] = {
	{0x3c, ANY_STEPPING, 0x22}, /* Haswell ... */
	{0x45, ANY_STEPPING, 0x20}, /* ... with low power ... */
	{0x46, ANY_STEPPING, 0x17}, /* ... with graphics memory ... */
	{0x3f, 2, 0x3a},            /* ... EP ... */
	{0x3f, 4, 0x0f},            /* ... EX */
	{0x3d, ANY_STEPPING, 0x25}, /* Broadwell */
	{0x47, ANY_STEPPING, 0x17},
	{0x4f, ANY_STEPPING, 0x0b000020}, /* Broadwell EP, EX */
	{0x56, 2, 0x00000011},            /* Broadwell DE */
	{0x56, 3, 0x0700000e},
	{0x56, 4, 0x0f00000c},
	{0x56, 5, 0x0e000003},
	{0x4e, ANY_STEPPING, 0xb2}, /* Skylake */
	{0x5e, ANY_STEPPING, 0xb2},
	{0x55, 3, 0x01000136}, /* Skylake SP */
	{0x55, 4, 0x02000014},
	{0x8e, ANY_STEPPING, 0x52}, /* Kaby Lake */
	{0x9e, ANY_STEPPING, 0x52},
};

static bool has_tsc_deadline(const struct cpu_model *m)
{
	unsigned stepping = FIELD_GET(SIG_STEPPING, m->signature);

	if (m->vendor != VENDOR_INTEL || m->is_virtual || cpu_model_family(m) != 6)
		return false;
	for (unsigned i = 0; i < ARRAY_SIZE(deadlines); i++) {
		if (deadlines[i].model == cpu_model_number(m) &&
		    (deadlines[i].stepping == ANY_STEPPING || deadlines[i].stepping == stepping))
			return m->microcode < deadlines[i].fixed;
	}
	return false;
}

/* By the whole signature, stepping and all, and with the erratum's name in one of the updates. */
static bool has_preemption_timer(const struct cpu_model *m)
{
	static const uint32_t signatures[] = {
		0x106a0, /* AAM126: Xeon 3500 */
		0x106a1, /* AAM126 */
		0x106a4, /* AAJ124: Core i7-900 */
		0x106a5, /* AAK139: Xeon 5500; AAM126, AAJ124 */
		0x106e5, /* AAN92: Core i7-800, i5-700; AAO95, AAP86 */
		0x20652, /* AAU65: Core i5-600, i3-500; AAT59, AAX65 */
		0x20655, /* AAU65 */
		0x206e6, /* BA86: Xeon 7500 */
		0x306a8, /* early steppings of the Xeon E3-1200 v2 */
	};

	for (unsigned i = 0; i < ARRAY_SIZE(signatures); i++) {
		if (m->vendor == VENDOR_INTEL && (m->signature & ~SIG_RESERVED) == signatures[i])
			return true;
	}
	return false;
}

/* Families 0Fh (from revision F on), 10h and 11h have the MSR in which firmware enables C1E. */
static bool has_c1e(const struct cpu_model *m)
{
	unsigned family = cpu_model_family(m);

	if (m->vendor != VENDOR_AMD)
		return false;
	return family == 0xf ? cpu_model_number(m) >= 0x40 : family == 0x10 || family == 0x11;
}

static bool has_tlb_multimatch(const struct cpu_model *m)
{
	return m->vendor == VENDOR_AMD && cpu_model_family(m) == 0x10;
}

bool erratum_applies(enum cpu_erratum erratum, const struct cpu_model *m)
{
	switch (erratum) {
	case ERRATUM_LARGE_FETCH:
		return has_large_fetch(m);
	case ERRATUM_TSC_DEADLINE:
		return has_tsc_deadline(m);
	case ERRATUM_PREEMPTION_TIMER:
		return has_preemption_timer(m);
	case ERRATUM_C1E:
		return has_c1e(m);
	case ERRATUM_TLB_MULTIMATCH:
		return has_tlb_multimatch(m);
	default:
		return false;
	}
}
