/* SPDX-License-Identifier: BSD-2-Clause */
/* What the files of the VMX back end share among themselves. */
#ifndef ARCH_X86_VMX_VMX_H
#define ARCH_X86_VMX_VMX_H

#include "arch/x86/tags.h"
#include "arch/x86/virt.h"
#include "arch/x86/vmx/instructions.h"
#include "arch/x86/vmx/vmcs.h"
#include "lib/types.h"

/* What this CPU's capability MSRs allow, and what is used of it. Constant after probe. */
struct vmx_setup {
	uint32_t pin, proc, proc2, exit, entry; /* the controls as every VMCS begins with them */
	uint32_t revision;                      /* VMCS revision identifier */
	uint64_t cr0_fixed0, cr0_fixed1, cr4_fixed0, cr4_fixed1;
	uint64_t ept_vpid;                /* MSR_VMX_EPT_VPID_CAP */
	unsigned linear_bits;             /* width of linear addresses: 48, or 57 */
	unsigned preemption_shift;        /* the timer counts TSC >> this */
	bool switches_efer, switches_pat; /* by controls of their own; else by MSR areas */
	bool has_pml;                     /* PROC2_PML may be set; no VMCS begins with it */
};

extern struct vmx_setup vmx_setup;
extern hpa_t vmx_msr_bitmap, vmx_io_bitmaps; /* one page; two pages */

/* One per physical CPU. Owned by that CPU. */
struct vmx_cpu {
	struct tag_pool tags;
	hpa_t vmxon;
};

/* The calling CPU's part. */
struct vmx_cpu *vmx_this_cpu(void);

/* The entries of VMX_PAGE_PML. */
#define VMX_PML_ENTRIES 512

/* What an entry may have to do first (virt_vcpu.due). */
#define VMX_DUE_TAG       BIT(0) /* take a new VPID, flush what the EPT tables gave if asked for */
#define VMX_DUE_TIMER     BIT(1) /* set the preemption timer: a time slice runs */
#define VMX_DUE_LAUNCH    BIT(2) /* VMLAUNCH, not VMRESUME */
#define VMX_DUE_SPEC_CTRL BIT(3) /* each time: the guest has bits in it */

/* A vCPU's pages: the VMCS and what it points to. */
enum { VMX_PAGE_VMCS, VMX_PAGE_VIRTUAL_APIC, VMX_PAGE_MSR_AREAS, VMX_PAGE_PML };

static inline void *vmx_page(const struct virt_vcpu *v, unsigned n)
{
	return (char *)v->control + n * PAGE_SIZE;
}

static inline uint64_t vmx_page_pa(const struct virt_vcpu *v, unsigned n)
{
	return v->control_pa.v + n * PAGE_SIZE;
}

/* An entry of the areas of MSRs that entries and exits load and store (SDM volume 3, 24.7.2). */
struct vmx_msr_entry {
	uint32_t index, reserved;
	uint64_t value;
};

/*
 * The areas: what the guest has, loaded at entries and stored at exits, and what the host has,
 * loaded at exits. Used for what has no control of its own.
 */
enum { VMX_AREA_EFER, VMX_AREA_PAT, VMX_AREA_NR };
struct vmx_msr_areas {
	struct vmx_msr_entry guest[VMX_AREA_NR], host[VMX_AREA_NR];
};

static inline struct vmx_msr_areas *vmx_areas(const struct virt_vcpu *v)
{
	return vmx_page(v, VMX_PAGE_MSR_AREAS);
}

/* Set or clear bits of a control field of the current VMCS. */
static inline void vmx_control(enum vmcs_field field, uint32_t bits, bool on)
{
	uint64_t val = vmread(field);

	vmwrite(field, on ? val | bits : val & ~(uint64_t)bits);
}

/* The registers of the paging mode as the guest has them (paging.c). */
uint64_t vmx_read_cr0(void);
uint64_t vmx_read_cr3(struct virt_vcpu *v);
uint64_t vmx_read_cr4(void);
uint64_t vmx_read_efer(struct virt_vcpu *v);
void vmx_write_cr0(struct virt_vcpu *v, uint64_t val);
void vmx_write_cr3(struct virt_vcpu *v, uint64_t val);
void vmx_write_cr4(struct virt_vcpu *v, uint64_t val);
void vmx_write_efer(struct virt_vcpu *v, uint64_t val);

/* Would an entry accept the segment registers as they are? (failure.c) */
bool vmx_segments_are_valid(struct virt_vcpu *v);

/* Fill the controls and the host state that never change (setup.c). The VMCS is current. */
void vmx_init_vmcs(struct virt_vcpu *v);
/* The host state that differs from CPU to CPU. */
void vmx_write_host_state(void);

/* Translate the exit's fields (exit.c). */
void vmx_decode_exit(struct virt_vcpu *v, struct vm_exit *exit);

/* Take a new VPID, and flush what the EPT tables gave if asked for: VMX_DUE_TAG (flush.c). */
void vmx_take_tag(struct virt_vcpu *v, struct vmx_cpu *c);

/* Virtual NMIs are blocked no more; or they still are, by an IRET that faulted (blocking.c). */
void vmx_unblock_nmis(void);
void vmx_block_nmis_again(void);

/* The instruction at RIP comes behind an STI or MOV SS (blocking.c). */
void vmx_set_irq_shadow(struct virt_vcpu *v);

/* Make the pending debug exceptions agree with TF and the interrupt shadow (blocking.c). */
void vmx_settle_pending_step(void);

/* Name the field of the current VMCS for which an entry failed (failure.c). */
void vmx_explain_failure(struct virt_vcpu *v, bool entered);

#endif
