/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A run of an SVM guest: the ASID it has, the length of what it exits for; and an emulator whose
 * VMRUN loses the host interrupt that comes while it takes over a virtual one, which is known again
 * when the run is over.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "arch/x86/apic.h"
#include "arch/x86/regs.h"
#include "arch/x86/svm/svm.h"

/* ---- the machine ---- */

static struct svm_cpu cpu;
static bool is_in_irr, is_known_to_cpu;
static unsigned offers;

hpa_t svm_iopm, svm_msrpm;
bool svm_has_nrips, svm_has_lbr, svm_has_spec_ctrl;
static uint64_t spec_ctrl, spec_ctrl_in_guest;
static unsigned spec_ctrl_switches;

uint64_t spec_ctrl_enter(uint64_t guest)
{
	uint64_t host = spec_ctrl;

	spec_ctrl |= guest;
	spec_ctrl_switches++;
	return host;
}

void spec_ctrl_leave(uint64_t host)
{
	spec_ctrl = host;
}

struct svm_cpu *svm_this_cpu(void)
{
	return &cpu;
}

void apic_offer_pending(void)
{
	offers++;
	is_known_to_cpu = is_in_irr;
}

static struct vmcb vmcb;

void svm_invlpga(gva_t gva, uint32_t asid) {}

/* The timer expires in the middle of VMRUN. */
void svm_enter(uint64_t *gpr, hpa_t vmcb_pa, hpa_t host_vmcb)
{
	spec_ctrl_in_guest = spec_ctrl;
	is_in_irr = true;
	is_known_to_cpu = !(virt_caps.lax && (vmcb.vintr & SVM_V_IRQ));
}

void svm_decode_exit(struct virt_vcpu *v, const struct vmcb *b, struct vm_exit *exit)
{
	exit->reason = EXIT_INTERRUPT;
}

static struct virt_vcpu v;

static int setup(void **state)
{
	memset(&vmcb, 0, sizeof(vmcb));
	memset(&v, 0, sizeof(v));
	is_in_irr = is_known_to_cpu = svm_has_nrips = svm_has_lbr = svm_has_spec_ctrl = false;
	spec_ctrl = spec_ctrl_switches = 0;
	offers = 0;
	tag_pool_init(&cpu.tags, 0);
	virt_caps = (struct virt_caps){.tags = 16};
	svm_vcpu_init(&v, &vmcb, HPA(0x1000), true);
	svm_vcpu_load(&v);
	svm_vcpu_reset(&v);
	return 0;
}

static void run(void)
{
	struct vm_exit exit;

	svm_vcpu_run(&v, &exit);
	assert_true(is_known_to_cpu);
}

static void an_interrupt_that_vmrun_lost_is_offered_again(void **state)
{
	virt_caps.lax = true;
	svm_irq_window(&v, true);
	run();
}

static void runs_without_a_window_lose_nothing(void **state)
{
	virt_caps.lax = true;
	run();
	svm_irq_window(&v, true);
	svm_irq_window(&v, false);
	run();
	assert_int_equal(offers, 0);
}

static void real_cpus_are_left_alone(void **state)
{
	svm_irq_window(&v, true);
	run();
	assert_int_equal(offers, 0);
}

/* The tag of the next entry, and whether that flushes. */
static uint32_t enter(uint8_t *flush)
{
	vmcb.tlb_control = 0xff; /* what an entry leaves alone */
	run();
	*flush = vmcb.tlb_control;
	return vmcb.asid;
}

static void a_flush_takes_an_unused_asid(void **state)
{
	uint8_t control;
	uint32_t first = enter(&control), second;

	assert_int_equal(first, 1);
	assert_int_equal(enter(&control), first);
	assert_int_equal(control, 0xff);
	svm_flush(&v);
	second = enter(&control);
	assert_int_equal(second, 2);
	assert_int_equal(control, SVM_TLB_KEEP);
	svm_flush_tdp(&v);
	assert_int_equal(enter(&control), 3);
}

/* After the entry that flushes everything, one that does not: and no ASID of before. */
static void used_up_asids_cost_one_flush(void **state)
{
	uint8_t control;

	cpu.tags.next = 16;
	assert_int_equal(enter(&control), 1);
	assert_int_equal(control, SVM_TLB_FLUSH_ALL);
	assert_int_equal(enter(&control), 2);
	assert_int_equal(control, SVM_TLB_KEEP);
	assert_int_equal(enter(&control), 2);
	assert_int_equal(control, 0xff);
}

/* While it was away: somebody else has used all tags up, or it comes to another CPU. */
static void a_vcpu_that_comes_back_has_no_void_asid(void **state)
{
	uint8_t control;

	enter(&control);
	svm_vcpu_unload(&v);
	svm_vcpu_load(&v);
	assert_int_equal(enter(&control), 1);
	cpu.tags.generation++;
	cpu.tags.next = 5;
	svm_vcpu_load(&v);
	assert_int_equal(enter(&control), 5);
	tag_pool_init(&cpu.tags, 1);
	svm_vcpu_load(&v);
	assert_int_equal(enter(&control), 1);
	assert_int_equal(control, SVM_TLB_KEEP);
}

