/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The test of XSAVE, tested: on a CPU that does what the manual says (SDM volume 1, chapter 13),
 * and on CPUs each of which has one thing wrong.
 */
#include <assert.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "arch/x86/cpuid_bits.h"
#include "arch/x86/msr_safe.h"
#include "arch/x86/regs.h"
#include "arch/x86/xstate.h"
#include "tests/unit/support/xsave_cpu.h"

#define AVX512     (XCR0_OPMASK | XCR0_ZMM_HI256 | XCR0_HI16_ZMM)
#define ALL        (XCR0_X87 | XCR0_SSE | XCR0_AVX | AVX512 | XCR0_PKRU)
#define NO_AVX512  (ALL & ~AVX512)
#define M(name)    CPUID_MASK(CPUID_##name)
#define ALL_INSNS  (M(XSAVEOPT) | M(XSAVEC) | M(XGETBV_1) | M(XSAVES))
#define STANDARD   (M(XSAVEOPT) | M(XGETBV_1))
#define COMPACTED  BIT_ULL(63)
#define NR         10
#define MXCSR_INIT 0x1f80
#define FCW_INIT   0x37f

enum flaw {
	NO_FLAW,
	PKRU_WITHOUT_SIZE,
	SIZE_OF_ALL,            /* leaf 0xd, subleaf 0, EBX */
	COMPONENTS_OVERLAP,     /* Hi16_ZMM and ZMM_Hi256 */
	COMPACTED_SIZE,         /* subleaf 1, EBX */
	COMPACTED_OVER_HEADER,  /* the first component begins where XMM15 ends */
	COMPACTED_BY_USE,       /* XCOMP_BV has what is in use, not what is in the mask */
	SAVE_LOSES_HI16_ZMM,    /* is not written */
	SAVE_CALLS_AVX_INITIAL, /* XSTATE_BV */
	OPT_LOSES_OPMASK,       /* is not written though it is in use */
	LOAD_KEEPS_INITIAL,     /* does not initialise what XSTATE_BV has not */
	LOAD_IGNORES_MASK,      /* loads all */
	LOAD_LOSES_MXCSR,
	SAVES_FAULTS,
	LOADS_FAULTS,
	NOTHING_IN_USE,  /* XGETBV of 1 */
	NO_XSAVE_AT_ALL, /* XSAVE faults */
	NR_FLAWS,
};

static struct {
	enum flaw flaw;
	uint64_t has; /* components by CPUID */
	uint64_t xcr0;
	uint64_t in_use;
	uint8_t reg[NR][1024]; /* x87: legacy region but for MXCSR and XMM */
	uint32_t mxcsr;
} cpu;

static const struct {
	uint32_t size, offset;
} places[NR] = {
	[2] = {256, 576}, [5] = {64, 1088}, [6] = {512, 1152}, [7] = {1024, 1664}, [9] = {8, 2688}};

static uint32_t offset_of(unsigned i)
{
	return i == 7 && cpu.flaw == COMPONENTS_OVERLAP ? places[6].offset + 256 : places[i].offset;
}

static uint32_t size_of(unsigned i)
{
	return i == 9 && cpu.flaw == PKRU_WITHOUT_SIZE ? 0 : places[i].size;
}

/* As tables of features have it: only PKRU is aligned here. */
static bool is_aligned(unsigned i)
{
	return i == 9 || i == 6;
}

static uint32_t compacted(uint64_t mask, unsigned component)
{
	uint32_t offset = cpu.flaw == COMPACTED_OVER_HEADER ? 416 : 576;

	for (unsigned i = 2; i < component; i++) {
		if (!(mask & BIT_ULL(i)))
			continue;
		if (is_aligned(i))
			offset = ALIGN_UP(offset, 64u);
		offset += size_of(i);
	}
	return component < NR && is_aligned(component) ? ALIGN_UP(offset, 64u) : offset;
}

static uint32_t compacted_by_cpuid(uint64_t mask)
{
	uint32_t size = 576;

	for (unsigned i = 2; i < NR; i++) {
		if (mask & BIT_ULL(i))
			size = (is_aligned(i) ? ALIGN_UP(size, 64u) : size) + size_of(i);
	}
	return cpu.flaw == COMPACTED_SIZE ? size + 256 : size;
}

