/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a VMCB has for the CPU, and what the guest is told, with nested and with shadow paging (APM
 * volume 2, 15.5.1, 15.9, 15.25).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "arch/x86/apic.h"
#include "arch/x86/svm/svm.h"
#include "tests/unit/support/paging_modes.h"

#define ROOT HPA(0x7654321000)

/* ---- the machine ---- */

static struct svm_cpu cpu;
static struct vmcb pages[VIRT_VCPU_PAGES];
static struct virt_vcpu v;
static struct {
	unsigned nr;
	uint64_t gva;
	uint32_t asid;
} invlpgas;

#define VMCB (&pages[0])

hpa_t svm_iopm, svm_msrpm;
bool svm_has_nrips, svm_has_lbr, svm_has_spec_ctrl;

uint64_t spec_ctrl_enter(uint64_t guest)
{
	fail_msg("nobody has set a bit");
	return 0;
}

void spec_ctrl_leave(uint64_t host) {}

struct svm_cpu *svm_this_cpu(void)
{
	return &cpu;
}

void apic_offer_pending(void) {}

void svm_enter(uint64_t *gpr, hpa_t vmcb, hpa_t host_vmcb) {}

void svm_invlpga(gva_t gva, uint32_t asid)
{
	invlpgas.nr++;
	invlpgas.gva = gva.v;
	invlpgas.asid = asid;
}

void svm_decode_exit(struct virt_vcpu *vcpu, const struct vmcb *vmcb, struct vm_exit *exit)
{
	exit->reason = EXIT_INTERRUPT;
}

static void begin(bool nested, bool lax)
{
	memset(pages, 0, sizeof(pages));
	memset(&v, 0, sizeof(v));
	memset(&invlpgas, 0, sizeof(invlpgas));
	tag_pool_init(&cpu.tags, 0);
	virt_caps = (struct virt_caps){.tags = 16, .tdp = true, .lax = lax};
	svm_vcpu_init(&v, pages, HPA(0x1000), nested);
	svm_vcpu_load(&v);
	svm_vcpu_reset(&v);
}

static int begin_nested(void **state)
{
	begin(true, false);
	return 0;
}

static int begin_shadow(void **state)
{
	begin(false, false);
	return 0;
}

/* What VMRUN refuses in these registers (15.5.1), and wants of a root in legacy mode. */
static void check_vmrun_accepts(void)
{
	bool paging = VMCB->cr0 & CR0_PG, pae = VMCB->cr4 & CR4_PAE;

	assert_true(VMCB->efer & EFER_SVME);
	assert_false((VMCB->cr0 & CR0_NW) && !(VMCB->cr0 & CR0_CD));
	assert_false(VMCB->cr0 >> 32 || VMCB->cr4 >> 32);
	if ((VMCB->efer & EFER_LME) && paging)
		assert_true(pae && (VMCB->cr0 & CR0_PE));
	if (VMCB->cr4 & CR4_PCIDE)
		assert_true(VMCB->efer & EFER_LMA);
	assert_true(VMCB->intercept_misc2 & SVM_INTERCEPT_VMRUN);
}

static void set_guest(const struct paging_mode *m)
{
	svm_reg_write(&v, VREG_EFER, m->efer);
	svm_reg_write(&v, VREG_CR4, m->cr4);
	svm_reg_write(&v, VREG_CR3, m->cr3);
	svm_reg_write(&v, VREG_CR0, m->cr0);
}

static void check_guest_has(const struct paging_mode *m)
{
	struct virt_insn_state s;

	assert_int_equal(svm_reg_read(&v, VREG_CR0), m->cr0);
	assert_int_equal(svm_reg_read(&v, VREG_CR3), m->cr3);
	assert_int_equal(svm_reg_read(&v, VREG_CR4), m->cr4);
	assert_int_equal(svm_reg_read(&v, VREG_EFER), m->efer);
	svm_insn_state(&v, &s);
	assert_int_equal(s.cr0 & CR0_PE, m->cr0 & CR0_PE);
	assert_int_equal(s.cr3, m->cr3);
	assert_int_equal(s.cr4 & CR4_LA57, m->cr4 & CR4_LA57);
	assert_int_equal(s.efer & EFER_LMA, m->efer & EFER_LMA);
}

static bool is_clean(uint32_t group)
{
	return VMCB->clean & group;
}

