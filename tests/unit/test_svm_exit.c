/* SPDX-License-Identifier: BSD-2-Clause */
/* What SVM's exit codes and their two words of information become (APM volume 2, appendix C). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "arch/x86/mce.h"
#include "arch/x86/regs.h"
#include "arch/x86/svm/svm.h"

bool svm_has_decode_assists;

static unsigned machine_checks;

void mce_handle(const struct trap_frame *frame)
{
	assert_null(frame);
	machine_checks++;
}

static struct vmcb vmcb;
static struct virt_vcpu v = {.control = &vmcb};

static struct vm_exit decode(uint64_t code, uint64_t info1, uint64_t info2)
{
	struct vm_exit exit;

	memset(&exit, 0xa5, sizeof(exit));
	vmcb.exitcode = code;
	vmcb.exitinfo1 = info1;
	vmcb.exitinfo2 = info2;
	svm_decode_exit(&v, &vmcb, &exit);
	return exit;
}

static int setup(void **state)
{
	memset(&vmcb, 0, sizeof(vmcb));
	svm_has_decode_assists = false;
	return 0;
}

/* An instruction that is intercepted must not end the VM for want of a reason. */
static void each_intercepted_instruction_has_its_reason(void **state)
{
	static const struct {
		uint16_t code;
		enum exit_reason reason;
	} table[] = {
		{0x60, EXIT_INTERRUPT},  {0x61, EXIT_NMI},       {0x63, EXIT_NMI},
		{0x64, EXIT_IRQ_WINDOW}, {0x6f, EXIT_RDPMC},     {0x72, EXIT_CPUID},
		{0x74, EXIT_NMI_WINDOW}, {0x76, EXIT_WBINVD},    {0x77, EXIT_PAUSE},
		{0x78, EXIT_HLT},        {0x7a, EXIT_VIRT_INSN}, {0x7f, EXIT_SHUTDOWN},
		{0x80, EXIT_VIRT_INSN},  {0x81, EXIT_HYPERCALL}, {0x82, EXIT_VIRT_INSN},
		{0x83, EXIT_VIRT_INSN},  {0x84, EXIT_VIRT_INSN}, {0x85, EXIT_VIRT_INSN},
		{0x86, EXIT_VIRT_INSN},  {0x89, EXIT_WBINVD},    {0x8a, EXIT_MONITOR},
		{0x8b, EXIT_MWAIT},      {0x8c, EXIT_MWAIT},     {0x8d, EXIT_XSETBV},
		{0x8e, EXIT_VIRT_INSN},  {0xa0, EXIT_VIRT_INSN}, {0xa1, EXIT_VIRT_INSN},
		{0xa3, EXIT_VIRT_INSN},  {0xa4, EXIT_VIRT_INSN},
	};

	for (unsigned i = 0; i < ARRAY_SIZE(table); i++)
		assert_int_equal(decode(table[i].code, 0, 0).reason, table[i].reason);
	assert_int_equal(decode(0x7c, 0, 0).reason, EXIT_RDMSR);
	assert_int_equal(decode(0x7c, 1, 0).reason, EXIT_WRMSR);
	assert_int_equal(decode(0x26, 0, 0).reason, EXIT_DR_ACCESS);
	assert_int_equal(decode(0x3ff, 0, 0).reason, EXIT_UNKNOWN);
	/* -1 in 64 bits, or in the low half only, as QEMU has it. */
	assert_int_equal(decode(~0ull, 0, 0).reason, EXIT_INVALID_STATE);
	assert_int_equal(decode(0xffffffff, 0, 0).reason, EXIT_INVALID_STATE);
}

static void port_accesses(void **state)
{
	struct vm_exit e;

	vmcb.rip = 0x1231;
	e = decode(0x7b, 0xffffu << 16 | 1 << 6 | 1, 0x1234);

	assert_int_equal(e.reason, EXIT_IO);
	assert_int_equal(e.io.port, 0xffff);
	assert_int_equal(e.io.size, 4);
	assert_true(e.io.flags & IO_IN);
	assert_false(e.io.flags & IO_STRING);
	assert_int_equal(e.io.len, 3);
	e = decode(0x7b, 0x3f8 << 16 | 1 << 4 | 1 << 3 | 1 << 2, 0);
	assert_int_equal(e.io.size, 1);
	assert_true(e.io.flags & IO_STRING);
}

