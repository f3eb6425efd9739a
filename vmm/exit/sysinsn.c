/* SPDX-License-Identifier: BSD-2-Clause */
/* The effects of HLT, RDMSR, WRMSR, XSETBV, and of what no instruction can follow. */
#include "vmm/exit/sysinsn.h"

#include "arch/x86/cpu.h"
#include "arch/x86/regs.h"
#include "lib/log.h"
#include "vmm/cpu.h"
#include "vmm/exit/msr.h"
#include "vmm/vm.h"

__cold bool sysinsn_refuse_rdmsr(const struct vcpu *v)
{
	log_debug("vm %s: rdmsr %x: #GP", v->vm->name, (uint32_t)v->virt.gpr[GPR_RCX]);
	return false;
}

static uint64_t edx_eax(const struct vcpu *v)
{
	return v->virt.gpr[GPR_RDX] << 32 | (uint32_t)v->virt.gpr[GPR_RAX];
}

bool sysinsn_wrmsr(struct vcpu *v)
{
	uint32_t msr = (uint32_t)v->virt.gpr[GPR_RCX];

	if (msr_write(v, msr, edx_eax(v))) {
		log_debug("vm %s: wrmsr %x %llx: #GP", v->vm->name, msr,
			  (unsigned long long)edx_eax(v));
		return false;
	}
	return true;
}

/* XSETBV's own rules (SDM volume 1, 13.3), within what the guest's CPUID shows. */
static bool is_valid_xcr0(struct vcpu *v, uint64_t val)
{
	uint64_t avx512 = XCR0_OPMASK | XCR0_ZMM_HI256 | XCR0_HI16_ZMM;

	if ((val & ~v->vm->cpuid.xcr0) || !(val & XCR0_X87))
		return false;
	if ((val & XCR0_AVX) && !(val & XCR0_SSE))
		return false;
	return !(val & avx512) || ((val & avx512) == avx512 && (val & XCR0_AVX));
}

bool sysinsn_xsetbv(struct vcpu *v)
{
	uint64_t val = edx_eax(v);

	if (virt_cpl(&v->virt) || (uint32_t)v->virt.gpr[GPR_RCX] || !is_valid_xcr0(v, val))
		return false;
	xsetbv(0, val);
	return true;
}

/* Closed interrupts may open in the handler of an NMI; until then only that can wake it. */
void sysinsn_hlt(struct vcpu *v)
{
	vcpu_sync_task_priority(v);
	if (!vcpu_has_wake_event(v))
		sched_halt(v);
	else
		vcpu_request(v, REQ_EVENT);
}

void sysinsn_triple_fault(struct vcpu *v)
{
	log_error("vm %s: vcpu %u: triple fault", v->vm->name, v->id);
	virt_dump(&v->virt);
	vm_end(v->vm, VM_TRIPLE_FAULT, VM_STATUS_KILLED);
}
