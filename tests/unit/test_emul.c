/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The emulator at its edges: what must not have happened when an instruction faults, where
 * segments, pages and address spaces end, what LOCK may stand before, and how strings yield.
 * What an instruction computes is test_emul_native.c's matter.
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
