/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The emulator's callbacks for system instructions: a vCPU's control and debug registers, its
 * descriptor tables, its FPU, and the instructions whose effect the hypervisor defines.
 */
#include "arch/x86/cpu.h"
#include "arch/x86/fpu.h"
#include "arch/x86/regs.h"
#include "vmm/exit/cpuid.h"
#include "vmm/exit/cr.h"
#include "vmm/dev/apic/lapic.h"
#include "vmm/exit/hypercall.h"
#include "vmm/exit/insn_ctx.h"
#include "vmm/exit/msr.h"
#include "vmm/exit/xcr.h"

static int fault(struct emul_ctx *c, uint8_t vector)
{
	return emul_set_fault(c, vector, 0);
}

bool insn_is_amd(struct emul_ctx *c)
{
	return cpuid_is_amd(&insn_ctx_of(c)->v->vm->cpuid);
}

int insn_cr_read(struct emul_ctx *c, unsigned cr, uint64_t *val)
{
	static const enum vreg vregs[] = {
		[0] = VREG_CR0, [2] = VREG_CR2, [3] = VREG_CR3, [4] = VREG_CR4};
	struct vcpu *v = insn_ctx_of(c)->v;

	*val = cr == 8 ? lapic_get_cr8(v->lapic) : virt_reg_read(&v->virt, vregs[cr]);
	return EMUL_OK;
}

int insn_cr_write(struct emul_ctx *c, unsigned cr, uint64_t val)
{
	struct insn_ctx *ic = insn_ctx_of(c);

	if (!cr_write(ic->v, cr, val))
		return fault(c, X86_TRAP_GP);
	ic->paging_current = false;
	ic->mode_changed = true;
	return EMUL_OK;
}

/* DR0-3 are in the CPU as long as the vCPU is loaded. */
int insn_dr_read(struct emul_ctx *c, unsigned dr, uint64_t *val)
{
	struct virt_vcpu *v = &insn_ctx_of(c)->v->virt;

	switch (dr) {
	case 0:
		*val = read_dr0();
		break;
	case 1:
		*val = read_dr1();
		break;
	case 2:
		*val = read_dr2();
		break;
	case 3:
		*val = read_dr3();
		break;
	default:
		*val = virt_reg_read(v, dr == 6 ? VREG_DR6 : VREG_DR7);
		break;
	}
	return EMUL_OK;
}

#define DR6_WRITABLE (DR6_B0_B3 | DR6_BD | DR6_BS | DR6_BT)
#define DR7_WRITABLE 0xffff2bffull

int insn_dr_write(struct emul_ctx *c, unsigned dr, uint64_t val)
{
	struct virt_vcpu *v = &insn_ctx_of(c)->v->virt;

	switch (dr) {
	case 0:
		write_dr0(val);
		break;
	case 1:
		write_dr1(val);
		break;
	case 2:
		write_dr2(val);
		break;
	case 3:
		write_dr3(val);
		break;
	case 6:
		virt_reg_write(v, VREG_DR6, (val & DR6_WRITABLE) | DR6_INIT);
		break;
	default:
		virt_reg_write(v, VREG_DR7, (val & DR7_WRITABLE) | DR7_FIXED);
		break;
	}
	return EMUL_OK;
}

void insn_table_read(struct emul_ctx *c, enum emul_table table, struct desc_table *t)
{
	struct virt_vcpu *v = &insn_ctx_of(c)->v->virt;

	if (table == EMUL_GDT)
		virt_gdtr_read(v, t);
	else
		virt_idtr_read(v, t);
}

void insn_table_write(struct emul_ctx *c, enum emul_table table, const struct desc_table *t)
{
	struct virt_vcpu *v = &insn_ctx_of(c)->v->virt;

	if (table == EMUL_GDT)
		virt_gdtr_write(v, t);
	else
		virt_idtr_write(v, t);
}

/* --- the FPU, which has the guest's registers as long as the vCPU is loaded ----------------- */

#define FSW_EXCEPTIONS 0x3f
#define FSW_ES         BIT(7) /* one that is not masked waits */

static uint16_t read_fsw(void)
{
	uint16_t fsw;

	__asm__ volatile("fnstsw %0" : "=a"(fsw));
	return fsw;
}

/*
 * FLDCW and FWAIT report what waits; here that must not happen in the hypervisor. What it is for a
 * guest with CR0.NE clear exception_math_fault() says.
 */
static int check_waiting(struct emul_ctx *c)
{
	return read_fsw() & FSW_ES ? fault(c, X86_TRAP_MF) : EMUL_OK;
}

