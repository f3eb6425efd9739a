/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * From a VMX exit to the record of arch/x86/virt.h: each reason, what comes with it, and what is
 * said when an entry fails.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "arch/x86/vmx/vmx.h"
#include "lib/log.h"
#include "tests/unit/support/vmx_states.h"
#include "tests/unit/vmx/fake_guest.h"

#define V (&fake_vcpu)

static char text[1024];

static void keep(struct log_sink *sink, const char *line, size_t len)
{
	size_t used = strlen(text);

	(void)sink;
	assert_in_range(used + len, 0, sizeof(text) - 1);
	memcpy(text + used, line, len);
	text[used + len] = '\0';
}

static struct log_sink sink = {.write = keep};

static int begin(void **state)
{
	(void)state;
	fake_guest_begin(&vmx_tiger_lake);
	text[0] = '\0';
	return 0;
}

static void plain_reasons(void **state)
{
	static const struct {
		uint32_t reason;
		enum exit_reason expected;
	} cases[] = {
		{VMX_EXIT_EXTERNAL_INTERRUPT, EXIT_INTERRUPT},
		{VMX_EXIT_TRIPLE_FAULT, EXIT_SHUTDOWN},
		{VMX_EXIT_INTERRUPT_WINDOW, EXIT_IRQ_WINDOW},
		{VMX_EXIT_NMI_WINDOW, EXIT_NMI_WINDOW},
		{VMX_EXIT_CPUID, EXIT_CPUID},
		{VMX_EXIT_HLT, EXIT_HLT},
		{VMX_EXIT_INVD, EXIT_WBINVD},
		{VMX_EXIT_WBINVD, EXIT_WBINVD},
		{VMX_EXIT_RDPMC, EXIT_RDPMC},
		{VMX_EXIT_VMCALL, EXIT_HYPERCALL},
		{VMX_EXIT_RDMSR, EXIT_RDMSR},
		{VMX_EXIT_WRMSR, EXIT_WRMSR},
		{VMX_EXIT_MWAIT, EXIT_MWAIT},
		{VMX_EXIT_MONITOR, EXIT_MONITOR},
		{VMX_EXIT_PAUSE, EXIT_PAUSE},
		{VMX_EXIT_PREEMPTION_TIMER, EXIT_PREEMPTION},
		{VMX_EXIT_PML_FULL, EXIT_LOG_FULL},
		{VMX_EXIT_XSETBV, EXIT_XSETBV},
		/* These exit whatever the controls say; no guest has them. */
		{VMX_EXIT_GETSEC, EXIT_VIRT_INSN},
		{VMX_EXIT_VMCLEAR, EXIT_VIRT_INSN},
		{VMX_EXIT_VMLAUNCH, EXIT_VIRT_INSN},
		{VMX_EXIT_VMPTRLD, EXIT_VIRT_INSN},
		{VMX_EXIT_VMPTRST, EXIT_VIRT_INSN},
		{VMX_EXIT_VMREAD, EXIT_VIRT_INSN},
		{VMX_EXIT_VMRESUME, EXIT_VIRT_INSN},
		{VMX_EXIT_VMWRITE, EXIT_VIRT_INSN},
		{VMX_EXIT_VMXOFF, EXIT_VIRT_INSN},
		{VMX_EXIT_VMXON, EXIT_VIRT_INSN},
		{VMX_EXIT_INVEPT, EXIT_VIRT_INSN},
		{VMX_EXIT_INVVPID, EXIT_VIRT_INSN},
		{VMX_EXIT_VMFUNC, EXIT_VIRT_INSN},
		{VMX_EXIT_ENCLS, EXIT_VIRT_INSN},
		{VMX_EXIT_SEAMCALL, EXIT_VIRT_INSN},
		{VMX_EXIT_TDCALL, EXIT_VIRT_INSN},
		/* Nothing asks for these. */
		{VMX_EXIT_SIPI, EXIT_UNKNOWN},
		{VMX_EXIT_TPR_THRESHOLD, EXIT_UNKNOWN},
		{VMX_NR_EXITS, EXIT_UNKNOWN},
		{0xffff, EXIT_UNKNOWN},
	};

	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		assert_int_equal(fake_guest_exit(cases[i].reason, 0).reason, cases[i].expected);
		assert_int_equal(vmx_exit_code(V), cases[i].reason);
		assert_int_equal(fake_vcpu.idt_event.type, EVENT_NONE);
	}
}