static void memory_faults(void **state)
{
	struct vm_exit e = decode(0x400, BIT_ULL(33) | 7, 0xfedcba9876543ull);

	assert_int_equal(e.reason, EXIT_MEMORY_FAULT);
	assert_int_equal(e.fault.gpa.v, 0xfedcba9876543);
	assert_int_equal(e.fault.error, 7 | PFERR_GUEST_PT);
	assert_int_equal(e.fault.insn_bytes, 0);
	svm_has_decode_assists = true;
	vmcb.insn_bytes = 0xff; /* more than there are */
	assert_int_equal(decode(0x400, BIT_ULL(32), 0).fault.insn_bytes, 15);
}

/*
 * With decode assists the CPU says how many bytes of the instruction it has (APM volume 2, 15.8.4):
 * all 15; fewer where the next page is not there; none, at a fetch, of which there are stale ones
 * of an earlier exit. Without decode assists what is there means nothing.
 */
static void bytes_of_the_instruction(void **state)
{
	static const uint8_t counts[] = {0, 1, 3, 14, 15};
	struct vm_exit e;

	for (unsigned i = 0; i < 15; i++)
		vmcb.insn[i] = (uint8_t)(0x80 + i);
	for (unsigned i = 0; i < ARRAY_SIZE(counts); i++) {
		vmcb.insn_bytes = counts[i];
		svm_has_decode_assists = true;
		e = decode(0x400, BIT_ULL(32) | 6, 0x1000);
		assert_int_equal(e.fault.insn_bytes, counts[i]);
		if (counts[i])
			assert_memory_equal(e.fault.insn, vmcb.insn, counts[i]);
		assert_int_equal(decode(0x4e, 2, 0x1000).fault.insn_bytes, counts[i]);
		svm_has_decode_assists = false;
		assert_int_equal(decode(0x400, BIT_ULL(32) | 6, 0x1000).fault.insn_bytes, 0);
	}
}

/* Which register is moved is known of a MOV alone, and with decode assists alone (15.8.1). */
static void the_register_of_a_mov_to_cr(void **state)
{
	static const uint16_t codes[] = {0x00, 0x03, 0x08, 0x10, 0x14, 0x18, 0x65};
	struct vm_exit e;

	for (unsigned i = 0; i < ARRAY_SIZE(codes); i++) {
		for (unsigned gpr = 0; gpr < 16; gpr++) {
			svm_has_decode_assists = true;
			e = decode(codes[i], BIT_ULL(63) | gpr, 0);
			assert_true(e.cr.known);
			assert_int_equal(e.cr.gpr, gpr);
			assert_int_equal(e.cr.cr, codes[i] == 0x65 ? 0 : codes[i] & 0xf);
			assert_int_equal(e.reason, codes[i] < 0x10 ? EXIT_CR_READ : EXIT_CR_WRITE);
			assert_false(decode(codes[i], gpr, 0).cr.known); /* CLTS, LMSW, SMSW */
			svm_has_decode_assists = false;
			assert_false(decode(codes[i], BIT_ULL(63) | gpr, 0).cr.known);
		}
	}
}

static void interrupted_events(void **state)
{
	decode(0x72, 0, 0);
	assert_int_equal(v.idt_event.type, EVENT_NONE);
	vmcb.exitintinfo = BIT_ULL(31) | BIT_ULL(11) | 3 << 8 | 14 | 0x2ull << 32;
	decode(0x400, 0, 0);
	assert_int_equal(v.idt_event.type, EVENT_EXCEPTION);
	assert_int_equal(v.idt_event.vector, 14);
	assert_true(v.idt_event.has_error);
	assert_int_equal(v.idt_event.error, 2);
	vmcb.exitintinfo &= ~BIT_ULL(31);
	decode(0x400, 0, 0);
	assert_int_equal(v.idt_event.type, EVENT_NONE);
	/* Of an NMI the vector has no meaning. */
	vmcb.exitintinfo = BIT_ULL(31) | 2 << 8;
	decode(0x400, 0, 0);
	assert_int_equal(v.idt_event.type, EVENT_NMI);
	assert_int_equal(v.idt_event.vector, 2);
	vmcb.exitintinfo = 0;
}

