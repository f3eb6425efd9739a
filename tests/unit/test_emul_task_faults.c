/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Task switches that fault, each with the state that the manual wants the fault to find: the old
 * task's, of which nothing has changed, or the new one's (SDM volume 3, 7.3).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/support/emul_tasks.h"

/* --- faults of the old task: nothing at all has changed ----------------------------------------
 */

static void fault(unsigned vector, uint32_t error, const char *bytes, unsigned len, int line)
{
	machine_expect_fault(vector, bytes, len, line);
	assert_int_equal(m.ctx.segs_dirty, 0);
	assert_int_equal(m.cr[0], CR0_PE | CR0_PG);
	assert_int_equal(m.cr[3], 0x1000);
	assert_int_equal(m.ctx.fault.error, error);
	assert_true(m.ctx.fault.has_error);
}

#define REFUSED(vector, error, bytes) fault(vector, error, bytes, sizeof(bytes) - 1, __LINE__)

static void bad_targets(void **state)
{
	tasks_set_system(SEL_NEW, NEW, 0x67, 0x8b);
	REFUSED(X86_TRAP_GP, SEL_NEW, CALL);
	REFUSED(X86_TRAP_GP, SEL_NEW, JUMP);
	tasks_set_system(SEL_NEW, NEW, 0x67, 0x09);
	REFUSED(X86_TRAP_NP, SEL_NEW, CALL);
	tasks_set_system(SEL_NEW, NEW, 0x66, 0x89);
	REFUSED(X86_TRAP_TS, SEL_NEW, CALL);
	tasks_set_system(SEL_NEW, NEW, 0x2a, 0x81);
	REFUSED(X86_TRAP_TS, SEL_NEW, JUMP);
	tasks_set_gdt(SEL_GATE, (uint64_t)SEL_NEW << 16 | 0x05ull << 40);
	REFUSED(X86_TRAP_NP, SEL_GATE, "\x9a\0\0\0\0\x30\0");
	tasks_set_gdt(SEL_GATE, (uint64_t)SEL_DATA << 16 | (uint64_t)GATE_TYPE << 40);
	REFUSED(X86_TRAP_GP, SEL_DATA, "\x9a\0\0\0\0\x30\0");
	tasks_set_gdt(SEL_GATE, (uint64_t)SEL_OUTSIDE << 16 | (uint64_t)GATE_TYPE << 40);
	REFUSED(X86_TRAP_GP, SEL_OUTSIDE, "\x9a\0\0\0\0\x30\0");
	/* A TSS in the LDT. */
	m.seg[SEG_LDTR] = (struct segment){.base = LDT, .limit = 0x17, .attr = SEG_ATTR_P | 2};
	machine_set_mem(LDT + 8, machine_mem(GDT + SEL_NEW, 8), 8);
	REFUSED(X86_TRAP_GP, SEL_LOCAL, "\x9a\0\0\0\0\x0c\0");
}

static void bad_gates_of_the_idt(void **state)
{
	machine_set_mem(IDT + 8 * 0x90, (uint64_t)SEL_NEW << 16 | 0x05ull << 40, 8);
	REFUSED(X86_TRAP_NP, 0x90 * 8 + 2, "\xcd\x90");
	machine_set_mem(IDT + 8 * 0x90, (uint64_t)SEL_OLD << 16 | (uint64_t)GATE_TYPE << 40, 8);
	REFUSED(X86_TRAP_GP, SEL_OLD, "\xcd\x90"); /* busy */
	m.table[EMUL_IDT].limit = 0x90 * 8 + 6;
	REFUSED(X86_TRAP_GP, 0x90 * 8 + 2, "\xcd\x90");
	m.table[EMUL_IDT].limit = 0x7ff;
	m.missing = PAGE(IDT);
	FAULTS(X86_TRAP_PF, "\xcd\x90");
}

