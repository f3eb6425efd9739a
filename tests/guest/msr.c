/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Model-specific registers: what exists keeps its value and refuses reserved bits, what does not
 * exist is #GP for RDMSR and for WRMSR alike (SDM volume 4; APM volume 2, appendix A).
 */
#include "apic.h"
#include "boot.h"
#include "clock.h"
#include "flaws.h"
#include "hypercall.h"
#include "ktap.h"
#include "user.h"

#define NON_CANONICAL 0x0000900000000000ull

static int try_rdmsr(uint32_t msr)
{
	return TRY(rdmsr(msr));
}

static int try_wrmsr(uint32_t msr, uint64_t val)
{
	return TRY(wrmsr(msr, val));
}

/* Write, read back, restore. */
static void round_trip(uint32_t msr, uint64_t val)
{
	uint64_t old = rdmsr(msr);

	if (!CHECK_EQ(try_wrmsr(msr, val), NO_FAULT) || !CHECK_EQ(rdmsr(msr), val))
		printf("# MSR %#x\n", msr);
	wrmsr(msr, old);
}

static void must_gp(uint32_t msr, uint64_t val)
{
	uint64_t old = rdmsr(msr);
	int vector = try_wrmsr(msr, val);

	if (vector != GP_VECTOR) {
		printf("# WRMSR %#x, %#llx: vector %d\n", msr, (unsigned long long)val, vector);
		CHECK(!"#GP");
		wrmsr(msr, old);
	} else {
		CHECK_EQ(fault()->error, 0);
		CHECK_EQ(rdmsr(msr), old);
	}
}

TEST(sysenter)
{
	SKIP_UNLESS(HAS_SEP, "no SYSENTER");
	round_trip(MSR_SYSENTER_CS, 0x1234);
	round_trip(MSR_SYSENTER_ESP, 0x12345678);
	round_trip(MSR_SYSENTER_EIP, 0x9abcdef0);
}

#ifdef __x86_64__
TEST(syscall_msrs)
{
	SKIP_UNLESS(HAS_LM, "no long mode");
	round_trip(MSR_STAR, 0x0013000812345678ull);
	round_trip(MSR_LSTAR, 0xffff8000deadbeefull);
	round_trip(MSR_CSTAR, 0x00007fffdeadbeefull);
	round_trip(MSR_SFMASK, 0x47700);
}

TEST(segment_bases)
{
	round_trip(MSR_FS_BASE, 0x0000123456789abcull);
	round_trip(MSR_GS_BASE, 0xffff923456789abcull);
	round_trip(MSR_KERNEL_GS_BASE, 0xffffffffffffffffull);
}

TEST(swapgs_exchanges_bases)
{
	wrmsr(MSR_GS_BASE, 0x1111000);
	wrmsr(MSR_KERNEL_GS_BASE, 0x2222000);
	__asm__ volatile("swapgs");
	CHECK_EQ(rdmsr(MSR_GS_BASE), 0x2222000);
	CHECK_EQ(rdmsr(MSR_KERNEL_GS_BASE), 0x1111000);
	wrmsr(MSR_GS_BASE, 0);
	wrmsr(MSR_KERNEL_GS_BASE, 0);
}

TEST(non_canonical_addresses)
{
	static const uint32_t msrs[] = {MSR_LSTAR, MSR_CSTAR, MSR_FS_BASE, MSR_GS_BASE,
					MSR_KERNEL_GS_BASE};

	SKIP_UNLESS(refuses_values(), "this CPU does not check for canonical addresses");
	for (unsigned i = 0; i < sizeof(msrs) / sizeof(msrs[0]); i++) {
		must_gp(msrs[i], NON_CANONICAL);
		must_gp(msrs[i], 1ull << 63);
	}
}

