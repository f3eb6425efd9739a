/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Task switches: what of a task is saved and loaded, busy flags and links, and the kinds of tasks
 * (SDM volume 3, 7.3). Those that fault: test_emul_task_faults.c.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/support/emul_tasks.h"

/* --- the ways into a task --------------------------------------------------------------------- */

static void call_nests(void **state)
{
	assert_int_equal(RUN(CALL), EMUL_OK);
	tasks_old_is_saved(CALL_N, RFLAGS_FIXED | RFLAGS_CF | RFLAGS_TF);
	tasks_new_has_registers(RFLAGS_FIXED | RFLAGS_ZF | RFLAGS_NT);
	tasks_new_has_segments();
	assert_int_equal(m.gpr[GPR_RSP], STACK);
	assert_int_equal(machine_mem(NEW, 2), SEL_OLD);
	assert_int_equal(tasks_access_of(SEL_OLD), 0x8b);
	assert_int_equal(tasks_access_of(SEL_NEW), 0x8b);
}

static void jump_leaves_for_good(void **state)
{
	m.ctx.rflags |= RFLAGS_NT | RFLAGS_RF;
	assert_int_equal(RUN(JUMP), EMUL_OK);
	tasks_old_is_saved(CALL_N, RFLAGS_FIXED | RFLAGS_CF | RFLAGS_TF | RFLAGS_NT);
	tasks_new_has_registers(RFLAGS_FIXED | RFLAGS_ZF);
	tasks_new_has_segments();
	assert_int_equal(machine_mem(NEW, 2), 0);
	assert_int_equal(tasks_access_of(SEL_OLD), 0x89);
	assert_int_equal(tasks_access_of(SEL_NEW), 0x8b);
}

static void iret_returns(void **state)
{
	m.ctx.rflags |= RFLAGS_NT;
	machine_set_mem(OLD, SEL_NEW, 2);
	tasks_set_system(SEL_NEW, NEW, 0x67, 0x8b);
	tasks_set_field(EFLAGS,
			RFLAGS_ZF | RFLAGS_RF | RFLAGS_NT); /* what the new task's own says */
	assert_int_equal(RUN(IRET), EMUL_OK);
	tasks_old_is_saved(CODE + 1, RFLAGS_FIXED | RFLAGS_CF | RFLAGS_TF);
	tasks_new_has_registers(RFLAGS_FIXED | RFLAGS_ZF | RFLAGS_RF | RFLAGS_NT);
	tasks_new_has_segments();
	assert_int_equal(tasks_access_of(SEL_OLD), 0x89);
	assert_int_equal(tasks_access_of(SEL_NEW), 0x8b);
	assert_int_equal(machine_mem(OLD, 2), SEL_NEW);
}

static void gates_lead_to_tasks(void **state)
{
	tasks_set_gdt(SEL_GATE, (uint64_t)SEL_NEW << 16 | (uint64_t)GATE_TYPE << 40);
	assert_int_equal(RUN("\xea\0\0\0\0\x30\0"), EMUL_OK);
	tasks_new_has_segments();
	assert_int_equal(tasks_access_of(SEL_OLD), 0x89);
	tasks_begin(NULL);
	machine_set_mem(IDT + 8 * 0x90, (uint64_t)SEL_NEW << 16 | (uint64_t)GATE_TYPE << 40, 8);
	assert_int_equal(RUN("\xcd\x90"), EMUL_OK);
	tasks_old_is_saved(CODE + 2, RFLAGS_FIXED | RFLAGS_CF | RFLAGS_TF);
	tasks_new_has_registers(RFLAGS_FIXED | RFLAGS_ZF | RFLAGS_NT);
	assert_int_equal(machine_mem(NEW, 2), SEL_OLD);
	assert_int_equal(m.gpr[GPR_RSP], STACK); /* no error code */
}

static void events_come_with_their_error_code(void **state)
{
	m.ctx.rflags |= RFLAGS_RF; /* of a fault: kept in the image */
	assert_int_equal(tasks_deliver(0xabcd), EMUL_OK);
	tasks_old_is_saved(CODE, RFLAGS_FIXED | RFLAGS_CF | RFLAGS_TF | RFLAGS_RF);
	tasks_new_has_registers(RFLAGS_FIXED | RFLAGS_ZF | RFLAGS_NT);
	assert_int_equal(m.gpr[GPR_RSP], STACK - 4);
	assert_int_equal(machine_mem(STACK - 4, 4), 0xabcd);
	tasks_begin(NULL);
	tasks_set_system(SEL_NEW, NEW, 0x2b, 0x81);
	memset(m.mem + NEW, 0, 0x68);
	machine_set_mem(NEW + SP16, STACK, 2);
	machine_set_mem(NEW + ES16 + 2, SEL_CODE, 2);
	machine_set_mem(NEW + ES16 + 4, SEL_DATA, 2);
	machine_set_mem(STACK - 4, 0x11111111, 4);
	assert_int_equal(tasks_deliver(0xabcd), EMUL_OK);
	assert_int_equal(m.gpr[GPR_RSP], STACK - 2);
	assert_int_equal(machine_mem(STACK - 4, 4), 0xabcd1111);
}

