/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Instructions at their edges: what LOCK may stand before, how strings yield, what happens besides
 * the result, and what must not have happened when one faults. What an instruction computes is
 * test_emul_native.c's matter.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "arch/x86/regs.h"
#include "lib/bits.h"
#include "tests/unit/support/emul_machine.h"

/* --- LOCK and read-modify-write
 * --------------------------------------------------------------------- */

static void knows_where_lock_may_stand(void **state)
{
	machine_start(EMUL_PROT32);
	m.gpr[GPR_RAX] = 0x1000;
	FAULTS(X86_TRAP_UD, "\xf0\x8b\x08");     /* mov */
	FAULTS(X86_TRAP_UD, "\xf0\x01\xc8");     /* add, register destination */
	FAULTS(X86_TRAP_UD, "\xf0\x03\x08");     /* add, memory source */
	FAULTS(X86_TRAP_UD, "\xf0\x39\x08");     /* cmp */
	FAULTS(X86_TRAP_UD, "\xf0\x0f\xa3\x08"); /* bt */
	FAULTS(X86_TRAP_UD, "\xf0\xd1\x20");     /* shll */
	FAULTS(X86_TRAP_UD, "\xf0\x90");
	assert_int_equal(m.exchanges, 0);
	assert_int_equal(RUN("\xf0\xff\x00"), EMUL_OK); /* incl */
	assert_int_equal(m.exchanges, 1);
	assert_int_equal(m.writes, 0);
	assert_int_equal(RUN("\x87\x08"), EMUL_OK); /* xchg locks without being told */
	assert_int_equal(m.exchanges, 2);
}

static void tries_again_when_memory_changed(void **state)
{
	struct emul_machine before;

	machine_start(EMUL_LONG64);
	m.gpr[GPR_RAX] = 0x1000;
	m.gpr[GPR_RCX] = 5;
	m.other_cpu = true;
	before = m;
	assert_int_equal(RUN("\xf0\x0f\xc1\x08"), EMUL_AGAIN); /* lock xadd %ecx,(%rax) */
	assert_int_equal(m.ctx.rip, before.ctx.rip);
	assert_int_equal(m.ctx.rflags, before.ctx.rflags);
	assert_memory_equal(m.gpr, before.gpr, sizeof(m.gpr));
	m.other_cpu = false;
	assert_int_equal(RUN("\xf0\x0f\xc1\x08"), EMUL_OK);
}

static void cmpxchg_writes_when_it_fails(void **state)
{
	uint32_t old;

	machine_start(EMUL_LONG64);
	m.gpr[GPR_RBX] = 0x1000;
	m.gpr[GPR_RAX] = ~0ull;
	old = machine_mem(0x1000, 4);
	assert_int_equal(RUN("\x0f\xb1\x0b"), EMUL_OK); /* cmpxchg %ecx,(%rbx) */
	assert_int_equal(m.writes, 1);
	assert_int_equal(m.last_write, old);
	assert_int_equal(m.gpr[GPR_RAX], old); /* upper half clear */
	assert_false(m.ctx.rflags & RFLAGS_ZF);
	m.ctx.rip = CODE;
	m.gpr[GPR_RAX] = 0;
	m.read_only = MISSING(1);
	FAULTS(X86_TRAP_PF, "\x0f\xb1\x0b");
}

static void cmpxchg16b_wants_alignment(void **state)
{
	machine_start(EMUL_LONG64);
	m.gpr[GPR_RSI] = 0x1008;
	FAULTS(X86_TRAP_GP, "\xf0\x48\x0f\xc7\x0e");
	m.gpr[GPR_RSI] = 0x1010;
	m.gpr[GPR_RAX] = machine_mem(0x1010, 8);
	m.gpr[GPR_RDX] = machine_mem(0x1018, 8);
	m.gpr[GPR_RBX] = 1;
	m.gpr[GPR_RCX] = 2;
	assert_int_equal(RUN("\xf0\x48\x0f\xc7\x0e"), EMUL_OK);
	assert_true(m.ctx.rflags & RFLAGS_ZF);
	assert_int_equal(m.exchanges, 1);
	assert_int_equal(machine_mem(0x1010, 8), 1);
	assert_int_equal(machine_mem(0x1018, 8), 2);
	FAULTS(X86_TRAP_UD, "\x0f\xc7\xce"); /* of a register */
}

