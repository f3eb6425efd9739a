/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/unit/vmx/fake_cpu.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "arch/x86/cpuid_bits.h"
#include "arch/x86/mce.h"
#include "arch/x86/msr_safe.h"
#include "arch/x86/paging.h"
#include "arch/x86/vmx/vmx.h"
#include "tests/unit/support/vmx_states.h"

struct fake_cpu fake_cpu;
static struct cpu cpus[CPU_MAX];
char vmx_exit_entry[1];

struct cpu *this_cpu(void)
{
	return &cpus[fake_cpu.id];
}

unsigned paging_phys_bits(void)
{
	return fake_cpu.limits.physical_bits;
}

/* ---- MSRs and CPUID ---- */

static uint64_t *find_msr(uint32_t msr)
{
	for (unsigned i = 0; i < fake_cpu.nr_msrs; i++)
		if (fake_cpu.msrs[i].index == msr)
			return &fake_cpu.msrs[i].value;
	return NULL;
}

void fake_cpu_set_msr(uint32_t msr, uint64_t val)
{
	uint64_t *place = find_msr(msr);

	if (!place) {
		assert_in_range(fake_cpu.nr_msrs, 0, FAKE_MSRS - 1);
		fake_cpu.msrs[fake_cpu.nr_msrs].index = msr;
		place = &fake_cpu.msrs[fake_cpu.nr_msrs++].value;
	}
	*place = val;
}

uint64_t rdmsr(uint32_t msr)
{
	const uint64_t *place = find_msr(msr);

	if (!place)
		fail_msg("#GP: RDMSR %#x", msr);
	return *place;
}

int rdmsr_safe(uint32_t msr, uint64_t *val)
{
	const uint64_t *place = find_msr(msr);

	if (place)
		*val = *place;
	return place ? 0 : -EFAULT;
}

void wrmsr(uint32_t msr, uint64_t val)
{
	uint64_t *place = find_msr(msr);

	if (!place || (msr == MSR_FEATURE_CONTROL && (*place & FEATURE_CONTROL_LOCK)))
		fail_msg("#GP: WRMSR %#x", msr);
	*place = val;
}

int wrmsr_safe(uint32_t msr, uint64_t val)
{
	uint64_t *place = find_msr(msr);

	if (place)
		*place = val;
	return place ? 0 : -EFAULT;
}

struct cpuid cpuid_count(uint32_t leaf, uint32_t subleaf)
{
	(void)subleaf;
	switch (leaf) {
	case 0:
		return (struct cpuid){
			.eax = 7, .ebx = 0x756e6547, .edx = 0x49656e69, .ecx = 0x6c65746e};
	case 0x80000000:
		return (struct cpuid){.eax = 0x80000001};
	case 1:
		return (struct cpuid){.eax = fake_cpu.signature,
				      .ecx = fake_cpu.features_1 |
					     (fake_cpu.limits.basic ? CPUID_MASK(CPUID_VMX) : 0)};
	case 7:
		return (struct cpuid){.ebx = fake_cpu.limits.has_rtm ? CPUID_MASK(CPUID_RTM) : 0,
				      .edx = fake_cpu.features_7};
	case 0x80000001:
		return (struct cpuid){.edx = CPUID_MASK(CPUID_NX) | CPUID_MASK(CPUID_LM)};
	default:
		return (struct cpuid){0};
	}
}

struct cpuid cpuid(uint32_t leaf)
{
	return cpuid_count(leaf, 0);
}

/* The capability MSRs that a CPU of these limits has: no others. */
static void set_capabilities(const struct vmx_limits *l)
{
	bool has_true = l->basic & VMX_BASIC_TRUE_CTLS;
	static const struct {
		enum vmx_control_word word;
		uint32_t msr, true_msr, default1;
	} words[] = {
		{CTL_PIN, MSR_VMX_PINBASED_CTLS, MSR_VMX_TRUE_PINBASED_CTLS, 0x16},
		{CTL_PROC, MSR_VMX_PROCBASED_CTLS, MSR_VMX_TRUE_PROCBASED_CTLS, 0x0401e172},
		{CTL_EXIT, MSR_VMX_EXIT_CTLS, MSR_VMX_TRUE_EXIT_CTLS, 0x36dff},
		{CTL_ENTRY, MSR_VMX_ENTRY_CTLS, MSR_VMX_TRUE_ENTRY_CTLS, 0x11ff},
	};

	fake_cpu_set_msr(MSR_VMX_BASIC, l->basic);
	fake_cpu_set_msr(MSR_VMX_MISC, l->misc);
	for (unsigned i = 0; i < ARRAY_SIZE(words); i++) {
		uint64_t cap = l->controls[words[i].word];

		fake_cpu_set_msr(words[i].msr, cap | words[i].default1);
		if (has_true)
			fake_cpu_set_msr(words[i].true_msr, cap);
	}
	if (l->controls[CTL_PROC] >> 32 & PROC_SECONDARY)
		fake_cpu_set_msr(MSR_VMX_PROCBASED_CTLS2, l->controls[CTL_PROC2]);
	if (l->controls[CTL_PROC2] >> 32 & (PROC2_EPT | PROC2_VPID))
		fake_cpu_set_msr(MSR_VMX_EPT_VPID_CAP, l->ept_vpid_cap);
	if (l->controls[CTL_PROC2] >> 32 & PROC2_VMFUNC)
		fake_cpu_set_msr(MSR_VMX_VMFUNC, l->vmfunc);
	fake_cpu_set_msr(MSR_VMX_CR0_FIXED0, l->cr0_fixed0);
	fake_cpu_set_msr(MSR_VMX_CR0_FIXED1, l->cr0_fixed1);
	fake_cpu_set_msr(MSR_VMX_CR4_FIXED0, l->cr4_fixed0);
	fake_cpu_set_msr(MSR_VMX_CR4_FIXED1, l->cr4_fixed1);
}

