/* SPDX-License-Identifier: BSD-2-Clause */
/* MSR policy: what there is, what it takes, and #GP for the rest. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "arch/x86/regs.h"
#include "tests/unit/support/apics.h"
#include "tests/unit/support/fake_virt.h"
#include "vmm/cpu.h"
#include "vmm/cpuid_table.h"
#include "vmm/exit/msr.h"
#include "vmm/vcpu_load.h"
#include "vmm/vm.h"

#define M(name) CPUID_MASK(CPUID_##name)

static struct vm vm;
static struct vcpu vcpu;
static uint64_t tsc_aux;

uint64_t arch_capabilities_of_host(void)
{
	return ~0ull;
}

struct cpuid_entry cpuid_of_host(uint32_t leaf, uint32_t subleaf)
{
	return (struct cpuid_entry){0};
}

uint64_t vcpu_xcr0(struct vcpu *v)
{
	return 0;
}

void vcpu_load_tsc_aux(const struct vcpu *v)
{
	tsc_aux = v->msr.tsc_aux;
}

static unsigned predictor_flushes, l1d_flushes;

void vcpu_flush_predictors(void)
{
	predictor_flushes++;
}

void vcpu_flush_l1d(void)
{
	l1d_flushes++;
}

static uint32_t requested;
static struct shadow_vcpu shadow;

void vcpu_request(struct vcpu *v, uint32_t requests)
{
	requested |= requests;
}

static int setup(void **state)
{
	memset(&fake_cpu, 0, sizeof(fake_cpu));
	requested = 0;
	apics_create(1);
	vm = (struct vm){
		.cpuid = {.basic = {[0] = {.ebx = CPUID_VENDOR_AMD_EBX}},
			  .ext = {[1] = {.edx = M(SYSCALL) | M(NX) | M(FFXSR) | M(RDTSCP) | M(LM)},
				  [8] = {.eax = 0x3028}}}};
	vcpu = (struct vcpu){.vm = &vm, .lapic = &apic[0]};
	msr_init();
	vcpu_reset(&vcpu);
	return 0;
}

static uint64_t get(uint32_t msr)
{
	struct msr_value r = msr_read(&vcpu, msr);

	assert_int_equal(r.error, 0);
	return r.val;
}

static bool is_gp(uint32_t msr, uint64_t val)
{
	return msr_write(&vcpu, msr, val) == -EINVAL;
}

static bool is_readable(uint32_t msr)
{
	return msr_read(&vcpu, msr).error == 0;
}

/* Of one range: how many MSRs can be read. All others are #GP for reading and for writing. */
static unsigned count(uint32_t first, uint32_t nr)
{
	unsigned n = 0;

	for (uint32_t msr = first; msr - first < nr; msr++) {
		if (is_readable(msr))
			n++;
		else
			assert_true(is_gp(msr, 0));
	}
	return n;
}

/* The numbers are of the manuals: Intel's architectural MSRs, and AMD's. */
static void what_is_not_named_is_gp(void **state)
{
	/* TSC APICBASE TSC_ADJUST BIOS_SIGN MTRRCAP SYSENTER*3 MISC_ENABLE DEBUGCTL
	   MTRR*(16 + 11 + 1) PAT TSC_DEADLINE MCG*3 banks*(4 * 4) */
	assert_int_equal(count(0, 0x10000), 10 + 28 + 2 + 3 + 16);
	/* EFER STAR LSTAR CSTAR SFMASK FS GS KERNEL_GS TSC_AUX */
	assert_int_equal(count(0xc0000000, 0x10000), 9);
	assert_int_equal(count(0x10000, 0x1000), 0);
	assert_int_equal(count(0x40000000, 0x1000), 0);
	assert_int_equal(count(0xfffff000, 0x1000), 0);
	assert_false(is_readable(0x3a));       /* FEATURE_CONTROL */
	assert_false(is_readable(0x48));       /* SPEC_CTRL */
	assert_false(is_readable(0x49));       /* PRED_CMD */
	assert_false(is_readable(0x10a));      /* ARCH_CAPABILITIES */
	assert_false(is_readable(0x10b));      /* FLUSH_CMD */
	assert_false(is_readable(0x480));      /* VMX */
	assert_false(is_readable(0xc0010114)); /* VM_CR */
	assert_false(is_readable(0xc0010117)); /* VM_HSAVE_PA */
}

