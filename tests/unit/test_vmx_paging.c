/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The paging registers of a VMX guest: what it is told that it has, and what the CPU runs it with,
 * with nested and with shadow paging, on CPUs with and without unrestricted guests. Whatever is
 * entered goes through the VM-entry checker.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "arch/x86/vmx/vmx.h"
#include "tests/unit/support/paging_modes.h"
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

static bool exits_by(uint32_t proc)
{
	return (fake_cpu_field(VMCS_PRIMARY_PROCESSOR_CONTROLS) & proc) == proc;
}

static bool page_faults_exit(void)
{
	return fake_cpu_field(VMCS_EXCEPTION_BITMAP) & BIT(X86_TRAP_PF);
}

/* ---- nested paging ---- */

/* What a guest is told it wrote, and what the CPU has, are two things; both must be right. */
static void control_registers_read_as_written(void **state)
{
	static const uint64_t cr0[] = {
		CR0_ET,
		CR0_ET | CR0_CD | CR0_NW,
		CR0_ET | CR0_PE | CR0_NE,
		CR0_ET | CR0_PE | CR0_PG | CR0_WP | CR0_TS,
	};
	static const uint64_t masks[] = {0, CR0_PG, CR0_PG | CR0_CD | CR0_TS, ~0u};

	for (unsigned i = 0; i < ARRAY_SIZE(cr0); i++)
		for (unsigned m = 0; m < ARRAY_SIZE(masks); m++) {
			vmx_reg_write(V, VREG_CR0, cr0[i]);
			vmx_exit_on_cr0_write(V, masks[m]);
			assert_int_equal(vmx_reg_read(V, VREG_CR0), cr0[i]);
			assert_int_equal(fake_cpu_field(VMCS_CR0_GUEST_HOST_MASK) & masks[m],
					 masks[m]);
			assert_int_equal(fake_cpu_field(VMCS_CR0_READ_SHADOW), cr0[i]);
			fake_guest_enter();
		}
	vmx_reg_write(V, VREG_CR4, CR4_PAE | CR4_PGE);
	vmx_exit_on_cr4_write(V, CR4_PGE);
	assert_int_equal(vmx_reg_read(V, VREG_CR4), CR4_PAE | CR4_PGE);
	assert_true(fake_cpu_field(VMCS_GUEST_CR4) & CR4_VMXE);
	fake_guest_enter();
}

static void check_machines_bits(uint64_t cr0, uint64_t cr4)
{
	uint64_t cr0_ours = CR0_CD | CR0_NW;

	assert_int_equal(fake_cpu_field(VMCS_GUEST_CR0) & cr0_ours, 0);
	assert_true(fake_cpu_field(VMCS_GUEST_CR0) & CR0_NE);
	assert_true(fake_cpu_field(VMCS_CR0_GUEST_HOST_MASK) & CR0_NE);
	assert_int_equal(!!(fake_cpu_field(VMCS_EXCEPTION_BITMAP) & BIT(X86_TRAP_MF)),
			 !(cr0 & CR0_NE));
	assert_int_equal(fake_cpu_field(VMCS_CR0_GUEST_HOST_MASK) & cr0_ours, cr0_ours);
	assert_int_equal(fake_cpu_field(VMCS_CR0_READ_SHADOW) & cr0_ours, cr0 & cr0_ours);
	assert_int_equal(vmx_reg_read(V, VREG_CR0), cr0);
	assert_true(fake_cpu_field(VMCS_GUEST_CR4) & CR4_MCE);
	assert_true(fake_cpu_field(VMCS_CR4_GUEST_HOST_MASK) & CR4_MCE);
	assert_int_equal(fake_cpu_field(VMCS_CR4_READ_SHADOW), cr4);
	assert_int_equal(vmx_reg_read(V, VREG_CR4), cr4);
}