static void bad_links(void **state)
{
	static const struct {
		uint16_t link;
		uint8_t access, vector;
	} cases[] = {
		{SEL_NEW, 0x89, X86_TRAP_TS},     /* not busy */
		{SEL_NEW, 0x0b, X86_TRAP_NP},     /* not present */
		{SEL_DATA, 0x8b, X86_TRAP_TS},    /* no TSS */
		{SEL_OUTSIDE, 0x8b, X86_TRAP_TS}, /* beyond the GDT */
		{SEL_LOCAL, 0x8b, X86_TRAP_TS},   /* in the LDT */
	};

	m.ctx.rflags |= RFLAGS_NT;
	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		machine_set_mem(OLD, cases[i].link, 2);
		tasks_set_system(SEL_NEW, NEW, 0x67, cases[i].access);
		REFUSED(cases[i].vector, cases[i].link, IRET);
	}
	m.missing = PAGE(OLD);
	FAULTS(X86_TRAP_PF, IRET);
}

static void a_short_old_tss_is_bad(void **state)
{
	tasks_set_old_tss(0xb, 0x66);
	REFUSED(X86_TRAP_TS, SEL_OLD, CALL);
	tasks_set_old_tss(0x3, 0x2a);
	REFUSED(X86_TRAP_TS, SEL_OLD, JUMP);
	tasks_set_old_tss(0x3, 0x2b);
	assert_int_equal(RUN(JUMP), EMUL_OK);
	assert_int_equal(tasks_access_of(SEL_OLD), 0x81);
	tasks_begin(NULL); /* whose descriptor has gone */
	m.table[EMUL_GDT].limit = 0x67;
	tasks_set_old_tss(0xb, 0x67);
	m.seg[SEG_TR].selector = SEL_OUTSIDE;
	REFUSED(X86_TRAP_TS, SEL_OUTSIDE, JUMP);
}

/* Each page that a switch needs, absent or read-only: #PF for it. */
static void every_page_is_looked_at_first(void **state)
{
	static const struct {
		unsigned page;
		bool may_be_read_only; /* with JMP */
	} pages[] = {{OLD, false}, {NEW, true}, {GDT, false}};

	for (unsigned i = 0; i < ARRAY_SIZE(pages); i++) {
		tasks_begin(NULL);
		m.missing = PAGE(pages[i].page);
		REFUSED(X86_TRAP_PF, pages[i].page == OLD ? PFERR_WRITE : 0, CALL);
		assert_int_equal(m.ctx.fault.cr2 >> PAGE_SHIFT, pages[i].page >> PAGE_SHIFT);
		m.missing = 0;
		m.read_only = PAGE(pages[i].page);
		REFUSED(X86_TRAP_PF, PFERR_WRITE | PFERR_PRESENT, CALL);
		assert_int_equal(m.ctx.fault.cr2 >> PAGE_SHIFT, pages[i].page >> PAGE_SHIFT);
		if (!pages[i].may_be_read_only)
			REFUSED(X86_TRAP_PF, PFERR_WRITE | PFERR_PRESENT, JUMP);
		else
			assert_int_equal(RUN(JUMP), EMUL_OK);
	}
	tasks_begin(NULL); /* the busy flag that goes */
	m.ctx.rflags |= RFLAGS_NT;
	machine_set_mem(OLD, SEL_NEW, 2);
	tasks_set_system(SEL_NEW, NEW, 0x67, 0x8b);
	m.read_only = PAGE(GDT);
	REFUSED(X86_TRAP_PF, PFERR_WRITE | PFERR_PRESENT, IRET);
}

/* Both halves of a TSS that straddles two pages; every split of its fields works. */
static void tss_across_pages(void **state)
{
	uint8_t tss[0x68];

	for (unsigned split = 1; split < 0x68; split++) {
		unsigned at = NEW + PAGE_SIZE - split;

		tasks_begin(NULL);
		memcpy(tss, m.mem + NEW, sizeof(tss));
		memcpy(m.mem + at, tss, sizeof(tss));
		tasks_set_system(SEL_NEW, at, 0x67, 0x89);
		m.missing = PAGE(NEW + PAGE_SIZE);
		REFUSED(X86_TRAP_PF, 0, CALL);
		assert_int_equal(m.ctx.fault.cr2, NEW + PAGE_SIZE);
		m.missing = 0;
		assert_int_equal(RUN(CALL), EMUL_OK);
		tasks_new_has_segments();
		assert_int_equal(m.ctx.rip, 0x12345);
		/* And back, so that it is the old one. */
		m.ctx.rip = CODE;
		assert_int_equal(RUN(IRET), EMUL_OK);
		assert_int_equal(machine_mem(at + EIP, 4), CODE + 1);
		assert_int_equal(machine_mem(at + GS, 2), SEL_DATA);
		assert_int_equal(m.ctx.rip, CALL_N);
	}
}

