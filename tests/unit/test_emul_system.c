/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The way out of real mode, and what lies behind it: descriptors, ports of programs, and the
 * registers of the system. What a program may do of that is compared with the CPU in
 * test_emul_native.c; here is what only a system may, and what must not have happened when it may
 * not.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/support/emul_machine.h"

static void real(void)
{
	machine_start(EMUL_REAL);
	machine_add_system();
}

/* --- descriptors ------------------------------------------------------------------------------ */

#define GDT 0x6000
#define LDT 0x7000

#define CODE32    0x00cf9a000000ffffull /* flat, not yet accessed */
#define DATA32    0x00cf92000000ffffull
#define AT_DPL(n) ((uint64_t)(n) << 45)
#define PRESENT   BIT_ULL(47)

/* Just switched to protected mode: 16-bit code in a real-mode CS. */
static void switched(void)
{
	machine_start(EMUL_PROT16);
	machine_add_system();
	m.cr[0] = CR0_PE;
	m.table[EMUL_GDT] = (struct desc_table){GDT, 0x7f};
	memset(m.mem + GDT, 0, 0x80);
	machine_set_mem(GDT + 0x08, CODE32, 8);
	machine_set_mem(GDT + 0x10, DATA32, 8);
	m.seg[SEG_LDTR].attr = SEG_ATTR_UNUSABLE;
}

static void selector_fault(unsigned vector, uint32_t error)
{
	assert_int_equal(m.ctx.fault.vector, vector);
	assert_true(m.ctx.fault.has_error);
	assert_int_equal(m.ctx.fault.error, error);
}

static void enters_protected_mode(void **state)
{
	switched();
	assert_int_equal(RUN("\x66\xea\x78\x56\x34\x12\x08\x00"), EMUL_OK);
	assert_int_equal(m.ctx.rip, 0x12345678);
	assert_int_equal(m.seg[SEG_CS].selector, 8);
	assert_int_equal(m.seg[SEG_CS].limit, 0xffffffff);
	assert_int_equal(m.seg[SEG_CS].attr, CODE_SEG | SEG_ATTR_DB | SEG_ATTR_G);
	assert_int_equal(machine_mem(GDT + 0x08, 8), CODE32 | BIT_ULL(40)); /* accessed */
	assert_int_equal(m.exchanges, 1);
	m.gpr[GPR_RAX] = 0x10;
	m.ctx.rip = CODE;
	assert_int_equal(RUN("\x8e\xd0"), EMUL_OK); /* mov %ax,%ss */
	assert_int_equal(m.seg[SEG_SS].attr, DATA_SEG | SEG_ATTR_DB | SEG_ATTR_G);
	assert_int_equal(RUN("\x8e\xd8"), EMUL_OK); /* accessed already: no second write */
	assert_int_equal(m.exchanges, 2);
}

static void sixteen_bit_bases_and_limits(void **state)
{
	switched();
	machine_set_mem(GDT + 0x18, 0x120092345678cdefull, 8);
	m.gpr[GPR_RAX] = 0x18;
	assert_int_equal(RUN("\x8e\xd8"), EMUL_OK);
	assert_int_equal(m.seg[SEG_DS].base, 0x12345678);
	assert_int_equal(m.seg[SEG_DS].limit, 0xcdef);
}

/* Somebody else changes the descriptor between its check and the accessed bit. */
static void descriptor_race_is_run_again(void **state)
{
	switched();
	m.other_cpu = true;
	m.gpr[GPR_RAX] = 0x10;
	assert_int_equal(RUN("\x8e\xd8"), EMUL_AGAIN);
	assert_int_equal(m.ctx.rip, CODE);
	assert_false(m.ctx.segs_dirty);
}