/* After INIT, and whatever the guest writes: caches are on, and machine checks exit. */
static void caches_and_machine_checks_are_the_machines(void **state)
{
	static const uint64_t cr0[] = {CR0_CD, CR0_CD | CR0_NW, CR0_TS, CR0_NE, 0};
	static const uint64_t cr4[] = {0, CR4_MCE, CR4_MCE | CR4_PGE, CR4_PGE, 0};

	for (unsigned c = 0; c < ARRAY_SIZE(vmx_unrestricted_cpus); c++) {
		vmx_begin_on(vmx_unrestricted_cpus[c]);
		vmx_vcpu_reset(V);
		check_machines_bits(CR0_ET | CR0_CD | CR0_NW, 0);
		assert_true(fake_cpu_field(VMCS_EXCEPTION_BITMAP) & BIT(X86_TRAP_MC));
		fake_guest_long_mode();
		for (unsigned i = 0; i < ARRAY_SIZE(cr0); i++) {
			uint64_t old = vmx_reg_read(V, VREG_CR4) & ~(CR4_MCE | CR4_PGE);
			uint64_t on = CR0_ET | CR0_PE | CR0_PG | (cr0[i] ^ CR0_NE);

			vmx_reg_write(V, VREG_CR0, on);
			vmx_reg_write(V, VREG_CR4, old | cr4[i]);
			check_machines_bits(on, old | cr4[i]);
			vmx_exit_on_cr0_write(V, 0);
			vmx_exit_on_cr4_write(V, 0);
			check_machines_bits(on, old | cr4[i]);
			fake_guest_enter();
		}
	}
}

/* A guest with the bits of its own writes them without an exit: the CPU changes the real register,
 * under the mask, and that is what it reads. */
static void bits_of_the_guests_own_are_read_from_the_register(void **state)
{
	vmx_exit_on_cr0_write(V, CR0_PG);
	vmx_reg_write(V, VREG_CR0, CR0_ET | CR0_PE);
	fake_cpu_set_field(VMCS_GUEST_CR0, fake_cpu_field(VMCS_GUEST_CR0) | CR0_TS);
	assert_int_equal(vmx_reg_read(V, VREG_CR0), CR0_ET | CR0_PE | CR0_TS);
}

static void efer_switches_ia32e_mode(void **state)
{
	for (unsigned i = 0; i < ARRAY_SIZE(vmx_unrestricted_cpus); i++) {
		vmx_begin_on(vmx_unrestricted_cpus[i]);
		vmx_reg_write(V, VREG_EFER, EFER_LME | EFER_LMA | EFER_NXE);
		assert_true(fake_cpu_field(VMCS_ENTRY_CONTROLS) & ENTRY_IA32E_MODE);
		assert_int_equal(vmx_reg_read(V, VREG_EFER), EFER_LME | EFER_LMA | EFER_NXE);
		vmx_reg_write(V, VREG_EFER, EFER_LME);
		assert_false(fake_cpu_field(VMCS_ENTRY_CONTROLS) & ENTRY_IA32E_MODE);
		assert_int_equal(vmx_reg_read(V, VREG_EFER), EFER_LME);
	}
}

/* ---- nested paging without unrestricted guests ---- */

/* Real mode is the emulator's; without paging they run on a map of their own. */
static void restricted_cpus_run_protected_mode(void **state)
{
	vmx_begin_on(vmx_without_unrestricted);
	assert_false(virt_caps.unrestricted);
	assert_false(vmx_can_run(V));
	vmx_reg_write(V, VREG_CR3, 0x7000);
	vmx_reg_write(V, VREG_EFER, EFER_LME);
	vmx_reg_write(V, VREG_CR4, CR4_PAE);
	vmx_reg_write(V, VREG_CR0, CR0_ET | CR0_PE);
	assert_true(vmx_can_run(V));
	assert_int_equal(fake_cpu_field(VMCS_GUEST_CR3), VIRT_IDENTITY_GPA);
	assert_int_equal(vmx_reg_read(V, VREG_CR3), 0x7000);
	assert_int_equal(vmx_reg_read(V, VREG_CR4), CR4_PAE);
	assert_int_equal(vmx_reg_read(V, VREG_EFER), EFER_LME);
	fake_guest_enter();
	fake_guest_long_mode();
	assert_true(vmx_can_run(V));
	assert_int_equal(fake_cpu_field(VMCS_GUEST_CR3), 0x7000);
	fake_guest_enter();
	vmx_begin_on(vmx_full);
	assert_true(vmx_can_run(V));
}

