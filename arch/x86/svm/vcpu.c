/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A vCPU on SVM: what its VMCB holds after reset, and running it. The VMCB's clean bits are kept
 * honest here: whoever changes a field calls svm_dirty(), and a VMCB that was not the last to
 * run on this CPU goes in with none set (APM volume 2, section 15.15).
 */
#include <string.h>

#include "arch/x86/apic.h"
#include "arch/x86/cpu.h"
#include "arch/x86/percpu.h"
#include "arch/x86/regs.h"
#include "arch/x86/spec_ctrl.h"
#include "arch/x86/svm/svm.h"

#define INTERCEPT_MISC1                                                                            \
	(SVM_INTERCEPT_INTR | SVM_INTERCEPT_NMI | SVM_INTERCEPT_INIT | SVM_INTERCEPT_CR0_SEL |     \
	 SVM_INTERCEPT_RDPMC | SVM_INTERCEPT_CPUID | SVM_INTERCEPT_INVD | SVM_INTERCEPT_HLT |      \
	 SVM_INTERCEPT_INVLPGA | SVM_INTERCEPT_IOIO | SVM_INTERCEPT_MSR | SVM_INTERCEPT_SHUTDOWN)
/* And these, as long as what the guest runs with wants them (paging.c). */
#define INTERCEPTS_OF_PAGING (SVM_INTERCEPT_INVLPG | SVM_INTERCEPT_TASK_SWITCH)
#define INTERCEPT_MISC2                                                                            \
	(SVM_INTERCEPT_VMRUN | SVM_INTERCEPT_VMMCALL | SVM_INTERCEPT_VMLOAD |                      \
	 SVM_INTERCEPT_VMSAVE | SVM_INTERCEPT_STGI | SVM_INTERCEPT_CLGI | SVM_INTERCEPT_SKINIT |   \
	 SVM_INTERCEPT_WBINVD | SVM_INTERCEPT_MONITOR | SVM_INTERCEPT_MWAIT |                      \
	 SVM_INTERCEPT_MWAIT_ARM | SVM_INTERCEPT_XSETBV | SVM_INTERCEPT_RDPRU)
#define INTERCEPT_MISC3 (SVM_INTERCEPT_INVLPGB | SVM_INTERCEPT_MCOMMIT | SVM_INTERCEPT_TLBSYNC)

/*
 * The types of memory that a guest's page tables ask for: write-back, all of them, as with EPT
 * (mm/spte.c). What a guest has is ordinary memory, whatever it takes it for.
 */
#define PAT_WB 0x0606060606060606ull

/*
 * #AC and #DB can be made to fault again while they are delivered, for ever and with interrupts
 * shut out: they exit each time. #MC is the machine's.
 */
#define INTERCEPT_EXCEPTIONS (BIT(X86_TRAP_AC) | BIT(X86_TRAP_DB) | BIT(X86_TRAP_MC))

#define LONGEST_INSN 15

void svm_vcpu_init(struct virt_vcpu *v, void *pages, hpa_t pages_pa, bool nested)
{
	struct vmcb *vmcb = pages;

	v->control = pages;
	v->control_pa = pages_pa;
	v->nested = nested;
	v->svm.guest = nested ? vmcb : (struct vmcb *)((char *)pages + PAGE_SIZE);
	vmcb->intercept_exceptions = INTERCEPT_EXCEPTIONS;
	vmcb->intercept_misc1 = INTERCEPT_MISC1 | (nested ? 0 : SVM_INTERCEPT_TASK_SWITCH);
	vmcb->intercept_misc2 = INTERCEPT_MISC2;
	vmcb->intercept_misc3 = INTERCEPT_MISC3;
	vmcb->iopm_base_pa = svm_iopm.v;
	vmcb->msrpm_base_pa = svm_msrpm.v;
	vmcb->np_enable = nested ? SVM_NP_ENABLE : 0;
	vmcb->g_pat = PAT_WB;
}

static void reset_segments(struct vmcb *vmcb)
{
	static const struct vmcb_seg data = {.attr = SEG_ATTR_P | SEG_ATTR_S | 3, .limit = 0xffff};
	static const struct vmcb_seg table = {.limit = 0xffff};

	vmcb->es = vmcb->ss = vmcb->ds = vmcb->fs = vmcb->gs = data;
	vmcb->cs = (struct vmcb_seg){
		.selector = 0xf000,
		.attr = SEG_ATTR_P | SEG_ATTR_S | 0xb,
		.limit = 0xffff,
		.base = 0xffff0000,
	};
	vmcb->gdtr = vmcb->idtr = table;
	vmcb->ldtr = (struct vmcb_seg){.attr = SEG_ATTR_P | 2, .limit = 0xffff};
	vmcb->tr = (struct vmcb_seg){.attr = SEG_ATTR_P | 0xb, .limit = 0xffff};
	vmcb->cpl = 0;
}