/* Every reason and every qualification has some answer. */
static void no_reason_is_too_much(void **state)
{
	for (uint32_t reason = 0; reason < 0x100; reason++)
		for (unsigned bit = 0; bit < 64; bit++)
			assert_in_range(fake_guest_exit(reason, 1ull << bit).reason, EXIT_UNKNOWN,
					NR_EXIT_REASONS - 1);
}

static void instruction_length_comes_along(void **state)
{
	fake_cpu_set_field(VMCS_EXIT_INSTRUCTION_LENGTH, 2);
	fake_guest_exit(VMX_EXIT_CPUID, 0);
	assert_int_equal(vmx_insn_len(V), 2);
}

static void ept_violations(void **state)
{
	static const struct {
		uint64_t qualification;
		uint32_t error;
	} cases[] = {
		{0x181, PFERR_USER},
		{0x182, PFERR_USER | PFERR_WRITE},
		{0x184, PFERR_USER | PFERR_FETCH},
		{0x18a, PFERR_USER | PFERR_WRITE | PFERR_PRESENT},
		{0x1a1, PFERR_USER | PFERR_PRESENT},
		{0x19c, PFERR_USER | PFERR_FETCH | PFERR_PRESENT},
		{0x082, PFERR_USER | PFERR_WRITE | PFERR_GUEST_PT},
		{0x08a, PFERR_USER | PFERR_WRITE | PFERR_PRESENT | PFERR_GUEST_PT},
		{0x001, PFERR_USER}, /* no linear address: the PDPTEs */
	};

	fake_cpu_set_field(VMCS_GUEST_PHYSICAL_ADDRESS, 0xfee000b0);
	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		struct vm_exit e = fake_guest_exit(VMX_EXIT_EPT_VIOLATION, cases[i].qualification);

		assert_int_equal(e.reason, EXIT_MEMORY_FAULT);
		assert_int_equal(e.fault.error, cases[i].error);
		assert_int_equal(e.fault.gpa.v, 0xfee000b0);
		assert_int_equal(e.fault.insn_bytes, 0);
	}
}

static void ept_misconfigurations_are_mmio(void **state)
{
	struct vm_exit e;

	fake_cpu_set_field(VMCS_GUEST_PHYSICAL_ADDRESS, 0xfed00000);
	e = fake_guest_exit(VMX_EXIT_EPT_MISCONFIG, 0);
	assert_int_equal(e.reason, EXIT_MEMORY_FAULT);
	assert_true(e.fault.error & PFERR_RSVD);
	assert_int_equal(e.fault.gpa.v, 0xfed00000);
	assert_int_equal(e.fault.insn_bytes, 0);
}

static void port_accesses(void **state)
{
	static const struct {
		uint64_t qualification;
		uint16_t port;
		uint8_t size, flags;
	} cases[] = {
		{0x03f80000, 0x3f8, 1, 0},
		{0x0cfc000b, 0xcfc, 4, IO_IN},
		{0xffff0001, 0xffff, 2, 0},
		{0x00600048, 0x60, 1, IO_IN}, /* the port was an immediate */
		{0x01f00039, 0x1f0, 2, IO_IN | IO_STRING},
		{0x01f00011, 0x1f0, 2, IO_STRING},
	};

	fake_vcpu.rip = 0x7c00;
	fake_cpu_set_field(VMCS_EXIT_INSTRUCTION_LENGTH, 2);
	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		struct vm_exit e = fake_guest_exit(VMX_EXIT_IO, cases[i].qualification);

		assert_int_equal(e.reason, EXIT_IO);
		assert_int_equal(e.io.port, cases[i].port);
		assert_int_equal(e.io.size, cases[i].size);
		assert_int_equal(e.io.flags & (IO_IN | IO_STRING), cases[i].flags);
		assert_int_equal(e.io.len, 2);
	}
}

