/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One switch over the reasons for which a guest exits, each case a line or a call. The order of
 * the functions is that of the table in docs/usage.md's counters.
 */
#include "arch/x86/cpu.h"
#include "arch/x86/regs.h"
#include "lib/log.h"
#include "vmm/cpu.h"
#include "vmm/cr.h"
#include "vmm/hypercall.h"
#include "vmm/insn.h"
#include "vmm/msr.h"
#include "vmm/vm.h"

/* The length of the instruction that exited, which is `op`; 0: the guest executes it again. */
static unsigned length(struct vcpu *v, const struct vm_exit *exit, enum emul_op op)
{
	if (likely(exit->insn_len))
		return exit->insn_len;
	return insn_length(v, op);
}

static void do_cpuid(struct vcpu *v, const struct vm_exit *exit)
{
	unsigned len = length(v, exit, OP_CPUID);

	if (!len)
		return;
	cpuid_execute(v);
	vcpu_skip(v, len);
}

static void do_hypercall(struct vcpu *v, const struct vm_exit *exit)
{
	unsigned len = length(v, exit, OP_VMMCALL);

	if (!len)
		return;
	vcpu_skip(v, len);
	hypercall_execute(v);
}

static void do_rdmsr(struct vcpu *v, const struct vm_exit *exit)
{
	uint64_t *gpr = v->virt.gpr, val;
	unsigned len = length(v, exit, OP_RDMSR);

	if (!len)
		return;
	if (msr_read(v, (uint32_t)gpr[GPR_RCX], &val)) {
		log_debug("vm %s: rdmsr %x: #GP", v->vm->name, (uint32_t)gpr[GPR_RCX]);
		vcpu_inject_error(v, X86_TRAP_GP, 0);
		return;
	}
	gpr[GPR_RAX] = (uint32_t)val;
	gpr[GPR_RDX] = val >> 32;
	vcpu_skip(v, len);
}

static void do_wrmsr(struct vcpu *v, const struct vm_exit *exit)
{
	uint64_t *gpr = v->virt.gpr;
	uint64_t val = gpr[GPR_RDX] << 32 | (uint32_t)gpr[GPR_RAX];
	unsigned len = length(v, exit, OP_WRMSR);

	if (!len)
		return;
	if (msr_write(v, (uint32_t)gpr[GPR_RCX], val)) {
		log_debug("vm %s: wrmsr %x %llx: #GP", v->vm->name, (uint32_t)gpr[GPR_RCX],
			  (unsigned long long)val);
		vcpu_inject_error(v, X86_TRAP_GP, 0);
		return;
	}
	vcpu_skip(v, len);
}

static void do_hlt(struct vcpu *v, const struct vm_exit *exit)
{
	unsigned len = length(v, exit, OP_HLT);

	if (!len)
		return;
	vcpu_skip(v, len);
	/* Closed interrupts may open in the handler of an NMI; until then only that can wake it. */
	if (!vcpu_has_wake_event(v))
		sched_halt(v);
	else
		vcpu_request(v, REQ_EVENT);
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

	if ((exit->io.flags & IO_STRING) || !exit->io.next_rip) {
		insn_emulate(v);
		return;
	}
	if (exit->io.flags & IO_IN)
		*rax = merge_rax(*rax, platform_pio_read(v->vm->platform, exit->io.port, size),
				 size);
	else
		platform_pio_write(v->vm->platform, exit->io.port, size,
				   *rax & (~0ull >> (64 - 8 * size)));
	vcpu_skip_to(v, exit->io.next_rip);
}

static void do_memory_fault(struct vcpu *v, const struct vm_exit *exit)
{
	switch (tdp_fault(&v->tdp, exit->fault.gpa, exit->fault.error)) {
	case RET_PF_FIXED:
	case RET_PF_SPURIOUS:
	case RET_PF_RETRY:
		return;
	case RET_PF_EMULATE:
		break;
	default:
		vm_bug(v, "no memory for its page tables at gpa %llx",
		       (unsigned long long)exit->fault.gpa.v);
		return;
	}
	if (exit->fault.error & PFERR_GUEST_PT)
		vm_bug(v, "page tables in memory that is not there, at gpa %llx",
		       (unsigned long long)exit->fault.gpa.v);
	else if (v->virt.idt_event.type != EVENT_NONE)
		vm_bug(v, "event %u delivered through memory that is not there, at gpa %llx",
		       v->virt.idt_event.vector, (unsigned long long)exit->fault.gpa.v);
	else
		insn_emulate_fault(v, exit);
}

/* LMSW writes the low four bits of CR0, and cannot clear PE; CLTS clears TS. */
static uint64_t cr_value(struct vcpu *v, const struct emul_insn *insn)
{
	uint64_t cr0 = virt_reg_read(&v->virt, VREG_CR0);

	switch (insn->op) {
	case OP_CLTS:
		return cr0 & ~CR0_TS;
	case OP_LMSW:
		return (cr0 & ~0xeull) | (v->virt.gpr[insn->opnd[0].reg] & 0xf);
	default:
		return v->virt.gpr[insn->opnd[1].reg];
	}
}

static bool is_cr_write(const struct emul_insn *insn)
{
	return insn->op == OP_MOV_TO_CR || insn->op == OP_CLTS ||
	       (insn->op == OP_LMSW && insn->opnd[0].kind == OPND_REG);
}

static __cold void do_cr_write(struct vcpu *v, const struct vm_exit *exit)
{
	struct emul_insn insn;

	if (!insn_decode(v, &insn))
		return;
	if (!is_cr_write(&insn))
		vm_bug(v, "a write of CR%u that is not emulated", exit->cr.cr);
	else if (cr_write(v, exit->cr.cr, cr_value(v, &insn)))
		vcpu_skip(v, insn.len);
	else
		vcpu_inject_error(v, X86_TRAP_GP, 0);
}