static unsigned length(uint64_t rip, uint64_t next)
{
	vmcb.rip = rip;
	vmcb.nrip = next;
	return svm_insn_len(&v);
}

/* 0 is what leaves it to the decoder. */
static void the_length_is_known_with_next_rip(void **state)
{
	assert_int_equal(length(0xfffffffffffffffe, 1), 0);
	svm_has_nrips = true;
	assert_int_equal(length(0xfffffffffffffffe, 1), 3);
	assert_int_equal(length(0x1000, 0x100f), 15);
	assert_int_equal(length(0x1000, 0), 0); /* the exit was not for an instruction */
	assert_int_equal(length(0x1000, 0x1000), 0);
	assert_int_equal(length(0x1000, 0x1010), 0); /* longer than any: not of this exit */
	assert_int_equal(length(0x1000, 0xffe), 0);
	assert_int_equal(length(0xffff, 1), 0); /* around the end of a segment of 64 KiB */
}

/* A flush by ASID is of no use here: each flush takes an ASID that nothing is known of. */
static void no_flush_is_of_one_asid(void **state)
{
	uint8_t control;

	for (unsigned i = 0; i < 100; i++) {
		svm_flush(&v);
		enter(&control);
		assert_true(control == SVM_TLB_KEEP || control == SVM_TLB_FLUSH_ALL);
		assert_in_range(vmcb.asid, 1, 15);
	}
}

/* Section 15.23: without LBR virtualization the field does nothing, and its control is reserved. */
static void debugctl_is_the_guests_where_it_can_be(void **state)
{
	svm_reg_write(&v, VREG_DEBUGCTL, DEBUGCTL_BTF);
	assert_int_equal(svm_reg_read(&v, VREG_DEBUGCTL), DEBUGCTL_BTF);
	assert_int_equal(vmcb.lbr_virt_enable, 0);
	svm_has_lbr = true;
	svm_vcpu_reset(&v);
	assert_int_equal(svm_reg_read(&v, VREG_DEBUGCTL), 0);
	assert_int_equal(vmcb.lbr_virt_enable, 0);
	for (uint64_t val = 1; val < 4; val++) {
		svm_reg_write(&v, VREG_DEBUGCTL, val);
		assert_int_equal(vmcb.debugctl, val);
		assert_int_equal(vmcb.lbr_virt_enable, 1);
		assert_int_equal(vmcb.clean & BIT(10), 0); /* never said to be unchanged */
		if (val & 1)
			svm_reg_write(&v, VREG_DEBUGCTL, 0);
		else
			svm_vcpu_reset(&v);
		assert_int_equal(vmcb.lbr_virt_enable, 0);
	}
}

/* The guest's bits are added to the machine's while it runs; a guest without costs nothing. */
static void spec_ctrl_is_switched_for_a_guest_that_has_set_it(void **state)
{
	uint8_t flush;

	spec_ctrl = SPEC_CTRL_IBRS;
	run();
	assert_int_equal(spec_ctrl_switches, 0);
	svm_set_spec_ctrl(&v, SPEC_CTRL_SSBD);
	for (unsigned i = 0; i < 3; i++) {
		enter(&flush);
		assert_int_equal(spec_ctrl_in_guest, SPEC_CTRL_IBRS | SPEC_CTRL_SSBD);
		assert_int_equal(spec_ctrl, SPEC_CTRL_IBRS);
	}
	assert_int_equal(spec_ctrl_switches, 3);
	svm_flush(&v); /* both at once */
	enter(&flush);
	assert_int_equal(spec_ctrl_switches, 4);
	svm_set_spec_ctrl(&v, 0);
	enter(&flush);
	assert_int_equal(spec_ctrl_in_guest, SPEC_CTRL_IBRS);
	assert_int_equal(spec_ctrl_switches, 4);
}

static void a_cpu_that_switches_spec_ctrl_is_left_to_it(void **state)
{
	svm_has_spec_ctrl = true;
	svm_set_spec_ctrl(&v, SPEC_CTRL_STIBP);
	run();
	assert_int_equal(vmcb.spec_ctrl, SPEC_CTRL_STIBP);
	assert_int_equal(spec_ctrl_switches, 0);
	svm_set_spec_ctrl(&v, 0);
	assert_int_equal(vmcb.spec_ctrl, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(an_interrupt_that_vmrun_lost_is_offered_again, setup),
		cmocka_unit_test_setup(runs_without_a_window_lose_nothing, setup),
		cmocka_unit_test_setup(real_cpus_are_left_alone, setup),
		cmocka_unit_test_setup(a_flush_takes_an_unused_asid, setup),
		cmocka_unit_test_setup(used_up_asids_cost_one_flush, setup),
		cmocka_unit_test_setup(a_vcpu_that_comes_back_has_no_void_asid, setup),
		cmocka_unit_test_setup(the_length_is_known_with_next_rip, setup),
		cmocka_unit_test_setup(no_flush_is_of_one_asid, setup),
		cmocka_unit_test_setup(debugctl_is_the_guests_where_it_can_be, setup),
		cmocka_unit_test_setup(spec_ctrl_is_switched_for_a_guest_that_has_set_it, setup),
		cmocka_unit_test_setup(a_cpu_that_switches_spec_ctrl_is_left_to_it, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
