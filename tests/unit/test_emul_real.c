/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The emulator's real mode: interrupts through vectors, from instructions and from outside, segment
 * registers that keep their limits, and far transfers.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/support/emul_machine.h"

#define FLAGS_ON (RFLAGS_FIXED | RFLAGS_IF | RFLAGS_AC)

static void real(void)
{
	machine_start(EMUL_REAL);
	machine_add_system();
}

/* --- interrupts of real mode ------------------------------------------------------------------ */

static void set_vector(unsigned vector, uint16_t cs, uint16_t ip)
{
	machine_set_mem(4 * vector, ip, 2);
	machine_set_mem(4 * vector + 2, cs, 2);
}

static void expect_handler(uint16_t cs, uint16_t ip, uint16_t sp)
{
	assert_int_equal(m.ctx.rip, ip);
	assert_int_equal(m.ctx.seg[SEG_CS].selector, cs);
	assert_int_equal(m.ctx.seg[SEG_CS].base, cs << 4);
	assert_true(m.ctx.segs_dirty & BIT(SEG_CS));
	assert_int_equal(m.gpr[GPR_RSP], sp);
	assert_false(m.ctx.rflags & (RFLAGS_IF | RFLAGS_TF | RFLAGS_AC));
}

static void int_goes_through_its_vector(void **state)
{
	real();
	set_vector(0x21, 0x1000, 0x0234);
	m.seg[SEG_CS].selector = 0x0777;
	m.ctx.rflags = FLAGS_ON | RFLAGS_CF | RFLAGS_TF;
	assert_int_equal(RUN("\xcd\x21"), EMUL_OK);
	expect_handler(0x1000, 0x0234, 0x3ffa);
	assert_int_equal(machine_mem(0x3ffa, 2), CODE + 2);
	assert_int_equal(machine_mem(0x3ffc, 2), 0x0777);
	assert_int_equal(machine_mem(0x3ffe, 2), (FLAGS_ON | RFLAGS_CF | RFLAGS_TF) & 0xffff);
	assert_false(m.ctx.trap); /* the step ends with the handler */
}

static void short_forms_have_their_vectors(void **state)
{
	static const struct {
		const char *bytes;
		unsigned vector;
	} forms[] = {{"\xcc", 3}, {"\xf1", 1}, {"\xce", 4}};

	for (unsigned n = 0; n < ARRAY_SIZE(forms); n++) {
		real();
		set_vector(forms[n].vector, 0, 0x100);
		m.ctx.rflags |= RFLAGS_OF;
		assert_int_equal(machine_run(forms[n].bytes, 1), EMUL_OK);
		expect_handler(0, 0x100, 0x3ffa);
	}
	real();
	assert_int_equal(RUN("\xce"), EMUL_OK); /* INTO without OF */
	assert_int_equal(m.ctx.rip, CODE + 1);
}

static void vectors_end_with_the_table(void **state)
{
	real();
	m.table[EMUL_IDT].limit = 0x21 * 4 + 2;
	FAULTS(X86_TRAP_GP, "\xcd\x21");
	assert_false(m.ctx.fault.has_error);
	m.table[EMUL_IDT] = (struct desc_table){.base = 0x5000, .limit = 0x21 * 4 + 3};
	machine_set_mem(0x5000 + 0x84, 0x00200010, 4);
	assert_int_equal(RUN("\xcd\x21"), EMUL_OK);
	expect_handler(0x20, 0x10, 0x3ffa);
}

static void iret_goes_back(void **state)
{
	real();
	m.ctx.rflags = RFLAGS_FIXED | RFLAGS_ID;
	machine_set_mem(0x4000, 0x1234, 2);
	machine_set_mem(0x4002, 0x0050, 2);
	machine_set_mem(0x4004, RFLAGS_IF | RFLAGS_IOPL | RFLAGS_CF, 2);
	assert_int_equal(RUN("\xcf"), EMUL_OK);
	assert_int_equal(m.ctx.rip, 0x1234);
	assert_int_equal(m.seg[SEG_CS].base, 0x500);
	assert_int_equal(m.gpr[GPR_RSP], 0x4006);
	assert_int_equal(m.ctx.rflags,
			 RFLAGS_FIXED | RFLAGS_ID | RFLAGS_IF | RFLAGS_IOPL | RFLAGS_CF);
	/* 32 bits: more flags, RF among them, which the next instruction ends. */
	real();
	machine_set_mem(0x4000, CODE, 4);
	machine_set_mem(0x4004, 0xffff0000, 4);
	machine_set_mem(0x4008, RFLAGS_RF | RFLAGS_AC | RFLAGS_VM | RFLAGS_VIF, 4);
	assert_int_equal(RUN("\x66\xcf"), EMUL_OK);
	assert_int_equal(m.gpr[GPR_RSP], 0x400c);
	assert_int_equal(m.ctx.rflags, RFLAGS_FIXED | RFLAGS_RF | RFLAGS_AC);
	assert_int_equal(RUN("\x90"), EMUL_OK);
	assert_false(m.ctx.rflags & RFLAGS_RF);
	/* An address that CS does not have. */
	real();
	machine_set_mem(0x4000, 0x10000, 4);
	FAULTS(X86_TRAP_GP, "\x66\xcf");
}

static int deliver(uint8_t vector)
{
	return emul_deliver(&m.ctx, &(struct emul_event){.vector = vector});
}

static void interrupts_come_from_outside(void **state)
{
	real();
	set_vector(8, 0x300, 0x44);
	m.ctx.rflags = FLAGS_ON;
	assert_int_equal(deliver(8), EMUL_OK);
	expect_handler(0x300, 0x44, 0x3ffa);
	assert_int_equal(machine_mem(0x3ffa, 2), CODE); /* comes back to this instruction */
}