static void bad_targets_of_far_jumps(void **state)
{
	static const char jump[] = "\xea\x00\x00\x18\x00"; /* ljmp $0x18,$0 */

	switched();
	FAULTS(X86_TRAP_GP, "\xea\x00\x00\x03\x00"); /* null */
	selector_fault(X86_TRAP_GP, 0);
	FAULTS(X86_TRAP_GP, "\xea\x00\x00\x80\x00"); /* beyond the GDT */
	selector_fault(X86_TRAP_GP, 0x80);
	FAULTS(X86_TRAP_GP, "\xea\x00\x00\x0c\x00"); /* in an LDT that is not there */
	selector_fault(X86_TRAP_GP, 0x0c);
	FAULTS(X86_TRAP_GP, "\xea\x00\x00\x10\x00"); /* data */
	selector_fault(X86_TRAP_GP, 0x10);
	FAULTS(X86_TRAP_GP, "\xea\x00\x00\x0b\x00"); /* RPL 3 */
	machine_set_mem(GDT + 0x18, CODE32 | AT_DPL(3), 8);
	FAULTS(X86_TRAP_GP, "\xea\x00\x00\x18\x00");
	machine_set_mem(GDT + 0x18, CODE32 & ~PRESENT, 8);
	FAULTS(X86_TRAP_NP, "\xea\x00\x00\x18\x00");
	selector_fault(X86_TRAP_NP, 0x18);
	machine_set_mem(GDT + 0x18, 0x00008c0000000000ull, 8); /* a call gate */
	assert_int_equal(machine_run(jump, sizeof(jump) - 1), EMUL_UNHANDLED);
	machine_set_mem(GDT + 0x18, 0x0000820000000067ull, 8); /* an LDT */
	FAULTS(X86_TRAP_GP, "\xea\x00\x00\x18\x00");
	machine_set_mem(GDT + 0x18, 0x00009a0000000fffull, 8); /* 4 KiB of code */
	machine_set_mem(GDT + 0x1d, 0x9b, 1);
	FAULTS(X86_TRAP_GP, "\xea\x00\x10\x18\x00");
	selector_fault(X86_TRAP_GP, 0);
}

static void bad_data_segments(void **state)
{
	switched();
	m.gpr[GPR_RAX] = 0;
	FAULTS(X86_TRAP_GP, "\x8e\xd0");            /* null for SS */
	assert_int_equal(RUN("\x8e\xd8"), EMUL_OK); /* and for DS */
	assert_true(m.seg[SEG_DS].attr & SEG_ATTR_UNUSABLE);
	m.ctx.rip = CODE;
	m.gpr[GPR_RAX] = 8;
	FAULTS(X86_TRAP_GP, "\x8e\xd0"); /* code for SS */
	selector_fault(X86_TRAP_GP, 8);
	machine_set_mem(GDT + 0x18, DATA32 & ~PRESENT, 8);
	m.gpr[GPR_RAX] = 0x18;
	FAULTS(X86_TRAP_SS, "\x8e\xd0");
	selector_fault(X86_TRAP_SS, 0x18);
	FAULTS(X86_TRAP_NP, "\x8e\xd8");
	selector_fault(X86_TRAP_NP, 0x18);
	machine_set_mem(GDT + 0x18, DATA32 & ~BIT_ULL(41), 8); /* read only */
	FAULTS(X86_TRAP_GP, "\x8e\xd0");
	machine_set_mem(GDT + 0x18, CODE32 & ~BIT_ULL(41), 8); /* execute only */
	FAULTS(X86_TRAP_GP, "\x8e\xd8");
}

