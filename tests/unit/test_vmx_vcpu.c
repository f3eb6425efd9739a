/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The VMX back end on CPUs of several kinds: the controls it chooses, the VMCS it fills (which the
 * fake CPU goes through before each entry), registers, events, flushes.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "arch/x86/vmx/vmx.h"
#include "lib/clock.h"
#include "lib/log.h"
#include "tests/unit/support/vmx_states.h"
#include "tests/unit/vmx/fake_guest.h"
#include "tests/unit/vmx/kinds.h"

#define V (&fake_vcpu)

static int begin(void **state)
{
	(void)state;
	vmx_begin_on(vmx_full);
	return 0;
}

/* ---- controls and the VMCS ---- */

static void every_cpu_enters_every_mode(void **state)
{
	for (unsigned i = 0; i < ARRAY_SIZE(vmx_unrestricted_cpus); i++) {
		vmx_begin_on(vmx_unrestricted_cpus[i]);
		fake_guest_enter();
		fake_guest_long_mode();
		fake_guest_enter();
		fake_guest_real_mode();
		fake_guest_enter();
	}
}

static void capabilities_are_those_of_the_cpu(void **state)
{
	vmx_begin_on(vmx_full);
	assert_true(virt_caps.tdp && virt_caps.ept && virt_caps.unrestricted);
	assert_true(virt_caps.tdp_has_1g && virt_caps.tdp_has_ad && virt_caps.tdp_has_exec_only);
	assert_true(virt_caps.preemption_timer && virt_caps.tdp_logs_writes);
	assert_int_equal(virt_caps.tags, 0x10000);
	vmx_begin_on(vmx_without_1g_and_ad);
	assert_false(virt_caps.tdp_has_1g || virt_caps.tdp_has_ad);
	assert_int_equal(fake_cpu_field(VMCS_EPT_POINTER), FAKE_ROOT.v | EPTP_WALK_4 | EPTP_WB);
	vmx_begin_on(vmx_without_vpid);
	assert_int_equal(virt_caps.tags, 1);
	vmx_begin_on(vmx_without_preemption_timer);
	assert_false(virt_caps.preemption_timer);
	vmx_begin_on(vmx_without_pml);
	assert_true(virt_caps.tdp_has_ad);
	assert_false(virt_caps.tdp_logs_writes);
	vmx_begin_on(vmx_without_ad_alone); /* the CPU logs what it makes dirty, and nothing else */
	assert_false(virt_caps.tdp_has_ad || virt_caps.tdp_logs_writes);
}

static void a_cpu_without_what_is_needed_is_refused(void **state)
{
	struct vmx_limits l = vmx_tiger_lake;

	assert_int_equal(fake_guest_probe(&vmx_first_generation), -ENODEV);
	vmx_lacks(&l, CTL_EXIT, EXIT_HOST_64BIT);
	assert_int_equal(fake_guest_probe(&l), -ENODEV);
	memset(&l, 0, sizeof(l));
	assert_int_equal(fake_guest_probe(&l), -ENODEV);
}

/* EPT that the engine cannot use is no EPT, and nothing that needs it is on. */
static void ept_without_large_pages_is_not_used(void **state)
{
	struct vmx_limits l = vmx_tiger_lake;

	l.ept_vpid_cap &= ~EPT_CAP_2M;
	assert_int_equal(fake_guest_probe(&l), 0);
	assert_false(virt_caps.tdp || virt_caps.unrestricted);
	assert_false(vmx_setup.proc2 & (PROC2_EPT | PROC2_UNRESTRICTED_GUEST));
}

/* What the CPU finds by an address in the VMCS may lie above 4 GiB; here all of it does. */
static void structures_lie_anywhere(void **state)
{
	fake_guest_begin(&vmx_tiger_lake);
	assert_int_equal(fake_cpu_field(VMCS_MSR_BITMAP), vmx_msr_bitmap.v);
	assert_int_equal(fake_cpu_field(VMCS_IO_BITMAP_B), vmx_io_bitmaps.v + PAGE_SIZE);
	assert_true(vmx_msr_bitmap.v >> 32 && vmx_io_bitmaps.v >> 32);
	assert_true(V->control_pa.v >> 32 && fake_cpu.current->pa == V->control_pa.v);
}

