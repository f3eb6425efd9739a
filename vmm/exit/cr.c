/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Control-register policy: what the CPU checks when it executes a write by itself is checked here
 * for writes that exit (vmm/vcpu.c asks for these). SDM volume 3, 2.5; APM volume 2, 3.1.
 */
#include "vmm/exit/cr.h"

#include "arch/x86/regs.h"
#include "mm/walk.h"
#include "vmm/dev/apic/lapic.h"
#include "vmm/vm.h"

#define CR0_DEFINED                                                                                \
	(CR0_PE | CR0_MP | CR0_EM | CR0_TS | CR0_ET | CR0_NE | CR0_WP | CR0_AM | CR0_NW | CR0_CD | \
	 CR0_PG)

#define TYPE_TSS16_BUSY 0x3

/* Which cannot come along into long mode, for Intel's CPUs (SDM volume 2, MOV to CR). */
static bool has_16_bit_tss(struct vcpu *v)
{
	struct segment tr;

	virt_seg_read(&v->virt, SEG_TR, &tr);
	return (tr.attr & SEG_ATTR_TYPE) == TYPE_TSS16_BUSY && !cpuid_is_amd(&v->vm->cpuid);
}

/* Paging goes on: long mode becomes active when it was asked for, and then wants PAE. */
static bool enter_paging(struct vcpu *v)
{
	uint64_t efer = virt_reg_read(&v->virt, VREG_EFER);
	struct segment cs;

	if (!(efer & EFER_LME))
		return true;
	if (has_16_bit_tss(v))
		return false;
	virt_seg_read(&v->virt, SEG_CS, &cs);
	if (!(virt_reg_read(&v->virt, VREG_CR4) & CR4_PAE) || (cs.attr & SEG_ATTR_L))
		return false;
	virt_reg_write(&v->virt, VREG_EFER, efer | EFER_LMA);
	return true;
}

static bool leave_paging(struct vcpu *v)
{
	uint64_t efer = virt_reg_read(&v->virt, VREG_EFER);

	if (vcpu_runs_64bit_code(v) || (virt_reg_read(&v->virt, VREG_CR4) & CR4_PCIDE))
		return false;
	virt_reg_write(&v->virt, VREG_EFER, efer & ~EFER_LMA);
	return true;
}

static bool load_pdptes_at(struct vcpu *v, uint64_t cr3)
{
	struct guest_paging p = {.cr3 = cr3, .maxphyaddr = v->vm->cpuid.ext[8].eax & 0xff};

	if (guest_paging_load_pdptes(&v->vm->mem, &p))
		return false;
	virt_pdptes_write(&v->virt, p.pdpte);
	return true;
}

/*
 * CPUs that keep PAE's four PDPTEs in registers load them when CR3, CR4, or PG, CD or NW in CR0 is
 * written, and refuse the write for a bad one (SDM volume 3, 4.4.1).
 */
static bool load_pdptes(struct vcpu *v, uint64_t cr0, uint64_t cr3, uint64_t cr4)
{
	return !virt_has_pdptes(&v->virt) || !(cr0 & CR0_PG) || !(cr4 & CR4_PAE) ||
	       (virt_reg_read(&v->virt, VREG_EFER) & EFER_LME) || load_pdptes_at(v, cr3);
}

static bool write_guest_cr0(struct vcpu *v, uint64_t val)
{
	uint64_t changed = val ^ virt_reg_read(&v->virt, VREG_CR0);

	if (val >> 32)
		return false;
	if ((val & CR0_PG) && !(val & CR0_PE))
		return false;
	if ((val & CR0_NW) && !(val & CR0_CD))
		return false;
	if ((changed & (CR0_PG | CR0_CD | CR0_NW)) &&
	    !load_pdptes(v, val, virt_reg_read(&v->virt, VREG_CR3),
			 virt_reg_read(&v->virt, VREG_CR4)))
		return false;
	if (changed & CR0_PG) {
		if (!(val & CR0_PG ? enter_paging(v) : leave_paging(v)))
			return false;
	}
	virt_reg_write(&v->virt, VREG_CR0, (val & CR0_DEFINED) | CR0_ET);
	virt_flush(&v->virt);
	if (changed & (CR0_PE | CR0_PG | CR0_WP))
		vcpu_paging_changed(v);
	return true;
}

static bool write_guest_cr4(struct vcpu *v, uint64_t val)
{
	uint64_t changed = val ^ virt_reg_read(&v->virt, VREG_CR4);
	bool long_mode = virt_reg_read(&v->virt, VREG_EFER) & EFER_LMA;

	if (val & ~v->vm->cpuid.cr4)
		return false;
	if (long_mode && (changed & (CR4_PAE | CR4_LA57)))
		return false;
	if ((changed & val & CR4_PCIDE) &&
	    (!long_mode || (virt_reg_read(&v->virt, VREG_CR3) & 0xfff)))
		return false;
	if (!load_pdptes(v, virt_reg_read(&v->virt, VREG_CR0), virt_reg_read(&v->virt, VREG_CR3),
			 val))
		return false;
	virt_reg_write(&v->virt, VREG_CR4, val);
	virt_flush(&v->virt);
	vcpu_paging_changed(v);
	return true;
}

static bool write_guest_cr8(struct vcpu *v, uint64_t val)
{
	if (val > 15)
		return false;
	lapic_set_cr8(v->lapic, val);
	vcpu_request(v, REQ_EVENT);
	return true;
}

/*
 * In long mode the address has reserved bits, and with PCIDs bit 63 is none of them; before it,
 * there are only 32 bits to begin with.
 */
static uint64_t reserved_cr3_bits(struct vcpu *v)
{
	uint64_t bits = ~0ull << (v->vm->cpuid.ext[8].eax & 0xff);

	if (!(virt_reg_read(&v->virt, VREG_EFER) & EFER_LMA))
		return 0;
	return virt_reg_read(&v->virt, VREG_CR4) & CR4_PCIDE ? bits & ~CR3_NO_FLUSH : bits;
}

static bool write_guest_cr3(struct vcpu *v, uint64_t val)
{
	if (val & reserved_cr3_bits(v))
		return false;
	if (!load_pdptes(v, virt_reg_read(&v->virt, VREG_CR0), val,
			 virt_reg_read(&v->virt, VREG_CR4)))
		return false;
	virt_reg_write(&v->virt, VREG_CR3, val & ~CR3_NO_FLUSH);
	virt_flush(&v->virt);
	vcpu_paging_changed(v);
	return true;
}

bool cr_write(struct vcpu *v, unsigned cr, uint64_t val)
{
	switch (cr) {
	case 0:
		return write_guest_cr0(v, val);
	case 2:
		virt_reg_write(&v->virt, VREG_CR2, val);
		return true;
	case 3:
		return write_guest_cr3(v, val);
	case 4:
		return write_guest_cr4(v, val);
	default:
		return write_guest_cr8(v, val);
	}
}
