/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a vCPU takes next: priorities, windows, double faults, NMI masking, single steps. The vendor
 * seam is played by a few variables, the local APIC by its real model.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "arch/x86/regs.h"
#include "tests/unit/support/fake_virt.h"
#include "vmm/cpu.h"
#include "vmm/dev/apic/lapic.h"
#include "vmm/exit/exception.h"
#include "vmm/dirty_log.h"
#include "vmm/exit/insn.h"
#include "vmm/exit/nmi.h"
#include "vmm/exit/deliver.h"
#include "vmm/exit/realmode.h"
#include "vmm/exit/requests.h"
#include "vmm/sched.h"
#include "vmm/vcpu_load.h"
#include "vmm/vm.h"

static unsigned hlt_is_next; /* its length */

void vm_bug(struct vcpu *v, enum vm_end why, const char *fmt, ...) {}

unsigned insn_peek_length(struct vcpu *v, enum emul_op op)
{
	(void)v;
	return op == OP_HLT ? hlt_is_next : 0;
}

/* ---- the emulator ---- */

/* What happens to the IRET that it is given. */
static enum { IRET_RETURNS, IRET_FAULTS, IRET_RUNS_AGAIN } iret;
static unsigned irets;

void insn_refuse(struct vcpu *v) {}

bool insn_emulate(struct vcpu *v)
{
	irets++;
	if (iret == IRET_RETURNS)
		v->virt.rip += 0x1000;
	else if (iret == IRET_FAULTS)
		event_inject_error(v, X86_TRAP_TS, 0x28);
	return true;
}

static bool is_emulated;
static struct vm_event_info delivered;

bool realmode_is_due_now(struct vcpu *v)
{
	(void)v;
	return is_emulated;
}

void deliver_event(struct vcpu *v, const struct vm_event_info *ev)
{
	(void)v;
	assert_int_equal(delivered.type, EVENT_NONE);
	delivered = *ev;
}

/* ---- the rest of a VM ---- */

static struct vm vm;
static struct vcpu vcpu;
static struct lapic lapic;
static struct lapic_group group;
static struct timer_queue queue;
static bool extint;
static enum vm_end ended;

void vcpu_request(struct vcpu *v, uint32_t requests)
{
	atomic_fetch_or(&v->requests, requests);
}

void console_finish(struct console *c) {}

void vm_vcpu_stopped(struct vcpu *v) {}
void sched_remove(struct vcpu *v) {}
void sched_run_timers_slow(struct vmm_cpu *c) {}
void sched_shorten_turn(struct vmm_cpu *c, struct vcpu *v) {}
void vcpu_unload(struct vcpu *v) {}
void vcpu_clear_dr(void) {}
void dirty_switch_cpu_log(struct vcpu *v) {}

static unsigned self_interrupts;

void vmm_cpu_interrupt_self(void)
{
	self_interrupts++;
}

void vm_end(struct vm *m, enum vm_end why, uint32_t status)
{
	(void)m;
	(void)status;
	ended = why;
}

bool platform_extint_pending(struct platform *p, unsigned id)
{
	(void)p;
	(void)id;
	return extint;
}

bool platform_fpu_error(struct platform *p, bool interrupts_open)
{
	return false;
}

uint8_t platform_extint_ack(struct platform *p, unsigned id)
{
	(void)p;
	(void)id;
	extint = false;
	return 0x08;
}

static void notify(void *ctx, unsigned id)
{
	(void)ctx;
	(void)id;
}

static const struct dev_host host = {.notify = notify};

static void earlier(struct timer_queue *q)
{
	(void)q;
}

static void no_eoi(void *ctx, uint8_t vector)
{
	(void)ctx;
	(void)vector;
}