static void without_bitmaps_everything_exits(void **state)
{
	uint32_t proc;

	vmx_begin_on(vmx_without_tpr_shadow_and_bitmaps);
	proc = (uint32_t)fake_cpu_field(VMCS_PRIMARY_PROCESSOR_CONTROLS);
	assert_true(proc & PROC_UNCONDITIONAL_IO);
	assert_true(proc & PROC_CR8_LOAD);
	assert_true(proc & PROC_CR8_STORE);
	vmx_exit_on_cr8_write(V, false);
	assert_true(fake_cpu_field(VMCS_PRIMARY_PROCESSOR_CONTROLS) & PROC_CR8_LOAD);
}

/* The bit of an MSR in the map: reads in the first half, writes in the second. */
static bool exits_on(uint32_t msr, bool write)
{
	const uint8_t *map = (const uint8_t *)fake_cpu_field(VMCS_MSR_BITMAP);
	uint32_t offset = (msr >= 0xc0000000 ? 0x400 : 0) + (write ? 0x800 : 0);

	return map[offset + (msr & 0x1fff) / 8] >> (msr % 8) & 1;
}

static void msrs_exit_unless_allowed(void **state)
{
	unsigned open = 0;

	vmx_msr_allow(0x10, true, false);
	vmx_msr_allow(0x1fff, false, true);
	vmx_msr_allow(0xc0000080, true, true);
	vmx_msr_allow(0xc0001fff, true, false);
	assert_false(exits_on(0x10, false));
	assert_true(exits_on(0x10, true));
	assert_true(exits_on(0x1fff, false));
	assert_false(exits_on(0x1fff, true));
	assert_false(exits_on(0xc0000080, false) || exits_on(0xc0000080, true));
	assert_false(exits_on(0xc0001fff, false));
	for (uint32_t n = 0; n < 0x2000; n++)
		open += !exits_on(n, false) + !exits_on(n, true) +
			!exits_on(0xc0000000 + n, false) + !exits_on(0xc0000000 + n, true);
	assert_int_equal(open, 5);
}

/* ---- registers ---- */

static const struct vmx_msr_entry *area(uint32_t field)
{
	return (const struct vmx_msr_entry *)fake_cpu_field(field);
}

/* Without controls of their own EFER and PAT are loaded and stored by lists. */
static void msr_lists_switch_what_controls_do_not(void **state)
{
	vmx_begin_on(vmx_without_msr_controls);
	vmx_reg_write(V, VREG_EFER, EFER_SCE);
	vmx_reg_write(V, VREG_PAT, 0x0606060606060606);
	assert_int_equal(fake_cpu_field(VMCS_ENTRY_MSR_LOAD_COUNT), 2);
	assert_int_equal(fake_cpu_field(VMCS_EXIT_MSR_STORE_COUNT), 2);
	assert_int_equal(fake_cpu_field(VMCS_EXIT_MSR_LOAD_COUNT), 2);
	assert_int_equal(area(VMCS_ENTRY_MSR_LOAD_ADDR)[0].index, MSR_EFER);
	assert_int_equal(area(VMCS_ENTRY_MSR_LOAD_ADDR)[0].value, EFER_SCE);
	assert_int_equal(area(VMCS_ENTRY_MSR_LOAD_ADDR)[1].index, MSR_PAT);
	assert_int_equal(area(VMCS_ENTRY_MSR_LOAD_ADDR)[1].value, 0x0606060606060606);
	assert_int_equal(area(VMCS_EXIT_MSR_LOAD_ADDR)[0].value, rdmsr(MSR_EFER));
	assert_int_equal(area(VMCS_EXIT_MSR_LOAD_ADDR)[1].value, rdmsr(MSR_PAT));
	assert_int_equal(fake_cpu_field(VMCS_EXIT_MSR_STORE_ADDR),
			 fake_cpu_field(VMCS_ENTRY_MSR_LOAD_ADDR));

	vmx_begin_on(vmx_without_pat_controls);
	assert_int_equal(fake_cpu_field(VMCS_ENTRY_MSR_LOAD_COUNT), 1);
	assert_int_equal(area(VMCS_ENTRY_MSR_LOAD_ADDR)[0].index, MSR_PAT);
	assert_int_equal(vmx_reg_read(V, VREG_PAT), PAT_RESET);
	assert_int_equal(fake_cpu_field(VMCS_HOST_IA32_EFER), rdmsr(MSR_EFER));

	vmx_begin_on(vmx_full);
	assert_int_equal(fake_cpu_field(VMCS_ENTRY_MSR_LOAD_COUNT), 0);
	assert_int_equal(fake_cpu_field(VMCS_GUEST_IA32_PAT), PAT_RESET);
}

