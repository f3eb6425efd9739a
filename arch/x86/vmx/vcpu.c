/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A vCPU on VMX: its VMCS, which is current on the CPU while the vCPU is loaded, and running it.
 *
 * CR2, DR6 and the MSRs of SYSCALL and SWAPGS are in no VMCS. The hypervisor uses none of them, so
 * the guest's stay in the CPU as long as its vCPU is loaded.
 */
#include <assert.h>
#include <stddef.h>
#include <string.h>

#include "arch/x86/cpu.h"
#include "arch/x86/percpu.h"
#include "arch/x86/regs.h"
#include "arch/x86/spec_ctrl.h"
#include "arch/x86/vmx/vmx.h"
#include "lib/clock.h"

#define LONGEST_RUN_MS 10

/* What stays over a reset: the exits that go with what the guest runs with (paging.c). */
#define CONTROLS_OF_PAGING (PROC_INVLPG | PROC_CR3_LOAD | PROC_CR3_STORE)

static_assert(offsetof(struct virt_vcpu, host_rsp) == 17 * 8, "as entry.S has it");

static const uint32_t resident_msrs[VMX_NR_MSRS] = {
	[VMX_STAR] = MSR_STAR,
	[VMX_LSTAR] = MSR_LSTAR,
	[VMX_CSTAR] = MSR_CSTAR,
	[VMX_SFMASK] = MSR_SFMASK,
	[VMX_KERNEL_GS_BASE] = MSR_KERNEL_GS_BASE,
};

/* Only what a vCPU needs before it can be loaded; the VMCS is filled on the CPU that loads it. */
void vmx_vcpu_init(struct virt_vcpu *v, void *pages, hpa_t pages_pa, bool nested)
{
	v->nested = nested;
	v->vmx.apart = !nested;
	v->control = pages;
	v->control_pa = pages_pa;
	v->vmx.resident[VMX_DR6] = DR6_INIT;
	v->due = VMX_DUE_LAUNCH;
	*(uint32_t *)pages = vmx_setup.revision;
	vmclear(pages_pa);
}

/*
 * What this CPU remembers of the EPT tables, from other vCPUs of the VM or from before this one
 * left, was not flushed with what it has been asked to flush elsewhere.
 */
static __cold void move_here(struct virt_vcpu *v)
{
	vmx_write_host_state();
	v->vmx.host_cpu = cpu_id() + 1;
	v->vmx.flush_tdp = v->nested;
}

void vmx_vcpu_load(struct virt_vcpu *v)
{
	vmptrld(v->control_pa);
	if (!v->vmx.host_cpu)
		vmx_init_vmcs(v);
	if (v->vmx.host_cpu != cpu_id() + 1)
		move_here(v);
	if (v->tag_generation != vmx_this_cpu()->tags.generation)
		v->due |= VMX_DUE_TAG;
	for (unsigned i = 0; i < VMX_NR_MSRS; i++)
		wrmsr(resident_msrs[i], v->vmx.resident[i]);
	write_cr2(v->vmx.resident[VMX_CR2]);
	write_dr6(v->vmx.resident[VMX_DR6]);
}

void vmx_vcpu_unload(struct virt_vcpu *v)
{
	for (unsigned i = 0; i < VMX_NR_MSRS; i++)
		v->vmx.resident[i] = rdmsr(resident_msrs[i]);
	v->vmx.resident[VMX_CR2] = read_cr2();
	v->vmx.resident[VMX_DR6] = read_dr6();
	vmclear(v->control_pa);
	v->due |= VMX_DUE_LAUNCH;
}