static void control_register_accesses(void **state)
{
	static const struct {
		uint64_t qualification;
		enum exit_reason reason;
		uint8_t cr;
		bool known;
		uint8_t gpr;
	} cases[] = {
		{0x000, EXIT_CR_WRITE, 0, true, GPR_RAX}, /* mov %rax, %cr0 */
		{0xf04, EXIT_CR_WRITE, 4, true, GPR_R15}, /* mov %r15, %cr4 */
		{0x318, EXIT_CR_READ, 8, true, GPR_RBX},  /* mov %cr8, %rbx */
		{0x413, EXIT_CR_READ, 3, true, GPR_RSP},  /* mov %cr3, %rsp */
		{0x020, EXIT_CR_WRITE, 0, false, 0},      /* clts */
		{0x10030, EXIT_CR_WRITE, 0, false, 0},    /* lmsw %ax */
	};

	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		struct vm_exit e = fake_guest_exit(VMX_EXIT_CR_ACCESS, cases[i].qualification);

		assert_int_equal(e.reason, cases[i].reason);
		assert_int_equal(e.cr.cr, cases[i].cr);
		assert_int_equal(e.cr.known, cases[i].known);
		if (cases[i].known)
			assert_int_equal(e.cr.gpr, cases[i].gpr);
	}
}

static void task_switches(void **state)
{
	static const struct {
		uint64_t qualification;
		uint16_t selector;
		uint8_t source;
	} cases[] = {
		{0x00000028, 0x28, TASK_CALL},  {0x40000033, 0x33, TASK_IRET},
		{0x8000fff8, 0xfff8, TASK_JMP}, {0xc0000040, 0x40, TASK_GATE},
		{0x3fff0018, 0x18, TASK_CALL}, /* what is reserved */
	};

	fake_cpu_set_field(VMCS_EXIT_INSTRUCTION_LENGTH, 7);
	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		struct vm_exit e = fake_guest_exit(VMX_EXIT_TASK_SWITCH, cases[i].qualification);

		assert_int_equal(e.reason, EXIT_TASK_SWITCH);
		assert_int_equal(e.task.selector, cases[i].selector);
		assert_int_equal(e.task.source, cases[i].source);
		assert_int_equal(vmx_insn_len(V), 7);
	}
}

/* ---- what invalidates translations ---- */

static void invlpg_tells_its_address(void **state)
{
	struct vm_exit e = fake_guest_exit(VMX_EXIT_INVLPG, 0xffff800012345678);

	assert_int_equal(e.reason, EXIT_INVLPG);
	assert_true(e.invlpg.known);
	assert_int_equal(e.invlpg.gva.v, 0xffff800012345678);
}

/* SDM volume 3, table 27-9. */
#define INFO(scale, size, seg, index, base, reg)                                                   \
	((scale) | (size) << 7 | (seg) << 15 | (index) << 18 | (base) << 23 | (uint32_t)(reg) << 28)

static void invpcid_tells_type_and_operand(void **state)
{
	static const struct {
		uint64_t info, displacement, gva;
		uint64_t type;
		bool is_64bit;
	} cases[] = {
		/* (%rbx) */
		{INFO(0, 2, SEG_DS, 0, GPR_RBX, GPR_R9) | INFO_NO_INDEX, 0, 0xffff800000001000,
		 0x100000002, true},
		/* -8(%rbx, %rcx, 8): DS has no base there, whatever it has */
		{INFO(3, 2, SEG_DS, GPR_RCX, GPR_RBX, GPR_R9), -8ull, 0xffff800000001078,
		 0x100000002, true},
		/* %gs:0x20 */
		{INFO(0, 2, SEG_GS, 0, 0, GPR_RCX) | INFO_NO_INDEX | INFO_NO_BASE, 0x20,
		 0xffff888000000020, 0x10, true},
		/* (%ebx), by an address-size prefix */
		{INFO(0, 1, SEG_DS, 0, GPR_RBX, GPR_RCX) | INFO_NO_INDEX, 0, 0x1000, 0x10, true},
		/* 32-bit code: 4(%ecx, %edx, 2), and the base of DS */
		{INFO(1, 1, SEG_DS, GPR_RDX, GPR_RCX, GPR_RSI), 4, 0x70006, 0x1, false},
		/* -1 and two registers of 16 bits */
		{INFO(0, 0, SEG_DS, GPR_RDX, GPR_RCX, GPR_RSI), 0xffff, 0x70008, 0x1, false},
	};

	fake_guest_long_mode();
	vmx_seg_write(V, SEG_GS,
		      &(struct segment){.base = 0xffff888000000000, .limit = ~0u, .attr = 0xc93});
	vmx_seg_write(V, SEG_DS, &(struct segment){.base = 0x70000, .limit = ~0u, .attr = 0xc93});
	fake_vcpu.gpr[GPR_RBX] = 0xffff800000001000;
	fake_vcpu.gpr[GPR_RCX] = 0x10;
	fake_vcpu.gpr[GPR_R9] = 0x100000002;
	fake_vcpu.gpr[GPR_RDX] = 0xfffffffffffffff9;
	fake_vcpu.gpr[GPR_RSI] = 0xffffffff00000001;
	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		struct vm_exit e;

		vmx_seg_write(
			V, SEG_CS,
			&(struct segment){.limit = ~0u, .attr = cases[i].is_64bit ? 0xa9b : 0xc9b});
		fake_vcpu.rip = 0x1000;
		fake_cpu_set_field(VMCS_EXIT_INSTRUCTION_INFO, cases[i].info);
		e = fake_guest_exit(VMX_EXIT_INVPCID, cases[i].displacement);
		assert_int_equal(e.reason, EXIT_INVPCID);
		assert_true(e.invpcid.known);
		assert_int_equal(e.invpcid.gva.v, cases[i].gva);
		assert_int_equal(e.invpcid.type, cases[i].type);
	}
}

