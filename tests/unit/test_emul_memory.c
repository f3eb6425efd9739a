/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The emulator at the edges of memory: what it fetches and reads and no more, where segments, pages
 * and address spaces end, and what must not have happened when an access faults.
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

/* --- fetch ------------------------------------------------------------------------------------ */

static void fetches_no_more_than_it_needs(void **state)
{
	machine_start(EMUL_LONG64);
	m.ctx.rip = 0x8ffe;
	m.missing = MISSING(9);
	m.gpr[GPR_RAX] = 0x1000;
	assert_int_equal(RUN("\x8b\x08"), EMUL_OK); /* mov (%rax),%ecx up to the page's end */
	assert_int_equal(m.fetches, 1);
	assert_int_equal(m.ctx.rip, 0x9000);
}

static void faults_on_the_second_page_of_the_code(void **state)
{
	machine_start(EMUL_LONG64);
	m.ctx.rip = 0x8fff;
	m.missing = MISSING(9);
	FAULTS(X86_TRAP_PF, "\x8b");
	assert_int_equal(m.ctx.fault.cr2, 0x9000);
	assert_int_equal(m.ctx.fault.error, PFERR_FETCH);
}

static void takes_bytes_from_the_cpu(void **state)
{
	machine_start(EMUL_LONG64);
	memcpy(m.ctx.insn.bytes, "\x8b\x08", 2);
	m.ctx.insn.nr_bytes = 2;
	m.gpr[GPR_RAX] = 0x1000;
	assert_int_equal(emul_run(&m.ctx), EMUL_OK);
	assert_int_equal(m.fetches, 0);
	assert_int_equal(m.gpr[GPR_RCX], machine_mem(0x1000, 4));
}

static void limits_the_length_to_15(void **state)
{
	machine_start(EMUL_PROT32);
	assert_int_equal(RUN("\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x90"),
			 EMUL_OK);
	assert_int_equal(m.ctx.rip, CODE + 15);
	m.ctx.rip = CODE;
	FAULTS(X86_TRAP_GP, "\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x90");
}

static void checks_the_code_segment(void **state)
{
	machine_start(EMUL_PROT32);
	m.seg[SEG_CS].limit = CODE + 1;
	m.gpr[GPR_RAX] = 0x1000;
	assert_int_equal(RUN("\x8b\x08"), EMUL_OK);
	m.ctx.rip = CODE;
	FAULTS(X86_TRAP_GP, "\x8b\x48\x04");

	machine_start(EMUL_REAL); /* an instruction over the end of 64 KiB */
	m.seg[SEG_CS].base = 0x100;
	m.ctx.rip = 0xffff;
	m.ctx.segs_known = 0;
	m.ctx.insn.nr_bytes = 0;
	m.mem[0x100ff] = 0x8b;
	assert_int_equal(emul_run(&m.ctx), EMUL_FAULT);
	assert_int_equal(m.ctx.fault.vector, X86_TRAP_GP);
	assert_false(m.ctx.fault.has_error);
}

static void reports_what_it_does_not_know(void **state)
{
	machine_start(EMUL_LONG64);
	assert_int_equal(RUN("\x0f\x28\xc1"), EMUL_UNHANDLED); /* movaps */
	assert_true(m.ctx.insn.nr_bytes >= 2);
	assert_memory_equal(m.ctx.insn.bytes, "\x0f\x28", 2);
	assert_int_equal(m.ctx.rip, CODE);
	assert_int_equal(RUN("\x0f\xa2"), EMUL_UNHANDLED); /* cpuid: decoded, not executed */
	assert_int_equal(m.ctx.insn.op, OP_CPUID);
}

static void measures_instructions(void **state)
{
	machine_start(EMUL_LONG64);
	memcpy(m.mem + CODE, "\xf3\x0f\x01\xd9", 4);
	assert_int_equal(emul_insn_len(&m.ctx, OP_VMMCALL), 0);
	m.ctx.insn.nr_bytes = 0;
	assert_int_equal(emul_insn_len(&m.ctx, OP_VMMCALL), 0); /* with F3 it is none */
	m.ctx.insn.nr_bytes = 0;
	memcpy(m.mem + CODE, "\x48\x0f\x01\xd9", 4);
	assert_int_equal(emul_insn_len(&m.ctx, OP_VMMCALL), 4);
	m.ctx.insn.nr_bytes = 0;
	memcpy(m.mem + CODE, "\x44\x0f\x20\xc3", 4); /* mov %cr8,%rbx */
	assert_int_equal(emul_insn_len(&m.ctx, OP_MOV_FROM_CR), 4);
	assert_int_equal(m.ctx.insn.opnd[1].reg, 8);
	assert_int_equal(m.ctx.insn.opnd[0].reg, GPR_RBX);
	m.ctx.insn.nr_bytes = 0;
	memcpy(m.mem + CODE, "\x0f\x22\x18", 3); /* mov %rax,%cr3, whatever mod says */
	assert_int_equal(emul_insn_len(&m.ctx, OP_MOV_TO_CR), 3);
	assert_int_equal(m.ctx.insn.opnd[0].reg, 3);
	assert_int_equal(m.ctx.insn.opnd[1].reg, GPR_RAX);
}