static void other_registers_are_where_they_belong(void **state)
{
	static const struct {
		enum vreg reg;
		uint32_t field, msr;
	} places[] = {
		{VREG_CR3, VMCS_GUEST_CR3, 0},
		{VREG_DR7, VMCS_GUEST_DR7, 0},
		{VREG_SYSENTER_CS, VMCS_GUEST_IA32_SYSENTER_CS, 0},
		{VREG_SYSENTER_ESP, VMCS_GUEST_IA32_SYSENTER_ESP, 0},
		{VREG_SYSENTER_EIP, VMCS_GUEST_IA32_SYSENTER_EIP, 0},
		{VREG_FS_BASE, VMCS_GUEST_FS_BASE, 0},
		{VREG_GS_BASE, VMCS_GUEST_GS_BASE, 0},
		{VREG_DEBUGCTL, VMCS_GUEST_IA32_DEBUGCTL, 0},
		{VREG_STAR, 0, MSR_STAR},
		{VREG_LSTAR, 0, MSR_LSTAR},
		{VREG_CSTAR, 0, MSR_CSTAR},
		{VREG_SFMASK, 0, MSR_SFMASK},
		{VREG_KERNEL_GS_BASE, 0, MSR_KERNEL_GS_BASE},
	};

	for (unsigned i = 0; i < ARRAY_SIZE(places); i++) {
		vmx_reg_write(V, places[i].reg, 0x1000 + i);
		assert_int_equal(vmx_reg_read(V, places[i].reg), 0x1000 + i);
		assert_int_equal(places[i].field ? fake_cpu_field(places[i].field)
						 : rdmsr(places[i].msr),
				 0x1000 + i);
	}
	vmx_reg_write(V, VREG_CR2, 0x1234);
	vmx_reg_write(V, VREG_DR6, 0xffff0ff1);
	assert_int_equal(fake_cpu.cr2, 0x1234);
	assert_int_equal(fake_cpu.dr6, 0xffff0ff1);
}

static void segments_read_as_written(void **state)
{
	struct segment out;

	for (enum seg seg = SEG_ES; seg < NR_SEGS; seg++)
		for (unsigned attr = 0; attr < 0x1000; attr++) {
			struct segment in = {.base = 0x10000 * seg,
					     .limit = 0xfffff + attr,
					     .selector = (uint16_t)(8 * seg),
					     .attr = (uint16_t)attr};

			vmx_seg_write(V, seg, &in);
			vmx_seg_read(V, seg, &out);
			assert_memory_equal(&in, &out, sizeof(in));
		}
	assert_int_equal(fake_cpu_field(VMCS_GUEST_ES_ACCESS_RIGHTS), 0xf0ff);
	vmx_seg_write(V, SEG_SS, &(struct segment){.attr = SEG_ATTR_UNUSABLE | SEG_ATTR_DPL});
	assert_int_equal(fake_cpu_field(VMCS_GUEST_SS_ACCESS_RIGHTS), AR_UNUSABLE | AR_DPL);
	vmx_seg_read(V, SEG_SS, &out);
	assert_int_equal(out.attr, SEG_ATTR_UNUSABLE | SEG_ATTR_DPL);
	assert_int_equal(vmx_cpl(V), 3);
	vmx_seg_write(V, SEG_SS, &(struct segment){.attr = 0xcf3});
	assert_int_equal(vmx_cpl(V), 3);
	vmx_seg_write(V, SEG_CS, &(struct segment){.base = 0x7000, .attr = 0xa9b});
	assert_int_equal(vmx_cs_attr(V), 0xa9b);
	assert_int_equal(vmx_cs_base(V), 0x7000);
}

