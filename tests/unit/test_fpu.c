/* SPDX-License-Identifier: BSD-2-Clause */
/* What the x87 remembers of the last instruction, on the CPU that the tests run on. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "arch/x86/fpu.h"

/* SDM volume 1, figure 8-9: the environment in its 32-bit form; `fip` has the low half. */
struct environment {
	uint32_t control, status, tag, fip, selector, fdp, unused;
};

static uint32_t last_instruction(void)
{
	struct environment e;

	__asm__ volatile("fnstenv %0" : "=m"(e)::"memory");
	__asm__ volatile("fldenv %0" ::"m"(e));
	return e.fip;
}

extern const char guest_instruction[];

/* With a full stack, too: no exception may come of it, now or with the next instruction. */
static void pointers_lead_away_from_the_guest(void **state)
{
	static const float val = 1.5f;
	uint16_t status;

	__asm__ volatile("fninit");
	for (unsigned i = 0; i < 7; i++)
		__asm__ volatile("fld1");
	__asm__ volatile("guest_instruction: flds %0" ::"m"(val));
	assert_int_equal(last_instruction(), (uint32_t)(uintptr_t)guest_instruction);
	fpu_forget_pointers();
	assert_int_not_equal(last_instruction(), (uint32_t)(uintptr_t)guest_instruction);
	__asm__ volatile("fnstsw %0" : "=a"(status));
	assert_int_equal(status & 0x7f, 0);
	__asm__ volatile("fninit");
}

/* One that waits is not raised in the hypervisor. */
static void a_waiting_exception_is_dropped(void **state)
{
	static const uint16_t unmasked = 0x37b; /* division by zero */
	uint16_t status;

	__asm__ volatile("fninit; fldcw %0; fld1; fldz; fdivrp" ::"m"(unmasked));
	__asm__ volatile("fnstsw %0" : "=a"(status));
	assert_true(status & 0x80);
	fpu_forget_pointers();
	__asm__ volatile("fnstsw %0" : "=a"(status));
	assert_false(status & 0x80);
	__asm__ volatile("fninit");
}

/* All that is asked for, and nothing of the stack or of what waits. */
static void pointers_are_those_of_the_guest(void **state)
{
	static const struct fpu_pointers p = {0x123456789abc, 0xfedc00001111, 0x10, 0x18, 0x1d9};
	struct {
		uint16_t control, status;
		uint32_t tag_and_opcode;
		uint64_t ip, dp;
		uint8_t rest[488];
	} area __attribute__((aligned(16)));
	double top;

	__asm__ volatile("fninit; fld1; fldpi");
	fpu_set_pointers(&p);
	__asm__ volatile("fxsave64 %0" : "=m"(area));
	assert_int_equal(area.ip, p.ip);
	assert_int_equal(area.dp, p.dp);
	assert_int_equal(area.status, 6 << 11);
	__asm__ volatile("fstpl %0; fninit" : "=m"(top));
	assert_true(top > 3.14 && top < 3.15);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pointers_lead_away_from_the_guest),
		cmocka_unit_test(a_waiting_exception_is_dropped),
		cmocka_unit_test(pointers_are_those_of_the_guest),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