static void a_bad_cr3_is_the_old_task_s(void **state)
{
	uint64_t gpr[NR_GPRS];

	m.bad_cr3 = 0x2000;
	memcpy(gpr, m.gpr, sizeof(gpr));
	assert_int_equal(RUN(CALL), EMUL_FAULT);
	assert_int_equal(m.ctx.fault.vector, X86_TRAP_GP);
	assert_int_equal(m.ctx.rip, CODE);
	assert_int_equal(m.ctx.segs_dirty, 0);
	assert_int_equal(m.cr[0], CR0_PE | CR0_PG);
	assert_memory_equal(m.gpr, gpr, sizeof(gpr));
}

/* Another CPU takes the new task first. */
static void a_lost_race_is_run_again(void **state)
{
	uint8_t mem[MEM_LEN];

	m.other_cpu_flips = BUSY;
	memcpy(m.mem + CODE, CALL, 7);
	memcpy(mem, m.mem, sizeof(mem));
	assert_int_equal(RUN(CALL), EMUL_AGAIN);
	assert_int_equal(m.ctx.rip, CODE);
	assert_int_equal(m.ctx.segs_dirty, 0);
	mem[GDT + SEL_NEW + 5] |= BUSY; /* by the other one */
	assert_memory_equal(m.mem, mem, sizeof(mem));
	assert_int_equal(tasks_access_of(SEL_OLD), 0x8b);
}

/* --- faults of the new task --------------------------------------------------------------------
 */

/* Both tasks are as after the switch, the new one without the segments from `seg` on. */
static void new_task_faults(unsigned vector, uint32_t error)
{
	assert_int_equal(RUN(CALL), EMUL_FAULT);
	assert_int_equal(m.ctx.fault.vector, vector);
	assert_int_equal(m.ctx.fault.error, error);
	assert_true(m.ctx.fault.has_error);
	tasks_old_is_saved(CALL_N, RFLAGS_FIXED | RFLAGS_CF | RFLAGS_TF);
	tasks_new_has_registers(RFLAGS_FIXED | RFLAGS_ZF | RFLAGS_NT);
	assert_int_equal(machine_mem(NEW, 2), SEL_OLD);
	assert_int_equal(tasks_access_of(SEL_NEW), 0x8b);
	for (unsigned i = SEG_ES; i <= SEG_GS; i++)
		assert_int_equal(m.ctx.seg[i].selector, machine_mem(NEW + ES + 4 * i, 2));
	assert_int_equal(m.ctx.seg[SEG_LDTR].selector, machine_mem(NEW + LDTR, 2));
}

static void bad_segments(void **state)
{
	static const struct {
		unsigned field, selector;
		uint64_t descriptor; /* of SEL_BAD */
		unsigned vector;
	} cases[] = {
		{LDTR, SEL_DATA, 0, X86_TRAP_TS},
		{LDTR, SEL_OUTSIDE, 0, X86_TRAP_TS},
		{LDTR, SEL_LOCAL, 0, X86_TRAP_TS},
		{LDTR, SEL_BAD, 0x0000020000000fffull, X86_TRAP_TS}, /* not present */
		{CS, 0, 0, X86_TRAP_TS},
		{CS, SEL_DATA, 0, X86_TRAP_TS},
		{CS, SEL_OUTSIDE, 0, X86_TRAP_TS},
		{CS, SEL_BAD, CODE32 | DPL3, X86_TRAP_TS},
		{CS, SEL_BAD, CODE32 & ~PRESENT, X86_TRAP_NP},
		{CS, SEL_BAD, 0x00008c0000000000ull, X86_TRAP_TS}, /* a call gate */
		{SS, 0, 0, X86_TRAP_TS},
		{SS, SEL_CODE, 0, X86_TRAP_TS},
		{SS, SEL_UDATA, 0, X86_TRAP_TS},
		{SS, SEL_BAD, DATA32 & ~BIT_ULL(41), X86_TRAP_TS}, /* read-only */
		{SS, SEL_BAD, DATA32 & ~PRESENT, X86_TRAP_SS},
		{DS, SEL_OUTSIDE, 0, X86_TRAP_TS},
		{ES, SEL_NEW, 0, X86_TRAP_TS},
		{FS, SEL_BAD, CODE32 & ~BIT_ULL(41), X86_TRAP_TS}, /* not readable */
		{GS, SEL_BAD, DATA32 & ~PRESENT, X86_TRAP_NP},
		{GS, SEL_DATA | 3, 0, X86_TRAP_TS}, /* RPL above DPL */
	};

	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		tasks_begin(NULL);
		tasks_set_gdt(SEL_BAD, cases[i].descriptor);
		tasks_set_field(cases[i].field, cases[i].selector);
		new_task_faults(cases[i].vector, cases[i].selector & ~3u);
	}
}