static void addresses_bit_strings(void **state)
{
	machine_start(EMUL_LONG64);
	m.gpr[GPR_RAX] = 0x1000;
	m.gpr[GPR_RCX] = (uint64_t)-1; /* the last bit of the word before */
	machine_set_mem(0xffc, 0, 4);
	assert_int_equal(RUN("\x0f\xab\x08"), EMUL_OK); /* bts %ecx,(%rax) */
	assert_int_equal(machine_mem(0xffc, 4), 0x80000000);
	m.ctx.rip = CODE;
	m.gpr[GPR_RCX] = 65;
	machine_set_mem(0x1008, 0, 8);
	assert_int_equal(RUN("\x48\x0f\xab\x08"), EMUL_OK); /* bts %rcx,(%rax) */
	assert_int_equal(machine_mem(0x1008, 8), 2);
	m.ctx.rip = CODE;
	machine_set_mem(0x1000, 0, 8);
	assert_int_equal(RUN("\x0f\xba\x28\x41"), EMUL_OK); /* bts $65,(%rax): no further */
	assert_int_equal(machine_mem(0x1000, 8), 2);
}

static void exchanges_nothing_when_it_faults(void **state)
{
	machine_start(EMUL_LONG64);
	m.gpr[GPR_RAX] = 0x1000;
	m.gpr[GPR_RCX] = 0x1234;
	m.read_only = MISSING(1);
	FAULTS(X86_TRAP_PF, "\x87\x08");     /* xchg */
	FAULTS(X86_TRAP_PF, "\x0f\xc1\x08"); /* xadd */
	FAULTS(X86_TRAP_PF, "\x8f\x00");     /* pop (%rax) */
	m.missing = MISSING(3);
	FAULTS(X86_TRAP_PF, "\xff\xd0");         /* call *%rax, without a stack */
	FAULTS(X86_TRAP_PF, "\xc8\x10\x00\x00"); /* enter */
}

/* --- strings
 * -------------------------------------------------------------------------------------- */

static void string_faults_in_the_middle(void **state)
{
	machine_start(EMUL_LONG64);
	m.gpr[GPR_RSI] = 0x3000;
	m.gpr[GPR_RDI] = 0x1ff0;
	m.gpr[GPR_RCX] = 8;
	m.missing = MISSING(2);
	assert_int_equal(RUN("\xf3\xa5"), EMUL_FAULT); /* rep movsl */
	assert_int_equal(m.ctx.fault.vector, X86_TRAP_PF);
	assert_int_equal(m.ctx.fault.cr2, 0x2000);
	assert_int_equal(m.ctx.rip, CODE);
	assert_int_equal(m.gpr[GPR_RCX], 4);
	assert_int_equal(m.gpr[GPR_RSI], 0x3010);
	assert_int_equal(m.gpr[GPR_RDI], 0x2000);
	m.missing = 0;
	assert_int_equal(RUN("\xf3\xa5"), EMUL_OK); /* and on from there */
	assert_int_equal(m.ctx.rip, CODE + 2);
	assert_int_equal(m.gpr[GPR_RCX], 0);
	assert_memory_equal(m.mem + 0x1ff0, m.mem + 0x3000, 32);
}

static void strings_yield(void **state)
{
	unsigned rounds = 0;
	int r;

	machine_start(EMUL_LONG64);
	m.gpr[GPR_RDI] = 0x1000;
	m.gpr[GPR_RCX] = 0x1000;
	m.gpr[GPR_RAX] = 0x5a;
	do {
		uint64_t left = m.gpr[GPR_RCX];

		r = RUN("\xf3\xaa"); /* rep stosb */
		assert_true(m.gpr[GPR_RCX] < left && left - m.gpr[GPR_RCX] <= 1024);
		rounds++;
	} while (r == EMUL_AGAIN);
	assert_int_equal(r, EMUL_OK);
	assert_true(rounds >= 4);
	assert_int_equal(m.gpr[GPR_RDI], 0x2000);
	assert_int_equal(m.mem[0x1fff], 0x5a);
}

