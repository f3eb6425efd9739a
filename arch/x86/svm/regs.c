/* SPDX-License-Identifier: BSD-2-Clause */
/* Reading and writing a vCPU's registers where the VMCB keeps them. */
#include "arch/x86/regs.h"

#include "arch/x86/svm/svm.h"
#include "lib/log.h"

/*
 * Where a register is in the VMCB, and the clean group it belongs to. Of those of paging the
 * guest's may be apart from the VMCB's (paging.c).
 */
struct reg_place {
	uint16_t offset;
	uint16_t group;
};

#define AT(field, grp)                                                                             \
	{                                                                                          \
		offsetof(struct vmcb, field), grp                                                  \
	}

static const struct reg_place vregs[NR_VREGS] = {
	[VREG_CR2] = AT(cr2, SVM_CLEAN_CR2),
	[VREG_DR6] = AT(dr6, SVM_CLEAN_DRX),
	[VREG_DR7] = AT(dr7, SVM_CLEAN_DRX),
	[VREG_STAR] = AT(star, 0),
	[VREG_LSTAR] = AT(lstar, 0),
	[VREG_CSTAR] = AT(cstar, 0),
	[VREG_SFMASK] = AT(sfmask, 0),
	[VREG_KERNEL_GS_BASE] = AT(kernel_gs_base, 0),
	[VREG_SYSENTER_CS] = AT(sysenter_cs, 0),
	[VREG_SYSENTER_ESP] = AT(sysenter_esp, 0),
	[VREG_SYSENTER_EIP] = AT(sysenter_eip, 0),
	[VREG_FS_BASE] = AT(fs.base, 0),
	[VREG_GS_BASE] = AT(gs.base, 0),
	[VREG_DEBUGCTL] = AT(debugctl, 0),
};

static uint64_t *vreg(struct virt_vcpu *v, enum vreg reg)
{
	return (uint64_t *)((char *)svm_vmcb(v) + vregs[reg].offset);
}

/* SVME must be set while the guest runs and is nothing the guest knows of. */
uint64_t svm_reg_read(struct virt_vcpu *v, enum vreg reg)
{
	switch (reg) {
	case VREG_CR0:
		return svm_guest_cr0(v);
	case VREG_CR3:
		return v->svm.guest->cr3;
	case VREG_CR4:
		return svm_guest_cr4(v);
	case VREG_EFER:
		return (v->svm.guest->efer & ~EFER_SVME) | v->svm.withheld;
	case VREG_PAT:
		return v->svm.pat;
	default:
		return *vreg(v, reg);
	}
}

static void write_efer(struct virt_vcpu *v, uint64_t val)
{
	v->svm.withheld = 0;
	v->svm.guest->efer = val | EFER_SVME;
}

/*
 * The CPU loads and stores DEBUGCTL only with LBR virtualization (section 15.23), which costs each
 * run its time: it is on while the guest has a bit set. No clean bit says that it was loaded
 * before.
 */
static void switch_debugctl(struct vmcb *vmcb)
{
	if (svm_has_lbr)
		vmcb->lbr_virt_enable = vmcb->debugctl ? SVM_LBR_VIRT_ENABLE : 0;
}

void svm_reg_write(struct virt_vcpu *v, enum vreg reg, uint64_t val)
{
	switch (reg) {
	case VREG_CR0:
		svm_write_cr0(v, val);
		break;
	case VREG_CR3:
		v->svm.guest->cr3 = val;
		break;
	case VREG_CR4:
		svm_write_cr4(v, val);
		break;
	case VREG_EFER:
		write_efer(v, val);
		break;
	case VREG_PAT:
		v->svm.pat = val;
		return;
	case VREG_DEBUGCTL:
		*vreg(v, reg) = val;
		switch_debugctl(svm_vmcb(v));
		return;
	default:
		*vreg(v, reg) = val;
		svm_dirty(svm_vmcb(v), vregs[reg].group);
		return;
	}
	svm_apply_paging(v);
}

static const struct reg_place segs[NR_SEGS] = {
	[SEG_ES] = AT(es, SVM_CLEAN_SEG),
	[SEG_CS] = AT(cs, SVM_CLEAN_SEG),
	[SEG_SS] = AT(ss, SVM_CLEAN_SEG),
	[SEG_DS] = AT(ds, SVM_CLEAN_SEG),
	[SEG_FS] = AT(fs, 0),
	[SEG_GS] = AT(gs, 0),
	[SEG_LDTR] = AT(ldtr, 0),
	[SEG_TR] = AT(tr, 0),
};

static struct vmcb_seg *place_of_seg(struct virt_vcpu *v, enum seg seg)
{
	return (struct vmcb_seg *)((char *)v->control + segs[seg].offset);
}

void svm_seg_read(struct virt_vcpu *v, enum seg seg, struct segment *out)
{
	const struct vmcb_seg *s = place_of_seg(v, seg);

	*out = (struct segment){
		.base = s->base,
		.limit = s->limit,
		.selector = s->selector,
		.attr = s->attr,
	};
	/* SVM marks a null segment by a clear P bit alone. */
	if (!(s->attr & SEG_ATTR_P) && seg != SEG_CS && seg != SEG_TR)
		out->attr |= SEG_ATTR_UNUSABLE;
}

