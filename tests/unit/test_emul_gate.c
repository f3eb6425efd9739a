/* SPDX-License-Identifier: BSD-2-Clause */
/* Interrupts and exceptions through gates, in the modes that have them (SDM volume 3, 6.11
 * to 6.14). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/support/emul_tasks.h"

#define HANDLER   0x00051234u
#define VECTOR    0x90
#define INTERRUPT 0x8e
#define TRAP_GATE 0x8f
#define STACK0    0xe000 /* of level 0 */

static void set_gate(unsigned at, unsigned selector, unsigned attr)
{
	machine_set_mem(IDT + at, (HANDLER & 0xffff) | selector << 16, 4);
	machine_set_mem(IDT + at + 4, attr << 8 | (HANDLER & 0xffff0000), 4);
}

static int begin(void **state)
{
	tasks_begin(state);
	set_gate(8 * VECTOR, SEL_CODE, INTERRUPT);
	tasks_set_gdt(SEL_CODE, CODE32 & ~BIT_ULL(40)); /* never accessed */
	machine_set_mem(OLD + 4, STACK0, 4);
	machine_set_mem(OLD + 8, SEL_DATA, 2);
	m.gpr[GPR_RSP] = STACK;
	m.ctx.rflags = RFLAGS_FIXED | RFLAGS_IF | RFLAGS_TF | RFLAGS_NT | RFLAGS_RF;
	return 0;
}

static int deliver(uint8_t vector, bool has_error, uint32_t error)
{
	struct emul_event ev = {.vector = vector, .has_error = has_error, .error = error};

	return emul_deliver(&m.ctx, &ev);
}

static void expect_fault(int result, unsigned vector, uint32_t error)
{
	assert_int_equal(result, EMUL_FAULT);
	assert_int_equal(m.ctx.fault.vector, vector);
	assert_int_equal(m.ctx.fault.error, error);
	assert_int_equal(m.ctx.segs_dirty, 0);
	assert_int_equal(m.ctx.rip, CODE);
}

static void the_same_level_keeps_its_stack(void **state)
{
	uint64_t flags = m.ctx.rflags;

	assert_int_equal(deliver(VECTOR, true, 0x1234), EMUL_OK);
	assert_int_equal(m.ctx.rip, HANDLER);
	assert_int_equal(m.ctx.rflags, RFLAGS_FIXED);
	assert_int_equal(m.gpr[GPR_RSP], STACK - 16);
	assert_int_equal(machine_mem(STACK - 4, 4), flags);
	assert_int_equal(machine_mem(STACK - 8, 4), SEL_CODE);
	assert_int_equal(machine_mem(STACK - 12, 4), CODE);
	assert_int_equal(machine_mem(STACK - 16, 4), 0x1234);
	assert_true(tasks_access_of(SEL_CODE) & 1);
	assert_int_equal(m.ctx.segs_dirty, BIT(SEG_CS));
}

static void an_instruction_comes_back_behind_it(void **state)
{
	set_gate(8 * VECTOR, SEL_CODE, TRAP_GATE);
	assert_int_equal(RUN("\xcd\x90"), EMUL_OK);
	assert_int_equal(m.ctx.rflags, RFLAGS_FIXED | RFLAGS_IF);
	assert_int_equal(machine_mem(STACK - 4, 4),
			 RFLAGS_FIXED | RFLAGS_IF | RFLAGS_TF | RFLAGS_NT);
	assert_int_equal(machine_mem(STACK - 12, 4), CODE + 2);
	assert_false(m.ctx.trap);
}

static void gates_of_16_bits_push_words(void **state)
{
	set_gate(8 * VECTOR, SEL_CODE, 0x86);
	assert_int_equal(deliver(VECTOR, false, 0), EMUL_OK);
	assert_int_equal(m.ctx.rip, HANDLER & 0xffff);
	assert_int_equal(m.gpr[GPR_RSP], STACK - 6);
}

static void an_inner_level_has_its_own_stack(void **state)
{
	m.ctx.cpl = 3;
	m.seg[SEG_SS].selector = m.ctx.seg[SEG_SS].selector = SEL_UDATA;
	assert_int_equal(deliver(VECTOR, false, 0), EMUL_OK);
	assert_int_equal(m.ctx.cpl, 0);
	assert_int_equal(m.gpr[GPR_RSP], STACK0 - 20);
	assert_int_equal(machine_mem(STACK0 - 4, 2), SEL_UDATA);
	assert_int_equal(machine_mem(STACK0 - 8, 4), STACK);
	assert_int_equal(m.ctx.seg[SEG_SS].selector, SEL_DATA);
	assert_int_equal(m.ctx.segs_dirty, BIT(SEG_CS) | BIT(SEG_SS));
}

