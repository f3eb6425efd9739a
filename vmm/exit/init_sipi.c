/* SPDX-License-Identifier: BSD-2-Clause */
#include "vmm/exit/init_sipi.h"

#include "arch/x86/regs.h"
#include "vmm/dev/apic/lapic.h"
#include "vmm/vcpu_load.h"
#include "vmm/vm.h"

/* INIT leaves the MSRs alone, but for EFER (SDM volume 3, table 10-1; APM volume 2, 14.1.3). */
static void reset_but_msrs(struct vcpu *v)
{
	static const enum vreg msrs[] = {
		VREG_PAT,         VREG_STAR,         VREG_LSTAR,
		VREG_CSTAR,       VREG_SFMASK,       VREG_KERNEL_GS_BASE,
		VREG_SYSENTER_CS, VREG_SYSENTER_ESP, VREG_SYSENTER_EIP,
	};
	uint64_t kept[ARRAY_SIZE(msrs)];

	for (unsigned i = 0; i < ARRAY_SIZE(msrs); i++)
		kept[i] = virt_reg_read(&v->virt, msrs[i]);
	vcpu_reset_registers(v);
	for (unsigned i = 0; i < ARRAY_SIZE(msrs); i++)
		virt_reg_write(&v->virt, msrs[i], kept[i]);
}

void init_sipi_init(struct vcpu *v)
{
	lapic_reset_init(v->lapic);
	reset_but_msrs(v);
	vcpu_clear_dr();
	vcpu_set_state(v, v->id ? VCPU_WAIT_FOR_SIPI : VCPU_RUNNABLE);
}

void init_sipi_startup(struct vcpu *v)
{
	struct boot_state s;

	if (v->state != VCPU_WAIT_FOR_SIPI)
		return;
	boot_state_sipi(&s, atomic_load(&v->sipi_vector));
	vcpu_apply_boot_state(v, &s);
	vcpu_set_state(v, VCPU_RUNNABLE);
}