void svm_seg_write(struct virt_vcpu *v, enum seg seg, const struct segment *in)
{
	bool unusable = in->attr & SEG_ATTR_UNUSABLE;

	*place_of_seg(v, seg) = (struct vmcb_seg){
		.base = in->base,
		.limit = in->limit,
		.selector = in->selector,
		.attr = unusable ? 0 : in->attr & 0xfff,
	};
	/* The CPU takes the CPL from here, not from SS. */
	if (seg == SEG_SS)
		svm_vmcb(v)->cpl = FIELD_GET(SEG_ATTR_DPL, in->attr);
	svm_dirty(svm_vmcb(v), segs[seg].group);
}

static void table_write(struct virt_vcpu *v, struct vmcb_seg *s, const struct desc_table *t)
{
	s->base = t->base;
	s->limit = t->limit;
	svm_dirty(svm_vmcb(v), SVM_CLEAN_DT);
}

void svm_gdtr_write(struct virt_vcpu *v, const struct desc_table *t)
{
	table_write(v, &svm_vmcb(v)->gdtr, t);
}

void svm_idtr_write(struct virt_vcpu *v, const struct desc_table *t)
{
	table_write(v, &svm_vmcb(v)->idtr, t);
}

void svm_gdtr_read(struct virt_vcpu *v, struct desc_table *t)
{
	*t = (struct desc_table){svm_vmcb(v)->gdtr.base, svm_vmcb(v)->gdtr.limit};
}

void svm_idtr_read(struct virt_vcpu *v, struct desc_table *t)
{
	*t = (struct desc_table){svm_vmcb(v)->idtr.base, svm_vmcb(v)->idtr.limit};
}

uint64_t svm_rflags(struct virt_vcpu *v)
{
	return svm_vmcb(v)->rflags;
}

uint64_t svm_dr7(struct virt_vcpu *v)
{
	return svm_vmcb(v)->dr7;
}

void svm_set_rflags(struct virt_vcpu *v, uint64_t rflags)
{
	svm_vmcb(v)->rflags = rflags;
}

void svm_insn_state(struct virt_vcpu *v, struct virt_insn_state *s)
{
	const struct vmcb *vmcb = svm_vmcb(v), *guest = v->svm.guest;

	s->rflags = vmcb->rflags;
	s->cs_base = vmcb->cs.base;
	s->cr3 = guest->cr3;
	s->cs_attr = vmcb->cs.attr;
	s->cpl = vmcb->cpl;
	s->cr8 = vmcb->vintr & 0xf;
	s->cr0 = guest->cr0; /* of these only bits in which the two do not differ */
	s->cr4 = guest->cr4;
	s->efer = guest->efer;
	s->irq_shadow = vmcb->interrupt_shadow & SVM_INT_SHADOW;
}

void svm_set_insn_state(struct virt_vcpu *v, uint64_t rflags, bool irq_shadow)
{
	svm_set_rflags(v, rflags);
	if (unlikely(irq_shadow))
		svm_vmcb(v)->interrupt_shadow |= SVM_INT_SHADOW;
	else
		svm_clear_irq_shadow(v);
}

uint64_t svm_exit_code(struct virt_vcpu *v)
{
	return svm_vmcb(v)->exitcode;
}

uint16_t svm_cs_attr(struct virt_vcpu *v)
{
	return svm_vmcb(v)->cs.attr;
}

uint64_t svm_cs_base(struct virt_vcpu *v)
{
	return svm_vmcb(v)->cs.base;
}

unsigned svm_cpl(struct virt_vcpu *v)
{
	return svm_vmcb(v)->cpl;
}

static void dump_seg(const char *name, const struct vmcb_seg *s)
{
	log_error("  %s %04x base %016llx limit %08x attr %03x", name, s->selector,
		  (unsigned long long)s->base, s->limit, s->attr);
}

static void dump_paging(struct virt_vcpu *v)
{
	typedef unsigned long long ull;
	const struct vmcb *b = svm_vmcb(v);

	log_error("  cr0 %08llx cr2 %016llx cr3 %016llx cr4 %08llx efer %04llx",
		  (ull)svm_reg_read(v, VREG_CR0), (ull)b->cr2, (ull)svm_reg_read(v, VREG_CR3),
		  (ull)svm_reg_read(v, VREG_CR4), (ull)svm_reg_read(v, VREG_EFER));
	log_error("  the CPU: cr0 %08llx cr3 %016llx cr4 %08llx efer %04llx", (ull)b->cr0,
		  (ull)b->cr3, (ull)b->cr4, (ull)b->efer);
}

void svm_dump(struct virt_vcpu *v)
{
	const struct vmcb *b = svm_vmcb(v);
	const uint64_t *r = v->gpr;
	typedef unsigned long long ull;

	log_error("  rip %016llx rflags %08llx cpl %u", (ull)v->rip, (ull)b->rflags, b->cpl);
	for (int i = 0; i < NR_GPRS; i += 4)
		log_error("  r%-2d %016llx %016llx %016llx %016llx", i, (ull)r[i], (ull)r[i + 1],
			  (ull)r[i + 2], (ull)r[i + 3]);
	dump_paging(v);
	dump_seg("cs", &b->cs);
	dump_seg("ss", &b->ss);
	dump_seg("ds", &b->ds);
	dump_seg("tr", &b->tr);
	log_error("  gdtr %016llx/%04x idtr %016llx/%04x exit %llx info %llx %llx intinfo %llx",
		  (ull)b->gdtr.base, b->gdtr.limit, (ull)b->idtr.base, b->idtr.limit,
		  (ull)b->exitcode, (ull)b->exitinfo1, (ull)b->exitinfo2, (ull)b->exitintinfo);
}