static void enter(void)
{
	struct vm_exit exit;

	svm_vcpu_run(&v, &exit);
	assert_int_equal(VMCB->clean, SVM_CLEAN_ALL);
}

static bool exits_on_read(unsigned cr)
{
	return VMCB->intercept_cr_read & BIT(cr);
}

static bool exits_on_write(unsigned cr)
{
	return VMCB->intercept_cr_write & BIT(cr);
}

/*
 * The CPU has caches and machine checks on, and the guest has what it wrote: so what would show or
 * change the difference exits (15.9). A write of CR0 that is to set CD exits always.
 */
static void check_machines_bits(uint64_t cr0, uint64_t cr4)
{
	assert_false(VMCB->cr0 & (CR0_CD | CR0_NW));
	assert_true(VMCB->cr0 & CR0_NE);
	assert_int_equal(!!(VMCB->intercept_exceptions & BIT(X86_TRAP_MF)), !(cr0 & CR0_NE));
	assert_true(VMCB->cr4 & CR4_MCE);
	assert_int_equal(svm_reg_read(&v, VREG_CR0), cr0);
	assert_int_equal(svm_reg_read(&v, VREG_CR4), cr4);
	assert_true(VMCB->intercept_misc1 & SVM_INTERCEPT_CR0_SEL);
	assert_true(exits_on_write(4));
	if (VMCB->cr0 != cr0)
		assert_true(exits_on_read(0) && exits_on_write(0));
	if (VMCB->cr4 != cr4)
		assert_true(exits_on_read(4));
	assert_true(VMCB->intercept_exceptions & BIT(X86_TRAP_MC));
	assert_int_equal(VMCB->g_pat, 0x0606060606060606);
	check_vmrun_accepts();
}

static void write_and_check(uint64_t cr0, uint64_t cr4)
{
	enter();
	svm_reg_write(&v, VREG_CR0, cr0);
	assert_false(is_clean(SVM_CLEAN_CRX));
	svm_reg_write(&v, VREG_CR4, cr4);
	check_machines_bits(cr0, cr4);
}

static void check_caches_and_machine_checks(void)
{
	uint64_t on = CR0_ET | CR0_PE | CR0_NE;

	check_machines_bits(CR0_ET | CR0_CD | CR0_NW, 0);
	write_and_check(on, CR4_PAE);
	write_and_check(on | CR0_CD, CR4_PAE | CR4_MCE);
	write_and_check(on | CR0_CD | CR0_TS, CR4_MCE); /* CLTS and LMSW come here, too */
	svm_exit_on_cr0_write(&v, 0);
	svm_exit_on_cr4_write(&v, 0);
	check_machines_bits(on | CR0_CD | CR0_TS, CR4_MCE);
	write_and_check(on ^ CR0_NE, 0);
	write_and_check(on | CR0_TS, 0);
	svm_reg_write(&v, VREG_PAT, 0); /* all uncached */
	check_machines_bits(on | CR0_TS, 0);
	assert_int_equal(svm_reg_read(&v, VREG_PAT), 0);
	svm_vcpu_reset(&v);
	check_machines_bits(CR0_ET | CR0_CD | CR0_NW, 0);
	assert_int_equal(svm_reg_read(&v, VREG_PAT), PAT_RESET);
}

static void caches_and_machine_checks_are_the_machines(void **state)
{
	begin(true, false);
	check_caches_and_machine_checks();
	assert_false(exits_on_read(3));
	begin(true, true);
	check_caches_and_machine_checks();
	begin(false, false);
	check_caches_and_machine_checks();
}

/* The bits that are the guest's alone cost no exit. */
static void a_guest_with_caches_writes_ts_by_itself(void **state)
{
	svm_reg_write(&v, VREG_CR0, CR0_ET | CR0_NE | CR0_PE | CR0_PG);
	assert_false(exits_on_read(0) || exits_on_write(0));
	VMCB->cr0 |= CR0_TS;
	assert_int_equal(svm_reg_read(&v, VREG_CR0), CR0_ET | CR0_NE | CR0_PE | CR0_PG | CR0_TS);
	svm_reg_write(&v, VREG_CR4, CR4_MCE);
	assert_false(exits_on_read(4));
}

/* ---- nested paging ---- */