TEST(rdmsr_clears_upper_halves)
{
	unsigned long a = ~0ul, d = ~0ul, c = 0xffffffff00000000ul | MSR_APICBASE;

	__asm__ volatile("rdmsr" : "+a"(a), "+d"(d) : "c"(c));
	CHECK(!(a >> 32) && !(d >> 32));
	CHECK_EQ(a | d << 32, rdmsr(MSR_APICBASE));
}
#endif

TEST(tsc_aux)
{
	uint32_t aux;

	SKIP_UNLESS(HAS_RDTSCP, "no RDTSCP");
	wrmsr(MSR_TSC_AUX, 0x5678);
	CHECK_EQ(rdmsr(MSR_TSC_AUX), 0x5678);
	rdtscp(&aux);
	CHECK_EQ(aux, 0x5678);
	wrmsr(MSR_TSC_AUX, 0);
}

TEST(pat)
{
	SKIP_UNLESS(HAS_PAT, "no PAT");
	round_trip(MSR_PAT, 0x0007040600070406ull);
	round_trip(MSR_PAT, 0x0606060606060606ull);
	SKIP_UNLESS(refuses_values(), "this CPU takes any PAT");
	must_gp(MSR_PAT, 0x0007040600070402ull); /* type 2 is reserved */
	must_gp(MSR_PAT, 0x0307040600070406ull);
	must_gp(MSR_PAT, 0x0807040600070406ull);
}

TEST(mtrr_default_type)
{
	SKIP_UNLESS(HAS_MTRR, "no MTRRs");
	round_trip(MSR_MTRR_DEFTYPE, 0xc06);
	round_trip(MSR_MTRR_DEFTYPE, 0x800);
	SKIP_UNLESS(refuses_values(), "this CPU takes any value");
	must_gp(MSR_MTRR_DEFTYPE, 0xc02);
	must_gp(MSR_MTRR_DEFTYPE, 0x1006);
}

TEST(mtrr_variable_ranges)
{
	unsigned count;

	SKIP_UNLESS(HAS_MTRR, "no MTRRs");
	count = rdmsr(MSR_MTRRCAP) & 0xff;
	for (unsigned i = 0; i < count; i++) {
		round_trip(MSR_MTRR_PHYSBASE0 + 2 * i, 0x40000006);
		round_trip(MSR_MTRR_PHYSMASK0 + 2 * i, 0xc0000800);
	}
	SKIP_UNLESS(refuses_values(), "this CPU takes any value and any number");
	if (!count)
		return;
	must_gp(MSR_MTRR_PHYSBASE0, 0x40000002);
	must_gp(MSR_MTRR_PHYSBASE0, 1ull << 63);
	must_gp(MSR_MTRR_PHYSMASK0, 0xc0000400);
}

TEST(mtrr_fixed_ranges)
{
	static const uint32_t msrs[] = {0x250, 0x258, 0x259, 0x268, 0x26f};

	SKIP_UNLESS(HAS_MTRR && rdmsr(MSR_MTRRCAP) & 0x100, "no fixed-range MTRRs");
	for (unsigned i = 0; i < sizeof(msrs) / sizeof(msrs[0]); i++) {
		round_trip(msrs[i], 0x0606060606060606ull);
		round_trip(msrs[i], 0x0504010006050401ull);
		if (refuses_values())
			must_gp(msrs[i], 0x0000000000000200ull);
	}
}

TEST(mtrrcap_is_read_only)
{
	SKIP_UNLESS(HAS_MTRR, "no MTRRs");
	SKIP_UNLESS(refuses_values(), "this CPU ignores the write");
	must_gp(MSR_MTRRCAP, 0);
}

