/* SPDX-License-Identifier: BSD-2-Clause */
#include "vmm/exit/xcr.h"

#include "arch/x86/cpu.h"
#include "arch/x86/regs.h"
#include "vmm/vcpu_load.h"
#include "vmm/vm.h"

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

bool xcr_execute_xsetbv(struct vcpu *v)
{
	const uint64_t *gpr = v->virt.gpr;
	uint64_t val = gpr[GPR_RDX] << 32 | (uint32_t)gpr[GPR_RAX];

	if (virt_cpl(&v->virt) || (uint32_t)gpr[GPR_RCX] || !is_valid_xcr0(v, val))
		return false;
	xsetbv(0, val);
	return true;
}

bool xcr_execute_xgetbv(struct vcpu *v)
{
	uint64_t *gpr = v->virt.gpr, xcr0 = vcpu_xcr0(v);

	if ((uint32_t)gpr[GPR_RCX])
		return false;
	gpr[GPR_RAX] = (uint32_t)xcr0;
	gpr[GPR_RDX] = xcr0 >> 32;
	return true;
}