static void reset_paging_registers(struct virt_vcpu *v)
{
	svm_reg_write(v, VREG_EFER, 0);
	svm_reg_write(v, VREG_CR0, CR0_CD | CR0_NW | CR0_ET);
	svm_reg_write(v, VREG_CR3, 0);
	svm_reg_write(v, VREG_CR4, 0);
}

void svm_vcpu_reset(struct virt_vcpu *v)
{
	struct vmcb *vmcb = svm_vmcb(v);

	memset(v->gpr, 0, sizeof(v->gpr));
	v->rip = 0xfff0;
	vmcb->rflags = RFLAGS_FIXED;
	v->idt_event.type = EVENT_NONE;
	vmcb->intercept_misc1 = INTERCEPT_MISC1 | (vmcb->intercept_misc1 & INTERCEPTS_OF_PAGING);
	vmcb->vintr = SVM_V_INTR_MASKING;
	vmcb->interrupt_shadow = 0;
	vmcb->eventinj = 0;
	reset_segments(vmcb);
	reset_paging_registers(v);
	vmcb->cr2 = 0;
	vmcb->dr6 = DR6_INIT;
	vmcb->dr7 = DR7_INIT;
	vmcb->star = vmcb->lstar = vmcb->cstar = vmcb->sfmask = vmcb->kernel_gs_base = 0;
	vmcb->sysenter_cs = vmcb->sysenter_esp = vmcb->sysenter_eip = 0;
	svm_reg_write(v, VREG_PAT, PAT_RESET);
	svm_reg_write(v, VREG_DEBUGCTL, 0);
	vmcb->clean = 0;
	svm_flush(v);
}

void svm_vcpu_load(struct virt_vcpu *v)
{
	const struct svm_cpu *c = svm_this_cpu();

	svm_vmcb(v)->clean = 0;
	v->svm.host_vmcb = c->host_vmcb;
	if (v->tag_generation != c->tags.generation)
		v->due |= SVM_DUE_TAG;
}

/* VMSAVE has put everything into the VMCB. */
void svm_vcpu_unload(struct virt_vcpu *v)
{
	(void)v;
}

/* SVM has no log of writes (virt_caps.tdp_logs_writes). */
void svm_log_writes(struct virt_vcpu *v, bool on)
{
	(void)v;
	(void)on;
}

unsigned svm_take_log(struct virt_vcpu *v, const uint64_t **gpa)
{
	(void)v;
	*gpa = NULL;
	return 0;
}

/*
 * Give the vCPU an ASID that no stale translation of this CPU carries: the next one never used
 * since the last full flush, or, when they are used up, the first after another full flush. The
 * entry that flushes leaves the vCPU without a tag of its own: the next one takes another and no
 * longer asks for a flush.
 */
static __cold void take_tag(struct virt_vcpu *v, struct svm_cpu *c, struct vmcb *vmcb)
{
	bool flush;

	vmcb->asid = tag_take(&c->tags, virt_caps.tags, &flush);
	vmcb->tlb_control = flush ? SVM_TLB_FLUSH_ALL : SVM_TLB_KEEP;
	v->tag_generation = flush ? 0 : c->tags.generation;
	v->due &= ~(uint32_t)SVM_DUE_TAG;
	v->due |= flush ? SVM_DUE_TAG : 0;
	svm_dirty(vmcb, SVM_CLEAN_ASID);
}

/*
 * With V_IRQ set, QEMU 7.2's VMRUN changes the CPU's word of pending events without a lock. What
 * another thread sets at that moment is lost:
 *
 *	VMRUN					APIC timer
 *	word = interrupt_request
 *						interrupt_request |= POLL
 *	interrupt_request = word | VIRQ
 *
 * The interrupt is in the APIC's IRR, but the CPU is not going to look there before another comes;
 * if that was the timer, none does. So the APIC says it again.
 */
static void offer_lost_interrupt(void)
{
	if (virt_caps.lax)
		apic_offer_pending();
}

static void enter(struct virt_vcpu *v)
{
	svm_enter(v->gpr, v->control_pa, v->svm.host_vmcb);
}

/* The entries before which there is something to do. */
static __cold void enter_prepared(struct virt_vcpu *v, struct vmcb *vmcb)
{
	uint64_t host;

	if (v->due & SVM_DUE_TAG)
		take_tag(v, svm_this_cpu(), vmcb);
	if (!(v->due & SVM_DUE_SPEC_CTRL)) {
		enter(v);
		return;
	}
	host = spec_ctrl_enter(v->spec_ctrl);
	enter(v);
	spec_ctrl_leave(host);
}

void svm_set_spec_ctrl(struct virt_vcpu *v, uint64_t val)
{
	v->spec_ctrl = val;
	v->due &= ~(uint32_t)SVM_DUE_SPEC_CTRL;
	if (svm_has_spec_ctrl)
		svm_vmcb(v)->spec_ctrl = val;
	else if (val)
		v->due |= SVM_DUE_SPEC_CTRL;
}

