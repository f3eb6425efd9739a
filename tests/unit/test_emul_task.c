/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Task switches: what of a task is saved and loaded, busy flags and links, and each fault with the
 * state that the manual wants it to find: the old task's, or the new one's (SDM volume 3, 7.3).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/support/emul_machine.h"

/* Each in a page of its own. */
#define GDT   0x6000
#define IDT   0x7000
#define OLD   0x9000
#define NEW   0xa000
#define LDT   0xb000
#define STACK 0xd000

#define PAGE(addr) MISSING((addr) >> PAGE_SHIFT)

enum {
	SEL_CODE = 0x08,
	SEL_DATA = 0x10,
	SEL_OLD = 0x18,
	SEL_NEW = 0x20,
	SEL_LDT = 0x28,
	SEL_GATE = 0x30,
	SEL_UCODE = 0x3b,
	SEL_UDATA = 0x43,
	SEL_BAD = 0x48,
	SEL_OUTSIDE = 0x80,
	SEL_LOCAL = 0x0c, /* in the LDT */
};

#define CODE32    0x00cf9b000000ffffull /* flat, accessed */
#define DATA32    0x00cf93000000ffffull
#define DPL3      (3ull << 45)
#define PRESENT   BIT_ULL(47)
#define GATE_TYPE 0x85
#define BUSY      2

#define CALL   "\x9a\0\0\0\0\x20\0"
#define JUMP   "\xea\0\0\0\0\x20\0"
#define IRET   "\xcf"
#define CALL_N (CODE + 7) /* behind it */

/* Offsets in a 32-bit TSS. */
enum { CR3 = 0x1c, EIP = 0x20, EFLAGS = 0x24, EAX = 0x28, ESP = 0x38, ES = 0x48, CS = 0x4c };
enum { SS = 0x50, DS = 0x54, FS = 0x58, GS = 0x5c, LDTR = 0x60, TRAP = 0x64 };
/* And in one of 16 bits. */
enum { IP16 = 0x0e, FLAGS16 = 0x10, AX16 = 0x12, SP16 = 0x1a, ES16 = 0x22, LDT16 = 0x2a };

static void set_gdt(unsigned selector, uint64_t descriptor)
{
	machine_set_mem(GDT + (selector & ~7u), descriptor, 8);
}

static void set_system(unsigned selector, unsigned base, unsigned limit, uint8_t access)
{
	set_gdt(selector, limit | (uint64_t)base << 16 | (uint64_t)access << 40);
}

static unsigned access_of(unsigned selector)
{
	return (unsigned)machine_mem(GDT + (selector & ~7u) + 5, 1);
}

static void set_field(unsigned field, uint32_t val)
{
	machine_set_mem(NEW + field, val, 4);
}

static void set_segment(enum seg seg, uint16_t selector, uint16_t attr)
{
	m.seg[seg] = (struct segment){
		.selector = selector, .limit = 0xffffffff, .attr = attr | SEG_ATTR_DB | SEG_ATTR_G};
}

static void set_old_tss(uint8_t type, uint32_t limit)
{
	set_system(SEL_OLD, OLD, limit, 0x80 | type);
	m.seg[SEG_TR] = (struct segment){
		.selector = SEL_OLD, .base = OLD, .limit = limit, .attr = SEG_ATTR_P | type};
}

static int begin(void **state)
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
	set_gdt(SEL_CODE, CODE32);
	set_gdt(SEL_DATA, DATA32);
	set_gdt(SEL_UCODE, CODE32 | DPL3);
	set_gdt(SEL_UDATA, DATA32 | DPL3);
	set_system(SEL_NEW, NEW, 0x67, 0x89);
	set_system(SEL_LDT, LDT, 0x17, 0x82);
	set_old_tss(0xb, 0x67);
	for (enum seg seg = SEG_ES; seg <= SEG_GS; seg++)
		set_segment(seg, SEL_DATA, DATA_SEG);
	set_segment(SEG_CS, SEL_CODE, CODE_SEG);
	m.seg[SEG_LDTR] = (struct segment){.attr = SEG_ATTR_UNUSABLE};
	for (unsigned i = GPR_RAX; i <= GPR_RDI; i++)
		m.gpr[i] = 0x1000000 * i + 0x4000;
	m.gpr[GPR_RSP] = 0x4000;
	m.ctx.rflags = RFLAGS_FIXED | RFLAGS_CF | RFLAGS_TF;
	set_field(CR3, 0x2000);
	set_field(EIP, 0x12345);
	set_field(EFLAGS, RFLAGS_FIXED | RFLAGS_ZF);
	for (unsigned i = GPR_RAX; i <= GPR_RDI; i++)
		set_field(EAX + 4 * i, 0x77000000 + i);
	set_field(ESP, STACK);
	for (unsigned i = SEG_ES; i <= SEG_GS; i++)
		set_field(ES + 4 * i, i == SEG_CS ? SEL_CODE : SEL_DATA);
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