static int setup(void **state)
{
	(void)state;
	memset(&fake_cpu, 0, sizeof(fake_cpu));
	is_emulated = false;
	delivered.type = EVENT_NONE;
	memset(&vcpu, 0, sizeof(vcpu));
	memset(&lapic, 0, sizeof(lapic));
	fake_cpu.vreg[VREG_CR0] = CR0_PE;
	vcpu.vm = &vm;
	vcpu.lapic = &lapic;
	fake_cpu.rflags = RFLAGS_IF;
	extint = false;
	virt_caps.lax = virt_caps.nmi_window_early = false;
	hlt_is_next = self_interrupts = 0;
	slots_init(&vm.mem);
	ended = VM_RUNNING;
	timer_queue_init(&queue, earlier);
	lapic_group_init(&group, &host, &vm, no_eoi, NULL, 40);
	lapic_init(&lapic, &group, 0, &queue);
	assert_int_equal(lapic_mmio_read(&lapic, 0x30, 4) & 0xff, 0x14);
	lapic_mmio_write(&lapic, 0xf0, 4, 0x1ff);
	return 0;
}

/* One entry: what goes in. */
static struct vm_event_info enter(void)
{
	fake_cpu.injected.type = EVENT_NONE;
	vcpu_request(&vcpu, REQ_EVENT);
	requests_serve(NULL, &vcpu);
	return fake_cpu.injected;
}

static void interrupt_goes_in_when_open(void **state)
{
	(void)state;
	lapic_post(&lapic, 0x40, false);
	assert_true(event_wakes(&vcpu));
	assert_int_equal(enter().vector, 0x40);
	assert_int_equal(fake_cpu.injected.type, EVENT_INTR);
	assert_false(fake_cpu.irq_window);
	assert_int_equal(enter().type, EVENT_NONE);
}

static void interrupt_waits_for_its_window(void **state)
{
	(void)state;
	lapic_post(&lapic, 0x40, false);
	fake_cpu.rflags = 0;
	assert_false(event_wakes(&vcpu));
	assert_int_equal(enter().type, EVENT_NONE);
	assert_true(fake_cpu.irq_window);
	fake_cpu.rflags = RFLAGS_IF;
	fake_cpu.irq_shadow = true;
	assert_int_equal(enter().type, EVENT_NONE);
	assert_true(fake_cpu.irq_window);
	fake_cpu.irq_shadow = false;
	event_close_irq_window(&vcpu);
	assert_int_equal(enter().vector, 0x40);
	assert_false(fake_cpu.irq_window);
}

static void second_interrupt_gets_a_window(void **state)
{
	(void)state;
	lapic_post(&lapic, 0x40, false);
	lapic_post(&lapic, 0x60, false);
	assert_int_equal(enter().vector, 0x60);
	/* 0x40 is of a lower class than what is in service: it waits for the EOI, not for IF. */
	assert_false(fake_cpu.irq_window);
	extint = true;
	enter();
	assert_int_equal(fake_cpu.injected.vector, 0x08);
}

static void exception_precedes_nmi_precedes_interrupt(void **state)
{
	(void)state;
	lapic_post(&lapic, 0x40, false);
	vcpu.nmis_pending = 1;
	event_inject_error(&vcpu, X86_TRAP_GP, 0x18);
	assert_int_equal(enter().vector, X86_TRAP_GP);
	assert_true(fake_cpu.injected.has_error);
	assert_int_equal(fake_cpu.injected.error, 0x18);
	assert_true(fake_cpu.irq_window);
	assert_int_equal(enter().type, EVENT_NMI);
	assert_true(fake_cpu.nmi_window);
	assert_int_equal(enter().vector, 0x40);
	assert_int_equal(fake_cpu.injected.type, EVENT_INTR);
}

static void nmi_is_masked_until_iret(void **state)
{
	(void)state;
	vcpu.nmis_pending = 1;
	assert_int_equal(enter().type, EVENT_NMI);
	vcpu.nmis_pending = 1;
	assert_int_equal(enter().type, EVENT_NONE);
	assert_false(event_wakes(&vcpu));
	vcpu.nmi_masked = false;
	assert_true(event_wakes(&vcpu));
	assert_int_equal(enter().type, EVENT_NMI);
}

static void send_nmis(uint32_t count)
{
	atomic_fetch_add(&vcpu.nmis_sent, count);
	event_latch_nmis(&vcpu);
}