/* ---- exceptions ---- */

static struct vm_exit exception(uint32_t info, uint32_t error, uint64_t qualification)
{
	fake_cpu_set_field(VMCS_EXIT_INTERRUPTION_INFO, INTR_VALID | info);
	fake_cpu_set_field(VMCS_EXIT_INTERRUPTION_ERROR_CODE, error);
	return fake_guest_exit(VMX_EXIT_EXCEPTION_NMI, qualification);
}

static void exceptions_carry_their_error_code(void **state)
{
	struct vm_exit e = exception(0x300 | INTR_ERROR_CODE | X86_TRAP_AC, 0, 0);

	assert_int_equal(e.reason, EXIT_EXCEPTION);
	assert_int_equal(e.exception.vector, X86_TRAP_AC);
	assert_true(e.exception.has_error);
	e = exception(0x300 | X86_TRAP_UD, 0, 0);
	assert_int_equal(e.exception.vector, X86_TRAP_UD);
	assert_false(e.exception.has_error);
}

static void page_faults_have_a_reason_of_their_own(void **state)
{
	uint32_t info = 0x300 | INTR_ERROR_CODE | X86_TRAP_PF;
	struct vm_exit e = exception(info, PFERR_WRITE | PFERR_USER, 0xffff800012345678);

	assert_int_equal(e.reason, EXIT_PAGE_FAULT);
	assert_int_equal(e.fault.gva.v, 0xffff800012345678);
	assert_int_equal(e.fault.error, PFERR_WRITE | PFERR_USER);
	assert_int_equal(e.fault.insn_bytes, 0);
	assert_int_equal(vmx_reg_read(V, VREG_CR2), 0);
	/* An IRET that faults as it reads its frame goes on blocking NMIs. */
	exception(info | INTR_NMI_UNBLOCKED, 0, 0);
	assert_true(fake_cpu_field(VMCS_GUEST_INTERRUPTIBILITY) & BLOCKING_BY_NMI);
}

static void nmis_and_machine_checks_are_the_hosts(void **state)
{
	assert_int_equal(exception(0x202, 0, 0).reason, EXIT_NMI);
	assert_int_equal(fake_cpu.nmis, 1);
	assert_int_equal(exception(0x300 | X86_TRAP_MC, 0, 0).reason, EXIT_MACHINE_CHECK);
	assert_int_equal(fake_cpu.machine_checks, 1);
	assert_int_equal(fake_cpu.nmis, 1);
}

static void take_int1(uint64_t *gpr)
{
	(void)gpr;
	fake_cpu_set_field(VMCS_EXIT_REASON, VMX_EXIT_EXCEPTION_NMI);
	fake_cpu_set_field(VMCS_EXIT_INTERRUPTION_INFO, INTR_VALID | 0x500 | X86_TRAP_DB);
	fake_cpu_set_field(VMCS_GUEST_PENDING_DEBUG_EXCEPTIONS, 0);
}

static struct {
	uint64_t blocking, rflags, debugctl;
} debug;

