/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A guest that attacks its own state: every bit of the control registers, EFER, XCR0 and of the
 * MSRs that hold addresses, in each combination that the manuals call illegal (SDM volume 3, 2.5
 * and 26.3.1; APM volume 2, 3.1 and 15.5.1). Each is #GP as on the bare CPU, or does what the bit
 * says. After each comes an exit and an entry with the state as it then is (CPUID), for a
 * hypervisor that lets an illegal value through finds it there.
 */
#include "apic.h"
#include "flaws.h"
#include "hypercall.h"
#include "ktap.h"
#include "paging.h"

#define NON_CANONICAL   (HAS_LA57 ? 1ull << 56 : 1ull << 47)
#define CANONICAL_57    0xffaaaaaaaaaaaaaaull
#define NEED_CHECKS     SKIP_UNLESS(refuses_values(), "this CPU alone takes any value")
#define LONG_BITS       (8 * sizeof(long))
#define CHECK_BIT(expr) CHECK_EQ((expr) + 0x1000 * (int)(bit), expected + 0x1000 * (int)(bit))

static void force_exit(void)
{
	cpuid(0);
}

static int try_wrmsr(uint32_t msr, uint64_t val)
{
	return TRY(wrmsr(msr, val); force_exit());
}

/* --- CR0 -------------------------------------------------------------------------------------- */

#define CR0_KNOWN                                                                                  \
	(CR0_PE | CR0_MP | CR0_EM | CR0_TS | CR0_ET | CR0_NE | CR0_WP | CR0_AM | CR0_NW | CR0_CD | \
	 CR0_PG)

static bool is_legal_cr0(uint64_t val)
{
	if (val >> 32 || ((val & CR0_PG) && !(val & CR0_PE)) || ((val & CR0_NW) && !(val & CR0_CD)))
		return false;
	return !IS_64BIT || (val & CR0_PG);
}

static int try_cr0(unsigned long val)
{
	return TRY(write_cr0(val); force_exit());
}

TEST(cr0_each_bit)
{
	unsigned long before = read_cr0(), cr0 = before & ~(CR0_CD | CR0_NW);

	NEED_CHECKS;
	write_cr0(before & ~CR0_NW);
	write_cr0(cr0);
	for (unsigned bit = 0; bit < LONG_BITS; bit++) {
		unsigned long val = cr0 ^ BIT(bit);
		int expected = is_legal_cr0(val) ? NO_FAULT : GP_VECTOR;

		if (!IS_64BIT && (bit == 0 || bit == 31))
			continue; /* leaves the mode the payload runs in */
		CHECK_BIT(try_cr0(val));
		CHECK_EQ(read_cr0(), (expected == NO_FAULT ? val & CR0_KNOWN : cr0) | CR0_ET);
		write_cr0(cr0);
	}
	write_cr0(before);
}

TEST(cr0_cache_bits)
{
	unsigned long before = read_cr0(), cr0 = before & ~(CR0_CD | CR0_NW);

	NEED_CHECKS;
	CHECK_EQ(try_cr0(cr0 | CR0_CD), NO_FAULT);
	CHECK_EQ(try_cr0(cr0 | CR0_CD | CR0_NW), NO_FAULT);
	CHECK_EQ(try_cr0(cr0 | CR0_NW), GP_VECTOR);
	CHECK_EQ(read_cr0(), cr0 | CR0_CD | CR0_NW);
	CHECK_EQ(try_cr0(cr0), NO_FAULT);
	write_cr0(before & ~CR0_NW);
	write_cr0(before);
}

#ifndef __x86_64__
TEST(paging_without_protection)
{
	unsigned long cr0 = read_cr0();

	NEED_CHECKS;
	CHECK_EQ(try_cr0((cr0 & ~CR0_PE) | CR0_PG), GP_VECTOR);
	CHECK_EQ(read_cr0(), cr0);
}