/* What the firmware of AMD's systems uses is no MSR of an Intel CPU. */
static void amd_msrs_are_amds(void **state)
{
	unsigned amd = count(0xc0010000, 0x2000);

	assert_true(amd > 10);
	assert_int_equal(get(MSR_AMD_HWCR), BIT_ULL(24));
	assert_int_equal(msr_write(&vcpu, MSR_AMD_SYSCFG, ~0ull), 0);
	assert_int_equal(get(MSR_AMD_SYSCFG), 0);
	vm.cpuid.basic[0].ebx = 0x756e6547;
	assert_int_equal(count(0xc0010000, 0x2000), 0);
	assert_true(is_gp(MSR_AMD_HWCR, 0));
}

static void tsc_aux_comes_with_rdtscp(void **state)
{
	assert_int_equal(msr_write(&vcpu, MSR_TSC_AUX, 0x1234), 0);
	assert_int_equal(tsc_aux, 0x1234);
	assert_int_equal(get(MSR_TSC_AUX), 0x1234);
	assert_true(is_gp(MSR_TSC_AUX, BIT_ULL(32)));
	vm.cpuid.ext[1].edx &= ~M(RDTSCP);
	tsc_aux = 0;
	assert_false(is_readable(MSR_TSC_AUX));
	assert_true(is_gp(MSR_TSC_AUX, 1)); /* the machine may have none: WRMSR would fault */
	assert_int_equal(tsc_aux, 0);
}

static void addresses_are_canonical(void **state)
{
	static const uint32_t msrs[] = {MSR_SYSENTER_ESP,  MSR_SYSENTER_EIP, MSR_LSTAR,
					MSR_CSTAR,         MSR_FS_BASE,      MSR_GS_BASE,
					MSR_KERNEL_GS_BASE};

	for (unsigned i = 0; i < ARRAY_SIZE(msrs); i++) {
		vm.cpuid.basic[7].ecx = 0;
		assert_int_equal(msr_write(&vcpu, msrs[i], 0xffff800000000000), 0);
		assert_int_equal(get(msrs[i]), 0xffff800000000000);
		assert_int_equal(msr_write(&vcpu, msrs[i], 0x00007fffffffffff), 0);
		assert_true(is_gp(msrs[i], 0x0000800000000000));
		assert_true(is_gp(msrs[i], 0xffff7fffffffffff));
		assert_int_equal(get(msrs[i]), 0x00007fffffffffff);
		vm.cpuid.basic[7].ecx = M(LA57);
		assert_int_equal(msr_write(&vcpu, msrs[i], 0x00ffffffffffffff), 0);
		assert_true(is_gp(msrs[i], 0x0100000000000000));
	}
}

static void pat_takes_memory_types(void **state)
{
	for (unsigned type = 0; type < 256; type++) {
		bool ok = type < 8 && type != 2 && type != 3;

		for (unsigned i = 0; i < 8; i++)
			assert_int_equal(is_gp(MSR_PAT, (uint64_t)type << 8 * i), !ok);
	}
}

static void mtrrs_keep_what_they_may(void **state)
{
	assert_int_equal(get(MSR_MTRRCAP), 0x508);
	assert_true(is_gp(MSR_MTRRCAP, 0x508));
	assert_int_equal(get(MSR_MTRR_DEF_TYPE), 0xc06);
	assert_int_equal(msr_write(&vcpu, MSR_MTRR_DEF_TYPE, 0x800), 0);
	assert_true(is_gp(MSR_MTRR_DEF_TYPE, 0x1000));
	assert_true(is_gp(MSR_MTRR_DEF_TYPE, 0x802));
	assert_int_equal(get(MSR_MTRR_DEF_TYPE), 0x800);
	for (unsigned i = 0; i < 8; i++) {
		assert_int_equal(msr_write(&vcpu, MSR_MTRR_PHYSBASE(i), 0xe000000006), 0);
		assert_true(is_gp(MSR_MTRR_PHYSBASE(i), 0xe000000003));
		assert_true(is_gp(MSR_MTRR_PHYSBASE(i), 0x106));
		assert_true(is_gp(MSR_MTRR_PHYSBASE(i), BIT_ULL(40))); /* 40 address bits */
		assert_int_equal(msr_write(&vcpu, MSR_MTRR_PHYSMASK(i), 0xffe0000800), 0);
		assert_true(is_gp(MSR_MTRR_PHYSMASK(i), 0xffe0000400));
		assert_true(is_gp(MSR_MTRR_PHYSMASK(i), BIT_ULL(40)));
		assert_int_equal(get(MSR_MTRR_PHYSBASE(i)), 0xe000000006);
		assert_int_equal(get(MSR_MTRR_PHYSMASK(i)), 0xffe0000800);
	}
	assert_int_equal(msr_write(&vcpu, MSR_MTRR_FIX64K_00000, 0x0606060606060606), 0);
	assert_true(is_gp(MSR_MTRR_FIX64K_00000, 0x0606060206060606));
	for (uint32_t i = 0; i < 8; i++) {
		assert_int_equal(msr_write(&vcpu, MSR_MTRR_FIX4K_C0000 + i, i < 2 ? i : 5), 0);
		assert_int_equal(get(MSR_MTRR_FIX4K_C0000 + i), i < 2 ? i : 5);
	}
}