static void programs_need_the_privilege(void **state)
{
	uint64_t gate = (uint64_t)SEL_NEW << 16 | (uint64_t)GATE_TYPE << 40;

	m.ctx.cpl = 3;
	FAULTS(X86_TRAP_GP, CALL);
	assert_int_equal(m.ctx.fault.error, SEL_NEW);
	tasks_set_gdt(SEL_GATE, gate);
	FAULTS(X86_TRAP_GP, "\x9a\0\0\0\0\x30\0");
	assert_int_equal(m.ctx.fault.error, SEL_GATE);
	machine_set_mem(IDT + 8 * 0x90, gate, 8);
	machine_set_mem(IDT + 8 * X86_TRAP_DB, gate, 8);
	FAULTS(X86_TRAP_GP, "\xcd\x90");
	assert_int_equal(m.ctx.fault.error, 0x90 * 8 + 2);
	assert_int_equal(RUN("\xf1"), EMUL_OK); /* INT1 may always */
	tasks_begin(NULL);
	m.ctx.cpl = 3;
	tasks_set_gdt(SEL_GATE, gate | DPL3);
	assert_int_equal(RUN("\x9a\0\0\0\0\x33\0"), EMUL_OK);
	assert_int_equal(m.ctx.cpl, 0);
	tasks_begin(NULL);
	FAULTS(X86_TRAP_GP, "\x9a\0\0\0\0\x23\0"); /* RPL 3 */
	assert_int_equal(m.ctx.fault.error, SEL_NEW);
}

static void other_gates_are_not_for_us(void **state)
{
	tasks_set_gdt(SEL_GATE, 0x00008c0000000000ull); /* a call gate */
	assert_int_equal(RUN("\x9a\0\0\0\0\x30\0"), EMUL_UNHANDLED);
	m.ctx.rflags |= RFLAGS_NT | RFLAGS_VM; /* NT means nothing there */
	m.ctx.mode = EMUL_VM86;
	assert_int_equal(RUN(IRET), EMUL_UNHANDLED);
}

static void long_mode_has_none(void **state)
{
	m.ctx.lma = true;
	FAULTS(X86_TRAP_GP, CALL);
	FAULTS(X86_TRAP_GP, JUMP);
	m.ctx.rflags |= RFLAGS_NT;
	FAULTS(X86_TRAP_GP, IRET);
	machine_set_mem(IDT + 8 * 0x90, (uint64_t)SEL_NEW << 16 | (uint64_t)GATE_TYPE << 40, 8);
	FAULTS(X86_TRAP_GP, "\xcd\x90");
}

/* --- other kinds of tasks ----------------------------------------------------------------------
 */

static void sixteen_bits_are_loaded_and_saved(void **state)
{
	tasks_set_system(SEL_NEW, NEW, 0x2b, 0x81);
	for (unsigned i = 0; i < 10; i++)
		machine_set_mem(NEW + IP16 + 2 * i, 0x8000 + i, 2);
	machine_set_mem(NEW + FLAGS16, RFLAGS_SF, 2);
	for (unsigned i = SEG_ES; i <= SEG_DS; i++)
		machine_set_mem(NEW + ES16 + 2 * i, i == SEG_CS ? SEL_CODE : SEL_DATA, 2);
	machine_set_mem(NEW + LDT16, SEL_LDT, 2);
	assert_int_equal(RUN(CALL), EMUL_OK);
	assert_int_equal(m.ctx.rip, 0x8000);
	assert_int_equal(m.ctx.rflags, RFLAGS_FIXED | RFLAGS_SF | RFLAGS_NT);
	for (unsigned i = GPR_RAX; i <= GPR_RDI; i++)
		assert_int_equal(m.gpr[i], 0x8002 + i);
	assert_int_equal(m.cr[3], 0x1000); /* it has none */
	assert_int_equal(m.seg[SEG_DS].selector, SEL_DATA);
	assert_int_equal(m.seg[SEG_LDTR].base, LDT);
	assert_int_equal(m.seg[SEG_FS].selector, 0);
	assert_true(m.seg[SEG_GS].attr & SEG_ATTR_UNUSABLE);
	assert_int_equal(tasks_access_of(SEL_NEW), 0x83);
	/* And back: memory behind what it has stays as it is. */
	m.ctx.rip = CODE;
	m.gpr[GPR_RAX] = 0xabcd;
	machine_set_mem(NEW + LDT16, 0x5555, 4);
	assert_int_equal(RUN(IRET), EMUL_OK);
	assert_int_equal(m.ctx.rip, CALL_N);
	assert_int_equal(m.seg[SEG_TR].selector, SEL_OLD);
	assert_int_equal(m.seg[SEG_FS].selector, SEL_DATA);
	assert_int_equal(machine_mem(NEW + IP16, 2), CODE + 1);
	assert_int_equal(machine_mem(NEW + FLAGS16, 2), RFLAGS_FIXED | RFLAGS_SF);
	assert_int_equal(machine_mem(NEW + AX16, 2), 0xabcd);
	assert_int_equal(machine_mem(NEW + ES16 + 2, 2), SEL_CODE);
	assert_int_equal(machine_mem(NEW + LDT16, 4), 0x5555);
	assert_int_equal(tasks_access_of(SEL_NEW), 0x81);
}