/* ---- events ---- */

struct injection {
	struct vm_event_info event;
	uint32_t info, error, length;
};

static void events_are_encoded(void **state)
{
	static const struct injection cases[] = {
		{{EVENT_INTR, 0x31}, 0x80000031, 0, 0},
		{{EVENT_NMI, 2}, 0x80000202, 0, 0},
		{{EVENT_EXCEPTION, 6}, 0x80000306, 0, 0},
		{{EVENT_EXCEPTION, 14, true, 7}, 0x80000b0e, 7, 0},
		{{EVENT_EXCEPTION, 8, true, 0}, 0x80000b08, 0, 0},
		{{EVENT_SOFT_INT, 0x80, .insn_len = 2}, 0x80000480, 0, 2},
	};

	fake_guest_long_mode();
	vmx_set_rflags(V, RFLAGS_FIXED | RFLAGS_IF);
	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		const struct injection *c = &cases[i];

		assert_false(vmx_has_event(V));
		vmx_inject(V, &c->event);
		assert_true(vmx_has_event(V));
		assert_int_equal(fake_cpu_field(VMCS_ENTRY_INTERRUPTION_INFO), c->info);
		if (c->event.has_error)
			assert_int_equal(fake_cpu_field(VMCS_ENTRY_EXCEPTION_ERROR_CODE), c->error);
		if (c->length)
			assert_int_equal(fake_cpu_field(VMCS_ENTRY_INSTRUCTION_LENGTH), c->length);
		fake_guest_enter();
		assert_false(vmx_has_event(V));
	}
}

static void interrupt_a_delivery(uint64_t *gpr)
{
	(void)gpr;
	fake_cpu_set_field(VMCS_IDT_VECTORING_INFO, INTR_VALID | 0x51);
}

/*
 * The first entry of a VMCS, which is a launch, and a later one, fail by a machine check: the guest
 * has not moved, and what was to be injected is, by the next one. What the exit before had to say
 * of an event is not said twice.
 */
static void an_entry_that_a_machine_check_stops_is_made_again(void **state)
{
	struct vm_event_info nmi = {.type = EVENT_NMI, .vector = 2};
	struct vm_exit e;

	for (unsigned i = 1; i <= 2; i++) {
		V->rip = 0x1234 * i;
		vmx_inject(V, &nmi);
		fake_cpu.fails_by_machine_check = true;
		vmx_vcpu_run(V, &e);
		assert_int_equal(e.reason, EXIT_MACHINE_CHECK);
		assert_int_equal(fake_cpu.machine_checks, i);
		assert_int_equal(V->idt_event.type, EVENT_NONE);
		assert_int_equal(V->rip, 0x1234 * i);
		assert_true(vmx_has_event(V));
		fake_cpu.guest = interrupt_a_delivery;
		vmx_vcpu_run(V, &e);
		fake_cpu.guest = NULL;
		assert_int_equal(fake_cpu.entries, i);
		assert_int_equal(V->idt_event.type, EVENT_INTR);
		assert_false(vmx_has_event(V));
	}
}

static void reset_drops_an_event(void **state)
{
	vmx_inject(V, &(struct vm_event_info){EVENT_EXCEPTION, 6});
	vmx_vcpu_reset(V);
	assert_false(vmx_has_event(V));
	assert_int_equal(fake_cpu_field(VMCS_ENTRY_INTERRUPTION_INFO), 0);
}

static bool exits_by(uint32_t proc)
{
	return fake_cpu_field(VMCS_PRIMARY_PROCESSOR_CONTROLS) & proc;
}

