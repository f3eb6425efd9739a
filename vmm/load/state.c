/* SPDX-License-Identifier: BSD-2-Clause */
/* The CPU states in which guests begin. */
#include "vmm/load/loader.h"

#include "arch/x86/regs.h"

#define SEG_CODE (SEG_ATTR_P | SEG_ATTR_S | 0xb) /* execute, read, accessed */
#define SEG_DATA (SEG_ATTR_P | SEG_ATTR_S | 0x3) /* read, write, accessed */
#define SEG_LDT  (SEG_ATTR_P | 0x2)
#define SEG_TSS  (SEG_ATTR_P | 0xb) /* busy: VM entry on VMX insists */
#define SEG_FLAT (SEG_ATTR_G | SEG_ATTR_DB)

static void set_segment(struct boot_state *s, enum seg seg, uint16_t selector, uint64_t base,
			uint32_t limit, unsigned attr)
{
	s->seg[seg] = (struct segment){
		.selector = selector, .base = base, .limit = limit, .attr = (uint16_t)attr};
}

static void set_data_segments(struct boot_state *s, uint16_t selector, uint64_t base,
			      uint32_t limit, unsigned attr)
{
	static const enum seg data[] = {SEG_ES, SEG_SS, SEG_DS, SEG_FS, SEG_GS};

	for (unsigned i = 0; i < ARRAY_SIZE(data); i++)
		set_segment(s, data[i], selector, base, limit, attr);
}

static void set_common(struct boot_state *s, enum boot_mode mode, uint64_t rip)
{
	*s = (struct boot_state){.mode = mode, .rip = rip, .rflags = RFLAGS_FIXED, .cr0 = CR0_ET};
	set_segment(s, SEG_LDTR, 0, 0, 0xffff, SEG_LDT);
	set_segment(s, SEG_TR, 0, 0, 0xffff, SEG_TSS);
	s->gdt.limit = s->idt.limit = 0xffff;
}

static void set_real(struct boot_state *s, uint16_t cs, uint64_t cs_base, uint64_t rip)
{
	set_common(s, BOOT_REAL, rip);
	set_data_segments(s, 0, 0, 0xffff, SEG_DATA);
	set_segment(s, SEG_CS, cs, cs_base, 0xffff, SEG_CODE);
}

void boot_state_reset(struct boot_state *s)
{
	set_real(s, 0xf000, 0xffff0000, 0xfff0);
	s->cr0 |= CR0_CD | CR0_NW;
}

void boot_state_real(struct boot_state *s, uint16_t cs, uint64_t rip)
{
	set_real(s, cs, (uint64_t)cs << 4, rip);
}

void boot_state_real_data(struct boot_state *s, uint16_t segment)
{
	set_data_segments(s, segment, (uint64_t)segment << 4, 0xffff, SEG_DATA);
}

void boot_state_prot32(struct boot_state *s, uint64_t rip)
{
	set_common(s, BOOT_PROT32, rip);
	s->cr0 |= CR0_PE;
	set_data_segments(s, BOOT_DS, 0, UINT32_MAX, SEG_DATA | SEG_FLAT);
	set_segment(s, SEG_CS, BOOT_CS, 0, UINT32_MAX, SEG_CODE | SEG_FLAT);
}

void boot_state_long64(struct boot_state *s, uint64_t rip, uint64_t cr3)
{
	boot_state_prot32(s, rip);
	s->mode = BOOT_LONG64;
	s->cr0 |= CR0_PG | CR0_NE;
	s->cr3 = cr3;
	s->cr4 = CR4_PAE;
	s->efer = EFER_LME | EFER_LMA;
	set_segment(s, SEG_CS, BOOT_CS, 0, UINT32_MAX, SEG_CODE | SEG_ATTR_G | SEG_ATTR_L);
}