static void tasks_of_the_8086(void **state)
{
	tasks_set_field(EFLAGS, RFLAGS_VM | RFLAGS_IOPL);
	tasks_set_field(EIP, 0xffff);
	for (unsigned i = SEG_ES; i <= SEG_GS; i++)
		tasks_set_field(ES + 4 * i, 0x1000 + i);
	tasks_set_field(LDTR, SEL_LDT);
	assert_int_equal(RUN(CALL), EMUL_OK);
	assert_int_equal(m.ctx.cpl, 3);
	assert_int_equal(m.ctx.mode, EMUL_VM86);
	for (unsigned i = SEG_ES; i <= SEG_GS; i++) {
		assert_int_equal(m.seg[i].selector, 0x1000 + i);
		assert_int_equal(m.seg[i].base, 0x10000 + 16 * i);
		assert_int_equal(m.seg[i].limit, 0xffff);
		assert_int_equal(m.seg[i].attr, 0xf3);
	}
	assert_int_equal(m.seg[SEG_LDTR].base, LDT);
	tasks_begin(NULL);
	tasks_set_field(EFLAGS, RFLAGS_VM | RFLAGS_IOPL);
	tasks_set_field(EIP, 0x10000);
	assert_int_equal(RUN(CALL), EMUL_FAULT);
	assert_int_equal(m.ctx.fault.vector, X86_TRAP_GP);
	assert_int_equal(m.ctx.mode, EMUL_VM86);
	/* An event of protected mode ends it; its segments are saved like any. */
	tasks_begin(NULL);
	m.ctx.mode = EMUL_VM86;
	m.ctx.cpl = 3;
	m.ctx.rflags |= RFLAGS_VM;
	m.seg[SEG_DS].selector = 0x1234;
	assert_int_equal(tasks_deliver(0), EMUL_OK);
	assert_int_equal(machine_mem(OLD + DS, 2), 0x1234);
	assert_true(machine_mem(OLD + EFLAGS, 4) & RFLAGS_VM);
	tasks_new_has_segments();
}

static void programs_are_tasks(void **state)
{
	tasks_set_field(CS, SEL_UCODE);
	tasks_set_field(SS, SEL_UDATA);
	for (unsigned field = DS; field <= GS; field += 4)
		tasks_set_field(field, 0);
	tasks_set_field(ES, SEL_LOCAL | 3);
	tasks_set_field(LDTR, SEL_LDT);
	machine_set_mem(LDT + 8, 0x0000f2000000ffffull, 8); /* not accessed yet */
	assert_int_equal(RUN(CALL), EMUL_OK);
	assert_int_equal(m.ctx.cpl, 3);
	assert_int_equal(FIELD_GET(SEG_ATTR_DPL, m.seg[SEG_SS].attr), 3);
	assert_true(m.seg[SEG_DS].attr & SEG_ATTR_UNUSABLE);
	assert_int_equal(m.seg[SEG_ES].attr, 0xf3);
	assert_int_equal(machine_mem(LDT + 13, 1), 0xf3);
}

static void cr3_is_paging_s(void **state)
{
	m.cr[0] = CR0_PE;
	assert_int_equal(RUN(CALL), EMUL_OK);
	assert_int_equal(m.cr[3], 0x1000);
	assert_int_equal(m.cr[0], CR0_PE | CR0_TS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(call_nests, tasks_begin),
		cmocka_unit_test_setup(jump_leaves_for_good, tasks_begin),
		cmocka_unit_test_setup(iret_returns, tasks_begin),
		cmocka_unit_test_setup(gates_lead_to_tasks, tasks_begin),
		cmocka_unit_test_setup(events_come_with_their_error_code, tasks_begin),
		cmocka_unit_test_setup(programs_need_the_privilege, tasks_begin),
		cmocka_unit_test_setup(other_gates_are_not_for_us, tasks_begin),
		cmocka_unit_test_setup(long_mode_has_none, tasks_begin),
		cmocka_unit_test_setup(sixteen_bits_are_loaded_and_saved, tasks_begin),
		cmocka_unit_test_setup(tasks_of_the_8086, tasks_begin),
		cmocka_unit_test_setup(programs_are_tasks, tasks_begin),
		cmocka_unit_test_setup(cr3_is_paging_s, tasks_begin),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