static void programs_need_the_gate_s_privilege(void **state)
{
	m.ctx.cpl = 3;
	expect_fault(RUN("\xcd\x90"), X86_TRAP_GP, VECTOR * 8 + 2);
	assert_int_equal(deliver(VECTOR, false, 0), EMUL_OK);
}

static void bad_inner_stacks_are_bad_tasks(void **state)
{
	m.ctx.cpl = 3;
	machine_set_mem(OLD + 8, 0, 2);
	expect_fault(deliver(VECTOR, false, 0), X86_TRAP_TS, 1);
	machine_set_mem(OLD + 8, SEL_CODE, 2);
	expect_fault(deliver(VECTOR, false, 0), X86_TRAP_TS, SEL_CODE | 1);
	machine_set_mem(OLD + 8, SEL_OUTSIDE, 2);
	expect_fault(deliver(VECTOR, false, 0), X86_TRAP_TS, SEL_OUTSIDE | 1);
	machine_set_mem(OLD + 8, SEL_DATA, 2);
	tasks_set_gdt(SEL_DATA, DATA32 & ~PRESENT);
	expect_fault(deliver(VECTOR, false, 0), X86_TRAP_SS, SEL_DATA | 1);
	tasks_set_gdt(SEL_DATA, DATA32);
	machine_set_mem(OLD + 4, 0x200000, 4); /* no memory there */
	assert_int_equal(deliver(VECTOR, false, 0), EMUL_FAULT);
	assert_int_equal(m.ctx.fault.vector, X86_TRAP_PF);
	assert_int_equal(m.ctx.cpl, 3);
	tasks_set_old_tss(9 | BUSY, 8);
	m.ctx.segs_known = 0;
	expect_fault(deliver(VECTOR, false, 0), X86_TRAP_TS, SEL_OLD | 1);
}

static void bad_gates(void **state)
{
	uint32_t error = VECTOR * 8 + 2;

	set_gate(8 * VECTOR, SEL_CODE, INTERRUPT & ~0x80);
	expect_fault(deliver(VECTOR, false, 0), X86_TRAP_NP, error | 1);
	expect_fault(RUN("\xcd\x90"), X86_TRAP_NP, error);
	set_gate(8 * VECTOR, SEL_CODE, 0x8c);
	expect_fault(deliver(VECTOR, false, 0), X86_TRAP_GP, error | 1);
	set_gate(8 * VECTOR, 0, INTERRUPT);
	expect_fault(deliver(VECTOR, false, 0), X86_TRAP_GP, 1);
	set_gate(8 * VECTOR, SEL_DATA, INTERRUPT);
	expect_fault(deliver(VECTOR, false, 0), X86_TRAP_GP, SEL_DATA | 1);
	set_gate(8 * VECTOR, SEL_UCODE & ~3, INTERRUPT); /* to an outer level */
	expect_fault(deliver(VECTOR, false, 0), X86_TRAP_GP, (SEL_UCODE & ~3) | 1);
	m.table[EMUL_IDT].limit = 8 * VECTOR + 6;
	expect_fault(deliver(VECTOR, false, 0), X86_TRAP_GP, error | 1);
}

static void virtual_8086_mode_is_left(void **state)
{
	m.ctx.mode = EMUL_VM86;
	m.ctx.cpl = 3;
	m.ctx.rflags |= RFLAGS_VM;
	m.seg[SEG_GS].selector = 0x4321;
	m.ctx.segs_known &= ~BIT(SEG_GS);
	assert_int_equal(deliver(VECTOR, false, 0), EMUL_OK);
	assert_int_equal(m.gpr[GPR_RSP], STACK0 - 36);
	assert_int_equal(machine_mem(STACK0 - 4, 2), 0x4321);
	assert_int_equal(m.ctx.mode, EMUL_PROT32);
	assert_true(m.ctx.seg[SEG_GS].attr & SEG_ATTR_UNUSABLE);
	assert_false(m.ctx.rflags & RFLAGS_VM);
	/* Its programs need IOPL 3 for INT n. */
	begin(NULL);
	m.ctx.mode = EMUL_VM86;
	m.ctx.cpl = 3;
	assert_int_equal(RUN("\xcd\x90"), EMUL_FAULT);
	assert_int_equal(m.ctx.fault.error, 0);
	m.cr[4] |= CR4_VME;
	assert_int_equal(RUN("\xcd\x90"), EMUL_UNHANDLED);
}

