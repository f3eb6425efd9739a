/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * CR0, CR3, CR4 and EFER: what the guest has, and what the CPU runs it with.
 *
 * VMX operation wants some bits of CR0 and CR4 to be 1; some are the machine's
 * (arch/x86/virt_paging.h: machine checks on, x87 errors as exceptions, and caches, though entries
 * leave the real CD and NW alone in any case). The guest's idea of these, and of others whose
 * writes are to exit, is in the read shadows (SDM volume 3, 24.6.6 and A.7). The rest is the
 * guest's own, unless the two are apart, for one of two reasons.
 *
 * With shadow paging the CPU has the shadow root and the bits that it needs
 * (arch/x86/virt_paging.h). There is no EPT, and so no unrestricted guest.
 *
 * With nested paging, on a CPU without "unrestricted guest", which wants CR0.PE and CR0.PG, a guest
 * in protected mode without paging runs on tables that map each address to itself.
 *
 * While they are apart, the guest's CR3 and EFER are kept here, and its accesses to CR3, EFER and
 * the bits of CR0 and CR4 that may differ exit. Real mode, where the CPU wants CR0.PE, runs in the
 * emulator (vmm/exit/realmode.c).
 */
#include "arch/x86/regs.h"
#include "arch/x86/vmx/vmx.h"

/* What must not be set with the identity map, which is of 32-bit paging with 4M pages. */
#define CR4_NOT_UNPAGED                                                                            \
	(CR4_PAE | CR4_PGE | CR4_PCIDE | CR4_SMEP | CR4_SMAP | CR4_PKE | CR4_LA57 | CR4_CET)

static const struct virt_paging identity_map = {
	.root = {VIRT_IDENTITY_GPA}, /* the guest's memory: through EPT */
	.forced.cr4 = {.on = CR4_PSE, .off = CR4_NOT_UNPAGED},
	.forced.efer.off = EFER_LME,
};

static const struct virt_paging guests_own;

bool vmx_is_unrestricted(struct virt_vcpu *v)
{
	return v->nested && virt_caps.unrestricted;
}

static uint64_t fixed_cr0(struct virt_vcpu *v)
{
	uint64_t fixed = vmx_setup.cr0_fixed0;

	return vmx_is_unrestricted(v) ? fixed & ~(CR0_PE | CR0_PG) : fixed;
}

/* The bits in which the CPU may have something else than the guest. */
static uint64_t forced_bits(const struct virt_bits *bits)
{
	return bits->on | bits->off;
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
	return unlikely(v->vmx.apart) ? v->vmx.cr3 : vmread(VMCS_GUEST_CR3);
}

uint64_t vmx_read_cr4(void)
{
	return read_shadowed(VMCS_GUEST_CR4, VMCS_CR4_GUEST_HOST_MASK, VMCS_CR4_READ_SHADOW);
}

static uint64_t hardware_efer(struct virt_vcpu *v)
{
	return vmx_setup.switches_efer ? vmread(VMCS_GUEST_IA32_EFER)
				       : vmx_areas(v)->guest[VMX_AREA_EFER].value;
}

/* While the two are apart no access of the guest's changes it without an exit. */
uint64_t vmx_read_efer(struct virt_vcpu *v)
{
	return unlikely(v->vmx.apart) ? v->vmx.efer : hardware_efer(v);
}

void vmx_write_cr3(struct virt_vcpu *v, uint64_t val)
{
	v->vmx.cr3 = val;
	vmwrite(VMCS_GUEST_CR3, v->vmx.apart ? v->vmx.hw_cr3 : val);
}

void vmx_write_cr4(struct virt_vcpu *v, uint64_t val)
{
	const struct virt_bits *forced = &v->vmx.forced.cr4;

	vmwrite(VMCS_CR4_READ_SHADOW, val);
	vmwrite(VMCS_GUEST_CR4, virt_force(forced, val) | VIRT_CR4_ON | vmx_setup.cr4_fixed0);
	vmwrite(VMCS_CR4_GUEST_HOST_MASK,
		v->vmx.cr4_exits | forced_bits(forced) | VIRT_CR4_ON | vmx_setup.cr4_fixed0);
}

/* An entry control says once more whether the guest is in long mode. */
void vmx_write_efer(struct virt_vcpu *v, uint64_t val)
{
	uint64_t real = virt_force(&v->vmx.forced.efer, val);

	v->vmx.efer = val;
	if (vmx_setup.switches_efer)
		vmwrite(VMCS_GUEST_IA32_EFER, real);
	else
		vmx_areas(v)->guest[VMX_AREA_EFER].value = real;
	vmx_control(VMCS_ENTRY_CONTROLS, ENTRY_IA32E_MODE, real & EFER_LMA);
}

