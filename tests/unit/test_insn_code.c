/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What is remembered of a guest's code, when the memory slots change at the wrong moment: another
 * CPU publishes new ones between two steps of the look-up.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "arch/x86/regs.h"
#include "mm/guest.h"
#include "tests/unit/support/fake_virt.h"
#include "vmm/exit/insn.h"
#include "vmm/exit/insn_ctx.h"

#define CODE 0x5000ull

static struct vm vm;
static struct vcpu vcpu;
static struct insn_ctx ic;

/* The page as it is before and after the change. */
static uint8_t before[PAGE_SIZE], after[PAGE_SIZE];

/* When the slots change. */
enum moment { NEVER, BEFORE_WALK, BEFORE_PTR, BEHIND_PTR };

static enum moment change;
static bool changed;
static unsigned walks;

static void step(enum moment at)
{
	if (change != at || changed)
		return;
	changed = true;
	atomic_fetch_add(&slots_get(&vm.mem)->generation, 1);
}

static uint64_t entry; /* of the guest's page tables */

int insn_walk_trail(struct emul_ctx *c, gva_t gva, uint32_t access, struct walk_result *walk)
{
	step(BEFORE_WALK);
	walks++;
	*walk = (struct walk_result){.gpa = GPA(gva.v), .top = 1, .last = 1};
	walk->step[1].host = &entry;
	walk->step[1].val = entry;
	return EMUL_OK;
}

void *guest_ptr(struct guest_memory *mem, gpa_t gpa, size_t len, bool write)
{
	void *page;

	step(BEFORE_PTR);
	page = (changed ? after : before) + gpa.v % PAGE_SIZE;
	step(BEHIND_PTR);
	return page;
}

void insn_begin(struct insn_ctx *i, struct vcpu *v) {}
void insn_inject(struct vcpu *v, const struct emul_fault *f) {}

static int setup(void **state)
{
	memset(&fake_cpu, 0, sizeof(fake_cpu));
	slots_init(&vm.mem);
	vcpu = (struct vcpu){.vm = &vm, .code.page = ~0ull};
	ic = (struct insn_ctx){.v = &vcpu};
	memset(before, 0x11, sizeof(before));
	memset(after, 0x22, sizeof(after));
	changed = false;
	walks = 0;
	return 0;
}

static uint8_t fetch(void)
{
	uint8_t byte;

	assert_int_equal(insn_fetch(&ic.ctx, GVA(CODE), &byte, 1), EMUL_OK);
	return byte;
}

static void a_page_is_walked_for_once(void **state)
{
	change = NEVER;
	assert_int_equal(fetch(), 0x11);
	assert_int_equal(fetch(), 0x11);
	assert_int_equal(walks, 1);
}

static void nothing_of_the_old_slots_is_remembered(void **state)
{
	for (change = BEFORE_WALK; change <= BEHIND_PTR; change++) {
		setup(NULL);
		assert_int_equal(fetch(), change == BEHIND_PTR ? 0x11 : 0x22);
		assert_true(changed);
		assert_int_equal(fetch(), 0x22);
	}
}

static void a_page_that_is_mapped_anew_is_walked_for(void **state)
{
	change = NEVER;
	fetch();
	entry ^= 0x1000;
	fetch();
	assert_int_equal(walks, 2);
	fetch();
	assert_int_equal(walks, 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(a_page_is_walked_for_once, setup),
		cmocka_unit_test_setup(a_page_that_is_mapped_anew_is_walked_for, setup),
		cmocka_unit_test_setup(nothing_of_the_old_slots_is_remembered, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