/* A register that was not loaded any more has its selector, and CS and SS tell the CPL. */
static void segments_behind_a_bad_one(void **state)
{
	tasks_set_field(CS, SEL_UCODE);
	tasks_set_field(SS, SEL_DATA);
	new_task_faults(X86_TRAP_TS, SEL_DATA);
	assert_int_equal(m.ctx.cpl, 3);
	assert_int_equal(m.ctx.seg[SEG_CS].limit, 0xffffffff);
	assert_int_equal(m.ctx.seg[SEG_SS].attr, SEG_ATTR_UNUSABLE | SEG_ATTR_DPL);
	assert_int_equal(m.ctx.seg[SEG_DS].attr, SEG_ATTR_UNUSABLE);
	tasks_begin(NULL);
	tasks_set_field(CS, SEL_OUTSIDE | 3);
	new_task_faults(X86_TRAP_TS, SEL_OUTSIDE);
	assert_int_equal(m.ctx.seg[SEG_CS].attr, CODE_SEG | SEG_ATTR_DPL);
	assert_int_equal(m.ctx.seg[SEG_CS].limit, 0);
	assert_int_equal(m.ctx.seg[SEG_SS].attr, SEG_ATTR_UNUSABLE | SEG_ATTR_DPL);
}

static void pages_of_the_new_task(void **state)
{
	/* Its LDT, from which CS is to come. */
	tasks_set_field(LDTR, SEL_LDT);
	tasks_set_field(CS, SEL_LOCAL);
	m.missing = PAGE(LDT);
	new_task_faults(X86_TRAP_PF, 0);
	assert_int_equal(m.ctx.fault.cr2, LDT + 8);
	assert_int_equal(m.ctx.seg[SEG_LDTR].base, LDT);
	/* An accessed bit that cannot be written. */
	tasks_begin(NULL);
	tasks_set_field(LDTR, SEL_LDT);
	tasks_set_field(DS, SEL_LOCAL);
	machine_set_mem(LDT + 8, DATA32 & ~BIT_ULL(40), 8);
	m.read_only = PAGE(LDT);
	new_task_faults(X86_TRAP_PF, PFERR_WRITE | PFERR_PRESENT);
	/* The stack for the error code. */
	tasks_begin(NULL);
	m.missing = PAGE(STACK - 4);
	assert_int_equal(tasks_deliver(0x18), EMUL_FAULT);
	assert_int_equal(m.ctx.fault.vector, X86_TRAP_PF);
	assert_int_equal(m.ctx.fault.error, PFERR_WRITE); /* no EXT in this one */
	tasks_new_has_registers(RFLAGS_FIXED | RFLAGS_ZF | RFLAGS_NT);
	assert_int_equal(m.gpr[GPR_RSP], STACK);
}

static void no_room_for_the_error_code(void **state)
{
	tasks_set_gdt(SEL_BAD, 0x0040930000000fffull);
	tasks_set_field(SS, SEL_BAD);
	assert_int_equal(tasks_deliver(0x18), EMUL_FAULT);
	assert_int_equal(m.ctx.fault.vector, X86_TRAP_SS);
	assert_int_equal(m.ctx.fault.error, 1);
	assert_int_equal(m.gpr[GPR_RSP], STACK);
}

static void instruction_pointer_beyond_the_segment(void **state)
{
	tasks_set_gdt(SEL_BAD, 0x00409b0000002344ull);
	tasks_set_field(CS, SEL_BAD);
	new_task_faults(X86_TRAP_GP, 0);
	tasks_begin(NULL);
	tasks_set_gdt(SEL_BAD, 0x00419b0000002345ull);
	tasks_set_field(CS, SEL_BAD);
	assert_int_equal(RUN(CALL), EMUL_OK);
}

