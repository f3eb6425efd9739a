/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * CR0, CR3, CR4 and EFER: what the guest has, and what the VMCB has for the CPU to run it with.
 *
 * With nested paging they are the same but for a few bits, and the guest writes CR3, and TS and MP
 * of CR0, without exits. The other bits are the machine's (arch/x86/virt_paging.h: caches on,
 * machine checks on, x87 errors as exceptions), SVME, which the guest knows nothing of, and LME on
 * a lax CPU (below); of the first two the guest's idea is kept in struct svm_vcpu. VMRUN loads CD
 * and NW (APM volume 2, 15.5.1), so a guest that had the real ones would run without caches.
 *
 * With shadow paging the VMCB has the shadow root and the bits that it needs as well; the guest's
 * registers are in another page of the same layout, and every write of them exits.
 *
 * SVM has no read shadows: a register that is not what the guest has exits when it is read. Writes
 * of CR0 that change more than TS and MP exit in any case, by the selective intercept (15.9): the
 * guest may be about to set CD. While it has CD set, all its writes exit.
 */
#include <string.h>

#include "arch/x86/regs.h"
#include "arch/x86/svm/svm.h"

/*
 * QEMU 7.2's #VMEXIT restores the host's CR0 while EFER and CR4 are still the guest's, and gives
 * up when it finds LME set without PAE: the host then goes on without paging. A guest that has
 * LME set and PAE clear (legal while its paging is off) must not be run like that: it cannot
 * tell, because reading EFER exits, and so does every write of EFER, CR0 and CR4 on such a CPU.
 */
static void withhold_lme(struct virt_vcpu *v)
{
	struct vmcb *vmcb = svm_vmcb(v);
	uint64_t lme = (vmcb->efer | v->svm.withheld) & EFER_LME;

	v->svm.withheld = (vmcb->cr4 & CR4_PAE) || (vmcb->cr0 & CR0_PG) ? 0 : lme;
	vmcb->efer = (vmcb->efer & ~EFER_LME) | (lme & ~v->svm.withheld);
}

static uint16_t cr_bit(unsigned cr, bool on)
{
	return on ? (uint16_t)BIT(cr) : 0;
}

uint64_t svm_guest_cr0(const struct virt_vcpu *v)
{
	return (v->svm.guest->cr0 & ~VIRT_CR0_ON) | v->svm.cr0;
}

uint64_t svm_guest_cr4(const struct virt_vcpu *v)
{
	return (v->svm.guest->cr4 & ~VIRT_CR4_ON) | v->svm.cr4;
}

/* What somebody asked for, and what keeps the guest's registers apart. */
static void set_cr_intercepts(struct virt_vcpu *v)
{
	struct vmcb *vmcb = svm_vmcb(v);
	bool cr0_differs = vmcb->cr0 != svm_guest_cr0(v);
	bool cr4_differs = vmcb->cr4 != svm_guest_cr4(v);
	uint16_t reads = v->svm.cr_reads | cr_bit(0, cr0_differs) | cr_bit(3, !v->nested) |
			 cr_bit(4, cr4_differs);
	uint16_t writes = v->svm.cr_writes | cr_bit(0, cr0_differs || !v->nested) |
			  cr_bit(3, !v->nested) | cr_bit(4, true);

	if (reads == vmcb->intercept_cr_read && writes == vmcb->intercept_cr_write)
		return;
	vmcb->intercept_cr_read = reads;
	vmcb->intercept_cr_write = writes;
	svm_dirty(vmcb, SVM_CLEAN_INTERCEPTS);
}

static void set_bits(uint32_t *word, uint32_t bits, bool on)
{
	*word = on ? *word | bits : *word & ~bits;
}

static void exit_on_exception(struct virt_vcpu *v, unsigned vector, bool on)
{
	set_bits(&svm_vmcb(v)->intercept_exceptions, (uint32_t)BIT(vector), on);
	svm_dirty(svm_vmcb(v), SVM_CLEAN_INTERCEPTS);
}

/* Where the guest's registers are the VMCB's, the machine's bits are put in, or left out, here. */
void svm_write_cr0(struct virt_vcpu *v, uint64_t val)
{
	v->svm.cr0 = val & (VIRT_CR0_OFF | VIRT_CR0_ON);
	v->svm.guest->cr0 = (val & ~VIRT_CR0_OFF) | VIRT_CR0_ON;
	exit_on_exception(v, X86_TRAP_MF, !(val & CR0_NE));
}