/* --- pages ------------------------------------------------------------------------------------ */

static void writes_both_pages_or_none(void **state)
{
	machine_start(EMUL_LONG64);
	m.gpr[GPR_RAX] = 0x1ffe;
	m.gpr[GPR_RCX] = 0x1122334455667788;
	m.missing = MISSING(2);
	FAULTS(X86_TRAP_PF, "\x48\x89\x08"); /* mov %rcx,(%rax) */
	assert_int_equal(m.ctx.fault.cr2, 0x2000);
	assert_int_equal(m.ctx.fault.error, PFERR_WRITE);
	m.missing = 0;
	m.read_only = MISSING(2);
	FAULTS(X86_TRAP_PF, "\x48\x01\x08"); /* add: the read is one for a write */
	assert_int_equal(m.ctx.fault.error, PFERR_WRITE | PFERR_PRESENT);
	m.read_only = 0;
	assert_int_equal(RUN("\x48\x89\x08"), EMUL_OK);
	assert_int_equal(machine_mem(0x1ffe, 8), 0x1122334455667788);
	m.ctx.rip = CODE;
	assert_int_equal(RUN("\x48\x8b\x18"), EMUL_OK); /* mov (%rax),%rbx */
	assert_int_equal(m.gpr[GPR_RBX], 0x1122334455667788);
}

static void announces_writes_when_it_reads(void **state)
{
	machine_start(EMUL_LONG64);
	m.gpr[GPR_RAX] = 0x1000;
	assert_int_equal(RUN("\xf6\x00\x01"), EMUL_OK); /* testb $1,(%rax) */
	assert_int_equal(m.last_access, 0);
	m.ctx.rip = CODE;
	m.read_only = MISSING(1);
	assert_int_equal(RUN("\x80\x38\x01"), EMUL_OK); /* cmpb $1,(%rax) */
	m.ctx.rip = CODE;
	FAULTS(X86_TRAP_PF, "\x0f\xba\x28\x01"); /* bts $1,(%rax) */
	assert_int_equal(m.writes, 0);
}

static void accesses_devices_once_in_full_size(void **state)
{
	machine_start(EMUL_LONG64);
	m.gpr[GPR_RAX] = 0x1000;
	assert_int_equal(RUN("\xc7\x00\x78\x56\x34\x12"), EMUL_OK); /* movl $0x12345678,(%rax) */
	assert_int_equal(m.writes, 1);
	assert_int_equal(m.reads, 0);
	assert_int_equal(m.last_len, 4);
	assert_int_equal(m.last_write, 0x12345678);
	m.ctx.rip = CODE;
	m.gpr[GPR_RCX] = ~0ull;
	assert_int_equal(RUN("\x0f\xb6\x08"), EMUL_OK); /* movzbl (%rax),%ecx */
	assert_int_equal(m.reads, 1);
	assert_int_equal(m.last_len, 1);
	assert_int_equal(m.gpr[GPR_RCX], 0x78);
	m.ctx.rip = CODE;
	assert_int_equal(RUN("\xa1\x00\x10\0\0\0\0\0\0"), EMUL_OK); /* movabs 0x1000,%eax */
	assert_int_equal(m.gpr[GPR_RAX], 0x12345678);
}

/* --- canonical addresses ------------------------------------------------------------------------
 */

static void wants_canonical_addresses(void **state)
{
	machine_start(EMUL_LONG64);
	m.gpr[GPR_RAX] = 0x7ffffffffffe;
	FAULTS(X86_TRAP_GP, "\x8b\x08"); /* over the edge of the hole */
	assert_true(m.ctx.fault.has_error);
	m.gpr[GPR_RAX] = 0xffff7fffffffffff;
	FAULTS(X86_TRAP_GP, "\x8b\x08"); /* out of the hole */
	m.gpr[GPR_RBP] = 0x800000000000;
	FAULTS(X86_TRAP_SS, "\x8b\x4d\x00"); /* by way of the stack segment */
	m.gpr[GPR_RAX] = 0x800000000000;
	m.ctx.va_bits = 57;
	FAULTS(X86_TRAP_PF, "\x8b\x08"); /* not there, but canonical */
	m.gpr[GPR_RAX] = -2;
	m.mem[0] = 0xcd;
	m.mem[MEM_LEN + 0xffe] = 0xab;
	assert_int_equal(RUN("\x8b\x08"), EMUL_OK); /* around the end of the address space */
	assert_int_equal(m.gpr[GPR_RCX] & 0xff00ff, 0xcd00ab);
}