/* An exception with an error code, at the instruction at `rip`. */
static int deliver(uint32_t error)
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

static void old_task_is_saved(uint32_t eip, uint64_t eflags)
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

static void new_task_has_its_registers(uint64_t eflags)
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

static void new_task_has_its_segments(void)
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

/* --- the ways into a task --------------------------------------------------------------------- */

static void call_nests(void **state)
{
	assert_int_equal(RUN(CALL), EMUL_OK);
	old_task_is_saved(CALL_N, RFLAGS_FIXED | RFLAGS_CF | RFLAGS_TF);
	new_task_has_its_registers(RFLAGS_FIXED | RFLAGS_ZF | RFLAGS_NT);
	new_task_has_its_segments();
	assert_int_equal(m.gpr[GPR_RSP], STACK);
	assert_int_equal(machine_mem(NEW, 2), SEL_OLD);
	assert_int_equal(access_of(SEL_OLD), 0x8b);
	assert_int_equal(access_of(SEL_NEW), 0x8b);
}

static void jump_leaves_for_good(void **state)
{
	m.ctx.rflags |= RFLAGS_NT | RFLAGS_RF;
	assert_int_equal(RUN(JUMP), EMUL_OK);
	old_task_is_saved(CALL_N, RFLAGS_FIXED | RFLAGS_CF | RFLAGS_TF | RFLAGS_NT);
	new_task_has_its_registers(RFLAGS_FIXED | RFLAGS_ZF);
	new_task_has_its_segments();
	assert_int_equal(machine_mem(NEW, 2), 0);
	assert_int_equal(access_of(SEL_OLD), 0x89);
	assert_int_equal(access_of(SEL_NEW), 0x8b);
}

static void iret_returns(void **state)
{
	m.ctx.rflags |= RFLAGS_NT;
	machine_set_mem(OLD, SEL_NEW, 2);
	set_system(SEL_NEW, NEW, 0x67, 0x8b);
	set_field(EFLAGS, RFLAGS_ZF | RFLAGS_RF | RFLAGS_NT); /* what the new task's own says */
	assert_int_equal(RUN(IRET), EMUL_OK);
	old_task_is_saved(CODE + 1, RFLAGS_FIXED | RFLAGS_CF | RFLAGS_TF);
	new_task_has_its_registers(RFLAGS_FIXED | RFLAGS_ZF | RFLAGS_RF | RFLAGS_NT);
	new_task_has_its_segments();
	assert_int_equal(access_of(SEL_OLD), 0x89);
	assert_int_equal(access_of(SEL_NEW), 0x8b);
	assert_int_equal(machine_mem(OLD, 2), SEL_NEW);
}

static void gates_lead_to_tasks(void **state)
{
	set_gdt(SEL_GATE, (uint64_t)SEL_NEW << 16 | (uint64_t)GATE_TYPE << 40);
	assert_int_equal(RUN("\xea\0\0\0\0\x30\0"), EMUL_OK);
	new_task_has_its_segments();
	assert_int_equal(access_of(SEL_OLD), 0x89);
	begin(NULL);
	machine_set_mem(IDT + 8 * 0x90, (uint64_t)SEL_NEW << 16 | (uint64_t)GATE_TYPE << 40, 8);
	assert_int_equal(RUN("\xcd\x90"), EMUL_OK);
	old_task_is_saved(CODE + 2, RFLAGS_FIXED | RFLAGS_CF | RFLAGS_TF);
	new_task_has_its_registers(RFLAGS_FIXED | RFLAGS_ZF | RFLAGS_NT);
	assert_int_equal(machine_mem(NEW, 2), SEL_OLD);
	assert_int_equal(m.gpr[GPR_RSP], STACK); /* no error code */
}

