/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * CR0, CR3, CR4 and EFER: what the guest has, and what the CPU runs it with.
 *
 * VMX operation wants some bits of CR0 and CR4 to be 1. The guest's idea of these, and of others
 * whose writes are to exit, is in the read shadows (SDM volume 3, 24.6.6 and A.7).
 *
 * A CPU without "unrestricted guest" wants PE and PG as well. Real mode runs in the emulator
 * (vmm/exit/realmode.c). A guest in protected mode without paging runs on page tables that map each
 * address to itself; until it switches paging on, its CR3, its EFER.LME and the paging bits of its
 * CR4 are kept here, and all writes of these registers exit.
 */
#include "arch/x86/regs.h"
#include "arch/x86/vmx/vmx.h"

/* Entries leave CD and NW alone, so the guest must not have the real ones. */
#define CR0_OURS (CR0_CD | CR0_NW)

/* What must not be set with the identity map, which is of 32-bit paging with 4M pages. */
#define CR4_NOT_UNPAGED                                                                            \
	(CR4_PAE | CR4_PGE | CR4_PCIDE | CR4_SMEP | CR4_SMAP | CR4_PKE | CR4_LA57 | CR4_CET)

static uint64_t cr0_forced(void)
{
	uint64_t forced = vmx_setup.cr0_fixed0;

	return virt_caps.unrestricted ? forced & ~(CR0_PE | CR0_PG) : forced;
}

static uint64_t read_shadowed(enum vmcs_field reg, enum vmcs_field mask, enum vmcs_field shadow)
{
	uint64_t ours = vmread(mask);

	return (vmread(reg) & ~ours) | (vmread(shadow) & ours);
}

uint64_t vmx_read_cr0(void)
{
	return read_shadowed(VMCS_GUEST_CR0, VMCS_CR0_GUEST_HOST_MASK, VMCS_CR0_READ_SHADOW);
}

uint64_t vmx_read_cr3(struct virt_vcpu *v)
{
	return unlikely(v->vmx.unpaged) ? v->vmx.cr3 : vmread(VMCS_GUEST_CR3);
}

uint64_t vmx_read_cr4(void)
{
	return read_shadowed(VMCS_GUEST_CR4, VMCS_CR4_GUEST_HOST_MASK, VMCS_CR4_READ_SHADOW);
}

uint64_t vmx_read_efer(struct virt_vcpu *v)
{
	uint64_t efer = vmx_setup.switches_efer ? vmread(VMCS_GUEST_IA32_EFER)
						: vmx_areas(v)->guest[VMX_AREA_EFER].value;

	return v->vmx.unpaged ? efer | v->vmx.lme : efer;
}

void vmx_write_cr3(struct virt_vcpu *v, uint64_t val)
{
	v->vmx.cr3 = val;
	vmwrite(VMCS_GUEST_CR3, v->vmx.unpaged ? VIRT_IDENTITY_GPA : val);
}

void vmx_write_cr4(struct virt_vcpu *v, uint64_t val)
{
	uint64_t real = v->vmx.unpaged ? (val & ~CR4_NOT_UNPAGED) | CR4_PSE : val;

	vmwrite(VMCS_CR4_READ_SHADOW, val);
	vmwrite(VMCS_GUEST_CR4, real | vmx_setup.cr4_fixed0);
	vmwrite(VMCS_CR4_GUEST_HOST_MASK,
		v->vmx.unpaged ? ~0ull : v->vmx.cr4_exits | vmx_setup.cr4_fixed0);
}

/* An entry control says once more whether the guest is in long mode. */
void vmx_write_efer(struct virt_vcpu *v, uint64_t val)
{
	v->vmx.lme = val & EFER_LME;
	if (v->vmx.unpaged)
		val &= ~EFER_LME;
	if (vmx_setup.switches_efer)
		vmwrite(VMCS_GUEST_IA32_EFER, val);
	else
		vmx_areas(v)->guest[VMX_AREA_EFER].value = val;
	vmx_control(VMCS_ENTRY_CONTROLS, ENTRY_IA32E_MODE, val & EFER_LMA);
}

/* To the identity map, or away from it. */
static void set_unpaged(struct virt_vcpu *v, bool unpaged)
{
	uint64_t cr3 = vmx_read_cr3(v), cr4 = vmx_read_cr4(), efer = vmx_read_efer(v);

	if (unpaged == v->vmx.unpaged)
		return;
	v->vmx.unpaged = unpaged;
	vmx_write_cr3(v, cr3);
	vmx_write_cr4(v, cr4);
	vmx_write_efer(v, efer);
	vmx_control(VMCS_PRIMARY_PROCESSOR_CONTROLS, PROC_CR3_LOAD | PROC_CR3_STORE, unpaged);
	vmx_flush(v);
}

void vmx_write_cr0(struct virt_vcpu *v, uint64_t val)
{
	vmwrite(VMCS_CR0_READ_SHADOW, val);
	vmwrite(VMCS_GUEST_CR0, (val & ~CR0_OURS) | cr0_forced());
	if (virt_caps.unrestricted)
		return;
	v->vmx.new_segments = true;
	set_unpaged(v, !(val & CR0_PG));
}

/* Which bits exit when they change; the guest's idea of the register stays as it is. */
void vmx_exit_on_cr0_write(struct virt_vcpu *v, uint64_t bits)
{
	uint64_t val = vmx_read_cr0();

	vmwrite(VMCS_CR0_GUEST_HOST_MASK, bits | CR0_OURS | cr0_forced());
	vmx_write_cr0(v, val);
}

void vmx_exit_on_cr4_write(struct virt_vcpu *v, uint64_t bits)
{
	uint64_t val = vmx_read_cr4();

	v->vmx.cr4_exits = bits;
	vmx_write_cr4(v, val);
}

/*
 * Not in real mode, and not with segments that only real mode can have. Protected mode leaves none
 * of these behind, so they are looked at when they were written here, and until they are right.
 */
static __cold bool can_run_now(struct virt_vcpu *v)
{
	if (!(vmx_read_cr0() & CR0_PE) || !vmx_segments_are_valid(v))
		return false;
	v->vmx.new_segments = false;
	return true;
}

bool vmx_can_run(struct virt_vcpu *v)
{
	return virt_caps.unrestricted || !v->vmx.new_segments || can_run_now(v);
}