/* XSETBV's own rules (SDM volume 1, 13.3), within what the guest's CPUID shows. */
static bool is_valid_xcr0(struct vcpu *v, uint64_t val)
{
	uint64_t avx512 = XCR0_OPMASK | XCR0_ZMM_HI256 | XCR0_HI16_ZMM;

	if ((val & ~v->vm->cpuid.xcr0) || !(val & XCR0_X87))
		return false;
	if ((val & XCR0_AVX) && !(val & XCR0_SSE))
		return false;
	return !(val & avx512) || ((val & avx512) == avx512 && (val & XCR0_AVX));
}

static __cold void do_xsetbv(struct vcpu *v, const struct vm_exit *exit)
{
	uint64_t *gpr = v->virt.gpr;
	uint64_t val = gpr[GPR_RDX] << 32 | (uint32_t)gpr[GPR_RAX];
	unsigned len = length(v, exit, OP_XSETBV);

	if (!len)
		return;
	if (virt_cpl(&v->virt) || (uint32_t)gpr[GPR_RCX] || !is_valid_xcr0(v, val)) {
		vcpu_inject_error(v, X86_TRAP_GP, 0);
		return;
	}
	xsetbv(0, val);
	vcpu_skip(v, len);
}

/* Caches are coherent with all that a guest can reach, so there is nothing to write back. */
static void do_wbinvd(struct vcpu *v, const struct vm_exit *exit)
{
	unsigned len = length(v, exit, OP_WBINVD);

	if (!len)
		len = insn_length(v, OP_INVD);
	if (len)
		vcpu_skip(v, len);
}

static void do_pause(struct vcpu *v, const struct vm_exit *exit)
{
	unsigned len = length(v, exit, OP_PAUSE);

	if (len)
		vcpu_skip(v, len);
	vcpu_request(v, REQ_YIELD);
}

/*
 * #DB: the guest's, or the end of the one step over an IRET that a waiting NMI asked for. TF was
 * then borrowed; what the IRET loaded into RFLAGS is the guest's own.
 */
static __cold void do_debug(struct vcpu *v)
{
	if (!v->nmi_step) {
		vcpu_inject_exception(v, X86_TRAP_DB);
		return;
	}
	v->nmi_step = v->nmi_masked = false;
	virt_reg_write(&v->virt, VREG_DR6, virt_reg_read(&v->virt, VREG_DR6) & ~DR6_BS);
	vcpu_request(v, REQ_EVENT);
}

static __cold void do_exception(struct vcpu *v, const struct vm_exit *exit)
{
	switch (exit->exception.vector) {
	case X86_TRAP_DB:
		do_debug(v);
		break;
	case X86_TRAP_AC:
		vcpu_inject_error(v, X86_TRAP_AC, 0);
		break;
	default:
		vm_bug(v, "exception %u of the machine", exit->exception.vector);
	}
}

/* The guest's NMI handler is about to return: the next NMI may go in, behind the IRET. */
static __cold void do_nmi_window(struct vcpu *v)
{
	virt_nmi_window(&v->virt, false);
	if (!v->nmi_pending) {
		v->nmi_masked = false;
		return;
	}
	if (!virt_caps.nmi_window_early) {
		v->nmi_masked = false;
		vcpu_request(v, REQ_EVENT);
		return;
	}
	v->nmi_step = true;
	virt_set_rflags(&v->virt, virt_rflags(&v->virt) | RFLAGS_TF);
}

static __cold void do_shutdown(struct vcpu *v)
{
	log_error("vm %s: vcpu %u: triple fault", v->vm->name, v->id);
	virt_dump(&v->virt);
	vm_end(v->vm, VM_TRIPLE_FAULT, VM_STATUS_KILLED);
}

void vcpu_handle_exit(struct vmm_cpu *c, struct vcpu *v, struct vm_exit *exit)
{
	enum exit_reason reason = exit->reason;

	if (reason >= NR_EXIT_REASONS)
		__builtin_unreachable(); /* the vendor fills in one of them */
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
		do_nmi_window(v);
		break;
	case EXIT_HLT:
		do_hlt(v, exit);
		break;
	case EXIT_CPUID:
		do_cpuid(v, exit);
		break;
	case EXIT_HYPERCALL:
		do_hypercall(v, exit);
		break;
	case EXIT_RDMSR:
		do_rdmsr(v, exit);
		break;
	case EXIT_WRMSR:
		do_wrmsr(v, exit);
		break;
	case EXIT_IO:
		do_io(v, exit);
		break;
	case EXIT_MEMORY_FAULT:
		do_memory_fault(v, exit);
		break;
	case EXIT_CR_WRITE:
		do_cr_write(v, exit);
		break;
	case EXIT_EXCEPTION:
		do_exception(v, exit);
		break;
	case EXIT_XSETBV:
		do_xsetbv(v, exit);
		break;
	case EXIT_WBINVD:
		do_wbinvd(v, exit);
		break;
	case EXIT_PAUSE:
		do_pause(v, exit);
		break;
	case EXIT_PREEMPTION:
		vcpu_request(v, REQ_YIELD);
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
		do_shutdown(v);
		break;
	case EXIT_INVALID_STATE:
		vm_bug(v, "the CPU refuses its state");
		break;
	default:
		vm_bug(v, "exit %u (%llx) that nobody asked for", exit->reason,
		       (unsigned long long)virt_exit_code(&v->virt));
	}
}