/* The registers in front of vmm/'s own idea of the reset state, which it writes next. */
void vmx_vcpu_reset(struct virt_vcpu *v)
{
	static const enum vreg zero[] = {
		VREG_CR2,          VREG_CR3,
		VREG_CR4,          VREG_EFER,
		VREG_STAR,         VREG_LSTAR,
		VREG_CSTAR,        VREG_SFMASK,
		VREG_DEBUGCTL,     VREG_KERNEL_GS_BASE,
		VREG_SYSENTER_EIP, VREG_SYSENTER_ESP,
		VREG_SYSENTER_CS,
	};

	memset(v->gpr, 0, sizeof(v->gpr));
	v->rip = 0xfff0;
	v->idt_event.type = EVENT_NONE;
	vmwrite(VMCS_ENTRY_INTERRUPTION_INFO, 0);
	vmwrite(VMCS_GUEST_INTERRUPTIBILITY, 0);
	vmwrite(VMCS_GUEST_ACTIVITY_STATE, ACTIVITY_ACTIVE);
	vmwrite(VMCS_GUEST_PENDING_DEBUG_EXCEPTIONS, 0);
	vmwrite(VMCS_PRIMARY_PROCESSOR_CONTROLS,
		vmx_setup.proc | (vmread(VMCS_PRIMARY_PROCESSOR_CONTROLS) & CONTROLS_OF_PAGING));
	vmx_set_rflags(v, RFLAGS_FIXED);
	vmx_exit_on_cr0_write(v, 0);
	vmx_exit_on_cr4_write(v, 0);
	vmx_reg_write(v, VREG_CR0, CR0_CD | CR0_NW | CR0_ET);
	for (unsigned i = 0; i < ARRAY_SIZE(zero); i++)
		vmx_reg_write(v, zero[i], 0);
	vmx_reg_write(v, VREG_DR6, DR6_INIT);
	vmx_reg_write(v, VREG_DR7, DR7_INIT);
	vmx_reg_write(v, VREG_PAT, PAT_RESET);
	vmx_flush(v);
}

/* The CPU fills the page from its end; the index is that of the next entry. */
static void empty_log(void)
{
	vmwrite(VMCS_GUEST_PML_INDEX, VMX_PML_ENTRIES - 1);
}

void vmx_log_writes(struct virt_vcpu *v, bool on)
{
	vmwrite(VMCS_PML_ADDRESS, vmx_page_pa(v, VMX_PAGE_PML));
	empty_log();
	vmx_control(VMCS_SECONDARY_PROCESSOR_CONTROLS, PROC2_PML, on);
}

unsigned vmx_take_log(struct virt_vcpu *v, const uint64_t **gpa)
{
	/* After the last entry the index goes from 0 to ffffh. */
	unsigned first = (uint16_t)(vmread(VMCS_GUEST_PML_INDEX) + 1);

	*gpa = (const uint64_t *)vmx_page(v, VMX_PAGE_PML) + first;
	if (first < VMX_PML_ENTRIES)
		empty_log();
	return VMX_PML_ENTRIES - first;
}

/*
 * No run is longer than this, in ticks of the TSC: a CPU without a timer interrupt, or one that was
 * lost, comes back all the same. Bochs 2.7 is such a CPU: a guest that was entered with interrupts
 * closed, and leaves them so, does not exit for an interrupt of the machine's (tests/guest/smp.c).
 */
static uint64_t longest_run(void)
{
	return LONGEST_RUN_MS * clock_tsc_khz();
}

static void write_timer(uint64_t ticks)
{
	vmwrite(VMCS_PREEMPTION_TIMER_VALUE,
		min(ticks >> vmx_setup.preemption_shift, 0xffffffffull));
}

/* The time slice, as the timer counts it from this entry on. */
static void set_timer(const struct virt_vcpu *v)
{
	uint64_t now = rdtsc();
	uint64_t left = v->vmx.preempt_at > now ? v->vmx.preempt_at - now : 0;

	write_timer(min(left, longest_run()));
}

/* False: the entry failed, the guest did not run. */
static inline bool enter(struct virt_vcpu *v, bool resume)
{
	vmwrite(VMCS_GUEST_RIP, v->rip);
	if (unlikely(v->gpr[GPR_RSP] != v->vmx.rsp))
		vmwrite(VMCS_GUEST_RSP, v->gpr[GPR_RSP]);
	return vmx_enter(v, resume);
}

static bool launch(struct virt_vcpu *v)
{
	bool entered = enter(v, false);

	if (entered && !(vmread(VMCS_EXIT_REASON) & VMX_EXIT_ENTRY_FAILURE))
		v->due &= ~(uint32_t)VMX_DUE_LAUNCH;
	return entered;
}

static bool enter_or_launch(struct virt_vcpu *v)
{
	return v->due & VMX_DUE_LAUNCH ? launch(v) : enter(v, true);
}

