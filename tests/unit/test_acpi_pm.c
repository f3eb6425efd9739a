/* SPDX-License-Identifier: BSD-2-Clause */
/* ACPI fixed hardware: the PM timer and its interrupt, sleep, the power button, byte accesses. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "lib/bits.h"
#include "tests/unit/support/clock.h"
#include "tests/unit/support/wires.h"
#include "vmm/dev/acpi_pm.h"

enum { STS = 0, EN = 2, CNT = 4, TMR = 8, GPE_STS = 12, GPE_EN = 14 };

static struct {
	struct acpi_pm pm;
	struct events events;
	struct wire sci;
	struct timer_queue queue;
	struct spinlock lock;
} t;

static const struct dev_host host = {.event = events_record};

static void earlier(struct timer_queue *q) {}

static int setup(void **state)
{
	memset(&t, 0, sizeof(t));
	wire_init(&t.sci);
	spin_init(&t.lock);
	clock_set_ns(5 * NSEC_PER_SEC);
	timer_queue_init(&t.queue, earlier);
	acpi_pm_init(&t.pm, &host, &t.events, &t.sci.line, &t.queue, &t.lock);
	return 0;
}

static uint64_t in(unsigned reg, unsigned size)
{
	return acpi_pm_read(&t.pm, reg, size);
}

static void out(unsigned reg, unsigned size, uint64_t val)
{
	acpi_pm_write(&t.pm, reg, size, val);
}

static void pass_ns(uint64_t ns)
{
	clock_advance_ns(ns);
	timer_queue_run(&t.queue, clock_ns());
}

static void test_timer_counts(void **state)
{
	assert_int_equal(in(TMR, 4), 0);
	clock_advance_ns(NSEC_PER_SEC);
	assert_int_equal(in(TMR, 4), 3579545);
	assert_int_equal(in(TMR + 1, 2), 3579545 >> 8 & 0xffff);
	assert_int_equal(in(TMR + 3, 1), 0);
	clock_advance_ns(280);
	assert_int_equal(in(TMR, 4), 3579546); /* 279.4 ns each */
	clock_advance_ns(1200 * NSEC_PER_SEC);
	assert_int_equal(in(TMR, 4), (uint32_t)(1201 * 3579545ull + 1));
	out(TMR, 4, 0); /* read only */
	assert_int_not_equal(in(TMR, 4), 0);
}

/* The top bit changes every 2^31 ticks: 599.9 seconds. */
static void test_timer_status(void **state)
{
	const uint64_t half = mul_div(1ull << 31, NSEC_PER_SEC, 3579545);

	clock_advance_ns(half - 1000);
	assert_int_equal(in(STS, 2) & 1, 0);
	clock_advance_ns(2000);
	assert_int_equal(in(STS, 2) & 1, 1);
	out(STS, 2, 1);
	assert_int_equal(in(STS, 2) & 1, 0);
	clock_advance_ns(half);
	assert_int_equal(in(STS, 2) & 1, 1); /* falling counts as well */
	assert_false(t.sci.level);
}

static void test_timer_interrupt(void **state)
{
	const uint64_t half = mul_div(1ull << 31, NSEC_PER_SEC, 3579545);

	out(EN, 2, 1);
	assert_false(t.sci.level);
	pass_ns(half - 1000);
	assert_false(t.sci.level);
	pass_ns(2000);
	assert_true(t.sci.level);
	out(STS, 2, 1);
	assert_false(t.sci.level);
	pass_ns(half);
	assert_true(t.sci.level);
	out(EN, 2, 0);
	assert_false(t.sci.level);
	assert_true(list_empty(&t.queue.timers));
}

static void test_sleep(void **state)
{
	out(CNT, 2, 5 << 10); /* the type alone does nothing */
	assert_int_equal(t.events.nr, 0);
	assert_int_equal(in(CNT, 2), 5 << 10 | 1);
	out(CNT, 2, 1 << 13 | 3 << 10); /* a type that \_S5 does not name */
	assert_int_equal(t.events.nr, 0);
	out(CNT, 2, 1 << 13 | 5 << 10);
	assert_int_equal(t.events.nr, 1);
	assert_int_equal(t.events.last, VM_EVENT_POWER_OFF);
	assert_int_equal(in(CNT, 2), 5 << 10 | 1); /* SLP_EN reads 0, SCI_EN 1 */
}

static void test_sleep_by_bytes(void **state)
{
	out(CNT + 1, 1, (1 << 13 | 5 << 10) >> 8);
	assert_int_equal(t.events.nr, 1);
}

static void test_power_button(void **state)
{
	acpi_pm_power_button(&t.pm);
	assert_int_equal(in(STS, 2), 0x100);
	assert_false(t.sci.level);
	out(EN, 2, 0x100);
	assert_true(t.sci.level);
	assert_int_equal(in(STS, 4), 0x01000100);
	out(STS, 2, 0x001); /* ones clear, and only those */
	assert_true(t.sci.level);
	out(STS + 1, 1, 0x01);
	assert_false(t.sci.level);
	assert_int_equal(in(STS, 2), 0);
}

static void test_byte_accesses(void **state)
{
	out(EN, 1, 0x20);
	out(EN + 1, 1, 0x07);
	assert_int_equal(in(EN, 2), 0x0720);
	assert_int_equal(in(EN, 1), 0x20);
	assert_int_equal(in(EN + 1, 1), 0x07);
	out(EN, 2, 0xffff);
	assert_int_equal(in(EN, 2), 0x0721); /* what there is */
	out(EN, 2, 0);
	out(STS, 4, 0x07200000); /* status and enable at once */
	assert_int_equal(in(EN, 2), 0x0720);
	acpi_pm_power_button(&t.pm);
	out(STS, 1, 0xff); /* a byte leaves the other byte's status alone */
	assert_int_equal(in(STS, 2), 0x100);
}

static void test_gpe(void **state)
{
	out(GPE_EN, 2, 0x1234);
	assert_int_equal(in(GPE_STS, 4), 0x12340000);
	out(GPE_EN, 1, 0);
	assert_int_equal(in(GPE_EN, 2), 0x1200);
	assert_false(t.sci.level);
}

static void test_reset(void **state)
{
	out(EN, 2, 0x101);
	acpi_pm_power_button(&t.pm);
	clock_advance_ns(1000000);
	acpi_pm_reset(&t.pm);
	assert_false(t.sci.level);
	assert_int_equal(in(STS, 4), 0);
	assert_int_equal(in(TMR, 4), 0);
	assert_true(list_empty(&t.queue.timers));
}

int main(void)
{
#define T(test) cmocka_unit_test_setup(test, setup)
	const struct CMUnitTest tests[] = {
		T(test_timer_counts),    T(test_timer_status),
		T(test_timer_interrupt), T(test_sleep),
		T(test_sleep_by_bytes),  T(test_power_button),
		T(test_byte_accesses),   T(test_gpe),
		T(test_reset),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