static void control_registers_and_exceptions(void **state)
{
	struct vm_exit e = decode(0x18, BIT_ULL(63) | 9, 0);

	assert_int_equal(e.reason, EXIT_CR_WRITE);
	assert_int_equal(e.cr.cr, 8);
	assert_int_equal(decode(0x04, 0, 0).reason, EXIT_CR_READ);
	e = decode(0x65, BIT_ULL(63) | 3, 0); /* the selective intercept of CR0 */
	assert_int_equal(e.reason, EXIT_CR_WRITE);
	assert_int_equal(e.cr.cr, 0);
	e = decode(0x40 + 17, 0, 0);
	assert_int_equal(e.reason, EXIT_EXCEPTION);
	assert_int_equal(e.exception.vector, X86_TRAP_AC);
	assert_true(e.exception.has_error);
	assert_false(decode(0x40 + 1, 0, 0).exception.has_error);
}

static void page_faults_have_a_reason_of_their_own(void **state)
{
	struct vm_exit e = decode(0x40 + 14, PFERR_PRESENT | PFERR_FETCH, 0xffff800012345678);

	assert_int_equal(e.reason, EXIT_PAGE_FAULT);
	assert_int_equal(e.fault.gva.v, 0xffff800012345678);
	assert_int_equal(e.fault.error, PFERR_PRESENT | PFERR_FETCH);
	assert_int_equal(e.fault.insn_bytes, 0);
	svm_has_decode_assists = true;
	vmcb.insn_bytes = 15;
	vmcb.insn[14] = 0x90;
	e = decode(0x40 + 14, 0, 0);
	assert_int_equal(e.fault.insn_bytes, 15);
	assert_int_equal(e.fault.insn[14], 0x90);
}

/* Operands are told with decode assists only. */
static void invlpg_and_invpcid_tell_their_operands(void **state)
{
	struct vm_exit e = decode(0x79, 0xffff800012345678, 0);

	assert_int_equal(e.reason, EXIT_INVLPG);
	assert_false(e.invlpg.known);
	e = decode(0xa2, 0x7000, 2);
	assert_int_equal(e.reason, EXIT_INVPCID);
	assert_false(e.invpcid.known);
	svm_has_decode_assists = true;
	e = decode(0x79, 0xffff800012345678, 0);
	assert_true(e.invlpg.known);
	assert_int_equal(e.invlpg.gva.v, 0xffff800012345678);
	e = decode(0xa2, 0x7000, 2);
	assert_true(e.invpcid.known);
	assert_int_equal(e.invpcid.gva.v, 0x7000);
	assert_int_equal(e.invpcid.type, 2);
}

/* 15.14.1: the reason is in bits 36 and 38 of the second word, or in what was being delivered. */
static void task_switches(void **state)
{
	struct vm_exit e = decode(0x7d, 0x28, 0);

	assert_int_equal(e.reason, EXIT_TASK_SWITCH);
	assert_int_equal(e.task.selector, 0x28);
	assert_int_equal(e.task.source, TASK_CALL);
	assert_int_equal(decode(0x7d, 0x28, BIT_ULL(36)).task.source, TASK_IRET);
	assert_int_equal(decode(0x7d, 0x28, BIT_ULL(38)).task.source, TASK_JMP);
	vmcb.exitintinfo = BIT_ULL(31) | BIT_ULL(11) | 3 << 8 | 10;
	assert_int_equal(decode(0x7d, 0x28, BIT_ULL(44) | 5).task.source, TASK_GATE);
	assert_int_equal(v.idt_event.vector, 10);
}

/* The machine's, whatever runs: a guest has no way to raise one that exits. */
static void machine_checks_are_the_hosts(void **state)
{
	for (uint8_t vector = 0; vector < 32; vector++) {
		machine_checks = 0;
		assert_int_equal(decode(0x40 + vector, 0, 0).reason, vector == 14 ? EXIT_PAGE_FAULT
								     : vector == 18
									     ? EXIT_MACHINE_CHECK
									     : EXIT_EXCEPTION);
		assert_int_equal(machine_checks, vector == 18);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(each_intercepted_instruction_has_its_reason, setup),
		cmocka_unit_test_setup(port_accesses, setup),
		cmocka_unit_test_setup(memory_faults, setup),
		cmocka_unit_test_setup(bytes_of_the_instruction, setup),
		cmocka_unit_test_setup(the_register_of_a_mov_to_cr, setup),
		cmocka_unit_test_setup(interrupted_events, setup),
		cmocka_unit_test_setup(control_registers_and_exceptions, setup),
		cmocka_unit_test_setup(page_faults_have_a_reason_of_their_own, setup),
		cmocka_unit_test_setup(invlpg_and_invpcid_tell_their_operands, setup),
		cmocka_unit_test_setup(task_switches, setup),
		cmocka_unit_test_setup(machine_checks_are_the_hosts, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
