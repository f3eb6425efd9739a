/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The VMX back end on CPUs as they are sold, and as KVM offers one: what is used of each, that
 * nothing is asked of it which it has not, and that guests run in each mode with events, windows
 * and exits. The fake CPU goes through the VM-entry checks before each entry.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "arch/x86/vmx/vmx.h"
#include "lib/log.h"
#include "tests/unit/support/paging_modes.h"
#include "tests/unit/support/vmx_states.h"
#include "tests/unit/vmx/fake_guest.h"
#include "tests/unit/vmx/models.h"

#define V (&fake_vcpu)

static const struct model {
	const char *name;
	const struct vmx_limits *limits;
	bool tdp, unrestricted, has_1g, has_ad, log, vpid, timer;
	bool switches_msrs, tpr_shadow, bitmaps, rdtscp, invpcid, wbinvd;
} models[] = {
	{.name = "penryn",
	 .limits = &vmx_penryn,
	 .tpr_shadow = true,
	 .bitmaps = true,
	 .wbinvd = true},
	{.name = "conroe", .limits = &vmx_conroe},
	{.name = "nehalem",
	 .limits = &vmx_nehalem,
	 .tdp = true,
	 .vpid = true,
	 .timer = true,
	 .switches_msrs = true,
	 .tpr_shadow = true,
	 .bitmaps = true,
	 .rdtscp = true,
	 .wbinvd = true},
#define EVERYTHING                                                                                 \
	.tdp = true, .unrestricted = true, .has_1g = true, .has_ad = true, .log = true,            \
	.vpid = true, .timer = true, .switches_msrs = true, .tpr_shadow = true, .bitmaps = true,   \
	.rdtscp = true, .invpcid = true, .wbinvd = true
	{.name = "tiger lake", .limits = &vmx_tiger_lake, EVERYTHING},
	{.name = "alder lake", .limits = &vmx_alder_lake, EVERYTHING},
	{.name = "in KVM", .limits = &vmx_in_kvm, EVERYTHING},
};

/* With nested paging where the CPU has it, else with a shadow of the guest's mode. */
static void begin_on(const struct model *m)
{
	if (m->tdp)
		fake_guest_begin(m->limits);
	else
		fake_guest_begin_shadowed(m->limits);
}

static void set_mode(const struct model *m, const struct paging_mode *mode)
{
	struct virt_paging p;

	fake_guest_mode(mode);
	if (m->tdp)
		return;
	p = paging_mode_shadow(mode, mode->levels == 3 ? fake_guest_pae_root(0x654321000 | PTE_P, 0)
						       : HPA(0x654321000));
	vmx_set_paging(V, &p);
}

/* ---- the choice ---- */

static void check_word(uint64_t allowed, uint32_t chosen)
{
	assert_int_equal(chosen & ~(uint32_t)(allowed >> 32), 0);
	assert_int_equal((uint32_t)allowed & ~chosen, 0);
}

static void check_controls(const struct model *m)
{
	const uint64_t *c = m->limits->controls;

	check_word(c[CTL_PIN], vmx_setup.pin);
	check_word(c[CTL_PROC], vmx_setup.proc);
	check_word(c[CTL_PROC2], vmx_setup.proc2);
	check_word(c[CTL_EXIT], vmx_setup.exit);
	check_word(c[CTL_ENTRY], vmx_setup.entry);
	assert_int_equal(!!(vmx_setup.pin & PIN_PREEMPTION_TIMER), m->timer);
	assert_int_equal(!!(vmx_setup.proc & PROC_TPR_SHADOW), m->tpr_shadow);
	assert_int_equal(!!(vmx_setup.proc & PROC_CR8_LOAD), !m->tpr_shadow);
	assert_int_equal(!!(vmx_setup.proc & PROC_MSR_BITMAPS), m->bitmaps);
	assert_int_equal(!!(vmx_setup.proc & PROC_UNCONDITIONAL_IO), !m->bitmaps);
	assert_int_equal(!!(vmx_setup.proc2 & PROC2_WBINVD), m->wbinvd);
	assert_int_equal(vmx_setup.switches_efer, m->switches_msrs);
	assert_int_equal(vmx_setup.switches_pat, m->switches_msrs);
}