TEST(long_mode_without_pae)
{
	unsigned long cr0 = read_cr0();
	uint64_t efer = rdmsr(MSR_EFER);

	NEED_CHECKS;
	SKIP_UNLESS(HAS_LM, "no long mode");
	wrmsr(MSR_EFER, efer | EFER_LME);
	CHECK_EQ(try_cr0(cr0 | CR0_PG), GP_VECTOR);
	CHECK_EQ(read_cr0(), cr0);
	CHECK_EQ(rdmsr(MSR_EFER), efer | EFER_LME);
	wrmsr(MSR_EFER, efer);
}
#endif

/* --- CR4 -------------------------------------------------------------------------------------- */

/* The bits that exist when CPUID says so; the others never do. */
static bool has_cr4_bit(unsigned bit)
{
	static const struct {
		uint8_t bit, reg, feature;
		uint32_t leaf;
	} table[] = {
		{0, 'd', 1, 1},   {1, 'd', 1, 1},   {2, 'd', 4, 1},   {3, 'd', 2, 1},
		{4, 'd', 3, 1},   {5, 'd', 6, 1},   {6, 'd', 7, 1},   {7, 'd', 13, 1},
		{9, 'd', 24, 1},  {10, 'd', 25, 1}, {11, 'c', 2, 7},  {12, 'c', 16, 7},
		{13, 'c', 5, 1},  {14, 'c', 6, 1},  {16, 'b', 0, 7},  {17, 'c', 17, 1},
		{18, 'c', 26, 1}, {20, 'b', 7, 7},  {21, 'b', 20, 7}, {22, 'c', 3, 7},
		{23, 'c', 7, 7},  {24, 'c', 31, 7}, {25, 'd', 5, 7},
	};

	if (bit == 8) /* PCE: as old as RDPMC */
		return true;
	for (unsigned i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		if (table[i].bit == bit)
			return cpuid_has(table[i].leaf, 0, (char)table[i].reg, table[i].feature);
	}
	return false;
}

static int try_cr4(unsigned long val)
{
	return TRY(write_cr4(val); force_exit());
}

/* What makes a legal bit illegal here, or its effect deadly to the payload itself. */
static bool is_special_cr4_bit(unsigned long bit)
{
	return bit & (CR4_PAE | CR4_LA57 | CR4_PCIDE | CR4_SMEP | CR4_SMAP | CR4_VMXE | BIT(23));
}

TEST(cr4_each_bit)
{
	unsigned long cr4 = read_cr4();

	NEED_CHECKS;
	for (unsigned bit = 0; bit < LONG_BITS; bit++) {
		int expected = has_cr4_bit(bit) ? NO_FAULT : GP_VECTOR;

		if (has_cr4_bit(bit) && is_special_cr4_bit(BIT(bit)))
			continue;
		CHECK_BIT(try_cr4(cr4 ^ BIT(bit)));
		CHECK_EQ(read_cr4(), expected == NO_FAULT ? cr4 ^ BIT(bit) : cr4);
		write_cr4(cr4);
	}
}

#ifdef __x86_64__
TEST(cr4_bits_that_long_mode_holds)
{
	unsigned long cr4 = read_cr4();

	NEED_CHECKS;
	CHECK_EQ(try_cr4(cr4 & ~CR4_PAE), GP_VECTOR);
	CHECK_EQ(try_cr4(cr4 ^ CR4_LA57), GP_VECTOR);
	CHECK_EQ(read_cr4(), cr4);
}

TEST(pcid_rules)
{
	unsigned long cr4 = read_cr4(), cr3 = read_cr3();

	NEED_CHECKS;
	SKIP_UNLESS(HAS_PCID, "no PCID");
	write_cr3(cr3 | 0x18);
	CHECK_EQ(try_cr4(cr4 | CR4_PCIDE), GP_VECTOR); /* CR3[11:0] must be 0 */
	write_cr3(cr3);
	CHECK_EQ(try_cr4(cr4 | CR4_PCIDE), NO_FAULT);
	CHECK_EQ(try_cr0(read_cr0() & ~CR0_PG), GP_VECTOR);
	write_cr4(cr4);
}

static int try_cr3(unsigned long val)
{
	return TRY(write_cr3(val); force_exit());
}

static int try_cr8(unsigned long val)
{
	return TRY(write_cr8(val));
}