static uint32_t standard_by_cpuid(uint64_t mask)
{
	uint32_t size = 576;

	for (unsigned i = 2; i < NR; i++) {
		if (mask & BIT_ULL(i))
			size = max(size, offset_of(i) + size_of(i));
	}
	return cpu.flaw == SIZE_OF_ALL && (mask & XCR0_AVX) ? size + 64 : size;
}

struct cpuid cpuid_count(uint32_t leaf, uint32_t subleaf)
{
	assert_int_equal(leaf, 0xd);
	if (subleaf == 0)
		return (struct cpuid){(uint32_t)cpu.has, standard_by_cpuid(cpu.xcr0),
				      standard_by_cpuid(cpu.has), 0};
	if (subleaf == 1)
		return (struct cpuid){ALL_INSNS, compacted_by_cpuid(cpu.xcr0), 0, 0};
	if (subleaf >= NR || !(cpu.has & BIT_ULL(subleaf)))
		return (struct cpuid){0};
	return (struct cpuid){size_of(subleaf), offset_of(subleaf), is_aligned(subleaf) ? 2 : 0, 0};
}

void xsetbv(uint32_t xcr, uint64_t val)
{
	assert_int_equal(xcr, 0);
	assert_true((val & XCR0_X87) && !(val & ~cpu.has));
	assert_true(!(val & XCR0_AVX) || (val & XCR0_SSE));
	assert_true(!(val & AVX512) || ((val & AVX512) == AVX512 && (val & XCR0_AVX)));
	cpu.xcr0 = val;
}

uint64_t xgetbv(uint32_t xcr)
{
	assert_int_equal(xcr, 1);
	return cpu.flaw == NOTHING_IN_USE ? 0 : cpu.xcr0 & cpu.in_use;
}

int wrmsr_safe(uint32_t msr, uint64_t val)
{
	assert_int_equal(msr, MSR_XSS);
	assert_int_equal(val, 0);
	return 0;
}

/* ---- the instructions ---- */

static void set_initial(unsigned i)
{
	uint16_t fcw = FCW_INIT;

	memset(cpu.reg[i], 0, sizeof(cpu.reg[i]));
	if (i == 0)
		memcpy(cpu.reg[0], &fcw, 2);
	cpu.in_use &= ~BIT_ULL(i);
}

static bool is_in_compacted(enum xstate_save how)
{
	return how == XSTATE_XSAVEC || how == XSTATE_XSAVES;
}

/* Between a component's registers and its place. */
static void move(unsigned i, uint8_t *area, uint32_t offset, bool to_area)
{
	static const struct {
		uint32_t at, len;
	} legacy[2][2] = {{{0, 24}, {32, 128}}, {{160, 256}, {0, 0}}};
	uint8_t *reg = cpu.reg[i];

	for (unsigned k = 0; k < 2 && i < 2; k++) {
		memcpy(to_area ? area + legacy[i][k].at : reg,
		       to_area ? reg : area + legacy[i][k].at, legacy[i][k].len);
		reg += legacy[i][k].len;
	}
	if (i >= 2)
		memcpy(to_area ? area + offset : reg, to_area ? reg : area + offset, size_of(i));
}

static bool is_lost(enum xstate_save how, unsigned i)
{
	return (cpu.flaw == SAVE_LOSES_HI16_ZMM && i == 7) ||
	       (cpu.flaw == OPT_LOSES_OPMASK && how == XSTATE_XSAVEOPT && i == 5);
}

static uint64_t used_now(void)
{
	uint64_t used = cpu.in_use;

	return cpu.mxcsr == MXCSR_INIT ? used : used | XCR0_SSE;
}

bool xstate_save(enum xstate_save how, void *p, uint64_t mask)
{
	uint8_t *area = p;
	uint64_t header[2], rfbm = mask & cpu.xcr0,
			    used = is_in_compacted(how) ? used_now() : cpu.in_use;

	if (cpu.flaw == NO_XSAVE_AT_ALL || (cpu.flaw == SAVES_FAULTS && how == XSTATE_XSAVES))
		return false;
	memcpy(header, area + 512, sizeof(header));
	if (is_in_compacted(how))
		header[1] = COMPACTED | (cpu.flaw == COMPACTED_BY_USE ? rfbm & used : rfbm);
	for (unsigned i = 0; i < NR; i++) {
		uint32_t offset = is_in_compacted(how) ? compacted(header[1], i) : offset_of(i);

		if ((rfbm & BIT_ULL(i)) && !is_lost(how, i) &&
		    (how == XSTATE_XSAVE || (used & BIT_ULL(i))))
			move(i, area, offset, true);
	}
	if (is_in_compacted(how) ? rfbm & used & XCR0_SSE : rfbm & (XCR0_SSE | XCR0_AVX))
		memcpy(area + 24, &cpu.mxcsr, 4);
	header[0] = is_in_compacted(how) ? rfbm & used : (header[0] & ~rfbm) | (rfbm & used);
	if (cpu.flaw == SAVE_CALLS_AVX_INITIAL)
		header[0] &= ~XCR0_AVX;
	memcpy(area + 512, header, sizeof(header));
	return true;
}

