/* SPDX-License-Identifier: BSD-2-Clause */
/* What the files of the SVM back end share among themselves. */
#ifndef ARCH_X86_SVM_SVM_H
#define ARCH_X86_SVM_SVM_H

#include "arch/x86/svm/instructions.h"
#include "arch/x86/svm/vmcb.h"
#include "arch/x86/tags.h"
#include "arch/x86/virt.h"

/* One per physical CPU. Owned by that CPU. */
struct svm_cpu {
	hpa_t host_vmcb; /* the host's side of VMLOAD/VMSAVE */
	struct tag_pool tags;
};

extern hpa_t svm_iopm, svm_msrpm; /* constant after probe */
extern bool svm_has_nrips, svm_has_decode_assists, svm_has_lbr, svm_has_spec_ctrl;

/* The calling CPU's part. */
struct svm_cpu *svm_this_cpu(void);

static inline struct vmcb *svm_vmcb(const struct virt_vcpu *v)
{
	return v->control;
}

/* Say that a group of VMCB fields (SVM_CLEAN_*) has changed since its last run. */
static inline void svm_dirty(struct vmcb *vmcb, uint32_t group)
{
	vmcb->clean &= ~group;
}

/* What an entry may have to do first (virt_vcpu.due). */
#define SVM_DUE_TAG BIT(0) /* take a new ASID */
#define SVM_DUE_SPEC_CTRL                                                                          \
	BIT(1) /* each time: the guest has bits in it that the CPU does not switch */

/* The guest's CR0 and CR4, of which the CPU may have something else (paging.c). */
uint64_t svm_guest_cr0(const struct virt_vcpu *v);
uint64_t svm_guest_cr4(const struct virt_vcpu *v);
void svm_write_cr0(struct virt_vcpu *v, uint64_t val);
void svm_write_cr4(struct virt_vcpu *v, uint64_t val);

/*
 * Bring the VMCB, and what exits, up to date with the guest's CR0, CR3, CR4 and EFER: after one of
 * them was written (paging.c).
 */
void svm_apply_paging(struct virt_vcpu *v);

/* Translate the exit fields of the vCPU's VMCB, which the caller has at hand (exit.c). */
void svm_decode_exit(struct virt_vcpu *v, const struct vmcb *vmcb, struct vm_exit *exit);

#endif