/* Whatever segment registers hold: it can run exactly if the CPU lets it in. */
static void restricted_cpus_run_what_they_let_in(void **state)
{
	static const uint16_t attrs[] = {0x93,
					 0x9b,
					 0x9f,
					 0xf3,
					 0xfb,
					 0xff,
					 0xf7,
					 0x97,
					 SEG_ATTR_UNUSABLE,
					 SEG_ATTR_UNUSABLE | SEG_ATTR_DPL};
	static const uint16_t selectors[] = {0, 8, 0xb, 0x1000, 0x1007, 0x1002};
	unsigned runs = 0, number = 0;

	vmx_begin_on(vmx_without_unrestricted);
	vmx_reg_write(V, VREG_CR0, CR0_ET | CR0_PE | CR0_PG);
	fake_guest_enter();
	for (unsigned i = 0; i < 40000; i++) {
		struct vmx_fault fault;
		unsigned error;
		enum seg seg = SEG_ES + (number = number * 1103515245 + 12345) / 65536 % 6;
		uint16_t attr = attrs[(number = number * 1103515245 + 12345) / 65536 % 10];
		uint16_t sel = selectors[(number = number * 1103515245 + 12345) / 65536 % 6];

		if (seg == SEG_CS && (attr & SEG_ATTR_UNUSABLE))
			continue; /* CS is never null */
		vmx_seg_write(V, seg,
			      &(struct segment){.limit = 0xffff, .selector = sel, .attr = attr});
		if (vmx_can_run(V) != fake_cpu_may_enter(&fault, &error))
			fail_msg("can_run %d: %s = %#lx: %s", vmx_can_run(V), fault.name,
				 fault.value, fault.rule);
		runs += vmx_can_run(V);
	}
	assert_in_range(runs, 20, 20000);
}

/* The identity map needs the guest's CR3; so do some CPUs whether it is of use or not. */
static void cr3_exits_only_without_paging(void **state)
{
	vmx_begin_on(vmx_without_unrestricted);
	vmx_reg_write(V, VREG_CR0, CR0_ET | CR0_PE);
	assert_true(exits_by(PROC_CR3_LOAD | PROC_CR3_STORE));
	fake_guest_enter();
	fake_guest_long_mode();
	assert_false(exits_by(PROC_CR3_LOAD) || exits_by(PROC_CR3_STORE));
	vmx_begin_on(vmx_without_unrestricted_and_true_controls);
	vmx_reg_write(V, VREG_CR0, CR0_ET | CR0_PE);
	fake_guest_enter();
	fake_guest_long_mode();
	assert_true(exits_by(PROC_CR3_LOAD | PROC_CR3_STORE));
	fake_guest_enter();
}

/* ---- shadow paging ---- */

static vmx_change *const shadowing_cpus[] = {
	vmx_full,
	vmx_without_unrestricted,
	vmx_without_ept,
	vmx_without_vpid,
	vmx_without_msr_controls,
	vmx_without_true_controls,
	vmx_without_secondary_controls,
};

static hpa_t root_of(const struct paging_mode *m)
{
	return m->levels == 3 ? fake_guest_pae_root(0x7654321000 | PTE_P, 0x1000 | PTE_P)
			      : HPA(0x7654321000);
}

static void set_paging(const struct paging_mode *m)
{
	struct virt_paging p = paging_mode_shadow(m, root_of(m));

	vmx_set_paging(V, &p);
}

static void check_guest_has(const struct paging_mode *m)
{
	struct virt_insn_state s;

	assert_int_equal(vmx_reg_read(V, VREG_CR0), m->cr0);
	assert_int_equal(vmx_reg_read(V, VREG_CR3), m->cr3);
	assert_int_equal(vmx_reg_read(V, VREG_CR4), m->cr4);
	assert_int_equal(vmx_reg_read(V, VREG_EFER), m->efer);
	vmx_insn_state(V, &s);
	assert_int_equal(s.cr0 & CR0_PE, m->cr0 & CR0_PE);
	assert_int_equal(s.cr3, m->cr3);
	assert_int_equal(s.cr4 & CR4_LA57, m->cr4 & CR4_LA57);
	assert_int_equal(s.efer & EFER_LMA, m->efer & EFER_LMA);
}

static uint64_t hardware_efer(void)
{
	return vmx_setup.switches_efer ? fake_cpu_field(VMCS_GUEST_IA32_EFER)
				       : vmx_areas(V)->guest[VMX_AREA_EFER].value;
}

/* The fixed bits of VMX operation on top of what the root needs. */
static void check_cpu_has(const struct paging_mode *m)
{
	assert_int_equal(fake_cpu_field(VMCS_GUEST_CR0), m->hw_cr0 | CR0_PE | CR0_NE);
	assert_int_equal(fake_cpu_field(VMCS_GUEST_CR3), root_of(m).v);
	assert_int_equal(fake_cpu_field(VMCS_GUEST_CR4), m->hw_cr4 | CR4_VMXE | CR4_MCE);
	assert_int_equal(hardware_efer(), m->hw_efer);
	assert_int_equal(!!(fake_cpu_field(VMCS_ENTRY_CONTROLS) & ENTRY_IA32E_MODE), m->levels > 3);
}