/* The exit at the IRET that ends the handler, before that is executed. */
static void reach_iret(void)
{
	vcpu.nmis_pending = 1;
	assert_int_equal(enter().type, EVENT_NMI);
	assert_true(fake_cpu.nmi_window);
	vcpu.virt.rip = 0x5000;
	fake_cpu.rflags = 0;
	nmi_window_exit(&vcpu);
	assert_false(fake_cpu.nmi_window);
}

/* The handler's stack frame is in use until its IRET is done: Linux would return to it for ever. */
static void no_nmi_goes_in_front_of_the_iret(void **state)
{
	virt_caps.nmi_window_early = true;
	reach_iret();
	send_nmis(1);
	assert_int_equal(enter().type, EVENT_NONE);
	assert_int_equal(fake_cpu.rflags, RFLAGS_TF); /* an exit behind the IRET */
	vcpu.virt.rip = 0x8000;
	fake_cpu.rflags = RFLAGS_IF;
	fake_cpu.vreg[VREG_DR6] = DR6_INIT | DR6_BS;
	exception_exit(&vcpu, &(struct vm_exit){.exception.vector = X86_TRAP_DB});
	assert_int_equal(fake_cpu.vreg[VREG_DR6], DR6_INIT);
	assert_int_equal(enter().type, EVENT_NMI);
	assert_int_equal(fake_cpu.rflags, RFLAGS_IF);
	assert_int_equal(vcpu.pending.type, EVENT_NONE);
}

/* A step would leave TF in the TSS of the NMI's task. */
static void the_iret_of_a_task_is_executed_here(void **state)
{
	(void)state;
	for (iret = IRET_RETURNS; iret <= IRET_RUNS_AGAIN; iret++) {
		setup(NULL);
		irets = 0;
		virt_caps.nmi_window_early = true;
		send_nmis(1);
		assert_int_equal(enter().type, EVENT_NMI);
		fake_cpu.rflags = RFLAGS_NT;
		nmi_window_exit(&vcpu);
		send_nmis(1);
		atomic_store(&vcpu.requests, 0);
		assert_int_equal(enter().type, EVENT_NONE);
		assert_int_equal(irets, 1);
		assert_false(vcpu.nmi_step);
		assert_int_equal(fake_cpu.rflags, RFLAGS_NT);
		assert_true(atomic_load(&vcpu.requests) & REQ_EVENT);
		if (iret == IRET_FAULTS) {
			assert_int_equal(enter().vector, X86_TRAP_TS);
			assert_true(fake_cpu.irq_window);
		}
		assert_int_equal(enter().type, iret == IRET_RUNS_AGAIN ? EVENT_NONE : EVENT_NMI);
	}
	/* What NT does not mean a task for. */
	iret = IRET_RETURNS;
	for (unsigned i = 0; i < 3; i++) {
		setup(NULL);
		irets = 0;
		virt_caps.nmi_window_early = true;
		send_nmis(1);
		enter();
		fake_cpu.rflags = RFLAGS_NT | (i == 0 ? RFLAGS_VM : 0);
		fake_cpu.vreg[VREG_EFER] = i == 1 ? EFER_LMA : 0;
		fake_cpu.vreg[VREG_CR0] = i == 2 ? 0 : CR0_PE;
		nmi_window_exit(&vcpu);
		send_nmis(1);
		enter();
		assert_int_equal(irets, 0);
		assert_true(vcpu.nmi_step);
	}
}

/* Its fault is of an instruction of the guest's; so is its end, and then comes the NMI. */
static void no_interrupt_goes_in_front_of_what_that_iret_leaves(void **state)
{
	for (iret = IRET_RETURNS; iret <= IRET_FAULTS; iret++) {
		setup(state);
		virt_caps.nmi_window_early = true;
		send_nmis(1);
		assert_int_equal(enter().type, EVENT_NMI);
		fake_cpu.rflags = RFLAGS_NT | RFLAGS_IF;
		nmi_window_exit(&vcpu);
		send_nmis(1);
		lapic_post(&lapic, 0x40, false);
		assert_int_equal(enter().type, EVENT_NONE);
		if (iret == IRET_FAULTS)
			assert_int_equal(enter().vector, X86_TRAP_TS);
		assert_int_equal(enter().type, EVENT_NMI);
		assert_int_equal(enter().vector, 0x40);
	}
}