static void take_debug_exception(uint64_t *gpr)
{
	(void)gpr;
	fake_cpu_set_field(VMCS_EXIT_REASON, VMX_EXIT_EXCEPTION_NMI);
	fake_cpu_set_field(VMCS_EXIT_INTERRUPTION_INFO, INTR_VALID | 0x300 | X86_TRAP_DB);
	fake_cpu_set_field(VMCS_GUEST_INTERRUPTIBILITY, debug.blocking);
	fake_cpu_set_field(VMCS_GUEST_RFLAGS, debug.rflags);
	fake_cpu_set_field(VMCS_GUEST_IA32_DEBUGCTL, debug.debugctl);
}

static void debug_exceptions_fill_dr6(void **state)
{
	vmx_reg_write(V, VREG_DR6, DR6_INIT | 8 | DR6_BT);
	vmx_reg_write(V, VREG_DR7, DR7_INIT | DR7_GD);
	vmx_reg_write(V, VREG_DEBUGCTL, DEBUGCTL_LBR | DEBUGCTL_BTF);
	exception(0x300 | X86_TRAP_DB, 0, DR6_BS | 1);
	assert_int_equal(vmx_reg_read(V, VREG_DR6), DR6_INIT | DR6_BT | DR6_BS | 1);
	assert_int_equal(vmx_reg_read(V, VREG_DR7), DR7_INIT);
	assert_int_equal(vmx_reg_read(V, VREG_DEBUGCTL), 0);
	vmx_reg_write(V, VREG_DEBUGCTL, DEBUGCTL_BTF);
	exception(0x300 | X86_TRAP_AC, 0, DR6_BD);
	assert_int_equal(vmx_reg_read(V, VREG_DEBUGCTL), DEBUGCTL_BTF);
	assert_int_equal(vmx_reg_read(V, VREG_DR6), DR6_INIT | DR6_BT | DR6_BS | 1);
}

/* INT1 is a trap: its handler returns behind it, and what STI blocked before it is over. */
static void int1_is_behind_itself(void **state)
{
	fake_vcpu.rip = 0xffffffff;
	vmx_set_rflags(V, RFLAGS_FIXED | RFLAGS_TF | RFLAGS_IF);
	fake_cpu_set_field(VMCS_GUEST_INTERRUPTIBILITY, BLOCKING_BY_STI);
	fake_cpu_set_field(VMCS_GUEST_PENDING_DEBUG_EXCEPTIONS, PENDING_DEBUG_BS);
	fake_cpu_set_field(VMCS_EXIT_INSTRUCTION_LENGTH, 1);
	fake_cpu.guest = take_int1;
	vmx_vcpu_run(V, &(struct vm_exit){0});
	fake_cpu.guest = NULL;
	assert_int_equal(fake_vcpu.rip, 0);
	vmx_inject(V, &(struct vm_event_info){.type = EVENT_EXCEPTION, .vector = X86_TRAP_DB});
	fake_guest_enter();
	fake_guest_long_mode();
	vmx_reg_write(V, VREG_DR6, DR6_INIT);
	exception(0x500 | X86_TRAP_DB, 0, DR6_BS);
	assert_int_equal(fake_vcpu.rip, 0xffffffff80000001);
	assert_int_equal(vmx_reg_read(V, VREG_DR6), DR6_INIT);
}

/* The exit took the single step that TF made pending behind STI; the entry wants it there. */
static void a_step_behind_sti_is_pending_again(void **state)
{
	static const struct {
		uint64_t blocking, rflags, debugctl, pending;
	} cases[] = {
		{BLOCKING_BY_STI, RFLAGS_TF, 0, PENDING_DEBUG_BS},
		{BLOCKING_BY_MOV_SS, RFLAGS_TF, 0, PENDING_DEBUG_BS},
		{0, RFLAGS_TF, 0, 0},
		{BLOCKING_BY_STI, 0, 0, 0},
		{BLOCKING_BY_STI, RFLAGS_TF, DEBUGCTL_BTF, PENDING_DEBUG_BS}, /* now clear */
	};

	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		fake_cpu_set_field(VMCS_GUEST_INTERRUPTIBILITY, 0);
		fake_cpu_set_field(VMCS_GUEST_PENDING_DEBUG_EXCEPTIONS, 0);
		vmx_set_rflags(V, RFLAGS_FIXED);
		debug.blocking = cases[i].blocking;
		debug.rflags = cases[i].rflags | RFLAGS_FIXED | RFLAGS_IF;
		debug.debugctl = cases[i].debugctl;
		fake_cpu.guest = take_debug_exception;
		vmx_vcpu_run(V, &(struct vm_exit){0});
		fake_cpu.guest = NULL;
		assert_int_equal(fake_cpu_field(VMCS_GUEST_PENDING_DEBUG_EXCEPTIONS),
				 cases[i].pending);
		vmx_inject(V, &(struct vm_event_info){EVENT_EXCEPTION, X86_TRAP_DB});
		fake_guest_enter();
	}
}