static void each_model_gives_what_it_has(void **state)
{
	for (unsigned i = 0; i < ARRAY_SIZE(models); i++) {
		const struct model *m = &models[i];

		assert_int_equal(fake_guest_probe(m->limits), 0);
		check_controls(m);
		assert_int_equal(virt_caps.tdp, m->tdp);
		assert_int_equal(virt_caps.unrestricted, m->unrestricted);
		assert_int_equal(virt_caps.tdp_has_1g, m->has_1g);
		assert_int_equal(virt_caps.tdp_has_ad, m->has_ad);
		assert_int_equal(virt_caps.tdp_logs_writes, m->log);
		assert_int_equal(virt_caps.tags > 1, m->vpid);
		assert_int_equal(virt_caps.preemption_timer, m->timer);
		assert_int_equal(virt_caps.rdtscp, m->rdtscp);
		assert_int_equal(virt_caps.invpcid, m->invpcid);
	}
}

static char said[512];

static void keep(struct log_sink *sink, const char *text, size_t len)
{
	strncat(said, text, min(len, sizeof(said) - strlen(said) - 1));
}

/* Each control without which there are no guests is missed by name of its group and bits. */
static void what_is_missing_is_named(void **state)
{
	static const struct {
		enum vmx_control_word word;
		uint32_t bit;
		const char *words;
	} table[] = {
		{CTL_PIN, PIN_VIRTUAL_NMIS, "vmx: pin-based controls 20 are missing"},
		{CTL_PIN, PIN_NMI, "vmx: pin-based controls 8 are missing"},
		{CTL_PROC, PROC_HLT, "vmx: processor-based controls 80 are missing"},
		{CTL_EXIT, EXIT_HOST_64BIT, "vmx: VM-exit controls 200 are missing"},
		{CTL_ENTRY, ENTRY_LOAD_DEBUG, "vmx: VM-entry controls 4 are missing"},
	};

	for (unsigned i = 0; i < ARRAY_SIZE(table); i++) {
		for (unsigned m = 0; m < ARRAY_SIZE(models); m++) {
			struct vmx_limits l = *models[m].limits;

			l.controls[table[i].word] &= ~((uint64_t)table[i].bit << 32);
			l.controls[table[i].word] &= ~(uint64_t)table[i].bit;
			l.basic |= VMX_BASIC_TRUE_CTLS; /* which the fake CPU gives as they are */
			said[0] = '\0';
			assert_int_equal(fake_guest_probe(&l), -ENODEV);
			assert_non_null(strstr(said, table[i].words));
		}
	}
}

/* ---- guests ---- */

static void inject_each_event(void)
{
	static const struct vm_event_info events[] = {
		{.type = EVENT_INTR, .vector = 0x51},
		{.type = EVENT_NMI, .vector = X86_TRAP_NMI},
		{.type = EVENT_EXCEPTION, .vector = X86_TRAP_UD},
		{.type = EVENT_EXCEPTION, .vector = X86_TRAP_GP, .has_error = true, .error = 8},
		{.type = EVENT_SOFT_INT, .vector = 0x80, .insn_len = 2},
	};

	for (unsigned i = 0; i < ARRAY_SIZE(events); i++) {
		/* Real mode pushes no error code, and the checks know it. */
		if (events[i].has_error && !(vmx_reg_read(V, VREG_CR0) & CR0_PE))
			continue;
		vmx_set_rflags(V, RFLAGS_FIXED | RFLAGS_IF);
		vmx_inject(V, &events[i]);
		assert_true(vmx_has_event(V));
		fake_guest_enter();
		assert_false(vmx_has_event(V));
	}
}

static void check_windows(void)
{
	vmx_irq_window(V, true);
	assert_int_equal(fake_guest_exit(VMX_EXIT_INTERRUPT_WINDOW, 0).reason, EXIT_IRQ_WINDOW);
	vmx_irq_window(V, false);
	vmx_nmi_window(V, true);
	assert_int_equal(fake_guest_exit(VMX_EXIT_NMI_WINDOW, 0).reason, EXIT_NMI_WINDOW);
	vmx_nmi_window(V, false);
	vmx_exit_on_pause(V, true);
	vmx_exit_on_cr8_write(V, true);
	vmx_exit_on_invlpg(V, true);
	vmx_exit_on_cr3(V, true, true);
	fake_guest_enter();
	vmx_exit_on_pause(V, false);
	vmx_exit_on_cr8_write(V, false);
	vmx_exit_on_invlpg(V, false);
	vmx_exit_on_cr3(V, false, false);
	vmx_cr8_write(V, 9);
	assert_int_equal(vmx_cr8_read(V), 9);
	fake_guest_enter();
}