static void events_come_with_their_error_code(void **state)
{
	m.ctx.rflags |= RFLAGS_RF; /* of a fault: kept in the image */
	assert_int_equal(deliver(0xabcd), EMUL_OK);
	old_task_is_saved(CODE, RFLAGS_FIXED | RFLAGS_CF | RFLAGS_TF | RFLAGS_RF);
	new_task_has_its_registers(RFLAGS_FIXED | RFLAGS_ZF | RFLAGS_NT);
	assert_int_equal(m.gpr[GPR_RSP], STACK - 4);
	assert_int_equal(machine_mem(STACK - 4, 4), 0xabcd);
	begin(NULL);
	set_system(SEL_NEW, NEW, 0x2b, 0x81);
	memset(m.mem + NEW, 0, 0x68);
	machine_set_mem(NEW + SP16, STACK, 2);
	machine_set_mem(NEW + ES16 + 2, SEL_CODE, 2);
	machine_set_mem(NEW + ES16 + 4, SEL_DATA, 2);
	machine_set_mem(STACK - 4, 0x11111111, 4);
	assert_int_equal(deliver(0xabcd), EMUL_OK);
	assert_int_equal(m.gpr[GPR_RSP], STACK - 2);
	assert_int_equal(machine_mem(STACK - 4, 4), 0xabcd1111);
}

static void programs_need_the_privilege(void **state)
{
	uint64_t gate = (uint64_t)SEL_NEW << 16 | (uint64_t)GATE_TYPE << 40;

	m.ctx.cpl = 3;
	FAULTS(X86_TRAP_GP, CALL);
	assert_int_equal(m.ctx.fault.error, SEL_NEW);
	set_gdt(SEL_GATE, gate);
	FAULTS(X86_TRAP_GP, "\x9a\0\0\0\0\x30\0");
	assert_int_equal(m.ctx.fault.error, SEL_GATE);
	machine_set_mem(IDT + 8 * 0x90, gate, 8);
	machine_set_mem(IDT + 8 * X86_TRAP_DB, gate, 8);
	FAULTS(X86_TRAP_GP, "\xcd\x90");
	assert_int_equal(m.ctx.fault.error, 0x90 * 8 + 2);
	assert_int_equal(RUN("\xf1"), EMUL_OK); /* INT1 may always */
	begin(NULL);
	m.ctx.cpl = 3;
	set_gdt(SEL_GATE, gate | DPL3);
	assert_int_equal(RUN("\x9a\0\0\0\0\x33\0"), EMUL_OK);
	assert_int_equal(m.ctx.cpl, 0);
	begin(NULL);
	FAULTS(X86_TRAP_GP, "\x9a\0\0\0\0\x23\0"); /* RPL 3 */
	assert_int_equal(m.ctx.fault.error, SEL_NEW);
}

static void other_gates_are_not_for_us(void **state)
{
	set_gdt(SEL_GATE, 0x00008c0000000000ull); /* a call gate */
	assert_int_equal(RUN("\x9a\0\0\0\0\x30\0"), EMUL_UNHANDLED);
	machine_set_mem(IDT + 8 * 0x90, 0x00008e0000080000ull, 8);
	assert_int_equal(RUN("\xcd\x90"), EMUL_UNHANDLED);
	m.ctx.rflags |= RFLAGS_NT | RFLAGS_VM; /* NT means nothing there */
	m.ctx.mode = EMUL_VM86;
	assert_int_equal(RUN("\xcd\x90"), EMUL_UNHANDLED);
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
	assert_int_equal(RUN("\xcd\x90"), EMUL_UNHANDLED);
}

/* --- other kinds of tasks ----------------------------------------------------------------------
 */

static void sixteen_bits_are_loaded_and_saved(void **state)
{
	set_system(SEL_NEW, NEW, 0x2b, 0x81);
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
	assert_int_equal(access_of(SEL_NEW), 0x83);
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
	assert_int_equal(access_of(SEL_NEW), 0x81);
}

static void tasks_of_the_8086(void **state)
{
	set_field(EFLAGS, RFLAGS_VM | RFLAGS_IOPL);
	set_field(EIP, 0xffff);
	for (unsigned i = SEG_ES; i <= SEG_GS; i++)
		set_field(ES + 4 * i, 0x1000 + i);
	set_field(LDTR, SEL_LDT);
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
	begin(NULL);
	set_field(EFLAGS, RFLAGS_VM | RFLAGS_IOPL);
	set_field(EIP, 0x10000);
	assert_int_equal(RUN(CALL), EMUL_FAULT);
	assert_int_equal(m.ctx.fault.vector, X86_TRAP_GP);
	assert_int_equal(m.ctx.mode, EMUL_VM86);
	/* An event of protected mode ends it; its segments are saved like any. */
	begin(NULL);
	m.ctx.mode = EMUL_VM86;
	m.ctx.cpl = 3;
	m.ctx.rflags |= RFLAGS_VM;
	m.seg[SEG_DS].selector = 0x1234;
	assert_int_equal(deliver(0), EMUL_OK);
	assert_int_equal(machine_mem(OLD + DS, 2), 0x1234);
	assert_true(machine_mem(OLD + EFLAGS, 4) & RFLAGS_VM);
	new_task_has_its_segments();
}