/* BTF decides whether a step has to be pending behind STI: it is worked out anew when BTF changes.
 */
static void a_step_follows_btf(void **state)
{
	vmx_set_rflags(V, RFLAGS_FIXED | RFLAGS_TF | RFLAGS_IF);
	vmx_reg_write(V, VREG_DEBUGCTL, DEBUGCTL_BTF);
	vmx_set_irq_shadow(V);
	assert_int_equal(fake_cpu_field(VMCS_GUEST_PENDING_DEBUG_EXCEPTIONS), 0);
	vmx_reg_write(V, VREG_DEBUGCTL, 0);
	assert_int_equal(fake_cpu_field(VMCS_GUEST_PENDING_DEBUG_EXCEPTIONS), PENDING_DEBUG_BS);
	fake_guest_enter();
}

/* An IRET that faulted will be executed again: until then NMIs are blocked as before. */
static void a_faulting_iret_keeps_nmis_blocked(void **state)
{
	static const struct {
		uint32_t info, idt_info;
		bool blocks;
	} cases[] = {
		{0x300 | X86_TRAP_AC | INTR_NMI_UNBLOCKED, 0, true},
		{0x300 | X86_TRAP_AC, 0, false},
		{0x300 | X86_TRAP_DF | INTR_NMI_UNBLOCKED, 0, false},
	};

	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		fake_cpu_set_field(VMCS_GUEST_INTERRUPTIBILITY, 0);
		exception(cases[i].info, 0, 0);
		assert_int_equal(fake_cpu_field(VMCS_GUEST_INTERRUPTIBILITY),
				 cases[i].blocks ? BLOCKING_BY_NMI : 0);
	}
	fake_cpu_set_field(VMCS_GUEST_INTERRUPTIBILITY, 0);
	fake_guest_exit(VMX_EXIT_EPT_VIOLATION, 0x182 | QUAL_NMI_UNBLOCKED);
	assert_int_equal(fake_cpu_field(VMCS_GUEST_INTERRUPTIBILITY), BLOCKING_BY_NMI);
	fake_cpu_set_field(VMCS_GUEST_INTERRUPTIBILITY, 0);
	fake_guest_exit(VMX_EXIT_PML_FULL, 0);
	assert_int_equal(fake_cpu_field(VMCS_GUEST_INTERRUPTIBILITY), 0);
	fake_guest_exit(VMX_EXIT_PML_FULL, QUAL_NMI_UNBLOCKED);
	assert_int_equal(fake_cpu_field(VMCS_GUEST_INTERRUPTIBILITY), BLOCKING_BY_NMI);
}

/* ---- events that the exit interrupted ---- */

static uint32_t idt_info;

static void fault_while_delivering(uint64_t *gpr)
{
	(void)gpr;
	fake_cpu_set_field(VMCS_EXIT_REASON, VMX_EXIT_EPT_VIOLATION);
	fake_cpu_set_field(VMCS_EXIT_QUALIFICATION, 0x182 | QUAL_NMI_UNBLOCKED);
	fake_cpu_set_field(VMCS_IDT_VECTORING_INFO, idt_info);
}

static void interrupt_delivery(uint32_t info)
{
	struct vm_exit e;

	idt_info = INTR_VALID | info;
	fake_cpu.guest = fault_while_delivering;
	vmx_vcpu_run(V, &e);
	fake_cpu.guest = NULL;
	assert_int_equal(e.reason, EXIT_MEMORY_FAULT);
}