static void behind_the_iret_nmis_go_in_at_once(void **state)
{
	virt_caps.nmi_window_early = true;
	reach_iret();
	assert_int_equal(enter().type, EVENT_NONE);
	vcpu.virt.rip = 0x8000;
	send_nmis(1);
	assert_true(event_wakes(&vcpu));
	assert_int_equal(enter().type, EVENT_NMI);
	assert_int_equal(fake_cpu.rflags, 0);
}

static void a_window_that_is_not_early_opens(void **state)
{
	reach_iret();
	send_nmis(1);
	assert_int_equal(enter().type, EVENT_NMI);
}

static void two_nmis_are_taken_one_waits(void **state)
{
	(void)state;
	send_nmis(1);
	send_nmis(1);
	assert_int_equal(enter().type, EVENT_NMI);
	assert_int_equal(enter().type, EVENT_NONE);
	send_nmis(0xffffffff);
	vcpu.nmi_masked = false;
	assert_int_equal(enter().type, EVENT_NMI);
	vcpu.nmi_masked = false;
	assert_int_equal(enter().type, EVENT_NONE);
	send_nmis(5);
	assert_int_equal(vcpu.nmis_pending, 2);
}

/* An NMI right behind an exception whose handler keeps interrupts closed, as #DB's often does. */
static void an_nmi_behind_an_exception_needs_no_if(void **state)
{
	fake_cpu.rflags = 0;
	event_inject(&vcpu, X86_TRAP_DB);
	send_nmis(1);
	assert_int_equal(enter().vector, X86_TRAP_DB);
	assert_true(fake_cpu.nmi_window);
	atomic_store(&vcpu.requests, 0);
	nmi_window_exit(&vcpu);
	assert_false(fake_cpu.nmi_window);
	assert_true(atomic_load(&vcpu.requests) & REQ_EVENT);
	assert_int_equal(enter().type, EVENT_NMI);
	assert_int_equal(self_interrupts, 0);
}

/* The same without a window for that: there, it is an exit at the handler's IRET. */
static void an_nmi_without_a_window_interrupts_the_cpu(void **state)
{
	virt_caps.nmi_window_early = true;
	fake_cpu.rflags = 0;
	event_inject(&vcpu, X86_TRAP_DB);
	send_nmis(1);
	assert_int_equal(enter().vector, X86_TRAP_DB);
	assert_false(fake_cpu.nmi_window);
	assert_int_equal(self_interrupts, 1);
	assert_int_equal(enter().type, EVENT_NMI);
	assert_true(fake_cpu.nmi_window);
	assert_int_equal(self_interrupts, 1);
	send_nmis(1); /* now it waits for that IRET */
	assert_int_equal(enter().type, EVENT_NONE);
	assert_int_equal(self_interrupts, 1);
}

static void an_nmi_waits_for_the_end_of_a_shadow(void **state)
{
	fake_cpu.rflags = 0;
	fake_cpu.irq_shadow = true;
	send_nmis(1);
	assert_int_equal(enter().type, EVENT_NONE);
	assert_true(fake_cpu.nmi_window);
	fake_cpu.irq_shadow = false;
	nmi_window_exit(&vcpu);
	assert_int_equal(enter().type, EVENT_NMI);
}

static void real_mode_pushes_no_error_code(void **state)
{
	(void)state;
	fake_cpu.vreg[VREG_CR0] = 0;
	event_inject_error(&vcpu, X86_TRAP_GP, 0);
	assert_false(enter().has_error);
}

static void page_fault_sets_cr2(void **state)
{
	(void)state;
	event_inject_page_fault(&vcpu, GVA(0x1234000), PFERR_WRITE);
	assert_int_equal(fake_cpu.vreg[VREG_CR2], 0x1234000);
	assert_int_equal(enter().vector, X86_TRAP_PF);
	assert_int_equal(fake_cpu.injected.error, PFERR_WRITE);
}