int insn_fpu(struct emul_ctx *c, uint16_t *word)
{
	switch (c->insn.op) {
	case OP_FNINIT:
		__asm__ volatile("fninit");
		return EMUL_OK;
	case OP_FNCLEX:
		fpu_clear_errors();
		return EMUL_OK;
	case OP_FNSTCW:
		__asm__ volatile("fnstcw %0" : "=m"(*word));
		return EMUL_OK;
	case OP_FNSTSW:
		*word = read_fsw();
		return EMUL_OK;
	case OP_FLDCW:
		if (check_waiting(c))
			return EMUL_FAULT;
		__asm__ volatile("fldcw %0" : : "m"(*word));
		return EMUL_OK;
	default: /* FWAIT */
		return check_waiting(c);
	}
}

unsigned insn_native(struct emul_ctx *c, struct emul_native *n)
{
	unsigned vector = insn_slot_run(n->code, n->len, n->operand, &n->regs);
	uint16_t fcw;

	if (vector || !n->x87)
		return vector;
	__asm__ volatile("fnstcw %0" : "=m"(fcw));
	n->pending = read_fsw() & ~fcw & FSW_EXCEPTIONS;
	fpu_set_pointers(&n->pointers);
	return 0;
}

/* --- the others -------------------------------------------------------------------------- */

static int read_tsc(struct emul_ctx *c)
{
	struct vcpu *v = insn_ctx_of(c)->v;
	uint64_t *gpr = c->gpr;
	struct msr_value r;

	if (c->cpl && (virt_reg_read(&v->virt, VREG_CR4) & CR4_TSD))
		return fault(c, X86_TRAP_GP);
	if (c->insn.op == OP_RDTSCP) {
		r = msr_read(v, MSR_TSC_AUX);
		if (r.error)
			return fault(c, X86_TRAP_UD);
		gpr[GPR_RCX] = (uint32_t)r.val;
	}
	r = msr_read(v, MSR_TSC);
	if (r.error)
		return fault(c, X86_TRAP_GP);
	gpr[GPR_RAX] = (uint32_t)r.val;
	gpr[GPR_RDX] = r.val >> 32;
	return EMUL_OK;
}

static int access_xcr(struct emul_ctx *c)
{
	struct vcpu *v = insn_ctx_of(c)->v;
	bool ok;

	if (!(virt_reg_read(&v->virt, VREG_CR4) & CR4_OSXSAVE))
		return fault(c, X86_TRAP_UD);
	ok = c->insn.op == OP_XSETBV ? xcr_execute_xsetbv(v) : xcr_execute_xgetbv(v);
	return ok ? EMUL_OK : fault(c, X86_TRAP_GP);
}

static int write_msr(struct emul_ctx *c)
{
	struct insn_ctx *ic = insn_ctx_of(c);

	ic->paging_current = false; /* EFER, for one */
	ic->mode_changed = true;
	c->segs_known = 0; /* the bases of FS and GS are MSRs, too */
	return msr_execute_wrmsr(ic->v) ? EMUL_OK : fault(c, X86_TRAP_GP);
}

/*
 * A call that is to be executed again has moved RIP back, as is right behind an exit. Here RIP is
 * still at the instruction; and who emulates many instructions in a row is to look around first.
 */
static int call_hypervisor(struct vcpu *v)
{
	uint64_t rip = v->virt.rip;

	hypercall(v);
	if (v->virt.rip == rip)
		return EMUL_OK;
	v->virt.rip = rip;
	vcpu_request(v, REQ_EVENT);
	return EMUL_AGAIN;
}

int insn_system(struct emul_ctx *c)
{
	struct insn_ctx *ic = insn_ctx_of(c);
	struct vcpu *v = ic->v;

	switch (c->insn.op) {
	case OP_HLT:
		ic->halt = true;
		return EMUL_OK;
	case OP_CPUID:
		cpuid_execute(v);
		return EMUL_OK;
	case OP_RDMSR:
		return msr_execute_rdmsr(v) ? EMUL_OK : fault(c, X86_TRAP_GP);
	case OP_WRMSR:
		return write_msr(c);
	case OP_RDTSC:
	case OP_RDTSCP:
		return read_tsc(c);
	case OP_XGETBV:
	case OP_XSETBV:
		return access_xcr(c);
	case OP_INVD:
	case OP_WBINVD: /* caches are coherent with all that a guest can reach */
		return EMUL_OK;
	case OP_INVLPG: /* of all addresses */
		mmu_sync(&v->mmu);
		virt_flush(&v->virt);
		return EMUL_OK;
	case OP_VMCALL:
	case OP_VMMCALL:
		return call_hypervisor(v);
	case OP_RDPMC: /* no performance counters in the guest's CPUID */
		return fault(c, X86_TRAP_GP);
	default: /* nor MONITOR */
		return fault(c, X86_TRAP_UD);
	}
}