static void strings_count_in_the_address_size(void **state)
{
	machine_start(EMUL_PROT32);
	m.gpr[GPR_RDI] = 0xffff1000;
	m.gpr[GPR_RCX] = 0x10002;
	assert_int_equal(RUN("\x67\xf3\xaa"), EMUL_OK); /* 16-bit: CX and DI */
	assert_int_equal(m.gpr[GPR_RCX], 0x10000);
	assert_int_equal(m.gpr[GPR_RDI], 0xffff1002);
	m.ctx.rip = CODE;
	m.ctx.rflags |= RFLAGS_DF;
	assert_int_equal(RUN("\x67\xf3\xaa"), EMUL_OK); /* CX = 0: nothing */
	assert_int_equal(m.gpr[GPR_RDI], 0xffff1002);
	m.ctx.rip = CODE;
	m.gpr[GPR_RDI] = 0x1002;
	assert_int_equal(RUN("\xaa"), EMUL_OK);
	assert_int_equal(m.gpr[GPR_RDI], 0x1001);
}

static void comparisons_stop(void **state)
{
	machine_start(EMUL_LONG64);
	memcpy(m.mem + 0x1000, "abcdX", 5);
	memcpy(m.mem + 0x2000, "abcdY", 5);
	m.gpr[GPR_RSI] = 0x1000;
	m.gpr[GPR_RDI] = 0x2000;
	m.gpr[GPR_RCX] = 100;
	assert_int_equal(RUN("\xf3\xa6"), EMUL_OK); /* repe cmpsb */
	assert_int_equal(m.gpr[GPR_RCX], 95);
	assert_int_equal(m.gpr[GPR_RDI], 0x2005);
	assert_true(m.ctx.rflags & RFLAGS_CF);
	m.gpr[GPR_RAX] = 'd';
	m.gpr[GPR_RDI] = 0x2000;
	assert_int_equal(RUN("\xf2\xae"), EMUL_OK); /* repne scasb */
	assert_int_equal(m.gpr[GPR_RDI], 0x2004);
	assert_true(m.ctx.rflags & RFLAGS_ZF);
}

/* --- ports
 * ---------------------------------------------------------------------------------------- */

static void reads_no_port_in_vain(void **state)
{
	machine_start(EMUL_LONG64);
	m.gpr[GPR_RDI] = 0x1ffe;
	m.gpr[GPR_RDX] = 0x1f0;
	m.missing = MISSING(2);
	FAULTS(X86_TRAP_PF, "\x6d"); /* insl over the end of the page */
	assert_int_equal(m.port_reads, 0);
	m.missing = 0;
	m.gpr[GPR_RCX] = 2;
	assert_int_equal(RUN("\xf3\x6d"), EMUL_OK);
	assert_int_equal(m.port_reads, 2);
	assert_int_equal(m.port, 0x1f0);
	assert_int_equal(machine_mem(0x2002, 4), 0xa1b2c3d4);
}

static void sizes_ports(void **state)
{
	machine_start(EMUL_LONG64);
	m.gpr[GPR_RAX] = ~0ull;
	m.gpr[GPR_RDX] = 0xffff1234;
	assert_int_equal(RUN("\xe4\x60"), EMUL_OK); /* in $0x60,%al */
	assert_int_equal(m.port, 0x60);
	assert_int_equal(m.gpr[GPR_RAX], 0xffffffffffffffd4);
	assert_int_equal(RUN("\x66\xed"), EMUL_OK); /* in %dx,%ax */
	assert_int_equal(m.port, 0x1234);
	assert_int_equal(m.port_size, 2);
	assert_int_equal(m.gpr[GPR_RAX], 0xffffffffffffc3d4);
	assert_int_equal(RUN("\x48\xef"), EMUL_OK); /* out %eax,%dx: never 8 bytes */
	assert_int_equal(m.port_size, 4);
	assert_int_equal(m.port_value, 0xffffc3d4);
	assert_int_equal(RUN("\xed"), EMUL_OK);
	assert_int_equal(m.gpr[GPR_RAX], 0xa1b2c3d4);
	m.gpr[GPR_RSI] = 0x1000;
	assert_int_equal(RUN("\x6e"), EMUL_OK); /* outsb */
	assert_int_equal(m.port_value, m.mem[0x1000]);
	assert_int_equal(m.port_size, 1);
}