static void asks_for_the_segments_it_needs(void **state)
{
	machine_start(EMUL_LONG64);
	m.seg[SEG_GS].base = 0x1000;
	m.seg[SEG_DS].base = 0x5000; /* has no effect */
	m.gpr[GPR_RAX] = 0x234;
	assert_int_equal(RUN("\x8b\x08"), EMUL_OK);
	assert_int_equal(m.segments_asked, 0);
	assert_int_equal(m.gpr[GPR_RCX], machine_mem(0x234, 4));
	assert_int_equal(RUN("\x65\x8b\x08"), EMUL_OK);
	assert_int_equal(m.segments_asked, BIT(SEG_GS));
	assert_int_equal(m.gpr[GPR_RCX], machine_mem(0x1234, 4));
}

/* --- segments -----------------------------------------------------------------------------------
 */

static void checks_limits(void **state)
{
	machine_start(EMUL_PROT32);
	m.seg[SEG_DS].limit = 0xfff;
	m.seg[SEG_SS].limit = 0xfff;
	m.gpr[GPR_RAX] = 0xffc;
	assert_int_equal(RUN("\x8b\x08"), EMUL_OK);
	m.ctx.rip = CODE;
	m.gpr[GPR_RAX] = 0xffd;
	FAULTS(X86_TRAP_GP, "\x8b\x08");
	assert_int_equal(m.ctx.fault.error, 0);
	m.gpr[GPR_RBP] = 0xffd;
	FAULTS(X86_TRAP_SS, "\x8b\x4d\x00");
	m.gpr[GPR_RSP] = 0x1002;
	FAULTS(X86_TRAP_SS, "\x50"); /* push %eax */
}

static void checks_types(void **state)
{
	machine_start(EMUL_PROT32);
	m.gpr[GPR_RAX] = 0x1000;
	m.seg[SEG_DS].attr = 0x1 | SEG_ATTR_S | SEG_ATTR_P; /* read only */
	assert_int_equal(RUN("\x8b\x08"), EMUL_OK);
	m.ctx.rip = CODE;
	FAULTS(X86_TRAP_GP, "\x89\x08");
	FAULTS(X86_TRAP_GP, "\xff\x00");     /* incl */
	FAULTS(X86_TRAP_GP, "\x2e\x89\x08"); /* code is never writable */
	m.seg[SEG_CS].attr = 0x9 | SEG_ATTR_S | SEG_ATTR_P | SEG_ATTR_DB; /* execute only */
	FAULTS(X86_TRAP_GP, "\x2e\x8b\x08");
	m.seg[SEG_ES].attr = SEG_ATTR_UNUSABLE;
	FAULTS(X86_TRAP_GP, "\x26\x8b\x08");
	m.seg[SEG_SS].attr = 0;
	FAULTS(X86_TRAP_SS, "\x36\x8b\x08");
}

static void real_mode_ignores_types(void **state)
{
	machine_start(EMUL_REAL);
	m.gpr[GPR_RBX] = 0x1000;
	assert_int_equal(RUN("\x2e\x89\x0f"), EMUL_OK); /* mov %cx,%cs:(%bx) */
	m.ctx.rip = CODE;
	m.gpr[GPR_RBX] = 0xffff;
	FAULTS(X86_TRAP_GP, "\x8b\x0f"); /* a word at FFFF */
	assert_false(m.ctx.fault.has_error);
	m.seg[SEG_DS].limit = 0xffffffff; /* the big real mode of firmware */
	m.gpr[GPR_RBX] = 0x12345;
	assert_int_equal(RUN("\x67\x8b\x0b"), EMUL_OK); /* mov (%ebx),%cx */
	assert_int_equal(m.gpr[GPR_RCX], machine_mem(0x12345, 2));
	m.ctx.rip = CODE;
	FAULTS(X86_TRAP_UD, "\x0f\x00\xc0"); /* sldt */
	FAULTS(X86_TRAP_UD, "\x63\xc0");     /* arpl */
}

static void expands_down(void **state)
{
	machine_start(EMUL_PROT32);
	m.seg[SEG_DS].attr = 0x7 | SEG_ATTR_S | SEG_ATTR_P;
	m.seg[SEG_DS].limit = 0x1fff;
	m.gpr[GPR_RAX] = 0x1fff;
	FAULTS(X86_TRAP_GP, "\x8b\x08");
	m.gpr[GPR_RAX] = 0x2000;
	assert_int_equal(RUN("\x8b\x08"), EMUL_OK);
	m.ctx.rip = CODE;
	m.gpr[GPR_RAX] = 0xfffd; /* without B it ends at FFFF */
	FAULTS(X86_TRAP_GP, "\x8b\x08");
	m.seg[SEG_DS].attr |= SEG_ATTR_DB;
	assert_int_equal(RUN("\x8b\x08"), EMUL_OK);
}