/* The guest returns to the instruction of a fault: its breakpoint is not to hit again. */
static void only_faults_set_rf(void **state)
{
	static const struct {
		uint8_t vector;
		bool fault;
	} table[] = {
		{X86_TRAP_DE, true},  {X86_TRAP_UD, true},  {X86_TRAP_GP, true},
		{X86_TRAP_PF, true},  {X86_TRAP_AC, true},  {X86_TRAP_XM, true},
		{X86_TRAP_SX, true},  {X86_TRAP_DB, false}, {X86_TRAP_BP, false},
		{X86_TRAP_OF, false}, {X86_TRAP_DF, false}, {X86_TRAP_MC, false},
	};

	for (unsigned i = 0; i < ARRAY_SIZE(table); i++) {
		setup(state);
		event_inject(&vcpu, table[i].vector);
		assert_int_equal(enter().vector, table[i].vector);
		assert_int_equal(fake_cpu.rflags, RFLAGS_IF | (table[i].fault ? RFLAGS_RF : 0));
	}
	setup(state);
	vcpu.virt.idt_event = (struct vm_event_info){.type = EVENT_INTR, .vector = X86_TRAP_UD};
	event_requeue(&vcpu);
	assert_int_equal(enter().type, EVENT_INTR);
	assert_int_equal(fake_cpu.rflags, RFLAGS_IF);
}

/* SDM volume 3, table 6-5: first by second. */
static void double_faults(void **state)
{
	static const struct {
		uint8_t first, second;
		bool df;
	} table[] = {
		{X86_TRAP_GP, X86_TRAP_GP, true},  {X86_TRAP_GP, X86_TRAP_PF, false},
		{X86_TRAP_PF, X86_TRAP_PF, true},  {X86_TRAP_PF, X86_TRAP_GP, true},
		{X86_TRAP_DE, X86_TRAP_NP, true},  {X86_TRAP_DB, X86_TRAP_GP, false},
		{X86_TRAP_UD, X86_TRAP_UD, false}, {X86_TRAP_SS, X86_TRAP_TS, true},
	};

	for (unsigned i = 0; i < ARRAY_SIZE(table); i++) {
		setup(state);
		event_inject_error(&vcpu, table[i].first, 1);
		event_inject_error(&vcpu, table[i].second, 2);
		assert_int_equal(enter().vector, table[i].df ? X86_TRAP_DF : table[i].second);
		assert_int_equal(fake_cpu.injected.error, table[i].df ? 0 : 2);
	}
}

static void fault_in_double_fault_is_shutdown(void **state)
{
	(void)state;
	event_inject_error(&vcpu, X86_TRAP_DF, 0);
	event_inject_error(&vcpu, X86_TRAP_GP, 0);
	assert_int_equal(ended, VM_TRIPLE_FAULT);
}

static void interrupted_delivery_comes_again(void **state)
{
	(void)state;
	vcpu.virt.idt_event = (struct vm_event_info){.type = EVENT_INTR, .vector = 0x31};
	event_requeue(&vcpu);
	assert_int_equal(enter().vector, 0x31);
	/* INT n, INT3 and INTO are executed again instead. */
	vcpu.virt.idt_event = (struct vm_event_info){.type = EVENT_SOFT_INT, .vector = 0x80};
	event_requeue(&vcpu);
	assert_int_equal(enter().type, EVENT_NONE);
	vcpu.virt.idt_event =
		(struct vm_event_info){.type = EVENT_EXCEPTION, .vector = X86_TRAP_BP};
	event_requeue(&vcpu);
	assert_int_equal(enter().type, EVENT_NONE);
}