static void windows_open_and_close(void **state)
{
	vmx_irq_window(V, true);
	vmx_nmi_window(V, true);
	assert_true(exits_by(PROC_INTERRUPT_WINDOW) && exits_by(PROC_NMI_WINDOW));
	fake_guest_enter();
	vmx_irq_window(V, false);
	assert_true(!exits_by(PROC_INTERRUPT_WINDOW) && exits_by(PROC_NMI_WINDOW));
	vmx_vcpu_reset(V);
	assert_false(exits_by(PROC_NMI_WINDOW));
	vmx_exit_on_pause(V, true);
	assert_true(exits_by(PROC_PAUSE));
	vmx_exit_on_cr8_write(V, true);
	assert_true(exits_by(PROC_CR8_LOAD) && !exits_by(PROC_CR8_STORE));
	vmx_exit_on_cr8_write(V, false);
	assert_false(exits_by(PROC_CR8_LOAD));
}

static void shadow_is_that_of_sti_and_mov_ss(void **state)
{
	fake_cpu_set_field(VMCS_GUEST_INTERRUPTIBILITY, BLOCKING_BY_NMI);
	assert_false(vmx_irq_shadow(V));
	fake_cpu_set_field(VMCS_GUEST_INTERRUPTIBILITY, BLOCKING_BY_NMI | BLOCKING_BY_STI);
	assert_true(vmx_irq_shadow(V));
	vmx_clear_irq_shadow(V);
	assert_int_equal(fake_cpu_field(VMCS_GUEST_INTERRUPTIBILITY), BLOCKING_BY_NMI);
	fake_cpu_set_field(VMCS_GUEST_INTERRUPTIBILITY, BLOCKING_BY_MOV_SS);
	assert_true(vmx_irq_shadow(V));
}

/* MOV SS puts a single step off; the instruction behind it brings it, once. */
static void shadow_and_single_step_agree(void **state)
{
	vmx_set_rflags(V, RFLAGS_FIXED | RFLAGS_TF);
	fake_cpu_set_field(VMCS_GUEST_PENDING_DEBUG_EXCEPTIONS, PENDING_DEBUG_ENABLED | 1);
	vmx_set_irq_shadow(V);
	assert_true(vmx_irq_shadow(V));
	assert_int_equal(fake_cpu_field(VMCS_GUEST_PENDING_DEBUG_EXCEPTIONS),
			 PENDING_DEBUG_ENABLED | PENDING_DEBUG_BS | 1);
	fake_guest_enter();
	vmx_clear_irq_shadow(V);
	assert_int_equal(fake_cpu_field(VMCS_GUEST_PENDING_DEBUG_EXCEPTIONS),
			 PENDING_DEBUG_ENABLED | 1);
	fake_guest_enter();
	vmx_set_rflags(V, RFLAGS_FIXED);
	vmx_set_irq_shadow(V);
	fake_guest_enter();
}

static void cr8_is_the_virtual_tpr(void **state)
{
	const uint8_t *page = (const uint8_t *)fake_cpu_field(VMCS_VIRTUAL_APIC_PAGE_ADDR);

	vmx_cr8_write(V, 9);
	assert_int_equal(page[0x80], 0x90);
	assert_int_equal(vmx_cr8_read(V), 9);
	fake_guest_enter();
}

/* ---- flushes, slices, moves between CPUs ---- */

static void a_flush_takes_another_vpid(void **state)
{
	uint64_t vpid;

	fake_guest_enter();
	vpid = fake_cpu_field(VMCS_VPID);
	fake_guest_enter();
	assert_int_equal(fake_cpu_field(VMCS_VPID), vpid);
	vmx_flush(V);
	fake_guest_enter();
	assert_int_not_equal(fake_cpu_field(VMCS_VPID), vpid);
}

/* All VPIDs used up: the CPU forgets everything, and the first is taken again. */
static void vpids_run_out(void **state)
{
	unsigned before = fake_cpu.invvpids;

	for (unsigned i = 0; i < 0x10000; i++) {
		vmx_flush(V);
		fake_guest_enter();
		assert_int_not_equal(fake_cpu_field(VMCS_VPID), 0);
	}
	assert_int_equal(fake_cpu.invvpids, before + 1);
	assert_int_equal(fake_cpu.invvpid_type, INVVPID_ALL);
}