/* --- wrapping
 * ------------------------------------------------------------------------------------- */

static void wraps_at_64k(void **state)
{
	machine_start(EMUL_REAL);
	m.gpr[GPR_RSP] = 0xabcd0000;
	m.gpr[GPR_RAX] = 0x1234;
	assert_int_equal(RUN("\x50"), EMUL_OK); /* push %ax */
	assert_int_equal(m.gpr[GPR_RSP], 0xabcdfffe);
	assert_int_equal(machine_mem(0xfffe, 2), 0x1234);
	assert_int_equal(RUN("\x5b"), EMUL_OK); /* pop %bx */
	assert_int_equal(m.gpr[GPR_RSP], 0xabcd0000);
	m.gpr[GPR_RSP] = 1; /* half of the word would be at FFFF, half beyond */
	FAULTS(X86_TRAP_SS, "\x50");
	m.gpr[GPR_RBX] = 0xfff0;
	m.gpr[GPR_RSI] = 0x0020;
	m.gpr[GPR_RCX] = 0;
	assert_int_equal(RUN("\x8b\x08"), EMUL_OK); /* mov (%bx,%si),%cx */
	assert_int_equal(m.gpr[GPR_RCX], machine_mem(0x10, 2));
	m.gpr[GPR_RSI] = 0xffffffff0000ffff;
	assert_int_equal(RUN("\xac"), EMUL_OK); /* lodsb */
	assert_int_equal(m.gpr[GPR_RSI], 0xffffffff00000000);
}

static void wraps_at_4g(void **state)
{
	machine_start(EMUL_PROT32);
	m.gpr[GPR_RAX] = 0xfffffffe;
	m.mem[MEM_LEN + 0xffe] = 0x11;
	m.mem[MEM_LEN + 0xfff] = 0x22;
	m.mem[0] = 0x33;
	m.mem[1] = 0x44;
	assert_int_equal(RUN("\x8b\x08"), EMUL_OK);
	assert_int_equal(m.gpr[GPR_RCX], 0x44332211);
	m.ctx.rip = CODE;
	m.missing = MISSING(0);
	FAULTS(X86_TRAP_PF, "\x89\x10");
	assert_int_equal(m.ctx.fault.cr2, 0);
	m.seg[SEG_DS].base = 0xfffff000; /* base plus offset wraps as well */
	m.gpr[GPR_RAX] = 0x2000;
	assert_int_equal(RUN("\x8b\x08"), EMUL_OK);
	assert_int_equal(m.gpr[GPR_RCX], machine_mem(0x1000, 4));
}

static void cuts_addresses_in_64_bit_mode(void **state)
{
	machine_start(EMUL_LONG64);
	m.gpr[GPR_RAX] = 0xffffffff00001000;
	assert_int_equal(RUN("\x67\x8b\x08"), EMUL_OK); /* mov (%eax),%ecx */
	assert_int_equal(m.gpr[GPR_RCX], machine_mem(0x1000, 4));
	m.ctx.rip = CODE;
	assert_int_equal(RUN("\x8b\x0d\xfa\x8f\xff\xff"), EMUL_OK); /* mov -0x7006(%rip),%ecx */
	assert_int_equal(m.gpr[GPR_RCX], machine_mem(0x1000, 4));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(fetches_no_more_than_it_needs),
		cmocka_unit_test(faults_on_the_second_page_of_the_code),
		cmocka_unit_test(takes_bytes_from_the_cpu),
		cmocka_unit_test(limits_the_length_to_15),
		cmocka_unit_test(checks_the_code_segment),
		cmocka_unit_test(reports_what_it_does_not_know),
		cmocka_unit_test(measures_instructions),
		cmocka_unit_test(writes_both_pages_or_none),
		cmocka_unit_test(announces_writes_when_it_reads),
		cmocka_unit_test(accesses_devices_once_in_full_size),
		cmocka_unit_test(wants_canonical_addresses),
		cmocka_unit_test(asks_for_the_segments_it_needs),
		cmocka_unit_test(checks_limits),
		cmocka_unit_test(checks_types),
		cmocka_unit_test(real_mode_ignores_types),
		cmocka_unit_test(expands_down),
		cmocka_unit_test(wraps_at_64k),
		cmocka_unit_test(wraps_at_4g),
		cmocka_unit_test(cuts_addresses_in_64_bit_mode),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
