/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The switch from one vCPU to another: each has its own registers, and between two VMs there is the
 * barrier that the CPU needs.
 */
#include <asm/prctl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cmocka.h>

#include "arch/x86/cpu_features.h"
#include "arch/x86/fpu.h"
#include "arch/x86/percpu.h"
#include "vmm/cpu.h"
#include "vmm/vcpu_load.h"
#include "vmm/vm.h"

/* ---- the CPU ---- */

static struct {
	bool features[NR_FEATURES];
	bool tsa_sq_no, tsa_l1_no;
	uint64_t capabilities;
	uint64_t dr[4], tsc_aux, xcr0;
	uint64_t fpu;
	struct virt_vcpu *loaded;

	unsigned ibpbs, l1d_flushes, buffer_clears, predictor_fills;
} hw;

bool cpu_has(enum cpu_feature feature)
{
	return hw.features[feature];
}

bool cpu_reports(enum cpuid_bit bit)
{
	assert_true(bit == CPUID_TSA_SQ_NO || bit == CPUID_TSA_L1_NO);
	return bit == CPUID_TSA_SQ_NO ? hw.tsa_sq_no : hw.tsa_l1_no;
}

uint64_t rdmsr(uint32_t msr)
{
	assert_int_equal(msr, MSR_ARCH_CAPABILITIES);
	assert_true(hw.features[FEATURE_ARCH_CAPABILITIES]);
	return hw.capabilities;
}

void wrmsr(uint32_t msr, uint64_t val)
{
	switch (msr) {
	case MSR_PRED_CMD:
		assert_true(hw.features[FEATURE_IBPB] || hw.features[FEATURE_IBPB_AMD]);
		assert_int_equal(val, PRED_CMD_IBPB);
		hw.ibpbs++;
		break;
	case MSR_FLUSH_CMD:
		assert_true(hw.features[FEATURE_FLUSH_L1D]);
		assert_int_equal(val, FLUSH_CMD_L1D);
		hw.l1d_flushes++;
		break;
	default:
		assert_int_equal(msr, MSR_TSC_AUX);
		hw.tsc_aux = val;
	}
}

uint64_t xgetbv(uint32_t xcr)
{
	assert_int_equal(xcr, 0);
	return hw.xcr0;
}

void clear_cpu_buffers(void)
{
	hw.buffer_clears++;
}

void fill_return_predictor(void)
{
	hw.predictor_fills++;
}

#define DR(n)                                                                                      \
	uint64_t read_dr##n(void)                                                                  \
	{                                                                                          \
		return hw.dr[n];                                                                   \
	}                                                                                          \
	void write_dr##n(uint64_t val)                                                             \
	{                                                                                          \
		hw.dr[n] = val;                                                                    \
	}
DR(0)
DR(1)
DR(2)
DR(3)

/* An area is one number. */
void fpu_save(void *area, uint64_t xcr0)
{
	assert_int_equal(xcr0, hw.xcr0);
	*(uint64_t *)area = hw.fpu;
	hw.xcr0 = ~0ull;
}

void fpu_restore(const void *area, uint64_t xcr0)
{
	assert_int_equal(hw.xcr0, ~0ull);
	hw.fpu = *(const uint64_t *)area;
	hw.xcr0 = xcr0;
}

bool fpu_has_xsave(void)
{
	return true;
}

void svm_vcpu_load(struct virt_vcpu *v)
{
	assert_null(hw.loaded);
	hw.loaded = v;
}

void svm_vcpu_unload(struct virt_vcpu *v)
{
	assert_ptr_equal(hw.loaded, v);
	hw.loaded = NULL;
}

/* ---- two VMs ---- */

static struct cpu cpu;
static struct vmm_cpu vmm;
static struct vm vms[2];
static struct vcpu vcpus[3]; /* the first two are of one VM */
static uint64_t areas[3];

static int setup(void **state)
{
	memset(&hw, 0, sizeof(hw));
	hw.xcr0 = ~0ull;
	memset(&vmm, 0, sizeof(vmm));
	cpu = (struct cpu){.self = &cpu, .vmm = &vmm};
	syscall(SYS_arch_prctl, ARCH_SET_GS, &cpu);
	for (unsigned i = 0; i < ARRAY_SIZE(vms); i++)
		vms[i].cpuid.ext[1].edx = CPUID_MASK(CPUID_RDTSCP);
	for (unsigned i = 0; i < ARRAY_SIZE(vcpus); i++)
		vcpus[i] = (struct vcpu){.vm = &vms[i / 2], .fpu = &areas[i], .xcr0 = XCR0_X87};
	return 0;
}

/* Each loads what it left, and then changes all of it. */
static void each_vcpu_has_its_own_registers(void **state)
{
	for (unsigned turn = 0; turn < 9; turn++) {
		unsigned i = turn % 3;
		uint64_t left = turn < 3 ? 0 : 100 + turn - 3;

		vcpu_load(&vcpus[i]);
		assert_ptr_equal(hw.loaded, &vcpus[i].virt);
		assert_ptr_equal(cpu.current, &vcpus[i]);
		assert_int_equal(hw.fpu, left);
		assert_int_equal(hw.tsc_aux, left);
		assert_int_equal(hw.xcr0, left ? XCR0_X87 | XCR0_SSE : XCR0_X87);
		assert_int_equal(vcpu_xcr0(&vcpus[i]), hw.xcr0);
		for (unsigned k = 0; k < 4; k++) {
			assert_int_equal(hw.dr[k], left);
			hw.dr[k] = 100 + turn;
		}
		hw.fpu = vcpus[i].msr.tsc_aux = 100 + turn;
		hw.xcr0 = XCR0_X87 | XCR0_SSE;
	}
	vcpu_unload(&vcpus[2]);
	assert_null(hw.loaded);
	assert_null(cpu.current);
}