/* Real mode is the emulator's; all others are entered. */
static void enter(const struct paging_mode *m)
{
	assert_int_equal(vmx_can_run(V), !!(m->cr0 & CR0_PE));
	if (m->cr0 & CR0_PE)
		fake_guest_enter();
}

static void every_cpu_enters_every_mode_with_a_shadow(void **state)
{
	for (unsigned c = 0; c < ARRAY_SIZE(shadowing_cpus); c++) {
		vmx_begin_shadowed_on(shadowing_cpus[c]);
		assert_false(vmx_is_unrestricted(V));
		for (unsigned i = 0; i < NR_MODES; i++) {
			const struct paging_mode *m = &paging_modes[i];

			fake_guest_mode(m);
			set_paging(m);
			check_guest_has(m);
			check_cpu_has(m);
			enter(m);
			/* The registers once more, as writes of the guest's come. */
			fake_guest_mode(m);
			check_guest_has(m);
			check_cpu_has(m);
			enter(m);
		}
	}
}

static void there_is_no_ept_then(void **state)
{
	uint64_t proc2;

	vmx_begin_shadowed_on(vmx_full);
	proc2 = fake_cpu_field(VMCS_SECONDARY_PROCESSOR_CONTROLS);
	assert_false(proc2 & (PROC2_EPT | PROC2_UNRESTRICTED_GUEST | PROC2_PML));
	assert_true(proc2 & PROC2_VPID);
	/* The next vCPU of the same machine has it. */
	vmx_begin_on(vmx_full);
	proc2 = fake_cpu_field(VMCS_SECONDARY_PROCESSOR_CONTROLS);
	assert_true((proc2 & PROC2_EPT) && (proc2 & PROC2_UNRESTRICTED_GUEST));
	assert_true(vmx_is_unrestricted(V));
}

/* A bit that the CPU has at another value than the guest must not be the guest's to write. */
static void bits_that_differ_are_masked(void **state)
{
	vmx_begin_shadowed_on(vmx_full);
	for (unsigned i = 0; i < NR_MODES; i++) {
		const struct paging_mode *m = &paging_modes[i];
		uint64_t cr0, cr4;

		fake_guest_mode(m);
		set_paging(m);
		cr0 = fake_cpu_field(VMCS_GUEST_CR0) ^ m->cr0;
		cr4 = fake_cpu_field(VMCS_GUEST_CR4) ^ m->cr4;
		assert_int_equal(cr0 & ~fake_cpu_field(VMCS_CR0_GUEST_HOST_MASK), 0);
		assert_int_equal(cr4 & ~fake_cpu_field(VMCS_CR4_GUEST_HOST_MASK), 0);
		assert_int_equal(fake_cpu_field(VMCS_CR0_READ_SHADOW), m->cr0);
		assert_int_equal(fake_cpu_field(VMCS_CR4_READ_SHADOW), m->cr4);
		/* Also those that are forced and happen to agree. */
		assert_true(fake_cpu_field(VMCS_CR0_GUEST_HOST_MASK) & CR0_WP);
		assert_true(fake_cpu_field(VMCS_CR4_GUEST_HOST_MASK) & CR4_PAE);
		assert_false(fake_cpu_field(VMCS_CR0_GUEST_HOST_MASK) & CR0_TS);
	}
	/* What is asked for comes on top, and goes. */
	vmx_exit_on_cr0_write(V, CR0_TS);
	vmx_exit_on_cr4_write(V, CR4_PSE);
	assert_int_equal(fake_cpu_field(VMCS_CR0_GUEST_HOST_MASK) & (CR0_TS | CR0_WP),
			 CR0_TS | CR0_WP);
	assert_int_equal(fake_cpu_field(VMCS_CR4_GUEST_HOST_MASK) & (CR4_PSE | CR4_PAE),
			 CR4_PSE | CR4_PAE);
	vmx_exit_on_cr0_write(V, 0);
	assert_false(fake_cpu_field(VMCS_CR0_GUEST_HOST_MASK) & CR0_TS);
}