static void interrupted_events_are_told(void **state)
{
	const struct vm_event_info *ev = &fake_vcpu.idt_event;

	interrupt_delivery(0x31);
	assert_int_equal(ev->type, EVENT_INTR);
	assert_int_equal(ev->vector, 0x31);
	fake_cpu_set_field(VMCS_IDT_VECTORING_ERROR_CODE, 0x10);
	interrupt_delivery(0x300 | INTR_ERROR_CODE | X86_TRAP_GP);
	assert_int_equal(ev->type, EVENT_EXCEPTION);
	assert_int_equal(ev->vector, X86_TRAP_GP);
	assert_true(ev->has_error);
	assert_int_equal(ev->error, 0x10);
	for (unsigned type = INTR_TYPE_SOFT_INT; type <= INTR_TYPE_SOFT_EXCEPT; type++) {
		interrupt_delivery(type << 8 | 3);
		assert_int_equal(ev->type, EVENT_SOFT_INT);
	}
	/* The qualification's bit 12 means nothing then. */
	assert_int_equal(fake_cpu_field(VMCS_GUEST_INTERRUPTIBILITY), 0);
	fake_guest_exit(VMX_EXIT_CPUID, 0);
	assert_int_equal(ev->type, EVENT_NONE);
}

/* Virtual NMIs are blocked from the moment one is delivered; it must go in again all the same. */
static void an_interrupted_nmi_can_be_injected_again(void **state)
{
	fake_cpu_set_field(VMCS_GUEST_INTERRUPTIBILITY, BLOCKING_BY_NMI);
	interrupt_delivery(0x202);
	assert_int_equal(fake_vcpu.idt_event.type, EVENT_NMI);
	vmx_inject(V, &fake_vcpu.idt_event);
	fake_guest_enter();
}

static void switch_while_delivering(uint64_t *gpr)
{
	(void)gpr;
	fake_cpu_set_field(VMCS_EXIT_REASON, VMX_EXIT_TASK_SWITCH);
	fake_cpu_set_field(VMCS_EXIT_QUALIFICATION, 0xc0000020);
	fake_cpu_set_field(VMCS_IDT_VECTORING_INFO, idt_info);
	fake_cpu_set_field(VMCS_GUEST_INTERRUPTIBILITY, BLOCKING_BY_NMI);
}

/* The NMI may arrive by the switch: then they stay blocked, until an IRET; or be injected again. */
static void an_nmi_through_a_task_gate_blocks_the_next(void **state)
{
	struct vm_exit e;

	idt_info = INTR_VALID | 0x202;
	fake_cpu.guest = switch_while_delivering;
	vmx_vcpu_run(V, &e);
	fake_cpu.guest = NULL;
	assert_int_equal(e.task.source, TASK_GATE);
	assert_int_equal(fake_vcpu.idt_event.type, EVENT_NMI);
	assert_int_equal(fake_cpu_field(VMCS_GUEST_INTERRUPTIBILITY), BLOCKING_BY_NMI);
	fake_guest_exit(VMX_EXIT_TASK_SWITCH, 0x00000020);
	assert_int_equal(fake_cpu_field(VMCS_GUEST_INTERRUPTIBILITY), BLOCKING_BY_NMI);
	vmx_inject(V, &(struct vm_event_info){.type = EVENT_NMI, .vector = X86_TRAP_NMI});
	fake_guest_enter();
	fake_cpu_set_field(VMCS_GUEST_INTERRUPTIBILITY, BLOCKING_BY_NMI);
	fake_guest_exit(VMX_EXIT_TASK_SWITCH, 0x40000020);
	assert_int_equal(fake_cpu_field(VMCS_GUEST_INTERRUPTIBILITY), 0);
}

/* ---- entries that fail ---- */

static void assert_said(const char *expected)
{
	if (!strstr(text, expected))
		fail_msg("\"%s\" is not in:\n%s", expected, text);
}

static struct vm_exit fail_to_enter(void)
{
	struct vm_exit e;
	unsigned before = fake_cpu.entries;

	text[0] = '\0';
	vmx_vcpu_run(V, &e);
	assert_int_equal(fake_cpu.entries, before);
	assert_int_equal(e.reason, EXIT_INVALID_STATE);
	return e;
}