static bool enter_with_spec_ctrl(struct virt_vcpu *v)
{
	uint64_t host = spec_ctrl_enter(v->spec_ctrl);
	bool entered = enter_or_launch(v);

	spec_ctrl_leave(host);
	return entered;
}

/* The entries before which there is something to do. */
static __cold bool enter_prepared(struct virt_vcpu *v)
{
	if (v->due & VMX_DUE_TAG)
		vmx_take_tag(v, vmx_this_cpu());
	if (v->due & VMX_DUE_TIMER)
		set_timer(v);
	return v->due & VMX_DUE_SPEC_CTRL ? enter_with_spec_ctrl(v) : enter_or_launch(v);
}

void vmx_set_spec_ctrl(struct virt_vcpu *v, uint64_t val)
{
	v->spec_ctrl = val;
	v->due &= ~(uint32_t)VMX_DUE_SPEC_CTRL;
	if (val)
		v->due |= VMX_DUE_SPEC_CTRL;
}

static __cold void refuse(struct virt_vcpu *v, struct vm_exit *exit)
{
	exit->reason = EXIT_INVALID_STATE;
	vmx_explain_failure(v, false);
}

void vmx_vcpu_run(struct virt_vcpu *v, struct vm_exit *exit)
{
	if (unlikely(v->due)) {
		if (!enter_prepared(v)) {
			refuse(v, exit);
			return;
		}
	} else if (unlikely(!enter(v, true))) {
		refuse(v, exit);
		return;
	}
	v->rip = vmread(VMCS_GUEST_RIP);
	v->gpr[GPR_RSP] = v->vmx.rsp = vmread(VMCS_GUEST_RSP);
	vmx_decode_exit(v, exit);
}

void vmx_inject(struct virt_vcpu *v, const struct vm_event_info *ev)
{
	static const uint8_t types[] = {
		[EVENT_INTR] = INTR_TYPE_EXTERNAL,
		[EVENT_NMI] = INTR_TYPE_NMI,
		[EVENT_EXCEPTION] = INTR_TYPE_HARD,
		[EVENT_SOFT_INT] = INTR_TYPE_SOFT_INT,
	};
	uint32_t info = INTR_VALID | ev->vector | (uint32_t)FIELD_PREP(INTR_TYPE, types[ev->type]);

	if (ev->has_error) {
		info |= INTR_ERROR_CODE;
		vmwrite(VMCS_ENTRY_EXCEPTION_ERROR_CODE, ev->error);
	}
	if (ev->type == EVENT_SOFT_INT)
		vmwrite(VMCS_ENTRY_INSTRUCTION_LENGTH, ev->insn_len);
	if (ev->type == EVENT_NMI) /* whose delivery blocks them; it may be the second attempt */
		vmx_unblock_nmis();
	vmwrite(VMCS_ENTRY_INTERRUPTION_INFO, info);
}

bool vmx_has_event(struct virt_vcpu *v)
{
	(void)v;
	return vmread(VMCS_ENTRY_INTERRUPTION_INFO) & INTR_VALID; /* an exit clears it */
}

void vmx_irq_window(struct virt_vcpu *v, bool on)
{
	(void)v;
	vmx_control(VMCS_PRIMARY_PROCESSOR_CONTROLS, PROC_INTERRUPT_WINDOW, on);
}

void vmx_nmi_window(struct virt_vcpu *v, bool on)
{
	(void)v;
	vmx_control(VMCS_PRIMARY_PROCESSOR_CONTROLS, PROC_NMI_WINDOW, on);
}

void vmx_set_tsc_offset(struct virt_vcpu *v, uint64_t offset)
{
	(void)v;
	vmwrite(VMCS_TSC_OFFSET, offset);
}

void vmx_exit_on_pause(struct virt_vcpu *v, bool on)
{
	(void)v;
	vmx_control(VMCS_PRIMARY_PROCESSOR_CONTROLS, PROC_PAUSE, on);
}

/* Each entry loads the timer again with what is in the VMCS. */
void vmx_preempt_at(struct virt_vcpu *v, uint64_t tsc)
{
	v->vmx.preempt_at = tsc;
	v->due |= VMX_DUE_TIMER;
	if (tsc)
		return;
	v->due &= ~(uint32_t)VMX_DUE_TIMER;
	write_timer(longest_run());
}