void svm_write_cr4(struct virt_vcpu *v, uint64_t val)
{
	v->svm.cr4 = val & VIRT_CR4_ON;
	v->svm.guest->cr4 = val | VIRT_CR4_ON;
}

static void apply_shadow(struct virt_vcpu *v)
{
	const struct virt_forced *forced = &v->svm.paging.forced;
	const struct vmcb *guest = v->svm.guest;
	struct vmcb *vmcb = svm_vmcb(v);

	vmcb->cr0 = virt_force(&forced->cr0, guest->cr0);
	vmcb->cr3 = v->svm.paging.root.v;
	vmcb->cr4 = virt_force(&forced->cr4, guest->cr4);
	vmcb->efer = virt_force(&forced->efer, guest->efer);
}

void svm_apply_paging(struct virt_vcpu *v)
{
	if (unlikely(!v->nested))
		apply_shadow(v);
	else if (virt_caps.lax)
		withhold_lme(v);
	svm_dirty(svm_vmcb(v), SVM_CLEAN_CRX);
	set_cr_intercepts(v);
}

void svm_set_paging(struct virt_vcpu *v, const struct virt_paging *p)
{
	if (v->nested) {
		svm_vmcb(v)->ncr3 = p->root.v;
		svm_dirty(svm_vmcb(v), SVM_CLEAN_NP);
		return;
	}
	v->svm.paging = *p;
	svm_apply_paging(v);
}

/* With nested paging SVM's walks read PDPTEs from memory (APM volume 2, 15.25.10). */
bool svm_has_pdptes(struct virt_vcpu *v)
{
	return !v->nested;
}

void svm_pdptes_read(struct virt_vcpu *v, uint64_t pdpte[4])
{
	memcpy(pdpte, v->svm.pdpte, sizeof(v->svm.pdpte));
}

void svm_pdptes_write(struct virt_vcpu *v, const uint64_t pdpte[4])
{
	memcpy(v->svm.pdpte, pdpte, sizeof(v->svm.pdpte));
}

/* Real mode runs on page tables too: APM volume 2, 15.19, "Paged Real Mode". */
bool svm_is_unrestricted(struct virt_vcpu *v)
{
	(void)v;
	return true;
}

bool svm_can_run(struct virt_vcpu *v)
{
	(void)v;
	return true;
}

static void ask_for_cr_exits(struct virt_vcpu *v, uint16_t *asked, unsigned cr, bool on)
{
	*asked = (uint16_t)(*asked & ~BIT(cr)) | cr_bit(cr, on);
	set_cr_intercepts(v);
}

/* All writes exit; or those alone of which the back end wants to know. */
void svm_exit_on_cr0_write(struct virt_vcpu *v, uint64_t bits)
{
	ask_for_cr_exits(v, &v->svm.cr_writes, 0, bits);
}

void svm_exit_on_cr4_write(struct virt_vcpu *v, uint64_t bits)
{
	ask_for_cr_exits(v, &v->svm.cr_writes, 4, bits);
}

void svm_exit_on_cr8_write(struct virt_vcpu *v, bool on)
{
	ask_for_cr_exits(v, &v->svm.cr_writes, 8, on);
}

void svm_exit_on_cr3(struct virt_vcpu *v, bool read, bool write)
{
	ask_for_cr_exits(v, &v->svm.cr_reads, 3, read);
	ask_for_cr_exits(v, &v->svm.cr_writes, 3, write);
}

void svm_exit_on_page_fault(struct virt_vcpu *v, bool on)
{
	exit_on_exception(v, X86_TRAP_PF, on);
}

void svm_exit_on_invlpg(struct virt_vcpu *v, bool on)
{
	set_bits(&svm_vmcb(v)->intercept_misc1, SVM_INTERCEPT_INVLPG, on);
	set_bits(&svm_vmcb(v)->intercept_misc3, SVM_INTERCEPT_INVPCID, on);
	svm_dirty(svm_vmcb(v), SVM_CLEAN_INTERCEPTS);
}

void svm_flush(struct virt_vcpu *v)
{
	v->due |= SVM_DUE_TAG;
}

/* An ASID tags both kinds of translation. */
void svm_flush_tdp(struct virt_vcpu *v)
{
	svm_flush(v);
}

void svm_flush_gva(struct virt_vcpu *v, gva_t gva)
{
	if (!(v->due & SVM_DUE_TAG))
		svm_invlpga(gva, svm_vmcb(v)->asid);
}