static void with_nested_paging_the_cpu_has_the_guests_own(void **state)
{
	assert_int_equal(VMCB->np_enable, SVM_NP_ENABLE);
	for (unsigned i = 0; i < NR_MODES; i++) {
		const struct paging_mode *m = &paging_modes[i];

		set_guest(m);
		check_guest_has(m);
		check_vmrun_accepts();
		assert_int_equal(VMCB->cr0, (m->cr0 & ~(CR0_CD | CR0_NW)) | CR0_NE);
		assert_int_equal(VMCB->cr3, m->cr3);
		assert_int_equal(VMCB->cr4, m->cr4 | CR4_MCE);
		assert_int_equal(VMCB->efer, m->efer | EFER_SVME);
		assert_false(exits_on_read(3) || exits_on_write(3));
	}
	assert_false(svm_has_pdptes(&v));
	assert_false(VMCB->intercept_misc1 & SVM_INTERCEPT_TASK_SWITCH);
}

static void the_nested_root_is_another_register(void **state)
{
	set_guest(&paging_modes[MODE_LONG]);
	enter();
	svm_set_paging(&v, &(struct virt_paging){.root = ROOT});
	assert_int_equal(VMCB->ncr3, ROOT.v);
	assert_false(is_clean(SVM_CLEAN_NP));
	check_guest_has(&paging_modes[MODE_LONG]);
}

/* The guest writes these without exits, and the CPU leaves what it wrote in the VMCB. */
static void what_the_cpu_left_is_the_guests(void **state)
{
	set_guest(&paging_modes[MODE_UNPAGED_LME]);
	VMCB->cr0 |= CR0_PG | CR0_TS;
	VMCB->cr3 = 0x9000;
	VMCB->efer |= EFER_LMA;
	assert_int_equal(svm_reg_read(&v, VREG_CR0), CR0_ET | CR0_PE | CR0_PG | CR0_TS);
	assert_int_equal(svm_reg_read(&v, VREG_CR3), 0x9000);
	assert_int_equal(svm_reg_read(&v, VREG_CR4), CR4_PAE);
	assert_int_equal(svm_reg_read(&v, VREG_EFER), EFER_LONG | EFER_NXE);
	svm_reg_write(&v, VREG_CR0, CR0_ET | CR0_PE | CR0_PG);
	assert_int_equal(svm_reg_read(&v, VREG_EFER), EFER_LONG | EFER_NXE);
}

/* A lax CPU's #VMEXIT is not to see LME without PAE; the guest sees it. */
static void a_lax_cpu_gets_no_lme_before_pae(void **state)
{
	begin(true, true);
	svm_reg_write(&v, VREG_CR0, CR0_ET | CR0_PE);
	svm_reg_write(&v, VREG_EFER, EFER_LME | EFER_NXE);
	assert_int_equal(VMCB->efer, EFER_NXE | EFER_SVME);
	assert_int_equal(svm_reg_read(&v, VREG_EFER), EFER_LME | EFER_NXE);
	svm_reg_write(&v, VREG_CR4, CR4_PAE);
	assert_int_equal(VMCB->efer, EFER_LME | EFER_NXE | EFER_SVME);
	svm_reg_write(&v, VREG_CR4, 0);
	assert_int_equal(VMCB->efer, EFER_NXE | EFER_SVME);
	svm_reg_write(&v, VREG_EFER, 0);
	assert_int_equal(svm_reg_read(&v, VREG_EFER), 0);
	for (unsigned i = 0; i < NR_MODES; i++) {
		set_guest(&paging_modes[i]);
		check_guest_has(&paging_modes[i]);
		check_vmrun_accepts();
	}
}

/* ---- shadow paging ---- */

static void with_shadow_paging_the_two_are_apart(void **state)
{
	assert_int_equal(VMCB->np_enable, 0);
	for (unsigned i = 0; i < NR_MODES; i++) {
		const struct paging_mode *m = &paging_modes[i];
		struct virt_paging p = paging_mode_shadow(m, ROOT);

		set_guest(m);
		enter();
		svm_set_paging(&v, &p);
		assert_false(is_clean(SVM_CLEAN_CRX));
		check_vmrun_accepts();
		assert_int_equal(VMCB->cr0, m->hw_cr0 | CR0_NE);
		assert_int_equal(VMCB->cr3, ROOT.v);
		assert_int_equal(VMCB->cr4, m->hw_cr4 | CR4_MCE);
		assert_int_equal(VMCB->efer, m->hw_efer | EFER_SVME);
		check_guest_has(m);
		/* The other way round: registers after the root, as a write of the guest's comes.
		 */
		memset(&VMCB->cr4, 0xff, 3 * sizeof(uint64_t));
		set_guest(m);
		check_guest_has(m);
		assert_int_equal(VMCB->cr0, m->hw_cr0 | CR0_NE);
		assert_int_equal(VMCB->cr3, ROOT.v);
		assert_int_equal(VMCB->cr4, m->hw_cr4 | CR4_MCE);
	}
}