static void local_table_and_task_register(void **state)
{
	switched();
	machine_set_mem(GDT + 0x18, 0x0000820070000017ull, 8); /* LDT at 0x7000 */
	machine_set_mem(GDT + 0x20, 0x0000890050000067ull, 8);
	machine_set_mem(LDT + 0x10, DATA32, 8);
	m.gpr[GPR_RAX] = 0x18;
	assert_int_equal(RUN("\x0f\x00\xd0"), EMUL_OK); /* lldt %ax */
	assert_int_equal(m.seg[SEG_LDTR].base, LDT);
	m.gpr[GPR_RAX] = 0x14;
	assert_int_equal(RUN("\x8e\xd8"), EMUL_OK); /* from the LDT */
	assert_int_equal(machine_mem(LDT + 0x15, 1), 0x93);
	m.gpr[GPR_RAX] = 0x1c;
	FAULTS(X86_TRAP_GP, "\x8e\xd8"); /* behind its end */
	selector_fault(X86_TRAP_GP, 0x1c);
	m.gpr[GPR_RAX] = 0x20;
	assert_int_equal(RUN("\x0f\x00\xd8"), EMUL_OK); /* ltr %ax */
	assert_int_equal(m.seg[SEG_TR].attr, SEG_ATTR_P | 0xb);
	assert_int_equal(machine_mem(GDT + 0x25, 1), 0x8b); /* busy */
	FAULTS(X86_TRAP_GP, "\x0f\x00\xd8");                /* and so not once more */
	selector_fault(X86_TRAP_GP, 0x20);
	assert_int_equal(RUN("\x0f\x00\xc9"), EMUL_OK); /* str %cx */
	assert_int_equal(m.gpr[GPR_RCX], 0x20);
}

/* Long mode in one step: CR0 was written with PE and PG, CS is still of real mode. */
static void enters_64_bit_code(void **state)
{
	switched();
	m.ctx.lma = true;
	machine_set_mem(GDT + 0x18, 0x00209a0000000000ull, 8);
	assert_int_equal(RUN("\x66\xea\x78\x56\x34\x12\x18\x00"), EMUL_OK);
	assert_int_equal(m.seg[SEG_CS].attr, CODE_SEG | SEG_ATTR_L);
	assert_int_equal(m.ctx.rip, 0x12345678);
	m.ctx.rip = CODE;
	m.seg[SEG_CS] = (struct segment){.limit = 0xffff, .attr = CODE_SEG};
	machine_set_mem(GDT + 0x18, 0x00609b0000000000ull, 8); /* L and D at once */
	FAULTS(X86_TRAP_GP, "\x66\xea\x78\x56\x34\x12\x18\x00");
}

static void system_descriptors_of_long_mode(void **state)
{
	switched();
	m.ctx.lma = true;
	m.gpr[GPR_RAX] = 0x18;
	machine_set_mem(GDT + 0x18, 0x0000820070000017ull, 8);
	machine_set_mem(GDT + 0x20, 0x00007fff, 8);
	assert_int_equal(RUN("\x0f\x00\xd0"), EMUL_OK); /* lldt %ax */
	assert_int_equal(m.seg[SEG_LDTR].base, 0x7fff00007000);
	machine_set_mem(GDT + 0x20, 0x00008000, 8);
	FAULTS(X86_TRAP_GP, "\x0f\x00\xd0"); /* in the canonical hole */
	selector_fault(X86_TRAP_GP, 0x18);
	machine_set_mem(GDT + 0x20, 0x0000010000000000ull, 8);
	FAULTS(X86_TRAP_GP, "\x0f\x00\xd0"); /* a type in the second half */
	machine_set_mem(GDT + 0x18, 0x0000890050000067ull, 8);
	FAULTS(X86_TRAP_GP, "\x0f\x00\xd8"); /* ltr %ax */
	machine_set_mem(GDT + 0x20, 0x00008000, 8);
	FAULTS(X86_TRAP_GP, "\x0f\x00\xd8");
	selector_fault(X86_TRAP_GP, 0x18);
	machine_set_mem(GDT + 0x20, 0, 8);
	assert_int_equal(RUN("\x0f\x00\xd8"), EMUL_OK);
}

/* 32-bit code, with its LDT where only 64-bit code could look. */
static void tables_beyond_4_gib(void **state)
{
	switched();
	m.ctx.lma = true;
	m.window = 0x100010000ull;
	m.seg[SEG_LDTR] =
		(struct segment){.base = m.window + 0xffc, .limit = 0xff, .attr = SEG_ATTR_P | 2};
	m.gpr[GPR_RAX] = 0x4;
	machine_set_mem(0xffc, DATA32, 8);
	assert_int_equal(RUN("\x8e\xd8"), EMUL_OK); /* mov %ax,%ds */
	assert_int_equal(m.seg[SEG_DS].attr, DATA_SEG | SEG_ATTR_DB | SEG_ATTR_G);
}