/* --- what every instruction does
 * ------------------------------------------------------------------- */

/* Compilers put ENDBR at the start of functions of any code, that of real mode included. */
static void hints_do_nothing(void **state)
{
	(void)state;
	machine_start(EMUL_REAL);
	assert_int_equal(RUN("\xf3\x0f\x1e\xfb"), EMUL_OK); /* endbr32 */
	machine_start(EMUL_LONG64);
	m.gpr[GPR_RAX] = 0x1234;
	assert_int_equal(RUN("\xf3\x0f\x1e\xfa"), EMUL_OK);     /* endbr64 */
	assert_int_equal(RUN("\xf3\x48\x0f\x1e\xc8"), EMUL_OK); /* rdsspq */
	assert_int_equal(RUN("\x0f\x1f\x00"), EMUL_OK);
	assert_int_equal(m.gpr[GPR_RAX], 0x1234);
}

static void traps_after_an_instruction(void **state)
{
	machine_start(EMUL_LONG64);
	m.ctx.rflags |= RFLAGS_TF | RFLAGS_RF;
	assert_int_equal(RUN("\x90"), EMUL_OK);
	assert_true(m.ctx.trap);
	assert_false(m.ctx.rflags & RFLAGS_RF);
	m.gpr[GPR_RDI] = 0x1000;
	m.gpr[GPR_RCX] = 3;
	assert_int_equal(RUN("\xf3\xaa"), EMUL_AGAIN); /* after each iteration */
	assert_true(m.ctx.trap);
	assert_int_equal(m.gpr[GPR_RCX], 2);
	m.gpr[GPR_RCX] = 1;
	assert_int_equal(RUN("\xf3\xaa"), EMUL_OK);
	assert_true(m.ctx.trap);
	m.ctx.rflags &= ~RFLAGS_TF;
	assert_int_equal(RUN("\x90"), EMUL_OK);
	assert_false(m.ctx.trap);
}

static void opens_interrupts_one_instruction_late(void **state)
{
	machine_start(EMUL_LONG64);
	assert_int_equal(RUN("\xfb"), EMUL_OK); /* sti */
	assert_true(m.ctx.int_shadow);
	assert_true(m.ctx.rflags & RFLAGS_IF);
	assert_int_equal(RUN("\xfb"), EMUL_OK); /* they are open */
	assert_false(m.ctx.int_shadow);
	m.ctx.cpl = 3;
	FAULTS(X86_TRAP_GP, "\xfa"); /* cli */
	m.ctx.rflags |= RFLAGS_IOPL;
	assert_int_equal(RUN("\xfa"), EMUL_OK);
	assert_false(m.ctx.rflags & RFLAGS_IF);
}

static void popf_keeps_what_is_not_its_own(void **state)
{
	machine_start(EMUL_PROT32);
	machine_set_mem(0x4000, 0xffffffff, 4);
	m.ctx.cpl = 3;
	assert_int_equal(RUN("\x9d"), EMUL_OK);
	assert_false(m.ctx.rflags &
		     (RFLAGS_IF | RFLAGS_IOPL | RFLAGS_VM | RFLAGS_VIF | RFLAGS_VIP));
	assert_true(m.ctx.rflags & RFLAGS_AC);
	m.gpr[GPR_RSP] = 0x4000;
	m.ctx.cpl = 0;
	assert_int_equal(RUN("\x9d"), EMUL_OK);
	assert_true(m.ctx.rflags & RFLAGS_IF);
	assert_int_equal(m.ctx.rflags & RFLAGS_IOPL, RFLAGS_IOPL);

	machine_start(EMUL_VM86);
	m.ctx.cpl = 3;
	FAULTS(X86_TRAP_GP, "\x9c"); /* pushf with IOPL 0 */
	FAULTS(X86_TRAP_GP, "\x9d");
	FAULTS(X86_TRAP_GP, "\xfa");
	assert_true(m.ctx.fault.has_error);
}