TEST(cr3_each_high_bit)
{
	unsigned long cr3 = read_cr3();

	SKIP_UNLESS(refuses_cr3_bits(), "this CPU does not check CR3");
	for (unsigned bit = phys_bits(); bit < 64; bit++) {
		int expected = GP_VECTOR;

		CHECK_BIT(try_cr3(cr3 | BIT(bit)));
		CHECK_EQ(read_cr3(), cr3);
	}
}

TEST(cr8_each_bit)
{
	NEED_CHECKS;
	SKIP_UNLESS(refuses_cr8_bits(), "this CPU keeps four bits of any value");
	for (unsigned bit = 4; bit < 64; bit++) {
		int expected = GP_VECTOR;

		CHECK_BIT(try_cr8(BIT(bit)));
	}
	CHECK_EQ(read_cr8(), 0);
}
#else
/* Without paging CR4 may hold these in any combination that CPUID allows. */
TEST(cr4_without_paging)
{
	unsigned long cr4 = read_cr4();

	NEED_CHECKS;
	CHECK_EQ(try_cr4(cr4 ^ CR4_PAE), NO_FAULT);
	CHECK_EQ(try_cr4(cr4 | CR4_PCIDE), GP_VECTOR); /* only in long mode */
	write_cr4(cr4);
}
#endif

/* --- EFER and XCR0 ---------------------------------------------------------------------------- */

static bool is_legal_efer(uint64_t val, uint64_t old)
{
	uint64_t known = EFER_LMA | (HAS_SYSCALL ? EFER_SCE : 0) | (HAS_LM ? EFER_LME : 0) |
			 (HAS_NX ? EFER_NXE : 0) | (HAS_FFXSR ? EFER_FFXSR : 0) |
			 (HAS_SVM ? EFER_SVME : 0);

	if (val & ~known)
		return false;
	return !((val ^ old) & EFER_LME) || !(read_cr0() & CR0_PG);
}

TEST(efer_each_bit)
{
	uint64_t efer = rdmsr(MSR_EFER);

	NEED_CHECKS;
	for (unsigned bit = 0; bit < 64; bit++) {
		uint64_t val = efer ^ BIT64(bit);
		int expected = is_legal_efer(val, efer) ? NO_FAULT : GP_VECTOR;

		if (BIT64(bit) == EFER_LMA)
			continue; /* see below */
		CHECK_BIT(try_wrmsr(MSR_EFER, val));
		CHECK_EQ(rdmsr(MSR_EFER), expected == NO_FAULT ? val : efer);
		wrmsr(MSR_EFER, efer);
	}
}

/* A CPU may refuse the write or ignore the bit, but it stays the CPU's own. */
TEST(efer_lma_is_the_cpus_own)
{
	uint64_t efer = rdmsr(MSR_EFER);
	int vector = try_wrmsr(MSR_EFER, efer ^ EFER_LMA);

	CHECK(vector == NO_FAULT || vector == GP_VECTOR);
	CHECK_EQ(rdmsr(MSR_EFER), efer);
}

static uint64_t supported_xcr0(void)
{
	struct cpuid r = cpuid_sub(0xd, 0);

	return (uint64_t)r.d << 32 | r.a;
}

/* AVX needs SSE, AVX-512's three go together, MPX' two as well (SDM volume 1, 13.3). */
static bool is_legal_xcr0(uint64_t val)
{
	uint64_t avx512 = val & 0xe0;

	if ((val & ~supported_xcr0()) || !(val & 1) || (val & 6) == 4)
		return false;
	return (!avx512 || (avx512 == 0xe0 && (val & 4))) && ((val & 0x18) % 0x18 == 0);
}

static int try_xcr0(uint64_t val)
{
	return TRY(xsetbv(0, val); force_exit());
}