/* --- the vendors ------------------------------------------------------------------------------ */

/* The page behind the stack is missing. */
static void stack_ends_at_5000(enum emul_mode mode, bool amd)
{
	switched();
	m.ctx.mode = mode;
	m.amd = amd;
	for (unsigned n = 0; n < NR_SEGS; n++)
		m.seg[n] = (struct segment){.limit = 0xffffffff, .attr = DATA_SEG | SEG_ATTR_DB};
	m.seg[SEG_CS].attr = CODE_SEG | (mode == EMUL_LONG64 ? SEG_ATTR_L : SEG_ATTR_DB);
	m.missing = MISSING(5);
}

static void slots_of_selectors(void **state)
{
	stack_ends_at_5000(EMUL_PROT32, false);
	m.gpr[GPR_RSP] = 0x4ffe;
	machine_set_mem(0x4ffe, 0x10, 2);
	assert_int_equal(RUN("\x1f"), EMUL_OK); /* pop %ds: two bytes are enough for Intel's CPUs */
	assert_int_equal(m.seg[SEG_DS].selector, 0x10);
	assert_int_equal(m.gpr[GPR_RSP], 0x5002);
	stack_ends_at_5000(EMUL_PROT32, true);
	m.gpr[GPR_RSP] = 0x4ffe;
	FAULTS(X86_TRAP_PF, "\x1f");
	assert_int_equal(m.ctx.fault.cr2, 0x5000);
	m.gpr[GPR_RSP] = 0x4ffa;
	machine_set_mem(0x4ffa, 0x1234, 4);
	machine_set_mem(0x4ffe, 8, 2);
	FAULTS(X86_TRAP_PF, "\xcb"); /* lret */
	m.amd = false;
	assert_int_equal(RUN("\xcb"), EMUL_OK);
	assert_int_equal(m.ctx.rip, 0x1234);
}

static void offsets_of_far_pointers(void **state)
{
	stack_ends_at_5000(EMUL_LONG64, false);
	machine_set_mem(0x4000, 0x12345678, 4);
	machine_set_mem(0x4004, 0x10, 4);
	machine_set_mem(0x4008, 0x10, 2);
	m.gpr[GPR_RSP] = 0x4000;
	assert_int_equal(RUN("\x48\x0f\xb5\x04\x24"), EMUL_OK); /* lgs (%rsp),%rax */
	assert_int_equal(m.gpr[GPR_RAX], 0x1012345678);
	m.amd = true;
	machine_set_mem(0x4008, 0xfff8, 2);
	assert_int_equal(RUN("\x48\x0f\xb5\x04\x24"), EMUL_OK);
	assert_int_equal(m.gpr[GPR_RAX], 0x12345678);
	assert_int_equal(m.seg[SEG_GS].selector, 0x10);
}

static void return_to_an_inner_level(void **state)
{
	stack_ends_at_5000(EMUL_PROT32, false);
	m.ctx.cpl = 3;
	m.gpr[GPR_RSP] = 0x4ff0;
	machine_set_mem(0x4ff4, 8, 4);
	FAULTS(X86_TRAP_GP, "\xca\x08\x00"); /* lret $8 */
	selector_fault(X86_TRAP_GP, 8);
	m.amd = true; /* to whom the outer stack is part of the frame all the same */
	FAULTS(X86_TRAP_PF, "\xca\x08\x00");
	assert_int_equal(m.ctx.fault.cr2, 0x5004);
	FAULTS(X86_TRAP_GP, "\xcb");
	selector_fault(X86_TRAP_GP, 8);
}