void fake_cpu_reset(const struct vmx_limits *limits)
{
	static const uint32_t plain_msrs[] = {
		MSR_FEATURE_CONTROL, MSR_STAR, MSR_LSTAR, MSR_CSTAR, MSR_SFMASK, MSR_KERNEL_GS_BASE,
	};

	memset(&fake_cpu, 0, sizeof(fake_cpu));
	fake_cpu.limits = *limits;
	set_capabilities(limits);
	for (unsigned i = 0; i < ARRAY_SIZE(plain_msrs); i++)
		fake_cpu_set_msr(plain_msrs[i], 0);
	fake_cpu_set_msr(MSR_EFER, EFER_LME | EFER_LMA | EFER_NXE | EFER_SCE);
	fake_cpu_set_msr(MSR_PAT, PAT_RESET);
	fake_cpu_set_msr(MSR_GS_BASE, (uint64_t)&cpus[0]);
	fake_cpu.cr0 = CR0_PG | CR0_WP | CR0_ET | CR0_PE;
	fake_cpu.cr3 = 0x1000;
	fake_cpu.cr4 = CR4_PAE | CR4_PGE;
}

/* ---- VMX instructions ---- */

bool vmxon(hpa_t region)
{
	const struct vmx_limits *l = &fake_cpu.limits;

	assert_true(rdmsr(MSR_FEATURE_CONTROL) & FEATURE_CONTROL_VMX);
	assert_int_equal(fake_cpu.cr0 & l->cr0_fixed0, l->cr0_fixed0);
	assert_int_equal(fake_cpu.cr4 & l->cr4_fixed0, l->cr4_fixed0);
	assert_int_equal(region.v % PAGE_SIZE, 0);
	assert_int_equal(*(uint32_t *)region.v, FIELD_GET(VMX_BASIC_REVISION, l->basic));
	fake_cpu.in_vmx = true;
	return true;
}

static struct fake_region *region_at(uint64_t pa)
{
	struct fake_region *r = fake_cpu.regions;

	assert_true(fake_cpu.in_vmx);
	assert_int_equal(pa % PAGE_SIZE, 0);
	while (r->pa && r->pa != pa)
		assert_true(++r < fake_cpu.regions + FAKE_VMCSES);
	r->pa = pa;
	return r;
}

void vmclear(hpa_t vmcs)
{
	struct fake_region *r = region_at(vmcs.v);

	r->launched = false;
	if (fake_cpu.current == r)
		fake_cpu.current = NULL;
}

void vmptrld(hpa_t vmcs)
{
	struct fake_region *r = region_at(vmcs.v);

	assert_int_equal(*(uint32_t *)vmcs.v, FIELD_GET(VMX_BASIC_REVISION, fake_cpu.limits.basic));
	fake_cpu.current = r;
}

static void assert_exists(uint32_t field)
{
	if (!fake_cpu.current)
		fail_msg("no current VMCS: %s", vmcs_field_name(field));
	if (!vmx_limits_have_field(&fake_cpu.limits, field))
		fail_msg("this CPU has no %s", vmcs_field_name(field));
}

uint64_t vmread(enum vmcs_field field)
{
	assert_exists(field);
	return fake_cpu_field(field);
}

/* Bits 11:10 of an encoding: 1 is read-only data. */
void vmwrite(enum vmcs_field field, uint64_t val)
{
	assert_exists(field);
	if ((field >> 10 & 3) == 1)
		fail_msg("%s is read-only", vmcs_field_name(field));
	fake_cpu_set_field(field, val);
}

uint64_t fake_cpu_field(uint32_t field)
{
	return fake_vmcs_get(&fake_cpu.current->vmcs, field);
}

void fake_cpu_set_field(uint32_t field, uint64_t val)
{
	fake_vmcs_set(&fake_cpu.current->vmcs, field, val);
}