static bool is_valid_header(const uint8_t *area, bool must_be_compacted)
{
	static const uint8_t zero[48];
	uint64_t header[2];

	memcpy(header, area + 512, sizeof(header));
	if (memcmp(area + 528, zero, sizeof(zero)) ||
	    (must_be_compacted && !(header[1] & COMPACTED)))
		return false;
	if (header[1] & COMPACTED)
		return !((header[1] & ~COMPACTED) & ~cpu.xcr0) && !(header[0] & ~header[1]);
	return !header[1] && !(header[0] & ~cpu.xcr0);
}

bool xstate_load(enum xstate_save how, void *p, uint64_t mask)
{
	uint8_t *area = p;
	uint64_t header[2], rfbm = cpu.flaw == LOAD_IGNORES_MASK ? cpu.xcr0 : mask & cpu.xcr0;
	bool is_compact;

	if (cpu.flaw == LOADS_FAULTS && how == XSTATE_XSAVES)
		return false;
	if (!is_valid_header(area, how == XSTATE_XSAVES))
		return false;
	memcpy(header, area + 512, sizeof(header));
	is_compact = header[1] & COMPACTED;
	for (unsigned i = 0; i < NR; i++) {
		if (!(rfbm & BIT_ULL(i)))
			continue;
		if (header[0] & BIT_ULL(i)) {
			move(i, area, is_compact ? compacted(header[1], i) : offset_of(i), false);
			cpu.in_use |= BIT_ULL(i);
		} else if (cpu.flaw != LOAD_KEEPS_INITIAL) {
			set_initial(i);
		}
	}
	if (cpu.flaw == LOAD_LOSES_MXCSR)
		return true;
	if (is_compact && (rfbm & XCR0_SSE))
		cpu.mxcsr = MXCSR_INIT;
	if (is_compact ? header[0] & rfbm & XCR0_SSE : rfbm & (XCR0_SSE | XCR0_AVX))
		memcpy(&cpu.mxcsr, area + 24, 4);
	return true;
}

/* ---- */

static void reset_cpu(enum flaw flaw, uint64_t has)
{
	memset(&cpu, 0, sizeof(cpu));
	cpu.flaw = flaw;
	cpu.has = has;
	cpu.xcr0 = XCR0_X87;
	cpu.mxcsr = MXCSR_INIT;
	for (unsigned i = 0; i < NR; i++)
		set_initial(i);
}

struct machine {
	enum flaw flaws[2];
	uint64_t has[2];
	unsigned nr_cpus;
};

static struct result {
	uint64_t components, left_in_use;
	uint32_t instructions;
	size_t size;
} * result; /* shared with a child */

/* In a process of its own: what has failed once stays so until the next start of the machine. */
static struct result run(const struct machine *m)
{
	pid_t child = fork();
	int status;

