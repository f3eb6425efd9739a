/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the emulator asks for system instructions: a hypercall that takes long is executed again,
 * although RIP is still at it and not behind it as after an exit.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/support/fake_virt.h"
#include "vmm/exit/cpuid.h"
#include "vmm/exit/cr.h"
#include "vmm/exit/hypercall.h"
#include "vmm/exit/insn_ctx.h"
#include "vmm/exit/msr.h"
#include "vmm/exit/xcr.h"
#include "vmm/vcpu_load.h"

#define RIP 0x7000ull

static unsigned slices_left;

/* As the real one does it for a call that has more to do. */
uint64_t hypercall_execute(struct vcpu *v, uint64_t number, uint64_t arg)
{
	if (!slices_left)
		return 42;
	slices_left--;
	v->virt.rip -= 3;
	return v->virt.gpr[GPR_RAX];
}

/* --- what the other callbacks call --- */

void cpuid_execute(struct vcpu *v) {}

bool cr_write(struct vcpu *v, unsigned cr, uint64_t val)
{
	return false;
}

struct msr_value msr_read(struct vcpu *v, uint32_t msr)
{
	return (struct msr_value){.error = -1};
}

bool msr_refuse_rdmsr(const struct vcpu *v)
{
	return false;
}

bool msr_execute_wrmsr(struct vcpu *v)
{
	return false;
}

bool xcr_execute_xsetbv(struct vcpu *v)
{
	return false;
}

bool xcr_execute_xgetbv(struct vcpu *v)
{
	return false;
}

void vcpu_request(struct vcpu *v, uint32_t requests)
{
	atomic_fetch_or(&v->requests, requests);
}

/* --- */

static void a_long_call_is_executed_again(void **state)
{
	static const enum emul_op ops[] = {OP_VMCALL, OP_VMMCALL};

	for (unsigned i = 0; i < ARRAY_SIZE(ops); i++) {
		static struct vm vm;
		static struct vcpu vcpu;
		struct insn_ctx ic = {.v = &vcpu, .ctx.insn.op = ops[i]};

		memset(&fake_cpu, 0, sizeof(fake_cpu));
		vcpu = (struct vcpu){.vm = &vm, .virt.rip = RIP};
		vcpu.virt.gpr[GPR_RAX] = 5;
		slices_left = 2;
		for (unsigned n = 0; n < 2; n++) {
			assert_int_equal(insn_system(&ic.ctx), EMUL_AGAIN);
			assert_int_equal(vcpu.virt.rip, RIP);
			assert_int_equal(vcpu.virt.gpr[GPR_RAX], 5);
			assert_true(atomic_exchange(&vcpu.requests, 0));
		}
		assert_int_equal(insn_system(&ic.ctx), EMUL_OK);
		assert_int_equal(vcpu.virt.rip, RIP);
		assert_int_equal(vcpu.virt.gpr[GPR_RAX], 42);
		assert_int_equal(atomic_load(&vcpu.requests), 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_long_call_is_executed_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