static void efer_takes_the_guests_features(void **state)
{
	uint64_t all = EFER_SCE | EFER_LME | EFER_NXE | EFER_FFXSR;

	assert_int_equal(msr_write(&vcpu, MSR_EFER, all), 0);
	assert_int_equal(get(MSR_EFER), all);
	for (unsigned bit = 0; bit < 64; bit++)
		assert_int_equal(is_gp(MSR_EFER, BIT_ULL(bit)), !((all | EFER_LMA) & BIT_ULL(bit)));
	/* LMA is the CPU's. */
	assert_int_equal(msr_write(&vcpu, MSR_EFER, EFER_LME | EFER_LMA), 0);
	assert_int_equal(get(MSR_EFER), EFER_LME);
	fake_cpu.vreg[VREG_CR0] = CR0_PE | CR0_PG;
	assert_int_equal(requested, 0);
	vcpu.mmu.shadow = &shadow;
	assert_int_equal(msr_write(&vcpu, MSR_EFER, EFER_LME), 0);
	assert_int_equal(requested, REQ_RELOAD_ROOT);
	fake_cpu.vreg[VREG_EFER] = EFER_LME | EFER_LMA;
	assert_true(is_gp(MSR_EFER, 0));
	assert_int_equal(msr_write(&vcpu, MSR_EFER, EFER_LME | EFER_NXE), 0);
	assert_int_equal(get(MSR_EFER), EFER_LME | EFER_LMA | EFER_NXE);
	/* Each bit goes with its feature. */
	vm.cpuid.ext[1].edx = 0;
	fake_cpu.vreg[VREG_CR0] = 0;
	for (unsigned bit = 0; bit < 64; bit++)
		assert_int_equal(is_gp(MSR_EFER, BIT_ULL(bit)), BIT_ULL(bit) != EFER_LMA);
}

static void tsc_and_adjust_move_together(void **state)
{
	uint64_t offset;

	assert_int_equal(msr_write(&vcpu, MSR_TSC_ADJUST, 1ull << 40), 0);
	offset = vcpu.tsc_offset;
	assert_int_equal(offset, 1ull << 40);
	assert_int_equal(fake_cpu.tsc_offset, offset);
	assert_int_equal(msr_write(&vcpu, MSR_TSC_ADJUST, -5ull), 0);
	assert_int_equal(vcpu.tsc_offset, -5ull);
	assert_int_equal(msr_write(&vcpu, MSR_TSC, 0), 0);
	assert_true(get(MSR_TSC) < 1ull << 36);
	assert_int_equal(get(MSR_TSC_ADJUST), vcpu.tsc_offset);
	assert_int_equal(apic[0].tsc_offset, vcpu.tsc_offset);
}