static void a_flush_of_ept_is_an_invept(void **state)
{
	unsigned before;

	fake_guest_enter();
	before = fake_cpu.invepts;
	vmx_flush(V);
	fake_guest_enter();
	assert_int_equal(fake_cpu.invepts, before);
	vmx_flush_tdp(V);
	fake_guest_enter();
	fake_guest_enter();
	assert_int_equal(fake_cpu.invepts, before + 1);
	assert_int_equal(fake_cpu.invept_type, INVEPT_ONE);
	assert_int_equal(fake_cpu.invept_eptp, fake_cpu_field(VMCS_EPT_POINTER));
}

/* A flush that another CPU was asked for meanwhile did not reach what this one remembers. */
static void a_vcpu_that_moves_flushes_ept(void **state)
{
	static uint8_t pages[VIRT_CPU_PAGES * PAGE_SIZE] __aligned(4096);
	unsigned before;

	fake_guest_enter();
	vmx_vcpu_unload(V);
	fake_cpu.id = 1;
	memset(pages, 0, sizeof(pages));
	vmx_cpu_enable(pages, HPA((uint64_t)pages));
	vmx_vcpu_load(V);
	fake_guest_enter();
	vmx_vcpu_unload(V);
	before = fake_cpu.invepts;
	vmx_vcpu_load(V);
	fake_guest_enter();
	assert_int_equal(fake_cpu.invepts, before);
	vmx_vcpu_unload(V);
	fake_cpu.id = 0;
	vmx_vcpu_load(V);
	fake_guest_enter();
	assert_int_equal(fake_cpu.invepts, before + 1);
}

static void resident_registers_follow_the_vcpu(void **state)
{
	fake_guest_enter();
	vmx_reg_write(V, VREG_LSTAR, 0x1111);
	vmx_reg_write(V, VREG_KERNEL_GS_BASE, 0x2222);
	vmx_reg_write(V, VREG_CR2, 0x3333);
	vmx_reg_write(V, VREG_DR6, 0xffff0ff4);
	vmx_vcpu_unload(V);
	assert_null(fake_cpu.current);
	wrmsr(MSR_LSTAR, 1);
	wrmsr(MSR_KERNEL_GS_BASE, 2);
	fake_cpu.cr2 = 3;
	fake_cpu.dr6 = 4;
	vmx_vcpu_load(V);
	assert_int_equal(vmx_reg_read(V, VREG_LSTAR), 0x1111);
	assert_int_equal(vmx_reg_read(V, VREG_KERNEL_GS_BASE), 0x2222);
	assert_int_equal(vmx_reg_read(V, VREG_CR2), 0x3333);
	assert_int_equal(vmx_reg_read(V, VREG_DR6), 0xffff0ff4);
	fake_guest_enter(); /* VMLAUNCH again: the fake CPU insists */
}

static void host_state_is_that_of_the_cpu(void **state)
{
	static uint8_t pages[VIRT_CPU_PAGES * PAGE_SIZE] __aligned(4096);

	assert_int_equal(fake_cpu_field(VMCS_HOST_TR_BASE), (uint64_t)&this_cpu()->tss);
	vmx_vcpu_unload(V);
	fake_cpu.id = 1;
	fake_cpu.cr3 = 0x2000;
	memset(pages, 0, sizeof(pages));
	vmx_cpu_enable(pages, HPA((uint64_t)pages));
	wrmsr(MSR_GS_BASE, (uint64_t)this_cpu());
	vmx_vcpu_load(V);
	assert_int_equal(fake_cpu_field(VMCS_HOST_TR_BASE), (uint64_t)&this_cpu()->tss);
	assert_int_equal(fake_cpu_field(VMCS_HOST_GDTR_BASE), (uint64_t)this_cpu()->gdt);
	assert_int_equal(fake_cpu_field(VMCS_HOST_GS_BASE), (uint64_t)this_cpu());
	assert_int_equal(fake_cpu_field(VMCS_HOST_CR3), 0x2000);
	fake_guest_enter();
}