static void cr8_in_32_bit_code(void **state)
{
	switched();
	m.cr[8] = 5;
	FAULTS(X86_TRAP_UD, "\xf0\x0f\x20\xc0"); /* lock mov %cr0,%eax */
	m.amd = true;
	assert_int_equal(RUN("\xf0\x0f\x20\xc0"), EMUL_OK);
	assert_int_equal(m.gpr[GPR_RAX], 5);
	m.gpr[GPR_RAX] = 7;
	assert_int_equal(RUN("\xf0\x0f\x22\xc0"), EMUL_OK);
	assert_int_equal(m.cr[8], 7);
	assert_int_equal(m.cr[0], CR0_PE);
	FAULTS(X86_TRAP_UD, "\xf0\x0f\x22\xd8"); /* CR3 has no such name */
}

/* --- ports of programs ------------------------------------------------------------------------ */

#define TSS 0x5000

static void port_program(enum emul_mode mode)
{
	machine_start(mode);
	m.ctx.cpl = 3;
	m.seg[SEG_TR] = (struct segment){.base = TSS, .limit = 0x6a, .attr = SEG_ATTR_P | 0xb};
	machine_set_mem(TSS + 102, 0x68, 2);
	machine_set_mem(TSS + 0x68, 0xff7ffe, 3); /* ports 0 and 15 */
}

static void ports_by_bitmap(void **state)
{
	port_program(EMUL_PROT32);
	assert_int_equal(RUN("\xe4\x00"), EMUL_OK); /* in $0,%al */
	assert_int_equal(m.port_reads, 1);
	FAULTS(X86_TRAP_GP, "\xe4\x01");
	assert_int_equal(m.ctx.fault.error, 0);
	FAULTS(X86_TRAP_GP, "\xe5\x00"); /* in $0,%eax: of 1 to 3 none is allowed */
	FAULTS(X86_TRAP_GP, "\xe7\x0f");
	assert_int_equal(RUN("\xe6\x0f"), EMUL_OK); /* out %al,$15 */
	machine_set_mem(TSS + 0x6a, 0xf8, 1);
	assert_int_equal(RUN("\x66\xe7\x0f"), EMUL_OK); /* out %ax,$15: over the byte's end */
	assert_int_equal(m.port_writes, 2);
	FAULTS(X86_TRAP_GP, "\xe4\x10"); /* its two bytes are not both in the TSS */
	m.gpr[GPR_RDX] = 1;
	m.gpr[GPR_RDI] = 0x1000;
	FAULTS(X86_TRAP_GP, "\xee"); /* out %al,%dx */
	FAULTS(X86_TRAP_GP, "\x6c"); /* insb */
	FAULTS(X86_TRAP_GP, "\x6e"); /* outsb */
	assert_int_equal(m.port_reads, 1);
	assert_int_equal(m.port_writes, 2);
	m.ctx.rflags |= RFLAGS_IOPL;
	assert_int_equal(RUN("\xee"), EMUL_OK);
}

static void ports_of_virtual_8086_mode(void **state)
{
	port_program(EMUL_VM86);
	m.ctx.rflags |= RFLAGS_IOPL; /* counts for nothing */
	FAULTS(X86_TRAP_GP, "\xe4\x01");
	assert_int_equal(RUN("\xe4\x00"), EMUL_OK);
}

static void no_ports_without_a_bitmap(void **state)
{
	port_program(EMUL_PROT32);
	m.seg[SEG_TR].limit = 102;
	FAULTS(X86_TRAP_GP, "\xe4\x00");
	m.seg[SEG_TR].limit = 0x6a;
	m.seg[SEG_TR].attr = SEG_ATTR_P | 3; /* of 16 bits */
	FAULTS(X86_TRAP_GP, "\xe4\x00");
	m.seg[SEG_TR].attr = SEG_ATTR_UNUSABLE;
	FAULTS(X86_TRAP_GP, "\xe4\x00");
	m.seg[SEG_TR].attr = SEG_ATTR_P | 0xb;
	machine_set_mem(TSS + 102, 0xffff, 2);
	FAULTS(X86_TRAP_GP, "\xe4\x00");
	machine_set_mem(TSS + 102, 0x68, 2);
	m.missing = MISSING(5);
	FAULTS(X86_TRAP_PF, "\xe4\x00");
}