	if (!child) {
		for (unsigned i = 0; i < m->nr_cpus; i++) {
			reset_cpu(m->flaws[i], m->has[i]);
			xstate_check_cpu();
			result->left_in_use |= used_now();
		}
		result->components = xstate_components();
		result->instructions = xstate_instructions();
		result->size = xstate_area_size(result->components);
		_exit(0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	return *result;
}

static int setup(void **state)
{
	result = mmap(NULL, sizeof(*result), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		      0);
	return result == MAP_FAILED;
}

static struct result run_one(enum flaw flaw, uint64_t has)
{
	memset(result, 0, sizeof(*result));
	return run(&(struct machine){{flaw}, {has}, 1});
}

static void expect(struct result r, uint64_t components, uint32_t instructions)
{
	assert_int_equal(r.components, components);
	assert_int_equal(r.instructions, instructions);
}

static void a_right_cpu_is_trusted(void **state)
{
	static const uint64_t kinds[] = {XCR0_X87 | XCR0_SSE, XCR0_X87 | XCR0_SSE | XCR0_AVX,
					 ALL & ~XCR0_PKRU, NO_AVX512, ALL};

	for (unsigned i = 0; i < ARRAY_SIZE(kinds); i++) {
		struct result r = run_one(NO_FLAW, kinds[i]);

		expect(r, kinds[i], ALL_INSNS);
		assert_int_equal(r.left_in_use, 0);
		assert_int_equal(r.size, kinds[i] & XCR0_PKRU  ? 2696
					 : kinds[i] & AVX512   ? 2688
					 : kinds[i] & XCR0_AVX ? 832
							       : 576);
	}
}

static void each_flaw_is_found(void **state)
{
	static const struct {
		enum flaw flaw;
		uint64_t components;
		uint32_t instructions;
	} cases[] = {
		{PKRU_WITHOUT_SIZE, ALL & ~XCR0_PKRU, ALL_INSNS},
		{SIZE_OF_ALL, XCR0_X87 | XCR0_SSE | XCR0_PKRU, ALL_INSNS},
		{COMPONENTS_OVERLAP, NO_AVX512, ALL_INSNS},
		{COMPACTED_SIZE, ALL, STANDARD},
		{COMPACTED_OVER_HEADER, ALL, STANDARD},
		{COMPACTED_BY_USE, ALL, STANDARD},
		{SAVE_LOSES_HI16_ZMM, NO_AVX512, ALL_INSNS},
		{SAVE_CALLS_AVX_INITIAL, XCR0_X87 | XCR0_SSE | XCR0_PKRU, ALL_INSNS},
		{OPT_LOSES_OPMASK, ALL, ALL_INSNS & ~M(XSAVEOPT)},
		{LOAD_KEEPS_INITIAL, 0, 0},
		{LOAD_IGNORES_MASK, 0, 0},
		{LOAD_LOSES_MXCSR, 0, 0},
		{SAVES_FAULTS, ALL, ALL_INSNS & ~M(XSAVES)},
		{LOADS_FAULTS, ALL, ALL_INSNS & ~M(XSAVES)},
		{NOTHING_IN_USE, ALL, ALL_INSNS & ~M(XGETBV_1)},
		{NO_XSAVE_AT_ALL, 0, 0},
	};

	static_assert(ARRAY_SIZE(cases) == NR_FLAWS - 1, "a case for each");
	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++)
		expect(run_one(cases[i].flaw, ALL), cases[i].components, cases[i].instructions);
}

/* What one CPU has wrong, or not at all, is used on none of them, whichever starts first. */
static void the_cpus_agree(void **state)
{
	for (unsigned bad = 0; bad < 2; bad++) {
		struct machine m = {.has = {ALL, ALL}, .nr_cpus = 2};

		expect(run(&m), ALL, ALL_INSNS);
		m.flaws[bad] = COMPACTED_OVER_HEADER;
		expect(run(&m), ALL, STANDARD);
		m.flaws[bad] = SAVE_LOSES_HI16_ZMM;
		expect(run(&m), NO_AVX512, ALL_INSNS);
		m.flaws[bad] = NO_FLAW;
		m.has[bad] = XCR0_X87 | XCR0_SSE | XCR0_AVX;
		expect(run(&m), XCR0_X87 | XCR0_SSE | XCR0_AVX, ALL_INSNS);
	}
}

/* A component elsewhere on the second CPU: areas that move from CPU to CPU would be misread. */
static void places_are_the_same_on_all_cpus(void **state)
{
	struct machine m = {
		.flaws = {NO_FLAW, COMPONENTS_OVERLAP}, .has = {ALL, ALL}, .nr_cpus = 2};

	expect(run(&m), NO_AVX512, ALL_INSNS);
}

static void without_xsave_there_is_nothing(void **state)
{
	memset(result, 0, sizeof(*result));
	expect(run(&(struct machine){.nr_cpus = 0}), 0, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_right_cpu_is_trusted),
		cmocka_unit_test(each_flaw_is_found),
		cmocka_unit_test(the_cpus_agree),
		cmocka_unit_test(places_are_the_same_on_all_cpus),
		cmocka_unit_test(without_xsave_there_is_nothing),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