TEST(xcr0_combinations)
{
	unsigned long cr4 = read_cr4();
	uint64_t before;
	bool knows_mpx;

	SKIP_UNLESS(HAS_XSAVE, "no XSAVE");
	NEED_CHECKS;
	write_cr4(cr4 | CR4_OSXSAVE);
	before = xgetbv(0);
	for (unsigned bit = 0; bit < 64; bit++) {
		uint64_t val = 1ull << bit | (bit ? 1 : 0);
		int expected = is_legal_xcr0(val) ? NO_FAULT : GP_VECTOR;

		CHECK_BIT(try_xcr0(val));
		xsetbv(0, before);
	}
	/* AMD's machine in QEMU: its XSETBV does not exit, and knows MPX, which its CPUID has not.
	 */
	knows_mpx = is_amd() && !is_legal_xcr0(0x1b) && try_xcr0(0x1b) == NO_FAULT;
	xsetbv(0, before);
	for (unsigned val = 0; val < 256; val++) {
		unsigned bit = val; /* for the message */
		int expected = is_legal_xcr0(val) ? NO_FAULT : GP_VECTOR;

		if ((val & 0x18) && knows_mpx)
			continue;
		CHECK_BIT(try_xcr0(val));
	}
	xsetbv(0, before);
	CHECK_EQ(TRY(xsetbv(1, before)), GP_VECTOR);
	CHECK_EQ(TRY(xsetbv(~0u, before)), GP_VECTOR);
	write_cr4(cr4);
	CHECK_EQ(TRY(xsetbv(0, before)), UD_VECTOR); /* without CR4.OSXSAVE */
}

/* --- MSRs ------------------------------------------------------------------------------------- */

static void check_refused(uint32_t msr, uint64_t val)
{
	uint64_t old = rdmsr(msr);
	int vector = try_wrmsr(msr, val);

	if (vector != GP_VECTOR)
		printf("# WRMSR %#x, %#llx\n", msr, (unsigned long long)val);
	CHECK_EQ(vector, GP_VECTOR);
	CHECK_EQ(rdmsr(msr), old);
}

#ifdef __x86_64__
TEST(msr_addresses)
{
	static const uint32_t msrs[] = {MSR_LSTAR, MSR_CSTAR, MSR_FS_BASE, MSR_GS_BASE,
					MSR_KERNEL_GS_BASE};

	NEED_CHECKS;
	for (unsigned i = 0; i < sizeof(msrs) / sizeof(msrs[0]); i++) {
		uint64_t old = rdmsr(msrs[i]);

		check_refused(msrs[i], NON_CANONICAL);
		check_refused(msrs[i], ~NON_CANONICAL);
		check_refused(msrs[i], 1ull << 63);
		check_refused(msrs[i], 0x5a5a5a5a5a5a5a5aull);
		/* The CPU's width counts, whatever the paging mode. */
		CHECK_EQ(try_wrmsr(msrs[i], CANONICAL_57), HAS_LA57 ? NO_FAULT : GP_VECTOR);
		wrmsr(msrs[i], old);
	}
	if (is_amd())
		return; /* SYSENTER's addresses are 32 bits wide there */
	check_refused(MSR_SYSENTER_ESP, NON_CANONICAL);
	check_refused(MSR_SYSENTER_EIP, NON_CANONICAL);
}
#endif

TEST(pat_each_byte)
{
	uint64_t pat = rdmsr(MSR_PAT);

	NEED_CHECKS;
	for (unsigned i = 0; i < 64; i += 8) {
		for (unsigned type = 0; type < 256; type++) {
			uint64_t val = (pat & ~(0xffull << i)) | (uint64_t)type << i;

			if (type > 7 || type == 2 || type == 3)
				check_refused(MSR_PAT, val);
		}
	}
}

TEST(apic_base_each_bit)
{
	uint64_t base = rdmsr(MSR_APICBASE);

	NEED_CHECKS;
	for (unsigned bit = 0; bit < 64; bit++) {
		if (bit < 8 || bit == 9 || bit >= phys_bits())
			check_refused(MSR_APICBASE, base | BIT64(bit));
	}
	check_refused(MSR_APICBASE, (base & ~APICBASE_ENABLE) | APICBASE_X2APIC);
}

TEST(mtrr_each_bit)
{
	NEED_CHECKS;
	SKIP_UNLESS(HAS_MTRR, "no MTRRs");
	for (unsigned bit = 0; bit < 64; bit++) {
		if (bit > 11 || bit == 8 || bit == 9)
			check_refused(MSR_MTRR_DEFTYPE, rdmsr(MSR_MTRR_DEFTYPE) | BIT64(bit));
		if ((bit > 7 && bit < 12) || bit >= phys_bits())
			check_refused(MSR_MTRR_PHYSBASE0, BIT64(bit));
		if (bit < 11 || bit >= phys_bits())
			check_refused(MSR_MTRR_PHYSMASK0, BIT64(bit));
	}
}

