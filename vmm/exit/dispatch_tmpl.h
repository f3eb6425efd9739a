/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The answer to each exit: one switch over the reasons, and the instructions whose exit takes
 * little more than a call. A template: part of loop_tmpl.h, compiled once for each vendor.
 */
#include "arch/x86/cpu.h"
#include "arch/x86/regs.h"
#include "vmm/exit/cpuid.h"
#include "vmm/exit/exception.h"
#include "vmm/exit/halt.h"
#include "vmm/exit/hypercall.h"
#include "vmm/exit/insn.h"
#include "vmm/exit/io.h"
#include "vmm/exit/memory.h"
#include "vmm/exit/msr.h"
#include "vmm/exit/nmi.h"
#include "vmm/exit/no_effect.h"
#include "vmm/exit/page_fault.h"
#include "vmm/exit/task_switch.h"
#include "vmm/exit/xcr.h"
#include "vmm/sched.h"
#include "vmm/vm.h"

static __always_inline void do_cpuid(struct vcpu *v)
{
	unsigned len = insn_exit_length(v, OP_CPUID);

	if (!len)
		return;
	cpuid_execute(v);
	vcpu_skip(v, len);
}

static __always_inline void do_hypercall(struct vcpu *v)
{
	unsigned len = insn_exit_length(v, OP_VMMCALL);

	if (!len)
		return;
	vcpu_skip(v, len);
	hypercall(v);
}

static __always_inline void do_rdmsr(struct vcpu *v)
{
	unsigned len = insn_exit_length(v, OP_RDMSR);

	if (!len)
		return;
	if (likely(msr_execute_rdmsr(v)))
		vcpu_skip(v, len);
	else
		event_inject_error(v, X86_TRAP_GP, 0);
}

static __always_inline void do_wrmsr(struct vcpu *v)
{
	unsigned len = insn_exit_length(v, OP_WRMSR);

	if (!len)
		return;
	if (likely(msr_execute_wrmsr(v)))
		vcpu_skip(v, len);
	else
		event_inject_error(v, X86_TRAP_GP, 0);
}

static __cold void do_xsetbv(struct vcpu *v)
{
	unsigned len = insn_exit_length(v, OP_XSETBV);

	if (!len)
		return;
	if (xcr_execute_xsetbv(v))
		vcpu_skip(v, len);
	else
		event_inject_error(v, X86_TRAP_GP, 0);
}

static void do_hlt(struct vcpu *v)
{
	unsigned len = insn_exit_length(v, OP_HLT);

	if (!len)
		return;
	vcpu_skip(v, len);
	halt_execute(v);
}

/*
 * The delivery of an exception can raise the same exception again. Then the guest exits for ever,
 * each time before the CPU looks at interrupts or at the preemption timer. The same happens when a
 * task switch delivers an exception into a task that raises it again. So the host takes its
 * interrupts here.
 */
static __cold void give_way(struct vmm_cpu *c, struct vcpu *v)
{
	sched_take_interrupts(c);
	if (rdtsc() >= c->slice_end)
		vcpu_request(v, REQ_YIELD);
}

/*
 * One switch over the reasons, each case a line or a call. It is inlined by order, and so are the
 * exits that come often: left to the compiler, what is inlined changes with every other file.
 */
static __always_inline void handle_exit(struct vmm_cpu *c, struct vcpu *v, enum exit_reason reason,
					struct vm_exit *exit)
{
	switch (reason) {
	case EXIT_INTERRUPT:
		sched_take_interrupts(c);
		mmu_work(&v->vm->mmu);
		break;
	case EXIT_NMI: /* taken when the global interrupt flag opened */
	case EXIT_MACHINE_CHECK:
		break;
	case EXIT_IRQ_WINDOW:
		event_close_irq_window(v);
		break;
	case EXIT_NMI_WINDOW:
		nmi_window_exit(v);
		break;
	case EXIT_HLT:
		do_hlt(v);
		break;
	case EXIT_CPUID:
		do_cpuid(v);
		break;
	case EXIT_HYPERCALL:
		do_hypercall(v);
		break;
	case EXIT_RDMSR:
		do_rdmsr(v);
		break;
	case EXIT_WRMSR:
		do_wrmsr(v);
		break;
	case EXIT_IO:
		io_exit(v, exit);
		break;
	case EXIT_MEMORY_FAULT:
		memory_exit(v, exit);
		break;
	case EXIT_CR_READ:
	case EXIT_CR_WRITE:
		insn_emulate_or_refuse(v);
		break;
	case EXIT_EXCEPTION:
		exception_exit(v, exit);
		give_way(c, v);
		break;
	case EXIT_XSETBV:
		do_xsetbv(v);
		break;
	case EXIT_WBINVD:
		no_effect_wbinvd(v);
		break;
	case EXIT_PAUSE:
		no_effect_pause(v);
		break;
	case EXIT_TASK_SWITCH:
		task_switch_exit(v, exit);
		give_way(c, v);
		break;
	case EXIT_PAGE_FAULT:
		page_fault_exit(v, exit);
		break;
	case EXIT_INVLPG:
		invlpg_exit(v, exit);
		break;
	case EXIT_PREEMPTION:
		sched_take_interrupts(c);
		vcpu_request(v, REQ_YIELD);
		break;
	case EXIT_LOG_FULL: /* watch_exit() has emptied the log */
		break;
	case EXIT_RDPMC: /* no performance counters in the guest's CPUID */
		event_inject_error(v, X86_TRAP_GP, 0);
		break;
	case EXIT_MONITOR: /* nor MONITOR, nor virtualisation */
	case EXIT_MWAIT:
	case EXIT_INVPCID: /* not under shadow paging */
	case EXIT_VIRT_INSN:
		event_inject(v, X86_TRAP_UD);
		break;
	case EXIT_SHUTDOWN:
		exception_triple_fault(v);
		break;
	case EXIT_INVALID_STATE:
		vm_bug(v, VM_UMBRA_FAULT, "the CPU refuses its state");
		break;
	case EXIT_UNKNOWN:
	case EXIT_DR_ACCESS:
	case EXIT_RDTSC:
		vm_bug(v, VM_UMBRA_FAULT, "exit %u (%llx) that nobody asked for", reason,
		       (unsigned long long)virt_exit_code(&v->virt));
		break;
	default:
		__builtin_unreachable(); /* the vendor fills in one of them */
	}
}
