/* SPDX-License-Identifier: BSD-2-Clause */
/* The exits that come seldom. */
#include "vmm/exit.h"

#include "arch/x86/cpu.h"
#include "arch/x86/regs.h"
#include "lib/log.h"
#include "vmm/cr.h"

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

void exit_cr_write(struct vcpu *v, const struct vm_exit *exit)
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

void exit_xsetbv(struct vcpu *v, const struct vm_exit *exit)
{
	uint64_t *gpr = v->virt.gpr;
	uint64_t val = gpr[GPR_RDX] << 32 | (uint32_t)gpr[GPR_RAX];
	unsigned len = exit_insn_len(v, exit, OP_XSETBV);

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
void exit_wbinvd(struct vcpu *v, const struct vm_exit *exit)
{
	unsigned len = exit_insn_len(v, exit, OP_WBINVD);

	if (!len)
		len = insn_length(v, OP_INVD);
	if (len)
		vcpu_skip(v, len);
}

void exit_pause(struct vcpu *v, const struct vm_exit *exit)
{
	unsigned len = exit_insn_len(v, exit, OP_PAUSE);

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

void exit_exception(struct vcpu *v, const struct vm_exit *exit)
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
void exit_nmi_window(struct vcpu *v)
{
	virt_nmi_window(&v->virt, false);
	if (!v->nmis_pending) {
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

void exit_shutdown(struct vcpu *v)
{
	log_error("vm %s: vcpu %u: triple fault", v->vm->name, v->id);
	virt_dump(&v->virt);
	vm_end(v->vm, VM_TRIPLE_FAULT, VM_STATUS_KILLED);
}
