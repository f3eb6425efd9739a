/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Reading and writing a vCPU's registers where VMX keeps them: in the current VMCS, in the CPU
 * itself (vcpu.c), or in an area of MSRs. Those of the paging mode are in paging.c.
 */
#include "arch/x86/regs.h"

#include "arch/x86/cpu.h"
#include "arch/x86/vmx/vmx.h"
#include "lib/log.h"

/* The registers that are a field of the VMCS and nothing more. */
static const uint16_t fields[NR_VREGS] = {
	[VREG_DR7] = VMCS_GUEST_DR7,
	[VREG_SYSENTER_CS] = VMCS_GUEST_IA32_SYSENTER_CS,
	[VREG_SYSENTER_ESP] = VMCS_GUEST_IA32_SYSENTER_ESP,
	[VREG_SYSENTER_EIP] = VMCS_GUEST_IA32_SYSENTER_EIP,
	[VREG_FS_BASE] = VMCS_GUEST_FS_BASE,
	[VREG_GS_BASE] = VMCS_GUEST_GS_BASE,
	[VREG_DEBUGCTL] = VMCS_GUEST_IA32_DEBUGCTL,
};

/* The registers that are in the CPU's own MSRs. */
static const uint32_t msrs[NR_VREGS] = {
	[VREG_STAR] = MSR_STAR,
	[VREG_LSTAR] = MSR_LSTAR,
	[VREG_CSTAR] = MSR_CSTAR,
	[VREG_SFMASK] = MSR_SFMASK,
	[VREG_KERNEL_GS_BASE] = MSR_KERNEL_GS_BASE,
};

/* Shadow tables mean the types of the host's PAT: the guest's is kept here. */
static uint64_t read_guest_pat(struct virt_vcpu *v)
{
	if (unlikely(!v->nested))
		return v->vmx.pat;
	return vmx_setup.switches_pat ? vmread(VMCS_GUEST_IA32_PAT)
				      : vmx_areas(v)->guest[VMX_AREA_PAT].value;
}

uint64_t vmx_reg_read(struct virt_vcpu *v, enum vreg reg)
{
	if (likely(fields[reg]))
		return vmread(fields[reg]);
	switch (reg) {
	case VREG_CR0:
		return vmx_read_cr0();
	case VREG_CR3:
		return vmx_read_cr3(v);
	case VREG_CR4:
		return vmx_read_cr4();
	case VREG_EFER:
		return vmx_read_efer(v);
	case VREG_CR2:
		return read_cr2();
	case VREG_DR6:
		return read_dr6();
	case VREG_PAT:
		return read_guest_pat(v);
	default:
		return rdmsr(msrs[reg]);
	}
}

static void write_guest_pat(struct virt_vcpu *v, uint64_t val)
{
	struct vmx_msr_areas *areas = vmx_areas(v);
	uint64_t real = v->nested ? val : areas->host[VMX_AREA_PAT].value;

	v->vmx.pat = val;
	if (vmx_setup.switches_pat)
		vmwrite(VMCS_GUEST_IA32_PAT, real);
	else
		areas->guest[VMX_AREA_PAT].value = real;
}

void vmx_reg_write(struct virt_vcpu *v, enum vreg reg, uint64_t val)
{
	if (fields[reg]) {
		vmwrite(fields[reg], val);
		if (reg == VREG_DEBUGCTL && vmx_irq_shadow(v))
			vmx_settle_pending_step(); /* BTF has a say in it */
		return;
	}
	switch (reg) {
	case VREG_CR0:
		vmx_write_cr0(v, val);
		break;
	case VREG_CR3:
		vmx_write_cr3(v, val);
		break;
	case VREG_CR4:
		vmx_write_cr4(v, val);
		break;
	case VREG_EFER:
		vmx_write_efer(v, val);
		break;
	case VREG_CR2:
		write_cr2(val);
		break;
	case VREG_DR6:
		write_dr6(val);
		break;
	case VREG_PAT:
		write_guest_pat(v, val);
		break;
	default:
		wrmsr(msrs[reg], val);
	}
}

bool vmx_has_pdptes(struct virt_vcpu *v)
{
	(void)v;
	return true;
}

/* The VMCS has these fields for EPT; without it, entries read the CPU's where CR3 points. */
void vmx_pdptes_read(struct virt_vcpu *v, uint64_t pdpte[4])
{
	for (unsigned i = 0; i < 4; i++)
		pdpte[i] = v->nested ? vmread(VMCS_GUEST_PDPTE0 + 2 * i) : v->vmx.pdpte[i];
}