void invept(uint64_t type, uint64_t eptp)
{
	const uint64_t *cap = &fake_cpu.limits.ept_vpid_cap;

	assert_true(fake_cpu.in_vmx && (*cap & EPT_CAP_INVEPT));
	assert_true(*cap & (type == INVEPT_ONE ? EPT_CAP_INVEPT_ONE : EPT_CAP_INVEPT_ALL));
	fake_cpu.invepts++;
	fake_cpu.invept_type = type;
	fake_cpu.invept_eptp = eptp;
}

void invvpid(uint64_t type, uint16_t vpid, gva_t gva)
{
	uint64_t cap = fake_cpu.limits.ept_vpid_cap;

	assert_true(fake_cpu.in_vmx && (cap & VPID_CAP_INVVPID));
	assert_true(cap & (type == INVVPID_GVA ? VPID_CAP_INVVPID_GVA : VPID_CAP_INVVPID_ALL));
	assert_true(type == INVVPID_GVA ? vpid : !vpid);
	assert_true(gva.v + BIT_ULL(47) < BIT_ULL(48)); /* canonical */
	fake_cpu.invvpids++;
	fake_cpu.invvpid_type = type;
	fake_cpu.invvpid_vpid = vpid;
	fake_cpu.invvpid_gva = gva.v;
}

void vmx_handle_nmi(void)
{
	fake_cpu.nmis++;
}

void mce_handle(const struct trap_frame *frame)
{
	assert_null(frame);
	fake_cpu.machine_checks++;
}

/* ---- entries ---- */

static uint64_t check_read(uint32_t field, void *arg)
{
	(void)arg;
	return vmread(field);
}

static uint64_t check_read_memory(uint64_t pa, void *arg)
{
	(void)arg;
	return *(uint64_t *)pa;
}

bool fake_cpu_may_enter(struct vmx_fault *fault, unsigned *error)
{
	struct vmx_check_env env = {
		.limits = &fake_cpu.limits,
		.read = check_read,
		.read_memory = check_read_memory,
	};

	*error = VMX_ERROR_CONTROLS;
	if (!vmx_check_controls(&env, fault))
		return false;
	*error = VMX_ERROR_HOST_STATE;
	if (!vmx_check_host(&env, fault))
		return false;
	*error = 0;
	return vmx_check_guest(&env, fault);
}

/* No instruction has none. A test that wants another length sets the field. */
static void set_length(void)
{
	if (!fake_cpu_field(VMCS_EXIT_INSTRUCTION_LENGTH))
		fake_cpu_set_field(VMCS_EXIT_INSTRUCTION_LENGTH, 1);
}

/* An exit leaves the valid bit of the injected event clear; a failed entry does not (26.7). */
static void run_guest(uint64_t *gpr)
{
	fake_cpu.entries++;
	fake_cpu.current->launched = true;
	fake_cpu_set_field(VMCS_IDT_VECTORING_INFO, 0);
	fake_cpu_set_field(VMCS_EXIT_REASON, VMX_EXIT_CPUID);
	set_length();
	if (fake_cpu.guest)
		fake_cpu.guest(gpr);
	fake_cpu_set_field(VMCS_ENTRY_INTERRUPTION_INFO,
			   fake_cpu_field(VMCS_ENTRY_INTERRUPTION_INFO) & ~(uint64_t)INTR_VALID);
}

/* The state of the guest, the event to inject, and most fields of the last exit stay (26.8). */
static bool fail_by_machine_check(void)
{
	fake_cpu.fails_by_machine_check = false;
	fake_cpu_set_field(VMCS_EXIT_REASON, VMX_EXIT_MACHINE_CHECK | VMX_EXIT_ENTRY_FAILURE);
	fake_cpu_set_field(VMCS_EXIT_QUALIFICATION, 0);
	return true;
}

/* In place of entry.S. */
bool vmx_enter(struct virt_vcpu *v, bool resume)
{
	struct vmx_fault fault;
	unsigned error;

	assert_non_null(fake_cpu.current);
	assert_int_equal(resume, fake_cpu.current->launched);
	v->host_rsp = 0x1000;
	vmwrite(VMCS_HOST_RSP, v->host_rsp);
	if (fake_cpu_may_enter(&fault, &error)) {
		if (fake_cpu.fails_by_machine_check)
			return fail_by_machine_check();
		run_guest(v->gpr);
		return true;
	}
	if (error) {
		fake_cpu_set_field(VMCS_VM_INSTRUCTION_ERROR, error);
		return false;
	}
	fake_cpu_set_field(VMCS_EXIT_REASON, VMX_EXIT_INVALID_STATE | VMX_EXIT_ENTRY_FAILURE);
	fake_cpu_set_field(VMCS_EXIT_QUALIFICATION, 0);
	return true;
}
