/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a VMCS holds that does not belong to the guest: controls, and the state that exits load for
 * the host (SDM volume 3, chapters "Virtual Machine Control Structures" and "VM Exits").
 */
#include "arch/x86/cpu.h"
#include "arch/x86/desc.h"
#include "arch/x86/percpu.h"
#include "arch/x86/regs.h"
#include "arch/x86/vmx/vmx.h"

/*
 * #AC and #DB can be made to fault again while they are delivered, for ever and with interrupts
 * shut out: they exit each time. #MC is the machine's.
 */
#define INTERCEPTED (BIT(X86_TRAP_AC) | BIT(X86_TRAP_DB) | BIT(X86_TRAP_MC))

/* EPT, and what needs it. */
#define PROC2_NESTED (PROC2_EPT | PROC2_UNRESTRICTED_GUEST)

extern char vmx_exit_entry[]; /* entry.S */

static void write_controls(struct virt_vcpu *v)
{
	const struct vmx_setup *s = &vmx_setup;

	vmwrite(VMCS_PIN_BASED_CONTROLS, s->pin);
	vmwrite(VMCS_PRIMARY_PROCESSOR_CONTROLS, s->proc);
	if (s->proc & PROC_SECONDARY)
		vmwrite(VMCS_SECONDARY_PROCESSOR_CONTROLS,
			v->nested ? s->proc2 : s->proc2 & ~PROC2_NESTED);
	vmwrite(VMCS_EXIT_CONTROLS, s->exit);
	vmwrite(VMCS_ENTRY_CONTROLS, s->entry);
	vmwrite(VMCS_EXCEPTION_BITMAP, INTERCEPTED);
	vmwrite(VMCS_PAGE_FAULT_ERROR_CODE_MASK, 0);
	vmwrite(VMCS_PAGE_FAULT_ERROR_CODE_MATCH, 0);
	vmwrite(VMCS_CR3_TARGET_COUNT, 0);
	vmwrite(VMCS_VMCS_LINK_POINTER, ~0ull);
	vmwrite(VMCS_TSC_OFFSET, 0);
	if (s->proc & PROC_IO_BITMAPS) {
		vmwrite(VMCS_IO_BITMAP_A, vmx_io_bitmaps.v);
		vmwrite(VMCS_IO_BITMAP_B, vmx_io_bitmaps.v + PAGE_SIZE);
	}
	if (s->proc & PROC_MSR_BITMAPS)
		vmwrite(VMCS_MSR_BITMAP, vmx_msr_bitmap.v);
	if (s->proc & PROC_TPR_SHADOW) {
		vmwrite(VMCS_VIRTUAL_APIC_PAGE_ADDR, vmx_page_pa(v, VMX_PAGE_VIRTUAL_APIC));
		vmwrite(VMCS_TPR_THRESHOLD, 0);
	}
	if (s->proc2 & PROC2_XSAVES)
		vmwrite(VMCS_XSS_EXIT_BITMAP, 0); /* guests have no bit of XSS */
}

/* The areas hold, from their beginning, what the controls do not switch. */
static void write_msr_areas(struct virt_vcpu *v)
{
	static const uint32_t index[] = {[VMX_AREA_EFER] = MSR_EFER, [VMX_AREA_PAT] = MSR_PAT};
	struct vmx_msr_areas *a = vmx_areas(v);
	unsigned first = vmx_setup.switches_efer ? VMX_AREA_PAT : VMX_AREA_EFER;
	unsigned end = vmx_setup.switches_pat ? VMX_AREA_PAT : VMX_AREA_NR;
	unsigned nr = first < end ? end - first : 0;
	uint64_t pa = vmx_page_pa(v, VMX_PAGE_MSR_AREAS);

	for (unsigned i = 0; i < VMX_AREA_NR; i++) {
		a->guest[i].index = a->host[i].index = index[i];
		a->host[i].value = rdmsr(index[i]);
	}
	vmwrite(VMCS_ENTRY_MSR_LOAD_ADDR, pa + offsetof(struct vmx_msr_areas, guest[first]));
	vmwrite(VMCS_EXIT_MSR_STORE_ADDR, pa + offsetof(struct vmx_msr_areas, guest[first]));
	vmwrite(VMCS_EXIT_MSR_LOAD_ADDR, pa + offsetof(struct vmx_msr_areas, host[first]));
	vmwrite(VMCS_ENTRY_MSR_LOAD_COUNT, nr);
	vmwrite(VMCS_EXIT_MSR_STORE_COUNT, nr);
	vmwrite(VMCS_EXIT_MSR_LOAD_COUNT, nr);
}

void vmx_init_vmcs(struct virt_vcpu *v)
{
	write_controls(v);
	write_msr_areas(v);
	vmwrite(VMCS_HOST_RIP, (uint64_t)vmx_exit_entry);
	vmwrite(VMCS_HOST_CS_SELECTOR, SEL_CODE);
	vmwrite(VMCS_HOST_SS_SELECTOR, SEL_DATA);
	vmwrite(VMCS_HOST_DS_SELECTOR, 0);
	vmwrite(VMCS_HOST_ES_SELECTOR, 0);
	vmwrite(VMCS_HOST_FS_SELECTOR, 0);
	vmwrite(VMCS_HOST_GS_SELECTOR, 0);
	vmwrite(VMCS_HOST_TR_SELECTOR, SEL_TSS);
	vmwrite(VMCS_HOST_FS_BASE, 0);
	vmwrite(VMCS_HOST_IA32_SYSENTER_CS, 0);
	vmwrite(VMCS_HOST_IA32_SYSENTER_ESP, 0);
	vmwrite(VMCS_HOST_IA32_SYSENTER_EIP, 0);
}

void vmx_write_host_state(void)
{
	struct desc_ptr idt;

	__asm__ volatile("sidt %0" : "=m"(idt));
	vmwrite(VMCS_HOST_CR0, read_cr0());
	vmwrite(VMCS_HOST_CR3, read_cr3());
	vmwrite(VMCS_HOST_CR4, read_cr4());
	vmwrite(VMCS_HOST_GS_BASE, rdmsr(MSR_GS_BASE));
	vmwrite(VMCS_HOST_TR_BASE, (uint64_t)&this_cpu()->tss);
	vmwrite(VMCS_HOST_GDTR_BASE, (uint64_t)this_cpu()->gdt);
	vmwrite(VMCS_HOST_IDTR_BASE, idt.base);
	if (vmx_setup.switches_efer)
		vmwrite(VMCS_HOST_IA32_EFER, rdmsr(MSR_EFER));
	if (vmx_setup.switches_pat)
		vmwrite(VMCS_HOST_IA32_PAT, rdmsr(MSR_PAT));
}