void vmx_pdptes_write(struct virt_vcpu *v, const uint64_t pdpte[4])
{
	for (unsigned i = 0; i < 4; i++) {
		v->vmx.pdpte[i] = pdpte[i];
		if (v->nested)
			vmwrite(VMCS_GUEST_PDPTE0 + 2 * i, pdpte[i]);
	}
}

/* The four fields of segment `seg` are as far apart as the segments are numbered. */
#define SEG_FIELD(what, seg) (VMCS_GUEST_ES_##what + 2 * (unsigned)(seg))

static uint16_t attr_of(uint32_t rights)
{
	uint16_t attr = (uint16_t)((rights & AR_LOW) | (rights & AR_HIGH) >> 4);

	return rights & AR_UNUSABLE ? attr | SEG_ATTR_UNUSABLE : attr;
}

/* Of an unusable SS the DPL still is the CPL. */
static uint32_t rights_of(uint16_t attr)
{
	uint32_t rights = (attr & AR_LOW) | (attr & (AR_HIGH >> 4)) << 4;

	return attr & SEG_ATTR_UNUSABLE ? rights | AR_UNUSABLE : rights;
}

void vmx_seg_read(struct virt_vcpu *v, enum seg seg, struct segment *out)
{
	(void)v;
	*out = (struct segment){
		.base = vmread(SEG_FIELD(BASE, seg)),
		.limit = (uint32_t)vmread(SEG_FIELD(LIMIT, seg)),
		.selector = (uint16_t)vmread(SEG_FIELD(SELECTOR, seg)),
		.attr = attr_of((uint32_t)vmread(SEG_FIELD(ACCESS_RIGHTS, seg))),
	};
}

void vmx_seg_write(struct virt_vcpu *v, enum seg seg, const struct segment *in)
{
	v->vmx.new_segments = true;
	vmwrite(SEG_FIELD(BASE, seg), in->base);
	vmwrite(SEG_FIELD(LIMIT, seg), in->limit);
	vmwrite(SEG_FIELD(SELECTOR, seg), in->selector);
	vmwrite(SEG_FIELD(ACCESS_RIGHTS, seg), rights_of(in->attr));
}

void vmx_gdtr_write(struct virt_vcpu *v, const struct desc_table *t)
{
	(void)v;
	vmwrite(VMCS_GUEST_GDTR_BASE, t->base);
	vmwrite(VMCS_GUEST_GDTR_LIMIT, t->limit);
}

void vmx_idtr_write(struct virt_vcpu *v, const struct desc_table *t)
{
	(void)v;
	vmwrite(VMCS_GUEST_IDTR_BASE, t->base);
	vmwrite(VMCS_GUEST_IDTR_LIMIT, t->limit);
}

void vmx_gdtr_read(struct virt_vcpu *v, struct desc_table *t)
{
	(void)v;
	*t = (struct desc_table){vmread(VMCS_GUEST_GDTR_BASE),
				 (uint16_t)vmread(VMCS_GUEST_GDTR_LIMIT)};
}

void vmx_idtr_read(struct virt_vcpu *v, struct desc_table *t)
{
	(void)v;
	*t = (struct desc_table){vmread(VMCS_GUEST_IDTR_BASE),
				 (uint16_t)vmread(VMCS_GUEST_IDTR_LIMIT)};
}

uint64_t vmx_rflags(struct virt_vcpu *v)
{
	(void)v;
	return vmread(VMCS_GUEST_RFLAGS);
}

uint64_t vmx_dr7(struct virt_vcpu *v)
{
	(void)v;
	return vmread(VMCS_GUEST_DR7);
}

void vmx_set_rflags(struct virt_vcpu *v, uint64_t rflags)
{
	(void)v;
	vmwrite(VMCS_GUEST_RFLAGS, rflags);
}

/* CR8 is bits 7:4 of the TPR in the virtual-APIC page; without that feature, only we use it. */
static uint8_t *virtual_tpr(const struct virt_vcpu *v)
{
	return (uint8_t *)vmx_page(v, VMX_PAGE_VIRTUAL_APIC) + 0x80;
}

void vmx_cr8_write(struct virt_vcpu *v, uint8_t cr8)
{
	*virtual_tpr(v) = (uint8_t)(cr8 << 4);
}

uint8_t vmx_cr8_read(struct virt_vcpu *v)
{
	return *virtual_tpr(v) >> 4;
}

