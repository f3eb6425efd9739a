/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The run loop of one vCPU: entry, exit, and again, with the exits that come often. It is compiled
 * once for each vendor (run_svm.c, run_vmx.c), so that the way of an exit never asks which one:
 * they define VIRT_CALL (arch/x86/virt.h) and VCPU_RUN, the name of the loop.
 *
 * Run to completion with interrupts closed; an interrupt or a kick that comes meanwhile ends the
 * next run at once.
 */
#include "arch/x86/cpu.h"
#include "arch/x86/regs.h"
#include "lib/log.h"
#include "mm/grace.h"
#include "vmm/cpu.h"
#include "vmm/exit.h"
#include "vmm/hypercall.h"
#include "vmm/insn.h"
#include "vmm/realmode.h"
#include "vmm/run.h"
#include "vmm/sysinsn.h"
#include "vmm/vm.h"

static void do_cpuid(struct vcpu *v)
{
	unsigned len = exit_insn_len(v, OP_CPUID);

	if (!len)
		return;
	cpuid_execute(v);
	vcpu_skip(v, len);
}

static void do_hypercall(struct vcpu *v)
{
	unsigned len = exit_insn_len(v, OP_VMMCALL);

	if (!len)
		return;
	vcpu_skip(v, len);
	hypercall(v);
}

static void do_rdmsr(struct vcpu *v)
{
	unsigned len = exit_insn_len(v, OP_RDMSR);

	if (!len)
		return;
	if (likely(sysinsn_rdmsr(v)))
		vcpu_skip(v, len);
	else
		vcpu_inject_error(v, X86_TRAP_GP, 0);
}

static void do_wrmsr(struct vcpu *v)
{
	unsigned len = exit_insn_len(v, OP_WRMSR);

	if (!len)
		return;
	if (likely(sysinsn_wrmsr(v)))
		vcpu_skip(v, len);
	else
		vcpu_inject_error(v, X86_TRAP_GP, 0);
}

static void do_hlt(struct vcpu *v)
{
	unsigned len = exit_insn_len(v, OP_HLT);

	if (!len)
		return;
	vcpu_skip(v, len);
	sysinsn_hlt(v);
}

/* IN writes the low part of RAX, except that 32 bits clear the upper half as always. */
static uint64_t merge_rax(uint64_t rax, uint64_t val, unsigned size)
{
	switch (size) {
	case 1:
		return (rax & ~0xffull) | (uint8_t)val;
	case 2:
		return (rax & ~0xffffull) | (uint16_t)val;
	default:
		return (uint32_t)val;
	}
}

static void do_io(struct vcpu *v, const struct vm_exit *exit)
{
	uint64_t *rax = &v->virt.gpr[GPR_RAX];
	unsigned size = exit->io.size;

	if (exit->io.flags & IO_STRING) {
		insn_emulate(v);
		return;
	}
	if (exit->io.flags & IO_IN)
		*rax = merge_rax(*rax, platform_pio_read(v->vm->platform, exit->io.port, size),
				 size);
	else
		platform_pio_write(v->vm->platform, exit->io.port, size,
				   *rax & (~0ull >> (64 - 8 * size)));
	vcpu_skip(v, exit->io.len);
}

/* The devices' memory and the holes: no RAM there, and nothing to map. */
static void emulate_access(struct vcpu *v, const struct vm_exit *exit)
{
	if (exit->fault.error & PFERR_GUEST_PT)
		vm_bug(v, "page tables in memory that is not there, at gpa %llx",
		       (unsigned long long)exit->fault.gpa.v);
	else if (v->virt.idt_event.type != EVENT_NONE)
		vm_bug(v, "event %u delivered through memory that is not there, at gpa %llx",
		       v->virt.idt_event.vector, (unsigned long long)exit->fault.gpa.v);
	else
		insn_emulate_fault(v, exit);
}

/*
 * Memory to be mapped; or a device that is not the last one used, which is remembered as long as
 * the slots stay as they were before the look at them. Out of line: its frame would be
 * do_memory_fault()'s.
 */
static __attribute__((noinline)) void resolve_fault(struct vcpu *v, const struct vm_exit *exit)
{
	uint64_t generation = slots_generation(&v->vm->mem);

	switch (tdp_fault(&v->tdp, exit->fault.gpa, exit->fault.error)) {
	case RET_PF_FIXED:
	case RET_PF_SPURIOUS:
	case RET_PF_RETRY:
		break;
	case RET_PF_EMULATE:
		if ((exit->fault.error & PFERR_RSVD) && !(generation & SLOTS_GEN_IN_PROGRESS)) {
			v->mmio_gfn = gpa_to_gfn(exit->fault.gpa).v;
			v->mmio_generation = generation;
		}
		emulate_access(v, exit);
		break;
	default:
		vm_bug(v, "no memory for its page tables at gpa %llx",
		       (unsigned long long)exit->fault.gpa.v);
	}
}