void svm_vcpu_run(struct virt_vcpu *v, struct vm_exit *exit)
{
	struct vmcb *vmcb = svm_vmcb(v);

	vmcb->rax = v->gpr[GPR_RAX];
	vmcb->rsp = v->gpr[GPR_RSP];
	vmcb->rip = v->rip;
	if (unlikely(v->due))
		enter_prepared(v, vmcb);
	else
		enter(v);
	if (unlikely(vmcb->vintr & SVM_V_IRQ))
		offer_lost_interrupt();
	v->gpr[GPR_RAX] = vmcb->rax;
	v->gpr[GPR_RSP] = vmcb->rsp;
	v->rip = vmcb->rip;
	vmcb->eventinj = 0; /* delivered, or told in exitintinfo */
	vmcb->clean = SVM_CLEAN_ALL;
	svm_decode_exit(v, vmcb, exit);
}

/*
 * The CPU says where the next instruction is, and at exits that are not for an instruction it says
 * 0 (APM volume 2, 15.7.1). In real mode the next one may be in front of this one.
 */
unsigned svm_insn_len(struct virt_vcpu *v)
{
	const struct vmcb *vmcb = svm_vmcb(v);
	uint64_t len;

	if (unlikely(!svm_has_nrips))
		return 0;
	len = vmcb->nrip - vmcb->rip;
	return len <= LONGEST_INSN ? (unsigned)len : 0;
}

void svm_inject(struct virt_vcpu *v, const struct vm_event_info *ev)
{
	static const uint8_t type[] = {
		[EVENT_INTR] = SVM_EVENT_TYPE_INTR,
		[EVENT_NMI] = SVM_EVENT_TYPE_NMI,
		[EVENT_EXCEPTION] = SVM_EVENT_TYPE_EXCEPT,
		[EVENT_SOFT_INT] = SVM_EVENT_TYPE_SOFT,
	};

	svm_vmcb(v)->eventinj =
		SVM_EVENT_VALID | FIELD_PREP(SVM_EVENT_TYPE, type[ev->type]) | ev->vector |
		(ev->has_error ? SVM_EVENT_EV | FIELD_PREP(SVM_EVENT_ERROR, ev->error) : 0);
}

bool svm_has_event(struct virt_vcpu *v)
{
	return svm_vmcb(v)->eventinj & SVM_EVENT_VALID;
}

bool svm_irq_shadow(struct virt_vcpu *v)
{
	return svm_vmcb(v)->interrupt_shadow & SVM_INT_SHADOW;
}

void svm_clear_irq_shadow(struct virt_vcpu *v)
{
	svm_vmcb(v)->interrupt_shadow &= ~SVM_INT_SHADOW;
}

static void intercept_misc1(struct virt_vcpu *v, uint32_t bit, bool on)
{
	struct vmcb *vmcb = svm_vmcb(v);

	vmcb->intercept_misc1 &= ~bit;
	if (on)
		vmcb->intercept_misc1 |= bit;
	svm_dirty(vmcb, SVM_CLEAN_INTERCEPTS);
}

/* A virtual interrupt that is never delivered: its intercept fires when it could be. */
void svm_irq_window(struct virt_vcpu *v, bool on)
{
	struct vmcb *vmcb = svm_vmcb(v);

	vmcb->vintr &= ~(SVM_V_IRQ | SVM_V_IGN_TPR | SVM_V_INTR_PRIO);
	vmcb->intercept_misc1 &= ~SVM_INTERCEPT_VINTR;
	if (on) {
		vmcb->vintr |= SVM_V_IRQ | SVM_V_IGN_TPR | FIELD_PREP(SVM_V_INTR_PRIO, 15);
		vmcb->intercept_misc1 |= SVM_INTERCEPT_VINTR;
	}
	svm_dirty(vmcb, SVM_CLEAN_INTERCEPTS | SVM_CLEAN_TPR);
}

/* SVM has no NMI window: the IRET that ends the handler exits, before it is executed. */
void svm_nmi_window(struct virt_vcpu *v, bool on)
{
	intercept_misc1(v, SVM_INTERCEPT_IRET, on);
}

void svm_cr8_write(struct virt_vcpu *v, uint8_t cr8)
{
	struct vmcb *vmcb = svm_vmcb(v);

	vmcb->vintr = (vmcb->vintr & ~SVM_V_TPR) | (cr8 & 0xf);
	svm_dirty(vmcb, SVM_CLEAN_TPR);
}

uint8_t svm_cr8_read(struct virt_vcpu *v)
{
	return svm_vmcb(v)->vintr & 0xf;
}

void svm_set_tsc_offset(struct virt_vcpu *v, uint64_t offset)
{
	svm_vmcb(v)->tsc_offset = offset;
	svm_dirty(svm_vmcb(v), SVM_CLEAN_INTERCEPTS);
}

void svm_exit_on_pause(struct virt_vcpu *v, bool on)
{
	intercept_misc1(v, SVM_INTERCEPT_PAUSE, on);
}

/* SVM has no timer of this kind (virt_caps.preemption_timer). */
void svm_preempt_at(struct virt_vcpu *v, uint64_t tsc)
{
	(void)v;
	(void)tsc;
}