static void slices_end_by_the_preemption_timer(void **state)
{
	uint64_t longest = 10 * clock_tsc_khz();

	fake_cpu.tsc = 1000;
	vmx_preempt_at(V, 5000);
	fake_guest_enter();
	assert_true(fake_cpu_field(VMCS_PIN_BASED_CONTROLS) & PIN_PREEMPTION_TIMER);
	assert_int_equal(fake_cpu_field(VMCS_PREEMPTION_TIMER_VALUE), 4000);
	fake_cpu.tsc = 6000;
	fake_guest_enter();
	assert_int_equal(fake_cpu_field(VMCS_PREEMPTION_TIMER_VALUE), 0);
	/* No run without an end: not in a long slice, not without slices. */
	vmx_preempt_at(V, ~0ull);
	fake_guest_enter();
	assert_int_equal(fake_cpu_field(VMCS_PREEMPTION_TIMER_VALUE), longest);
	fake_cpu_set_field(VMCS_PREEMPTION_TIMER_VALUE, 0);
	vmx_preempt_at(V, 0);
	fake_guest_enter();
	assert_true(fake_cpu_field(VMCS_PIN_BASED_CONTROLS) & PIN_PREEMPTION_TIMER);
	assert_int_equal(fake_cpu_field(VMCS_PREEMPTION_TIMER_VALUE), longest);
}

static void rip_and_rsp_go_both_ways(void **state)
{
	fake_vcpu.rip = 0x1234;
	fake_vcpu.gpr[GPR_RSP] = 0x5678;
	fake_guest_enter();
	assert_int_equal(fake_cpu_field(VMCS_GUEST_RIP), 0x1234);
	assert_int_equal(fake_cpu_field(VMCS_GUEST_RSP), 0x5678);
	fake_cpu_set_field(VMCS_GUEST_RIP, 0x2000);
	fake_vcpu.rip = 0x1235; /* written since: it wins */
	fake_guest_enter();
	assert_int_equal(fake_cpu_field(VMCS_GUEST_RIP), 0x1235);
}

static bool has_pml(void)
{
	return fake_cpu_field(VMCS_SECONDARY_PROCESSOR_CONTROLS) & PROC2_PML;
}

/* What the CPU does for each page that it makes dirty (SDM volume 3, 28.3.6). */
static unsigned pages_to_write;

static void writing_guest(uint64_t *gpr)
{
	uint64_t *log = (uint64_t *)fake_cpu_field(VMCS_PML_ADDRESS);
	uint16_t index = (uint16_t)fake_cpu_field(VMCS_GUEST_PML_INDEX);

	for (unsigned i = 0; i < pages_to_write && index < 512; i++)
		log[index--] = 0x100000 + i * PAGE_SIZE;
	fake_cpu_set_field(VMCS_GUEST_PML_INDEX, index);
	fake_cpu_set_field(VMCS_EXIT_REASON, index < 512 ? VMX_EXIT_CPUID : VMX_EXIT_PML_FULL);
}

static enum exit_reason write_pages(unsigned pages)
{
	struct vm_exit e;

	pages_to_write = pages;
	fake_cpu.guest = writing_guest;
	vmx_vcpu_run(V, &e);
	fake_cpu.guest = NULL;
	return e.reason;
}

/* The guest writes so many pages; `nr` of them have to be in the log. */
static void check_log(unsigned pages, unsigned nr)
{
	const uint64_t *gpa;

	assert_int_equal(write_pages(pages), pages < 512 ? EXIT_CPUID : EXIT_LOG_FULL);
	assert_int_equal(vmx_take_log(V, &gpa), nr);
	for (unsigned i = 0; i < nr; i++)
		assert_int_equal(gpa[i], 0x100000 + (nr - 1 - i) * PAGE_SIZE);
	assert_int_equal(vmx_take_log(V, &gpa), 0);
}