static void programs_are_tasks(void **state)
{
	set_field(CS, SEL_UCODE);
	set_field(SS, SEL_UDATA);
	for (unsigned field = DS; field <= GS; field += 4)
		set_field(field, 0);
	set_field(ES, SEL_LOCAL | 3);
	set_field(LDTR, SEL_LDT);
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
	set_system(SEL_NEW, NEW, 0x67, 0x8b);
	REFUSED(X86_TRAP_GP, SEL_NEW, CALL);
	REFUSED(X86_TRAP_GP, SEL_NEW, JUMP);
	set_system(SEL_NEW, NEW, 0x67, 0x09);
	REFUSED(X86_TRAP_NP, SEL_NEW, CALL);
	set_system(SEL_NEW, NEW, 0x66, 0x89);
	REFUSED(X86_TRAP_TS, SEL_NEW, CALL);
	set_system(SEL_NEW, NEW, 0x2a, 0x81);
	REFUSED(X86_TRAP_TS, SEL_NEW, JUMP);
	set_gdt(SEL_GATE, (uint64_t)SEL_NEW << 16 | 0x05ull << 40);
	REFUSED(X86_TRAP_NP, SEL_GATE, "\x9a\0\0\0\0\x30\0");
	set_gdt(SEL_GATE, (uint64_t)SEL_DATA << 16 | (uint64_t)GATE_TYPE << 40);
	REFUSED(X86_TRAP_GP, SEL_DATA, "\x9a\0\0\0\0\x30\0");
	set_gdt(SEL_GATE, (uint64_t)SEL_OUTSIDE << 16 | (uint64_t)GATE_TYPE << 40);
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
		set_system(SEL_NEW, NEW, 0x67, cases[i].access);
		REFUSED(cases[i].vector, cases[i].link, IRET);
	}
	m.missing = PAGE(OLD);
	FAULTS(X86_TRAP_PF, IRET);
}

static void a_short_old_tss_is_bad(void **state)
{
	set_old_tss(0xb, 0x66);
	REFUSED(X86_TRAP_TS, SEL_OLD, CALL);
	set_old_tss(0x3, 0x2a);
	REFUSED(X86_TRAP_TS, SEL_OLD, JUMP);
	set_old_tss(0x3, 0x2b);
	assert_int_equal(RUN(JUMP), EMUL_OK);
	assert_int_equal(access_of(SEL_OLD), 0x81);
	begin(NULL); /* whose descriptor has gone */
	m.table[EMUL_GDT].limit = 0x67;
	set_old_tss(0xb, 0x67);
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
		begin(NULL);
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
	begin(NULL); /* the busy flag that goes */
	m.ctx.rflags |= RFLAGS_NT;
	machine_set_mem(OLD, SEL_NEW, 2);
	set_system(SEL_NEW, NEW, 0x67, 0x8b);
	m.read_only = PAGE(GDT);
	REFUSED(X86_TRAP_PF, PFERR_WRITE | PFERR_PRESENT, IRET);
}

/* Both halves of a TSS that straddles two pages; every split of its fields works. */
static void tss_across_pages(void **state)
{
	uint8_t tss[0x68];

	for (unsigned split = 1; split < 0x68; split++) {
		unsigned at = NEW + PAGE_SIZE - split;

		begin(NULL);
		memcpy(tss, m.mem + NEW, sizeof(tss));
		memcpy(m.mem + at, tss, sizeof(tss));
		set_system(SEL_NEW, at, 0x67, 0x89);
		m.missing = PAGE(NEW + PAGE_SIZE);
		REFUSED(X86_TRAP_PF, 0, CALL);
		assert_int_equal(m.ctx.fault.cr2, NEW + PAGE_SIZE);
		m.missing = 0;
		assert_int_equal(RUN(CALL), EMUL_OK);
		new_task_has_its_segments();
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
	assert_int_equal(access_of(SEL_OLD), 0x8b);
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
	old_task_is_saved(CALL_N, RFLAGS_FIXED | RFLAGS_CF | RFLAGS_TF);
	new_task_has_its_registers(RFLAGS_FIXED | RFLAGS_ZF | RFLAGS_NT);
	assert_int_equal(machine_mem(NEW, 2), SEL_OLD);
	assert_int_equal(access_of(SEL_NEW), 0x8b);
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
		begin(NULL);
		set_gdt(SEL_BAD, cases[i].descriptor);
		set_field(cases[i].field, cases[i].selector);
		new_task_faults(cases[i].vector, cases[i].selector & ~3u);
	}
}