static void delivery_can_fault(void **state)
{
	real();
	m.table[EMUL_IDT].limit = 13 * 4 + 3;
	assert_int_equal(deliver(0x20), EMUL_FAULT);
	assert_int_equal(m.ctx.fault.vector, X86_TRAP_GP);
	assert_false(m.ctx.fault.has_error);
	real(); /* a stack with no room */
	m.gpr[GPR_RSP] = 1;
	assert_int_equal(deliver(0x20), EMUL_FAULT);
	assert_int_equal(m.ctx.fault.vector, X86_TRAP_SS);
	assert_int_equal(m.gpr[GPR_RSP], 1);
	assert_int_equal(m.ctx.segs_dirty, 0);
}

/* --- shadows ---------------------------------------------------------------------------------- */

static void loading_ss_keeps_interrupts_and_steps_out(void **state)
{
	real();
	m.ctx.rflags |= RFLAGS_TF;
	m.gpr[GPR_RAX] = 0x123;
	assert_int_equal(RUN("\x8e\xd0"), EMUL_OK); /* mov %ax,%ss */
	assert_true(m.ctx.int_shadow);
	assert_false(m.ctx.trap);
	assert_int_equal(m.seg[SEG_SS].base, 0x1230);
	assert_int_equal(RUN("\x8e\xd8"), EMUL_OK); /* mov %ax,%ds */
	assert_false(m.ctx.int_shadow);
	assert_true(m.ctx.trap);
	m.seg[SEG_SS].base = 0;
	assert_int_equal(RUN("\x17"), EMUL_OK); /* pop %ss */
	assert_true(m.ctx.int_shadow);
	assert_int_equal(m.gpr[GPR_RSP], 0x4002);
}

/* --- segments and far transfers of real mode -------------------------------------------------- */

static void big_segments_stay_big(void **state)
{
	real();
	m.seg[SEG_ES] = (struct segment){.base = 0, .limit = 0xffffffff, .attr = DATA_SEG};
	m.gpr[GPR_RAX] = 0x400;
	assert_int_equal(RUN("\x8e\xc0"), EMUL_OK); /* mov %ax,%es */
	assert_int_equal(m.seg[SEG_ES].base, 0x4000);
	assert_int_equal(m.seg[SEG_ES].limit, 0xffffffff);
	/* A null segment of protected mode becomes one that can be used. */
	m.seg[SEG_ES] = (struct segment){.attr = SEG_ATTR_UNUSABLE};
	assert_int_equal(RUN("\x8e\xc0"), EMUL_OK);
	assert_int_equal(m.seg[SEG_ES].limit, 0xffff);
	assert_int_equal(m.seg[SEG_ES].attr, DATA_SEG);
}

static void far_pointers_load_both(void **state)
{
	real();
	machine_set_mem(0x100, 0x0500abcd, 4);
	assert_int_equal(RUN("\xc4\x3e\x00\x01"), EMUL_OK); /* les 0x100,%di */
	assert_int_equal(m.gpr[GPR_RDI], 0xabcd);
	assert_int_equal(m.seg[SEG_ES].base, 0x5000);
	machine_set_mem(0, 0x0600, 2); /* the selector's half comes from the segment's start */
	machine_set_mem(0xfffe, 0x1111, 2);
	assert_int_equal(RUN("\xc5\x36\xfe\xff"), EMUL_OK); /* lds 0xfffe,%si */
	assert_int_equal(m.gpr[GPR_RSI], 0x1111);
	assert_int_equal(m.seg[SEG_DS].selector, 0x0600);
}

static void far_calls_come_back(void **state)
{
	real();
	m.seg[SEG_CS].selector = 0x0042;
	assert_int_equal(RUN("\x9a\x10\x00\x00\x10"), EMUL_OK); /* lcall $0x1000,$0x10 */
	assert_int_equal(m.ctx.rip, 0x10);
	assert_int_equal(m.seg[SEG_CS].base, 0x10000);
	assert_int_equal(machine_mem(0x3ffc, 4), 0x0042 << 16 | (CODE + 5));
	assert_int_equal(RUN("\xca\x04\x00"), EMUL_OK); /* lret $4 */
	assert_int_equal(m.ctx.rip, CODE + 5);
	assert_int_equal(m.seg[SEG_CS].base, 0x420);
	assert_int_equal(m.gpr[GPR_RSP], 0x4004);
}

static void far_target_must_be_in_the_segment(void **state)
{
	real();
	FAULTS(X86_TRAP_GP, "\x66\xea\x00\x00\x01\x00\x00\x10"); /* ljmpl $0x1000,$0x10000 */
	m.seg[SEG_CS].limit = 0xffffffff;
	assert_int_equal(RUN("\x66\xea\x00\x00\x01\x00\x00\x10"), EMUL_OK);
	assert_int_equal(m.ctx.rip, 0x10000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(int_goes_through_its_vector),
		cmocka_unit_test(short_forms_have_their_vectors),
		cmocka_unit_test(vectors_end_with_the_table),
		cmocka_unit_test(iret_goes_back),
		cmocka_unit_test(interrupts_come_from_outside),
		cmocka_unit_test(delivery_can_fault),
		cmocka_unit_test(loading_ss_keeps_interrupts_and_steps_out),
		cmocka_unit_test(big_segments_stay_big),
		cmocka_unit_test(far_pointers_load_both),
		cmocka_unit_test(far_calls_come_back),
		cmocka_unit_test(far_target_must_be_in_the_segment),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
