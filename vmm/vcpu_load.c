/* SPDX-License-Identifier: BSD-2-Clause */
#include "vmm/vcpu_load.h"

#include "arch/x86/cpu.h"
#include "arch/x86/cpu_features.h"
#include "arch/x86/fpu.h"
#include "vmm/cpu.h"
#include "vmm/vm.h"

/* The parts of the barrier between guests on these CPUs. */
static struct {
	bool ibpb, buffers, l1d;
} barrier __ro_after_init;

/* Does the CPU say of itself that it has all these strengths? */
static bool is_safe(uint64_t capabilities)
{
	return cpu_has(FEATURE_ARCH_CAPABILITIES) &&
	       (rdmsr(MSR_ARCH_CAPABILITIES) & capabilities) == capabilities;
}

/* Does the CPU say of itself any of this? */
static bool says(uint64_t capability)
{
	return cpu_has(FEATURE_ARCH_CAPABILITIES) && (rdmsr(MSR_ARCH_CAPABILITIES) & capability);
}

/*
 * Is there something that VERW overwrites on this CPU, and from which it leaks? Of Intel's: MDS and
 * TAA, MMIO stale data, register file data sampling; of AMD's: the transient scheduler attacks. A
 * CPU that leaks without saying that VERW helps has old microcode: there is nothing to do.
 */
static bool needs_buffers_cleared(void)
{
	if (cpu_has(FEATURE_MD_CLEAR) && !is_safe(ARCH_CAP_MDS_NO | ARCH_CAP_TAA_NO))
		return true;
	if (says(ARCH_CAP_FB_CLEAR) &&
	    !is_safe(ARCH_CAP_SBDR_SSDP_NO | ARCH_CAP_FBSDP_NO | ARCH_CAP_PSDP_NO))
		return true;
	if (says(ARCH_CAP_RFDS_CLEAR) && !is_safe(ARCH_CAP_RFDS_NO))
		return true;
	return cpu_has(FEATURE_VERW_CLEAR) &&
	       !(cpu_reports(CPUID_TSA_SQ_NO) && cpu_reports(CPUID_TSA_L1_NO));
}

void vcpu_load_init(void)
{
	barrier.ibpb = cpu_has(FEATURE_IBPB) || cpu_has(FEATURE_IBPB_AMD);
	barrier.buffers = needs_buffers_cleared();
	barrier.l1d = cpu_has(FEATURE_FLUSH_L1D) && !is_safe(ARCH_CAP_RDCL_NO);
}

/* The part of a vCPU's state that the hypervisor leaves in the CPU between its exits. */
static void save_state(struct vcpu *v)
{
	v->xcr0 = vcpu_xcr0(v);
	fpu_save(v->fpu, v->xcr0);
	v->dr[0] = read_dr0();
	v->dr[1] = read_dr1();
	v->dr[2] = read_dr2();
	v->dr[3] = read_dr3();
	virt_vcpu_unload(&v->virt);
}

void vcpu_load_tsc_aux(const struct vcpu *v)
{
	if (cpuid_has(&v->vm->cpuid, CPUID_RDTSCP))
		wrmsr(MSR_TSC_AUX, v->msr.tsc_aux);
}

static void restore_state(struct vcpu *v)
{
	fpu_restore(v->fpu, v->xcr0);
	write_dr0(v->dr[0]);
	write_dr1(v->dr[1]);
	write_dr2(v->dr[2]);
	write_dr3(v->dr[3]);
	vcpu_load_tsc_aux(v);
	virt_vcpu_load(&v->virt);
}

void vcpu_clear_dr(void)
{
	write_dr0(0);
	write_dr1(0);
	write_dr2(0);
	write_dr3(0);
}

uint64_t vcpu_xcr0(struct vcpu *v)
{
	if (vmm_this_cpu()->loaded == v && fpu_has_xsave())
		return xgetbv(0);
	return v->xcr0;
}

void vcpu_flush_predictors(void)
{
	wrmsr(MSR_PRED_CMD, PRED_CMD_IBPB);
}

void vcpu_flush_l1d(void)
{
	wrmsr(MSR_FLUSH_CMD, FLUSH_CMD_L1D);
}

/*
 * One guest's training of the predictors must not steer another guest, and another guest must not
 * read the data that it left in the L1 cache and in the CPU's buffers (APM volume 2, 3.2.9; Intel's
 * "Speculative Execution Side Channel Mitigations"). This is done where guests take turns, and not
 * with each exit, which it would make several times as long; docs/hardware.md says what that leaves
 * open.
 */
static void barrier_between_guests(void)
{
	if (barrier.ibpb)
		vcpu_flush_predictors();
	fill_return_predictor();
	if (barrier.l1d)
		vcpu_flush_l1d();
	if (barrier.buffers)
		clear_cpu_buffers();
}

void vcpu_load(struct vcpu *v)
{
	struct vmm_cpu *c = vmm_this_cpu();
	struct vcpu *old = c->loaded;

	if (old == v)
		return;
	if (old)
		save_state(old);
	if (old && old->vm != v->vm)
		barrier_between_guests();
	c->loaded = v;
	this_cpu()->current = v;
	restore_state(v);
}

void vcpu_unload(struct vcpu *v)
{
	struct vmm_cpu *c = vmm_this_cpu();

	if (c->loaded != v)
		return;
	/* For the next one to load: the CPU's own XCR0 again, and nothing learned from this guest.
	 */
	save_state(v);
	barrier_between_guests();
	c->loaded = NULL;
	this_cpu()->current = NULL;
}