/* --- registers of the system ------------------------------------------------------------------ */

static void table_registers(void **state)
{
	real();
	machine_set_mem(0x100, 0x1234, 2);
	machine_set_mem(0x102, 0x89abcdef, 4);
	assert_int_equal(RUN("\x0f\x01\x16\x00\x01"), EMUL_OK); /* lgdt 0x100: 24 bits */
	assert_int_equal(m.table[EMUL_GDT].limit, 0x1234);
	assert_int_equal(m.table[EMUL_GDT].base, 0xabcdef);
	assert_int_equal(RUN("\x66\x0f\x01\x1e\x00\x01"), EMUL_OK); /* lidtl 0x100 */
	assert_int_equal(m.table[EMUL_IDT].base, 0x89abcdef);
	assert_int_equal(RUN("\x0f\x01\x0e\x00\x02"), EMUL_OK); /* sidt 0x200: all of it */
	assert_int_equal(machine_mem(0x200, 6), 0x89abcdef1234);
}

static void control_registers(void **state)
{
	real();
	m.cr[0] = CR0_ET;
	m.gpr[GPR_RAX] = CR0_ET | CR0_PE;
	assert_int_equal(RUN("\x0f\x22\xc0"), EMUL_OK); /* mov %eax,%cr0 */
	assert_int_equal(m.cr[0], CR0_ET | CR0_PE);
	m.gpr[GPR_RBX] = CR0_TS;
	assert_int_equal(RUN("\x0f\x01\xf3"), EMUL_OK); /* lmsw %bx: PE stays */
	assert_int_equal(m.cr[0], CR0_ET | CR0_PE | CR0_TS);
	assert_int_equal(RUN("\x0f\x01\xe1"), EMUL_OK); /* smsw %cx */
	assert_int_equal(m.gpr[GPR_RCX], CR0_ET | CR0_PE | CR0_TS);
	assert_int_equal(RUN("\x0f\x06"), EMUL_OK); /* clts */
	assert_int_equal(m.cr[0], CR0_ET | CR0_PE);
	assert_int_equal(RUN("\x0f\x20\xc2"), EMUL_OK); /* mov %cr0,%edx */
	assert_int_equal(m.gpr[GPR_RDX], CR0_ET | CR0_PE);
}

static void debug_registers(void **state)
{
	real();
	m.gpr[GPR_RAX] = 0x400;
	assert_int_equal(RUN("\x0f\x23\xe8"), EMUL_OK); /* mov %eax,%dr5, which is DR7 */
	assert_int_equal(m.dr[7], 0x400);
	m.cr[4] = CR4_DE;
	FAULTS(X86_TRAP_UD, "\x0f\x23\xe8");
	m.dr[7] = DR7_GD;
	assert_int_equal(RUN("\x0f\x21\xc3"), EMUL_FAULT); /* mov %dr0,%ebx */
	assert_int_equal(m.ctx.fault.vector, X86_TRAP_DB);
	assert_int_equal(m.dr[7], 0); /* so that the handler may */
	assert_int_equal(m.dr[6], DR6_BD);
}