static void check_barriers(unsigned ibpbs, unsigned fills, unsigned l1d, unsigned buffers)
{
	assert_int_equal(hw.ibpbs, ibpbs);
	assert_int_equal(hw.predictor_fills, fills);
	assert_int_equal(hw.l1d_flushes, l1d);
	assert_int_equal(hw.buffer_clears, buffers);
}

static void vms_are_kept_apart(void **state)
{
	hw.features[FEATURE_IBPB] = hw.features[FEATURE_MD_CLEAR] = true;
	hw.features[FEATURE_FLUSH_L1D] = true;
	vcpu_load_init();
	vcpu_load(&vcpus[0]); /* on a CPU that has seen no guest */
	vcpu_load(&vcpus[0]);
	vcpu_load(&vcpus[1]); /* of the same VM */
	check_barriers(0, 0, 0, 0);
	vcpu_load(&vcpus[2]);
	check_barriers(1, 1, 1, 1);
	vcpu_load(&vcpus[0]);
	check_barriers(2, 2, 2, 2);
	/* Its VM's memory may be another's when the next one is loaded. */
	vcpu_unload(&vcpus[0]);
	check_barriers(3, 3, 3, 3);
	vcpu_unload(&vcpus[0]);
	vcpu_load(&vcpus[2]);
	check_barriers(3, 3, 3, 3);
}

static void a_barrier_is_what_the_cpu_needs(void **state)
{
	static const struct {
		enum cpu_feature feature;
		uint64_t capabilities;
		unsigned ibpbs, l1d, buffers;
	} cases[] = {
		{FEATURE_NX, 0, 0, 0, 0},
		{FEATURE_IBPB_AMD, 0, 1, 0, 0},
		{FEATURE_FLUSH_L1D, 0, 0, 1, 0},
		{FEATURE_FLUSH_L1D, ARCH_CAP_MDS_NO | ARCH_CAP_TAA_NO, 0, 1, 0},
		{FEATURE_FLUSH_L1D, ARCH_CAP_RDCL_NO, 0, 0, 0},
		{FEATURE_MD_CLEAR, ARCH_CAP_MDS_NO, 0, 0, 1},
		{FEATURE_MD_CLEAR, ARCH_CAP_MDS_NO | ARCH_CAP_TAA_NO, 0, 0, 0},
		/* MMIO stale data: all three kinds of it have to be absent. */
		{FEATURE_NX, ARCH_CAP_FB_CLEAR | ARCH_CAP_MDS_NO | ARCH_CAP_TAA_NO, 0, 0, 1},
		{FEATURE_NX, ARCH_CAP_FB_CLEAR | ARCH_CAP_SBDR_SSDP_NO | ARCH_CAP_FBSDP_NO, 0, 0,
		 1},
		{FEATURE_NX,
		 ARCH_CAP_FB_CLEAR | ARCH_CAP_SBDR_SSDP_NO | ARCH_CAP_FBSDP_NO | ARCH_CAP_PSDP_NO,
		 0, 0, 0},
		/* Register files. */
		{FEATURE_MD_CLEAR, ARCH_CAP_MDS_NO | ARCH_CAP_TAA_NO | ARCH_CAP_RFDS_CLEAR, 0, 0,
		 1},
		{FEATURE_NX, ARCH_CAP_RFDS_CLEAR | ARCH_CAP_RFDS_NO, 0, 0, 0},
		{FEATURE_VERW_CLEAR, 0, 0, 0, 1},
	};

	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		setup(state);
		hw.features[cases[i].feature] = true;
		hw.features[FEATURE_ARCH_CAPABILITIES] = true;
		hw.capabilities = cases[i].capabilities;
		vcpu_load_init();
		vcpu_load(&vcpus[0]);
		vcpu_load(&vcpus[2]);
		check_barriers(cases[i].ibpbs, 1, cases[i].l1d, cases[i].buffers);
	}
}

/* Of AMD's CPUs, which have no ARCH_CAPABILITIES: either way of leaking is one. */
static void a_scheduler_that_does_not_leak_needs_no_barrier(void **state)
{
	for (unsigned safe = 0; safe < 4; safe++) {
		setup(state);
		hw.features[FEATURE_VERW_CLEAR] = true;
		hw.tsa_sq_no = safe & 1;
		hw.tsa_l1_no = safe & 2;
		vcpu_load_init();
		vcpu_load(&vcpus[0]);
		vcpu_load(&vcpus[2]);
		check_barriers(0, 1, 0, safe != 3);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(each_vcpu_has_its_own_registers, setup),
		cmocka_unit_test_setup(vms_are_kept_apart, setup),
		cmocka_unit_test_setup(a_barrier_is_what_the_cpu_needs, setup),
		cmocka_unit_test_setup(a_scheduler_that_does_not_leak_needs_no_barrier, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
