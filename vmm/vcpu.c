/* SPDX-License-Identifier: BSD-2-Clause */
#include "vmm/vcpu.h"

#include <string.h>

#include "arch/x86/regs.h"
#include "vmm/vm.h"

void vcpu_apply_boot_state(struct vcpu *v, const struct boot_state *s)
{
	for (int i = 0; i < NR_GPRS; i++)
		v->virt.gpr[i] = s->gpr[i];
	v->virt.rip = s->rip;
	virt_set_rflags(&v->virt, s->rflags);
	virt_reg_write(&v->virt, VREG_CR0, s->cr0);
	virt_reg_write(&v->virt, VREG_CR3, s->cr3);
	virt_reg_write(&v->virt, VREG_CR4, s->cr4);
	virt_reg_write(&v->virt, VREG_EFER, s->efer);
	for (int i = 0; i < NR_SEGS; i++)
		virt_seg_write(&v->virt, i, &s->seg[i]);
	virt_gdtr_write(&v->virt, &s->gdt);
	virt_idtr_write(&v->virt, &s->idt);
	vcpu_paging_changed(v);
}

/*
 * With two-dimensional paging hardware runs the control registers by itself, and checks them. Exits
 * are asked for only where the guest must not see what the CPU has (CR4), and on CPUs that let
 * illegal values through (virt_caps.lax: an emulator), whose next VMRUN would fail (CR0). Under
 * shadow paging every bit that has to do with paging decides what the shadow tables are.
 */
static void set_cr_intercepts(struct vcpu *v)
{
	if (!mmu_is_nested(&v->vm->mmu)) {
		virt_exit_on_cr0_write(&v->virt, ~(uint64_t)CR0_TS);
		virt_exit_on_cr4_write(&v->virt, ~0ull);
		return;
	}
	virt_exit_on_cr0_write(&v->virt, virt_caps.lax ? ~0ull : v->emulates_modes ? CR0_PE : 0);
	virt_exit_on_cr4_write(&v->virt, v->vm->cpuid.cr4_exits);
}

void vcpu_reset_registers(struct vcpu *v)
{
	struct boot_state s;

	virt_vcpu_reset(&v->virt);
	set_cr_intercepts(v);
	boot_state_reset(&s);
	vcpu_apply_boot_state(v, &s);
	v->virt.gpr[GPR_RDX] = v->vm->cpuid.basic[1].eax;
	v->pending.type = EVENT_NONE;
	v->nmis_pending = 0;
	v->nmi_masked = v->nmi_iret = v->nmi_step = false;
	v->irq_window_open = false;
	v->code.page = ~0ull;
	mmu_forget_mmio(&v->mmu);
	memset(v->known, 0, sizeof(v->known));
	memset(v->decoded, 0, sizeof(v->decoded));
}

void vcpu_reset(struct vcpu *v)
{
	vcpu_reset_registers(v);
	v->msr = (struct vcpu_msrs){
		.mtrr_def_type = 0xc06, /* enabled, all write-back */
		.misc_enable = MISC_ENABLE_RESET,
	};
	virt_set_spec_ctrl(&v->virt, 0);
	v->xcr0 = XCR0_X87;
}