/* Guests go on to use the device that they have just used. */
static void do_memory_fault(struct vcpu *v, const struct vm_exit *exit)
{
	bool known = v->mmio_gfn == gpa_to_gfn(exit->fault.gpa).v &&
		     v->mmio_generation == slots_generation(&v->vm->mem);

	if (likely(known && (exit->fault.error & PFERR_RSVD))) {
		tdp_count_mmio(&v->tdp);
		emulate_access(v, exit);
	} else {
		resolve_fault(v, exit);
	}
}

/*
 * An exception that its own delivery raises again exits before the CPU looks at interrupts or at
 * the preemption timer, for ever; so does one that is delivered by a task switch, into a task that
 * raises it again. The host gets its turn here.
 */
static __cold void give_way(struct vmm_cpu *c, struct vcpu *v)
{
	sched_take_interrupts(c);
	if (rdtsc() >= c->slice_end)
		vcpu_request(v, REQ_YIELD);
}

/* One switch over the reasons, each case a line or a call. */
static void handle_exit(struct vmm_cpu *c, struct vcpu *v, enum exit_reason reason,
			struct vm_exit *exit)
{
	switch (reason) {
	case EXIT_INTERRUPT:
		sched_take_interrupts(c);
		tdp_zap_work(&v->vm->tdp);
		break;
	case EXIT_NMI: /* taken when the global interrupt flag opened */
		break;
	case EXIT_IRQ_WINDOW:
		vcpu_close_irq_window(v);
		break;
	case EXIT_NMI_WINDOW:
		exit_nmi_window(v);
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
		do_io(v, exit);
		break;
	case EXIT_MEMORY_FAULT:
		do_memory_fault(v, exit);
		break;
	case EXIT_CR_READ:
	case EXIT_CR_WRITE:
		insn_emulate(v);
		break;
	case EXIT_EXCEPTION:
		exit_exception(v, exit);
		give_way(c, v);
		break;
	case EXIT_XSETBV:
		exit_xsetbv(v);
		break;
	case EXIT_WBINVD:
		exit_wbinvd(v);
		break;
	case EXIT_PAUSE:
		exit_pause(v);
		break;
	case EXIT_TASK_SWITCH:
		exit_task_switch(v, exit);
		give_way(c, v);
		break;
	case EXIT_PREEMPTION:
		sched_take_interrupts(c);
		vcpu_request(v, REQ_YIELD);
		break;
	case EXIT_LOG_FULL: /* vcpu_watch_exit() has emptied it */
		break;
	case EXIT_RDPMC: /* no performance counters in the guest's CPUID */
		vcpu_inject_error(v, X86_TRAP_GP, 0);
		break;
	case EXIT_MONITOR: /* nor MONITOR, nor virtualisation */
	case EXIT_MWAIT:
	case EXIT_VIRT_INSN:
		vcpu_inject_exception(v, X86_TRAP_UD);
		break;
	case EXIT_SHUTDOWN:
		sysinsn_triple_fault(v);
		break;
	case EXIT_INVALID_STATE:
		vm_bug(v, "the CPU refuses its state");
		break;
	case EXIT_UNKNOWN:
	case EXIT_DR_ACCESS:
	case EXIT_PAGE_FAULT:
	case EXIT_INVLPG:
	case EXIT_INVPCID:
	case EXIT_RDTSC:
		vm_bug(v, "exit %u (%llx) that nobody asked for", reason,
		       (unsigned long long)virt_exit_code(&v->virt));
		break;
	default:
		__builtin_unreachable(); /* the vendor fills in one of them */
	}
}

/* (C) and (D) of vmm/vcpu.h. False: requests came in between. */
static bool begin_run(struct vmm_cpu *c, struct vcpu *v)
{
	atomic_store(&c->mode, CPU_IN_GUEST);
	if (likely(!atomic_load(&v->requests)))
		return true;
	atomic_store_explicit(&c->mode, CPU_BUSY, memory_order_release);
	return false;
}

/*
 * The reason of the exit that ended the run. Whoever waits until this CPU is out of guest mode also
 * waits for vcpu_watch_exit(), and so for the log of the guest's writes.
 */
static enum exit_reason run(struct vmm_cpu *c, struct vcpu *v, struct vm_exit *exit)
{
	enum exit_reason reason;

	grace_enter_guest(c->grace);
	virt_vcpu_run(&v->virt, exit);
	reason = exit->reason; /* before the barriers: it is in a register */
	grace_exit_guest(c->grace);
	if (unlikely(v->watch))
		vcpu_watch_exit(v, exit);
	atomic_store_explicit(&c->mode, CPU_BUSY, memory_order_release);
	if (unlikely(v->virt.idt_event.type != EVENT_NONE))
		vcpu_requeue_event(v);
	v->exits[reason]++;
	return reason;
}

void VCPU_RUN(struct vmm_cpu *c, struct vcpu *v)
{
	enum exit_reason reason;
	struct vm_exit exit;

	sched_run_timers(c);
	if (v->state != VCPU_RUNNABLE && !vcpu_handle_requests(c, v))
		return;
	for (;;) {
		if (realmode_is_due(v)) {
			realmode_run(c, v);
		} else if (likely(begin_run(c, v))) {
			reason = run(c, v, &exit);
			handle_exit(c, v, reason, &exit);
			continue;
		}
		if (!vcpu_handle_requests(c, v))
			return;
	}
}