static void writes_are_logged(void **state)
{
	fake_guest_enter();
	assert_false(has_pml());
	vmx_log_writes(V, true);
	assert_true(has_pml());
	check_log(0, 0);
	check_log(1, 1);
	check_log(3, 3);
	check_log(511, 511);
	check_log(512, 512);
	check_log(600, 512);
	check_log(2, 2);
	/* INIT is no reason to forget, nor is another CPU. */
	vmx_vcpu_reset(V);
	fake_guest_real_mode();
	check_log(5, 5);
	vmx_vcpu_unload(V);
	vmx_vcpu_load(V);
	assert_true(has_pml());
	check_log(6, 6);
	/* Off, with something in it; and on again. */
	write_pages(7);
	vmx_log_writes(V, false);
	fake_guest_enter();
	assert_false(has_pml());
	vmx_log_writes(V, true);
	check_log(0, 0);
	check_log(2, 2);
}

static uint64_t spec_ctrl_in_guest;

static void look_at_spec_ctrl(uint64_t *gpr)
{
	spec_ctrl_in_guest = rdmsr(MSR_SPEC_CTRL);
}

/* With the first entry and later ones; a CPU without the MSR, where nothing is asked for, has #GP.
 */
static void spec_ctrl_is_switched_for_a_guest_that_has_set_it(void **state)
{
	fake_guest_enter();
	fake_cpu_set_msr(MSR_SPEC_CTRL, SPEC_CTRL_IBRS);
	fake_cpu.guest = look_at_spec_ctrl;
	vmx_set_spec_ctrl(V, SPEC_CTRL_SSBD);
	for (unsigned i = 0; i < 3; i++) {
		fake_cpu.guest = look_at_spec_ctrl;
		spec_ctrl_in_guest = 0;
		vmx_vcpu_run(V, &(struct vm_exit){0});
		assert_int_equal(spec_ctrl_in_guest, SPEC_CTRL_IBRS | SPEC_CTRL_SSBD);
		assert_int_equal(rdmsr(MSR_SPEC_CTRL), SPEC_CTRL_IBRS);
		vmx_vcpu_unload(V);
		vmx_vcpu_load(V);
	}
	vmx_set_spec_ctrl(V, 0);
	vmx_vcpu_run(V, &(struct vm_exit){0});
	assert_int_equal(spec_ctrl_in_guest, SPEC_CTRL_IBRS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_cpu_enters_every_mode),
		cmocka_unit_test(capabilities_are_those_of_the_cpu),
		cmocka_unit_test(a_cpu_without_what_is_needed_is_refused),
		cmocka_unit_test(ept_without_large_pages_is_not_used),
		cmocka_unit_test(structures_lie_anywhere),
		cmocka_unit_test(without_bitmaps_everything_exits),
		cmocka_unit_test_setup(msrs_exit_unless_allowed, begin),
		cmocka_unit_test(msr_lists_switch_what_controls_do_not),
		cmocka_unit_test_setup(other_registers_are_where_they_belong, begin),
		cmocka_unit_test_setup(segments_read_as_written, begin),
		cmocka_unit_test_setup(events_are_encoded, begin),
		cmocka_unit_test_setup(reset_drops_an_event, begin),
		cmocka_unit_test_setup(an_entry_that_a_machine_check_stops_is_made_again, begin),
		cmocka_unit_test_setup(windows_open_and_close, begin),
		cmocka_unit_test_setup(shadow_is_that_of_sti_and_mov_ss, begin),
		cmocka_unit_test_setup(shadow_and_single_step_agree, begin),
		cmocka_unit_test_setup(cr8_is_the_virtual_tpr, begin),
		cmocka_unit_test_setup(a_flush_takes_another_vpid, begin),
		cmocka_unit_test_setup(vpids_run_out, begin),
		cmocka_unit_test_setup(a_flush_of_ept_is_an_invept, begin),
		cmocka_unit_test_setup(a_vcpu_that_moves_flushes_ept, begin),
		cmocka_unit_test_setup(resident_registers_follow_the_vcpu, begin),
		cmocka_unit_test_setup(host_state_is_that_of_the_cpu, begin),
		cmocka_unit_test_setup(slices_end_by_the_preemption_timer, begin),
		cmocka_unit_test_setup(rip_and_rsp_go_both_ways, begin),
		cmocka_unit_test_setup(writes_are_logged, begin),
		cmocka_unit_test_setup(spec_ctrl_is_switched_for_a_guest_that_has_set_it, begin),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