/* What the guest would find or leave in the wrong register. */
static void accesses_exit_where_the_two_differ(void **state)
{
	for (unsigned i = 0; i < NR_MODES; i++) {
		const struct paging_mode *m = &paging_modes[i];
		struct virt_paging p = paging_mode_shadow(m, ROOT);

		set_guest(m);
		svm_set_paging(&v, &p);
		assert_true(exits_on_read(3) && exits_on_write(3));
		assert_true(exits_on_write(0) && exits_on_write(4));
		assert_int_equal(exits_on_read(0), m->cr0 != (m->hw_cr0 | CR0_NE));
		assert_int_equal(exits_on_read(4), m->cr4 != (m->hw_cr4 | CR4_MCE));
		assert_false(exits_on_read(8) || exits_on_write(8) || exits_on_read(2));
	}
	/* Whatever is asked for, and asked no more. */
	svm_exit_on_cr0_write(&v, CR0_TS);
	svm_exit_on_cr0_write(&v, 0);
	svm_exit_on_cr4_write(&v, 0);
	svm_exit_on_cr3(&v, false, false);
	assert_true(exits_on_write(0) && exits_on_write(4));
	assert_true(exits_on_read(3) && exits_on_write(3));
	enter();
	svm_reg_write(&v, VREG_CR0, CR0_ET | CR0_PE | CR0_PG);
	assert_true(exits_on_read(0));
	svm_reg_write(&v, VREG_CR0, CR0_ET | CR0_NE | CR0_PE | CR0_SHADOW);
	assert_false(exits_on_read(0));
	assert_false(is_clean(SVM_CLEAN_INTERCEPTS));
}

/* A task switch loads CR3 from memory. */
static void task_switches_exit(void **state)
{
	assert_true(VMCB->intercept_misc1 & SVM_INTERCEPT_TASK_SWITCH);
	svm_vcpu_reset(&v);
	assert_true(VMCB->intercept_misc1 & SVM_INTERCEPT_TASK_SWITCH);
}

/* Real mode runs on page tables: 15.19. */
static void each_mode_can_run(void **state)
{
	for (unsigned i = 0; i < NR_MODES; i++) {
		set_guest(&paging_modes[i]);
		assert_true(svm_can_run(&v) && svm_is_unrestricted(&v));
	}
}

static void pdptes_and_pat_are_kept(void **state)
{
	static const uint64_t in[4] = {0x1001, 0x2001, 0, 0x4001};
	uint64_t out[4];

	assert_true(svm_has_pdptes(&v));
	svm_pdptes_write(&v, in);
	svm_pdptes_read(&v, out);
	assert_memory_equal(in, out, sizeof(in));
	svm_reg_write(&v, VREG_PAT, 0x0606060606060606);
	assert_int_equal(svm_reg_read(&v, VREG_PAT), 0x0606060606060606);
}

static void a_reset_leaves_what_it_runs_with(void **state)
{
	struct virt_paging p = paging_mode_shadow(&paging_modes[MODE_REAL], ROOT);

	set_guest(&paging_modes[MODE_LONG]);
	svm_set_paging(&v, &p);
	svm_exit_on_page_fault(&v, true);
	svm_exit_on_invlpg(&v, true);
	svm_vcpu_reset(&v);
	assert_int_equal(svm_reg_read(&v, VREG_CR0), CR0_CD | CR0_NW | CR0_ET);
	assert_int_equal(svm_reg_read(&v, VREG_EFER), 0);
	assert_int_equal(VMCB->cr0, CR0_ET | CR0_NE | CR0_SHADOW);
	assert_int_equal(VMCB->cr3, ROOT.v);
	assert_true(VMCB->intercept_exceptions & BIT(X86_TRAP_PF));
	assert_true(VMCB->intercept_misc1 & SVM_INTERCEPT_INVLPG);
	assert_true(VMCB->intercept_misc3 & SVM_INTERCEPT_INVPCID);
	assert_true(exits_on_read(3) && exits_on_write(3));
	check_vmrun_accepts();
}