static void write_cr0_fields(struct virt_vcpu *v, uint64_t val)
{
	const struct virt_bits *forced = &v->vmx.forced.cr0;

	vmwrite(VMCS_CR0_READ_SHADOW, val);
	vmwrite(VMCS_GUEST_CR0,
		virt_force(forced, val & ~VIRT_CR0_OFF) | VIRT_CR0_ON | fixed_cr0(v));
	vmwrite(VMCS_CR0_GUEST_HOST_MASK,
		v->vmx.cr0_exits | forced_bits(forced) | VIRT_CR0_OFF | VIRT_CR0_ON | fixed_cr0(v));
	vmx_control(VMCS_EXCEPTION_BITMAP, BIT(X86_TRAP_MF), !(val & CR0_NE));
}

/* Some CPUs have no choice in some of these: they are in every VMCS. */
static void control_exits(uint32_t bits, bool on)
{
	vmx_control(VMCS_PRIMARY_PROCESSOR_CONTROLS, bits & ~vmx_setup.proc, on);
}

static void set_cr3_exits(struct virt_vcpu *v)
{
	uint32_t both = PROC_CR3_LOAD | PROC_CR3_STORE;
	uint32_t on = v->vmx.apart ? both : v->vmx.cr3_exits;

	control_exits(both & ~on, false);
	control_exits(on, true);
}

/* The CPU gets these for its own, or (not apart) those that the guest has, which keeps its idea. */
static void run_with(struct virt_vcpu *v, const struct virt_paging *p, bool apart)
{
	uint64_t cr0 = vmx_read_cr0(), cr3 = vmx_read_cr3(v), cr4 = vmx_read_cr4(),
		 efer = vmx_read_efer(v);

	v->vmx.apart = apart;
	v->vmx.hw_cr3 = p->root.v;
	v->vmx.forced = p->forced;
	write_cr0_fields(v, cr0);
	vmx_write_cr3(v, cr3);
	vmx_write_cr4(v, cr4);
	vmx_write_efer(v, efer);
	set_cr3_exits(v);
}

/* To the identity map, or away from it. */
static void set_unpaged(struct virt_vcpu *v, bool unpaged)
{
	if (unpaged == v->vmx.apart)
		return;
	run_with(v, unpaged ? &identity_map : &guests_own, unpaged);
	vmx_flush(v);
}

void vmx_write_cr0(struct virt_vcpu *v, uint64_t val)
{
	write_cr0_fields(v, val);
	if (vmx_is_unrestricted(v))
		return;
	v->vmx.new_segments = true;
	if (v->nested)
		set_unpaged(v, !(val & CR0_PG));
}

void vmx_set_paging(struct virt_vcpu *v, const struct virt_paging *p)
{
	if (!v->nested) {
		run_with(v, p, true);
		return;
	}
	v->vmx.eptp = p->root.v | EPTP_WALK_4 | EPTP_WB | (virt_caps.tdp_has_ad ? EPTP_AD : 0);
	vmwrite(VMCS_EPT_POINTER, v->vmx.eptp);
}

/* Which bits exit when they change; the guest's idea of the register stays as it is. */
void vmx_exit_on_cr0_write(struct virt_vcpu *v, uint64_t bits)
{
	uint64_t val = vmx_read_cr0();

	v->vmx.cr0_exits = bits;
	write_cr0_fields(v, val);
}

void vmx_exit_on_cr4_write(struct virt_vcpu *v, uint64_t bits)
{
	uint64_t val = vmx_read_cr4();

	v->vmx.cr4_exits = bits;
	vmx_write_cr4(v, val);
}

void vmx_exit_on_cr8_write(struct virt_vcpu *v, bool on)
{
	(void)v;
	control_exits(PROC_CR8_LOAD, on);
}

void vmx_exit_on_cr3(struct virt_vcpu *v, bool read, bool write)
{
	v->vmx.cr3_exits = (read ? PROC_CR3_STORE : 0) | (write ? PROC_CR3_LOAD : 0);
	set_cr3_exits(v);
}

/* INVPCID exits by the same control, where guests have it at all. */
void vmx_exit_on_invlpg(struct virt_vcpu *v, bool on)
{
	(void)v;
	control_exits(PROC_INVLPG, on);
}

void vmx_exit_on_page_fault(struct virt_vcpu *v, bool on)
{
	(void)v;
	vmx_control(VMCS_EXCEPTION_BITMAP, BIT(X86_TRAP_PF), on);
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
	return vmx_is_unrestricted(v) || !v->vmx.new_segments || can_run_now(v);
}