static void events_from_outside_say_so(void **state)
{
	tasks_set_field(DS, SEL_OUTSIDE);
	assert_int_equal(tasks_deliver(0), EMUL_FAULT);
	assert_int_equal(m.ctx.fault.error, SEL_OUTSIDE | 1);
	tasks_begin(NULL);
	tasks_set_system(SEL_NEW, NEW, 0x67, 0x8b);
	assert_int_equal(tasks_deliver(0), EMUL_FAULT);
	assert_int_equal(m.ctx.fault.vector, X86_TRAP_GP);
	assert_int_equal(m.ctx.fault.error, SEL_NEW | 1);
	assert_int_equal(m.ctx.segs_dirty, 0);
}

static void trap_flag_is_a_trap(void **state)
{
	tasks_set_field(TRAP, 1);
	assert_int_equal(tasks_deliver(0x18), EMUL_FAULT);
	assert_int_equal(m.ctx.fault.vector, X86_TRAP_DB);
	assert_false(m.ctx.fault.has_error);
	assert_int_equal(m.dr[6], DR6_BT);
	tasks_new_has_registers(RFLAGS_FIXED | RFLAGS_ZF | RFLAGS_NT);
	tasks_new_has_segments();
	assert_int_equal(m.gpr[GPR_RSP], STACK - 4); /* the event has arrived */
	tasks_begin(NULL);
	tasks_set_field(TRAP, 0xfffe);
	assert_int_equal(RUN(CALL), EMUL_OK);
}

/* Behind the commit point there is nothing to go back to. */
static void races_of_the_new_task(void **state)
{
	tasks_set_system(SEL_NEW, NEW, 0x67, 0x8b);
	tasks_set_gdt(SEL_BAD, CODE32 & ~BIT_ULL(40));
	tasks_set_field(CS, SEL_BAD);
	m.ctx.rflags |= RFLAGS_NT;
	machine_set_mem(OLD, SEL_NEW, 2);
	m.other_cpu = true; /* sets the accessed bit itself */
	assert_int_equal(RUN(IRET), EMUL_OK);
	assert_int_equal(m.exchanges, 1);
	tasks_begin(NULL); /* the code is readable, and not, and readable ... */
	tasks_set_system(SEL_NEW, NEW, 0x67, 0x8b);
	tasks_set_gdt(SEL_BAD, CODE32 & ~BIT_ULL(40));
	tasks_set_field(CS, SEL_BAD);
	m.ctx.rflags |= RFLAGS_NT;
	machine_set_mem(OLD, SEL_NEW, 2);
	m.other_cpu_flips = 2;
	assert_int_equal(RUN(IRET), EMUL_FAULT);
	assert_int_equal(m.ctx.fault.vector, X86_TRAP_TS);
	assert_int_equal(m.ctx.fault.error, SEL_NEW);
	tasks_new_has_registers(RFLAGS_FIXED | RFLAGS_ZF);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(bad_targets, tasks_begin),
		cmocka_unit_test_setup(bad_gates_of_the_idt, tasks_begin),
		cmocka_unit_test_setup(bad_links, tasks_begin),
		cmocka_unit_test_setup(a_short_old_tss_is_bad, tasks_begin),
		cmocka_unit_test_setup(every_page_is_looked_at_first, tasks_begin),
		cmocka_unit_test_setup(tss_across_pages, tasks_begin),
		cmocka_unit_test_setup(a_bad_cr3_is_the_old_task_s, tasks_begin),
		cmocka_unit_test_setup(a_lost_race_is_run_again, tasks_begin),
		cmocka_unit_test_setup(bad_segments, tasks_begin),
		cmocka_unit_test_setup(segments_behind_a_bad_one, tasks_begin),
		cmocka_unit_test_setup(pages_of_the_new_task, tasks_begin),
		cmocka_unit_test_setup(no_room_for_the_error_code, tasks_begin),
		cmocka_unit_test_setup(instruction_pointer_beyond_the_segment, tasks_begin),
		cmocka_unit_test_setup(events_from_outside_say_so, tasks_begin),
		cmocka_unit_test_setup(trap_flag_is_a_trap, tasks_begin),
		cmocka_unit_test_setup(races_of_the_new_task, tasks_begin),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