/* ---- exits and flushes, with either ---- */

static void check_exits_asked_for(void)
{
	uint32_t exceptions = VMCB->intercept_exceptions;

	assert_false(exceptions & BIT(X86_TRAP_PF));
	enter();
	svm_exit_on_page_fault(&v, true);
	assert_int_equal(VMCB->intercept_exceptions, exceptions | BIT(X86_TRAP_PF));
	assert_false(is_clean(SVM_CLEAN_INTERCEPTS));
	svm_exit_on_page_fault(&v, false);
	assert_int_equal(VMCB->intercept_exceptions, exceptions);
	enter();
	svm_exit_on_invlpg(&v, true);
	assert_true(VMCB->intercept_misc1 & SVM_INTERCEPT_INVLPG);
	assert_true(VMCB->intercept_misc3 & SVM_INTERCEPT_INVPCID);
	assert_false(is_clean(SVM_CLEAN_INTERCEPTS));
	svm_exit_on_invlpg(&v, false);
	assert_false(VMCB->intercept_misc1 & SVM_INTERCEPT_INVLPG);
	assert_false(VMCB->intercept_misc3 & SVM_INTERCEPT_INVPCID);
}

static void page_faults_and_invlpg_exit_if_asked_for(void **state)
{
	begin(true, false);
	check_exits_asked_for();
	begin(false, false);
	check_exits_asked_for();
}

static void cr3_exits_if_asked_for(void **state)
{
	enter();
	svm_exit_on_cr3(&v, true, false);
	assert_true(exits_on_read(3) && !exits_on_write(3));
	assert_false(is_clean(SVM_CLEAN_INTERCEPTS));
	svm_exit_on_cr3(&v, false, true);
	assert_true(!exits_on_read(3) && exits_on_write(3));
	svm_exit_on_cr0_write(&v, CR0_PG);
	svm_exit_on_cr8_write(&v, true);
	svm_exit_on_cr3(&v, false, false);
	assert_int_equal(VMCB->intercept_cr_write, BIT(0) | BIT(4) | BIT(8));
	enter();
	svm_exit_on_cr0_write(&v, CR0_PG); /* as it is */
	assert_true(is_clean(SVM_CLEAN_INTERCEPTS));
}

static void one_address_is_flushed_by_invlpga(void **state)
{
	enter();
	svm_flush_gva(&v, GVA(0xffff800012345678));
	assert_int_equal(invlpgas.nr, 1);
	assert_int_equal(invlpgas.gva, 0xffff800012345678);
	assert_int_equal(invlpgas.asid, VMCB->asid);
	assert_int_equal(v.due, 0);
	/* The next entry has another ASID, of which nothing is known. */
	svm_flush(&v);
	svm_flush_gva(&v, GVA(0x1000));
	assert_int_equal(invlpgas.nr, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(with_nested_paging_the_cpu_has_the_guests_own, begin_nested),
		cmocka_unit_test_setup(the_nested_root_is_another_register, begin_nested),
		cmocka_unit_test_setup(what_the_cpu_left_is_the_guests, begin_nested),
		cmocka_unit_test_setup(a_guest_with_caches_writes_ts_by_itself, begin_nested),
		cmocka_unit_test(caches_and_machine_checks_are_the_machines),
		cmocka_unit_test(a_lax_cpu_gets_no_lme_before_pae),
		cmocka_unit_test_setup(with_shadow_paging_the_two_are_apart, begin_shadow),
		cmocka_unit_test_setup(accesses_exit_where_the_two_differ, begin_shadow),
		cmocka_unit_test_setup(task_switches_exit, begin_shadow),
		cmocka_unit_test_setup(each_mode_can_run, begin_shadow),
		cmocka_unit_test_setup(pdptes_and_pat_are_kept, begin_shadow),
		cmocka_unit_test_setup(a_reset_leaves_what_it_runs_with, begin_shadow),
		cmocka_unit_test(page_faults_and_invlpg_exit_if_asked_for),
		cmocka_unit_test_setup(cr3_exits_if_asked_for, begin_nested),
		cmocka_unit_test_setup(one_address_is_flushed_by_invlpga, begin_nested),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