static void divides_or_faults(void **state)
{
	machine_start(EMUL_LONG64);
	FAULTS(X86_TRAP_DE, "\xf7\xf1"); /* div %ecx: by zero */
	assert_false(m.ctx.fault.has_error);
	m.gpr[GPR_RDX] = 1;
	m.gpr[GPR_RCX] = 1;
	FAULTS(X86_TRAP_DE, "\xf7\xf1"); /* too large */
	m.gpr[GPR_RDX] = 0xffffffffffffffff;
	m.gpr[GPR_RAX] = 0x8000000000000000;
	m.gpr[GPR_RCX] = -1;
	FAULTS(X86_TRAP_DE, "\x48\xf7\xf9"); /* idiv: 2^63 */
	m.gpr[GPR_RCX] = 1;
	assert_int_equal(RUN("\x48\xf7\xf9"), EMUL_OK);
	assert_int_equal(m.gpr[GPR_RAX], 0x8000000000000000);
	assert_int_equal(m.gpr[GPR_RDX], 0);
}

static void branches_stay_in_the_segment(void **state)
{
	machine_start(EMUL_PROT32);
	m.seg[SEG_CS].limit = 0x8fff;
	m.gpr[GPR_RCX] = 2;
	FAULTS(X86_TRAP_GP, "\xe9\x00\x10\x00\x00"); /* jmp */
	FAULTS(X86_TRAP_GP, "\xe8\x00\x10\x00\x00"); /* call */
	machine_set_mem(0x4000, 0x9000, 4);
	FAULTS(X86_TRAP_GP, "\xc3"); /* ret */
	m.ctx.rip = 0x8fd0;
	FAULTS(X86_TRAP_GP, "\xe2\x7f"); /* loop: counts only when it jumps */
	m.gpr[GPR_RCX] = 1;
	assert_int_equal(RUN("\xe2\x7f"), EMUL_OK);

	machine_start(EMUL_LONG64);
	m.gpr[GPR_RAX] = 0x800000000000;
	FAULTS(X86_TRAP_GP, "\xff\xe0"); /* jmp *%rax */
	machine_set_mem(0x1000, 0x8100, 8);
	m.gpr[GPR_RAX] = 0x1000;
	assert_int_equal(RUN("\xff\x10"), EMUL_OK); /* call *(%rax) */
	assert_int_equal(m.ctx.rip, 0x8100);
	assert_int_equal(machine_mem(0x3ff8, 8), CODE + 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(knows_where_lock_may_stand),
		cmocka_unit_test(tries_again_when_memory_changed),
		cmocka_unit_test(cmpxchg_writes_when_it_fails),
		cmocka_unit_test(cmpxchg16b_wants_alignment),
		cmocka_unit_test(addresses_bit_strings),
		cmocka_unit_test(exchanges_nothing_when_it_faults),
		cmocka_unit_test(string_faults_in_the_middle),
		cmocka_unit_test(strings_yield),
		cmocka_unit_test(strings_count_in_the_address_size),
		cmocka_unit_test(comparisons_stop),
		cmocka_unit_test(reads_no_port_in_vain),
		cmocka_unit_test(sizes_ports),
		cmocka_unit_test(hints_do_nothing),
		cmocka_unit_test(traps_after_an_instruction),
		cmocka_unit_test(opens_interrupts_one_instruction_late),
		cmocka_unit_test(popf_keeps_what_is_not_its_own),
		cmocka_unit_test(divides_or_faults),
		cmocka_unit_test(branches_stay_in_the_segment),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
