/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The scheduler's switch from one vCPU to another: what of a vCPU stays in its CPU between two
 * exits (FPU, debug registers, TSC_AUX) is saved and loaded here.
 */
#include "arch/x86/cpu.h"
#include "arch/x86/fpu.h"
#include "vmm/cpu.h"
#include "vmm/vm.h"

#define CPUID_IBPB_AMD   BIT(12) /* 80000008h EBX */
#define CPUID_IBPB_INTEL BIT(26) /* 7 EDX */

static bool has_ibpb __ro_after_init;

void sched_init_switch(void)
{
	has_ibpb = (cpuid(0x80000008).ebx & CPUID_IBPB_AMD) ||
		   (cpuid_count(7, 0).edx & CPUID_IBPB_INTEL);
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

void sched_load_tsc_aux(const struct vcpu *v)
{
	if (cpuid_has(&v->vm->cpuid, CPUID_EXT1_EDX, 27)) /* RDTSCP */
		wrmsr(MSR_TSC_AUX, v->msr.tsc_aux);
}

static void restore_state(struct vcpu *v)
{
	fpu_restore(v->fpu, v->xcr0);
	write_dr0(v->dr[0]);
	write_dr1(v->dr[1]);
	write_dr2(v->dr[2]);
	write_dr3(v->dr[3]);
	sched_load_tsc_aux(v);
	virt_vcpu_load(&v->virt);
}

void sched_clear_dr(void)
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

/* What one guest trained the predictors with must not steer another (APM volume 2, 3.2.9). */
static void barrier_between_guests(void)
{
	if (has_ibpb)
		wrmsr(MSR_PRED_CMD, PRED_CMD_IBPB);
}

void sched_load(struct vcpu *v)
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

void sched_unload(struct vcpu *v)
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