static void x2apic_registers_come_with_its_mode(void **state)
{
	unsigned n = 0;

	assert_int_equal(count(0x800, 0x100), 0);
	assert_int_equal(msr_write(&vcpu, MSR_APICBASE, get(MSR_APICBASE) | 0x400), 0);
	assert_true(is_readable(0x802));
	/* ID version TPR PPR LDR SVR ISR*8 TMR*8 IRR*8 ESR ICR LVT*6 counts divide */
	for (uint32_t msr = 0x800; msr < 0x900; msr++)
		n += is_readable(msr);
	assert_int_equal(n, 6 + 24 + 2 + 6 + 3);
	assert_int_equal(msr_write(&vcpu, 0x80b, 0), 0); /* EOI, and SELF IPI: write-only */
	assert_int_equal(msr_write(&vcpu, 0x83f, 0x40), 0);
	assert_true(is_gp(0x80f, 0x400));
	assert_true(is_gp(0x80b, 1));
	assert_true(is_gp(0x802, 0));
	assert_true(is_gp(MSR_APICBASE, 0xfee00800)); /* not straight back */
	assert_true(is_gp(MSR_APICBASE, BIT_ULL(40)));
}

/* SDM volume 3, 15.3; they are the same after INIT. */
static void banks_of_machine_checks_report_nothing(void **state)
{
	unsigned banks = get(MSR_MCG_CAP) & MCG_CAP_COUNT;

	assert_true(banks > 0 && (get(MSR_MCG_CAP) & MCG_CAP_CTL_P));
	assert_int_equal(get(MSR_MCG_CAP) & ~(MCG_CAP_COUNT | MCG_CAP_CTL_P), 0);
	assert_true(is_gp(MSR_MCG_CAP, get(MSR_MCG_CAP)));
	assert_int_equal(get(MSR_MCG_STATUS), 0);
	assert_int_equal(msr_write(&vcpu, MSR_MCG_STATUS, MCG_STATUS_MCIP), 0);
	assert_int_equal(get(MSR_MCG_STATUS), MCG_STATUS_MCIP);
	assert_true(is_gp(MSR_MCG_STATUS, BIT_ULL(4)));
	assert_int_equal(msr_write(&vcpu, MSR_MCG_CTL, ~0ull), 0);
	assert_true(is_gp(MSR_MCG_CTL, 1));
	assert_int_equal(get(MSR_MCG_CTL), ~0ull);
	for (unsigned i = 0; i < banks; i++) {
		assert_int_equal(get(MSR_MC_STATUS(i)), 0);
		assert_int_equal(msr_write(&vcpu, MSR_MC_STATUS(i), 0), 0);
		for (unsigned bit = 0; bit < 64; bit++)
			assert_true(is_gp(MSR_MC_STATUS(i), BIT_ULL(bit)));
		for (uint32_t msr = MSR_MC_CTL(i); msr <= MSR_MC_MISC(i); msr++) {
			if (msr == MSR_MC_STATUS(i))
				continue;
			assert_int_equal(get(msr), 0);
			assert_int_equal(msr_write(&vcpu, msr, 0x100 + msr), 0);
		}
	}
	vcpu_reset_registers(&vcpu);
	assert_int_equal(get(MSR_MCG_CTL), ~0ull);
	for (unsigned i = 0; i < banks; i++) {
		assert_int_equal(get(MSR_MC_CTL(i)), 0x100 + MSR_MC_CTL(i));
		assert_int_equal(get(MSR_MC_ADDR(i)), 0x100 + MSR_MC_ADDR(i));
		assert_int_equal(get(MSR_MC_MISC(i)), 0x100 + MSR_MC_MISC(i));
	}
	vcpu_reset(&vcpu);
	assert_int_equal(get(MSR_MCG_STATUS), 0);
	assert_int_equal(get(MSR_MCG_CTL), 0);
	assert_int_equal(get(MSR_MC_CTL(0)), 0);
}

/* Each with the bits of CPUID that stand for it: Intel's, or AMD's. */
static void spec_ctrl_has_the_bits_that_cpuid_tells(void **state)
{
	uint64_t all = SPEC_CTRL_IBRS | SPEC_CTRL_STIBP | SPEC_CTRL_SSBD;

	assert_true(is_gp(MSR_SPEC_CTRL, 0));
	for (uint64_t bits = 1; bits <= all; bits++) {
		vm.cpuid.spec_ctrl = bits;
		for (unsigned i = 0; i < 64; i++)
			assert_int_equal(is_gp(MSR_SPEC_CTRL, BIT_ULL(i)), !(bits & BIT_ULL(i)));
		assert_int_equal(msr_write(&vcpu, MSR_SPEC_CTRL, bits), 0);
		assert_int_equal(get(MSR_SPEC_CTRL), bits);
		assert_int_equal(vcpu.virt.spec_ctrl, bits); /* the back end knows */
	}
	vcpu_reset_registers(&vcpu); /* INIT */
	assert_int_equal(get(MSR_SPEC_CTRL), all);
	vcpu_reset(&vcpu);
	assert_int_equal(get(MSR_SPEC_CTRL), 0);
	assert_int_equal(vcpu.virt.spec_ctrl, 0);
}