/* A register that was not loaded any more has its selector, and CS and SS tell the CPL. */
static void segments_behind_a_bad_one(void **state)
{
	set_field(CS, SEL_UCODE);
	set_field(SS, SEL_DATA);
	new_task_faults(X86_TRAP_TS, SEL_DATA);
	assert_int_equal(m.ctx.cpl, 3);
	assert_int_equal(m.ctx.seg[SEG_CS].limit, 0xffffffff);
	assert_int_equal(m.ctx.seg[SEG_SS].attr, SEG_ATTR_UNUSABLE | SEG_ATTR_DPL);
	assert_int_equal(m.ctx.seg[SEG_DS].attr, SEG_ATTR_UNUSABLE);
	begin(NULL);
	set_field(CS, SEL_OUTSIDE | 3);
	new_task_faults(X86_TRAP_TS, SEL_OUTSIDE);
	assert_int_equal(m.ctx.seg[SEG_CS].attr, CODE_SEG | SEG_ATTR_DPL);
	assert_int_equal(m.ctx.seg[SEG_CS].limit, 0);
	assert_int_equal(m.ctx.seg[SEG_SS].attr, SEG_ATTR_UNUSABLE | SEG_ATTR_DPL);
}

static void pages_of_the_new_task(void **state)
{
	/* Its LDT, from which CS is to come. */
	set_field(LDTR, SEL_LDT);
	set_field(CS, SEL_LOCAL);
	m.missing = PAGE(LDT);
	new_task_faults(X86_TRAP_PF, 0);
	assert_int_equal(m.ctx.fault.cr2, LDT + 8);
	assert_int_equal(m.ctx.seg[SEG_LDTR].base, LDT);
	/* An accessed bit that cannot be written. */
	begin(NULL);
	set_field(LDTR, SEL_LDT);
	set_field(DS, SEL_LOCAL);
	machine_set_mem(LDT + 8, DATA32 & ~BIT_ULL(40), 8);
	m.read_only = PAGE(LDT);
	new_task_faults(X86_TRAP_PF, PFERR_WRITE | PFERR_PRESENT);
	/* The stack for the error code. */
	begin(NULL);
	m.missing = PAGE(STACK - 4);
	assert_int_equal(deliver(0x18), EMUL_FAULT);
	assert_int_equal(m.ctx.fault.vector, X86_TRAP_PF);
	assert_int_equal(m.ctx.fault.error, PFERR_WRITE); /* no EXT in this one */
	new_task_has_its_registers(RFLAGS_FIXED | RFLAGS_ZF | RFLAGS_NT);
	assert_int_equal(m.gpr[GPR_RSP], STACK);
}

static void no_room_for_the_error_code(void **state)
{
	set_gdt(SEL_BAD, 0x0040930000000fffull);
	set_field(SS, SEL_BAD);
	assert_int_equal(deliver(0x18), EMUL_FAULT);
	assert_int_equal(m.ctx.fault.vector, X86_TRAP_SS);
	assert_int_equal(m.ctx.fault.error, 1);
	assert_int_equal(m.gpr[GPR_RSP], STACK);
}

static void instruction_pointer_beyond_the_segment(void **state)
{
	set_gdt(SEL_BAD, 0x00409b0000002344ull);
	set_field(CS, SEL_BAD);
	new_task_faults(X86_TRAP_GP, 0);
	begin(NULL);
	set_gdt(SEL_BAD, 0x00419b0000002345ull);
	set_field(CS, SEL_BAD);
	assert_int_equal(RUN(CALL), EMUL_OK);
}