static void programs_may_not(void **state)
{
	machine_start(EMUL_PROT32);
	machine_add_system();
	m.ctx.cpl = 3;
	FAULTS(X86_TRAP_GP, "\x0f\x20\xc0");           /* mov %cr0,%eax */
	FAULTS(X86_TRAP_GP, "\x0f\x22\xc0");           /* mov %eax,%cr0 */
	FAULTS(X86_TRAP_GP, "\x0f\x23\xc0");           /* mov %eax,%dr0 */
	FAULTS(X86_TRAP_GP, "\x0f\x06");               /* clts */
	FAULTS(X86_TRAP_GP, "\x0f\x01\xf0");           /* lmsw %ax */
	FAULTS(X86_TRAP_GP, "\x0f\x01\x15\0\x10\0\0"); /* lgdt */
	FAULTS(X86_TRAP_GP, "\x0f\x00\xd0");           /* lldt %ax */
	FAULTS(X86_TRAP_GP, "\x0f\x00\xd8");           /* ltr %ax */
	FAULTS(X86_TRAP_GP, "\xf4");                   /* hlt */
	FAULTS(X86_TRAP_GP, "\x0f\x32");               /* rdmsr */
	FAULTS(X86_TRAP_GP, "\x0f\x09");               /* wbinvd */
	assert_int_equal(m.system_insn, 0);
	assert_int_equal(RUN("\x0f\x01\xe0"), EMUL_OK); /* smsw %eax */
	m.cr[4] = CR4_UMIP;
	FAULTS(X86_TRAP_GP, "\x0f\x01\xe0");
	FAULTS(X86_TRAP_GP, "\x0f\x01\x05\0\x10\0\0"); /* sgdt */
	assert_int_equal(RUN("\x0f\xa2"), EMUL_OK);    /* cpuid */
	assert_int_equal(m.system_insn, OP_CPUID);
}

static void owner_gets_the_rest(void **state)
{
	real();
	assert_int_equal(RUN("\xf4"), EMUL_OK);
	assert_int_equal(m.system_insn, OP_HLT);
	assert_int_equal(m.ctx.rip, CODE + 1);
	FAULTS(X86_TRAP_UD, "\x0f\x00\xc0"); /* sldt: not in real mode */
	FAULTS(X86_TRAP_UD, "\x0f\x03\xc0"); /* lsl */
	FAULTS(X86_TRAP_UD, "\xf0\x0f\x22\xc0");
}

static void fpu_as_firmware_asks_for_it(void **state)
{
	real();
	assert_int_equal(RUN("\xdb\xe3"), EMUL_OK);         /* fninit */
	assert_int_equal(RUN("\xd9\x3e\x00\x01"), EMUL_OK); /* fnstcw 0x100 */
	assert_int_equal(machine_mem(0x100, 2), 0x37f);
	m.gpr[GPR_RAX] = 0xffff;
	assert_int_equal(RUN("\xdf\xe0"), EMUL_OK); /* fnstsw %ax */
	assert_int_equal(m.gpr[GPR_RAX], 0);
	m.cr[0] = CR0_EM;
	FAULTS(X86_TRAP_NM, "\xdb\xe3");
	m.cr[0] = CR0_TS;
	FAULTS(X86_TRAP_NM, "\xd9\x3e\x00\x01");
	assert_int_equal(RUN("\x9b"), EMUL_OK); /* fwait: with MP only */
	m.cr[0] = CR0_TS | CR0_MP;
	FAULTS(X86_TRAP_NM, "\x9b");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(enters_protected_mode),
		cmocka_unit_test(sixteen_bit_bases_and_limits),
		cmocka_unit_test(descriptor_race_is_run_again),
		cmocka_unit_test(bad_targets_of_far_jumps),
		cmocka_unit_test(bad_data_segments),
		cmocka_unit_test(local_table_and_task_register),
		cmocka_unit_test(enters_64_bit_code),
		cmocka_unit_test(system_descriptors_of_long_mode),
		cmocka_unit_test(tables_beyond_4_gib),
		cmocka_unit_test(slots_of_selectors),
		cmocka_unit_test(offsets_of_far_pointers),
		cmocka_unit_test(return_to_an_inner_level),
		cmocka_unit_test(cr8_in_32_bit_code),
		cmocka_unit_test(ports_by_bitmap),
		cmocka_unit_test(ports_of_virtual_8086_mode),
		cmocka_unit_test(no_ports_without_a_bitmap),
		cmocka_unit_test(table_registers),
		cmocka_unit_test(control_registers),
		cmocka_unit_test(debug_registers),
		cmocka_unit_test(programs_may_not),
		cmocka_unit_test(owner_gets_the_rest),
		cmocka_unit_test(fpu_as_firmware_asks_for_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
