/* SPDX-License-Identifier: BSD-2-Clause */
#include "vmm/exit/init_sipi.h"

#include "arch/x86/regs.h"
#include "vmm/dev/apic/lapic.h"
#include "vmm/vcpu_load.h"
#include "vmm/vm.h"

/*
 * INIT leaves the MSRs alone, but for EFER, and the two bits of CR0 that control the caches (SDM
 * volume 3, table 10-1 and its notes; APM volume 2, 14.1.3).
 */
static void reset_registers(struct vcpu *v)
{
	static const enum vreg msrs[] = {
		VREG_PAT,         VREG_STAR,         VREG_LSTAR,
		VREG_CSTAR,       VREG_SFMASK,       VREG_KERNEL_GS_BASE,
		VREG_SYSENTER_CS, VREG_SYSENTER_ESP, VREG_SYSENTER_EIP,
	};
	uint64_t caching = virt_reg_read(&v->virt, VREG_CR0) & (CR0_CD | CR0_NW);
	uint64_t kept[ARRAY_SIZE(msrs)];

	for (unsigned i = 0; i < ARRAY_SIZE(msrs); i++)
		kept[i] = virt_reg_read(&v->virt, msrs[i]);
	vcpu_reset_registers(v);
	for (unsigned i = 0; i < ARRAY_SIZE(msrs); i++)
		virt_reg_write(&v->virt, msrs[i], kept[i]);
	virt_reg_write(&v->virt, VREG_CR0, CR0_ET | caching);
}

void init_sipi_init(struct vcpu *v)
{
	lapic_reset_init(v->lapic);
	reset_registers(v);
	vcpu_clear_dr();
	vcpu_set_state(v, v->id ? VCPU_WAIT_FOR_SIPI : VCPU_RUNNABLE);
}

/* A SIPI says where to start, and changes no other register (SDM volume 3, 9.4.4.1). */
void init_sipi_startup(struct vcpu *v)
{
	uint8_t vector = atomic_load(&v->sipi_vector);
	struct segment cs;

	if (v->state != VCPU_WAIT_FOR_SIPI)
		return;
	virt_seg_read(&v->virt, SEG_CS, &cs);
	cs.selector = (uint16_t)(vector << 8);
	cs.base = (uint64_t)vector << 12;
	virt_seg_write(&v->virt, SEG_CS, &cs);
	v->virt.rip = 0;
	vcpu_set_state(v, VCPU_RUNNABLE);
}