static void events_from_outside_say_so(void **state)
{
	set_field(DS, SEL_OUTSIDE);
	assert_int_equal(deliver(0), EMUL_FAULT);
	assert_int_equal(m.ctx.fault.error, SEL_OUTSIDE | 1);
	begin(NULL);
	set_system(SEL_NEW, NEW, 0x67, 0x8b);
	assert_int_equal(deliver(0), EMUL_FAULT);
	assert_int_equal(m.ctx.fault.vector, X86_TRAP_GP);
	assert_int_equal(m.ctx.fault.error, SEL_NEW | 1);
	assert_int_equal(m.ctx.segs_dirty, 0);
}

static void trap_flag_is_a_trap(void **state)
{
	set_field(TRAP, 1);
	assert_int_equal(deliver(0x18), EMUL_FAULT);
	assert_int_equal(m.ctx.fault.vector, X86_TRAP_DB);
	assert_false(m.ctx.fault.has_error);
	assert_int_equal(m.dr[6], DR6_BT);
	new_task_has_its_registers(RFLAGS_FIXED | RFLAGS_ZF | RFLAGS_NT);
	new_task_has_its_segments();
	assert_int_equal(m.gpr[GPR_RSP], STACK - 4); /* the event has arrived */
	begin(NULL);
	set_field(TRAP, 0xfffe);
	assert_int_equal(RUN(CALL), EMUL_OK);
}

/* Behind the commit point there is nothing to go back to. */
static void races_of_the_new_task(void **state)
{
	set_system(SEL_NEW, NEW, 0x67, 0x8b);
	set_gdt(SEL_BAD, CODE32 & ~BIT_ULL(40));
	set_field(CS, SEL_BAD);
	m.ctx.rflags |= RFLAGS_NT;
	machine_set_mem(OLD, SEL_NEW, 2);
	m.other_cpu = true; /* sets the accessed bit itself */
	assert_int_equal(RUN(IRET), EMUL_OK);
	assert_int_equal(m.exchanges, 1);
	begin(NULL); /* the code is readable, and not, and readable ... */
	set_system(SEL_NEW, NEW, 0x67, 0x8b);
	set_gdt(SEL_BAD, CODE32 & ~BIT_ULL(40));
	set_field(CS, SEL_BAD);
	m.ctx.rflags |= RFLAGS_NT;
	machine_set_mem(OLD, SEL_NEW, 2);
	m.other_cpu_flips = 2;
	assert_int_equal(RUN(IRET), EMUL_FAULT);
	assert_int_equal(m.ctx.fault.vector, X86_TRAP_TS);
	assert_int_equal(m.ctx.fault.error, SEL_NEW);
	new_task_has_its_registers(RFLAGS_FIXED | RFLAGS_ZF);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(call_nests, begin),
		cmocka_unit_test_setup(jump_leaves_for_good, begin),
		cmocka_unit_test_setup(iret_returns, begin),
		cmocka_unit_test_setup(gates_lead_to_tasks, begin),
		cmocka_unit_test_setup(events_come_with_their_error_code, begin),
		cmocka_unit_test_setup(programs_need_the_privilege, begin),
		cmocka_unit_test_setup(other_gates_are_not_for_us, begin),
		cmocka_unit_test_setup(long_mode_has_none, begin),
		cmocka_unit_test_setup(sixteen_bits_are_loaded_and_saved, begin),
		cmocka_unit_test_setup(tasks_of_the_8086, begin),
		cmocka_unit_test_setup(programs_are_tasks, begin),
		cmocka_unit_test_setup(cr3_is_paging_s, begin),
		cmocka_unit_test_setup(bad_targets, begin),
		cmocka_unit_test_setup(bad_gates_of_the_idt, begin),
		cmocka_unit_test_setup(bad_links, begin),
		cmocka_unit_test_setup(a_short_old_tss_is_bad, begin),
		cmocka_unit_test_setup(every_page_is_looked_at_first, begin),
		cmocka_unit_test_setup(tss_across_pages, begin),
		cmocka_unit_test_setup(a_bad_cr3_is_the_old_task_s, begin),
		cmocka_unit_test_setup(a_lost_race_is_run_again, begin),
		cmocka_unit_test_setup(bad_segments, begin),
		cmocka_unit_test_setup(segments_behind_a_bad_one, begin),
		cmocka_unit_test_setup(pages_of_the_new_task, begin),
		cmocka_unit_test_setup(no_room_for_the_error_code, begin),
		cmocka_unit_test_setup(instruction_pointer_beyond_the_segment, begin),
		cmocka_unit_test_setup(events_from_outside_say_so, begin),
		cmocka_unit_test_setup(trap_flag_is_a_trap, begin),
		cmocka_unit_test_setup(races_of_the_new_task, begin),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