TEST(tsc_aux_upper_half)
{
	NEED_CHECKS;
	SKIP_UNLESS(HAS_RDTSCP, "no RDTSCP");
	for (unsigned bit = 32; bit < 64; bit++)
		check_refused(MSR_TSC_AUX, BIT64(bit));
}

/* --- flags and segments that look odd to an entry ------------------------------------------------
 */

TEST(flags_in_any_combination)
{
	static const uint8_t bits[] = {0, 2, 4, 6, 7, 10, 11, 12, 13, 14, 18, 19, 20, 21};

	for (unsigned i = 0; i < BIT(sizeof(bits)); i += 7) {
		unsigned long flags = 2;

		for (unsigned b = 0; b < sizeof(bits); b++)
			flags |= (i >> b & 1ul) << bits[b];
		__asm__ volatile("push %0; popf; cpuid; pushf; pop %0"
				 : "+D"(flags)
				 : "a"(0)
				 : "ebx", "ecx", "edx", "cc", "memory");
		write_flags(2);
		if (flags >> 19 & 3) /* VIF and VIP are not POPF's to set */
			CHECK_EQ(flags >> 19 & 3, 0);
	}
}

/* Each type of data and code segment that can be loaded, in each data segment register. */
#define DEFINE_TRY_LOAD(reg)                                                                       \
	static __attribute__((noinline)) int try_load_##reg(unsigned sel)                          \
	{                                                                                          \
		return TRY(__asm__ volatile("mov %0, %%" #reg "; cpuid"                            \
					    :                                                      \
					    : "D"(sel), "a"(0)                                     \
					    : "ebx", "ecx", "edx", "memory"));                     \
	}
DEFINE_TRY_LOAD(es)
DEFINE_TRY_LOAD(fs)
DEFINE_TRY_LOAD(ss)

static __attribute__((noinline)) int try_lldt(uint16_t sel)
{
	return TRY(__asm__ volatile("lldt %0; cpuid"
				    :
				    : "D"(sel), "a"(0)
				    : "ebx", "ecx", "edx", "memory"));
}

static __attribute__((noinline)) int try_ltr(uint16_t sel)
{
	return TRY(ltr(sel));
}

static void put_back_segments(void)
{
	__asm__ volatile("mov %0, %%ds; mov %0, %%es; mov %0, %%fs; mov %0, %%gs"
			 :
			 : "r"(SEL_DATA));
}

/* Code that cannot be read, and all system types, are #GP; as are DPLs too small for the RPL. */
static bool may_load(unsigned type, unsigned dpl, unsigned rpl)
{
	bool conforming = (type & 0xc) == 0xc;

	if (!(type & 0x10) || (type & 0xa) == 8)
		return false;
	return conforming || dpl >= rpl;
}

TEST(segments_of_all_types)
{
	for (unsigned i = 0; i < 0x400; i++) {
		unsigned type = i & 0x1f, dpl = i >> 5 & 3, present = i >> 7 & 1, rpl = i >> 8 & 3;
		int expected = !may_load(type, dpl, rpl) ? GP_VECTOR
			       : present                 ? NO_FAULT
							 : NP_VECTOR;
		int got;

		gdt_set(SEL_TEST, 0, 0xfffff, (uint16_t)(0xc000 | present << 7 | dpl << 5 | type));
		got = try_load_fs(SEL_TEST | rpl);
		if (got != expected)
			printf("# type %#x dpl %u rpl %u present %u\n", type, dpl, rpl, present);
		CHECK_EQ(got, expected);
		CHECK_EQ(try_load_es(SEL_TEST | rpl), expected);
		put_back_segments(); /* what the compiler makes may want to write through ES */
	}
}