/* LMA and LA57 where no mask is in front of them: the CPU has those of the guest in any case. */
void vmx_insn_state(struct virt_vcpu *v, struct virt_insn_state *s)
{
	bool lma = vmread(VMCS_ENTRY_CONTROLS) & ENTRY_IA32E_MODE;

	s->rflags = vmread(VMCS_GUEST_RFLAGS);
	s->cs_base = vmread(VMCS_GUEST_CS_BASE);
	s->cr3 = vmx_read_cr3(v);
	s->cs_attr = vmx_cs_attr(v);
	s->cpl = (uint8_t)vmx_cpl(v);
	s->cr8 = vmx_cr8_read(v);
	s->cr0 = lma ? CR0_PE : vmx_read_cr0();
	s->cr4 = vmread(VMCS_GUEST_CR4);
	s->efer = lma ? EFER_LMA : 0;
	s->irq_shadow = vmx_irq_shadow(v);
}

void vmx_set_insn_state(struct virt_vcpu *v, uint64_t rflags, bool irq_shadow)
{
	vmx_set_rflags(v, rflags);
	if (unlikely(irq_shadow))
		vmx_set_irq_shadow(v);
	else
		vmx_clear_irq_shadow(v);
}

/* Every exit for an instruction tells it (SDM volume 3, 27.2.5), so nobody needs to ask for 0. */
unsigned vmx_insn_len(struct virt_vcpu *v)
{
	unsigned len = (unsigned)vmread(VMCS_EXIT_INSTRUCTION_LENGTH);

	(void)v;
	assume(len);
	return len;
}

uint64_t vmx_exit_code(struct virt_vcpu *v)
{
	(void)v;
	return vmread(VMCS_EXIT_REASON);
}

uint16_t vmx_cs_attr(struct virt_vcpu *v)
{
	(void)v;
	return attr_of((uint32_t)vmread(VMCS_GUEST_CS_ACCESS_RIGHTS));
}

uint64_t vmx_cs_base(struct virt_vcpu *v)
{
	(void)v;
	return vmread(VMCS_GUEST_CS_BASE);
}

/* The CPL is the DPL of SS: also in real mode (0) and in virtual-8086 mode (3). */
unsigned vmx_cpl(struct virt_vcpu *v)
{
	(void)v;
	return FIELD_GET(SEG_ATTR_DPL, vmread(VMCS_GUEST_SS_ACCESS_RIGHTS));
}

static void dump_seg(struct virt_vcpu *v, const char *name, enum seg seg)
{
	struct segment s;

	vmx_seg_read(v, seg, &s);
	log_error("  %s %04x base %016llx limit %08x attr %04x", name, s.selector,
		  (unsigned long long)s.base, s.limit, s.attr);
}

static void dump_paging(struct virt_vcpu *v)
{
	typedef unsigned long long ull;

	log_error("  cr0 %08llx cr2 %016llx cr3 %016llx cr4 %08llx efer %04llx",
		  (ull)vmx_read_cr0(), (ull)read_cr2(), (ull)vmx_read_cr3(v), (ull)vmx_read_cr4(),
		  (ull)vmx_read_efer(v));
	log_error("  the CPU: cr0 %08llx cr3 %016llx cr4 %08llx entry controls %llx",
		  (ull)vmread(VMCS_GUEST_CR0), (ull)vmread(VMCS_GUEST_CR3),
		  (ull)vmread(VMCS_GUEST_CR4), (ull)vmread(VMCS_ENTRY_CONTROLS));
}

void vmx_dump(struct virt_vcpu *v)
{
	typedef unsigned long long ull;
	const uint64_t *r = v->gpr;

	log_error("  rip %016llx rflags %08llx cpl %u", (ull)v->rip, (ull)vmx_rflags(v),
		  vmx_cpl(v));
	for (int i = 0; i < NR_GPRS; i += 4)
		log_error("  r%-2d %016llx %016llx %016llx %016llx", i, (ull)r[i], (ull)r[i + 1],
			  (ull)r[i + 2], (ull)r[i + 3]);
	dump_paging(v);
	dump_seg(v, "cs", SEG_CS);
	dump_seg(v, "ss", SEG_SS);
	dump_seg(v, "ds", SEG_DS);
	dump_seg(v, "tr", SEG_TR);
	log_error("  gdtr %016llx/%04llx idtr %016llx/%04llx", (ull)vmread(VMCS_GUEST_GDTR_BASE),
		  (ull)vmread(VMCS_GUEST_GDTR_LIMIT), (ull)vmread(VMCS_GUEST_IDTR_BASE),
		  (ull)vmread(VMCS_GUEST_IDTR_LIMIT));
	log_error("  exit %llx qualification %llx interruption %llx vectoring %llx entry %llx",
		  (ull)vmx_exit_code(v), (ull)vmread(VMCS_EXIT_QUALIFICATION),
		  (ull)vmread(VMCS_EXIT_INTERRUPTION_INFO), (ull)vmread(VMCS_IDT_VECTORING_INFO),
		  (ull)vmread(VMCS_ENTRY_INTERRUPTION_INFO));
}
