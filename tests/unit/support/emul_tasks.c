/* SPDX-License-Identifier: BSD-2-Clause */
/* The tasks of the tests of task switches. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/support/emul_tasks.h"

void tasks_set_gdt(unsigned selector, uint64_t descriptor)
{
	machine_set_mem(GDT + (selector & ~7u), descriptor, 8);
}

void tasks_set_system(unsigned selector, unsigned base, unsigned limit, uint8_t access)
{
	tasks_set_gdt(selector, limit | (uint64_t)base << 16 | (uint64_t)access << 40);
}

unsigned tasks_access_of(unsigned selector)
{
	return (unsigned)machine_mem(GDT + (selector & ~7u) + 5, 1);
}

void tasks_set_field(unsigned field, uint32_t val)
{
	machine_set_mem(NEW + field, val, 4);
}

static void set_segment(enum seg seg, uint16_t selector, uint16_t attr)
{
	m.seg[seg] = (struct segment){
		.selector = selector, .limit = 0xffffffff, .attr = attr | SEG_ATTR_DB | SEG_ATTR_G};
}

void tasks_set_old_tss(uint8_t type, uint32_t limit)
{
	tasks_set_system(SEL_OLD, OLD, limit, 0x80 | type);
	m.seg[SEG_TR] = (struct segment){
		.selector = SEL_OLD, .base = OLD, .limit = limit, .attr = SEG_ATTR_P | type};
}

int tasks_begin(void **state)
{
	(void)state;
	machine_start(EMUL_PROT32);
	machine_add_system();
	memset(m.mem + GDT, 0, 0x80);
	memset(m.mem + OLD, 0, 0x68);
	memset(m.mem + NEW, 0, 0x68);
	m.cr[0] = CR0_PE | CR0_PG;
	m.cr[3] = 0x1000;
	m.dr[7] = DR7_FIXED | 0xff;
	m.table[EMUL_GDT] = (struct desc_table){GDT, 0x7f};
	m.table[EMUL_IDT] = (struct desc_table){IDT, 0x7ff};
	tasks_set_gdt(SEL_CODE, CODE32);
	tasks_set_gdt(SEL_DATA, DATA32);
	tasks_set_gdt(SEL_UCODE, CODE32 | DPL3);
	tasks_set_gdt(SEL_UDATA, DATA32 | DPL3);
	tasks_set_system(SEL_NEW, NEW, 0x67, 0x89);
	tasks_set_system(SEL_LDT, LDT, 0x17, 0x82);
	tasks_set_old_tss(0xb, 0x67);
	for (enum seg seg = SEG_ES; seg <= SEG_GS; seg++)
		set_segment(seg, SEL_DATA, DATA_SEG);
	set_segment(SEG_CS, SEL_CODE, CODE_SEG);
	m.seg[SEG_LDTR] = (struct segment){.attr = SEG_ATTR_UNUSABLE};
	for (unsigned i = GPR_RAX; i <= GPR_RDI; i++)
		m.gpr[i] = 0x1000000 * i + 0x4000;
	m.gpr[GPR_RSP] = 0x4000;
	m.ctx.rflags = RFLAGS_FIXED | RFLAGS_CF | RFLAGS_TF;
	tasks_set_field(CR3, 0x2000);
	tasks_set_field(EIP, 0x12345);
	tasks_set_field(EFLAGS, RFLAGS_FIXED | RFLAGS_ZF);
	for (unsigned i = GPR_RAX; i <= GPR_RDI; i++)
		tasks_set_field(EAX + 4 * i, 0x77000000 + i);
	tasks_set_field(ESP, STACK);
	for (unsigned i = SEG_ES; i <= SEG_GS; i++)
		tasks_set_field(ES + 4 * i, i == SEG_CS ? SEL_CODE : SEL_DATA);
	return 0;
}

/* From outside; segments that it loads are the machine's then. */
static int from_outside(const struct emul_task_switch *t)
{
	int r;

	m.ctx.segs_known = 0;
	r = emul_task_switch(&m.ctx, t);
	for (unsigned n = 0; n < NR_SEGS; n++)
		if (m.ctx.segs_dirty & BIT(n))
			m.seg[n] = m.ctx.seg[n];
	return r;
}

int tasks_deliver(uint32_t error)
{
	return from_outside(&(struct emul_task_switch){
		.selector = SEL_NEW,
		.source = TASK_GATE,
		.external = true,
		.has_error = true,
		.error = error,
		.rip = m.ctx.rip,
	});
}

void tasks_old_is_saved(uint32_t eip, uint64_t eflags)
{
	assert_int_equal(machine_mem(OLD + EIP, 4), eip);
	assert_int_equal(machine_mem(OLD + EFLAGS, 4), eflags);
	for (unsigned i = GPR_RAX; i <= GPR_RDI; i++)
		assert_int_equal(machine_mem(OLD + EAX + 4 * i, 4),
				 i == GPR_RSP ? 0x4000 : 0x1000000 * i + 0x4000);
	for (unsigned i = SEG_ES; i <= SEG_GS; i++)
		assert_int_equal(machine_mem(OLD + ES + 4 * i, 2),
				 i == SEG_CS ? SEL_CODE : SEL_DATA);
}

void tasks_new_has_registers(uint64_t eflags)
{
	assert_int_equal(m.ctx.rip, 0x12345);
	assert_int_equal(m.ctx.rflags, eflags);
	for (unsigned i = GPR_RAX; i <= GPR_RDI; i++)
		if (i != GPR_RSP)
			assert_int_equal(m.gpr[i], 0x77000000 + i);
	assert_int_equal(m.ctx.segs_dirty, 0xff);
	assert_int_equal(m.ctx.seg[SEG_TR].selector, SEL_NEW);
	assert_int_equal(m.ctx.seg[SEG_TR].base, NEW);
	assert_int_equal(m.ctx.seg[SEG_TR].limit, 0x67);
	assert_int_equal(m.ctx.seg[SEG_TR].attr, SEG_ATTR_P | 0xb);
	assert_true(m.cr[0] & CR0_TS);
	assert_int_equal(m.cr[3], 0x2000);
	assert_int_equal(m.dr[7], DR7_FIXED | 0xaa);
	assert_false(m.ctx.trap);
	assert_false(m.ctx.int_shadow);
}

void tasks_new_has_segments(void)
{
	for (unsigned i = SEG_ES; i <= SEG_GS; i++) {
		const struct segment *s = &m.ctx.seg[i];

		assert_int_equal(s->selector, i == SEG_CS ? SEL_CODE : SEL_DATA);
		assert_int_equal(s->limit, 0xffffffff);
		assert_int_equal(s->attr,
				 (i == SEG_CS ? CODE_SEG : DATA_SEG) | SEG_ATTR_DB | SEG_ATTR_G);
	}
	assert_true(m.ctx.seg[SEG_LDTR].attr & SEG_ATTR_UNUSABLE);
	assert_int_equal(m.ctx.cpl, 0);
	assert_int_equal(m.ctx.mode, EMUL_PROT32);
}