/* --- long mode -------------------------------------------------------------------------------- */

#define CODE64 0x00af9b000000ffffull

static void begin_long(unsigned ist)
{
	machine_start(EMUL_LONG64);
	machine_add_system();
	m.ctx.lma = true;
	m.table[EMUL_GDT] = (struct desc_table){GDT, 0x7f};
	m.table[EMUL_IDT] = (struct desc_table){IDT, 0xfff};
	m.seg[SEG_TR] = (struct segment){
		.selector = SEL_OLD, .base = OLD, .limit = 0x67, .attr = SEG_ATTR_P | 0xb};
	machine_set_mem(GDT + SEL_CODE, CODE64, 8);
	set_gate(16 * VECTOR, SEL_CODE, INTERRUPT);
	machine_set_mem(IDT + 16 * VECTOR + 4, ist, 1);
	machine_set_mem(IDT + 16 * VECTOR + 8, 0, 8);
	m.gpr[GPR_RSP] = STACK - 4;
}

static void long_mode_aligns_the_stack(void **state)
{
	begin_long(0);
	assert_int_equal(deliver(VECTOR, false, 0), EMUL_OK);
	assert_int_equal(m.ctx.rip, HANDLER);
	assert_int_equal(m.gpr[GPR_RSP], STACK - 16 - 40);
	assert_int_equal(machine_mem(STACK - 32, 8), STACK - 4); /* rSP, as it was */
	assert_int_equal(m.ctx.segs_dirty, BIT(SEG_CS));
}

static void stacks_of_the_ist(void **state)
{
	begin_long(2);
	machine_set_mem(OLD + 0x2c, STACK0, 8);
	assert_int_equal(deliver(VECTOR, true, 7), EMUL_OK);
	assert_int_equal(m.gpr[GPR_RSP], STACK0 - 48);
	assert_int_equal(machine_mem(STACK0 - 48, 8), 7);
	begin_long(2);
	machine_set_mem(OLD + 0x2c, BIT_ULL(63), 8);
	expect_fault(deliver(VECTOR, false, 0), X86_TRAP_SS, 1);
}

static void inner_stacks_of_long_mode_are_null(void **state)
{
	begin_long(0);
	m.ctx.cpl = 3;
	machine_set_mem(OLD + 4, STACK0, 8);
	assert_int_equal(deliver(VECTOR, false, 0), EMUL_OK);
	assert_int_equal(m.gpr[GPR_RSP], STACK0 - 40);
	assert_int_equal(m.ctx.seg[SEG_SS].selector, 0);
	assert_true(m.ctx.seg[SEG_SS].attr & SEG_ATTR_UNUSABLE);
	assert_int_equal(m.ctx.cpl, 0);
}

static void handlers_of_long_mode_are_64_bit_code(void **state)
{
	begin_long(0);
	machine_set_mem(GDT + SEL_CODE, CODE32, 8);
	expect_fault(deliver(VECTOR, false, 0), X86_TRAP_GP, SEL_CODE | 1);
	begin_long(0);
	set_gate(16 * VECTOR, SEL_CODE, 0x85); /* nor a task gate */
	expect_fault(deliver(VECTOR, false, 0), X86_TRAP_GP, (VECTOR * 8 + 2) | 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(the_same_level_keeps_its_stack, begin),
		cmocka_unit_test_setup(an_instruction_comes_back_behind_it, begin),
		cmocka_unit_test_setup(gates_of_16_bits_push_words, begin),
		cmocka_unit_test_setup(an_inner_level_has_its_own_stack, begin),
		cmocka_unit_test_setup(programs_need_the_gate_s_privilege, begin),
		cmocka_unit_test_setup(bad_inner_stacks_are_bad_tasks, begin),
		cmocka_unit_test_setup(bad_gates, begin),
		cmocka_unit_test_setup(virtual_8086_mode_is_left, begin),
		cmocka_unit_test(long_mode_aligns_the_stack),
		cmocka_unit_test(stacks_of_the_ist),
		cmocka_unit_test(inner_stacks_of_long_mode_are_null),
		cmocka_unit_test(handlers_of_long_mode_are_64_bit_code),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