static void a_failed_entry_names_the_field(void **state)
{
	uint64_t good = fake_cpu_field(VMCS_MSR_BITMAP);

	fake_cpu_set_field(VMCS_MSR_BITMAP, good | 1);
	fail_to_enter();
	assert_said("error 7");
	assert_said("MSR_BITMAP is ");
	assert_said("the address must be aligned (SDM volume 3, VM-entry checks on VM-execution "
		    "control fields)");
	fake_cpu_set_field(VMCS_MSR_BITMAP, good);

	fake_cpu_set_field(VMCS_HOST_CR3, 1ull << 52);
	fail_to_enter();
	assert_said("error 8");
	assert_said("HOST_CR3 is 10000000000000: ");
	fake_cpu_set_field(VMCS_HOST_CR3, 0x1000);

	vmx_set_rflags(V, 0);
	fail_to_enter();
	assert_said("exit reason 80000021");
	assert_said("GUEST_RFLAGS is 0: bit 1 must be 1");
	assert_int_equal(vmx_exit_code(V), VMX_EXIT_INVALID_STATE | VMX_EXIT_ENTRY_FAILURE);
	vmx_set_rflags(V, RFLAGS_FIXED);
}

/* A VMCS that has never entered is still to be launched (the fake CPU insists). */
static void a_failed_entry_does_not_launch(void **state)
{
	vmx_set_rflags(V, 0);
	fail_to_enter();
	vmx_set_rflags(V, RFLAGS_FIXED);
	fake_guest_enter();
	vmx_set_rflags(V, 0);
	fail_to_enter();
	vmx_set_rflags(V, RFLAGS_FIXED);
	fake_guest_enter();
}

static void an_msr_that_cannot_be_loaded_is_named(void **state)
{
	struct vmx_limits l = vmx_tiger_lake;

	l.controls[CTL_ENTRY] &= ~((uint64_t)ENTRY_LOAD_PAT << 32);
	fake_guest_begin(&l);
	text[0] = '\0';
	vmx_reg_write(V, VREG_PAT, 0x1122334455667788);
	assert_int_equal(fake_guest_exit(VMX_EXIT_MSR_LOADING | VMX_EXIT_ENTRY_FAILURE, 1).reason,
			 EXIT_INVALID_STATE);
	assert_said("entry 1 to load, MSR 277, cannot be 1122334455667788");
}

static void a_fault_of_no_known_rule_is_admitted(void **state)
{
	fake_guest_exit(VMX_EXIT_INVALID_STATE | VMX_EXIT_ENTRY_FAILURE, 4);
	assert_said("qualification 4");
	assert_said("every field keeps the rules known here");
}

static int begin_log(void **state)
{
	(void)state;
	log_add_sink(&sink);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(plain_reasons, begin),
		cmocka_unit_test_setup(no_reason_is_too_much, begin),
		cmocka_unit_test_setup(instruction_length_comes_along, begin),
		cmocka_unit_test_setup(ept_violations, begin),
		cmocka_unit_test_setup(ept_misconfigurations_are_mmio, begin),
		cmocka_unit_test_setup(port_accesses, begin),
		cmocka_unit_test_setup(control_register_accesses, begin),
		cmocka_unit_test_setup(task_switches, begin),
		cmocka_unit_test_setup(invlpg_tells_its_address, begin),
		cmocka_unit_test_setup(invpcid_tells_type_and_operand, begin),
		cmocka_unit_test_setup(exceptions_carry_their_error_code, begin),
		cmocka_unit_test_setup(page_faults_have_a_reason_of_their_own, begin),
		cmocka_unit_test_setup(nmis_and_machine_checks_are_the_hosts, begin),
		cmocka_unit_test_setup(debug_exceptions_fill_dr6, begin),
		cmocka_unit_test_setup(int1_is_behind_itself, begin),
		cmocka_unit_test_setup(a_step_behind_sti_is_pending_again, begin),
		cmocka_unit_test_setup(a_step_follows_btf, begin),
		cmocka_unit_test_setup(a_faulting_iret_keeps_nmis_blocked, begin),
		cmocka_unit_test_setup(interrupted_events_are_told, begin),
		cmocka_unit_test_setup(an_interrupted_nmi_can_be_injected_again, begin),
		cmocka_unit_test_setup(an_nmi_through_a_task_gate_blocks_the_next, begin),
		cmocka_unit_test_setup(a_failed_entry_names_the_field, begin),
		cmocka_unit_test_setup(a_failed_entry_does_not_launch, begin),
		cmocka_unit_test_setup(an_msr_that_cannot_be_loaded_is_named, begin),
		cmocka_unit_test_setup(a_fault_of_no_known_rule_is_admitted, begin),
	};

	return cmocka_run_group_tests(tests, begin_log, NULL);
}