TEST(stack_segments)
{
	CHECK_EQ(try_load_ss(SEL_UDATA), GP_VECTOR);
	CHECK_EQ(try_load_ss(SEL_DATA | 3), GP_VECTOR);
	CHECK_EQ(try_load_ss(SEL_CODE), GP_VECTOR);
	CHECK_EQ(try_load_ss(0xfff8), GP_VECTOR);
	CHECK_EQ(try_load_ss(0), IS_64BIT ? NO_FAULT : GP_VECTOR);
	__asm__ volatile("mov %0, %%ss" : : "r"(SEL_DATA));
	gdt_set(SEL_TEST, 0, 0xfffff, (GDT_DATA | GDT_G | GDT_DB) ^ GDT_ABSENT);
	CHECK_EQ(try_load_ss(SEL_TEST), SS_VECTOR);
}

TEST(odd_descriptor_tables)
{
	static const uint16_t bad[] = {SEL_DATA, SEL_CODE, SEL_TSS, 4, 0xfff8};

	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		CHECK_EQ(try_lldt(bad[i]), GP_VECTOR);
		if (bad[i] != SEL_TSS)
			CHECK_EQ(try_ltr(bad[i]), GP_VECTOR);
	}
	CHECK_EQ(try_ltr(SEL_TSS), GP_VECTOR); /* busy */
	CHECK_EQ(try_lldt(0), NO_FAULT);
}

#ifndef __x86_64__
static uint8_t bad_tss[PAGE_SIZE] __attribute__((aligned(4096)));

static __attribute__((noinline)) int try_task(void)
{
	return TRY(__asm__ volatile("ljmp %0, $0" : : "i"(SEL_TEST)));
}

/* What is looked at before the switch; the task that is left does not notice (SDM volume 3, 7.3).
 */
TEST(switches_to_bad_tasks)
{
	uint32_t base = (uint32_t)bad_tss;

	gdt_set(SEL_TEST, base, 0x67, 0x89 ^ GDT_ABSENT);
	CHECK_EQ(try_task(), NP_VECTOR);
	CHECK_EQ(fault()->error, SEL_TEST);
	gdt_set(SEL_TEST, base, 0x67, 0x8b); /* busy */
	CHECK_EQ(try_task(), GP_VECTOR);
	CHECK_EQ(fault()->error, SEL_TEST);
	gdt_set(SEL_TEST, base, 0x66, 0x89);
	CHECK_EQ(try_task(), TS_VECTOR);
	CHECK_EQ(fault()->error, SEL_TEST);
	gdt_set(SEL_TEST, base, 0x2a, 0x81); /* of 16 bits */
	CHECK_EQ(try_task(), TS_VECTOR);
	gdt_set(SEL_TEST, base, 0x67, 0x82); /* an LDT */
	CHECK_EQ(try_task(), GP_VECTOR);
	CHECK_EQ(cpu_index(), 0);
}
#endif

/*
 * A null selector with an RPL. If the CPU takes it, TR is put back at once: QEMU's CPU would abort
 * at the next exception.
 */
static bool refuses_null_task_register(void)
{
	uint8_t *type = (uint8_t *)&gdt[SEL_TSS / 8] + 5;
	int vector = TRY(__asm__ volatile("ltr %w0; andb $0xfd, %1; ltr %w2"
					  :
					  : "r"(3), "m"(*type), "r"(SEL_TSS)
					  : "memory"));

	return IS_ABLE(vector == GP_VECTOR);
}

TEST(null_task_register)
{
	SKIP_UNLESS(refuses_null_task_register(), "this CPU takes a null TR");
	CHECK_EQ(try_ltr(0), GP_VECTOR);
}

#ifdef __x86_64__
TEST(non_canonical_table_bases)
{
	struct table_ptr gdtr = sgdt(), idtr = sidt();

	bool able = IS_ABLE(TRY(lgdt((struct table_ptr){0xffff, BIT64(62)})) == GP_VECTOR);

	lgdt(gdtr);
	SKIP_UNLESS(able, "this CPU takes any base");
	CHECK_EQ(TRY(lgdt((struct table_ptr){0xffff, NON_CANONICAL})), GP_VECTOR);
	CHECK_EQ(TRY(lidt((struct table_ptr){0xffff, NON_CANONICAL})), GP_VECTOR);
	lgdt(gdtr);
	lidt(idtr);
}
#endif