static void skipping_ends_shadow_and_steps(void **state)
{
	(void)state;
	vcpu.virt.rip = 0xffffffff;
	fake_cpu.irq_shadow = true;
	vcpu_skip(&vcpu, 2);
	assert_int_equal(vcpu.virt.rip, 1); /* 32-bit code wraps */
	fake_cpu.vreg[VREG_EFER] = EFER_LMA;
	vcpu.virt.rip = 0xffffffff;
	vcpu_skip(&vcpu, 2);
	assert_int_equal(vcpu.virt.rip, 1); /* in compatibility mode as well */
	fake_cpu.irq_shadow = true;
	vcpu_skip(&vcpu, 2);
	assert_false(fake_cpu.irq_shadow);
	assert_int_equal(vcpu.pending.type, EVENT_NONE);
	fake_cpu.seg[SEG_CS].attr = SEG_ATTR_L;
	vcpu.virt.rip = 0xffffffff;
	fake_cpu.rflags |= RFLAGS_TF;
	vcpu_skip(&vcpu, 2);
	assert_int_equal(vcpu.virt.rip, 0x100000001);
	assert_int_equal(enter().vector, X86_TRAP_DB);
	assert_true(fake_cpu.vreg[VREG_DR6] & DR6_BS);
}

/* Recording and stepping of branches end with each #DB, the software's too, and with no other. */
static void debug_exceptions_end_branch_tracing(void **state)
{
	const uint64_t both = DEBUGCTL_LBR | DEBUGCTL_BTF;

	fake_cpu.vreg[VREG_DEBUGCTL] = both;
	event_inject(&vcpu, X86_TRAP_UD);
	assert_int_equal(fake_cpu.vreg[VREG_DEBUGCTL], both);
	exception_exit(&vcpu, &(struct vm_exit){.exception.vector = X86_TRAP_DB});
	assert_int_equal(fake_cpu.vreg[VREG_DEBUGCTL], 0);
	fake_cpu.vreg[VREG_DEBUGCTL] = both;
	fake_cpu.rflags |= RFLAGS_TF;
	vcpu_skip(&vcpu, 2);
	assert_int_equal(fake_cpu.vreg[VREG_DEBUGCTL], 0);
	fake_cpu.vreg[VREG_DEBUGCTL] = both;
	vcpu.nmi_step = true; /* not the guest's exception */
	exception_exit(&vcpu, &(struct vm_exit){.exception.vector = X86_TRAP_DB});
	assert_int_equal(fake_cpu.vreg[VREG_DEBUGCTL], both);
}

/* An interrupt that only the task priority holds back must not need an exit of its own to go in. */
static void lowering_cr8_exits_while_something_waits(void **state)
{
	(void)state;
	lapic_set_cr8(&lapic, 15);
	lapic_post(&lapic, 0x40, false);
	assert_int_equal(enter().type, EVENT_NONE);
	assert_true(fake_cpu.cr8_exits);
	assert_false(fake_cpu.irq_window);
	lapic_set_cr8(&lapic, 0);
	assert_int_equal(enter().vector, 0x40);
	enter();
	assert_false(fake_cpu.cr8_exits);
}

/* Of MOV CR8 without an exit and a write of the APIC's own register, the later one counts. */
static void task_priority_has_two_writers(void **state)
{
	(void)state;
	fake_cpu.cr8 = 5;
	vcpu_sync_task_priority(&vcpu);
	assert_int_equal(lapic_get_cr8(&lapic), 5);
	lapic_post(&lapic, 0x40, false);
	assert_int_equal(enter().type, EVENT_NONE);
	fake_cpu.cr8 = 3;
	vcpu_sync_task_priority(&vcpu);
	assert_int_equal(enter().vector, 0x40);
	lapic_set_cr8(&lapic, 9); /* the register, after the look at CR8 */
	vcpu_sync_task_priority(&vcpu);
	assert_int_equal(lapic_get_cr8(&lapic), 9);
}

/* On a CPU that forgets the shadow of STI, an HLT behind it must not wait for ever. */
static void interrupt_before_hlt_comes_after_it(void **state)
{
	(void)state;
	virt_caps.lax = true;
	hlt_is_next = 1;
	fake_cpu.irq_shadow = true;
	vcpu.virt.rip = 0x1000;
	fake_cpu.vreg[VREG_EFER] = EFER_LMA;
	assert_int_equal(enter().type, EVENT_NONE);
	assert_int_equal(vcpu.virt.rip, 0x1000);
	lapic_post(&lapic, 0x40, false);
	fake_cpu.rflags = 0;
	assert_int_equal(enter().type, EVENT_NONE);
	assert_int_equal(vcpu.virt.rip, 0x1000);
	fake_cpu.rflags = RFLAGS_IF;
	assert_int_equal(enter().vector, 0x40);
	assert_int_equal(vcpu.virt.rip, 0x1001);
}