static void check_flushes(const struct model *m)
{
	vmx_flush(V);
	fake_guest_enter();
	vmx_flush_gva(V, GVA(0x5000));
	vmx_flush_tdp(V);
	fake_cpu.invepts = 0;
	fake_guest_enter();
	assert_int_equal(fake_cpu.invepts, m->tdp);
}

static void check_exits(const struct model *m)
{
	assert_int_equal(fake_guest_exit(VMX_EXIT_HLT, 0).reason, EXIT_HLT);
	assert_int_equal(fake_guest_exit(VMX_EXIT_WRMSR, 0).reason, EXIT_WRMSR);
	assert_int_equal(fake_guest_exit(VMX_EXIT_IO, 0x3f8 << 16).reason, EXIT_IO);
	assert_int_equal(fake_guest_exit(VMX_EXIT_EXTERNAL_INTERRUPT, 0).reason, EXIT_INTERRUPT);
	if (m->tdp)
		assert_int_equal(fake_guest_exit(VMX_EXIT_EPT_VIOLATION, 0x181).reason,
				 EXIT_MEMORY_FAULT);
	if (!m->timer)
		return;
	vmx_preempt_at(V, 1000);
	assert_int_equal(fake_guest_exit(VMX_EXIT_PREEMPTION_TIMER, 0).reason, EXIT_PREEMPTION);
	vmx_preempt_at(V, 0);
}

/* Registers of which some CPUs have no field of their own. */
static void check_registers(const struct paging_mode *mode)
{
	assert_int_equal(vmx_reg_read(V, VREG_CR0), mode->cr0);
	assert_int_equal(vmx_reg_read(V, VREG_CR3), mode->cr3);
	assert_int_equal(vmx_reg_read(V, VREG_CR4), mode->cr4);
	assert_int_equal(vmx_reg_read(V, VREG_EFER), mode->efer);
	vmx_reg_write(V, VREG_PAT, 0x0606060606060606);
	assert_int_equal(vmx_reg_read(V, VREG_PAT), 0x0606060606060606);
}

/* Without what CPUID does not have there either. */
static void run_in_mode(const struct model *m, const struct paging_mode *any)
{
	struct paging_mode its_own = *any, *mode = &its_own;
	bool may_run = m->unrestricted || (mode->cr0 & CR0_PE);

	mode->cr4 &= m->limits->cr4_fixed1;
	set_mode(m, mode);
	assert_int_equal(vmx_can_run(V), may_run); /* else the emulator does */
	check_registers(mode);
	if (!may_run)
		return;
	fake_guest_enter();
	inject_each_event();
	check_windows();
	check_flushes(m);
	check_exits(m);
	check_registers(mode);
}

static void each_model_runs_guests_in_each_mode(void **state)
{
	for (unsigned i = 0; i < ARRAY_SIZE(models); i++) {
		begin_on(&models[i]);
		assert_int_equal(vmx_is_unrestricted(V), models[i].unrestricted);
		for (unsigned from = 0; from < NR_MODES; from++)
			for (unsigned to = 0; to < NR_MODES; to++) {
				run_in_mode(&models[i], &paging_modes[from]);
				run_in_mode(&models[i], &paging_modes[to]);
			}
		vmx_vcpu_reset(V);
		run_in_mode(&models[i], &paging_modes[MODE_LONG]);
	}
}

/* To another CPU and back: what no VMCS has goes with it. */
static void each_model_lets_vcpus_move(void **state)
{
	static uint8_t pages[VIRT_CPU_PAGES * PAGE_SIZE] __aligned(4096);

	for (unsigned i = 0; i < ARRAY_SIZE(models); i++) {
		begin_on(&models[i]);
		run_in_mode(&models[i], &paging_modes[MODE_LONG]);
		vmx_reg_write(V, VREG_STAR, 0x1234);
		vmx_vcpu_unload(V);
		fake_cpu.id = 1;
		memset(pages, 0, sizeof(pages));
		vmx_cpu_enable(pages, HPA((uint64_t)pages));
		vmx_vcpu_load(V);
		assert_int_equal(vmx_reg_read(V, VREG_STAR), 0x1234);
		run_in_mode(&models[i], &paging_modes[MODE_PAE]);
		fake_cpu.id = 0;
	}
}

int main(void)
{
	static struct log_sink sink = {.write = keep};
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_model_gives_what_it_has),
		cmocka_unit_test(what_is_missing_is_named),
		cmocka_unit_test(each_model_runs_guests_in_each_mode),
		cmocka_unit_test(each_model_lets_vcpus_move),
	};

	log_add_sink(&sink);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
