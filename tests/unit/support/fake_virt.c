/* SPDX-License-Identifier: BSD-2-Clause */
/* The operations of the fake vendor. */
#include <assert.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lib/bits.h"
#include "tests/unit/support/fake_virt.h"

struct fake_cpu fake_cpu;

static_assert(sizeof(struct fake_cpu) <= VIRT_VCPU_PAGES * 4096, "it lives in the vCPU's pages");

struct fake_cpu *fake_cpu_of(struct virt_vcpu *v)
{
	return v->control ? v->control : &fake_cpu;
}

void svm_vcpu_init(struct virt_vcpu *v, void *pages, hpa_t pages_pa, bool nested)
{
	v->nested = nested;
	v->control = pages;
	v->control_pa = pages_pa;
}

void svm_vcpu_reset(struct virt_vcpu *v)
{
	struct fake_cpu *c = fake_cpu_of(v);

	memset(v->gpr, 0, sizeof(v->gpr));
	*c = (struct fake_cpu){.root = c->root, .tsc_offset = c->tsc_offset};
}

void svm_vcpu_load(struct virt_vcpu *v) {}
void svm_vcpu_unload(struct virt_vcpu *v) {}

uint64_t svm_reg_read(struct virt_vcpu *v, enum vreg reg)
{
	return fake_cpu_of(v)->vreg[reg];
}

void svm_reg_write(struct virt_vcpu *v, enum vreg reg, uint64_t val)
{
	fake_cpu_of(v)->vreg[reg] = val;
}

void svm_seg_read(struct virt_vcpu *v, enum seg seg, struct segment *out)
{
	*out = fake_cpu_of(v)->seg[seg];
}

void svm_seg_write(struct virt_vcpu *v, enum seg seg, const struct segment *in)
{
	fake_cpu_of(v)->seg[seg] = *in;
}

void svm_gdtr_write(struct virt_vcpu *v, const struct desc_table *t)
{
	fake_cpu_of(v)->gdt = *t;
}

void svm_idtr_write(struct virt_vcpu *v, const struct desc_table *t)
{
	fake_cpu_of(v)->idt = *t;
}

uint64_t svm_dr7(struct virt_vcpu *v)
{
	return svm_reg_read(v, VREG_DR7);
}

uint64_t svm_rflags(struct virt_vcpu *v)
{
	return fake_cpu_of(v)->rflags;
}

void svm_set_rflags(struct virt_vcpu *v, uint64_t rflags)
{
	fake_cpu_of(v)->rflags = rflags;
}

uint16_t svm_cs_attr(struct virt_vcpu *v)
{
	return fake_cpu_of(v)->seg[SEG_CS].attr;
}

uint64_t svm_cs_base(struct virt_vcpu *v)
{
	return fake_cpu_of(v)->seg[SEG_CS].base;
}

unsigned svm_cpl(struct virt_vcpu *v)
{
	return fake_cpu_of(v)->cpl;
}

unsigned svm_insn_len(struct virt_vcpu *v)
{
	return 0; /* as of a CPU that does not say */
}

/* One event an entry. */
void svm_inject(struct virt_vcpu *v, const struct vm_event_info *ev)
{
	struct fake_cpu *c = fake_cpu_of(v);

	if (c->injected.type != EVENT_NONE)
		abort();
	c->injected = *ev;
}

bool svm_has_event(struct virt_vcpu *v)
{
	return fake_cpu_of(v)->injected.type != EVENT_NONE;
}

bool svm_irq_shadow(struct virt_vcpu *v)
{
	return fake_cpu_of(v)->irq_shadow;
}

void svm_clear_irq_shadow(struct virt_vcpu *v)
{
	fake_cpu_of(v)->irq_shadow = false;
}

void svm_irq_window(struct virt_vcpu *v, bool on)
{
	fake_cpu_of(v)->irq_window = on;
}

void svm_nmi_window(struct virt_vcpu *v, bool on)
{
	fake_cpu_of(v)->nmi_window = on;
}

void svm_cr8_write(struct virt_vcpu *v, uint8_t cr8)
{
	fake_cpu_of(v)->cr8 = cr8;
}

uint8_t svm_cr8_read(struct virt_vcpu *v)
{
	return fake_cpu_of(v)->cr8;
}

bool svm_has_pdptes(struct virt_vcpu *v)
{
	return false;
}

bool svm_is_unrestricted(struct virt_vcpu *v)
{
	return true;
}

void svm_set_paging(struct virt_vcpu *v, const struct virt_paging *p)
{
	fake_cpu_of(v)->root = p->root;
}

void svm_flush(struct virt_vcpu *v)
{
	fake_cpu_of(v)->flushes++;
}

void svm_flush_tdp(struct virt_vcpu *v)
{
	fake_cpu_of(v)->flushes++;
}

void svm_log_writes(struct virt_vcpu *v, bool on)
{
	fake_cpu_of(v)->logs_writes = on;
}

unsigned svm_take_log(struct virt_vcpu *v, const uint64_t **gpa)
{
	struct fake_cpu *c = fake_cpu_of(v);
	unsigned nr = c->nr_log;

	c->nr_log = 0;
	*gpa = c->log;
	return nr;
}

void svm_set_spec_ctrl(struct virt_vcpu *v, uint64_t val)
{
	v->spec_ctrl = val;
}

void svm_set_tsc_offset(struct virt_vcpu *v, uint64_t offset)
{
	fake_cpu_of(v)->tsc_offset = offset;
}

void svm_exit_on_pause(struct virt_vcpu *v, bool on)
{
	fake_cpu_of(v)->pause_exits = on;
}

void svm_exit_on_cr0_write(struct virt_vcpu *v, uint64_t bits)
{
	fake_cpu_of(v)->cr0_exits = bits;
}

void svm_exit_on_cr4_write(struct virt_vcpu *v, uint64_t bits)
{
	fake_cpu_of(v)->cr4_exits = bits;
}

void svm_exit_on_cr8_write(struct virt_vcpu *v, bool on)
{
	fake_cpu_of(v)->cr8_exits = on;
}

void svm_msr_allow(uint32_t msr, bool read, bool write) {}
void svm_dump(struct virt_vcpu *v) {}