static void cr3_exits_always(void **state)
{
	vmx_begin_shadowed_on(vmx_full);
	fake_guest_mode(&paging_modes[MODE_LONG]);
	set_paging(&paging_modes[MODE_LONG]);
	assert_true(exits_by(PROC_CR3_LOAD | PROC_CR3_STORE));
	vmx_exit_on_cr3(V, false, false);
	assert_true(exits_by(PROC_CR3_LOAD | PROC_CR3_STORE));
	fake_guest_enter();
}

/* In no field of the VMCS: a CPU without EPT has none. */
static void pdptes_are_kept(void **state)
{
	static const uint64_t in[4] = {0x1001, 0x2001, 0, 0x4001};
	uint64_t out[4];

	vmx_begin_shadowed_on(vmx_without_ept);
	assert_true(vmx_has_pdptes(V));
	vmx_pdptes_write(V, in);
	vmx_pdptes_read(V, out);
	assert_memory_equal(in, out, sizeof(in));
	vmx_begin_on(vmx_full);
	vmx_pdptes_write(V, in);
	assert_int_equal(fake_cpu_field(VMCS_GUEST_PDPTE3), 0x4001);
}

static uint64_t hardware_pat(void)
{
	return vmx_setup.switches_pat ? fake_cpu_field(VMCS_GUEST_IA32_PAT)
				      : vmx_areas(V)->guest[VMX_AREA_PAT].value;
}

/* A shadow entry means what the host means by it, whatever the guest has in its PAT. */
static void pat_is_the_hosts(void **state)
{
	static vmx_change *const cpus[] = {vmx_full, vmx_without_msr_controls};

	for (unsigned i = 0; i < ARRAY_SIZE(cpus); i++) {
		vmx_begin_shadowed_on(cpus[i]);
		assert_int_equal(vmx_reg_read(V, VREG_PAT), PAT_RESET);
		vmx_reg_write(V, VREG_PAT, 0);
		assert_int_equal(vmx_reg_read(V, VREG_PAT), 0);
		assert_int_equal(hardware_pat(), rdmsr(MSR_PAT));
	}
}

static void a_reset_leaves_what_it_runs_with(void **state)
{
	const struct paging_mode *m = &paging_modes[MODE_REAL];

	vmx_begin_shadowed_on(vmx_full);
	fake_guest_mode(&paging_modes[MODE_LONG]);
	set_paging(&paging_modes[MODE_LONG]);
	fake_guest_enter();
	set_paging(m);
	vmx_exit_on_page_fault(V, true);
	vmx_exit_on_invlpg(V, true);
	vmx_vcpu_reset(V);
	assert_int_equal(vmx_reg_read(V, VREG_CR0), CR0_CD | CR0_NW | CR0_ET);
	assert_int_equal(vmx_reg_read(V, VREG_CR3), 0);
	assert_int_equal(vmx_reg_read(V, VREG_CR4), 0);
	assert_int_equal(vmx_reg_read(V, VREG_EFER), 0);
	check_cpu_has(m);
	assert_true(exits_by(PROC_INVLPG | PROC_CR3_LOAD | PROC_CR3_STORE));
	assert_true(page_faults_exit());
}

static void a_vcpu_that_moves_has_no_ept_to_flush(void **state)
{
	static uint8_t pages[VIRT_CPU_PAGES * PAGE_SIZE] __aligned(4096);
	unsigned before;

	vmx_begin_shadowed_on(vmx_without_ept);
	fake_guest_mode(&paging_modes[MODE_LONG]);
	set_paging(&paging_modes[MODE_LONG]);
	fake_guest_enter();
	vmx_vcpu_unload(V);
	fake_cpu.id = 1;
	memset(pages, 0, sizeof(pages));
	vmx_cpu_enable(pages, HPA((uint64_t)pages));
	before = fake_cpu.invepts;
	vmx_vcpu_load(V);
	vmx_flush_tdp(V);
	fake_guest_enter();
	assert_int_equal(fake_cpu.invepts, before);
}

/* ---- exits and flushes, with either ---- */

static void check_exits_asked_for(void)
{
	assert_false(page_faults_exit() || exits_by(PROC_INVLPG));
	vmx_exit_on_page_fault(V, true);
	assert_true(page_faults_exit());
	assert_int_equal(fake_cpu_field(VMCS_PAGE_FAULT_ERROR_CODE_MASK), 0);
	assert_int_equal(fake_cpu_field(VMCS_PAGE_FAULT_ERROR_CODE_MATCH), 0);
	assert_true(fake_cpu_field(VMCS_EXCEPTION_BITMAP) & BIT(X86_TRAP_DB));
	vmx_exit_on_invlpg(V, true);
	assert_true(exits_by(PROC_INVLPG));
	vmx_exit_on_page_fault(V, false);
	vmx_exit_on_invlpg(V, false);
	assert_false(page_faults_exit() || exits_by(PROC_INVLPG));
}