/* SDM volume 3, 15.3; APM volume 2, 9.3: for AMD's HWCR.McStatusWrEn is clear. */
TEST(machine_check_banks)
{
	unsigned banks;

	SKIP_UNLESS(HAS_MCA && try_rdmsr(MSR_MCG_CAP) == NO_FAULT, "no machine-check architecture");
	banks = rdmsr(MSR_MCG_CAP) & 0xff;
	CHECK_EQ(try_rdmsr(MSR_MCG_STATUS), NO_FAULT);
	CHECK_EQ(try_wrmsr(MSR_MCG_STATUS, 0), NO_FAULT);
	if (rdmsr(MSR_MCG_CAP) & BIT(8))
		CHECK_EQ(try_wrmsr(MSR_MCG_CTL, ~0ull), NO_FAULT);
	for (unsigned i = 0; i < banks; i++) {
		CHECK_EQ(try_rdmsr(MSR_MC_CTL(i)), NO_FAULT);
		CHECK_EQ(try_wrmsr(MSR_MC_CTL(i), ~0ull), NO_FAULT);
		CHECK_EQ(try_rdmsr(MSR_MC_STATUS(i)), NO_FAULT);
		CHECK_EQ(try_wrmsr(MSR_MC_STATUS(i), 0), NO_FAULT);
	}
	SKIP_UNLESS(refuses_values(), "this CPU has no missing banks");
	for (unsigned i = 0; i < banks; i++)
		must_gp(MSR_MC_STATUS(i), 1);
	must_gp(MSR_MCG_STATUS, 1ull << 63);
	if (banks < 28)
		CHECK_EQ(try_rdmsr(MSR_MC_CTL(banks)), GP_VECTOR);
}

/* No CPUID bit tells of the first four counters: software switches them off without asking. */
TEST(amd_performance_counters)
{
	SKIP_UNLESS(is_amd(), "not an AMD CPU");
	for (uint32_t msr = 0xc0010000; msr < 0xc0010008; msr++) {
		CHECK_EQ(try_wrmsr(msr, 0), NO_FAULT);
		CHECK_EQ(try_rdmsr(msr), NO_FAULT);
		CHECK_EQ(rdmsr(msr), 0);
	}
}

TEST(tsc_can_be_written)
{
	uint64_t now = rdtsc();

	SKIP_UNLESS(refuses_values(), "this CPU ignores writes to the TSC");
	wrmsr(MSR_TSC, now + (1ull << 40));
	CHECK(rdtsc() >= now + (1ull << 40));
	CHECK(rdmsr(MSR_TSC) - rdtsc() + (1ull << 32) < 1ull << 33);
	wrmsr(MSR_TSC, now);
	CHECK(rdtsc() < now + (1ull << 39));
}

TEST(tsc_adjust)
{
	uint64_t old, t;

	SKIP_UNLESS(HAS_TSC_ADJUST, "no IA32_TSC_ADJUST");
	SKIP_UNLESS(refuses_values(), "this CPU has no adjustment");
	old = rdmsr(MSR_TSC_ADJUST);
	t = rdtsc();
	wrmsr(MSR_TSC_ADJUST, old + (1ull << 36));
	CHECK(rdtsc() >= t + (1ull << 36));
	CHECK_EQ(rdmsr(MSR_TSC_ADJUST), old + (1ull << 36));
	wrmsr(MSR_TSC_ADJUST, old);
	CHECK(rdtsc() < t + (1ull << 36));
	t = rdtsc();
	wrmsr(MSR_TSC, t + (1ull << 36)); /* moves the adjustment by as much */
	CHECK(rdmsr(MSR_TSC_ADJUST) - old - (1ull << 36) + (1ull << 32) < 1ull << 33);
	wrmsr(MSR_TSC_ADJUST, old);
}

TEST(efer_bits)
{
	uint64_t efer = rdmsr(MSR_EFER);

	round_trip(MSR_EFER, efer ^ EFER_SCE);
	if (HAS_NX)
		round_trip(MSR_EFER, efer ^ EFER_NXE);
	CHECK_EQ(!!(efer & EFER_LMA), IS_64BIT);
}

TEST(efer_reserved_bits)
{
	uint64_t efer = rdmsr(MSR_EFER);

	SKIP_UNLESS(refuses_values(), "this CPU drops reserved bits");
	must_gp(MSR_EFER, efer | BIT64(1));
	must_gp(MSR_EFER, efer | BIT64(9));
	must_gp(MSR_EFER, efer | BIT64(63));
	if (!HAS_SVM)
		must_gp(MSR_EFER, efer | EFER_SVME);
}

