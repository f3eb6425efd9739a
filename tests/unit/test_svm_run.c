/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A run of an SVM guest on an emulator whose VMRUN loses the host interrupt that comes while it
 * takes over a virtual one: the interrupt is known again when the run is over.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "arch/x86/apic.h"
#include "arch/x86/svm/svm.h"

/* ---- the machine ---- */

static struct svm_cpu cpu;
static bool is_in_irr, is_known_to_cpu;
static unsigned offers;

hpa_t svm_iopm, svm_msrpm;

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

/* The timer expires in the middle of VMRUN. */
void svm_enter(uint64_t *gpr, hpa_t control, hpa_t host_vmcb)
{
	is_in_irr = true;
	is_known_to_cpu = !(virt_caps.lax && (vmcb.vintr & SVM_V_IRQ));
}

void svm_decode_exit(struct virt_vcpu *v, struct vm_exit *exit)
{
	exit->reason = EXIT_INTERRUPT;
}

static struct virt_vcpu v;

static int setup(void **state)
{
	memset(&vmcb, 0, sizeof(vmcb));
	memset(&v, 0, sizeof(v));
	is_in_irr = is_known_to_cpu = false;
	offers = 0;
	virt_caps = (struct virt_caps){.tags = 16};
	svm_vcpu_init(&v, &vmcb, HPA(0x1000));
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(an_interrupt_that_vmrun_lost_is_offered_again, setup),
		cmocka_unit_test_setup(runs_without_a_window_lose_nothing, setup),
		cmocka_unit_test_setup(real_cpus_are_left_alone, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