static void page_faults_and_invlpg_exit_if_asked_for(void **state)
{
	vmx_begin_on(vmx_full);
	check_exits_asked_for();
	vmx_begin_shadowed_on(vmx_full);
	check_exits_asked_for();
}

static void cr3_exits_if_asked_for(void **state)
{
	vmx_exit_on_cr3(V, true, false);
	assert_true(exits_by(PROC_CR3_STORE) && !exits_by(PROC_CR3_LOAD));
	vmx_exit_on_cr3(V, false, true);
	assert_true(exits_by(PROC_CR3_LOAD) && !exits_by(PROC_CR3_STORE));
	vmx_vcpu_reset(V);
	fake_guest_long_mode();
	assert_true(exits_by(PROC_CR3_LOAD));
	fake_guest_enter();
	vmx_exit_on_cr3(V, false, false);
	assert_false(exits_by(PROC_CR3_LOAD));
}

static void without_invvpid_of_an_address(struct vmx_limits *l)
{
	l->ept_vpid_cap &= ~VPID_CAP_INVVPID_GVA;
}

static void one_address_is_flushed_by_invvpid(void **state)
{
	unsigned before = fake_cpu.invvpids;

	fake_guest_enter();
	vmx_flush_gva(V, GVA(0xffff800012345678));
	assert_int_equal(fake_cpu.invvpids, before + 1);
	assert_int_equal(fake_cpu.invvpid_type, INVVPID_GVA);
	assert_int_equal(fake_cpu.invvpid_vpid, fake_cpu_field(VMCS_VPID));
	assert_int_equal(fake_cpu.invvpid_gva, 0xffff800012345678);
	assert_int_equal(fake_vcpu.due & VMX_DUE_TAG, 0);
	vmx_flush_gva(V, GVA(0x8000000000000000)); /* no address */
	/* The next entry has another VPID, of which nothing is known. */
	vmx_flush(V);
	vmx_flush_gva(V, GVA(0x1000));
	assert_int_equal(fake_cpu.invvpids, before + 1);
}

static void a_cpu_that_cannot_flushes_all(void **state)
{
	uint64_t vpid;

	vmx_begin_on(without_invvpid_of_an_address);
	fake_guest_enter();
	vpid = fake_cpu_field(VMCS_VPID);
	vmx_flush_gva(V, GVA(0x1000));
	fake_guest_enter();
	assert_int_not_equal(fake_cpu_field(VMCS_VPID), vpid);
	vmx_begin_on(vmx_without_vpid); /* every entry does */
	fake_guest_enter();
	vmx_flush_gva(V, GVA(0x1000));
	fake_guest_enter();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(control_registers_read_as_written, begin),
		cmocka_unit_test(caches_and_machine_checks_are_the_machines),
		cmocka_unit_test_setup(bits_of_the_guests_own_are_read_from_the_register, begin),
		cmocka_unit_test(efer_switches_ia32e_mode),
		cmocka_unit_test(restricted_cpus_run_protected_mode),
		cmocka_unit_test(restricted_cpus_run_what_they_let_in),
		cmocka_unit_test(cr3_exits_only_without_paging),
		cmocka_unit_test(every_cpu_enters_every_mode_with_a_shadow),
		cmocka_unit_test(there_is_no_ept_then),
		cmocka_unit_test(bits_that_differ_are_masked),
		cmocka_unit_test(cr3_exits_always),
		cmocka_unit_test(pdptes_are_kept),
		cmocka_unit_test(pat_is_the_hosts),
		cmocka_unit_test(a_reset_leaves_what_it_runs_with),
		cmocka_unit_test(a_vcpu_that_moves_has_no_ept_to_flush),
		cmocka_unit_test(page_faults_and_invlpg_exit_if_asked_for),
		cmocka_unit_test_setup(cr3_exits_if_asked_for, begin),
		cmocka_unit_test_setup(one_address_is_flushed_by_invvpid, begin),
		cmocka_unit_test(a_cpu_that_cannot_flushes_all),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