#ifdef __x86_64__
TEST(efer_lme_is_fixed_under_paging)
{
	uint64_t efer = rdmsr(MSR_EFER);

	SKIP_UNLESS(refuses_values(), "this CPU lets LME change under paging");
	must_gp(MSR_EFER, efer & ~EFER_LME);
}
#endif

TEST(apicbase_bits)
{
	uint64_t base = rdmsr(MSR_APICBASE);

	CHECK_EQ(base & ~0xfffull, APIC_BASE_PA);
	CHECK(base & APICBASE_BSP);
	CHECK(base & APICBASE_ENABLE);
	SKIP_UNLESS(refuses_values(), "this CPU takes any value");
	must_gp(MSR_APICBASE, base | BIT64(0));
	must_gp(MSR_APICBASE, base | BIT64(9));
	must_gp(MSR_APICBASE, base | 1ull << 63);
	must_gp(MSR_APICBASE, (base & ~APICBASE_ENABLE) | APICBASE_X2APIC);
	if (!HAS_X2APIC)
		must_gp(MSR_APICBASE, base | APICBASE_X2APIC);
}

TEST(x2apic_msrs_outside_x2apic_mode)
{
	SKIP_UNLESS(refuses_values(), "this CPU has no x2APIC");
	REQUIRE(!apic_is_x2());
	CHECK_EQ(try_rdmsr(0x802), GP_VECTOR);
	CHECK_EQ(try_wrmsr(0x80b, 0), GP_VECTOR);
}

static const uint32_t nowhere[] = {0x12345,    0x4b564dff, 0x7fffffff, 0xc0001fff,
				   0xc0010fff, 0xc0011fff, 0xffffffff};

TEST(unknown_rdmsr)
{
	SKIP_UNLESS(refuses_values(), "this CPU reads 0");
	for (unsigned i = 0; i < sizeof(nowhere) / sizeof(nowhere[0]); i++) {
		CHECK_EQ(try_rdmsr(nowhere[i]), GP_VECTOR);
		CHECK_EQ(fault()->error, 0);
	}
}

TEST(unknown_wrmsr)
{
	SKIP_UNLESS(refuses_values(), "this CPU ignores the write");
	for (unsigned i = 0; i < sizeof(nowhere) / sizeof(nowhere[0]); i++)
		CHECK_EQ(try_wrmsr(nowhere[i], 0), GP_VECTOR);
}

/* No MSR, whatever its number, may do anything but answer or raise #GP. */
TEST(rdmsr_sweep)
{
	unsigned count = 0;

	for (uint32_t msr = 0; msr < 0x2000; msr += one_in()) {
		int vector = try_rdmsr(msr), high = try_rdmsr(0xc0000000 + msr);

		CHECK(vector == NO_FAULT || vector == GP_VECTOR);
		CHECK(high == NO_FAULT || high == GP_VECTOR);
		count += (vector == NO_FAULT) + (high == NO_FAULT);
	}
	printf("# %u MSRs can be read\n", count);
}

USER_CODE(user_rdmsr, "mov $0x10, %ecx; rdmsr");
USER_CODE(user_wrmsr, "mov $0x10, %ecx; wrmsr");
USER_CODE(user_rdtsc, "rdtsc");

TEST(user_mode)
{
	unsigned long cr4 = read_cr4();

	CHECK_EQ(try_user(user_rdmsr), GP_VECTOR);
	CHECK_EQ(try_user(user_wrmsr), GP_VECTOR);
	CHECK_EQ(try_user(user_rdtsc), NO_FAULT);
	write_cr4(cr4 | CR4_TSD);
	CHECK_EQ(try_user(user_rdtsc), GP_VECTOR);
	CHECK_EQ(TRY(rdtsc()), NO_FAULT);
	write_cr4(cr4);
}