static void commands_are_carried_out(void **state)
{
	predictor_flushes = l1d_flushes = 0;
	assert_true(is_gp(MSR_PRED_CMD, PRED_CMD_IBPB));
	assert_true(is_gp(MSR_FLUSH_CMD, FLUSH_CMD_L1D));
	vm.cpuid.ext[8].ebx = M(IBPB);
	assert_int_equal(msr_write(&vcpu, MSR_PRED_CMD, PRED_CMD_IBPB), 0);
	vm.cpuid.ext[8].ebx = 0;
	vm.cpuid.basic[7].edx = M(IBRS_IBPB) | M(L1D_FLUSH);
	assert_int_equal(msr_write(&vcpu, MSR_PRED_CMD, PRED_CMD_IBPB), 0);
	assert_int_equal(msr_write(&vcpu, MSR_PRED_CMD, 0), 0);
	assert_int_equal(predictor_flushes, 2);
	assert_int_equal(msr_write(&vcpu, MSR_FLUSH_CMD, FLUSH_CMD_L1D), 0);
	assert_int_equal(l1d_flushes, 1);
	assert_true(is_gp(MSR_PRED_CMD, 2) && is_gp(MSR_FLUSH_CMD, 2));
	assert_false(is_readable(MSR_PRED_CMD) || is_readable(MSR_FLUSH_CMD));
}

static void capabilities_are_read_only(void **state)
{
	vm.cpuid.basic[7].edx = M(ARCH_CAPABILITIES);
	vm.cpuid.arch_capabilities = ARCH_CAP_RDCL_NO | ARCH_CAP_MDS_NO;
	assert_int_equal(get(MSR_ARCH_CAPABILITIES), ARCH_CAP_RDCL_NO | ARCH_CAP_MDS_NO);
	assert_true(is_gp(MSR_ARCH_CAPABILITIES, 0));
}

static void the_rest(void **state)
{
	assert_int_equal(msr_write(&vcpu, MSR_SYSENTER_CS, 0x10), 0);
	assert_int_equal(fake_cpu.vreg[VREG_SYSENTER_CS], 0x10);
	assert_int_equal(msr_write(&vcpu, MSR_STAR, ~0ull), 0);
	assert_int_equal(msr_write(&vcpu, MSR_MISC_ENABLE, 1), 0);
	assert_true(is_gp(MSR_MISC_ENABLE, 2));
	assert_true(is_gp(MSR_DEBUGCTL, 4));
	assert_int_equal(msr_write(&vcpu, MSR_TSC_DEADLINE, 0), 0);
	/* Set to what RESET says. */
	vcpu_reset(&vcpu);
	assert_int_equal(get(MSR_MISC_ENABLE), 0x1801); /* fast strings are on */
	assert_int_equal(get(MSR_MTRR_DEF_TYPE), 0xc06);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(what_is_not_named_is_gp, setup),
		cmocka_unit_test_setup(amd_msrs_are_amds, setup),
		cmocka_unit_test_setup(tsc_aux_comes_with_rdtscp, setup),
		cmocka_unit_test_setup(addresses_are_canonical, setup),
		cmocka_unit_test_setup(pat_takes_memory_types, setup),
		cmocka_unit_test_setup(mtrrs_keep_what_they_may, setup),
		cmocka_unit_test_setup(efer_takes_the_guests_features, setup),
		cmocka_unit_test_setup(tsc_and_adjust_move_together, setup),
		cmocka_unit_test_setup(x2apic_registers_come_with_its_mode, setup),
		cmocka_unit_test_setup(banks_of_machine_checks_report_nothing, setup),
		cmocka_unit_test_setup(spec_ctrl_has_the_bits_that_cpuid_tells, setup),
		cmocka_unit_test_setup(commands_are_carried_out, setup),
		cmocka_unit_test_setup(capabilities_are_read_only, setup),
		cmocka_unit_test_setup(the_rest, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
