/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Instructions without an effect: they are left behind, whether or not their exit tells how long
 * they are.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "arch/x86/regs.h"
#include "vmm/cpu.h"
#include "vmm/exit/insn.h"
#include "vmm/exit/no_effect.h"
#include "vmm/vm.h"

static struct vm vm;
static struct vcpu vcpu;
static bool invd_is_next, code_is_gone;

unsigned insn_length_slow(struct vcpu *v, enum emul_op op)
{
	if (code_is_gone)
		event_inject_page_fault(v, GVA(v->virt.rip), PFERR_FETCH);
	return !code_is_gone && op == OP_INVD && invd_is_next ? 2 : 0;
}

unsigned insn_peek_length(struct vcpu *v, enum emul_op op)
{
	(void)v;
	return op == OP_INVD && invd_is_next && !code_is_gone ? 2 : 0;
}

void vcpu_request(struct vcpu *v, uint32_t requests) {}
void vmm_cpu_interrupt_self(void) {}
void vmm_cpu_kick(struct vmm_cpu *c) {}
void vmm_cpu_reschedule(struct vmm_cpu *c) {}

struct vmm_cpu *vmm_cpu_by_id(unsigned id)
{
	return NULL;
}

/* The exits of WBINVD and INVD are one, and neither says how long its instruction is. */
static void cache_instructions_are_measured(void **state)
{
	(void)state;
	slots_init(&vm.mem);
	vcpu.vm = &vm;
	vcpu.virt.rip = 0x1000;
	invd_is_next = true;
	no_effect_wbinvd(&vcpu);
	assert_int_equal(vcpu.virt.rip, 0x1002);
	assert_int_equal(vcpu.pending.type, EVENT_NONE);
	code_is_gone = true; /* one page fault: two would be a double fault */
	no_effect_wbinvd(&vcpu);
	assert_int_equal(vcpu.virt.rip, 0x1002);
	assert_int_equal(vcpu.pending.type, EVENT_EXCEPTION);
	assert_int_equal(vcpu.pending.vector, X86_TRAP_PF);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(cache_instructions_are_measured),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