/* A look that no entry follows (a request came in between) must not lose what it injected. */
static void second_look_keeps_the_first_injection(void **state)
{
	(void)state;
	lapic_post(&lapic, 0x40, false);
	assert_int_equal(enter().vector, 0x40);
	extint = true;
	vcpu_request(&vcpu, REQ_EVENT);
	requests_serve(NULL, &vcpu);
	assert_int_equal(fake_cpu.injected.vector, 0x40);
	assert_true(fake_cpu.irq_window);
	assert_int_equal(enter().vector, 0x08);
}

/* The emulator takes its events at once, one at each look. */
static void emulated_modes_take_their_events_at_once(void **state)
{
	(void)state;
	vcpu.emulates_modes = is_emulated = true;
	lapic_post(&lapic, 0x40, false);
	event_inject(&vcpu, X86_TRAP_UD);
	assert_int_equal(enter().type, EVENT_NONE);
	assert_int_equal(delivered.type, EVENT_EXCEPTION);
	assert_int_equal(delivered.vector, X86_TRAP_UD);
	assert_true(fake_cpu.irq_window);
	delivered.type = EVENT_NONE;
	enter();
	assert_int_equal(delivered.type, EVENT_INTR);
	assert_int_equal(delivered.vector, 0x40);
	is_emulated = false; /* the CPU goes on */
	extint = true;
	assert_int_equal(enter().vector, 0x08);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(interrupt_goes_in_when_open, setup),
		cmocka_unit_test_setup(interrupt_waits_for_its_window, setup),
		cmocka_unit_test_setup(second_interrupt_gets_a_window, setup),
		cmocka_unit_test_setup(exception_precedes_nmi_precedes_interrupt, setup),
		cmocka_unit_test_setup(nmi_is_masked_until_iret, setup),
		cmocka_unit_test_setup(no_nmi_goes_in_front_of_the_iret, setup),
		cmocka_unit_test_setup(the_iret_of_a_task_is_executed_here, setup),
		cmocka_unit_test_setup(no_interrupt_goes_in_front_of_what_that_iret_leaves, setup),
		cmocka_unit_test_setup(behind_the_iret_nmis_go_in_at_once, setup),
		cmocka_unit_test_setup(a_window_that_is_not_early_opens, setup),
		cmocka_unit_test_setup(two_nmis_are_taken_one_waits, setup),
		cmocka_unit_test_setup(an_nmi_behind_an_exception_needs_no_if, setup),
		cmocka_unit_test_setup(an_nmi_without_a_window_interrupts_the_cpu, setup),
		cmocka_unit_test_setup(an_nmi_waits_for_the_end_of_a_shadow, setup),
		cmocka_unit_test_setup(real_mode_pushes_no_error_code, setup),
		cmocka_unit_test_setup(page_fault_sets_cr2, setup),
		cmocka_unit_test_setup(only_faults_set_rf, setup),
		cmocka_unit_test_setup(double_faults, setup),
		cmocka_unit_test_setup(fault_in_double_fault_is_shutdown, setup),
		cmocka_unit_test_setup(interrupted_delivery_comes_again, setup),
		cmocka_unit_test_setup(skipping_ends_shadow_and_steps, setup),
		cmocka_unit_test_setup(debug_exceptions_end_branch_tracing, setup),
		cmocka_unit_test_setup(lowering_cr8_exits_while_something_waits, setup),
		cmocka_unit_test_setup(task_priority_has_two_writers, setup),
		cmocka_unit_test_setup(interrupt_before_hlt_comes_after_it, setup),
		cmocka_unit_test_setup(second_look_keeps_the_first_injection, setup),
		cmocka_unit_test_setup(emulated_modes_take_their_events_at_once, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
